//! The hosts, below the build directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::commands::debian;
use crate::tools;
use crate::workspace::{Workspace, output};

/// How each host is started.
pub(super) struct Programs {
    pub(super) act: Program,
    pub(super) wassette: Program,
    pub(super) wasmtime: Program,
}

/// A program, where necessary through a newer C library than the machine's.
pub(super) struct Program {
    path: PathBuf,
    /// The loader, and where its libraries are.
    loader: Option<(PathBuf, PathBuf)>,
}

/// Where the packages put the programs.
const ACT: &str = "bin/act";
const WASSETTE: &str = "wassette_cli/wassette";
const WASMTIME: &str = "wasmtime_cli/wasmtime";

/// Installs what `.ci/hosts.txt` names, unless it is there.
pub(super) fn programs(workspace: &Workspace) -> Result<Programs> {
    let list_file = workspace.root().join(".ci/hosts.txt");
    let list = fs::read_to_string(&list_file)?;
    let folder = workspace.target("hosts/packages");
    let stamp = folder.join("installed.txt");
    if fs::read_to_string(&stamp).ok().as_deref() != Some(&list) {
        eprintln!("installing the hosts…");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        output(
            tools::pip_install("python3", &list_file)
                .arg("--target")
                .arg(&folder),
        )?;
        fs::write(&stamp, &list)?;
    }
    Ok(Programs {
        act: Program::find(workspace, &folder.join(ACT))?,
        wassette: Program::find(workspace, &folder.join(WASSETTE))?,
        wasmtime: Program::find(workspace, &folder.join(WASMTIME))?,
    })
}

impl Program {
    fn find(workspace: &Workspace, path: &Path) -> Result<Self> {
        ensure!(path.exists(), "the package has no {}", path.display());
        let plain = Self {
            path: path.to_owned(),
            loader: None,
        };
        executable(path)?;
        if output(plain.command().arg("--version")).is_ok() {
            return Ok(plain);
        }
        let newer = Self {
            loader: Some(loader(workspace)?),
            ..plain
        };
        output(newer.command().arg("--version"))
            .with_context(|| format!("{} does not run here", path.display()))?;
        Ok(newer)
    }

    /// The command that starts it.
    pub(super) fn command(&self) -> Command {
        match &self.loader {
            None => Command::new(&self.path),
            Some((loader, libraries)) => {
                let mut command = Command::new(loader);
                command.arg("--library-path").arg(libraries).arg(&self.path);
                command
            }
        }
    }
}

#[cfg(unix)]
fn executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut permissions = fs::metadata(path)?.permissions();
    permissions.set_mode(permissions.mode() | 0o111);
    Ok(fs::set_permissions(path, permissions)?)
}

#[cfg(not(unix))]
fn executable(_path: &Path) -> Result<()> {
    Ok(())
}

/// The C library of a newer Debian: Wassette wants one that many machines do
/// not have yet.
fn loader(workspace: &Workspace) -> Result<(PathBuf, PathBuf)> {
    let folder = workspace.target("hosts/libc");
    let stamp = folder.join("unpacked");
    if !stamp.exists() {
        eprintln!("fetching a newer C library for it…");
        let work = workspace.target("hosts/apt");
        debian::unpack(&work, "trixie", &["libc6", "libgcc-s1"], &folder)
            .context("the C library of Debian 13")?;
        fs::write(&stamp, "")?;
    }
    let libraries = folder
        .join("usr/lib")
        .join(format!("{}-linux-gnu", std::env::consts::ARCH));
    let entries =
        fs::read_dir(&libraries).with_context(|| format!("cannot read {}", libraries.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("ld-linux") {
            return Ok((path, libraries));
        }
    }
    anyhow::bail!("no loader in {}", libraries.display())
}
