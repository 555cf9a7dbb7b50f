//! Disks that are not in use, volumes that no guest has, and ISO images in no drive.

use std::collections::BTreeSet;

use pve_api::slot::Bus;
use pve_api::{GuestType, calls, owner_of};
use serde_json::Value;

use super::finding::{Waste, WasteKind, days_since, since};
use super::survey::{MOST_PENDING, Survey};
use crate::json::DeserializeFields;
use crate::order::Ordered as _;
use crate::pve::{
    At, Content, Guest, GuestConfig, Num, Params, Pve, StorageResource, Vmid, Volume,
};
use crate::text;
use crate::tool::budget::Budget;

/// What is younger may be on its way into use.
const FRESH_DAYS: u64 = 1;
const FRESH_ISO_DAYS: u64 = 7;

/// Adds what is found to the findings.
pub(crate) fn find(pve: &Pve, survey: &mut Survey, found: &mut Vec<Waste>) {
    unused_disks(survey, found);
    let used = references(survey.configurations.values());
    unused_images(survey, &used, found);
    orphans(pve, survey, &used, found);
}

fn unused_disks(survey: &Survey, found: &mut Vec<Waste>) {
    for guest in &survey.guests {
        let Some(config) = survey.configurations.get(&guest.vmid) else {
            continue;
        };
        let is_unused = |key: &str| Bus::of(key) == Some(Bus::Unused);
        for (key, volid) in config.iter().filter(|(key, _)| is_unused(key)) {
            let waste = Waste::new(
                WasteKind::UnusedDisk,
                format!("{key} of {} is detached: {volid}", guest.label()),
                format!("the configuration lists it as {key}"),
                "web interface: the guest, Hardware (of a container: Resources), this disk: Edit \
                 attaches it again, Remove deletes it"
                    .into(),
            );
            found.push(waste.on(guest).volid(volid).bytes(survey.size_of(volid)));
        }
    }
}

fn unused_images(survey: &mut Survey, used: &BTreeSet<String>, found: &mut Vec<Waste>) {
    let images = || {
        let is_image = |volume: &Volume| volume.content == Content::Iso.as_str();
        survey.volumes.iter().filter(move |(_, one)| is_image(one))
    };
    if !survey.is_complete {
        if images().next().is_some() {
            survey.not_checked.push(
                "ISO images: whether one is in a drive is known only where every guest's \
                 configuration was read"
                    .into(),
            );
        }
        return;
    }
    for (storage, volume) in images().filter(|(_, one)| !used.contains(&one.volid)) {
        let stored = volume.ctime.map(|time| time.0);
        if stored.is_some_and(|time| days_since(time, survey.now) < FRESH_ISO_DAYS) {
            continue;
        }
        let stored = stored.map_or_else(String::new, |time| {
            format!("; stored {}", since(time, survey.now))
        });
        let waste = Waste::new(
            WasteKind::UnusedIso,
            format!("{} is in no guest's drive", volume.volid),
            format!("no current configuration of a guest names it{stored}"),
            format!(
                "web interface: node {}, storage {}, ISO Images: Remove, if no one needs it",
                storage.node, storage.storage
            ),
        );
        found.push(at(waste, storage, volume));
    }
}

/// Volumes that look like a disk of a guest, and that no guest has. Deleting one checks no
/// configuration, so what is not certain is left out.
fn orphans(pve: &Pve, survey: &mut Survey, used: &BTreeSet<String>, found: &mut Vec<Waste>) {
    let candidates = candidates(survey, used);
    if candidates.is_empty() {
        return;
    }
    let replicated = replicated(pve);
    let mut budget = survey.budget.part(MOST_PENDING);
    let (mut with_snapshots, mut unsure, mut incomplete) = (BTreeSet::new(), 0_usize, 0_usize);
    for candidate in candidates {
        match judge(pve, survey, replicated.as_ref(), &mut budget, &candidate) {
            Judgement::Orphan(evidence) => {
                let guest = survey.guest(candidate.owner);
                found.push(candidate.waste(guest, &evidence));
            }
            Judgement::InSnapshot => {
                with_snapshots.insert(candidate.owner);
            }
            Judgement::Unsure => unsure += 1,
            Judgement::Incomplete => incomplete += 1,
        }
    }
    survey.budget.give_back(&budget);
    for (count, what, why) in [
        (
            with_snapshots.len(),
            "guest",
            "with volumes that a snapshot may use: not judged",
        ),
        (
            unsure,
            "volume",
            "that may belong to a guest that is locked, replicated, on another node or not \
             visible, or beyond the limits of one call: not judged; call again with a node",
        ),
        (
            incomplete,
            "volume",
            "whose name is that of no guest: not judged, because not every guest's configuration \
             was read (it needs VM.Audit on /vms, and every node online)",
        ),
    ] {
        if count > 0 {
            let counted = text::count(count, what);
            survey.not_checked.push(format!("{counted} {why}"));
        }
    }
}

