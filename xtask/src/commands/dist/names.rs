//! What a release is called, and for which machine it is.

use std::env;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::commands::setup::Toolchain;
use crate::workspace::{Workspace, output};

/// Where the project is published.
pub(super) const REPOSITORY: &str = "https://github.com/proxmox-mcp/proxmox-mcp";
/// Its name in the MCP registry.
pub(super) const SERVER_NAME: &str = "io.github.proxmox-mcp/proxmox-mcp";

/// The names that everything in a release shares.
pub(super) struct Release {
    pub(super) version: String,
    /// Target triple.
    pub(super) target: String,
    /// When the commit was made, in seconds since 1970: nothing has a later time.
    pub(super) time: u64,
    /// The same in RFC 3339.
    pub(super) timestamp: String,
}

impl Release {
    /// For a target. `SOURCE_DATE_EPOCH` sets the time; otherwise, it is that of the
    /// commit.
    pub(super) fn of(workspace: &Workspace, target: &str) -> Result<Self> {
        let commit = || {
            let mut git = Command::new("git");
            git.current_dir(workspace.root());
            output(git.args(["log", "-1", "--format=%ct"]))
        };
        let time = match env::var("SOURCE_DATE_EPOCH") {
            Ok(time) => time,
            Err(_) => commit().context(
                "set SOURCE_DATE_EPOCH to the time of the release, because git does not know it",
            )?,
        };
        let time: u64 = time
            .trim()
            .parse()
            .context("SOURCE_DATE_EPOCH is not a number of seconds")?;
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            target: target.to_owned(),
            time,
            timestamp: timestamp(time),
        })
    }

    pub(super) fn architecture(&self) -> &str {
        self.target.split('-').next().unwrap_or(&self.target)
    }

    pub(super) fn debian_architecture(&self) -> &str {
        self.oci_architecture()
    }

    pub(super) fn oci_architecture(&self) -> &str {
        debian_architecture(self.architecture())
    }

    /// Whether this machine runs its program.
    pub(super) fn is_native(&self) -> Result<bool> {
        Ok(self.target == Toolchain::find()?.host)
    }

    pub(super) fn system(&self) -> &'static str {
        match () {
            () if self.target.contains("windows") => "windows",
            () if self.target.contains("apple") => "macos",
            () => "linux",
        }
    }

    /// The system in the words of a bundle's manifest.
    pub(super) fn platform(&self) -> &'static str {
        match self.system() {
            "windows" => "win32",
            "macos" => "darwin",
            other => other,
        }
    }

    pub(super) fn is_linux(&self) -> bool {
        self.system() == "linux"
    }

    pub(super) fn program_name(&self) -> &'static str {
        match self.system() {
            "windows" => "host-runner.exe",
            _ => "host-runner",
        }
    }

    /// `proxmox-mcp-VERSION-ARCHITECTURE-SYSTEM`.
    pub(super) fn name(&self) -> String {
        let (architecture, system) = (self.architecture(), self.system());
        format!("proxmox-mcp-{}-{architecture}-{system}", self.version)
    }

    pub(super) fn deb_name(&self) -> String {
        format!(
            "proxmox-mcp_{}_{}.deb",
            self.version,
            self.debian_architecture()
        )
    }
}

/// What Debian and OCI call an architecture of Rust.
pub(super) fn debian_architecture(architecture: &str) -> &str {
    match architecture {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// In UTC.
fn timestamp(time: u64) -> String {
    let time = UNIX_EPOCH + Duration::from_secs(time);
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(timestamp(1_795_849_199), "2026-11-28T06:59:59Z");
    }
}
