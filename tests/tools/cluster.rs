//! The cluster as a whole: quorum, nodes, high availability, and tasks.

use harness::{Sim, assert_case_says, assert_says, each};
use serde_json::json;

#[tokio::test]
async fn an_offline_node_is_a_problem_of_the_cluster() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let status = client.call("get_cluster_status", json!({})).await?;
    assert_eq!(status["cluster"]["name"], "testcl");
    assert_eq!(status["cluster"]["quorate"], true);
    assert_eq!(status["cluster"]["expected_nodes"], 2);
    let nodes = status["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 2, "{status:#}");
    assert_eq!(nodes[0]["node"], "pve1");
    assert_eq!(nodes[0]["online"], true);
    assert_eq!(status["read_from_node"], "pve1");
    assert_eq!(nodes[0]["ip"], "192.0.2.11");
    assert_eq!(nodes[1]["node"], "pve2");
    assert_eq!(nodes[1]["online"], false);
    let services = status["ha"]["services"].as_array().unwrap();
    assert_eq!(services.len(), 1, "{status:#}");
    assert_eq!(services[0]["sid"], "vm:104");
    assert_eq!(services[0]["node"], "pve1");
    assert_eq!(services[0]["state"], "started");
    assert!(
        status["problems"].to_string().contains("pve2"),
        "{status:#}"
    );
    Ok(())
}

#[tokio::test]
async fn a_healthy_cluster_has_no_problems() -> anyhow::Result<()> {
    let sim = Sim::options().arg("--nodes=a,b,c").start().await?;
    let client = sim.host()?.connect().await?;
    let status = client.call("get_cluster_status", json!({})).await?;
    assert_eq!(status["problems"], json!([]), "{status:#}");
    assert_eq!(status["nodes"].as_array().unwrap().len(), 3);
    Ok(())
}

#[tokio::test]
async fn lost_quorum_is_the_first_problem() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    sim.control(json!({ "cmd": "quorate", "value": false }))
        .await?;
    let status = client.call("get_cluster_status", json!({})).await?;
    assert_eq!(status["cluster"]["quorate"], false);
    let problem = status["problems"][0].as_str().unwrap();
    assert!(problem.contains("quorum"), "{status:#}");
    Ok(())
}

/// If the state of HA cannot be read, the rest is still reported.
#[tokio::test]
async fn an_ha_manager_that_does_not_answer_hides_nothing_else() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    sim.fault(json!({
        "kind": "status", "code": 500, "path": "/cluster/ha/", "times": 3,
        "reason": "unable to read file '/etc/pve/ha/manager_status'",
    }))
    .await?;
    let status = client.call("get_cluster_status", json!({})).await?;
    assert_eq!(status["cluster"]["name"], "testcl");
    assert!(
        status["ha"]["unavailable"]
            .as_str()
            .unwrap()
            .contains("manager_status"),
        "{status:#}"
    );
    Ok(())
}

#[tokio::test]
async fn a_missing_privilege_is_named() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host_with("none")?.connect().await?;
    let text = client.error("get_cluster_status", json!({})).await?;
    assert_says(&text, &["nobody@pve!none", "Sys.Audit", "on /"]);
    let auditor = sim.host_with("audit")?.connect().await?;
    auditor.call("get_cluster_status", json!({})).await?;
    Ok(())
}

#[tokio::test]
async fn no_arguments_are_taken() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let text = client
        .error("get_cluster_status", json!({ "node": "pve1" }))
        .await?;
    assert!(text.contains("node"), "{text}");
    assert_eq!(sim.served().await?, 0);
    Ok(())
}

#[tokio::test]
async fn tasks_are_listed_and_filtered() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for (filter, found) in [
        (
            json!({}),
            &["vzstart", "qmstart", "qmstart", "qmigrate"][..],
        ),
        (
            json!({ "node": "pve1" }),
            &["vzstart", "qmstart", "qmstart", "qmigrate"],
        ),
        (json!({ "vmid": 102 }), &["qmstart"]),
        (json!({ "vmid": 555 }), &[]),
        (json!({ "status": "failed" }), &["qmigrate"]),
        (
            json!({ "status": "ok", "type": "qm" }),
            &["qmstart", "qmstart"],
        ),
        (json!({ "status": "running" }), &[]),
        (json!({ "type": "start", "vmid": 200 }), &["vzstart"]),
        (
            json!({ "user": "root@pam" }),
            &["vzstart", "qmstart", "qmstart", "qmigrate"],
        ),
        (json!({ "user": "nobody" }), &[]),
        // They began 4:10, 4:43, 5:00 and 5:17 ago.
        (json!({ "since": "290m" }), &["vzstart", "qmstart"]),
        (
            json!({ "since": "1970-01-01T00:00:00Z", "limit": 1 }),
            &["vzstart"],
        ),
        (
            json!({ "until": "270m" }),
            &["qmstart", "qmstart", "qmigrate"],
        ),
        (json!({ "since": "290m", "until": "270m" }), &["qmstart"]),
        // Proxmox itself takes whole types only, and minds a user's case.
        (
            json!({ "node": "pve1", "type": "START", "user": "ROOT@" }),
            &["vzstart", "qmstart", "qmstart"],
        ),
        (
            json!({ "node": "pve1", "user": "!full", "type": "migrate" }),
            &["qmigrate"],
        ),
        // The same, filtered by the node.
        (json!({ "node": "pve1", "vmid": 102 }), &["qmstart"]),
        (json!({ "node": "pve1", "status": "failed" }), &["qmigrate"]),
        (
            json!({ "node": "pve1", "status": "ok", "type": "vzstart" }),
            &["vzstart"],
        ),
        (
            json!({ "node": "pve1", "since": "290m" }),
            &["vzstart", "qmstart"],
        ),
        (
            json!({ "node": "pve1", "limit": 2 }),
            &["vzstart", "qmstart"],
        ),
    ] {
        let list = client.call("list_tasks", filter.clone()).await?;
        assert_eq!(each(&list["tasks"], "type"), found, "{filter}");
    }
    let list = client.call("list_tasks", json!({ "limit": 1 })).await?;
    assert_eq!(list["total"], 4);
    assert!(
        list["hint"].as_str().unwrap().contains("1 of 4"),
        "{list:#}"
    );
    let task = &list["tasks"][0];
    assert_eq!(task["node"], "pve1");
    assert_eq!(task["id"], "200");
    assert_eq!(task["user"], "root@pam!full");
    assert_eq!(task["status"], "ok");
    assert!(
        task["upid"].as_str().unwrap().starts_with("UPID:pve1:"),
        "{task}"
    );
    for time in ["started_at", "ended_at"] {
        let time = task[time].as_str().unwrap();
        assert!(time.len() == 20 && time.ends_with('Z'), "{task}");
    }
    Ok(())
}

