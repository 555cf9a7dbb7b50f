//! The state that a guest is to reach after its task has ended.
//!
//! Some tasks end well before the guest has changed: those of a guest under
//! high availability only pass the request to its manager, which acts within
//! some 15 seconds, and a rollback leaves the start to another task. The
//! guest's own state shows it, so that is what is followed.

use serde::{Deserialize, Serialize};

use super::report::{Report, Status};
use crate::clock;
use crate::error::{Error, Result};
use crate::json::{DeserializeFields, SerializeFields};
use crate::pve::{Guest, GuestType, Power, Pve, Vmid};
use crate::tool_names;

/// What is awaited of a guest, for how long.
#[derive(Debug, Clone, PartialEq, Eq, SerializeFields, DeserializeFields)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    vmid: Vmid,
    state: EndState,
    cause: Cause,
    within_seconds: u32,
    /// In seconds since 1970; absent until the task has ended.
    until: Option<u64>,
}

/// What the guest is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EndState {
    Running,
    Stopped,
    /// In memory and not running, or saved to disk.
    Suspended,
    /// On this node.
    On(String),
    /// A template.
    Template,
}

/// Who changes the guest after the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cause {
    /// The manager of high availability, which the task has asked.
    HighAvailability,
    /// A start that the task has begun.
    Start,
    /// The guest itself, which may stop again at once.
    Resume,
    /// Whatever Proxmox has begun without naming a task.
    Unnamed,
}

/// How far the guest is.
pub(crate) enum Progress {
    Reached(Box<Guest>),
    /// Not yet: what it is now, in a word.
    Now(String),
}

/// Why high availability does nothing for a guest, and what to do.
pub(crate) fn given_up(guest: &Guest) -> Error {
    Error::Conflict(format!(
        "high availability gave up on {} (HA state error): {} with this vmid shows which task \
         failed and why; fix that, clear the error with {} (state: disabled) or, on a node, \
         ha-manager set {} --state disabled, wait until {} no longer shows the state error (about 10 seconds), and start the guest again",
        guest.label(),
        tool_names::LIST_TASKS,
        tool_names::SET_HA_RESOURCE,
        guest.ha_id(),
        tool_names::GET_CLUSTER_STATUS,
    ))
}

impl Expected {
    /// What high availability is to do; it acts within 15 seconds, and a guest
    /// may take its time to shut down or move.
    pub(crate) fn by_ha(vmid: Vmid, state: EndState, within_seconds: u32) -> Self {
        Self::new(vmid, state, Cause::HighAvailability, within_seconds)
    }

    /// What a task asked high availability for, where that was moments ago:
    /// later, the guest may have been changed again.
    pub(crate) fn of_ha_task(kind: &str, vmid: Vmid, started: u64) -> Option<Self> {
        let state = match kind {
            "hastart" => EndState::Running,
            "hastop" => EndState::Stopped,
            _ => return None,
        };
        let is_recent = clock::now().saturating_sub(started) < 60;
        is_recent.then(|| Self::by_ha(vmid, state, 60))
    }

    pub(crate) fn new(vmid: Vmid, state: EndState, cause: Cause, within_seconds: u32) -> Self {
        Self {
            vmid,
            state,
            cause,
            within_seconds,
            until: None,
        }
    }

    /// The same, once its task has ended.
    pub(crate) fn due(mut self) -> Self {
        self.until
            .get_or_insert_with(|| clock::now().saturating_add(self.within_seconds.into()));
        self
    }

    /// Whether it has been awaited for long enough.
    pub(crate) fn is_over(&self) -> bool {
        self.until.is_some_and(|until| clock::now() >= until)
    }

