//! `list_tasks`: tasks of the cluster, newest first.

use std::cmp::Reverse;

use pve_api::calls;
use schemars::JsonSchema;

use super::task::{RawTask, TaskState, TaskSummary};
use crate::error::{Error, Result};
use crate::json::{DeserializeFields, SerializeFields};
use crate::order;
use crate::pve::{At, Listed, Params, Pve, TaskLog, Upid, Vmid, check_node, nodes};
use crate::tool::declared::Calls;
use crate::tool::{Offset, Page, Part, Reply, Run};
use crate::{clock, text};

/// The tasks that fit the filters, newest first.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListTasks {
    /// Only of this node. Default: all.
    #[schemars(length(min = 1))]
    node: Option<String>,
    /// On this guest, also in backups of several.
    vmid: Option<Vmid>,
    /// How they ended.
    status: Option<TaskState>,
    /// Part of the type, such as qmstart, clone or vzdump.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Part of the user's name.
    user: Option<String>,
    /// Started since: 2h, 3d, a date (UTC) or a time.
    since: Option<String>,
    /// Started until; as since.
    until: Option<String>,
    /// Default 30.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
    offset: Option<Offset>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct TaskList {
    tasks: Vec<TaskSummary>,
    /// Number of matches, including those not shown.
    total: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

const DEFAULT_LIMIT: u32 = 30;

/// The filters, checked.
pub(super) struct Filter {
    vmid: Option<Vmid>,
    status: Option<TaskState>,
    kind: Option<String>,
    user: Option<String>,
    since: Option<u64>,
    until: Option<u64>,
}

/// The tasks that were found, and notes on what was not searched.
#[derive(Default)]
struct FoundTasks {
    tasks: Vec<RawTask>,
    /// How many matches before them Proxmox has skipped.
    skipped: usize,
    /// Number of matches, including those that were not fetched.
    total: u64,
    /// Whether there may be more matches than `total`.
    is_partial: bool,
    notes: Vec<String>,
}

/// How many of a node's tasks are read if Proxmox cannot filter them.
const MOST_SCANNED: u64 = 2000;

/// The highest `start` and `limit` that are sent. No node keeps as many tasks.
const MOST_ASKED: usize = 1_000_000;

/// How many of a node's backup jobs of several guests are searched for one.
const MOST_JOBS: usize = 10;

/// How many lines of a backup job's log are searched for a guest.
const JOB_LOG_LINES: u64 = 4000;

impl Run for ListTasks {
    type Output = TaskList;

    const CALLS: &'static [Calls] = &[
        Calls::One(&calls::cluster::STATUS),
        Calls::One(&calls::cluster::TASKS),
        Calls::One(&calls::nodes::LIST),
        Calls::One(&calls::nodes::TASKS),
        Calls::One(&calls::nodes::TASK_LOG),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<TaskList>> {
        let page = Page::new(self.offset, self.limit, DEFAULT_LIMIT);
        let filter = self.filter()?;
        let mut found = if let Some(node) = &self.node {
            check_node(pve, "node", node)?;
            filter.of_node(pve, node, page)?
        } else if filter.looks_back() {
            filter.of_all_nodes(pve, page)?
        } else {
            filter.of_cluster(pve)?
        };
        let part = found.cut(page);
        let hint = self.hint(pve, &filter, &found, &part);
        let tasks: Vec<TaskSummary> = found.tasks.into_iter().map(TaskSummary::from).collect();
        let count = |state| tasks.iter().filter(|task| task.status == state).count();
        let total = found.total;
        let text = format!(
            "{}, {} of those shown running, {} failed",
            text::count(usize::try_from(total).unwrap_or(usize::MAX), "task"),
            count(TaskState::Running),
            count(TaskState::Failed),
        );
        Ok(Reply::Listed(TaskList { tasks, total, hint }, text, part))
    }
}

impl ListTasks {
    pub(super) fn filter(&self) -> Result<Filter> {
        let since = self.since.as_deref();
        let until = self.until.as_deref();
        let filter = Filter {
            vmid: self.vmid,
            status: self.status,
            kind: self.kind.as_deref().map(str::to_lowercase),
            user: self.user.as_deref().map(str::to_lowercase),
            since: since.map(|text| clock::moment("since", text)).transpose()?,
            until: until
                .map(|text| clock::last_moment("until", text))
                .transpose()?,
        };
        if let (Some(since), Some(until)) = (filter.since, filter.until)
            && since > until
        {
            return Err(Error::argument(
                "until",
                format!(
                    "must not be before since: {} is before {}",
                    text::time(until),
                    text::time(since)
                ),
            ));
        }
        Ok(filter)
    }

    fn hint(&self, pve: &Pve, filter: &Filter, found: &FoundTasks, part: &Part) -> Option<String> {
        let mut parts = Vec::new();
        if found.total == 0 && !filter.is_set() && found.notes.is_empty() {
            parts.push(pve.empty_hint(Listed::Tasks));
        } else {
            parts.extend(part.note());
        }
        if self.node.is_none() && !filter.looks_back() {
            parts.push(
                "each node's latest tasks only: name a node, a vmid or since to look further back"
                    .to_owned(),
            );
        }
        parts.extend(found.notes.iter().cloned());
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

impl Filter {
    fn is_set(&self) -> bool {
        self.looks_back() || self.status.is_some() || self.kind.is_some() || self.user.is_some()
    }

    /// Whether the filters need more than the cluster's list, which has about the last
    /// 25 tasks of each node.
    fn looks_back(&self) -> bool {
        self.vmid.is_some() || self.since.is_some() || self.until.is_some()
    }

    /// The filters that Proxmox can apply. Its filter by type takes whole types only,
    /// and its filter by user is case-sensitive and does not match tokens, so these
    /// two are applied here.
    pub(super) fn query(&self) -> Params {
        let (source, ended) = match self.status {
            None => ("all", None),
            Some(TaskState::Running) => ("active", None),
            Some(TaskState::Ok) => ("archive", Some("ok")),
            Some(TaskState::Warnings) => ("archive", Some("warning")),
            Some(TaskState::Failed) => ("archive", Some("error")),
            Some(TaskState::Unknown) => ("archive", Some("unknown")),
        };
        Params::new()
            .set("source", source)
            .opt("statusfilter", ended)
            .opt("since", self.since)
            .opt("until", self.until)
    }

    /// The matches in the cluster's list, which takes no filters.
    fn of_cluster(&self, pve: &Pve) -> Result<FoundTasks> {
        let request = calls::cluster::TASKS.at([]);
        let mut tasks: Vec<RawTask> = pve.send(&request, &Params::new())?;
        tasks.retain(|task| self.fits(task));
        Ok(FoundTasks {
            total: tasks.len() as u64,
            tasks,
            ..FoundTasks::default()
        })
    }

    /// The matches on every node that answers: the latest of each, from which the part
    /// is cut.
    fn of_all_nodes(&self, pve: &Pve, page: Page) -> Result<FoundTasks> {
        let page = Page {
            offset: 0,
            limit: page.end(),
        };
        let mut found = FoundTasks::default();
        let (mut asked, mut failed) = (0, None);
        for node in nodes(pve)? {
            if node.is_offline() {
                found.notes.push(format!(
                    "node {} is offline: its tasks are not included",
                    node.node
                ));
                continue;
            }
            match self.of_node(pve, &node.node, page) {
                Ok(more) => {
                    asked += 1;
                    found.add(more);
                }
                Err(error) => {
                    found.notes.push(format!(
                        "the tasks of node {} are not included: {}",
                        node.node,
                        error.message()
                    ));
                    failed.get_or_insert(error);
                }
            }
        }
        match failed {
            Some(error) if asked == 0 => Err(error),
            _ => Ok(found),
        }
    }

    /// The matches on a node. Proxmox skips those before the part where it can apply all
    /// filters.
    fn of_node(&self, pve: &Pve, node: &str, page: Page) -> Result<FoundTasks> {
        let request = calls::nodes::TASKS.at([node]);
        let query = self.query().opt("vmid", self.vmid);
        let mut found = if self.kind.is_none() && self.user.is_none() {
            // The backup jobs of several guests are added to those of one.
            let skipped = match self.vmid {
                Some(_) => 0,
                None => page.offset.min(MOST_ASKED),
            };
            let start = (skipped > 0).then_some(skipped);
            let limit = (page.end() - skipped).min(MOST_ASKED);
            let query = query.opt("start", start).set("limit", limit);
            let answer = pve.send_paged::<Vec<RawTask>>(&request, &query)?;
            let tasks: Vec<RawTask> = answer
                .data
                .into_iter()
                .filter(|task| self.is_in_time(task))
                .collect();
            FoundTasks {
                total: answer.total.unwrap_or(0).max(tasks.len() as u64),
                tasks,
                skipped,
                ..FoundTasks::default()
            }
        } else {
            let query = query.set("limit", MOST_SCANNED);
            let answer = pve.send_paged::<Vec<RawTask>>(&request, &query)?;
            let scanned = answer.data.len() as u64;
            let all = answer.total.unwrap_or(0).max(scanned);
            let tasks: Vec<RawTask> = answer
                .data
                .into_iter()
                .filter(|task| self.fits(task))
                .collect();
            let is_partial = scanned < all;
            FoundTasks {
                total: tasks.len() as u64,
                tasks,
                skipped: 0,
                is_partial,
                notes: is_partial
                    .then(|| {
                        format!(
                            "of the {all} tasks of node {node} the latest {scanned} were searched: \
                             give until to look further back"
                        )
                    })
                    .into_iter()
                    .collect(),
            }
        };
        if let Some(vmid) = self.vmid
            && self
                .kind
                .as_ref()
                .is_none_or(|kind| "vzdump".contains(kind))
        {
            found.add(self.jobs(pve, node, vmid)?);
        }
        Ok(found)
    }

    /// The backup jobs of several guests that include a guest. Such a task has no vmid;
    /// its log names the guests.
    fn jobs(&self, pve: &Pve, node: &str, vmid: Vmid) -> Result<FoundTasks> {
        let request = calls::nodes::TASKS.at([node]);
        let query = self
            .query()
            .set("typefilter", "vzdump")
            .set("limit", MOST_SCANNED);
        let tasks: Vec<RawTask> = pve.send(&request, &query)?;
        let several = |task: &RawTask| task.id.as_ref().is_none_or(|id| id.0.is_empty());
        let jobs: Vec<RawTask> = tasks
            .into_iter()
            .filter(|task| task.kind == "vzdump" && several(task) && self.fits_but_vmid(task))
            .collect();
        let mut found = FoundTasks::default();
        if jobs.len() > MOST_JOBS {
            found.is_partial = true;
            found.notes.push(format!(
                "of {} backup jobs of several guests on node {node} the latest {MOST_JOBS} were \
                 searched: give until to look further back",
                jobs.len()
            ));
        }
        for job in jobs.into_iter().take(MOST_JOBS) {
            let Ok(upid) = job.upid.parse::<Upid>() else {
                continue;
            };
            match TaskLog::page(pve, &upid, 0, JOB_LOG_LINES) {
                Ok(log) if backs_up(&log.lines, vmid) => {
                    found.total += 1;
                    found.tasks.push(job);
                }
                Ok(_) => {}
                // Other jobs are worth a look all the same.
                Err(failure) => found.notes.push(format!(
                    "the log of {upid} cannot be read: {}",
                    Error::from(failure).message()
                )),
            }
        }
        Ok(found)
    }

    pub(super) fn fits(&self, task: &RawTask) -> bool {
        let vmid = self.vmid.map(|vmid| vmid.to_string());
        vmid.is_none_or(|vmid| task.id.as_ref().is_some_and(|id| id.0 == vmid))
            && self.fits_but_vmid(task)
    }

    fn fits_but_vmid(&self, task: &RawTask) -> bool {
        let contains = |text: &str, part: &String| text.to_lowercase().contains(part);
        self.status.is_none_or(|status| status == task.state())
            && self
                .kind
                .as_ref()
                .is_none_or(|kind| contains(&task.kind, kind))
            && self
                .user
                .as_ref()
                .is_none_or(|user| contains(&task.full_user(), user))
            && self.is_in_time(task)
    }

    fn is_in_time(&self, task: &RawTask) -> bool {
        // Proxmox has compared the time of one that shows none.
        let Some(started) = task.starttime else {
            return true;
        };
        self.since.is_none_or(|since| started >= since)
            && self.until.is_none_or(|until| started <= until)
    }
}

impl FoundTasks {
    /// Keeps the part that is asked for. Which tasks are in it follows from Proxmox's order
    /// of a node's tasks, running ones first and then by their end: so the parts of one
    /// node and of several follow each other. They are shown by their start.
    fn cut(&mut self, page: Page) -> Part {
        let ended = |task: &RawTask| task.endtime.map_or(u64::MAX, |time| time.0);
        order::by(&mut self.tasks, |a, b| {
            (ended(b), b.starttime, &b.upid).cmp(&(ended(a), a.starttime, &a.upid))
        });
        let left = Page {
            offset: page.offset - self.skipped,
            ..page
        };
        let (list, narrow) = ("/tasks", "vmid, status, type, user, since or until");
        left.cut(&mut self.tasks, list, narrow);
        let started = |task: Option<&RawTask>| task.map(|task| (task.starttime, task.upid.clone()));
        let mut by_start: Vec<usize> = (0..self.tasks.len()).collect();
        order::by_key(&mut by_start, |at| Reverse(started(self.tasks.get(*at))));
        order::by_key(&mut self.tasks, |task| Reverse(started(Some(task))));
        let mut places = vec![0; by_start.len()];
        for (place, at) in by_start.into_iter().enumerate() {
            if let Some(one) = places.get_mut(at) {
                *one = place;
            }
        }
        let total = usize::try_from(self.total).unwrap_or(usize::MAX);
        let part = page.part(total, list, narrow).partial(self.is_partial);
        part.ranked(places)
    }

    fn add(&mut self, more: Self) {
        let known = |task: &RawTask| self.tasks.iter().any(|one| one.upid == task.upid);
        let (again, new): (Vec<_>, Vec<_>) = more.tasks.into_iter().partition(known);
        self.total += more.total.saturating_sub(again.len() as u64);
        self.tasks.extend(new);
        self.is_partial |= more.is_partial;
        self.notes.extend(more.notes);
    }
}

/// Whether the log of a backup job names a guest: in the command that started
/// it, or where the guest's backup begins.
fn backs_up(log: &[String], vmid: Vmid) -> bool {
    let vmid = vmid.to_string();
    log.iter().any(|line| {
        if let Some((_, command)) = line.split_once("starting new backup job: vzdump ") {
            return command
                .split(' ')
                .take_while(|word| !word.starts_with('-'))
                .any(|word| word == vmid);
        }
        line.split_once("Backup of VM ")
            .and_then(|(_, rest)| rest.split([' ', ':']).next())
            .is_some_and(|word| word == vmid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_job_tells_its_guests() {
        let backs_up = |log: &[String], vmid| backs_up(log, Vmid::new(vmid).unwrap());
        let log = |lines: &[&str]| -> Vec<String> {
            lines.iter().map(|line| (*line).to_owned()).collect()
        };
        let named =
            log(&["INFO: starting new backup job: vzdump 100 2000 --storage local --bwlimit 300"]);
        assert!(backs_up(&named, 100) && backs_up(&named, 2000));
        assert!(!backs_up(&named, 200) && !backs_up(&named, 300));
        let all = log(&[
            "INFO: starting new backup job: vzdump --all 1 --storage local",
            "INFO: skip external VMs: 300",
            "INFO: Starting Backup of VM 100 (qemu)",
            "ERROR: Backup of VM 101 failed - no space left",
            "INFO: Finished Backup of VM 100 (00:00:02)",
        ]);
        assert!(backs_up(&all, 100) && backs_up(&all, 101));
        assert!(!backs_up(&all, 300) && !backs_up(&all, 1000));
    }
}
