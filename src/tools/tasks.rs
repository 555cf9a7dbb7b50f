//! Tasks: the list, one with its log, and following and stopping one.

use std::cmp::Reverse;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::error::{Error, Result};
use crate::pve::{
    Failure, Num, Params, Path, Pve, Started, TaskLog, TaskStatus, Text, Upid, choose_node,
};
use crate::report::Report;
use crate::text;
use crate::ticket::{self, Finish, TaskTicket};
use crate::tool::{Reply, Run};
use crate::tools::name_of;

/// The tasks that fit the filters, newest first.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListTasks {
    /// All that this node knows; default: each node's latest.
    #[schemars(length(min = 1))]
    node: Option<String>,
    /// On this guest.
    #[schemars(range(min = 100, max = 999_999_999))]
    vmid: Option<u32>,
    /// How they ended.
    status: Option<TaskState>,
    /// Part of the type, such as qmstart, clone or vzdump.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Part of the user's name.
    user: Option<String>,
    /// Started since: 2h, 3d or an RFC 3339 time.
    since: Option<String>,
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
    started_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
}

#[derive(Debug, Deserialize)]
struct RawTask {
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
    starttime: Num<u64>,
    #[serde(default)]
    endtime: Option<Num<u64>>,
}

const DEFAULT_LIMIT: u32 = 30;

/// A task's failure may be a whole command line.
const EXIT_STATUS_LENGTH: usize = 160;

impl Run for ListTasks {
    type Output = TaskList;

