//! `list_networks`: what guests can be attached to, and what is below it.

use std::collections::BTreeMap;

use pve_api::calls;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::json::{DeserializeFields, SerializeFields};
use crate::order;
use crate::pve::{At, Flag, Held, Num, Params, Pve, Text, find_node, nodes};
use crate::text;
use crate::tool::declared::Calls;
use crate::tool::{Offset, Page, Reply, Run};
use crate::tools::finding::visible;
use crate::tools::interface::{Interface, LOCAL_ZONE, Listed, interfaces};

/// Networks of the nodes.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListNetworks {
    /// Only of this node.
    #[schemars(length(min = 1))]
    node: Option<String>,
    /// Default: all but physical cards.
    #[serde(rename = "type")]
    kind: Option<NetworkKind>,
    /// Default 100.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
    offset: Option<Offset>,
}

const DEFAULT_LIMIT: u32 = 100;

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
enum NetworkKind {
    Bridge,
    // A virtual network of SDN.
    Vnet,
    Bond,
    Vlan,
    // A physical card.
    Eth,
    // Of a kind that is rare: an alias, an Open vSwitch port, a fabric.
    Other,
}

#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct NetworkList {
    networks: Vec<Network>,
    /// Also those that are not shown.
    total: usize,
    /// What could not be read, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_visible: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, PartialEq, SerializeFields, JsonSchema)]
struct Network {
    node: String,
    /// As a guest's network card names it in `bridge`.
    bridge: String,
    #[serde(rename = "type")]
    kind: NetworkKind,
    active: bool,
    /// Whether this token may attach guests to it; absent where guests cannot
    /// be attached, or where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    usable: Option<bool>,
    /// Whether guests on it can have VLAN tags of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    vlan_aware: Option<bool>,
    /// Cards and bonds that it consists of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ports: Vec<String>,
    /// The VLAN that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    vlan: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bond_mode: Option<String>,
    /// Of the node, with prefix length.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    addresses: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    gateways: Vec<String>,
    /// Absent: the default, 1500.
    #[serde(skip_serializing_if = "Option::is_none")]
    mtu: Option<u32>,
    /// The SDN zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
}

/// A virtual network as the cluster has it.
#[derive(Debug, Default, DeserializeFields)]
struct RawVnet {
    vnet: String,
    zone: Option<String>,
    tag: Option<Num<u32>>,
    alias: Option<String>,
    vlanaware: Option<Flag>,
}

/// How much of a comment is shown.
const COMMENT_LENGTH: usize = 120;

impl Run for ListNetworks {
    type Output = NetworkList;

    const CALLS: &'static [Calls] = &[
        Calls::One(&calls::cluster::STATUS),
        Calls::One(&calls::cluster::SDN_VNETS),
        Calls::One(&calls::nodes::LIST),
        Calls::One(&calls::nodes::NETWORK),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<NetworkList>> {
        let all = nodes(pve)?;
        let mut not_visible = Vec::new();
        let asked: Vec<&str> = match &self.node {
            Some(node) => vec![find_node(&all, node)?.node.as_str()],
            None => all.iter().map(|node| node.node.as_str()).collect(),
        };
        let vnets: Vec<RawVnet> = visible(
            pve.send(&calls::cluster::SDN_VNETS.at([]), &Params::new()),
            "SDN",
            &mut not_visible,
        )
        .unwrap_or_default();
        let rights = Rights {
            vnets: &vnets,
            // The host may have taken paths out of it.
            held: pve.held().filter(|_| pve.scope().is_none()),
        };
        let mut networks = Vec::new();
        let mut hints = Hints::default();
        for node in &asked {
            if all.iter().any(|one| one.node == *node && one.is_offline()) {
                not_visible.push(format!("node {node} is offline"));
                continue;
            }
            let Some(found) = read_node(pve, node, &rights, &mut not_visible) else {
                continue;
            };
            hints.add(node, &found);
            networks.extend(found);
        }
        networks.retain(|network| match self.kind {
            Some(kind) => network.kind == kind,
            None => network.kind != NetworkKind::Eth,
        });
        let total = networks.len();
        let page = Page::new(self.offset, self.limit, DEFAULT_LIMIT);
        let part = page.cut(&mut networks, "/networks", "node or type");
        let mut notes = hints.notes(pve.token_name());
        notes.extend(part.note());
        let inactive = networks.iter().filter(|one| !one.active).count();
        let text = format!("{}, {inactive} inactive", text::count(total, "network"));
        let list = NetworkList {
            networks,
            total,
            not_visible,
            hint: (!notes.is_empty()).then(|| notes.join("; ")),
        };
        Ok(Reply::Listed(list, text, part))
    }
}

