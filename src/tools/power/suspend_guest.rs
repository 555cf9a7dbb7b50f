//! `suspend_guest`: pauses a VM, or saves its memory to disk and stops it.

use pve_api::calls;
use schemars::JsonSchema;

use super::change::{Command, Plan, PowerChange, begin_power, halted};
use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::pve::{Guest, GuestState, GuestType, Params, Power, Pve, Vmid};
use crate::tool::bulk::{Begun, ChangeGuest, OnGuests, Pace, Selector, selector};
use crate::tool::declared::Calls;
use crate::tool_names;

/// Suspends a running guest.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SuspendGuest {
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
    /// True: save a VM's memory to disk and stop it. Default: pause it, memory kept.
    to_disk: Option<bool>,
    /// Where to_disk saves; default: the storage of the VM's disks.
    #[schemars(length(min = 1))]
    state_storage: Option<String>,
    /// False: do not follow the task.
    wait: Option<bool>,
}

impl OnGuests for SuspendGuest {
    const CALLS: &'static [Calls] = &[
        Calls::Guest(&calls::guests::STATUS),
        Calls::Guest(&calls::power::SUSPEND),
    ];
}

impl ChangeGuest for SuspendGuest {
    fn selector(&self) -> Selector<'_> {
        selector!(self)
    }

    fn check(&self) -> Result<()> {
        if self.state_storage.is_some() && !self.saves() {
            return Err(Error::argument(
                "state_storage",
                "only works with to_disk true",
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
        Pace::ShutdownOrder
    }

    fn begin(&self, pve: &Pve, guest: &Guest, preview: bool) -> Result<Begun> {
        begin_power(pve, guest, preview, |guest, state| self.plan(guest, state))
    }
}

impl SuspendGuest {
    fn saves(&self) -> bool {
        self.to_disk == Some(true)
    }

    fn verb_of_mode(&self) -> &'static str {
        if self.saves() {
            "suspend to disk"
        } else {
            "pause"
        }
    }

    pub(super) fn plan(&self, guest: &Guest, state: &GuestState) -> Result<Plan> {
        if self.saves() && guest.kind == GuestType::Lxc {
            return Err(Error::argument(
                "to_disk",
                "works for VMs only, and this is a container: leave it out",
            ));
        }
        let verb = self.verb_of_mode();
        match Power::of(state) {
            Power::OnDisk => return Ok(Plan::Nothing(verb)),
            Power::Paused if !self.saves() => return Ok(Plan::Nothing(verb)),
            Power::Stopped => {
                return Err(Error::Conflict(format!(
                    "{} is stopped, so there is nothing to suspend: start it with {} first",
                    guest.label(),
                    tool_names::START_GUEST
                )));
            }
            Power::Halted => return Err(halted(guest, state)),
            Power::Running | Power::Paused | Power::Prepared | Power::Unknown => {
                state.unlocked(guest)?;
            }
        }
        if guest.kind == GuestType::Lxc {
            return Ok(PowerChange::new("suspend", Command::Suspend, Power::OnDisk)
                .warn("containers are suspended by CRIU, which Proxmox calls experimental")
                .plan());
        }
        if !self.saves() {
            return Ok(PowerChange::new(verb, Command::Suspend, Power::Paused).plan());
        }
        let params = Params::new()
            .flag("todisk", true)
            .opt("statestorage", self.state_storage.as_deref());
        Ok(PowerChange::new(verb, Command::Suspend, Power::OnDisk)
            .with(params)
            .plan())
    }
}
