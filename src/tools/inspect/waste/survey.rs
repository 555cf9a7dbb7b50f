//! What is read of the cluster to find waste, within bounds.

use std::collections::{BTreeMap, BTreeSet};

use pve_api::calls;

use crate::clock;
use crate::error::{Error, Result};
use crate::order::Ordered as _;
use crate::pve::{
    Content, Guest, GuestConfig, Listed, Params, Pve, StorageResource, Vmid, Volume, guests,
    known_node, storage_resources, storage_volumes,
};
use crate::text;
use crate::tool::budget::Budget;

/// How many requests a report makes at most for each purpose. Lists and storages take
/// further ones: at most [`MOST_STORAGES`] and a few.
const MOST_CONFIGURATIONS: usize = 600;
pub(super) const MOST_SNAPSHOT_LISTS: usize = 80;
pub(super) const MOST_METRICS: usize = 80;
pub(super) const MOST_TASK_LISTS: usize = 40;
pub(super) const MOST_PENDING: usize = 20;

/// How many storages are read: a shared one counts once, another on each of its nodes.
const MOST_STORAGES: usize = 120;

/// What was read.
pub(crate) struct Survey {
    pub(super) now: u64,
    /// Those that are looked at, by vmid: all, or those of a node.
    pub(super) guests: Vec<Guest>,
    /// The vmids of all guests of the cluster that the token sees.
    pub(super) vmids: BTreeSet<Vmid>,
    pub(super) configurations: BTreeMap<Vmid, GuestConfig>,
    /// Volumes with the storage that lists them.
    pub(super) volumes: Vec<(StorageResource, Volume)>,
    /// Whether every guest of the cluster is known and its configuration was read.
    pub(super) is_complete: bool,
    /// What could not be looked at, and why.
    pub(super) not_checked: Vec<String>,
    pub(super) budget: Budget,
}

impl Survey {
    pub(crate) fn read(pve: &Pve, node: Option<&str>) -> Result<Self> {
        let all = guests(pve)?;
        if all.is_empty() {
            return Err(Error::NotFound(pve.empty_hint(Listed::Guests)));
        }
        let storages = storage_resources(pve)?;
        if let Some(node) = node
            && !storages.iter().any(|storage| storage.node == node)
        {
            known_node(pve, node)?;
        }
        let vmids: BTreeSet<Vmid> = all.iter().map(|guest| guest.vmid).ordered();
        let (guests, others): (Vec<Guest>, Vec<Guest>) = all
            .into_iter()
            .partition(|guest| node.is_none_or(|node| guest.node == node));
        let mut survey = Self {
            now: clock::now(),
            guests,
            vmids,
            configurations: BTreeMap::new(),
            volumes: Vec::new(),
            is_complete: false,
            not_checked: Vec::new(),
            budget: Budget::new(
                MOST_CONFIGURATIONS
                    + MOST_SNAPSHOT_LISTS
                    + MOST_METRICS
                    + MOST_TASK_LISTS
                    + MOST_PENDING,
            ),
        };
        survey.read_configurations(pve, &others);
        survey.is_complete =
            pve.sees_all_guests() && survey.configurations.len() == survey.vmids.len();
        survey.read_volumes(pve, storages, node);
        Ok(survey)
    }

