//! Nodes: the list, and one in full.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::pve::{Format, Membership, Num, Params, Path, Pve, choose_node};
use crate::text;
use crate::tool::{Reply, Run};

/// All nodes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListNodes {
    /// Only nodes of this status.
    status: Option<NodeStatus>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NodeStatus {
    Online,
    Offline,
    Unknown,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct NodeList {
    nodes: Vec<NodeSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// An offline node has a name and a status only.
#[derive(Debug, Serialize, JsonSchema)]
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

#[derive(Deserialize)]
struct RawNode {
    node: String,
    #[serde(default)]
    status: String,
    cpu: Option<Num<f64>>,
    maxcpu: Option<Num<u64>>,
    mem: Option<Num<u64>>,
    maxmem: Option<Num<u64>>,
    disk: Option<Num<u64>>,
    maxdisk: Option<Num<u64>>,
    uptime: Option<Num<u64>>,
}

impl Run for ListNodes {
    type Output = NodeList;

    fn run(self, pve: &Pve) -> Result<Reply<NodeList>> {
        let raw: Vec<RawNode> = pve.get(&Path::new(["nodes"]), &Params::new())?;
        let seen = raw.len();
        let mut nodes: Vec<NodeSummary> = raw.into_iter().map(NodeSummary::from).collect();
        nodes.sort_by(|a, b| a.node.cmp(&b.node));
        let silent: Vec<String> = nodes
            .iter()
            .filter(|node| node.status == NodeStatus::Unknown && !node.has_load())
            .map(|node| node.node.clone())
            .collect();
        if nodes.iter().any(|node| node.status == NodeStatus::Unknown) {
            let members = pve.membership();
            for node in &mut nodes {
                node.settle(&members);
            }
        }
        nodes.retain(|node| self.status.is_none_or(|status| status == node.status));
        let online = nodes
            .iter()
            .filter(|node| node.status == NodeStatus::Online)
            .count();
        let text = format!("{}, {online} online", text::count(nodes.len(), "node"));
        let hint = if seen == 0 {
            Some(pve.empty_hint("Sys.Audit", "/nodes"))
        } else if silent.is_empty() {
            None
        } else {
            Some(why_silent(pve, &silent))
        };
        Ok(Reply::Done(NodeList { nodes, hint }, text))
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
            "the load of {} is unknown, as its pvestatd has not reported for minutes, or the node \
             has only just joined: tools still reach it; if it lasts, run systemctl restart \
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

impl NodeSummary {
    /// Whether pvestatd has reported something of it.
    fn has_load(&self) -> bool {
        self.cpu_percent.is_some() || self.memory_used_bytes.is_some()
    }

    /// Takes corosync's word for a node of which pvestatd reports nothing.
    fn settle(&mut self, members: &Membership) {
        if self.status != NodeStatus::Unknown {
            return;
        }
        if members.has(&self.node) {
            self.status = NodeStatus::Online;
        } else if members.has_lost(&self.node) {
            self.status = NodeStatus::Offline;
        }
    }
}

impl From<RawNode> for NodeSummary {
    fn from(raw: RawNode) -> Self {
        Self {
            status: match raw.status.as_str() {
                "online" => NodeStatus::Online,
                "offline" => NodeStatus::Offline,
                _ => NodeStatus::Unknown,
            },
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

/// A share of a node's time in percent. One below nothing or beyond all is a
/// mistake.
fn share(number: Num<f64>) -> Option<f64> {
    (0.0..=1.0)
        .contains(&number.0)
        .then(|| text::round(number.0 * 100.0, 1))
}

/// One node in full.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetNode {
    /// Its name; case matters.
    #[schemars(length(min = 1))]
    node: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Node {
    node: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxmox_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime_seconds: Option<u64>,
    cpu: Cpu,
    memory: Space,
    swap: Space,
    root: Space,
    #[serde(skip_serializing_if = "Option::is_none")]
    boot_mode: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Cpu {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sockets: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cores: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    threads: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    used_percent: Option<f64>,
    /// Share of time in which it waited for I/O.
    #[serde(skip_serializing_if = "Option::is_none")]
    io_wait_percent: Option<f64>,
    /// Over 1, 5 and 15 minutes, as far as they are known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    load_average: Vec<f64>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Space {
    #[serde(skip_serializing_if = "Option::is_none")]
    used_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    used_percent: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawStatus {
    pveversion: Option<String>,
    kversion: Option<String>,
    current_kernel: Option<RawKernel>,
    uptime: Option<Num<u64>>,
    cpu: Option<Num<f64>>,
    wait: Option<Num<f64>>,
    loadavg: Option<Vec<Option<Num<f64>>>>,
    cpuinfo: Option<RawCpu>,
    memory: Option<RawSpace>,
    swap: Option<RawSpace>,
    rootfs: Option<RawSpace>,
    boot_info: Option<RawBoot>,
}

#[derive(Deserialize)]
struct RawKernel {
    release: Option<String>,
}

#[derive(Deserialize)]
struct RawBoot {
    mode: Option<String>,
}

#[derive(Default, Deserialize)]
struct RawCpu {
    model: Option<String>,
    sockets: Option<Num<u64>>,
    cores: Option<Num<u64>>,
    cpus: Option<Num<u64>>,
}

#[derive(Default, Deserialize)]
struct RawSpace {
    used: Option<Num<u64>>,
    total: Option<Num<u64>>,
}

impl Run for GetNode {
    type Output = Node;

    fn run(self, pve: &Pve) -> Result<Reply<Node>> {
        check_node(pve, "node", &self.node)?;
        let raw: RawStatus =
            pve.get(&Path::new(["nodes", &self.node, "status"]), &Params::new())?;
        let node = Node::new(self.node, raw);
        let text = node.text();
        Ok(Reply::Done(node, text))
    }
}

/// Refuses the name of a node that is not there or is offline, before Proxmox
/// looks it up in DNS for seconds. Where the list of nodes cannot be had, the
/// node itself has to say.
pub(crate) fn check_node(pve: &Pve, argument: &str, name: &str) -> Result<()> {
    match choose_node(pve, argument, Some(name)) {
        Err(error @ (Error::NotFound(_) | Error::Unreachable(_))) => Err(error),
        _ => Format::Node.check(argument, name),
    }
}

/// Refuses the name of a node that is not there; one that is offline may pass.
pub(crate) fn known_node(pve: &Pve, name: &str) -> Result<()> {
    match choose_node(pve, "node", Some(name)) {
        Err(error @ Error::NotFound(_)) => Err(error),
        _ => Ok(()),
    }
}

impl Node {
    fn new(node: String, raw: RawStatus) -> Self {
        let cpuinfo = raw.cpuinfo.unwrap_or_default();
        let kernel = raw.current_kernel.and_then(|kernel| kernel.release);
        Self {
            node,
            // "pve-manager/9.2.11/14a22df35955d97d"
            proxmox_version: raw.pveversion.map(|version| {
                version
                    .split('/')
                    .nth(1)
                    .map_or_else(|| version.clone(), str::to_owned)
            }),
            kernel: kernel.or(raw.kversion),
            uptime_seconds: raw.uptime.map(|seconds| seconds.0),
            cpu: Cpu {
                model: cpuinfo.model,
                sockets: cpuinfo.sockets.map(|number| number.0),
                cores: cpuinfo.cores.map(|number| number.0),
                threads: cpuinfo.cpus.map(|number| number.0),
                used_percent: raw.cpu.and_then(share),
                io_wait_percent: raw.wait.and_then(share),
                // After a gap it is unknown which value is which.
                load_average: raw
                    .loadavg
                    .unwrap_or_default()
                    .into_iter()
                    .map_while(|load| load.map(|load| load.0))
                    .collect(),
            },
            memory: raw.memory.into(),
            swap: raw.swap.into(),
            root: raw.rootfs.into(),
            boot_mode: raw.boot_info.and_then(|boot| boot.mode),
        }
    }

    fn text(&self) -> String {
        let mut text = self.node.clone();
        if let Some(version) = &self.proxmox_version {
            text.push_str(&format!(": {version}"));
        }
        if let Some(percent) = self.cpu.used_percent {
            text.push_str(&format!(", CPU {percent}%"));
        }
        if let (Some(used), Some(total)) = (self.memory.used_bytes, self.memory.total_bytes) {
            text.push_str(&format!(
                ", memory {} of {}",
                text::bytes(used),
                text::bytes(total)
            ));
        }
        if let Some(seconds) = self.uptime_seconds {
            text.push_str(&format!(", up {}", text::duration(seconds)));
        }
        text
    }
}

impl From<Option<RawSpace>> for Space {
    fn from(raw: Option<RawSpace>) -> Self {
        let raw = raw.unwrap_or_default();
        let (used, total) = (
            raw.used.map(|bytes| bytes.0),
            raw.total.map(|bytes| bytes.0),
        );
        Self {
            used_bytes: used,
            total_bytes: total,
            // A node without swap uses 0% of it.
            used_percent: used
                .zip(total)
                .filter(|(used, total)| used <= total)
                .map(|(used, total)| text::percent(used as f64, total as f64)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn offline_nodes_have_a_name_and_a_status() {
        let raw: RawNode = serde_json::from_value(json!({
            "id": "node/pve2", "type": "node", "status": "offline", "node": "pve2",
            "ssl_fingerprint": null
        }))
        .unwrap();
        assert_eq!(
            serde_json::to_value(NodeSummary::from(raw)).unwrap(),
            json!({"node": "pve2", "status": "offline"})
        );
    }

    #[test]
    fn shares_beyond_all_are_left_out() {
        let raw: RawStatus = serde_json::from_value(json!({
            "cpu": 1.5, "wait": -0.1, "rootfs": {"used": 50, "total": 10}
        }))
        .unwrap();
        let node = Node::new("pve1".into(), raw);
        assert_eq!(
            (node.cpu.used_percent, node.root.used_percent),
            (None, None)
        );
        assert_eq!(node.cpu.io_wait_percent, None);
    }

    #[test]
    fn status_with_numbers_as_strings() {
        let raw: RawStatus = serde_json::from_value(json!({
            "loadavg": ["2.91", "2.41", "3.05"], "kversion": "Linux 6.18.44 #1", "cpu": 0.125,
            "wait": 0, "uptime": 4309, "pveversion": "pve-manager/9.2.11/14a22df35955d97d",
            "cpuinfo": {"sockets": 1, "cpus": 4, "cores": 2, "model": "AMD EPYC", "mhz": "2445"},
            "memory": {"total": 4000, "used": 1000, "free": 3000},
            "swap": {"used": 0, "total": 0, "free": 0},
            "rootfs": {"used": 1, "total": 3, "avail": 2},
            "current-kernel": {"release": "6.18.44", "machine": "x86_64"},
            "boot-info": {"mode": "efi"}
        }))
        .unwrap();
        let node = Node::new("pve1".into(), raw);
        assert_eq!(node.proxmox_version.as_deref(), Some("9.2.11"));
        assert_eq!(node.kernel.as_deref(), Some("6.18.44"));
        assert_eq!(node.cpu.load_average, [2.91, 2.41, 3.05]);
        assert_eq!(node.cpu.used_percent, Some(12.5));
        assert_eq!(node.root.used_percent, Some(33.3));
        assert_eq!(node.swap.used_percent, Some(0.0));
    }

    #[test]
    fn what_is_absent_is_no_zero() {
        let raw: RawStatus = serde_json::from_value(json!({
            "uptime": null, "cpu": null, "loadavg": ["0.1", null, "0.3"], "pveversion": null,
            "kversion": "Linux 6.8", "cpuinfo": {"model": null, "cpus": "8"}, "swap": null,
            "rootfs": {"used": "15", "total": "90"}
        }))
        .unwrap();
        let node = serde_json::to_value(Node::new("pve1".into(), raw)).unwrap();
        assert_eq!(
            node,
            json!({
                "node": "pve1", "kernel": "Linux 6.8",
                "cpu": {"threads": 8, "load_average": [0.1]},
                "memory": {}, "swap": {},
                "root": {"used_bytes": 15, "total_bytes": 90, "used_percent": 16.7},
            })
        );
    }
}
