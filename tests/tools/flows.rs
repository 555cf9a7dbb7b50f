//! The main flows, with the delays that a real cluster has: what a node knows at once, the
//! others learn with pvestatd's next report.

use harness::{Client, Sim};
use serde_json::{Value, json};

/// The entry of a guest in `list_guests`.
async fn listed(client: &Client, vmid: u64) -> anyhow::Result<Value> {
    let list = client.call("list_guests", json!({})).await?;
    let guests = list.get("guests").and_then(Value::as_array).cloned();
    let is_it = |guest: &Value| guest.get("vmid").and_then(Value::as_u64) == Some(vmid);
    let found = guests.unwrap_or_default().into_iter().find(is_it);
    Ok(found.unwrap_or_default())
}

/// Clone, configure, start, read the address, snapshot, back up, restore: each right after the
/// one before, while the cluster still calls the new guest unknown.
#[tokio::test]
async fn a_new_guest_can_be_used_while_the_cluster_calls_it_unknown() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    let clone = client
        .call("clone_guest", json!({ "vmid": 9000, "name": "fresh01" }))
        .await?;
    assert_eq!(clone["status"], "done", "{clone:#}");
    let vmid = clone["vmid"].as_u64().unwrap_or_default();
    let guest = listed(&client, vmid).await?;
    // The node's own list knows what the cluster's does not yet.
    assert_eq!(
        (&guest["name"], &guest["status"]),
        (&json!("fresh01"), &json!("stopped"))
    );

    let set = client
        .call(
            "set_cloud_init",
            json!({
                "vmid": vmid,
                "user": "anna",
                "addresses": [{ "nic": 0, "ipv4": "192.0.2.81/24", "ipv4_gateway": "192.0.2.1" }],
            }),
        )
        .await?;
    assert_eq!(set["status"], "done", "{set:#}");
    let start = client.call("start_guest", json!({ "vmid": vmid })).await?;
    assert_eq!(start["status"], "done", "{start:#}");
    // It boots.
    sim.advance(1).await?;
    let network = client
        .call("get_guest_network", json!({ "vmid": vmid }))
        .await?;
    assert_eq!(network["ip_addresses"], json!(["192.0.2.81"]));
    let guest = client.call("get_guest", json!({ "vmid": vmid })).await?;
    assert_eq!(
        (&guest["status"], &guest["name"]),
        (&json!("running"), &json!("fresh01"))
    );

    let snapshot = client
        .call("create_snapshot", json!({ "vmid": vmid, "name": "s1" }))
        .await?;
    assert_eq!(snapshot["status"], "done", "{snapshot:#}");
    let backup = client
        .call("create_backup", json!({ "vmid": vmid, "storage": "local" }))
        .await?;
    assert_eq!(backup["status"], "done", "{backup:#}");
    let list = client.call("list_backups", json!({ "vmid": vmid })).await?;
    let made = &list["guests"][0]["backups"][0];
    let restore = client
        .call(
            "restore_backup",
            json!({ "volid": made["volid"], "name": "again01", "storage": "local" }),
        )
        .await?;
    assert_eq!(restore["status"], "done", "{restore:#}");
    let again = restore["vmid"].as_u64().unwrap_or_default();
    let stop = client.call("stop_guest", json!({ "vmid": vmid })).await?;
    assert_eq!(stop["status"], "done", "{stop:#}");

    // With the next report, the lists have caught up.
    sim.advance(10).await?;
    let (old, new) = (listed(&client, vmid).await?, listed(&client, again).await?);
    assert_eq!(
        (&old["name"], &old["status"]),
        (&json!("fresh01"), &json!("stopped"))
    );
    assert_eq!(
        (&new["name"], &new["status"]),
        (&json!("again01"), &json!("stopped"))
    );
    Ok(())
}

/// Where pvestatd hangs, all of a node is unknown in the lists, and everything works.
#[tokio::test]
async fn tools_work_on_a_node_whose_pvestatd_hangs() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    sim.control(json!({ "cmd": "pvestatd", "node": "pve1", "runs": false }))
        .await?;
    sim.advance(370).await?;
    let client = sim.admin()?.connect().await?;
    assert_eq!(listed(&client, 103).await?["status"], "running");
    let nodes = client.call("list_nodes", json!({})).await?;
    let pve1 = nodes["nodes"]
        .as_array()
        .and_then(|nodes| nodes.iter().find(|node| node["node"] == "pve1"))
        .cloned()
        .unwrap_or_default();
    assert_ne!(pve1["status"], "offline", "{nodes:#}");
    let before = client.call("get_guest", json!({ "vmid": 103 })).await?;
    let (tool, after) = match before["status"].as_str() {
        Some("running") => ("stop_guest", "stopped"),
        _ => ("start_guest", "running"),
    };
    let report = client.call(tool, json!({ "vmid": 103 })).await?;
    assert_eq!(report["status"], "done", "{report:#}");
    let guest = client.call("get_guest", json!({ "vmid": 103 })).await?;
    assert_eq!(guest["status"], after, "{guest:#}");
    Ok(())
}

/// The commands between backquotes in an error.
fn commands(text: &str) -> Vec<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter(|part| part.starts_with("pveum "))
        .map(str::to_owned)
        .collect()
}

/// An error's own commands, run as they are, make the call work and grant nothing else.
#[tokio::test]
async fn the_grants_that_an_error_names_are_enough_and_no_more() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    for (number, (tool, arguments, rights, path, missing)) in [
        (
            "start_guest",
            json!({ "vmid": 201 }),
            "/vms=VM.Audit,/nodes=Sys.Audit",
            "/vms/201",
            "VM.PowerMgmt",
        ),
        (
            "create_snapshot",
            json!({ "vmid": 103, "name": "s1" }),
            "/vms=VM.Audit,/nodes=Sys.Audit",
            "/vms/103",
            "VM.Snapshot",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("ops{number}@pve!mcp");
        let user = format!("ops{number}@pve");
        sim.control(
            json!({ "cmd": "token", "id": id, "secret": "0b0ae9c9-secret", "rights": rights }),
        )
        .await?;
        let client = sim
            .admin()?
            .env("PROXMOX_USER", &user)
            .env("PROXMOX_TOKEN_ID", "mcp")
            .env("PROXMOX_TOKEN_SECRET", "0b0ae9c9-secret")
            .connect()
            .await?;
        let before = sim
            .control(json!({ "cmd": "permissions", "id": id }))
            .await?;
        let error = client.error(tool, arguments.clone()).await?;
        let lines = commands(&error);
        assert!(lines.len() >= 3, "{error}");
        for line in &lines {
            sim.control(json!({ "cmd": "pveum", "line": line })).await?;
        }
        let report = client.call(tool, arguments).await?;
        assert_eq!(report["status"], "done", "{report:#}");
        let after = sim
            .control(json!({ "cmd": "permissions", "id": id }))
            .await?;
        let (before, after) = (&before["permissions"], &after["permissions"]);
        let more: Vec<String> = after
            .as_object()
            .into_iter()
            .flatten()
            .flat_map(|(at, held)| {
                let known = before[at].as_object().or(before["/vms"].as_object());
                let known = known.cloned().unwrap_or_default();
                let held = held.as_object().cloned().unwrap_or_default();
                held.into_iter()
                    .filter(move |(name, _)| !known.contains_key(name))
                    .map(move |(name, _)| format!("{at} {name}"))
            })
            .collect();
        assert_eq!(more, [format!("{path} {missing}")], "{error}");
    }
    Ok(())
}
