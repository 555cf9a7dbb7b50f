//! Network interfaces of a node.

use std::collections::BTreeSet;

use pve_api::calls;
use serde::Deserialize;

use crate::pve::{At, Failure, Flag, Num, Params, Pve, Text};

/// An interface as a node lists it. Numbers are sometimes text.
#[derive(Debug, Deserialize)]
pub(super) struct Interface {
    pub(super) iface: String,
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    /// Absent of an interface that is down.
    #[serde(default)]
    pub(super) active: Flag,
    bridge_vlan_aware: Option<Flag>,
    pub(super) bridge_ports: Option<Text>,
    pub(super) ovs_ports: Option<Text>,
    pub(super) slaves: Option<Text>,
    pub(super) ovs_bonds: Option<Text>,
    pub(super) bond_mode: Option<String>,
    #[serde(rename = "vlan-id")]
    pub(super) vlan_id: Option<Num<u32>>,
    pub(super) ovs_tag: Option<Num<u32>>,
    #[serde(rename = "vlan-raw-device")]
    pub(super) vlan_raw_device: Option<String>,
    pub(super) cidr: Option<String>,
    pub(super) cidr6: Option<String>,
    pub(super) address: Option<String>,
    pub(super) address6: Option<String>,
    pub(super) gateway: Option<String>,
    pub(super) gateway6: Option<String>,
    pub(super) mtu: Option<Num<u32>>,
    pub(super) comments: Option<String>,
    pub(super) alias: Option<String>,
}

/// The interfaces that are configured on a node, without the vnets of SDN.
pub(super) fn configured(pve: &Pve, node: &str) -> Result<Vec<Interface>, Failure> {
    pve.send(&calls::nodes::NETWORK.at([node]), &Params::new())
}

/// The bridges and vnets that the token may attach guests to: with a type, Proxmox
/// lists no others.
pub(super) fn usable(pve: &Pve, node: &str) -> Result<Vec<Interface>, Failure> {
    let params = Params::new().set("type", "any_bridge");
    pve.send(&calls::nodes::NETWORK.at([node]), &params)
}

/// The names of the bridges and vnets that a node has, as far as the token sees
/// them; empty if it sees none.
pub(in crate::tools) fn bridges(pve: &Pve, node: &str) -> Result<BTreeSet<String>, Failure> {
    let configured = configured(pve, node)?;
    let bridges = configured
        .into_iter()
        .filter(|one| matches!(one.kind.as_str(), "bridge" | "OVSBridge"));
    // The vnets of SDN are in this list alone.
    let usable = usable(pve, node).unwrap_or_default();
    Ok(bridges.chain(usable).map(|one| one.iface).collect())
}

impl Interface {
    /// Whether guests on it can have VLAN tags of their own. An Open vSwitch
    /// bridge carries every VLAN.
    pub(super) fn is_vlan_aware(&self) -> bool {
        self.kind.starts_with("OVS") || self.bridge_vlan_aware.is_some_and(|flag| flag.0)
    }

    /// Whether a bridge has a port.
    pub(super) fn has_ports(&self) -> bool {
        self.bridge_ports
            .as_ref()
            .is_some_and(|ports| !matches!(ports.0.trim(), "" | "none"))
    }
}
