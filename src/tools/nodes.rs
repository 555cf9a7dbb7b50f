//! Nodes: the list, and one in full.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::pve::{Num, Params, Path, Pve, choose_node};
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
        let mut nodes: Vec<NodeSummary> = raw
            .into_iter()
            .map(NodeSummary::from)
            .filter(|node| self.status.is_none_or(|status| status == node.status))
            .collect();
        nodes.sort_by(|a, b| a.node.cmp(&b.node));
        let online = nodes
            .iter()
            .filter(|node| node.status == NodeStatus::Online)
            .count();
        let text = format!("{}, {online} online", text::count(nodes.len(), "node"));
        let hint = (seen == 0).then(|| pve.empty_hint("Sys.Audit", "/nodes"));
        Ok(Reply::Done(NodeList { nodes, hint }, text))
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
            cpu_percent: raw.cpu.map(|cpu| text::round(cpu.0 * 100.0, 1)),
            cpus: raw.maxcpu.map(|number| number.0),
            memory_used_bytes: raw.mem.map(|number| number.0),
            memory_total_bytes: raw.maxmem.map(|number| number.0),
            root_used_bytes: raw.disk.map(|number| number.0),
            root_total_bytes: raw.maxdisk.map(|number| number.0),
            uptime_seconds: raw.uptime.map(|number| number.0),
        }
    }
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
    proxmox_version: String,
    kernel: String,
    uptime_seconds: u64,
    cpu: Cpu,
    memory: Space,
    swap: Space,
    root: Space,
    #[serde(skip_serializing_if = "Option::is_none")]
    boot_mode: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Cpu {
    model: String,
    sockets: u64,
    cores: u64,
    threads: u64,
    used_percent: f64,
    /// Share of time in which it waited for I/O.
    io_wait_percent: f64,
    /// Over 1, 5 and 15 minutes.
    load_average: Vec<f64>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Space {
    used_bytes: u64,
    total_bytes: u64,
    used_percent: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawStatus {
    #[serde(default)]
    pveversion: String,
    #[serde(default)]
    kversion: String,
    current_kernel: Option<RawKernel>,
    #[serde(default)]
    uptime: Num<u64>,
    #[serde(default)]
    cpu: Num<f64>,
    #[serde(default)]
    wait: Num<f64>,
    #[serde(default)]
    loadavg: Vec<Num<f64>>,
    #[serde(default)]
    cpuinfo: RawCpu,
    #[serde(default)]
    memory: RawSpace,
    #[serde(default)]
    swap: RawSpace,
    #[serde(default)]
    rootfs: RawSpace,
    boot_info: Option<RawBoot>,
}

#[derive(Deserialize)]
struct RawKernel {
    release: String,
}

#[derive(Deserialize)]
struct RawBoot {
    mode: Option<String>,
}

#[derive(Default, Deserialize)]
struct RawCpu {
    #[serde(default)]
    model: String,
    #[serde(default)]
    sockets: Num<u64>,
    #[serde(default)]
    cores: Num<u64>,
    #[serde(default)]
    cpus: Num<u64>,
}

#[derive(Default, Deserialize)]
struct RawSpace {
    #[serde(default)]
    used: Num<u64>,
    #[serde(default)]
    total: Num<u64>,
}

impl Run for GetNode {
    type Output = Node;

    fn run(self, pve: &Pve) -> Result<Reply<Node>> {
        let node = choose_node(pve, "node", Some(&self.node))?;
        let raw: RawStatus = pve.get(&Path::new(["nodes", &node, "status"]), &Params::new())?;
        let node = Node::new(node, raw);
        let text = format!(
            "{}: {}, CPU {}%, memory {} of {}, up {}",
            node.node,
            node.proxmox_version,
            node.cpu.used_percent,
            text::bytes(node.memory.used_bytes),
            text::bytes(node.memory.total_bytes),
            text::duration(node.uptime_seconds),
        );
        Ok(Reply::Done(node, text))
    }
}

impl Node {
    fn new(node: String, raw: RawStatus) -> Self {
        // "pve-manager/9.2.11/14a22df35955d97d"
        let version = raw.pveversion.split('/').nth(1).unwrap_or(&raw.pveversion);
        Self {
            node,
            proxmox_version: version.to_owned(),
            kernel: raw
                .current_kernel
                .map_or(raw.kversion, |kernel| kernel.release),
            uptime_seconds: raw.uptime.0,
            cpu: Cpu {
                model: raw.cpuinfo.model,
                sockets: raw.cpuinfo.sockets.0,
                cores: raw.cpuinfo.cores.0,
                threads: raw.cpuinfo.cpus.0,
                used_percent: text::round(raw.cpu.0 * 100.0, 1),
                io_wait_percent: text::round(raw.wait.0 * 100.0, 1),
                load_average: raw.loadavg.into_iter().map(|load| load.0).collect(),
            },
            memory: raw.memory.into(),
            swap: raw.swap.into(),
            root: raw.rootfs.into(),
            boot_mode: raw.boot_info.and_then(|boot| boot.mode),
        }
    }
}

impl From<RawSpace> for Space {
    fn from(raw: RawSpace) -> Self {
        Self {
            used_bytes: raw.used.0,
            total_bytes: raw.total.0,
            used_percent: text::percent(raw.used.0 as f64, raw.total.0 as f64),
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
        assert_eq!(node.proxmox_version, "9.2.11");
        assert_eq!(node.kernel, "6.18.44");
        assert_eq!(node.cpu.load_average, [2.91, 2.41, 3.05]);
        assert_eq!(node.cpu.used_percent, 12.5);
        assert_eq!(node.root.used_percent, 33.3);
        assert_eq!(node.swap.used_percent, 0.0);
    }
}
