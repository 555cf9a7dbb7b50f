//! What a change does, in sentences for the user who is asked to consent to it.

use super::meaning::Meaning;
use super::request::ApiRequest;
use pve_api::{Action, Method};

/// What a change does. Of a change that is destructive, `harm` or `irreversible` says
/// something; of any other, neither.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Consequences {
    /// What happens. Empty only for a request that changes nothing.
    pub happens: Vec<&'static str>,
    /// What is interrupted or hidden by it, or may be, and can be put right later.
    pub harm: Vec<&'static str>,
    /// What is lost by it, or may be, and comes back by no other request.
    pub irreversible: Vec<&'static str>,
}

impl Consequences {
    /// What a request does that has this meaning.
    pub fn of(request: &ApiRequest, meaning: &Meaning) -> Self {
        let mut all = Self::default();
        for action in &meaning.actions {
            add(&mut all.happens, happens(*action, request));
            add(&mut all.harm, harm(*action, request));
            add(&mut all.irreversible, irreversible(*action));
        }
        let is_of_backups = meaning.actions.contains(&Action::BackupJob);
        for (may, what) in [
            (
                meaning.may_lock_out,
                "Connections to nodes or guests may be cut off, including this server's own.",
            ),
            (
                meaning.may_starve,
                "If a running guest gets less memory than it uses, processes in it may be \
                 killed.",
            ),
            (
                meaning.may_isolate,
                "The guest may be cut off from its network.",
            ),
            (
                meaning.may_restart,
                "A container that runs is shut down and started again on the other node: its \
                 services are interrupted.",
            ),
            (
                meaning.may_unprotect && meaning.actions.contains(&Action::BackupJobChange),
                "Guests may be left without backups.",
            ),
            (
                meaning.may_unprotect && !is_of_backups,
                "The guest may be left without high availability.",
            ),
            (
                meaning.may_hide,
                "Files below the path of the mounted volume are hidden.",
            ),
        ] {
            add(&mut all.harm, may.then_some(what));
        }
        for (may, what) in [
            (
                meaning.may_unprotect && is_of_backups,
                "Old backups may be removed.",
            ),
            (
                meaning.may_reinstall,
                "A guest that starts from this CD-ROM may overwrite its disks.",
            ),
        ] {
            add(&mut all.irreversible, may.then_some(what));
        }
        all
    }
}

fn add(all: &mut Vec<&'static str>, what: Option<&'static str>) {
    all.extend(what.filter(|what| !all.contains(what)));
}

/// The name of what is done to a guest or on a node, at the end of the path. Elsewhere the
/// end may be a name that somebody has chosen.
fn operation(request: &ApiRequest) -> &str {
    match request.segments.as_slice() {
        [first, .., last] if first == "nodes" => last,
        _ => "",
    }
}

