//! `resume_guest`: resumes a paused or suspended guest.

use pve_api::calls;
use schemars::JsonSchema;
use serde::Deserialize;

use super::order::{Command, Order, Plan, halted, order};
use crate::error::{Error, Result};
use crate::pve::{Guest, GuestState, Kind, Power, Pve};
use crate::tool::declared::{Calls, FOLLOW_TASK, LOOK_UP};
use crate::tool::expected::Cause;
use crate::tool::report::Report;
use crate::tool::{Reply, Run};
use crate::tool_names;

/// Resumes a suspended guest.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResumeGuest {
    #[schemars(range(min = 100, max = 999_999_999))]
    vmid: u32,
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
        order(pve, self.vmid, self.wait, Self::plan)
    }
}

impl ResumeGuest {
    pub(super) fn plan(guest: &Guest, state: &GuestState) -> Result<Plan> {
        let verb = "resume";
        match Power::of(state) {
            Power::Running => return Ok(Plan::Nothing(verb)),
            Power::Stopped if guest.kind == Kind::Qemu => {
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
        let order = Order::new(verb, Command::Resume, Power::Running);
        Ok(match state.qmpstatus.as_deref() {
            // The task ends well although the guest stops again at once.
            Some("io-error") => order.check(Cause::Resume).plan(),
            _ => order.plan(),
        })
    }
}
