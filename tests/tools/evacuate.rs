//! A node that is emptied, and filled again.

#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use anyhow::Context as _;
use harness::{Sim, assert_says, each};
use serde_json::{Value, json};

/// Two nodes that answer, and one that does not.
async fn three_nodes(more: &[&str]) -> anyhow::Result<Sim> {
    let mut options = Sim::options().arg("--nodes=pve1,pve2:offline,pve3");
    for argument in more {
        options = options.arg(*argument);
    }
    options.start().await
}

/// The guests of a result in a state.
fn in_state(result: &Value, state: &str) -> Vec<u64> {
    let guests = result["guests"].as_array().into_iter().flatten();
    let mut vmids: Vec<u64> = guests
        .filter(|guest| guest["state"] == state)
        .filter_map(|guest| guest["vmid"].as_u64())
        .collect();
    vmids.sort_unstable();
    vmids
}

fn reasons(result: &Value, vmid: u64) -> String {
    let guests = result["guests"].as_array().into_iter().flatten();
    guests
        .filter(|guest| guest["vmid"] == vmid)
        .map(|guest| guest["reasons"].to_string())
        .collect()
}

async fn node_of(sim: &mut Sim, vmid: u64) -> anyhow::Result<String> {
    let guest = sim.guest(vmid).await?;
    Ok(guest["node"].as_str().context("no node")?.to_owned())
}

#[tokio::test]
async fn a_plan_says_where_each_guest_can_go_and_changes_nothing() -> anyhow::Result<()> {
    let sim = three_nodes(&[]).await?;
    let client = sim.host()?.connect().await?;
    let plan = client
        .call("evacuate_node", json!({ "node": "pve1" }))
        .await?;
    assert_eq!(plan["status"], "plan", "{plan:#}");
    assert_eq!(in_state(&plan, "planned"), [102, 103], "{plan:#}");
    assert_eq!(
        in_state(&plan, "stays"),
        [100, 101, 104, 200, 201, 9000, 9001],
        "{plan:#}"
    );
    for (vmid, words) in [
        (100, &["local:iso/test.iso", "eject"][..]),
        (101, &["locked (backup)"]),
        (104, &["pve3", "HA rule prefer-vm-104", "failback", "vmbr1"]),
        (200, &["accept_container_restart"]),
        (
            201,
            &["pve3", "storage tank is not available", "target_storage"],
        ),
        (9000, &["template", "vmids"]),
    ] {
        assert_says(&reasons(&plan, vmid), words);
    }
    assert_eq!(plan["targets"][0]["node"], "pve3");
    assert_eq!(plan["targets"][0]["guests"], 2);
    let bytes = |name: &str| plan["targets"][0][name].as_u64().unwrap_or_default();
    assert_eq!(
        bytes("memory_free_bytes") - bytes("memory_left_bytes"),
        1 << 30
    );
    assert_eq!(
        plan["way_back"],
        json!([{ "vmids": [102, 103], "target_nodes": ["pve1"] }])
    );
    assert_says(&plan["next_step"].to_string(), &["plan: false"]);
    assert!(sim.writes()?.is_empty());

    // Only some guests, and where they could go with other arguments.
    let some = client
        .call(
            "evacuate_node",
            json!({
                "vmids": [103, 200, 201, 9000], "target_nodes": ["pve3"],
                "accept_container_restart": true, "target_storage": "tank:bulk",
            }),
        )
        .await?;
    assert_eq!(
        in_state(&some, "planned"),
        [103, 200, 201, 9000],
        "{some:#}"
    );
    let none = client
        .call(
            "evacuate_node",
            json!({ "node": "pve1", "vmids": [103], "memory_reserve_percent": 80,
                "with_local_disks": false }),
        )
        .await?;
    assert_says(&reasons(&none, 103), &["with_local_disks is false"]);
    assert!(sim.writes()?.is_empty());
    Ok(())
}

