//! What the log of a failed start means.
//!
//! The last line, `start failed: QEMU exited with code 1` or `startup for
//! container '105' failed`, is never the cause: the lines above are.

use super::cause::{Cause, Topic};
use crate::text;
use crate::tool_names as names;

/// What a line of a log means, and what to do.
struct Meaning {
    /// Words in lower case. A line has this meaning if all words of one of these
    /// groups are in it.
    words: &'static [&'static [&'static str]],
    /// A line with one of these words has another meaning.
    without: &'static [&'static str],
    cause: &'static str,
    /// In parts, between which the names of tools are.
    fix: &'static [&'static str],
    topic: Option<Topic>,
}

/// The most telling first: a line may fit several.
const MEANINGS: &[Meaning] = &[
    Meaning {
        words: &[&["vm is locked"], &["ct is locked"], &["is locked ("]],
        without: &[],
        cause: "the guest was locked: another task held it, or left its lock behind",
        fix: &["see with ", names::LIST_TASKS, " which task held it"],
        topic: Some(Topic::Lock),
    },
    Meaning {
        words: &[&["can't lock file"]],
        without: &[],
        cause: "another action on the guest held its lock for too long",
        fix: &[
            "wait until that task has ended (",
            names::LIST_TASKS,
            "), then ",
            names::START_GUEST,
        ],
        topic: Some(Topic::Lock),
    },
    Meaning {
        words: &[&["no quorum"], &["cluster not ready"]],
        without: &[],
        cause: "the cluster has no quorum, so nothing can be started",
        fix: &["bring nodes back: ", names::GET_CLUSTER_STATUS],
        topic: Some(Topic::Quorum),
    },
    Meaning {
        words: &[
            &["unreachable"],
            &["directory is expected to be a mount point but is not mounted"],
        ],
        without: &[],
        cause: "a storage's folder cannot be reached, for example because a network share is down",
        fix: &[
            "check the storage's server and the network; ",
            names::GET_NODE_HEALTH,
            " shows what the node reaches",
        ],
        topic: Some(Topic::Storage),
    },
    Meaning {
        words: &[&["storage '", "does not exist"]],
        without: &["directory", "volume '"],
        cause: "a disk is on a storage that no longer exists",
        fix: &[
            "define the storage again, or detach the disk in the web interface; ",
            names::LIST_STORAGE,
            " shows those that exist",
        ],
        topic: Some(Topic::Storage),
    },
    Meaning {
        words: &[&["storage '", "is disabled"]],
        without: &[],
        cause: "a disk is on a storage that is disabled",
        fix: &["enable the storage in the web interface, under Datacenter, Storage"],
        topic: Some(Topic::Storage),
    },
    Meaning {
        words: &[&["is not available on node"]],
        without: &[],
        cause: "a disk is on a storage that this node does not have",
        fix: &[
            names::MIGRATE_GUEST,
            " to a node that has it, or add the node to the storage",
        ],
        topic: Some(Topic::Storage),
    },
    Meaning {
        words: &[&["is not online"]],
        without: &[],
        cause: "the server of a network storage does not answer",
        fix: &[
            "check the storage's server and the network; ",
            names::GET_NODE_HEALTH,
            " shows what the node reaches",
        ],
        topic: Some(Topic::Storage),
    },
    Meaning {
        words: &[&["no such logical volume"]],
        without: &[],
        cause: "a disk's logical volume is gone",
        fix: &[
            "restore the guest from a backup as a new one (",
            names::LIST_BACKUPS,
            ", ",
            names::RESTORE_BACKUP,
            ")",
        ],
        topic: None,
    },
    Meaning {
        words: &[&["no zvol device link"]],
        without: &[],
        cause: "a disk's ZFS volume does not show up: its pool may not be imported",
        fix: &[
            "look at the pool with ",
            names::GET_NODE_HEALTH,
            "; on the node: zpool import",
        ],
        topic: None,
    },
    Meaning {
        words: &[&["volume", "does not exist"]],
        without: &[],
        cause: "a volume of the guest is gone: a disk, or an ISO image in its CD-ROM drive",
        fix: &[
            "an ISO image: ",
            names::SET_CDROM,
            " with eject empties the drive; a disk: restore the guest from a backup as a new one (",
            names::LIST_BACKUPS,
            ", ",
            names::RESTORE_BACKUP,
            ")",
        ],
        topic: None,
    },
    Meaning {
        words: &[&["activating lv", "failed"]],
        without: &[],
        cause: "a logical volume cannot be activated: its thin pool is damaged or out of metadata",
        fix: &[
            "look at the thin pool with ",
            names::GET_NODE_HEALTH,
            "; repair it by hand on the node",
        ],
        topic: None,
    },
    Meaning {
        words: &[&["thin pool", "needs check"]],
        without: &[],
        cause: "the thin pool is damaged",
        fix: &["repair it by hand on the node: lvconvert --repair"],
        topic: None,
    },
    Meaning {
        words: &[&["kvm virtualisation configured, but not available"]],
        without: &[],
        cause: "the node offers no hardware virtualization",
        fix: &[
            "enable VT-x or SVM in the node's firmware; for a nested node, in its own VM's \
             CPU type",
        ],
        topic: None,
    },
    Meaning {
        words: &[&["vcpus allowed per vm"]],
        without: &[],
        cause: "the VM has more processors than the node",
        fix: &[
            "lower its cores with ",
            names::SET_GUEST_RESOURCES,
            ", or ",
            names::MIGRATE_GUEST,
            " to a larger node",
        ],
        topic: Some(Topic::Processors),
    },
    Meaning {
        words: &[&["host doesn't support requested feature"]],
        without: &[],
        cause: "the VM's CPU type needs features that this node's processors lack",
        fix: &[
            "choose a lower CPU type (x86-64-v2-AES) in the web interface, or ",
            names::MIGRATE_GUEST,
        ],
        topic: None,
    },
    Meaning {
        words: &[&["too old to run machine type"]],
        without: &[],
        cause: "the VM's machine type comes from a newer Proxmox VE than this node's",
        fix: &[
            "upgrade the node, or ",
            names::MIGRATE_GUEST,
            " to a newer one",
        ],
        topic: None,
    },
    Meaning {
        words: &[&["cannot allocate memory"], &["cannot set up guest memory"]],
        without: &[],
        cause: "the node had not enough free memory",
        fix: &[
            "lower the guest's memory with ",
            names::SET_GUEST_RESOURCES,
            ", stop or move others, or ",
            names::MIGRATE_GUEST,
        ],
        topic: Some(Topic::Memory),
    },
    Meaning {
        words: &[&["hugepage", "failed"]],
        without: &[],
        cause: "the node had not enough free huge pages",
        fix: &["free memory on the node, or turn hugepages off for the VM"],
        topic: None,
    },
    Meaning {
        words: &[&["already in use by vmid"]],
        without: &[],
        cause: "a passed-through device is in use by another VM",
        fix: &[
            "stop the other VM with ",
            names::STOP_GUEST,
            ", or take the device from one of them",
        ],
        topic: None,
    },
    Meaning {
        words: &[&["currently reserved"]],
        without: &[],
        cause: "a passed-through device is reserved for another VM",
        fix: &[
            "stop the other VM with ",
            names::STOP_GUEST,
            ", or take the device from one of them",
        ],
        topic: None,
    },
    Meaning {
        words: &[&["no pci device found"]],
        without: &[],
        cause: "a passed-through PCI device is gone: it was moved, removed, or the firmware \
                renumbered it",
        fix: &["choose the device again in the VM's hardware in the web interface"],
        topic: None,
    },
    Meaning {
        words: &[&["mapping invalid"]],
        without: &[],
        cause: "a device mapping no longer fits the node's hardware",
        fix: &["correct it in the web interface under Datacenter, Resource Mappings"],
        topic: None,
    },
    Meaning {
        words: &[&["iommu not present"]],
        without: &[],
        cause: "the node has no IOMMU, which passing a device through takes",
        fix: &["enable VT-d or AMD-Vi in the node's firmware and kernel"],
        topic: None,
    },
    Meaning {
        words: &[&["is not viable"]],
        without: &[],
        cause: "a passed-through device shares its IOMMU group with devices that the node uses",
        fix: &["put the card into another slot, or pass the whole group through"],
        topic: None,
    },
    Meaning {
        words: &[&["bridge", "does not exist"]],
        without: &[],
        cause: "a network card is on a bridge that this node does not have",
        fix: &[
            names::LIST_NETWORKS,
            " shows the node's bridges; ",
            names::SET_NIC,
            " puts the card on another one, or ",
            names::MIGRATE_GUEST,
        ],
        topic: Some(Topic::Bridge),
    },
    Meaning {
        words: &[&["mtu", "bigger than the bridge mtu"]],
        without: &[],
        cause: "a network card's MTU is larger than its bridge's",
        fix: &["lower the card's MTU, or raise the bridge's"],
        topic: None,
    },
    Meaning {
        words: &[&["no physical interface on bridge"]],
        without: &[],
        cause: "a network card has a VLAN tag on a bridge without a physical port",
        fix: &[
            "remove the tag with ",
            names::SET_NIC,
            " (vlan: 0), or make the bridge VLAN-aware: ",
            names::LIST_NETWORKS,
        ],
        topic: None,
    },
    Meaning {
        words: &[&["vm vlans are not allowed on vnet"]],
        without: &[],
        cause: "a network card has a VLAN tag on a vnet that is not VLAN-aware",
        fix: &[
            "remove the tag with ",
            names::SET_NIC,
            " (vlan: 0), or make the vnet VLAN-aware",
        ],
        topic: None,
    },
    Meaning {
        words: &[&["efi base image", "not found"]],
        without: &[],
        cause: "the firmware for UEFI is missing on the node",
        fix: &["install pve-edk2-firmware on the node"],
        topic: None,
    },
    Meaning {
        words: &[&["failed to start swtpm"]],
        without: &[],
        cause: "the virtual TPM does not start",
        fix: &["look at the storage of tpmstate0, and whether swtpm is installed on the node"],
        topic: None,
    },
    Meaning {
        words: &[&["snippets directory"]],
        without: &[],
        cause: "a cloud-init file or hook script is not where it has to be",
        fix: &["put the file into the snippets folder of its storage on this node"],
        topic: None,
    },
    Meaning {
        words: &[&["hookscript error"]],
        without: &[],
        cause: "the guest's hook script failed",
        fix: &["correct the script, or remove it from the guest's options"],
        topic: None,
    },
    Meaning {
        words: &[&["must be disabled and fixed first"]],
        without: &[],
        cause: "HA has given up on the guest",
        fix: &[
            names::GET_HA,
            " shows why; ",
            names::SET_HA_RESOURCE,
            " with state disabled clears the error, and with state started starts it again",
        ],
        topic: Some(Topic::Ha),
    },
    Meaning {
        words: &[
            &["you can't start a vm if it's a template"],
            &["can't start ct if it's a template"],
        ],
        without: &[],
        cause: "it is a template",
        fix: &[names::CLONE_GUEST, " makes a guest of it"],
        topic: Some(Topic::Template),
    },
    Meaning {
        words: &[&["duplicate id"]],
        without: &[],
        cause: "a device's number is used twice: a hotplug had failed before",
        fix: &[names::STOP_GUEST, ", then ", names::START_GUEST],
        topic: None,
    },
    Meaning {
        words: &[&["failed to load config"]],
        without: &[],
        cause: "the container's configuration is not accepted: for example a host name with a \
                label longer than 63 characters",
        fix: &["correct it, for example with ", names::SET_GUEST_OPTIONS],
        topic: None,
    },
    Meaning {
        words: &[&["lxc.hook.pre-start"]],
        without: &[],
        cause: "a step before the container's start failed: mounting a volume, a bind source or a \
                device",
        fix: &[
            "look at the lines above it in the log, and at the mount points with ",
            names::GET_GUEST,
        ],
        topic: None,
    },
    Meaning {
        words: &[&["apparmor"]],
        without: &[],
        cause: "AppArmor kept the container from starting",
        fix: &["check whether it needs nesting, and whether AppArmor works on the node"],
        topic: None,
    },
    Meaning {
        words: &[&["device", "does not exist"]],
        without: &["bridge", "volume '", "storage '"],
        cause: "a device that the container is given does not exist on this node",
        fix: &[
            "look at its devices (dev0 and so on) with ",
            names::GET_GUEST,
            ", and correct or remove them in the web interface",
        ],
        topic: None,
    },
    Meaning {
        words: &[&["cgroup", "fail"]],
        without: &[],
        cause: "the container's limits or its init system do not fit the node's control groups",
        fix: &[
            "its system may be too old for cgroup v2 (systemd before version 232): upgrade it, or \
             look at the lines above it in the log with ",
            names::GET_TASK,
        ],
        topic: None,
    },
    Meaning {
        words: &[&["no such device"], &["no such file or directory"]],
        without: &[],
        cause: "something that the guest's configuration names is not on this node",
        fix: &[
            "look at mount points, devices and drives with ",
            names::GET_GUEST,
        ],
        topic: None,
    },
    Meaning {
        words: &[&["timeout waiting on systemd"]],
        without: &[],
        cause: "an old process of the guest still exists on the node",
        fix: &[
            "on the node: systemctl stop VMID.scope; then ",
            names::START_GUEST,
        ],
        topic: None,
    },
    Meaning {
        words: &[&["unable to connect to vm", "socket"]],
        without: &[],
        cause: "QEMU started but did not answer: a busy node, or a storage that hangs",
        fix: RETRY_ON_A_HEALTHY_NODE,
        topic: None,
    },
    Meaning {
        words: &[&["got timeout"]],
        without: &[],
        cause: "the start took too long: a hung storage, a busy node, or very much memory",
        fix: RETRY_ON_A_HEALTHY_NODE,
        topic: None,
    },
];

