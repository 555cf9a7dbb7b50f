//! `stop_guest`: shuts a guest down, or cuts its power.

use pve_api::calls;
use schemars::JsonSchema;
use serde::Deserialize;

use super::change::{Command, Plan, PowerChange, change_power, is_mounted};
use crate::error::{Error, Result};
use crate::pve::{Guest, GuestState, Params, Power, Pve, Vmid};
use crate::tool::declared::{Calls, FOLLOW_TASK, LOOK_UP};
use crate::tool::report::Report;
use crate::tool::{Reply, Run};
use crate::tool_names;

/// Stops a guest.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StopGuest {
    vmid: Vmid,
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

impl Run for StopGuest {
    type Output = Report;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::All(FOLLOW_TASK),
        Calls::Guest(&calls::guests::STATUS),
        Calls::Guest(&calls::power::SHUTDOWN),
        Calls::Guest(&calls::power::STOP),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        self.check()?;
        change_power(pve, self.vmid, self.wait, |guest, state| {
            self.plan(guest, state)
        })
    }
}

impl StopGuest {
    fn mode(&self) -> StopMode {
        self.mode.unwrap_or(StopMode::Shutdown)
    }

    fn forces(&self) -> bool {
        self.force_after_timeout == Some(true)
    }

    pub(super) fn check(&self) -> Result<()> {
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
        let verb = if hard { "switch off" } else { "shut down" };
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