#[tokio::test]
async fn guests_leave_a_node_and_come_back() -> anyhow::Result<()> {
    let mut sim = three_nodes(&[]).await?;
    let client = sim.host()?.connect().await?;
    let order = json!({
        "node": "pve1", "plan": false, "accept_container_restart": true,
        "target_storage": "tank:bulk", "parallel": 5,
    });
    let result = client.call("evacuate_node", order.clone()).await?;
    assert_eq!(result["status"], "incomplete", "{result:#}");
    assert_eq!(
        in_state(&result, "moved"),
        [102, 103, 200, 201],
        "{result:#}"
    );
    assert_eq!(
        (&result["moved"], &result["failed"]),
        (&json!(4), &json!(0))
    );
    assert_says(&result.to_string(), &["plain01", "call again"]);
    for vmid in [102, 103, 200, 201] {
        assert_eq!(node_of(&mut sim, vmid).await?, "pve3");
    }
    for vmid in [100, 101, 104, 9000] {
        assert_eq!(node_of(&mut sim, vmid).await?, "pve1");
    }
    let mut sent = each(&sim.sent_to("POST", "/migrate")?.into(), "params");
    sent.sort_by_key(Value::to_string);
    let mapped = json!({ "target": "pve3", "target-storage": "tank:bulk" });
    let live = json!({
        "target": "pve3", "online": "1", "with-local-disks": "1", "targetstorage": "tank:bulk"
    });
    let restarted = json!({
        "target": "pve3", "restart": "1", "timeout": "180", "target-storage": "tank:bulk"
    });
    assert_eq!(sent, [live.clone(), live, restarted, mapped]);

    // There is nothing more to move.
    let again = client.call("evacuate_node", order).await?;
    assert_eq!(in_state(&again, "moved"), [] as [u64; 0], "{again:#}");
    assert_eq!(sim.sent_to("POST", "/migrate")?.len(), 4);

    // The result has the arguments of the way back.
    for back in result["way_back"].as_array().context("no way back")? {
        assert_eq!(back["target_nodes"], json!(["pve1"]));
        let mut back = back.clone();
        back["plan"] = json!(false);
        let result = client.call("evacuate_node", back).await?;
        assert_eq!(result["status"], "done", "{result:#}");
    }
    for vmid in [102, 103, 200, 201] {
        assert_eq!(node_of(&mut sim, vmid).await?, "pve1");
    }
    Ok(())
}

#[tokio::test]
async fn a_few_move_at_a_time_and_another_call_continues() -> anyhow::Result<()> {
    let mut sim = three_nodes(&["--task-seconds=1000"]).await?;
    let client = sim.host()?.arg("--wait-seconds=0").connect().await?;
    let order = json!({
        "node": "pve1", "plan": false, "accept_container_restart": true, "vmids": [102, 103, 200]
    });
    let running = client.call("evacuate_node", order.clone()).await?;
    assert_eq!(running["status"], "running", "{running:#}");
    assert_eq!(in_state(&running, "moving").len(), 2, "{running:#}");
    assert_eq!(in_state(&running, "waiting").len(), 1);
    assert_says(
        &running["next_step"].to_string(),
        &["call again", "3 guests"],
    );
    assert_eq!(sim.sent_to("POST", "/migrate")?.len(), 2);

    // Those that move already are counted: no other is begun.
    let same = client.call("evacuate_node", order.clone()).await?;
    assert_eq!(
        in_state(&same, "moving"),
        in_state(&running, "moving"),
        "{same:#}"
    );
    assert_eq!(sim.sent_to("POST", "/migrate")?.len(), 2);

    sim.advance(5000).await?;
    let last = client.call("evacuate_node", order.clone()).await?;
    assert_eq!(
        in_state(&last, "moving"),
        in_state(&running, "waiting"),
        "{last:#}"
    );
    assert_eq!(sim.sent_to("POST", "/migrate")?.len(), 3);
    sim.advance(5000).await?;
    let done = client.call("evacuate_node", order).await?;
    assert_eq!(done["status"], "done", "{done:#}");
    assert_eq!(sim.sent_to("POST", "/migrate")?.len(), 3);
    for vmid in [102, 103, 200] {
        assert_eq!(node_of(&mut sim, vmid).await?, "pve3");
    }
    Ok(())
}

