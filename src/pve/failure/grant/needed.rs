//! Which privileges a refused call needs, and where.

use std::collections::BTreeSet;

use crate::pve::failure::response::ErrorResponse;

/// Privileges that are missing, on one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) privileges: Vec<String>,
    pub(super) path: String,
}

impl Wanted {
    /// `VM.Audit on /vms/100`.
    pub(super) fn label(&self) -> String {
        format!("{} on {}", self.privileges.join(", "), self.path)
    }
}

/// What a refusal names: `Permission check failed (/vms/100, VM.Audit)`.
pub(super) fn named(response: &ErrorResponse) -> Option<Wanted> {
    let (_, rest) = response.message.split_once('(')?;
    let (inside, _) = rest.rsplit_once(')')?;
    let (path, privileges) = inside.split_once(", ")?;
    let wanted = Wanted {
        privileges: least(privileges, response),
        path: match path {
            "" => "/".into(),
            path => path.into(),
        },
    };
    (wanted.path.starts_with('/') && !wanted.privileges.is_empty()).then_some(wanted)
}

/// What a call needs whose refusal names nothing: `Permission check failed`.
pub(super) fn unnamed(response: &ErrorResponse) -> Vec<Wanted> {
    let sent = |name: &str| {
        response
            .sent
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    let wanted = |privilege: &str, path: String| Wanted {
        privileges: vec![privilege.to_owned()],
        path,
    };
    let (method, path) = response.call.split_once(' ').unwrap_or_default();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    match (method, segments.as_slice()) {
        ("POST", ["nodes", _, "qemu" | "lxc"]) => {
            let Some(vmid) = sent("vmid") else {
                return Vec::new();
            };
            let mut all = vec![wanted("VM.Allocate", format!("/vms/{vmid}"))];
            if let Some(storage) = sent("storage") {
                all.push(wanted(
                    "Datastore.AllocateSpace",
                    format!("/storage/{storage}"),
                ));
            }
            all
        }
        ("POST", ["nodes", _, "qemu" | "lxc", _, "clone"]) => sent("newid")
            .map(|vmid| vec![wanted("VM.Allocate", format!("/vms/{vmid}"))])
            .unwrap_or_default(),
        ("GET", ["nodes", node, "query-url-metadata"])
        | ("POST", ["nodes", node, "storage", _, "download-url"]) => {
            vec![wanted("Sys.AccessNetwork", format!("/nodes/{node}"))]
        }
        ("GET", ["nodes", node, "disks", "list"]) => {
            vec![wanted("Sys.Audit", format!("/nodes/{node}"))]
        }
        (
            "GET",
            [
                "nodes",
                _,
                "qemu" | "lxc",
                vmid,
                "config" | "pending" | "status" | "snapshot",
                ..,
            ],
        ) if response.message.is_empty() => vec![wanted("VM.Audit", format!("/vms/{vmid}"))],
        ("POST", ["nodes", _, "qemu" | "lxc", vmid, "status", _])
            if response.message.is_empty() =>
        {
            vec![wanted("VM.PowerMgmt", format!("/vms/{vmid}"))]
        }
        _ => Vec::new(),
    }
}

/// Of several privileges, each of which is enough, the one that allows least.
/// A change of a configuration needs one for each kind of key.
fn least(privileges: &str, response: &ErrorResponse) -> Vec<String> {
    // Several with commas between them are all needed. The text comes from a
    // server, and the result goes into a command: nothing but names may.
    if privileges.contains(',') {
        return privileges
            .split(',')
            .flat_map(|one| least(one, response))
            .collect();
    }
    let is_name = |one: &str| {
        one.split('.')
            .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphabetic()))
    };
    if !privileges.split('|').all(|one| is_name(one.trim())) {
        return Vec::new();
    }
    let all: Vec<&str> = privileges
        .split('|')
        .map(str::trim)
        .filter(|one| !one.is_empty())
        .collect();
    if all.len() > 2 && all.iter().all(|one| one.starts_with("VM.Config.")) {
        let needed: BTreeSet<&str> = response
            .sent
            .iter()
            .filter_map(|(key, _)| config_privilege(key))
            .filter(|needed| all.contains(needed))
            .collect();
        if !needed.is_empty() {
            return needed.into_iter().map(str::to_owned).collect();
        }
    }
    all.into_iter()
        .min_by_key(|one| weight(one))
        .map(|one| vec![one.to_owned()])
        .unwrap_or_default()
}

fn weight(privilege: &str) -> u8 {
    let last = privilege.rsplit('.').next().unwrap_or_default();
    match last {
        "Audit" => 0,
        "FileRead" | "Use" => 1,
        "Console" | "Syslog" | "AccessNetwork" => 2,
        "Unrestricted" => 8,
        "Modify" | "Allocate" => 9,
        _ if privilege == "VM.Config.Options" => 3,
        _ => 4,
    }
}

/// What a key of a guest's configuration needs.
fn config_privilege(key: &str) -> Option<&'static str> {
    let name = key.trim_end_matches(|c: char| c.is_ascii_digit());
    Some(match name {
        "digest" | "delete" | "revert" | "background_delay" => return None,
        "cores" | "sockets" | "cpu" | "cpulimit" | "cpuunits" | "vcpus" | "numa" => "VM.Config.CPU",
        "memory" | "balloon" | "shares" | "swap" => "VM.Config.Memory",
        "net" | "hostname" | "nameserver" | "searchdomain" => "VM.Config.Network",
        "ciuser" | "cipassword" | "sshkeys" | "ipconfig" | "citype" | "ciupgrade" | "cicustom" => {
            "VM.Config.Cloudinit"
        }
        "scsi" | "virtio" | "sata" | "ide" | "efidisk" | "tpmstate" | "unused" | "rootfs"
        | "mp" => "VM.Config.Disk",
        "scsihw" | "machine" | "vga" | "serial" | "usb" | "audio" | "watchdog" | "tablet"
        | "hotplug" => "VM.Config.HWType",
        _ => "VM.Config.Options",
    })
}
