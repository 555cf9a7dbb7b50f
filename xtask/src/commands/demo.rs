use std::process::Stdio;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};

use super::build;
use crate::mcp::{Answer, Client, Server};
use crate::progress::{Progress, Step};
use crate::simulator::Simulator;
use crate::table;
use crate::workspace::Workspace;

/// Build everything and show a short session with a simulated cluster
#[derive(Args)]
pub(crate) struct Demo {}

impl Demo {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        let mut progress = Progress::new(build::STEPS + 2);
        build::steps(workspace, &mut progress)?;
        progress.step("building the simulated Proxmox VE", || {
            build::release(workspace, &["pve-sim"])
        })?;
        progress.step("talking MCP with host-runner", || {
            let simulator = Simulator::start(workspace)?;
            session(workspace, &simulator)?;
            Ok(Step::Done)
        })?;
        say(&configuration(workspace));
        Ok(())
    }
}

fn session(workspace: &Workspace, simulator: &Simulator) -> Result<()> {
    let mut command = simulator.host_runner(workspace);
    command.stderr(Stdio::inherit());
    let client = Server::start(&mut command)?
        .on_progress(|text| say(&format!("  … {text}")))
        .connect()?;
    let (name, version, revision) = client.server()?;
    say(&format!(
        "\nConnected to {name} {version} (MCP {revision}), which reaches {} and nothing else.\n",
        simulator.url(),
    ));

    let tools = client.tools()?;
    let reads = tools
        .iter()
        .filter(|tool| tool.pointer("/annotations/readOnlyHint") == Some(&Value::Bool(true)))
        .count();
    say(&format!(
        "→ tools/list\n  {} tools, {reads} of them only read\n",
        tools.len()
    ));

    ask(&client, "list_nodes", json!({}), &NODES)?;
    let guests = ask(&client, "list_guests", json!({}), &GUESTS)?;
    if let Some(vmid) = running_guest(&guests) {
        ask(
            &client,
            "get_guest_network",
            json!({ "vmid": vmid }),
            &INTERFACES,
        )?;
    }
    ask(&client, "list_storage", json!({}), &STORAGES)?;
    let snapshot = json!({"vmid": 101, "snapshot": "before-upgrade"});
    ask(&client, "create_snapshot", snapshot, &REPORT)?;
    // What a model gets to read when it is wrong.
    ask(&client, "get_guest", json!({"vmid": 999}), &GUESTS)?;
    client.close()?;
    Ok(())
}

/// What to show of an answer: which list in it (or all of it), and which fields.
struct View {
    list: Option<&'static str>,
    fields: &'static [&'static str],
}

const NODES: View = View {
    list: Some("nodes"),
    fields: &[
        "node",
        "status",
        "cpu_percent",
        "memory_used_bytes",
        "memory_total_bytes",
        "uptime_seconds",
    ],
};
const GUESTS: View = View {
    list: Some("guests"),
    fields: &[
        "vmid",
        "name",
        "kind",
        "node",
        "status",
        "cpu_percent",
        "memory_used_bytes",
        "tags",
    ],
};
const INTERFACES: View = View {
    list: Some("interfaces"),
    fields: &["name", "mac", "addresses"],
};
const STORAGES: View = View {
    list: Some("storages"),
    fields: &[
        "storage",
        "type",
        "nodes",
        "used_bytes",
        "total_bytes",
        "content",
    ],
};

const REPORT: View = View {
    list: None,
    fields: &["action", "status", "volid", "duration_seconds"],
};

/// Calls a tool, prints question and answer, and returns the rows.
fn ask(client: &Client, tool: &str, arguments: Value, view: &View) -> Result<Vec<Value>> {
    say(&format!("→ {tool} {arguments}"));
    let content = match client.call(tool, &arguments)? {
        Answer::Content(content) => content,
        Answer::Error(text) | Answer::Refused(text) => {
            say(&format!("  error: {text}\n"));
            return Ok(Vec::new());
        }
    };
    let rows = match view.list {
        None => vec![content],
        Some(list) => content
            .get(list)
            .and_then(Value::as_array)
            .cloned()
            .with_context(|| format!("{tool} answered without its list of {list}"))?,
    };
    say(&table::render(&rows, view.fields));
    Ok(rows)
}

/// The first running virtual machine, since it has an address to show.
fn running_guest(guests: &[Value]) -> Option<u64> {
    guests
        .iter()
        .find(|guest| {
            guest.get("status").and_then(Value::as_str) == Some("running")
                && guest.get("kind").and_then(Value::as_str) == Some("qemu")
        })
        .and_then(|guest| guest.get("vmid"))
        .and_then(Value::as_u64)
}

/// What to paste into a client.
fn configuration(workspace: &Workspace) -> String {
    let command = workspace.binary("host-runner");
    let demo = json!({"mcpServers": {"proxmox-demo": {
        "command": command,
        "args": ["--demo"],
    }}});
    format!(
        "To try it in an MCP client without a Proxmox, paste this into its configuration:\n\n\
         {demo:#}\n\nWith your own Proxmox, this asks for its address and a token, tests them, and \
         configures your client:\n\n  {} setup",
        command.display()
    )
}

#[expect(clippy::print_stdout, reason = "the session is what was asked for")]
fn say(text: &str) {
    println!("{text}");
}
