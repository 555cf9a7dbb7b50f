//! A refusal for want of a privilege, as commands that grant it.
//!
//! A privilege-separated token may do what both it and its user may. Who lacks
//! a privilege does not show in a refusal, so the commands are for both. An
//! entry of the access list replaces what is inherited from the paths above
//! it, and what groups have on the same path. The role that is granted holds
//! what the token has there already, so that the token loses nothing. What its
//! user has is not told to a token: the words say what may be lost.

use std::collections::BTreeSet;

use super::response::ErrorResponse;

/// What a refusal is about.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    privileges: Vec<String>,
    path: String,
}

/// `Permission check failed (/vms/100, VM.Audit)` as an instruction.
pub(super) fn denied(error: &ErrorResponse, said: &str) -> String {
    let token = &error.token;
    let inside = error
        .message
        .split_once('(')
        .and_then(|(_, rest)| rest.rsplit_once(')'))
        .map(|(inside, _)| inside);
    if is_for_root(&error.message) {
        return format!(
            "only root@pam itself may do this ({said}): no API token can, so leave it out, or do \
             it in the web interface or in the node's shell"
        );
    }
    let named = inside
        .and_then(|inside| inside.split_once(", "))
        .map(|(path, privileges)| Wanted {
            privileges: least(privileges, error),
            path: match path {
                "" => "/".into(),
                path => path.into(),
            },
        })
        .filter(|wanted| wanted.path.starts_with('/') && !wanted.privileges.is_empty());
    let (wanted, sure) = match named {
        Some(wanted) => (vec![wanted], true),
        None => (unnamed(error), false),
    };
    if wanted.is_empty() {
        return format!(
            "the token {token} may not do this ({said}), and Proxmox does not say which privilege \
             it lacks: a privilege-separated token needs its own permissions, under Datacenter, \
             Permissions, and has at most those of its user"
        );
    }
    let lacks: Vec<String> = wanted
        .iter()
        .map(|wanted| format!("{} on {}", wanted.privileges.join(", "), wanted.path))
        .collect();
    let lacks = if sure {
        format!("the token {token} lacks {}", lacks.join(" and "))
    } else {
        format!(
            "the token {token} may not do this ({said}); this call needs {}",
            lacks.join(" and ")
        )
    };
    let commands: Vec<String> = wanted
        .iter()
        .map(|wanted| commands(wanted, error))
        .collect();
    format!(
        "{lacks}: as root on a node, run {}",
        commands.join("; then ")
    )
}

/// Whether only root@pam may do it, and no token at all.
fn is_for_root(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("only root") || message.contains("root@pam")
}

fn commands(wanted: &Wanted, error: &ErrorResponse) -> String {
    let at_root = wanted.path == "/";
    let held = match &error.held {
        // Entries of one path add up, and there is no path above this one.
        Some(held) if !at_root => held
            .on(&wanted.path)
            .into_iter()
            .filter(|privilege| matters(privilege, &wanted.path))
            .collect(),
        _ => Vec::new(),
    };
    let mut privileges: BTreeSet<&str> = wanted.privileges.iter().map(String::as_str).collect();
    let fresh = privileges.len();
    privileges.extend(held);
    let role = role(&privileges);
    let kept = if privileges.len() > fresh {
        "; the role also contains what the token has there now, which the new entry replaces"
    } else {
        ""
    };
    let path = quote(&wanted.path);
    let add = format!(
        "`pveum role add {role} --privs {}` (skip it where the role exists already{kept})",
        privileges.into_iter().collect::<Vec<_>>().join(",")
    );
    let Some((user, name)) = error.token.split_once('!') else {
        return format!(
            "{add}; {}; then run `pveum acl modify {path} --roles {role}` with --tokens or --users \
             for the token in use",
            careful("its", &wanted.path, "pveum user permissions")
        );
    };
    let for_token = format!(
        "`pveum acl modify {path} --tokens {} --roles {role}`",
        quote(&error.token)
    );
    let for_token = if error.held.is_none() && !at_root {
        let look = format!(
            "pveum user token permissions {} {}",
            quote(user),
            quote(name)
        );
        format!(
            "{}; then run {for_token}",
            careful("the token's", &wanted.path, &look)
        )
    } else {
        for_token
    };
    // root@pam has all privileges.
    if user == "root@pam" {
        return format!("{add} and {for_token}");
    }
    format!(
        "{add} and {for_token}; if the call is refused again, the user lacks it too, and a token has \
         at most its user's rights: {}; then run `pveum acl modify {path} --users {} --roles {role}` \
         (this alone where the token is not privilege-separated)",
        careful(
            &format!("{user}'s"),
            &wanted.path,
            &format!("pveum user permissions {}", quote(user))
        ),
        quote(user),
    )
}

/// What an entry of the access list may take away, and how to see it before:
/// a token cannot.
fn careful(whose: &str, path: &str, look: &str) -> String {
    let from = if path == "/" {
        "from groups"
    } else {
        "from groups and from the paths above"
    };
    format!(
        "first look with {look} --path {}, since an entry on {path} replaces {whose} roles {from}: \
         to keep those (pveum acl list shows them), name them in --roles as well",
        quote(path)
    )
}