/// What decides whether the token may attach guests to a network.
struct Rights<'a> {
    vnets: &'a [RawVnet],
    /// Absent if it is not known.
    held: Option<&'a Held>,
}

impl Rights<'_> {
    fn vnet(&self, name: &str) -> Option<&RawVnet> {
        self.vnets.iter().find(|vnet| vnet.vnet == name)
    }

    /// Whether the token may attach guests to a bridge or vnet: by SDN.Use on it.
    /// A token with SDN.Audit alone sees it too.
    fn may_use(&self, network: &Interface) -> Option<bool> {
        let name = &network.iface;
        let zone = match self.vnet(name) {
            Some(vnet) => vnet.zone.as_deref()?,
            None if network.kind == "vnet" => return None,
            None => LOCAL_ZONE,
        };
        let path = format!("/sdn/zones/{zone}/{name}");
        Some(self.held?.has_any(&["SDN.Use"], &path))
    }
}

/// Nodes whose networks a token may not see, or not use.
#[derive(Debug, Default)]
struct Hints {
    blind: Vec<String>,
    unusable: Vec<String>,
}

impl Hints {
    fn add(&mut self, node: &str, found: &[Network]) {
        let mut bridges = found
            .iter()
            .filter(|one| one.kind.takes_guests())
            .peekable();
        if bridges.peek().is_none() {
            self.blind.push(node.to_owned());
        } else if bridges.all(|one| one.usable == Some(false)) {
            self.unusable.push(node.to_owned());
        }
    }

    fn notes(&self, token: &str) -> Vec<String> {
        let names = |nodes: &[String]| text::names(nodes.iter().map(String::as_str));
        let mut notes = Vec::new();
        if !self.blind.is_empty() {
            notes.push(format!(
                "no bridge of {} is visible: there is none, or the token {token} lacks SDN.Audit \
                 or SDN.Use on /sdn/zones/{LOCAL_ZONE} (bridges) or on the zone of a vnet",
                names(&self.blind)
            ));
        }
        if !self.unusable.is_empty() {
            notes.push(format!(
                "the token {token} may not attach guests to any network of {}: it needs SDN.Use on \
                 /sdn/zones/{LOCAL_ZONE} (bridges) or on the zone of a vnet",
                names(&self.unusable)
            ));
        }
        notes
    }
}

/// The networks of a node; absent if it cannot be read.
fn read_node(
    pve: &Pve,
    node: &str,
    rights: &Rights<'_>,
    not_visible: &mut Vec<String>,
) -> Option<Vec<Network>> {
    let configured = visible(
        interfaces(pve, node, Listed::Configured),
        &format!("networks of node {node}"),
        not_visible,
    )?;
    let vnets = visible(
        interfaces(pve, node, Listed::Networks),
        &format!("vnets of node {node}"),
        not_visible,
    );
    Some(of_node(node, configured, vnets.unwrap_or_default(), rights))
}

