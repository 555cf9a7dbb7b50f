//! What the log of a failed start means.
//!
//! The last line, `start failed: QEMU exited with code 1` or `startup for
//! container '105' failed`, is never the cause: the lines above are.

use super::cause::Cause;
use crate::text;

/// Words of a log in lower case, what they mean, and what to do.
type Meaning = (&'static [&'static str], &'static str, &'static str);

/// The most telling first: a line may fit several.
const MEANINGS: &[Meaning] = &[
    (
        &["vm is locked", "ct is locked", "is locked ("],
        "the guest was locked: another task held it, or left its lock behind",
        "look for a running task with list_tasks; if there is none, run qm unlock or pct unlock \
         on the node",
    ),
    (
        &["can't lock file"],
        "another action on the guest held its lock for too long",
        "wait until that task has ended (list_tasks), then start_guest",
    ),
    (
        &["no quorum", "cluster not ready"],
        "the cluster has no quorum, so nothing can be started",
        "bring nodes back: get_cluster_status",
    ),
    (
        &["storage", "does not exist"],
        "a disk is on a storage that no longer exists",
        "define the storage again, or detach the disk; list_storage shows those that exist",
    ),
    (
        &["storage", "is disabled"],
        "a disk is on a storage that is disabled",
        "enable the storage in the web interface, under Datacenter, Storage",
    ),
    (
        &["is not available on node"],
        "a disk is on a storage that this node does not have",
        "migrate_guest to a node that has it, or add the node to the storage",
    ),
    (
        &["is not online"],
        "the server of a network storage does not answer",
        "check the storage's server and the network; get_node_health shows what the node reaches",
    ),
    (
        &["unreachable"],
        "a storage's folder cannot be reached, such as a dead network share",
        "check the storage's server and the network; get_node_health shows what the node reaches",
    ),
    (
        &["no such logical volume"],
        "a disk's logical volume is gone",
        "restore the guest from a backup as a new one (list_backups, restore_backup)",
    ),
    (
        &["no zvol device link"],
        "a disk's ZFS volume does not show up: its pool may not be imported",
        "look at the pool with get_node_health; on the node: zpool import",
    ),
    (
        &["volume", "does not exist"],
        "a volume of the guest is gone: a disk, or an ISO image in its CD-ROM drive",
        "empty the drive if it is an ISO image; restore_backup as a new guest if it is a disk",
    ),
    (
        &["activating lv", "failed"],
        "a logical volume cannot be activated: its thin pool is damaged or out of metadata",
        "look at the thin pool with get_node_health; it takes repair by hand on the node",
    ),
    (
        &["thin pool", "needs check"],
        "the thin pool is damaged",
        "it takes repair by hand on the node: lvconvert --repair",
    ),
    (
        &["kvm virtualisation configured, but not available"],
        "the node offers no hardware virtualization",
        "enable VT-x or SVM in the node's firmware; for a nested node, in its own VM's CPU type",
    ),
    (
        &["vcpus allowed per vm"],
        "the VM has more processors than the node",
        "lower its cores with set_guest_resources, or migrate_guest to a larger node",
    ),
    (
        &["host doesn't support requested feature"],
        "the VM's CPU type needs features that this node's processors lack",
        "choose a lower CPU type (x86-64-v2-AES) in the web interface, or migrate_guest",
    ),
    (
        &["too old to run machine type"],
        "the VM's machine type comes from a newer Proxmox VE than this node's",
        "upgrade the node, or migrate_guest to a newer one",
    ),
    (
        &["cannot allocate memory"],
        "the node had not enough free memory",
        "lower the guest's memory with set_guest_resources, stop or move others, or migrate_guest",
    ),
    (
        &["cannot set up guest memory"],
        "the node had not enough free memory",
        "lower the guest's memory with set_guest_resources, stop or move others, or migrate_guest",
    ),
    (
        &["hugepage", "failed"],
        "the node had not enough free huge pages",
        "free memory on the node, or turn hugepages off for the VM",
    ),
    (
        &["already in use by vmid"],
        "a passed-through device is in use by another VM",
        "stop the other VM with stop_guest, or take the device from one of them",
    ),
    (
        &["currently reserved"],
        "a passed-through device is reserved for another VM",
        "stop the other VM with stop_guest, or take the device from one of them",
    ),
    (
        &["no pci device found"],
        "a passed-through PCI device is gone: it was moved, removed, or the firmware renumbered it",
        "choose the device again in the VM's hardware in the web interface",
    ),
    (
        &["mapping invalid"],
        "a device mapping no longer fits the node's hardware",
        "correct it in the web interface under Datacenter, Resource Mappings",
    ),
    (
        &["iommu not present"],
        "the node has no IOMMU, which passing a device through takes",
        "enable VT-d or AMD-Vi in the node's firmware and kernel",
    ),
    (
        &["is not viable"],
        "a passed-through device shares its IOMMU group with devices that the node uses",
        "put the card into another slot, or pass the whole group through",
    ),
    (
        &["bridge", "does not exist"],
        "a network card is on a bridge that this node does not have",
        "list_networks shows the node's bridges; change the card's bridge in the web interface, or \
         migrate_guest",
    ),
    (
        &["mtu", "bigger than the bridge mtu"],
        "a network card's MTU is larger than its bridge's",
        "lower the card's MTU, or raise the bridge's",
    ),
    (
        &["no physical interface on bridge"],
        "a network card has a VLAN tag on a bridge without a physical port",
        "remove the tag, or make the bridge VLAN-aware: list_networks",
    ),
    (
        &["vm vlans are not allowed on vnet"],
        "a network card has a VLAN tag on a vnet that is not VLAN-aware",
        "remove the tag, or make the vnet VLAN-aware",
    ),
    (
        &["efi base image", "not found"],
        "the firmware for UEFI is missing on the node",
        "install pve-edk2-firmware on the node",
    ),
    (
        &["failed to start swtpm"],
        "the virtual TPM does not start",
        "look at the storage of tpmstate0, and whether swtpm is installed on the node",
    ),
    (
        &["snippets directory"],
        "a cloud-init file or hook script is not where it has to be",
        "put the file into the snippets folder of its storage on this node",
    ),
    (
        &["hookscript error"],
        "the guest's hook script failed",
        "correct the script, or remove it from the guest's options",
    ),
    (
        &["must be disabled and fixed first"],
        "HA has given up on the guest",
        "get_ha shows why; on a node: ha-manager set its resource to disabled, then to started",
    ),
    (
        &[
            "you can't start a vm if it's a template",
            "can't start ct if it's a template",
        ],
        "it is a template",
        "clone_guest makes a guest of it",
    ),
    (
        &["duplicate id"],
        "a device's number is used twice: a hotplug had failed before",
        "stop_guest, then start_guest",
    ),
    (
        &["failed to load config"],
        "the container's configuration is not accepted: for example a host name with a label \
         longer than 63 characters",
        "correct it, for example with set_guest_options",
    ),
    (
        &["lxc.hook.pre-start"],
        "a step before the container's start failed: mounting a volume, a bind source or a device",
        "look at the lines above it in the log, and at the mount points with get_guest",
    ),
    (
        &["apparmor"],
        "AppArmor kept the container from starting",
        "check whether it needs nesting, and whether AppArmor works on the node",
    ),
    (
        &["no such device", "no such file or directory"],
        "something that the guest's configuration names is not on this node",
        "look at mount points, devices and drives with get_guest",
    ),
    (
        &["timeout waiting on systemd"],
        "an old process of the guest still exists on the node",
        "on the node: systemctl stop VMID.scope; then start_guest",
    ),
    (
        &["got timeout"],
        "the start took too long: a hung storage, a busy node, or very much memory",
        "get_node_health shows pressure and storages; then start_guest again",
    ),
];

/// Meanings of which all words must be in a line; of the others one is enough.
const ALL_WORDS: [&str; 9] = [
    "storage",
    "volume",
    "activating lv",
    "thin pool",
    "hugepage",
    "bridge",
    "mtu",
    "efi base image",
    "no such device",
];

/// How much of a line is shown.
const LINE_LENGTH: usize = 240;

fn fits(words: &[&str], line: &str) -> bool {
    match words {
        [first, _, ..] if ALL_WORDS.contains(first) && *first != "no such device" => {
            words.iter().all(|word| line.contains(word))
        }
        words => words.iter().any(|word| line.contains(word)),
    }
}

/// What a failed start's log and exit status mean. The exit status says it where
/// the log cannot be read.
pub(super) fn meaning(log: &[String], exit: &str) -> Cause {
    let lines: Vec<&str> = log.iter().map(String::as_str).chain([exit]).collect();
    for (words, cause, fix) in MEANINGS {
        let line = lines
            .iter()
            .rev()
            .find(|line| fits(words, &line.to_lowercase()));
        if let Some(line) = line {
            return Cause::certain(*cause, *fix).on(text::cut(line.trim(), LINE_LENGTH));
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