#[tokio::test]
async fn a_failure_is_of_one_guest() -> anyhow::Result<()> {
    let mut sim = three_nodes(&[]).await?;
    let client = sim.host()?.connect().await?;
    sim.fault(json!({ "task": "qmigrate", "error": "migration aborted" }))
        .await?;
    let order = json!({
        "node": "pve1", "plan": false, "accept_container_restart": true, "parallel": 1,
        "vmids": [102, 103, 200],
    });
    let result = client.call("evacuate_node", order).await?;
    assert_eq!(result["status"], "incomplete", "{result:#}");
    assert_eq!(in_state(&result, "moved").len(), 2, "{result:#}");
    let failed = in_state(&result, "failed");
    assert_eq!(failed.len(), 1, "{result:#}");
    assert_says(&reasons(&result, failed[0]), &["migration aborted"]);
    assert_eq!(node_of(&mut sim, failed[0]).await?, "pve1");
    Ok(())
}

#[tokio::test]
async fn templates_do_not_keep_a_node_from_being_empty() -> anyhow::Result<()> {
    let sim = three_nodes(&[]).await?;
    let client = sim.host()?.connect().await?;
    let plan = client
        .call("evacuate_node", json!({ "node": "pve3" }))
        .await?;
    assert_says(&plan["excluded_nodes"].to_string(), &["pve2 is offline"]);
    // What is elsewhere already is named, and does not count as left behind.
    let order = json!({ "node": "pve3", "vmids": [103], "plan": false });
    let result = client.call("evacuate_node", order).await?;
    assert_eq!(result["status"], "done", "{result:#}");
    assert_says(&reasons(&result, 103), &["on node pve1 already"]);
    Ok(())
}

#[tokio::test]
async fn an_evacuation_to_nowhere_is_refused() -> anyhow::Result<()> {
    let sim = three_nodes(&[]).await?;
    let client = sim.host()?.connect().await?;
    for (arguments, words) in [
        (json!({}), &["node", "vmids"][..]),
        (json!({ "node": "pve2" }), &["pve2 is offline"]),
        (json!({ "node": "pve9" }), &["no node pve9"]),
        (
            json!({ "node": "pve1", "target_nodes": ["pve2"] }),
            &["pve2 is offline"],
        ),
        (
            json!({ "node": "pve1", "target_nodes": ["pve1"] }),
            &["target_nodes", "to be emptied"],
        ),
        (json!({ "vmids": [999] }), &["no guest 999"]),
        (json!({ "node": "pve1", "parallel": 6 }), &["parallel", "5"]),
        (
            json!({ "node": "pve1", "target_storage": "a:b:c" }),
            &["target_storage"],
        ),
    ] {
        let error = client.error("evacuate_node", arguments).await?;
        assert_says(&error, words);
    }
    assert!(sim.writes()?.is_empty());

    let alone = Sim::start().await?;
    let client = alone.host()?.connect().await?;
    let error = client
        .error("evacuate_node", json!({ "node": "pve1" }))
        .await?;
    assert_says(&error, &["no other node is online"]);
    Ok(())
}

#[tokio::test]
async fn a_token_that_may_not_migrate_sees_why() -> anyhow::Result<()> {
    let sim = three_nodes(&[]).await?;
    let client = sim.host_with("audit")?.connect().await?;
    let plan = client
        .call("evacuate_node", json!({ "node": "pve1", "vmids": [103] }))
        .await?;
    assert_says(&reasons(&plan, 103), &["VM.Migrate"]);
    Ok(())
}
