//! What a request does besides its call's action, by its parameters.
//!
//! [`Effect`] documents what Proxmox does. This module says how the policy judges it.
//!
//! The values have the form that the table of calls gives them.

use pve_api::grammar::{flag, list};
use pve_api::text::whole;
use pve_api::{Action, Effect, Method};

use super::meaning::Meaning;
use super::request::ApiRequest;

/// The shortest time for a container's reboot, which is Proxmox's default: a
/// container that takes longer is killed.
const REBOOT_SECONDS: u64 = 60;

/// Adds to the meaning of a request what an effect of its call comes to.
pub(crate) fn apply(effect: Effect, request: &ApiRequest, meaning: &mut Meaning) {
    match effect {
        Effect::Shutdown => shutdown(request, meaning),
        Effect::ContainerReboot => container_reboot(request, meaning),
        Effect::Suspend => {
            meaning.unnamed_storage = is_on(request, "todisk") && !has(request, "statestorage");
        }
        Effect::Snapshot => meaning.unnamed_storage = is_on(request, "vmstate"),
        Effect::Storage => meaning.unnamed_storage = !has(request, "storage"),
        Effect::Backup => backup(request, meaning),
        Effect::BackupJob => backup_job(request, meaning),
        Effect::HaState => ha_state(request, meaning),
        Effect::Migrate => migrate(request, meaning),
        Effect::NodeFirewall => meaning.may_lock_out = may_cut_off(request),
        Effect::GuestFirewall => meaning.may_isolate = may_cut_off(request),
    }
}

/// One that may be forced is a hard stop. Whether the guest is under high availability
/// is not in the request, so that is left to the directory, but for a timeout of 0.
fn shutdown(request: &ApiRequest, meaning: &mut Meaning) {
    if is_on(request, "forceStop") || seconds(request) == Some(0) {
        meaning.act(Action::HardStop);
    } else {
        meaning.forced_by_ha = true;
    }
}

/// With less than the default time, it counts as a hard stop.
fn container_reboot(request: &ApiRequest, meaning: &mut Meaning) {
    if seconds(request).is_some_and(|seconds| seconds < REBOOT_SECONDS) {
        meaning.act(Action::HardStop);
    }
}

/// In another mode than `snapshot`, it counts as a shutdown, too.
fn backup(request: &ApiRequest, meaning: &mut Meaning) {
    meaning.unnamed_storage = !has(request, "storage");
    if request.values("mode").any(|mode| mode != "snapshot") {
        meaning.act(Action::Shutdown);
    }
}

/// As [`backup`]. Which guests a job has selected, and when it ran, is not known here,
/// so each change but that of the comment may leave some without backups. A new job may
/// also cost old backups: where another job prunes, its retention counts those of both.
fn backup_job(request: &ApiRequest, meaning: &mut Meaning) {
    if request.values("mode").any(|mode| mode != "snapshot") {
        meaning.act(Action::Shutdown);
    }
    meaning.may_unprotect = !changes_comment_alone(request);
    if request.method == Method::Put && meaning.may_unprotect {
        meaning.act(Action::BackupJobChange);
    }
}

/// A guest may be started, or stopped without its consent. What high availability did for
/// it before is not known here, so each change but that of the comment may leave it
/// without that.
fn ha_state(request: &ApiRequest, meaning: &mut Meaning) {
    let sets = |state: &str| request.values("state").any(|one| one == state);
    if sets("started") {
        meaning.act(Action::Power);
    }
    if sets("stopped") || sets("disabled") {
        meaning.act(Action::HardStop);
    }
    meaning.may_unprotect = request.method == Method::Put && !changes_comment_alone(request);
}

/// Whether a change is one of a comment and nothing else.
fn changes_comment_alone(request: &ApiRequest) -> bool {
    let is_idle = |(name, _): &(String, String)| matches!(name.as_str(), "comment" | "digest");
    request.method == Method::Put && request.params.iter().all(is_idle)
}

