//! The cloud-init drive of a VM, and settings that are not on it yet.

use pve_api::calls;
use schemars::JsonSchema;
use serde::de::IgnoredAny;

use super::keys;
use crate::error::{Error, Result};
use crate::json::SerializeFields;
use crate::pve::{
    Content, Failure, Guest, GuestConfig, GuestType, Params, PendingChange, PendingConfig, Pve,
    choose,
};
use crate::tool::report::Change;
use crate::tool::secret::HIDDEN;

pub(super) fn no_container(guest: &Guest) -> Result<()> {
    if guest.kind != GuestType::Lxc {
        return Ok(());
    }
    Err(Error::Conflict(format!(
        "{} is a container, which has no cloud-init: its SSH keys and password can be set only \
         when it is created, its addresses are settings of its network cards",
        guest.label()
    )))
}

#[derive(Debug, PartialEq, SerializeFields, JsonSchema)]
pub(super) struct Pending {
    setting: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_drive: Option<String>,
    /// Absent where it was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    wanted: Option<String>,
}

/// Settings that are not on the drive yet.
pub(super) fn pending(pve: &Pve, guest: &Guest) -> Result<Vec<Pending>, Failure> {
    let config = PendingConfig::of_cloud_init(pve, guest)?;
    Ok(pending_of(&config))
}

pub(super) fn pending_of(config: &PendingConfig) -> Vec<Pending> {
    config
        .changes()
        .map(|(setting, change)| {
            let show = |value: &str| match setting.key.as_str() {
                "cipassword" => HIDDEN.to_owned(),
                "sshkeys" => key_names(value),
                _ => value.to_owned(),
            };
            Pending {
                setting: setting.key.clone(),
                on_drive: setting.value.as_deref().map(show),
                wanted: match change {
                    PendingChange::Set(value) => Some(show(value)),
                    PendingChange::Remove => None,
                },
            }
        })
        .collect()
}

/// The key of the cloud-init drive.
pub(super) fn drive(config: &GuestConfig) -> Option<String> {
    config
        .disks()
        .into_iter()
        .find(|disk| disk.cloud_init)
        .map(|disk| disk.id)
}

/// Adds a cloud-init drive in a free slot. Returns the change.
pub(super) fn add_drive(pve: &Pve, guest: &Guest, storage: &str) -> Result<Change> {
    let storage = choose(pve, &guest.node, Content::Images, Some(storage))?.storage;
    let before = PendingConfig::read(pve, guest)?;
    let is_free = |slot: &&str| before.iter().all(|setting| setting.key != *slot);
    // Kernels of small cloud images have a driver for VirtIO alone.
    let has_virtio = before
        .wanted("scsihw")
        .is_some_and(|controller| controller.starts_with("virtio"));
    let slots: &[&str] = match has_virtio {
        true => &["scsi1", "scsi2", "scsi3", "scsi30", "ide2", "ide0"],
        false => &["ide2", "ide0", "ide1", "ide3"],
    };
    let Some(slot) = slots.iter().copied().find(is_free) else {
        return Err(Error::Conflict(format!(
            "{} has no free slot for a cloud-init drive",
            guest.label()
        )));
    };
    let form = Params::new()
        .set(slot, format!("{storage}:cloudinit"))
        .opt("digest", before.digest());
    pve.send::<IgnoredAny>(&guest.request(&calls::guests::SET_CONFIG), &form)
        .map_err(|failure| Error::from(failure).context("no cloud-init drive was added"))?;
    let waits = PendingConfig::read(pve, guest).is_ok_and(|after| after.waits(slot));
    Ok(Change {
        what: slot.to_owned(),
        from: None,
        to: Some(format!("a cloud-init drive on {storage}")),
        waits_for_reboot: waits,
    })
}

pub(super) fn no_drive(guest: &Guest) -> Error {
    Error::Conflict(format!(
        "{} has no cloud-init drive, without which the settings have no effect: give storage to add \
         one there, or add one on node {} with qm set {} --ide2 STORAGE:cloudinit",
        guest.label(),
        guest.node,
        guest.vmid
    ))
}

pub(super) fn key_names(value: &str) -> String {
    keys::decode(value)
        .iter()
        .map(|line| keys::name(line))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pending_settings() {
        let config = PendingConfig::sample(json!([
            {"key": "ciuser", "value": "debian"},
            {"key": "cipassword", "value": "old", "pending": "new"},
            {"key": "ipconfig0", "value": "ip=dhcp", "delete": 1},
        ]));
        assert_eq!(
            serde_json::to_value(pending_of(&config)).unwrap(),
            json!([
                {"setting": "cipassword", "on_drive": "(hidden)", "wanted": "(hidden)"},
                {"setting": "ipconfig0", "on_drive": "ip=dhcp"},
            ])
        );
    }
}
