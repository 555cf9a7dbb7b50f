//! The target wasm32-wasip2 from Debian's packages, for a machine whose rustup
//! reaches no server: the standard library is built from Debian's `rust-src`,
//! and `wasi-libc` gives the C library under it.
//!
//! apt runs with a configuration of its own below the build directory, so the
//! system's package lists, cache and packages stay as they are.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::setup::Toolchain;
use crate::workspace::{WASM_TARGET, Workspace, cargo, output};

/// Where to look for the exact version of rustc, the likeliest (and smallest)
/// first.
const SUITES: [&str; 5] = [
    "trixie-backports",
    "forky-backports",
    "trixie",
    "forky",
    "sid",
];

pub(super) fn install(workspace: &Workspace, toolchain: &Toolchain) -> Result<()> {
    for tool in ["apt-get", "apt-cache", "apt-config", "dpkg-deb"] {
        let there = Command::new(tool).arg("--version").output();
        ensure!(
            there.is_ok(),
            "{tool} is missing: this is not a Debian system"
        );
    }
    let rustlib = toolchain.sysroot.join("lib/rustlib");
    let partial = rustlib.join(format!("{WASM_TARGET}.partial"));
    ensure!(
        !toolchain.target_dir().exists(),
        "{} holds an incomplete target; remove that folder",
        toolchain.target_dir().display()
    );
    clear(&partial).with_context(|| {
        format!(
            "this user may not write to Rust's folder {}; do it as its owner",
            rustlib.display()
        )
    })?;

    let work = workspace.target("setup");
    clear(&work)?;
    let result = build(&work, toolchain, &partial).and_then(|()| {
        fs::rename(&partial, toolchain.target_dir())
            .with_context(|| format!("cannot rename {}", partial.display()))
    });
    // What is left is of no use to anyone.
    for folder in [&partial, &work] {
        if folder.exists() {
            let _ = fs::remove_dir_all(folder);
        }
    }
    result
}

fn build(work: &Path, toolchain: &Toolchain, partial: &Path) -> Result<()> {
    let packages = download(work, &toolchain.release)?;
    let source = packages.join(format!("usr/src/rustc-{}", toolchain.release));
    ensure!(
        source.join("library/std").is_dir(),
        "Debian's rust-src is not laid out as expected: no {}",
        source.display()
    );

    eprintln!("  building the standard library…");
    let built = {
        let _link = SourceLink::new(toolchain, &source)?;
        build_std(work)?
    };
    let lib = partial.join("lib");
    let self_contained = lib.join("self-contained");
    fs::create_dir_all(&self_contained)?;
    let rlibs = copy(&built, &lib, |name| {
        name.ends_with(".rlib") && !name.starts_with("libempty")
    })?;
    ensure!(
        rlibs > 0,
        "the build left no library in {}",
        built.display()
    );
    let libc = find(&packages, "libc.a", WASM_TARGET)?
        .with_context(|| format!("Debian's wasi-libc holds no libc.a for {WASM_TARGET}"))?;
    let libc = libc.parent().context("libc.a has no folder")?;
    copy(libc, &self_contained, |name| {
        name.ends_with(".a") || name.ends_with(".o")
    })?;
    Ok(())
}

/// Downloads and unpacks both packages, and returns the folder they are in.
fn download(work: &Path, release: &str) -> Result<PathBuf> {
    for archive in &archives()? {
        for suite in SUITES {
            eprintln!(
                "  looking for rust-src {release} in {suite} at {}…",
                archive.uri
            );
            let apt = Apt::new(&work.join("apt"), archive, suite)?;
            let found = apt.update().and_then(|()| {
                let rust_src = apt.version("rust-src", |version| {
                    version
                        .strip_prefix(release)
                        .is_some_and(|rest| rest.starts_with(['+', '-', '~']))
                })?;
                Ok((rust_src, apt.version("wasi-libc", |_| true)?))
            });
            let (rust_src, wasi_libc) = match found {
                Ok(found) => found,
                Err(error) => {
                    eprintln!("    {error:#}");
                    continue;
                }
            };
            eprintln!("  fetching rust-src {rust_src} and wasi-libc {wasi_libc}…");
            let files = work.join("files");
            let unpacked = work.join("packages");
            fs::create_dir_all(&files)?;
            fs::create_dir_all(&unpacked)?;
            apt.download(
                &files,
                &[("rust-src", &rust_src), ("wasi-libc", &wasi_libc)],
            )?;
            for file in fs::read_dir(&files)? {
                let file = file?.path();
                output(Command::new("dpkg-deb").arg("-x").arg(file).arg(&unpacked))?;
            }
            return Ok(unpacked);
        }
    }
    bail!(
        "none of {} has rust-src {release} with wasi-libc",
        SUITES.join(", ")
    )
}

