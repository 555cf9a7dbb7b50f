//! What a component can see and touch: nothing but its calls.

use harness::hostile::{ends_well, hostile, outcome, start_sim, still_serves};
use harness::hostile_sockets_component;
use serde_json::json;

/// std cannot even be asked: a component that imports sockets is not loaded.
#[tokio::test]
async fn a_component_with_sockets_is_not_loaded() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let host = sim.host()?.component(&hostile_sockets_component()?);
    let output = host.run(&["tools", "-o", "table"]).await?;
    assert_eq!(output.status, Some(2), "{output:?}");
    assert_eq!(output.stdout, "");
    assert!(output.stderr.contains("wasi:sockets"), "{output:?}");
    assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    // Nor is it served.
    let host = sim.host()?.component(&hostile_sockets_component()?);
    let output = host.raw()?.ended().await?;
    assert_eq!(output.status, Some(2), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn a_component_reads_and_writes_no_files() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let host = hostile(&sim)?.file("near", "text")?;
    let near = host.directory().join("near").display().to_string();
    let new = host.directory().join("new").display().to_string();
    let client = host.connect().await?;
    let ca = sim.ca_file.display().to_string();
    for path in [
        "/etc/passwd",
        "/proc/self/environ",
        "near",
        ".",
        "",
        &near,
        &ca,
    ] {
        let arguments = json!({ "path": path });
        assert_eq!(
            outcome(&client, "read_file", arguments).await?,
            "refused",
            "{path}"
        );
    }
    for path in ["new", "/tmp/hostile", &new, &near] {
        let arguments = json!({ "path": path });
        assert_eq!(
            outcome(&client, "write_file", arguments).await?,
            "refused",
            "{path}"
        );
    }
    for path in ["/", ".", "..", "/etc"] {
        let arguments = json!({ "path": path });
        assert_eq!(
            outcome(&client, "list_files", arguments).await?,
            "refused",
            "{path}"
        );
    }
    assert_eq!(std::fs::read_to_string(&near)?, "text");
    assert!(!std::path::Path::new(&new).exists());
    ends_well(client).await
}

#[tokio::test]
async fn the_environment_has_only_the_address_the_user_and_the_room_of_a_result()
-> anyhow::Result<()> {
    let sim = start_sim().await?;
    let token = sim.token("all")?.clone();
    let client = hostile(&sim)?
        .env("HOME", "/root")
        .env("AWS_SECRET_ACCESS_KEY", "of-another-program")
        .connect()
        .await?;
    let report = client.call("read_environment", json!({})).await?;
    let (user, name) = token.id.split_once('!').unwrap();
    assert_eq!(
        report["variables"],
        json!({
            "PROXMOX_URL": sim.url.trim_end_matches('/'),
            "PROXMOX_USER": user,
            "PROXMOX_TOKEN_ID": name,
            "PROXMOX_MCP_RESULT_BYTES": "40000",
            // The harness asks for results as JSON.
            "PROXMOX_MCP_RESULT_TABLES": "false",
        })
    );
    assert_eq!(report["arguments"], json!([]), "{report}");
    ends_well(client).await
}

#[tokio::test]
async fn a_component_cannot_use_stdin_and_stdout() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let client = hostile(&sim)?.connect().await?;
    let message = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"forged"}}"#;
    for text in [
        message,
        "\n",
        "plain",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n",
    ] {
        client
            .request("print_stdout", json!({ "text": text }))
            .await??;
    }
    let read = client.call("read_stdin", json!({})).await?;
    assert!(read["outcome"] == "refused" || read["bytes"] == 0, "{read}");
    still_serves(&client).await?;
    let output = client.finish().await?;
    assert!(!output.stdout.contains("forged"), "{}", output.stdout);
    assert!(!output.stdout.contains("\nplain"), "{}", output.stdout);
    Ok(())
}

/// The harness itself checks that no escape sequence reaches stderr.
#[tokio::test]
async fn stderr_cannot_be_forged() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let client = hostile(&sim)?.connect().await?;
    for text in [
        "\u{1b}[2J\u{1b}[31mred\n",
        "\u{1b}]0;title\u{7}",
        "\u{9b}31m\r\nforged line\n",
    ] {
        client
            .request("print_stderr", json!({ "text": text }))
            .await??;
    }
    let flood = "x".repeat(1_000_000);
    client
        .request("print_stderr", json!({ "text": flood }))
        .await??;
    still_serves(&client).await?;
    let output = client.finish().await?;
    assert!(
        output.stderr.len() < 256 * 1024,
        "{} bytes of log from one component",
        output.stderr.len()
    );
    assert!(
        !output
            .stderr
            .lines()
            .any(|line| line.starts_with("forged line")),
        "a line that looks like the host's own: {}",
        output.stderr
    );
    Ok(())
}

