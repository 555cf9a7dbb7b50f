//! What a component cannot do: each attack of `tests/hostile` is refused, and
//! the server goes on serving.

use anyhow::ensure;
use proxmox_mcp_tests::{Client, HostRunner, Sim, hostile_component, hostile_sockets_component};
use serde_json::{Value, json};

/// A cluster whose log nobody mistakes for the product's requests.
async fn start_sim() -> anyhow::Result<Sim> {
    Sim::options().private_log().start().await
}

/// host-runner with the hostile component, in front of a cluster that it may
/// reach.
fn hostile(sim: &Sim) -> anyhow::Result<HostRunner> {
    Ok(sim.host()?.component(&hostile_component()?))
}

/// An attack that is answered and reports how it went.
async fn outcome(client: &Client, attack: &str, arguments: Value) -> anyhow::Result<String> {
    let report = client.call(attack, arguments).await?;
    Ok(report
        .get("outcome")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned())
}

/// The server answers as before.
async fn still_serves(client: &Client) -> anyhow::Result<()> {
    let report = client.call("count_calls", json!({})).await?;
    ensure!(
        report == json!({ "outcome": "counted", "calls": 1 }),
        "the instance is not fresh: {report}"
    );
    Ok(())
}

/// Ends the session; the server must have written nothing but MCP.
async fn ends_well(client: Client) -> anyhow::Result<()> {
    still_serves(&client).await?;
    let output = client.finish().await?;
    ensure!(output.status == Some(0), "exit status {:?}", output.status);
    ensure!(
        !output.stderr.contains("wasm backtrace"),
        "a backtrace in the log: {}",
        output.stderr
    );
    Ok(())
}

/// The paths that a simulated cluster was asked for.
fn paths(sim: &Sim) -> anyhow::Result<Vec<String>> {
    Ok(sim
        .requests()?
        .iter()
        .map(|request| request.get("path").and_then(Value::as_str))
        .map(|path| path.unwrap_or_default().to_owned())
        .collect())
}

/// Without this, the refusals below would show nothing.
#[tokio::test]
async fn the_configured_api_is_reachable() -> anyhow::Result<()> {
    let mut sim = start_sim().await?;
    let client = hostile(&sim)?.connect().await?;
    let url = format!("{}/api2/json/version", sim.url);
    let report = client.call("send_request", json!({ "url": url })).await?;
    assert_eq!(report["outcome"], "answered", "{report}");
    // Only with the token, which the host has added.
    assert_eq!(report["status"], 200, "{report}");
    assert_eq!(sim.served().await?, 1);
    ends_well(client).await
}

#[tokio::test]
async fn no_other_origin() -> anyhow::Result<()> {
    let mut sim = start_sim().await?;
    let mut other = start_sim().await?;
    let client = hostile(&sim)?.connect().await?;
    let (port, other_port) = (sim.port()?, other.port()?);
    for url in [
        // Another port of the same host.
        format!("https://127.0.0.1:{other_port}/api2/json/version"),
        "https://127.0.0.1/api2/json/version".to_owned(),
        // Another host, though it is the same machine.
        format!("https://localhost:{port}/api2/json/version"),
        format!("https://127.0.0.2:{port}/api2/json/version"),
        format!("https://127.0.0.1.:{port}/api2/json/version"),
        format!("https://2130706433:{port}/api2/json/version"),
        format!("https://[::1]:{port}/api2/json/version"),
        format!("https://[::ffff:127.0.0.1]:{port}/api2/json/version"),
        "https://example.com/api2/json/version".to_owned(),
        // The configured one as somebody's user name.
        format!("https://127.0.0.1:{port}@127.0.0.1:{other_port}/api2/json/version"),
        format!("https://root@127.0.0.1:{port}/api2/json/version"),
        // Without TLS.
        format!("http://127.0.0.1:{port}/api2/json/version"),
        format!("ftp://127.0.0.1:{port}/api2/json/version"),
        format!("file://127.0.0.1:{port}/api2/json/version"),
    ] {
        let outcome = outcome(&client, "send_request", json!({ "url": url })).await?;
        assert_eq!(outcome, "refused", "{url}");
    }
    assert_eq!(sim.served().await?, 0, "{:?}", paths(&sim)?);
    assert_eq!(other.served().await?, 0, "{:?}", paths(&other)?);
    ends_well(client).await
}

#[tokio::test]
async fn no_path_outside_the_api() -> anyhow::Result<()> {
    let mut sim = start_sim().await?;
    let client = hostile(&sim)?.connect().await?;
    let authority = format!("127.0.0.1:{}", sim.port()?);
    for path in [
        "/",
        "/novnc/app.js",
        "/api2",
        "/api2/extjs/version",
        "/api2/jsonp/version",
        "/api2/json/../extjs/version",
        "/api2/json/%2e%2e/extjs/version",
        "/api2/json/%252e%252e/extjs/version",
        "/api2/json/..%2fextjs/version",
        "/api2/json/..\\extjs",
        "/api2/json/nodes/./version",
        "//127.0.0.1/api2/json/version",
        "/API2/JSON/version",
        "?/api2/json/version",
    ] {
        let target = json!({ "scheme": "https", "authority": authority, "path": path });
        let outcome = outcome(&client, "send_raw_target", target).await?;
        assert_eq!(outcome, "refused", "{path}");
    }
    assert_eq!(sim.served().await?, 0, "{:?}", paths(&sim)?);
    ends_well(client).await
}

