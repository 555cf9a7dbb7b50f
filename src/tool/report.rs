//! The result of every tool that changes something.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::json::{DeserializeFields, SerializeFields};
use crate::pve::{Guest, Upid, Vmid};
use crate::text;
use crate::tool_names;

/// What was done, or is still being done.
#[derive(Debug, Clone, PartialEq, SerializeFields, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Report {
    /// "start qemu guest 100 (web01)".
    pub(crate) action: String,
    pub(crate) status: Status,
    /// The guest; of a clone or a restore, the new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) vmid: Option<Vmid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) upid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) duration_seconds: Option<u64>,
    /// What has changed, from what to what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) changes: Vec<Change>,
    /// The file on a storage that was made: a backup, an image, a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) volid: Option<String>,
    /// The snapshot that was taken, restored or removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) snapshot: Option<String>,
    /// Where a firewall rule is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next_step: Option<String>,
}

/// How far it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    Done,
    DoneWithWarnings,
    /// The task is still running.
    Running,
    /// Proxmox has accepted the request, and something else carries it out
    /// later: the guest has not changed yet.
    Requested,
    /// No change was needed, and nothing was sent.
    Unchanged,
    /// Nothing was changed: this is what the call would do.
    Preview,
    /// Of several guests: some were not changed as requested.
    PartlyFailed,
    /// Of one of several guests.
    Failed,
    /// Of one of several guests: the call ended before it was this guest's turn.
    NotStarted,
}

/// One thing that changed.
#[derive(Debug, Clone, PartialEq, SerializeFields, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    /// The argument's name where it is a setting: `cores`, `policy_in`.
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
            volid: None,
            snapshot: None,
            position: None,
            warnings: Vec::new(),
            next_step: None,
        }
    }

    /// A report of something that needed no change.
    pub(crate) fn unchanged(action: impl Into<String>) -> Self {
        Self {
            status: Status::Unchanged,
            ..Self::done(action)
        }
    }

    /// A report of what the call would do.
    pub(crate) fn preview(action: impl Into<String>) -> Self {
        Self {
            status: Status::Preview,
            ..Self::done(action)
        }
    }

    /// Names the guest and its node.
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

    /// Names the file that the call makes.
    pub(crate) fn volid(mut self, volid: impl Into<String>) -> Self {
        self.volid = Some(volid.into());
        self
    }

    /// Names the snapshot that the call is about.
    pub(crate) fn snapshot(mut self, name: impl Into<String>) -> Self {
        self.snapshot = Some(name.into());
        self
    }

    /// Says where a firewall rule is now.
    pub(crate) fn position(mut self, position: u32) -> Self {
        self.position = Some(position);
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

    /// Names the task that does it.
    pub(crate) fn of_task(&self, upid: &Upid) -> Self {
        let mut report = self.clone();
        report.upid = Some(upid.to_string());
        report.node.get_or_insert_with(|| upid.node().to_owned());
        report
    }

    /// What to say where Proxmox took the request and named no task.
    pub(super) fn without_task(mut self, said: Option<&str>) -> Self {
        // Nothing shows whether it has happened, or ever will.
        self.status = Status::Requested;
        self.changes.clear();
        let said = said.map_or_else(String::new, |said| format!(" ({:?})", text::cut(said, 80)));
        self.warn(format!(
            "Proxmox accepted the request without returning a task{said}, so its completion could \
             not be followed: check the result"
        ))
    }

    /// What to say while the task is running.
    pub(crate) fn running(&self, upid: &Upid) -> Self {
        let mut interim = self.clone();
        interim.status = Status::Running;
        interim.upid = Some(upid.to_string());
        interim.node = Some(upid.node().to_owned());
        interim.next_step = Some(format!(
            "the task is still running: {} with this upid follows it to its end",
            tool_names::WAIT_TASK
        ));
        interim
    }

    /// A one-line summary.
    pub(crate) fn text(&self) -> String {
        let mut text = match self.status {
            Status::Done => format!("{}: done", self.action),
            Status::DoneWithWarnings => format!("{}: done, with warnings", self.action),
            Status::Running => format!("{}: running", self.action),
            Status::Requested => format!("{}: requested, not done yet", self.action),
            Status::Unchanged => format!("{}: no change needed", self.action),
            Status::Preview => format!("preview: {}", self.action),
            Status::PartlyFailed => format!("{}: failed in part", self.action),
            Status::Failed => format!("{}: failed", self.action),
            Status::NotStarted => format!("{}: not started", self.action),
        };
        if let Some(seconds) = self.duration_seconds.filter(|seconds| *seconds > 0) {
            text.push_str(&format!(" in {}", text::duration(seconds)));
        }
        if let Some(volid) = &self.volid
            && !self.action.contains(volid.as_str())
        {
            text.push_str(&format!("; {volid}"));
        }
        text
    }
}
