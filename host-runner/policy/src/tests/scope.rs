//! Which requests a scope allows.

use serde_json::json;

use super::*;

/// Whether a policy allows a request. If not, it is the scope that refuses it.
fn allowed(policy: &Policy, method: &str, path: &str, body: &str) -> bool {
    let verdict = decide(policy, method, path, body);
    assert!(
        verdict.allowed || verdict.rule.name() == "scope",
        "{verdict:?}"
    );
    verdict.allowed
}

fn start(policy: &Policy, vmid: u32) -> bool {
    let path = format!("/nodes/pve1/qemu/{vmid}/status/start");
    allowed(policy, "POST", &path, "")
}

fn of_vmids() -> Policy {
    scoped(|scope| scope.vmids = vec![100..=100, 500..=599])
}

fn of_pool() -> Policy {
    scoped(|scope| scope.pools = names(&["lab"]))
}

fn of_tag() -> Policy {
    scoped(|scope| scope.tags = names(&["web"]))
}

fn of_node() -> Policy {
    scoped(|scope| scope.nodes = names(&["pve1"]))
}

fn of_storage() -> Policy {
    scoped(|scope| scope.storages = names(&["local"]))
}

#[test]
fn backup_jobs_and_high_availability_are_the_whole_clusters() {
    let job = "schedule=daily&storage=local&mode=snapshot&vmid=100&prune-backups=keep-all%3D1";
    for policy in [of_vmids(), of_pool(), of_tag(), of_node(), of_storage()] {
        assert!(!allowed(&policy, "POST", "/cluster/backup", job));
        let off = "enabled=0";
        assert!(!allowed(&policy, "PUT", "/cluster/backup/nightly", off));
        let mut admin = policy;
        admin.actions = Preset::Admin.actions().collect();
        let body = "sid=vm%3A100&state=started";
        assert!(!allowed(&admin, "POST", "/cluster/ha/resources", body));
        let path = "/cluster/ha/resources/vm:100";
        assert!(!allowed(&admin, "PUT", path, "failback=0"));
    }
}

#[test]
fn vmids_limit_guests_and_new_vmids() {
    let ids = of_vmids();
    assert!(start(&ids, 100) && start(&ids, 550));
    assert!(!start(&ids, 101) && !start(&ids, 600));
    assert!(allowed(
        &ids,
        "POST",
        "/nodes/pve1/qemu/100/clone",
        "newid=500"
    ));
    assert!(!allowed(
        &ids,
        "POST",
        "/nodes/pve1/qemu/100/clone",
        "newid=700"
    ));
    assert!(!allowed(
        &ids,
        "POST",
        "/nodes/pve1/qemu/101/clone",
        "newid=500"
    ));
    assert!(!allowed(
        &ids,
        "POST",
        "/nodes/pve1/vzdump",
        "vmid=100%2C101&storage=local&mode=snapshot&remove=0"
    ));
    assert!(!allowed(
        &ids,
        "PUT",
        "/cluster/firewall/options",
        "enable=1"
    ));
    assert!(allowed(&ids, "GET", "/cluster/resources", ""));
}

#[test]
fn a_pool_limits_guests_and_new_guests() {
    let pool = of_pool();
    assert!(start(&pool, 200) && !start(&pool, 100) && !start(&pool, 999));
    assert!(allowed(
        &pool,
        "POST",
        "/nodes/pve2/lxc/200/clone",
        "newid=700&pool=lab"
    ));
    assert!(!allowed(
        &pool,
        "POST",
        "/nodes/pve2/lxc/200/clone",
        "newid=700&pool=prod"
    ));
    assert!(!allowed(
        &pool,
        "POST",
        "/nodes/pve2/lxc/200/clone",
        "newid=700"
    ));
}

