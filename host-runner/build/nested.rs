//! Builds the component and its machine code where nobody has: `cargo install --path
//! host-runner` is then all that a user has to type.
//!
//! Both are built by a cargo of their own, below this build's output folder. The machine
//! code takes a second host-runner, with the compiler and little optimization: as a build
//! dependency, the compiler would be compiled in every build, also where the machine code
//! is there already.

use std::env;
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sha2::{Digest, Sha256};

const WASM_TARGET: &str = "wasm32-wasip2";

/// What to do instead, for the end of an error.
const INSTEAD: &str = "or set PROXMOX_MCP_COMPONENT to a component that is built already";

/// Set for the second host-runner, which needs no component.
pub(crate) const IS_HELPER: &str = "PROXMOX_MCP_BUILD_HELPER";

/// Whether this build is for running: not for clippy, not for debugging, and not the
/// second host-runner.
pub(crate) fn is_wanted() -> bool {
    println!("cargo::rerun-if-env-changed={IS_HELPER}");
    let wrapper = env::var_os("RUSTC_WORKSPACE_WRAPPER").unwrap_or_default();
    env::var("PROFILE").is_ok_and(|profile| profile == "release")
        && env::var_os(IS_HELPER).is_none()
        && !wrapper.to_string_lossy().contains("clippy")
}

/// Builds the component from the checkout that this crate is a part of.
pub(crate) fn component(out: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let root = checkout()?;
    if !has_target()? {
        return Err(format!(
            "the component cannot be built, because Rust's target {WASM_TARGET} is not installed: \
             run `rustup target add {WASM_TARGET}`, or `cargo xtask setup` in {}; {INSTEAD}",
            root.display()
        )
        .into());
    }
    // As `cargo xtask build` does.
    for source in ["src", "wit", "derive", "pve-api/src", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    let target = out.join("component");
    let mut command = cargo(&root, &target)?;
    command.args(["rustc", "--locked", "--profile", "component"]);
    command.args(["--target", WASM_TARGET, "--package", "proxmox-mcp"]);
    command.args(["--lib", "--crate-type", "cdylib"]);
    run(&mut command, "the component")?;
    Ok(target.join(WASM_TARGET).join("component/proxmox_mcp.wasm"))
}

/// Compiles a component to machine code for a target with this machine's system, unless
/// that was done.
pub(crate) fn machine_code(
    out: &Path,
    wasm: &Path,
    target: &str,
) -> Result<PathBuf, Box<dyn Error>> {
    let root = checkout()?;
    let code = out.join("component.cwasm");
    let stamp = out.join("component.stamp");
    let inputs = inputs(&root, wasm)?;
    let features = match target == env::var("HOST")? {
        true => "compiler",
        false => "cross",
    };
    if code.is_file() && fs::read(&stamp).is_ok_and(|stamp| stamp == inputs) {
        return Ok(code);
    }
    let folder = out.join("compiler");
    let mut command = cargo(&root, &folder)?;
    command.env(IS_HELPER, "1");
    command.args(["build", "--locked", "--package", "host-runner"]);
    command.args(["--no-default-features", "--features", features]);
    command.args(["--config", "profile.dev.debug=false"]);
    // Unoptimized, these would take longer to run than to optimize.
    for package in ["cranelift-codegen", "regalloc2"] {
        let setting = format!("profile.dev.package.{package}.opt-level=1");
        command.args(["--config", &setting]);
    }
    run(&mut command, "the compiler of the component")?;

    let helper = folder.join("debug/host-runner");
    let mut command = Command::new(helper.with_extension(env::consts::EXE_EXTENSION));
    command.arg("precompile").arg(wasm).arg(&code);
    command.args(["--target", target]);
    run(&mut command, "the machine code of the component")?;
    // Hundreds of megabytes that are of no further use.
    fs::remove_dir_all(&folder)?;
    fs::write(&stamp, inputs)?;
    Ok(code)
}

/// A digest of what the machine code depends on.
fn inputs(root: &Path, wasm: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut digest = Sha256::new();
    let engine = "host-runner/core/src/engine/loading.rs";
    for source in ["Cargo.lock", "wit/world.wit", engine] {
        let source = root.join(source);
        println!("cargo::rerun-if-changed={}", source.display());
        digest.update(fs::read(source)?);
    }
    digest.update(fs::read(wasm)?);
    Ok(digest.finalize().to_vec())
}

/// The top of the checkout.
fn checkout() -> Result<PathBuf, Box<dyn Error>> {
    let crate_root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let root = crate_root.parent().unwrap_or(&crate_root).to_owned();
    if root.join("wit/world.wit").is_file() && root.join("src/lib.rs").is_file() {
        return Ok(root);
    }
    Err(format!(
        "there is no component to build in {}: build host-runner in a checkout of proxmox-mcp, \
         {INSTEAD}, and PROXMOX_MCP_COMPONENT_CWASM to what `host-runner precompile` made from it",
        root.display()
    )
    .into())
}

/// Whether Rust can build components.
fn has_target() -> Result<bool, Box<dyn Error>> {
    let output = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--print", "target-libdir", "--target", WASM_TARGET])
        .output()?;
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(output.status.success() && Path::new(&folder).join("self-contained/libc.a").is_file())
}

/// A cargo that is not influenced by what this build was told: the flags of the outer
/// build are not for the component.
fn cargo(root: &Path, target: &Path) -> Result<Command, Box<dyn Error>> {
    let mut command = Command::new(env::var_os("CARGO").ok_or("cargo did not set CARGO")?);
    let is_of_outer = |name: &OsStr| {
        let name = name.to_string_lossy();
        let of_build_script = [
            "CARGO_CFG_",
            "CARGO_FEATURE_",
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
        ];
        let flags = ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"];
        of_build_script
            .iter()
            .any(|prefix| name.starts_with(prefix))
            || flags.contains(&name.as_ref())
            || name.starts_with("CARGO_PROFILE_")
    };
    let names: Vec<OsString> = env::vars_os().map(|(name, _)| name).collect();
    for name in names.iter().filter(|name| is_of_outer(name)) {
        command.env_remove(name);
    }
    command.current_dir(root).env("CARGO_TARGET_DIR", target);
    Ok(command)
}

/// Runs a command whose output is shown only if it fails.
fn run(command: &mut Command, what: &str) -> Result<(), Box<dyn Error>> {
    let Output { status, stderr, .. } = command
        .output()
        .map_err(|error| format!("{what} cannot be built: {error}"))?;
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&stderr);
    Err(format!("{what} cannot be built ({status}); {INSTEAD}\n{said}").into())
}
