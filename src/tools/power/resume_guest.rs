//! `resume_guest`: resumes a paused or suspended guest.

use pve_api::calls;
use schemars::JsonSchema;

use super::change::{Command, Plan, PowerChange, begin_power, halted};
use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::pve::{Guest, GuestState, GuestType, Power, Pve, Vmid};
use crate::tool::bulk::{Begun, ChangeGuest, OnGuests, Pace, Selector, selector};
use crate::tool::declared::Calls;
use crate::tool::expected::Cause;
use crate::tool_names;

/// Resumes a suspended guest.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResumeGuest {
    vmid: Option<Vmid>,
    /// Several, at most 25.
    #[schemars(extend("x-splits" = "words"))]
    vmids: Option<Vec<Vmid>>,
    /// All with this tag.
    tag: Option<String>,
    /// All in this pool.
    pool: Option<String>,
    /// All on this node.
    node: Option<String>,
    /// Only show what would be done.
    preview: Option<bool>,
    /// False: do not follow the task.
    wait: Option<bool>,
}

impl OnGuests for ResumeGuest {
    const CALLS: &'static [Calls] = &[
        Calls::Guest(&calls::guests::STATUS),
        Calls::Guest(&calls::power::RESUME),
    ];
}

impl ChangeGuest for ResumeGuest {
    fn selector(&self) -> Selector<'_> {
        selector!(self)
    }

    fn wait(&self) -> Option<bool> {
        self.wait
    }

    fn verb(&self) -> String {
        "resume".into()
    }

    fn pace(&self) -> Pace {
        Pace::StartupOrder
    }

    fn begin(&self, pve: &Pve, guest: &Guest, preview: bool) -> Result<Begun> {
        begin_power(pve, guest, preview, Self::plan)
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
