//! What a request does besides its call: actions, volumes, hosts.

use super::*;

#[test]
fn side_effects_are_actions_too() {
    let actions = |path: &str, body: &str| {
        let verdict = decide(&Policy::preset(Preset::Admin), "POST", path, body);
        assert!(verdict.allowed, "{verdict:?}");
        verdict.meaning.actions
    };
    let vzdump = |mode: &str| {
        actions(
            "/nodes/pve1/vzdump",
            &format!("vmid=100&remove=0&mode={mode}"),
        )
    };
    assert_eq!(vzdump("snapshot"), [Action::Backup]);
    assert_eq!(vzdump("stop"), [Action::Backup, Action::Shutdown]);
    let shutdown = |body: &str| actions("/nodes/pve1/qemu/100/status/shutdown", body);
    assert_eq!(
        shutdown("forceStop=1"),
        [Action::Shutdown, Action::HardStop]
    );
    let restart = actions("/nodes/pve1/lxc/200/migrate", "target=pve2&restart=1");
    assert_eq!(restart, [Action::Migrate, Action::Shutdown]);
}

/// Which guests a job selected before is not known, so any change may leave some
/// without backups. The backups of a new job may push out those of another one.
#[test]
fn backup_jobs_and_high_availability_are_destructive() {
    let verdict = |method: &str, path: &str, body: &str| {
        let verdict = decide(&Policy::preset(Preset::Admin), method, path, body);
        assert!(verdict.allowed, "{verdict:?}");
        (
            verdict.meaning.actions.clone(),
            verdict.meaning.is_destructive(),
        )
    };
    let new = "schedule=daily&storage=nas&all=1&prune-backups=keep-all%3D1";
    let add = |mode: &str| verdict("POST", "/cluster/backup", &format!("{new}&mode={mode}"));
    assert_eq!(add("snapshot"), (vec![Action::BackupJob], true));
    assert_eq!(
        add("stop"),
        (vec![Action::BackupJob, Action::Shutdown], true)
    );
    let set = |body: &str| verdict("PUT", "/cluster/backup/nightly", body);
    let change = vec![Action::BackupJob, Action::BackupJobChange];
    assert_eq!(set("enabled=0"), (change.clone(), true));
    assert_eq!(
        set("comment=a&vmid=100&prune-backups=keep-all%3D1"),
        (change, true)
    );
    assert_eq!(set("comment=a"), (vec![Action::BackupJob], false));
    let add = |state: &str| {
        let body = format!("sid=vm%3A100&state={state}");
        verdict("POST", "/cluster/ha/resources", &body)
    };
    let ha = Action::HighAvailability;
    assert_eq!(add("ignored"), (vec![ha], false));
    assert_eq!(add("started"), (vec![ha, Action::Power], false));
    assert_eq!(add("stopped"), (vec![ha, Action::HardStop], true));
    let set = |body: &str| verdict("PUT", "/cluster/ha/resources/vm:100", body);
    assert_eq!(set("state=started"), (vec![ha, Action::Power], true));
    assert_eq!(set("state=disabled"), (vec![ha, Action::HardStop], true));
    assert_eq!(set("max_restart=0&digest=aa"), (vec![ha], true));
    assert_eq!(set("comment=a&digest=aa"), (vec![ha], false));
    // A shutdown is judged by whether the guest is under high availability.
    let add = "sid=vm%3A100&state=ignored";
    let added = decide(
        &Policy::preset(Preset::Admin),
        "POST",
        "/cluster/ha/resources",
        add,
    );
    assert!(added.meaning.changes_directory());
}

/// A request shows a factor of a VM's CPUs, or that a container loses its limit.
#[test]
fn cpus_and_memory_that_a_request_does_not_show_are_over_a_limit() {
    let mut policy = Policy::preset(Preset::Operate);
    policy.sizes = Sizes {
        memory_mib: std::num::NonZeroU32::new(4096),
        cores: std::num::NonZeroU32::new(4),
        ..Sizes::default()
    };
    let (vm, container) = ("/nodes/pve1/qemu/100/config", "/nodes/pve2/lxc/200/config");
    for (path, body, allowed) in [
        (vm, "cores=2&sockets=2", true),
        (vm, "cores=4&delete=sockets", true),
        (vm, "cores=2&sockets=3", false),
        (vm, "cores=2", false),
        (vm, "sockets=1", false),
        (vm, "delete=cores", false),
        (vm, "memory=4096&cpulimit=8", true),
        (container, "cores=4", true),
        (container, "cores=5", false),
        (container, "delete=cores", false),
        (container, "delete=cores&cpulimit=3.5", true),
        (container, "cpulimit=4.5", false),
        (container, "cpulimit=0", false),
        (container, "delete=cpulimit", false),
        (container, "cores=2&delete=cpulimit", true),
        (container, "swap=4096", true),
        (container, "memory=512&swap=8192", false),
    ] {
        let verdict = decide(&policy, "PUT", path, body);
        assert_eq!(verdict.allowed, allowed, "{path} {body}: {verdict:?}");
        assert!(allowed || verdict.rule.name() == "limits", "{verdict:?}");
    }
}

