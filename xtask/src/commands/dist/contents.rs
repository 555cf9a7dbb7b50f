//! The files that packages are made of.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::archive::Tree;
use super::materials::{self, Packages};
use super::names::Release;
use crate::workspace::Workspace;

/// The files that packages are made of.
pub(super) struct Contents {
    pub(super) program: Vec<u8>,
    pub(super) component: Vec<u8>,
    pub(super) licenses: Vec<(&'static str, Vec<u8>)>,
    pub(super) readme: Vec<u8>,
    pub(super) env_example: Vec<u8>,
    pub(super) unit: Vec<u8>,
    pub(super) notices: String,
    pub(super) sbom: String,
    /// Completions and manual pages.
    pub(super) command_line: Tree,
    /// The public certificate authorities, where the system has them.
    pub(super) certificates: Option<Vec<u8>>,
}

impl Contents {
    pub(super) fn gather(workspace: &Workspace, release: &Release, program: &Path) -> Result<Self> {
        let read =
            |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        let source = |path: &str| read(&workspace.root().join(path));
        let component = match env::var_os("PROXMOX_MCP_COMPONENT") {
            Some(path) if !path.is_empty() => PathBuf::from(path),
            _ => workspace.component("proxmox_mcp.wasm"),
        };
        let packages = Packages::find(workspace, &release.target)?;
        // What the program says of itself is the same everywhere.
        let speaker = match release.is_native()? {
            true => program,
            false => &workspace.binary("host-runner"),
        };
        eprintln!("  {} packages in the bill of materials", packages.count());
        Ok(Self {
            program: read(program)?,
            component: read(&component)?,
            licenses: vec![
                ("LICENSE-APACHE", source("LICENSE-APACHE")?),
                ("LICENSE-MIT", source("LICENSE-MIT")?),
            ],
            readme: source("README.md")?,
            env_example: source(".env.example")?,
            unit: source("deploy/package/proxmox-mcp.service")?,
            notices: packages.notices(),
            sbom: packages.sbom(release)?,
            command_line: materials::command_line(workspace, speaker)?,
            certificates: fs::read("/etc/ssl/certs/ca-certificates.crt").ok(),
        })
    }
}
