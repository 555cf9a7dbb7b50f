//! `restart_guest`: reboots a guest, or resets a VM.

use pve_api::calls;
use schemars::JsonSchema;
use serde::Deserialize;

use super::change::{Command, Plan, PowerChange, begin_power};
use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::pve::{Guest, GuestState, GuestType, Params, Power, Pve, Vmid};
use crate::tool::bulk::{Begun, ChangeGuest, OnGuests, Pace, Selector, selector};
use crate::tool::declared::Calls;
use crate::tool_names;

/// Restarts a running guest.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RestartGuest {
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

impl OnGuests for RestartGuest {
    const CALLS: &'static [Calls] = &[
        Calls::Guest(&calls::guests::STATUS),
        Calls::Guest(&calls::power::REBOOT),
        Calls::One(&calls::power::RESET),
    ];
}

impl ChangeGuest for RestartGuest {
    fn selector(&self) -> Selector<'_> {
        selector!(self)
    }

    fn check(&self) -> Result<()> {
        if self.resets() && self.timeout_seconds.is_some() {
            return Err(Error::argument(
                "timeout_seconds",
                "only works with mode reboot: leave it out, or leave out mode",
            ));
        }
        Ok(())
    }

    fn wait(&self) -> Option<bool> {
        self.wait
    }

    fn verb(&self) -> String {
        self.verb_of_mode().into()
    }

    fn pace(&self) -> Pace {
        Pace::StartupOrder
    }

    fn begin(&self, pve: &Pve, guest: &Guest, preview: bool) -> Result<Begun> {
        begin_power(pve, guest, preview, |guest, state| self.plan(guest, state))
    }
}

impl RestartGuest {
    fn resets(&self) -> bool {
        self.mode == Some(RestartMode::Reset)
    }

    fn verb_of_mode(&self) -> &'static str {
        if self.resets() { "reset" } else { "reboot" }
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
        let verb = self.verb_of_mode();
        if self.resets() {
            return Ok(PowerChange::new(verb, Command::Reset, power).plan());
        }
        Ok(PowerChange::new(verb, Command::Reboot, Power::Running)
            .with(Params::new().opt("timeout", self.timeout_seconds))
            .plan())
    }
}
