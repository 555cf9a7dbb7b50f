//! `list_storage`: the storages of the cluster or of one node.

use pve_api::calls;
use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::unknown::unknown_node;
use crate::error::{Error, Result};
use crate::json::{DeserializeFields, SerializeFields};
use crate::pve::{
    Content, Flag, Listed, Pve, StorageResource, StorageStatus, storage_resources, storages,
};
use crate::text;
use crate::tool::declared::{Calls, LOOK_UP};
use crate::tool::{Offset, Page, Reply, Run};

/// Storages of the cluster or of one node.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListStorage {
    /// Only storages of this node.
    node: Option<String>,
    /// Only storages that allow this content.
    content: Option<Content>,
    offset: Option<Offset>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct StorageList {
    storages: Vec<StorageSummary>,
    /// Number of matches, including those not shown.
    total: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
struct StorageSummary {
    storage: String,
    /// All its nodes: a shared storage is listed once.
    nodes: Vec<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    content: Vec<String>,
    /// Whether at least one of the nodes reaches it; absent where that is not
    /// known.
    #[serde(skip_serializing_if = "Option::is_none")]
    active: Option<bool>,
    shared: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    used_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    used_percent: Option<f64>,
}

impl Run for ListStorage {
    type Output = StorageList;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::One(&calls::nodes::LIST),
        Calls::One(&calls::storage::LIST),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<StorageList>> {
        let all = storage_resources(pve)?;
        let none_seen = all.is_empty();
        if let Some(node) = &self.node
            && !none_seen
            && !all.iter().any(|resource| resource.node == *node)
        {
            return Err(unknown_node(pve, node, &all));
        }
        let mut found: Vec<StorageResource> = all
            .into_iter()
            .filter(|resource| resource.matches(None, self.node.as_deref()))
            .filter(|resource| {
                self.content
                    .is_none_or(|content| resource.may_hold(content))
            })
            .collect();
        let mut notes = Vec::new();
        let own = own_lists(pve, &found, &mut notes);
        let of = |resource: &StorageResource| {
            own.get(&(resource.node.clone(), resource.storage.clone()))
        };
        for resource in &mut found {
            if let Some(listed) = of(resource) {
                complete(resource, listed);
            }
        }
        found.retain(|resource| {
            self.content
                .is_none_or(|content| resource.may_hold(content))
        });
        let storages = merge(found.into_iter().map(|resource| {
            let listed = of(&resource);
            StorageSummary::new(resource, listed)
        }));
        let mut storages = storages;
        let text = text::count(storages.len(), "storage");
        let total = storages.len();
        let page = Page::new(self.offset, None, u32::MAX);
        let part = page.cut(&mut storages, "/storages", "node or content");
        notes.extend(part.note());
        if none_seen {
            notes.push(pve.empty_hint(Listed::Storages));
        }
        let hint = (!notes.is_empty()).then(|| notes.join("; "));
        let list = StorageList {
            storages,
            total,
            hint,
        };
        Ok(Reply::Listed(list, text, part))
    }
}

/// How many nodes are asked for what pvestatd has not reported.
const MOST_NODES: usize = 8;

/// Completes a storage from its node's own list.
fn complete(resource: &mut StorageResource, listed: &StorageStatus) {
    if resource.content.is_empty() {
        resource.content.clone_from(&listed.content);
    }
    if resource.plugintype.is_none() {
        resource.plugintype = Some(listed.kind.clone()).filter(|kind| !kind.is_empty());
        resource.shared = Flag(resource.shared.0 || listed.shared.0);
    }
}

/// Storages whose status pvestatd has not reported, by node and storage, as the nodes
/// themselves report them; and why the status was not known.
fn own_lists(
    pve: &Pve,
    resources: &[StorageResource],
    reasons: &mut Vec<String>,
) -> BTreeMap<(String, String), StorageStatus> {
    let mut own = BTreeMap::new();
    let mut nodes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for resource in resources.iter().filter(|resource| !resource.is_available()) {
        if resource.is_offline() {
            let why = format!("node {} is offline", resource.node);
            if !reasons.contains(&why) {
                reasons.push(why);
            }
        } else {
            nodes
                .entry(&resource.node)
                .or_default()
                .push(&resource.storage);
        }
    }
    for (asked, (node, unknown)) in nodes.into_iter().enumerate() {
        let why = format!(
            "the status of {} is unknown: the pvestatd of node {node} has not reported",
            unknown.join(", ")
        );
        if asked >= MOST_NODES {
            reasons.push(why);
            continue;
        }
        match storages(pve, node) {
            Ok(listed) => {
                own.extend(
                    listed
                        .into_iter()
                        .map(|one| ((node.to_owned(), one.storage.clone()), one)),
                );
                reasons.push(format!("{why} (the values shown are from the node itself)"));
            }
            Err(failure) => reasons.push(format!(
                "{why}, and the node's own list cannot be read: {}",
                text::cut(&Error::from(failure).message(), 300)
            )),
        }
    }
    own
}

/// Shared storages become one entry.
fn merge(all: impl Iterator<Item = StorageSummary>) -> Vec<StorageSummary> {
    let mut merged: Vec<StorageSummary> = Vec::new();
    for next in all {
        let twin = merged
            .iter_mut()
            .find(|one| next.shared && one.shared && one.storage == next.storage);
        match twin {
            None => merged.push(next),
            Some(twin) => {
                twin.nodes.extend(next.nodes);
                let is_better = next.active == Some(true) && twin.active != Some(true);
                if is_better || (next.active.is_none() && twin.active == Some(false)) {
                    twin.active = next.active;
                }
                if is_better {
                    twin.used_bytes = next.used_bytes;
                    twin.total_bytes = next.total_bytes;
                    twin.used_percent = next.used_percent;
                }
            }
        }
    }
    merged
}

impl StorageSummary {
    fn new(resource: StorageResource, listed: Option<&StorageStatus>) -> Self {
        let is_available = resource.is_available();
        let active = if is_available {
            Some(true)
        } else if let Some(listed) = listed {
            listed.active.map(|active| active.0)
        } else {
            resource.is_offline().then_some(false)
        };
        let (used, total) = if is_available {
            (resource.disk, resource.maxdisk)
        } else {
            listed.map_or((None, None), |listed| (listed.used, listed.total))
        };
        // One without a size, such as iSCSI, reports 0.
        let total = total.map(|bytes| bytes.0).filter(|bytes| *bytes > 0);
        let used = used.map(|bytes| bytes.0).filter(|_| total.is_some());
        let content = resource.contents();
        let content = content.into_iter().map(str::to_owned).collect();
        Self {
            storage: resource.storage,
            nodes: vec![resource.node],
            kind: resource.plugintype,
            content,
            active,
            shared: resource.shared.0,
            used_bytes: used,
            total_bytes: total,
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

    fn resource(value: serde_json::Value) -> StorageResource {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn shared_storages_are_listed_once() {
        let merged = merge(
            [
                json!({"storage": "bulk", "node": "pve1", "status": "unknown", "shared": 1, "content": "images"}),
                json!({"storage": "bulk", "node": "pve2", "status": "available", "shared": 1,
                    "content": "images", "disk": 50, "maxdisk": 200, "plugintype": "nfs"}),
                json!({"storage": "local", "node": "pve1", "status": "available", "shared": 0,
                    "content": "iso,backup", "disk": 1, "maxdisk": 3}),
                json!({"storage": "local", "node": "pve2", "status": "available", "shared": 0, "content": "iso"}),
            ]
            .into_iter()
            .map(|value| StorageSummary::new(resource(value), None)),
        );
        assert_eq!(merged.len(), 3);
        assert_eq!(merged[0].nodes, ["pve1", "pve2"]);
        assert_eq!(merged[0].active, Some(true));
        assert_eq!(merged[0].used_percent, Some(25.0));
        assert_eq!(merged[1].content, ["backup", "iso"]);
    }

    #[test]
    fn unknown_is_neither_active_nor_inactive() {
        let unknown = || resource(json!({"storage": "pbs", "node": "pve1", "status": "unknown"}));
        assert_eq!(StorageSummary::new(unknown(), None).active, None);
        let listed =
            serde_json::from_value(json!({"storage": "pbs", "active": 1, "used": 1, "total": "4"}))
                .unwrap();
        let summary = StorageSummary::new(unknown(), Some(&listed));
        assert_eq!(
            (summary.active, summary.used_percent),
            (Some(true), Some(25.0))
        );
        let listed: StorageStatus = serde_json::from_value(
            json!({"storage": "pbs", "type": "pbs", "content": "backup", "shared": 1}),
        )
        .unwrap();
        let mut resource = unknown();
        complete(&mut resource, &listed);
        assert!(resource.holds(Content::Backup) && resource.shared.0);
        assert_eq!(resource.plugintype.as_deref(), Some("pbs"));
    }

    #[test]
    fn a_storage_without_a_size_claims_none() {
        let iscsi = StorageSummary::new(
            resource(
                json!({"storage": "iSCSI.NAS", "node": "pve1", "status": "available",
                "content": "none", "disk": 0, "maxdisk": 0}),
            ),
            None,
        );
        assert_eq!(iscsi.active, Some(true));
        assert_eq!(
            (iscsi.used_bytes, iscsi.total_bytes, iscsi.used_percent),
            (None, None, None)
        );
        assert!(iscsi.content.is_empty());
    }
}
