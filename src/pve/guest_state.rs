//! A guest's state at this moment, by `status/current`.

use pve_api::{GuestType, calls};

use super::client::Pve;
use super::failure::Failure;
use super::guest::Guest;
use super::num::{Flag, Num};
use super::params::Params;
use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::tool_names;

impl Guest {
    /// Its state at this moment: the list that it was found in lags some
    /// seconds behind.
    pub(crate) fn state(&self, pve: &Pve) -> Result<GuestState, Failure> {
        let mut state: GuestState =
            pve.send(&self.request(&calls::guests::STATUS), &Params::new())?;
        state.complete(self);
        Ok(state)
    }
}

/// A guest's state at this moment.
#[derive(Debug, Clone, DeserializeFields)]
pub(crate) struct GuestState {
    #[serde(default)]
    status: String,
    /// What QEMU says of a VM: running, paused and more.
    #[serde(default)]
    pub(crate) qmpstatus: Option<String>,
    #[serde(default)]
    lock: Option<String>,
    #[serde(default)]
    pub(crate) template: Flag,
    /// The share of its CPUs that it uses, 0 to 1; a VM's may be a little more.
    #[serde(default)]
    pub(crate) cpu: Option<Num<f64>>,
    /// The memory that it uses, in bytes.
    #[serde(default)]
    pub(crate) mem: Option<Num<u64>>,
    /// In seconds; 0 where it does not run.
    #[serde(default)]
    pub(crate) uptime: Option<Num<u64>>,
    /// The share of the last ten seconds in which some process of it waited for a
    /// processor, in percent. Absent before PVE 9, as the next two.
    #[serde(default)]
    pub(crate) pressurecpusome: Option<Num<f64>>,
    /// In which all processes of it waited for disks.
    #[serde(default)]
    pub(crate) pressureiofull: Option<Num<f64>>,
    /// In which all processes of it waited for memory.
    #[serde(default)]
    pub(crate) pressurememoryfull: Option<Num<f64>>,
    #[serde(default)]
    ha: HaState,
}

#[derive(Debug, Clone, Default, DeserializeFields)]
struct HaState {
    #[serde(default)]
    managed: Flag,
    /// What its manager does with it: `started`, `request_stop`, `error`.
    #[serde(default)]
    state: Option<String>,
}

impl GuestState {
    /// Fills a status that the answer lacks: from what QEMU says, or else from
    /// the list that the guest was found in.
    fn complete(&mut self, guest: &Guest) {
        if self.is_known() {
            return;
        }
        self.status = match self.qmpstatus.as_deref() {
            Some("stopped") => "stopped".into(),
            Some(said) if !matches!(said, "" | "unknown") => "running".into(),
            _ => match guest.status.as_str() {
                status @ ("running" | "stopped") => status.to_owned(),
                _ => "unknown".into(),
            },
        };
    }

    /// `running` or `stopped`; `unknown` where nothing says it.
    pub(crate) fn status(&self) -> &str {
        &self.status
    }

    /// Whether Proxmox says what state it is in.
    pub(crate) fn is_known(&self) -> bool {
        !matches!(self.status.as_str(), "" | "unknown")
    }

    /// Whether it runs; a paused VM does.
    pub(crate) fn is_running(&self) -> bool {
        self.status == "running"
    }

    /// Whether high availability starts and stops it.
    pub(crate) fn is_ha_managed(&self) -> bool {
        self.ha.managed.0
    }

    /// What the manager of high availability does with it.
    pub(crate) fn ha_state(&self) -> Option<&str> {
        self.ha.state.as_deref()
    }

    /// What holds it: backup, migrate, suspended.
    pub(crate) fn lock(&self) -> Option<&str> {
        self.lock.as_deref().filter(|lock| !lock.is_empty())
    }