/// A clone takes the tags of its source along.
#[test]
fn a_tag_limits_guests() {
    let tag = of_tag();
    assert!(start(&tag, 100) && start(&tag, 200) && !start(&tag, 101));
    assert!(allowed(
        &tag,
        "POST",
        "/nodes/pve1/qemu/100/clone",
        "newid=700"
    ));
    assert!(!allowed(
        &tag,
        "POST",
        "/nodes/pve1/qemu",
        "vmid=700&archive=nas%3Abackup%2Fa"
    ));
}

#[test]
fn a_node_limits_guests_and_targets() {
    let node = of_node();
    assert!(start(&node, 101) && !start(&node, 999));
    assert!(!allowed(&node, "GET", "/nodes/pve2/status", ""));
    assert!(!allowed(
        &node,
        "POST",
        "/nodes/pve1/qemu/100/migrate",
        "target=pve2"
    ));
}

#[test]
fn a_storage_limits_contents_and_backups() {
    let storage = of_storage();
    assert!(allowed(
        &storage,
        "GET",
        "/nodes/pve1/storage/local/content",
        ""
    ));
    assert!(!allowed(
        &storage,
        "GET",
        "/nodes/pve1/storage/nas/content",
        ""
    ));
    assert!(!allowed(
        &storage,
        "POST",
        "/nodes/pve1/vzdump",
        "vmid=100&storage=nas&mode=snapshot&remove=0"
    ));
    assert!(!allowed(
        &storage,
        "POST",
        "/nodes/pve1/vzdump",
        "vmid=100&mode=snapshot&remove=0"
    ));
    assert!(allowed(
        &storage,
        "POST",
        "/nodes/pve1/vzdump",
        "vmid=100&storage=local&mode=snapshot&remove=0"
    ));
    assert!(!allowed(
        &storage,
        "POST",
        "/nodes/pve1/qemu",
        "vmid=500&archive=nas%3Abackup%2Fa"
    ));
    assert!(!allowed(
        &storage,
        "POST",
        "/nodes/pve1/qemu",
        "vmid=500&archive=local%3Abackup%2Fa"
    ));
}

#[test]
fn a_storage_limits_where_migrated_disks_go() {
    let storage = of_storage();
    let migrate = "/nodes/pve1/qemu/100/migrate";
    assert!(!allowed(
        &storage,
        "POST",
        migrate,
        "target=pve2&targetstorage=nas"
    ));
    assert!(!allowed(
        &storage,
        "POST",
        migrate,
        "target=pve2&targetstorage=local%3Anas"
    ));
    // A disk on a storage that the map does not have stays on one of its name.
    for body in [
        "target=pve2&targetstorage=nas%3Alocal",
        "target=pve2&targetstorage=local%3Alocal",
        "target=pve2&online=1&targetstorage=nas%3Alocal",
        "target=pve2&online=1&with-local-disks=1&targetstorage=local%3Alocal",
    ] {
        assert!(!allowed(&storage, "POST", migrate, body), "{body}");
    }
    for body in [
        "target=pve2&targetstorage=local",
        "target=pve2&online=1&with-local-disks=1&targetstorage=nas%3Alocal,local",
    ] {
        assert!(allowed(&storage, "POST", migrate, body), "{body}");
    }
    assert!(!allowed(
        &storage,
        "POST",
        "/nodes/pve2/lxc/200/migrate",
        "target=pve1&restart=1&target-storage=local%3Alocal"
    ));
}

/// High availability drops the storage and takes local disks along. A guest that
/// is not listed could be under it.
#[test]
fn a_storage_scope_refuses_migrations_by_high_availability() {
    let storage = of_storage();
    let migrate = "/nodes/pve1/qemu/100/migrate";
    for vmid in [101, 999] {
        for body in ["target=pve2&online=1", "target=pve2&targetstorage=local"] {
            let path = format!("/nodes/pve1/qemu/{vmid}/migrate");
            assert!(!allowed(&storage, "POST", &path, body), "{path} {body}");
            let unlimited = Policy::preset(Preset::Operate);
            assert!(decide(&unlimited, "POST", &path, body).allowed);
        }
    }
    let asked = request("POST", &format!("/api2/json{migrate}"), "target=pve2");
    let asked = asked.unwrap();
    assert!(storage.needs_directory(&asked));
    assert!(!Policy::preset(Preset::Operate).needs_directory(&asked));
}

