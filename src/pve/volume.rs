//! Volumes on storages: ISO images, templates, backups, disks.

use std::collections::BTreeMap;

use pve_api::{GuestType, Vmid, calls};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::client::Pve;
use super::failure::Failure;
use super::num::{Flag, Num, Text};
use super::params::Params;
use super::request::{At, Request};
use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::order;
use crate::text;

/// What a storage can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Content {
    Iso,
    Vztmpl,
    Backup,
    Images,
    Rootdir,
    Import,
    Snippets,
}

impl Content {
    /// The content of a storage for the disks of a guest.
    pub(crate) fn of_disks(kind: GuestType) -> Self {
        match kind {
            GuestType::Qemu => Self::Images,
            GuestType::Lxc => Self::Rootdir,
        }
    }

    /// Proxmox's word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Iso => "iso",
            Self::Vztmpl => "vztmpl",
            Self::Backup => "backup",
            Self::Images => "images",
            Self::Rootdir => "rootdir",
            Self::Import => "import",
            Self::Snippets => "snippets",
        }
    }
}

/// The kinds of content in the setting of a storage, sorted. Without `none`.
pub(crate) fn contents_in(setting: &str) -> Vec<&str> {
    let mut contents: Vec<&str> = setting
        .split([',', ' '])
        .filter(|kind| !kind.is_empty() && *kind != "none")
        .collect();
    order::by(&mut contents, Ord::cmp);
    contents
}

/// A storage as one node sees it, by `/cluster/resources`.
#[derive(Debug, Clone, DeserializeFields)]
pub(crate) struct StorageResource {
    pub(crate) storage: String,
    pub(crate) node: String,
    #[serde(default)]
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) content: String,
    #[serde(default)]
    pub(crate) plugintype: Option<String>,
    #[serde(default)]
    pub(crate) shared: Flag,
    #[serde(default)]
    pub(crate) disk: Option<Num<u64>>,
    #[serde(default)]
    pub(crate) maxdisk: Option<Num<u64>>,
    /// Whether its node is offline.
    #[serde(skip)]
    offline: bool,
}

impl StorageResource {
    /// Whether pvestatd reports it as available. Where it does not, the status
    /// is `unknown` and the sizes are absent, but the storage may be read all
    /// the same: pvestatd may hang, or be late.
    pub(crate) fn is_available(&self) -> bool {
        self.status == "available"
    }

    /// Whether it cannot be read because its node is offline.
    pub(crate) fn is_offline(&self) -> bool {
        self.offline
    }

    /// Whether it is set up to hold this.
    pub(crate) fn holds(&self, content: Content) -> bool {
        self.contents().contains(&content.as_str())
    }

    /// Whether it may hold this, as far as is known: of a storage that pvestatd
    /// has not reported, the content may be missing too, and then only the
    /// storage itself can tell.
    pub(crate) fn may_hold(&self, content: Content) -> bool {
        self.holds(content) || self.has_unknown_content()
    }

    /// Whether what it holds is not known.
    pub(crate) fn has_unknown_content(&self) -> bool {
        self.content.is_empty() && !self.is_available()
    }

    /// Whether it has this name and is of this node, as far as they are given.
    pub(crate) fn matches(&self, storage: Option<&str>, node: Option<&str>) -> bool {
        storage.is_none_or(|storage| storage == self.storage)
            && node.is_none_or(|node| node == self.node)
    }

    /// The kinds of content that it is set up for, sorted.
    pub(crate) fn contents(&self) -> Vec<&str> {
        contents_in(&self.content)
    }
}

/// All storages on all nodes that the token sees, offline nodes included, in
/// one call; sorted by storage and node.
pub(crate) fn storage_resources(pve: &Pve) -> Result<Vec<StorageResource>> {
    let mut storages: Vec<StorageResource> = pve.send(
        &calls::cluster::RESOURCES.at([]),
        &Params::new().set("type", "storage"),
    )?;
    order::by(&mut storages, |a, b| {
        (&a.storage, &a.node).cmp(&(&b.storage, &b.node))
    });
    if !storages.iter().all(StorageResource::is_available) {
        let members = pve.membership();
        for resource in &mut storages {
            resource.offline = !resource.is_available() && members.has_lost(&resource.node);
        }
    }
    Ok(storages)
}

/// On how many nodes a shared storage is read: one that is down would
/// otherwise be asked for on every node of the cluster, each for seconds.
const MOST_TRIES: usize = 3;

/// What a storage holds, or why that is not known.
pub(crate) struct StorageContent {
    /// The storage, on the node that answered.
    pub(crate) resource: StorageResource,
    /// Or why it could not be read.
    pub(crate) volumes: Result<Vec<Volume>>,
}