    /// Refuses a guest that another task holds: Proxmox would accept the call
    /// and let the task fail.
    pub(crate) fn unlocked(&self, guest: &Guest) -> Result<()> {
        let Some(lock) = self.lock() else {
            return Ok(());
        };
        let (label, node) = (guest.label(), &guest.node);
        if lock == "suspended" {
            return Err(Error::Conflict(format!(
                "{label} is locked (suspended): it is suspended to disk: {} resumes it; unlocking it \
                 would lose its memory",
                tool_names::START_GUEST
            )));
        }
        let unlock = match guest.kind {
            GuestType::Qemu => "qm unlock",
            GuestType::Lxc => "pct unlock",
        };
        Err(Error::Conflict(format!(
            "{label} is locked ({lock}): another task holds it, or left its lock behind; first look \
             at the running tasks with {}, including backups of several guests, and wait for the one \
             that holds it; only where there is none, unlock it on node {node} with {unlock} {}",
            tool_names::LIST_TASKS,
            guest.vmid,
        )))
    }
}

/// A guest's state, as far as power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Power {
    Running,
    /// In memory, not running.
    Paused,
    /// Stopped, its memory saved.
    OnDisk,
    Stopped,
    /// QEMU runs, the VM has not been started: a backup of a stopped VM does
    /// this.
    Prepared,
    /// QEMU runs, the VM cannot continue.
    Halted,
    /// Proxmox does not know, so its own answer to the order decides.
    Unknown,
}

impl Power {
    /// Reads it from `status/current`.
    pub(crate) fn of(state: &GuestState) -> Self {
        if !state.is_known() {
            return Self::Unknown;
        }
        if !state.is_running() {
            return match state.lock() {
                Some("suspended") => Self::OnDisk,
                _ => Self::Stopped,
            };
        }
        match state.qmpstatus.as_deref() {
            // `suspended`: by the guest's own system; a resume wakes it.
            Some("paused" | "suspended" | "io-error" | "watchdog" | "debug") => Self::Paused,
            Some("prelaunch") => Self::Prepared,
            Some("guest-panicked" | "internal-error" | "shutdown") => Self::Halted,
            _ => Self::Running,
        }
    }

    /// What messages call it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::OnDisk => "suspended to disk",
            Self::Stopped => "stopped",
            Self::Prepared => "prepared",
            Self::Halted => "halted",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_is_missing_is_looked_up_elsewhere() {
        let running: Guest =
            serde_json::from_str(r#"{"status":"running","type":"qemu","vmid":300,"node":"pve2"}"#)
                .unwrap();
        let fresh: Guest =
            serde_json::from_str(r#"{"status":"unknown","type":"qemu","vmid":300,"node":"pve2"}"#)
                .unwrap();
        for (json, guest, status) in [
            (r#"{"status":"stopped"}"#, &running, "stopped"),
            ("{}", &running, "running"),
            ("{}", &fresh, "unknown"),
            (r#"{"qmpstatus":"paused"}"#, &fresh, "running"),
            (r#"{"qmpstatus":"stopped"}"#, &running, "stopped"),
        ] {
            let mut state: GuestState = serde_json::from_str(json).unwrap();
            state.complete(guest);
            assert_eq!(state.status, status, "{json}");
        }
    }

    #[test]
    fn a_guest_that_is_suspended_to_disk_is_not_to_be_unlocked() {
        let guest: Guest =
            serde_json::from_str(r#"{"status":"stopped","type":"qemu","vmid":300,"node":"pve2"}"#)
                .unwrap();
        let refused = |lock: &str| {
            let json = format!(r#"{{"status":"stopped","lock":"{lock}"}}"#);
            let state: GuestState = serde_json::from_str(&json).unwrap();
            state.unlocked(&guest).unwrap_err().message()
        };
        let suspended = refused("suspended");
        assert!(suspended.contains("start_guest resumes it"), "{suspended}");
        assert!(!suspended.contains("qm unlock"), "{suspended}");
        let held = refused("backup");
        let tasks = held.find("list_tasks").unwrap();
        assert!(tasks < held.find("qm unlock 300").unwrap(), "{held}");
    }
}