#[test]
fn a_storage_scope_refuses_what_proxmox_would_place_itself() {
    let storage = of_storage();
    let migrate = "/nodes/pve1/qemu/100/migrate";
    for (path, body) in [
        ("/nodes/pve1/qemu/100/clone", "newid=500&full=1"),
        ("/nodes/pve1/qemu/100/clone", "newid=500"),
        ("/nodes/pve1/qemu/100/clone", "newid=500&full=1&storage=nas"),
        ("/nodes/pve1/qemu/100/status/suspend", "todisk=1"),
        ("/nodes/pve1/qemu/100/snapshot", "snapname=a1&vmstate=1"),
        (migrate, "target=pve2&targetstorage=1"),
        (migrate, "target=pve2&targetstorage=local,1"),
        (migrate, "target=pve2"),
        (migrate, "target=pve2&online=1&with-local-disks=1"),
        ("/nodes/pve2/lxc/200/migrate", "target=pve1&restart=1"),
        ("/nodes/pve1/qemu", "vmid=500&archive=local%3Abackup%2Fa"),
    ] {
        assert!(!allowed(&storage, "POST", path, body), "{path} {body}");
    }
    for (path, body) in [
        (
            "/nodes/pve1/qemu/100/clone",
            "newid=500&full=1&storage=local",
        ),
        (
            "/nodes/pve1/qemu/100/status/suspend",
            "todisk=1&statestorage=local",
        ),
        ("/nodes/pve1/qemu/100/status/suspend", ""),
        ("/nodes/pve1/qemu/100/snapshot", "snapname=a1"),
        (migrate, "target=pve2&online=1"),
    ] {
        assert!(allowed(&storage, "POST", path, body), "{path} {body}");
    }
}

#[test]
fn a_task_is_about_the_guest_in_its_upid_and_a_log_about_all() {
    let ids = of_vmids();
    let node = of_node();
    let upid = |vmid: u32| {
        format!("/nodes/pve1/tasks/UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:{vmid}:a@pam:")
    };
    assert!(allowed(&ids, "GET", &format!("{}/log", upid(100)), ""));
    assert!(!allowed(&ids, "GET", &format!("{}/log", upid(101)), ""));
    assert!(!allowed(&ids, "DELETE", &upid(101), ""));
    assert!(!allowed(&ids, "GET", "/cluster/log", ""));
    assert!(!allowed(&ids, "GET", "/nodes/pve1/syslog", ""));
    assert!(allowed(&node, "GET", "/nodes/pve1/syslog", ""));
    // A task that names no guest may tell of any, unless it fetches a file.
    for (task, shown) in [
        ("vzdump:", false),
        ("startall:", false),
        ("imgdel:101@local", false),
        ("imgdel:100@local", true),
        ("download:a.iso", true),
    ] {
        let log =
            format!("/nodes/pve1/tasks/UPID:pve1:0000011D:000BED85:6B02AFAA:{task}:a@pam:/log");
        assert_eq!(allowed(&ids, "GET", &log, ""), shown, "{task}");
    }
}

#[test]
fn a_nodes_firewall_is_about_all_of_its_guests() {
    let ids = of_vmids();
    let node = of_node();
    assert!(!allowed(
        &ids,
        "POST",
        "/nodes/pve1/firewall/rules",
        "type=in&action=DROP"
    ));
    assert!(allowed(
        &node,
        "POST",
        "/nodes/pve1/firewall/rules",
        "type=in&action=DROP"
    ));
}

