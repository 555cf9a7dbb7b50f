//! The members of the cluster, as corosync knows them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::num::Flag;

/// Which nodes the cluster has, and whether they are online, by
/// `/cluster/status`. Corosync knows this even where pvestatd hangs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Membership(BTreeMap<String, bool>);

/// An entry of `/cluster/status`: a node, or the cluster itself.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    #[serde(rename = "type", default)]
    kind: String,
    name: String,
    /// Absent of the cluster itself.
    #[serde(default)]
    online: Option<Flag>,
}

impl FromIterator<Entry> for Membership {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        Self(
            entries
                .into_iter()
                .filter(|entry| entry.kind == "node")
                .filter_map(|entry| Some((entry.name, entry.online?.0)))
                .collect(),
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

    /// Whether a node is a member of the cluster that is online.
    pub(crate) fn has(&self, node: &str) -> bool {
        self.0.get(node) == Some(&true)
    }
}
