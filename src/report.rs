//! What every tool that changes something answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::pve::{Guest, Upid};
use crate::text;
use crate::ticket::{Finish, TaskTicket, Ticket};
use crate::tool::Reply;
use crate::tools::{self, name_of};

/// What was done, or goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Report {
    /// "start qemu guest 100 (web01)".
    pub(crate) action: String,
    pub(crate) status: Status,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) vmid: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) upid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) duration_seconds: Option<u64>,
    /// What has changed, from what to what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) changes: Vec<Change>,
    /// What came into being: a volid, a snapshot's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) created: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next_step: Option<String>,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    Done,
    DoneWithWarnings,
    /// The task goes on.
    Running,
    /// It was so already; nothing was sent.
    Unchanged,
}

/// One thing that has changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    pub(crate) what: String,
    /// Absent where it was not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    /// Absent where it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<String>,
    /// It takes effect at the next full stop and start of the guest.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) waits_for_reboot: bool,
}

impl Report {
    /// A report of something done.
    pub(crate) fn done(action: impl Into<String>) -> Self {
        Self {
            action: action.into(),
            status: Status::Done,
            vmid: None,
            node: None,
            upid: None,
            duration_seconds: None,
            changes: Vec::new(),
            created: None,
            warnings: Vec::new(),
            next_step: None,
        }
    }

    /// A report of something that was so already.
    pub(crate) fn unchanged(action: impl Into<String>) -> Self {
        Self {
            status: Status::Unchanged,
            ..Self::done(action)
        }
    }

    /// Names the guest, and the node that it is on.
    pub(crate) fn on(mut self, guest: &Guest) -> Self {
        self.vmid = Some(guest.vmid);
        self.node = Some(guest.node.clone());
        self
    }

    /// Adds a change.
    pub(crate) fn change(
        mut self,
        what: impl Into<String>,
        from: Option<impl Into<String>>,
        to: Option<impl Into<String>>,
    ) -> Self {
        self.changes.push(Change {
            what: what.into(),
            from: from.map(Into::into),
            to: to.map(Into::into),
            waits_for_reboot: false,
        });
        self
    }

    /// Names what came into being.
    pub(crate) fn created(mut self, what: impl Into<String>) -> Self {
        self.created = Some(what.into());
        self
    }

    /// Says what to do next.
    pub(crate) fn next(mut self, step: impl Into<String>) -> Self {
        self.next_step = Some(step.into());
        self
    }

    /// Adds a warning.
    pub(crate) fn warn(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }

    /// The task that does it has been started: follow it, or with `wait: false`
    /// say so at once.
    pub(crate) fn started(self, upid: &Upid, wait: Option<bool>) -> Result<Reply<Self>> {
        self.started_with(upid, wait, Finish::Plain)
    }

    /// The same, with something to look up when the task has ended well.
    pub(crate) fn started_with(
        self,
        upid: &Upid,
        wait: Option<bool>,
        finish: Finish,
    ) -> Result<Reply<Self>> {
        let mut interim = self.clone();
        interim.status = Status::Running;
        interim.upid = Some(upid.to_string());
        interim.node = Some(upid.node().to_owned());
        // Not yet.
        interim.created = None;
        interim.next_step = Some(format!(
            "the task goes on: {} with this upid follows it to its end",
            name_of::<tools::tasks::WaitTask>()
        ));
        let text = interim.text();
        if wait == Some(false) {
            return Ok(Reply::Done(interim, text));
        }
        let ticket = Ticket::Task(Box::new(TaskTicket {
            upid: upid.clone(),
            report: self,
            finish,
        }));
        Ok(Reply::Running(ticket, interim, text))
    }

    /// In a few words.
    pub(crate) fn text(&self) -> String {
        let mut text = match self.status {
            Status::Done => format!("{}: done", self.action),
            Status::DoneWithWarnings => format!("{}: done, with warnings", self.action),
            Status::Running => format!("{}: running", self.action),
            Status::Unchanged => format!("{}: nothing to do, it is so already", self.action),
        };
        if let Some(seconds) = self.duration_seconds.filter(|seconds| *seconds > 0) {
            text.push_str(&format!(" in {}", text::duration(seconds)));
        }
        if let Some(created) = &self.created {
            text.push_str(&format!("; created {created}"));
        }
        text
    }
}
