//! What lists cost a model: the table in docs/lists.md.

use std::io::Write as _;
use std::process::Stdio;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Map, Value, json};

use super::{build, docs};
use crate::mcp::{self, Client};
use crate::progress::Progress;
use crate::simulator::Simulator;
use crate::table;
use crate::workspace::Workspace;

const PAGE: &str = "docs/lists.md";

/// As host-runner counts against its ceiling.
const BYTES_PER_TOKEN: usize = 2;

/// The demonstration cluster has 13 guests; with these, it has 1,000 and 10,000.
const CLUSTERS: [&str; 2] = ["987", "9987"];

/// Measure the tokens of the longest results of all lists
///
/// It calls each tool that lists something with the highest limit, in clusters of 1,000
/// and 10,000 guests.
#[derive(Args)]
pub(crate) struct Lists {
    /// Write the table into docs/lists.md
    #[arg(long)]
    write: bool,
    /// Use what an earlier command built
    #[arg(long)]
    no_build: bool,
}

/// The text of one result.
struct Shown {
    tokens: usize,
    /// There is more than fits.
    is_full: bool,
}

impl Lists {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        if !self.no_build {
            let mut progress = Progress::new(build::STEPS + 1);
            build::steps(workspace, &mut progress)?;
            progress.step("building the simulated Proxmox VE", || {
                build::release(workspace, &["pve-sim"])
            })?;
        }
        let mut rows: Vec<Vec<String>> = Vec::new();
        for guests in CLUSTERS {
            for (at, (tool, shown)) in measure(workspace, guests)?.into_iter().enumerate() {
                if rows.len() <= at {
                    rows.push(vec![format!("`{tool}`")]);
                }
                if let Some(row) = rows.get_mut(at) {
                    row.extend(shown.iter().map(Shown::cell));
                }
            }
        }
        let head = [
            "Tool",
            "1,000 guests",
            "as JSON",
            "10,000 guests",
            "as JSON",
        ];
        let table = table::markdown(&head, rows);
        std::io::stdout().write_all(table.as_bytes())?;
        match self.write {
            true => docs::write_tables(workspace, PAGE, &[("lists", &table)]),
            false => Ok(()),
        }
    }
}

/// What each list costs in a cluster with so many guests more: as a table and as JSON.
fn measure(workspace: &Workspace, guests: &str) -> Result<Vec<(String, [Shown; 2])>> {
    let simulator = Simulator::start_with(workspace, ["--demo", "--guests", guests])?;
    let mut command = simulator.host_runner(workspace);
    command.arg("--toolsets=all").stderr(Stdio::null());
    let client = Client::start(&mut command)?;
    let mut measured = Vec::new();
    for tool in client.tools()? {
        let name = tool
            .get("name")
            .and_then(Value::as_str)
            .context("no name")?;
        let arguments = tool.pointer("/inputSchema/properties");
        let arguments = arguments.and_then(Value::as_object).context("no schema")?;
        if !arguments.contains_key("offset") {
            continue;
        }
        let mut call = required(name);
        if let Some(most) = arguments
            .get("limit")
            .and_then(|limit| limit.get("maximum"))
        {
            call.insert("limit".to_owned(), most.clone());
        }
        let concise = show(&client, name, &call, "concise")?;
        let full = show(&client, name, &call, "full")?;
        measured.push((name.to_owned(), [concise, full]));
    }
    client.close()?;
    Ok(measured)
}

/// The arguments without which a tool lists nothing.
fn required(tool: &str) -> Map<String, Value> {
    let arguments = match tool {
        "get_guest_network" => json!({ "vmid": 100 }),
        "get_node_log" => json!({ "node": "pve1" }),
        "audit_firewall" => json!({ "cluster": true }),
        _ => json!({}),
    };
    arguments.as_object().cloned().unwrap_or_default()
}

fn show(client: &Client, tool: &str, call: &Map<String, Value>, detail: &str) -> Result<Shown> {
    let mut call = call.clone();
    call.insert("detail".to_owned(), detail.into());
    let result = client.call_any(tool, &Value::Object(call))?;
    let result = result.map_err(|error| anyhow::anyhow!("{tool}: {error}"))?;
    let text = mcp::text(&result).unwrap_or_default();
    Ok(Shown {
        tokens: text.len().div_ceil(BYTES_PER_TOKEN),
        is_full: text.contains("as many as fit into one result"),
    })
}

impl Shown {
    /// Times and sizes in the results change by a few characters.
    fn cell(&self) -> String {
        let tokens = self.tokens.div_ceil(50) * 50;
        let full = if self.is_full { " (cut)" } else { "" };
        format!("{tokens}{full}")
    }
}
