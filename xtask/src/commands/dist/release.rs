//! What is released, and the files that are written for it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::archive::{Tree, gzip, sha256, tar, zip};
use super::materials::{self, Packages};
use super::{deb, mcpb, oci, registry};
use crate::commands::setup::Toolchain;
use crate::table;
use crate::workspace::{Workspace, output};

/// The names that everything in a release shares.
pub(super) struct Release {
    pub(super) version: String,
    /// Target triple.
    pub(super) target: String,
    /// When the commit was made, in seconds since 1970: nothing has a later time.
    pub(super) time: u64,
    /// The same in RFC 3339.
    pub(super) timestamp: String,
}

impl Release {
    /// For a target. `SOURCE_DATE_EPOCH` sets the time; otherwise, it is that of the
    /// commit.
    pub(super) fn of(workspace: &Workspace, target: &str) -> Result<Self> {
        let commit = || {
            let mut git = Command::new("git");
            git.current_dir(workspace.root());
            output(git.args(["log", "-1", "--format=%ct"]))
        };
        let time = match env::var("SOURCE_DATE_EPOCH") {
            Ok(time) => time,
            Err(_) => commit().context(
                "set SOURCE_DATE_EPOCH to the time of the release, because git does not know it",
            )?,
        };
        let time: u64 = time
            .trim()
            .parse()
            .context("SOURCE_DATE_EPOCH is not a number of seconds")?;
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            target: target.to_owned(),
            time,
            timestamp: timestamp(time),
        })
    }

    pub(super) fn architecture(&self) -> &str {
        self.target.split('-').next().unwrap_or(&self.target)
    }

    pub(super) fn debian_architecture(&self) -> &str {
        self.oci_architecture()
    }

    pub(super) fn oci_architecture(&self) -> &str {
        debian_architecture(self.architecture())
    }

    /// Whether this machine runs its program.
    pub(super) fn is_native(&self) -> Result<bool> {
        Ok(self.target == Toolchain::find()?.host)
    }

    fn system(&self) -> &'static str {
        match () {
            () if self.target.contains("windows") => "windows",
            () if self.target.contains("apple") => "macos",
            () => "linux",
        }
    }

    /// The system in the words of a bundle's manifest.
    pub(super) fn platform(&self) -> &'static str {
        match self.system() {
            "windows" => "win32",
            "macos" => "darwin",
            other => other,
        }
    }

    pub(super) fn is_linux(&self) -> bool {
        self.system() == "linux"
    }

    pub(super) fn program_name(&self) -> &'static str {
        match self.system() {
            "windows" => "host-runner.exe",
            _ => "host-runner",
        }
    }

    /// `proxmox-mcp-VERSION-ARCHITECTURE-SYSTEM`.
    pub(super) fn name(&self) -> String {
        let (architecture, system) = (self.architecture(), self.system());
        format!("proxmox-mcp-{}-{architecture}-{system}", self.version)
    }

    pub(super) fn deb_name(&self) -> String {
        format!(
            "proxmox-mcp_{}_{}.deb",
            self.version,
            self.debian_architecture()
        )
    }
}

