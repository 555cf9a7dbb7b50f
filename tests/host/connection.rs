//! What comes between the tools and Proxmox: certificates, tokens, outages,
//! broken answers. The server starts all the same, and each call says which it
//! is and what to do.

use anyhow::ensure;
use harness::{HostRunner, Sim, assert_says};
use serde_json::json;

/// The text of a call that fails; it says each of these things.
async fn fails(host: HostRunner, says: &[&str]) -> anyhow::Result<()> {
    let client = host.connect().await?;
    let text = client.error("list_nodes", json!({})).await?;
    assert_says(&text, says);
    // It did not give up: the next call is tried, too.
    client.error("list_nodes", json!({})).await?;
    ensure!(client.finish().await?.status == Some(0));
    Ok(())
}

#[tokio::test]
async fn a_closed_port_is_explained() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    drop(listener);
    let url = format!("https://127.0.0.1:{port}");
    let host = sim.host()?.env("PROXMOX_URL", &url);
    fails(host, &["PROXMOX_URL", "refused"]).await
}

#[tokio::test]
async fn an_unknown_host_name_is_explained() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let host = sim.host()?.env("PROXMOX_URL", "https://pve.invalid:8006");
    fails(host, &["PROXMOX_URL"]).await
}

#[tokio::test]
async fn an_untrusted_certificate_is_refused() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let host = sim.host()?.env_remove("PROXMOX_CA_FILE");
    fails(host, &["certificate", "PROXMOX_CA_FILE"]).await?;
    // Another one's authority does not help.
    let other = Sim::start().await?;
    let host = sim
        .host()?
        .env("PROXMOX_CA_FILE", other.ca_file.display().to_string());
    fails(host, &["certificate", "PROXMOX_CA_FILE"]).await?;
    // The token was not sent.
    assert_eq!(sim.served().await?, 0);
    Ok(())
}

/// A certificate that is its own authority can be named as such.
#[tokio::test]
async fn a_self_signed_certificate_can_be_trusted() -> anyhow::Result<()> {
    let sim = Sim::options().self_signed().start().await?;
    let client = sim.host()?.connect().await?;
    client.call("list_nodes", json!({})).await?;
    let output = client.finish().await?;
    assert_eq!(output.stderr, "");
    let host = sim.host()?.env_remove("PROXMOX_CA_FILE");
    fails(host, &["certificate", "PROXMOX_CA_FILE"]).await
}

#[tokio::test]
async fn proxmox_below_a_path_is_reached() -> anyhow::Result<()> {
    let sim = Sim::options().arg("--prefix=/dc1/pve").start().await?;
    for end in ["", "/", "/api2/json", "/api2/json/"] {
        let host = sim.host()?.env("PROXMOX_URL", format!("{}{end}", sim.url));
        let client = host.connect().await?;
        client.call("list_nodes", json!({})).await?;
    }
    // A missing one is told apart from Proxmox's answer.
    let wrong = format!("https://127.0.0.1:{}/elsewhere", sim.port()?);
    fails(sim.host()?.env("PROXMOX_URL", wrong), &["PROXMOX_URL"]).await
}

#[tokio::test]
async fn a_self_signed_certificate_can_be_accepted() -> anyhow::Result<()> {
    let sim = Sim::options().self_signed().start().await?;
    for value in ["false", "0", "FALSE", "no", "off"] {
        let client = sim
            .host()?
            .env_remove("PROXMOX_CA_FILE")
            .env("PROXMOX_VERIFY_SSL", value)
            .connect()
            .await?;
        client.call("list_nodes", json!({})).await?;
        client.call("list_nodes", json!({})).await?;
        let output = client.finish().await?;
        // Said once, however many calls there are.
        let warnings = output.stderr.matches("PROXMOX_VERIFY_SSL").count();
        assert_eq!(warnings, 1, "{output:?}");
    }
    Ok(())
}

/// Flags do what the variables do.
#[tokio::test]
async fn flags_set_the_certificate_checks() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let ca = sim.ca_file.display().to_string();
    for flag in ["--verify-ssl=false".to_owned(), format!("--ca-file={ca}")] {
        let host = sim.host()?.env_remove("PROXMOX_CA_FILE").arg(&flag);
        host.connect().await?.call("list_nodes", json!({})).await?;
    }
    let host = sim
        .host()?
        .env_remove("PROXMOX_CA_FILE")
        .env("PROXMOX_VERIFY_SSL", "false")
        .arg("--verify-ssl=true");
    fails(host, &["certificate"]).await
}

/// However much is logged: the harness looks for the secrets in all of it.
#[tokio::test]
async fn no_log_holds_a_secret() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let token = sim.token("all")?.clone();
    let host = || {
        let host = sim.host()?.arg("--log-level=trace");
        anyhow::Ok(host.secret(&format!("{}={}", token.id, token.secret)))
    };
    let good = host()?.connect().await?;
    let wrong = "11111111-2222-4333-8444-555555555556";
    let bad = host()?.env("PROXMOX_TOKEN_SECRET", wrong).connect().await?;
    let closed = host()?
        .env("PROXMOX_URL", "https://127.0.0.1:9")
        .connect()
        .await?;
    good.call("list_guests", json!({})).await?;
    good.call("get_guest", json!({ "vmid": 100 })).await?;
    bad.error("list_nodes", json!({})).await?;
    closed.error("list_nodes", json!({})).await?;
    for kind in ["garbage", "cut", "half-body"] {
        sim.fault(json!({ "kind": kind })).await?;
        good.request("list_nodes", json!({})).await??;
    }
    for client in [good, bad, closed] {
        client.finish().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_not_proxmox_is_explained() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.try_write(b"SSH-2.0-OpenSSH_9.2\r\n");
        }
    });
    let url = format!("https://127.0.0.1:{port}");
    fails(sim.host()?.env("PROXMOX_URL", &url), &["PROXMOX_URL"]).await
}

