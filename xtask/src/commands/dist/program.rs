//! Builds the program.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Result, ensure};

use super::names::debian_architecture;
use crate::apt;
use crate::progress::Step;
use crate::workspace::{Workspace, environment_flags, run};

/// Whether host-runner's build gets the component and its machine code from the
/// environment.
pub(super) fn is_given() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|file| !file.is_empty());
    is_set("PROXMOX_MCP_COMPONENT") && is_set("PROXMOX_MCP_COMPONENT_CWASM")
}

/// Where it is built.
pub(super) fn path(workspace: &Workspace, target: &str) -> PathBuf {
    let built = workspace.target(target).join("dist/host-runner");
    built.with_extension(env::consts::EXE_EXTENSION)
}

/// Static with the C library of the target that the toolchain has anyway.
///
/// glibc is said to need shared libraries even so when it looks up a host. But
/// since 2.34 it can itself read /etc/hosts and ask DNS, and loads libraries
/// only for what else /etc/nsswitch.conf names: `cargo xtask docker-test` looks
/// up names in an image that has none. So musl would gain nothing: its target
/// has to be installed first, and its allocator is slow.
pub(super) fn host_runner(
    workspace: &Workspace,
    target: &str,
    compiler: bool,
    variables: &[(String, OsString)],
) -> Result<Step> {
    let features = match compiler {
        true => "compiler,demo",
        false => "demo",
    };
    let mut command = workspace.cargo(["rustc", "--locked", "--profile", "dist"]);
    command.args(["--package", "host-runner"]);
    command.args(["--no-default-features", "--features", features]);
    // The target is named so that the flags are not for build scripts and
    // procedural macros, which are loaded as shared libraries.
    command.args(["--bin", "host-runner", "--target", target]);
    command.env_remove("RUSTFLAGS");
    command.env(
        "CARGO_ENCODED_RUSTFLAGS",
        flags(workspace, target).join("\u{1f}"),
    );
    // The allocator, which is written in C, says when it was compiled.
    command.env("SOURCE_DATE_EPOCH", "0");
    command.envs(variables.iter().cloned());
    // Where Rust brings its own linker: functions that are the same are there
    // once, and the addresses to adjust at the start as a bitmap.
    if target == "x86_64-unknown-linux-gnu" {
        command.arg("--").args(SMALLER);
    }
    run(&mut command)?;
    Ok(Step::Done)
}

/// What the environment has to say for another target than this machine's: the linker, and
/// the component, for which host-runner's build script makes the machine code.
pub(super) fn cross(workspace: &Workspace, target: &str) -> Result<Vec<(String, OsString)>> {
    let mut variables = Vec::new();
    if !is_given() {
        let component = workspace.component("proxmox_mcp.wasm");
        variables.push(("PROXMOX_MCP_COMPONENT".to_owned(), component.into()));
    }
    let name = target.to_uppercase().replace('-', "_");
    let name = format!("CARGO_TARGET_{name}_LINKER");
    if env::var_os(&name).is_none()
        && let Some(architecture) = target.strip_suffix("-unknown-linux-gnu")
    {
        let linker = format!("{architecture}-linux-gnu-gcc");
        ensure!(
            apt::is_on_path(&linker),
            "{target} needs a C compiler and linker: install {linker} (on Debian and Ubuntu: \
             `apt-get install gcc-{}-linux-gnu libc6-dev-{}-cross`), or set {name}",
            architecture.replace('_', "-"),
            debian_architecture(architecture),
        );
        variables.push((name, linker.into()));
    }
    Ok(variables)
}

/// The flags of rustc for every crate: those of the environment, and those that make the
/// binary static and the same wherever it is built.
fn flags(workspace: &Workspace, target: &str) -> Vec<String> {
    let mut flags = environment_flags();
    flags.extend(workspace.remap_flags());
    if target.contains("linux") {
        flags.push("-Ctarget-feature=+crt-static".to_owned());
    }
    flags
}

const SMALLER: [&str; 2] = [
    "-Clink-arg=-Wl,--icf=all",
    "-Clink-arg=-Wl,-z,pack-relative-relocs",
];
