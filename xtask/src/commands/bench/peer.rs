//! Other MCP servers for Proxmox, measured in the same run.

use std::fs::{self, File};
use std::path::{self, Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::simulator::Simulator;
use crate::workspace::{Workspace, output, utf8};

/// `--peer plus`
const PLUS: &str = "proxmox-mcp-plus==0.6.7";

/// Tools that list the guests, by the names that servers give them.
const LISTS: [&str; 5] = [
    "list_guests",
    "get_vms",
    "list_vms",
    "get_guests",
    "vm_list",
];

/// Another server.
pub(super) struct Peer {
    /// How it is called in the table.
    pub(super) name: String,
    program: PathBuf,
    arguments: Vec<String>,
    /// Its working directory, and its log.
    folder: PathBuf,
}

impl Peer {
    /// Installs `plus`; anything else is a command, split at spaces.
    pub(super) fn find(workspace: &Workspace, peer: &str) -> Result<Self> {
        let (name, program, arguments) = match peer {
            "plus" => ("plus".to_owned(), plus(workspace)?, Vec::new()),
            command => {
                let mut words = command.split_whitespace().map(str::to_owned);
                let program = PathBuf::from(words.next().context("--peer is empty")?);
                let name = program.file_name().unwrap_or_default();
                (
                    name.to_string_lossy().into_owned(),
                    program,
                    words.collect(),
                )
            }
        };
        let folder = workspace.target("bench").join(format!("peer-{name}"));
        fs::create_dir_all(&folder)?;
        // The server runs in a folder of its own.
        let program = match program.components().count() {
            1 => program,
            _ => path::absolute(program)?,
        };
        Ok(Self {
            name,
            program,
            arguments,
            folder,
        })
    }

    /// The server, pointed at a simulator by the variables that Proxmox servers
    /// use. Its stderr is a file.
    pub(super) fn command(&self, workspace: &Workspace, simulator: &Simulator) -> Result<Command> {
        let log = File::create(self.folder.join("stderr.log"))?;
        // Without the user's own variables.
        let ours = simulator.host_runner(workspace);
        let mut command = Command::new(&self.program);
        for (name, value) in ours.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let address = simulator.url().trim_start_matches("https://");
        let (host, port) = address.split_once(':').unwrap_or((address, "8006"));
        let (_, token) = simulator.token_id().split_once('!').unwrap_or_default();
        let authority = utf8(simulator.ca_file())?;
        command
            .args(&self.arguments)
            .current_dir(&self.folder)
            .envs([
                ("PROXMOX_HOST", host),
                ("PROXMOX_PORT", port.trim_end_matches('/')),
                ("PROXMOX_TOKEN_NAME", token),
                ("PROXMOX_TOKEN_VALUE", simulator.secret()),
                ("PROXMOX_VERIFY_SSL", "true"),
                ("SSL_CERT_FILE", authority),
                ("REQUESTS_CA_BUNDLE", authority),
                ("NODE_EXTRA_CA_CERTS", authority),
            ])
            .stderr(log);
        Ok(command)
    }
}

/// Its tool that lists guests, if it has one that is known.
pub(super) fn list_tool(tools: &Value) -> Result<String> {
    let tools = tools.get("tools").and_then(Value::as_array);
    let names = tools.into_iter().flatten();
    let names: Vec<&str> = names
        .filter_map(|tool| tool.get("name")?.as_str())
        .collect();
    let known = LISTS.into_iter().find(|list| names.contains(list));
    let known =
        known.context("it has no known tool that lists guests: name it with --peer-tool")?;
    Ok(known.to_owned())
}

/// Installs it in an environment of its own.
fn plus(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target("bench/plus");
    let stamp = folder.join("installed.txt");
    let program = folder.join("bin/proxmox-mcp-plus");
    if fs::read_to_string(&stamp).ok().as_deref() != Some(PLUS) {
        eprintln!("installing {PLUS}…");
        install(&folder).with_context(|| format!("cannot install {PLUS}"))?;
        fs::write(&stamp, PLUS)?;
    }
    Ok(program)
}

fn install(folder: &Path) -> Result<()> {
    output(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ];
    let mut command = Command::new(folder.join("bin/python"));
    output(command.args(pip).arg(PLUS))?;
    Ok(())
}
