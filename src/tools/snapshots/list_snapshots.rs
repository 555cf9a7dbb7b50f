//! `list_snapshots`: a guest's snapshots as a tree.

use pve_api::calls;
use schemars::JsonSchema;

use super::snapshot::{Snapshot, Snapshots};
use crate::error::{Error, Result};
use crate::json::{DeserializeFields, SerializeFields};
use crate::order;
use crate::pve::{Guest, GuestType, Listed, Params, Pve, Vmid, guests, known_node};
use crate::tool::budget::{Budget, SECONDS};
use crate::tool::declared::{Calls, LOOK_UP};
use crate::tool::{Offset, Page, Part, Reply, Run};
use crate::{clock, text};

/// The snapshots of a guest.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListSnapshots {
    /// Without it: of all guests, oldest first.
    vmid: Option<Vmid>,
    /// Without vmid: only of guests on this node.
    node: Option<String>,
    /// Only those that are older.
    #[schemars(range(min = 1, max = 3650))]
    older_than_days: Option<u32>,
    /// Default 50: the newest, or without vmid the oldest.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
    offset: Option<Offset>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct SnapshotTree {
    /// Absent for all guests, as are kind and node.
    #[serde(skip_serializing_if = "Option::is_none")]
    vmid: Option<Vmid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<GuestType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    /// Each after its parent; of all guests, the oldest first.
    pub(super) snapshots: Vec<SnapshotNode>,
    /// How many there are, also where not all are shown.
    pub(super) total: usize,
    /// How many guests were looked at, for all guests.
    #[serde(skip_serializing_if = "Option::is_none")]
    guests_read: Option<usize>,
    /// The snapshot that the guest's current state is based on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) current: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
}

#[derive(Debug, PartialEq, SerializeFields, JsonSchema)]
pub(super) struct SnapshotNode {
    /// The guest, in a list of all guests.
    #[serde(skip_serializing_if = "Option::is_none")]
    vmid: Option<Vmid>,
    /// The guest's name, in such a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    pub(super) snapshot: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    /// 0 for one without a parent.
    pub(super) depth: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) age_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    /// Whether it contains the RAM of a running VM.
    pub(super) with_ram: bool,
    /// What Proxmox was doing with it when it was interrupted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) incomplete: Option<String>,
}

impl Run for ListSnapshots {
    type Output = SnapshotTree;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::One(&calls::nodes::LIST),
        Calls::Guest(&calls::snapshots::LIST),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<SnapshotTree>> {
        let page = Page::new(self.offset, self.limit, DEFAULT_LIMIT);
        let now = clock::now();
        let Some(vmid) = self.vmid else {
            let (list, part) = self.of_all_guests(pve, page, now)?;
            let text = list.summary();
            return Ok(Reply::Listed(list, text, part));
        };
        if self.node.is_some() {
            return Err(Error::argument(
                "node",
                "must be left out with vmid: it narrows a list of all guests",
            ));
        }
        let (guest, mut snapshots) =
            Guest::with(pve, vmid, |guest| Ok(Snapshots::read(pve, guest)?))?;
        snapshots.all.retain(|one| self.is_old_enough(one, now));
        let (tree, part) = SnapshotTree::new(&guest, &snapshots, page, now);
        let text = tree.text(&guest);
        Ok(Reply::Listed(tree, text, part))
    }
}

const DEFAULT_LIMIT: u32 = 50;

const SNAPSHOTS: &str = "/snapshots";

/// How many guests are looked at: each takes a request.
const MOST_GUESTS: usize = 800;

impl ListSnapshots {
    /// One without a time is of no known age.
    fn is_old_enough(&self, snapshot: &Snapshot, now: u64) -> bool {
        self.older_than_days.is_none_or(|days| {
            let age = snapshot.snaptime.map(|time| now.saturating_sub(time.0));
            age.is_some_and(|age| age > u64::from(days) * clock::DAY)
        })
    }

    fn of_all_guests(&self, pve: &Pve, page: Page, now: u64) -> Result<(SnapshotTree, Part)> {
        let mut all = guests(pve)?;
        let mut notes = Vec::new();
        if all.is_empty() {
            notes.push(pve.empty_hint(Listed::Guests));
        }
        if let Some(node) = &self.node {
            if !all.iter().any(|guest| guest.node == *node) {
                known_node(pve, node)?;
            }
            all.retain(|guest| guest.node == *node);
        }
        // Templates cannot have snapshots.
        all.retain(|guest| !guest.template.0);
        let (readable, away): (Vec<Guest>, Vec<Guest>) = all
            .into_iter()
            .partition(|guest| guest.reachable(pve).is_ok());
        let reading = read_all(pve, &readable);
        let mut found = reading.found;
        found.retain(|(_, one)| self.is_old_enough(one, now));
        order::by(&mut found, |(guest, a), (other, b)| {
            (a.time(), guest.vmid, &a.name).cmp(&(b.time(), other.vmid, &b.name))
        });
        let total = found.len();
        let part = page.cut(&mut found, SNAPSHOTS, "node, older_than_days or vmid");
        notes.extend(part.note());
        notes.extend(reading.notes);
        if !away.is_empty() {
            notes.push(format!(
                "{} on offline nodes could not be read",
                text::count(away.len(), "guest")
            ));
        }
        let list = SnapshotTree {
            vmid: None,
            kind: None,
            node: None,
            snapshots: found
                .iter()
                .map(|(guest, one)| SnapshotNode {
                    vmid: Some(guest.vmid),
                    name: guest.name.clone(),
                    ..SnapshotNode::new(0, one, now)
                })
                .collect(),
            total,
            guests_read: Some(reading.guests),
            current: None,
            hint: (!notes.is_empty()).then(|| notes.join("; ")),
        };
        Ok((list, part))
    }
}

