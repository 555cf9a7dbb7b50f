//! What the power tools share: read the state, decide, send one command.

use pve_api::calls;

use crate::error::{Error, Result};
use crate::pve::{Failure, Guest, GuestState, GuestType, OfGuest, Params, Power, Pve, Started};
use crate::tool::bulk::Begun;
use crate::tool::expected::{Cause, EndState, Expected};
use crate::tool::report::{Report, Status};
use crate::tool_names;

/// What to do with a guest in its current state.
#[derive(Debug)]
pub(super) enum Plan {
    /// No change is needed.
    Nothing(&'static str),
    Change(PowerChange),
}

/// A call that changes the power state of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Start,
    Shutdown,
    Reboot,
    Suspend,
    Resume,
    Stop,
    /// Of VMs only.
    Reset,
}

impl Command {
    pub(super) fn call(self) -> &'static dyn OfGuest {
        match self {
            Self::Start => &calls::power::START,
            Self::Shutdown => &calls::power::SHUTDOWN,
            Self::Reboot => &calls::power::REBOOT,
            Self::Suspend => &calls::power::SUSPEND,
            Self::Resume => &calls::power::RESUME,
            Self::Stop => &calls::power::STOP,
            Self::Reset => &calls::power::RESET,
        }
    }
}

#[derive(Debug)]
pub(super) struct PowerChange {
    pub(super) verb: &'static str,
    pub(super) command: Command,
    pub(super) params: Params,
    pub(super) to: Power,
    pub(super) warning: Option<&'static str>,
    /// Why the end of the task does not show that the guest has changed.
    pub(super) check: Option<Cause>,
    /// How long a shutdown may take.
    pub(super) seconds: Option<u32>,
}

/// How long the manager of high availability may take to act on a request. On
/// a real cluster it takes 9 to 15 seconds.
pub(super) const HA_SECONDS: u32 = 60;

/// How long a guest's shutdown takes at most where nothing else is set.
const SHUTDOWN_SECONDS: u32 = 180;

/// Reads a guest's state, decides, and starts the task where one is needed.
pub(super) fn begin_power(
    pve: &Pve,
    guest: &Guest,
    preview: bool,
    plan: impl Fn(&Guest, &GuestState) -> Result<Plan>,
) -> Result<Begun> {
    let state = guest.state(pve)?;
    let from = Power::of(&state);
    Ok(match plan(guest, &state)? {
        Plan::Nothing(verb) => {
            let action = format!("{verb} {}", guest.label());
            Begun::Ended(Report::unchanged(action).on(guest))
        }
        Plan::Change(change) if preview => Begun::Ended(change.preview(guest, from)),
        Plan::Change(change) => {
            let started = change.send(pve, guest)?;
            let (report, expected) = change.report(guest, from, &started);
            Begun::Started(report, started, expected)
        }
    })
}

impl PowerChange {
    pub(super) fn new(verb: &'static str, command: Command, to: Power) -> Self {
        Self {
            verb,
            command,
            params: Params::new(),
            to,
            warning: None,
            check: None,
            seconds: None,
        }
    }

    /// Follows the guest itself after the task.
    pub(super) fn check(self, cause: Cause) -> Self {
        Self {
            check: Some(cause),
            ..self
        }
    }

    pub(super) fn with(self, params: Params) -> Self {
        Self { params, ..self }
    }

    pub(super) fn warn(self, warning: &'static str) -> Self {
        Self {
            warning: Some(warning),
            ..self
        }
    }

    pub(super) fn plan(self) -> Plan {
        Plan::Change(self)
    }

    fn send(&self, pve: &Pve, guest: &Guest) -> Result<Started, Failure> {
        let request = guest.request(self.command.call());
        match pve.send(&request, &self.params) {
            // Versions before 8.2 do not know the parameter.
            Err(Failure::Api(error)) if error.errors.contains_key("overrule-shutdown") => {
                pve.send(&request, &Params::new())
            }
            answer => answer,
        }
    }

    fn preview(&self, guest: &Guest, from: Power) -> Report {
        let mut report = self.planned(guest, from);
        report.status = Status::Preview;
        report
    }

    fn planned(&self, guest: &Guest, from: Power) -> Report {
        let mut report = Report::done(format!("{} {}", self.verb, guest.label())).on(guest);
        if from != self.to {
            report = report.change("power", Some(from.word()), Some(self.to.word()));
        }
        if let Some(warning) = self.warning {
            report = report.warn(warning);
        }
        report
    }