/// The networks of a node: its own interfaces, and the vnets, which are only in
/// the list of networks.
fn of_node(
    node: &str,
    configured: Vec<Interface>,
    networks: Vec<Interface>,
    rights: &Rights<'_>,
) -> Vec<Network> {
    let mut all: BTreeMap<String, Interface> = BTreeMap::new();
    for one in configured.into_iter().chain(networks) {
        all.entry(one.iface.clone()).or_insert(one);
    }
    let mut networks: Vec<Network> = all
        .into_values()
        .filter(|one| one.kind != "loopback" && one.iface != "lo")
        .map(|one| {
            let may = rights.may_use(&one);
            let vnet = rights.vnet(&one.iface);
            Network::new(node, one, vnet, may)
        })
        .collect();
    order::by(&mut networks, |a, b| {
        (a.kind, &a.bridge).cmp(&(b.kind, &b.bridge))
    });
    networks
}

impl NetworkKind {
    fn of(kind: &str, is_vnet: bool) -> Self {
        match kind {
            _ if is_vnet => Self::Vnet,
            "vnet" => Self::Vnet,
            "bridge" | "OVSBridge" => Self::Bridge,
            "bond" | "OVSBond" => Self::Bond,
            "vlan" => Self::Vlan,
            "eth" => Self::Eth,
            _ => Self::Other,
        }
    }

    fn takes_guests(self) -> bool {
        matches!(self, Self::Bridge | Self::Vnet)
    }
}