/// Reads storages so that every volume is seen once: through each local
/// storage, and each shared one on the node that most likely reaches it. Where
/// that node cannot read it, another may.
pub(crate) fn storage_contents(
    pve: &Pve,
    storages: Vec<StorageResource>,
    content: Option<Content>,
    vmid: Option<Vmid>,
) -> Vec<StorageContent> {
    let groups = distinct(storages);
    let first = groups.iter().filter_map(|storages| storages.first());
    let first = first.filter(|resource| !resource.offline);
    pve.start(first.map(|resource| contents(&resource.node, &resource.storage, content, vmid)));
    groups
        .into_iter()
        .filter_map(|storages| {
            let mut failed: Option<StorageContent> = None;
            for resource in storages.into_iter().take(MOST_TRIES) {
                let read = if resource.offline {
                    Err(None)
                } else {
                    volumes(pve, &resource.node, &resource.storage, content, vmid).map_err(Some)
                };
                let (volumes, is_final) = match read {
                    Ok(volumes) => (Ok(volumes), true),
                    // The others are offline, too: those come last.
                    Err(None) => (Err(Error::Unreachable("the node is offline".into())), true),
                    Err(Some(failure)) => {
                        // What the token may not, it may not on any node.
                        let is_final = matches!(
                            &failure,
                            Failure::Api(error) if matches!(error.status, 401 | 403)
                        ) || failure.was_not_sent();
                        (Err(failure.into()), is_final)
                    }
                };
                if volumes.is_ok() || failed.is_none() {
                    failed = Some(StorageContent { resource, volumes });
                }
                if is_final {
                    break;
                }
            }
            failed
        })
        .collect()
}

/// The volumes of several storages.
#[derive(Debug, Default)]
pub(crate) struct StorageVolumes {
    /// By the storage that lists them, on the node that answered.
    pub(crate) read: Vec<(StorageResource, Vec<Volume>)>,
    /// The storages that could not be read, and why. One of them must not hide the
    /// others.
    pub(crate) unavailable: Vec<String>,
}

/// Reads storages as [`storage_contents`] does, and tells those apart that could
/// not be read.
pub(crate) fn storage_volumes(
    pve: &Pve,
    storages: Vec<StorageResource>,
    content: Option<Content>,
    vmid: Option<Vmid>,
) -> StorageVolumes {
    let mut all = StorageVolumes::default();
    for StorageContent { resource, volumes } in storage_contents(pve, storages, content, vmid) {
        match volumes {
            Ok(volumes) => all.read.push((resource, volumes)),
            Err(error) => all.unavailable.push(format!(
                "{} on {}: {}",
                resource.storage,
                resource.node,
                error.message()
            )),
        }
    }
    all
}

/// Each local storage, and each shared one with all its nodes, the one that
/// most likely reaches it first.
fn distinct(mut storages: Vec<StorageResource>) -> Vec<Vec<StorageResource>> {
    order::by_key(&mut storages, |resource| {
        (resource.offline, !resource.is_available())
    });
    let mut groups: Vec<Vec<StorageResource>> = Vec::new();
    let mut seen = BTreeMap::new();
    for resource in storages {
        let local = (!resource.shared.0).then(|| resource.node.clone());
        let index = *seen
            .entry((resource.storage.clone(), local))
            .or_insert(groups.len());
        match groups.get_mut(index) {
            Some(group) => group.push(resource),
            None => groups.push(vec![resource]),
        }
    }
    groups
}

/// A volume.
#[derive(Debug, Clone, DeserializeFields)]
pub(crate) struct Volume {
    pub(crate) volid: String,
    #[serde(default)]
    pub(crate) content: String,
    #[serde(default)]
    pub(crate) format: Option<String>,
    /// `qemu` or `lxc`, of a backup.
    #[serde(default)]
    pub(crate) subtype: Option<String>,
    #[serde(default)]
    pub(crate) size: Option<Num<u64>>,
    /// In place of the size where the storage can only estimate it.
    #[serde(default, rename = "approximate-size")]
    approximate_size: Option<Num<u64>>,
    #[serde(default)]
    pub(crate) used: Option<Num<u64>>,
    #[serde(default)]
    pub(crate) vmid: Option<Num<Vmid>>,
    /// The base volume of a linked clone. LVM-thin does not say it.
    #[serde(default)]
    pub(crate) parent: Option<String>,
    #[serde(default)]
    pub(crate) ctime: Option<Num<u64>>,
    #[serde(default)]
    pub(crate) notes: Option<String>,
    #[serde(default)]
    pub(crate) protected: Flag,
    #[serde(default)]
    pub(crate) verification: Option<Verification>,
    /// The fingerprint of the key, or 1 where it is not known.
    #[serde(default)]
    encrypted: Option<Text>,
}

/// What a Proxmox Backup Server says of a backup.
#[derive(Debug, Clone, DeserializeFields)]
pub(crate) struct Verification {
    #[serde(default)]
    pub(crate) state: Option<String>,
}

impl Volume {
    /// Whether it is such content, as far as the answer says.
    pub(crate) fn is(&self, content: Content) -> bool {
        self.content.is_empty() || self.content == content.as_str()
    }

    /// Its size, or an estimate: see [`Self::has_approximate_size`].
    pub(crate) fn size_bytes(&self) -> Option<u64> {
        self.size.or(self.approximate_size).map(|size| size.0)
    }

