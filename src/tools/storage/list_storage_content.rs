//! `list_storage_content`: volumes on storages.

use pve_api::calls;
use schemars::JsonSchema;

use super::unknown::{unknown_node, unknown_storage};
use crate::error::{Error, Result};
use crate::json::{DeserializeFields, SerializeFields};
use crate::order;
use crate::pve::{
    Content, Listed, Pve, StorageResource, StorageVolumes, Vmid, Volume, storage_resources,
    storage_volumes,
};
use crate::text;
use crate::tool::declared::{Calls, LOOK_UP};
use crate::tool::{Offset, Page, Reply, Run, bounds};

/// Volumes on storages.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListStorageContent {
    /// Only on this storage. Default all.
    storage: Option<String>,
    /// Only on storages of this node.
    node: Option<String>,
    /// iso, vztmpl (container templates), backup, images (VM disks), rootdir (container disks)…
    content: Option<Content>,
    /// Only volumes of this guest.
    vmid: Option<Vmid>,
    /// Part of the name, in any case.
    name: Option<String>,
    /// Default 50.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
    offset: Option<Offset>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct VolumeList {
    volumes: Vec<VolumeSummary>,
    /// Number of matches, including those not shown.
    total: usize,
    /// Storages that could not be read, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unavailable: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
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
    /// Whether the size is an estimate because the storage does not report an
    /// exact one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    size_is_approximate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    vmid: Option<Vmid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    protected: bool,
    /// A backup that is still running or was interrupted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unfinished: bool,
    /// The fingerprint of the key that a backup is encrypted with, or true.
    #[serde(skip_serializing_if = "Option::is_none")]
    encrypted: Option<String>,
    /// Verification state on a Proxmox Backup Server: ok, failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    verification: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notes: Option<String>,
}

const DEFAULT_LIMIT: u32 = 50;

const MOST_UNAVAILABLE: usize = 50;

impl Run for ListStorageContent {
    type Output = VolumeList;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::One(&calls::nodes::LIST),
        Calls::One(&calls::storage::CONTENT),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<VolumeList>> {
        let all = storage_resources(pve)?;
        let none_seen = all.is_empty();
        if !none_seen {
            self.check_names(pve, &all)?;
        }
        let fits = all
            .into_iter()
            .filter(|resource| resource.matches(self.storage.as_deref(), self.node.as_deref()))
            .filter(|resource| {
                self.content
                    .is_none_or(|content| resource.may_hold(content))
            })
            .collect();
        let StorageVolumes {
            read,
            mut unavailable,
        } = storage_volumes(pve, fits, self.content, self.vmid);
        let mut found = Vec::new();
        for (resource, volumes) in read {
            let fitting = volumes.into_iter().filter(|volume| self.fits(volume));
            found.extend(fitting.map(|volume| VolumeSummary::new(volume, &resource)));
        }
        order::by(&mut found, |a, b| {
            (&a.volid, &a.node).cmp(&(&b.volid, &b.node))
        });
        let total = found.len();
        let page = Page::new(self.offset, self.limit, DEFAULT_LIMIT);
        let narrow = "storage, node, content, vmid or name";
        let part = page.cut(&mut found, "/volumes", narrow);
        let mut notes = Vec::new();
        match none_seen {
            true => notes.push(pve.empty_hint(Listed::Storages)),
            false => notes.extend(part.note()),
        }
        let what = "storages that could not be read";
        bounds::keep(&mut unavailable, MOST_UNAVAILABLE, what, &mut notes);
        let hint = (!notes.is_empty()).then(|| notes.join("; "));
        let text = text::count(total, "volume");
        let list = VolumeList {
            volumes: found,
            total,
            unavailable,
            hint,
        };
        Ok(Reply::Listed(list, text, part))
    }
}

impl ListStorageContent {
    fn check_names(&self, pve: &Pve, all: &[StorageResource]) -> Result<()> {
        if let Some(node) = &self.node
            && !all.iter().any(|resource| resource.node == *node)
        {
            return Err(unknown_node(pve, node, all));
        }
        let Some(storage) = &self.storage else {
            return Ok(());
        };
        if !all.iter().any(|resource| resource.storage == *storage) {
            return Err(unknown_storage(storage, all));
        }
        if let Some(node) = &self.node
            && !all
                .iter()
                .any(|resource| resource.storage == *storage && resource.node == *node)
        {
            let known = text::distinct(
                all.iter()
                    .filter(|resource| resource.storage == *storage)
                    .map(|resource| resource.node.as_str()),
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
    fn new(volume: Volume, resource: &StorageResource) -> Self {
        let shared = resource.shared.0;
        Self {
            unfinished: volume.is_unfinished(),
            size_is_approximate: volume.has_approximate_size(),
            size_bytes: volume.size_bytes(),
            encrypted: volume.encryption(),
            volid: volume.volid,
            node: (!shared).then(|| resource.node.clone()),
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
