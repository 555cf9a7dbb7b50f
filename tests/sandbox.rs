//! What a component cannot do: each attack of `tests/hostile` is refused, and
//! the server keeps serving.

use anyhow::{Context as _, ensure};
use proxmox_mcp_tests::{
    Client, HostRunner, Memory, Sim, hostile_component, hostile_sockets_component,
};
use serde_json::{Value, json};

/// A cluster whose log is not mistaken for the product's requests.
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

/// How a raw request was refused: the name of the rule, or `wasi` where it was
/// no request at all.
async fn refused(client: &Client, request: Value) -> anyhow::Result<String> {
    refused_as(client, "send_raw", request).await
}

/// The same by another tool; `answered` where it was not.
async fn refused_as(client: &Client, tool: &str, request: Value) -> anyhow::Result<String> {
    let before = client.stderr()?.len();
    let report = client.call(tool, request).await?;
    if report.get("outcome") != Some(&json!("refused")) {
        return Ok("answered".to_owned());
    }
    let log = client.stderr()?.split_off(before);
    let rule = log.split_once("by rule ").map(|(_, rest)| rest);
    let rule = rule.and_then(|rest| rest.split(':').next());
    Ok(rule.unwrap_or("wasi").to_owned())
}

/// A request with some of its parts changed.
fn with(request: &Value, changes: Value) -> Value {
    let parts = request.as_object().into_iter().flatten();
    let changes = changes.as_object().into_iter().flatten();
    let parts = parts.chain(changes);
    // Of two, the last one stays.
    Value::Object(
        parts
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    )
}

