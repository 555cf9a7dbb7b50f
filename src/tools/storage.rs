//! Storages, and what lies on them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::pve::{Content, Place, Pve, Volume, distinct, places, volumes};
use crate::text;
use crate::tool::{Reply, Run};

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
    /// A shared storage stands once, with all its nodes.
    nodes: Vec<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    content: Vec<String>,
    /// Whether at least one of the nodes reaches it.
    active: bool,
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
            return Err(unknown_node(node, &all));
        }
        let found = all
            .into_iter()
            .filter(|place| self.node.as_ref().is_none_or(|node| *node == place.node))
            .filter(|place| self.content.is_none_or(|content| place.holds(content)));
        let storages = merge(found);
        let text = text::count(storages.len(), "storage");
        let hint = none_seen.then(|| pve.empty_hint("Datastore.Audit", "/storage"));
        Ok(Reply::Done(StorageList { storages, hint }, text))
    }
}

/// Shared storages become one entry.
fn merge(places: impl Iterator<Item = Place>) -> Vec<StorageSummary> {
    let mut merged: Vec<StorageSummary> = Vec::new();
    for place in places {
        let next = StorageSummary::from(place);
        let twin = merged
            .iter_mut()
            .find(|one| next.shared && one.shared && one.storage == next.storage);
        match twin {
            None => merged.push(next),
            Some(twin) => {
                twin.nodes.extend(next.nodes);
                if next.active && !twin.active {
                    twin.active = true;
                    twin.used_bytes = next.used_bytes;
                    twin.total_bytes = next.total_bytes;
                    twin.used_percent = next.used_percent;
                }
            }
        }
    }
    merged
}

impl From<Place> for StorageSummary {
    fn from(place: Place) -> Self {
        let active = place.is_available();
        let mut content: Vec<String> = place.kinds().map(str::to_owned).collect();
        content.sort_unstable();
        let used = place.disk.filter(|_| active).map(|bytes| bytes.0);
        let total = place.maxdisk.filter(|_| active).map(|bytes| bytes.0);
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
    /// Where it can be read; on a shared storage, one of the nodes.
    node: String,
    content: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    used_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vmid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    protected: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    notes: Option<String>,
}

const DEFAULT_LIMIT: u32 = 50;

impl Run for ListStorageContent {
    type Output = VolumeList;

    fn run(self, pve: &Pve) -> Result<Reply<VolumeList>> {
        let all = places(pve)?;
        let none_seen = all.is_empty();
        if !none_seen {
            self.check_names(&all)?;
        }
        let fits = all
            .into_iter()
            .filter(|place| self.node.as_ref().is_none_or(|node| *node == place.node))
            .filter(|place| {
                self.storage
                    .as_ref()
                    .is_none_or(|name| *name == place.storage)
            })
            .filter(|place| self.content.is_none_or(|content| place.holds(content)))
            .collect();
        let mut found = Vec::new();
        let mut unavailable = Vec::new();
        for place in distinct(fits) {
            if place.is_offline() {
                unavailable.push(format!(
                    "{} on {}: the node is offline",
                    place.storage, place.node
                ));
                continue;
            }
            match volumes(pve, &place.node, &place.storage, self.content, self.vmid) {
                Ok(volumes) => found.extend(
                    volumes
                        .into_iter()
                        .filter(|volume| self.fits(volume))
                        .map(|volume| VolumeSummary::new(volume, &place.node)),
                ),
                // One storage that does not answer must not hide the others.
                Err(failure) => unavailable.push(format!(
                    "{} on {}: {}",
                    place.storage,
                    place.node,
                    Error::from(failure).message()
                )),
            }
        }
        found.sort_by(|a, b| (&a.volid, &a.node).cmp(&(&b.volid, &b.node)));
        let total = found.len();
        found.truncate(self.limit.unwrap_or(DEFAULT_LIMIT) as usize);
        let hint = if none_seen {
            Some(pve.empty_hint("Datastore.Audit", "/storage"))
        } else {
            (found.len() < total).then(|| {
                format!(
                    "{} of {total} are shown: raise limit, or narrow by storage, content, vmid or \
                     name",
                    found.len()
                )
            })
        };
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
    fn check_names(&self, all: &[Place]) -> Result<()> {
        if let Some(node) = &self.node
            && !all.iter().any(|place| place.node == *node)
        {
            return Err(unknown_node(node, all));
        }
        if let Some(storage) = &self.storage
            && !all.iter().any(|place| place.storage == *storage)
        {
            let known = names(all.iter().map(|place| place.storage.as_str()));
            return Err(Error::NotFound(format!(
                "there is no storage {storage}, or the token may not see it: there are {known}"
            )));
        }
        Ok(())
    }

    fn fits(&self, volume: &Volume) -> bool {
        self.name
            .as_ref()
            .is_none_or(|part| volume.name().to_lowercase().contains(&part.to_lowercase()))
    }
}

impl VolumeSummary {
    fn new(volume: Volume, node: &str) -> Self {
        Self {
            volid: volume.volid,
            node: node.to_owned(),
            content: volume.content,
            format: volume.format,
            size_bytes: volume.size.map(|bytes| bytes.0),
            used_bytes: volume.used.map(|bytes| bytes.0),
            vmid: volume.vmid.map(|vmid| vmid.0),
            created_at: volume.ctime.map(|time| text::time(time.0)),
            protected: volume.protected.0,
            notes: volume.notes.map(|notes| text::cut(notes.trim(), 200)),
        }
    }
}

fn unknown_node(node: &str, all: &[Place]) -> Error {
    let known = names(all.iter().map(|place| place.node.as_str()));
    Error::NotFound(format!(
        "there is no node {node} with storages that the token sees: there are {known} (case \
         matters)"
    ))
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn place(value: serde_json::Value) -> Place {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn shared_storages_stand_once() {
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
            .map(place),
        );
        assert_eq!(merged.len(), 3);
        assert_eq!(merged[0].nodes, ["pve1", "pve2"]);
        assert!(merged[0].active);
        assert_eq!(merged[0].used_percent, Some(25.0));
        assert_eq!(merged[1].content, ["backup", "iso"]);
    }
}
