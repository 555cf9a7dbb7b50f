//! The audit log: what it holds, what it hides, and that nothing is changed
//! without it.

use std::path::Path;

use harness::{HostRunner, Sim};
use serde_json::{Value, json};

const PASSWORD: &str = "correct-horse-battery";

fn lines(file: &Path) -> anyhow::Result<Vec<Value>> {
    let text = std::fs::read_to_string(file)?;
    assert!(!text.contains(PASSWORD), "{text}");
    text.lines()
        .map(|line| Ok(serde_json::from_str(line)?))
        .collect()
}

fn events<'a>(lines: &'a [Value], event: &str) -> Vec<&'a Value> {
    let of = |line: &&Value| line.get("event").is_some_and(|name| name == event);
    lines.iter().filter(of).collect()
}

fn audited(sim: &Sim, file: &Path) -> anyhow::Result<HostRunner> {
    let host = sim.host()?.secret(PASSWORD);
    Ok(host.arg("--audit").arg(file.display().to_string()))
}

#[tokio::test]
async fn the_log_holds_calls_requests_and_outcomes_without_secrets() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("audit.jsonl");
    let client = audited(&sim, &file)?.connect().await?;
    client.call("list_guests", json!({})).await?;
    let arguments = json!({ "vmid": 100, "user": "ops", "password": PASSWORD });
    client.call("set_cloud_init", arguments).await?;
    client.call("stop_guest", json!({ "vmid": 103 })).await?;
    let hard = json!({ "vmid": 100, "mode": "hard" });
    client.error("stop_guest", hard).await?;

    let lines = lines(&file)?;
    let calls = events(&lines, "call");
    let tools: Vec<_> = calls.iter().map(|line| &line["tool"]).collect();
    assert_eq!(
        tools,
        ["list_guests", "set_cloud_init", "stop_guest", "stop_guest"]
    );
    assert!(
        calls.iter().all(|line| line["client"]["name"].is_string()),
        "{calls:#?}"
    );
    assert_eq!(calls[1]["arguments"]["user"], "ops");
    assert!(calls[1]["arguments"]["password"].is_string());

    // A change is announced before it is answered.
    let about = |event: &str, method: &str| -> Vec<&Value> {
        let lines = events(&lines, event).into_iter();
        lines.filter(|line| line["method"] == method).collect()
    };
    let sending = events(&lines, "sending");
    assert!(sending.iter().all(|line| line["method"] != "GET"));
    let config = about("request", "PUT");
    assert!(
        config.iter().any(|line| line["params"]["ciuser"] == "ops"),
        "{config:#?}"
    );
    assert!(
        config.iter().all(|line| line["status"] == 200),
        "{config:#?}"
    );
    assert_eq!(about("request", "GET")[0]["verdict"], "allowed");
    let posts = about("request", "POST");
    let refused = posts.last().unwrap();
    assert_eq!(
        (&refused["verdict"], &refused["rule"]),
        (&json!("refused"), &json!("actions"))
    );

    let outcomes = events(&lines, "outcome");
    let ends: Vec<_> = outcomes.iter().map(|line| &line["outcome"]).collect();
    assert_eq!(ends, ["ok", "ok", "ok", "error"]);
    assert!(outcomes[2]["upid"].as_str().unwrap().starts_with("UPID:"));
    assert_eq!(outcomes[3]["error"], "denied");
    for line in &lines {
        assert!(
            line["time"]
                .as_str()
                .is_some_and(|time| time.ends_with('Z')),
            "{line}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_full_disk_refuses_changes_unless_the_operator_says_otherwise() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let full = Path::new("/dev/full");
    let client = audited(&sim, full)?.connect().await?;
    let stop = json!({ "vmid": 103 });
    let error = client.error("stop_guest", stop.clone()).await?;
    assert!(
        error.contains("rule audit") && error.contains("nothing was sent"),
        "{error}"
    );
    client.call("list_guests", json!({})).await?;
    let sent = |sim: &Sim| -> anyhow::Result<usize> {
        let requests = sim.requests()?;
        Ok(requests.iter().filter(|one| one["method"] != "GET").count())
    };
    assert_eq!(sent(&sim)?, 0);

    let client = audited(&sim, full)?
        .arg("--audit-required=false")
        .connect()
        .await?;
    client.call("stop_guest", stop).await?;
    assert_eq!(sent(&sim)?, 1);
    assert!(
        client.stderr()?.contains("the audit log"),
        "{}",
        client.stderr()?
    );
    Ok(())
}

#[tokio::test]
async fn a_rotated_log_is_opened_again() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("audit.jsonl");
    let client = audited(&sim, &file)?.connect().await?;
    client.call("list_guests", json!({})).await?;
    let rotated = directory.path().join("audit.jsonl.1");
    std::fs::rename(&file, &rotated)?;
    client.call("list_nodes", json!({})).await?;
    assert_eq!(events(&lines(&rotated)?, "call")[0]["tool"], "list_guests");
    assert_eq!(events(&lines(&file)?, "call")[0]["tool"], "list_nodes");
    Ok(())
}

#[tokio::test]
async fn a_log_that_cannot_be_opened_ends_the_start() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let host = audited(&sim, Path::new("/nonexistent/audit.jsonl"))?;
    let output = host.run(&["serve"]).await?;
    assert_eq!(output.status, Some(2), "{output:?}");
    assert!(
        output.stderr.contains("/nonexistent/audit.jsonl"),
        "{output:?}"
    );
    // `-` is stderr.
    let host = sim.host()?.args(["--audit", "-"]);
    let output = host.run(&["call", "list_nodes"]).await?;
    assert!(
        output.stderr.contains("\"event\":\"outcome\""),
        "{output:?}"
    );
    Ok(())
}
