//! `start_guest`: starts a guest, or resumes one suspended to disk.

use pve_api::calls;
use schemars::JsonSchema;
use serde::Deserialize;

use super::change::{Command, Plan, PowerChange, change_power, halted, is_mounted, paused};
use crate::error::{Error, Result};
use crate::pve::{Guest, GuestState, Power, Pve, Vmid};
use crate::tool::declared::{Calls, FOLLOW_TASK, LOOK_UP};
use crate::tool::report::Report;
use crate::tool::{Reply, Run, expected};
use crate::tool_names;

/// Starts a guest.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartGuest {
    vmid: Vmid,
    /// False: do not follow the task.
    wait: Option<bool>,
}

impl Run for StartGuest {
    type Output = Report;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::All(FOLLOW_TASK),
        Calls::Guest(&calls::guests::STATUS),
        Calls::Guest(&calls::power::START),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        change_power(pve, self.vmid, self.wait, Self::plan)
    }
}

impl StartGuest {
    pub(super) fn plan(guest: &Guest, state: &GuestState) -> Result<Plan> {
        let verb = "start";
        if state.template.0 {
            return Err(Error::Conflict(format!(
                "{} is a template, and templates do not run: create a guest from it with {}, \
                 and start that",
                guest.label(),
                tool_names::CLONE_GUEST
            )));
        }
        match Power::of(state) {
            Power::Running => return Ok(Plan::Nothing(verb)),
            Power::Paused => return Err(paused(guest, state)),
            Power::Halted => return Err(halted(guest, state)),
            // Its lock says that it is suspended, or that a backup uses it:
            // Proxmox starts both.
            Power::OnDisk | Power::Prepared => {}
            Power::Stopped if is_mounted(guest, state) => {}
            Power::Stopped | Power::Unknown => state.unlocked(guest)?,
        }
        // Its manager accepts the request, and ignores it.
        if state.is_ha_managed() && state.ha_state() == Some("error") {
            return Err(expected::given_up(guest));
        }
        Ok(PowerChange::new(verb, Command::Start, Power::Running).plan())
    }
}
