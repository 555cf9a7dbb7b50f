use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use super::build;
use super::setup::Toolchain;
use crate::progress::{Progress, Step};
use crate::table;
use crate::workspace::{Workspace, run};

/// Build host-runner to hand out: small, and without shared libraries
///
/// Compiles the component as well, unless `PROXMOX_MCP_COMPONENT` and
/// `PROXMOX_MCP_COMPONENT_CWASM` name a component and its machine code that
/// `cargo xtask build` has made.
#[derive(Args, Default)]
pub(crate) struct Dist {
    /// Include the compiler, so that `--component FILE` works
    #[arg(long)]
    compiler: bool,
    /// Also copy it to this file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Dist {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        let mut progress = Progress::new(match is_given() {
            true => 1,
            false => build::STEPS + 1,
        });
        // The release binary compiles the component: the one for distribution
        // cannot.
        if !is_given() {
            build::steps(workspace, &mut progress)?;
        }
        let host = Toolchain::find()?.host;
        progress.step(
            "building host-runner for distribution (takes minutes)",
            || host_runner(workspace, &host, self.compiler),
        )?;
        let built = path(workspace, &host);

        let file = match &self.out {
            None => &built,
            Some(out) => {
                if let Some(folder) = out.parent() {
                    fs::create_dir_all(folder)
                        .with_context(|| format!("cannot make {}", folder.display()))?;
                }
                fs::copy(&built, out).with_context(|| format!("cannot write {}", out.display()))?;
                out
            }
        };
        let size = fs::metadata(file)?.len();
        eprintln!(
            "built {} ({}) in {:.0} s",
            file.display(),
            table::bytes(size as f64),
            progress.seconds()
        );
        Ok(())
    }
}

/// Whether host-runner's build gets the component and its machine code from the
/// environment.
fn is_given() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|file| !file.is_empty());
    is_set("PROXMOX_MCP_COMPONENT") && is_set("PROXMOX_MCP_COMPONENT_CWASM")
}

/// Where it is built.
pub(super) fn binary(workspace: &Workspace) -> Result<PathBuf> {
    Ok(path(workspace, &Toolchain::find()?.host))
}

fn path(workspace: &Workspace, host: &str) -> PathBuf {
    let built = workspace.target(host).join("dist/host-runner");
    built.with_extension(env::consts::EXE_EXTENSION)
}

/// Static with the C library of the target that the toolchain has anyway.
///
/// glibc is said to need shared libraries even so when it looks up a host. But
/// since 2.34 it can itself read /etc/hosts and ask DNS, and loads libraries
/// only for what else /etc/nsswitch.conf names: `cargo xtask docker-test` looks
/// up names in an image that has none. So musl would gain nothing: its target
/// has to be installed first, and its allocator is slow.
fn host_runner(workspace: &Workspace, host: &str, compiler: bool) -> Result<Step> {
    let features = match compiler {
        true => "compiler,demo",
        false => "demo",
    };
    let mut command = workspace.cargo(["rustc", "--profile", "dist", "--package", "host-runner"]);
    command.args(["--no-default-features", "--features", features]);
    // The target is named so that the flags are not for build scripts and
    // procedural macros, which are loaded as shared libraries.
    command.args(["--bin", "host-runner", "--target", host]);
    if host.contains("linux") {
        let flags = env::var("RUSTFLAGS").unwrap_or_default();
        command.env(
            "RUSTFLAGS",
            format!("{flags} -C target-feature=+crt-static"),
        );
    }
    // Where Rust brings its own linker: functions that are the same are there
    // once, and the addresses to adjust at the start as a bitmap.
    if host == "x86_64-unknown-linux-gnu" {
        command.arg("--").args(SMALLER);
    }
    run(&mut command)?;
    Ok(Step::Done)
}

const SMALLER: [&str; 2] = [
    "-Clink-arg=-Wl,--icf=all",
    "-Clink-arg=-Wl,-z,pack-relative-relocs",
];
