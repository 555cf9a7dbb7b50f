//! Tasks: the list, one with its log, and following and stopping one.

use std::cmp::Reverse;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::error::{Error, Result};
use crate::pve::{
    Failure, Num, Params, Path, Pve, Started, TaskLog, TaskStatus, Text, Upid, find_node,
    is_unknown_exit, nodes,
};
use crate::text;
use crate::tool::expected::Expected;
use crate::tool::follow;
use crate::tool::report::Report;
use crate::tool::ticket::PendingTask;
use crate::tool::{Reply, Run};
use crate::tool_names;
use crate::tools::backups::CreateBackup;
use crate::tools::nodes::check_node;

/// The tasks that fit the filters, newest first.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListTasks {
    /// Only of this node. Default: all.
    #[schemars(length(min = 1))]
    node: Option<String>,
    /// On this guest, also in backups of several.
    #[schemars(range(min = 100, max = 999_999_999))]
    vmid: Option<u32>,
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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum TaskState {
    Running,
    Ok,
    Warnings,
    Failed,
    // It has ended, and Proxmox does not know how.
    Unknown,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct TaskList {
    tasks: Vec<TaskSummary>,
    /// How many fit the filters, also where not all are shown.
    total: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct TaskSummary {
    upid: String,
    node: String,
    #[serde(rename = "type")]
    kind: String,
    /// What it works on: a vmid, mostly.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    user: String,
    status: TaskState,
    /// What Proxmox says, where it is more than OK.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
}

/// A task of a list. What a list leaves out, its identifier may tell.
#[derive(Debug, Deserialize)]
#[serde(from = "ListedTask")]
struct RawTask {
    upid: String,
    node: String,
    kind: String,
    id: Option<Text>,
    user: String,
    tokenid: Option<Text>,
    status: Option<Text>,
    /// Whether the identifier is one.
    is_named: bool,
    starttime: Option<u64>,
    endtime: Option<Num<u64>>,
}

/// A task as Proxmox lists it.
#[derive(Debug, Deserialize)]
struct ListedTask {
    upid: String,
    node: String,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    id: Option<Text>,
    #[serde(default)]
    user: String,
    #[serde(default)]
    tokenid: Option<Text>,
    #[serde(default)]
    status: Option<Text>,
    #[serde(default)]
    starttime: Option<Num<u64>>,
    #[serde(default)]
    endtime: Option<Num<u64>>,
}

impl From<ListedTask> for RawTask {
    fn from(listed: ListedTask) -> Self {
        let upid = listed.upid.parse::<Upid>().ok();
        let or_told = |text: String, told: fn(&Upid) -> &str| match &upid {
            Some(upid) if text.is_empty() => told(upid).to_owned(),
            _ => text,
        };
        let starttime = listed
            .starttime
            .map(|time| time.0)
            .filter(|time| (1..=text::LAST_SECOND).contains(time));
        Self {
            kind: or_told(listed.kind, Upid::kind),
            user: or_told(listed.user, Upid::user),
            id: listed
                .id
                .or_else(|| Some(Text(upid.as_ref()?.id().to_owned()))),
            is_named: upid.is_some(),
            starttime: starttime.or_else(|| Some(upid.as_ref()?.started())),
            upid: listed.upid,
            node: listed.node,
            tokenid: listed.tokenid,
            status: listed.status,
            endtime: listed.endtime,
        }
    }
}

const DEFAULT_LIMIT: u32 = 30;

/// A task's failure may be a whole command line.
const EXIT_STATUS_LENGTH: usize = 160;

/// The filters, checked.
struct Filter {
    vmid: Option<u32>,
    status: Option<TaskState>,
    kind: Option<String>,
    user: Option<String>,
    since: Option<u64>,
    until: Option<u64>,
}

/// What was found, and what was not looked at.
#[derive(Default)]
struct Found {
    tasks: Vec<RawTask>,
    /// How many fit, those that were not fetched included.
    total: u64,
    /// Whether more may fit than `total` says.
    is_partial: bool,
    notes: Vec<String>,
}

/// How many of a node's tasks are looked at where Proxmox cannot filter them.
const MOST_SCANNED: u64 = 2000;

/// How many of a node's backup jobs of several guests are searched for one.
const MOST_JOBS: usize = 10;

/// How many lines of a backup job's log are searched for a guest.
const JOB_LOG_LINES: u64 = 4000;

impl Run for ListTasks {
    type Output = TaskList;

    fn run(self, pve: &Pve) -> Result<Reply<TaskList>> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        let filter = self.filter()?;
        let mut found = if let Some(node) = &self.node {
            check_node(pve, "node", node)?;
            filter.of_node(pve, node, limit)?
        } else if filter.looks_back() {
            filter.of_all_nodes(pve, limit)?
        } else {
            filter.of_cluster(pve)?
        };
        found.tasks.sort_by_key(|task| Reverse(task.starttime));
        found.tasks.truncate(limit as usize);
        let hint = self.hint(pve, &filter, &found);
        let tasks: Vec<TaskSummary> = found.tasks.into_iter().map(TaskSummary::from).collect();
        let count = |state| tasks.iter().filter(|task| task.status == state).count();
        let total = found.total;
        let text = format!(
            "{}, {} of those shown running, {} failed",
            text::count(usize::try_from(total).unwrap_or(usize::MAX), "task"),
            count(TaskState::Running),
            count(TaskState::Failed),
        );
        Ok(Reply::Done(TaskList { tasks, total, hint }, text))
    }
}

impl ListTasks {
    fn filter(&self) -> Result<Filter> {
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

    fn hint(&self, pve: &Pve, filter: &Filter, found: &Found) -> Option<String> {
        let mut parts = Vec::new();
        if found.tasks.is_empty() && !filter.is_set() && found.notes.is_empty() {
            parts.push(pve.empty_hint("Sys.Audit", "/nodes"));
        } else if (found.tasks.len() as u64) < found.total {
            parts.push(format!(
                "{} of {}{} are shown: raise limit, or narrow by vmid, status, type, user, since or \
                 until",
                found.tasks.len(),
                if found.is_partial { "at least " } else { "" },
                found.total
            ));
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

    /// Whether it asks for more than the cluster's list holds, which is each
    /// node's latest 25 tasks or so.
    fn looks_back(&self) -> bool {
        self.vmid.is_some() || self.since.is_some() || self.until.is_some()
    }

    /// The filters that Proxmox applies as they are meant here. Its filter by
    /// type takes whole types only, and its filter by user minds the case and
    /// leaves out the token.
    fn query(&self) -> Params {
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

    /// Those that the cluster's list holds, which takes no filters.
    fn of_cluster(&self, pve: &Pve) -> Result<Found> {
        let path = Path::new(["cluster", "tasks"]);
        let mut tasks: Vec<RawTask> = pve.get(&path, &Params::new())?;
        tasks.retain(|task| self.fits(task));
        Ok(Found {
            total: tasks.len() as u64,
            tasks,
            ..Found::default()
        })
    }

    /// Those of every node that answers.
    fn of_all_nodes(&self, pve: &Pve, limit: u32) -> Result<Found> {
        let mut found = Found::default();
        let (mut asked, mut failed) = (0, None);
        for node in nodes(pve)? {
            if node.is_offline() {
                found.notes.push(format!(
                    "node {} is offline: its tasks are not included",
                    node.node
                ));
                continue;
            }
            match self.of_node(pve, &node.node, limit) {
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

    fn of_node(&self, pve: &Pve, node: &str, limit: u32) -> Result<Found> {
        let path = Path::new(["nodes", node, "tasks"]);
        let query = self.query().opt("vmid", self.vmid);
        let mut found = if self.kind.is_none() && self.user.is_none() {
            let query = query.set("limit", limit);
            let page = pve.get_paged::<Vec<RawTask>>(&path, &query)?;
            let tasks: Vec<RawTask> = page
                .data
                .into_iter()
                .filter(|task| self.is_in_time(task))
                .collect();
            Found {
                total: page.total.unwrap_or(0).max(tasks.len() as u64),
                tasks,
                ..Found::default()
            }
        } else {
            let query = query.set("limit", MOST_SCANNED);
            let page = pve.get_paged::<Vec<RawTask>>(&path, &query)?;
            let scanned = page.data.len() as u64;
            let all = page.total.unwrap_or(0).max(scanned);
            let tasks: Vec<RawTask> = page
                .data
                .into_iter()
                .filter(|task| self.fits(task))
                .collect();
            let is_partial = scanned < all;
            Found {
                total: tasks.len() as u64,
                tasks,
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

    /// The backup jobs of several guests that a guest was in. Proxmox notes no
    /// vmid for them; their logs tell.
    fn jobs(&self, pve: &Pve, node: &str, vmid: u32) -> Result<Found> {
        let path = Path::new(["nodes", node, "tasks"]);
        let query = self
            .query()
            .set("typefilter", "vzdump")
            .set("limit", MOST_SCANNED);
        let tasks: Vec<RawTask> = pve.get(&path, &query)?;
        let several = |task: &RawTask| task.id.as_ref().is_none_or(|id| id.0.is_empty());
        let jobs: Vec<RawTask> = tasks
            .into_iter()
            .filter(|task| task.kind == "vzdump" && several(task) && self.fits_but_vmid(task))
            .collect();
        let mut found = Found::default();
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

    fn fits(&self, task: &RawTask) -> bool {
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

impl Found {
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
fn backs_up(log: &[String], vmid: u32) -> bool {
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

impl RawTask {
    fn state(&self) -> TaskState {
        match self.status.as_ref().map(|status| status.0.as_str()) {
            // It may have ended well or not.
            None | Some("") if self.endtime.is_some() || !self.is_named => TaskState::Unknown,
            None | Some("" | "RUNNING") => TaskState::Running,
            Some(exit) => state_of(exit),
        }
    }

    fn full_user(&self) -> String {
        match &self.tokenid {
            Some(token) if !self.user.contains('!') => format!("{}!{token}", self.user),
            _ => self.user.clone(),
        }
    }
}

fn state_of(exit: &str) -> TaskState {
    match exit {
        "OK" => TaskState::Ok,
        exit if exit.starts_with("WARNINGS") => TaskState::Warnings,
        exit if is_unknown_exit(exit) => TaskState::Unknown,
        _ => TaskState::Failed,
    }
}

impl From<RawTask> for TaskSummary {
    fn from(raw: RawTask) -> Self {
        let status = raw.state();
        Self {
            user: raw.full_user(),
            exit_status: raw
                .status
                .filter(|exit| {
                    !exit.0.is_empty() && !matches!(status, TaskState::Running | TaskState::Ok)
                })
                .map(|exit| text::cut(&exit.0, EXIT_STATUS_LENGTH)),
            status,
            id: raw.id.map(|id| id.0).filter(|id| !id.is_empty()),
            upid: raw.upid,
            node: raw.node,
            kind: raw.kind,
            started_at: raw.starttime.map(text::time),
            ended_at: raw.endtime.map(|seconds| text::time(seconds.0)),
        }
    }
}

/// One task and its log.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetTask {
    /// The task's identifier, UPID:…
    upid: String,
    /// How many lines of the log; default 20.
    #[schemars(range(min = 0, max = 1000))]
    log_lines: Option<u32>,
    /// The first line, counted from 0; default: the log's last lines.
    log_start: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Task {
    upid: String,
    node: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    user: String,
    status: TaskState,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_status: Option<String>,
    started_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_seconds: Option<u64>,
    /// Oldest first.
    log: Vec<String>,
    /// Where in the log the first of these lines is, counted from 0.
    log_start: u64,
    log_total_lines: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

const DEFAULT_LOG_LINES: u32 = 20;

/// Progress bars make endless lines.
const LINE_LENGTH: usize = 500;

impl Run for GetTask {
    type Output = Task;

    fn run(self, pve: &Pve) -> Result<Reply<Task>> {
        let upid = known(pve, &self.upid)?;
        let status = TaskStatus::read(pve, &upid).map_err(|failure| task_error(&upid, failure))?;
        let lines = u64::from(self.log_lines.unwrap_or(DEFAULT_LOG_LINES));
        let log = match self.log_start {
            // Proxmox takes a limit of 0 as none.
            _ if lines == 0 => TaskLog {
                lines: Vec::new(),
                total: TaskLog::page(pve, &upid, 0, 1)?.total,
            },
            Some(start) => TaskLog::page(pve, &upid, start, lines)?,
            None => TaskLog::tail(pve, &upid, lines)?,
        };
        let exit = status.exit().map(str::to_owned);
        let ended = exit.is_some().then(|| ended(pve, &upid, &status)).flatten();
        let task = Task::new(&upid, exit, ended, log, self.log_start);
        let mut text = format!("{} is {}", label(&upid), task.word());
        if let Some(line) = task.log.last() {
            text.push_str(&format!(": {}", text::cut(line, EXIT_STATUS_LENGTH)));
        }
        Ok(Reply::Done(task, text))
    }
}

impl Task {
    fn new(
        upid: &Upid,
        exit: Option<String>,
        ended: Option<u64>,
        log: TaskLog,
        log_start: Option<u64>,
    ) -> Self {
        let shown = log.lines.len() as u64;
        let log_start = log_start.unwrap_or_else(|| log.total.saturating_sub(shown));
        let status = exit.as_deref().map_or(TaskState::Running, state_of);
        let hint = if status == TaskState::Running {
            Some(format!("{} follows it to its end", tool_names::WAIT_TASK))
        } else if shown < log.total {
            Some(format!(
                "{shown} of {} log lines are shown: raise log_lines, or page by log_start",
                log.total
            ))
        } else {
            None
        };
        Self {
            upid: upid.to_string(),
            node: upid.node().to_owned(),
            kind: upid.kind().to_owned(),
            id: Some(upid.id().to_owned()).filter(|id| !id.is_empty()),
            user: upid.user().to_owned(),
            status,
            exit_status: exit.map(|exit| text::cut(&exit, LINE_LENGTH)),
            started_at: text::time(upid.started()),
            ended_at: ended.map(text::time),
            duration_seconds: ended.map(|ended| ended.saturating_sub(upid.started())),
            log: log
                .lines
                .iter()
                .map(|line| text::cut(line, LINE_LENGTH))
                .collect(),
            log_start,
            log_total_lines: log.total,
            hint,
        }
    }

    fn word(&self) -> &'static str {
        match self.status {
            TaskState::Running => "running",
            TaskState::Ok => "done",
            TaskState::Warnings => "done, with warnings",
            TaskState::Failed => "failed",
            TaskState::Unknown => "over, with an unknown outcome",
        }
    }
}

/// When a task ended. Its status does not tell; the node's list does.
fn ended(pve: &Pve, upid: &Upid, status: &TaskStatus) -> Option<u64> {
    if let Some(ended) = status.endtime {
        return Some(ended.0);
    }
    let started_then = Params::new()
        .set("since", upid.started())
        .set("until", upid.started());
    // It would be good to know; the rest is worth telling without it.
    let tasks: Vec<RawTask> = pve
        .get(&Path::new(["nodes", upid.node(), "tasks"]), &started_then)
        .ok()?;
    let task = tasks.into_iter().find(|task| task.upid == upid.as_str())?;
    Some(task.endtime?.0)
}

/// Follows a task to its end.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WaitTask {
    /// The task's identifier, UPID:…
    upid: String,
}

impl Run for WaitTask {
    type Output = Report;

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        let upid = known(pve, &self.upid)?;
        let status = match TaskStatus::read(pve, &upid) {
            Ok(status) => Some(status),
            // It is followed until Proxmox answers again.
            Err(failure) if failure.may_pass() => None,
            Err(failure) => return Err(task_error(&upid, failure)),
        };
        let mut report = Report::done(label(&upid));
        report.vmid = upid.id().parse().ok();
        let expected = report
            .vmid
            .and_then(|vmid| Expected::of_ha_task(upid.kind(), vmid, upid.started()));
        let Some(status) = status.filter(|status| status.exit().is_some()) else {
            return report.started_until(&Started::Task(upid), None, expected);
        };
        PendingTask::new(upid, report, expected).ended(pve, &status, Self::complete)
    }

    /// Adds the backup that a vzdump task has made.
    fn complete(pve: &Pve, upid: &Upid, report: Report) -> Report {
        match upid.kind() {
            "vzdump" => CreateBackup::complete(pve, upid, report),
            _ => report,
        }
    }
}

/// Stops a task.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StopTask {
    /// The task's identifier, UPID:…
    upid: String,
}

impl Run for StopTask {
    type Output = Report;

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        let upid = known(pve, &self.upid)?;
        let status = TaskStatus::read(pve, &upid).map_err(|failure| task_error(&upid, failure))?;
        let action = format!("ask {} to stop", label(&upid));
        let about = |mut report: Report| {
            report.node = Some(upid.node().to_owned());
            report.vmid = upid.id().parse().ok();
            report.upid = Some(upid.to_string());
            report
        };
        if let Some(exit) = status.exit() {
            let report = about(Report::unchanged(action));
            return Ok(Reply::report(report.next(format!(
                "it had ended already: {}",
                text::cut(exit, EXIT_STATUS_LENGTH)
            ))));
        }
        follow::stop(pve, &upid).map_err(|failure| task_error(&upid, failure))?;
        let report = about(Report::done(action));
        Ok(Reply::report(report.next(format!(
            "it ends in a moment, and {} shows how; what it has done so far may stay half-done, and a \
             guest may keep its lock",
            tool_names::GET_TASK
        ))))
    }
}

/// "the task qmclone 100".
fn label(upid: &Upid) -> String {
    format!("the task {} {}", upid.kind(), upid.id())
        .trim_end()
        .to_owned()
}

fn parse(text: &str) -> Result<Upid> {
    text.trim()
        .parse()
        .map_err(|message: String| Error::argument("upid", message))
}

/// A task's identifier whose node there is: Proxmox would look up the name of
/// another in DNS. Where no list of nodes can be had, the node has to say.
fn known(pve: &Pve, text: &str) -> Result<Upid> {
    let upid = parse(text)?;
    let nodes = nodes(pve).unwrap_or_default();
    if nodes.is_empty() {
        return Ok(upid);
    }
    let node = find_node(&nodes, upid.node()).map_err(|error| {
        Error::NotFound(format!("the upid names another node: {}", error.message()))
    })?;
    if node.is_offline() {
        return Err(Error::Unreachable(format!(
            "node {} is offline: its tasks and their logs cannot be read until it is back",
            node.node
        )));
    }
    Ok(upid)
}

/// Proxmox calls a task that is not there a bad parameter.
fn task_error(upid: &Upid, failure: Failure) -> Error {
    match &failure {
        Failure::Api(error)
            if error
                .errors
                .get("upid")
                .is_some_and(|text| text.contains("no such task")) =>
        {
            Error::NotFound(format!(
                "node {} has no such task, or has forgotten it: {} shows those that it knows",
                upid.node(),
                tool_names::LIST_TASKS
            ))
        }
        _ => failure.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPID: &str = "UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:100:root@pam!full:";

    fn raw(json: &str) -> RawTask {
        serde_json::from_str(json).unwrap()
    }

    fn list(json: &str) -> ListTasks {
        serde_json::from_str(json).unwrap()
    }

    fn one(more: &str) -> RawTask {
        raw(&format!(
            r#"{{"upid":"{UPID}","node":"pve1","type":"qmstart","id":"100","user":"root@pam","tokenid":"full","starttime":1795338154{more}}}"#
        ))
    }

    #[test]
    fn states_in_both_lists() {
        assert_eq!(one("").state(), TaskState::Running);
        assert_eq!(one(r#","status":"RUNNING""#).state(), TaskState::Running);
        let ended =
            |exit: &str| one(&format!(r#","endtime":1795338155,"status":"{exit}""#)).state();
        assert_eq!(ended("OK"), TaskState::Ok);
        assert_eq!(ended("WARNINGS: 2"), TaskState::Warnings);
        assert_eq!(ended("VM is locked (backup)"), TaskState::Failed);
        for unknown in ["", "unexpected status"] {
            assert_eq!(ended(unknown), TaskState::Unknown);
        }
        assert_eq!(one(r#","endtime":1795338155"#).state(), TaskState::Unknown);
    }

    #[test]
    fn summaries_are_short() {
        let task = TaskSummary::from(one(r#","endtime":1795338155,"status":"OK""#));
        assert_eq!(task.user, "root@pam!full");
        assert_eq!(task.exit_status, None);
        assert_eq!(task.ended_at.as_deref(), Some("2026-11-22T09:02:35Z"));
        let long = format!(r#","endtime":1795338155,"status":"{}""#, "x".repeat(1000));
        let exit = TaskSummary::from(one(&long)).exit_status.unwrap();
        assert_eq!(exit.chars().count(), EXIT_STATUS_LENGTH);
    }

    #[test]
    fn filters() {
        let task = one(r#","endtime":1795338155,"status":"OK""#);
        for (arguments, fits) in [
            ("{}", true),
            (
                r#"{"vmid":100,"status":"ok","type":"Start","user":"root"}"#,
                true,
            ),
            (r#"{"user":"!full"}"#, true),
            (r#"{"vmid":101}"#, false),
            (r#"{"status":"failed"}"#, false),
            (r#"{"type":"vzdump"}"#, false),
            (r#"{"since":"1795338154","until":"1795338154"}"#, true),
            (r#"{"since":"1795338155"}"#, false),
            (r#"{"until":"1795338153"}"#, false),
            (r#"{"until":"2026-11-22"}"#, true),
        ] {
            let filter = list(arguments).filter().unwrap();
            assert_eq!(filter.fits(&task), fits, "{arguments}");
        }
    }

    #[test]
    fn node_queries() {
        let query = |arguments: &str| list(arguments).filter().unwrap().query().encode();
        assert_eq!(query("{}"), "source=all");
        assert_eq!(query(r#"{"status":"running"}"#), "source=active");
        // Proxmox takes whole types only, and minds the case of users.
        assert_eq!(
            query(r#"{"status":"failed","type":"clone","user":"Root"}"#),
            "source=archive&statusfilter=error"
        );
        assert_eq!(
            query(r#"{"since":"1795338154","until":"1795338155"}"#),
            "source=all&since=1795338154&until=1795338155"
        );
    }

    #[test]
    fn until_before_since_is_refused() {
        let wrong = list(r#"{"since":"2026-11-22","until":"2026-11-21"}"#).filter();
        assert!(matches!(wrong, Err(Error::InvalidArguments(_))));
        assert!(
            list(r#"{"since":"2026-11-22","until":"2026-11-22"}"#)
                .filter()
                .is_ok()
        );
    }

    #[test]
    fn a_backup_job_tells_its_guests() {
        let log = |lines: &[&str]| -> Vec<String> {
            lines.iter().map(|line| (*line).to_owned()).collect()
        };
        let named =
            log(&["INFO: starting new backup job: vzdump 100 200 --storage local --bwlimit 300"]);
        assert!(backs_up(&named, 100) && backs_up(&named, 200));
        assert!(!backs_up(&named, 10) && !backs_up(&named, 300));
        let all = log(&[
            "INFO: starting new backup job: vzdump --all 1 --storage local",
            "INFO: skip external VMs: 300",
            "INFO: Starting Backup of VM 100 (qemu)",
            "ERROR: Backup of VM 101 failed - no space left",
            "INFO: Finished Backup of VM 100 (00:00:02)",
        ]);
        assert!(backs_up(&all, 100) && backs_up(&all, 101));
        assert!(!backs_up(&all, 300) && !backs_up(&all, 1));
    }

    #[test]
    fn the_log_says_where_it_is() {
        let upid = parse(UPID).unwrap();
        let log = TaskLog {
            lines: vec!["a".into(), "b".repeat(2000)],
            total: 40,
        };
        let task = Task::new(&upid, Some("OK".into()), Some(1_795_338_160), log, None);
        assert_eq!(task.log_start, 38);
        assert_eq!(task.duration_seconds, Some(6));
        assert_eq!(task.log[1].chars().count(), LINE_LENGTH);
        assert!(task.hint.unwrap().starts_with("2 of 40"));
    }

    #[test]
    fn a_task_that_is_not_there() {
        let error = crate::pve::ApiError {
            status: 400,
            errors: [("upid".to_owned(), "no such task".to_owned())].into(),
            ..Default::default()
        };
        let error = task_error(&parse(UPID).unwrap(), Failure::Api(Box::new(error)));
        assert!(matches!(error, Error::NotFound(message) if message.contains("pve1")));
    }
}
