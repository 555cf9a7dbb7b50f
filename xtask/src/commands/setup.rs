use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::debian;
use crate::progress::{Progress, Step};
use crate::workspace::{WASM_TARGET, Workspace, output};

/// Make sure that Rust can build for wasm32-wasip2
///
/// By rustup where there is one that reaches its server, otherwise from
/// Debian's packages.
#[derive(Args)]
pub(crate) struct Setup {}

impl Setup {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        step(workspace, &mut Progress::new(STEPS))
    }
}

/// The steps that [`step`] takes.
pub(super) const STEPS: usize = 1;

/// As a step of a command that needs the target.
pub(super) fn step(workspace: &Workspace, progress: &mut Progress) -> Result<()> {
    progress.step("looking for the Rust target wasm32-wasip2", || {
        if Toolchain::find()?.has_target() {
            return Ok(Step::Fresh);
        }
        install(workspace)?;
        Ok(Step::Done)
    })
}

/// The Rust in use.
pub(super) struct Toolchain {
    /// Its exact version, such as `1.95.0`.
    pub(super) release: String,
    /// The target triple of this machine.
    pub(super) host: String,
    /// Where it is installed.
    pub(super) sysroot: PathBuf,
}

impl Toolchain {
    pub(super) fn find() -> Result<Self> {
        let rustc = |args: &[&str]| {
            output(Command::new("rustc").args(args))
                .context("no working rustc on PATH; install Rust, see https://rustup.rs")
        };
        let version = rustc(&["-vV"])?;
        let value = |name: &str| {
            version
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
                .map(str::to_owned)
                .with_context(|| format!("`rustc -vV` names no {name}"))
        };
        Ok(Self {
            release: value("release")?,
            host: value("host")?,
            sysroot: PathBuf::from(rustc(&["--print", "sysroot"])?.trim()),
        })
    }

    /// Where the target's files belong.
    pub(super) fn target_dir(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib").join(WASM_TARGET)
    }

    /// Whether the standard library and the C library are there.
    pub(super) fn has_target(&self) -> bool {
        let lib = self.target_dir().join("lib");
        has_std(&lib) && lib.join("self-contained/libc.a").is_file()
    }
}

fn has_std(lib: &Path) -> bool {
    let Ok(entries) = fs::read_dir(lib) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    })
}

fn install(workspace: &Workspace) -> Result<()> {
    let by_rustup = rustup();
    let toolchain = Toolchain::find()?;
    let rustup_said = match by_rustup {
        Ok(()) if toolchain.has_target() => return Ok(()),
        Ok(()) => "added the target to another toolchain than the rustc on PATH".to_owned(),
        Err(error) => format!("{error:#}"),
    };
    eprintln!("  rustup: {rustup_said}");
    eprintln!("  trying Debian's packages instead…");
    if let Err(error) = debian::install(workspace, &toolchain) {
        bail!(
            "the Rust target {WASM_TARGET} is missing and could not be installed \
             (rustup: {rustup_said}; Debian's packages: {error:#}): \
             run `rustup target add {WASM_TARGET}` where rustup reaches its server, then try again"
        );
    }
    if !toolchain.has_target() {
        bail!(
            "the Rust target {WASM_TARGET} was installed to {} but is not complete; \
             remove that folder and run `rustup target add {WASM_TARGET}`",
            toolchain.target_dir().display()
        );
    }
    Ok(())
}

fn rustup() -> Result<()> {
    if Command::new("rustup").arg("--version").output().is_err() {
        bail!("there is none on PATH");
    }
    // Not `run`: what it says matters only where it fails.
    output(Command::new("rustup").args(["target", "add", WASM_TARGET])).map(drop)
}