/// What an action of a request does.
fn happens(action: Action, request: &ApiRequest) -> Option<&'static str> {
    Some(match (action, operation(request)) {
        (Action::Read, _) => return None,
        (Action::Power, "resume") => "The guest resumes.",
        (Action::Power, _) => "The guest starts.",
        (Action::Shutdown, "shutdown") => "The guest is shut down.",
        (Action::Shutdown, "reboot") => "The guest is shut down and started again.",
        (Action::Shutdown, "suspend") => "The guest is suspended.",
        (Action::Shutdown, "migrate") => "The guest is restarted on the other node.",
        (Action::Shutdown, "vzdump") => "The guest is stopped or suspended for its backup.",
        (Action::Shutdown, _) => "Guests are shut down, restarted or suspended.",
        (Action::HardStop, "reset") => "The guest is reset without a clean shutdown.",
        (Action::HardStop, _) => "The guest is powered off without a clean shutdown.",
        (Action::Clone, _) => "A new guest is made as a copy of this one.",
        (Action::Create, _) => "A new guest is made.",
        (Action::Hardware, _) => "The guest's disks, network cards or CD-ROMs are changed.",
        (Action::Template, _) => "The guest becomes a template.",
        (Action::CloudInit, _) => "The guest's cloud-init settings are changed.",
        (Action::Resources, _) => "The guest's processors or memory are changed.",
        (Action::Options, _) => "The guest's options are changed.",
        (Action::Resize, _) => "A disk of the guest grows. It cannot be made smaller again.",
        (Action::Migrate, _) => "The guest is moved to another node.",
        (Action::Snapshot, _) => "A snapshot of the guest is taken.",
        (Action::SnapshotDelete, _) => "A snapshot of the guest is removed.",
        (Action::Rollback, _) => "The guest goes back to a snapshot.",
        (Action::Backup, _) => "A backup is made.",
        (Action::BackupJob, _) => "A backup job is added or changed.",
        (Action::BackupJobChange, _) => "What a backup job does is changed.",
        (Action::Restore, _) => "A new guest is made from a backup.",
        (Action::FirewallRule, _) => match is_of_rule(request) {
            true => "A firewall rule is added or changed.",
            false => "A security group, alias or IP set of a firewall is added or changed.",
        },
        (Action::FirewallDelete, _) => match is_of_rule(request) {
            true => "A firewall rule is removed.",
            false => "A security group, alias or IP set of a firewall is removed.",
        },
        (Action::FirewallOptions, _) => {
            "A firewall is turned on or off, or its policies are changed."
        }
        (Action::Download, "query-url-metadata") => {
            "A node connects to a URL to read its metadata."
        }
        (Action::Download, _) => "A node downloads a file to a storage.",
        (Action::StopTask, _) => "A running task is aborted.",
        (Action::HighAvailability, _) => "What high availability does with the guest is changed.",
        (Action::GuestExec, _) => "A command runs inside the guest.",
    })
}

/// Whether a change of a firewall is about a rule: `…/rules`, `…/rules/{pos}`, and in a
/// security group `POST …/groups/{group}` and `…/groups/{group}/{pos}`.
fn is_of_rule(request: &ApiRequest) -> bool {
    let mut from_end = request.segments.iter().rev().map(String::as_str);
    let (last, before, third) = (from_end.next(), from_end.next(), from_end.next());
    last == Some("rules")
        || before == Some("rules")
        || third == Some("groups")
        || (before == Some("groups") && request.method == Method::Post)
}

/// What an action interrupts, or may cut off, until somebody puts it right.
fn harm(action: Action, request: &ApiRequest) -> Option<&'static str> {
    Some(match action {
        Action::Shutdown => "The guest's services are interrupted.",
        Action::Rollback => {
            "A running guest is powered off, and stays off unless start is 1 or the snapshot \
             contains its memory. Its settings go back to those of the snapshot."
        }
        Action::FirewallDelete if is_of_rule(request) => {
            "Connections that the rule blocked may be allowed, and connections that it allowed \
             may be cut off."
        }
        Action::FirewallDelete => {
            "Rules that name it no longer apply: connections that they blocked may be allowed, \
             and connections that they allowed may be cut off."
        }
        Action::StopTask => "The task's work may be left incomplete, and a guest may stay locked.",
        _ => return None,
    })
}

