//! Migration: the look beforehand, and the move.

#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use anyhow::Context as _;
use harness::{Sim, assert_says, each};
use serde_json::json;

/// Two nodes that answer, and one that does not.
async fn three_nodes() -> anyhow::Result<Sim> {
    Sim::options()
        .arg("--nodes=pve1,pve2:offline,pve3")
        .start()
        .await
}

async fn node_of(sim: &mut Sim, vmid: u64) -> anyhow::Result<String> {
    let guest = sim.guest(vmid).await?;
    Ok(guest["node"].as_str().context("no node")?.to_owned())
}

#[tokio::test]
async fn a_check_lists_target_nodes_of_a_vm_and_obstacles() -> anyhow::Result<()> {
    let sim = three_nodes().await?;
    let client = sim.host()?.connect().await?;
    let check = client
        .call("check_migration", json!({ "vmid": 103 }))
        .await?;
    assert_eq!(check["how"], "live", "{check:#}");
    assert_eq!(check["node"], "pve1");
    assert_eq!(
        check["targets"],
        json!([
            { "node": "pve2", "allowed": false, "reasons": ["the node is offline"] },
            { "node": "pve3", "allowed": true },
        ])
    );
    assert_eq!(
        check["local_disks"][0]["volid"],
        "local:103/vm-103-disk-0.qcow2"
    );
    let only = client
        .call(
            "check_migration",
            json!({ "vmid": 103, "target_node": "pve3" }),
        )
        .await?;
    assert_eq!(only["targets"].as_array().map(Vec::len), Some(1));

    // An ISO image on local storage holds it where it is.
    let check = client
        .call("check_migration", json!({ "vmid": 100 }))
        .await?;
    assert_says(
        &check["blockers"].to_string(),
        &["local:iso/test.iso", "eject"],
    );
    assert_eq!(check["targets"][1]["allowed"], false, "{check:#}");
    // The cloud-init drive does not: it is made anew.
    assert!(
        !check["local_disks"].to_string().contains("cloudinit"),
        "{check:#}"
    );
    Ok(())
}

#[tokio::test]
async fn a_check_lists_target_nodes_of_a_container_and_obstacles() -> anyhow::Result<()> {
    let sim = three_nodes().await?;
    let client = sim.host()?.connect().await?;
    let check = client
        .call("check_migration", json!({ "vmid": 200 }))
        .await?;
    assert_eq!(check["how"], "restart", "{check:#}");
    assert_says(
        &check["interruption"].to_string(),
        &["shut down", "started again"],
    );
    assert_eq!(
        check["targets"][1],
        json!({ "node": "pve3", "allowed": true })
    );
    assert_eq!(check["local_disks"][0]["disk"], "rootfs");
    let check = client
        .call("check_migration", json!({ "vmid": 201 }))
        .await?;
    assert_eq!(check["how"], "offline");
    assert_eq!(check["targets"][1]["allowed"], false);
    assert_says(
        &check["targets"][1]["reasons"].to_string(),
        &["tank", "target_storage"],
    );
    let check = client
        .call("check_migration", json!({ "vmid": 104 }))
        .await?;
    assert_eq!(check["ha_managed"], true);
    assert_eq!(check["local_disks"], json!([]));
    assert_says(&check["hint"].to_string(), &["HA"]);
    Ok(())
}

