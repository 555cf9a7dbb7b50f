//! `add_disk`: adds a new disk in a free slot.

use pve_api::slot::Bus;
use pve_api::{calls, hardware};
use schemars::JsonSchema;

use super::hardware::{free_slot, gibibytes, write};
use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::pve::{
    Content, Disk, Format, Guest, GuestConfig, GuestType, PendingConfig, Pve, Vmid, choose,
};
use crate::text;
use crate::tool::declared::{Calls, LOOK_UP};
use crate::tool::report::Report;
use crate::tool::{Reply, Run};

/// A new disk for a guest.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddDisk {
    vmid: Vmid,
    /// Such as 32G; rounded up to whole GiB.
    #[schemars(length(min = 2, max = 30))]
    size: String,
    /// Default: that of its first disk.
    storage: Option<String>,
    /// A free slot. Default: the next one of the first disk's bus.
    disk: Option<String>,
    /// Of a container: where it is mounted inside, such as /srv/data.
    mount_point: Option<String>,
}

impl Run for AddDisk {
    type Output = Report;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::Guest(&calls::guests::CONFIG),
        Calls::Guest(&calls::guests::PENDING),
        Calls::With(&calls::guests::SET_CONFIG.qemu, "scsi#|virtio#|sata#|ide#"),
        Calls::With(&calls::guests::SET_CONFIG.lxc, "mp#"),
        Calls::Guest(&calls::guests::STATUS),
        Calls::One(&calls::storage::LIST),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        let gib = gibibytes("size", &self.size)?;
        Format::Storage.check_opt("storage", self.storage.as_deref())?;
        let (guest, report) = Guest::with(pve, self.vmid, |guest| {
            self.check_kind(guest)?;
            let config = GuestConfig::read(pve, guest)?;
            let before = PendingConfig::read(pve, guest)?;
            guest.state(pve)?.unlocked(guest)?;
            let disks = config.disks();
            let first = first_disk(&config, &disks);
            let wanted = self
                .storage
                .as_deref()
                .or_else(|| first.and_then(|disk| disk.storage.as_deref()));
            let content = match guest.kind {
                GuestType::Qemu => Content::Images,
                GuestType::Lxc => Content::Rootdir,
            };
            let storage = choose(pve, &guest.node, content, wanted)?;
            let slot = self.slot(guest, &before, first)?;
            let value = self.value(guest, &config, &slot, &storage.storage, gib);
            let action = format!("add {slot} with {gib} GiB to {}", guest.label());
            let mut report = write(pve, guest, &before, (&slot, &value), action)?;
            if storage.avail.is_some_and(|avail| avail.0 >> 30 < gib) {
                report = report.warn(format!(
                    "storage {} has less than {gib} GiB free: the disk may grow beyond it",
                    storage.storage
                ));
            }
            Ok(report)
        })?;
        let volid = report.changes.first().and_then(|change| change.to.clone());
        let mut report = report.on(&guest);
        report.volid = volid.map(|text| Disk::parse("", &text).volid);
        Ok(Reply::report(match report.next_step {
            Some(_) => report,
            None if guest.kind == GuestType::Qemu => {
                report.next("inside the guest, partition and format it, and mount it")
            }
            None => report,
        }))
    }
}

impl AddDisk {
    fn check_kind(&self, guest: &Guest) -> Result<()> {
        match (guest.kind, self.mount_point.as_deref()) {
            (GuestType::Qemu, Some(_)) => Err(Error::argument(
                "mount_point",
                "must be left out for a VM, which mounts its disks itself",
            )),
            (GuestType::Lxc, None) => Err(Error::argument(
                "mount_point",
                "must be given for a container: where the volume is mounted inside, such as \
                 /srv/data",
            )),
            (GuestType::Lxc, Some(path)) if !hardware::is_mount_path(path) => Err(Error::argument(
                "mount_point",
                format!(
                    "must be a path of letters, digits, -, _ and ., such as /srv/data, and not a \
                     directory of the system, which the volume would hide; not {}",
                    text::quoted(path)
                ),
            )),
            _ => Ok(()),
        }
    }

    /// The slot, which must be free.
    fn slot(&self, guest: &Guest, before: &PendingConfig, first: Option<&Disk>) -> Result<String> {
        let Some(slot) = &self.disk else {
            let bus = first.and_then(Disk::bus).unwrap_or(Bus::Scsi);
            let (bus, other) = match guest.kind {
                GuestType::Qemu => (bus, Some(Bus::Scsi)),
                GuestType::Lxc => (Bus::MountPoint, None),
            };
            let slots = bus.slots().chain(other.into_iter().flat_map(Bus::slots));
            return free_slot(before, slots)
                .ok_or_else(|| Error::Conflict(format!("{} has no free slot", guest.label())));
        };
        let fits = Bus::of(slot).is_some_and(|bus| match guest.kind {
            GuestType::Qemu => bus.is_of_drives(),
            GuestType::Lxc => bus == Bus::MountPoint,
        });
        if !fits {
            return Err(Error::argument(
                "disk",
                "must be a slot such as scsi1, virtio1, sata1 or, of a container, mp1",
            ));
        }
        if before.iter().any(|setting| setting.key == *slot) {
            return Err(Error::Conflict(format!(
                "{slot} of {} is in use, and a new disk would push out what is there: choose \
                 another slot, or leave disk out",
                guest.label()
            )));
        }
        Ok(slot.clone())
    }