#[tokio::test]
async fn a_task_list_that_cannot_be_read_is_explained() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for (filter, says) in [
        (
            json!({ "status": "done" }),
            &["status", "running", "ok", "warnings", "failed"][..],
        ),
        (json!({ "since": "yesterday" }), &["since", "2h"]),
        (json!({ "limit": 0 }), &["limit", "1", "500"]),
        (json!({ "vmid": 1 }), &["vmid", "100"]),
        (
            json!({ "since": "2026-11-22", "until": "2026-11-21" }),
            &["until", "before"],
        ),
    ] {
        let text = client.error("list_tasks", filter.clone()).await?;
        assert_case_says(filter, &text, says);
    }
    assert_eq!(sim.served().await?, 0);
    let text = client
        .error("list_tasks", json!({ "node": "pve2" }))
        .await?;
    assert!(text.contains("pve2"), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_task_is_shown_with_its_log() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let failed = client
        .call("list_tasks", json!({ "status": "failed" }))
        .await?;
    let upid = failed["tasks"][0]["upid"].clone();
    assert_eq!(failed["tasks"][0]["exit_status"], "migration aborted");

    let task = client.call("get_task", json!({ "upid": upid })).await?;
    assert_eq!(task["upid"], upid);
    assert_eq!(task["type"], "qmigrate");
    assert_eq!(task["id"], "9000");
    assert_eq!(task["status"], "failed");
    assert_eq!(task["exit_status"], "migration aborted");
    assert_eq!(task["duration_seconds"], 3);
    let log = task["log"].to_string();
    assert!(log.contains("No route to host"), "{task:#}");
    assert!(log.contains("ERROR: migration aborted"), "{task:#}");
    let total = task["log_total_lines"].as_u64().unwrap();
    assert_eq!(task["log"].as_array().unwrap().len() as u64, total);

    // The last lines tell why it failed; so they are the ones that are shown.
    let arguments = json!({ "upid": upid, "log_lines": 1 });
    let tail = client.call("get_task", arguments).await?;
    assert_eq!(tail["log"].as_array().unwrap().len(), 1);
    assert_eq!(tail["log"][0], task["log"][total as usize - 1]);
    assert_eq!(tail["log_start"], total - 1);
    assert!(
        tail["hint"].as_str().unwrap().contains("log_lines"),
        "{tail:#}"
    );
    let arguments = json!({ "upid": upid, "log_lines": 1, "log_start": 0 });
    let head = client.call("get_task", arguments).await?;
    assert_eq!(head["log"], json!([task["log"][0]]));
    let arguments = json!({ "upid": upid, "log_lines": 0 });
    let none = client.call("get_task", arguments).await?;
    assert_eq!(none["log"], json!([]));
    assert_eq!(none["log_total_lines"], total);
    Ok(())
}

#[tokio::test]
async fn a_task_that_cannot_be_read_is_explained() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for upid in [
        "",
        "nonsense",
        "UPID:pve1:00000107:000A73C7:6B02DAF4:vzstart:200:root@pam!full",
        "UPID:pve1:xyz:000A73C7:6B02DAF4:vzstart:200:root@pam!full:",
        "UPID:../nodes:00000107:000A73C7:6B02DAF4:vzstart:200:root@pam!full:",
    ] {
        let text = client.error("get_task", json!({ "upid": upid })).await?;
        assert!(text.contains("upid"), "{upid}: {text}");
    }
    assert_eq!(sim.served().await?, 0);
    // Well-formed, but of no task; and of one on an offline node.
    let absent = "UPID:pve1:000FFFFF:000A73C7:6B02DAF4:vzstart:200:root@pam!full:";
    let text = client.error("get_task", json!({ "upid": absent })).await?;
    assert!(text.contains("task"), "{text}");
    let away = "UPID:pve2:000FFFFF:000A73C7:6B02DAF4:vzstart:200:root@pam!full:";
    let text = client.error("get_task", json!({ "upid": away })).await?;
    assert!(text.contains("pve2"), "{text}");
    Ok(())
}