#[test]
fn a_vmid_that_is_only_asked_for_is_of_no_guest() {
    let ids = of_vmids();
    let pool = of_pool();
    assert!(allowed(&pool, "GET", "/cluster/nextid", ""));
    assert!(!allowed(
        &ids,
        "GET",
        "/nodes/pve1/storage/local/content?vmid=101",
        ""
    ));
}

#[test]
fn a_backup_of_a_guest_outside_is_not_restored() {
    let ids = scoped(|scope| scope.vmids = vec![100..=105]);
    let restore = |archive: &str| {
        let form = format!("vmid=105&archive={archive}&unique=1");
        decide(&ids, "POST", "/nodes/pve1/qemu", &form)
    };
    for own in [
        "nas%3Abackup%2Fvzdump-qemu-101-a.vma.zst",
        "pbs%3Abackup%2Fvm%2F101%2F2026-01-01T00%3A00%3A00Z",
    ] {
        let verdict = restore(own);
        assert!(verdict.allowed, "{verdict:?}");
    }
    for other in [
        "nas%3Abackup%2Fvzdump-qemu-201-a.vma.zst",
        "pbs%3Abackup%2Fvm%2F201%2F2026-01-01T00%3A00%3A00Z",
        // Nobody can tell whose it is.
        "nas%3Abackup%2Fa.vma.zst",
    ] {
        let verdict = restore(other);
        assert_eq!(
            (verdict.allowed, verdict.rule.name()),
            (false, "scope"),
            "{verdict:?}"
        );
    }
}

#[test]
fn names_that_the_cluster_does_not_have_are_reported() {
    let resources = json!({ "data": [
        { "type": "qemu", "vmid": 100, "node": "pve1", "pool": "prod", "tags": "web" },
        { "type": "node", "node": "pve1" },
        { "type": "storage", "storage": "local", "node": "pve1" },
        { "type": "pool", "pool": "lab" },
    ]});
    let inventory = read_inventory(resources.to_string().as_bytes()).unwrap();
    let scope = scoped(|scope| {
        scope.vmids = vec![100..=100, 101..=101, 500..=599];
        scope.pools = names(&["lab", "prod", "labb"]);
        scope.nodes = names(&["pve1", "pve9"]);
        scope.storages = names(&["local", "nass"]);
    })
    .scope;
    let missing = scope.missing(&inventory);
    assert_eq!(missing.len(), 4, "{missing:#?}");
    for (line, says) in missing.iter().zip([
        ["guest 101 (scope.vmids)", "it sees 100"],
        ["pool labb (scope.pools)", "it sees lab, prod"],
        ["node pve9 (scope.nodes)", "it sees pve1"],
        ["storage nass (scope.storages)", "it sees local"],
    ]) {
        assert!(says.iter().all(|words| line.contains(words)), "{line}");
    }
    let nothing = scope.missing(&Inventory::default());
    assert!(
        nothing
            .iter()
            .all(|line| line.contains("the token sees none"))
    );
}

#[test]
fn the_nodes_of_a_cluster_are_read() {
    let answer = json!({ "data": [
        { "node": "pve1", "status": "online" },
        { "node": "pve2", "status": "offline" },
        { "node": "a.example" },
        { "type": "node" },
    ]});
    let nodes = read_nodes(answer.to_string().as_bytes()).unwrap();
    assert_eq!(nodes, names(&["pve1", "pve2"]));
    let many: Vec<_> = (0..2000)
        .map(|n| json!({ "node": format!("n{n}") }))
        .collect();
    for wrong in [
        json!({ "data": null }),
        json!({ "data": {} }),
        json!({ "data": many }),
    ] {
        assert_eq!(read_nodes(wrong.to_string().as_bytes()), None, "{wrong}");
    }
}

#[test]
fn the_log_of_the_cluster_is_about_all_nodes() {
    let nodes = of_node();
    let verdict = decide(&nodes, "GET", "/cluster/log", "");
    assert_eq!(
        (verdict.allowed, verdict.rule.name()),
        (false, "scope"),
        "{verdict:?}"
    );
}
