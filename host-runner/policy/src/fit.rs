//! Which tools a token has no privileges for, by the calls that the tools declare.
//!
//! Where it is not certain, the tool may work: Proxmox refuses what the token may not do.

use std::collections::{BTreeMap, BTreeSet};

use pve_api::grant::{before_9, nearest, weight};
use pve_api::{Call, Needs};
use serde_json::Value;

use crate::purpose::Tool;

/// The privileges that a token has, by path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// On any path.
    anywhere: BTreeSet<String>,
    /// By path, each with whether it holds below the path, too.
    by_path: BTreeMap<String, BTreeMap<String, bool>>,
}

/// Privileges that a token has nowhere, and where the tools need them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lack {
    /// The path of the access list above all that the call is about: `/vms`.
    pub path: String,
    /// All of them are needed.
    pub privileges: BTreeSet<String>,
}

impl Held {
    /// Reads the answer of `GET /access/permissions`. None if it is not one, or if the
    /// token has no privilege at all: a token is then most likely not set up yet, and the
    /// errors of the tools say what to grant.
    pub fn read(answer: &[u8]) -> Option<Self> {
        let answer: Value = serde_json::from_slice(answer).ok()?;
        let (mut anywhere, mut by_path) = (BTreeSet::new(), BTreeMap::new());
        // Each privilege has a number, which says whether it holds below the path, too.
        for (path, privileges) in answer.get("data")?.as_object()? {
            let privileges = privileges.as_object()?;
            anywhere.extend(privileges.keys().cloned());
            let privileges = privileges.iter();
            let on_path = privileges.map(|(name, below)| (name.clone(), below.as_u64() != Some(0)));
            by_path.insert(path.clone(), on_path.collect());
        }
        (!anywhere.is_empty()).then_some(Self { anywhere, by_path })
    }

    /// The paths with entries of their own, each with its privileges.
    pub fn paths(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = &str>)> {
        let paths = self.by_path.iter();
        paths.map(|(path, names)| (path.as_str(), names.keys().map(String::as_str)))
    }

    /// The privileges on a path: those of its own entries, or else of the nearest path above
    /// it that has any.
    pub fn on(&self, path: &str) -> impl Iterator<Item = &str> {
        let found = nearest(path, |above| self.by_path.get(above));
        found.into_iter().flat_map(|(names, is_own)| {
            names
                .iter()
                .filter(move |(_, below)| is_own || **below)
                .map(|(name, _)| name.as_str())
        })
    }

    /// What is to be granted so that the tool may work. Empty if it may already. Of several
    /// privileges that are enough, the one that allows least is named, but all of a family
    /// whose members are each for some of the tool's settings.
    pub fn lacks(&self, tool: Tool<'_>) -> Vec<Lack> {
        if self.missing_for(tool).is_none() {
            return Vec::new();
        }
        let of_call = |call: &Call| {
            let needs = call.always_needs();
            let mut lacks = Vec::new();
            for needs in needs.filter(|needs| missing(needs, &self.anywhere).is_some()) {
                least(&needs, &self.anywhere, &mut lacks);
            }
            lacks
        };
        let of_calls = tool.purpose().into_iter().flatten().map(of_call);
        of_calls
            .min_by_key(|lacks| weight_of(lacks))
            .unwrap_or_default()
    }

    /// The privileges that the token would need on some path for what the tool is for, in
    /// words. None if it may have them.
    pub fn missing_for(&self, tool: Tool<'_>) -> Option<String> {
        let missing: Option<Vec<String>> = tool
            .purpose()?
            .into_iter()
            .map(|call| self.missing_for_call(call))
            .collect();
        let missing = missing.filter(|missing| !missing.is_empty())?;
        Some(shortened(missing.iter().flat_map(|names| names.split(OR))))
    }

    fn missing_for_call(&self, call: &Call) -> Option<String> {
        call.always_needs()
            .find_map(|needs| missing(&needs, &self.anywhere))
    }
}

/// Between privileges of which one is enough.
const OR: &str = " or ";

/// Names of which one is enough, each once. Of three and more of a family, only what
/// they have in common: `VM.Config.*`.
fn shortened<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    let family = |name: &str| name.rsplit_once('.').map(|(family, _)| family.to_owned());
    let mut shown: Vec<String> = Vec::new();
    for name in &names {
        let related: BTreeSet<&&str> = names
            .iter()
            .filter(|one| family(one) == family(name))
            .collect();
        let text = match family(name) {
            Some(family) if related.len() > 2 => format!("{family}.*"),
            _ => (*name).to_owned(),
        };
        if !shown.contains(&text) {
            shown.push(text);
        }
    }
    shown.join(OR)
}

