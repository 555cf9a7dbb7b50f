//! Storages, and the volumes on them.

mod list_storage;
mod list_storage_content;
pub(crate) mod unknown;

use list_storage::ListStorage;
use list_storage_content::ListStorageContent;

use crate::tool::{READ, Tool, Toolset};

const TOOLSET: Toolset = Toolset("storage");

/// The tools of this set, in the order in which clients see them.
#[rustfmt::skip]
pub(crate) const TOOLS: &[Tool] = &[
    Tool::new::<ListStorage>(TOOLSET, "list_storage", "List storages", READ,
        "Storages with type, allowed content, use and nodes; shared storages are listed once."),
    Tool::new::<ListStorageContent>(TOOLSET, "list_storage_content", "List volumes", READ,
        "ISO images, container templates, backups and disks on the storages, filtered."),
];
