//! The cluster's log and the nodes' journals.

use harness::{Sim, assert_says, each};
use serde_json::json;

#[tokio::test]
async fn the_cluster_log_is_listed_and_filtered() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    client.call("start_guest", json!({ "vmid": 201 })).await?;
    let log = client.call("get_cluster_log", json!({})).await?;
    let newest = &log["entries"][0];
    assert_says(
        newest["message"].as_str().unwrap(),
        &["end task UPID:pve1", "vzstart:201", "OK"],
    );
    assert_eq!(newest["node"], "pve1");
    assert_eq!(newest["user"], "root@pam!full");
    assert_eq!(newest["service"], "pvedaemon");
    assert_eq!(newest["severity"], "info");
    assert!(newest["at"].as_str().unwrap().ends_with('Z'));

    let one = client
        .call("get_cluster_log", json!({ "limit": 1 }))
        .await?;
    assert_eq!(each(&one["entries"], "message").len(), 1);
    assert_says(
        one["hint"].as_str().unwrap(),
        &["set offset to 1", "narrow by node"],
    );
    let found = client
        .call(
            "get_cluster_log",
            json!({ "contains": "VZSTART:201", "since": "1h", "node": "pve1" }),
        )
        .await?;
    assert_eq!(each(&found["entries"], "message").len(), 2, "{found:#}");
    for nothing in [
        json!({ "contains": "no such thing" }),
        json!({ "user": "nobody" }),
    ] {
        let log = client.call("get_cluster_log", nothing).await?;
        assert_eq!(log["entries"], json!([]));
    }
    let text = client
        .error("get_cluster_log", json!({ "node": "pve9" }))
        .await?;
    assert!(
        text.contains("pve9") && text.contains("pve1, pve2"),
        "{text}"
    );
    Ok(())
}

#[tokio::test]
async fn the_newest_lines_of_a_journal_are_shown() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    client.call("start_guest", json!({ "vmid": 201 })).await?;
    let log = client
        .call("get_node_log", json!({ "node": "pve1" }))
        .await?;
    assert_eq!(log["node"], "pve1");
    assert_eq!(log["time_zone"], "Etc/UTC");
    let lines = log["lines"].as_array().unwrap();
    assert_says(
        lines.last().unwrap().as_str().unwrap(),
        &["end task UPID:pve1", "vzstart:201"],
    );

    // The last lines, though Proxmox counts from the first.
    let two = client
        .call("get_node_log", json!({ "node": "pve1", "limit": 2 }))
        .await?;
    assert_eq!(two["lines"].as_array().unwrap(), &lines[lines.len() - 2..]);
    assert_says(
        two["hint"].as_str().unwrap(),
        &[
            "counted from the end",
            "set offset to 2",
            "narrow by service",
        ],
    );
    let call = json!({ "node": "pve1", "limit": 2, "offset": 1 });
    let before = client.call("get_node_log", call).await?;
    assert_eq!(
        before["lines"].as_array().unwrap(),
        &lines[lines.len() - 3..lines.len() - 1]
    );

    let found = client
        .call(
            "get_node_log",
            json!({ "node": "pve1", "contains": "STARTING task", "limit": 1 }),
        )
        .await?;
    let lines = found["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 1);
    assert_says(
        lines[0].as_str().unwrap(),
        &["starting task", "vzstart:201"],
    );

    let service = json!({ "node": "pve1", "service": "pvedaemon", "since": "2h" });
    let found = client.call("get_node_log", service).await?;
    let lines = found["lines"].as_array().unwrap();
    assert!(!lines.is_empty());
    assert!(
        lines
            .iter()
            .all(|line| line.as_str().unwrap().contains("pvedaemon["))
    );

    let nothing = json!({ "node": "pve1", "until": "2001-01-01T00:00:00Z" });
    let nothing = client.call("get_node_log", nothing).await?;
    assert_eq!(nothing["lines"], json!([]));
    assert_says(nothing["hint"].as_str().unwrap(), &["earlier since"]);
    Ok(())
}

#[tokio::test]
async fn a_log_that_cannot_be_read_is_explained() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for (tool, arguments, words) in [
        (
            "get_cluster_log",
            json!({ "severity": "bad" }),
            &["severity", "critical", "info"][..],
        ),
        (
            "get_cluster_log",
            json!({ "since": "a while" }),
            &["since", "2h"],
        ),
        (
            "get_cluster_log",
            json!({ "limit": 501 }),
            &["limit", "500"],
        ),
        ("get_node_log", json!({}), &["node", "missing"]),
        (
            "get_node_log",
            json!({ "node": "pve1", "until": "x" }),
            &["until", "2h"],
        ),
        (
            "get_node_log",
            json!({ "node": "pve1", "since": "1h", "until": "2h" }),
            &["until", "later than since"],
        ),
    ] {
        let text = client.error(tool, arguments).await?;
        assert_says(&text, words);
    }
    assert_eq!(sim.served().await?, 0);
    let text = client
        .error("get_node_log", json!({ "node": "pve2" }))
        .await?;
    assert_says(&text, &["pve2", "offline"]);
    let auditor = sim.host_with("audit")?.connect().await?;
    let text = auditor
        .error("get_node_log", json!({ "node": "pve1" }))
        .await?;
    assert_says(&text, &["audit@pve!viewer", "Sys.Syslog", "/nodes/pve1"]);
    let nobody = sim.host_with("none")?.connect().await?;
    let log = nobody.call("get_cluster_log", json!({})).await?;
    assert_eq!(log["entries"], json!([]));
    assert_says(
        log["hint"].as_str().unwrap(),
        &["nobody@pve!none", "Sys.Syslog"],
    );
    Ok(())
}