    /// One look at the guest. Fails where it will not get there.
    pub(crate) fn look(&self, pve: &Pve) -> Result<Progress> {
        let guest = Guest::find(pve, self.vmid)?;
        let (guest, state) = guest.retry_if_moved(pve, |guest| Ok(guest.state(pve)?))?;
        let power = Power::of(&state);
        let reached = match &self.state {
            EndState::Running => power == Power::Running,
            EndState::Stopped => matches!(power, Power::Stopped | Power::OnDisk),
            // A suspended container looks like a stopped one.
            EndState::Suspended => {
                matches!(power, Power::Paused | Power::OnDisk)
                    || (guest.kind == GuestType::Lxc && power == Power::Stopped)
            }
            EndState::On(node) => guest.node == *node,
            EndState::Template => state.template.0,
        };
        if reached {
            return Ok(Progress::Reached(Box::new(guest)));
        }
        if self.cause == Cause::HighAvailability && state.ha_state() == Some("error") {
            return Err(given_up(&guest));
        }
        Ok(Progress::Now(match &self.state {
            EndState::On(_) => format!("on node {}", guest.node),
            EndState::Template => "not a template".to_owned(),
            EndState::Running | EndState::Stopped | EndState::Suspended => {
                match state.qmpstatus.as_deref() {
                    Some(word) if power != Power::Stopped => word.to_owned(),
                    _ => power.word().to_owned(),
                }
            }
        }))
    }

    /// What to say while the guest has not changed.
    pub(crate) fn waiting(&self, report: &Report, now: &str) -> Report {
        let mut report = report.clone();
        report.next_step = Some(self.next_step());
        match self.cause {
            Cause::HighAvailability => {
                report.status = Status::Requested;
                // Nothing of it has happened.
                report.changes.clear();
                report.warn(format!(
                    "high availability has accepted the request and usually acts on it within 15 \
                     seconds; the guest is still {now}"
                ))
            }
            Cause::Unnamed => {
                report.status = Status::Requested;
                // Nothing shows that it has happened.
                report.changes.clear();
                report.warn(format!(
                    "Proxmox accepted the request without returning a task that could be followed; \
                     the guest is still {now}"
                ))
            }
            Cause::Start => {
                report.status = Status::DoneWithWarnings;
                report.warn(format!("the guest has not started: it is {now}"))
            }
            Cause::Resume => {
                report.status = Status::DoneWithWarnings;
                report.changes.clear();
                report.warn(format!(
                    "the guest stopped again immediately: it is {now}, most likely because its \
                     storage is still full or out of reach"
                ))
            }
        }
    }

    /// What a caller who does not wait can do.
    fn next_step(&self) -> String {
        let get = tool_names::GET_GUEST;
        match (&self.state, self.cause) {
            (EndState::On(node), Cause::HighAvailability) => format!(
                "{get} shows when its node is {node}; {} shows the migration that high \
                 availability starts",
                tool_names::LIST_TASKS
            ),
            (_, Cause::HighAvailability) => format!(
                "{get} shows when it has changed, and {} shows what high availability does with it",
                tool_names::GET_CLUSTER_STATUS
            ),
            (_, Cause::Unnamed) => format!(
                "{get} shows whether it has changed, and {} with this vmid shows its tasks; do not \
                 repeat the call until you have checked",
                tool_names::LIST_TASKS
            ),
            (_, Cause::Start) => format!(
                "{} with this vmid shows why, {} starts it",
                tool_names::LIST_TASKS,
                tool_names::START_GUEST
            ),
            (_, Cause::Resume) => format!(
                "make room on its storage ({} shows the free space), then call {} again",
                tool_names::LIST_STORAGE,
                tool_names::RESUME_GUEST
            ),
        }
    }

    /// What to say before anything has been looked at.
    pub(crate) fn interim(&self, report: &Report) -> Report {
        let mut report = report.clone();
        report.status = Status::Requested;
        report.changes.clear();
        report.next_step = Some(self.next_step());
        report
    }

    /// Whether the task only passes the request on.
    pub(crate) fn is_by_ha(&self) -> bool {
        self.cause == Cause::HighAvailability
    }
}
