//! Snapshots: the tree of a guest, and taking, going back to and removing one.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::error::{Error, Result};
use crate::pve::{
    Disk, Failure, Flag, Format, Guest, GuestConfig, Kind, Num, Params, Pve, Removable, Started,
};
use crate::text;
use crate::tool::expected::{Cause, EndState, Expected};
use crate::tool::report::{Change, Report, Status};
use crate::tool::{Reply, Run};
use crate::tool_names;

/// The snapshots of a guest.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListSnapshots {
    #[schemars(range(min = 100, max = 999_999_999))]
    vmid: u32,
    /// Default 50: the newest.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SnapshotTree {
    vmid: u32,
    kind: Kind,
    node: String,
    /// Each after its parent.
    snapshots: Vec<SnapshotNode>,
    /// How many there are, also where not all are shown.
    total: usize,
    /// The snapshot that the guest's present state is based on.
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct SnapshotNode {
    snapshot: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    /// 0 for one without a parent.
    depth: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// Whether it holds the RAM of a running VM.
    with_ram: bool,
    /// What Proxmox was doing with it when it was interrupted.
    #[serde(skip_serializing_if = "Option::is_none")]
    incomplete: Option<String>,
}

impl Run for ListSnapshots {
    type Output = SnapshotTree;

    fn run(self, pve: &Pve) -> Result<Reply<SnapshotTree>> {
        let guest = Guest::find(pve, self.vmid)?;
        guest.reachable(pve)?;
        let (guest, snapshots) = guest.then(pve, |guest| Snapshots::read(pve, guest))?;
        let limit = self.limit.unwrap_or(50) as usize;
        let tree = SnapshotTree::new(&guest, &snapshots, limit, clock::now());
        let text = tree.text(&guest);
        Ok(Reply::Done(tree, text))
    }
}

/// Takes a snapshot.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateSnapshot {
    #[schemars(range(min = 100, max = 999_999_999))]
    vmid: u32,
    /// A letter, then letters, digits, - and _: before_upgrade.
    #[schemars(length(min = 2, max = 40))]
    snapshot: String,
    /// What it is for.
    #[schemars(length(max = 8192))]
    description: Option<String>,
    /// Save the RAM too; running VMs only. Default false.
    with_ram: Option<bool>,
    /// False: do not follow the task.
    wait: Option<bool>,
}

impl Run for CreateSnapshot {
    type Output = Report;
    const OTHER_NAMES: &'static [(&'static str, &'static str)] = &[
        ("name", "snapshot"),
        ("snapname", "snapshot"),
        ("ram", "with_ram"),
        ("vmstate", "with_ram"),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        check_new_name(&self.snapshot)?;
        let ram = self.with_ram == Some(true);
        let (guest, started) = Guest::attempt(pve, self.vmid, |guest| {
            check_kind(guest, &self.snapshot, ram)?;
            let snapshots = Snapshots::read(pve, guest)?;
            if let Some(taken) = snapshots.get(&self.snapshot) {
                return Err(taken.is_taken(guest).into());
            }
            let state = guest.state(pve)?;
            state.unlocked(guest)?;
            if state.template.0 {
                return Err(Error::Conflict(format!(
                    "{} is a template, which cannot have snapshots: {} makes a guest of it",
                    guest.label(),
                    tool_names::CLONE_GUEST
                ))
                .into());
            }
            if ram && !state.is_running() {
                return Err(Error::Conflict(format!(
                    "{} is not running, so there is no RAM to save: leave with_ram out, or start it \
                     first with {}",
                    guest.label(),
                    tool_names::START_GUEST
                ))
                .into());
            }
            let params = Params::new()
                .set("snapname", &self.snapshot)
                .opt("description", self.description.as_deref())
                .opt_flag("vmstate", ram.then_some(true));
            Ok(pve.post::<Started>(&guest.path(["snapshot"]), &params)?)
        })?;
        let with_ram = if ram { " with its RAM" } else { "" };
        Report::done(format!(
            "take snapshot {} of {}{with_ram}",
            self.snapshot,
            guest.label()
        ))
        .on(&guest)
        .snapshot(self.snapshot)
        .started(&started, self.wait)
    }
}