    /// The report, and the state to wait for if the end of the task does not
    /// show that the guest has changed.
    pub(super) fn report(
        &self,
        guest: &Guest,
        from: Power,
        started: &Started,
    ) -> (Report, Option<Expected>) {
        let report = self.planned(guest, from);
        // The task of a guest under high availability only passes the request
        // on.
        let kind = match started {
            Started::Task(upid) => upid.kind(),
            Started::WithoutTask(_) => return (report, self.without_task(guest, from)),
        };
        let expected = match (kind, self.check) {
            ("hastart", _) => Expected::by_ha(guest.vmid, EndState::Running, HA_SECONDS),
            ("hastop", _) => {
                let seconds = if self.command == Command::Stop {
                    0
                } else {
                    self.seconds.unwrap_or(SHUTDOWN_SECONDS)
                };
                Expected::by_ha(
                    guest.vmid,
                    EndState::Stopped,
                    seconds.saturating_add(HA_SECONDS),
                )
            }
            (_, Some(cause)) => Expected::new(guest.vmid, EndState::Running, cause, 0),
            (_, None) => return (report, None),
        };
        (report, Some(expected))
    }
}

impl PowerChange {
    /// What to follow if Proxmox named no task: the guest, if its state can show that the
    /// change has happened. A running guest that restarts ends in the state in which it
    /// began.
    fn without_task(&self, guest: &Guest, from: Power) -> Option<Expected> {
        let state = match self.to {
            to if to == from => return None,
            Power::Running => EndState::Running,
            Power::Stopped => EndState::Stopped,
            Power::Paused | Power::OnDisk => EndState::Suspended,
            Power::Prepared | Power::Halted | Power::Unknown => return None,
        };
        let seconds = match self.command {
            Command::Shutdown => self.seconds.unwrap_or(SHUTDOWN_SECONDS),
            _ => 0,
        };
        Some(Expected::new(
            guest.vmid,
            state,
            Cause::Unnamed,
            seconds.saturating_add(HA_SECONDS),
        ))
    }
}

/// A container whose root is mounted may be started and stopped all the same.
pub(super) fn is_mounted(guest: &Guest, state: &GuestState) -> bool {
    guest.kind == GuestType::Lxc && state.lock() == Some("mounted")
}

/// Why a VM that is in memory cannot be started, and what to do.
pub(super) fn paused(guest: &Guest, state: &GuestState) -> Error {
    let label = guest.label();
    let resume = tool_names::RESUME_GUEST;
    Error::Conflict(match state.qmpstatus.as_deref() {
        Some("io-error") => format!(
            "{label} is not stopped: QEMU has paused it after an I/O error (io-error), most likely \
             since the storage of one of its disks is full or out of reach; make room on it ({} \
             shows the free space) or bring it back, then resume the guest with {resume}; until \
             then it stops again at once",
            tool_names::LIST_STORAGE
        ),
        Some("watchdog") => format!(
            "{label} is not stopped: its watchdog has paused it because the guest hung (watchdog); \
             resume it with {resume}, or restart it with mode reset of {}",
            tool_names::RESTART_GUEST
        ),
        Some("suspended") => format!(
            "{label} is not stopped: its own system has suspended it (suspended); wake it with \
             {resume}"
        ),
        _ => format!("{label} is paused, not stopped: resume it with {resume}"),
    })
}

pub(super) fn halted(guest: &Guest, state: &GuestState) -> Error {
    let (word, why) = match state.qmpstatus.as_deref() {
        Some(word @ "guest-panicked") => (word, "its operating system has crashed"),
        Some(word @ "internal-error") => (
            word,
            "QEMU has stopped it after an internal error, which it cannot recover from",
        ),
        Some(word @ "shutdown") => (word, "it has shut down, and QEMU still runs"),
        other => (other.unwrap_or("halted"), "it cannot continue"),
    };
    Error::Conflict(format!(
        "{} has halted ({word}): {why}; restart it with mode reset of {}, or switch it off with \
         mode hard of {} and start it again; the node's log ({}) has details",
        guest.label(),
        tool_names::RESTART_GUEST,
        tool_names::STOP_GUEST,
        tool_names::GET_NODE_LOG,
    ))
}