#[tokio::test]
async fn a_crash_ends_one_call() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let client = hostile(&sim)?.connect().await?;
    for attack in ["panic", "trap", "exit", "recurse"] {
        let arguments = if attack == "exit" {
            json!({ "code": 0 })
        } else {
            json!({})
        };
        let text = client.error(attack, arguments).await?;
        // The inner workings are for the log.
        for inner in ["backtrace", "wasm function", "0x", "hostile panic", ".rs:"] {
            assert!(!text.contains(inner), "{attack}: {text}");
        }
        still_serves(&client).await?;
    }
    ends_well(client).await
}

#[tokio::test]
async fn results_that_break_the_contract_are_errors() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let client = hostile(&sim)?.connect().await?;
    for structured in [
        "",
        "{",
        "{\"outcome\":\"x\"} {\"outcome\":\"y\"}",
        "[]",
        "null",
        "\"text\"",
    ] {
        client
            .error("answer_with", json!({ "structured": structured }))
            .await?;
    }
    let good = json!({ "structured": "{\"outcome\":\"fine\"}" });
    assert_eq!(outcome(&client, "answer_with", good).await?, "fine");
    ends_well(client).await
}

#[tokio::test]
async fn calls_share_nothing() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let client = hostile(&sim)?.connect().await?;
    for _ in 0..20 {
        still_serves(&client).await?;
    }
    let mut calls = Vec::new();
    for _ in 0..50 {
        calls.push(client.start("count_calls", json!({})).await?);
    }
    for call in calls {
        let answer = serde_json::to_value(call.await_response().await?)?;
        assert_eq!(answer["structuredContent"]["calls"], 1, "{answer}");
    }
    ends_well(client).await
}

/// A pending call is looked after from a fresh instance each time.
#[tokio::test]
async fn a_pending_call_is_followed_to_its_end() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let client = hostile(&sim)?.connect().await?;
    let report = client.call("finish_after", json!({ "looks": 3 })).await?;
    assert_eq!(report, json!({ "outcome": "finished", "calls": 1 }));
    let progress = client.progress();
    assert!(!progress.is_empty(), "no progress was told");
    assert!(
        progress.windows(2).all(|pair| pair[0].0 < pair[1].0),
        "progress does not strictly increase: {progress:?}"
    );
    ends_well(client).await
}

#[tokio::test]
async fn tools_that_are_not_listed_are_not_called() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let client = hostile(&sim)?.connect().await?;
    for name in [
        "hidden_tool",
        "",
        "COUNT_CALLS",
        "count_calls ",
        "../count_calls",
    ] {
        let error = client.protocol_error(name, json!({})).await?;
        assert_eq!(error.code.0, -32602, "{name:?}: {error:?}");
    }
    ends_well(client).await
}

/// On the command line errors are text: they must not act on a terminal.
#[tokio::test]
async fn errors_on_the_command_line_contain_no_control_characters() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let arguments = json!({ "message": "\u{1b}[2Jerased\r\nforged" }).to_string();
    let host = hostile(&sim)?;
    let output = host.run(&["call", "fail_with", &arguments]).await?;
    assert_eq!(output.status, Some(1), "{output:?}");
    assert_eq!(output.stdout, "");
    assert!(output.stderr.contains("erased"), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn a_hundred_crashes_are_a_hundred_errors() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let client = hostile(&sim)?.connect().await?;
    let mut calls = Vec::new();
    for attack in ["panic", "trap", "recurse", "grow_memory"].repeat(25) {
        calls.push(client.start(attack, json!({})).await?);
        if calls.len() % 10 == 0 {
            calls.push(client.start("count_calls", json!({})).await?);
        }
    }
    for (index, call) in calls.into_iter().enumerate() {
        let answer = serde_json::to_value(call.await_response().await?)?;
        let sane = answer["structuredContent"]["calls"] == 1
            || answer["structuredContent"]["outcome"] == "refused"
            || answer["isError"] == true;
        assert!(sane, "{index}: {answer}");
    }
    ends_well(client).await
}