/// How long a guest that a rollback starts may take to run.
const START_SECONDS: u32 = 60;

/// Rolls a guest back to a snapshot.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RollbackSnapshot {
    #[schemars(range(min = 100, max = 999_999_999))]
    vmid: u32,
    /// The snapshot; case matters.
    #[schemars(length(min = 1, max = 40))]
    snapshot: String,
    /// Start the guest afterwards. Default false; with RAM it runs anyway.
    start: Option<bool>,
    /// True: only show what would be lost.
    preview: Option<bool>,
    /// False: do not follow the task.
    wait: Option<bool>,
}

impl Run for RollbackSnapshot {
    type Output = Report;
    const OTHER_NAMES: &'static [(&'static str, &'static str)] =
        &[("name", "snapshot"), ("snapname", "snapshot")];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        check_name(&self.snapshot)?;
        let start = self.start == Some(true);
        let preview = self.preview == Some(true);
        let (guest, (loss, started)) = Guest::attempt(pve, self.vmid, |guest| {
            let snapshots = Snapshots::read(pve, guest)?;
            let snapshot = snapshots.find(guest, &self.snapshot)?;
            if let Some(broken) = &snapshot.snapstate {
                return Err(Error::Conflict(format!(
                    "snapshot {} of {} is incomplete ({broken}) and cannot be rolled back \
                     to: remove it with {}",
                    self.snapshot,
                    guest.label(),
                    tool_names::DELETE_SNAPSHOT
                ))
                .into());
            }
            let then = GuestConfig::of_snapshot(pve, guest, &self.snapshot)?;
            let now = GuestConfig::read(pve, guest)?;
            let state = guest.state(pve)?;
            let loss = Loss::new(snapshot, &now, &then, state.is_running(), start);
            if preview {
                return Ok((loss, None));
            }
            state.unlocked(guest)?;
            let path = guest.path(["snapshot", &self.snapshot, "rollback"]);
            let params = Params::new().opt_flag("start", start.then_some(true));
            Ok((loss, Some(pve.post::<Started>(&path, &params)?)))
        })?;
        let action = format!(
            "roll {} back to snapshot {}{}",
            guest.label(),
            self.snapshot,
            loss.when
        );
        // The start is a task of its own, which the rollback does not wait for.
        let finish = if start {
            Some(Expected::new(
                self.vmid,
                EndState::Running,
                Cause::Start,
                START_SECONDS,
            ))
        } else {
            None
        };
        let report = loss
            .report(Report::done(action).on(&guest))
            .snapshot(&self.snapshot);
        match started {
            Some(started) => report.started_until(&started, self.wait, finish),
            None => Ok(Reply::report(Report {
                status: Status::Preview,
                next_step: Some(
                    "nothing has been changed: call again without preview to roll back".into(),
                ),
                ..report
            })),
        }
    }
}

/// Removes a snapshot.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteSnapshot {
    #[schemars(range(min = 100, max = 999_999_999))]
    vmid: u32,
    /// The snapshot; case matters.
    #[schemars(length(min = 1, max = 40))]
    snapshot: String,
    /// False: do not follow the task.
    wait: Option<bool>,
}

