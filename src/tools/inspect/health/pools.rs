//! How full and how healthy pools and storages are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::pve::{Num, StorageStatus};
use crate::tools::finding::{Finding, Severity};
use crate::{text, tool_names};

#[derive(Debug, Deserialize)]
pub(crate) struct RawZfs {
    name: String,
    health: Option<String>,
    size: Option<Num<u64>>,
    alloc: Option<Num<u64>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RawThin {
    #[serde(default)]
    vg: String,
    lv: String,
    lv_size: Option<Num<u64>>,
    used: Option<Num<u64>>,
    metadata_size: Option<Num<u64>>,
    metadata_used: Option<Num<u64>>,
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct StoragePool {
    /// A ZFS pool, or `group/pool` of LVM.
    name: String,
    #[serde(rename = "type")]
    kind: PoolKind,
    /// Of ZFS: `ONLINE`, `DEGRADED`, `FAULTED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    used_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata_used_percent: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
enum PoolKind {
    #[serde(rename = "zfs")]
    Zfs,
    #[serde(rename = "lvmthin")]
    LvmThin,
}

/// From these shares on, in percent.
const NEARLY_FULL: f64 = 85.0;
const FULL: f64 = 95.0;
const METADATA: f64 = 80.0;

/// How much of something is used, in percent; absent where that cannot be told.
pub(crate) fn used_percent(used: Option<Num<u64>>, total: Option<Num<u64>>) -> Option<f64> {
    let (used, total) = (used?.0, total?.0);
    (total > 0 && used <= total).then(|| text::percent(used as f64, total as f64))
}

/// How bad it is to be so full, if it is.
pub(super) fn fullness(percent: f64) -> Option<Severity> {
    if percent >= FULL {
        Some(Severity::High)
    } else if percent >= NEARLY_FULL {
        Some(Severity::Medium)
    } else {
        None
    }
}

impl From<RawZfs> for StoragePool {
    fn from(raw: RawZfs) -> Self {
        Self {
            name: raw.name,
            kind: PoolKind::Zfs,
            state: raw.health,
            total_bytes: raw.size.map(|size| size.0),
            used_percent: used_percent(raw.alloc, raw.size),
            metadata_used_percent: None,
        }
    }
}

impl From<RawThin> for StoragePool {
    fn from(raw: RawThin) -> Self {
        Self {
            name: if raw.vg.is_empty() {
                raw.lv
            } else {
                format!("{}/{}", raw.vg, raw.lv)
            },
            kind: PoolKind::LvmThin,
            state: None,
            total_bytes: raw.lv_size.map(|size| size.0),
            used_percent: used_percent(raw.used, raw.lv_size),
            metadata_used_percent: used_percent(raw.metadata_used, raw.metadata_size),
        }
    }
}

impl StoragePool {
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let name = &self.name;
        match self.state.as_deref() {
            None | Some("ONLINE" | "") => {}
            Some("DEGRADED") => findings.push(Finding::new(
                Severity::High,
                format!("the ZFS pool {name} is degraded: it has lost its redundancy"),
                "see which disk with zpool status -v on the node, and replace it",
            )),
            Some(state) => findings.push(Finding::new(
                Severity::High,
                format!("the ZFS pool {name} is {state}: its volumes cannot be used"),
                "look at zpool status -v on the node",
            )),
        }
        if let Some(percent) = self.used_percent
            && let Some(severity) = fullness(percent)
        {
            let what = match self.kind {
                PoolKind::Zfs => format!("the ZFS pool {name} is {percent}% full"),
                PoolKind::LvmThin => format!(
                    "the thin pool {name} is {percent}% full: at 100% all its guests stop with I/O \
                     errors"
                ),
            };
            findings.push(Finding::new(
                severity,
                what,
                "make room: old snapshots, unused disks, or move a disk to another storage",
            ));
        }
        if let Some(percent) = self.metadata_used_percent.filter(|used| *used >= METADATA) {
            findings.push(Finding::new(
                Severity::High,
                format!(
                    "the metadata of the thin pool {name} is {percent}% full: when it is full, the \
                     pool needs repair"
                ),
                format!("on the node: lvextend --poolmetadatasize +1G {name}"),
            ));
        }
        findings
    }
}

/// Storages that are full, or that the node does not reach.
pub(crate) fn of_storages(storages: &[StorageStatus]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for one in storages.iter().filter(|one| one.enabled.0) {
        let name = &one.storage;
        if one.active.is_some_and(|active| !active.0) {
            findings.push(Finding::new(
                Severity::High,
                format!("the storage {name} is enabled, but the node does not reach it"),
                format!(
                    "check the server or the disk behind it, and pvestatd's messages with {}",
                    tool_names::GET_NODE_LOG
                ),
            ));
            continue;
        }
        if let Some(percent) = used_percent(one.used, one.total)
            && let Some(severity) = fullness(percent)
        {
            findings.push(
                Finding::new(
                    severity,
                    format!("the storage {name} is {percent}% full"),
                    format!(
                        "see what is on it with {}",
                        tool_names::LIST_STORAGE_CONTENT
                    ),
                )
                .on(one.avail.map_or_else(
                    || "free space unknown".to_owned(),
                    |avail| format!("{} free", text::bytes(avail.0)),
                )),
            );
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pools_and_what_is_wrong_with_them() {
        let zfs = |health: &str, alloc: u64| {
            StoragePool::from(
                serde_json::from_value::<RawZfs>(json!({"name": "tank", "health": health,
                    "size": 100, "alloc": alloc, "free": 1, "frag": 3, "dedup": 1.0}))
                .unwrap(),
            )
        };
        assert!(zfs("ONLINE", 84).findings().is_empty());
        assert_eq!(zfs("DEGRADED", 96).findings().len(), 2);
        assert!(
            zfs("SUSPENDED", 1).findings()[0]
                .finding
                .contains("SUSPENDED")
        );
        let thin: RawThin = serde_json::from_value(json!({"vg": "pve", "lv": "data",
            "lv_size": "1000", "used": 860, "metadata_size": 100, "metadata_used": 81}))
        .unwrap();
        let thin = StoragePool::from(thin);
        assert_eq!(thin.name, "pve/data");
        let found = thin.findings();
        assert_eq!(
            (found[0].severity, found[1].severity),
            (Severity::Medium, Severity::High)
        );
    }

    #[test]
    fn storages_out_of_reach() {
        let storages: Vec<StorageStatus> = serde_json::from_value(json!([
            {"storage": "nas", "enabled": 1, "active": 0},
            {"storage": "off", "enabled": 0, "active": 0},
            {"storage": "local", "enabled": 1, "active": 1, "used": 97, "total": 100, "avail": 3},
        ]))
        .unwrap();
        let found = of_storages(&storages);
        assert_eq!(found.len(), 2);
        assert!(found[0].finding.contains("nas") && found[1].finding.contains("97%"));
    }
}
