//! Which tools the token can use, and the commands that grant what it lacks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use host_runner_policy::fit::{Held, Lack};
use host_runner_policy::{Grant, lookup};
use serde_json::{Value, json};

use super::report::Check;
use crate::engine::Tool;
use crate::offer::Offer;
use crate::sandbox::Sandbox;

/// Privileges that permit much more than the tools that need them (docs/security.md): nobody
/// is told to grant them.
const COARSE: [&str; 3] = ["Sys.Modify", "Sys.Console", "Datastore.Allocate"];

/// The rights of a token, as far as the offered tools need them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rights {
    /// By toolset.
    pub toolsets: BTreeMap<String, OfToolset>,
    /// The commands that grant all that is missing, for a root shell on a node. Those for
    /// the token come first, then those for its user, who needs the same.
    pub commands: Vec<String>,
}

/// The tools of one toolset.
#[derive(Debug, Clone, Default)]
pub(crate) struct OfToolset {
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

impl Rights {
    /// Compares what the tools need with what the token has. Fills in the commands for the
    /// token `user@realm!name`. With `pools`, privileges on guests are granted there.
    pub(crate) fn new(tools: &[Tool], held: &Held, token: &str, pools: &BTreeSet<String>) -> Self {
        let mut rights = Self::default();
        let mut missing = BTreeMap::<String, BTreeSet<String>>::new();
        for tool in tools {
            let of_toolset = rights.toolsets.entry(tool.toolset.clone()).or_default();
            let lacks = held.lacks(tool.purpose());
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
                    false => vec![lack.path.clone()],
                };
                for path in paths {
                    let on_path = missing.entry(path).or_default();
                    on_path.extend(lack.privileges.iter().cloned());
                }
            }
            of_toolset.lack.push((tool.name.clone(), lacks));
        }
        rights.commands = commands(&missing, held, token);
        rights
    }

    /// Whether no tool works.
    pub(crate) fn is_empty(&self) -> bool {
        self.toolsets.values().all(|one| one.work.is_empty())
    }
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

/// What each toolset can do, and the names of the policy that the cluster does not have.
pub(super) async fn check(sandbox: &Arc<Sandbox>, offer: &Offer, token: &str) -> Vec<Check> {
    let answer = match sandbox.look(lookup::PERMISSIONS).await {
        Ok(answer) => answer,
        Err(error) => return vec![Check::problem("rights", error)],
    };
    let Some(held) = Held::read(answer.body()) else {
        let user = token.split('!').next().unwrap_or_default();
        let what = format!(
            "the token {token} has no privileges: a privilege-separated token needs its own, and \
             has at most those of its user"
        );
        let check = Check::problem("rights", what)
            .next(format!(
                "pveum acl modify / --tokens '{token}' --roles PVEAuditor"
            ))
            .next(format!(
                "pveum acl modify / --users '{user}' --roles PVEAuditor"
            ));
        return vec![check];
    };
    let rights = Rights::new(offer.tools(), &held, token, sandbox.pools());
    let mut checks = vec![of_rights(&rights, &held)];
    let missing = sandbox.missing_of_scope().await;
    checks.extend(missing.iter().map(|line| Check::warning("scope", line)));
    checks
}

fn of_rights(rights: &Rights, held: &Held) -> Check {
    let of_tools = |one: &OfToolset| one.work.len() + one.lack.len() + one.coarse.len();
    let all: usize = rights.toolsets.values().map(of_tools).sum();
    let work: usize = rights.toolsets.values().map(|one| one.work.len()).sum();
    let coarse: usize = rights.toolsets.values().map(|one| one.coarse.len()).sum();
    let mut details = Vec::new();
    for (name, one) in &rights.toolsets {
        let total = of_tools(one);
        details.push(format!("{name}: {} of {total} tools work", one.work.len()));
        let mut by_lack = BTreeMap::<String, Vec<&str>>::new();
        for (tool, lacks) in &one.lack {
            by_lack.entry(shown(lacks)).or_default().push(tool);
        }
        let lines = by_lack.iter();
        details.extend(lines.map(|(lack, tools)| format!("  lacks {lack}: {}", tools.join(", "))));
        details.extend(one.coarse.iter().map(|(tool, lacks)| {
            let lack = shown(lacks);
            format!("  {tool} needs {lack}, which permits much more: grant it only if you need this tool")
        }));
    }
    let check = match (rights.is_empty(), work + coarse == all) {
        (true, _) if all > 0 => Check::problem("rights", "the token has no privilege for any tool"),
        (_, true) if coarse > 0 => Check::ok(
            "rights",
            format!("{work} of {all} tools on offer have privileges; the others need broader ones"),
        ),
        (_, true) => Check::ok(
            "rights",
            format!("all {all} tools on offer have privileges"),
        ),
        (_, false) => Check::warning(
            "rights",
            format!("{work} of {all} tools on offer work; the token lacks privileges for the rest"),
        ),
    };
    let check = rights
        .commands
        .iter()
        .fold(check, |check, line| check.next(line.as_str()));
    let check = match work + coarse == all {
        true => check,
        false => check.next("or leave these tools out, for example with --preset observe"),
    };
    check.details(details).data(data(rights, held))
}

fn shown(lacks: &[Lack]) -> String {
    let lacks = lacks.iter().map(|lack| {
        let names: Vec<_> = lack.privileges.iter().map(String::as_str).collect();
        format!("{} on {}", names.join(", "), lack.path)
    });
    lacks.collect::<Vec<_>>().join(" and ")
}

fn data(rights: &Rights, held: &Held) -> Value {
    let toolsets = rights.toolsets.iter().map(|(name, one)| {
        let lack = one.lack.iter().chain(&one.coarse).map(|(tool, lacks)| {
            let lacks = lacks
                .iter()
                .map(|lack| json!({ "path": lack.path, "privileges": lack.privileges }));
            json!({ "tool": tool, "missing": lacks.collect::<Vec<_>>() })
        });
        json!({ "toolset": name, "work": one.work, "lack": lack.collect::<Vec<_>>() })
    });
    let held = held
        .paths()
        .map(|(path, names)| json!({ "path": path, "privileges": names.collect::<Vec<_>>() }));
    json!({
        "toolsets": toolsets.collect::<Vec<_>>(),
        "held": held.collect::<Vec<_>>(),
        "commands": rights.commands,
    })
}
