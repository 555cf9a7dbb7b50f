//! Which tools the token can use, and the commands that grant what it lacks.

use std::collections::{BTreeMap, BTreeSet};

use host_runner_policy::fit::{Held, Lack};
use host_runner_policy::{Grant, before_9};

use crate::engine::Tool;

/// Privileges that permit much more than the tools that need them (docs/security.md): nobody
/// is told to grant them.
const COARSE: [&str; 4] = [
    "Sys.Modify",
    "Sys.Console",
    "Datastore.Allocate",
    "VM.Monitor",
];

/// The rights of a token, as far as the offered tools need them.
#[derive(Debug, Clone)]
pub(super) struct Rights {
    /// What the token has.
    pub held: Held,
    /// By toolset.
    pub toolsets: BTreeMap<String, OfToolset>,
    /// The commands that grant all that is missing, for a root shell on a node. Those for
    /// the token come first, then those for its user, who needs the same.
    pub commands: Vec<String>,
}

/// The tools of one toolset.
#[derive(Debug, Clone, Default)]
pub(super) struct OfToolset {
    /// Those for which the token has a privilege on some path.
    pub work: Vec<String>,
    /// Those for which it has none, each with what it lacks.
    pub lack: Vec<(String, Vec<Lack>)>,
    /// The same, for those that lack a privilege which permits much more than they do.
    pub coarse: Vec<(String, Vec<Lack>)>,
}

fn is_coarse(lacks: &[Lack]) -> bool {
    let privileges = lacks.iter().flat_map(|lack| &lack.privileges);
    let mut privileges = privileges.map(String::as_str);
    privileges.any(|name| COARSE.contains(&name))
}

impl OfToolset {
    /// How many tools there are.
    fn len(&self) -> usize {
        self.work.len() + self.lack.len() + self.coarse.len()
    }
}

impl Rights {
    /// Compares what the tools need with what the token `user@realm!name` has, on this major
    /// version of Proxmox VE. With `pools`, privileges on guests are to be granted there.
    pub(super) fn new(
        tools: &[Tool],
        held: Held,
        token: &str,
        pools: &BTreeSet<String>,
        major: Option<u64>,
    ) -> Self {
        let mut toolsets = BTreeMap::<String, OfToolset>::new();
        let mut missing = BTreeMap::<String, BTreeSet<String>>::new();
        for tool in tools {
            let of_toolset = toolsets.entry(tool.toolset.clone()).or_default();
            let mut lacks = held.lacks(tool.purpose());
            if major.is_some_and(|major| major < 9) {
                lacks.iter_mut().for_each(name_before_9);
            }
            if lacks.is_empty() {
                of_toolset.work.push(tool.name.clone());
                continue;
            }
            if is_coarse(&lacks) {
                of_toolset.coarse.push((tool.name.clone(), lacks));
                continue;
            }
            for lack in &lacks {
                let paths = match lack.path == "/vms" && !pools.is_empty() {
                    true => pools.iter().map(|pool| format!("/pool/{pool}")).collect(),
                    false => held.places(&lack.path),
                };
                for path in paths {
                    let on_path = missing.entry(path).or_default();
                    on_path.extend(lack.privileges.iter().cloned());
                }
            }
            of_toolset.lack.push((tool.name.clone(), lacks));
        }
        Self {
            commands: commands(&missing, &held, token),
            held,
            toolsets,
        }
    }

    /// How many tools there are.
    pub(super) fn all(&self) -> usize {
        self.toolsets.values().map(OfToolset::len).sum()
    }

    /// How many of them work.
    pub(super) fn working(&self) -> usize {
        self.toolsets.values().map(|one| one.work.len()).sum()
    }

    /// How many of them need a privilege that permits much more than they do.
    pub(super) fn coarse(&self) -> usize {
        self.toolsets.values().map(|one| one.coarse.len()).sum()
    }

    /// A line for each toolset, with what its tools lack below it.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, one) in &self.toolsets {
            lines.push(format!(
                "{name}: {} of {} tools work",
                one.work.len(),
                one.len()
            ));
            let mut by_lack = BTreeMap::<String, Vec<&str>>::new();
            for (tool, lacks) in &one.lack {
                by_lack.entry(shown(lacks)).or_default().push(tool);
            }
            let lacking = by_lack.iter();
            lines.extend(
                lacking.map(|(lack, tools)| format!("  lacks {lack}: {}", tools.join(", "))),
            );
            lines.extend(one.coarse.iter().map(|(tool, lacks)| {
                let lack = shown(lacks);
                format!(
                    "  {tool} needs {lack}, which permits much more: grant it only if you need \
                     this tool"
                )
            }));
        }
        lines
    }
}

/// Writes the names that Proxmox VE 8 knows.
fn name_before_9(lack: &mut Lack) {
    let names = lack.privileges.iter().map(|name| before_9(name).to_owned());
    lack.privileges = names.collect();
}

fn shown(lacks: &[Lack]) -> String {
    let lacks = lacks.iter().map(|lack| {
        let names: Vec<_> = lack.privileges.iter().map(String::as_str).collect();
        format!("{} on {}", names.join(", "), lack.path)
    });
    lacks.collect::<Vec<_>>().join(" and ")
}

fn commands(missing: &BTreeMap<String, BTreeSet<String>>, held: &Held, token: &str) -> Vec<String> {
    let user = token.split('!').next().unwrap_or_default();
    let (mut of_token, mut of_user) = (Vec::new(), Vec::new());
    for (path, privileges) in missing {
        let privileges = privileges.iter().map(String::as_str);
        let grant = Grant::new(path, privileges, held.on(path));
        let add = grant.add_role();
        if !of_token.contains(&add) {
            of_token.push(add);
        }
        of_token.push(grant.to_token(token));
        // root@pam has all privileges.
        if user != "root@pam" {
            of_user.push(grant.to_user(user));
        }
    }
    of_token.extend(of_user);
    of_token
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lacks(privilege: &str) -> Vec<Lack> {
        let privileges = BTreeSet::from([privilege.to_owned()]);
        let path = "/vms".to_owned();
        vec![Lack { path, privileges }]
    }

    /// It has no privilege that only permits to ask the guest agent.
    #[test]
    fn proxmox_8_has_another_name_for_the_guest_agent() {
        let mut lack = lacks("VM.GuestAgent.Audit");
        assert!(!is_coarse(&lack));
        lack.iter_mut().for_each(name_before_9);
        assert_eq!(lack, lacks("VM.Monitor"));
        assert!(is_coarse(&lack));
        let mut same = lacks("VM.PowerMgmt");
        same.iter_mut().for_each(name_before_9);
        assert_eq!(same, lacks("VM.PowerMgmt"));
    }
}
