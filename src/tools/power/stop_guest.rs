//! `stop_guest`: shuts a guest down, or cuts its power.

use pve_api::calls;
use schemars::JsonSchema;
use serde::Deserialize;

use super::change::{Command, Plan, PowerChange, begin_power, is_mounted};
use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::pve::{Guest, GuestState, Params, Power, Pve, Vmid};
use crate::tool::bulk::{Begun, ChangeGuest, OnGuests, Pace, Selector, selector};
use crate::tool::declared::Calls;
use crate::tool_names;

/// Stops a guest.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StopGuest {
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
    /// shutdown (default): ask the guest to shut down. hard: cut its power; unsaved data is lost.
    mode: Option<StopMode>,
    /// How long the shutdown may take. Default 60.
    #[schemars(range(min = 1, max = 7200))]
    timeout_seconds: Option<u32>,
    /// True: cut the power if the shutdown takes longer.
    force_after_timeout: Option<bool>,
    /// False: do not follow the task.
    wait: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum StopMode {
    Shutdown,
    Hard,
}

impl OnGuests for StopGuest {
    const CALLS: &'static [Calls] = &[
        Calls::Guest(&calls::guests::STATUS),
        Calls::Guest(&calls::power::SHUTDOWN),
        Calls::Guest(&calls::power::STOP),
    ];
}

impl ChangeGuest for StopGuest {
    fn selector(&self) -> Selector<'_> {
        selector!(self)
    }

    fn check(&self) -> Result<()> {
        self.check_mode()
    }

    fn wait(&self) -> Option<bool> {
        self.wait
    }

    fn verb(&self) -> String {
        self.verb_of_mode().into()
    }

    fn pace(&self) -> Pace {
        Pace::ShutdownOrder
    }

    fn begin(&self, pve: &Pve, guest: &Guest, preview: bool) -> Result<Begun> {
        begin_power(pve, guest, preview, |guest, state| self.plan(guest, state))
    }
}

impl StopGuest {
    fn mode(&self) -> StopMode {
        self.mode.unwrap_or(StopMode::Shutdown)
    }

    fn verb_of_mode(&self) -> &'static str {
        match self.mode() {
            StopMode::Hard => "switch off",
            StopMode::Shutdown => "shut down",
        }
    }

    fn forces(&self) -> bool {
        self.force_after_timeout == Some(true)
    }

    pub(super) fn check_mode(&self) -> Result<()> {
        if self.mode() == StopMode::Shutdown {
            return Ok(());
        }
        let only_shutdown = "only works with mode shutdown: leave it out, or leave out mode";
        if self.timeout_seconds.is_some() {
            return Err(Error::argument("timeout_seconds", only_shutdown));
        }
        if self.forces() {
            return Err(Error::argument("force_after_timeout", only_shutdown));
        }
        Ok(())
    }

    pub(super) fn plan(&self, guest: &Guest, state: &GuestState) -> Result<Plan> {
        let hard = self.mode() == StopMode::Hard;
        let verb = self.verb_of_mode();
        let power = Power::of(state);
        if matches!(power, Power::Stopped | Power::OnDisk) {
            return Ok(Plan::Nothing(verb));
        }
        if !(hard && is_mounted(guest, state)) {
            state.unlocked(guest)?;
        }
        if power == Power::Paused && !hard && !self.forces() {
            return Err(Error::Conflict(format!(
                "{} is paused and cannot react to a shutdown: resume it with {} first, or use mode \
                 hard",
                guest.label(),
                tool_names::RESUME_GUEST
            )));
        }
        if hard {
            // A shutdown that hangs would hold the lock until its timeout.
            // The manager of high availability handles this itself.
            let overrule = (!state.is_ha_managed()).then_some(true);
            return Ok(PowerChange::new(verb, Command::Stop, Power::Stopped)
                .with(Params::new().opt_flag("overrule-shutdown", overrule))
                .plan());
        }
        let params = Params::new()
            .opt("timeout", self.timeout_seconds)
            .opt_flag("forceStop", self.forces().then_some(true));
        Ok(PowerChange {
            seconds: self.timeout_seconds,
            ..PowerChange::new(verb, Command::Shutdown, Power::Stopped).with(params)
        }
        .plan())
    }
}
