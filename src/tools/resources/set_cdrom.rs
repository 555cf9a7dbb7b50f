//! `set_cdrom`: inserts an ISO image into a VM's CD drive, or ejects it.

use pve_api::calls;
use pve_api::hardware::NewDrive;
use pve_api::slot::Bus;
use schemars::JsonSchema;

use super::hardware::{free_slot, readable, write};
use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::pve::{Disk, Guest, GuestConfig, GuestType, PendingConfig, Pve, Vmid};
use crate::tool::declared::{Calls, LOOK_UP};
use crate::tool::report::Report;
use crate::tool::{Reply, Run};
use crate::{text, tool_names};

/// What is in a VM's CD drive.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetCdrom {
    vmid: Vmid,
    /// ISO image to insert, such as local:iso/debian.iso.
    volid: Option<String>,
    /// True: eject instead.
    eject: Option<bool>,
    /// Slot of the drive, such as ide2. Default: the only one, or a new one.
    disk: Option<String>,
}

impl Run for SetCdrom {
    type Output = Report;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::Guest(&calls::guests::CONFIG),
        Calls::Guest(&calls::guests::PENDING),
        Calls::With(&calls::guests::SET_CONFIG.qemu, "cdrom"),
    ];
    const OTHER_NAMES: &'static [(&'static str, &'static str)] =
        &[("iso", "volid"), ("drive", "disk")];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        let value = self.value()?;
        let (_, report) = Guest::with(pve, self.vmid, |guest| {
            if guest.kind == GuestType::Lxc {
                return Err(Error::Conflict(format!(
                    "{} is a container, which has no CD drive",
                    guest.label()
                )));
            }
            let config = GuestConfig::read(pve, guest)?;
            let before = PendingConfig::read(pve, guest)?;
            let slot = self.slot(guest, &config.disks(), &before)?;
            let before = match before.is_unreadable(&slot) {
                true => readable(pve, guest, &slot)?,
                false => before,
            };
            let action = match &self.volid {
                Some(volid) => format!("insert {volid} into {slot} of {}", guest.label()),
                None => format!("eject the CD in {slot} of {}", guest.label()),
            };
            if self.volid.is_none() && before.wanted(&slot).is_none() {
                return Ok(Report::unchanged(action).on(guest));
            }
            // Proxmox adds the size of an image to its value.
            let has = before
                .wanted(&slot)
                .map(|value| Disk::parse(&slot, value).volid);
            if has.as_deref() == Some(self.volid.as_deref().unwrap_or("none")) {
                return Ok(Report::unchanged(action).on(guest));
            }
            let is_new = before.wanted(&slot).is_none();
            let report = write(pve, guest, &before, (&slot, &value), action)?;
            Ok(match is_new && report.next_step.is_none() {
                true => report.next(
                    "a new drive is the last to boot from: the web interface changes that (Options, \
                     Boot Order)",
                ),
                false => report,
            })
        })?;
        Ok(Reply::report(report))
    }
}

impl SetCdrom {
    /// The value to write.
    fn value(&self) -> Result<String> {
        match (&self.volid, self.eject == Some(true)) {
            (None, true) => Ok("none,media=cdrom".to_owned()),
            (Some(volid), false) => {
                let value = format!("{volid},media=cdrom");
                if matches!(NewDrive::parse(&value), Some(NewDrive::Cd(Some(_)))) {
                    return Ok(value);
                }
                Err(Error::argument(
                    "volid",
                    format!(
                        "must be an ISO image as {} lists it, such as local:iso/debian.iso, not {}",
                        tool_names::LIST_STORAGE_CONTENT,
                        text::quoted(volid)
                    ),
                ))
            }
            _ => Err(Error::argument(
                "volid",
                "must be given to insert an image, or eject set to true: one of the two",
            )),
        }
    }

