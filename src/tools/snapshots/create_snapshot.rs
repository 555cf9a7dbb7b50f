//! `create_snapshot`: takes a snapshot.

use pve_api::calls;
use schemars::JsonSchema;

use super::snapshot::{Snapshots, check_name};
use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::pve::{Guest, GuestType, Params, Pve, Started, Vmid};
use crate::tool::bulk::{Begun, ChangeGuest, OnGuests, Pace, Selector, selector};
use crate::tool::declared::Calls;
use crate::tool::report::Report;
use crate::tool_names;

/// Takes a snapshot.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateSnapshot {
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

impl OnGuests for CreateSnapshot {
    const CALLS: &'static [Calls] = &[
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
}

impl ChangeGuest for CreateSnapshot {
    fn selector(&self) -> Selector<'_> {
        selector!(self)
    }

    fn check(&self) -> Result<()> {
        check_new_name(&self.snapshot)
    }

    fn wait(&self) -> Option<bool> {
        self.wait
    }

    fn verb(&self) -> String {
        format!("take snapshot {} of", self.snapshot)
    }

    fn pace(&self) -> Pace {
        Pace::Any
    }

    fn begin(&self, pve: &Pve, guest: &Guest, preview: bool) -> Result<Begun> {
        let ram = self.with_ram == Some(true);
        let with_ram = if ram { " with its RAM" } else { "" };
        let action = format!("{} {}{with_ram}", self.verb(), guest.label());
        let named = |report: Report| report.on(guest).snapshot(self.snapshot.as_str());
        check_kind(guest, &self.snapshot, ram)?;
        let snapshots = Snapshots::read(pve, guest)?;
        if let Some(taken) = snapshots.get(&self.snapshot) {
            if !self.selector().is_for_several() {
                return Err(taken.is_taken(guest));
            }
            // An earlier call with the same arguments may have taken it.
            let note = format!("it already has this snapshot{}", taken.when());
            let report = named(Report::unchanged(action)).warn(note);
            return Ok(Begun::Ended(report));
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
        if preview {
            return Ok(Begun::Ended(named(Report::preview(action))));
        }
        let params = Params::new()
            .set("snapname", &self.snapshot)
            .opt("description", self.description.as_deref())
            .opt_flag("vmstate", ram.then_some(true));
        let started: Started = pve.send(&guest.request(&calls::snapshots::CREATE), &params)?;
        Ok(Begun::Started(named(Report::done(action)), started, None))
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