/// Unpacks the newest packages of a suite into a folder.
pub(super) fn unpack(work: &Path, suite: &str, packages: &[&str], folder: &Path) -> Result<()> {
    let archive = archives()?;
    let archive = archive.first().context("apt knows no archive")?;
    let apt = Apt::new(&work.join("apt"), archive, suite)?;
    apt.update()?;
    let versions = packages
        .iter()
        .map(|package| Ok((*package, apt.version(package, |_| true)?)))
        .collect::<Result<Vec<_>>>()?;
    let versions: Vec<(&str, &str)> = versions
        .iter()
        .map(|(package, version)| (*package, version.as_str()))
        .collect();
    let files = work.join("files");
    clear(&files)?;
    apt.download(&files, &versions)?;
    clear(folder)?;
    for file in fs::read_dir(&files)? {
        let file = file?.path();
        output(Command::new("dpkg-deb").arg("-x").arg(file).arg(folder))?;
    }
    Ok(())
}

/// A Debian archive that the machine is configured for.
pub(super) struct Archive {
    pub(super) uri: String,
    pub(super) signed_by: String,
}

pub(super) fn archives() -> Result<Vec<Archive>> {
    let targets = output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(REPO_URI) $(SIGNED_BY)",
        "Created-By: Packages",
    ]))?;
    let mut archives: Vec<Archive> = Vec::new();
    for line in targets.lines() {
        let (uri, signed_by) = line.split_once(' ').unwrap_or((line, ""));
        let uri = uri.trim_end_matches('/');
        // By name: an archive's own description is known only after an update
        // of the system's lists.
        if !uri.ends_with("/debian") || archives.iter().any(|archive| archive.uri == uri) {
            continue;
        }
        archives.push(Archive {
            uri: uri.to_owned(),
            signed_by: signed_by.trim().to_owned(),
        });
    }
    ensure!(
        !archives.is_empty(),
        "apt's sources name no Debian archive (an address that ends in /debian)"
    );
    Ok(archives)
}

/// apt with lists, cache and state of its own.
struct Apt {
    config: PathBuf,
}

impl Apt {
    fn new(folder: &Path, archive: &Archive, suite: &str) -> Result<Self> {
        clear(folder)?;
        for part in ["lists/partial", "cache/archives/partial", "etc"] {
            fs::create_dir_all(folder.join(part))?;
        }
        fs::write(folder.join("status"), "")?;
        let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
        let signed_by = if archive.signed_by.starts_with('/') {
            format!("[signed-by={}] ", archive.signed_by)
        } else if Path::new(keyring).exists() {
            format!("[signed-by={keyring}] ")
        } else {
            String::new()
        };
        fs::write(
            folder.join("sources.list"),
            format!("deb {signed_by}{} {suite} main\n", archive.uri),
        )?;

        let mut config = transport_settings()?;
        let mut set = |name: &str, value: &str| {
            config.push_str(&format!("{name} \"{value}\";\n"));
        };
        // The system's apt.conf.d may hold hooks that change the system, so
        // that only its transport settings are taken over.
        for name in [
            "Dir::Etc::parts",
            "Dir::Etc::sourceparts",
            "Dir::Etc::preferencesparts",
        ] {
            set(name, &shown(&folder.join("etc"))?);
        }
        for name in ["Dir::Etc::main", "Dir::Etc::preferences"] {
            set(name, "/dev/null");
        }
        set("Dir::Etc::trustedparts", "/etc/apt/trusted.gpg.d");
        set("Dir::Etc::netrc", "/etc/apt/auth.conf");
        set("Dir::Etc::netrcparts", "/etc/apt/auth.conf.d");
        set(
            "Dir::Etc::sourcelist",
            &shown(&folder.join("sources.list"))?,
        );
        set("Dir::State::lists", &shown(&folder.join("lists"))?);
        set("Dir::State::status", &shown(&folder.join("status"))?);
        set("Dir::Cache", &shown(&folder.join("cache"))?);
        set("Acquire::Languages", "none");
        // apt's own user cannot enter our folder.
        set("APT::Sandbox::User", "root");
        let path = folder.join("apt.conf");
        fs::write(&path, config)?;
        Ok(Self { config: path })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", &self.config).env("LC_ALL", "C");
        command
    }

