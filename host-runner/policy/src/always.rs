//! What every use of a tool needs, by the call that it is for and the parameters that it
//! declares to send.
//!
//! Only what is sure to be checked counts, whatever the arguments are.

use pve_api::{Call, GuestCall, Method, Needs, Params, calls};

use crate::declared::{CDROM, alternatives};
use crate::purpose::Purpose;

const GUEST: &str = "/vms/{vmid}";
const STORAGE: &str = "/storage/{storage}";

const CONFIG_DISK: &str = "VM.Config.Disk";
const ALLOCATE_SPACE: &str = "Datastore.AllocateSpace";

/// What each request of a call needs, and the reads by which the tool gets there. With
/// `finds_guests`, the tool looks for its guest in a list of those that the token may see.
pub(crate) fn needs(purpose: Purpose<'_>, finds_guests: bool) -> Needs {
    let call = purpose.call;
    let mut all = Vec::new();
    // Of the privileges of all settings, only those of the declared ones count.
    if purpose.given.is_none() || !matches!(call.params(), Params::Config(_)) {
        all.extend(call.always_needs());
    }
    all.extend(call.needs_on_storages().map(|one| needs_one(one, STORAGE)));
    if let Some(given) = purpose.given {
        let kinds = alternatives(given).map(|names| of_settings(call, names));
        all.push(any_of(kinds.collect()));
    }
    if is_one_of(call, &calls::backup::RESTORE) {
        // Others do not see the backup.
        all.push(Needs::Any(vec![
            needs_one("VM.Backup", GUEST),
            needs_one("Datastore.Allocate", STORAGE),
        ]));
    }
    if DOWNLOADS.iter().any(|one| is(call, one)) {
        // Others do not see the storage.
        all.push(Needs::OneOf {
            privileges: vec!["Datastore.Audit", ALLOCATE_SPACE],
            path: STORAGE,
        });
    }
    let is_ha = HA.iter().any(|one| is(call, one));
    let is_about_guest =
        is_ha || call.path().contains("/{vmid}/") || is(call, &calls::backup::CREATE);
    if finds_guests && is_about_guest {
        all.push(needs_one("VM.Audit", GUEST));
    }
    all.extend(read_first(call).into_iter().flat_map(Call::always_needs));
    Needs::All(all)
}

/// The call whose answer tools need before another, without which they refuse to go on.
fn read_first(call: &Call) -> Option<&'static Call> {
    let is_one_of = |calls: &[&Call]| calls.iter().any(|one| is(call, one));
    if is_one_of(&JOBS) {
        return Some(&calls::cluster::BACKUP_JOBS);
    }
    if is(call, &calls::nodes::SYSLOG) {
        return Some(&calls::nodes::TIME);
    }
    is_one_of(&HA).then_some(&calls::cluster::HA_RESOURCES)
}

static DOWNLOADS: [&Call; 2] = [
    &calls::storage::DOWNLOAD_TEMPLATE,
    &calls::storage::DOWNLOAD_URL,
];

static JOBS: [&Call; 2] = [
    &calls::cluster::ADD_BACKUP_JOB,
    &calls::cluster::SET_BACKUP_JOB,
];

static HA: [&Call; 2] = [
    &calls::cluster::ADD_HA_RESOURCE,
    &calls::cluster::SET_HA_RESOURCE,
];

/// Alternatives. Those of one privilege on one path are one.
fn any_of(parts: Vec<Needs>) -> Needs {
    let mut names = Vec::new();
    for part in &parts {
        match part {
            Needs::OneOf { privileges, path } if *path == GUEST => {
                for name in privileges {
                    if !names.contains(name) {
                        names.push(*name);
                    }
                }
            }
            _ => return Needs::Any(parts),
        }
    }
    Needs::OneOf {
        privileges: names,
        path: GUEST,
    }
}

/// What a request with these parameters needs because of them.
fn of_settings<'a>(call: &Call, names: impl Iterator<Item = &'a str>) -> Needs {
    let mut all: Vec<Needs> = names.flat_map(|name| of_setting(call, name)).collect();
    match all.len() {
        1 => all.remove(0),
        _ => Needs::All(all),
    }
}

/// What Proxmox checks because of a parameter. Nothing where that depends on its value.
fn of_setting(call: &Call, name: &str) -> Vec<Needs> {
    let is_creation = call.method() == Method::Post;
    let config = match call.path().contains("/lxc") {
        true => &calls::guests::SET_CONFIG.lxc,
        false => &calls::guests::SET_CONFIG.qemu,
    };
    let privilege = match name {
        CDROM => Some("VM.Config.CDROM"),
        "boot" | "rootfs" => Some(CONFIG_DISK),
        _ => config.setting_privilege(&name.replace('#', "0")),
    };
    let mut needs: Vec<Needs> = privilege
        .into_iter()
        .map(|privilege| needs_one(privilege, GUEST))
        .collect();
    if name == "net#" {
        needs.push(needs_one("SDN.Use", "/sdn/zones/{zone}/{bridge}"));
    }
    // A volume that is added is new.
    if privilege == Some(CONFIG_DISK) && !is_creation {
        needs.push(needs_one(ALLOCATE_SPACE, STORAGE));
    }
    needs
}

fn needs_one(privilege: &'static str, path: &'static str) -> Needs {
    Needs::OneOf {
        privileges: vec![privilege],
        path,
    }
}

fn is_one_of(call: &Call, pair: &GuestCall) -> bool {
    is(call, &pair.qemu) || is(call, &pair.lxc)
}

fn is(call: &Call, other: &Call) -> bool {
    std::ptr::eq(call, other)
}
