//! Tools that a machine may lack.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::workspace::{Workspace, output, run};

/// A subcommand of cargo, and where it is.
pub(crate) struct Tool {
    name: &'static str,
    /// Where it is, unless cargo finds it without help.
    folder: Option<PathBuf>,
}

impl Tool {
    /// `cargo NAME`, installed below the build directory where the machine has
    /// none: prebuilt where Python's pip can fetch it, otherwise compiled,
    /// which takes some minutes.
    pub(crate) fn find(workspace: &Workspace, name: &'static str, version: &str) -> Result<Self> {
        let folder = find(workspace, &format!("cargo-{name}"), version)?;
        Ok(Self { name, folder })
    }

    /// The command, in the checkout.
    pub(crate) fn command(&self, workspace: &Workspace) -> Result<Command> {
        let mut command = workspace.cargo([self.name]);
        if let Some(folder) = &self.folder {
            let path = env::var_os("PATH").unwrap_or_default();
            let mut folders = vec![folder.clone()];
            folders.extend(env::split_paths(&path));
            let path: OsString = env::join_paths(folders)?;
            command.env("PATH", path);
        }
        Ok(command)
    }
}

/// mdBook, found or installed as [`Tool::find`] does it.
pub(crate) fn mdbook(workspace: &Workspace) -> Result<Command> {
    let folder = find(workspace, "mdbook", "0.5.4")?;
    let program = folder.map_or_else(|| "mdbook".into(), |folder| folder.join("mdbook"));
    Ok(Command::new(program))
}

/// The folder of a program, unless the system finds it without help. Where the machine
/// has none, it is installed below the build directory.
fn find(workspace: &Workspace, program: &str, version: &str) -> Result<Option<PathBuf>> {
    let is_there = |path: &Path| output(Command::new(path).arg("--version")).is_ok();
    if is_there(Path::new(program)) {
        return Ok(None);
    }
    let prebuilt = workspace.target("tools/prebuilt");
    let compiled = workspace.target("tools/compiled");
    let folders = [prebuilt.join("bin"), compiled.join("bin")];
    let find = || {
        let mut folders = folders.iter();
        folders.find(|folder| is_there(&folder.join(program)))
    };
    if find().is_none()
        && let Err(error) = fetch(workspace, &prebuilt)
    {
        eprintln!("no prebuilt {program} ({error:#}): compiling it, which takes some minutes");
    }
    if find().is_none() {
        run(workspace
            .cargo(["install", "--locked", "--version", version, "--root"])
            .arg(&compiled)
            .arg(program)
            // Nothing of it is shared with the project.
            .env("CARGO_TARGET_DIR", compiled.join("target")))?;
    }
    let folder = find().with_context(|| format!("{program} was installed, but does not run"))?;
    Ok(Some(folder.clone()))
}

/// Has pip install what a list in `.ci/` names, by the hashes there and nothing
/// else. Add `--target`, where that is wanted.
pub(crate) fn pip_install(python: impl AsRef<OsStr>, list: &Path) -> Command {
    let mut command = Command::new(python);
    command
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ])
        .args(["--no-deps", "--only-binary", ":all:", "--require-hashes"])
        .arg("--requirement")
        .arg(list);
    command
}

/// All that `.ci/tools.txt` names, into a folder of their own.
fn fetch(workspace: &Workspace, folder: &Path) -> Result<()> {
    output(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    let list = workspace.root().join(".ci/tools.txt");
    output(&mut pip_install(folder.join("bin/python"), &list))?;
    Ok(())
}
