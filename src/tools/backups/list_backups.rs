//! `list_backups`: the backups of all guests.

use std::collections::BTreeMap;
use std::ops::Range;

use pve_api::calls;
use schemars::JsonSchema;

use super::volume::{able, kind_of, vmid_of};
use crate::error::Result;
use crate::json::{DeserializeFields, SerializeFields};
use crate::order;
use crate::pve::{
    Content, Guest, GuestType, Listed, Pve, StorageResource, Vmid, Volume, guests,
    storage_resources, storage_volumes,
};
use crate::tool::declared::{Calls, LOOK_UP};
use crate::tool::{Offset, Page, Part, Reply, Run, bounds};
use crate::tools::storage::unknown::unknown_node;
use crate::{clock, text};

/// The backups of all guests.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListBackups {
    /// Only of this guest, which may be gone.
    vmid: Option<Vmid>,
    /// Only on this storage.
    storage: Option<String>,
    /// Only on storages of this node.
    node: Option<String>,
    /// Only guests whose newest finished backup is older; guests without any are named.
    #[schemars(range(min = 1, max = 3650))]
    older_than_days: Option<u32>,
    /// Default 50. Every guest's newest comes before any guest's second.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
    offset: Option<Offset>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct BackupList {
    /// By vmid.
    pub(super) guests: Vec<GuestBackups>,
    /// Number of matches, including those not shown.
    pub(super) total: usize,
    pub(super) total_bytes: u64,
    /// Guests without any finished backup, where no filter is set and every
    /// storage could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) guests_without_backup: Option<Vec<Vmid>>,
    /// Instead, when some storages could not be read: guests without a known
    /// finished backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) guests_whose_backup_is_not_known: Option<Vec<Vmid>>,
    /// Storages that could not be read, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unavailable: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
}

#[derive(Debug, PartialEq, SerializeFields, JsonSchema)]
pub(super) struct GuestBackups {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) vmid: Option<Vmid>,
    /// Of the guest that has this vmid now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// Whether there is such a guest now, as far as the token sees.
    pub(super) exists: bool,
    /// How many there are, also where not all are shown.
    pub(super) count: usize,
    /// Newest first.
    pub(super) backups: Vec<Backup>,
}

#[derive(Debug, PartialEq, SerializeFields, JsonSchema)]
pub(super) struct Backup {
    volid: String,
    /// Where it is; absent on a shared storage, where every node of the storage
    /// sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) node: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) shared: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<GuestType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) age_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    size_is_approximate: bool,
    /// Still running or interrupted: cannot be restored.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) unfinished: bool,
    /// Whether it is protected from being removed.
    pub(super) protected: bool,
    /// The fingerprint of the key that it is encrypted with, or true.
    #[serde(skip_serializing_if = "Option::is_none")]
    encrypted: Option<String>,
    /// Verification state on a Proxmox Backup Server: ok, failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verification: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) notes: Option<String>,
}

const DEFAULT_LIMIT: u32 = 50;

/// How many guests and storages are listed by name.
const MOST_GUESTS: usize = 500;
const MOST_UNAVAILABLE: usize = 50;

impl Run for ListBackups {
    type Output = BackupList;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::One(&calls::nodes::LIST),
        Calls::One(&calls::storage::CONTENT),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<BackupList>> {
        let all = storage_resources(pve)?;
        if let Some(storage) = &self.storage {
            able(&all, storage)?;
        }
        if let Some(node) = &self.node
            && !all.is_empty()
            && !all.iter().any(|resource| resource.node == *node)
        {
            return Err(unknown_node(pve, node, &all));
        }
        let none_seen = all.is_empty();
        let fits = all
            .into_iter()
            .filter(|resource| resource.may_hold(Content::Backup))
            .filter(|resource| resource.matches(self.storage.as_deref(), self.node.as_deref()))
            .collect();
        let volumes = storage_volumes(pve, fits, Some(Content::Backup), self.vmid);
        let mut found = Vec::new();
        for (resource, volumes) in volumes.read {
            let backups = volumes
                .into_iter()
                .filter(|volume| volume.content == Content::Backup.as_str());
            found.extend(backups.map(|volume| (home(&resource), volume)));
        }
        let filtered = self.vmid.is_some() || self.storage.is_some() || self.node.is_some();
        let page = Page::new(self.offset, self.limit, DEFAULT_LIMIT);
        let now = clock::now();
        let stale = self
            .older_than_days
            .map(|days| u64::from(days) * clock::DAY);
        let stale = stale.map(|age| now.saturating_sub(age));
        let (mut list, part) = BackupList::new(found, &guests(pve)?, page, now, stale);
        if none_seen {
            list.hint = Some(pve.empty_hint(Listed::Storages));
        }
        if filtered || none_seen {
            list.guests_without_backup = None;
        }
        list.set_unavailable(volumes.unavailable);
        list.shorten();
        let text = list.text();
        Ok(Reply::Listed(list, text, part))
    }
}

