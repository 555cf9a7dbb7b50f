//! The cloud-init drive of a VM, and what is not on it yet.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::keys;
use super::mask::HIDDEN;
use crate::error::{Error, Result};
use crate::pve::{Failure, Guest, GuestConfig, Halt, Kind, Num, Params, Pve, Text};

pub(super) fn no_container(guest: &Guest) -> Result<(), Halt> {
    if guest.kind != Kind::Lxc {
        return Ok(());
    }
    Err(Halt::Refused(Error::Conflict(format!(
        "{} is a container, which has no cloud-init: its SSH keys and password can be set only \
         when it is created, its addresses are settings of its network cards",
        guest.label()
    ))))
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct Pending {
    setting: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_drive: Option<String>,
    /// Absent where it was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    wanted: Option<String>,
}

/// A setting, as it is on the drive and as it is wanted.
#[derive(Deserialize)]
struct Entry {
    key: String,
    value: Option<Text>,
    pending: Option<Text>,
    delete: Option<Num<u8>>,
}

/// What is set, but not on the drive yet.
pub(super) fn pending(pve: &Pve, guest: &Guest) -> Result<Vec<Pending>, Failure> {
    let entries: Vec<Entry> = pve.get(&guest.path(["cloudinit"]), &Params::new())?;
    Ok(entries.into_iter().filter_map(Entry::pending).collect())
}

impl Entry {
    fn pending(self) -> Option<Pending> {
        let removed = self.delete.is_some_and(|Num(delete)| delete > 0);
        if self.pending.is_none() && !removed {
            return None;
        }
        let show = |Text(value): Text| match self.key.as_str() {
            "cipassword" => HIDDEN.to_owned(),
            "sshkeys" => key_names(&value),
            _ => value,
        };
        Some(Pending {
            on_drive: self.value.map(show),
            wanted: self.pending.filter(|_| !removed).map(show),
            setting: self.key,
        })
    }
}

/// The key of the cloud-init drive.
pub(super) fn drive(config: &GuestConfig) -> Option<String> {
    config
        .disks()
        .into_iter()
        .find(|disk| disk.cloud_init)
        .map(|disk| disk.id)
}

pub(super) fn no_drive(guest: &Guest) -> Error {
    Error::Conflict(format!(
        "{} has no cloud-init drive, without which the settings have no effect: add one in its \
         Hardware tab (Add, CloudInit Drive), or on node {} with qm set {} --ide2 \
         STORAGE:cloudinit",
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
        let entries: Vec<Entry> = serde_json::from_value(json!([
            {"key": "ciuser", "value": "debian"},
            {"key": "cipassword", "value": "old", "pending": "new"},
            {"key": "ipconfig0", "value": "ip=dhcp", "delete": 1},
        ]))
        .unwrap();
        let pending: Vec<Pending> = entries.into_iter().filter_map(Entry::pending).collect();
        assert_eq!(
            serde_json::to_value(pending).unwrap(),
            json!([
                {"setting": "cipassword", "on_drive": "(hidden)", "wanted": "(hidden)"},
                {"setting": "ipconfig0", "on_drive": "ip=dhcp"},
            ])
        );
    }
}
