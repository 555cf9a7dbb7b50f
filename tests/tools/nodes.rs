//! The node tools.

use harness::{Sim, assert_case_says, assert_says};
use serde_json::json;

const GIB: u64 = 1 << 30;

#[tokio::test]
async fn offline_nodes_are_listed_too() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let list = client.call("list_nodes", json!({})).await?;
    let nodes = list["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 2, "{list}");
    let online = &nodes[0];
    assert_eq!(online["node"], "pve1");
    assert_eq!(online["status"], "online");
    assert_eq!(online["cpus"], 4);
    assert_eq!(online["memory_total_bytes"], 24 * GIB);
    assert_eq!(online["root_total_bytes"], 252 * GIB);
    let percent = online["cpu_percent"].as_f64().unwrap();
    assert!(percent > 0.0 && percent <= 100.0, "{online}");
    assert!(
        online["memory_used_bytes"].as_u64().unwrap() < 24 * GIB,
        "{online}"
    );
    assert!(
        online["root_used_bytes"].as_u64().unwrap() < 252 * GIB,
        "{online}"
    );
    // Booted 44 days ago.
    assert!(
        online["uptime_seconds"].as_u64().unwrap() >= 44 * 86_400,
        "{online}"
    );
    assert_eq!(nodes[1], json!({ "node": "pve2", "status": "offline" }));
    assert!(list.get("hint").is_none(), "{list}");
    Ok(())
}

#[tokio::test]
async fn nodes_are_filtered_by_status() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for (status, names) in [
        ("online", json!(["pve1"])),
        ("offline", json!(["pve2"])),
        ("unknown", json!([])),
    ] {
        let list = client
            .call("list_nodes", json!({ "status": status }))
            .await?;
        let nodes = list["nodes"].as_array().unwrap();
        let found: Vec<_> = nodes.iter().map(|node| node["node"].clone()).collect();
        assert_eq!(json!(found), names, "{status}");
    }
    let text = client
        .error("list_nodes", json!({ "status": "up" }))
        .await?;
    assert_says(&text, &["status", "online", "offline", "unknown"]);
    Ok(())
}

/// A node that disappears between two requests does not fail the list.
#[tokio::test]
async fn a_node_that_goes_offline_is_listed_as_offline() -> anyhow::Result<()> {
    let mut sim = Sim::options().arg("--nodes=a,b,c").start().await?;
    let client = sim.host()?.connect().await?;
    sim.control(json!({ "cmd": "node", "node": "b", "online": false }))
        .await?;
    let list = client
        .call("list_nodes", json!({ "status": "offline" }))
        .await?;
    assert_eq!(list["nodes"], json!([{ "node": "b", "status": "offline" }]));
    sim.control(json!({ "cmd": "node", "node": "b", "online": true }))
        .await?;
    let list = client
        .call("list_nodes", json!({ "status": "online" }))
        .await?;
    assert_eq!(list["nodes"].as_array().unwrap().len(), 3);
    Ok(())
}

#[tokio::test]
async fn a_node_is_shown_in_full() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let node = client.call("get_node", json!({ "node": "pve1" })).await?;
    assert_eq!(node["node"], "pve1");
    assert_eq!(node["cpu"]["model"], "AMD EPYC");
    assert_eq!(node["cpu"]["threads"], 4);
    let load = node["cpu"]["load_average"].as_array().unwrap();
    assert_eq!(load.len(), 3, "{node}");
    assert!(
        load.iter().all(|load| load.as_f64().unwrap() >= 0.0),
        "{node}"
    );
    for (space, total) in [("memory", 24 * GIB), ("root", 252 * GIB)] {
        let space = &node[space];
        assert_eq!(space["total_bytes"], total, "{node}");
        let used = space["used_bytes"].as_f64().unwrap();
        let percent = space["used_percent"].as_f64().unwrap();
        assert!(
            (used / total as f64 * 100.0 - percent).abs() < 0.1,
            "{node}"
        );
    }
    // "9.2.11", not "pve-manager/9.2.11/…".
    let version = node["proxmox_version"].as_str().unwrap();
    assert!(
        version.split('.').all(|part| part.parse::<u32>().is_ok()),
        "{node}"
    );
    assert!(!node["kernel"].as_str().unwrap().is_empty(), "{node}");
    assert!(
        node["uptime_seconds"].as_u64().unwrap() >= 44 * 86_400,
        "{node}"
    );
    Ok(())
}

#[tokio::test]
async fn an_error_names_the_node_that_does_not_answer() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    // Offline, and not there at all.
    for node in ["pve2", "nosuch", "PVE1"] {
        let text = client.error("get_node", json!({ "node": node })).await?;
        assert!(text.contains(node), "{text}");
        assert!(
            text.contains("offline") || text.contains("no node"),
            "{text}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_name_that_cannot_be_a_node_reaches_no_other_path() -> anyhow::Result<()> {
    let sim = Sim::options().private_log().start().await?;
    let client = sim.host()?.connect().await?;
    for node in [
        "../cluster",
        "pve1/qemu/100",
        "pve1?x=1",
        "pve1#",
        "..",
        ".",
        "a b",
        "%2e%2e",
        "\u{e9}",
        "pve1\u{0}",
    ] {
        client.error("get_node", json!({ "node": node })).await?;
    }
    for request in sim.requests()? {
        let path = request["path"].as_str().unwrap();
        // The list that says which node is meant.
        assert_eq!(path, "/nodes", "{request}");
    }
    Ok(())
}

#[tokio::test]
async fn bad_arguments_are_refused_by_name() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for (arguments, says) in [
        (json!({}), &["node", "missing"][..]),
        (json!({ "node": 1 }), &["node", "text"]),
        (json!({ "node": "" }), &["node", "empty"]),
        (json!({ "node": null }), &["node"]),
        (json!({ "node": ["pve1"] }), &["node", "text"]),
        (
            json!({ "node": "pve1", "nodes": "x" }),
            &["nodes", "not known"],
        ),
    ] {
        let text = client.error("get_node", arguments.clone()).await?;
        assert_case_says(arguments, &text, says);
    }
    // All of that without a single request.
    assert_eq!(sim.served().await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_token_that_may_only_audit_can_read_nodes() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host_with("audit")?.connect().await?;
    client.call("list_nodes", json!({})).await?;
    client.call("get_node", json!({ "node": "pve1" })).await?;
    Ok(())
}