    fn update(&self) -> Result<()> {
        // Without this, apt only warns of a suite that it cannot read.
        let option = "APT::Update::Error-Mode=any";
        let mut command = self.command("apt-get");
        let ended = command.args(["-q", "-o", option, "update"]).output()?;
        if ended.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&ended.stderr);
        let reason = said.lines().find_map(|line| line.strip_prefix("E: "));
        bail!("{}", reason.unwrap_or("apt-get update failed").trim())
    }

    /// The newest version that will do.
    fn version(&self, package: &str, fits: impl Fn(&str) -> bool) -> Result<String> {
        let lines = output(self.command("apt-cache").args(["madison", package]))?;
        // ` rust-src | 1.95.0+dfsg1-2 | http://… sid/main amd64 Packages`
        let versions: Vec<&str> = lines
            .lines()
            .filter_map(|line| line.split('|').nth(1))
            .map(str::trim)
            .collect();
        versions
            .iter()
            .find(|version| fits(version))
            .map(|version| (*version).to_owned())
            .with_context(|| match versions.is_empty() {
                true => format!("no {package}"),
                false => format!("{package} only in {}", versions.join(", ")),
            })
    }

    fn download(&self, folder: &Path, packages: &[(&str, &str)]) -> Result<()> {
        let mut command = self.command("apt-get");
        command.current_dir(folder).args(["-q", "download"]);
        for (name, version) in packages {
            command.arg(format!("{name}={version}"));
        }
        output(&mut command).map(drop)
    }
}

/// The machine's proxies, certificates and the like, as configuration lines.
fn transport_settings() -> Result<String> {
    let all = output(Command::new("apt-config").arg("dump"))?;
    let mut kept = String::new();
    for line in all.lines() {
        let ours = ["http", "https", "ForceIPv", "Retries", "Check-"]
            .iter()
            .any(|name| {
                line.strip_prefix("Acquire::")
                    .is_some_and(|rest| rest.starts_with(name))
            });
        if ours {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    Ok(kept)
}

/// The place where `-Zbuild-std` looks for the source: a link for as long as
/// the build takes, unless rustup's own source is there.
struct SourceLink(Option<PathBuf>);

impl SourceLink {
    fn new(toolchain: &Toolchain, source: &Path) -> Result<Self> {
        let link = toolchain.sysroot.join("lib/rustlib/src/rust");
        if link.join("library/std").is_dir() {
            return Ok(Self(None));
        }
        if link.is_symlink() {
            // Of an earlier run that was killed.
            fs::remove_file(&link)?;
        }
        if let Some(folder) = link.parent() {
            fs::create_dir_all(folder)?;
        }
        symlink(source, &link).with_context(|| format!("cannot link {}", link.display()))?;
        Ok(Self(Some(link)))
    }
}

#[cfg(unix)]
fn symlink(source: &Path, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(source, link)
}

/// Fails: there are Debian's packages nowhere but on Debian.
#[cfg(not(unix))]
fn symlink(_: &Path, _: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

impl Drop for SourceLink {
    fn drop(&mut self) {
        if let Some(link) = &self.0 {
            let _ = fs::remove_file(link);
            // Only where the link was all that it held.
            let _ = link.parent().map(fs::remove_dir);
        }
    }
}

/// Builds the standard library by way of an empty crate, and returns the
/// folder with its parts.
fn build_std(work: &Path) -> Result<PathBuf> {
    let empty = work.join("empty");
    fs::create_dir_all(empty.join("src"))?;
    fs::write(
        empty.join("Cargo.toml"),
        "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n",
    )?;
    fs::write(empty.join("src/lib.rs"), "")?;
    let target = empty.join("target");
    let mut command = cargo();
    command
        .current_dir(&empty)
        .args(["build", "--release", "-Zbuild-std=std,panic_abort"])
        .args(["--target", WASM_TARGET, "--target-dir"])
        .arg(&target)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTC_BOOTSTRAP", "1")
        // The bitcode is what a later build with LTO reads.
        .env(
            "RUSTFLAGS",
            "-Cembed-bitcode=yes -Zforce-unstable-if-unmarked",
        );
    output(&mut command)?;
    Ok(target.join(WASM_TARGET).join("release/deps"))
}

/// Copies the files of a folder whose name fits, and counts them.
fn copy(from: &Path, to: &Path, fits: impl Fn(&str) -> bool) -> Result<usize> {
    let mut count = 0;
    let entries = fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?;
    for entry in entries {
        let entry = entry?;
        if fits(&entry.file_name().to_string_lossy()) {
            fs::copy(entry.path(), to.join(entry.file_name()))
                .with_context(|| format!("cannot copy {}", entry.path().display()))?;
            count += 1;
        }
    }
    Ok(count)
}

/// A file of this name in a folder of that name, anywhere below.
fn find(below: &Path, name: &str, folder: &str) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(below)? {
        let path = entry?.path();
        if path.is_dir() && !path.is_symlink() {
            if let Some(found) = find(&path, name, folder)? {
                return Ok(Some(found));
            }
        } else if path.file_name() == Some(OsStr::new(name))
            && path.parent().and_then(Path::file_name) == Some(OsStr::new(folder))
        {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// An empty folder.
fn clear(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    Ok(())
}

/// A path for apt's configuration, which quotes by `"` alone.
fn shown(path: &Path) -> Result<String> {
    let text = path
        .to_str()
        .context("the checkout's path is not UTF-8 text")?;
    ensure!(!text.contains('"'), "the checkout's path holds a quote");
    Ok(text.to_owned())
}
