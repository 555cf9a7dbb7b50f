//! What is read of the cluster to find waste, within bounds.

use std::collections::{BTreeMap, BTreeSet};

use pve_api::calls;
use serde_json::Value;

use crate::clock;
use crate::error::{Error, Result};
use crate::pve::{
    At, Content, Guest, GuestConfig, Params, Pve, StorageResource, Vmid, Volume, guests,
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

/// How many storages are read, each counted on each of its nodes.
const MOST_STORAGES: usize = 120;

/// What was read.
pub(crate) struct Survey {
    pub(super) now: u64,
    /// Those that are looked at: all, or those of a node.
    pub(super) guests: Vec<Guest>,
    /// The vmids of all guests of the cluster that the token sees.
    pub(super) vmids: BTreeSet<Vmid>,
    pub(super) configurations: BTreeMap<Vmid, GuestConfig>,
    /// Volumes with the storage that lists them.
    pub(super) volumes: Vec<(StorageResource, Volume)>,
    /// Whether every guest of the cluster is known and its configuration was read.
    pub(super) is_complete: bool,
    /// Whether a vmid that is not among the guests belongs to none.
    pub(super) sees_all_guests: bool,
    /// What could not be looked at, and why.
    pub(super) not_checked: Vec<String>,
    pub(super) budget: Budget,
}

impl Survey {
    pub(crate) fn read(pve: &Pve, node: Option<&str>) -> Result<Self> {
        let all = guests(pve)?;
        if all.is_empty() {
            return Err(Error::NotFound(pve.empty_hint("VM.Audit", "/vms")));
        }
        let storages = storage_resources(pve)?;
        if let Some(node) = node
            && !storages.iter().any(|storage| storage.node == node)
        {
            known_node(pve, node)?;
        }
        let total = all.len();
        let vmids = all.iter().map(|guest| guest.vmid).collect();
        let mut survey = Self {
            now: clock::now(),
            guests: all
                .into_iter()
                .filter(|guest| node.is_none_or(|node| guest.node == node))
                .collect(),
            vmids,
            configurations: BTreeMap::new(),
            volumes: Vec::new(),
            is_complete: false,
            sees_all_guests: sees_all_guests(pve),
            not_checked: Vec::new(),
            budget: Budget::new(
                MOST_CONFIGURATIONS
                    + MOST_SNAPSHOT_LISTS
                    + MOST_METRICS
                    + MOST_TASK_LISTS
                    + MOST_PENDING,
            ),
        };
        survey.read_configurations(pve);
        survey.is_complete = survey.sees_all_guests && survey.configurations.len() == total;
        survey.read_volumes(pve, storages, node);
        Ok(survey)
    }

    fn read_configurations(&mut self, pve: &Pve) {
        let mut budget = self.budget.part(MOST_CONFIGURATIONS);
        let reachable: Vec<&Guest> = self
            .guests
            .iter()
            .filter(|guest| guest.reachable(pve).is_ok())
            .collect();
        let away = self.guests.len() - reachable.len();
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
            (away, "their node is offline"),
            (unread, "their configuration could not be read"),
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
        let what = "storages (each on each of its nodes)";
        crate::tool::bounds::keep(&mut wanted, MOST_STORAGES, what, &mut self.not_checked);
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

    /// The size of a volume, as a storage lists it.
    pub(super) fn size_of(&self, volid: &str) -> Option<u64> {
        let found = self.volumes.iter().find(|(_, one)| one.volid == volid);
        found.and_then(|(_, volume)| volume.size_bytes())
    }
}

/// Whether the token may see every guest: a volume of a guest that it may not see would
/// look like one of a guest that is gone.
fn sees_all_guests(pve: &Pve) -> bool {
    if pve.scope().is_some() {
        return false;
    }
    let held: Result<BTreeMap<String, BTreeMap<String, Value>>, _> =
        pve.send(&calls::access::PERMISSIONS.at([]), &Params::new());
    let Ok(held) = held else { return false };
    let audits = |path: &str| {
        let privileges = held.get(path)?;
        Some(privileges.contains_key("VM.Audit"))
    };
    // 0: only on the path itself.
    let audits_below = |path: &str| {
        let passed_on = held.get(path)?.get("VM.Audit");
        Some(passed_on.is_some_and(|passed_on| passed_on.as_u64() != Some(0)))
    };
    let below = held
        .keys()
        .filter(|path| path.starts_with("/vms/") || path.starts_with("/pool/"));
    audits_below("/vms")
        .or_else(|| audits_below("/"))
        .unwrap_or(false)
        && below.clone().all(|path| audits(path) != Some(false))
}
