//! Commands inside a VM, through its QEMU guest agent.

pub(crate) mod answer;
mod command;
pub(crate) mod error;
mod run_in_guest;
#[cfg(test)]
mod tests;

use run_in_guest::RunInGuest;

use crate::tool::{DESTROY, Tool, Toolset};

const TOOLSET: Toolset = Toolset("agent");

/// The tools of this set, in the order in which clients see them.
#[rustfmt::skip]
pub(crate) const TOOLS: &[Tool] = &[
    Tool::new::<RunInGuest>(TOOLSET, "run_in_guest", "Run a command in a VM", DESTROY.open().dangerous(),
        "Run a command inside a running VM through its QEMU guest agent, usually as root; returns exit code and output."),
];
