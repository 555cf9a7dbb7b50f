//! Rules of the operator against each other and against what is built in.

use super::*;

/// An expert's rule allows neither harmful requests nor requests whose effect is
/// unknown.
#[test]
fn no_rule_allows_what_is_built_in() {
    let mut policy = Policy::preset(Preset::Admin);
    policy.allow = vec!["* /**".parse().unwrap()];
    for (method, path, body) in [
        ("POST", "/nodes/pve1/vzdump", "vmid=100&remove=1"),
        ("POST", "/nodes/pve1/vzdump", "vmid=100&mode=snapshot"),
        (
            "POST",
            "/nodes/pve1/vzdump",
            "vmid=100&remove=0&mode=snapshot&stop=1",
        ),
        (
            "PUT",
            "/nodes/pve1/qemu/100/config",
            "hookscript=local:snippets/a",
        ),
        ("PUT", "/nodes/pve1/qemu/100/config", "args=-x"),
        ("PUT", "/nodes/pve1/qemu/100/config", "delete=net0"),
        ("PUT", "/nodes/pve1/qemu/100/config", "vmstatestorage=nas"),
        (
            "POST",
            "/nodes/pve1/qemu",
            "vmid=105&hookscript=local:snippets/a",
        ),
        ("POST", "/nodes/pve1/qemu/100/template", ""),
        ("DELETE", "/cluster/replication/100-0", ""),
        ("DELETE", "/cluster/config/nodes/pve2", ""),
        ("DELETE", "/nodes/pve2", ""),
        ("POST", "/nodes/pve1/services/pvedaemon/stop", ""),
        ("PUT", "/cluster/ha/resources/vm:100", "delete=state"),
        ("DELETE", "/cluster/ha/rules/a", ""),
        ("PUT", "/pools/lab", "vms=101"),
        ("POST", "/nodes/pve1/stopall", ""),
        ("POST", "/nodes/pve1/migrateall", "target=pve2"),
        ("POST", "/cluster/bulk-action/guest/shutdown", ""),
        ("DELETE", "/cluster/backup/job", ""),
        ("POST", "/nodes/pve1/qemu/100/agent/file-write", "file=a"),
        ("POST", "/nodes/pve1/qemu/100/agent/shutdown", ""),
        ("PUT", "/nodes/pve1/qemu/100/sendkey", "key=ctrl-alt-delete"),
        (
            "POST",
            "/nodes/pve1/qemu/100/move_disk",
            "disk=scsi0&target-vmid=101",
        ),
        ("DELETE", "/nodes/pve1/something/new", ""),
        ("POST", "/something/new", "a=b"),
    ] {
        let verdict = decide(&policy, method, path, body);
        assert!(!verdict.allowed, "{method} {path} {body}: {verdict:?}");
    }
    for (method, path, body) in [
        (
            "POST",
            "/nodes/pve1/qemu/100/move_disk",
            "disk=scsi0&storage=bulk",
        ),
        ("POST", "/cluster/firewall/groups", "group=web"),
        ("GET", "/nodes/pve1/disks/lvm", ""),
    ] {
        let verdict = decide(&policy, method, path, body);
        assert_eq!(
            verdict.rule.name(),
            "allow",
            "{method} {path} {body}: {verdict:?}"
        );
        let mut scoped = policy.clone();
        scoped.scope.vmids = vec![100..=100];
        let verdict = decide(&scoped, method, path, body);
        assert_eq!(
            verdict.allowed,
            method == "GET",
            "{method} {path}: {verdict:?}"
        );
    }
}

/// What the operator denies by name is denied, whatever else allows it.
#[test]
fn denied_actions_are_above_all_that_allows() {
    let mut policy = Policy::preset(Preset::Admin);
    policy.allow = vec!["* /**".parse().unwrap()];
    policy.denied = [Action::GuestExec].into();
    let exec = "/nodes/pve1/qemu/100/agent/exec";
    assert_eq!(
        decide(&policy, "POST", exec, "command=id").rule.name(),
        "deny"
    );
}