#[tokio::test]
async fn a_running_vm_moves_live() -> anyhow::Result<()> {
    let mut sim = three_nodes().await?;
    let client = sim.host()?.connect().await?;
    let report = client
        .call(
            "migrate_guest",
            json!({ "vmid": 103, "target_node": "pve3" }),
        )
        .await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_eq!(report["node"], "pve3");
    assert_eq!(
        report["changes"],
        json!([{ "what": "node", "from": "pve1", "to": "pve3" }])
    );
    assert_says(&report["action"].to_string(), &["plain01", "live"]);
    assert_says(
        &report["warnings"].to_string(),
        &["local:103/vm-103-disk-0.qcow2", "1 GiB"],
    );
    assert_eq!(node_of(&mut sim, 103).await?, "pve3");
    assert_eq!(
        each(&sim.sent_to("POST", "/migrate")?.into(), "params"),
        [json!({ "target": "pve3", "online": "1", "with-local-disks": "1" })]
    );
    // It is there already.
    let report = client
        .call(
            "migrate_guest",
            json!({ "vmid": 103, "target_node": "pve3" }),
        )
        .await?;
    assert_eq!(report["status"], "unchanged");
    assert_eq!(sim.sent_to("POST", "/migrate")?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_stopped_vm_moves_offline() -> anyhow::Result<()> {
    let mut sim = three_nodes().await?;
    let client = sim.host()?.connect().await?;
    sim.set_guest(103, json!({ "running": false })).await?;
    let report = client
        .call(
            "migrate_guest",
            json!({
                "vmid": 103, "target_node": "pve3", "online": true, "target_storage": "local:bulk",
                "bandwidth_limit_kibps": 10240, "wait": false,
            }),
        )
        .await?;
    assert_eq!(report["status"], "running", "{report:#}");
    assert_says(&report["action"].to_string(), &["offline"]);
    assert_says(&report["warnings"].to_string(), &["not running"]);
    let report = client
        .call("wait_task", json!({ "upid": report["upid"] }))
        .await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_eq!(node_of(&mut sim, 103).await?, "pve3");
    assert_eq!(
        each(&sim.sent_to("POST", "/migrate")?.into(), "params"),
        [json!({
            "target": "pve3", "with-local-disks": "1", "targetstorage": "local:bulk", "bwlimit": "10240",
        })]
    );
    Ok(())
}

#[tokio::test]
async fn a_running_container_moves_by_a_restart() -> anyhow::Result<()> {
    let mut sim = three_nodes().await?;
    let client = sim.host()?.connect().await?;
    let report = client
        .call(
            "migrate_guest",
            json!({ "vmid": 200, "target_node": "pve3", "shutdown_timeout_seconds": 30 }),
        )
        .await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_says(
        &report["warnings"].to_string(),
        &["cannot be migrated live", "30 s", "started on pve3"],
    );
    assert_eq!(node_of(&mut sim, 200).await?, "pve3");
    let report = client
        .call(
            "migrate_guest",
            json!({ "vmid": 201, "target_node": "pve3", "target_storage": "bulk" }),
        )
        .await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_eq!(
        each(&sim.sent_to("POST", "/migrate")?.into(), "params"),
        [
            json!({ "target": "pve3", "restart": "1", "timeout": "30" }),
            json!({ "target": "pve3", "target-storage": "bulk" }),
        ]
    );
    Ok(())
}

#[tokio::test]
async fn the_ha_manager_moves_a_guest_under_high_availability() -> anyhow::Result<()> {
    // It acts nine to fifteen seconds after its task.
    let nodes = "--nodes=pve1,pve2:offline,pve3";
    let sim = Sim::options().arg(nodes).arg("--speed=4").start().await?;
    // It would choose the storages: under a scope on them it is not asked.
    let client = sim.host()?.arg("--storages=bulk").connect().await?;
    let order = json!({ "vmid": 104, "target_node": "pve3" });
    let error = client.error("migrate_guest", order).await?;
    assert_says(&error, &["rule scope", "high availability"]);
    assert!(sim.sent_to("POST", "/migrate")?.is_empty());
    let client = sim.host()?.connect().await?;
    let report = client
        .call(
            "migrate_guest",
            json!({ "vmid": 104, "target_node": "pve3" }),
        )
        .await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_says(&report["upid"].to_string(), &[":hamigrate:"]);
    assert_eq!(report["node"], "pve3", "{report:#}");
    assert_eq!(
        report["changes"],
        json!([{ "what": "node", "from": "pve1", "to": "pve3" }]),
        "{report:#}"
    );
    let guest = client.call("get_guest", json!({ "vmid": 104 })).await?;
    assert_eq!(guest["node"], "pve3");

    let back = json!({ "vmid": 104, "target_node": "pve1", "wait": false });
    let report = client.call("migrate_guest", back).await?;
    assert_eq!(report["status"], "requested", "{report:#}");
    assert!(report.get("changes").is_none(), "{report:#}");
    assert_says(
        &report["next_step"].to_string(),
        &["get_guest", "list_tasks", "pve1"],
    );
    Ok(())
}

#[tokio::test]
async fn an_impossible_migration_is_refused_before_it_is_sent() -> anyhow::Result<()> {
    let sim = three_nodes().await?;
    let client = sim.host()?.connect().await?;
    for (arguments, words) in [
        (
            json!({ "vmid": 100, "target_node": "pve3" }),
            &["CD-ROM", "local:iso/test.iso"][..],
        ),
        (
            json!({ "vmid": 103, "target_node": "pve2" }),
            &["pve2", "offline", "pve3"],
        ),
        (
            json!({ "vmid": 103, "target_node": "pve33" }),
            &["no node pve33", "pve3 is probably meant"],
        ),
        (
            json!({ "vmid": 103, "target_node": "pve3", "online": false }),
            &["is running", "stop_guest"],
        ),
        (
            json!({ "vmid": 103, "target_node": "pve3", "with_local_disks": false }),
            &["with_local_disks", "vm-103-disk-0"],
        ),
        (
            json!({ "vmid": 200, "target_node": "pve3", "online": true }),
            &["online", "cannot be migrated live"],
        ),
        (
            json!({ "vmid": 201, "target_node": "pve3" }),
            &["storage tank", "target_storage"],
        ),
        (
            json!({ "vmid": 201, "target_node": "pve3", "target_storage": "nas" }),
            &["storage nas", "container volumes", "bulk"],
        ),
        (
            json!({ "vmid": 101, "target_node": "pve3" }),
            &["locked (backup)"],
        ),
        (
            json!({ "vmid": 300, "target_node": "pve1" }),
            &["pve2", "offline"],
        ),
        (
            json!({ "vmid": 999, "target_node": "pve3" }),
            &["999", "list_guests"],
        ),
    ] {
        let text = client.error("migrate_guest", arguments).await?;
        assert_says(&text, words);
    }
    assert!(sim.sent_to("POST", "/migrate")?.is_empty());
    for (arguments, words) in [
        (json!({ "vmid": 101 }), &["locked"][..]),
        (json!({ "vmid": 300 }), &["offline"]),
        (
            json!({ "vmid": 103, "target_node": "pve9" }),
            &["no node pve9"],
        ),
    ] {
        let text = client.error("check_migration", arguments).await?;
        assert_says(&text, words);
    }
    Ok(())
}

#[tokio::test]
async fn bad_arguments_are_refused_without_a_request() -> anyhow::Result<()> {
    let mut sim = three_nodes().await?;
    let client = sim.host()?.connect().await?;
    for (arguments, words) in [
        (
            json!({ "vmid": 103, "target_node": "../pve3" }),
            &["target_node", "node's name"][..],
        ),
        (json!({ "vmid": 103 }), &["target_node", "missing"]),
        (json!({ "vmid": 99, "target_node": "pve3" }), &["vmid"]),
        (
            json!({ "vmid": 103, "target_node": "pve3", "target_storage": "a:b:c" }),
            &["target_storage"],
        ),
        (
            json!({ "vmid": 103, "target_node": "pve3", "target_storage": "local:bulk,local:tank" }),
            &["local is given more than once"],
        ),
        (
            json!({ "vmid": 103, "target_node": "pve3", "force": true }),
            &["force", "not known"],
        ),
        (
            json!({ "vmid": 200, "target_node": "pve3", "shutdown_timeout_seconds": 0 }),
            &["shutdown_timeout_seconds"],
        ),
    ] {
        let text = client.error("migrate_guest", arguments).await?;
        assert_says(&text, words);
    }
    assert_eq!(sim.served().await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_failed_migration_is_an_error_with_the_log() -> anyhow::Result<()> {
    let mut sim = three_nodes().await?;
    let client = sim.host()?.connect().await?;
    sim.fault(json!({ "task": "qmigrate", "error": "migration aborted" }))
        .await?;
    let text = client
        .error(
            "migrate_guest",
            json!({ "vmid": 103, "target_node": "pve3" }),
        )
        .await?;
    assert_says(
        &text,
        &["migrate qemu guest 103", "migration aborted", "UPID:pve1:"],
    );
    Ok(())
}

#[tokio::test]
async fn a_missing_privilege_is_named() -> anyhow::Result<()> {
    let sim = three_nodes().await?;
    let auditor = sim.host_with("audit")?.connect().await?;
    for tool in ["check_migration", "migrate_guest"] {
        let text = auditor
            .error(tool, json!({ "vmid": 103, "target_node": "pve3" }))
            .await?;
        assert_says(&text, &["VM.Migrate", "/vms/103"]);
    }
    Ok(())
}

#[tokio::test]
async fn a_cut_connection_says_that_the_migration_may_have_started() -> anyhow::Result<()> {
    let mut sim = three_nodes().await?;
    let client = sim.host()?.connect().await?;
    sim.fault(json!({ "kind": "cut-after", "method": "POST", "path": "/migrate$" }))
        .await?;
    let text = client
        .error(
            "migrate_guest",
            json!({ "vmid": 103, "target_node": "pve3" }),
        )
        .await?;
    assert_says(&text, &["may have happened", "task list"]);
    assert_eq!(
        sim.sent_to("POST", "/migrate")?.len(),
        1,
        "a write is never repeated"
    );
    Ok(())
}
