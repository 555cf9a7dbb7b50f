//! The audit log: what it holds, what it hides, and that nothing is changed
//! without it.

use std::path::Path;

use harness::{HostRunner, Output, Sim, assert_says};
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

    // Each line says by itself whose it is.
    let token = sim.token("all")?.id.as_str();
    for line in &lines {
        assert_eq!(line["token"], token, "{line}");
        assert!(line["client"]["version"].is_string(), "{line}");
    }

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

/// `audit verify`, with these arguments.
async fn verify(arguments: &[&str]) -> anyhow::Result<Output> {
    let all: Vec<_> = ["audit", "verify", "-o", "table"]
        .iter()
        .chain(arguments)
        .copied()
        .collect();
    HostRunner::new()?.run(&all).await
}

#[tokio::test]
async fn a_forged_log_does_not_pass_verification() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("audit.jsonl");
    let name = file.display().to_string();
    // Two processes at the same time, and one after them.
    let (one, two) = (audited(&sim, &file)?, audited(&sim, &file)?);
    let (one, two) = (one.connect().await?, two.connect().await?);
    let stop = json!({ "vmid": 103 });
    for _ in 0..5 {
        let none = || json!({});
        tokio::try_join!(
            one.call("list_guests", none()),
            two.call("list_guests", none())
        )?;
    }
    one.call("stop_guest", stop).await?;
    drop((one, two));
    audited(&sim, &file)?
        .run(&["call", "list_nodes", "{}"])
        .await?
        .assert_succeeds();

    let output = verify(&[&name]).await?;
    output.assert_succeeds();
    let text = std::fs::read_to_string(&file)?;
    let count = text.lines().count();
    let says = format!("intact: {count} lines (numbers 1 to {count})");
    assert_eq!(output.stdout.lines().count(), 1, "{output:?}");
    assert_says(&output.stdout, &[&says]);
    let (_, hash) = output.stdout.trim().rsplit_once(' ').unwrap();

    // What was stopped is hidden.
    std::fs::write(&file, text.replace("/qemu/103/", "/qemu/104/"))?;
    let output = verify(&[&name]).await?;
    assert_eq!(output.status, Some(1), "{output:?}");
    assert_says(
        &output.stdout,
        &[&name, "line ", "was changed", "not intact"],
    );
    // The last line is cut off, which only the noted hash shows.
    let end = text.trim_end().rfind('\n').unwrap() + 1;
    std::fs::write(&file, &text[..end])?;
    verify(&[&name]).await?.assert_succeeds();
    let output = verify(&[&name, "--expect", hash]).await?;
    assert_eq!(output.status, Some(1), "{output:?}");
    assert_says(&output.stdout, &[hash, "cut off"]);
    // A line was torn: the next start says so.
    std::fs::write(&file, &text[..text.len() - 20])?;
    let output = audited(&sim, &file)?
        .run(&["call", "list_nodes", "{}"])
        .await?;
    assert_eq!(output.status, Some(0), "{output:?}");
    assert_says(&output.stderr, &["within a line", &name]);
    let output = verify(&[&name]).await?;
    output.assert_succeeds();
    assert_says(&output.stdout, &["1 incomplete line"]);

    let output = verify(&["/nonexistent/audit.jsonl"]).await?;
    output.assert_refused_in_one_line(&["/nonexistent/audit.jsonl"]);
    Ok(())
}

/// Where there is none, the start says so, and no file of this name is made.
#[tokio::test]
async fn a_daemon_that_is_absent_ends_the_start() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    for (name, socket) in [
        ("journald", "/run/systemd/journal/socket"),
        ("syslog", "/dev/log"),
    ] {
        if Path::new(socket).exists() {
            continue;
        }
        let host = sim.host()?.args(["--audit", name]);
        let output = host.run(&["call", "list_nodes", "{}"]).await?;
        output.assert_refused_in_one_line(&[name, socket, "-"]);
    }
    let host = sim.host()?.args(["--audit", "./journald"]);
    let file = host.directory().join("journald");
    let client = host.connect().await?;
    client.call("list_nodes", json!({})).await?;
    assert_eq!(lines(&file)?[0]["event"], "call");
    Ok(())
}
