//! `list_nodes`: all nodes with their load.

use pve_api::calls;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::share::share;
use crate::error::Result;
use crate::json::{DeserializeFields, SerializeFields};
use crate::order;
use crate::pve::{Listed, Membership, NodeLoad, Pve, node_loads};
use crate::text;
use crate::tool::declared::Calls;
use crate::tool::{Offset, Page, Reply, Run};

/// All nodes.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListNodes {
    /// Only nodes of this status.
    status: Option<NodeStatus>,
    offset: Option<Offset>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NodeStatus {
    Online,
    Offline,
    Unknown,
}

#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct NodeList {
    nodes: Vec<NodeSummary>,
    /// Number of matches, including those not shown.
    total: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// An offline node has a name and a status only.
#[derive(Debug, SerializeFields, JsonSchema)]
struct NodeSummary {
    node: String,
    status: NodeStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpus: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_used_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_total_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root_used_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root_total_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime_seconds: Option<u64>,
}

impl Run for ListNodes {
    type Output = NodeList;

    const CALLS: &'static [Calls] = &[
        Calls::One(&calls::cluster::STATUS),
        Calls::One(&calls::nodes::LIST),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<NodeList>> {
        let raw = node_loads(pve)?;
        let seen = raw.len();
        let mut nodes: Vec<NodeSummary> = raw.into_iter().map(NodeSummary::from).collect();
        order::by(&mut nodes, |a, b| a.node.cmp(&b.node));
        let silent: Vec<String> = nodes
            .iter()
            .filter(|node| node.status == NodeStatus::Unknown && !node.has_load())
            .map(|node| node.node.clone())
            .collect();
        if nodes.iter().any(|node| node.status == NodeStatus::Unknown) {
            let members = pve.membership();
            for node in &mut nodes {
                node.settle(members);
            }
        }
        nodes.retain(|node| self.status.is_none_or(|status| status == node.status));
        let online = nodes
            .iter()
            .filter(|node| node.status == NodeStatus::Online)
            .count();
        let text = format!("{}, {online} online", text::count(nodes.len(), "node"));
        let total = nodes.len();
        let page = Page::new(self.offset, None, u32::MAX);
        let part = page.cut(&mut nodes, "/nodes", "status");
        let mut notes: Vec<String> = part.note().into_iter().collect();
        if seen == 0 {
            notes.push(pve.empty_hint(Listed::Nodes));
        } else if !silent.is_empty() {
            notes.push(why_silent(pve, &silent));
        }
        let list = NodeList {
            nodes,
            total,
            hint: (!notes.is_empty()).then(|| notes.join("; ")),
        };
        Ok(Reply::Listed(list, text, part))
    }
}

/// Why no load is known of nodes, and whether they are online.
fn why_silent(pve: &Pve, silent: &[String]) -> String {
    let members = pve.membership();
    let (lost, here): (Vec<&str>, Vec<&str>) = silent
        .iter()
        .map(String::as_str)
        .partition(|node| members.has_lost(node));
    let mut parts = Vec::new();
    if !here.is_empty() {
        let (online, open): (Vec<&str>, Vec<&str>) =
            here.iter().partition(|node| members.has(node));
        let mut why = format!(
            "the load of {} is unknown because its pvestatd has not reported for minutes or the \
             node has just joined. Tools still work on it; if this lasts, run systemctl restart \
             pvestatd on the node",
            names(&here)
        );
        if !online.is_empty() {
            why.push_str(&format!(
                "; the cluster's status shows that {} is online",
                names(&online)
            ));
        }
        if !open.is_empty() {
            why.push_str(&format!(
                "; whether {} is online is not known either",
                names(&open)
            ));
        }
        parts.push(why);
    }
    if !lost.is_empty() {
        parts.push(format!(
            "the cluster has lost {}, which is offline",
            names(&lost)
        ));
    }
    parts.join("; ")
}

fn names(names: &[&str]) -> String {
    text::cut(&names.join(", "), 400)
}

impl NodeStatus {
    fn read(status: &str) -> Self {
        match status {
            "online" => Self::Online,
            "offline" => Self::Offline,
            _ => Self::Unknown,
        }
    }
}

impl NodeSummary {
    /// Whether pvestatd has reported its load.
    fn has_load(&self) -> bool {
        self.cpu_percent.is_some() || self.memory_used_bytes.is_some()
    }

    /// Completes a node of which pvestatd reports nothing by what corosync reports.
    fn settle(&mut self, members: &Membership) {
        if self.status == NodeStatus::Unknown {
            self.status = NodeStatus::read(members.status_of(&self.node));
        }
    }
}

impl From<NodeLoad> for NodeSummary {
    fn from(raw: NodeLoad) -> Self {
        Self {
            status: NodeStatus::read(&raw.status),
            node: raw.node,
            cpu_percent: raw.cpu.and_then(share),
            cpus: raw.maxcpu.map(|number| number.0),
            memory_used_bytes: raw.mem.map(|number| number.0),
            memory_total_bytes: raw.maxmem.map(|number| number.0),
            root_used_bytes: raw.disk.map(|number| number.0),
            root_total_bytes: raw.maxdisk.map(|number| number.0),
            uptime_seconds: raw.uptime.map(|number| number.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn offline_nodes_have_a_name_and_a_status() {
        let raw: NodeLoad = serde_json::from_value(json!({
            "id": "node/pve2", "type": "node", "status": "offline", "node": "pve2",
            "ssl_fingerprint": null
        }))
        .unwrap();
        assert_eq!(
            serde_json::to_value(NodeSummary::from(raw)).unwrap(),
            json!({"node": "pve2", "status": "offline"})
        );
    }
}
