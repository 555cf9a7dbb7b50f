//! Whether another folder makes a difference.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::program::{host_runner, path};
use crate::commands::build;
use crate::commands::setup::Toolchain;
use crate::workspace::{Workspace, output};

/// Builds the committed sources in a folder with another name, and compares the component
/// and the program. All packages are functions of these two.
pub(super) fn run(workspace: &Workspace, program: &Path) -> Result<()> {
    let folder = workspace.target("reproduce/elsewhere");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    // What is not committed would be compared, too.
    let mut git = Command::new("git");
    git.current_dir(workspace.root());
    let changes = output(git.args(["status", "--porcelain", "--untracked-files=no"]))?;
    ensure!(
        changes.is_empty(),
        "commit your changes first: only committed files are built in the other folder"
    );
    let archive = folder.with_extension("tar");
    let mut git = Command::new("git");
    git.current_dir(workspace.root());
    output(git.args(["archive", "HEAD", "--output"]).arg(&archive))?;
    output(
        Command::new("tar")
            .arg("xf")
            .arg(&archive)
            .arg("-C")
            .arg(&folder),
    )?;

    let other = workspace.at(&folder);
    build::component(&other, "proxmox-mcp")?;
    let wasm = other.component("proxmox_mcp.wasm");
    same("component", &workspace.component("proxmox_mcp.wasm"), &wasm)?;
    let precompiled = wasm.with_extension("cwasm");
    build::precompile(&workspace.binary("host-runner"), &wasm, &precompiled)?;
    let host = Toolchain::find()?.host;
    host_runner(&other, &host, false, &[])?;
    same("program", program, &path(&other, &host))?;
    fs::remove_dir_all(workspace.target("reproduce"))?;
    Ok(())
}

fn same(what: &str, one: &Path, other: &Path) -> Result<()> {
    let read =
        |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let (a, b) = (read(one)?, read(other)?);
    let differing = a.iter().zip(&b).filter(|(a, b)| a != b).count();
    ensure!(
        a == b,
        "the {what} depends on its folder: {} and {} have {} and {} bytes, and {differing} differ",
        one.display(),
        other.display(),
        a.len(),
        b.len()
    );
    eprintln!("  the {what} is the same ({} bytes)", a.len());
    Ok(())
}
