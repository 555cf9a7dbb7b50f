//! `host-runner forward`: the same door for a component in another host.

use std::os::unix::fs::PermissionsExt as _;

use harness::{Forward, HostRunner, HttpAnswer, KEY, Sim};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const AUTHORIZATION: &str =
    "Authorization: PVEAPIToken=root@pam!mcp=a-key-of-the-tests-0123456789abcdef";

/// The requests that reached the cluster, without those that are the door's own.
fn arrived(sim: &Sim, path: &str) -> anyhow::Result<Vec<Value>> {
    let mut requests = sim.requests()?;
    requests.retain(|request| {
        request["path"]
            .as_str()
            .is_some_and(|own| own.contains(path))
    });
    Ok(requests)
}

fn message(answer: &HttpAnswer) -> anyhow::Result<String> {
    let body = answer.json()?;
    assert_eq!(body.get("data"), Some(&Value::Null), "{answer:?}");
    let text = body.get("message").and_then(Value::as_str);
    Ok(text.unwrap_or_default().to_owned())
}

async fn get(forward: &Forward, headers: &[&str]) -> anyhow::Result<HttpAnswer> {
    let headers = headers.join("\r\n");
    let request =
        format!("GET /api2/json/version HTTP/1.1\r\nConnection: close\r\n{headers}\r\n\r\n");
    forward.send(&request).await
}

#[tokio::test]
async fn a_read_goes_through_with_the_token_of_the_host() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let forward = sim.host()?.forward().await?;
    let answer = forward.ask("GET", "/api2/json/nodes", "").await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    let nodes = answer.json()?["data"].as_array().map(Vec::len);
    assert!(nodes.is_some_and(|count| count > 0), "{answer:?}");
    // What the cluster was sent came with its own token: it knows no key.
    assert!(!forward.stderr()?.contains(KEY));
    Ok(())
}

#[tokio::test]
async fn an_error_of_proxmox_keeps_its_status_and_reason() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let forward = sim.host()?.forward().await?;
    let path = "/api2/json/nodes/pve1/qemu/99999/status/current";
    let answer = forward.ask("GET", path, "").await?;
    assert_eq!(answer.status, 500, "{answer:?}");
    assert!(answer.header("x-reason-phrase").is_some(), "{answer:?}");
    assert_eq!(answer.header("x-forward-error"), None, "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn a_change_is_sent_once_and_one_that_the_policy_refuses_never() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let start = "/api2/json/nodes/pve1/qemu/100/status/reboot";
    let forward = sim.host()?.forward().await?;
    let answer = forward.ask("POST", start, "").await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(arrived(&sim, "status/reboot")?.len(), 1);

    let forward = sim.host()?.arg("--read-only").forward().await?;
    let answer = forward.ask("POST", start, "").await?;
    assert_eq!(answer.status, 403, "{answer:?}");
    assert_eq!(answer.header("x-forward-error"), Some("denied"));
    assert!(message(&answer)?.contains("rule read-only"), "{answer:?}");
    assert_eq!(arrived(&sim, "status/reboot")?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn no_policy_lets_a_guest_be_deleted() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let forward = sim.admin()?.forward().await?;
    for path in [
        "/api2/json/nodes/pve1/qemu/100",
        "/api2/json/nodes/pve1/qemu/1%30%30",
        "/api2/json/nodes/pve1/qemu/100?purge=1",
        "/api2/json/../json/nodes/pve1/qemu/100",
    ] {
        let answer = forward.ask("DELETE", path, "").await?;
        assert_eq!(answer.status, 403, "{path}: {answer:?}");
        assert!(message(&answer)?.starts_with("rule "), "{answer:?}");
    }
    let none: Vec<Value> = sim.requests()?;
    assert!(none.iter().all(|one| one["method"] == "GET"), "{none:?}");
    Ok(())
}

#[tokio::test]
async fn lists_show_what_is_in_scope() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let forward = sim.host()?.arg("--vmids=100,101").forward().await?;
    let path = "/api2/json/cluster/resources?type=vm";
    let answer = forward.ask("GET", path, "").await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = answer.json()?;
    let guests = answer["data"].as_array().cloned().unwrap_or_default();
    let vmids: Vec<_> = guests
        .iter()
        .filter_map(|one| one["vmid"].as_u64())
        .collect();
    assert!(!vmids.is_empty(), "{answer}");
    assert!(
        vmids.iter().all(|vmid| [100, 101].contains(vmid)),
        "{vmids:?}"
    );
    let path = "/api2/json/nodes/pve1/qemu/103/status/current";
    let answer = forward.ask("GET", path, "").await?;
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(message(&answer)?.contains("rule scope"), "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn without_the_key_nothing_is_sent() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let token = sim.token("all")?.clone();
    let forward = sim.host()?.forward().await?;
    let host = format!("Host: {}", forward.address);
    let own = format!("Authorization: PVEAPIToken={}={}", token.id, token.secret);
    let longer = format!("{AUTHORIZATION}0");
    let bearer = format!("Authorization: Bearer {KEY}");
    for headers in [
        &[host.as_str()][..],
        // Not even the token itself opens it.
        &[&host, &own],
        &[&host, &longer],
        &[&host, &bearer],
        &[&host, AUTHORIZATION, AUTHORIZATION],
        &[&host, "Authorization: PVEAPIToken=root@pam!mcp="],
    ] {
        let answer = get(&forward, headers).await?;
        assert_eq!(answer.status, 401, "{headers:?}: {answer:?}");
        assert_eq!(answer.header("x-forward-error"), Some("denied"));
        assert!(message(&answer)?.contains("key file"), "{answer:?}");
    }
    assert_eq!(sim.requests()?.len(), 0);
    assert_eq!(get(&forward, &[&host, AUTHORIZATION]).await?.status, 200);
    Ok(())
}

/// Without the key, a connection is of use for one request: it would take one
/// of few places.
#[tokio::test]
async fn without_the_key_no_connection_stays_open() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let forward = sim.host()?.forward().await?;
    let head = format!(
        "GET /api2/json/version HTTP/1.1\r\nHost: {}\r\n",
        forward.address
    );
    let mut stranger = tokio::net::TcpStream::connect(forward.address.as_str()).await?;
    stranger.write_all(format!("{head}\r\n").as_bytes()).await?;
    // The other end closes it after the answer, which it would wait to do for long.
    let mut answer = String::new();
    stranger.read_to_string(&mut answer).await?;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(
        answer.to_lowercase().contains("\r\nconnection: close\r\n"),
        "{answer}"
    );
    // With it, the next request may come on the same one.
    let mut client = tokio::net::TcpStream::connect(forward.address.as_str()).await?;
    for _ in 0..2 {
        client
            .write_all(format!("{head}{AUTHORIZATION}\r\n\r\n").as_bytes())
            .await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            assert_ne!(client.read_buf(&mut answer).await?, 0, "{answer:?}");
        }
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    Ok(())
}

