//! What no policy can allow.
//!
//! Requests that do harm, by path and by parameter, whatever the table of calls
//! says. Requests that are not in the table are refused too: see
//! [`super::Policy::decide`].

use pve_api::Method;
use pve_api::grammar::flag;

use super::address;
use super::hardware::is_disk;
use super::request::ApiRequest;

/// Why the request is forbidden whatever the policy says, if it is.
pub(crate) fn forbids(request: &ApiRequest) -> Option<&'static str> {
    let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    let writes = request.method != Method::Get;
    if request.method == Method::Delete
        && let Some(reason) = forbids_deletion(&segments)
    {
        return Some(reason);
    }
    if let Some(reason) = forbids_path(&segments, writes, request) {
        return Some(reason);
    }
    if let Some(reason) = request.values("url").find_map(address::forbids) {
        return Some(reason);
    }
    if !writes {
        return None;
    }
    if let Some(reason) = request
        .params
        .iter()
        .find_map(|(name, value)| forbids_param(name, value))
    {
        return Some(reason);
    }
    if let ["nodes", _, "qemu" | "lxc", _, "config"] = segments.as_slice() {
        return forbids_config(request);
    }
    None
}

fn forbids_deletion(segments: &[&str]) -> Option<&'static str> {
    Some(match segments {
        ["nodes", _, "qemu" | "lxc", _] => "it would delete a guest",
        ["storage", _] => "it would remove a storage",
        ["nodes", _, "storage", _, "content", ..] => "it would delete a volume",
        ["nodes", _, "storage", _, "prunebackups"] => "it would delete backups",
        ["nodes", _, "disks", ..] => "it would destroy what is on a node's disks",
        ["nodes", _, "ceph", ..] => "it would destroy what is on a storage",
        ["nodes", _] => "it would remove a node",
        _ => return None,
    })
}

fn forbids_path(segments: &[&str], writes: bool, request: &ApiRequest) -> Option<&'static str> {
    const NODE: &str = "it would change a node, or what runs on it";
    const FETCH: &str = "it would make a node connect to any address";
    const CLUSTER: &str = "it would change the cluster's configuration";
    Some(match segments {
        ["access", "permissions"] if !writes => return None,
        ["access", ..] if writes => "it would change users, tokens or permissions",
        // Tickets and tokens are secrets, even to read.
        ["access", "ticket" | "vncticket" | "openid" | "tfa", ..]
        | ["access", "users", _, "tfa", ..] => "it would read or create login tickets",
        // Reads that make a node connect to whatever address they name.
        ["cluster", "acme", "meta" | "tos"] | ["nodes", _, "query-oci-repo-tags"] => FETCH,
        ["nodes", _, "scan", kind, ..] if !matches!(*kind, "lvm" | "lvmthin" | "zfs") => FETCH,
        ["nodes", _, "execute"] => "it would run commands on a node",
        [
            "nodes",
            _,
            "termproxy" | "vncshell" | "spiceshell" | "vncwebsocket",
            ..,
        ] => "it would open a shell on a node",
        [
            "nodes",
            _,
            "qemu" | "lxc",
            _,
            "monitor" | "mtunnel" | "mtunnelwebsocket" | "remote_migrate" | "termproxy"
            | "vncproxy" | "vncwebsocket" | "spiceproxy",
            ..,
        ] => "it would reach beyond the guest or out of the cluster",
        ["nodes", _, "qemu" | "lxc", _, "unlink"] => "it would delete a guest's disk",
        ["nodes", _, "qemu" | "lxc", _, "move_disk" | "move_volume"]
            if is_set(request, "delete") =>
        {
            "it would delete the volume that a disk was on"
        }
        ["nodes", _, "disks" | "ceph", ..] if writes => {
            "it would destroy what is on a node's disks"
        }
        ["nodes", _, "status" | "wakeonlan"] if writes => {
            "it would shut down, reboot or wake a node"
        }
        // All guests of a node at once, whoever's they are.
        [
            "nodes",
            _,
            "stopall" | "startall" | "suspendall" | "migrateall",
        ]
        | ["cluster", "bulk-action", ..]
            if writes =>
        {
            "it would start, stop, suspend or migrate all guests of a node"
        }
        ["nodes", _, "replication", ..] | ["cluster", "replication", ..] if writes => {
            "it would change replication jobs, or delete replicated data"
        }
        ["nodes", _, "services", ..] if writes => {
            "it would start, stop or restart a service of a node"
        }
        [
            "nodes",
            _,
            "apt" | "certificates" | "config" | "dns" | "hosts" | "network" | "sdn"
            | "subscription" | "time" | "capabilities" | "hardware" | "scan",
            ..,
        ] if writes => NODE,
        ["nodes", _] | ["nodes"] if writes => NODE,
        ["pools", ..] if writes => "it would change pools, which may decide the scope",
        ["cluster", "ha", "resources"] if request.method == Method::Post => return None,
        ["cluster", "ha", "resources", _] if request.method == Method::Put => return None,
        ["cluster", "ha", ..] if writes => "it would change high availability",
        ["cluster", "backup"] if request.method == Method::Post && keeps_all(request) => {
            return None;
        }
        ["cluster", "backup", _]
            if request.method == Method::Put && (keeps_all(request) || prunes_no_more(request)) =>
        {
            return None;
        }
        ["cluster", "backup" | "backup-info" | "jobs", ..] if writes => {
            "it would change which backups are made, and which are deleted"
        }
        [
            "cluster",
            "config" | "options" | "acme" | "ceph" | "mapping" | "metrics" | "notifications"
            | "sdn" | "qemu",
            ..,
        ] if writes => CLUSTER,
        ["storage", ..] if writes => "it would change a storage",
        _ => return None,
    })
}

