//! Names of volumes.

use crate::text::is_storage;
use crate::vmid::Vmid;

/// The storage and the volume's name within it, of a volid. A path is not a
/// volid, even if it holds a colon.
pub fn split_volid(text: &str) -> Option<(&str, &str)> {
    let (storage, name) = text.split_once(':')?;
    (is_storage(storage) && !name.is_empty()).then_some((storage, name))
}

/// The guest that a volume belongs to, read from its volid: a disk, a state, a
/// cloud-init drive, or a backup. None where the name does not tell, as with
/// an ISO image: under a scope on guests that is nobody's guest, and whoever
/// needs an owner has to refuse.
pub fn owner_of(volid: &str) -> Option<Vmid> {
    let (_, name) = volid.split_once(':')?;
    let parts: Vec<&str> = name.split('/').collect();
    let (file, folders) = parts.split_last()?;
    // Backups on a backup server: backup/vm/100/2026-07-01T10:00:00Z.
    if let ["backup", "vm" | "ct", vmid] = folders {
        return Vmid::parse(vmid);
    }
    let by_name = of_backup(file).or_else(|| of_disk(file));
    match folders {
        [] | ["backup"] => by_name,
        // A disk in a guest's folder, which may be on a linked clone's base:
        // 9000/base-9000-disk-0.qcow2/105/vm-105-disk-0.qcow2. The last one is
        // the volume.
        [.., folder] => {
            let folder = Vmid::parse(folder).or_else(|| of_disk(folder));
            match (by_name, folder) {
                (Some(name), Some(folder)) => {
                    // On LVM a clone is written base-9000-disk-0/vm-105-disk-0.
                    let linked = folders
                        .last()
                        .is_some_and(|folder| folder.starts_with("base"));
                    (name == folder || linked).then_some(name)
                }
                // What is outside of the folder of a guest is nobody's.
                _ => None,
            }
        }
    }
}

/// `vzdump-qemu-100-2026_07_01-10_00_00.vma.zst`.
fn of_backup(file: &str) -> Option<Vmid> {
    let rest = file
        .strip_prefix("vzdump-qemu-")
        .or_else(|| file.strip_prefix("vzdump-lxc-"))
        .or_else(|| file.strip_prefix("vzdump-openvz-"))?;
    Vmid::parse(rest.split('-').next()?)
}

/// `vm-100-disk-0`, `base-100-disk-0.qcow2`, `subvol-100-disk-0`.
fn of_disk(file: &str) -> Option<Vmid> {
    let rest = ["vm-", "base-", "subvol-", "basevol-"]
        .into_iter()
        .find_map(|prefix| file.strip_prefix(prefix))?;
    let (vmid, what) = rest.split_once('-')?;
    Vmid::parse(vmid).filter(|_| !what.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_read_from_names() {
        for (volid, owner) in [
            (
                "local:backup/vzdump-qemu-100-2026_07_01-10_00_00.vma.zst",
                Some(100),
            ),
            (
                "nas:backup/vzdump-lxc-200-2026_07_01-10_00_00.tar.zst",
                Some(200),
            ),
            ("pbs:backup/vm/100/2026-07-01T10:00:00Z", Some(100)),
            ("pbs:backup/ct/200/2026-07-01T10:00:00Z", Some(200)),
            ("tank:vm-100-disk-0", Some(100)),
            ("tank:base-9000-disk-0", Some(9000)),
            ("tank:base-9000-disk-0/vm-105-disk-0", Some(105)),
            ("tank:subvol-200-disk-0", Some(200)),
            ("tank:basevol-9001-disk-0/subvol-201-disk-0", Some(201)),
            ("local:100/vm-100-disk-0.qcow2", Some(100)),
            (
                "local:9000/base-9000-disk-0.qcow2/105/vm-105-disk-0.qcow2",
                Some(105),
            ),
            ("tank:vm-100-cloudinit", Some(100)),
            ("tank:vm-100-state-before", Some(100)),
            // Nobody's, or nobody can tell.
            ("local:iso/debian.iso", None),
            ("local:iso/vm-100-disk-0", None),
            ("local:vztmpl/debian-13-standard_13.1-1_amd64.tar.zst", None),
            ("local:backup/a.vma.zst", None),
            (
                "local:backup/vzdump-qemu-0100-2026_07_01-10_00_00.vma.zst",
                None,
            ),
            ("local:backup/vzdump-qemu-100x.vma", None),
            ("local:101/vm-100-disk-0.qcow2", None),
            ("local:101/disk.qcow2", None),
            ("pbs:backup/host/pve1/2026-07-01T10:00:00Z", None),
            ("pbs:backup/vm/100", None),
            ("vm-100-disk-0", None),
            ("", None),
        ] {
            assert_eq!(owner_of(volid).map(Vmid::get), owner, "{volid}");
        }
    }
}
