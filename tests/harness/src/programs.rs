//! Where the programs and components under test are.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

/// cargo's target directory: the one that this test was built into.
pub fn target_dir() -> anyhow::Result<PathBuf> {
    // <target>/release/deps/<test>
    let exe = std::env::current_exe().context("no path of the test itself")?;
    exe.ancestors()
        .nth(3)
        .map(Path::to_path_buf)
        .context("the test is not in a target directory")
}

/// The component that `cargo xtask build` makes.
pub fn component() -> anyhow::Result<PathBuf> {
    find(
        "PROXMOX_MCP_COMPONENT",
        "wasm32-wasip2/component/proxmox_mcp.wasm",
    )
}

/// The component of `tests/hostile`.
pub fn hostile_component() -> anyhow::Result<PathBuf> {
    find("HOSTILE_COMPONENT", "wasm32-wasip2/component/hostile.wasm")
}

/// The component of `tests/hostile/examples`, which opens a socket.
pub fn hostile_sockets_component() -> anyhow::Result<PathBuf> {
    find(
        "HOSTILE_SOCKETS_COMPONENT",
        "wasm32-wasip2/component/examples/hostile_sockets.wasm",
    )
}

pub(crate) fn host_runner() -> anyhow::Result<PathBuf> {
    find("HOST_RUNNER", "release/host-runner")
}

pub(crate) fn pve_sim() -> anyhow::Result<PathBuf> {
    find("PVE_SIM", "release/pve-sim")
}

/// The path that the environment names, otherwise the one in this test's target
/// directory, else in the workspace's own.
fn find(variable: &str, path: &str) -> anyhow::Result<PathBuf> {
    if let Some(named) = std::env::var_os(variable) {
        let named = PathBuf::from(named);
        ensure!(
            named.is_file(),
            "{variable} names {}, which is not a file",
            named.display()
        );
        return Ok(named);
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    [target_dir()?, workspace]
        .into_iter()
        .map(|target| target.join(path))
        .find(|file| file.is_file())
        .with_context(|| format!("{path} is not built: run cargo xtask test, or set {variable}"))
}