/// The one retention that deletes nothing.
const KEEP_ALL: &str = "keep-all=1";

/// Whether a backup job keeps all backups after the request. Each run of any other
/// job deletes what its retention, or else that of its storage or node, does not
/// keep of the guests that it selects, whoever made these backups. So a new job, other guests, another
/// storage or schedule, and a job that is enabled again may each delete backups
/// that would have stayed.
fn keeps_all(request: &ApiRequest) -> bool {
    let mut values = request.values("prune-backups");
    values.next() == Some(KEEP_ALL) && values.next().is_none()
}

/// Whether a change of a backup job has no part in what its runs delete, but that
/// there may be none.
fn prunes_no_more(request: &ApiRequest) -> bool {
    request
        .params
        .iter()
        .all(|(name, value)| match name.as_str() {
            "comment" | "mode" => true,
            "enabled" => flag(value) == Some(false),
            _ => false,
        })
}

/// What some parameters do, whatever request they are in. Each is absent by
/// default, or off; the defaults that do harm are required values in the table.
fn forbids_param(name: &str, value: &str) -> Option<&'static str> {
    if flag(value) == Some(false) {
        return None;
    }
    Some(match name {
        "skiplock" | "force" => "it would overwrite a guest, or ignore its lock",
        "purge" | "destroy-unreferenced-disks" => "it would delete disks",
        "prune-backups" if value == KEEP_ALL => return None,
        "remove" | "prune-backups" | "maxfiles" => "it would delete old backups",
        "args" | "hookscript" | "script" | "tmpdir" | "dumpdir" => {
            "it would run commands on a node"
        }
        "lock" => "it would set a guest's lock",
        "template" if flag(value) == Some(true) => {
            "it would permanently convert a guest to a template"
        }
        "migratedfrom" | "stateuri" | "migration_network" | "migration_type" | "nocheck"
        | "keepActive" => "only Proxmox nodes themselves may set it",
        name if name.starts_with("lxc") => "it would run commands on a node",
        _ => return None,
    })
}

/// Taking a disk out of a configuration deletes it. What is put into one is
/// judged in [`super::hardware`].
fn forbids_config(request: &ApiRequest) -> Option<&'static str> {
    let removed = ["delete", "revert"]
        .into_iter()
        .flat_map(|name| request.values(name))
        .flat_map(|value| {
            value.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'))
        });
    removed
        .into_iter()
        .any(is_disk)
        .then_some("it would delete a guest's disk")
}

fn is_set(request: &ApiRequest, name: &str) -> bool {
    request.values(name).any(|value| flag(value) != Some(false))
}