/// A volume that no configuration names.
struct Candidate {
    /// The guest that it belongs to by its name.
    owner: Vmid,
    storage: StorageResource,
    volume: Volume,
}

/// The disks that are old enough and that no configuration names.
fn candidates(survey: &Survey, used: &BTreeSet<String>) -> Vec<Candidate> {
    let bases = Bases::of(survey.volumes.iter().map(|(_, volume)| volume));
    survey
        .volumes
        .iter()
        .filter(|(_, one)| one.is(Content::Images) || one.is(Content::Rootdir))
        .filter(|(_, one)| !used.contains(&one.volid) && !bases.has(one))
        .filter(|(_, one)| {
            let time = one.ctime.map(|time| time.0);
            time.is_none_or(|time| days_since(time, survey.now) >= FRESH_DAYS)
        })
        .filter_map(|(storage, volume)| {
            let owner = volume.vmid.map(|vmid| vmid.0);
            Some(Candidate {
                owner: owner.or_else(|| owner_of(&volume.volid))?,
                storage: storage.clone(),
                volume: volume.clone(),
            })
        })
        .collect()
}

/// What a volume is that no configuration names.
enum Judgement {
    /// No guest has it, and why that is known.
    Orphan(String),
    /// A snapshot of its guest may use it.
    InSnapshot,
    /// Its guest may have it.
    Unsure,
    /// There is no guest of its name, and another may have it: not every configuration
    /// was read.
    Incomplete,
}

fn judge(
    pve: &Pve,
    survey: &Survey,
    replicated: Option<&BTreeSet<Vmid>>,
    budget: &mut Budget,
    Candidate {
        owner,
        storage,
        volume,
    }: &Candidate,
) -> Judgement {
    let Some(guest) = survey.guest(*owner) else {
        return of_no_guest(survey, *owner);
    };
    let Some(config) = survey.configurations.get(owner) else {
        return Judgement::Unsure;
    };
    if config.get("parent").is_some() || volume.volid.contains("-state-") {
        return Judgement::InSnapshot;
    }
    let is_away = !storage.shared.0 && storage.node != guest.node;
    let may_be_replica = replicated.is_none_or(|replicated| replicated.contains(owner));
    let is_held = guest.lock.as_deref().is_some_and(|lock| !lock.is_empty());
    if is_held || (is_away && may_be_replica) || !budget.take() {
        return Judgement::Unsure;
    }
    if pending(pve, guest).is_none_or(|pending| pending.contains(&volume.volid)) {
        return Judgement::Unsure;
    }
    let place = match is_away {
        true => format!(", and the guest is on node {}", guest.node),
        false => String::new(),
    };
    Judgement::Orphan(format!(
        "neither the configuration nor pending changes of {} name it{place}",
        guest.label()
    ))
}

/// What a volume is whose guest is not among those that were read.
fn of_no_guest(survey: &Survey, owner: Vmid) -> Judgement {
    if survey.vmids.contains(&owner) {
        return Judgement::Unsure;
    }
    // A volume can be in the configuration of a guest other than its name says.
    if !survey.is_complete {
        return Judgement::Incomplete;
    }
    let configurations = survey.configurations.values();
    let with_snapshots = configurations.filter(|config| config.get("parent").is_some());
    let snapshots = match with_snapshots.count() {
        0 => String::new(),
        count => format!(
            "; the snapshots of {} were not searched for it",
            text::count(count, "guest")
        ),
    };
    Judgement::Orphan(format!(
        "its name says guest {owner}, there is no guest {owner}, and no guest's configuration \
         names it{snapshots}"
    ))
}

impl Candidate {
    fn waste(&self, guest: Option<&Guest>, evidence: &str) -> Waste {
        let Self {
            owner,
            storage,
            volume,
        } = self;
        let clones = match storage.plugintype.as_deref() {
            Some("lvmthin") => "; LVM-thin does not show whether it has linked clones",
            _ => "",
        };
        let shared = match storage.shared.0 {
            true => "; if another cluster uses this storage, it may belong to a guest there",
            false => "",
        };
        let attach = guest.map_or_else(String::new, |guest| {
            let command = match guest.kind {
                GuestType::Qemu => "qm disk rescan",
                GuestType::Lxc => "pct rescan",
            };
            format!(
                "; {command} --vmid {owner} on node {} lists it in its guest as an unused disk",
                guest.node
            )
        });
        let waste = Waste::new(
            WasteKind::OrphanedVolume,
            format!("no guest has the volume {}", volume.volid),
            format!("{evidence}{clones}{shared}"),
            format!(
                "look at its content or back it up first; web interface: node {}, storage {}, VM \
                 Disks or CT Volumes: Remove{attach}",
                storage.node, storage.storage
            ),
        );
        let mut waste = at(waste, storage, volume);
        waste.vmid = Some(*owner);
        waste
    }
}

