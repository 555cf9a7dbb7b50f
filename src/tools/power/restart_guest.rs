//! `restart_guest`: reboots a guest, or resets a VM.

use pve_api::calls;
use schemars::JsonSchema;
use serde::Deserialize;

use super::change::{Command, Plan, PowerChange, change_power};
use crate::error::{Error, Result};
use crate::pve::{Guest, GuestState, GuestType, Params, Power, Pve, Vmid};
use crate::tool::declared::{Calls, FOLLOW_TASK, LOOK_UP};
use crate::tool::report::Report;
use crate::tool::{Reply, Run};
use crate::tool_names;

/// Restarts a running guest.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RestartGuest {
    vmid: Vmid,
    /// reboot (default): shut down and start; applies pending changes. reset: a VM's reset button.
    mode: Option<RestartMode>,
    /// How long the shutdown of a reboot may take; default 60.
    #[schemars(range(min = 1, max = 7200))]
    timeout_seconds: Option<u32>,
    /// False: do not follow the task.
    wait: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum RestartMode {
    Reboot,
    Reset,
}

impl Run for RestartGuest {
    type Output = Report;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::All(FOLLOW_TASK),
        Calls::Guest(&calls::guests::STATUS),
        Calls::Guest(&calls::power::REBOOT),
        Calls::One(&calls::power::RESET),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        if self.resets() && self.timeout_seconds.is_some() {
            return Err(Error::argument(
                "timeout_seconds",
                "only works with mode reboot: leave it out, or leave out mode",
            ));
        }
        change_power(pve, self.vmid, self.wait, |guest, state| {
            self.plan(guest, state)
        })
    }
}

impl RestartGuest {
    fn resets(&self) -> bool {
        self.mode == Some(RestartMode::Reset)
    }

    pub(super) fn plan(&self, guest: &Guest, state: &GuestState) -> Result<Plan> {
        if self.resets() && guest.kind == GuestType::Lxc {
            return Err(Error::argument(
                "mode",
                "reset works for VMs only, and this is a container: use reboot",
            ));
        }
        let power = Power::of(state);
        match power {
            Power::Stopped | Power::OnDisk => {
                return Err(Error::Conflict(format!(
                    "{} is {}: start it with {}",
                    guest.label(),
                    power.word(),
                    tool_names::START_GUEST
                )));
            }
            Power::Paused if !self.resets() => {
                return Err(Error::Conflict(format!(
                    "{} is paused and cannot react to a reboot: resume it with {} first, or use \
                     mode reset",
                    guest.label(),
                    tool_names::RESUME_GUEST
                )));
            }
            _ => state.unlocked(guest)?,
        }
        if self.resets() {
            return Ok(PowerChange::new("reset", Command::Reset, power).plan());
        }
        Ok(PowerChange::new("reboot", Command::Reboot, Power::Running)
            .with(Params::new().opt("timeout", self.timeout_seconds))
            .plan())
    }
}