#[tokio::test]
async fn no_path_outside_the_prefix() -> anyhow::Result<()> {
    let sim = Sim::options()
        .private_log()
        .arg("--prefix=/tenant")
        .start()
        .await?;
    let client = hostile(&sim)?.connect().await?;
    for (path, expected) in [
        ("/tenant/api2/json/version", "answered"),
        ("/api2/json/version", "refused"),
        ("/tenant2/api2/json/version", "refused"),
        ("/tenant/../api2/json/version", "refused"),
        ("/tenant/api2/json/../../../api2/json/version", "refused"),
        ("/other/tenant/api2/json/version", "refused"),
    ] {
        let url = format!("https://127.0.0.1:{}{path}", sim.port()?);
        let outcome = outcome(&client, "send_request", json!({ "url": url })).await?;
        assert_eq!(outcome, expected, "{path}");
    }
    ends_well(client).await
}

#[tokio::test]
async fn no_way_after_a_redirect() -> anyhow::Result<()> {
    let mut sim = start_sim().await?;
    let mut other = start_sim().await?;
    let client = hostile(&sim)?.connect().await?;
    let away = format!("{}/api2/json/version", other.url);
    sim.fault(json!({ "kind": "redirect", "url": away }))
        .await?;
    let url = format!("{}/api2/json/version", sim.url);
    let report = client
        .call("follow_redirect", json!({ "url": url }))
        .await?;
    // The host did not follow it by itself, and did not let the component.
    assert_eq!(report["first"]["status"], 302, "{report}");
    assert_eq!(report["location"], away, "{report}");
    assert_eq!(report["outcome"], "refused", "{report}");
    assert_eq!(other.served().await?, 0, "{:?}", paths(&other)?);
    ends_well(client).await
}

#[tokio::test]
async fn no_identity_of_its_own() -> anyhow::Result<()> {
    let mut sim = start_sim().await?;
    let none = sim.token("none")?;
    let forged = format!("PVEAPIToken={}={}", none.id, none.secret);
    let client = hostile(&sim)?.connect().await?;
    let url = format!("{}/api2/json/version", sim.url);
    for (name, value) in [
        ("Authorization", forged.as_str()),
        ("authorization", forged.as_str()),
        ("AUTHORIZATION", forged.as_str()),
        ("Cookie", "PVEAuthCookie=PVE:root@pam:0"),
        ("CSRFPreventionToken", "x"),
        ("Host", "example.com"),
        ("Proxy-Authorization", "Basic eA=="),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "upgrade"),
        ("X-Forwarded-For", "192.0.2.1"),
    ] {
        let arguments = json!({ "url": url, "name": name, "value": value });
        let report = client.call("set_header", arguments).await?;
        assert_eq!(report["outcome"], "refused", "{name}: {report}");
    }
    assert_eq!(sim.served().await?, 0, "{:?}", paths(&sim)?);
    // Others may be set, or the attack would show nothing.
    let harmless = json!({ "url": url, "name": "X-Harmless", "value": "1" });
    assert_eq!(outcome(&client, "set_header", harmless).await?, "accepted");
    ends_well(client).await
}

#[tokio::test]
async fn no_header_smuggling() -> anyhow::Result<()> {
    let mut sim = start_sim().await?;
    let client = hostile(&sim)?.connect().await?;
    let url = format!("{}/api2/json/version", sim.url);
    for (name, value) in [
        ("X-A", "1\r\nAuthorization: x"),
        ("X-A\r\nAuthorization", "x"),
        ("Authorization ", "x"),
        ("X-A", "1\0"),
    ] {
        let arguments = json!({ "url": url, "name": name, "value": value });
        let report = client.call("set_header", arguments).await?;
        assert_eq!(report["outcome"], "refused", "{name:?}: {report}");
    }
    assert_eq!(sim.served().await?, 0, "{:?}", paths(&sim)?);
    ends_well(client).await
}

/// What is counted is what is sent: no second request hides in a body.
#[tokio::test]
async fn no_lie_about_the_length() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let client = hostile(&sim)?.connect().await?;
    let smuggled = "GET /api2/json/nodes HTTP/1.1\r\nHost: x\r\n\r\n";
    let arguments = json!({
        "url": format!("{}/api2/json/version", sim.url),
        "method": "POST",
        "header_name": "Content-Length",
        "header_value": "0",
        "body": smuggled,
    });
    // Whether it is refused or sent as one request: the second is never seen.
    client.call("send_request", arguments).await?;
    assert!(!paths(&sim)?.iter().any(|path| path.contains("nodes")));
    ends_well(client).await
}

