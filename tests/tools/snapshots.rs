//! Snapshots: the tree, and taking, going back to and removing one.

#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use anyhow::Context as _;
use harness::{Client, Sim, assert_says};
use serde_json::json;

/// Name, depth, and whether the current state is based on it.
async fn tree(client: &Client, vmid: u32) -> anyhow::Result<Vec<(String, u64, bool)>> {
    let tree = client
        .call("list_snapshots", json!({ "vmid": vmid }))
        .await?;
    tree["snapshots"]
        .as_array()
        .context("no snapshots")?
        .iter()
        .map(|one| {
            Ok((
                one["snapshot"].as_str().context("no name")?.to_owned(),
                one["depth"].as_u64().context("no depth")?,
                tree["current"] == one["snapshot"],
            ))
        })
        .collect()
}

fn owned(tree: &[(&str, u64, bool)]) -> Vec<(String, u64, bool)> {
    tree.iter()
        .map(|(name, depth, current)| ((*name).to_owned(), *depth, *current))
        .collect()
}

#[tokio::test]
async fn snapshots_are_listed_as_a_tree() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    let tree = client
        .call("list_snapshots", json!({ "vmid": 100 }))
        .await?;
    assert_eq!(tree["current"], "clean");
    assert_eq!(tree["total"], 1);
    assert_eq!(tree["kind"], "qemu");
    assert_eq!(tree["node"], "pve1");
    let clean = &tree["snapshots"][0];
    assert_eq!(clean["snapshot"], "clean");
    assert_eq!(clean["description"], "before upgrade");
    assert_eq!(clean["with_ram"], false);
    assert_eq!(clean["created_at"], "2023-11-14T22:15:00Z");
    assert!(clean["age_seconds"].is_u64(), "{tree:#}");

    let none = client
        .call("list_snapshots", json!({ "vmid": 200 }))
        .await?;
    assert_eq!(none["snapshots"], json!([]));
    assert!(none.get("current").is_none(), "{none:#}");
    Ok(())
}

#[tokio::test]
async fn a_vm_is_saved_and_rolled_back() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    let report = client
        .call(
            "create_snapshot",
            json!({ "vmid": 100, "snapshot": "before_upgrade", "description": "kernel 6.18, first try" }),
        )
        .await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_eq!(report["snapshot"], "before_upgrade");
    assert_eq!(
        tree(&client, 100).await?,
        owned(&[("clean", 0, false), ("before_upgrade", 1, true)])
    );

    let changed = json!({ "cores": "4", "tags": null });
    sim.set_guest(100, json!({ "config": changed })).await?;
    let arguments = json!({ "vmid": 100, "snapshot": "before_upgrade" });
    let mut preview = arguments.clone();
    preview["preview"] = json!(true);
    let posted = sim.sent("POST")?.len();
    let preview = client.call("rollback_snapshot", preview).await?;
    let changes = json!([
        { "what": "cores", "from": "4", "to": "2" },
        { "what": "tags", "to": "prod;web" },
    ]);
    assert_eq!(preview["changes"], changes, "{preview:#}");
    assert_says(
        &preview["warnings"].to_string(),
        &["scsi0", "is lost", "switched off"],
    );
    assert_says(
        &preview["next_step"].to_string(),
        &["nothing has been changed"],
    );
    assert_eq!(sim.sent("POST")?.len(), posted);
    assert_eq!(sim.guest(100).await?["config"]["cores"], "4");

    let report = client.call("rollback_snapshot", arguments).await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_eq!(report["changes"], changes, "{report:#}");
    assert_says(
        &report["action"].to_string(),
        &["web01", "before_upgrade of 20"],
    );
    assert_says(&report["next_step"].to_string(), &["start_guest"]);
    let guest = sim.guest(100).await?;
    assert_eq!(guest["config"]["cores"], "2", "{guest:#}");
    assert_eq!(guest["running"], false);

    let report = client
        .call(
            "rollback_snapshot",
            json!({ "vmid": 100, "snapshot": "clean", "start": true }),
        )
        .await?;
    assert!(report.get("next_step").is_none(), "{report:#}");
    assert_eq!(sim.guest(100).await?["running"], true);
    assert_eq!(
        tree(&client, 100).await?,
        owned(&[("clean", 0, true), ("before_upgrade", 1, false)])
    );
    Ok(())
}