#[tokio::test]
async fn web_pages_get_nothing() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let forward = sim.host()?.forward().await?;
    let host = format!("Host: {}", forward.address);
    for headers in [
        // A name that was led here.
        &["Host: evil.example:8007", AUTHORIZATION][..],
        &["Host: 127.0.0.1.evil.example", AUTHORIZATION],
        &[&host, &host, AUTHORIZATION],
        &[AUTHORIZATION],
        &[&host, "Origin: http://127.0.0.1:8007", AUTHORIZATION],
        &[&host, "Origin: null", AUTHORIZATION],
        &[&host, "Sec-Fetch-Site: same-origin", AUTHORIZATION],
        &[&host, "Referer: http://localhost/", AUTHORIZATION],
    ] {
        let answer = get(&forward, headers).await?;
        assert!(
            [400, 403].contains(&answer.status),
            "{headers:?}: {answer:?}"
        );
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    let preflight = format!(
        "OPTIONS /api2/json/version HTTP/1.1\r\n{host}\r\nConnection: close\r\n\
         Access-Control-Request-Method: GET\r\n\r\n"
    );
    let answer = forward.send(&preflight).await?;
    assert_eq!(answer.status, 401, "{answer:?}");
    assert_eq!(sim.requests()?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn requests_to_another_host_are_refused() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let forward = sim.host()?.forward().await?;
    for path in [
        "http://example.com/api2/json/version",
        "https://192.0.2.7:8006/api2/json/version",
        "/api2/extjs/version",
        "/",
        "//192.0.2.7/api2/json/version",
        "/@192.0.2.7/api2/json/version",
        "*",
    ] {
        let answer = forward.ask("GET", path, "").await?;
        assert!([400, 403].contains(&answer.status), "{path}: {answer:?}");
    }
    let address = &forward.address;
    let connect = format!(
        "CONNECT {}:8006 HTTP/1.1\r\nHost: {address}\r\n{AUTHORIZATION}\r\n\
         Connection: close\r\n\r\n",
        "192.0.2.7"
    );
    assert_eq!(forward.send(&connect).await?.status, 400);
    assert_eq!(sim.requests()?.len(), 0);
    Ok(())
}

/// What a client may not choose: who asks, by which way, and how the message is
/// framed.
#[tokio::test]
async fn headers_of_a_client_are_not_forwarded() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let forward = sim.host()?.forward().await?;
    let host = format!("Host: {}", forward.address);
    let answer = get(
        &forward,
        &[
            &host,
            AUTHORIZATION,
            "Cookie: PVEAuthCookie=PVE:root@pam:0::x",
            "X-HTTP-Method-Override: DELETE",
            "X-Forwarded-For: 192.0.2.7",
            "CSRFPreventionToken: x",
        ],
    )
    .await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    let requests = arrived(&sim, "version")?;
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert_eq!(requests[0]["method"], "GET");
    let form = "a".repeat(600 * 1024);
    let path = "/api2/json/nodes/pve1/qemu/100/status/start";
    let answer = forward.ask("POST", path, &form).await;
    // It may hang up before all was sent.
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status == 413));
    assert_eq!(arrived(&sim, "status/start")?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn changes_without_consent_are_refused_unless_the_operator_allows_them() -> anyhow::Result<()>
{
    let sim = Sim::start().await?;
    let path = "/api2/json/nodes/pve1/qemu/100/status/reboot";
    let forward = sim.host()?.arg("--confirm=writes").forward().await?;
    let answer = forward.ask("POST", path, "").await?;
    assert_eq!(answer.status, 403, "{answer:?}");
    let text = message(&answer)?;
    assert!(text.starts_with("rule confirm"), "{text}");
    assert!(text.contains("--confirm-fallback allow"), "{text}");
    assert_eq!(arrived(&sim, "status/reboot")?.len(), 0);
    let allowed = ["--confirm=writes", "--confirm-fallback=allow"];
    let forward = sim.host()?.args(allowed).forward().await?;
    assert_eq!(forward.ask("POST", path, "").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn requests_and_changes_are_limited() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let forward = sim.host()?.arg("--call-requests=2").forward().await?;
    for status in [200, 200, 429] {
        let answer = forward.ask("GET", "/api2/json/version", "").await?;
        assert_eq!(answer.status, status, "{answer:?}");
    }
    let forward = sim.host()?.arg("--writes-per-minute=1").forward().await?;
    let path = "/api2/json/nodes/pve1/qemu/100/status/reboot";
    assert_eq!(forward.ask("POST", path, "").await?.status, 200);
    let answer = forward.ask("POST", path, "").await?;
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(message(&answer)?.contains("rule limits"), "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn what_became_of_an_unanswered_request_is_marked() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let forward = sim.host()?.forward().await?;
    sim.fault(json!({ "kind": "cut", "times": 2 })).await?;
    let answer = forward.ask("GET", "/api2/json/version", "").await?;
    assert_eq!(answer.status, 502, "{answer:?}");
    assert_eq!(answer.header("x-forward-error"), Some("cut"), "{answer:?}");
    drop(sim);
    let answer = forward.ask("GET", "/api2/json/version", "").await?;
    assert_eq!(answer.status, 502, "{answer:?}");
    assert_eq!(answer.header("x-forward-error"), Some("closed"));
    assert!(message(&answer)?.contains("PROXMOX_URL"), "{answer:?}");

    // Another cluster's certificate.
    let (sim, other) = (Sim::start().await?, Sim::start().await?);
    let host = other.host()?.env("PROXMOX_URL", &sim.url);
    let elsewhere = host.forward().await?;
    let answer = elsewhere.ask("GET", "/api2/json/version", "").await?;
    assert_eq!(answer.header("x-forward-error"), Some("not-sent"));
    assert!(message(&answer)?.contains("PROXMOX_CA_FILE"), "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn each_request_is_in_the_audit_log() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let forward = sim.host()?.arg("--audit=-").forward().await?;
    let path = "/api2/json/nodes/pve1/qemu/100/config?password=hunter-is-hidden";
    forward.ask("GET", path, "").await?;
    forward.ask("GET", "/api2/json/nodes", "").await?;
    let log = forward.stderr()?;
    let lines: Vec<Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let requests: Vec<_> = lines
        .iter()
        .filter(|line| line["path"].is_string())
        .collect();
    assert_eq!(requests.len(), 2, "{log}");
    assert!(lines.iter().any(|line| line["tool"] == "forward"), "{log}");
    assert!(!log.contains("hunter-is-hidden"), "{log}");
    Ok(())
}

#[tokio::test]
async fn a_signal_ends_it_with_requests_open() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let forward = sim.host()?.forward().await?;
    sim.fault(json!({ "kind": "hang", "times": 1 })).await?;
    let before = sim.served().await?;
    let mut open = tokio::net::TcpStream::connect(&forward.address).await?;
    let request = format!(
        "GET /api2/json/version HTTP/1.1\r\nHost: {}\r\n{AUTHORIZATION}\r\n\r\n",
        forward.address
    );
    open.write_all(request.as_bytes()).await?;
    sim.serves_more_than(before).await?;
    forward.terminate()?;
    let output = forward.ended().await?;
    assert_eq!(output.status, Some(0), "{output:?}");
    // No half of an answer.
    let mut rest = Vec::new();
    let _ = open.read_to_end(&mut rest).await;
    assert_eq!(String::from_utf8_lossy(&rest), "");
    Ok(())
}

#[tokio::test]
async fn a_path_in_the_address_of_a_client_is_named() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let forward = sim.host()?.forward().await?;
    let answer = forward.ask("GET", "/pve/api2/json/version", "").await?;
    assert_eq!(answer.status, 403, "{answer:?}");
    let text = message(&answer)?;
    assert!(text.contains("PROXMOX_URL as host-runner"), "{text}");
    assert_eq!(sim.requests()?.len(), 0);
    Ok(())
}

/// Both hosts read variables of the same names, and a shell may hold the other
/// one's.
#[tokio::test]
async fn settings_of_the_other_host_are_suspected() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let forward = sim.host()?.forward().await?;
    let unset = "or unset them: these may be the other host's settings";
    let url = format!("http://{}", forward.address);
    let output = sim.host()?.env("PROXMOX_URL", &url);
    let output = output.run(&["forward"]).await?;
    assert_eq!(output.status, Some(2), "{output:?}");
    assert!(output.stderr.contains(unset), "{output:?}");
    // With the settings in a file, the environment adds to it.
    let token = sim.token("all")?;
    let lines = format!(
        "PROXMOX_URL={}\nPROXMOX_TOKEN_ID={}\nPROXMOX_TOKEN_SECRET={}\n",
        sim.url, token.id, token.secret
    );
    let host = HostRunner::new()?
        .secret(&token.secret)
        .file("given.env", &lines)?
        .env("PROXMOX_URL", &url);
    let output = host.run(&["--env-file=given.env", "forward"]).await?;
    assert_eq!(output.status, Some(2), "{output:?}");
    assert!(output.stderr.contains(unset), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn a_second_one_on_the_same_address_names_the_first() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let forward = sim.host()?.forward().await?;
    let listen = format!("--listen={}", forward.address);
    let host = sim.host()?.file("key", KEY)?;
    let key = host.directory().join("key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600))?;
    let output = host.run(&["forward", &listen, "--key-file=key"]).await?;
    assert_eq!(output.status, Some(2), "{output:?}");
    assert!(output.stderr.contains("forward already runs"), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn settings_are_checked_before_it_listens() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let refused = |output: &harness::Output, word: &str| {
        assert_eq!(output.status, Some(2), "{output:?}");
        assert_eq!(output.stderr.trim_end().lines().count(), 1, "{output:?}");
        assert!(output.stderr.contains(word), "{output:?}");
    };
    for address in ["0.0.0.0:8007", "192.0.2.7:8007", "[::]:0", "localhost"] {
        let listen = format!("--listen={address}");
        let output = sim.host()?.run(&["forward", &listen]).await?;
        refused(&output, "loopback");
    }
    let output = HostRunner::new()?.run(&["forward"]).await?;
    refused(&output, "PROXMOX_URL");
    let output = sim.host()?.run(&["forward", "--tools=no_such"]).await?;
    refused(&output, "no_such");
    let output = sim
        .host()?
        .run(&["forward", "--listen=127.0.0.1:0"])
        .await?;
    refused(&output, "--key-file");
    for mode in [0o644, 0o660] {
        let host = sim.host()?.file("key", KEY)?;
        let key = host.directory().join("key");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode))?;
        std::os::unix::fs::symlink(&key, host.directory().join("link"))?;
        let output = host.run(&["forward", "--key-file=link"]).await?;
        refused(&output, "chmod 600");
    }
    // It sees no tools, so it could not keep to a choice of them.
    for policy in [
        "locked = true\ntools = [\"list_guests\"]\n",
        "locked = true\nexclude_tools = [\"get_node_log\"]\n",
    ] {
        let host = sim.host()?.file("policy.toml", policy)?;
        let output = host.run(&["forward", "--policy=policy.toml"]).await?;
        refused(&output, "exclude_tools");
    }
    // Nobody asked for the .env that is here.
    let env = format!("PROXMOX_URL={}\n", sim.url);
    let host = HostRunner::new()?.file(".env", &env)?;
    refused(&host.run(&["forward"]).await?, "PROXMOX_URL");
    Ok(())
}
