//! `create_snapshot`: takes a snapshot.

use pve_api::calls;
use schemars::JsonSchema;
use serde::Deserialize;

use super::snapshot::{Snapshots, check_name};
use crate::error::{Error, Result};
use crate::pve::{Guest, GuestType, Params, Pve, Started, Vmid};
use crate::tool::declared::{Calls, FOLLOW_TASK, LOOK_UP};
use crate::tool::report::Report;
use crate::tool::{Reply, Run};
use crate::tool_names;

/// Takes a snapshot.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateSnapshot {
    vmid: Vmid,
    /// A letter, then letters, digits, - and _: before_upgrade.
    #[schemars(length(min = 2, max = 40))]
    snapshot: String,
    /// What it is for.
    #[schemars(length(max = 8192))]
    description: Option<String>,
    /// Save the RAM too; running VMs only. Default false.
    with_ram: Option<bool>,
    /// False: do not follow the task.
    wait: Option<bool>,
}

impl Run for CreateSnapshot {
    type Output = Report;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::All(FOLLOW_TASK),
        Calls::Guest(&calls::guests::STATUS),
        Calls::Guest(&calls::snapshots::CREATE),
        Calls::Guest(&calls::snapshots::LIST),
    ];
    const OTHER_NAMES: &'static [(&'static str, &'static str)] = &[
        ("name", "snapshot"),
        ("snapname", "snapshot"),
        ("ram", "with_ram"),
        ("vmstate", "with_ram"),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        check_new_name(&self.snapshot)?;
        let ram = self.with_ram == Some(true);
        let (guest, started) = Guest::with(pve, self.vmid, |guest| {
            check_kind(guest, &self.snapshot, ram)?;
            let snapshots = Snapshots::read(pve, guest)?;
            if let Some(taken) = snapshots.get(&self.snapshot) {
                return Err(taken.is_taken(guest));
            }
            let state = guest.state(pve)?;
            state.unlocked(guest)?;
            if state.template.0 {
                return Err(Error::Conflict(format!(
                    "{} is a template, which cannot have snapshots: create a guest from it with {}",
                    guest.label(),
                    tool_names::CLONE_GUEST
                )));
            }
            if ram && !state.is_running() {
                return Err(Error::Conflict(format!(
                    "{} is not running, so there is no RAM to save: leave with_ram out, or start it \
                     first with {}",
                    guest.label(),
                    tool_names::START_GUEST
                )));
            }
            let params = Params::new()
                .set("snapname", &self.snapshot)
                .opt("description", self.description.as_deref())
                .opt_flag("vmstate", ram.then_some(true));
            Ok(pve.send::<Started>(&guest.request(&calls::snapshots::CREATE), &params)?)
        })?;
        let with_ram = if ram { " with its RAM" } else { "" };
        Report::done(format!(
            "take snapshot {} of {}{with_ram}",
            self.snapshot,
            guest.label()
        ))
        .on(&guest)
        .snapshot(self.snapshot)
        .started(&started, self.wait)
    }
}

/// A new snapshot's name. Proxmox keeps some words for itself.
pub(super) fn check_new_name(name: &str) -> Result<()> {
    check_name(name)?;
    if ["current", "pending"].contains(&name.to_ascii_lowercase().as_str()) {
        return Err(Error::argument(
            "snapshot",
            "must not be current or pending, which Proxmox reserves",
        ));
    }
    Ok(())
}

/// What a container cannot have.
pub(super) fn check_kind(guest: &Guest, name: &str, ram: bool) -> Result<()> {
    if guest.kind != GuestType::Lxc {
        return Ok(());
    }
    if ram {
        return Err(Error::argument(
            "with_ram",
            format!(
                "must be left out: {} is a container, whose RAM cannot be saved",
                guest.label()
            ),
        ));
    }
    if name == "vzdump" {
        return Err(Error::argument(
            "snapshot",
            "must not be vzdump, which is reserved for backups of containers",
        ));
    }
    Ok(())
}
