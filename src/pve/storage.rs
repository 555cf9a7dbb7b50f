//! Storages as a node sees them, and the choice of one by what it holds.

use pve_api::calls;

use super::client::{Listed, Pve};
use super::failure::Failure;
use super::num::{Flag, Num};
use super::params::Params;
use super::request::At;
use super::volume::{Content, contents_in};
use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::order;
use crate::text;

/// A storage as one node sees it, by the node's own list, which the node makes
/// anew for each request. The sizes are absent where the storage is not active.
#[derive(Debug, Clone, DeserializeFields)]
pub(crate) struct StorageStatus {
    pub(crate) storage: String,
    /// `dir`, `zfspool`, `nfs`, …
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) content: String,
    #[serde(default)]
    pub(crate) enabled: Flag,
    /// Whether the node reaches it now.
    #[serde(default)]
    pub(crate) active: Option<Flag>,
    /// Whether other nodes see the same volumes on it.
    #[serde(default)]
    pub(crate) shared: Flag,
    /// In bytes, as the next two.
    #[serde(default)]
    pub(crate) avail: Option<Num<u64>>,
    #[serde(default)]
    pub(crate) used: Option<Num<u64>>,
    #[serde(default)]
    pub(crate) total: Option<Num<u64>>,
}

impl StorageStatus {
    /// The kinds of content that it is set up for, sorted.
    pub(crate) fn contents(&self) -> Vec<&str> {
        contents_in(&self.content)
    }

    /// Whether it is set up for this kind of content.
    pub(crate) fn holds(&self, content: Content) -> bool {
        self.contents().contains(&content.as_str())
    }

    /// Whether writes to its volumes fail once it is full. The disks of a thick LVM
    /// or iSCSI storage have their space from the start; iSCSI has no size at all.
    pub(crate) fn fills_up(&self) -> bool {
        self.total.is_some_and(|total| total.0 > 0) && !self.is_allocated_at_once()
    }

    /// Whether a disk takes all its space when it is made.
    pub(crate) fn is_allocated_at_once(&self) -> bool {
        matches!(self.kind.as_str(), "lvm" | "iscsi" | "iscsidirect")
    }

    /// Whether a new disk of this size fits. Refused where it takes all its space at
    /// once, or is larger than the whole storage. Others may be larger than what is
    /// free, which is worth a warning.
    pub(crate) fn check_room(&self, bytes: u64) -> Result<Option<String>> {
        let Some(free) = self.avail.as_ref().filter(|free| free.0 < bytes) else {
            return Ok(None);
        };
        let said = format!(
            "storage {} has {} free, less than the {} of the disk",
            self.storage,
            text::bytes(free.0),
            text::bytes(bytes)
        );
        let is_larger = self
            .total
            .as_ref()
            .is_some_and(|total| total.0 > 0 && total.0 < bytes);
        match is_larger || self.is_allocated_at_once() {
            true => Err(Error::Conflict(format!(
                "{said}: choose another storage, make room, or choose a smaller disk"
            ))),
            false => Ok(Some(format!("{said}: do not fill the disk beyond that"))),
        }
    }

    /// Whether it is switched on and the node reaches it.
    pub(crate) fn is_usable(&self) -> bool {
        self.enabled.0 && self.active.is_some_and(|active| active.0)
    }
}

/// The storages of a node that the token sees, by name.
pub(crate) fn storages(pve: &Pve, node: &str) -> Result<Vec<StorageStatus>, Failure> {
    let mut storages: Vec<StorageStatus> =
        pve.send(&calls::storage::LIST.at([node]), &Params::new())?;
    order::by(&mut storages, |a, b| a.storage.cmp(&b.storage));
    Ok(storages)
}

/// The wanted storage of a node, or the only one that holds such content.
pub(crate) fn choose(
    pve: &Pve,
    node: &str,
    content: Content,
    wanted: Option<&str>,
) -> Result<StorageStatus> {
    let storages = storages(pve, node)?;
    if storages.is_empty() {
        return Err(Error::NotFound(pve.empty_hint(Listed::Storages)));
    }
    pick(storages, node, content, wanted)
}

/// What it is, in messages.
fn meaning(content: Content) -> &'static str {
    match content {
        Content::Images => "VM disks",
        Content::Rootdir => "container volumes",
        Content::Iso => "ISO images",
        Content::Vztmpl => "container templates",
        Content::Backup => "backups",
        Content::Import => "images to import",
        Content::Snippets => "snippets",
    }
}