/// The headers of a form, if there is one.
fn form(body: &str) -> Value {
    match body {
        "" => json!({}),
        _ => json!({ "content-type": ["application/x-www-form-urlencoded"] }),
    }
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
    // Neither the host nor the component followed it.
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
async fn memory_has_an_end() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let client = hostile(&sim)?.connect().await?;
    // Either the allocation fails within the component or the call does.
    let result = client.request("grow_memory", json!({})).await??;
    if result.is_error != Some(true) {
        let report = result.structured_content.unwrap_or_default();
        assert_eq!(report["outcome"], "refused", "{report}");
        assert!(report["mebibytes"].as_u64().unwrap() <= 64, "{report}");
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
    for mebibytes in [5, 32] {
        let arguments = json!({ "bytes": mebibytes * 1024 * 1024 });
        let text = client.error("huge_result", arguments).await?;
        assert!(text.len() < 1024, "{} bytes of error", text.len());
    }
    let arguments = json!({ "message": "five ", "times": 1024 * 1024 });
    let text = client.error("fail_with", arguments).await?;
    assert!(text.contains("larger than 1024 KiB"), "{:.200}", text);
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
async fn a_flood_of_requests_disturbs_no_other_call() -> anyhow::Result<()> {
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

/// Whatever shape a request has that Proxmox could understand otherwise than
/// host-runner: it is refused, by the rule named there, and even under
/// the preset that allows most. Nothing of it arrives.
#[tokio::test]
async fn no_request_in_disguise() -> anyhow::Result<()> {
    let mut sim = start_sim().await?;
    let client = hostile(&sim)?.arg("--preset=admin").connect().await?;
    let authority = format!("127.0.0.1:{}", sim.port()?);
    let good = json!({
        "method": "GET",
        "scheme": "https",
        "authority": authority,
        "path": "/api2/json/version",
    });
    let mut wrong = Vec::new();
    let targets = [
        ("/api2/json/../json/version", "origin"),
        ("/api2/json/./version", "origin"),
        ("/api2/json/nodes/..", "origin"),
        ("/api2/json/%2e%2e/extjs/version", "origin"),
        ("/api2/json/%2E%2E%2Fextjs/version", "origin"),
        ("/api2/json/%252e%252e/version", "origin"),
        ("/api2/json/nodes%252fpve1", "request-shape"),
        ("/api2/json/nodes%2fpve1", "request-shape"),
        ("/api2/json/nodes%5cpve1", "request-shape"),
        ("/api2/json//version", "request-shape"),
        ("//api2/json/version", "origin"),
        ("/api2//json/version", "origin"),
        ("/api2/json/version/", "request-shape"),
        ("/api2/json/version;a=b", "request-shape"),
        ("/api2/json/;/version", "request-shape"),
        ("/api2/json/..;/version", "origin"),
        ("/api2/json/version%09", "origin"),
        ("/api2/json/version\t", "wasi"),
        ("/api2/json/version%0d%0aX:%20y", "origin"),
        ("/api2/json/version\r\nX: y", "wasi"),
        ("/api2/json/version HTTP/1.1\r\n\r\nDELETE /", "wasi"),
        ("/api2/json/version%00", "origin"),
        ("/api2/json/version%20", "request-shape"),
        ("/api2/json/versio\u{f1}", "request-shape"),
        ("/api2/json/versio%f1", "request-shape"),
        ("/api2/json/\u{ff0e}\u{ff0e}/version", "request-shape"),
        ("/api2/json/%c0%ae%c0%ae/version", "request-shape"),
        ("/api2/json/version%", "origin"),
        ("/api2/json/version%zz", "origin"),
        ("/api2/json/version?a", "request-shape"),
        ("/api2/json/version?a=b;c=d", "request-shape"),
        ("/api2/json/version?a=b=c", "request-shape"),
        ("/api2/json/version?%0d=1", "request-shape"),
        ("/api2/json/version?a[]=b", "request-shape"),
        ("https://127.0.0.1/api2/json/version", "wasi"),
        ("https://evil.example/api2/json/version", "wasi"),
        ("*", "wasi"),
        ("api2/json/version", "wasi"),
        ("/API2/json/version", "origin"),
        ("/api2/extjs/version", "origin"),
        ("/api2/json", "request-shape"),
        ("", "origin"),
        // None of these has a line in the table.
        ("/api2/json/Version", "unknown-call"),
        ("/api2/json/nodes/pve1/qemu/100", "unknown-call"),
        ("/api2/json/nodes/pve1/qemu/0100/config", "unknown-call"),
        ("/api2/json/nodes/pve1/qemu/+100/config", "unknown-call"),
        (
            "/api2/json/cluster/resources?type=vm&type=vm",
            "unknown-call",
        ),
    ];
    for (path, rule) in targets {
        let request = with(&good, json!({ "path": path }));
        let found = refused(&client, request).await?;
        if found != rule {
            wrong.push(format!("{path:?}: {found}, not {rule}"));
        }
    }

    let port = sim.port()?;
    let authorities = [
        (format!("root@127.0.0.1:{port}"), "origin"),
        (format!("127.0.0.1:{port}@127.0.0.1:{port}"), "origin"),
        (format!("127.0.0.1:{port}@evil.example"), "origin"),
        (format!("127.0.0.1.:{port}"), "origin"),
        (format!("127.1:{port}"), "origin"),
        (format!("0x7f.1:{port}"), "origin"),
        (format!("127.0.0.1%00:{port}"), "wasi"),
        (format!("localhost:{port}"), "origin"),
        (format!("[::1]:{port}"), "origin"),
        (format!("[::1%25lo]:{port}"), "origin"),
        (format!("[::ffff:127.0.0.1]:{port}"), "origin"),
        (format!("\u{ff11}27.0.0.1:{port}"), "wasi"),
        (format!("127\u{3002}0.0.1:{port}"), "wasi"),
        ("127.0.0.1".to_owned(), "origin"),
        ("127.0.0.1:".to_owned(), "origin"),
        (format!("127.0.0.1:{}", u32::from(port) + 65536), "origin"),
        (format!("127.0.0.1:{port},evil.example"), "origin"),
        (format!("127.0.0.1:{port}/x"), "wasi"),
        (format!("127.0.0.1 :{port}"), "wasi"),
        (String::new(), "wasi"),
    ];
    for (authority, rule) in authorities {
        let request = with(&good, json!({ "authority": authority }));
        let found = refused(&client, request).await?;
        if found != rule {
            wrong.push(format!("{authority:?}: {found}, not {rule}"));
        }
    }
    for (scheme, rule) in [("http", "origin"), ("ftp", "origin"), ("ws", "origin")] {
        let request = with(&good, json!({ "scheme": scheme }));
        let found = refused(&client, request).await?;
        if found != rule {
            wrong.push(format!("{scheme:?}: {found}, not {rule}"));
        }
    }
    for (method, rule) in [
        ("get", "request-shape"),
        ("delete", "request-shape"),
        ("PATCH", "request-shape"),
        ("HEAD", "request-shape"),
        ("CONNECT", "request-shape"),
        ("TRACE", "request-shape"),
        ("OPTIONS", "request-shape"),
        ("PROPFIND", "request-shape"),
        ("DELETE ", "wasi"),
        ("GET /api2/json/nodes HTTP/1.1\r\n\r\nGET", "wasi"),
        ("", "wasi"),
    ] {
        let request = with(&good, json!({ "method": method }));
        let found = refused(&client, request).await?;
        if found != rule {
            wrong.push(format!("{method:?}: {found}, not {rule}"));
        }
    }
    for (headers, rule) in [
        (json!({ "host": ["evil.example", "127.0.0.1"] }), "wasi"),
        (
            json!({ "Authorization": ["PVEAPIToken=a@pam!b=c"] }),
            "wasi",
        ),
        (json!({ "transfer-encoding": ["chunked"] }), "wasi"),
        (json!({ "x-long": ["x".repeat(8000)] }), "request-shape"),
        (
            json!({ "accept": vec!["x".repeat(1020); 7] }),
            "request-shape",
        ),
    ] {
        let request = with(&good, json!({ "headers": headers }));
        let found = refused(&client, request).await?;
        if found != rule {
            wrong.push(format!("{headers:?}: {found}, not {rule}"));
        }
    }
    let long = format!("/api2/json/version?a={}", "x".repeat(8000));
    let request = with(&good, json!({ "path": long }));
    assert_eq!(refused(&client, request).await?, "request-shape");
    assert_eq!(wrong, Vec::<String>::new());
    // Beyond all measure: the call itself ends.
    let huge = json!({ "headers": { "x-huge": ["x".repeat(1_000_000)] } });
    client.request("send_raw", with(&good, huge)).await??;

    assert_eq!(sim.served().await?, 0, "{:?}", paths(&sim)?);
    // As it is, it does arrive.
    assert_eq!(refused(&client, good).await?, "answered");
    assert_eq!(sim.served().await?, 1);
    ends_well(client).await
}

/// What no policy can allow, in every spelling, with the token that may do all.
#[tokio::test]
async fn no_harm_that_no_policy_allows() -> anyhow::Result<()> {
    let mut sim = start_sim().await?;
    // Not even for an operator who allows all that can be allowed.
    let policy = "preset = \"admin\"\nallow = [\"* /**\"]\n";
    let host = hostile(&sim)?.file("policy.toml", policy)?;
    let client = host.arg("--policy=policy.toml").connect().await?;
    let authority = format!("127.0.0.1:{}", sim.port()?);
    let node = "/api2/json/nodes/pve1";
    for (method, path, body) in [
        ("DELETE", format!("{node}/qemu/100"), ""),
        ("DELETE", format!("{node}/lxc/200"), ""),
        ("DELETE", format!("{node}/qemu/%31%30%30"), ""),
        (
            "DELETE",
            "/api2/json/%6eodes/pve1/%71emu/100".to_owned(),
            "",
        ),
        ("DELETE", format!("{node}/qemu/100?purge=1&skiplock=1"), ""),
        ("DELETE", format!("{node}/qemu/100?"), ""),
        (
            "POST",
            format!("{node}/qemu"),
            "vmid=100&archive=a:b&force=1",
        ),
        (
            "POST",
            format!("{node}/qemu"),
            "vmid=100&archive=a:b&f%6Frce=1",
        ),
        (
            "POST",
            format!("{node}/qemu"),
            "force=0&vmid=100&archive=a:b&force=1",
        ),
        (
            "POST",
            format!("{node}/lxc"),
            "vmid=200&ostemplate=a:b&restore=1&force=yes",
        ),
        (
            "DELETE",
            format!("{node}/storage/local/content/local:100%2Fa"),
            "",
        ),
        (
            "DELETE",
            format!("{node}/storage/local/content/local:iso"),
            "",
        ),
        ("DELETE", "/api2/json/storage/local".to_owned(), ""),
        ("DELETE", "/api2/json/pools/prod".to_owned(), ""),
        ("POST", "/api2/json/access/users".to_owned(), "userid=a@pve"),
        (
            "PUT",
            "/api2/json/access/acl".to_owned(),
            "path=/&roles=Administrator&users=a@pve",
        ),
        (
            "PUT",
            "/api2/json/access/password".to_owned(),
            "userid=root@pam&password=x",
        ),
        (
            "POST",
            "/api2/json/access/ticket".to_owned(),
            "username=root@pam&password=x",
        ),
        (
            "DELETE",
            "/api2/json/%61ccess/users/root@pam".to_owned(),
            "",
        ),
        ("POST", format!("{node}/execute"), "commands=%5B%5D"),
        ("POST", format!("{node}/termproxy"), ""),
        ("POST", format!("{node}/vncshell"), ""),
        ("POST", format!("{node}/spiceshell"), ""),
        ("GET", format!("{node}/vncwebsocket?port=1&vncticket=x"), ""),
        ("POST", format!("{node}/qemu/100/monitor"), "command=quit"),
        ("POST", format!("{node}/status"), "command=shutdown"),
        ("PUT", format!("{node}/qemu/100/unlink"), "idlist=scsi0"),
        ("PUT", format!("{node}/qemu/100/config"), "delete=scsi0"),
        (
            "PUT",
            format!("{node}/qemu/100/config"),
            "delete=name,%20scsi0",
        ),
        ("PUT", format!("{node}/qemu/100/config"), "args=-chardev"),
        (
            "PUT",
            format!("{node}/qemu/100/config"),
            "hookscript=local:snippets/a",
        ),
        ("POST", format!("{node}/qemu/100/status/stop"), "skiplock=1"),
        ("PUT", format!("{node}/disks/wipedisk"), "disk=/dev/sda"),
    ] {
        let request = json!({
            "method": method,
            "scheme": "https",
            "authority": authority,
            "path": path,
            "headers": form(body),
            "body": body,
        });
        let rule = refused(&client, request).await?;
        let expected = match path.contains("%2F") {
            true => "request-shape",
            false => "built-in",
        };
        assert_eq!(rule, expected, "{method} {path} {body}");
    }
    assert_eq!(sim.served().await?, 0, "{:?}", paths(&sim)?);
    ends_well(client).await
}

/// A change is read before it is sent: what cannot be read is not sent.
#[tokio::test]
async fn no_form_that_reads_two_ways() -> anyhow::Result<()> {
    let mut sim = start_sim().await?;
    let client = hostile(&sim)?.connect().await?;
    let good = json!({
        "method": "PUT",
        "scheme": "https",
        "authority": format!("127.0.0.1:{}", sim.port()?),
        "path": "/api2/json/nodes/pve1/qemu/103/config",
        "headers": form("x"),
        "body": "description=a",
    });
    let kinds = |kinds: &[&str]| json!({ "headers": { "content-type": kinds } });
    let plain = "application/x-www-form-urlencoded";
    for (change, rule) in [
        (json!({ "body": "description" }), "request-shape"),
        (
            json!({ "body": "description=a;delete=scsi0" }),
            "request-shape",
        ),
        (
            json!({ "body": "description=a&delete=scsi0=" }),
            "request-shape",
        ),
        (json!({ "body": "description=%zz" }), "request-shape"),
        (json!({ "body": "description=\u{e4}" }), "request-shape"),
        (json!({ "body": "description=a&" }), "request-shape"),
        (
            json!({ "body": "{\"description\":\"a\"}" }),
            "request-shape",
        ),
        (
            json!({ "body": "description=a\r\nDELETE / HTTP/1.1" }),
            "request-shape",
        ),
        (
            json!({ "body": "description=a&description=b" }),
            "unknown-call",
        ),
        (
            json!({ "body": "descriptio%6E=a&description=b" }),
            "unknown-call",
        ),
        (json!({ "body": "net0=virtio" }), "unknown-call"),
        (kinds(&["application/json"]), "request-shape"),
        (kinds(&["multipart/form-data; boundary=x"]), "request-shape"),
        (kinds(&["text/plain"]), "request-shape"),
        (kinds(&[plain, "application/json"]), "request-shape"),
        (kinds(&[plain, plain]), "request-shape"),
        (
            kinds(&["application/x-www-form-urlencoded; charset=utf-16"]),
            "request-shape",
        ),
        (kinds(&[]), "request-shape"),
        (
            json!({ "path": "/api2/json/nodes/pve1/qemu/103/config?delete=scsi0" }),
            "request-shape",
        ),
        (
            json!({ "path": "/api2/json/nodes/pve1/qemu/103/config?description=b" }),
            "request-shape",
        ),
        (json!({ "method": "GET" }), "request-shape"),
        (json!({ "method": "DELETE" }), "request-shape"),
    ] {
        let request = with(&good, change.clone());
        assert_eq!(refused(&client, request).await?, rule, "{change}");
    }
    assert_eq!(sim.served().await?, 0, "{:?}", paths(&sim)?);
    // As it is, it is a change like any other, and of its headers only those
    // leave that Proxmox has a use for.
    let other = json!({ "headers": {
        "content-type": [plain],
        "x-original-url": ["/api2/json/access/users"],
        "x-http-method": ["DELETE"],
    }});
    assert_eq!(refused(&client, with(&good, other)).await?, "answered");
    let mut requests = sim.requests()?;
    // The host itself asks which nodes there are.
    requests.retain(|request| request["path"] != "/nodes");
    assert_eq!(requests.len(), 1);
    assert_eq!(
        requests[0]["params"],
        json!({ "description": "a" }),
        "{requests:?}"
    );
    ends_well(client).await
}

/// A tool's word can only forbid.
#[tokio::test]
async fn lies_of_a_tool_allow_nothing() -> anyhow::Result<()> {
    let mut sim = start_sim().await?;
    let authority = format!("127.0.0.1:{}", sim.port()?);
    let post = |path: &str, body: &str| {
        json!({
            "method": "POST",
            "scheme": "https",
            "authority": authority,
            "path": format!("/api2/json/nodes/pve1/{path}"),
            "headers": form(body),
            "body": body,
        })
    };
    let start = post("qemu/103/status/start", "");
    let exec = post("qemu/100/agent/exec", "command=id");

    let client = hostile(&sim)?.arg("--preset=admin").connect().await?;
    let rule = refused_as(&client, "send_raw_calmly", start.clone()).await?;
    assert_eq!(rule, "read-only-tool");
    // Not dangerous by its own word: then it does nothing dangerous.
    for tool in ["send_raw", "send_raw_calmly"] {
        assert_eq!(refused_as(&client, tool, exec.clone()).await?, "actions");
    }
    assert_eq!(sim.served().await?, 0);
    ends_well(client).await?;

    // It calls itself dangerous, so it is not offered by default.
    let client = hostile(&sim)?.connect().await?;
    let error = client
        .protocol_error("send_raw_dangerously", exec.clone())
        .await?;
    assert!(error.message.contains("--allow-tool"), "{error:?}");
    assert_eq!(sim.served().await?, 0);
    ends_well(client).await?;

    // Under --read-only it is not even offered, and what is offered reads.
    let client = hostile(&sim)?.arg("--read-only").connect().await?;
    client.protocol_error("send_raw", start.clone()).await?;
    let rule = refused_as(&client, "send_raw_calmly", start).await?;
    assert_eq!(rule, "read-only");
    assert_eq!(sim.served().await?, 0);
    ends_well(client).await?;

    // Where the operator allows the very tool it may, or the refusals above
    // would show nothing.
    let allowed = "--allow-tool=send_raw_dangerously";
    let client = hostile(&sim)?.arg(allowed).connect().await?;
    let rule = refused_as(&client, "send_raw_dangerously", exec).await?;
    assert_eq!(rule, "answered");
    let asked = paths(&sim)?;
    assert_eq!(asked, ["/nodes", "/nodes/pve1/qemu/100/agent/exec"]);
    ends_well(client).await
}

/// host-runner itself takes out of an answer what is not in scope.
/// The names of nodes carry nothing away, and asking which there are is not a
/// way to hammer Proxmox.
#[tokio::test]
async fn no_node_that_the_cluster_does_not_have() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let policy = "preset = \"admin\"\nallow = [\"GET /cluster/mapping/pci\"]\n";
    let client = hostile(&sim)?
        .file("policy.toml", policy)?
        .args(["--policy", "policy.toml"])
        .connect()
        .await?;
    let request = |method: &str, path: &str, body: &str| {
        json!({
            "method": method, "scheme": "https",
            "authority": format!("127.0.0.1:{}", sim.port().unwrap_or_default()),
            "path": format!("/api2/json{path}"), "headers": form(body), "body": body,
        })
    };
    for number in 0..20 {
        let path = format!("/nodes/736563726574{number}/status");
        let rule = refused_as(&client, "send_raw_calmly", request("GET", &path, "")).await?;
        assert_eq!(rule, "unknown-node", "{path}");
    }
    let upper = request("GET", "/nodes/PVE1/status", "");
    assert_eq!(
        refused_as(&client, "send_raw_calmly", upper).await?,
        "unknown-node"
    );
    let guest = "/nodes/pve1/qemu/100";
    for (method, path, body) in [
        ("POST", format!("{guest}/migrate"), "target=7365637265"),
        (
            "POST",
            format!("{guest}/clone"),
            "newid=900&target=7365637265",
        ),
        (
            "POST",
            "/nodes/7365637265/aplinfo".to_owned(),
            "storage=local&template=a",
        ),
        (
            "GET",
            "/cluster/mapping/pci?check-node=7365637265".to_owned(),
            "",
        ),
    ] {
        let rule = refused(&client, request(method, &path, body)).await?;
        assert_eq!(rule, "unknown-node", "{method} {path}");
    }
    let asked = paths(&sim)?;
    assert!(asked.iter().all(|path| path == "/nodes"), "{asked:?}");
    assert!(asked.len() <= 3, "{asked:?}");
    let url = format!("{}/api2/json/nodes/pve1/status", sim.url);
    let report = client.call("send_request", json!({ "url": url })).await?;
    assert_eq!(report["status"], 200, "{report}");
    ends_well(client).await
}

#[tokio::test]
async fn no_look_beyond_the_scope() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let client = hostile(&sim)?.arg("--vmids=100,200").connect().await?;
    let get = |path: &str| json!({ "url": format!("{}/api2/json/{path}", sim.url) });
    for path in [
        "cluster/resources",
        "cluster/resources?type=vm",
        "%63luster/resources",
        "nodes/pve1/qemu",
        "nodes/pve1/lxc",
        "cluster/tasks",
        "nodes/pve1/tasks",
        "access/permissions",
        "cluster/ha/resources",
        "pools",
    ] {
        let report = client.call("send_request", get(path)).await?;
        assert_eq!(report["status"], 200, "{path}: {report}");
        let body: Value = serde_json::from_str(report["body"].as_str().unwrap_or_default())?;
        for line in body["data"].as_array().into_iter().flatten() {
            if let Some(vmid) = line.get("vmid").and_then(Value::as_u64) {
                assert!([100, 200].contains(&vmid), "{path}: {line}");
            }
        }
        for other in ["101", "103", "104", "300"] {
            for mark in [
                format!("/vms/{other}"),
                format!("qemu/{other}"),
                format!(":{other}:"),
            ] {
                assert!(!body.to_string().contains(&mark), "{path}: {body}");
            }
        }
    }
    for path in [
        "nodes/pve1/qemu/103/config",
        "nodes/pve1/qemu/%31%303/config",
        "nodes/pve1/qemu/103/status/current",
        "nodes/pve2/lxc/300/config",
        "cluster/log",
        "nodes/pve1/journal",
    ] {
        let report = client.call("send_request", get(path)).await?;
        assert_eq!(report["outcome"], "refused", "{path}: {report}");
    }
    // The owner of the task has to be named.
    let stop = json!({
        "method": "DELETE",
        "scheme": "https",
        "authority": format!("127.0.0.1:{}", sim.port()?),
        "path": "/api2/json/nodes/pve1/tasks/UPID:pve1:00000001:00000001:68000000:vzdump::root@pam:",
    });
    assert_eq!(refused(&client, stop).await?, "scope");
    let asked = sim.requests()?;
    let beyond = asked
        .iter()
        .any(|request| request["path"].to_string().contains("103"));
    assert!(!beyond, "{asked:?}");
    ends_well(client).await
}

#[tokio::test]
async fn a_call_has_so_many_requests() -> anyhow::Result<()> {
    let mut sim = start_sim().await?;
    let client = hostile(&sim)?.arg("--call-requests=40").connect().await?;
    let url = format!("{}/api2/json/version", sim.url);
    let flood = json!({ "url": url, "count": 10_000 });
    let report = client.call("flood", flood).await?;
    assert_eq!(report["answered"], 40, "{report}");
    assert_eq!(sim.served().await?, 40);
    // Each call has its own, and the log is not flooded.
    let report = client.call("send_request", json!({ "url": url })).await?;
    assert_eq!(report["status"], 200, "{report}");
    let said = client.stderr()?.matches("by rule requests").count();
    assert_eq!(said, 1);
    // What is refused counts, too.
    let bad = json!({ "url": format!("{url}/x"), "count": 10_000 });
    client.call("flood", bad).await?;
    assert_eq!(client.stderr()?.matches("refused ").count(), 1 + 40 + 1);
    ends_well(client).await
}

/// So many calls of one attack at once; each is answered, one way or the other.
async fn sixteen(client: &Client, attack: &str, arguments: &Value) -> anyhow::Result<()> {
    let mut calls = Vec::new();
    for _ in 0..16 {
        calls.push(client.start(attack, arguments.clone()).await?);
    }
    for call in calls {
        call.await_response().await.context(attack.to_owned())?;
    }
    Ok(())
}

/// Whatever the host keeps or copies for a component: all of it is bounded, for
/// all calls together. `cargo xtask redteam` runs more of these, and tells how
/// much each takes.
#[tokio::test]
async fn the_hosts_memory_has_an_end() -> anyhow::Result<()> {
    let mut sim = start_sim().await?;
    let client = hostile(&sim)?.arg("--call-seconds=3").connect().await?;
    let url = format!("{}/api2/json/version", sim.url);
    sixteen(&client, "count_calls", &json!({})).await?;
    let memory = Memory::idle(&client)?;
    for (attack, arguments) in [
        ("grow_memory", json!({})),
        ("random_bytes", json!({ "bytes": 64 << 20, "count": 1 })),
        ("zeroes", json!({ "bytes": 3_u64 << 30 })),
        ("hoard_streams", json!({ "count": 100_000 })),
        ("hoard_timers", json!({ "count": 100_000 })),
        ("hoard_headers", json!({ "count": 200 })),
        ("hoard_requests", json!({ "count": 200 })),
        ("hoard_bodies", json!({ "url": url, "count": 100_000 })),
        ("huge_result", json!({ "bytes": 32 << 20 })),
        ("huge_result", json!({ "bytes": 1_000_000 })),
        (
            "bomb",
            json!({ "bytes": 8 << 20, "piece": "{},", "end": "0" }),
        ),
        (
            "bomb",
            json!({ "bytes": 72_000, "piece": "{\"\":0},", "end": "0" }),
        ),
        ("many_problems", json!({ "count": 1_000_000 })),
        ("many_lines", json!({ "count": 2_000_000 })),
        (
            "flood_refused",
            json!({
                "url": sim.url, "method": "POST", "count": 50,
                "path": "/api2/json/nodes/pve1/qemu/100/config",
                "body": "FILLERb=1", "filler": "a=&", "bytes": 500_000,
            }),
        ),
        (
            "flood_refused",
            json!({
                "url": sim.url, "method": "GET", "count": 1000,
                "path": "/api2/json/nodes/pve1/FILLER", "filler": "n", "bytes": 6000,
            }),
        ),
    ] {
        sixteen(&client, attack, &arguments).await?;
        memory.check().context(attack)?;
    }
    assert_eq!(sim.served().await?, 0, "{:?}", paths(&sim)?);
    ends_well(client).await
}

/// Answers are counted among it, whether they are taken, left or filtered.
#[tokio::test]
async fn answers_count_among_the_hosts_memory() -> anyhow::Result<()> {
    let mut sim = start_sim().await?;
    let path = "/api2/json/cluster/resources";
    let url = format!("{}{path}", sim.url);
    for scope in [None, Some("--vmids=100")] {
        let host = hostile(&sim)?.arg("--call-seconds=3");
        let client = host.args(scope).connect().await?;
        sixteen(&client, "count_calls", &json!({})).await?;
        let memory = Memory::idle(&client)?;
        let huge = json!({ "kind": "huge", "bytes": 15 << 20, "path": path, "times": 100_000 });
        sim.fault(huge).await?;
        sixteen(&client, "send_request", &json!({ "url": url })).await?;
        sixteen(
            &client,
            "hoard_answers",
            &json!({ "url": url, "count": 100 }),
        )
        .await?;
        memory.check()?;
        sim.clear_faults().await?;
        ends_well(client).await?;
    }
    Ok(())
}

/// A function of the host that is called for ever costs processor time like any
/// other loop.
#[tokio::test]
async fn functions_of_the_host_cost_processor_time() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let client = hostile(&sim)?.arg("--cpu-seconds=1").connect().await?;
    for on in ["random", "clock", "stderr", "headers", "resources", "polls"] {
        let error = client.error("spin", json!({ "on": on })).await?;
        assert!(error.contains("1 s of processor time"), "{on}: {error}");
    }
    ends_well(client).await
}

