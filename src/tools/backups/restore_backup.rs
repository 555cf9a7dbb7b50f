//! `restore_backup`: restores a backup as a new guest, never over an existing one.

use pve_api::{calls, owner_of};
use schemars::JsonSchema;

use super::volume::{able, kind_of, vmid_of};
use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::order;
use crate::pve::{
    At, Content, Failure, Format, Guest, GuestType, NotMade, Params, Pve, Started, StorageResource,
    Vmid, Volume, check_node, check_node_name, choose, guests, storage_resources, volumes,
    with_free_vmid,
};
use crate::tool::declared::{Calls, FOLLOW_TASK, LOOK_UP};
use crate::tool::report::Report;
use crate::tool::{Reply, Run};
use crate::{text, tool_names};

/// Restores a backup as a new guest.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RestoreBackup {
    /// The backup, as list_backups returns it.
    #[schemars(length(min = 3, max = 255))]
    pub(super) volid: String,
    /// Default: the next free one.
    pub(super) new_vmid: Option<Vmid>,
    /// For its disks. Default: a VM's original ones, or the only one for containers.
    pub(super) storage: Option<String>,
    /// Default: a node that reaches the backup, preferably the original
    /// guest's.
    pub(super) node: Option<String>,
    /// A new name.
    pub(super) name: Option<String>,
    /// Keep the MAC addresses. Default false: new ones, so that it can run next
    /// to the original.
    pub(super) keep_macs: Option<bool>,
    /// False: do not follow the task.
    pub(super) wait: Option<bool>,
}

impl Run for RestoreBackup {
    type Output = Report;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::All(FOLLOW_TASK),
        Calls::With(&calls::backup::RESTORE.qemu, "archive"),
        Calls::With(&calls::backup::RESTORE.lxc, "restore"),
        Calls::One(&calls::cluster::NEXT_ID),
        Calls::Guest(&calls::guests::STATUS),
        Calls::One(&calls::nodes::LIST),
        Calls::One(&calls::storage::CONTENT),
        Calls::One(&calls::storage::LIST),
    ];
    const OTHER_NAMES: &'static [(&'static str, &'static str)] = &[
        ("archive", "volid"),
        ("vmid", "new_vmid"),
        ("newid", "new_vmid"),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        let storage = self.check()?;
        if let Some(node) = &self.node {
            check_node(pve, "node", node)?;
        }
        let storages = storage_resources(pve)?;
        let all = guests(pve)?;
        if let Some(taken) = all.iter().find(|guest| Some(guest.vmid) == self.new_vmid) {
            return Err(Error::Conflict(format!(
                "new_vmid {} is taken by {}, and a restore only ever makes a new guest: choose another, \
                 or leave it out for the next free one",
                taken.vmid,
                taken.label()
            )));
        }
        let (node, volume) = self.locate(pve, &storages, &all, storage)?;
        let Some(kind) = kind_of(&volume) else {
            return Err(Error::Conflict(format!(
                "{} is not a backup of a VM or container: neither its format nor its name says \
                 which it is",
                self.volid
            )));
        };
        let target = match kind {
            GuestType::Qemu if self.storage.is_none() => None,
            // For a container, Proxmox would use `local` by default, suitable or not.
            _ => Some(choose(
                pve,
                &node,
                Content::of_disks(kind),
                self.storage.as_deref(),
            )?),
        };
        let target = target.as_ref().map(|storage| storage.storage.as_str());
        let (vmid, started) = self.start(pve, &node, kind, target)?;
        self.report(&node, kind, &volume, vmid, &all)
            .started(&started, self.wait)
    }
}

impl RestoreBackup {
    /// Checks what needs no request, and returns the backup's storage.
    pub(super) fn check(&self) -> Result<&str> {
        let wrong = || {
            Error::argument(
                "volid",
                format!(
                    "must be a backup's volid as {} lists it, such as \
                     local:backup/vzdump-qemu-100-2026_11_22-08_00_00.vma.zst",
                    tool_names::LIST_BACKUPS
                ),
            )
        };
        let Some((storage, path)) = self.volid.split_once(':') else {
            return Err(wrong());
        };
        let plain = !path.is_empty()
            && !path.contains(char::is_whitespace)
            && !path.contains(char::is_control)
            && !path.split('/').any(|part| part == "..");
        if !Format::Storage.fits(storage) || !plain {
            return Err(wrong());
        }
        Format::Storage.check_opt("storage", self.storage.as_deref())?;
        check_node_name("node", self.node.as_deref())?;
        Format::DnsName.check_opt("name", self.name.as_deref())?;
        Ok(storage)
    }

