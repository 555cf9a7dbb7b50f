//! Nodes: which are offline, and the choice of one.

use pve_api::calls;

use super::client::Pve;
use super::cluster_status::Membership;
use super::failure::Failure;
use super::format::Format;
use super::num::Num;
use super::params::Params;
use super::request::At;
use super::unknown_node::{self, Known};
use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::order;
use crate::text;

/// A node and its status.
#[derive(Debug, Clone, DeserializeFields)]
pub(crate) struct NodeState {
    pub(crate) node: String,
    /// `online`, `offline`, or `unknown`: pvestatd has reported nothing of it,
    /// for some seconds after it has joined or for as long as pvestatd hangs.
    #[serde(default)]
    pub(crate) status: String,
}

impl NodeState {
    /// Whether the cluster has lost it. A node of unknown status may still answer.
    pub(crate) fn is_offline(&self) -> bool {
        self.status == "offline"
    }
}

/// What the list of nodes has of one, with its load as far as pvestatd reports it
/// and the token sees it.
#[derive(Debug, Clone, DeserializeFields)]
pub(crate) struct NodeLoad {
    pub(crate) node: String,
    /// As in [`NodeState`], and not settled.
    #[serde(default)]
    pub(crate) status: String,
    /// Of all its CPUs, from 0 to 1.
    pub(crate) cpu: Option<Num<f64>>,
    pub(crate) maxcpu: Option<Num<u64>>,
    /// In bytes, as the next three.
    pub(crate) mem: Option<Num<u64>>,
    pub(crate) maxmem: Option<Num<u64>>,
    /// Of the root file system, as the next.
    pub(crate) disk: Option<Num<u64>>,
    pub(crate) maxdisk: Option<Num<u64>>,
    /// In seconds.
    pub(crate) uptime: Option<Num<u64>>,
}

/// All nodes with their load, in the order of Proxmox.
pub(crate) fn node_loads(pve: &Pve) -> Result<Vec<NodeLoad>, Failure> {
    pve.send(&calls::nodes::LIST.at([]), &Params::new())
}

/// The bridges and virtual networks of a node that guests can be connected to, as
/// far as the token sees them.
pub(crate) fn bridges(pve: &Pve, node: &str) -> Result<Vec<String>, Failure> {
    #[derive(DeserializeFields)]
    struct Interface {
        iface: String,
    }
    let request = calls::nodes::NETWORK.at([node]);
    let all: Vec<Interface> = pve.send(&request, &Params::new().set("type", "any_bridge"))?;
    Ok(all.into_iter().map(|one| one.iface).collect())
}

/// All nodes, sorted by name. The status of a node of which pvestatd reports nothing is
/// what corosync reports.
pub(crate) fn nodes(pve: &Pve) -> Result<Vec<NodeState>> {
    let mut nodes: Vec<NodeState> = pve.send(&calls::nodes::LIST.at([]), &Params::new())?;
    order::by(&mut nodes, |a, b| a.node.cmp(&b.node));
    if nodes
        .iter()
        .any(|node| !matches!(node.status.as_str(), "online" | "offline"))
    {
        settle(&mut nodes, pve.membership());
    }
    Ok(nodes)
}

fn settle(nodes: &mut [NodeState], members: &Membership) {
    for node in nodes {
        if matches!(node.status.as_str(), "online" | "offline") {
            continue;
        }
        node.status = members.status_of(&node.node).into();
    }
}

/// The wanted node, refused where it is offline, or the only one that is not.
///
/// A tool must call this or [`check_node`] before it requests `/nodes/NAME/…`:
/// Proxmox would look up a wrong name in DNS, which takes seconds, and then blame
/// the network.
pub(crate) fn choose_node(pve: &Pve, argument: &str, wanted: Option<&str>) -> Result<String> {
    let nodes = nodes(pve)?;
    pick(&nodes, argument, wanted)
}

/// Refuses the name of a node that does not exist or is offline. If the token
/// cannot list the nodes, any well-formed name passes.
pub(crate) fn check_node(pve: &Pve, argument: &str, name: &str) -> Result<()> {
    match choose_node(pve, argument, Some(name)) {
        Err(error @ (Error::NotFound(_) | Error::Unreachable(_))) => Err(error),
        _ => Format::Node.check(argument, name),
    }
}