/// Calls that take all places and all the processor neither hold up other
/// messages nor the end of the server.
#[tokio::test]
async fn a_busy_server_answers_and_ends() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let host = hostile(&sim)?.args(["--cpu-seconds=100", "--concurrency=32"]);
    let client = host.connect().await?;
    for on in ["random", "clock", "stderr", "headers"].repeat(4) {
        client.start("spin", json!({ "on": on })).await?;
    }
    still_serves(&client).await?;
    let process = client.process_id().context("it has ended")?;
    let killed = std::process::Command::new("kill")
        .args(["-TERM", &process.to_string()])
        .status()?;
    assert!(killed.success());
    let output = client.finish().await?;
    assert_eq!(output.status, Some(0), "{output:?}");
    Ok(())
}

/// What a component says of its tools is bounded like the rest.
#[tokio::test]
async fn a_list_of_tools_has_a_size() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    for kind in [
        "wide-schemas",
        "long-schemas",
        "deep-schemas",
        "many-tools",
        "long-names",
    ] {
        // The one setting by which the component learns what to do.
        let host = hostile(&sim)?.env("PROXMOX_TOKEN_ID", kind);
        let output = host.run(&["call", "count_calls"]).await?;
        assert_ne!(output.status, Some(0), "{kind}: {output:?}");
        assert!(output.stderr.contains("component"), "{kind}: {output:?}");
        assert!(output.stderr.len() < 2000, "{kind}");
    }
    Ok(())
}

