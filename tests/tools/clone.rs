//! Clones of guests, and the list of templates.

use harness::{Client, Sim, assert_says};
use serde_json::{Value, json};

async fn names(client: &Client, arguments: Value) -> anyhow::Result<Vec<String>> {
    let list = client.call("list_templates", arguments).await?;
    let text = |one: &Value, key: &str| {
        one.get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    Ok(list
        .get("templates")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|one| {
            format!(
                "{} {}",
                text(one, "source"),
                text(
                    one,
                    if one["template"].is_string() {
                        "template"
                    } else {
                        "name"
                    }
                )
            )
        })
        .collect())
}

#[tokio::test]
async fn templates_of_every_source_are_listed() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let list = client.call("list_templates", json!({})).await?;
    let first = &list["templates"][0];
    assert_eq!(first["source"], "guest");
    assert_eq!(first["kind"], "qemu");
    assert_eq!(
        (&first["vmid"], &first["name"]),
        (&json!(9000), &json!("tmpl"))
    );
    // The node that is offline hides nothing but itself.
    assert_says(&list["hint"].to_string(), &["local", "pve2", "left out"]);
    assert_eq!(
        names(&client, json!({ "source": "guest" })).await?,
        ["guest tmpl", "guest ct-tmpl"]
    );
    assert_eq!(
        names(&client, json!({ "source": "index", "name": "TURNKEY" })).await?,
        ["index debian-13-turnkey-nextcloud_19.0-1_amd64.tar.gz"]
    );
    let list = client
        .call("list_templates", json!({ "source": "storage" }))
        .await?;
    let volids: Vec<&Value> = list["templates"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| &one["volid"])
        .collect();
    assert!(
        volids.contains(&&json!(
            "nas:vztmpl/alpine-3.22-default_20250617_amd64.tar.xz"
        )),
        "{volids:?}"
    );
    let list = client
        .call("list_templates", json!({ "source": "index", "limit": 2 }))
        .await?;
    assert_eq!(list["templates"].as_array().map(Vec::len), Some(2));
    assert_says(&list["hint"].to_string(), &["1-2 of 5", "offset to 2"]);

    // A storage that breaks is left out, too.
    sim.fault(
        json!({ "kind": "status", "code": 500, "reason": "mount error",
        "method": "GET", "path": "/storage/nas/content$" }),
    )
    .await?;
    let list = client
        .call("list_templates", json!({ "source": "storage" }))
        .await?;
    assert_says(&list["hint"].to_string(), &["storage nas on node pve1"]);

    let nobody = sim.host_with("none")?.connect().await?;
    let list = nobody
        .call("list_templates", json!({ "source": "guest" }))
        .await?;
    assert_eq!(list["templates"], json!([]));
    assert_says(&list["hint"].to_string(), &["VM.Audit"]);
    Ok(())
}

#[tokio::test]
async fn a_linked_clone_of_a_template_by_name() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let report = client
        .call(
            "clone_guest",
            json!({ "source_name": "tmpl", "name": "web02", "pool": "prod",
                "description": "a=b; c & d\nsecond line" }),
        )
        .await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_eq!(report["vmid"], 105);
    assert_eq!(
        (&report["vmid"], &report["node"]),
        (&json!(105), &json!("pve1"))
    );
    assert_says(
        &report["action"].to_string(),
        &["linked clone", "9000", "105 (web02)"],
    );
    assert_says(
        &report["next_step"].to_string(),
        &["set_cloud_init", "start_guest"],
    );
    let guest = sim.guest(105).await?;
    assert_eq!(guest["config"]["name"], "web02");
    assert_eq!(guest["config"]["description"], "a=b; c & d\nsecond line");
    assert!(guest["config"].get("template").is_none(), "{guest:#}");
    // Lists know its name with pvestatd's next report.
    sim.advance(10).await?;
    let found = client
        .call("list_guests", json!({ "pool": "prod", "name": "web02" }))
        .await?;
    assert_eq!(found["guests"][0]["vmid"], 105, "{found:#}");
    Ok(())
}

