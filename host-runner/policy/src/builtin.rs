//! What no policy can allow.

use super::request::{ApiRequest, Verb};

/// Why the request is forbidden whatever the policy says, if it is.
pub(crate) fn forbids(request: &ApiRequest) -> Option<&'static str> {
    let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    let set = |name: &str| request.values(name).any(|value| value != "0");
    let writes = request.verb != Verb::Get;
    if request.verb == Verb::Delete {
        match segments.as_slice() {
            ["nodes", _, "qemu" | "lxc", _] => return Some("it would delete a guest"),
            ["storage", _] => return Some("it would remove a storage"),
            ["nodes", _, "storage", _, "content", ..] => return Some("it would delete a volume"),
            ["pools", ..] | ["cluster", "ha", ..] => {
                return Some("it would take guests out of a pool or out of high availability");
            }
            ["nodes", _, "disks", ..] => return Some("it would destroy what is on a node's disks"),
            ["nodes", _, "ceph", ..] => return Some("it would destroy what is on a storage"),
            ["nodes", _, "storage", _, "prunebackups"] => return Some("it would delete backups"),
            _ => {}
        }
    }
    match segments.as_slice() {
        ["access", "permissions"] if !writes => {}
        ["access", ..] if writes => return Some("it would change users, tokens or permissions"),
        // Tickets and tokens are secrets, even to read.
        ["access", "ticket" | "vncticket" | "openid" | "tfa", ..] => {
            return Some("it is about tickets");
        }
        _ => {}
    }
    match segments.as_slice() {
        ["nodes", _, "execute"] => return Some("it would run commands on a node"),
        [
            "nodes",
            _,
            "termproxy" | "vncshell" | "spiceshell" | "vncwebsocket",
            ..,
        ] => {
            return Some("it would open a shell on a node");
        }
        [
            "nodes",
            _,
            "qemu" | "lxc",
            _,
            "monitor" | "mtunnel" | "mtunnelwebsocket" | "remote_migrate",
            ..,
        ] => {
            return Some("it would reach beyond the guest or out of the cluster");
        }
        ["nodes", _, "qemu", _, "unlink"] => return Some("it would delete a guest's disk"),
        ["nodes", _, "qemu" | "lxc", _, "move_disk" | "move_volume"] if set("delete") => {
            return Some("it would delete the volume that a disk was on");
        }
        ["nodes", _, "disks", ..] if writes => {
            return Some("it would destroy what is on a node's disks");
        }
        ["nodes", _, "status" | "wakeonlan"] if writes => {
            return Some("it would switch a node");
        }
        _ => {}
    }
    if writes && (set("skiplock") || set("force")) {
        return Some("it would overwrite a guest, or ignore its lock");
    }
    if writes && (set("purge") || set("destroy-unreferenced-disks")) {
        return Some("it would delete disks");
    }
    if let ["nodes", _, "qemu" | "lxc", _, "config"] = segments.as_slice()
        && writes
        && let Some(reason) = forbids_config(request)
    {
        return Some(reason);
    }
    None
}

/// Taking a disk out of a configuration deletes it, and some settings run
/// things on the node.
fn forbids_config(request: &ApiRequest) -> Option<&'static str> {
    let removed = ["delete", "revert"]
        .into_iter()
        .flat_map(|name| request.values(name))
        .flat_map(|value| {
            value.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'))
        });
    if removed.into_iter().any(is_disk) {
        return Some("it would delete a guest's disk");
    }
    for (name, _) in &request.params {
        if is_disk(name) {
            return Some("it would replace a guest's disk");
        }
        if matches!(name.as_str(), "args" | "hookscript") || name.starts_with("lxc") {
            return Some("it would run commands on a node");
        }
    }
    None
}

fn is_disk(key: &str) -> bool {
    let name = key.trim_end_matches(|c: char| c.is_ascii_digit());
    matches!(key, "rootfs" | "vmstate")
        || name.len() < key.len()
            && matches!(
                name,
                "scsi" | "virtio" | "sata" | "ide" | "unused" | "mp" | "efidisk" | "tpmstate"
            )
}
