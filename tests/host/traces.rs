//! Traces: what a collector gets of calls, and what a client's trace does.

use std::time::Duration;

use harness::{Authority, Collector, Era, Seen, Sim, assert_says};
use serde_json::json;
use tempfile::TempDir;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
/// The value of a header that lets spans into a collector.
const KEY: &str = "a-key-of-the-collector-0123456789ab";

fn traceparent() -> String {
    format!("00-{TRACE}-{PARENT}-01")
}

fn named<'a>(spans: &'a [Seen], start: &str) -> anyhow::Result<&'a Seen> {
    let found = spans.iter().find(|span| span.name.starts_with(start));
    found.ok_or_else(|| anyhow::anyhow!("no span {start}: {spans:?}"))
}

/// Its requests are below a call, and the call is below the client's span.
#[tokio::test]
async fn a_call_and_its_requests_are_in_the_clients_trace() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let authority = Authority::new()?;
    let mut collector = Collector::start(Some(&authority)).await?;
    let directory = TempDir::new()?;
    let log = directory.path().join("audit.jsonl");
    let web = sim
        .host()?
        .secret(KEY)
        .env("PROXMOX_MCP_TRACES", &collector.url)
        .env(
            "PROXMOX_MCP_TRACES_CA_FILE",
            authority.ca_file().display().to_string(),
        )
        .env("OTEL_EXPORTER_OTLP_HEADERS", format!("x-key={KEY}"))
        .env("OTEL_BSP_SCHEDULE_DELAY", "50")
        .args(["--audit", &log.display().to_string()])
        .web()
        .await?;
    let mut client = web.client(Era::Stateless, None);
    client.begin().await?;
    let meta = json!({ "traceparent": traceparent() });
    let params = json!({ "name": "get_guest", "arguments": { "vmid": 100 }, "_meta": meta });
    client.result("tools/call", params).await?;
    let (heads, spans) = collector.until("tools/call").await?;
    let call = named(&spans, "tools/call get_guest")?;
    assert_eq!(
        (call.trace_id.as_str(), call.parent.as_str()),
        (TRACE, PARENT)
    );
    assert!(!call.is_error && call.duration_ns > 0, "{call:?}");
    for attribute in [
        "mcp.method.name=tools/call",
        "gen_ai.tool.name=get_guest",
        "proxmox.outcome=ok",
    ] {
        assert!(
            call.attributes.iter().any(|one| one == attribute),
            "{call:?}"
        );
    }
    let request = named(&spans, "GET /")?;
    assert_eq!(
        (request.trace_id.as_str(), &request.parent),
        (TRACE, &call.span_id)
    );
    assert_says(
        &request.attributes.join(" "),
        &[
            "http.response.status_code=200",
            "url.template=/",
            "proxmox.rule=",
        ],
    );
    // The path of a guest would name it.
    assert!(
        spans.iter().all(|span| !span.name.contains("/100")),
        "{spans:?}"
    );
    assert!(
        heads
            .iter()
            .all(|head| head.starts_with("POST /v1/traces ")),
        "{heads:?}"
    );
    assert_says(&heads.concat(), &[&format!("x-key: {KEY}")]);
    assert_says(
        &std::fs::read_to_string(&log)?,
        &[&format!("\"trace_id\":\"{TRACE}\"")],
    );
    Ok(())
}

/// In headers, for those who do not speak MCP, and over stdio in `_meta`.
#[tokio::test]
async fn a_trace_is_taken_from_headers_and_over_stdio() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let mut collector = Collector::start(None).await?;
    let host = || -> anyhow::Result<_> {
        let host = sim.host()?.env("PROXMOX_MCP_TRACES", "environment");
        Ok(host.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url))
    };
    let (over_http, over_stdio) = (host()?, host()?);
    let web = over_http.web().await?;
    let body = "{}";
    let request = format!(
        "POST /tools/list_nodes HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
         Content-Type: application/json\r\ntraceparent: {}\r\nContent-Length: {}\r\n\r\n{body}",
        web.address,
        traceparent(),
        body.len()
    );
    assert_eq!(web.send(&request).await?.status, 200);
    // What waits is sent when the server ends.
    web.terminate()?;
    web.ended().await?;
    let (_, spans) = collector.until("tools/call").await?;
    let call = named(&spans, "tools/call list_nodes")?;
    assert_eq!(call.parent, PARENT);

    let client = over_stdio.connect().await?;
    client
        .error("get_guest", json!({ "vmid": 999_999 }))
        .await?;
    client.finish().await?;
    let (_, spans) = collector.until("tools/call").await?;
    let call = named(&spans, "tools/call get_guest")?;
    assert!(call.is_error && call.parent.is_empty(), "{call:?}");
    assert_ne!(call.trace_id, TRACE);
    assert_says(
        &call.attributes.join(" "),
        &["error.type=", "network.transport=pipe"],
    );
    Ok(())
}

/// A collector that does not answer, or is not there, is no reason for a call to wait.
#[tokio::test]
async fn calls_do_not_wait_for_a_collector() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let gone = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        listener.local_addr()?
    };
    for address in [silent.local_addr()?, gone] {
        let host = sim.host()?;
        let host = host.env("PROXMOX_MCP_TRACES", format!("http://{address}"));
        let client = host.env("OTEL_BSP_SCHEDULE_DELAY", "10").connect().await?;
        for _ in 0..20 {
            client.call("list_nodes", json!({})).await?;
        }
        let output = tokio::time::timeout(Duration::from_secs(30), client.finish()).await??;
        assert_eq!(output.status, Some(0), "{output:?}");
        assert_says(&output.stderr, &["the collector of traces"]);
    }
    Ok(())
}

/// Without a collector, the trace of the client is in the logs all the same.
#[tokio::test]
async fn the_clients_trace_is_in_the_log() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let web = sim.host()?.arg("--log-level=info").web().await?;
    let mut client = web.client(Era::Legacy, None);
    client.begin().await?;
    for (parent, is_there) in [(traceparent(), true), ("00-nonsense".to_owned(), false)] {
        let meta = json!({ "traceparent": parent });
        let params = json!({ "name": "list_nodes", "arguments": {}, "_meta": meta });
        client.result("tools/call", params).await?;
        let lines = web.stderr()?;
        let last = lines.lines().rfind(|line| line.contains("list_nodes"));
        let last = last.unwrap_or_default();
        assert_eq!(last.contains(TRACE), is_there, "{lines}");
    }
    Ok(())
}

#[tokio::test]
async fn an_address_that_cannot_be_a_collector_is_explained() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    for (value, says) in [
        ("localhost:4317", "http:// or https://"),
        ("environment", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        (
            "https://user:hush@otel.example.com",
            "OTEL_EXPORTER_OTLP_HEADERS",
        ),
    ] {
        let host = sim.host()?.env("PROXMOX_MCP_TRACES", value);
        let output = host.run(&["serve", "--http", "127.0.0.1:0"]).await?;
        assert_eq!(output.status, Some(2), "{output:?}");
        assert_says(&output.stderr, &["PROXMOX_MCP_TRACES", says]);
        assert!(!output.stderr.contains("hush"), "{output:?}");
    }
    Ok(())
}