/// What to do after a start that a slow node or storage has broken.
const RETRY_ON_A_HEALTHY_NODE: &[&str] = &[
    names::GET_NODE_HEALTH,
    " shows pressure and storages; then ",
    names::START_GUEST,
    " again",
];

/// How much of a line is shown.
const LINE_LENGTH: usize = 240;

impl Meaning {
    /// Whether a line in lower case has it.
    fn fits(&self, line: &str) -> bool {
        let has = |word: &&str| line.contains(*word);
        self.words.iter().any(|words| words.iter().all(has)) && !self.without.iter().any(has)
    }

    fn cause(&self, line: &str) -> Cause {
        let cause =
            Cause::certain(self.cause, self.fix.concat()).on(text::cut(line.trim(), LINE_LENGTH));
        match self.topic {
            Some(topic) => cause.about(topic),
            None => cause,
        }
    }
}

/// Whether a line in lower case may be a cause: a start goes on after a warning.
fn is_error(line: &str) -> bool {
    !line.contains("warning:") && !line.starts_with("warn:")
}

/// What a failed start's log and exit status mean. The exit status says it where
/// the log cannot be read.
pub(super) fn meaning(log: &[String], exit: &str) -> Cause {
    let lines: Vec<&str> = log.iter().map(String::as_str).chain([exit]).collect();
    let lower: Vec<String> = lines.iter().map(|line| line.to_lowercase()).collect();
    for meaning in MEANINGS {
        let mut both = lines.iter().zip(&lower).rev();
        if let Some((line, _)) = both.find(|(_, lower)| is_error(lower) && meaning.fits(lower)) {
            return meaning.cause(line);
        }
    }
    let mut cause = Cause::likely(
        "the lines of its log say why",
        format!("{} shows more of the log", names::GET_TASK),
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
                "unable to activate storage 'nas' - directory '/mnt/pve/nas' does not exist or is \
                 unreachable",
                "folder cannot be reached",
            ),
            (
                "unable to activate storage 'nas' - directory is expected to be a mount point but \
                 is not mounted: '/mnt/nas'",
                "folder cannot be reached",
            ),
            (
                "volume 'storage1:iso/a.iso' does not exist",
                "volume of the guest is gone",
            ),
            (
                "unable to connect to VM 105 qmp socket - timeout after 51 retries",
                "did not answer",
            ),
            (
                "Device /dev/ttyUSB0 does not exist",
                "device that the container is given",
            ),
            ("lxc 105 cgfsng: Failed to create cgroup", "control groups"),
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
    fn a_warning_is_no_cause() {
        let log = [
            "kvm: warning: host doesn't support requested feature: CPUID.07H:EBX.hle [bit 4]",
            "kvm: cannot set up guest memory 'pc.ram': Cannot allocate memory",
            "start failed: QEMU exited with code 1",
        ];
        assert!(said(&log, "start failed").contains("not enough free memory"));
    }

    #[test]
    fn an_unknown_log_is_shown() {
        let log = vec![
            "something new".to_owned(),
            "startup for container '105' failed".to_owned(),
        ];
        let cause = meaning(&log, "startup for container '105' failed");
        assert_eq!(cause.cause, "the lines of its log say why");
        assert!(cause.evidence.contains(&"something new".to_owned()));
    }
}
