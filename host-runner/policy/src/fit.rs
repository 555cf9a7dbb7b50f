//! Which tools a token has no privileges for, by the calls that the tools declare.
//!
//! Where it is not certain, the tool may work: Proxmox refuses what the token may not do.

use std::collections::BTreeSet;

use pve_api::{Call, Needs};
use serde_json::Value;

use crate::purpose::Tool;

/// The privileges that a token has on any path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held(BTreeSet<String>);

impl Held {
    /// Reads the answer of `GET /access/permissions`. None if it is not one, or if the
    /// token has no privilege at all: a token is then most likely not set up yet, and the
    /// errors of the tools say what to grant.
    pub fn read(answer: &[u8]) -> Option<Self> {
        let answer: Value = serde_json::from_slice(answer).ok()?;
        let mut held = BTreeSet::new();
        // Each privilege has a number, which says whether it holds below the path, too.
        for on_path in answer.get("data")?.as_object()?.values() {
            held.extend(on_path.as_object()?.keys().cloned());
        }
        (!held.is_empty()).then_some(Self(held))
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
            .find_map(|needs| missing(&needs, &self.0))
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

/// Before Proxmox VE 9, VM.Monitor allows what the privileges of the guest agent allow now.
fn is_held(name: &str, held: &BTreeSet<String>) -> bool {
    held.contains(name) || name.starts_with("VM.GuestAgent.") && held.contains("VM.Monitor")
}

#[cfg(test)]
mod tests {
    use pve_api::calls;

    use super::*;

    fn held(names: &[&str]) -> Held {
        Held(names.iter().map(|name| (*name).to_owned()).collect())
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
        assert_eq!(read, held(&["VM.Audit", "Sys.Audit"]));
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
            super::missing(&Needs::read(needs).unwrap(), &held(names).0)
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