impl Run for DeleteSnapshot {
    type Output = Report;
    const OTHER_NAMES: &'static [(&'static str, &'static str)] =
        &[("name", "snapshot"), ("snapname", "snapshot")];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        check_name(&self.snapshot)?;
        let (guest, (changes, action, started)) = Guest::attempt(pve, self.vmid, |guest| {
            let snapshots = Snapshots::read(pve, guest)?;
            let snapshot = snapshots.find(guest, &self.snapshot)?;
            guest.state(pve)?.unlocked(guest)?;
            let removable = Removable::Snapshot {
                guest,
                name: &self.snapshot,
            };
            let started = pve.delete::<Started>(&removable, &Params::new())?;
            let with_ram = if snapshot.has_ram() {
                " and its RAM state"
            } else {
                ""
            };
            let action = format!(
                "remove snapshot {}{}{with_ram} of {}",
                self.snapshot,
                snapshot.when(),
                guest.label()
            );
            Ok((snapshots.orphans(snapshot), action, started))
        })?;
        let mut report = Report::done(action).on(&guest).snapshot(&self.snapshot);
        report.changes = changes;
        report.started(&started, self.wait)
    }
}

/// A snapshot's name that may exist: one that Proxmox takes as part of a path.
fn check_name(name: &str) -> Result<()> {
    Format::ConfigId.check("snapshot", name)
}

/// A new snapshot's name. Proxmox keeps some words for itself.
fn check_new_name(name: &str) -> Result<()> {
    check_name(name)?;
    if ["current", "pending"].contains(&name.to_ascii_lowercase().as_str()) {
        return Err(Error::argument(
            "snapshot",
            "must not be current or pending, which Proxmox reserves",
        ));
    }
    Ok(())
}

/// What a container cannot have.
fn check_kind(guest: &Guest, name: &str, ram: bool) -> Result<()> {
    if guest.kind != Kind::Lxc {
        return Ok(());
    }
    if ram {
        return Err(Error::argument(
            "with_ram",
            format!(
                "must be left out: {} is a container, whose RAM cannot be saved",
                guest.label()
            ),
        ));
    }
    if name == "vzdump" {
        return Err(Error::argument(
            "snapshot",
            "must not be vzdump, which is reserved for backups of containers",
        ));
    }
    Ok(())
}

/// A guest's snapshots as Proxmox lists them.
#[derive(Debug)]
struct Snapshots {
    all: Vec<Snapshot>,
    /// The one that the present state is based on.
    current: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Snapshot {
    name: String,
    #[serde(default)]
    parent: Option<String>,
    #[serde(default)]
    snaptime: Option<Num<u64>>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    vmstate: Option<Flag>,
    #[serde(default, deserialize_with = "filled")]
    snapstate: Option<String>,
}

/// An empty state is none.
fn filled<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()))
}

impl Snapshots {
    fn read(pve: &Pve, guest: &Guest) -> Result<Self, Failure> {
        let raw: Vec<Snapshot> = pve.get(&guest.path(["snapshot"]), &Params::new())?;
        Ok(Self::new(raw))
    }

    /// Proxmox lists the present state among the snapshots, as `current`.
    fn new(raw: Vec<Snapshot>) -> Self {
        let (now, all): (Vec<_>, Vec<_>) =
            raw.into_iter().partition(|entry| entry.name == "current");
        Self {
            all,
            current: now.into_iter().find_map(|now| now.parent),
        }
    }

    fn get(&self, name: &str) -> Option<&Snapshot> {
        self.all.iter().find(|snapshot| snapshot.name == name)
    }