/// Refuses the name of a node that does not exist. One that is offline passes.
pub(crate) fn known_node(pve: &Pve, name: &str) -> Result<()> {
    match choose_node(pve, "node", Some(name)) {
        Err(error @ Error::NotFound(_)) => Err(error),
        _ => Ok(()),
    }
}

/// The node of this name. The error of a name that no node has suggests the one
/// that is probably meant.
pub(crate) fn find_node<'a>(nodes: &'a [NodeState], name: &str) -> Result<&'a NodeState> {
    nodes.iter().find(|node| node.node == name).ok_or_else(|| {
        let all: Vec<&str> = nodes.iter().map(|node| node.node.as_str()).collect();
        unknown_node::error(name, Known::Nodes(&all))
    })
}

fn pick(nodes: &[NodeState], argument: &str, wanted: Option<&str>) -> Result<String> {
    let able: Vec<&str> = nodes
        .iter()
        .filter(|node| !node.is_offline())
        .map(|node| node.node.as_str())
        .collect();
    if let Some(name) = wanted {
        let node = find_node(nodes, name)?;
        if node.is_offline() {
            return Err(Error::Unreachable(format!(
                "node {name} is offline; online are: {}",
                text::names(able)
            )));
        }
        return Ok(node.node.clone());
    }
    match able.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => Err(Error::Unreachable(
            "no node is online: look at the cluster's status".into(),
        )),
        several => Err(Error::argument(
            argument,
            format!(
                "must name a node; online are: {}",
                text::names(several.iter().copied())
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(all: &[(&str, &str)]) -> Vec<NodeState> {
        all.iter()
            .map(|(node, status)| NodeState {
                node: (*node).into(),
                status: (*status).into(),
            })
            .collect()
    }

    #[test]
    fn the_only_one_online_is_chosen() {
        let all = nodes(&[("pve1", "online"), ("pve2", "offline")]);
        assert_eq!(pick(&all, "node", None).unwrap(), "pve1");
        assert_eq!(pick(&all, "node", Some("pve1")).unwrap(), "pve1");
        assert!(matches!(
            pick(&all, "node", Some("pve2")),
            Err(Error::Unreachable(_))
        ));
        let two = nodes(&[("pve1", "online"), ("pve2", "online")]);
        assert_eq!(
            pick(&two, "node", None).unwrap_err().message(),
            "node: must name a node; online are: pve1, pve2"
        );
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_right_ones() {
        let all = nodes(&[("pve1", "online"), ("alpha", "online")]);
        for (name, says) in [
            (
                "PVE1",
                "there is no node PVE1, pve1 is probably meant (case matters); ",
            ),
            (
                "pve1.example.com",
                "there is no node \"pve1.example.com\", pve1 is probably meant; ",
            ),
            ("alhpa", "there is no node alhpa, alpha is probably meant; "),
            ("zz", "there is no node zz; the nodes are: pve1, alpha"),
            (
                " pve1",
                "there is no node \" pve1\", pve1 is probably meant",
            ),
            (
                "Alpha.example.com.",
                "there is no node \"Alpha.example.com.\", alpha is probably meant",
            ),
            ("../x", "there is no node \"../x\"; "),
        ] {
            let Err(Error::NotFound(message)) = find_node(&all, name) else {
                panic!("{name} is found")
            };
            assert!(message.starts_with(says), "{message}");
            assert!(message.ends_with("the nodes are: pve1, alpha"), "{message}");
        }
    }

    #[test]
    fn unknown_is_what_corosync_says() {
        let members = Membership::of([("a", true), ("b", false)]);
        let mut all = nodes(&[
            ("a", "unknown"),
            ("b", ""),
            ("c", "unknown"),
            ("d", "online"),
        ]);
        settle(&mut all, &members);
        let states: Vec<_> = all.iter().map(|node| node.status.as_str()).collect();
        assert_eq!(states, ["online", "offline", "unknown", "online"]);
        assert!(!all[2].is_offline());
    }
}
