//! What every host gets and what a visit to it returns.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::commands::adapters::Built;
use crate::mcp::Client;
use crate::simulator::Simulator;
use crate::workspace::Workspace;

/// How long a call waits for its task here, in seconds: longer than a task that
/// ends, shorter than one that does not.
pub(super) const WAIT_SECONDS: u64 = 8;
/// The file in a host's folder with what it wrote to stderr.
pub(super) const LOG: &str = "log.txt";

/// What all hosts are tried with.
pub(super) struct Scene<'a> {
    pub(super) workspace: &'a Workspace,
    pub(super) tools: &'a [Value],
    /// Components with all tools.
    pub(super) all: Vec<Built>,
    /// Components with those alone that change nothing.
    pub(super) narrow: Vec<Built>,
}

/// What a visit to a host has measured.
pub(super) struct Visit {
    /// From the start to the list of tools, the first time.
    pub(super) start: Duration,
    /// The median of some calls of `list_guests`.
    pub(super) call: Duration,
    /// What went well, in a few words.
    pub(super) said: Vec<String>,
}

impl Scene<'_> {
    fn component(built: &[Built], adapter: &str) -> Result<PathBuf> {
        built
            .iter()
            .find(|one| one.adapter == adapter)
            .map(|one| one.path.clone())
            .with_context(|| format!("there is no adapter {adapter}"))
    }

    pub(super) fn all(&self, adapter: &str) -> Result<PathBuf> {
        Self::component(&self.all, adapter)
    }

    pub(super) fn narrow(&self, adapter: &str) -> Result<PathBuf> {
        Self::component(&self.narrow, adapter)
    }

    /// The names of the tools that change nothing.
    pub(super) fn reading(&self) -> Vec<String> {
        self.tools
            .iter()
            .filter(|tool| tool.pointer("/annotations/readOnlyHint") == Some(&Value::Bool(true)))
            .filter_map(tool_name)
            .collect()
    }

    /// The names of all tools.
    pub(super) fn names(&self) -> Vec<String> {
        tool_names(self.tools)
    }

    /// A folder for one host, empty.
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.workspace.target("hosts/run").join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }
}

/// The names of listed tools.
pub(super) fn tool_names(tools: &[Value]) -> Vec<String> {
    tools.iter().filter_map(tool_name).collect()
}

fn tool_name(tool: &Value) -> Option<String> {
    Some(tool.get("name")?.as_str()?.to_owned())
}

/// Starts a host that speaks MCP over stdio, in a folder of its own. It gets the
/// simulator's settings, and nothing else of the user's environment but `PATH`.
pub(super) fn start_client(
    command: &mut Command,
    simulator: &Simulator,
    folder: &Path,
) -> Result<Client> {
    command.env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
        .env("HOME", folder)
        .envs(settings(simulator))
        .current_dir(folder)
        .stderr(File::create(folder.join(LOG))?);
    Client::start(command)
}

/// The settings of the component, as environment variables.
pub(super) fn settings(simulator: &Simulator) -> Vec<(&'static str, String)> {
    let mut settings: Vec<_> = simulator
        .settings()
        .iter()
        .filter(|(name, _)| *name != "PROXMOX_CA_FILE")
        .cloned()
        .collect();
    settings.push(("PROXMOX_MCP_WAIT_SECONDS", WAIT_SECONDS.to_string()));
    settings
}
