//! Snapshots that were forgotten, and guests that have been stopped for long.

use std::collections::BTreeMap;

use pve_api::calls;

use super::finding::{Waste, WasteKind, days_since, since};
use super::survey::{MOST_SNAPSHOT_LISTS, MOST_TASK_LISTS, Survey};
use crate::clock;
use crate::order;
use crate::pve::{At, Content, Guest, Params, Pve};
use crate::text;
use crate::tool_names;
use crate::tools::cluster::task::RawTask;
use crate::tools::snapshots::Snapshots;

/// Adds snapshots older than so many days to the findings.
pub(crate) fn find_snapshots(pve: &Pve, survey: &mut Survey, days: u64, found: &mut Vec<Waste>) {
    let has_snapshots = |guest: &&Guest| {
        let config = survey.configurations.get(&guest.vmid);
        config.is_some_and(|config| config.get("parent").is_some())
    };
    let guests: Vec<Guest> = survey
        .guests
        .iter()
        .filter(has_snapshots)
        .cloned()
        .collect();
    let mut budget = survey.budget.part(MOST_SNAPSHOT_LISTS);
    let request = |guest: &Guest| (guest.request(&calls::snapshots::LIST), Params::new());
    pve.start(guests.iter().take(budget.left()).map(request));
    let mut unread = 0;
    for guest in &guests {
        let list = budget.take().then(|| Snapshots::read(pve, guest).ok());
        let Some(list) = list.flatten() else {
            unread += 1;
            continue;
        };
        for snapshot in list.all {
            let Some(taken) = snapshot.snaptime.map(|time| time.0) else {
                continue;
            };
            if days_since(taken, survey.now) < days {
                continue;
            }
            found.push(old_snapshot(survey, guest, &snapshot.name, taken));
        }
    }
    survey.budget.give_back(&budget);
    if unread > 0 {
        let guests = text::count(unread, "guest");
        survey.not_checked.push(format!(
            "{guests} with snapshots: their list was not read, or not within the limits of one \
                 call: call again with a node"
        ));
    }
}

fn old_snapshot(survey: &Survey, guest: &Guest, name: &str, taken: u64) -> Waste {
    let mark = format!("vm-{}-state-{name}", guest.vmid);
    let state = survey
        .volumes
        .iter()
        .find(|(_, volume)| volume.volid.contains(&mark));
    let bytes = state.and_then(|(_, volume)| volume.size_bytes());
    let size = match bytes {
        Some(_) => "bytes are those of the RAM in it; its disks take more",
        None => "Proxmox does not say how much its disks take",
    };
    let mut waste = Waste::new(
        WasteKind::OldSnapshot,
        format!("{} keeps the snapshot {name}", guest.label()),
        format!("taken {}; {size}", since(taken, survey.now)),
        format!(
            "{} shows what depends on it; web interface: the guest, Snapshots: Remove, once no one \
             wants to go back to it",
            tool_names::LIST_SNAPSHOTS
        ),
    )
    .on(guest)
    .bytes(bytes);
    waste.snapshot = Some(name.to_owned());
    waste
}

/// The sizes of a guest's disks in all, or else of its first.
fn disk_bytes(survey: &Survey, guest: &Guest) -> u64 {
    let owned = survey.volumes.iter().filter(|(_, volume)| {
        volume.vmid.map(|vmid| vmid.0) == Some(guest.vmid)
            && [Content::Images, Content::Rootdir]
                .iter()
                .any(|content| volume.content == content.as_str())
    });
    match owned
        .filter_map(|(_, volume)| volume.size_bytes())
        .sum::<u64>()
    {
        0 => guest.maxdisk.map_or(0, |bytes| bytes.0),
        sum => sum,
    }
}

