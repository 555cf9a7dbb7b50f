//! Network interfaces of a node.

use pve_api::calls;

use crate::json::DeserializeFields;
use crate::pve::{At, Failure, Flag, Num, Params, Pve, Text};

/// An interface as a node lists it. Numbers are sometimes text.
#[derive(Debug, DeserializeFields)]
pub(crate) struct Interface {
    pub(crate) iface: String,
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
    /// Absent of an interface that is down.
    #[serde(default)]
    pub(crate) active: Flag,
    bridge_vlan_aware: Option<Flag>,
    pub(crate) bridge_ports: Option<Text>,
    pub(crate) ovs_ports: Option<Text>,
    pub(crate) slaves: Option<Text>,
    pub(crate) ovs_bonds: Option<Text>,
    pub(crate) bond_mode: Option<String>,
    #[serde(rename = "vlan-id")]
    pub(crate) vlan_id: Option<Num<u32>>,
    pub(crate) ovs_tag: Option<Num<u32>>,
    #[serde(rename = "vlan-raw-device")]
    pub(crate) vlan_raw_device: Option<String>,
    pub(crate) cidr: Option<String>,
    pub(crate) cidr6: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) address6: Option<String>,
    pub(crate) gateway: Option<String>,
    pub(crate) gateway6: Option<String>,
    pub(crate) mtu: Option<Num<u32>>,
    pub(crate) comments: Option<String>,
    pub(crate) alias: Option<String>,
}

/// Which privileges show a bridge or a vnet to a token: without them, Proxmox
/// leaves it out of every list, of whatever type.
pub(crate) const SHOWS_NETWORKS: [&str; 2] = ["SDN.Audit", "SDN.Use"];

/// The SDN zone of a node's own bridges.
pub(crate) const LOCAL_ZONE: &str = "localnetwork";

/// Which interfaces are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listed {
    /// Those that are configured on the node.
    Configured,
    /// Bridges and vnets.
    Networks,
    /// Both.
    All,
}

impl Listed {
    fn params(self) -> Params {
        let params = Params::new();
        match self {
            Self::Configured => params,
            Self::Networks => params.set("type", "any_bridge"),
            Self::All => params.set("type", "include_sdn"),
        }
    }
}

/// The interfaces of a node, without bridges and vnets that the token may not see.
pub(crate) fn interfaces(pve: &Pve, node: &str, listed: Listed) -> Result<Vec<Interface>, Failure> {
    pve.send(&calls::nodes::NETWORK.at([node]), &listed.params())
}

impl Interface {
    /// Whether guests can be attached to it.
    pub(crate) fn takes_guests(&self) -> bool {
        matches!(self.kind.as_str(), "bridge" | "OVSBridge" | "vnet")
    }

    /// Whether guests on it can have VLAN tags of their own. An Open vSwitch
    /// bridge carries every VLAN.
    pub(crate) fn is_vlan_aware(&self) -> bool {
        self.kind.starts_with("OVS") || self.bridge_vlan_aware.is_some_and(|flag| flag.0)
    }

    /// Whether a bridge has a port.
    pub(crate) fn has_ports(&self) -> bool {
        self.bridge_ports
            .as_ref()
            .is_some_and(|ports| !matches!(ports.0.trim(), "" | "none"))
    }
}
