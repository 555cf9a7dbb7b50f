//! A session with a packaged program, on whatever machine it is for.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::names::Release;
use crate::apt;
use crate::mcp::Client;

/// An MCP session with the simulated cluster, without a compilation at the start. A program
/// for another machine runs in QEMU, where that is installed, and otherwise not at all.
pub(super) fn session(release: &Release, program: &Path, settings: &[(&str, &str)]) -> Result<()> {
    let Some(mut command) = start(release, program)? else {
        eprintln!("  not run: install qemu-user-static for {}", release.target);
        return Ok(());
    };
    command.arg("--demo").envs(settings.iter().copied());
    let client = Client::start(&mut command)?;
    let found = client.finds_guests();
    found.with_context(|| program.display().to_string())?;
    client.close()?;
    let Some(mut command) = start(release, program)? else {
        return Ok(());
    };
    command.args(["--demo", "--log-level", "debug", "call", "list_nodes", "{}"]);
    let log = command.output()?.stderr;
    ensure!(
        !String::from_utf8_lossy(&log).contains("compiling"),
        "{} compiles its component at the start",
        program.display()
    );
    Ok(())
}

/// The program, without what the environment says about the build or a cluster.
fn start(release: &Release, program: &Path) -> Result<Option<Command>> {
    let mut command = match release.is_native()? {
        true => Command::new(program),
        false => {
            let names = ["qemu-ARCH-static", "qemu-ARCH"];
            let names = names.map(|name| name.replace("ARCH", release.architecture()));
            let Some(emulator) = names.iter().find(|name| apt::is_on_path(name)) else {
                return Ok(None);
            };
            let mut command = Command::new(emulator);
            command.arg(program);
            command
        }
    };
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PROXMOX_") {
            command.env_remove(name);
        }
    }
    Ok(Some(command))
}