/// Where all volumes go is named only by a storage alone (`nas`, not `local:nas`): a
/// map of storages may lack an entry. Only a live migration without local disks moves
/// none. Whether high availability migrates the guest is left to the directory.
fn migrate(request: &ApiRequest, meaning: &mut Meaning) {
    if is_on(request, "restart") {
        meaning.act(Action::Shutdown);
    }
    meaning.may_restart = is_of_container(request);
    let moves_none = is_on(request, "online") && !is_on(request, "with-local-disks");
    let entries: Vec<&str> = ["targetstorage", "target-storage"]
        .into_iter()
        .flat_map(|name| request.values(name))
        .flat_map(list)
        .collect();
    let same = entries.contains(&"1");
    let names_all = entries.iter().any(|entry| !entry.contains(':'));
    let leaves_none = entries.is_empty() && moves_none;
    meaning.unnamed_storage = same || !(names_all || leaves_none);
    meaning.storage_left_to_ha = true;
}

/// Whether a change of a firewall may cut off connections, which removals count as by
/// their action. What the other rules, aliases and sets are is not known here, so only
/// what cannot cut off whatever they are is left out.
fn may_cut_off(request: &ApiRequest) -> bool {
    let (is_of_guest, path) = match request.segments.as_slice() {
        [first, _, path @ ..] if first == "cluster" => (false, path),
        [_, _, third, path @ ..] if third == "firewall" => (false, path),
        [_, _, _, _, _, path @ ..] => (true, path),
        _ => return true,
    };
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match (request.method, path.as_slice()) {
        (_, ["options"]) => request
            .params
            .iter()
            .any(|(name, value)| option(name, value)),
        (Method::Post, ["rules"] | ["groups", _]) => new_rule(request),
        (Method::Put, ["rules", _] | ["groups", _, _]) => changed_rule(request),
        // A new group or set is empty. A renamed one may be that which a rule names.
        (Method::Post, ["groups"]) => renames(request, "group"),
        // An empty set may hide one of the cluster with the same name, and
        // `ipfilter-net0` lets no address of that card out.
        (Method::Post, ["ipset"]) => {
            renames(request, "name") || (is_of_guest && !has(request, "rename"))
        }
        // A rule may name an alias that there was none of, and Proxmox skips it until then.
        _ => true,
    }
}

/// Whether a value of an option may cut off.
fn option(name: &str, value: &str) -> bool {
    match name {
        "policy_in" | "policy_out" | "policy_forward" => value != "ACCEPT",
        // These let something through that would be dropped.
        "dhcp" | "ndp" | "radv" | "nf_conntrack_allow_invalid" => flag(value) != Some(true),
        // They log, or drop only packets that no program sends.
        "digest" | "log_nf_conntrack" | "nosmurfs" | "tcpflags" => false,
        _ if name.contains("log_level") => false,
        "enable" | "ebtables" | "ipfilter" | "macfilter" | "protection_synflood" => {
            flag(value) != Some(false)
        }
        _ => true,
    }
}

/// One that is off does nothing, and Proxmox adds a rule without `enable` switched off.
fn new_rule(request: &ApiRequest) -> bool {
    let is = |name: &str, value: &str| request.values(name).any(|one| one == value);
    // The action of a rule for a security group is the group's name.
    is_on(request, "enable") && (is("type", "group") || !is("action", "ACCEPT"))
}

/// Whether a rule accepts or drops, and whether it is on, is not known.
fn changed_rule(request: &ApiRequest) -> bool {
    let is_idle = |(name, value): &(String, String)| match name.as_str() {
        "comment" | "log" | "digest" => true,
        "delete" => list(value).all(|name| matches!(name, "comment" | "log")),
        _ => false,
    };
    !request.params.iter().all(is_idle)
}

/// Whether a group or set gets another name. With its own, only its comment changes.
fn renames(request: &ApiRequest, new: &str) -> bool {
    let name: Vec<&str> = request.values(new).collect();
    request.values("rename").any(|old| name != [old])
}

/// Whether the path is that of a container: `/nodes/{node}/lxc/{vmid}`.
pub(crate) fn is_of_container(request: &ApiRequest) -> bool {
    request.segments.get(2).is_some_and(|kind| kind == "lxc")
}

fn is_on(request: &ApiRequest, name: &str) -> bool {
    request.values(name).any(|value| flag(value) != Some(false))
}

fn has(request: &ApiRequest, name: &str) -> bool {
    request.values(name).next().is_some()
}

fn seconds(request: &ApiRequest) -> Option<u64> {
    request.values("timeout").find_map(whole)
}
