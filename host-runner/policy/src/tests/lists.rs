//! What a scope leaves of the responses that list something.

use serde_json::json;

use super::*;

#[test]
fn lists_show_what_is_in_scope() {
    let filtered = |scope: &Scope, listing: Listing, data: serde_json::Value| {
        let answer = json!({ "data": data }).to_string();
        assert!(scope.filters(listing), "{listing:?}");
        let shown = scope.filter(listing, answer.as_bytes(), &directory());
        let mut shown: serde_json::Value = serde_json::from_slice(&shown.unwrap()).unwrap();
        shown["data"].take()
    };
    let pool = scoped(|scope| scope.pools = names(&["lab"])).scope;
    let node = scoped(|scope| scope.nodes = names(&["pve1"])).scope;
    let storage = scoped(|scope| scope.storages = names(&["nas"])).scope;

    let resources = json!([
        { "type": "qemu", "vmid": 100, "node": "pve1", "pool": "prod" },
        { "type": "lxc", "vmid": "200", "node": "pve2", "pool": "lab" },
        { "type": "qemu", "vmid": 900, "node": "pve1" },
        { "type": "node", "node": "pve1" },
        { "type": "node", "node": "pve2" },
        { "type": "storage", "storage": "nas", "node": "pve2" },
        { "type": "storage", "storage": "local", "node": "pve1" },
        { "type": "pool", "pool": "lab" },
        { "type": "pool", "pool": "prod" },
    ]);
    let count = |scope: &Scope| {
        let left = filtered(scope, Listing::Resources, resources.clone());
        left.as_array().unwrap().len()
    };
    assert_eq!((count(&pool), count(&node), count(&storage)), (6, 6, 8));

    let guests = json!([{ "vmid": 100 }, { "vmid": 200 }, { "vmid": 999 }]);
    let left = filtered(&pool, Listing::Guests, guests.clone());
    assert_eq!(left, json!([{ "vmid": 200 }]));
    let left = filtered(&node, Listing::Guests, guests);
    assert_eq!(left, json!([{ "vmid": 100 }]));

    let tasks = json!([
        { "id": "100", "node": "pve1", "upid": "UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:100:a@pam:" },
        { "id": "200", "node": "pve2", "upid": "UPID:pve2:0000011D:000BED85:6B02AFAA:qmstart:200:a@pam:" },
        { "id": "", "node": "pve1", "upid": "UPID:pve1:0000011D:000BED85:6B02AFAA:aptupdate::a@pam:" },
        { "node": "pve1", "upid": "UPID:pve1:0000011D:000BED85:6B02AFAA:qmstop:100:a@pam:" },
    ]);
    let left = filtered(&pool, Listing::Tasks, tasks);
    assert_eq!(left.as_array().unwrap().len(), 2, "{left}");

    let content = json!([
        { "volid": "nas:iso/a.iso" },
        { "volid": "nas:backup/vzdump-qemu-100.vma", "vmid": 100 },
        { "volid": "nas:vm-200-disk-0", "vmid": "200" },
        { "volid": "nas:x", "vmid": 0 },
    ]);
    let left = filtered(&pool, Listing::Content, content);
    assert_eq!(left.as_array().unwrap().len(), 2, "{left}");

    let storages = json!([{ "storage": "nas" }, { "storage": "local" }]);
    let left = filtered(&storage, Listing::Storages, storages);
    assert_eq!(left, json!([{ "storage": "nas" }]));
    let ha = json!([{ "sid": "vm:100" }, { "sid": "ct:200" }, { "id": "quorum" }]);
    let left = filtered(&pool, Listing::HaResources, ha);
    assert_eq!(left, json!([{ "sid": "ct:200" }, { "id": "quorum" }]));
    let paths = json!({ "/": {}, "/vms/100": {}, "/vms/200": {}, "/pool/prod": {} });
    let left = filtered(&pool, Listing::Permissions, paths);
    assert_eq!(left, json!({ "/": {}, "/vms/200": {} }));
    let targets = json!({
        "allowed_nodes": ["pve1", "pve2"],
        "not_allowed_nodes": { "pve2": {} },
        "local_disks": ["x"],
    });
    let left = filtered(&node, Listing::Targets, targets);
    assert_eq!(
        left,
        json!({ "allowed_nodes": ["pve1"], "not_allowed_nodes": {}, "local_disks": ["x"] })
    );
    let nodes = json!([{ "node": "pve1" }, { "type": "cluster", "name": "c" }, { "name": "pve2", "type": "node" }]);
    let left = filtered(&node, Listing::Nodes, nodes);
    assert_eq!(left.as_array().unwrap().len(), 2, "{left}");
}

