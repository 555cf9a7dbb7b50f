//! Guests under high availability: put there, and changed.

use harness::{Sim, assert_says, each};
use serde_json::json;

#[tokio::test]
async fn a_guest_comes_under_high_availability_as_it_is() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    let report = client
        .call(
            "set_ha_resource",
            json!({ "vmid": 103, "max_restart": 3, "comment": "watch it" }),
        )
        .await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_says(&report["warnings"].to_string(), &["scsi0", "local storage"]);
    // One that is stopped stays so.
    client
        .call("set_ha_resource", json!({ "vmid": 201 }))
        .await?;
    assert_eq!(
        each(&sim.sent_to("POST", "/ha/resources")?.into(), "params"),
        [
            json!({ "sid": "vm:103", "state": "started", "max_restart": "3", "comment": "watch it" }),
            json!({ "sid": "ct:201", "state": "stopped" }),
        ]
    );
    let ha = client.call("get_ha", json!({ "vmid": 103 })).await?;
    assert_eq!(ha["resources"][0]["max_restart"], 3, "{ha:#}");
    Ok(())
}

#[tokio::test]
async fn high_availability_stops_and_starts_a_guest() -> anyhow::Result<()> {
    // It acts nine to fifteen seconds later.
    let sim = Sim::options().arg("--speed=8").start().await?;
    let client = sim.admin()?.connect().await?;
    let order = json!({ "vmid": 104, "state": "stopped", "max_relocate": 0 });
    let report = client.call("set_ha_resource", order.clone()).await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_eq!(
        report["changes"],
        json!([
            { "what": "state", "from": "started", "to": "stopped" },
            { "what": "max_relocate", "from": "1", "to": "0" },
        ])
    );
    let guest = client.call("get_guest", json!({ "vmid": 104 })).await?;
    assert_eq!(guest["status"], "stopped");
    let report = client.call("set_ha_resource", order).await?;
    assert_eq!(report["status"], "unchanged", "{report:#}");
    let start = json!({ "vmid": 104, "state": "started", "wait": false });
    let report = client.call("set_ha_resource", start).await?;
    assert_eq!(report["status"], "requested", "{report:#}");
    let sent = each(&sim.sent_to("PUT", "/vm:104")?.into(), "params");
    assert_eq!(sent.len(), 2);
    assert!(
        sent.iter().all(|params| params["digest"].is_string()),
        "{sent:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_guest_that_is_off_may_be_disabled() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    let order = |vmid: u32| json!({ "vmid": vmid, "state": "disabled" });
    let error = client.error("set_ha_resource", order(104)).await?;
    assert_says(&error, &["is running", "stopped shuts it down"]);
    let error = client.error("set_ha_resource", order(201)).await?;
    assert_says(&error, &["not under it"]);
    assert!(sim.writes()?.is_empty());
    client
        .call("set_ha_resource", json!({ "vmid": 201 }))
        .await?;
    let report = client.call("set_ha_resource", order(201)).await?;
    assert_eq!(report["changes"][0]["to"], "disabled", "{report:#}");
    assert_says(&report["next_step"].to_string(), &["get_ha", "started"]);
    Ok(())
}

#[tokio::test]
async fn high_availability_is_for_admins() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let order = json!({ "vmid": 103 });
    let client = sim.admin()?.connect().await?;
    let missing = client
        .error("set_ha_resource", json!({ "vmid": 999 }))
        .await?;
    assert_says(&missing, &["no guest 999"]);
    let scoped = sim.admin()?.arg("--vmids=103").connect().await?;
    let error = scoped.error("set_ha_resource", order.clone()).await?;
    assert_says(&error, &["whole cluster"]);
    assert!(sim.writes()?.is_empty());
    let auditor = sim
        .host_with("audit")?
        .arg("--preset=admin")
        .connect()
        .await?;
    let error = auditor.error("set_ha_resource", order).await?;
    assert_says(&error, &["Sys.Console"]);
    Ok(())
}

/// A rule of the simulated cluster prefers the node that the guest is on.
#[tokio::test]
async fn a_guest_that_does_not_come_back_can_leave_its_node() -> anyhow::Result<()> {
    let sim = Sim::options()
        .arg("--nodes=pve1,pve2:offline,pve3")
        .arg("--speed=8")
        .start()
        .await?;
    let client = sim.admin()?.connect().await?;
    let order = json!({ "vmids": [103], "target_nodes": ["pve3"], "plan": false });
    client
        .call("set_ha_resource", json!({ "vmid": 103 }))
        .await?;
    let stays = client.call("evacuate_node", order.clone()).await?;
    assert_says(
        &stays["guests"][0]["reasons"].to_string(),
        &["prefer-vm-103", "set_ha_resource", "failback"],
    );
    client
        .call("set_ha_resource", json!({ "vmid": 103, "failback": false }))
        .await?;
    let moved = client.call("evacuate_node", order).await?;
    assert_eq!(moved["status"], "done", "{moved:#}");
    assert_eq!(moved["guests"][0]["target_node"], "pve3");
    Ok(())
}