    fn value(
        &self,
        guest: &Guest,
        config: &GuestConfig,
        slot: &str,
        storage: &str,
        gib: u64,
    ) -> String {
        if guest.kind == GuestType::Lxc {
            let path = self.mount_point.as_deref().unwrap_or_default();
            return format!("{storage}:{gib},mp={path},backup=1");
        }
        let bus = Bus::of(slot);
        let (is_scsi, is_virtio) = (bus == Some(Bus::Scsi), bus == Some(Bus::Virtio));
        let has_thread = is_scsi && config.get("scsihw") == Some("virtio-scsi-single") || is_virtio;
        let mut value = format!("{storage}:{gib}");
        if is_scsi || is_virtio {
            value.push_str(",discard=on");
        }
        if has_thread {
            value.push_str(",iothread=1");
        }
        value
    }
}

/// The disk that the guest starts from, or else its first.
fn first_disk<'a>(config: &GuestConfig, disks: &'a [Disk]) -> Option<&'a Disk> {
    let order = config
        .get("boot")
        .and_then(|boot| boot.strip_prefix("order="));
    let is_disk = |disk: &&Disk| !disk.cdrom && disk.holds_data() && disk.storage.is_some();
    let booted = order
        .into_iter()
        .flat_map(|order| order.split(';'))
        .find_map(|device| disks.iter().filter(is_disk).find(|disk| disk.id == device));
    booted.or_else(|| disks.iter().find(is_disk))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn guest(kind: &str) -> Guest {
        serde_json::from_value(json!({"vmid": 100, "type": kind, "node": "pve1",
            "status": "stopped"}))
        .unwrap()
    }

    fn add(arguments: serde_json::Value) -> AddDisk {
        serde_json::from_value(arguments).unwrap()
    }

    #[test]
    fn a_disk_is_like_the_first_one() {
        let add = add(json!({"vmid": 100, "size": "8G"}));
        let config = GuestConfig::sample(
            GuestType::Qemu,
            json!({"scsihw": "virtio-scsi-single", "boot": "order=ide2;virtio0",
                "ide2": "none,media=cdrom", "scsi0": "local:vm-100-disk-1",
                "virtio0": "tank:vm-100-disk-0", "efidisk0": "local:vm-100-disk-2"}),
        );
        let disks = config.disks();
        let first = first_disk(&config, &disks);
        assert_eq!(first.map(|disk| disk.id.as_str()), Some("virtio0"));
        let before = PendingConfig::from(&config);
        let vm = guest("qemu");
        assert_eq!(add.slot(&vm, &before, first).unwrap(), "virtio1");
        assert_eq!(
            add.value(&vm, &config, "virtio1", "tank", 8),
            "tank:8,discard=on,iothread=1"
        );
        assert_eq!(add.value(&vm, &config, "sata0", "tank", 8), "tank:8");
    }

    #[test]
    fn a_slot_in_use_is_refused() {
        let config = GuestConfig::sample(
            GuestType::Qemu,
            json!({"scsi1": "local:vm-100-disk-1", "digest": "ab"}),
        );
        let before = PendingConfig::from(&config);
        for (slot, says) in [
            ("scsi1", "is in use"),
            ("unused0", "must be a slot"),
            ("efidisk0", "must be a slot"),
            ("mp0", "must be a slot"),
        ] {
            let add = add(json!({"vmid": 100, "size": "8G", "disk": slot}));
            let message = add
                .slot(&guest("qemu"), &before, None)
                .unwrap_err()
                .message();
            assert!(message.contains(says), "{slot}: {message}");
        }
        let ct = guest("lxc");
        assert!(
            add(json!({"vmid": 100, "size": "8G"}))
                .check_kind(&ct)
                .is_err()
        );
        let mount = add(json!({"vmid": 100, "size": "8G", "mount_point": "/srv/data"}));
        assert!(mount.check_kind(&ct).is_ok());
        assert!(mount.check_kind(&guest("qemu")).is_err());
        assert_eq!(
            mount.value(&ct, &config, "mp0", "local", 8),
            "local:8,mp=/srv/data,backup=1"
        );
    }
}