    /// The node that restores it, and the volume as that node sees it.
    fn locate(
        &self,
        pve: &Pve,
        storages: &[StorageResource],
        all: &[Guest],
        storage: &str,
    ) -> Result<(String, Volume)> {
        let (candidates, away) = self.candidates(storages, all, storage)?;
        let mut failed = None;
        let mut unfinished = None;
        for resource in &candidates {
            match volumes(pve, &resource.node, storage, Some(Content::Backup), None) {
                Ok(volumes) => {
                    let mut volumes = volumes.into_iter();
                    match volumes.find(|volume| volume.volid == self.volid) {
                        // Another node may have a whole one of this name.
                        Some(volume) if volume.is_unfinished() => {
                            unfinished.get_or_insert(resource.node.as_str());
                        }
                        Some(volume) => return Ok((resource.node.clone(), volume)),
                        None => {}
                    }
                    if resource.shared.0 {
                        break;
                    }
                }
                // Another node may have it.
                Err(failure) => failed = Some(failure),
            }
        }
        if let Some(node) = unfinished {
            return Err(self.unfinished(node));
        }
        if let Some(failure) = failed {
            return Err(failure.into());
        }
        Err(self.missing(&candidates, &away))
    }

    /// The storages that may have the backup, the original guest's node first, and
    /// the names of the offline nodes that may have it too.
    fn candidates<'a>(
        &self,
        storages: &'a [StorageResource],
        all: &[Guest],
        storage: &str,
    ) -> Result<(Vec<&'a StorageResource>, String)> {
        let mut candidates = able(storages, storage)?;
        if let Some(node) = &self.node {
            let known = text::distinct(candidates.iter().map(|resource| resource.node.as_str()));
            candidates.retain(|resource| resource.node == *node);
            if candidates.is_empty() {
                return Err(Error::NotFound(format!(
                    "node {node} has no storage {storage} with backups: {known} have it"
                )));
            }
        }
        let (mut candidates, away): (Vec<&StorageResource>, Vec<&StorageResource>) = candidates
            .into_iter()
            .partition(|resource| !resource.is_offline());
        let away = text::distinct(away.iter().map(|resource| resource.node.as_str()));
        if candidates.is_empty() {
            return Err(Error::Unreachable(format!(
                "storage {storage} is not available now on {away}: look at the storage and its node"
            )));
        }
        let original = owner_of(&self.volid)
            .and_then(|vmid| all.iter().find(|guest| guest.vmid == vmid))
            .map(|guest| guest.node.as_str());
        order::by_key(&mut candidates, |resource| {
            original != Some(resource.node.as_str())
        });
        Ok((candidates, away))
    }

    fn unfinished(&self, node: &str) -> Error {
        Error::Conflict(format!(
            "backup {} on {node} is unfinished: it is still running or was interrupted, and a \
             restore of it would lack data; nothing was restored: wait for its task ({}), or \
             choose another backup ({})",
            self.volid,
            tool_names::LIST_TASKS,
            tool_names::LIST_BACKUPS
        ))
    }

    fn missing(&self, candidates: &[&StorageResource], away: &str) -> Error {
        let away = if away.is_empty() {
            String::new()
        } else {
            format!(" (on {away} the storage is not available now)")
        };
        Error::NotFound(format!(
            "there is no backup {} on {}{away}: {} lists the backups",
            self.volid,
            text::distinct(candidates.iter().map(|resource| resource.node.as_str())),
            tool_names::LIST_BACKUPS
        ))
    }

    /// Sends the request.
    fn start(
        &self,
        pve: &Pve,
        node: &str,
        kind: GuestType,
        target: Option<&str>,
    ) -> Result<(Vmid, Started)> {
        let request = calls::backup::RESTORE.of(kind).at([node]);
        with_free_vmid(pve, self.new_vmid, |vmid| {
            match pve.send(&request, &self.params(kind, vmid, target)) {
                Err(Failure::Api(error)) if error.says("already exists") => Err(NotMade::Taken),
                started => Ok(started?),
            }
        })
    }

    /// `force`, which would overwrite a guest, is not among them.
    pub(super) fn params(&self, kind: GuestType, vmid: Vmid, target: Option<&str>) -> Params {
        let params = Params::new().set("vmid", vmid);
        let params = match kind {
            GuestType::Qemu => params
                .set("archive", &self.volid)
                .opt("name", self.name.as_deref()),
            GuestType::Lxc => params
                .set("ostemplate", &self.volid)
                .flag("restore", true)
                .opt("hostname", self.name.as_deref()),
        };
        params
            .opt("storage", target)
            .flag("unique", self.keep_macs != Some(true))
    }

    fn report(
        &self,
        node: &str,
        kind: GuestType,
        volume: &Volume,
        vmid: Vmid,
        all: &[Guest],
    ) -> Report {
        let action = format!("restore {} as {} guest {vmid}", self.volid, kind.as_str());
        let mut report = Report::done(action);
        report.vmid = Some(vmid);
        report.node = Some(node.to_owned());
        let original = vmid_of(volume);
        if let Some(original) = all.iter().find(|guest| Some(guest.vmid) == original) {
            let macs = if self.keep_macs == Some(true) {
                ", its MAC addresses"
            } else {
                ""
            };
            report = report.warn(format!(
                "{} still exists: the restored one may have its fixed addresses{macs} and host name; \
                 change them before both run",
                original.label()
            ));
        }
        report.next(format!("{} starts it", tool_names::START_GUEST))
    }
}
