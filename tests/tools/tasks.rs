//! Tasks: following one to its end, and stopping one.

use anyhow::Context as _;
use harness::{Client, Sim, assert_says};
use serde_json::{Value, json};

/// Starts a task without following it: its UPID as arguments.
async fn started(client: &Client) -> anyhow::Result<Value> {
    let report = client
        .call("start_guest", json!({ "vmid": 201, "wait": false }))
        .await?;
    let upid = report.get("upid").context("no upid")?;
    Ok(json!({ "upid": upid }))
}

#[tokio::test]
async fn a_task_is_followed_to_its_end() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let upid = started(&client).await?;
    // The first follows it, the second finds it ended.
    for _ in 0..2 {
        let report = client.call("wait_task", upid.clone()).await?;
        assert_eq!(report["status"], "done", "{report:#}");
        assert_eq!(report["action"], "the task vzstart 201");
        assert_eq!(report["upid"], upid["upid"]);
        assert_eq!(report["vmid"], 201);
        assert_eq!(report["node"], "pve1");
    }
    Ok(())
}

#[tokio::test]
async fn a_failed_task_is_an_error_with_the_log() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    sim.control(
        json!({ "cmd": "fault", "task": "vzstart", "error": "startup for container '201' failed" }),
    )
    .await?;
    let upid = started(&client).await?;
    let text = client.error("wait_task", upid.clone()).await?;
    assert_says(
        &text,
        &[
            "the task vzstart 201 failed",
            "startup for container",
            "TASK ERROR",
            "UPID:pve1:",
        ],
    );

    // One that ended long ago is reported in the same way.
    let failed = client
        .call(
            "list_tasks",
            json!({ "status": "failed", "type": "qmigrate" }),
        )
        .await?;
    let old = json!({ "upid": failed["tasks"][0]["upid"] });
    let text = client.error("wait_task", old).await?;
    assert_says(
        &text,
        &[
            "the task qmigrate 9000 failed: migration aborted",
            "No route to host",
        ],
    );
    Ok(())
}

#[tokio::test]
async fn warnings_of_a_task_are_reported() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    sim.control(json!({ "cmd": "fault", "task": "vzstart", "warnings": 1 }))
        .await?;
    let upid = started(&client).await?;
    let report = client.call("wait_task", upid.clone()).await?;
    assert_eq!(report["status"], "done_with_warnings", "{report:#}");
    assert_says(
        report["warnings"][0].as_str().unwrap(),
        &["simulated warning"],
    );
    let task = client.call("get_task", upid).await?;
    assert_eq!(task["status"], "warnings");
    assert_eq!(task["exit_status"], "WARNINGS: 1");
    Ok(())
}

/// Two looks in a row that fail do not end the following.
#[tokio::test]
async fn a_failed_poll_is_repeated() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let upid = started(&client).await?;
    sim.fault(json!({ "kind": "cut", "path": "/tasks/.*/status$", "times": 4, "skip": 1 }))
        .await?;
    let report = client.call("wait_task", upid).await?;
    assert_eq!(report["status"], "done", "{report:#}");
    Ok(())
}

#[tokio::test]
async fn a_running_task_is_stopped() -> anyhow::Result<()> {
    let sim = Sim::options().arg("--task-seconds=3600").start().await?;
    let client = sim.host()?.connect().await?;
    let upid = started(&client).await?;
    let task = client.call("get_task", upid.clone()).await?;
    assert_eq!(task["status"], "running", "{task:#}");
    assert!(task.get("ended_at").is_none());
    assert_says(task["hint"].as_str().unwrap(), &["wait_task"]);

    let auditor = sim.host_with("audit")?.connect().await?;
    let text = auditor.error("stop_task", upid.clone()).await?;
    assert_says(&text, &["audit@pve!viewer", "Sys.Modify", "/nodes/pve1"]);

    let report = client.call("stop_task", upid.clone()).await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_eq!(report["action"], "ask the task vzstart 201 to stop");
    assert_says(
        report["next_step"].as_str().unwrap(),
        &["get_task", "incomplete"],
    );
    let task = client.call("get_task", upid.clone()).await?;
    assert_eq!(task["status"], "failed", "{task:#}");
    assert!(task["ended_at"].is_string(), "{task:#}");
    let text = client.error("wait_task", upid.clone()).await?;
    assert_says(&text, &["stopped from outside"]);

    // One that has ended cannot be stopped, so the user is not asked.
    let deletes = |sim: &Sim| -> anyhow::Result<usize> {
        let requests = sim.requests()?;
        Ok(requests
            .iter()
            .filter(|one| one["method"] == "DELETE")
            .count())
    };
    let before = deletes(&sim)?;
    let report = client.call("stop_task", upid).await?;
    assert_eq!(report["status"], "unchanged", "{report:#}");
    assert_says(
        report["next_step"].as_str().unwrap(),
        &["had ended already"],
    );
    assert_eq!(deletes(&sim)?, before);
    Ok(())
}

/// A cut connection leaves open whether the task was stopped: so it is said.
#[tokio::test]
async fn a_cut_connection_says_that_the_task_may_have_stopped() -> anyhow::Result<()> {
    let mut sim = Sim::options().arg("--task-seconds=3600").start().await?;
    let client = sim.host()?.connect().await?;
    let upid = started(&client).await?;
    sim.fault(json!({ "kind": "cut-after", "method": "DELETE", "path": "/tasks/" }))
        .await?;
    let text = client.error("stop_task", upid.clone()).await?;
    assert_says(&text, &["may have happened all the same"]);
    let report = client.call("stop_task", upid).await?;
    assert_eq!(report["status"], "unchanged", "{report:#}");
    Ok(())
}

#[tokio::test]
async fn unknown_tasks_are_refused() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for tool in ["wait_task", "stop_task", "get_task"] {
        for upid in [
            "",
            "UPID:",
            "UPID:../x:0000011D:000BED85:6B02AFAA:qmstart:100:root@pam:",
        ] {
            let text = client.error(tool, json!({ "upid": upid })).await?;
            assert_says(&text, &["upid", "task identifier"]);
        }
    }
    assert_eq!(sim.served().await?, 0);
    let forgotten = "UPID:pve1:000FFFFF:000A73C7:6B02DAF4:vzstart:200:root@pam!full:";
    let away = "UPID:pve2:000FFFFF:000A73C7:6B02DAF4:vzstart:200:root@pam!full:";
    for tool in ["wait_task", "stop_task", "get_task"] {
        let text = client.error(tool, json!({ "upid": forgotten })).await?;
        assert_says(&text, &["pve1", "no such task", "list_tasks"]);
        let text = client.error(tool, json!({ "upid": away })).await?;
        assert_says(&text, &["pve2", "offline"]);
    }
    Ok(())
}