    fn find(&self, guest: &Guest, name: &str) -> Result<&Snapshot> {
        self.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.all.iter().map(|one| one.name.as_str()).collect();
            let label = guest.label();
            if names.is_empty() {
                return Error::NotFound(format!(
                    "{label} has no snapshot {name}: it has no snapshots; {} takes one",
                    tool_names::CREATE_SNAPSHOT
                ));
            }
            let near = text::nearest(name, names.iter().copied())
                .map_or_else(String::new, |near| format!(", perhaps {near} is meant"));
            Error::NotFound(format!(
                "{label} has no snapshot {name}{near}; it has {}",
                text::cut(&names.join(", "), 400)
            ))
        })
    }

    /// Each snapshot after its parent, with its depth. Where parents are
    /// missing or go in circles, everything is still there once.
    fn in_order(&self) -> Vec<(usize, &Snapshot)> {
        let mut sorted: Vec<&Snapshot> = self.all.iter().collect();
        sorted.sort_by_key(|one| (one.time(), one.name.as_str()));
        let mut children: BTreeMap<Option<&str>, Vec<&Snapshot>> = BTreeMap::new();
        for one in &sorted {
            let parent = one
                .parent
                .as_deref()
                .filter(|name| self.get(name).is_some());
            children.entry(parent).or_default().push(one);
        }
        let mut order = Vec::with_capacity(sorted.len());
        let mut seen = BTreeSet::new();
        let roots = children.get(&None).cloned().unwrap_or_default();
        for root in roots.into_iter().chain(sorted) {
            let mut stack = vec![(0, root)];
            while let Some((depth, one)) = stack.pop() {
                if !seen.insert(one.name.as_str()) {
                    continue;
                }
                order.push((depth, one));
                let below = children.get(&Some(one.name.as_str())).into_iter().flatten();
                stack.extend(below.rev().map(|child| (depth + 1, *child)));
            }
        }
        order
    }

    /// What is based on another snapshot once this one is removed.
    fn orphans(&self, gone: &Snapshot) -> Vec<Change> {
        let parent_of = |what: String| Change {
            what,
            from: Some(gone.name.clone()),
            to: gone.parent.clone(),
            waits_for_reboot: false,
        };
        let mut changes: Vec<Change> = self
            .all
            .iter()
            .filter(|one| one.parent.as_deref() == Some(gone.name.as_str()))
            .map(|child| parent_of(format!("parent of snapshot {}", child.name)))
            .collect();
        if self.current.as_deref() == Some(gone.name.as_str()) {
            changes.push(parent_of("parent of the present state".into()));
        }
        changes
    }
}

impl Snapshot {
    fn time(&self) -> u64 {
        self.snaptime.map_or(0, |time| time.0)
    }

    fn has_ram(&self) -> bool {
        self.vmstate.is_some_and(|flag| flag.0)
    }

    /// " of 2023-11-14T22:15:00Z".
    fn when(&self) -> String {
        self.snaptime
            .map_or_else(String::new, |time| format!(" of {}", text::time(time.0)))
    }

    fn is_taken(&self, guest: &Guest) -> Error {
        Error::Conflict(format!(
            "{} already has a snapshot {}{}: choose another name, or remove that one with {} first",
            guest.label(),
            self.name,
            self.when(),
            tool_names::DELETE_SNAPSHOT
        ))
    }
}

impl SnapshotTree {
    fn new(guest: &Guest, snapshots: &Snapshots, limit: usize, now: u64) -> Self {
        let total = snapshots.all.len();
        let mut times: Vec<u64> = snapshots.all.iter().map(Snapshot::time).collect();
        times.sort_unstable_by(|a, b| b.cmp(a));
        let oldest = times.get(limit.saturating_sub(1)).copied().unwrap_or(0);
        let mut shown: Vec<SnapshotNode> = snapshots
            .in_order()
            .into_iter()
            .filter(|(_, one)| one.time() >= oldest)
            .map(|(depth, one)| SnapshotNode {
                snapshot: one.name.clone(),
                parent: one.parent.clone(),
                depth,
                created_at: one.snaptime.map(|time| text::time(time.0)),
                age_seconds: one.snaptime.map(|time| now.saturating_sub(time.0)),
                description: one
                    .description
                    .as_deref()
                    .map(str::trim)
                    .filter(|text| !text.is_empty())
                    .map(|text| text::cut(text, 200)),
                with_ram: one.has_ram(),
                incomplete: one.snapstate.clone(),
            })
            .collect();
        // Several of the same second.
        shown.truncate(limit);
        let hint = (shown.len() < total).then(|| {
            format!(
                "the newest {} of {total} are shown: raise limit to see more",
                shown.len()
            )
        });
        Self {
            vmid: guest.vmid,
            kind: guest.kind,
            node: guest.node.clone(),
            snapshots: shown,
            total,
            current: snapshots.current.clone(),
            hint,
        }
    }

