//! What a guest's node offers: memory, processors, storages and networks.

use crate::pve::{NodeStatus, StorageStatus};
use crate::tools::interface::Interface;

/// What is known of a guest's node; absent where it is not visible.
#[derive(Debug, Default)]
pub(in crate::tools::inspect) struct NodeFacts {
    pub(in crate::tools::inspect) status: Option<NodeStatus>,
    /// Absent also if the token sees none.
    pub(in crate::tools::inspect) storages: Option<Vec<StorageStatus>>,
    /// With at least one bridge or vnet; absent if the token sees none.
    pub(in crate::tools::inspect) networks: Option<Vec<Interface>>,
    /// Whether those are all networks of the node: Proxmox leaves out those that
    /// the token may not see.
    pub(in crate::tools::inspect) sees_all_networks: bool,
    /// Whether the cluster has quorum.
    pub(in crate::tools::inspect) quorate: Option<bool>,
}

impl NodeFacts {
    /// A bridge or vnet by its name, if it is visible.
    pub(in crate::tools::inspect) fn network(&self, name: &str) -> Option<&Interface> {
        self.networks.as_ref()?.iter().find(|one| one.iface == name)
    }
}