/// Which of the privileges are missing, in words. None if there are enough.
fn missing(needs: &Needs, held: &BTreeSet<String>) -> Option<String> {
    match needs {
        Needs::OneOf { privileges, .. } => {
            let has_one = privileges.iter().any(|name| is_held(name, held));
            (!has_one).then(|| privileges.join(OR))
        }
        Needs::All(parts) => parts.iter().find_map(|part| missing(part, held)),
        Needs::Any(parts) => {
            let mut names: Vec<String> = Vec::new();
            for part in parts {
                let lacks = missing(part, held)?;
                if !names.contains(&lacks) {
                    names.push(lacks);
                }
            }
            (!names.is_empty()).then(|| names.join(OR))
        }
    }
}

/// The least that fulfils the needs.
fn least(needs: &Needs, held: &BTreeSet<String>, lacks: &mut Vec<Lack>) {
    match needs {
        Needs::OneOf { privileges, path } => {
            let is_family = privileges.len() > 2;
            let chosen: Vec<&str> = match is_family {
                true => privileges.clone(),
                false => {
                    let least = privileges.iter().min_by_key(|name| weight(name));
                    least.into_iter().copied().collect()
                }
            };
            let above = path.split("/{").next().unwrap_or_default();
            lacks.push(Lack {
                path: if above.is_empty() { "/" } else { above }.to_owned(),
                privileges: chosen.into_iter().map(str::to_owned).collect(),
            });
        }
        Needs::All(parts) => {
            for part in parts.iter().filter(|part| missing(part, held).is_some()) {
                least(part, held, lacks);
            }
        }
        Needs::Any(parts) => {
            let all = parts.iter().map(|part| {
                let mut lacks = Vec::new();
                least(part, held, &mut lacks);
                lacks
            });
            lacks.extend(
                all.min_by_key(|lacks| weight_of(lacks))
                    .into_iter()
                    .flatten(),
            );
        }
    }
}

/// How much the broadest of the privileges permits.
fn weight_of(lacks: &[Lack]) -> Option<u8> {
    let names = lacks.iter().flat_map(|lack| &lack.privileges);
    names.map(|name| weight(name)).max()
}

/// Whether it is held, by its name of now or by that of before Proxmox VE 9.
fn is_held(name: &str, held: &BTreeSet<String>) -> bool {
    held.contains(name) || held.contains(before_9(name))
}

#[cfg(test)]
mod tests {
    use pve_api::calls;

    use super::*;

