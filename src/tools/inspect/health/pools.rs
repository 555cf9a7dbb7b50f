//! How full and how healthy pools and storages are.

use schemars::JsonSchema;
use serde::Serialize;

use crate::json::{DeserializeFields, SerializeFields};
use crate::pve::{Num, StorageStatus};
use crate::tools::finding::{Finding, Severity};
use crate::{text, tool_names};

#[derive(Debug, DeserializeFields)]
pub(crate) struct RawZfs {
    name: String,
    health: Option<String>,
    size: Option<Num<u64>>,
    alloc: Option<Num<u64>>,
}

/// A ZFS pool in detail, or a disk or group of disks in it.
#[derive(Debug, Default, DeserializeFields)]
#[serde(default)]
pub(crate) struct RawPool {
    name: Option<String>,
    /// Of the pool: `No known data errors`.
    errors: Option<String>,
    read: Option<Num<u64>>,
    write: Option<Num<u64>>,
    cksum: Option<Num<u64>>,
    children: Vec<RawPool>,
}

#[derive(Debug, DeserializeFields)]
pub(crate) struct RawThin {
    #[serde(default)]
    vg: String,
    lv: String,
    lv_size: Option<Num<u64>>,
    used: Option<Num<u64>>,
    metadata_size: Option<Num<u64>>,
    metadata_used: Option<Num<u64>>,
}

#[derive(Debug, PartialEq, SerializeFields, JsonSchema)]
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
    /// Of ZFS: data that is lost, in its own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    data_errors: Option<String>,
    /// Of ZFS: `sda: 3 checksum errors`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    device_errors: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
enum PoolKind {
    #[serde(rename = "zfs")]
    Zfs,
    #[serde(rename = "lvmthin")]
    LvmThin,
}

/// From these shares on, in percent: of storages and pools, on which guests grow,
/// and of the metadata of a thin pool.
const NEARLY_FULL: f64 = 70.0;
const FULL: f64 = 85.0;
const METADATA: f64 = 80.0;

/// How many disks with errors are named.
const MOST_DEVICES: usize = 12;

/// How much of something is used, in percent; absent where that cannot be told.
pub(crate) fn used_percent(used: Option<Num<u64>>, total: Option<Num<u64>>) -> Option<f64> {
    let (used, total) = (used?.0, total?.0);
    (total > 0 && used <= total).then(|| text::percent(used as f64, total as f64))
}

/// How bad it is for a storage or pool to be so full, if it is.
fn fullness(percent: f64) -> Option<Severity> {
    if percent >= FULL {
        Some(Severity::High)
    } else if percent >= NEARLY_FULL {
        Some(Severity::Medium)
    } else {
        None
    }
}

/// How full a filesystem is, in percent. Some of it may be kept for root, so that
/// what is used and what is available are less than the total.
pub(super) fn used_of_available(
    used: Option<Num<u64>>,
    avail: Option<Num<u64>>,
    total: Option<Num<u64>>,
) -> Option<f64> {
    let sum = match (used, avail) {
        (Some(used), Some(avail)) => Some(Num(used.0.saturating_add(avail.0))),
        _ => total,
    };
    used_percent(used, sum)
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
            data_errors: None,
            device_errors: Vec::new(),
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
            data_errors: None,
            device_errors: Vec::new(),
        }
    }
}

impl RawPool {
    /// The errors of its disks, in words.
    fn device_errors(&self, errors: &mut Vec<String>) {
        for child in &self.children {
            let count = |number: Option<Num<u64>>, what: &str| {
                let number = number.map_or(0, |number| number.0);
                (number > 0).then(|| format!("{number} {what} errors"))
            };
            let counts = [
                count(child.read, "read"),
                count(child.write, "write"),
                count(child.cksum, "checksum"),
            ];
            let counts: Vec<String> = counts.into_iter().flatten().collect();
            // What is above a disk counts its errors again.
            if !counts.is_empty() && child.children.is_empty() && errors.len() < MOST_DEVICES {
                let name = text::cut(child.name.as_deref().unwrap_or("a disk"), 80);
                errors.push(format!("{name}: {}", counts.join(", ")));
            }
            child.device_errors(errors);
        }
    }
}

impl StoragePool {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Adds what a ZFS pool says of its errors.
    pub(crate) fn add(&mut self, detail: &RawPool) {
        self.data_errors = detail
            .errors
            .as_deref()
            .map(str::trim)
            .filter(|errors| !errors.is_empty() && !errors.starts_with("No known data errors"))
            .map(|errors| text::cut(errors, 200));
        detail.device_errors(&mut self.device_errors);
    }

