//! Snapshots: the tree of a guest, and taking, rolling back to and removing one.

mod create_snapshot;
mod delete_snapshot;
mod list_snapshots;
mod rollback_snapshot;
mod snapshot;
#[cfg(test)]
mod tests;

use create_snapshot::CreateSnapshot;
use delete_snapshot::DeleteSnapshot;
use list_snapshots::ListSnapshots;
use rollback_snapshot::RollbackSnapshot;
pub(in crate::tools) use snapshot::Snapshots;

use crate::tool::{DESTROY, READ, Tool, Toolset, WRITE};

const TOOLSET: Toolset = Toolset("snapshots");

/// The tools of this set, in the order in which clients see them.
#[rustfmt::skip]
pub(crate) const TOOLS: &[Tool] = &[
    Tool::new::<ListSnapshots>(TOOLSET, "list_snapshots", "List snapshots", READ,
        "A guest's snapshots as a tree: parents, which one the current state is based on, time, description, RAM. Without vmid, those of all guests, the oldest first."),
    Tool::new::<CreateSnapshot>(TOOLSET, "create_snapshot", "Take a snapshot", WRITE,
        "Take a snapshot of a guest's disks and settings, of a running VM's RAM too on request. Also of several guests."),
    Tool::new::<RollbackSnapshot>(TOOLSET, "rollback_snapshot", "Roll back to a snapshot", DESTROY,
        "Roll a guest's disks and settings back to a snapshot. Later changes are lost; a running guest is powered off. preview only shows what would be lost."),
    Tool::new::<DeleteSnapshot>(TOOLSET, "delete_snapshot", "Remove a snapshot", DESTROY,
        "Remove a snapshot of a guest; the guest's current state is unchanged."),
];