#[tokio::test]
async fn a_snapshot_with_ram_resumes_the_running_vm() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    let report = client
        .call(
            "create_snapshot",
            json!({ "vmid": 100, "snapshot": "live", "with_ram": true }),
        )
        .await?;
    assert_says(&report["action"].to_string(), &["with its RAM"]);
    let tree = client
        .call("list_snapshots", json!({ "vmid": 100 }))
        .await?;
    assert_eq!(tree["snapshots"][1]["with_ram"], true, "{tree:#}");
    sim.set_guest(100, json!({ "running": false })).await?;
    let report = client
        .call(
            "rollback_snapshot",
            json!({ "vmid": 100, "snapshot": "live" }),
        )
        .await?;
    assert_says(
        &report["warnings"].to_string(),
        &["continues from the snapshot"],
    );
    assert_eq!(sim.guest(100).await?["running"], true);
    let report = client
        .call(
            "delete_snapshot",
            json!({ "vmid": 100, "snapshot": "live" }),
        )
        .await?;
    assert_says(&report["action"].to_string(), &["and its RAM state"]);
    Ok(())
}

#[tokio::test]
async fn deleting_a_snapshot_reports_its_children() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    for name in ["one", "two"] {
        client
            .call("create_snapshot", json!({ "vmid": 100, "snapshot": name }))
            .await?;
    }
    let report = client
        .call("delete_snapshot", json!({ "vmid": 100, "snapshot": "one" }))
        .await?;
    assert_eq!(
        report["changes"],
        json!([{ "what": "parent of snapshot two", "from": "one", "to": "clean" }])
    );
    let report = client
        .call(
            "delete_snapshot",
            json!({ "vmid": 100, "snapshot": "clean" }),
        )
        .await?;
    assert_eq!(
        report["changes"],
        json!([{ "what": "parent of snapshot two", "from": "clean" }])
    );
    assert_eq!(tree(&client, 100).await?, owned(&[("two", 0, true)]));
    Ok(())
}

#[tokio::test]
async fn a_container_on_zfs_is_saved_and_rolled_back() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    for name in ["first", "second"] {
        client
            .call("create_snapshot", json!({ "vmid": 201, "snapshot": name }))
            .await?;
    }
    sim.set_guest(201, json!({ "config": { "memory": "1024" } }))
        .await?;
    let report = client
        .call(
            "rollback_snapshot",
            json!({ "vmid": 201, "snapshot": "second" }),
        )
        .await?;
    assert_eq!(report["changes"][0]["what"], "memory", "{report:#}");
    assert_says(&report["warnings"].to_string(), &["rootfs"]);
    // A snapshot of a container cannot hold its RAM.
    let text = client
        .error(
            "create_snapshot",
            json!({ "vmid": 200, "snapshot": "live", "with_ram": true }),
        )
        .await?;
    assert_says(&text, &["with_ram", "container"]);
    let text = client
        .error(
            "create_snapshot",
            json!({ "vmid": 200, "snapshot": "vzdump" }),
        )
        .await?;
    assert_says(&text, &["snapshot", "vzdump"]);
    Ok(())
}

#[tokio::test]
async fn a_failed_task_is_an_error_with_the_log() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    // A directory holds no snapshots of containers.
    let text = client
        .error("create_snapshot", json!({ "vmid": 200, "snapshot": "s1" }))
        .await?;
    assert_says(
        &text,
        &[
            "take snapshot s1 of lxc guest 200",
            "snapshot feature is not available",
            "ZFS",
        ],
    );
    sim.fault(json!({ "task": "qmrollback", "error": "no space left on device" }))
        .await?;
    let text = client
        .error(
            "rollback_snapshot",
            json!({ "vmid": 100, "snapshot": "clean" }),
        )
        .await?;
    assert_says(&text, &["no space left on device", "UPID:pve1:"]);
    sim.fault(json!({ "task": "qmdelsnapshot", "warnings": 2 }))
        .await?;
    let report = client
        .call(
            "delete_snapshot",
            json!({ "vmid": 100, "snapshot": "clean" }),
        )
        .await?;
    assert_eq!(report["status"], "done_with_warnings", "{report:#}");
    assert_ne!(report["warnings"], json!([]), "{report:#}");
    Ok(())
}

