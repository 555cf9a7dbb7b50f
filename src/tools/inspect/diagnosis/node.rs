//! What a guest's node offers: memory, processors, storages and bridges.

use serde::Deserialize;

use crate::pve::{Flag, NodeStatus, StorageStatus, Text};

/// What is known of a guest's node; absent where it is not visible.
#[derive(Debug, Default)]
pub(crate) struct NodeFacts {
    pub(crate) status: Option<NodeStatus>,
    pub(crate) storages: Option<Vec<StorageStatus>>,
    pub(crate) bridges: Option<Vec<Bridge>>,
    /// Whether the cluster has quorum.
    pub(crate) quorate: Option<bool>,
}

/// An interface of the node.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Bridge {
    pub(crate) iface: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) active: Flag,
    pub(crate) bridge_vlan_aware: Option<Flag>,
    pub(crate) bridge_ports: Option<Text>,
}

impl Bridge {
    pub(crate) fn is_vlan_aware(&self) -> bool {
        self.kind.starts_with("OVS") || self.bridge_vlan_aware.is_some_and(|flag| flag.0)
    }

    pub(crate) fn has_ports(&self) -> bool {
        self.bridge_ports
            .as_ref()
            .is_some_and(|ports| !matches!(ports.0.trim(), "" | "none"))
    }
}