    fn text(&self, guest: &Guest) -> String {
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
                text.push_str(" <- the present state is based on this");
            }
        }
        text
    }
}

/// What a rollback loses.
#[derive(Debug, Default, PartialEq)]
struct Loss {
    /// " of 2023-11-14T22:15:00Z".
    when: String,
    changes: Vec<Change>,
    told: Vec<String>,
    next: Option<String>,
}

impl Loss {
    fn new(
        snapshot: &Snapshot,
        now: &GuestConfig,
        then: &GuestConfig,
        running: bool,
        start: bool,
    ) -> Self {
        let (kept, detached) = disks(now.disks(), &then.disks());
        let since = snapshot.snaptime.map_or_else(
            || "since then".into(),
            |time| format!("since {}", text::time(time.0)),
        );
        let mut told = Vec::new();
        if !kept.is_empty() {
            told.push(format!(
                "everything written {since} to {} is lost",
                kept.join(", ")
            ));
        }
        if !detached.is_empty() {
            told.push(format!(
                "{} did not exist then: detached, and kept as unused volumes",
                detached.join(", ")
            ));
        }
        let mut next = None;
        if snapshot.has_ram() {
            told.push("the RAM is restored too: the guest continues from the snapshot".into());
        } else if running && start {
            told.push(
                "the running guest is switched off without a shutdown and started again".into(),
            );
        } else if running {
            told.push("the running guest is switched off without a shutdown".into());
            next = Some(format!(
                "the guest is stopped afterwards: {} starts it",
                tool_names::START_GUEST
            ));
        }
        let owned = |config: &GuestConfig| -> BTreeMap<String, String> {
            config
                .iter()
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect()
        };
        Self {
            when: snapshot.when(),
            changes: differences(&owned(now), &owned(then)),
            told,
            next,
        }
    }

    fn report(self, mut report: Report) -> Report {
        report.changes = self.changes;
        report.warnings = self.told;
        report.next_step = self.next;
        report
    }
}

/// The disks whose contents go back, and those that were not there yet.
fn disks(now: Vec<Disk>, then: &[Disk]) -> (Vec<String>, Vec<String>) {
    let real = |disk: &Disk| !disk.cdrom && !disk.id.starts_with("unused");
    let was_there = |disk: &Disk| then.iter().any(|old| real(old) && old.volid == disk.volid);
    let (kept, detached): (Vec<Disk>, Vec<Disk>) = now
        .into_iter()
        .filter(|disk| real(disk))
        .partition(was_there);
    let ids = |disks: Vec<Disk>| disks.into_iter().map(|disk| disk.id).collect();
    (ids(kept), ids(detached))
}

