//! Replication jobs.

use harness::Sim;
use serde_json::{Value, json};

/// The job of a guest.
fn job(list: &Value, vmid: u32) -> &Value {
    let jobs = list["jobs"].as_array();
    jobs.into_iter()
        .flatten()
        .find(|job| job["vmid"] == vmid)
        .unwrap_or(&Value::Null)
}

#[tokio::test]
async fn jobs_have_their_state_and_failing_ones_come_first() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let list = client.call("list_replication", json!({})).await?;
    assert_eq!(list["total"], 3, "{list:#}");
    let failing = &list["jobs"][0];
    assert_eq!(failing["vmid"], 102, "{list:#}");
    assert_eq!(failing["state"], "failing");
    assert_eq!(failing["failures"], 2);
    assert!(failing["error"].to_string().contains("zfs"), "{list:#}");
    assert_eq!(failing["comment"], "nightly");
    let good = job(&list, 100);
    assert_eq!(good["state"], "ok");
    assert_eq!(good["job"], "100-0");
    assert_eq!(good["source_node"], "pve1");
    assert_eq!(good["target_node"], "pve2");
    assert_eq!(good["duration_seconds"], 2.5);
    assert!(good["next_sync_at"].as_str() > good["last_sync_at"].as_str());
    let disabled = job(&list, 103);
    assert_eq!(disabled["state"], "disabled");
    assert_eq!(disabled.get("next_sync_at"), None);
    assert_eq!(disabled.get("last_sync_at"), None);
    Ok(())
}

#[tokio::test]
async fn jobs_of_one_guest_and_a_limit() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let one = client
        .call("list_replication", json!({ "vmid": 100 }))
        .await?;
    assert_eq!(one["total"], 1, "{one:#}");
    let none = client
        .call("list_replication", json!({ "vmid": 104 }))
        .await?;
    assert_eq!(none["jobs"], json!([]));
    let some = client
        .call("list_replication", json!({ "limit": 1 }))
        .await?;
    assert_eq!(some["total"], 3);
    assert!(some["hint"].to_string().contains("1 of 3"), "{some:#}");
    Ok(())
}

#[tokio::test]
async fn without_jobs_the_list_says_which_privilege_it_takes() -> anyhow::Result<()> {
    let sim = Sim::options().arg("--nodes=a").start().await?;
    let client = sim.host()?.connect().await?;
    let list = client.call("list_replication", json!({})).await?;
    assert_eq!(list["jobs"], json!([]));
    assert!(list["hint"].to_string().contains("VM.Audit"), "{list:#}");
    Ok(())
}

#[tokio::test]
async fn jobs_of_an_offline_node_are_unknown() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    // The node that answers stays; only the state of its jobs is unavailable.
    sim.fault(json!({
        "kind": "status", "code": 595, "path": "^/nodes/pve1/replication$", "times": 20,
        "reason": "No route to host",
    }))
    .await?;
    let list = client.call("list_replication", json!({})).await?;
    assert_eq!(job(&list, 100)["state"], "unknown", "{list:#}");
    assert!(list["hint"].to_string().contains("pve1"), "{list:#}");
    Ok(())
}

#[tokio::test]
async fn under_a_scope_only_its_guests_are_listed() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let host = sim.host()?.arg("--vmids=100-101").arg("--nodes=pve1");
    let client = host.connect().await?;
    let list = client.call("list_replication", json!({})).await?;
    assert_eq!(list["total"], 1, "{list:#}");
    let job = job(&list, 100);
    assert_eq!(job["source_node"], "pve1", "{list:#}");
    assert_eq!(job.get("target_node"), None, "{list:#}");
    Ok(())
}