/// How much memory a guest has now is not known, so any change may take some
/// that it uses.
#[test]
fn changes_of_memory_are_destructive() {
    let is_destructive = |path: &str, body: &str| {
        let verdict = decide(&Policy::preset(Preset::Operate), "PUT", path, body);
        assert!(verdict.allowed, "{verdict:?}");
        verdict.meaning.is_destructive()
    };
    let (vm, container) = ("/nodes/pve1/qemu/100/config", "/nodes/pve2/lxc/200/config");
    for body in ["memory=16", "swap=0", "cores=2&memory=8192", "delete=swap"] {
        assert!(is_destructive(container, body), "{body}");
    }
    for body in ["memory=16", "balloon=16", "delete=cores,balloon"] {
        assert!(is_destructive(vm, body), "{body}");
    }
    for body in ["cores=2", "cpulimit=1.5", "delete=cores", "tags=a"] {
        assert!(!is_destructive(vm, body), "{body}");
        assert!(!is_destructive(container, body), "{body}");
    }
}

/// The gate compares them with the names of nodes.
#[test]
fn hosts_that_a_node_fetches_from_are_named() {
    let policy = Policy::preset(Preset::Operate);
    for (method, path, body) in [
        (
            "POST",
            "/nodes/pve1/storage/local/download-url",
            "content=iso&filename=a.iso&url=http%3A%2F%2FPVE1.%3A8006%2Fa.iso",
        ),
        (
            "GET",
            "/nodes/pve1/query-url-metadata?url=https%3A%2F%2Fpve1%2Fa.iso",
            "",
        ),
    ] {
        let verdict = decide(&policy, method, path, body);
        assert!(verdict.allowed, "{verdict:?}");
        assert_eq!(verdict.meaning.hosts, ["pve1"], "{path}");
    }
}

/// These would let a reader use a node to look around its network.
#[test]
fn no_read_makes_a_node_connect_to_an_address() {
    let mut policy = Policy::preset(Preset::Admin);
    policy.allow = vec!["GET /**".parse().unwrap()];
    for path in [
        "/cluster/acme/meta?directory=http%3A%2F%2F192.0.2.1%2F",
        "/cluster/acme/tos?directory=http%3A%2F%2F127.0.0.1%3A85%2F",
        "/cluster/acme/meta",
        "/nodes/pve1/scan/pbs?server=127.0.0.1&username=a&password=b",
        "/nodes/pve1/scan/iscsi?portal=192.0.2.1",
        "/nodes/pve1/scan/nfs?server=x.example.com",
        "/nodes/pve1/scan/cifs?server=192.0.2.1",
        "/nodes/pve1/scan/glusterfs?server=192.0.2.1",
        "/nodes/pve1/query-oci-repo-tags?reference=192.0.2.1%3A5000%2Fx",
        "/access/users/root@pam/tfa",
        "/access/tfa",
    ] {
        let verdict = decide(&policy, "GET", path, "");
        assert_eq!(verdict.rule.name(), "built-in", "{path}: {verdict:?}");
    }
    for path in [
        "/nodes/pve1/scan/zfs",
        "/nodes/pve1/scan",
        "/cluster/acme/plugins",
        "/access/users",
    ] {
        let verdict = decide(&policy, "GET", path, "");
        assert!(verdict.allowed, "{path}: {verdict:?}");
    }
}

/// A running container is restarted on the other node, and whether it runs is not known.
#[test]
fn the_migration_of_a_container_is_destructive() {
    let is_destructive = |path: &str, body: &str| {
        let verdict = decide(&Policy::preset(Preset::Operate), "POST", path, body);
        assert!(verdict.allowed, "{verdict:?}");
        verdict.meaning.is_destructive()
    };
    let (vm, container) = (
        "/nodes/pve1/qemu/100/migrate",
        "/nodes/pve1/lxc/200/migrate",
    );
    assert!(is_destructive(
        container,
        "target=pve2&restart=1&target-storage=nas"
    ));
    assert!(is_destructive(container, "target=pve2&target-storage=nas"));
    assert!(!is_destructive(
        vm,
        "target=pve2&online=1&targetstorage=nas"
    ));
}

#[test]
fn volumes_are_named() {
    let archive = "vmid=105&archive=nas%3Abackup%2Fvzdump-qemu-101-a.vma";
    let verdict = decide(
        &Policy::preset(Preset::Operate),
        "POST",
        "/nodes/pve1/qemu",
        archive,
    );
    assert!(verdict.allowed, "{verdict:?}");
    let [volid] = verdict.meaning.volids.as_slice() else {
        panic!("{verdict:?}");
    };
    assert_eq!(owner_of(volid).map(pve_api::Vmid::get), Some(101));
}