/// What an action loses for good.
fn irreversible(action: Action) -> Option<&'static str> {
    Some(match action {
        Action::HardStop => "What the guest has not yet written to its disks is lost.",
        Action::Rollback => "All that the guest has written since the snapshot is lost.",
        Action::SnapshotDelete => "A removed snapshot cannot be restored.",
        Action::Template => "A template cannot be started, nor be turned into a guest again.",
        Action::GuestExec => "Proxmox VE cannot undo what a command does.",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use pve_api::ACTIONS;

    use super::*;

    fn of(meaning: Meaning) -> Consequences {
        at("POST /nodes/pve1/x", &meaning)
    }

    fn at(request: &str, meaning: &Meaning) -> Consequences {
        let (method, path) = request.split_once(' ').unwrap();
        let path = format!("/api2/json{path}");
        let request = ApiRequest::parse(method, &path, None, b"").unwrap();
        Consequences::of(&request, meaning)
    }

    /// Everything that is said of what may go wrong.
    fn warnings(all: &Consequences) -> usize {
        all.harm.len() + all.irreversible.len()
    }

    #[test]
    fn every_change_says_what_it_does_and_what_is_lost() {
        for (action, name) in ACTIONS {
            let meaning = Meaning {
                actions: vec![action],
                ..Meaning::default()
            };
            let is_destructive = meaning.is_destructive();
            let all = of(meaning);
            assert_eq!(all.happens.is_empty(), action == Action::Read, "{name}");
            assert_eq!(warnings(&all) == 0, !is_destructive, "{name}");
        }
    }

    #[test]
    fn whatever_makes_a_change_destructive_is_said() {
        let base = || Meaning {
            actions: vec![Action::Options],
            ..Meaning::default()
        };
        assert_eq!(warnings(&of(base())), 0);
        let flags: [fn(&mut Meaning) -> &mut bool; 7] = [
            |one| &mut one.may_lock_out,
            |one| &mut one.may_starve,
            |one| &mut one.may_isolate,
            |one| &mut one.may_restart,
            |one| &mut one.may_unprotect,
            |one| &mut one.may_reinstall,
            |one| &mut one.may_hide,
        ];
        for flag in flags {
            let mut meaning = base();
            *flag(&mut meaning) = true;
            assert!(meaning.is_destructive());
            assert_eq!(warnings(&of(meaning)), 1);
        }
    }

    #[test]
    fn only_what_is_lost_for_good_cannot_be_undone() {
        let of = |actions: &[Action]| {
            of(Meaning {
                actions: actions.to_vec(),
                may_unprotect: true,
                ..Meaning::default()
            })
        };
        let new_job = of(&[Action::BackupJob]);
        assert_eq!(new_job.harm, [""; 0]);
        assert_eq!(new_job.irreversible, ["Old backups may be removed."]);
        let job = of(&[Action::BackupJob, Action::BackupJobChange]);
        assert_eq!(job.harm, ["Guests may be left without backups."]);
        assert_eq!(job.irreversible, ["Old backups may be removed."]);
        let ha = of(&[Action::HighAvailability]);
        let without = ["The guest may be left without high availability."];
        assert_eq!(ha.harm, without);
        assert_eq!(ha.irreversible, [""; 0]);
    }

    #[test]
    fn a_sentence_fits_the_path() {
        let happens = |request: &str, action: Action| {
            let meaning = Meaning {
                actions: vec![action],
                ..Meaning::default()
            };
            at(request, &meaning).happens.concat()
        };
        let rule = "A firewall rule is removed.";
        let other = "A security group, alias or IP set of a firewall is removed.";
        for (path, expected) in [
            ("/cluster/firewall/rules/0", rule),
            ("/nodes/rules/qemu/100/firewall/rules/0", rule),
            ("/cluster/firewall/groups/web/0", rule),
            ("/cluster/firewall/groups/web", other),
            ("/cluster/firewall/aliases/web", other),
            ("/nodes/pve1/lxc/200/firewall/ipset/web", other),
        ] {
            let said = happens(&format!("DELETE {path}"), Action::FirewallDelete);
            assert_eq!(said, expected, "{path}");
        }
        for (request, expected) in [
            ("POST /cluster/firewall/groups/web", "A firewall rule is"),
            ("PUT /cluster/firewall/groups/web/0", "A firewall rule is"),
            ("POST /cluster/firewall/groups", "A security group,"),
            ("PUT /cluster/firewall/aliases/web", "A security group,"),
            ("POST /cluster/firewall/ipset/web", "A security group,"),
        ] {
            let said = happens(request, Action::FirewallRule);
            assert!(said.starts_with(expected), "{request}: {said}");
        }
        assert_eq!(
            happens("GET /nodes/pve1/query-url-metadata", Action::Download),
            "A node connects to a URL to read its metadata."
        );
        assert_eq!(
            happens("POST /nodes/pve1/storage/a/download-url", Action::Download),
            "A node downloads a file to a storage."
        );
    }
}