    fn run(self, pve: &Pve) -> Result<Reply<TaskList>> {
        let since = self
            .since
            .as_deref()
            .map(|since| clock::moment("since", since))
            .transpose()?;
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        // The cluster's list takes no filters; a node's does.
        let (raw, total) = match &self.node {
            Some(node) => {
                choose_node(pve, "node", Some(node))?;
                let page = pve.get_paged::<Vec<RawTask>>(
                    &Path::new(["nodes", node, "tasks"]),
                    &self.query(since, limit),
                )?;
                (page.data, page.total)
            }
            None => {
                let path = Path::new(["cluster", "tasks"]);
                (pve.get::<Vec<RawTask>>(&path, &Params::new())?, None)
            }
        };
        let none_seen = raw.is_empty() && !self.is_filtered();
        let mut found: Vec<RawTask> = raw
            .into_iter()
            .filter(|task| self.fits(task, since))
            .collect();
        found.sort_by_key(|task| Reverse(task.starttime.0));
        let total = total.unwrap_or(0).max(found.len() as u64);
        found.truncate(limit as usize);
        let hint = if none_seen {
            Some(pve.empty_hint("Sys.Audit", "/nodes"))
        } else if (found.len() as u64) < total {
            Some(format!(
                "{} of {total} are shown: raise limit, or narrow by vmid, status, type, user or \
                 since",
                found.len()
            ))
        } else if self.node.is_none() && self.is_filtered() {
            Some("each node's latest tasks only: name a node to look further back".to_owned())
        } else {
            None
        };
        let tasks: Vec<TaskSummary> = found.into_iter().map(TaskSummary::from).collect();
        let count = |state| tasks.iter().filter(|task| task.status == state).count();
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
    fn is_filtered(&self) -> bool {
        self.vmid.is_some()
            || self.status.is_some()
            || self.kind.is_some()
            || self.user.is_some()
            || self.since.is_some()
    }

    /// The filters, in the words of a node's list.
    fn query(&self, since: Option<u64>, limit: u32) -> Params {
        let (source, ended) = match self.status {
            None => ("all", None),
            Some(TaskState::Running) => ("active", None),
            Some(TaskState::Ok) => ("archive", Some("ok")),
            Some(TaskState::Warnings) => ("archive", Some("warning")),
            Some(TaskState::Failed) => ("archive", Some("error,unknown")),
        };
        Params::new()
            .set("source", source)
            .set("limit", limit)
            .opt("statusfilter", ended)
            .opt("vmid", self.vmid)
            .opt("typefilter", self.kind.as_deref())
            .opt("userfilter", self.user.as_deref())
            .opt("since", since)
    }

    fn fits(&self, task: &RawTask, since: Option<u64>) -> bool {
        let contains =
            |text: &str, part: &String| text.to_lowercase().contains(&part.to_lowercase());
        self.vmid
            .is_none_or(|vmid| task.id.as_ref().is_some_and(|id| id.0 == vmid.to_string()))
            && self.status.is_none_or(|status| status == task.state())
            && self
                .kind
                .as_ref()
                .is_none_or(|kind| contains(&task.kind, kind))
            && self
                .user
                .as_ref()
                .is_none_or(|user| contains(&task.full_user(), user))
            && since.is_none_or(|since| task.starttime.0 >= since)
    }
}

impl RawTask {
    fn state(&self) -> TaskState {
        match self.status.as_ref().map(|status| status.0.as_str()) {
            // One that ended without leaving a word has not ended well.
            None | Some("") if self.endtime.is_some() => TaskState::Failed,
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
                .filter(|_| !matches!(status, TaskState::Running | TaskState::Ok))
                .map(|exit| text::cut(&exit.0, EXIT_STATUS_LENGTH)),
            status,
            id: raw.id.map(|id| id.0).filter(|id| !id.is_empty()),
            upid: raw.upid,
            node: raw.node,
            kind: raw.kind,
            started_at: text::time(raw.starttime.0),
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
        let upid = parse(&self.upid)?;
        let status = TaskStatus::read(pve, &upid).map_err(|failure| task_error(&upid, failure))?;
        let lines = u64::from(self.log_lines.unwrap_or(DEFAULT_LOG_LINES));
        let log = match self.log_start {
            // To Proxmox a limit of 0 is no limit.
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
            Some(format!("{} follows it to its end", name_of::<WaitTask>()))
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
            exit_status: exit,
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
        let upid = parse(&self.upid)?;
        let status = match TaskStatus::read(pve, &upid) {
            Ok(status) => Some(status),
            // It is followed until Proxmox answers again.
            Err(failure) if failure.is_outage() => None,
            Err(failure) => return Err(task_error(&upid, failure)),
        };
        let mut report = Report::done(label(&upid));
        report.vmid = upid.id().parse().ok();
        let finish = Finish::of(&upid);
        let Some(status) = status.filter(|status| status.exit().is_some()) else {
            return report.started_with(&Started::Task(upid), None, finish);
        };
        let ticket = TaskTicket {
            upid,
            report,
            finish,
        };
        ticket.ended(pve, &status)
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
        let upid = parse(&self.upid)?;
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
        ticket::stop(pve, &upid).map_err(|failure| task_error(&upid, failure))?;
        let report = about(Report::done(action));
        Ok(Reply::report(report.next(format!(
            "it ends in a moment: {} tells how; what it has done so far may stay half-done, and a \
             guest may keep its lock",
            name_of::<GetTask>()
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
                name_of::<ListTasks>()
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
        assert_eq!(ended(""), TaskState::Failed);
        assert_eq!(one(r#","endtime":1795338155"#).state(), TaskState::Failed);
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
        ] {
            assert_eq!(list(arguments).fits(&task, None), fits, "{arguments}");
        }
        assert!(!list("{}").fits(&task, Some(1_795_338_155)));
    }

    #[test]
    fn node_queries() {
        let query = |arguments: &str| list(arguments).query(None, 30).encode();
        assert_eq!(query("{}"), "source=all&limit=30");
        assert_eq!(query(r#"{"status":"running"}"#), "source=active&limit=30");
        assert_eq!(
            query(r#"{"status":"failed","vmid":100}"#),
            "source=archive&limit=30&statusfilter=error%2Cunknown&vmid=100"
        );
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
