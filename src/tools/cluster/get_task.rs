//! `get_task`: one task's status and the last lines of its log.

use pve_api::calls;
use schemars::JsonSchema;

use super::task::{EXIT_STATUS_LENGTH, RawTask, TaskState, known, label, state_of, task_error};
use crate::error::Result;
use crate::json::{DeserializeFields, SerializeFields};
use crate::pve::{At, Params, Pve, TaskLog, TaskStatus, Upid};
use crate::tool::declared::Calls;
use crate::tool::{Part, Reply, Run};
use crate::{text, tool_names};

/// One task and its log.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetTask {
    /// The task's identifier, UPID:…
    upid: String,
    /// Number of log lines. Default 20.
    #[schemars(range(min = 0, max = 1000))]
    log_lines: Option<u32>,
    /// The first line, counted from 0; default: the log's last lines.
    log_start: Option<u64>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
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
    pub(super) duration_seconds: Option<u64>,
    /// Oldest first.
    pub(super) log: Vec<String>,
    /// The position of the first of these lines in the log, counted from 0.
    pub(super) log_start: u64,
    log_total_lines: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
}

const DEFAULT_LOG_LINES: u32 = 20;

/// The longest line that is shown, in characters: a progress bar is one line.
pub(super) const LINE_LENGTH: usize = 500;

impl Run for GetTask {
    type Output = Task;

    const CALLS: &'static [Calls] = &[
        Calls::One(&calls::cluster::STATUS),
        Calls::One(&calls::nodes::LIST),
        Calls::One(&calls::nodes::TASKS),
        Calls::One(&calls::nodes::TASK_LOG),
        Calls::One(&calls::nodes::TASK_STATUS),
    ];

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
        let (task, part) = Task::new(&upid, exit, ended, log, self.log_start);
        let mut text = format!("{} is {}", label(&upid), task.word());
        if let Some(line) = task.log.last() {
            text.push_str(&format!(": {}", text::cut(line, EXIT_STATUS_LENGTH)));
        }
        Ok(Reply::Listed(task, text, part))
    }
}

impl Task {
    pub(super) fn new(
        upid: &Upid,
        exit: Option<String>,
        ended: Option<u64>,
        log: TaskLog,
        asked_start: Option<u64>,
    ) -> (Self, Part) {
        let shown = log.lines.len();
        let log_start = asked_start.unwrap_or_else(|| log.total.saturating_sub(shown as u64));
        let number = |lines: u64| usize::try_from(lines).unwrap_or(usize::MAX);
        let is_end = asked_start.is_none();
        let part = Part::lines(number(log_start), shown, number(log.total), is_end);
        let status = exit.as_deref().map_or(TaskState::Running, state_of);
        let hint = if status == TaskState::Running {
            Some(format!("{} follows it to its end", tool_names::WAIT_TASK))
        } else {
            part.note()
        };
        let task = Self {
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
        };
        (task, part)
    }

    fn word(&self) -> &'static str {
        match self.status {
            TaskState::Running => "running",
            TaskState::Ok => "done",
            TaskState::Warnings => "done, with warnings",
            TaskState::Failed => "failed",
            TaskState::Unknown => "ended, with an unknown result",
        }
    }
}

/// When a task ended. Its status does not say so; the node's list of tasks does.
pub(super) fn ended(pve: &Pve, upid: &Upid, status: &TaskStatus) -> Option<u64> {
    if let Some(ended) = status.endtime {
        return Some(ended.0);
    }
    let started_then = Params::new()
        .set("since", upid.started())
        .set("until", upid.started());
    // It would be good to know; the rest is worth telling without it.
    let tasks: Vec<RawTask> = pve
        .send(&calls::nodes::TASKS.at([upid.node()]), &started_then)
        .ok()?;
    let task = tasks.into_iter().find(|task| task.upid == upid.as_str())?;
    Some(task.endtime?.0)
}