#[tokio::test]
async fn full_clones_go_to_the_given_storage() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    // Of a running VM, with a fixed address.
    let report = client
        .call(
            "clone_guest",
            json!({ "vmid": 100, "new_vmid": 500, "storage": "bulk" }),
        )
        .await?;
    assert_eq!(
        (&report["status"], &report["vmid"]),
        (&json!("done"), &json!(500))
    );
    assert_says(
        &report["warnings"].to_string(),
        &["power cut", "192.0.2.50/24 on net0"],
    );
    let guest = sim.guest(500).await?;
    assert_says(&guest["config"]["scsi0"].to_string(), &["bulk:500/"]);
    // From a snapshot.
    let report = client
        .call("clone_guest", json!({ "vmid": 100, "snapshot": "clean" }))
        .await?;
    assert_says(&report["action"].to_string(), &["snapshot clean"]);
    assert_eq!(sim.guest(105).await?["config"]["cores"], "1");
    // Of a container: the name is its hostname.
    let report = client
        .call(
            "clone_guest",
            json!({ "vmid": 201, "name": "ct03", "full": true, "target_node": "pve1" }),
        )
        .await?;
    assert_eq!(report["vmid"], 106);
    assert_eq!(sim.guest(106).await?["config"]["hostname"], "ct03");
    // A full one of a template.
    let report = client
        .call(
            "clone_guest",
            json!({ "vmid": 9000, "full": true, "storage": "bulk" }),
        )
        .await?;
    assert_says(&report["action"].to_string(), &["full clone"]);
    let clones = sim.sent("POST")?;
    assert!(
        clones
            .iter()
            .all(|request| request["params"].get("target").is_none()),
        "{clones:#?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_free_vmid_that_was_taken_is_replaced_and_a_given_one_is_refused() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let taken = json!({ "kind": "status", "code": 500, "method": "POST", "path": "/clone$",
        "reason": "unable to create VM 105: config file already exists" });
    // Once: the next free one is asked for.
    sim.fault(taken.clone()).await?;
    let report = client.call("clone_guest", json!({ "vmid": 9000 })).await?;
    assert_eq!(report["status"], "done", "{report:#}");
    // Twice: no more, as a third request would have been taken.
    let mut twice = taken.clone();
    twice["times"] = json!(2);
    sim.fault(twice).await?;
    let text = client.error("clone_guest", json!({ "vmid": 9000 })).await?;
    assert_says(&text, &["is taken", "repeat the call"]);
    // One that the caller chose is not replaced.
    sim.fault(taken).await?;
    let text = client
        .error("clone_guest", json!({ "vmid": 9000, "new_vmid": 700 }))
        .await?;
    assert_says(&text, &["700 is taken", "leave new_vmid out"]);
    // A request that a fault answers is not in the log.
    assert_eq!(sim.sent("POST")?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn an_impossible_clone_is_refused_before_it_is_sent() -> anyhow::Result<()> {
    let mut sim = Sim::options()
        .arg("--nodes=pve1,pve2,pve3:offline")
        .start()
        .await?;
    let client = sim.host()?.connect().await?;
    sim.set_guest(103, json!({ "config": { "name": "web01" } }))
        .await?;
    for (arguments, words) in [
        (
            json!({ "source_name": "web01" }),
            &[
                "several guests",
                "100 (qemu guest on pve1",
                "103 (qemu guest",
            ][..],
        ),
        (
            json!({ "source_name": "tmpls" }),
            &["perhaps tmpl", "list_templates"],
        ),
        (json!({ "vmid": 999 }), &["999", "list_guests"]),
        (json!({ "vmid": 300 }), &["pve3", "offline"]),
        (
            json!({ "vmid": 200 }),
            &[
                "running",
                "from a snapshot only",
                "create_snapshot",
                "stop_guest",
            ],
        ),
        (
            json!({ "vmid": 103, "full": false }),
            &["not a template", "full"],
        ),
        (
            json!({ "vmid": 9000, "storage": "bulk" }),
            &["storage", "full set to true"],
        ),
        (json!({ "vmid": 101 }), &["locked (backup)"]),
        (
            json!({ "vmid": 100, "new_vmid": 101 }),
            &["new_vmid is taken by qemu guest 101"],
        ),
        (
            json!({ "vmid": 100, "snapshot": "nope" }),
            &["snapshot 'nope' does not exist"],
        ),
        (
            json!({ "vmid": 100, "target_node": "pve3" }),
            &["pve3 is offline", "pve1, pve2"],
        ),
        (
            json!({ "vmid": 100, "target_node": "pve9" }),
            &["no node pve9", "pve1, pve2, pve3"],
        ),
        (
            json!({ "vmid": 100, "target_node": "pve2", "storage": "local" }),
            &["not shared", "migrate the clone"],
        ),
        (
            json!({ "vmid": 100, "storage": "nas" }),
            &["nas is not set up to hold VM disks", "bulk"],
        ),
        (
            json!({ "vmid": 100, "storage": "nope" }),
            &["no storage nope", "these can"],
        ),
    ] {
        let text = client.error("clone_guest", arguments.clone()).await?;
        assert_says(&text, words);
    }
    assert!(sim.sent("POST")?.is_empty());
    // These are for Proxmox to say, which still makes nothing.
    let text = client
        .error("clone_guest", json!({ "vmid": 100, "target_node": "pve2" }))
        .await?;
    assert_says(&text, &["local storage", "node pve1", "migrate the clone"]);
    let text = client
        .error("clone_guest", json!({ "vmid": 100, "pool": "nope" }))
        .await?;
    assert_says(&text, &["pool 'nope' does not exist"]);
    Ok(())
}

#[tokio::test]
async fn bad_arguments_are_refused_without_a_request() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for (arguments, words) in [
        (json!({}), &["/vmid", "source_name"][..]),
        (
            json!({ "vmid": 100, "source_name": "web01" }),
            &["exactly one"],
        ),
        (json!({ "vmid": 5 }), &["/vmid", "100"]),
        (json!({ "vmid": 100, "new_vmid": -1 }), &["/new_vmid"]),
        (
            json!({ "vmid": 100, "name": "web_02" }),
            &["/name", "DNS name"],
        ),
        (json!({ "vmid": 100, "name": "a b" }), &["/name"]),
        (json!({ "vmid": 100, "name": "web02\n" }), &["/name"]),
        (json!({ "vmid": 100, "snapshot": "1st" }), &["/snapshot"]),
        (
            json!({ "vmid": 100, "target_node": "../pve1" }),
            &["/target_node"],
        ),
        (
            json!({ "vmid": 100, "storage": "local:iso" }),
            &["/storage"],
        ),
        (json!({ "vmid": 100, "pool": "a b" }), &["/pool"]),
        (
            json!({ "vmid": 9000, "full": false, "storage": "bulk" }),
            &["/storage", "linked clone"],
        ),
        (
            json!({ "vmid": 100, "force": true }),
            &["force", "not known"],
        ),
    ] {
        let text = client.error("clone_guest", arguments.clone()).await?;
        assert_says(&text, words);
    }
    for arguments in [json!({ "source": "disk" }), json!({ "limit": 0 })] {
        client.error("list_templates", arguments).await?;
    }
    assert_eq!(sim.served().await?, 0);
    Ok(())
}

