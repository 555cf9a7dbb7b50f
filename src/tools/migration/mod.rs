//! Migration: its obstacles, and the move itself.
//!
//! Proxmox accepts nearly every migration with a task that then fails, so all
//! that can be known beforehand is looked up first, by the same code for the
//! check and for the move.

mod check_migration;
mod evacuate_node;
mod evacuation;
mod migrate_guest;
mod preflight;
mod refusal;
mod storage_map;
mod survey;
#[cfg(test)]
mod tests;

use check_migration::CheckMigration;
use evacuate_node::EvacuateNode;
use migrate_guest::MigrateGuest;

use crate::tool::{DESTROY, READ, Tool, Toolset};

const TOOLSET: Toolset = Toolset("migration");

/// The tools of this set, in the order in which clients see them.
#[rustfmt::skip]
pub(crate) const TOOLS: &[Tool] = &[
    Tool::new::<CheckMigration>(TOOLSET, "check_migration", "Check a migration", READ,
        "Which nodes a guest can migrate to now and how (live, offline, by restart), why not to others; local disks and devices."),
    Tool::new::<MigrateGuest>(TOOLSET, "migrate_guest", "Migrate a guest", DESTROY.idempotent(),
        "Move a guest to another node: a running VM live, a running container by shutdown and start. Reports obstacles first."),
    Tool::new::<EvacuateNode>(TOOLSET, "evacuate_node", "Empty a node", DESTROY.idempotent(),
        "Plan where each guest of a node can go, balanced over the others by memory, and why some cannot; with plan: false, move them. Call again to continue. Also moves them back: the result has the arguments."),
];