/// What Debian and OCI call an architecture of Rust.
pub(super) fn debian_architecture(architecture: &str) -> &str {
    match architecture {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// In UTC, by the civil calendar.
fn timestamp(time: u64) -> String {
    let (days, seconds) = (time / 86_400, time % 86_400);
    // Years begin in March, so that leap days are at their end.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The files that packages are made of.
pub(super) struct Contents {
    pub(super) program: Vec<u8>,
    pub(super) component: Vec<u8>,
    pub(super) licenses: Vec<(&'static str, Vec<u8>)>,
    pub(super) readme: Vec<u8>,
    pub(super) env_example: Vec<u8>,
    pub(super) unit: Vec<u8>,
    pub(super) notices: String,
    pub(super) sbom: String,
    /// Completions and manual pages.
    pub(super) command_line: Tree,
    /// The public certificate authorities, where the system has them.
    pub(super) certificates: Option<Vec<u8>>,
}

impl Contents {
    pub(super) fn gather(workspace: &Workspace, release: &Release, program: &Path) -> Result<Self> {
        let read =
            |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        let source = |path: &str| read(&workspace.root().join(path));
        let component = match env::var_os("PROXMOX_MCP_COMPONENT") {
            Some(path) if !path.is_empty() => PathBuf::from(path),
            _ => workspace.component("proxmox_mcp.wasm"),
        };
        let packages = Packages::find(workspace, &release.target)?;
        // What the program says of itself is the same everywhere.
        let speaker = match release.is_native()? {
            true => program,
            false => &workspace.binary("host-runner"),
        };
        eprintln!("  {} packages in the bill of materials", packages.count());
        Ok(Self {
            program: read(program)?,
            component: read(&component)?,
            licenses: vec![
                ("LICENSE-APACHE", source("LICENSE-APACHE")?),
                ("LICENSE-MIT", source("LICENSE-MIT")?),
            ],
            readme: source("README.md")?,
            env_example: source(".env.example")?,
            unit: source("deploy/package/proxmox-mcp.service")?,
            notices: packages.notices(),
            sbom: packages.sbom(release)?,
            command_line: materials::command_line(workspace, speaker)?,
            certificates: fs::read("/etc/ssl/certs/ca-certificates.crt").ok(),
        })
    }
}

/// Writes the files of a release, and removes those of earlier ones.
pub(super) fn write(
    workspace: &Workspace,
    release: &Release,
    contents: &Contents,
    folder: &Path,
) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    let name = release.name();
    let put = |file: &str, bytes: &[u8]| {
        fs::write(folder.join(file), bytes).with_context(|| format!("cannot write {file}"))
    };
    let tree = archive(release, contents);
    match release.system() {
        "windows" => put(&format!("{name}.zip"), &zip(&tree)?)?,
        _ => put(
            &format!("{name}.tar.gz"),
            &gzip(&tar(&tree, &format!("{name}/"), release.time)?)?,
        )?,
    }
    put(&format!("{name}.mcpb"), &mcpb::build(release, contents)?)?;
    if release.is_linux() {
        put(&release.deb_name(), &deb::build(release, contents)?)?;
        put(
            &format!("{name}-image.oci.tar"),
            &oci::image(release, contents)?,
        )?;
    }
    let component = format!("proxmox-mcp-{}-component", release.version);
    put(&format!("{component}.wasm"), &contents.component)?;
    put(
        &format!("{component}.oci.tar"),
        &oci::component(release, &contents.component)?,
    )?;
    put(&format!("{name}.cdx.json"), contents.sbom.as_bytes())?;
    put(
        &format!("{name}-THIRD-PARTY.txt"),
        contents.notices.as_bytes(),
    )?;
    join(workspace, folder)
}

/// The archive for an installation by hand.
fn archive(release: &Release, contents: &Contents) -> Tree {
    let mut tree = contents.command_line.clone();
    tree.program(release.program_name(), contents.program.clone());
    for (name, bytes) in &contents.licenses {
        tree.file(name, bytes.clone());
    }
    tree.file("README.md", contents.readme.clone());
    tree.file("env.example", contents.env_example.clone());
    tree.file("THIRD-PARTY.txt", contents.notices.clone());
    if release.is_linux() {
        tree.file("proxmox-mcp.service", contents.unit.clone());
    }
    tree
}

/// Writes what depends on all files of a release: `server.json` and `SHA256SUMS`.
pub(super) fn join(workspace: &Workspace, folder: &Path) -> Result<()> {
    let release = Release::of(workspace, &Toolchain::find()?.host)?;
    let bundles: Vec<(String, Vec<u8>)> = files(folder)?
        .into_iter()
        .filter(|(name, _)| name.ends_with(".mcpb"))
        .collect();
    ensure!(
        !bundles.is_empty(),
        "{} has no bundle (.mcpb)",
        folder.display()
    );
    let entry = registry::server_json(&release, &bundles);
    fs::write(
        folder.join("server.json"),
        serde_json::to_string_pretty(&entry)? + "\n",
    )?;
    let sums: String = files(folder)?
        .iter()
        .filter(|(name, _)| name != "SHA256SUMS")
        .map(|(name, bytes)| format!("{}  {name}\n", sha256(bytes)))
        .collect();
    fs::write(folder.join("SHA256SUMS"), sums)?;
    Ok(())
}

/// The files of a folder, sorted by name.
pub(super) fn files(folder: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let name = entry.file_name().to_string_lossy().into_owned();
            files.push((name, fs::read(entry.path())?));
        }
    }
    files.sort();
    Ok(files)
}

/// Prints the files with sizes and digests.
#[expect(clippy::print_stdout, reason = "the files are what was asked for")]
pub(super) fn report(folder: &Path) -> Result<()> {
    println!("{}", folder.display());
    for (name, bytes) in files(folder)? {
        let size = table::bytes(bytes.len() as f64);
        println!("  {:>9}  {}  {name}", size, sha256(&bytes));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(timestamp(1_795_849_199), "2026-11-28T05:39:59Z");
    }
}