#[tokio::test]
async fn a_wrong_token_is_explained() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let wrong = "00000000-0000-0000-0000-000000000000";
    let host = sim.host()?.env("PROXMOX_TOKEN_SECRET", wrong);
    fails(host, &["PROXMOX_TOKEN_SECRET", "PROXMOX_TOKEN_ID"]).await?;
    let host = sim.host()?.env("PROXMOX_TOKEN_ID", "nosuch");
    fails(host, &["PROXMOX_TOKEN_SECRET", "PROXMOX_TOKEN_ID"]).await
}

/// A privilege-separated token begins without rights: Proxmox answers with
/// empty lists, which must not be taken for an empty cluster.
#[tokio::test]
async fn a_token_without_privileges_is_explained() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let id = sim.token("none")?.id.clone();
    let client = sim.host_with("none")?.connect().await?;
    for (tool, list) in [("list_guests", "guests"), ("list_storage", "storages")] {
        let answer = client.call(tool, json!({})).await?;
        assert_eq!(answer[list], json!([]), "{tool}: {answer}");
        let hint = answer["hint"].as_str().unwrap_or_default();
        assert!(
            hint.contains(&id),
            "{tool} does not say why it is empty: {answer}"
        );
    }
    let text = client.error("get_node", json!({ "node": "pve1" })).await?;
    assert!(text.contains("Sys.Audit"), "{text}");
    assert!(text.contains(&id), "{text}");
    Ok(())
}

#[tokio::test]
async fn an_unreadable_answer_is_explained() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for (fault, says) in [
        (json!({ "kind": "garbage" }), "cannot be read"),
        (
            json!({ "kind": "status", "code": 200, "body": "<html>login</html>" }),
            "PROXMOX_URL",
        ),
        (
            json!({ "kind": "status", "code": 200, "body": "" }),
            "without data",
        ),
        (
            json!({ "kind": "status", "code": 200, "body": "{\"data\":42}" }),
            "cannot be read",
        ),
        (
            json!({ "kind": "status", "code": 204, "body": "" }),
            "without data",
        ),
        (
            json!({ "kind": "status", "code": 502, "reason": "Bad Gateway", "body": "<html>", "times": 99 }),
            "502",
        ),
        (json!({ "kind": "status", "code": 503, "times": 99 }), "503"),
        (
            json!({ "kind": "status", "code": 500, "reason": "rbd error: listing images failed" }),
            "rbd error: listing images failed",
        ),
        (json!({ "kind": "status", "code": 404 }), "404"),
        (
            json!({ "kind": "status", "code": 595, "reason": "No route to host" }),
            "did not answer",
        ),
        (
            json!({ "kind": "redirect", "url": "https://sso.example.com/" }),
            "redirect",
        ),
    ] {
        sim.fault(fault.clone()).await?;
        let text = client.error("list_nodes", json!({})).await?;
        assert!(text.contains(says), "{fault}: {text}");
        assert!(!text.contains('<'), "the answer itself is shown: {text}");
        // The fault is over, and so is its effect.
        sim.clear_faults().await?;
        client.call("list_nodes", json!({})).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_broken_connection_is_explained() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for kind in ["cut", "cut-after", "half-body"] {
        // As often as a read may be tried again.
        sim.fault(json!({ "kind": kind, "times": 99, "path": "/nodes$" }))
            .await?;
        let text = client.error("list_nodes", json!({})).await?;
        assert!(text.contains("connection"), "{kind}: {text}");
        // Reads change nothing, so the message does not ask to look for a change.
        assert!(!text.contains("may have happened"), "{kind}: {text}");
        sim.clear_faults().await?;
        client.call("list_nodes", json!({})).await?;
    }
    Ok(())
}

#[tokio::test]
async fn slow_answers_are_waited_for() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    sim.fault(json!({ "kind": "latency", "ms": 300 })).await?;
    client.call("list_nodes", json!({})).await?;
    sim.fault(json!({ "kind": "drip", "ms": 5 })).await?;
    client.call("list_nodes", json!({})).await?;
    Ok(())
}

/// An answer beyond all measure is given up, not kept in memory.
#[tokio::test]
async fn an_answer_that_is_too_large_is_refused() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    sim.fault(json!({ "kind": "huge", "bytes": 64 * 1024 * 1024 }))
        .await?;
    let text = client.error("list_nodes", json!({})).await?;
    assert!(text.contains("large"), "{text}");
    client.call("list_nodes", json!({})).await?;
    Ok(())
}

/// Every request bears the rules of pveproxy: nothing else could have been
/// answered by the strict simulator, but its log shows the headers as well.
#[tokio::test]
async fn requests_have_the_headers_that_pveproxy_expects() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    client.call("list_nodes", json!({})).await?;
    client.call("list_guests", json!({})).await?;
    let requests = sim.requests()?;
    assert!(requests.len() >= 2);
    for request in requests {
        let text = request.to_string().to_ascii_lowercase();
        assert!(!text.contains("chunked"), "{request}");
    }
    Ok(())
}
