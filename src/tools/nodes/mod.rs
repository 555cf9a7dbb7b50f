//! Nodes: the list, and one in full.

mod get_node;
mod list_nodes;
mod share;

use get_node::GetNode;
use list_nodes::ListNodes;

use crate::tool::{READ, Tool, Toolset};

const TOOLSET: Toolset = Toolset("nodes");

/// The tools of this set, in the order in which clients see them.
#[rustfmt::skip]
pub(crate) const TOOLS: &[Tool] = &[
    Tool::new::<ListNodes>(TOOLSET, "list_nodes", "List nodes", READ,
        "All nodes with status, CPU, memory, disk use and uptime. Offline nodes are listed too."),
    Tool::new::<GetNode>(TOOLSET, "get_node", "Get a node", READ,
        "One node in full: load, CPU model, memory, swap, root filesystem, Proxmox version, kernel."),
];