/// What a rollback changes in the configuration. The description, unused
/// volumes and Proxmox's own notes stay as they are.
fn differences(now: &BTreeMap<String, String>, then: &BTreeMap<String, String>) -> Vec<Change> {
    let stays = |key: &str| {
        matches!(
            key,
            "description"
                | "digest"
                | "lock"
                | "parent"
                | "snaptime"
                | "snapstate"
                | "vmstate"
                | "vmgenid"
                | "runningmachine"
                | "runningcpu"
                | "running-nets-host-mtu"
        ) || key.starts_with("unused")
    };
    let keys: BTreeSet<&String> = now.keys().chain(then.keys()).collect();
    keys.into_iter()
        .filter(|key| !stays(key))
        .filter_map(|key| {
            let (from, to) = (now.get(key), then.get(key));
            if from == to {
                return None;
            }
            if key == "cipassword" {
                // Masked in one place or both: only its presence can be compared.
                return (from.is_some() != to.is_some()).then(|| Change {
                    what: key.clone(),
                    from: from.map(|_| "a password".into()),
                    to: to.map(|_| "a password".into()),
                    waits_for_reboot: false,
                });
            }
            Some(Change {
                what: key.clone(),
                from: from.map(|value| text::cut(value, 160)),
                to: to.map(|value| text::cut(value, 160)),
                waits_for_reboot: false,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn guest(kind: &str) -> Guest {
        serde_json::from_value(json!({
            "vmid": 100, "type": kind, "node": "pve1", "status": "running", "name": "web01"
        }))
        .unwrap()
    }

    fn snapshots(entries: serde_json::Value) -> Snapshots {
        Snapshots::new(serde_json::from_value(entries).unwrap())
    }

    fn branches() -> Snapshots {
        snapshots(json!([
            {"name": "b2", "parent": "a", "snaptime": 300, "description": "", "vmstate": 0},
            {"name": "a", "snaptime": 100, "description": "first\n", "vmstate": 1},
            {"name": "b1", "parent": "a", "snaptime": "200", "snapstate": "delete"},
            {"name": "c", "parent": "b1", "snaptime": 400},
            {"name": "current", "parent": "b2", "running": 1, "digest": "x", "description": "You are here!"},
        ]))
    }

    #[test]
    fn a_tree() {
        let tree = SnapshotTree::new(&guest("qemu"), &branches(), 50, 1_000);
        let order: Vec<_> = tree
            .snapshots
            .iter()
            .map(|one| (one.depth, one.snapshot.as_str()))
            .collect();
        assert_eq!(order, [(0, "a"), (1, "b1"), (2, "c"), (1, "b2")]);
        assert_eq!(tree.current.as_deref(), Some("b2"));
        let first = &tree.snapshots[0];
        assert_eq!(first.description.as_deref(), Some("first"));
        assert!(first.with_ram);
        assert_eq!(first.age_seconds, Some(900));
        assert_eq!(tree.snapshots[1].incomplete.as_deref(), Some("delete"));
        assert_eq!(tree.snapshots[3].description, None);
        assert_eq!(
            tree.text(&guest("qemu")),
            "qemu guest 100 (web01): 4 snapshots\na (1970-01-01T00:01:40Z) with RAM\n  \
             b1 (1970-01-01T00:03:20Z)\n    c (1970-01-01T00:06:40Z)\n  \
             b2 (1970-01-01T00:05:00Z) <- the present state is based on this"
        );
    }

    #[test]
    fn the_newest_are_shown() {
        let tree = SnapshotTree::new(&guest("qemu"), &branches(), 2, 1_000);
        let names: Vec<_> = tree
            .snapshots
            .iter()
            .map(|one| one.snapshot.as_str())
            .collect();
        assert_eq!(names, ["c", "b2"]);
        assert!(tree.hint.unwrap().starts_with("the newest 2 of 4"));
    }

    #[test]
    fn a_guest_without_snapshots() {
        let none = snapshots(json!([
            {"description": "You are here!", "digest": "x", "name": "current", "running": 1}
        ]));
        let tree = SnapshotTree::new(&guest("lxc"), &none, 50, 1);
        assert!(tree.snapshots.is_empty() && tree.current.is_none() && tree.hint.is_none());
        let Err(Error::NotFound(message)) = none.find(&guest("lxc"), "x1") else {
            panic!("found");
        };
        assert!(message.contains("it has no snapshots"), "{message}");
    }

    #[test]
    fn unknown_names_are_told_with_the_known() {
        let Err(Error::NotFound(message)) = branches().find(&guest("qemu"), "b3").map(|_| ())
        else {
            panic!("found");
        };
        assert!(
            message.contains("perhaps b2") && message.contains("b2, a, b1, c"),
            "{message}"
        );
    }

    #[test]
    fn children_go_to_the_parent() {
        let all = branches();
        let change = |what: &str, from: &str, to: Option<&str>| Change {
            what: what.into(),
            from: Some(from.into()),
            to: to.map(Into::into),
            waits_for_reboot: false,
        };
        assert_eq!(
            all.orphans(all.get("a").unwrap()),
            [
                change("parent of snapshot b2", "a", None),
                change("parent of snapshot b1", "a", None),
            ]
        );
        assert_eq!(
            all.orphans(all.get("b2").unwrap()),
            [change("parent of the present state", "b2", Some("a"))]
        );
    }

    #[test]
    fn names() {
        for name in ["before_upgrade", "a-1", "Ab"] {
            assert!(check_new_name(name).is_ok(), "{name}");
        }
        for name in ["a", "1a", "a b", "a/b", "", "current", "Pending", "é1"] {
            assert!(check_new_name(name).is_err(), "{name}");
        }
        assert!(check_kind(&guest("qemu"), "vzdump", true).is_ok());
        assert!(check_kind(&guest("lxc"), "vzdump", false).is_err());
        assert!(check_kind(&guest("lxc"), "s1", true).is_err());
    }

    #[test]
    fn what_a_rollback_changes() {
        let map = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>()
        };
        let now = map(&[
            ("cores", "2"),
            ("memory", "2048"),
            ("description", "now"),
            ("digest", "a"),
            ("parent", "clean"),
            ("cipassword", "**********"),
            ("unused0", "local:x"),
            ("onboot", "1"),
        ]);
        let then = map(&[
            ("cores", "1"),
            ("memory", "2048"),
            ("description", "before"),
            ("snaptime", "1"),
            ("cipassword", "$5$hash"),
            ("net1", "virtio=BC:24:11:00:00:01,bridge=vmbr0"),
        ]);
        let changes = differences(&now, &then);
        let told: Vec<_> = changes
            .iter()
            .map(|change| {
                (
                    change.what.as_str(),
                    change.from.as_deref(),
                    change.to.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("cores", Some("2"), Some("1")),
                ("net1", None, Some("virtio=BC:24:11:00:00:01,bridge=vmbr0")),
                ("onboot", Some("1"), None),
            ]
        );
        let removed = differences(&now, &BTreeMap::new());
        assert!(
            removed
                .iter()
                .all(|change| !format!("{change:?}").contains('*'))
        );
    }

    #[test]
    fn disks_that_go_back_and_disks_that_stay() {
        let now = vec![
            Disk::parse("scsi0", "local:100/vm-100-disk-0.qcow2,size=64M"),
            Disk::parse("scsi1", "local:100/vm-100-disk-1.qcow2,size=64M"),
            Disk::parse("ide2", "local:iso/a.iso,media=cdrom"),
            Disk::parse("unused0", "local:100/vm-100-disk-9.qcow2"),
        ];
        let then = [Disk::parse(
            "scsi0",
            "local:100/vm-100-disk-0.qcow2,size=32M",
        )];
        assert_eq!(
            disks(now, &then),
            (vec!["scsi0".into()], vec!["scsi1".into()])
        );
    }

    proptest! {
        #[test]
        fn every_snapshot_stands_once(parents in prop::collection::vec(prop::option::of(0usize..12), 0..12)) {
            let all = parents
                .iter()
                .enumerate()
                .map(|(index, parent)| json!({
                    "name": format!("s{index}"),
                    "parent": parent.map(|parent| format!("s{parent}")),
                    "snaptime": index % 3,
                }))
                .collect::<Vec<_>>();
            let all = snapshots(all.into());
            let mut names: Vec<_> = all.in_order().into_iter().map(|(_, one)| one.name.clone()).collect();
            prop_assert_eq!(names.len(), parents.len());
            names.sort();
            names.dedup();
            prop_assert_eq!(names.len(), parents.len());
        }
    }
}