fn at(waste: Waste, storage: &StorageResource, volume: &Volume) -> Waste {
    let mut waste = waste.volid(&volume.volid).bytes(volume.size_bytes());
    waste.node = (!storage.shared.0).then(|| storage.node.clone());
    waste
}

/// All that may be a volid in the settings of guests.
fn references<'a>(configurations: impl Iterator<Item = &'a GuestConfig>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for config in configurations {
        for (_, value) in config.iter() {
            let parts = value.split([',', '=']).filter(|part| part.contains(':'));
            found.extend(parts.map(|part| part.trim().to_owned()));
        }
    }
    found
}

/// What other volumes are based on.
struct Bases<'a> {
    /// Each path that is above another one: `base-100-disk-0` of
    /// `base-100-disk-0/vm-101-disk-0`.
    above: BTreeSet<&'a str>,
    /// Each segment of a parent, which has the base's name among them:
    /// `pool/base-100-disk-0@__base__`, `../100/base-100-disk-0.qcow2`.
    parents: BTreeSet<&'a str>,
}

impl<'a> Bases<'a> {
    fn of(volumes: impl Iterator<Item = &'a Volume>) -> Self {
        let mut bases = Self {
            above: BTreeSet::new(),
            parents: BTreeSet::new(),
        };
        for volume in volumes {
            let path = volume.volid.split_once(':').map_or("", |(_, path)| path);
            let above = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
            bases.above.extend(above);
            let parent = volume.parent.as_deref().unwrap_or_default();
            let names = parent.split(['/', '@', ':', '"']);
            // No volume is based on itself.
            bases
                .parents
                .extend(names.filter(|name| *name != volume.name()));
        }
        bases
    }

    /// Whether another volume is based on this one.
    fn has(&self, volume: &Volume) -> bool {
        let path = volume.volid.split_once(':').map_or("", |(_, path)| path);
        self.above.contains(path) || self.parents.contains(volume.name())
    }
}

/// The guests that are replicated; none where the list cannot be read.
fn replicated(pve: &Pve) -> Option<BTreeSet<Vmid>> {
    #[derive(DeserializeFields)]
    struct Job {
        guest: Num<Vmid>,
    }
    let request = calls::cluster::REPLICATION.at([]);
    let jobs: Vec<Job> = pve.send(&request, &Params::new()).ok()?;
    Some(jobs.into_iter().map(|job| job.guest.0).collect())
}

/// All that may be a volid in the settings of a guest, the current ones and those that wait.
fn pending(pve: &Pve, guest: &Guest) -> Option<BTreeSet<String>> {
    let request = guest.request(&calls::guests::PENDING);
    let settings: Vec<Value> = pve.send(&request, &Params::new()).ok()?;
    let text = |setting: &Value| {
        ["value", "pending"]
            .iter()
            .filter_map(|key| Some(setting.get(key)?.as_str()?.to_owned()))
            .collect::<Vec<_>>()
    };
    let values = settings.iter().flat_map(text);
    let parts = values.flat_map(|value| {
        value
            .split([',', '='])
            .map(|part| part.trim().to_owned())
            .collect::<Vec<_>>()
    });
    Some(parts.ordered())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn volume(volid: &str, parent: Option<&str>) -> Volume {
        serde_json::from_value(json!({
            "volid": volid, "content": "images", "format": "raw", "size": 1, "parent": parent
        }))
        .unwrap()
    }

    #[test]
    fn a_volume_that_another_one_is_based_on_is_a_base() {
        let volumes = [
            volume("zfs:base-100-disk-0", None),
            volume(
                "zfs:base-100-disk-0/vm-101-disk-0",
                Some("base-100-disk-0@__base__"),
            ),
            volume("ceph:base-200-disk-0", None),
            volume("ceph:vm-201-disk-0", Some("base-200-disk-0@__base__")),
            volume("pool:base-300-disk-0", None),
            volume("pool:vm-301-disk-0", Some("tank/vms/base-300-disk-0@x")),
            volume("dir:400/base-400-disk-0.qcow2", None),
            volume(
                "dir:401/vm-401-disk-0.qcow2",
                Some("../400/base-400-disk-0.qcow2"),
            ),
            // The name of a base begins with the name of this one.
            volume("pool:base-300-disk", None),
            volume("zfs:vm-500-disk-0", Some("rpool/old/vm-500-disk-0@x")),
        ];
        let bases = Bases::of(volumes.iter());
        let found: Vec<&str> = volumes
            .iter()
            .filter(|volume| bases.has(volume))
            .map(|volume| volume.volid.as_str())
            .collect();
        assert_eq!(
            found,
            [
                "zfs:base-100-disk-0",
                "ceph:base-200-disk-0",
                "pool:base-300-disk-0",
                "dir:400/base-400-disk-0.qcow2"
            ]
        );
    }
}