impl BackupList {
    pub(super) fn new(
        found: Vec<(Option<String>, Volume)>,
        all: &[Guest],
        page: Page,
        now: u64,
        stale_before: Option<u64>,
    ) -> (Self, Part) {
        let mut by_guest = newest_first_by_guest(found);
        let without = without_finished_backup(all, &by_guest);
        if let Some(moment) = stale_before {
            keep_stale(&mut by_guest, all, moment);
        }
        let found = || by_guest.values().flatten();
        let total = found().count();
        let total_bytes = found()
            .filter_map(|(_, volume)| volume.size_bytes())
            .fold(0u64, u64::saturating_add);
        let counts: Vec<usize> = by_guest.values().map(Vec::len).collect();
        let mut turns = turns(&counts);
        let part = page.cut(
            &mut turns,
            "/guests",
            "vmid, storage, node or older_than_days",
        );
        let mut shown: Vec<usize> = turns.iter().map(|turn| turn.guest).collect();
        shown.sort_unstable();
        shown.dedup();
        let place = |turn: &Turn| shown.binary_search(&turn.guest).ok();
        let part = part.nested("backups", turns.iter().filter_map(place).collect());
        let guests = by_guest
            .into_iter()
            .enumerate()
            .filter(|(at, _)| shown.binary_search(at).is_ok())
            .map(|(at, (vmid, backups))| {
                let own = || turns.iter().filter(|turn| turn.guest == at);
                let first = own().map(|turn| turn.backup).min().unwrap_or(0);
                let guest = all.iter().find(|guest| Some(guest.vmid) == vmid);
                GuestBackups::new(vmid, guest, backups, first..first + own().count(), now)
            })
            .collect();
        let list = Self {
            guests,
            total,
            total_bytes,
            guests_without_backup: Some(without),
            guests_whose_backup_is_not_known: None,
            unavailable: Vec::new(),
            hint: part
                .note()
                .map(|note| format!("{note}; every guest's newest comes first")),
        };
        (list, part)
    }

    /// Storages that could not be read may hold the backups that seem to be missing.
    pub(super) fn set_unavailable(&mut self, unavailable: Vec<String>) {
        if !unavailable.is_empty() {
            self.guests_whose_backup_is_not_known = self.guests_without_backup.take();
        }
        self.unavailable = unavailable;
    }

    /// Shortens lists that are too long to read, and says so in the hint.
    fn shorten(&mut self) {
        let mut notes: Vec<String> = self.hint.take().into_iter().collect();
        for list in [
            &mut self.guests_without_backup,
            &mut self.guests_whose_backup_is_not_known,
        ]
        .into_iter()
        .flatten()
        {
            let what = "guests without a known backup";
            bounds::keep(list, MOST_GUESTS, what, &mut notes);
        }
        let what = "storages that could not be read";
        bounds::keep(&mut self.unavailable, MOST_UNAVAILABLE, what, &mut notes);
        self.hint = (!notes.is_empty()).then(|| notes.join("; "));
    }

    fn text(&self) -> String {
        let mut text = format!(
            "{} of {}, {}",
            text::count(self.total, "backup"),
            text::count(self.guests.len(), "guest"),
            text::bytes(self.total_bytes)
        );
        if !self.unavailable.is_empty() {
            text.push_str(&format!(
                "; {} could not be read",
                text::count(self.unavailable.len(), "storage")
            ));
        }
        text
    }
}

