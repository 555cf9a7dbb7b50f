//! `list_storage`: the storages of the cluster or of one node.

use std::collections::BTreeMap;

use pve_api::calls;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::unknown::unknown_node;
use crate::error::{Error, Result};
use crate::pve::{At, Content, Flag, Num, Params, Place, Pve, places};
use crate::text;
use crate::tool::{Reply, Run, bounds};

/// Storages of the cluster or of one node.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListStorage {
    /// Only as this node sees them.
    node: Option<String>,
    /// Only those that may hold this.
    content: Option<Content>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct StorageList {
    storages: Vec<StorageSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
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

    fn run(self, pve: &Pve) -> Result<Reply<StorageList>> {
        let all = places(pve)?;
        let none_seen = all.is_empty();
        if let Some(node) = &self.node
            && !none_seen
            && !all.iter().any(|place| place.node == *node)
        {
            return Err(unknown_node(pve, node, &all));
        }
        let mut found: Vec<Place> = all
            .into_iter()
            .filter(|place| self.node.as_ref().is_none_or(|node| *node == place.node))
            .filter(|place| self.content.is_none_or(|content| place.may_hold(content)))
            .collect();
        let mut notes = Vec::new();
        let own = own_lists(pve, &found, &mut notes);
        let of = |place: &Place| own.get(&(place.node.clone(), place.storage.clone()));
        for place in &mut found {
            if let Some(listed) = of(place) {
                listed.complete(place);
            }
        }
        found.retain(|place| self.content.is_none_or(|content| place.may_hold(content)));
        let storages = merge(found.into_iter().map(|place| {
            let listed = of(&place);
            StorageSummary::new(place, listed)
        }));
        let mut storages = storages;
        let text = text::count(storages.len(), "storage");
        let narrow = storages.len() > MOST_STORAGES;
        bounds::keep(&mut storages, MOST_STORAGES, "storages", &mut notes);
        if narrow {
            notes.push("narrow by node or content".into());
        }
        if none_seen {
            notes.push(pve.empty_hint("Datastore.Audit", "/storage"));
        }
        let hint = (!notes.is_empty()).then(|| notes.join("; "));
        Ok(Reply::Done(StorageList { storages, hint }, text))
    }
}

/// How many nodes are asked for what pvestatd has not reported.
const MOST_NODES: usize = 8;

/// A storage in its node's own list, which the node makes anew when it is
/// asked.
#[derive(Debug, Clone, Deserialize)]
struct NodeStorage {
    storage: String,
    #[serde(default)]
    active: Option<Flag>,
    #[serde(default)]
    used: Option<Num<u64>>,
    #[serde(default)]
    total: Option<Num<u64>>,
    #[serde(default)]
    content: String,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    shared: Flag,
}

impl NodeStorage {
    /// Fills what the cluster does not know of a storage.
    fn complete(&self, place: &mut Place) {
        if place.content.is_empty() {
            place.content.clone_from(&self.content);
        }
        if place.plugintype.is_none() {
            place.plugintype.clone_from(&self.kind);
            place.shared = Flag(place.shared.0 || self.shared.0);
        }
    }
}

/// What the nodes themselves say of storages whose status pvestatd has not
/// reported, by node and storage; and why it was not known.
fn own_lists(
    pve: &Pve,
    places: &[Place],
    reasons: &mut Vec<String>,
) -> BTreeMap<(String, String), NodeStorage> {
    let mut own = BTreeMap::new();
    let mut nodes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for place in places.iter().filter(|place| !place.is_available()) {
        if place.is_offline() {
            let why = format!("node {} is offline", place.node);
            if !reasons.contains(&why) {
                reasons.push(why);
            }
        } else {
            nodes.entry(&place.node).or_default().push(&place.storage);
        }
    }
    for (asked, (node, storages)) in nodes.into_iter().enumerate() {
        let why = format!(
            "the status of {} is unknown: the pvestatd of node {node} has not reported",
            storages.join(", ")
        );
        if asked >= MOST_NODES {
            reasons.push(why);
            continue;
        }
        let request = calls::storage::LIST.at([node]);
        match pve.send::<Vec<NodeStorage>>(&request, &Params::new()) {
            Ok(listed) => {
                own.extend(
                    listed
                        .into_iter()
                        .map(|one| ((node.to_owned(), one.storage.clone()), one)),
                );
                reasons.push(format!("{why} (what is shown is from the node itself)"));
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
    fn new(place: Place, listed: Option<&NodeStorage>) -> Self {
        let is_available = place.is_available();
        let active = if is_available {
            Some(true)
        } else if let Some(listed) = listed {
            listed.active.map(|active| active.0)
        } else {
            place.is_offline().then_some(false)
        };
        let (used, total) = if is_available {
            (place.disk, place.maxdisk)
        } else {
            listed.map_or((None, None), |listed| (listed.used, listed.total))
        };
        // One without a size of its own, such as iSCSI, says 0.
        let total = total.map(|bytes| bytes.0).filter(|bytes| *bytes > 0);
        let used = used.map(|bytes| bytes.0).filter(|_| total.is_some());
        let mut content: Vec<String> = place
            .kinds()
            .filter(|kind| *kind != "none")
            .map(str::to_owned)
            .collect();
        content.sort_unstable();
        Self {
            storage: place.storage,
            nodes: vec![place.node],
            kind: place.plugintype,
            content,
            active,
            shared: place.shared.0,
            used_bytes: used,
            total_bytes: total,
            used_percent: used
                .zip(total)
                .filter(|(used, total)| used <= total)
                .map(|(used, total)| text::percent(used as f64, total as f64)),
        }
    }
}

/// How many storages of a large cluster are named.
const MOST_STORAGES: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn place(value: serde_json::Value) -> Place {
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
            .map(|value| StorageSummary::new(place(value), None)),
        );
        assert_eq!(merged.len(), 3);
        assert_eq!(merged[0].nodes, ["pve1", "pve2"]);
        assert_eq!(merged[0].active, Some(true));
        assert_eq!(merged[0].used_percent, Some(25.0));
        assert_eq!(merged[1].content, ["backup", "iso"]);
    }

    #[test]
    fn unknown_is_neither_active_nor_inactive() {
        let unknown = || place(json!({"storage": "pbs", "node": "pve1", "status": "unknown"}));
        assert_eq!(StorageSummary::new(unknown(), None).active, None);
        let listed =
            serde_json::from_value(json!({"storage": "pbs", "active": 1, "used": 1, "total": "4"}))
                .unwrap();
        let summary = StorageSummary::new(unknown(), Some(&listed));
        assert_eq!(
            (summary.active, summary.used_percent),
            (Some(true), Some(25.0))
        );
        let listed: NodeStorage = serde_json::from_value(
            json!({"storage": "pbs", "type": "pbs", "content": "backup", "shared": 1}),
        )
        .unwrap();
        let mut place = unknown();
        listed.complete(&mut place);
        assert!(place.holds(Content::Backup) && place.shared.0);
        assert_eq!(place.plugintype.as_deref(), Some("pbs"));
    }

    #[test]
    fn a_storage_without_a_size_claims_none() {
        let iscsi = StorageSummary::new(
            place(
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
