//! What a change does, in sentences for the user who is asked to consent to it.

use super::meaning::Meaning;
use super::request::ApiRequest;
use pve_api::Action;

/// What a change does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Consequences {
    /// What happens. Empty only for a request that changes nothing.
    pub happens: Vec<&'static str>,
    /// What is lost or interrupted by it, or can be, and comes back by no other request.
    /// Empty only for a change that is not destructive.
    pub lasting: Vec<&'static str>,
}

impl Consequences {
    /// What a request does that has this meaning.
    pub fn of(request: &ApiRequest, meaning: &Meaning) -> Self {
        let mut all = Self::default();
        let last = request.segments.last().map_or("", String::as_str);
        for action in &meaning.actions {
            add(&mut all.happens, happens(*action, last));
            add(&mut all.lasting, lasting(*action));
        }
        if !meaning.is_destructive() {
            return all;
        }
        for (may, what) in [
            (
                meaning.may_lock_out,
                "Connections to nodes may be cut off, with that of this server.",
            ),
            (
                meaning.may_starve,
                "With less memory than it uses, a running container loses processes at once.",
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
                meaning.may_unprotect,
                "Guests may be left without backups or high availability, and old backups may be \
                 removed.",
            ),
            (
                meaning.may_reinstall,
                "A guest that starts from this CD-ROM may overwrite its disks.",
            ),
            (
                meaning.may_hide,
                "Files below the path of the mounted volume are hidden.",
            ),
        ] {
            add(&mut all.lasting, may.then_some(what));
        }
        all
    }
}

fn add(all: &mut Vec<&'static str>, what: Option<&'static str>) {
    all.extend(what.filter(|what| !all.contains(what)));
}

/// What an action of a request does, whose path ends with `last`.
fn happens(action: Action, last: &str) -> Option<&'static str> {
    Some(match (action, last) {
        (Action::Read, _) => return None,
        (Action::Power, "resume") => "The guest resumes.",
        (Action::Power, _) => "The guest starts.",
        (Action::Shutdown, "shutdown") => "The guest is shut down.",
        (Action::Shutdown, "reboot") => "The guest is shut down and started again.",
        (Action::Shutdown, "suspend") => "The guest is suspended.",
        (Action::Shutdown, "migrate") => "The guest is restarted on the other node.",
        (Action::Shutdown, "vzdump") => "The guest is stopped or suspended for its backup.",
        (Action::Shutdown, _) => "Guests are shut down, restarted or suspended.",
        (Action::HardStop, "reset") => "The guest is reset without being asked.",
        (Action::HardStop, _) => "The guest is switched off without being asked.",
        (Action::Clone, _) => "A new guest is made as a copy of this one.",
        (Action::Create, _) => "A new guest is made.",
        (Action::Hardware, _) => "The guest's disks, network cards or CD-ROMs are changed.",
        (Action::Template, _) => "The guest becomes a template.",
        (Action::CloudInit, _) => "The guest's cloud-init settings are changed.",
        (Action::Resources, _) => "The guest's processors or memory are changed.",
        (Action::Options, _) => "The guest's options are changed.",
        (Action::Resize, _) => "A disk of the guest grows.",
        (Action::Migrate, _) => "The guest is moved to another node.",
        (Action::Snapshot, _) => "A snapshot of the guest is taken.",
        (Action::SnapshotDelete, _) => "A snapshot of the guest is removed.",
        (Action::Rollback, _) => "The guest goes back to a snapshot.",
        (Action::Backup, _) => "A backup is made.",
        (Action::BackupJob, _) => "A backup job is added or changed.",
        (Action::BackupJobChange, _) => "What a backup job does is changed.",
        (Action::Restore, _) => "A new guest is made from a backup.",
        (Action::FirewallRule, _) => "A firewall rule is added or changed.",
        (Action::FirewallDelete, _) => "A firewall rule is removed.",
        (Action::FirewallOptions, _) => "A firewall is switched, or its defaults are changed.",
        (Action::Download, _) => "A node connects to a URL, or downloads a file to a storage.",
        (Action::StopTask, _) => "A running task is aborted.",
        (Action::HighAvailability, _) => "What high availability does with the guest is changed.",
        (Action::GuestExec, _) => "A command runs inside the guest.",
    })
}

/// What of an action cannot be undone.
fn lasting(action: Action) -> Option<&'static str> {
    Some(match action {
        Action::Shutdown => "The guest's services are interrupted.",
        Action::HardStop => "What the guest has not yet written to its disks is lost.",
        Action::Rollback => "All that the guest has written since the snapshot is lost.",
        Action::SnapshotDelete => "A removed snapshot cannot be restored.",
        Action::FirewallDelete => {
            "Connections may be let through or cut off that were not. The rule has to be written \
             anew."
        }
        Action::StopTask => {
            "What the task has done so far is not undone: its work may be incomplete, and a guest \
             may stay locked."
        }
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
        let request = ApiRequest::parse("POST", "/api2/json/nodes/pve1/x", None, b"").unwrap();
        Consequences::of(&request, &meaning)
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
            assert_eq!(all.lasting.is_empty(), !is_destructive, "{name}");
        }
    }

    #[test]
    fn whatever_makes_a_change_destructive_is_said() {
        let base = || Meaning {
            actions: vec![Action::Options],
            ..Meaning::default()
        };
        assert_eq!(of(base()).lasting, [""; 0]);
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
            assert_eq!(of(meaning).lasting.len(), 1);
        }
    }
}