#[tokio::test]
async fn a_call_without_wait_returns_the_running_task() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    let report = client
        .call(
            "create_snapshot",
            json!({ "vmid": 100, "snapshot": "later", "wait": false }),
        )
        .await?;
    assert_eq!(report["status"], "running", "{report:#}");
    assert_eq!(report["snapshot"], "later");
    assert_says(&report["next_step"].to_string(), &["wait_task"]);
    let report = client
        .call("wait_task", json!({ "upid": report["upid"] }))
        .await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_eq!(tree(&client, 100).await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn an_impossible_snapshot_is_refused_before_it_is_sent() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    sim.set_guest(103, json!({ "running": false })).await?;
    for (tool, arguments, words) in [
        (
            "create_snapshot",
            json!({ "vmid": 100, "snapshot": "clean" }),
            &["already has a snapshot clean", "delete_snapshot"][..],
        ),
        (
            "create_snapshot",
            json!({ "vmid": 103, "snapshot": "live", "with_ram": true }),
            &["not running", "leave with_ram out", "start_guest"],
        ),
        (
            "create_snapshot",
            json!({ "vmid": 101, "snapshot": "s1" }),
            &["locked (backup)", "unlock"],
        ),
        (
            "create_snapshot",
            json!({ "vmid": 9000, "snapshot": "s1" }),
            &["template"],
        ),
        (
            "create_snapshot",
            json!({ "vmid": 300, "snapshot": "s1" }),
            &["pve2", "offline"],
        ),
        (
            "create_snapshot",
            json!({ "vmid": 999, "snapshot": "s1" }),
            &["999", "list_guests"],
        ),
        (
            "rollback_snapshot",
            json!({ "vmid": 100, "snapshot": "claen" }),
            &["no snapshot claen", "perhaps clean"],
        ),
        (
            "rollback_snapshot",
            json!({ "vmid": 103, "snapshot": "clean" }),
            &["no snapshot clean", "no snapshots", "create_snapshot"],
        ),
        (
            "delete_snapshot",
            json!({ "vmid": 100, "snapshot": "current" }),
            &["no snapshot current", "it has clean"],
        ),
        (
            "delete_snapshot",
            json!({ "vmid": 300, "snapshot": "clean" }),
            &["offline"],
        ),
    ] {
        let text = client.error(tool, arguments).await?;
        assert_says(&text, words);
    }
    for method in ["POST", "DELETE"] {
        assert_eq!(sim.sent(method)?.len(), 0);
    }
    Ok(())
}

#[tokio::test]
async fn bad_names_are_refused_without_a_request() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    let long = "a".repeat(41);
    for name in ["", "a", "1st", "a b", "a/../b", "é1", "a\n", "-a", &long] {
        for tool in ["create_snapshot", "rollback_snapshot", "delete_snapshot"] {
            let text = client
                .error(tool, json!({ "vmid": 100, "snapshot": name }))
                .await?;
            assert_says(&text, &["snapshot"]);
        }
    }
    for name in ["current", "Pending"] {
        let text = client
            .error("create_snapshot", json!({ "vmid": 100, "snapshot": name }))
            .await?;
        assert_says(&text, &["snapshot", "reserves"]);
    }
    let text = client
        .error(
            "create_snapshot",
            json!({ "vmid": 100, "snapshot": "s1", "quiesce": true }),
        )
        .await?;
    assert_says(&text, &["quiesce"]);
    assert_eq!(sim.served().await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_missing_privilege_is_named() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let auditor = sim
        .host_with("audit")?
        .arg("--preset=admin")
        .connect()
        .await?;
    assert_eq!(tree(&auditor, 100).await?.len(), 1);
    for (tool, name) in [
        ("create_snapshot", "s1"),
        ("rollback_snapshot", "clean"),
        ("delete_snapshot", "clean"),
    ] {
        let text = auditor
            .error(tool, json!({ "vmid": 100, "snapshot": name }))
            .await?;
        assert_says(&text, &["VM.Snapshot"]);
    }
    let nobody = sim
        .host_with("none")?
        .arg("--preset=admin")
        .connect()
        .await?;
    let text = nobody
        .error("list_snapshots", json!({ "vmid": 100 }))
        .await?;
    assert_says(&text, &["100", "VM.Audit"]);
    Ok(())
}

#[tokio::test]
async fn a_cut_connection_says_that_the_change_may_have_happened() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    sim.fault(json!({ "kind": "cut-after", "method": "POST", "path": "/snapshot$" }))
        .await?;
    let text = client
        .error("create_snapshot", json!({ "vmid": 100, "snapshot": "s1" }))
        .await?;
    assert_says(
        &text,
        &["POST", "may have happened all the same", "task list"],
    );
    // It has, and it was asked for once.
    assert_eq!(sim.sent("POST")?.len(), 1);
    let tasks = client.call("list_tasks", json!({ "vmid": 100 })).await?;
    assert_says(&tasks.to_string(), &["qmsnapshot"]);
    Ok(())
}
