mod archive;
mod check;
mod contents;
mod deb;
mod materials;
mod mcpb;
mod names;
mod oci;
mod program;
mod registry;
mod release;
mod reproduce;
mod session;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use self::contents::Contents;
use self::names::Release;
use self::program::{cross, host_runner, is_given, path};
use super::build;
use super::setup::Toolchain;
use crate::progress::{Progress, Step};
use crate::table;
use crate::workspace::Workspace;

/// Build host-runner to hand out, and package it
///
/// Writes archives, a Debian package, a bundle for Claude Desktop, OCI layouts, the
/// registry's server.json, licenses, a bill of materials and SHA256SUMS to
/// target/dist-out. The program is small and, on Linux, needs no shared libraries.
///
/// Compiles the component as well, unless `PROXMOX_MCP_COMPONENT` and
/// `PROXMOX_MCP_COMPONENT_CWASM` name a component and its machine code that
/// `cargo xtask build` has made.
#[derive(Args, Default)]
pub(crate) struct Dist {
    /// Include the compiler, so that `--component FILE` works
    #[arg(long)]
    compiler: bool,
    /// Only copy the program to this file, and package nothing
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Package the release build of `cargo xtask build`, which is larger: to test the
    /// packages without waiting for the build
    #[arg(long, conflicts_with_all = ["compiler", "out"])]
    quick: bool,
    /// Package this program instead of building one
    #[arg(long, value_name = "FILE", conflicts_with_all = ["compiler", "out", "quick"])]
    binary: Option<PathBuf>,
    /// Build for this target instead of this machine's, such as aarch64-unknown-linux-gnu,
    /// into target/dist-out-TRIPLE. Needs Rust's target and a C compiler for it, on
    /// Debian gcc-aarch64-linux-gnu; to run the packages, also qemu-user-static
    #[arg(long, value_name = "TRIPLE", conflicts_with_all = ["quick", "check_reproducible"])]
    target: Option<String>,
    /// Then test the packages: install, run and remove them
    #[arg(long, conflicts_with = "out")]
    check: bool,
    /// Then build component and program again in another folder, and compare every byte
    #[arg(long, conflicts_with_all = ["out", "quick", "compiler"])]
    check_reproducible: bool,
    /// Write SHA256SUMS and server.json of the files of several machines in this folder
    #[arg(long, value_name = "FOLDER", exclusive = true)]
    join: Option<PathBuf>,
}

impl Dist {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        if let Some(folder) = &self.join {
            return release::join(workspace, folder);
        }
        let extra = usize::from(self.check) + usize::from(self.check_reproducible);
        let steps = match (self.quick || self.binary.is_some(), is_given()) {
            (true, _) => 1,
            (false, true) => 2,
            (false, false) => build::STEPS + 2,
        };
        let mut progress = Progress::new(steps + extra);
        let built = self.program(workspace, &mut progress)?;
        if let Some(out) = &self.out {
            return copy(&built, out, &progress);
        }
        let native = Toolchain::find()?.host;
        let release = Release::of(workspace, self.target.as_deref().unwrap_or(&native))?;
        let folder = match release.target == native {
            true => workspace.target("dist-out"),
            false => workspace.target(format!("dist-out-{}", release.target)),
        };
        progress.step("packaging", || {
            let contents = Contents::gather(workspace, &release, &built)?;
            release::write(workspace, &release, &contents, &folder)?;
            Ok(Step::Done)
        })?;
        if self.check {
            progress.step("testing the packages", || {
                check::run(workspace, &release, &folder, self.quick)?;
                Ok(Step::Done)
            })?;
        }
        if self.check_reproducible {
            progress.step("building again in another folder (takes minutes)", || {
                reproduce::run(workspace, &built)?;
                Ok(Step::Done)
            })?;
        }
        release::report(&folder)
    }

    /// The program to package.
    fn program(&self, workspace: &Workspace, progress: &mut Progress) -> Result<PathBuf> {
        if let Some(binary) = &self.binary {
            return Ok(binary.clone());
        }
        if self.quick {
            return Ok(workspace.binary("host-runner"));
        }
        // The release binary compiles the component: the one for distribution
        // cannot.
        if !is_given() {
            build::steps(workspace, progress)?;
        }
        let native = Toolchain::find()?.host;
        let target = self.target.as_deref().unwrap_or(&native);
        progress.step(
            "building host-runner for distribution (takes minutes)",
            || match target == native {
                true => host_runner(workspace, target, self.compiler, &[]),
                false => host_runner(workspace, target, self.compiler, &cross(workspace, target)?),
            },
        )?;
        Ok(path(workspace, target))
    }
}

fn copy(built: &Path, out: &Path, progress: &Progress) -> Result<()> {
    if let Some(folder) = out.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::copy(built, out).with_context(|| format!("cannot write {}", out.display()))?;
    let size = fs::metadata(out)?.len();
    eprintln!(
        "built {} ({}) in {:.0} s",
        out.display(),
        table::bytes(size as f64),
        progress.seconds()
    );
    Ok(())
}

/// Where it is built.
pub(super) fn binary(workspace: &Workspace) -> Result<PathBuf> {
    Ok(path(workspace, &Toolchain::find()?.host))
}