#[tokio::test]
async fn a_body_that_never_ends_is_never_sent() -> anyhow::Result<()> {
    let mut sim = start_sim().await?;
    let client = hostile(&sim)?.arg("--call-seconds=1").connect().await?;
    let url = format!("{}/api2/json/nodes/pve1/qemu/103/config", sim.url);
    let error = client.error("drip_body", json!({ "url": url })).await?;
    assert!(error.contains("longer than 1 s"), "{error}");
    assert_eq!(sim.served().await?, 0);
    ends_well(client).await
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

#[tokio::test]
async fn a_queue_has_an_end() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let client = hostile(&sim)?.arg("--concurrency=1").connect().await?;
    let sleeper = client.start("sleep_forever", json!({})).await?;
    let (told, mut answers) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..400 {
        let call = client.start("count_calls", json!({})).await?;
        let told = told.clone();
        tokio::spawn(async move { told.send(call.await_response().await) });
    }
    drop(told);
    // Calls that came before the sleeper got their turn. Once it sleeps, no
    // call does, and an answer means that the queue was full.
    let mut done = 0;
    let refused = loop {
        let answer = serde_json::to_value(answers.recv().await.unwrap()?)?;
        if answer["isError"] == true {
            break answer;
        }
        assert_eq!(answer["structuredContent"]["calls"], 1, "{answer}");
        done += 1;
    };
    let text = refused["content"][0]["text"].as_str().unwrap_or_default();
    assert!(text.contains("waiting already"), "{text}");
    assert!(text.contains("nothing was done"), "{text}");
    sleeper.cancel(None).await?;
    while let Some(answer) = answers.recv().await {
        let answer = serde_json::to_value(answer?)?;
        done += usize::from(answer["structuredContent"]["calls"] == 1);
    }
    assert!(done >= 256, "{done} of those that waited got their turn");
    ends_well(client).await
}