    fn held(names: &[&str]) -> Held {
        let on_root: Vec<String> = names.iter().map(|name| format!("\"{name}\":1")).collect();
        let answer = format!(r#"{{"data":{{"/":{{{}}}}}}}"#, on_root.join(","));
        Held::read(answer.as_bytes()).unwrap()
    }

    fn missing(held: &Held, reads: bool, calls: &[&Call]) -> Option<String> {
        let calls: Vec<String> = calls.iter().map(ToString::to_string).collect();
        held.missing_for(Tool {
            calls: &calls,
            reads,
            dangerous: false,
        })
    }

    #[test]
    fn a_privilege_counts_on_any_path() {
        let answer = br#"{"data":{"/vms/100":{"VM.Audit":1},"/nodes":{"Sys.Audit":0}}}"#;
        let read = Held::read(answer).unwrap();
        assert_eq!(read.anywhere, held(&["VM.Audit", "Sys.Audit"]).anywhere);
        assert!(read.on("/nodes").eq(["Sys.Audit"]));
        assert_eq!(read.on("/nodes/pve1").count(), 0);
        assert!(read.on("/vms/100/x").eq(["VM.Audit"]));
        for none in [
            "{}",
            r#"{"data":{}}"#,
            r#"{"data":[]}"#,
            r#"{"data":{"/":{}}}"#,
            "<html>",
        ] {
            assert_eq!(Held::read(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn alternatives_and_groups_are_told_apart() {
        let lacks = |needs: &'static str, names: &[&str]| {
            super::missing(&Needs::read(needs).unwrap(), &held(names).anywhere)
        };
        let download = "A.Template on /storage/{storage}, and (S.Audit and S.Modify on /, or \
                        S.Access on /nodes/{node})";
        assert_eq!(
            lacks(download, &["S.Access"]).as_deref(),
            Some("A.Template")
        );
        assert_eq!(
            lacks(download, &["A.Template", "S.Audit"]).as_deref(),
            Some("S.Modify or S.Access")
        );
        assert_eq!(lacks(download, &["A.Template", "S.Access"]), None);
        assert_eq!(
            lacks(download, &["A.Template", "S.Audit", "S.Modify"]),
            None
        );
    }

    #[test]
    fn of_alternatives_the_one_that_allows_least_is_named() {
        let needs = "Datastore.AllocateTemplate on /storage/{storage}, and (Sys.Audit and \
                     Sys.Modify on /, or Sys.AccessNetwork on /nodes/{node})";
        let mut lacks = Vec::new();
        let held = held(&["Sys.Audit"]).anywhere;
        least(&Needs::read(needs).unwrap(), &held, &mut lacks);
        let lacks: Vec<_> = lacks
            .iter()
            .map(|lack| {
                (
                    lack.path.as_str(),
                    lack.privileges.first().map(String::as_str),
                )
            })
            .collect();
        let expected = [
            ("/storage", Some("Datastore.AllocateTemplate")),
            ("/nodes", Some("Sys.AccessNetwork")),
        ];
        assert_eq!(lacks, expected);
    }

    #[test]
    fn a_tool_is_missing_what_all_of_its_calls_need() {
        let audit = held(&["VM.Audit", "Sys.Audit", "Datastore.Audit"]);
        let start = [
            &calls::cluster::RESOURCES,
            &calls::guests::STATUS.qemu,
            &calls::power::START.qemu,
            &calls::power::START.lxc,
            &calls::nodes::STOP_TASK,
        ];
        assert_eq!(
            missing(&audit, false, &start).as_deref(),
            Some("VM.PowerMgmt")
        );
        assert_eq!(missing(&held(&["VM.PowerMgmt"]), false, &start), None);

        // One of two calls is enough, and so is one of two privileges.
        let rule = [
            &calls::firewall::ADD_GUEST_RULE.qemu,
            &calls::firewall::ADD_CLUSTER_RULE,
        ];
        let lacks = missing(&audit, false, &rule);
        assert_eq!(lacks.as_deref(), Some("VM.Config.Network or Sys.Modify"));
        assert_eq!(missing(&held(&["VM.Config.Network"]), false, &rule), None);
        let rollback = [&calls::snapshots::ROLLBACK.lxc];
        assert_eq!(
            missing(&held(&["VM.Snapshot.Rollback"]), false, &rollback),
            None
        );
        let lacks = missing(&audit, false, &rollback);
        assert_eq!(
            lacks.as_deref(),
            Some("VM.Snapshot or VM.Snapshot.Rollback")
        );

        let config = [
            &calls::guests::SET_CONFIG.qemu,
            &calls::guests::SET_CONFIG.lxc,
        ];
        assert_eq!(
            missing(&audit, false, &config).as_deref(),
            Some("VM.Config.*")
        );
        assert_eq!(missing(&held(&["VM.Config.CPU"]), false, &config), None);

        // What Proxmox checks while the call runs counts where it always does.
        let backup = [&calls::backup::CREATE];
        assert_eq!(
            missing(&audit, false, &backup).as_deref(),
            Some("VM.Backup")
        );
        let resize = [&calls::guests::RESIZE.qemu];
        assert_eq!(missing(&held(&["VM.Config.Disk"]), false, &resize), None);
    }

    #[test]
    fn what_to_grant_is_the_least_on_the_path_above() {
        let audit = held(&["VM.Audit"]);
        let lacks = |calls: &[&Call]| {
            let calls: Vec<String> = calls.iter().map(ToString::to_string).collect();
            let lacks = audit.lacks(Tool {
                calls: &calls,
                reads: false,
                dangerous: false,
            });
            let lacks = lacks.into_iter();
            lacks
                .map(|lack| (lack.path, lack.privileges.into_iter().collect::<Vec<_>>()))
                .collect::<Vec<_>>()
        };
        let named = |path: &str, name: &str| vec![(path.to_owned(), vec![name.to_owned()])];
        assert_eq!(
            lacks(&[&calls::power::START.qemu]),
            named("/vms", "VM.PowerMgmt")
        );
        assert_eq!(
            lacks(&[&calls::snapshots::ROLLBACK.lxc]),
            named("/vms", "VM.Snapshot")
        );
        assert_eq!(
            lacks(&[
                &calls::firewall::ADD_CLUSTER_RULE,
                &calls::firewall::ADD_GUEST_RULE.qemu
            ]),
            named("/vms", "VM.Config.Network")
        );
        let config = lacks(&[&calls::guests::SET_CONFIG.qemu]);
        assert!(config.iter().all(|(path, _)| path == "/vms"), "{config:?}");
        assert!(
            config.iter().any(|(_, names)| names.len() > 2),
            "{config:?}"
        );
    }

    #[test]
    fn the_monitor_of_older_versions_is_enough_for_the_guest_agent() {
        let run = [&calls::agent::EXEC];
        let audit = held(&["VM.Audit"]);
        let lacks = missing(&audit, false, &run).unwrap();
        assert!(lacks.contains("VM.GuestAgent"), "{lacks}");
        assert_eq!(missing(&held(&["VM.Monitor"]), false, &run), None);
    }

    #[test]
    fn a_read_that_any_token_may_make_is_never_missing_a_privilege() {
        let backup = held(&["VM.Backup"]);
        let list = [&calls::cluster::RESOURCES, &calls::nodes::LIST];
        assert_eq!(missing(&backup, true, &list), None);
        let log = [
            &calls::nodes::SYSLOG,
            &calls::nodes::LIST,
            &calls::cluster::STATUS,
        ];
        assert_eq!(missing(&backup, true, &log).as_deref(), Some("Sys.Syslog"));
        assert_eq!(missing(&backup, true, &[]), None);
    }
}