/// The snapshots of several guests.
struct Reading<'a> {
    found: Vec<(&'a Guest, Snapshot)>,
    /// Of how many guests.
    guests: usize,
    /// What was not read.
    notes: Vec<String>,
}

fn read_all<'a>(pve: &Pve, guests: &'a [Guest]) -> Reading<'a> {
    let mut budget = Budget::new(MOST_GUESTS);
    let request = |guest: &Guest| (guest.request(&calls::snapshots::LIST), Params::new());
    pve.start(guests.iter().take(budget.left()).map(request));
    let (mut found, mut read, mut unread) = (Vec::new(), 0_usize, None);
    for guest in guests {
        if !budget.take() {
            break;
        }
        match Snapshots::read(pve, guest) {
            Ok(snapshots) => {
                read += 1;
                found.extend(snapshots.all.into_iter().map(|one| (guest, one)));
            }
            Err(failure) => {
                let message = Error::from(failure).message();
                let (count, _) = unread.get_or_insert((0_usize, message));
                *count += 1;
            }
        }
    }
    let mut notes = Vec::new();
    if let Some((count, why)) = &unread {
        let why = text::cut(why, 200);
        notes.push(format!(
            "{} could not be read: {why}",
            text::count(*count, "guest")
        ));
    }
    let beyond = guests.len() - read - unread.map_or(0, |(count, _)| count);
    if beyond > 0 {
        notes.push(format!(
            "{} more were not looked at, as one call reads at most {MOST_GUESTS} for at most \
             {SECONDS} seconds: call again with a node",
            text::count(beyond, "guest")
        ));
    }
    Reading {
        found,
        guests: read,
        notes,
    }
}

impl SnapshotNode {
    fn new(depth: usize, one: &Snapshot, now: u64) -> Self {
        Self {
            vmid: None,
            name: None,
            snapshot: one.name.clone(),
            parent: one.parent.clone(),
            depth,
            created_at: one.snaptime.map(|time| text::time(time.0)),
            age_seconds: one.snaptime.map(|time| now.saturating_sub(time.0)),
            description: one
                .description
                .as_deref()
                .and_then(|text| text::short(text, 200)),
            with_ram: one.has_ram(),
            incomplete: one.snapstate.clone(),
        }
    }
}

impl SnapshotTree {
    /// The tree of the newest snapshots, or of those that follow them.
    pub(super) fn new(guest: &Guest, snapshots: &Snapshots, page: Page, now: u64) -> (Self, Part) {
        let tree = snapshots.in_order();
        let mut newest: Vec<usize> = (0..tree.len()).collect();
        let age = |at: &usize| tree.get(*at).map(|(_, one)| (one.time(), &one.name));
        order::by(&mut newest, |a, b| age(b).cmp(&age(a)));
        let part = page.cut(&mut newest, SNAPSHOTS, "older_than_days");
        let mut places = newest.clone();
        places.sort_unstable();
        let shown = places
            .iter()
            .filter_map(|at| tree.get(*at))
            .map(|(depth, one)| SnapshotNode::new(*depth, one, now))
            .collect();
        let place = |at: &usize| places.binary_search(at).ok();
        let part = part.ranked(newest.iter().filter_map(place).collect());
        let tree = Self {
            vmid: Some(guest.vmid),
            kind: Some(guest.kind),
            node: Some(guest.node.clone()),
            snapshots: shown,
            total: snapshots.all.len(),
            guests_read: None,
            current: snapshots.current.clone(),
            hint: part.note(),
        };
        (tree, part)
    }

    /// Of all guests, in a few words.
    fn summary(&self) -> String {
        let mut text = format!(
            "{} of {}",
            text::count(self.total, "snapshot"),
            text::count(self.guests_read.unwrap_or_default(), "guest")
        );
        if let Some(oldest) = self.snapshots.first()
            && let (Some(vmid), Some(time)) = (oldest.vmid, &oldest.created_at)
        {
            text.push_str(&format!(
                "; the oldest: {} of guest {vmid}, {time}",
                oldest.snapshot
            ));
        }
        text
    }

    pub(super) fn text(&self, guest: &Guest) -> String {
        let mut text = format!("{}: {}", guest.label(), text::count(self.total, "snapshot"));
        for one in &self.snapshots {
            text.push_str(&format!("\n{}{}", "  ".repeat(one.depth), one.snapshot));
            if let Some(time) = &one.created_at {
                text.push_str(&format!(" ({time})"));
            }
            if one.with_ram {
                text.push_str(" with RAM");
            }
            if self.current.as_ref() == Some(&one.snapshot) {
                text.push_str(" <- the current state is based on this");
            }
        }
        text
    }
}
