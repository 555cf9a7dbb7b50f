//! `start_guest`: starts a guest, or resumes one suspended to disk.

use pve_api::calls;
use schemars::JsonSchema;

use super::change::{Command, Plan, PowerChange, begin_power, halted, is_mounted, paused};
use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::pve::{Guest, GuestState, Power, Pve, Vmid};
use crate::tool::bulk::{Begun, ChangeGuest, OnGuests, Pace, Selector, selector};
use crate::tool::declared::Calls;
use crate::tool::expected;
use crate::tool_names;

/// Starts a guest.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartGuest {
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

impl OnGuests for StartGuest {
    const CALLS: &'static [Calls] = &[
        Calls::Guest(&calls::guests::STATUS),
        Calls::Guest(&calls::power::START),
    ];
}

impl ChangeGuest for StartGuest {
    fn selector(&self) -> Selector<'_> {
        selector!(self)
    }

    fn wait(&self) -> Option<bool> {
        self.wait
    }

    fn verb(&self) -> String {
        "start".into()
    }

    fn pace(&self) -> Pace {
        Pace::StartupOrder
    }

    fn begin(&self, pve: &Pve, guest: &Guest, preview: bool) -> Result<Begun> {
        begin_power(pve, guest, preview, Self::plan)
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
            Power::Unknown if state.lock() == Some("suspended") => {}
            Power::Stopped | Power::Unknown => state.unlocked(guest)?,
        }
        // Its manager accepts the request, and ignores it.
        if state.is_ha_managed() && state.ha_state() == Some("error") {
            return Err(expected::given_up(guest));
        }
        Ok(PowerChange::new(verb, Command::Start, Power::Running).plan())
    }
}
