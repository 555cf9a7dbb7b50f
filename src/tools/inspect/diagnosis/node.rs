//! What a guest's node offers: memory, processors, storages and bridges.

use crate::pve::{NodeStatus, StorageStatus};
use crate::tools::inspect::interface::Interface;

/// What is known of a guest's node; absent where it is not visible.
#[derive(Debug, Default)]
pub(in crate::tools::inspect) struct NodeFacts {
    pub(in crate::tools::inspect) status: Option<NodeStatus>,
    pub(in crate::tools::inspect) storages: Option<Vec<StorageStatus>>,
    pub(in crate::tools::inspect) bridges: Option<Vec<Interface>>,
    /// Whether the cluster has quorum.
    pub(in crate::tools::inspect) quorate: Option<bool>,
}