/// std cannot even be asked: a component that imports sockets is not loaded.
#[tokio::test]
async fn no_sockets() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let host = sim.host()?.component(&hostile_sockets_component()?);
    let output = host.run(&["tools"]).await?;
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
async fn no_files() -> anyhow::Result<()> {
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
async fn the_environment_is_three_variables() -> anyhow::Result<()> {
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
        })
    );
    assert_eq!(report["arguments"], json!([]), "{report}");
    ends_well(client).await
}

#[tokio::test]
async fn stdin_and_stdout_are_the_hosts() -> anyhow::Result<()> {
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
    let flood = "x".repeat(1024 * 1024);
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
async fn memory_has_an_end() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let client = hostile(&sim)?.connect().await?;
    // Either the allocation fails within the component or the call does.
    let result = client.request("grow_memory", json!({})).await??;
    if result.is_error != Some(true) {
        let report = result.structured_content.unwrap_or_default();
        assert_eq!(report["outcome"], "refused", "{report}");
        assert!(report["mebibytes"].as_u64().unwrap() <= 128, "{report}");
    }
    ends_well(client).await
}

/// Many at once do not add up to what one may not have.
#[tokio::test]
async fn memory_has_an_end_for_many_calls_too() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let client = hostile(&sim)?.connect().await?;
    let mut calls = Vec::new();
    for _ in 0..8 {
        calls.push(client.start("grow_memory", json!({})).await?);
    }
    for call in calls {
        // Each is answered, one way or the other.
        call.await_response().await?;
    }
    ends_well(client).await
}

#[tokio::test]
async fn endless_calls_are_ended() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    for (attack, option, limit) in [
        ("loop_forever", "--cpu-seconds=1", "1 s of processor time"),
        ("sleep_forever", "--call-seconds=1", "longer than 1 s"),
    ] {
        let client = hostile(&sim)?.arg(option).connect().await?;
        let text = client.error(attack, json!({})).await?;
        assert!(
            text.contains(limit),
            "{attack}: the limit is not named: {text}"
        );
        ends_well(client).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_endless_call_can_be_cancelled() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let client = hostile(&sim)?.connect().await?;
    for attack in ["loop_forever", "sleep_forever", "run_forever"] {
        let running = client.start(attack, json!({})).await?;
        running.cancel(Some("enough".to_owned())).await?;
        still_serves(&client).await?;
    }
    // It does not hold up the end either.
    client.start("loop_forever", json!({})).await?;
    let output = client.finish().await?;
    assert_eq!(output.status, Some(0), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn more_endless_calls_than_cores_do_not_stop_the_others() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let client = hostile(&sim)?.connect().await?;
    let mut running = Vec::new();
    // Not so many that they fill every place there is.
    for _ in 0..8 {
        running.push(client.start("loop_forever", json!({})).await?);
    }
    still_serves(&client).await?;
    for call in running {
        call.cancel(None).await?;
    }
    ends_well(client).await
}

#[tokio::test]
async fn results_have_a_size() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let client = hostile(&sim)?.connect().await?;
    let arguments = json!({ "bytes": 32 * 1024 * 1024 });
    let text = client.error("huge_result", arguments).await?;
    assert!(text.len() < 1024, "{} bytes of error", text.len());
    ends_well(client).await
}

#[tokio::test]
async fn results_that_break_the_contract_are_no_results() -> anyhow::Result<()> {
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

/// A component that never ends a task neither holds the client for ever nor
/// makes the host spin, and no garbage of its reaches the protocol.
#[tokio::test]
async fn a_call_that_pends_for_ever_is_given_up() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let client = hostile(&sim)?.arg("--wait-seconds=2").connect().await?;
    let outcome = outcome(&client, "run_forever", json!({})).await?;
    assert_eq!(outcome, "interim");
    let progress = client.progress();
    assert!(progress.len() < 100, "{} looks in 2 s", progress.len());
    assert!(
        progress.iter().all(|(value, _)| value.is_finite()),
        "{progress:?}"
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

#[tokio::test]
async fn a_flood_of_requests_hurts_nobody() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let client = hostile(&sim)?.connect().await?;
    let url = format!("{}/api2/json/version", sim.url);
    let flood = client
        .start("flood", json!({ "url": url, "count": 3000 }))
        .await?;
    still_serves(&client).await?;
    let _ = flood.await_response().await?;
    for _ in 0..3 {
        client
            .request("leave_open", json!({ "url": url, "count": 500 }))
            .await??;
        still_serves(&client).await?;
    }
    // The way out is not stopped up either.
    let report = client.call("send_request", json!({ "url": url })).await?;
    assert_eq!(report["status"], 200, "{report}");
    ends_well(client).await
}

/// On the command line errors are text: they must not act on a terminal.
#[tokio::test]
async fn errors_on_the_command_line_are_harmless() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let arguments = json!({ "message": "\u{1b}[2Jerased\r\nforged" }).to_string();
    let host = hostile(&sim)?;
    let output = host.run(&["call", "fail_with", &arguments]).await?;
    assert_eq!(output.status, Some(1), "{output:?}");
    assert_eq!(output.stdout, "");
    assert!(output.stderr.contains("erased"), "{output:?}");
    Ok(())
}
