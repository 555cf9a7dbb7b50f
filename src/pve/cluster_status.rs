//! The cluster and its members, as corosync knows them: `/cluster/status`.

use std::collections::BTreeMap;

use super::num::{Flag, Num};

use crate::json::DeserializeFields;
use crate::order::Ordered as _;

/// An entry of `/cluster/status`: the cluster, or one of its nodes. One struct for
/// both, with all fields optional, so that an unreadable field does not cost the
/// whole entry: without the cluster's entry, a node seems to be in no cluster.
#[derive(Debug, DeserializeFields)]
pub(crate) struct ClusterEntry {
    /// `cluster` or `node`.
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
    /// `node/pve1`.
    id: Option<String>,
    name: Option<String>,
    /// Of the cluster: whether it has quorum.
    pub(crate) quorate: Option<Flag>,
    /// Of the cluster: how many nodes it has.
    pub(crate) nodes: Option<Num<u64>>,
    /// Of the cluster: the version of corosync's configuration.
    pub(crate) version: Option<Num<u64>>,
    /// Of a node.
    pub(crate) online: Option<Flag>,
    /// Of a node: its address in the cluster's network.
    pub(crate) ip: Option<String>,
    /// Of a node: its number in corosync's configuration.
    pub(crate) nodeid: Option<Num<u64>>,
    /// Of a node: whether it is the one that answered.
    #[serde(default)]
    pub(crate) local: Flag,
}

impl ClusterEntry {
    /// Its name, or the one in its id if the name is missing.
    pub(crate) fn name(&self) -> Option<&str> {
        let filled = |name: &&str| !name.is_empty();
        let by_id = || self.id.as_deref()?.strip_prefix("node/").filter(filled);
        self.name.as_deref().filter(filled).or_else(by_id)
    }
}

/// Which nodes the cluster has, and whether they are online. Corosync knows this
/// even where pvestatd hangs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Membership(BTreeMap<String, bool>);

impl FromIterator<ClusterEntry> for Membership {
    fn from_iter<I: IntoIterator<Item = ClusterEntry>>(entries: I) -> Self {
        Self(
            entries
                .into_iter()
                .filter(|entry| entry.kind == "node")
                .filter_map(|entry| Some((entry.name()?.to_owned(), entry.online?.0)))
                .ordered(),
        )
    }
}

impl Membership {
    /// Nodes, and whether they are online, for a test.
    #[cfg(test)]
    pub(super) fn of<const N: usize>(nodes: [(&str, bool); N]) -> Self {
        Self(nodes.map(|(node, online)| (node.to_owned(), online)).into())
    }

    /// Whether the cluster has lost a node. False of a node that it does not
    /// list, about which nothing is known.
    pub(crate) fn has_lost(&self, node: &str) -> bool {
        self.0.get(node) == Some(&false)
    }

    /// The status of a node, in the words of a list of nodes: `unknown` of one that
    /// the cluster does not list.
    pub(crate) fn status_of(&self, node: &str) -> &'static str {
        match self.0.get(node) {
            Some(true) => "online",
            Some(false) => "offline",
            None => "unknown",
        }
    }

    /// Whether a node is a member of the cluster that is online.
    pub(crate) fn has(&self, node: &str) -> bool {
        self.0.get(node) == Some(&true)
    }
}