#[tokio::test]
async fn missing_privileges_failed_tasks_and_cut_connections_are_explained() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let auditor = sim.host_with("audit")?.connect().await?;
    let text = auditor
        .error("clone_guest", json!({ "vmid": 9000 }))
        .await?;
    assert_says(&text, &["VM.Clone", "/vms/9000"]);
    let client = sim.host()?.connect().await?;
    sim.fault(json!({ "task": "qmclone", "error": "no space left on device" }))
        .await?;
    let text = client.error("clone_guest", json!({ "vmid": 9000 })).await?;
    assert_says(
        &text,
        &[
            "linked clone of qemu guest 9000",
            "no space left",
            "UPID:pve1:",
        ],
    );
    sim.fault(json!({ "kind": "cut-after", "method": "POST", "path": "/clone$" }))
        .await?;
    let before = sim.sent("POST")?.len();
    let text = client.error("clone_guest", json!({ "vmid": 9000 })).await?;
    assert_says(&text, &["may have happened all the same", "task list"]);
    assert_eq!(sim.sent("POST")?.len(), before + 1);

    let report = client
        .call("clone_guest", json!({ "vmid": 9000, "wait": false }))
        .await?;
    assert_eq!(report["status"], "running", "{report:#}");
    assert!(report["vmid"].is_u64(), "{report:#}");
    let report = client
        .call("wait_task", json!({ "upid": report["upid"] }))
        .await?;
    assert_eq!(report["status"], "done", "{report:#}");
    Ok(())
}