impl GuestBackups {
    /// The part of a guest's backups that the result shows; `vmid` is that of the backups.
    fn new(
        vmid: Option<Vmid>,
        guest: Option<&Guest>,
        backups: Vec<(Option<String>, Volume)>,
        part: Range<usize>,
        now: u64,
    ) -> Self {
        Self {
            vmid,
            name: guest.and_then(|guest| guest.name.clone()),
            exists: guest.is_some(),
            count: backups.len(),
            backups: backups
                .into_iter()
                .skip(part.start)
                .take(part.len())
                .map(|(node, volume)| Backup::new(node, volume, now))
                .collect(),
        }
    }
}

/// Backups by vmid, each with its node unless it is on a shared storage.
type ByGuest = BTreeMap<Option<Vmid>, Vec<(Option<String>, Volume)>>;

fn newest_first_by_guest(found: Vec<(Option<String>, Volume)>) -> ByGuest {
    let mut by_guest = ByGuest::new();
    for (node, volume) in found {
        by_guest
            .entry(vmid_of(&volume))
            .or_default()
            .push((node, volume));
    }
    for backups in by_guest.values_mut() {
        order::by(backups, |(_, a), (_, b)| {
            let key = |volume: &Volume| volume.ctime.map_or(0, |time| time.0);
            (key(b), &b.volid).cmp(&(key(a), &a.volid))
        });
    }
    by_guest
}

/// Keeps the guests whose newest finished backup is from before this moment. A guest that is
/// gone needs no newer one, and neither does a template.
fn keep_stale(by_guest: &mut ByGuest, all: &[Guest], moment: u64) {
    by_guest.retain(|vmid, backups| {
        let guest = all.iter().find(|guest| Some(guest.vmid) == *vmid);
        let finished = backups.iter().filter(|(_, volume)| !volume.is_unfinished());
        let newest = finished
            .filter_map(|(_, volume)| volume.ctime)
            .map(|time| time.0);
        guest.is_some_and(|guest| !guest.template.0)
            && newest.max().is_some_and(|newest| newest < moment)
    });
}

/// The guests without any finished backup. Templates need none.
fn without_finished_backup(all: &[Guest], by_guest: &ByGuest) -> Vec<Vmid> {
    all.iter()
        .filter(|guest| {
            let backups = by_guest.get(&Some(guest.vmid)).into_iter().flatten();
            let mut finished = backups.filter(|(_, volume)| !volume.is_unfinished());
            !guest.template.0 && finished.next().is_none()
        })
        .map(|guest| guest.vmid)
        .collect()
}

impl Backup {
    fn new(node: Option<String>, volume: Volume, now: u64) -> Self {
        let kind = kind_of(&volume);
        let notes = volume
            .notes
            .as_deref()
            .map(str::trim)
            .filter(|notes| !notes.is_empty());
        Self {
            shared: node.is_none(),
            node,
            kind,
            size_is_approximate: volume.has_approximate_size(),
            unfinished: volume.is_unfinished(),
            encrypted: volume.encryption(),
            created_at: volume.ctime.map(|time| text::time(time.0)),
            age_seconds: volume.ctime.map(|time| now.saturating_sub(time.0)),
            size_bytes: volume.size_bytes(),
            protected: volume.protected.0,
            verification: volume
                .verification
                .and_then(|verification| verification.state),
            notes: notes.map(|notes| text::cut(notes, 160)),
            volid: volume.volid,
        }
    }
}

/// The node that a storage belongs to; none for a shared storage.
fn home(resource: &StorageResource) -> Option<String> {
    (!resource.shared.0).then(|| resource.node.clone())
}

/// One backup in the order in which backups are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    /// The position of its guest.
    pub(super) guest: usize,
    /// Its position among those of the guest.
    pub(super) backup: usize,
}

/// The order in which backups are listed, by how many each guest has: the first of every
/// guest before the second of any.
pub(super) fn turns(counts: &[usize]) -> Vec<Turn> {
    let most = counts.iter().copied().max().unwrap_or(0);
    let round = |backup: usize| {
        let having = counts.iter().enumerate();
        let having = having.filter(move |(_, count)| **count > backup);
        having.map(move |(guest, _)| Turn { guest, backup })
    };
    (0..most).flat_map(round).collect()
}
