//! `resume_guest`: resumes a paused or suspended guest.

use pve_api::calls;
use schemars::JsonSchema;
use serde::Deserialize;

use super::change::{Command, Plan, PowerChange, change_power, halted};
use crate::error::{Error, Result};
use crate::pve::{Guest, GuestState, GuestType, Power, Pve, Vmid};
use crate::tool::declared::{Calls, FOLLOW_TASK, LOOK_UP};
use crate::tool::expected::Cause;
use crate::tool::report::Report;
use crate::tool::{Reply, Run};
use crate::tool_names;

/// Resumes a suspended guest.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResumeGuest {
    vmid: Vmid,
    /// False: do not follow the task.
    wait: Option<bool>,
}

impl Run for ResumeGuest {
    type Output = Report;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::All(FOLLOW_TASK),
        Calls::Guest(&calls::guests::STATUS),
        Calls::Guest(&calls::power::RESUME),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        change_power(pve, self.vmid, self.wait, Self::plan)
    }
}

impl ResumeGuest {
    pub(super) fn plan(guest: &Guest, state: &GuestState) -> Result<Plan> {
        let verb = "resume";
        match Power::of(state) {
            Power::Running => return Ok(Plan::Nothing(verb)),
            Power::Stopped if guest.kind == GuestType::Qemu => {
                return Err(Error::Conflict(format!(
                    "{} is stopped, not suspended: start it with {}",
                    guest.label(),
                    tool_names::START_GUEST
                )));
            }
            Power::Halted => return Err(halted(guest, state)),
            // The lock belongs to the suspension.
            Power::OnDisk => {}
            // A suspended container looks like a stopped one: the task shows it.
            Power::Stopped | Power::Paused | Power::Prepared | Power::Unknown => {
                state.unlocked(guest)?;
            }
        }
        let change = PowerChange::new(verb, Command::Resume, Power::Running);
        Ok(match state.qmpstatus.as_deref() {
            // The task ends well although the guest stops again at once.
            Some("io-error") => change.check(Cause::Resume).plan(),
            _ => change.plan(),
        })
    }
}
