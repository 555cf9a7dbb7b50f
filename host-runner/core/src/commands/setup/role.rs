//! The `pveum` commands for a user with the smallest role for a preset.

use host_runner_policy::{Preset, before_9, quote};

/// What every preset reads.
const READ: &str = "VM.Audit VM.GuestAgent.Audit Datastore.Audit Pool.Audit SDN.Audit Sys.Audit \
                    Sys.Syslog";
/// What `operate` needs besides.
const OPERATE: &str = "VM.PowerMgmt VM.Snapshot VM.Backup VM.Clone VM.Allocate VM.Migrate \
                       VM.Config.CPU VM.Config.Memory VM.Config.Disk VM.Config.Network \
                       VM.Config.Options VM.Config.Cloudinit VM.Config.CDROM VM.Config.HWType \
                       Datastore.AllocateSpace Datastore.AllocateTemplate SDN.Use \
                       Sys.AccessNetwork";
/// What `admin` needs besides.
const ADMIN: &str = "VM.Snapshot.Rollback VM.GuestAgent.Unrestricted Sys.Modify";

/// A user with a token, and what both are for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grant<'a> {
    pub preset: Preset,
    /// Such as `mcp@pve`.
    pub user: &'a str,
    /// The token's name, without its owner.
    pub token: &'a str,
    /// Where the role is granted.
    pub path: &'a str,
}

/// The name of the role for a preset, as in docs/security.md.
fn role(preset: Preset) -> &'static str {
    match preset {
        Preset::Observe => "MCPObserve",
        Preset::Operate => "MCPOperate",
        Preset::Admin => "MCPAdmin",
    }
}

/// The privileges of Proxmox VE 9.
fn privileges(preset: Preset) -> Vec<&'static str> {
    let parts: &[&'static str] = match preset {
        Preset::Observe => &[READ],
        Preset::Operate => &[READ, OPERATE],
        Preset::Admin => &[READ, OPERATE, ADMIN],
    };
    parts
        .iter()
        .flat_map(|part| part.split_ascii_whitespace())
        .collect()
}

/// The privileges of Proxmox VE 8, which knows fewer. What permits running commands in guests
/// there is only for the preset that runs them.
fn privileges_before_9(preset: Preset) -> Vec<&'static str> {
    let mut names = Vec::new();
    for name in privileges(preset) {
        let before = before_9(name);
        let permits_more = before != name;
        if !(names.contains(&before) || permits_more && preset != Preset::Admin) {
            names.push(before);
        }
    }
    names
}

impl Grant<'_> {
    /// The commands, to be run on a node as root.
    pub(super) fn commands(&self) -> String {
        let Self {
            preset,
            user,
            token,
            path,
        } = *self;
        let role = role(preset);
        let add_user = match user {
            // It is there, and has all privileges.
            "root@pam" => String::new(),
            user => format!("pveum user add {}\n", quote(user)),
        };
        let token_id = quote(&format!("{user}!{token}"));
        let (user, token, path) = (quote(user), quote(token), quote(path));
        let new = privileges(preset).join(" ");
        let old = privileges_before_9(preset).join(" ");
        let agent = match preset {
            Preset::Admin => "",
            Preset::Observe | Preset::Operate => {
                "# (Proxmox VE 8 shows addresses inside VMs only with VM.Monitor, which also\n\
                 # permits running commands in guests: add it only if you need them)\n"
            }
        };
        format!(
            "# on a node, as root; on Proxmox VE 9:\n\
             pveum role add {role} --privs \"{new}\"\n\
             # or, on Proxmox VE 8:\n\
             #pveum role add {role} --privs \"{old}\"\n\
             {agent}\
             # the user, and a token with the role, but no more:\n\
             {add_user}\
             pveum user token add {user} {token} --privsep 1\n\
             pveum acl modify {path} --users {user} --roles {role}\n\
             pveum acl modify {path} --tokens {token_id} --roles {role}"
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The privileges that docs/security.md gives a role.
    fn documented(role: &str) -> BTreeSet<String> {
        let text = include_str!("../../../../../docs/security.md").replace("\\\n", " ");
        let start = format!("pveum role add {role} --privs \"");
        let (_, rest) = text.split_once(&start).unwrap();
        let (names, _) = rest.split_once('"').unwrap();
        names.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_roles_are_the_documented_ones() {
        for (preset, _) in Preset::ALL {
            let own: BTreeSet<_> = privileges(preset).into_iter().map(str::to_owned).collect();
            assert_eq!(own, documented(role(preset)), "{preset:?}");
        }
    }

    #[test]
    fn names_of_proxmox_9_are_not_used_before_it() {
        for (preset, _) in Preset::ALL {
            let old = privileges_before_9(preset);
            assert!(!old.iter().any(|name| name.contains("GuestAgent")));
            assert_eq!(old.contains(&"VM.Monitor"), preset == Preset::Admin);
            assert!(!privileges(preset).contains(&"VM.Monitor"));
        }
    }
}
