//! Which requests leave: those to the configured API, and none in disguise.

use harness::hostile::{ends_well, hostile, outcome, paths, start_sim, still_serves};
use harness::{Proxy, ProxyAnswer, Sim};
use serde_json::json;

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
async fn other_origins_are_refused() -> anyhow::Result<()> {
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
        // The configured one as a user name.
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

/// A proxy would connect to anything, if it were asked.
#[tokio::test]
async fn a_proxy_is_asked_for_nothing_but_the_origin() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let mut other = start_sim().await?;
    let proxy = Proxy::start(ProxyAnswer::Connect).await?;
    let host = hostile(&sim)?.env("PROXMOX_PROXY", format!("http://{}", proxy.address));
    let client = host.connect().await?;
    let (port, other_port) = (sim.port()?, other.port()?);
    for url in [
        format!("https://127.0.0.1:{other_port}/api2/json/version"),
        format!("https://localhost:{port}/api2/json/version"),
        format!("http://127.0.0.1:{port}/api2/json/version"),
        format!("http://{}/", proxy.address),
        format!("https://{}/api2/json/version", proxy.address),
    ] {
        let outcome = outcome(&client, "send_request", json!({ "url": url })).await?;
        assert_eq!(outcome, "refused", "{url}");
    }
    assert_eq!(proxy.heads(), [""; 0]);
    // What the origin is asked for goes through it, whatever its headers say.
    let origin = format!("{}/api2/json/version", sim.url);
    let forged = json!({ "url": origin, "headers": { "x-forwarded-host": ["example.com"] } });
    outcome(&client, "send_request", forged).await?;
    let target = format!("CONNECT 127.0.0.1:{port} ");
    let heads = proxy.heads();
    let is_origin = |head: &String| head.starts_with(&target);
    assert!(
        !heads.is_empty() && heads.iter().all(is_origin),
        "{heads:?}"
    );
    assert_eq!(other.served().await?, 0, "{:?}", paths(&other)?);
    ends_well(client).await
}

#[tokio::test]
async fn paths_outside_the_api_are_refused() -> anyhow::Result<()> {
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
async fn paths_outside_the_prefix_are_refused() -> anyhow::Result<()> {
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
async fn redirects_are_not_followed() -> anyhow::Result<()> {
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
async fn credentials_and_connection_headers_of_a_component_are_not_sent() -> anyhow::Result<()> {
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
async fn headers_cannot_be_smuggled() -> anyhow::Result<()> {
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
async fn a_false_content_length_smuggles_no_second_request() -> anyhow::Result<()> {
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

#[tokio::test]
async fn a_flood_of_requests_does_not_disturb_other_calls() -> anyhow::Result<()> {
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