    /// The drive's slot. The cloud-init drive is not one: Proxmox deletes its
    /// volume as soon as something else is in its place.
    fn slot(&self, guest: &Guest, disks: &[Disk], before: &PendingConfig) -> Result<String> {
        let drives: Vec<&Disk> = disks
            .iter()
            .filter(|disk| disk.cdrom && !disk.cloud_init)
            .collect();
        let known = match drives.as_slice() {
            [] => "it has no CD drive".to_owned(),
            drives => {
                let drives: Vec<String> = drives
                    .iter()
                    .map(|disk| format!("{} ({})", disk.id, disk.volid))
                    .collect();
                format!(
                    "its CD drives are {}",
                    text::names(drives.iter().map(String::as_str))
                )
            }
        };
        if let Some(wanted) = &self.disk {
            if drives.iter().any(|disk| disk.id == *wanted) {
                return Ok(wanted.clone());
            }
            let is_slot = Bus::of(wanted).is_some_and(Bus::has_cd);
            let is_free = before.iter().all(|setting| setting.key != *wanted);
            if is_slot && is_free && self.volid.is_some() {
                return Ok(wanted.clone());
            }
            let what = match disks.iter().find(|disk| disk.id == *wanted) {
                Some(disk) if disk.cloud_init => "is the cloud-init drive, which must stay",
                Some(_) => "is a disk",
                None => "is not a CD drive",
            };
            return Err(Error::argument(
                "disk",
                format!(
                    "must be a CD drive of {}: {wanted} {what}; {known}",
                    guest.label()
                ),
            ));
        }
        let is_loaded = |disk: &&&Disk| disk.storage.is_some();
        let mut loaded = drives.iter().filter(is_loaded);
        match (drives.as_slice(), loaded.next(), loaded.next()) {
            ([], ..) if self.volid.is_none() => Err(Error::Conflict(format!(
                "nothing to eject from {}: {known}",
                guest.label()
            ))),
            ([], ..) => free_slot(before, Bus::Ide.slots().chain(Bus::Sata.slots()))
                .map(|first| {
                    // Where people and Proxmox look for it.
                    let free = before.iter().all(|setting| setting.key != "ide2");
                    if free { "ide2".to_owned() } else { first }
                })
                .ok_or_else(|| {
                    Error::Conflict(format!("{} has no free slot for a CD drive", guest.label()))
                }),
            ([only], ..) => Ok(only.id.clone()),
            (_, Some(only), None) if self.volid.is_none() => Ok(only.id.clone()),
            (drives, ..)
                if self.volid.is_some() && drives.iter().any(|disk| disk.storage.is_none()) =>
            {
                let empty = drives.iter().find(|disk| disk.storage.is_none());
                Ok(empty.map_or_else(String::new, |disk| disk.id.clone()))
            }
            _ => Err(Error::argument(
                "disk",
                format!("must be given because the VM has several CD drives: {known}"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn slot(arguments: Value, config: Value) -> Result<String, String> {
        let guest: Guest = serde_json::from_value(json!({"vmid": 100, "type": "qemu",
            "node": "pve1", "status": "running"}))
        .unwrap();
        let tool: SetCdrom = serde_json::from_value(arguments).unwrap();
        let config = GuestConfig::sample(GuestType::Qemu, config);
        tool.slot(&guest, &config.disks(), &PendingConfig::from(&config))
            .map_err(|error| error.message())
    }

    #[test]
    fn the_drive_is_found() {
        let iso = json!({"vmid": 100, "volid": "local:iso/a.iso"});
        let eject = json!({"vmid": 100, "eject": true});
        let cloud = "local:vm-100-cloudinit,media=cdrom";
        let two = json!({"ide0": "none,media=cdrom", "ide3": "local:iso/b.iso,media=cdrom",
            "ide2": cloud});
        assert_eq!(slot(iso.clone(), json!({})).unwrap(), "ide2");
        assert_eq!(slot(iso.clone(), json!({"ide2": cloud})).unwrap(), "ide0");
        assert_eq!(slot(iso, two.clone()).unwrap(), "ide0");
        assert_eq!(slot(eject.clone(), two.clone()).unwrap(), "ide3");
        assert!(
            slot(eject, json!({"ide2": cloud}))
                .unwrap_err()
                .contains("nothing to eject")
        );
        for (disk, says) in [
            ("ide2", "cloud-init drive"),
            ("scsi0", "is a disk"),
            ("net0", "not a CD"),
        ] {
            let arguments = json!({"vmid": 100, "volid": "local:iso/a.iso", "disk": disk});
            let config = json!({"ide2": cloud, "scsi0": "local:vm-100-disk-0"});
            let message = slot(arguments, config).unwrap_err();
            assert!(message.contains(says), "{disk}: {message}");
        }
    }

    #[test]
    fn one_of_the_two_is_given() {
        let value = |arguments: Value| {
            serde_json::from_value::<SetCdrom>(arguments)
                .unwrap()
                .value()
        };
        assert_eq!(
            value(json!({"vmid": 100, "eject": true})).unwrap(),
            "none,media=cdrom"
        );
        assert_eq!(
            value(json!({"vmid": 100, "volid": "nas:iso/a.iso"})).unwrap(),
            "nas:iso/a.iso,media=cdrom"
        );
        for wrong in [
            json!({"vmid": 100}),
            json!({"vmid": 100, "eject": true, "volid": "nas:iso/a.iso"}),
            json!({"vmid": 100, "volid": "nas:vm-100-disk-0"}),
            json!({"vmid": 100, "volid": "/dev/sr0"}),
            json!({"vmid": 100, "volid": "nas:iso/a.iso,media=disk"}),
        ] {
            assert!(value(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