#[test]
fn reads_are_all_that_a_reader_sends() {
    let mut policy = Policy::preset(Preset::Admin);
    policy.read_only = true;
    let url = "/nodes/pve1/query-url-metadata?url=https%3A%2F%2F10.0.0.1";
    assert_eq!(decide(&policy, "GET", url, "").rule.name(), "read-only");
    let exec = "/nodes/pve1/qemu/100/agent/exec-status?pid=1";
    assert_eq!(decide(&policy, "GET", exec, "").rule.name(), "read-only");
}

#[test]
fn expert_rules() {
    let mut policy = Policy::preset(Preset::Observe);
    policy.allow = vec![
        "GET /nodes/*/disks/**".parse().unwrap(),
        "DELETE /**".parse().unwrap(),
    ];
    policy.deny = vec!["* /nodes/pve2/**".parse().unwrap()];
    let rule = |method: &str, path: &str| decide(&policy, method, path, "").rule.name();
    assert_eq!(rule("GET", "/nodes/pve1/disks/lvm"), "allow");
    assert_eq!(rule("GET", "/nodes/pve1/disks"), "allow");
    assert_eq!(rule("GET", "/nodes/pve2/disks/lvm"), "deny");
    assert_eq!(rule("GET", "/nodes/pve2/status"), "deny");
    assert_eq!(rule("DELETE", "/nodes/pve1/qemu/100"), "built-in");
    assert_eq!(rule("DELETE", "/cluster/firewall/groups/web"), "allow");
    assert_eq!(rule("GET", "/nodes/localhost/disks/lvm"), "unknown-call");
    assert_eq!(rule("GET", "/nodes/pve1/disks/lvm?a=b%00c"), "unknown-call");
    for wrong in [
        "/nodes",
        "FETCH /nodes",
        "GET nodes",
        "GET /nodes/p*e",
        "GET /",
        "GET /a//b",
        "",
    ] {
        assert!(wrong.parse::<Pattern>().is_err(), "{wrong}");
    }
    for pattern in ["GET /nodes/*/disks/**", "* /**", "PUT /a"] {
        assert_eq!(pattern.parse::<Pattern>().unwrap().to_string(), pattern);
    }
}

/// Each request breaks its rule and the next one: the first of both decides.
#[test]
fn rules_are_evaluated_in_their_order() {
    let policy = |preset, change: fn(&mut Policy)| {
        let mut policy = Policy::preset(preset);
        policy.scope.vmids = vec![100..=100];
        change(&mut policy);
        policy
    };
    let start = "/nodes/pve2/qemu/200/status/start";
    let reads_only: fn(&mut Policy) = |policy| policy.read_only = true;
    let denies: fn(&mut Policy) = |policy| policy.deny = vec!["* /**".parse().unwrap()];
    let both: fn(&mut Policy) = |policy| {
        policy.read_only = true;
        policy.deny = vec!["* /**".parse().unwrap()];
    };
    let denies_power: fn(&mut Policy) = |policy| {
        policy.denied.insert(Action::Power);
    };
    for (preset, change, method, path, body, rule) in [
        (
            Preset::Admin,
            both,
            "DELETE",
            "/nodes/pve1/qemu/1%2F0",
            "",
            Rule::RequestShape,
        ),
        (
            Preset::Admin,
            reads_only,
            "DELETE",
            "/nodes/pve2/qemu/200",
            "",
            Rule::BuiltIn,
        ),
        (Preset::Admin, both, "POST", start, "", Rule::ReadOnly),
        (
            Preset::Admin,
            denies,
            "POST",
            "/nodes/pve2/no/such/call",
            "",
            Rule::Deny,
        ),
        (
            Preset::Observe,
            denies_power,
            "POST",
            start,
            "bogus=1",
            Rule::UnknownCall,
        ),
        (Preset::Observe, denies_power, "POST", start, "", Rule::Deny),
        (Preset::Observe, |_| {}, "POST", start, "", Rule::Actions),
        (Preset::Admin, |_| {}, "POST", start, "", Rule::Scope),
    ] {
        let verdict = decide(&policy(preset, change), method, path, body);
        assert_eq!(verdict.rule, rule, "{method} {path} {body}: {verdict:?}");
        assert!(!verdict.allowed);
    }
}