    /// Whether the storage can only estimate the size.
    pub(crate) fn has_approximate_size(&self) -> bool {
        self.size.is_none() && self.approximate_size.is_some()
    }

    /// Whether it is a backup that is still being made or was interrupted: a
    /// Proxmox Backup Server lists such a one with a size of 1 or none.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.content == Content::Backup.as_str() && self.size.is_some_and(|size| size.0 <= 1)
    }

    /// The fingerprint of the key that a backup is encrypted with, or "true"
    /// where only that it is encrypted is known.
    pub(crate) fn encryption(&self) -> Option<String> {
        match self.encrypted.as_ref()?.0.as_str() {
            "" | "0" => None,
            "1" => Some("true".to_owned()),
            fingerprint => Some(fingerprint.to_owned()),
        }
    }

    /// The part of the volid that people know it by: `debian-12.iso`.
    pub(crate) fn name(&self) -> &str {
        let path = self
            .volid
            .split_once(':')
            .map_or(self.volid.as_str(), |(_, path)| path);
        path.rsplit('/').next().unwrap_or(path)
    }
}

/// The request for the volumes on a storage, as a node sees it.
fn contents(
    node: &str,
    storage: &str,
    content: Option<Content>,
    vmid: Option<Vmid>,
) -> (Request, Params) {
    let params = Params::new()
        .opt("content", content.map(Content::as_str))
        .opt("vmid", vmid);
    (calls::storage::CONTENT.at([node, storage]), params)
}

/// The volumes on a storage, as a node sees it.
pub(crate) fn volumes(
    pve: &Pve,
    node: &str,
    storage: &str,
    content: Option<Content>,
    vmid: Option<Vmid>,
) -> Result<Vec<Volume>, Failure> {
    let (request, params) = contents(node, storage, content, vmid);
    let mut volumes: Vec<Volume> = pve.send(&request, &params)?;
    for volume in &mut volumes {
        volume.ctime = volume.ctime.filter(|ctime| ctime.0 <= text::LAST_SECOND);
    }
    Ok(volumes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(storage: &str, node: &str, status: &str, shared: u8) -> StorageResource {
        serde_json::from_value(serde_json::json!({
            "storage": storage, "node": node, "status": status, "shared": shared,
            "content": "iso,backup"
        }))
        .unwrap()
    }

    #[test]
    fn shared_storages_are_looked_through_once() {
        let found = distinct(vec![
            resource("bulk", "pve1", "unknown", 1),
            resource("bulk", "pve2", "available", 1),
            resource("bulk", "pve3", "available", 1),
            resource("local", "pve1", "unknown", 0),
            resource("local", "pve2", "available", 0),
        ]);
        let found: Vec<_> = found
            .iter()
            .map(|group| (group[0].storage.as_str(), group[0].node.as_str()))
            .collect();
        assert_eq!(
            found,
            [("bulk", "pve2"), ("local", "pve2"), ("local", "pve1")]
        );
    }

    #[test]
    fn a_storage_of_unknown_status_comes_before_one_on_an_offline_node() {
        let mut storages = vec![
            resource("bulk", "pve1", "unknown", 1),
            resource("bulk", "pve2", "unknown", 1),
        ];
        storages[0].offline = true;
        let groups = distinct(storages);
        assert_eq!(groups[0][0].node, "pve2");
    }

    #[test]
    fn sizes_and_marks() {
        let volume = |json: &str| serde_json::from_str::<Volume>(json).unwrap();
        let rough =
            volume(r#"{"volid":"zfs:vm-100-disk-0","content":"images","approximate-size":5}"#);
        assert_eq!(
            (rough.size_bytes(), rough.has_approximate_size()),
            (Some(5), true)
        );
        let backup = volume(
            r#"{"volid":"pbs:backup/vm/100/x","content":"backup","size":1,"encrypted":"ab:cd"}"#,
        );
        assert!(backup.is_unfinished() && !backup.has_approximate_size());
        assert_eq!(backup.encryption().as_deref(), Some("ab:cd"));
        let plain = volume(r#"{"volid":"nas:backup/x","content":"backup","size":9,"encrypted":0}"#);
        assert!(!plain.is_unfinished() && plain.encryption().is_none());
        let known = volume(r#"{"volid":"pbs:backup/x","content":"backup","encrypted":1}"#);
        assert_eq!(known.encryption().as_deref(), Some("true"));
    }

    #[test]
    fn names() {
        let volume: Volume = serde_json::from_str(
            r#"{"volid":"local:iso/test.iso","content":"iso","size":"1048576","ctime":1}"#,
        )
        .unwrap();
        assert_eq!(volume.name(), "test.iso");
        assert!(resource("a", "b", "available", 0).holds(Content::Iso));
        assert!(!resource("a", "b", "available", 0).holds(Content::Images));
        let mut fresh = resource("a", "b", "unknown", 0);
        assert!(!fresh.may_hold(Content::Images));
        fresh.content.clear();
        assert!(fresh.may_hold(Content::Images) && !fresh.holds(Content::Images));
    }
}
