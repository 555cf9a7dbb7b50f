//! What the log of a failed start means.
//!
//! The last line, `start failed: QEMU exited with code 1` or `startup for
//! container '105' failed`, is never the cause: the lines above are.

use super::cause::Cause;
use crate::text;

/// What a line of a log means, and what to do.
struct Meaning {
    /// Words in lower case. A line has this meaning if all words of one of these
    /// groups are in it.
    words: &'static [&'static [&'static str]],
    cause: &'static str,
    fix: &'static str,
}

/// The most telling first: a line may fit several.
const MEANINGS: &[Meaning] = &[
    Meaning {
        words: &[&["vm is locked"], &["ct is locked"], &["is locked ("]],
        cause: "the guest was locked: another task held it, or left its lock behind",
        fix: "look for a running task with list_tasks; if there is none, run qm unlock or pct \
              unlock on the node",
    },
    Meaning {
        words: &[&["can't lock file"]],
        cause: "another action on the guest held its lock for too long",
        fix: "wait until that task has ended (list_tasks), then start_guest",
    },
    Meaning {
        words: &[&["no quorum"], &["cluster not ready"]],
        cause: "the cluster has no quorum, so nothing can be started",
        fix: "bring nodes back: get_cluster_status",
    },
    Meaning {
        words: &[&["storage", "does not exist"]],
        cause: "a disk is on a storage that no longer exists",
        fix: "define the storage again, or detach the disk; list_storage shows those that exist",
    },
    Meaning {
        words: &[&["storage", "is disabled"]],
        cause: "a disk is on a storage that is disabled",
        fix: "enable the storage in the web interface, under Datacenter, Storage",
    },
    Meaning {
        words: &[&["is not available on node"]],
        cause: "a disk is on a storage that this node does not have",
        fix: "migrate_guest to a node that has it, or add the node to the storage",
    },
    Meaning {
        words: &[&["is not online"]],
        cause: "the server of a network storage does not answer",
        fix: "check the storage's server and the network; get_node_health shows what the node \
              reaches",
    },
    Meaning {
        words: &[&["unreachable"]],
        cause: "a storage's folder cannot be reached, such as a dead network share",
        fix: "check the storage's server and the network; get_node_health shows what the node \
              reaches",
    },
    Meaning {
        words: &[&["no such logical volume"]],
        cause: "a disk's logical volume is gone",
        fix: "restore the guest from a backup as a new one (list_backups, restore_backup)",
    },
    Meaning {
        words: &[&["no zvol device link"]],
        cause: "a disk's ZFS volume does not show up: its pool may not be imported",
        fix: "look at the pool with get_node_health; on the node: zpool import",
    },
    Meaning {
        words: &[&["volume", "does not exist"]],
        cause: "a volume of the guest is gone: a disk, or an ISO image in its CD-ROM drive",
        fix: "empty the drive if it is an ISO image; restore_backup as a new guest if it is a disk",
    },
    Meaning {
        words: &[&["activating lv", "failed"]],
        cause: "a logical volume cannot be activated: its thin pool is damaged or out of metadata",
        fix: "look at the thin pool with get_node_health; it takes repair by hand on the node",
    },
    Meaning {
        words: &[&["thin pool", "needs check"]],
        cause: "the thin pool is damaged",
        fix: "it takes repair by hand on the node: lvconvert --repair",
    },
    Meaning {
        words: &[&["kvm virtualisation configured, but not available"]],
        cause: "the node offers no hardware virtualization",
        fix: "enable VT-x or SVM in the node's firmware; for a nested node, in its own VM's CPU \
              type",
    },
    Meaning {
        words: &[&["vcpus allowed per vm"]],
        cause: "the VM has more processors than the node",
        fix: "lower its cores with set_guest_resources, or migrate_guest to a larger node",
    },
    Meaning {
        words: &[&["host doesn't support requested feature"]],
        cause: "the VM's CPU type needs features that this node's processors lack",
        fix: "choose a lower CPU type (x86-64-v2-AES) in the web interface, or migrate_guest",
    },
    Meaning {
        words: &[&["too old to run machine type"]],
        cause: "the VM's machine type comes from a newer Proxmox VE than this node's",
        fix: "upgrade the node, or migrate_guest to a newer one",
    },
    Meaning {
        words: &[&["cannot allocate memory"], &["cannot set up guest memory"]],
        cause: "the node had not enough free memory",
        fix: "lower the guest's memory with set_guest_resources, stop or move others, or \
              migrate_guest",
    },
    Meaning {
        words: &[&["hugepage", "failed"]],
        cause: "the node had not enough free huge pages",
        fix: "free memory on the node, or turn hugepages off for the VM",
    },
    Meaning {
        words: &[&["already in use by vmid"]],
        cause: "a passed-through device is in use by another VM",
        fix: "stop the other VM with stop_guest, or take the device from one of them",
    },
    Meaning {
        words: &[&["currently reserved"]],
        cause: "a passed-through device is reserved for another VM",
        fix: "stop the other VM with stop_guest, or take the device from one of them",
    },
    Meaning {
        words: &[&["no pci device found"]],
        cause: "a passed-through PCI device is gone: it was moved, removed, or the firmware \
                renumbered it",
        fix: "choose the device again in the VM's hardware in the web interface",
    },
    Meaning {
        words: &[&["mapping invalid"]],
        cause: "a device mapping no longer fits the node's hardware",
        fix: "correct it in the web interface under Datacenter, Resource Mappings",
    },
    Meaning {
        words: &[&["iommu not present"]],
        cause: "the node has no IOMMU, which passing a device through takes",
        fix: "enable VT-d or AMD-Vi in the node's firmware and kernel",
    },
    Meaning {
        words: &[&["is not viable"]],
        cause: "a passed-through device shares its IOMMU group with devices that the node uses",
        fix: "put the card into another slot, or pass the whole group through",
    },
    Meaning {
        words: &[&["bridge", "does not exist"]],
        cause: "a network card is on a bridge that this node does not have",
        fix: "list_networks shows the node's bridges; change the card's bridge in the web \
              interface, or migrate_guest",
    },
    Meaning {
        words: &[&["mtu", "bigger than the bridge mtu"]],
        cause: "a network card's MTU is larger than its bridge's",
        fix: "lower the card's MTU, or raise the bridge's",
    },
    Meaning {
        words: &[&["no physical interface on bridge"]],
        cause: "a network card has a VLAN tag on a bridge without a physical port",
        fix: "remove the tag, or make the bridge VLAN-aware: list_networks",
    },
    Meaning {
        words: &[&["vm vlans are not allowed on vnet"]],
        cause: "a network card has a VLAN tag on a vnet that is not VLAN-aware",
        fix: "remove the tag, or make the vnet VLAN-aware",
    },
    Meaning {
        words: &[&["efi base image", "not found"]],
        cause: "the firmware for UEFI is missing on the node",
        fix: "install pve-edk2-firmware on the node",
    },
    Meaning {
        words: &[&["failed to start swtpm"]],
        cause: "the virtual TPM does not start",
        fix: "look at the storage of tpmstate0, and whether swtpm is installed on the node",
    },
    Meaning {
        words: &[&["snippets directory"]],
        cause: "a cloud-init file or hook script is not where it has to be",
        fix: "put the file into the snippets folder of its storage on this node",
    },
    Meaning {
        words: &[&["hookscript error"]],
        cause: "the guest's hook script failed",
        fix: "correct the script, or remove it from the guest's options",
    },
    Meaning {
        words: &[&["must be disabled and fixed first"]],
        cause: "HA has given up on the guest",
        fix: "get_ha shows why; on a node: ha-manager set its resource to disabled, then to \
              started",
    },
    Meaning {
        words: &[
            &["you can't start a vm if it's a template"],
            &["can't start ct if it's a template"],
        ],
        cause: "it is a template",
        fix: "clone_guest makes a guest of it",
    },
    Meaning {
        words: &[&["duplicate id"]],
        cause: "a device's number is used twice: a hotplug had failed before",
        fix: "stop_guest, then start_guest",
    },
    Meaning {
        words: &[&["failed to load config"]],
        cause: "the container's configuration is not accepted: for example a host name with a \
                label longer than 63 characters",
        fix: "correct it, for example with set_guest_options",
    },
    Meaning {
        words: &[&["lxc.hook.pre-start"]],
        cause: "a step before the container's start failed: mounting a volume, a bind source or a \
                device",
        fix: "look at the lines above it in the log, and at the mount points with get_guest",
    },
    Meaning {
        words: &[&["apparmor"]],
        cause: "AppArmor kept the container from starting",
        fix: "check whether it needs nesting, and whether AppArmor works on the node",
    },
    Meaning {
        words: &[&["no such device"], &["no such file or directory"]],
        cause: "something that the guest's configuration names is not on this node",
        fix: "look at mount points, devices and drives with get_guest",
    },
    Meaning {
        words: &[&["timeout waiting on systemd"]],
        cause: "an old process of the guest still exists on the node",
        fix: "on the node: systemctl stop VMID.scope; then start_guest",
    },
    Meaning {
        words: &[&["got timeout"]],
        cause: "the start took too long: a hung storage, a busy node, or very much memory",
        fix: "get_node_health shows pressure and storages; then start_guest again",
    },
];

/// How much of a line is shown.
const LINE_LENGTH: usize = 240;

impl Meaning {
    /// Whether a line in lower case has it.
    fn fits(&self, line: &str) -> bool {
        self.words
            .iter()
            .any(|words| words.iter().all(|word| line.contains(word)))
    }
}

/// What a failed start's log and exit status mean. The exit status says it where
/// the log cannot be read.
pub(super) fn meaning(log: &[String], exit: &str) -> Cause {
    let lines: Vec<&str> = log.iter().map(String::as_str).chain([exit]).collect();
    let lower: Vec<String> = lines.iter().map(|line| line.to_lowercase()).collect();
    for meaning in MEANINGS {
        let mut both = lines.iter().zip(&lower).rev();
        if let Some((line, _)) = both.find(|(_, lower)| meaning.fits(lower)) {
            return Cause::certain(meaning.cause, meaning.fix)
                .on(text::cut(line.trim(), LINE_LENGTH));
        }
    }
    let mut cause = Cause::likely(
        "its last start failed",
        "the lines of the log say why; get_task shows more of it",
    );
    // The lines before the last one, which only says that it failed.
    let start = lines.len().saturating_sub(4);
    for line in lines
        .iter()
        .skip(start)
        .filter(|line| !line.trim().is_empty())
    {
        cause = cause.on(text::cut(line.trim(), LINE_LENGTH));
    }
    cause
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(log: &[&str], exit: &str) -> String {
        let log: Vec<String> = log.iter().map(|line| (*line).to_owned()).collect();
        meaning(&log, exit).cause
    }

    #[test]
    fn the_line_above_the_last_one_tells() {
        for (line, says) in [
            ("bridge 'vmbr7' does not exist", "bridge that this node"),
            (
                "storage 'old' does not exist",
                "storage that no longer exists",
            ),
            (
                "volume 'nas:iso/a.iso' does not exist",
                "volume of the guest is gone",
            ),
            (
                "storage 'nas' is not online",
                "network storage does not answer",
            ),
            (
                "no such logical volume pve/vm-105-disk-0",
                "logical volume is gone",
            ),
            (
                "kvm: cannot set up guest memory 'pc.ram': Cannot allocate memory",
                "not enough free memory",
            ),
            ("MAX 2 vcpus allowed per VM on this node", "more processors"),
            (
                "PCI device '0000:01:00.0' already in use by VMID '101'",
                "another VM",
            ),
            (
                "MTU 9000 is bigger than the bridge MTU 1500",
                "MTU is larger",
            ),
        ] {
            let said = said(
                &[line, "start failed: QEMU exited with code 1"],
                "start failed",
            );
            assert!(said.contains(says), "{line}: {said}");
        }
        assert!(said(&[], "VM is locked (backup)").contains("locked"));
        assert!(
            said(&["can't lock file '/run/lock/x' - got timeout"], "x").contains("held its lock")
        );
    }

    #[test]
    fn an_unknown_log_is_shown() {
        let log = vec![
            "something new".to_owned(),
            "startup for container '105' failed".to_owned(),
        ];
        let cause = meaning(&log, "startup for container '105' failed");
        assert_eq!(cause.cause, "its last start failed");
        assert!(cause.evidence.contains(&"something new".to_owned()));
    }
}
