//! Storages that hold backups, and what the name of a backup says.

use pve_api::owner_of;

use crate::error::{Error, Result};
use crate::pve::{Content, GuestType, StorageResource, Vmid, Volume};
use crate::text;

/// The nodes on which a storage may hold backups. Fails if there is no such storage
/// or it cannot hold backups.
pub(super) fn able<'a>(
    storages: &'a [StorageResource],
    storage: &str,
) -> Result<Vec<&'a StorageResource>> {
    let found: Vec<&StorageResource> = storages
        .iter()
        .filter(|resource| resource.storage == storage)
        .collect();
    let able: Vec<&StorageResource> = found
        .iter()
        .copied()
        .filter(|resource| resource.may_hold(Content::Backup))
        .collect();
    if !able.is_empty() {
        return Ok(able);
    }
    let able = storages
        .iter()
        .filter(|resource| resource.holds(Content::Backup));
    let known: Vec<&str> = able.map(|resource| resource.storage.as_str()).collect();
    let known = if known.is_empty() {
        "no storage that the token sees does".to_owned()
    } else {
        format!("these do: {}", text::distinct(known))
    };
    Err(if found.is_empty() {
        Error::NotFound(format!(
            "there is no storage {storage} that the token can see and that can hold backups; \
             {known}"
        ))
    } else {
        Error::Conflict(format!("storage {storage} does not hold backups; {known}"))
    })
}

/// The type of the guest that a backup is of: as Proxmox reports it, else by its name.
pub(super) fn kind_of(volume: &Volume) -> Option<GuestType> {
    let format = volume.format.as_deref().unwrap_or_default();
    let name = volume.volid.split_once(':').map_or("", |(_, path)| path);
    let says = |subtype: &str, marks: [&str; 3]| {
        volume.subtype.as_deref() == Some(subtype)
            || marks
                .iter()
                .any(|mark| format == *mark || name.contains(mark))
    };
    if says("qemu", ["pbs-vm", "vzdump-qemu-", "backup/vm/"]) {
        Some(GuestType::Qemu)
    } else if says("lxc", ["pbs-ct", "vzdump-lxc-", "backup/ct/"]) {
        Some(GuestType::Lxc)
    } else {
        None
    }
}

/// The vmid of the guest that a backup is of: as Proxmox reports it, else by
/// its name.
pub(super) fn vmid_of(volume: &Volume) -> Option<Vmid> {
    let by_proxmox = volume.vmid.map(|vmid| vmid.0);
    by_proxmox.or_else(|| owner_of(&volume.volid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn storages_that_hold_backups() {
        let storages: Vec<StorageResource> = serde_json::from_value(json!([
            {"storage": "local", "node": "pve1", "status": "available", "content": "iso,backup"},
            {"storage": "bulk", "node": "pve1", "status": "available", "content": "images"},
        ]))
        .unwrap();
        assert_eq!(able(&storages, "local").unwrap().len(), 1);
        assert!(
            matches!(able(&storages, "bulk"), Err(Error::Conflict(m)) if m.ends_with("these do: local"))
        );
        assert!(
            matches!(able(&storages, "nas"), Err(Error::NotFound(m)) if m.ends_with("these do: local"))
        );
    }
}