    /// Reads those of the guests, and then those of the others in the cluster: any of them
    /// may have a volume in its configuration.
    fn read_configurations(&mut self, pve: &Pve, others: &[Guest]) {
        let mut budget = self.budget.part(MOST_CONFIGURATIONS);
        let reachable: Vec<&Guest> = self
            .guests
            .iter()
            .chain(others)
            .filter(|guest| guest.reachable(pve).is_ok())
            .collect();
        let away = self.guests.len() + others.len() - reachable.len();
        let request = |guest: &&Guest| (guest.request(&calls::guests::CONFIG), Params::new());
        pve.start(reachable.iter().take(budget.left()).map(request));
        let (mut unread, mut beyond) = (0, 0);
        for guest in reachable {
            if !budget.take() {
                beyond += 1;
                continue;
            }
            match GuestConfig::read(pve, guest) {
                Ok(config) => {
                    self.configurations.insert(guest.vmid, config);
                }
                Err(_) => unread += 1,
            }
        }
        self.budget.give_back(&budget);
        for (count, why) in [
            (away, "their node is offline: call again once it is back"),
            (
                unread,
                "their configuration could not be read (it needs VM.Audit on each of them)",
            ),
            (
                beyond,
                "beyond the limits of one call: call again with a node",
            ),
        ] {
            if count > 0 {
                let guests = text::count(count, "guest");
                self.not_checked.push(format!("{guests}: {why}"));
            }
        }
    }

    fn read_volumes(&mut self, pve: &Pve, storages: Vec<StorageResource>, node: Option<&str>) {
        let mut wanted: Vec<StorageResource> = storages
            .into_iter()
            .filter(|storage| storage.matches(None, node))
            .filter(|storage| {
                [Content::Images, Content::Rootdir, Content::Iso]
                    .iter()
                    .any(|content| storage.holds(*content))
            })
            .collect();
        let beyond = keep_storages(&mut wanted, MOST_STORAGES);
        if beyond > 0 {
            let storages = text::count(beyond, "storage");
            self.not_checked.push(format!(
                "{storages}: beyond the limits of one call: call again with a node"
            ));
        }
        let found = storage_volumes(pve, wanted, None, None);
        let unavailable = found.unavailable.iter().take(20);
        let unavailable = unavailable.map(|why| format!("storage {}", text::cut(why, 200)));
        self.not_checked.extend(unavailable);
        for (storage, volumes) in found.read {
            let volumes = volumes.into_iter();
            self.volumes
                .extend(volumes.map(|volume| (storage.clone(), volume)));
        }
    }

    pub(crate) fn into_not_checked(self) -> Vec<String> {
        self.not_checked
    }

    /// A guest that is looked at.
    pub(super) fn guest(&self, vmid: Vmid) -> Option<&Guest> {
        let at = self.guests.binary_search_by_key(&vmid, |guest| guest.vmid);
        at.ok().and_then(|at| self.guests.get(at))
    }

    /// The size of a volume, as a storage lists it.
    pub(super) fn size_of(&self, volid: &str) -> Option<u64> {
        let found = self.volumes.iter().find(|(_, one)| one.volid == volid);
        found.and_then(|(_, volume)| volume.size_bytes())
    }
}

/// Keeps the first storages, a shared one with all its nodes, and returns how many others
/// there were.
fn keep_storages(storages: &mut Vec<StorageResource>, most: usize) -> usize {
    let key = |one: &StorageResource| {
        let node = (!one.shared.0).then(|| one.node.clone());
        (one.storage.clone(), node)
    };
    let mut kept = BTreeSet::new();
    let mut left = BTreeSet::new();
    storages.retain(|one| {
        let key = key(one);
        if kept.len() < most || kept.contains(&key) {
            kept.insert(key);
            return true;
        }
        left.insert(key);
        false
    });
    left.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_shared_storage_counts_once() {
        let storage = |storage: &str, node: &str, shared: u8| -> StorageResource {
            serde_json::from_value(json!({
                "storage": storage, "node": node, "shared": shared, "status": "available"
            }))
            .unwrap()
        };
        let mut all = vec![
            storage("nas", "alpha", 1),
            storage("local", "alpha", 0),
            storage("local", "beta", 0),
            storage("local", "gamma", 0),
            storage("nas", "beta", 1),
        ];
        assert_eq!(keep_storages(&mut all, 2), 2);
        let kept: Vec<(&str, &str)> = all
            .iter()
            .map(|one| (one.storage.as_str(), one.node.as_str()))
            .collect();
        assert_eq!(
            kept,
            [("nas", "alpha"), ("local", "alpha"), ("nas", "beta")]
        );
    }
}