    fn errors(&self) -> Vec<Finding> {
        let name = &self.name;
        let mut findings = Vec::new();
        if let Some(errors) = &self.data_errors {
            findings.push(
                Finding::new(
                    Severity::High,
                    format!("the ZFS pool {name} has lost data"),
                    "zpool status -v on the node names the volumes and files: restore them from a \
                     backup",
                )
                .on(errors.clone()),
            );
        }
        if !self.device_errors.is_empty() {
            findings.push(
                Finding::new(
                    Severity::Medium,
                    format!("disks of the ZFS pool {name} have had errors"),
                    "look at SMART and the cables of these disks, run zpool scrub on the node, and \
                     zpool clear once the cause is gone",
                )
                .on(self.device_errors.join("; ")),
            );
        }
        findings
    }

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
        findings.extend(self.errors());
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
                format!(
                    "make room: old snapshots, unused disks, or move a disk to another storage with \
                     {}",
                    tool_names::MOVE_DISK
                ),
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
        if one.total.is_none_or(|total| total.0 == 0) {
            continue;
        }
        let Some(percent) = used_of_available(one.used, one.avail, one.total) else {
            continue;
        };
        // Its volumes have their space from the start.
        if one.is_allocated_at_once() {
            findings.extend((percent >= FULL).then(|| {
                Finding::new(
                    Severity::Low,
                    format!("{percent}% of the storage {name} is allocated to volumes"),
                    "new disks may not fit: those that exist are not affected",
                )
            }));
            continue;
        }
        if let Some(severity) = fullness(percent) {
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
        assert!(zfs("ONLINE", 69).findings().is_empty());
        assert_eq!(zfs("ONLINE", 70).findings()[0].severity, Severity::Medium);
        assert_eq!(zfs("DEGRADED", 96).findings().len(), 2);
        assert!(
            zfs("SUSPENDED", 1).findings()[0]
                .finding
                .contains("SUSPENDED")
        );
        let thin: RawThin = serde_json::from_value(json!({"vg": "pve", "lv": "data",
            "lv_size": "1000", "used": 760, "metadata_size": 100, "metadata_used": 81}))
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
    fn an_online_pool_may_have_errors() {
        let mut pool = StoragePool::from(
            serde_json::from_value::<RawZfs>(json!({"name": "tank", "health": "ONLINE"})).unwrap(),
        );
        let detail = |errors: &str, cksum: u64| -> RawPool {
            serde_json::from_value(json!({"name": "tank", "state": "ONLINE", "errors": errors,
                "scan": "scrub repaired 0B", "children": [{"name": "mirror-0", "cksum": cksum,
                    "read": 0, "write": "0", "msg": "", "children": [
                        {"name": "sda", "cksum": cksum, "leaf": 1}, {"name": "sdb", "cksum": 0}]}]}))
            .unwrap()
        };
        pool.add(&detail("No known data errors", 0));
        assert!(pool.findings().is_empty());
        pool.add(&detail("3 data errors, use '-v' for a list", 3));
        let found = pool.findings();
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0].severity, Severity::High);
        assert_eq!(found[1].evidence.as_deref(), Some("sda: 3 checksum errors"));
        // A pool that does not exist has no name.
        let gone: RawPool = serde_json::from_value(json!({"name": null, "leaf": 1})).unwrap();
        assert!(gone.children.is_empty());
    }

    #[test]
    fn storages_that_are_allocated_at_once() {
        let storages: Vec<StorageStatus> = serde_json::from_value(json!([
            {"storage": "fat", "type": "lvm", "enabled": 1, "active": 1, "used": 100, "total": 100,
                "avail": 0},
            {"storage": "san", "type": "iscsi", "enabled": 1, "active": 1, "used": 0, "total": 0,
                "avail": 0},
            {"storage": "root", "type": "dir", "enabled": 1, "active": 1, "used": 68, "total": 100,
                "avail": 27},
        ]))
        .unwrap();
        let found = of_storages(&storages);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0].severity, Severity::Low);
        assert!(found[0].finding.contains("allocated"), "{found:?}");
        // 68 of 95, without what is kept for root.
        assert!(found[1].finding.contains("71.6% full"), "{found:?}");
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
