//! A task: as Proxmox lists it, and by its identifier.

use pve_api::NotAUpid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::json::{DeserializeFields, SerializeFields};
use crate::pve::{Failure, Num, Pve, Text, Upid, find_node, is_unknown_exit, nodes};
use crate::{text, tool_names};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TaskState {
    Running,
    Ok,
    Warnings,
    Failed,
    // It has ended, and Proxmox does not know how.
    Unknown,
}

#[derive(Debug, PartialEq, SerializeFields, JsonSchema)]
pub(super) struct TaskSummary {
    upid: String,
    node: String,
    #[serde(rename = "type")]
    kind: String,
    /// The object it works on, usually a vmid.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    pub(super) user: String,
    pub(super) status: TaskState,
    /// The exit status, if it is not OK.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exit_status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ended_at: Option<String>,
}

/// A task of a list. Fields that the list omits are read from its identifier.
#[derive(Debug, Deserialize)]
#[serde(from = "ListedTask")]
pub(crate) struct RawTask {
    pub(crate) upid: String,
    node: String,
    pub(crate) kind: String,
    pub(super) id: Option<Text>,
    pub(crate) user: String,
    tokenid: Option<Text>,
    pub(crate) status: Option<Text>,
    /// Whether the identifier is well-formed.
    pub(crate) is_named: bool,
    pub(crate) starttime: Option<u64>,
    pub(super) endtime: Option<Num<u64>>,
}

/// A task as Proxmox lists it.
#[derive(Debug, DeserializeFields)]
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

/// The longest exit status that is shown, in characters: it may be a command line.
pub(super) const EXIT_STATUS_LENGTH: usize = 160;

impl RawTask {
    pub(crate) fn state(&self) -> TaskState {
        match self.status.as_ref().map(|status| status.0.as_str()) {
            // It may have ended well or not.
            None | Some("") if self.endtime.is_some() || !self.is_named => TaskState::Unknown,
            None | Some("" | "RUNNING" | "running") => TaskState::Running,
            Some(exit) => state_of(exit),
        }
    }

    pub(super) fn full_user(&self) -> String {
        match &self.tokenid {
            Some(token) if !self.user.contains('!') => format!("{}!{token}", self.user),
            _ => self.user.clone(),
        }
    }
}

pub(crate) fn state_of(exit: &str) -> TaskState {
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

/// "the task qmclone 100".
pub(super) fn label(upid: &Upid) -> String {
    format!("the task {} {}", upid.kind(), upid.id())
        .trim_end()
        .to_owned()
}

pub(super) fn parse(text: &str) -> Result<Upid> {
    text.trim()
        .parse()
        .map_err(|why: NotAUpid| Error::argument("upid", why.to_string()))
}

/// Reads a task's identifier. Fails if its node does not exist, because Proxmox would
/// look up the node's name in DNS. If the nodes cannot be listed, the node itself has
/// to answer.
pub(super) fn known(pve: &Pve, text: &str) -> Result<Upid> {
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

/// Explains a failure about a task. Proxmox reports an unknown task as a bad parameter.
pub(super) fn task_error(upid: &Upid, failure: Failure) -> Error {
    match &failure {
        Failure::Api(error)
            if error
                .errors
                .get("upid")
                .is_some_and(|text| text.contains("no such task")) =>
        {
            Error::NotFound(format!(
                "node {} has no such task, or no longer has its record: {} shows the tasks that it \
                 knows",
                upid.node(),
                tool_names::LIST_TASKS
            ))
        }
        _ => failure.into(),
    }
}
