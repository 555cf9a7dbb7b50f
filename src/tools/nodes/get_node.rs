//! `get_node`: one node in full.

use pve_api::calls;
use schemars::JsonSchema;

use super::share::share;
use crate::error::Result;
use crate::json::{DeserializeFields, SerializeFields};
use crate::pve::{At, NodeStatus, Params, Pve, Usage, check_node};
use crate::text;
use crate::tool::declared::Calls;
use crate::tool::{Reply, Run};

/// One node in full.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetNode {
    /// Its name; case matters.
    #[schemars(length(min = 1))]
    node: String,
}

#[derive(Debug, SerializeFields, JsonSchema)]
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

#[derive(Debug, SerializeFields, JsonSchema)]
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

#[derive(Debug, SerializeFields, JsonSchema)]
struct Space {
    #[serde(skip_serializing_if = "Option::is_none")]
    used_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    used_percent: Option<f64>,
}

impl Run for GetNode {
    type Output = Node;

    const CALLS: &'static [Calls] = &[
        Calls::One(&calls::cluster::STATUS),
        Calls::One(&calls::nodes::LIST),
        Calls::One(&calls::nodes::STATUS),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<Node>> {
        check_node(pve, "node", &self.node)?;
        let raw: NodeStatus = pve.send(&calls::nodes::STATUS.at([&self.node]), &Params::new())?;
        let node = Node::new(self.node, raw);
        let text = node.text();
        Ok(Reply::Done(node, text))
    }
}

impl Node {
    fn new(node: String, raw: NodeStatus) -> Self {
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

impl From<Option<Usage>> for Space {
    fn from(raw: Option<Usage>) -> Self {
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
    fn shares_beyond_all_are_left_out() {
        let raw: NodeStatus = serde_json::from_value(json!({
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
        let raw: NodeStatus = serde_json::from_value(json!({
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
        let raw: NodeStatus = serde_json::from_value(json!({
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