/// Chooses among the storages of a node. Every error names those that can be used.
fn pick(
    storages: Vec<StorageStatus>,
    node: &str,
    content: Content,
    wanted: Option<&str>,
) -> Result<StorageStatus> {
    let meaning = meaning(content);
    let candidates = candidates(&storages, node, content);
    if let Some(name) = wanted {
        let Some(storage) = storages.into_iter().find(|one| one.storage == name) else {
            return Err(Error::NotFound(format!(
                "there is no storage {name} on node {node} that the token can see and that can \
                 hold {meaning}; {candidates}"
            )));
        };
        return match storage.obstacle(node, content) {
            Some(obstacle) => Err(Error::Conflict(format!("{obstacle}; {candidates}"))),
            None => Ok(storage),
        };
    }
    let mut usable = storages
        .into_iter()
        .filter(|storage| storage.holds(content) && storage.is_usable());
    match (usable.next(), usable.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(Error::Conflict(candidates)),
        (Some(_), Some(_)) => Err(Error::argument(
            "storage",
            format!("must be given because several storages can hold {meaning}; {candidates}"),
        )),
    }
}

/// Which storages of a node can be used for such content, or how to get one.
fn candidates(storages: &[StorageStatus], node: &str, content: Content) -> String {
    let able: Vec<String> = storages
        .iter()
        .filter(|storage| storage.holds(content) && storage.is_usable())
        .map(|storage| match storage.avail {
            Some(avail) => format!("{} ({} free)", storage.storage, text::bytes(avail.0)),
            None => storage.storage.clone(),
        })
        .collect();
    if able.is_empty() {
        return format!(
            "no active storage of node {node} holds {}: add the content {} to one under Datacenter, \
             Storage",
            meaning(content),
            content.as_str()
        );
    }
    let able = text::names(able.iter().map(String::as_str));
    format!("these can: {able}")
}

impl StorageStatus {
    /// Why it cannot take such content now, if so.
    fn obstacle(&self, node: &str, content: Content) -> Option<String> {
        let (name, meaning) = (&self.storage, meaning(content));
        if !self.holds(content) {
            return Some(format!("storage {name} is not set up to hold {meaning}"));
        }
        if self.is_usable() {
            return None;
        }
        let state = if self.enabled.0 {
            "not active"
        } else {
            "disabled"
        };
        Some(format!(
            "storage {name} is {state} on node {node} and cannot take {meaning} now"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn all() -> Vec<StorageStatus> {
        serde_json::from_value(json!([
            {"storage": "bulk", "type": "dir", "content": "rootdir,images", "active": 1,
             "enabled": 1, "shared": 1, "avail": 1_073_741_824u64, "total": 2, "used": 1},
            {"storage": "local", "type": "dir", "content": "import,backup,vztmpl,iso,images",
             "active": 1, "enabled": 1, "shared": 0, "avail": 2_147_483_648u64},
            {"storage": "nas", "type": "nfs", "content": "iso", "active": 0, "enabled": 1},
        ]))
        .unwrap()
    }

    #[test]
    fn the_only_one_is_chosen() {
        assert_eq!(
            pick(all(), "pve1", Content::Iso, None).unwrap().storage,
            "local"
        );
        assert_eq!(
            pick(all(), "pve1", Content::Images, Some("bulk"))
                .unwrap()
                .storage,
            "bulk"
        );
    }

    #[test]
    fn what_cannot_be_chosen_names_the_candidates() {
        let message = |content, wanted| pick(all(), "pve1", content, wanted).unwrap_err().message();
        assert_eq!(
            message(Content::Images, None),
            "storage: must be given because several storages can hold VM disks; these can: bulk (1 \
             GiB free), local (2 GiB free)"
        );
        assert_eq!(
            message(Content::Snippets, None),
            "no active storage of node pve1 holds snippets: add the content snippets to one under \
             Datacenter, Storage"
        );
        assert!(message(Content::Iso, Some("bulk")).starts_with("storage bulk is not set up"));
        assert!(message(Content::Iso, Some("nas")).contains("not active"));
        assert!(message(Content::Iso, Some("typo")).starts_with("there is no storage typo"));
    }

    #[test]
    fn contents_are_sorted() {
        let storages = all();
        assert_eq!(storages[0].contents(), ["images", "rootdir"]);
        assert!(storages[1].holds(Content::Vztmpl) && !storages[1].holds(Content::Rootdir));
    }
}
