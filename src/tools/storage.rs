//! Storages, and what lies on them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::pve::{Content, Flag, Num, Params, Path, Place, Pve, Volume, places, shelves};
use crate::text;
use crate::tool::bounds;
use crate::tool::{Reply, Run};
use crate::tools::nodes::known_node;

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
struct Listed {
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

impl Listed {
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
) -> BTreeMap<(String, String), Listed> {
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
        let path = Path::new(["nodes", node, "storage"]);
        match pve.get::<Vec<Listed>>(&path, &Params::new()) {
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
    fn new(place: Place, listed: Option<&Listed>) -> Self {
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

/// Volumes on storages.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListStorageContent {
    /// Only on this storage. Default all.
    storage: Option<String>,
    /// Only as this node sees it.
    node: Option<String>,
    /// iso, vztmpl (container templates), backup, images (VM disks), rootdir (container disks)…
    content: Option<Content>,
    /// Only those of this guest.
    #[schemars(range(min = 100, max = 999_999_999))]
    vmid: Option<u32>,
    /// Part of the name, in any case.
    name: Option<String>,
    /// Default 50.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct VolumeList {
    volumes: Vec<VolumeSummary>,
    /// How many fit the filters, also where not all are shown.
    total: usize,
    /// Storages that could not be read, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unavailable: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct VolumeSummary {
    volid: String,
    /// Where it is; absent on a shared storage, where every node of the storage
    /// sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    shared: bool,
    content: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    used_bytes: Option<u64>,
    /// Whether the size is a rough one, as the storage cannot tell better.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    size_is_approximate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    vmid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    protected: bool,
    /// A backup that is being made, or that broke off.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unfinished: bool,
    /// By a Proxmox Backup Server's client: the fingerprint of the key, or true.
    #[serde(skip_serializing_if = "Option::is_none")]
    encrypted: Option<String>,
    /// What a Proxmox Backup Server's check of it said: ok, failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    verification: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notes: Option<String>,
}

const DEFAULT_LIMIT: u32 = 50;

/// How many storages of a large cluster are named.
const MOST_STORAGES: usize = 300;
const MOST_UNAVAILABLE: usize = 50;

impl Run for ListStorageContent {
    type Output = VolumeList;

    fn run(self, pve: &Pve) -> Result<Reply<VolumeList>> {
        let all = places(pve)?;
        let none_seen = all.is_empty();
        if !none_seen {
            self.check_names(pve, &all)?;
        }
        let fits = all
            .into_iter()
            .filter(|place| self.node.as_ref().is_none_or(|node| *node == place.node))
            .filter(|place| {
                self.storage
                    .as_ref()
                    .is_none_or(|name| *name == place.storage)
            })
            .filter(|place| self.content.is_none_or(|content| place.may_hold(content)))
            .collect();
        let mut found = Vec::new();
        let mut unavailable = Vec::new();
        for shelf in shelves(pve, fits, self.content, self.vmid) {
            let place = shelf.place;
            match shelf.volumes {
                Ok(volumes) => found.extend(
                    volumes
                        .into_iter()
                        .filter(|volume| self.fits(volume))
                        .map(|volume| VolumeSummary::new(volume, &place)),
                ),
                // One storage that does not answer must not hide the others.
                Err(error) => unavailable.push(format!(
                    "{} on {}: {}",
                    place.storage,
                    place.node,
                    error.message()
                )),
            }
        }
        found.sort_by(|a, b| (&a.volid, &a.node).cmp(&(&b.volid, &b.node)));
        let total = found.len();
        found.truncate(self.limit.unwrap_or(DEFAULT_LIMIT) as usize);
        let mut notes = Vec::new();
        if none_seen {
            notes.push(pve.empty_hint("Datastore.Audit", "/storage"));
        } else if found.len() < total {
            notes.push(format!(
                "{} of {total} are shown: raise limit, or narrow by storage, content, vmid or name",
                found.len()
            ));
        }
        let what = "storages that could not be read";
        bounds::keep(&mut unavailable, MOST_UNAVAILABLE, what, &mut notes);
        let hint = (!notes.is_empty()).then(|| notes.join("; "));
        let text = text::count(total, "volume");
        Ok(Reply::Done(
            VolumeList {
                volumes: found,
                total,
                unavailable,
                hint,
            },
            text,
        ))
    }
}

impl ListStorageContent {
    fn check_names(&self, pve: &Pve, all: &[Place]) -> Result<()> {
        if let Some(node) = &self.node
            && !all.iter().any(|place| place.node == *node)
        {
            return Err(unknown_node(pve, node, all));
        }
        let Some(storage) = &self.storage else {
            return Ok(());
        };
        if !all.iter().any(|place| place.storage == *storage) {
            return Err(unknown_storage(storage, all));
        }
        if let Some(node) = &self.node
            && !all
                .iter()
                .any(|place| place.storage == *storage && place.node == *node)
        {
            let known = names(
                all.iter()
                    .filter(|place| place.storage == *storage)
                    .map(|place| place.node.as_str()),
            );
            return Err(Error::NotFound(format!(
                "node {node} has no storage {storage}; it is on {known}"
            )));
        }
        Ok(())
    }

    fn fits(&self, volume: &Volume) -> bool {
        self.content.is_none_or(|content| volume.is(content))
            && self
                .name
                .as_ref()
                .is_none_or(|part| volume.name().to_lowercase().contains(&part.to_lowercase()))
    }
}

impl VolumeSummary {
    fn new(volume: Volume, place: &Place) -> Self {
        let shared = place.shared.0;
        Self {
            unfinished: volume.is_unfinished(),
            size_is_approximate: volume.has_approximate_size(),
            size_bytes: volume.size_bytes(),
            encrypted: volume.encryption(),
            volid: volume.volid,
            node: (!shared).then(|| place.node.clone()),
            shared,
            content: volume.content,
            format: volume.format,
            used_bytes: volume.used.map(|bytes| bytes.0),
            vmid: volume.vmid.map(|vmid| vmid.0),
            created_at: volume.ctime.map(|time| text::time(time.0)),
            protected: volume.protected.0,
            verification: volume
                .verification
                .and_then(|verification| verification.state),
            notes: volume.notes.map(|notes| text::cut(notes.trim(), 200)),
        }
    }
}

/// No storage is known of such a node: the node's name may be wrong, or the
/// token sees none of its storages.
pub(crate) fn unknown_node(pve: &Pve, node: &str, all: &[Place]) -> Error {
    if let Err(error) = known_node(pve, node) {
        return error;
    }
    let known = names(all.iter().map(|place| place.node.as_str()));
    Error::NotFound(format!(
        "the token sees no storage of node {node}; it sees those of {known}"
    ))
}

/// There is no such storage, or the token may not see it.
pub(crate) fn unknown_storage(storage: &str, all: &[Place]) -> Error {
    let same = |place: &&Place| place.storage.eq_ignore_ascii_case(storage);
    let near = all
        .iter()
        .find(same)
        .map(|place| place.storage.as_str())
        .or_else(|| text::nearest(storage, all.iter().map(|place| place.storage.as_str())));
    let meant = near.map_or_else(String::new, |near| format!(", {near} is probably meant"));
    let known = names(all.iter().map(|place| place.storage.as_str()));
    Error::NotFound(format!(
        "there is no storage {}{meant}, or the token may not see it: there are {known}",
        text::cut(storage, 80)
    ))
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    text::cut(&names.join(", "), 400)
}

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
        let listed: Listed = serde_json::from_value(
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