impl Network {
    fn new(node: &str, raw: Interface, vnet: Option<&RawVnet>, may: Option<bool>) -> Self {
        let kind = NetworkKind::of(&raw.kind, vnet.is_some());
        let words = |text: Option<Text>| -> Vec<String> {
            text.iter()
                .flat_map(|text| text.0.split([' ', ',', '\t']))
                .filter(|word| !word.is_empty() && *word != "none")
                .map(str::to_owned)
                .collect()
        };
        let filled = |text: Option<String>| {
            text.map(|text| text.trim().to_owned())
                .filter(|text| !text.is_empty())
        };
        let vlan_aware = match kind {
            NetworkKind::Bridge => Some(raw.is_vlan_aware()),
            NetworkKind::Vnet => vnet.map(|vnet| vnet.vlanaware.is_some_and(|flag| flag.0)),
            _ => None,
        };
        let mut ports = words(raw.bridge_ports);
        for more in [raw.ovs_ports, raw.slaves, raw.ovs_bonds] {
            ports.extend(words(more));
        }
        ports.extend(raw.vlan_raw_device);
        // `vmbr0.30` and `vlan30` name the tag themselves.
        let named_tag = || {
            let digits = match raw.iface.rsplit_once('.') {
                Some((_, tag)) => tag,
                None => raw.iface.strip_prefix("vlan")?,
            };
            digits.parse().ok()
        };
        let vlan = match kind {
            NetworkKind::Vlan => raw.vlan_id.map(|tag| tag.0).or_else(named_tag),
            _ => vnet
                .and_then(|vnet| Some(vnet.tag?.0))
                .or(raw.ovs_tag.map(|tag| tag.0)),
        };
        let comment = filled(raw.comments)
            .or_else(|| filled(raw.alias))
            .or_else(|| filled(vnet.and_then(|vnet| vnet.alias.clone())));
        Self {
            node: node.to_owned(),
            bridge: raw.iface,
            kind,
            active: raw.active.0,
            usable: may.filter(|_| kind.takes_guests()),
            vlan_aware,
            ports,
            vlan,
            bond_mode: filled(raw.bond_mode),
            addresses: [
                filled(raw.cidr).or_else(|| filled(raw.address)),
                filled(raw.cidr6).or_else(|| filled(raw.address6)),
            ]
            .into_iter()
            .flatten()
            .collect(),
            gateways: [filled(raw.gateway), filled(raw.gateway6)]
                .into_iter()
                .flatten()
                .collect(),
            mtu: raw.mtu.map(|mtu| mtu.0),
            zone: vnet.and_then(|vnet| vnet.zone.clone()),
            comment: comment.map(|text| text::cut(&text, COMMENT_LENGTH)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn interfaces(value: serde_json::Value) -> Vec<Interface> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn interfaces_of_a_node() {
        let configured = interfaces(json!([
            {"iface": "lo", "type": "loopback"},
            {"iface": "nic0", "type": "eth", "active": 1},
            {"iface": "bond0", "type": "bond", "active": 1, "slaves": "nic0 nic1",
                "bond_mode": "802.3ad"},
            {"iface": "vmbr0", "type": "bridge", "active": 1, "bridge_ports": "bond0",
                "bridge_vlan_aware": "1", "cidr": "192.0.2.1/24", "gateway": "192.0.2.254",
                "mtu": "9000", "comments": "uplink\n", "autostart": 1},
            {"iface": "vmbr1", "type": "bridge", "bridge_ports": ""},
            {"iface": "vmbr0.30", "type": "vlan", "vlan-raw-device": "vmbr0", "active": 1},
        ]));
        // SDN.Audit alone shows vmbr1 too.
        let networks = interfaces(json!([
            {"iface": "vmbr0", "type": "bridge", "active": 1},
            {"iface": "vmbr1", "type": "bridge"},
            {"iface": "web", "type": "vnet", "active": 1},
        ]));
        let vnets: Vec<RawVnet> =
            serde_json::from_value(json!([{"vnet": "web", "zone": "dc", "tag": 40}])).unwrap();
        let held = json!({"/": {"SDN.Audit": 1}, "/sdn/zones/dc": {"SDN.Use": 1},
            "/sdn/zones/localnetwork/vmbr0": {"SDN.Use": 1}});
        let held = Held::read(held.as_object().unwrap());
        let rights = Rights {
            vnets: &vnets,
            held: Some(&held),
        };
        let found = of_node("alpha", configured, networks, &rights);
        let shown = serde_json::to_value(&found).unwrap();
        assert_eq!(
            shown,
            json!([
                {"node": "alpha", "bridge": "vmbr0", "type": "bridge", "active": true,
                    "usable": true, "vlan_aware": true, "ports": ["bond0"],
                    "addresses": ["192.0.2.1/24"], "gateways": ["192.0.2.254"], "mtu": 9000,
                    "comment": "uplink"},
                {"node": "alpha", "bridge": "vmbr1", "type": "bridge", "active": false,
                    "usable": false, "vlan_aware": false},
                {"node": "alpha", "bridge": "web", "type": "vnet", "active": true,
                    "usable": true, "vlan_aware": false, "vlan": 40, "zone": "dc"},
                {"node": "alpha", "bridge": "bond0", "type": "bond", "active": true,
                    "ports": ["nic0", "nic1"], "bond_mode": "802.3ad"},
                {"node": "alpha", "bridge": "vmbr0.30", "type": "vlan", "active": true,
                    "ports": ["vmbr0"], "vlan": 30},
                {"node": "alpha", "bridge": "nic0", "type": "eth", "active": true},
            ])
        );
    }

    #[test]
    fn what_the_token_may_use_can_be_unknown() {
        let configured =
            interfaces(json!([{"iface": "vmbr0", "type": "OVSBridge", "ovs_ports": "eno1"}]));
        let rights = Rights {
            vnets: &[],
            held: None,
        };
        let found = of_node("alpha", configured, Vec::new(), &rights);
        assert_eq!((found[0].usable, found[0].vlan_aware), (None, Some(true)));
        assert_eq!(found[0].ports, ["eno1"]);
    }

    #[test]
    fn a_node_without_a_visible_bridge_is_named() {
        let none = json!({});
        let held = Held::read(none.as_object().unwrap());
        let rights = Rights {
            vnets: &[],
            held: Some(&held),
        };
        let notes = |json: serde_json::Value| {
            let mut hints = Hints::default();
            hints.add(
                "alpha",
                &of_node("alpha", interfaces(json), Vec::new(), &rights),
            );
            hints.notes("ai@pve!mcp").join("; ")
        };
        let blind = notes(json!([{"iface": "nic0", "type": "eth", "active": 1}]));
        assert!(
            blind.starts_with("no bridge of alpha is visible"),
            "{blind}"
        );
        let unusable = notes(json!([{"iface": "vmbr0", "type": "bridge", "active": 1}]));
        assert!(unusable.contains("may not attach guests"), "{unusable}");
    }
}
