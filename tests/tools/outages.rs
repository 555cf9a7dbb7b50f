//! Proxmox's services are restarted for certificates and upgrades, and are away
//! for a second or two: reads wait for that, changes are never sent twice, and
//! tasks are followed across it.

use std::time::{Duration, Instant};

use harness::{Client, Sim};
use serde_json::{Value, json};

/// How many requests with this method, and a path that ends so, were carried
/// out.
fn carried_out(sim: &Sim, method: &str, path: &str) -> anyhow::Result<usize> {
    let requests = sim.requests()?;
    let fits = |request: &&Value| {
        request["method"] == method
            && request["path"]
                .as_str()
                .is_some_and(|text| text.ends_with(path))
            && request["status"]
                .as_u64()
                .is_none_or(|status| status == 200)
    };
    Ok(requests.iter().filter(fits).count())
}

async fn status(client: &Client, vmid: u32) -> anyhow::Result<Value> {
    let guest = client.call("get_guest", json!({ "vmid": vmid })).await?;
    Ok(guest.get("status").cloned().unwrap_or_default())
}

#[tokio::test]
async fn reads_wait_for_the_end_of_an_outage() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for outage in [
        json!({ "kind": "outage", "ms": 900 }),
        json!({ "kind": "outage", "ms": 300, "answer": 595 }),
        json!({ "kind": "outage", "ms": 300, "answer": 502 }),
        json!({ "kind": "outage", "ms": 300, "answer": 503 }),
        json!({ "kind": "half-body" }),
        json!({ "kind": "cut-after" }),
    ] {
        sim.fault(outage.clone()).await?;
        let nodes = client.call("list_nodes", json!({})).await?;
        assert!(
            nodes["nodes"]
                .as_array()
                .is_some_and(|nodes| !nodes.is_empty()),
            "{outage}: {nodes:#}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_not_sent_again() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    sim.fault(json!({ "kind": "outage", "ms": 300, "after": true, "method": "POST" }))
        .await?;
    let text = client.error("start_guest", json!({ "vmid": 201 })).await?;
    assert!(text.contains("may have happened all the same"), "{text}");
    assert!(text.contains("task list"), "{text}");
    assert_eq!(carried_out(&sim, "POST", "/lxc/201/status/start")?, 1);
    Ok(())
}

#[tokio::test]
async fn a_change_that_never_arrived_is_sent_again() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    sim.fault(json!({ "kind": "outage", "ms": 400, "answer": 595, "method": "POST" }))
        .await?;
    let report = client.call("start_guest", json!({ "vmid": 201 })).await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_eq!(carried_out(&sim, "POST", "/lxc/201/status/start")?, 1);
    Ok(())
}

/// 502 says nothing about whether the request got through.
#[tokio::test]
async fn a_change_that_a_proxy_answered_for_is_not_sent_again() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    sim.fault(json!({ "kind": "status", "code": 502, "method": "POST" }))
        .await?;
    let text = client.error("start_guest", json!({ "vmid": 201 })).await?;
    assert!(text.contains("may have happened all the same"), "{text}");
    assert_eq!(carried_out(&sim, "POST", "/lxc/201/status/start")?, 0);
    Ok(())
}

#[tokio::test]
async fn a_task_is_followed_across_outages() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    sim.control(json!({ "cmd": "task-seconds", "value": 3 }))
        .await?;
    let started = client
        .call("start_guest", json!({ "vmid": 201, "wait": false }))
        .await?;
    sim.control(json!({ "cmd": "outage", "ms": 700, "every_ms": 1200 }))
        .await?;
    let report = client
        .call("wait_task", json!({ "upid": started["upid"] }))
        .await?;
    assert_eq!(report["status"], "done", "{report:#}");
    Ok(())
}

/// Away for 1.5 s every 4 s, for a minute, under mixed calls.
#[tokio::test]
#[ignore = "takes a minute: cargo xtask test -- --test tools outages -- --ignored"]
async fn mixed_calls_survive_a_minute_of_outages() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    sim.control(json!({ "cmd": "outage", "ms": 1500, "every_ms": 4000 }))
        .await?;
    let end = Instant::now() + Duration::from_secs(60);
    let (mut reads, mut writes, mut unsure) = (0, 0, 0);
    while Instant::now() < end {
        for (tool, arguments) in [
            ("list_nodes", json!({})),
            ("list_guests", json!({})),
            ("get_guest", json!({ "vmid": 100 })),
            ("list_snapshots", json!({ "vmid": 100 })),
            ("list_storage_content", json!({})),
        ] {
            client.call(tool, arguments).await?;
            reads += 1;
        }
        let running = status(&client, 201).await? == "running";
        let (tool, path) = match running {
            true => ("stop_guest", "/lxc/201/status/shutdown"),
            false => ("start_guest", "/lxc/201/status/start"),
        };
        let before = carried_out(&sim, "POST", path)?;
        writes += 1;
        if client.call(tool, json!({ "vmid": 201 })).await.is_err() {
            unsure += 1;
        }
        let after = carried_out(&sim, "POST", path)?;
        assert!(
            after - before <= 1,
            "{tool} was sent {} times",
            after - before
        );
    }
    assert!(reads > 50 && writes > 10, "{reads} reads, {writes} changes");
    assert!(
        unsure * 2 < writes,
        "{unsure} of {writes} changes were lost"
    );
    Ok(())
}
