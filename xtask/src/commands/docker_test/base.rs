//! The base image of the build stage, where no registry is asked for it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::buildah::Buildah;
use crate::commands::debian;
use crate::commands::setup::Toolchain;
use crate::progress::Step;
use crate::workspace::{WASM_TARGET, output, utf8};

/// Says which Rust is in an image made here.
const LABEL: &str = "proxmox-mcp.toolchain";

/// Where an image made here has cargo's home.
const CARGO_HOME: &str = "/cargo";

/// What the Dockerfile builds in: Debian with Rust.
pub(super) struct Base {
    name: String,
}

impl Base {
    /// The one that the Dockerfile names, without its digest: an image made here has
    /// another one.
    pub(super) fn of(dockerfile: &str) -> Result<Self> {
        let image = dockerfile
            .lines()
            .find_map(|line| line.strip_prefix("ARG RUST_IMAGE="))
            .context("the Dockerfile has no line `ARG RUST_IMAGE=…`")?;
        let name = image.split_once('@').map_or(image, |(name, _)| name);
        Ok(Self {
            name: name.trim().to_owned(),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Makes it from Debian's packages and the Rust of this machine, under the
    /// name that a registry would have it by.
    pub(super) fn make(&self, buildah: &Buildah) -> Result<Step> {
        let toolchain = Toolchain::find()?;
        let (version, suite) = self
            .name
            .rsplit_once(':')
            .and_then(|(_, tag)| tag.rsplit_once('-'))
            .with_context(|| format!("{} is not named as VERSION-SUITE", self.name))?;
        if !toolchain.release.starts_with(version) {
            eprintln!(
                "  {} will hold this machine's Rust {}",
                self.name, toolchain.release
            );
        }
        ensure!(
            toolchain.sysroot != Path::new("/usr"),
            "the Rust in use is one of the system's packages and cannot be copied into an image; \
             use one of rustup's"
        );
        let image = format!("docker.io/library/{}", self.name);
        let identity = format!("{} {} {WASM_TARGET}", toolchain.release, toolchain.host);
        let format = format!("{{{{index .OCIv1.Config.Labels {LABEL:?}}}}}");
        let made =
            output(
                buildah
                    .command("inspect")
                    .args(["--type=image", "--format", &format, &image]),
            );
        if made.is_ok_and(|label| label.trim() == identity) {
            return Ok(Step::Fresh);
        }

        let container = buildah.container("scratch", &[])?;
        let root = container.mount()?;
        debian(suite, &root)?;
        let rust = root.join("usr/local/rust");
        output(Command::new("mkdir").arg("--parents").arg(&rust))?;
        // The rest is documentation.
        for part in ["bin", "lib", "libexec"] {
            let from = toolchain.sysroot.join(part);
            if from.exists() {
                output(
                    Command::new("cp")
                        .args(["--archive", "--reflink=auto"])
                        .arg(from)
                        .arg(&rust),
                )?;
            }
        }
        output(
            buildah
                .command("config")
                .args([
                    "--env",
                    "PATH=/usr/local/rust/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                ])
                .args(["--env", &format!("CARGO_HOME={CARGO_HOME}")])
                .args(["--label", &format!("{LABEL}={identity}")])
                .arg(container.name()),
        )?;
        container.commit(&image)?;
        Ok(Step::Done)
    }
}

/// What cargo has downloaded on this machine, as a volume of an image made
/// here. It is only read.
pub(super) fn registry_volume() -> Result<String> {
    let home = match env::var_os("CARGO_HOME").filter(|home| !home.is_empty()) {
        Some(home) => PathBuf::from(home),
        None => env::home_dir()
            .context("this user has no home folder")?
            .join(".cargo"),
    };
    let registry = home.join("registry");
    Ok(format!("{}:{CARGO_HOME}/registry:ro", utf8(&registry)?))
}

/// Debian with what a Rust program needs to be linked, from the archive that
/// the machine's own sources name.
fn debian(suite: &str, root: &Path) -> Result<()> {
    let mut last = None;
    for archive in debian::archives()? {
        eprintln!("  installing Debian {suite} from {}…", archive.uri);
        let mut command = Command::new("debootstrap");
        command.args([
            "--variant=minbase",
            "--include=ca-certificates,gcc,libc6-dev",
        ]);
        if archive.signed_by.starts_with('/') {
            command.arg(format!("--keyring={}", archive.signed_by));
        }
        command.arg(suite).arg(root).arg(&archive.uri);
        match output(&mut command) {
            Ok(_) => return Ok(()),
            Err(error) => last = Some(error),
        }
    }
    Err(last.context("apt's sources name no archive")?)
}
