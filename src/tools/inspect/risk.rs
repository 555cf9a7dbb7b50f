//! What privileges amount to, and which are risky.

use std::collections::BTreeSet;

use crate::order::Ordered as _;

/// Privileges by which their holder can take more, and what each allows. Worth a
/// look wherever they are granted.
const RISKY: &[(&str, &str)] = &[
    ("Permissions.Modify", "grants itself any role"),
    ("User.Modify", "changes users and makes tokens of them"),
    ("Realm.Allocate", "adds realms that log anybody in"),
    ("Realm.AllocateUser", "adds users"),
    ("Sys.Modify", "changes the nodes' configuration"),
    ("Sys.Console", "opens a shell on the nodes"),
    ("Sys.PowerMgmt", "shuts nodes down"),
    ("VM.GuestAgent.Unrestricted", "runs any command in VMs"),
    // Before Proxmox VE 9, instead of those of the guest agent.
    (
        "VM.Monitor",
        "runs any command in VMs, and uses QEMU's monitor",
    ),
    (
        "VM.GuestAgent.FileWrite",
        "writes files in VMs, which is root inside",
    ),
];

/// What a holder of privileges can do to a guest, from the gravest on.
const ABILITIES: &[(&str, &str)] = &[
    ("Permissions.Modify", "grant rights on it"),
    ("VM.Allocate", "delete it"),
    ("VM.GuestAgent.Unrestricted", "run commands in it"),
    ("VM.Monitor", "run commands in it"),
    ("VM.GuestAgent.FileWrite", "write files in it"),
    ("VM.GuestAgent.FileRead", "read files in it"),
    ("VM.Console", "open its console"),
    ("VM.Snapshot.Rollback", "roll it back"),
    ("VM.Config.Disk", "change its disks"),
    ("VM.Config.Network", "change its network"),
    (
        "VM.Config.Cloudinit",
        "set its cloud-init user and password",
    ),
    ("VM.Config.Options", "change its options"),
    ("VM.Config.Memory", "change its memory"),
    ("VM.Config.CPU", "change its processors"),
    ("VM.PowerMgmt", "start and stop it"),
    ("VM.Migrate", "migrate it"),
    ("VM.Snapshot", "snapshot it"),
    ("VM.Backup", "back it up and restore it"),
    ("VM.Clone", "clone it"),
    ("VM.Audit", "see it"),
];

/// What privileges allow on a guest, in words.
pub(super) fn abilities(privileges: &BTreeSet<String>) -> Vec<&'static str> {
    ABILITIES
        .iter()
        .filter(|(privilege, _)| privileges.contains(*privilege))
        .map(|(_, ability)| *ability)
        .collect()
}

/// Which risky privileges a role has.
pub(super) fn risky<'a>(
    privileges: impl IntoIterator<Item = &'a str>,
) -> Vec<(&'static str, &'static str)> {
    let held: BTreeSet<&str> = privileges.into_iter().ordered();
    RISKY
        .iter()
        .filter(|(privilege, _)| held.contains(privilege))
        .copied()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn privileges_in_words() {
        let held = ["VM.Audit", "VM.Allocate", "Sys.Audit"];
        let set: BTreeSet<String> = held.iter().map(|one| (*one).to_owned()).collect();
        assert_eq!(abilities(&set), ["delete it", "see it"]);
        assert!(risky(held).is_empty());
        assert_eq!(risky(["Sys.Console", "x"])[0].0, "Sys.Console");
        assert_eq!(risky(["VM.Monitor"])[0].0, "VM.Monitor");
    }
}
