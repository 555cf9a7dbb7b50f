//! buildah, with a store of its own below the build directory.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail, ensure};

use crate::apt;
use crate::progress::Step;
use crate::workspace::{is_root, output};

/// Makes sure that the tools are there.
pub(super) fn install(pull: bool) -> Result<Step> {
    ensure!(
        is_root(),
        "docker-test must run as root because it mounts file systems"
    );
    let tools: &[&str] = match pull {
        true => &["buildah"],
        false => &["buildah", "debootstrap"],
    };
    let missing: Vec<&str> = tools
        .iter()
        .copied()
        .filter(|tool| !apt::is_on_path(tool))
        .collect();
    if missing.is_empty() {
        return Ok(Step::Fresh);
    }
    if !apt::install(&missing) {
        bail!(
            "{} is missing and could not be installed: install it by the system's packages, \
             on Debian and Ubuntu by `apt-get install {}`",
            missing.join(" and "),
            missing.join(" ")
        );
    }
    Ok(Step::Done)
}

/// The command and its store.
pub(super) struct Buildah {
    folder: PathBuf,
}

impl Buildah {
    pub(super) fn new(folder: PathBuf) -> Result<Self> {
        // The cache mounts of a build are in the folder for temporary files.
        fs::create_dir_all(folder.join("tmp"))?;
        Ok(Self { folder })
    }

    /// A subcommand of buildah's.
    pub(super) fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new("buildah");
        command
            .arg("--root")
            .arg(self.folder.join("storage"))
            .arg("--runroot")
            .arg(self.folder.join("run"))
            .arg(subcommand)
            .env("BUILDAH_ISOLATION", "chroot")
            .env("TMPDIR", self.folder.join("tmp"));
        command
    }

    /// A folder for what is only looked at.
    pub(super) fn empty_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// A container made from an image.
    pub(super) fn container(&self, image: &str, options: &[&str]) -> Result<Container<'_>> {
        let name = output(self.command("from").args(options).arg(image))?;
        Ok(Container {
            buildah: self,
            name: name.trim().to_owned(),
        })
    }
}

/// A container, which is removed in the end.
pub(super) struct Container<'a> {
    buildah: &'a Buildah,
    name: String,
}

impl Container<'_> {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Runs a program in it, as the image's user. More arguments may follow.
    pub(super) fn run(&self, options: &[&str], program: &[String]) -> Command {
        let mut command = self.buildah.command("run");
        command
            .args(options)
            .args([self.name.as_str(), "--"])
            .args(program);
        command
    }

    /// Where its files are.
    pub(super) fn mount(&self) -> Result<PathBuf> {
        let path = output(self.buildah.command("mount").arg(&self.name))?;
        Ok(PathBuf::from(path.trim()))
    }

    /// Makes an image of it.
    pub(super) fn commit(&self, image: &str) -> Result<()> {
        output(
            self.buildah
                .command("commit")
                .args(["--quiet", &self.name, image]),
        )?;
        Ok(())
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let _ = output(self.buildah.command("rm").arg(&self.name));
    }
}
