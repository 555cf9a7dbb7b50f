//! The cluster as a whole: quorum, nodes, high availability, and tasks.

use proxmox_mcp_tests::Sim;
use serde_json::json;

#[tokio::test]
async fn the_cluster_with_a_node_away() -> anyhow::Result<()> {
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
    assert_eq!(nodes[0]["answering"], true);
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
async fn lost_quorum_is_the_first_thing_said() -> anyhow::Result<()> {
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

/// Where the state of HA cannot be read, the rest is told all the same.
#[tokio::test]
async fn ha_that_does_not_answer_hides_nothing() -> anyhow::Result<()> {
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
async fn a_missing_right_is_named() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host_with("none")?.connect().await?;
    let text = client.error("get_cluster_status", json!({})).await?;
    for say in ["nobody@pve!none", "Sys.Audit", "on /"] {
        assert!(text.contains(say), "nothing of {say}: {text}");
    }
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