/// Adds guests that are stopped and had no task but backups for so many days. Those with
/// the largest disks come first.
pub(crate) fn find_stopped(pve: &Pve, survey: &mut Survey, days: u64, found: &mut Vec<Waste>) {
    let mut stopped: Vec<(u64, Guest)> = survey
        .guests
        .iter()
        .filter(|guest| guest.status == "stopped" && !guest.template.0)
        .map(|guest| (disk_bytes(survey, guest), guest.clone()))
        .collect();
    order::by_key(&mut stopped, |(bytes, _)| std::cmp::Reverse(*bytes));
    let mut budget = survey.budget.part(MOST_TASK_LISTS);
    let request = |guest: &Guest| {
        let params = Params::new()
            .set("vmid", guest.vmid)
            .set("source", "all")
            .set("limit", 50);
        (calls::nodes::TASKS.at([&guest.node]), params)
    };
    let ahead = stopped.iter().take(budget.left());
    pve.start(ahead.map(|(_, guest)| request(guest)));
    let mut unread = 0;
    let mut logs = TaskLogs::default();
    for (bytes, guest) in &stopped {
        if !logs.show_all_tasks(pve, &guest.node) {
            continue;
        }
        let tasks = budget.take().then(|| {
            let (request, params) = request(guest);
            pve.send::<Vec<RawTask>>(&request, &params).ok()
        });
        let Some(tasks) = tasks.flatten() else {
            unread += 1;
            continue;
        };
        let last = tasks
            .iter()
            .filter(|task| task.kind != "vzdump")
            .filter_map(|task| Some((task.starttime?, task.kind.as_str())))
            .max();
        let evidence = match last {
            Some((time, _)) if days_since(time, survey.now) < days => continue,
            Some((time, kind)) => format!("its last task, {kind}, was {}", since(time, survey.now)),
            None if !logs.reaches_back(pve, &guest.node, survey.now, days) => continue,
            None => format!(
                "the task log of node {} reaches back {days} days or more, and has no task of it",
                guest.node
            ),
        };
        let waste = Waste::new(
            WasteKind::StoppedGuest,
            format!("{} is stopped", guest.label()),
            evidence,
            format!(
                "ask its owner; {} keeps a copy, after which its owner can remove it in the web \
                 interface (the guest, More)",
                tool_names::CREATE_BACKUP
            ),
        );
        found.push(waste.on(guest).bytes(Some(*bytes)));
    }
    survey.budget.give_back(&budget);
    if unread > 0 {
        let guests = text::count(unread, "stopped guest");
        survey.not_checked.push(format!(
            "{guests}: their tasks were not read, or not within the limits of one call: call again \
             with a node"
        ));
    }
    survey.not_checked.extend(logs.notes(days));
}

/// What the task logs of nodes can show.
#[derive(Default)]
struct TaskLogs {
    /// Whether the token sees the tasks of other users, by node.
    shown: BTreeMap<String, bool>,
    /// Whether the log has tasks from before the period, by node.
    long: BTreeMap<String, bool>,
}

impl TaskLogs {
    /// Whether the token sees all tasks of a node: without Sys.Audit it sees its own,
    /// which say nothing of a guest that others start and stop.
    fn show_all_tasks(&mut self, pve: &Pve, node: &str) -> bool {
        let read = || {
            let path = format!("/nodes/{node}");
            pve.held()
                .is_some_and(|held| held.has_any(&["Sys.Audit"], &path))
        };
        *self.shown.entry(node.to_owned()).or_insert_with(read)
    }

    /// Whether the log of a node still has a task from before so many days: it keeps a
    /// limited number of them.
    fn reaches_back(&mut self, pve: &Pve, node: &str, now: u64, days: u64) -> bool {
        let read = || {
            let before = now.saturating_sub(days.saturating_mul(clock::DAY));
            let params = Params::new()
                .set("until", before)
                .set("source", "archive")
                .set("limit", 1);
            let tasks = pve.send::<Vec<RawTask>>(&calls::nodes::TASKS.at([node]), &params);
            tasks.is_ok_and(|tasks| !tasks.is_empty())
        };
        *self.long.entry(node.to_owned()).or_insert_with(read)
    }

    fn notes(&self, days: u64) -> Vec<String> {
        let failed = |answers: &BTreeMap<String, bool>| {
            let nodes = answers.iter().filter(|(_, answer)| !**answer);
            let nodes: Vec<&str> = nodes.map(|(node, _)| node.as_str()).collect();
            (!nodes.is_empty()).then(|| nodes.join(", "))
        };
        let hidden = failed(&self.shown).map(|nodes| {
            format!(
                "since when guests on {nodes} are stopped: the tasks of other users are visible only \
                 with Sys.Audit on /nodes"
            )
        });
        let short = failed(&self.long).map(|nodes| {
            format!(
                "stopped guests on {nodes} without a task: the task log there does not reach back \
                 {days} days; call again with a smaller older_than_days"
            )
        });
        hidden.into_iter().chain(short).collect()
    }
}
