//! The log on stderr as JSON: each line is an object, and none has a secret.

use harness::{HostRunner, Sim, assert_says};
use serde_json::{Value, json};

const PASSWORD: &str = "correct-horse-battery";

/// All that was written to stderr, which is nothing but JSON.
fn lines(stderr: &str) -> anyhow::Result<Vec<Value>> {
    let lines = stderr.lines();
    let lines: Vec<Value> = lines.map(serde_json::from_str).collect::<Result<_, _>>()?;
    for line in &lines {
        for key in ["timestamp", "level", "target", "message"] {
            assert!(line[key].is_string(), "{line}");
        }
        assert!(
            line["timestamp"]
                .as_str()
                .is_some_and(|time| time.ends_with('Z'))
        );
    }
    Ok(lines)
}

#[tokio::test]
async fn each_call_is_a_line_without_its_arguments() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    for text in [false, true] {
        let host = sim.host()?.secret(PASSWORD).arg("--log-level=info");
        let host = match text {
            true => host,
            false => host.env("PROXMOX_MCP_LOG_FORMAT", "json"),
        };
        let client = host.connect().await?;
        let arguments = json!({ "vmid": 100, "user": "ops", "password": PASSWORD });
        client.call("set_cloud_init", arguments).await?;
        client.call("stop_guest", json!({ "vmid": 103 })).await?;
        client.error("get_guest", json!({ "vmid": 999 })).await?;
        let stderr = client.finish().await?.stderr;
        if text {
            let calls: Vec<_> = stderr
                .lines()
                .filter(|line| line.contains(" call "))
                .collect();
            assert_eq!(calls.len(), 3, "{stderr}");
            assert_says(
                calls[0],
                &["INFO", "tool=\"set_cloud_init\"", "outcome=\"ok\""],
            );
            assert_says(calls[2], &["outcome=\"error\"", "error=\"not-found\""]);
            continue;
        }
        let lines = lines(&stderr)?;
        let calls: Vec<_> = lines
            .iter()
            .filter(|one| one["message"] == "call")
            .collect();
        assert_eq!(calls.len(), 3, "{stderr}");
        assert!(calls.iter().all(|one| one["level"] == "INFO"));
        let fields: Vec<_> = calls.iter().map(|one| &one["fields"]).collect();
        assert_eq!(fields[0]["tool"], "set_cloud_init");
        assert_eq!(fields[0]["outcome"], "ok");
        assert!(fields[0].get("user").is_none() && fields[0].get("arguments").is_none());
        let upid = fields[1]["upid"].as_str();
        assert!(
            upid.is_some_and(|upid| upid.starts_with("UPID:")),
            "{stderr}"
        );
        assert_eq!(
            (&fields[2]["outcome"], &fields[2]["error"]),
            (&json!("error"), &json!("not-found"))
        );
        assert!(fields[2]["duration_ms"].is_u64());
    }
    Ok(())
}

#[tokio::test]
async fn warnings_and_the_last_error_are_json_too() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let call = ["call", "list_nodes", "{}"];
    let host = sim.host()?.env("PROXMOX_VERIFY_SSL", "false");
    let output = host.arg("--log-format=json").run(&call).await?;
    assert_eq!(output.status, Some(0), "{output:?}");
    let said = lines(&output.stderr)?;
    assert!(said.iter().all(|line| line["level"] == "WARN"), "{said:#?}");
    assert_says(&output.stderr, &["PROXMOX_VERIFY_SSL=false"]);

    // The settings cannot be used: the environment still says how to put it.
    let host = HostRunner::new()?.env("PROXMOX_MCP_LOG_FORMAT", "json");
    let output = host.run(&call).await?;
    assert_eq!(output.status, Some(2), "{output:?}");
    let said = lines(&output.stderr)?;
    assert_eq!(said.len(), 1, "{said:#?}");
    assert_eq!(said[0]["level"], "ERROR");
    assert_says(&output.stderr, &["PROXMOX_URL"]);

    let host = sim.host()?.env("PROXMOX_MCP_LOG_FORMAT", "xml");
    let output = host.run(&call).await?;
    output.assert_refused_in_one_line(&["PROXMOX_MCP_LOG_FORMAT", "text or json"]);
    Ok(())
}
