//! Tests of refusals as instructions.

use pve_api::calls;

use super::{denied, lacking};
use crate::pve::failure::held::Held;
use crate::pve::failure::response::ErrorResponse;
use crate::pve::request::At;

fn held(paths: serde_json::Value) -> Held {
    Held::read(paths.as_object().unwrap())
}

fn refusal(message: &str) -> ErrorResponse {
    let request = calls::guests::CONFIG.qemu.at(["pve1", "100"]);
    let mut error = ErrorResponse::sample(request, 403, message);
    error.asked.token = "ai@pve!mcp".into();
    error
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
    error.asked.token = "root@pam!mcp".into();
    assert!(!denied(&error, "").contains("--users"));
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
    error.asked.request = calls::backup::RESTORE.qemu.at(["pve1"]);
    error.asked.sent = vec![
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
    let mut error = refusal("Permission check failed (/storage/local, Datastore.AllocateSpace)");
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
    error.asked.request = calls::guests::SET_CONFIG.qemu.at(["pve1", "100"]);
    error.asked.sent = vec![
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
    error.asked.request = calls::backup::RESTORE.qemu.at(["pve1"]);
    error.asked.sent = vec![("vmid".into(), "310".into())];
    let message = denied(&error, "permission check failed");
    assert!(message.contains("VM.Allocate on /vms/310"), "{message}");
    error.asked.request = calls::access::USERS.at([]);
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
fn the_row_says_what_an_unnamed_refusal_needs() {
    let lacks = |request, message: &str, sent: &[(&str, &str)]| {
        let mut error = ErrorResponse::sample(request, 403, message);
        let sent = sent
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        error.asked.sent = sent.collect();
        lacking(&error).unwrap_or_default()
    };
    let unnamed = "Permission check failed";
    let clone = || calls::guests::CLONE.lxc.at(["pve1", "100"]);
    let restore = || calls::backup::RESTORE.lxc.at(["pve1"]);
    let config = || calls::guests::SET_CONFIG.qemu.at(["pve1", "100"]);
    for (request, message, sent, expected) in [
        // A vmid is nearer than a pool, and of a clone's checks only one has an alternative.
        (
            clone(),
            unnamed,
            &[("newid", "310"), ("pool", "lab")] as &[_],
            "VM.Allocate on /vms/310",
        ),
        (
            clone(),
            "",
            &[("newid", "310"), ("storage", "bulk")],
            "VM.Clone on /vms/100 and VM.Allocate on /vms/310 and Datastore.AllocateSpace on \
             /storage/bulk",
        ),
        (
            restore(),
            unnamed,
            &[("vmid", "310"), ("storage", "bulk")],
            "VM.Allocate on /vms/310 and Datastore.AllocateSpace on /storage/bulk",
        ),
        (
            calls::nodes::DISKS.at(["pve1"]),
            unnamed,
            &[],
            "Sys.Audit on /nodes/pve1",
        ),
        (
            calls::storage::URL_METADATA.at(["pve1"]),
            unnamed,
            &[],
            "Sys.AccessNetwork on /nodes/pve1",
        ),
        (
            calls::storage::DOWNLOAD_URL.at(["pve1", "local"]),
            unnamed,
            &[],
            "Sys.AccessNetwork on /nodes/pve1",
        ),
        // The reason was lost: whatever the call needs.
        (
            calls::power::START.qemu.at(["pve1", "100"]),
            "",
            &[],
            "VM.PowerMgmt on /vms/100",
        ),
        (
            config(),
            "",
            &[("nameserver", ""), ("cores", "")],
            "VM.Config.CPU, VM.Config.Cloudinit on /vms/100",
        ),
        (
            calls::backup::CREATE.at(["pve1"]),
            "",
            &[("vmid", "100,101"), ("storage", "bulk")],
            "Datastore.AllocateSpace on /storage/bulk",
        ),
        // Not a check of privileges.
        (config(), "something else", &[], ""),
    ] {
        assert_eq!(lacks(request, message, sent), expected);
    }
}
