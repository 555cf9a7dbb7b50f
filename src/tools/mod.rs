//! All tools, and which toolsets are offered by default. The `mod.rs` of each folder has
//! the tables of its toolsets: there a tool's name, title, description, annotations and
//! type meet.

pub(crate) mod agent;
pub(crate) mod backups;
pub(crate) mod cloudinit;
pub(crate) mod cluster;
pub(crate) mod console;
pub(crate) mod finding;
pub(crate) mod firewall;
pub(crate) mod guests;
pub(crate) mod inspect;
pub(crate) mod interface;
pub(crate) mod migration;
pub(crate) mod nodes;
pub(crate) mod power;
pub(crate) mod provisioning;
pub(crate) mod resources;
pub(crate) mod snapshots;
pub(crate) mod storage;

use serde_json::{Map, Value};

use crate::error::{Error, Problem, Result};
use crate::pve::Pve;
use crate::text;
use crate::tool::ticket::{self, Ticket};
use crate::tool::{Finished, Outcome, Tool};

/// How to use the tools, for a model.
pub(crate) const INSTRUCTIONS: &str = "Manages a Proxmox VE cluster. List before you change \
    anything; identify guests by vmid. Long operations run as Proxmox tasks: a call waits for its \
    task for a while, then returns with the task still running. Use the UPID in the result to \
    follow it; do not repeat the call. No tool deletes or overwrites a guest, disk, volume or \
    backup, opens a shell or console on a node or in a container, or changes users, storage \
    definitions, packages or the network of nodes: the Proxmox web interface can. Commands run \
    inside VMs by run_in_guest alone, if it is offered.";

/// The toolsets that a host offers unless its operator chooses others, the most used
/// first. Some clients pass on only 40 tools, and each tool costs the model: a unit
/// test holds both limits.
const BY_DEFAULT: &[&[Tool]] = &[
    guests::TOOLS,
    power::TOOLS,
    nodes::TOOLS,
    cluster::TOOLS,
    inspect::TOOLS,
    snapshots::TOOLS,
    backups::TOOLS,
    storage::TOOLS,
    provisioning::TOOLS,
    resources::TOOLS,
];

/// The others, the most used first.
const ON_REQUEST: &[&[Tool]] = &[
    cloudinit::TOOLS,
    resources::HARDWARE,
    inspect::NETWORKS,
    migration::TOOLS,
    firewall::TOOLS,
    power::SUSPEND,
    backups::JOBS,
    inspect::REPORTS,
    inspect::AGENT,
    agent::TOOLS,
    cluster::LOGS,
    inspect::HA,
    cluster::HA,
    inspect::ACCESS,
    console::TOOLS,
];

/// All tools, in the order in which clients see them.
pub(crate) fn all() -> impl Iterator<Item = &'static Tool> {
    BY_DEFAULT.iter().chain(ON_REQUEST).copied().flatten()
}

/// Whether a host offers the toolset of this tool unless its operator chooses others.
pub(crate) fn is_by_default(tool: &Tool) -> bool {
    let mut tools = BY_DEFAULT.iter().copied().flatten();
    tools.any(|one| one.toolset == tool.toolset)
}

/// The tool of a name.
pub(crate) fn find(name: &str) -> Option<&'static Tool> {
    all().find(|tool| tool.name == name)
}

/// Calls a tool by its name.
pub(crate) fn call(
    pve: impl FnOnce() -> Result<Pve>,
    name: &str,
    arguments_json: &str,
) -> Result<Outcome> {
    let Some(tool) = find(name) else {
        return Err(Error::UnknownTool(
            match text::nearest(name, all().map(|tool| tool.name)) {
                Some(near) => format!("unknown tool, {near} is probably meant"),
                None => "unknown tool: the tool list shows the available tools".into(),
            },
        ));
    };
    let arguments = match arguments_json.trim() {
        "" | "null" => Value::Object(Map::new()),
        json => serde_json::from_str(json).map_err(|error| {
            Error::InvalidArguments(vec![Problem {
                pointer: String::new(),
                message: format!(
                    "the arguments are not JSON (line {}, column {}): give a JSON object",
                    error.line(),
                    error.column()
                ),
            }])
        })?,
    };
    tool.call(pve, arguments)
}

/// Checks once on a task that a call has left running.
pub(crate) fn resume(pve: impl FnOnce() -> Result<Pve>, ticket: Ticket) -> Result<Outcome> {
    let tool = find(&ticket.tool).ok_or_else(ticket::refused)?;
    tool.resume(&pve()?, ticket.pending)
}

/// Stops what a call has left running.
pub(crate) fn cancel(pve: impl FnOnce() -> Result<Pve>, ticket: Ticket) -> Result<Finished> {
    let tool = find(&ticket.tool).ok_or_else(ticket::refused)?;
    tool.cancel(&pve()?, ticket.pending)
}

#[cfg(test)]
mod coverage;
#[cfg(test)]
mod tests;