/// Each shape that the answer to a listed read can have, with something of a
/// guest, node or storage outside of the scope in it.
#[test]
fn no_shape_of_an_answer_shows_what_is_outside() {
    let guests = scoped(|scope| scope.vmids = vec![100..=100]).scope;
    let node = scoped(|scope| scope.nodes = names(&["pve1"])).scope;
    let storage = scoped(|scope| scope.storages = names(&["nas"])).scope;
    let lines = |scope: &Scope, listing, data: serde_json::Value| {
        let answer = json!({ "data": data, "total": 77 }).to_string();
        let shown = scope
            .filter(listing, answer.as_bytes(), &directory())
            .unwrap();
        String::from_utf8(shown).unwrap()
    };
    for (listing, line) in [
        (
            Listing::Tasks,
            json!({ "id": "104@local", "type": "imgdel", "node": "pve1" }),
        ),
        (Listing::Tasks, json!({ "id": "104-0", "node": "pve1" })),
        (
            Listing::Tasks,
            json!({ "id": "100", "upid": "UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:104:a@pam:" }),
        ),
        (
            Listing::Tasks,
            json!({ "upid": "UPID:pve1:0000011D:000BED85:6B02AFAA:imgdel:104@local:a@pam:" }),
        ),
        (
            Listing::Tasks,
            json!("UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:104:a@pam:"),
        ),
        (
            Listing::Content,
            json!({ "volid": "nas:backup/vzdump-qemu-104-2026_01_01-00_00_00.vma.zst" }),
        ),
        (
            Listing::Content,
            json!({ "volid": "nas:vm-104-disk-0", "vmid": 100 }),
        ),
        (
            Listing::Content,
            json!({ "volid": "nas:snippets/104.yaml" }),
        ),
        (
            Listing::Resources,
            json!({ "type": "openvz", "vmid": 104, "node": "pve1" }),
        ),
        (Listing::Resources, json!({ "vmid": 104 })),
        (
            Listing::Guests,
            json!({ "name": "a guest 104 without a vmid" }),
        ),
        (
            Listing::HaResources,
            json!({ "id": "service:vm:104", "status": "vm:104" }),
        ),
        (
            Listing::References,
            json!({ "name": "guest-ipam-104", "ref": "+sdn/guest-ipam-104" }),
        ),
        (
            Listing::Replication,
            json!({ "guest": 104, "id": "104-0", "target": "pve1" }),
        ),
        (
            Listing::Replication,
            json!({ "id": "100-0", "target": "pve1" }),
        ),
    ] {
        let shown = lines(&guests, listing, json!([line.clone()]));
        assert_eq!(shown, r#"{"data":[]}"#, "{listing:?} {line}");
    }
    for (listing, line) in [
        (
            Listing::Tasks,
            json!({ "id": "100@local", "type": "imgdel", "node": "pve1" }),
        ),
        (
            Listing::Tasks,
            json!({ "id": "debian-2404.iso", "type": "download", "node": "pve1" }),
        ),
        (
            Listing::Tasks,
            json!({ "id": "pveproxy", "type": "srvreload", "node": "pve1" }),
        ),
        (Listing::Content, json!({ "volid": "nas:iso/a.iso" })),
        (
            Listing::Content,
            json!({ "volid": "nas:vm-100-disk-0", "vmid": 100 }),
        ),
        (
            Listing::Resources,
            json!({ "type": "sdn", "sdn": "zone1", "node": "pve1" }),
        ),
        (
            Listing::HaResources,
            json!({ "id": "service:vm:100", "sid": "vm:100" }),
        ),
        (
            Listing::HaResources,
            json!({ "id": "lrm:pve1", "type": "lrm", "node": "pve1" }),
        ),
        (
            Listing::References,
            json!({ "name": "web", "ref": "+dc/web" }),
        ),
        (Listing::References, json!({ "name": "guest-ipam-100" })),
    ] {
        let shown = lines(&guests, listing, json!([line.clone()]));
        assert_eq!(shown, format!(r#"{{"data":[{line}]}}"#), "{listing:?}");
    }
    // Where a guest can go, as a VM and as a container have it.
    let targets = json!({
        "allowed_nodes": ["pve1", "pve2"],
        "allowed-nodes": ["pve1", "pve2"],
        "not_allowed_nodes": {
            "pve1": { "blocking-ha-resources": [{ "sid": "vm:104" }, { "sid": "vm:100" }] },
            "pve2": { "unavailable_storages": ["tank"] },
        },
        "not-allowed-nodes": { "pve2": {} },
        "dependent-ha-resources": ["vm:104", "vm:100"],
    });
    let of = |scope: &Scope| -> serde_json::Value {
        serde_json::from_str(&lines(scope, Listing::Targets, targets.clone())).unwrap()
    };
    let shown = of(&guests);
    assert!(!shown.to_string().contains("104"), "{shown}");
    assert!(shown.to_string().contains("vm:100"), "{shown}");
    let shown = of(&node);
    assert!(!shown.to_string().contains("pve2"), "{shown}");
    let shown = of(&storage);
    assert!(!shown.to_string().contains("tank"), "{shown}");
}

/// What a line that is shown tells of others is taken out of it.
#[test]
fn lines_tell_of_nobody_outside() {
    let guests = scoped(|scope| scope.vmids = vec![100..=100]).scope;
    let shown = |listing, data: serde_json::Value| {
        let answer = json!({ "data": data }).to_string();
        let shown = guests.filter(listing, answer.as_bytes(), &directory());
        let shown: serde_json::Value = serde_json::from_slice(&shown.unwrap()).unwrap();
        shown["data"].clone()
    };
    let task = |id: &str, status: &str| json!({ "id": id, "type": "vzdump", "node": "pve1", "status": status });
    let tasks = json!([
        task("", "unable to back up guest 104"),
        task("", "OK"),
        task("100", "it failed")
    ]);
    let left = shown(Listing::Tasks, tasks);
    assert!(!left.to_string().contains("104"), "{left}");
    assert_eq!(left[1]["status"], "OK");
    assert_eq!(left[2]["status"], "it failed");

    let volume =
        |parent: &str| json!({ "volid": "nas:vm-100-disk-0", "vmid": 100, "parent": parent });
    let volumes = json!([
        volume("base-9000-disk-0@__base__"),
        volume("rpool/data/base-9000-disk-0@__base__"),
        volume("../9000/base-9000-disk-0.qcow2"),
    ]);
    let left = shown(Listing::Content, volumes);
    assert_eq!(left.as_array().unwrap().len(), 3);
    assert!(!left.to_string().contains("9000"), "{left}");

    // A job keeps those of its guests that are in scope, and loses its texts.
    let job = |selection: serde_json::Value| {
        let mut job = json!({ "id": "x", "storage": "nas", "comment": "also 104" });
        for (key, value) in selection.as_object().unwrap() {
            job[key] = value.clone();
        }
        job
    };
    let jobs = json!([
        job(json!({ "vmid": "100,104" })),
        job(json!({ "vmid": 104 })),
        job(json!({ "all": 1, "exclude": "104,100" })),
        job(json!({ "all": 1, "exclude": "104" })),
        job(json!({ "pool": "prod" })),
        job(json!({ "pool": "lab" })),
    ]);
    let left = shown(Listing::BackupJobs, jobs.clone());
    assert!(!left.to_string().contains("104"), "{left}");
    assert_eq!(left.as_array().unwrap().len(), 4, "{left}");
    assert_eq!(
        (&left[0]["vmid"], &left[1]["exclude"]),
        (&json!("100"), &json!("100"))
    );
    assert!(
        left[2].get("exclude").is_none() && left[3]["pool"] == "prod",
        "{left}"
    );
    let nas = scoped(|scope| scope.storages = names(&["tank"])).scope;
    let answer = json!({ "data": jobs }).to_string();
    let kept = nas
        .filter(Listing::BackupJobs, answer.as_bytes(), &directory())
        .unwrap();
    assert!(!String::from_utf8(kept).unwrap().contains("nas"));

    let rules = json!([
        { "rule": "a", "resources": "vm:104,vm:100", "nodes": "pve1:2", "comment": "for 104" },
        { "rule": "b", "resources": "vm:104" },
        { "rule": "c" },
    ]);
    let left = shown(Listing::HaRules, rules);
    assert_eq!(
        left,
        json!([{ "rule": "a", "resources": "vm:100", "nodes": "pve1:2" }])
    );

    let entries = json!([
        { "path": "/", "roleid": "r", "ugid": "a@pve" },
        { "path": "/vms/104", "roleid": "r", "ugid": "a@pve" },
        { "path": "/vms/100", "roleid": "r", "ugid": "a@pve" },
        { "roleid": "r", "ugid": "a@pve" },
    ]);
    let left = shown(Listing::Acl, entries);
    assert_eq!(left.as_array().unwrap().len(), 2, "{left}");

    let paths = json!({ "/": {}, "/pool/lab": {}, "/pool/lab/secret": {}, "/pool/prod/web": {} });
    let answer = json!({ "data": paths }).to_string();
    for (pool, left) in [
        ("lab", json!({ "/": {}, "/pool/lab": {} })),
        ("prod/web", json!({ "/": {}, "/pool/prod/web": {} })),
    ] {
        let scope = scoped(|scope| scope.pools = names(&[pool])).scope;
        let shown = scope.filter(Listing::Permissions, answer.as_bytes(), &directory());
        let shown: serde_json::Value = serde_json::from_slice(&shown.unwrap()).unwrap();
        assert_eq!(shown["data"], left, "{pool}");
    }
}

/// A parameter of a read that selects another shape of its answer is refused
/// unless the table has it.
#[test]
fn reads_have_listed_parameters() {
    let mut policy = Policy::preset(Preset::Admin);
    for path in [
        "/pools?poolid=prod",
        "/pools?type=qemu",
        "/access/permissions?userid=root@pam",
        "/access/permissions?path=/vms/104",
        "/cluster/nextid?vmid=104",
        "/cluster/ha/resources?type=vm",
        "/nodes/pve1/qemu?full=1",
        "/nodes/pve1/storage?target=pve2",
        "/nodes/pve1/storage?format=1",
        "/nodes/pve1/qemu/100/config?current=1",
        "/nodes/pve1/qemu/100/migrate?target=pve2",
        "/nodes/pve1/tasks/UPID:pve1:0000011D:000BED85:6B02AFAA:a:100:b@pam:/log?download=1",
        "/nodes?verbose=1",
    ] {
        assert_eq!(
            decide(&policy, "GET", path, "").rule.name(),
            "unknown-call",
            "{path}"
        );
    }
    // A filter cannot name what is outside.
    policy.scope.vmids = vec![100..=100];
    for path in [
        "/nodes/pve1/tasks?vmid=104",
        "/nodes/pve1/storage/nas/content?vmid=104",
    ] {
        assert_eq!(
            decide(&policy, "GET", path, "").rule.name(),
            "scope",
            "{path}"
        );
    }
}

/// An answer of another shape could show anything.
#[test]
fn what_is_no_list_is_not_shown() {
    let scope = scoped(|scope| scope.vmids = vec![100..=100]).scope;
    for answer in [
        json!({}),
        json!([]),
        json!({ "data": "x" }),
        json!({ "data": { "a": 1 } }),
    ] {
        let answer = answer.to_string();
        let shown = scope.filter(Listing::Guests, answer.as_bytes(), &directory());
        assert_eq!(shown, None);
    }
    for answer in [r#"{"data":null}"#, r#"{"data":[]}"#] {
        let shown = scope.filter(Listing::Guests, answer.as_bytes(), &directory());
        assert_eq!(shown.as_deref(), Some(answer.as_bytes()));
    }
}

#[test]
fn replication_to_a_node_outside_the_scope_does_not_name_it() {
    let job = json!({
        "guest": 100, "id": "100-0", "source": "pve1", "target": "pve2", "fail_count": 1,
        "error": "ssh root@pve2 failed", "comment": "like 104",
    });
    let shown = |scope: &Scope| {
        let answer = json!({ "data": [job] }).to_string();
        let shown = scope.filter(Listing::Replication, answer.as_bytes(), &directory());
        let mut shown: serde_json::Value = serde_json::from_slice(&shown.unwrap()).unwrap();
        shown["data"][0].take()
    };
    let node = scoped(|scope| scope.nodes = names(&["pve1"])).scope;
    assert_eq!(
        shown(&node),
        json!({ "guest": 100, "id": "100-0", "source": "pve1", "fail_count": 1 })
    );
    let storage = scoped(|scope| scope.storages = names(&["nas"])).scope;
    assert_eq!(shown(&storage), job);
}
