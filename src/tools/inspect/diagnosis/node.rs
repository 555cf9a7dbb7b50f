//! What a guest's node offers: memory, processors, storages and bridges.

use serde::Deserialize;

use crate::pve::{Flag, Num, StorageStatus, Text};

/// What is known of a guest's node; absent where it is not visible.
#[derive(Debug, Default)]
pub(crate) struct NodeFacts {
    pub(crate) status: Option<NodeStatus>,
    pub(crate) storages: Option<Vec<StorageStatus>>,
    pub(crate) bridges: Option<Vec<Bridge>>,
    /// Whether the cluster has quorum.
    pub(crate) quorate: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NodeStatus {
    pub(crate) memory: Memory,
    pub(crate) cpuinfo: Processors,
    pub(crate) uptime: Option<Num<u64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Memory {
    pub(crate) total: Option<Num<u64>>,
    pub(crate) used: Option<Num<u64>>,
    pub(crate) available: Option<Num<u64>>,
}

impl Memory {
    /// In bytes.
    pub(crate) fn free(&self) -> Option<u64> {
        self.available
            .map(|bytes| bytes.0)
            .or_else(|| self.total?.0.checked_sub(self.used?.0))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Processors {
    pub(crate) cpus: Option<Num<u64>>,
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