/// Whether a privilege means anything on a path: those of guests nothing on a
/// storage, for example.
fn matters(privilege: &str, path: &str) -> bool {
    let families: &[&str] = match path.split('/').nth(1) {
        Some("vms") => &["VM.", "Permissions."],
        Some("storage") => &["Datastore.", "Permissions."],
        Some("nodes") => &["Sys.", "Permissions."],
        Some("sdn") => &["SDN.", "Permissions."],
        Some("mapping") => &["Mapping.", "Permissions."],
        _ => return true,
    };
    families.iter().any(|family| privilege.starts_with(family))
}

/// A name that tells what the role holds, so that a role of this name is the
/// same wherever it was made.
fn role(privileges: &BTreeSet<&str>) -> String {
    let plain =
        |text: &str| -> String { text.chars().filter(char::is_ascii_alphanumeric).collect() };
    if privileges.len() <= 2 {
        let names: Vec<String> = privileges.iter().map(|one| plain(one)).collect();
        return format!("MCP{}", names.join("_"));
    }
    let hash = privileges
        .iter()
        .flat_map(|one| one.bytes().chain([0]))
        .fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
    format!("MCPRole{hash:08x}")
}

/// Of several privileges, each of which is enough, the one that allows least.
/// A change of a configuration needs one for each kind of key.
fn least(privileges: &str, error: &ErrorResponse) -> Vec<String> {
    // Several with commas between them are all needed. The text comes from a
    // server, and the result goes into a command: nothing but names may.
    if privileges.contains(',') {
        return privileges
            .split(',')
            .flat_map(|one| least(one, error))
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
        let needed: BTreeSet<&str> = error
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

/// What a call needs whose refusal names nothing: `Permission check failed`.
fn unnamed(error: &ErrorResponse) -> Vec<Wanted> {
    let sent = |name: &str| {
        error
            .sent
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    let wanted = |privilege: &str, path: String| Wanted {
        privileges: vec![privilege.to_owned()],
        path,
    };
    let (method, path) = error.call.split_once(' ').unwrap_or_default();
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
        ) if error.message.is_empty() => vec![wanted("VM.Audit", format!("/vms/{vmid}"))],
        ("POST", ["nodes", _, "qemu" | "lxc", vmid, "status", _]) if error.message.is_empty() => {
            vec![wanted("VM.PowerMgmt", format!("/vms/{vmid}"))]
        }
        _ => Vec::new(),
    }
}

/// A word for a shell.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '@' | '.' | '_' | '/' | '-');
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::super::held::Held;
    use super::*;

    fn held(paths: serde_json::Value) -> Held {
        Held::read(paths.as_object().unwrap())
    }

    fn refusal(message: &str) -> ErrorResponse {
        ErrorResponse {
            call: "GET /nodes/pve1/qemu/100/config".into(),
            status: 403,
            message: message.into(),
            token: "ai@pve!mcp".into(),
            ..ErrorResponse::default()
        }
    }

    #[test]
    fn commands_are_for_the_token_and_its_user() {
        let mut error = refusal("Permission check failed (/vms/100, VM.Audit)");
        error.held = Some(Held::default());
        assert_eq!(
            denied(&error, ""),
            "the token ai@pve!mcp lacks VM.Audit on /vms/100: as root on a node, run `pveum role \
             add MCPVMAudit --privs VM.Audit` (skip it where the role exists already) and `pveum acl \
             modify /vms/100 --tokens 'ai@pve!mcp' --roles MCPVMAudit`; if the call is refused \
             again, the user lacks it too, and a token has at most its user's rights: first look \
             with pveum user permissions ai@pve --path /vms/100, since an entry on /vms/100 replaces ai@pve's roles from groups \
             and from the paths above: to keep those (pveum acl list shows them), name them in \
             --roles as well; then run `pveum acl modify /vms/100 --users ai@pve --roles MCPVMAudit` \
             (this alone where the token is not privilege-separated)"
        );
        let root = ErrorResponse {
            token: "root@pam!mcp".into(),
            ..error
        };
        assert!(!denied(&root, "").contains("--users"));
    }

    #[test]
    fn what_the_token_has_on_the_path_is_kept() {
        let mut error = refusal("Permission check failed (/vms/100, VM.PowerMgmt)");
        error.held = Some(held(serde_json::json!({
            "/vms": {"VM.Audit": 1, "VM.Console": 1}, "/storage": {"Datastore.Audit": 1},
        })));
        let message = denied(&error, "");
        assert!(
            message.contains("--privs VM.Audit,VM.Console,VM.PowerMgmt"),
            "{message}"
        );
        // Each path of a call that names none, too.
        error.message = "Permission check failed".into();
        error.call = "POST /nodes/pve1/qemu".into();
        error.sent = vec![
            ("vmid".into(), "310".into()),
            ("storage".into(), "bulk".into()),
        ];
        let message = denied(&error, "");
        for kept in [
            "--privs VM.Allocate,VM.Audit,VM.Console`",
            "--privs Datastore.AllocateSpace,Datastore.Audit`",
        ] {
            assert!(message.contains(kept), "{message}");
        }
    }

    #[test]
    fn what_means_nothing_on_the_path_is_left_out() {
        let mut error =
            refusal("Permission check failed (/storage/local, Datastore.AllocateSpace)");
        error.held = Some(held(serde_json::json!({
            "/": {"VM.Audit": 1, "Sys.Audit": 1, "Datastore.Audit": 1},
        })));
        let message = denied(&error, "");
        assert!(
            message.contains("--privs Datastore.AllocateSpace,Datastore.Audit`"),
            "{message}"
        );
    }

    #[test]
    fn entries_of_the_root_add_up() {
        let mut error = refusal("Permission check failed (/, Sys.Modify)");
        error.held = Some(held(serde_json::json!({"/": {"Sys.Audit": 1}})));
        let message = denied(&error, "");
        assert!(message.contains("--privs Sys.Modify`"), "{message}");
        assert!(!message.contains("paths above"), "{message}");
    }

    #[test]
    fn what_a_line_may_take_away_is_said() {
        let mut error = refusal("Permission check failed (/vms/100, VM.PowerMgmt)");
        let message = denied(&error, "");
        assert!(message.contains("replaces the token's roles"), "{message}");
        assert!(message.contains("replaces ai@pve's roles"), "{message}");
        // Before the line that does it.
        for (warning, line) in [
            (
                "user token permissions ai@pve mcp --path /vms/100",
                "--tokens",
            ),
            ("user permissions ai@pve --path /vms/100", "--users"),
        ] {
            assert!(message.find(warning).unwrap() < message.find(line).unwrap());
        }
        error.held = Some(held(serde_json::json!({})));
        let message = denied(&error, "");
        assert!(!message.contains("the token's roles"), "{message}");
    }

    #[test]
    fn only_names_of_privileges_get_into_a_command() {
        let message = denied(
            &refusal("Permission check failed (/vms/9, VM.PowerMgmt, VM.Console)"),
            "",
        );
        assert!(
            message.contains("--privs VM.Console,VM.PowerMgmt`"),
            "{message}"
        );
        for privileges in ["VM.PowerMgmt;reboot", "VM.Audit|$(reboot)", "VM. Audit`x`"] {
            let text = format!("Permission check failed (/vms/9, {privileges})");
            let message = denied(&refusal(&text), "");
            assert!(!message.contains("pveum"), "{message}");
        }
    }

    #[test]
    fn the_least_of_several_is_enough() {
        for (inside, wants) in [
            (
                "/vms/9, VM.GuestAgent.Audit|VM.GuestAgent.Unrestricted",
                "VM.GuestAgent.Audit",
            ),
            (
                "/storage/a, Datastore.AllocateSpace|Datastore.Audit",
                "Datastore.Audit",
            ),
            (
                "/vms/9, VM.GuestAgent.Unrestricted|VM.GuestAgent.FileRead",
                "VM.GuestAgent.FileRead",
            ),
        ] {
            let message = denied(&refusal(&format!("Permission check failed ({inside})")), "");
            assert!(message.contains(&format!("--privs {wants}`")), "{message}");
        }
    }

    #[test]
    fn a_change_of_the_configuration_needs_what_its_keys_need() {
        let mut error = refusal(
            "Permission check failed (/vms/100, VM.Config.Disk|VM.Config.CPU|VM.Config.Memory)",
        );
        error.sent = vec![
            ("memory".into(), String::new()),
            ("cores".into(), String::new()),
            ("digest".into(), String::new()),
        ];
        let message = denied(&error, "");
        assert!(
            message.contains("--privs VM.Config.CPU,VM.Config.Memory`"),
            "{message}"
        );
    }

    #[test]
    fn refusals_without_a_name_are_known_by_their_call() {
        let mut error = refusal("Permission check failed");
        error.call = "POST /nodes/pve1/qemu".into();
        error.sent = vec![("vmid".into(), "310".into())];
        let message = denied(&error, "permission check failed");
        assert!(message.contains("VM.Allocate on /vms/310"), "{message}");
        error.call = "GET /unknown".into();
        let message = denied(&error, "permission check failed");
        assert!(!message.contains("pveum"), "{message}");
        for root in [
            "Permission check failed (user != root@pam)",
            "Permission check failed (changing feature flags (except nesting) is only allowed for root@pam)",
        ] {
            let message = denied(&refusal(root), "");
            assert!(message.contains("no API token can"), "{message}");
        }
    }

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(quote("/vms/100"), "/vms/100");
        assert_eq!(quote(r"LAB\joe@ad!x"), r"'LAB\joe@ad!x'");
        assert_eq!(quote("a'b"), r"'a'\''b'");
    }
}
