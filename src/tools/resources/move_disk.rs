//! `move_disk`: copies a guest's disk to another storage and uses the copy.

use pve_api::calls;
use pve_api::slot::Bus;
use schemars::JsonSchema;

use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::pve::{
    Content, Disk, Format, Guest, GuestConfig, GuestType, Params, Pve, Started, Vmid, choose,
};
use crate::tool::declared::{Calls, FOLLOW_TASK, LOOK_UP};
use crate::tool::report::Report;
use crate::tool::{Reply, Run};
use crate::{text, tool_names};

/// Moves a disk to another storage.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MoveDisk {
    vmid: Vmid,
    /// scsi0, virtio0, rootfs, mp0, …
    #[schemars(length(min = 1, max = 20))]
    disk: String,
    /// Where it goes.
    storage: String,
    /// False: do not follow the task.
    wait: Option<bool>,
}

impl Run for MoveDisk {
    type Output = Report;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::All(FOLLOW_TASK),
        Calls::Guest(&calls::guests::CONFIG),
        Calls::One(&calls::guests::MOVE_DISK),
        Calls::One(&calls::guests::MOVE_VOLUME),
        Calls::Guest(&calls::guests::STATUS),
        Calls::One(&calls::storage::LIST),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        Format::Storage.check("storage", &self.storage)?;
        let (guest, (disk, unused, started, warning, has_snapshots)) = Guest::with(
            pve,
            self.vmid,
            |guest| {
                let config = GuestConfig::read(pve, guest)?;
                let disk = self.disk(guest, &config)?;
                let state = guest.state(pve)?;
                state.unlocked(guest)?;
                if guest.kind == GuestType::Lxc && state.is_running() {
                    return Err(Error::Conflict(format!(
                        "{} is running, and volumes of a running container cannot be moved: stop it \
                     with {} first",
                        guest.label(),
                        tool_names::STOP_GUEST
                    )));
                }
                let content = match guest.kind {
                    GuestType::Qemu => Content::Images,
                    GuestType::Lxc => Content::Rootdir,
                };
                let target = choose(pve, &guest.node, content, Some(&self.storage))?;
                if disk.bus() == Some(Bus::Tpm) && state.is_running() {
                    return Err(Error::Conflict(format!(
                        "{} is running, and the state of a TPM moves only while it is stopped: {} stops \
                     it",
                        guest.label(),
                        tool_names::STOP_GUEST
                    )));
                }
                let warning = target.check_room(disk.size_bytes.unwrap_or_default())?;
                let has_snapshots = config.get("parent").is_some();
                let unused = Bus::Unused
                    .slots()
                    .find(|slot| config.get(slot).is_none())
                    .unwrap_or_else(|| "unused".to_owned());
                let (call, slot) = match guest.kind {
                    GuestType::Qemu => (&calls::guests::MOVE_DISK, "disk"),
                    GuestType::Lxc => (&calls::guests::MOVE_VOLUME, "volume"),
                };
                let form = Params::new()
                    .set(slot, &disk.id)
                    .set("storage", &self.storage)
                    .opt("digest", config.digest());
                let started = pve.send::<Started>(&guest.request(call), &form)?;
                Ok((disk, unused, started, warning, has_snapshots))
            },
        )?;
        let from = disk.storage.clone();
        let kept_by = match has_snapshots {
            true => "its snapshots still use it: do not remove it before them",
            false => {
                "when nothing needs it any more, remove it in the web interface (Hardware or \
                 Resources)"
            }
        };
        let mut report = Report::done(format!(
            "move {} of {} to {}",
            disk.id,
            guest.label(),
            self.storage
        ))
        .on(&guest)
        .change(disk.id.clone(), from, Some(self.storage.clone()))
        .next(format!(
            "the old volume {} stays, as {unused} of the guest; {kept_by}",
            disk.volid
        ));
        if let Some(warning) = warning {
            report = report.warn(warning);
        }
        report.started(&started, self.wait)
    }
}

impl MoveDisk {
    /// The disk meant, where it is one that can be moved.
    fn disk(&self, guest: &Guest, config: &GuestConfig) -> Result<Disk> {
        let moves = |disk: &Disk| !disk.cdrom && !disk.is_unused() && disk.storage.is_some();
        let disks = config.disks();
        let known: Vec<&str> = disks
            .iter()
            .filter(|disk| moves(disk))
            .map(|disk| disk.id.as_str())
            .collect();
        let known = match known.as_slice() {
            [] => "none".to_owned(),
            known => text::names(known.iter().copied()),
        };
        let Some(disk) = disks
            .into_iter()
            .find(|disk| disk.id == self.disk)
            .filter(moves)
        else {
            return Err(Error::argument(
                "disk",
                format!(
                    "must be a disk in use of {} that is on a storage; these are: {known}",
                    guest.label()
                ),
            ));
        };
        if disk.storage.as_deref() == Some(self.storage.as_str()) {
            return Err(Error::argument(
                "storage",
                format!(
                    "must be another one: {} is on {} already",
                    disk.id, self.storage
                ),
            ));
        }
        Ok(disk)
    }
}
