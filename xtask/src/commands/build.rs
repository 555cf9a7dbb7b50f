use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result};
use clap::Args;

use super::setup;
use crate::progress::{Progress, Step};
use crate::workspace::{Workspace, output, run};

/// Build the component and host-runner with the component inside
#[derive(Args)]
pub(crate) struct Build {}

impl Build {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        let mut progress = Progress::new(STEPS);
        steps(workspace, &mut progress)?;
        eprintln!(
            "built {} in {:.0} s",
            workspace.binary("host-runner").display(),
            progress.seconds()
        );
        Ok(())
    }
}

/// The steps that [`steps`] takes.
pub(super) const STEPS: usize = setup::STEPS + 4;

/// Builds the product and the simulated Proxmox VE.
pub(super) fn with_simulator(workspace: &Workspace) -> Result<()> {
    let mut progress = Progress::new(STEPS + 1);
    steps(workspace, &mut progress)?;
    progress.step("building the simulated Proxmox VE", || {
        release(workspace, &["pve-sim"])
    })
}

/// As steps of a command that needs the product.
pub(super) fn steps(workspace: &Workspace, progress: &mut Progress) -> Result<()> {
    setup::step(workspace, progress)?;
    progress.step("building the component (release, LTO)", || {
        component(workspace, "proxmox-mcp")
    })?;
    progress.step(
        "building host-runner (release; the first time takes minutes)",
        || release(workspace, &["host-runner"]),
    )?;
    let wasm = workspace.component("proxmox_mcp.wasm");
    let precompiled = workspace.component("proxmox_mcp.cwasm");
    let stamp = Stamp::new(workspace, &wasm, &precompiled);
    let fresh = stamp.is_current();
    progress.step("compiling the component to machine code", || {
        if fresh {
            return Ok(Step::Fresh);
        }
        precompile(&workspace.binary("host-runner"), &wasm, &precompiled)
    })?;
    progress.step("putting both into host-runner", || {
        if fresh {
            return Ok(Step::Fresh);
        }
        release(workspace, &["host-runner"])?;
        stamp.write()?;
        Ok(Step::Done)
    })
}

/// Builds a package's library as a component.
///
/// Of its crate types, only the component's own: beside an rlib, cargo leaves
/// link-time optimization out.
pub(super) fn component(workspace: &Workspace, package: &str) -> Result<Step> {
    run(workspace.cargo_component("rustc").args([
        "--package",
        package,
        "--lib",
        "--crate-type",
        "cdylib",
    ]))?;
    Ok(Step::Done)
}

/// Builds the examples of a package as components.
pub(super) fn example_components(workspace: &Workspace, package: &str) -> Result<Step> {
    run(workspace
        .cargo_component("build")
        .args(["--package", package, "--examples"]))?;
    Ok(Step::Done)
}

/// What every build for this machine selects. Cargo compiles a dependency with
/// the features that the selected packages want: so the tests share what the
/// binaries have compiled, wasmtime above all.
///
/// The hostile components are for the sandbox alone: the names that they export
/// are none that a linker of this machine takes.
pub(super) const SELECTION: [&str; 4] = ["--release", "--workspace", "--exclude", "hostile"];

/// Builds release binaries.
pub(super) fn release(workspace: &Workspace, names: &[&str]) -> Result<Step> {
    let mut command = workspace.cargo(["build"]);
    command.args(SELECTION);
    for name in names {
        command.args(["--bin", name]);
    }
    run(&mut command)?;
    Ok(Step::Done)
}

/// Has host-runner compile the component, and leaves the old file alone where
/// the new one is the same, so that nothing is linked again for it.
pub(super) fn precompile(host_runner: &Path, wasm: &Path, precompiled: &Path) -> Result<Step> {
    let new = precompiled.with_extension("cwasm.new");
    output(
        Command::new(host_runner)
            .arg("precompile")
            .arg(wasm)
            .arg(&new),
    )?;
    let bytes = fs::read(&new).with_context(|| format!("cannot read {}", new.display()))?;
    if fs::read(precompiled).is_ok_and(|old| old == bytes) {
        fs::remove_file(&new)?;
        return Ok(Step::Fresh);
    }
    fs::rename(&new, precompiled)?;
    Ok(Step::Done)
}

/// Remembers which component is precompiled inside which host-runner.
struct Stamp {
    path: PathBuf,
    parts: [PathBuf; 3],
}

impl Stamp {
    fn new(workspace: &Workspace, wasm: &Path, precompiled: &Path) -> Self {
        Self {
            path: precompiled.with_extension("stamp"),
            parts: [
                wasm.to_owned(),
                precompiled.to_owned(),
                workspace.binary("host-runner"),
            ],
        }
    }

    fn is_current(&self) -> bool {
        let now = self.text();
        now.is_some() && now == fs::read_to_string(&self.path).ok()
    }

    fn write(&self) -> Result<()> {
        let text = self.text().context("a built file has disappeared")?;
        fs::write(&self.path, text).with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Size and time of each file; nothing where one is missing.
    fn text(&self) -> Option<String> {
        let mut text = String::new();
        for part in &self.parts {
            let metadata = fs::metadata(part).ok()?;
            let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
            text.push_str(&format!("{} {}\n", metadata.len(), modified.as_nanos()));
        }
        Some(text)
    }
}
