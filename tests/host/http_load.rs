//! What slow clients, many of them and web pages can do over HTTP.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use harness::{Era, HostRunner, Memory, PATIENCE, Sim, Web, assert_says};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const TOKEN: &str = "alices-token-0123456789abcdef012345";
/// Other addresses of this machine.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const HOST: &str = "POST /mcp HTTP/1.1\r\nHost: localhost\r\n";

fn guarded(host: HostRunner) -> HostRunner {
    host.env("PROXMOX_MCP_HTTP_TOKENS", format!("alice:{TOKEN}"))
        .secret(TOKEN)
}

/// The rest of a connection, and the seconds until its end.
async fn rest(connection: &mut TcpStream) -> anyhow::Result<(String, u64)> {
    let began = Instant::now();
    let mut rest = Vec::new();
    // It may be closed before all that was sent is read.
    let _ = tokio::time::timeout(PATIENCE, connection.read_to_end(&mut rest)).await?;
    let rest = String::from_utf8_lossy(&rest).into_owned();
    Ok((rest, began.elapsed().as_secs()))
}

async fn slow_head(web: &Web) -> anyhow::Result<()> {
    let mut connection = web.connection().await?;
    connection
        .write_all(b"POST /mcp HTTP/1.1\r\nHost: loc")
        .await?;
    let (said, seconds) = rest(&mut connection).await?;
    ensure!((15..60).contains(&seconds), "{seconds} s: {said}");
    Ok(())
}

/// What counts is the whole time, not the time between two bytes.
async fn dripping_head(web: &Web) -> anyhow::Result<()> {
    let (mut reader, mut writer) = web.connection().await?.into_split();
    let drip = async {
        let mut sent = writer.write_all(HOST.as_bytes()).await;
        while sent.is_ok() {
            tokio::time::sleep(Duration::from_millis(500)).await;
            sent = writer.write_all(b"X: y\r\n").await;
        }
    };
    let mut rest = Vec::new();
    let read = tokio::time::timeout(PATIENCE, reader.read_to_end(&mut rest));
    // Either the end arrives, or nothing more can be sent.
    tokio::select! {
        read = read => drop(read?),
        () = drip => {}
    }
    Ok(())
}

async fn slow_body(web: &Web) -> anyhow::Result<()> {
    let mut connection = web.connection().await?;
    let head = "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{";
    connection
        .write_all(format!("{HOST}{head}").as_bytes())
        .await?;
    let mut answer = vec![0; 4096];
    let began = Instant::now();
    let read = tokio::time::timeout(PATIENCE, connection.read(&mut answer)).await??;
    let seconds = began.elapsed().as_secs();
    let said = String::from_utf8_lossy(answer.get(..read).unwrap_or_default()).into_owned();
    ensure!((25..60).contains(&seconds), "{seconds} s: {said}");
    assert_says(&said, &["HTTP/1.1 408", "slow_body"]);
    Ok(())
}

async fn idle_connection(web: &Web) -> anyhow::Result<()> {
    let mut connection = web.connection().await?;
    let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    connection.write_all(request.as_bytes()).await?;
    let (said, seconds) = rest(&mut connection).await?;
    assert_says(&said, &["HTTP/1.1 200"]);
    ensure!((15..60).contains(&seconds), "{seconds} s: {said}");
    Ok(())
}

/// Many requests, and nothing of the responses is read until the server has given up.
async fn unread_responses(web: &Web) -> anyhow::Result<()> {
    const REQUESTS: usize = 150;
    let mut connection = web.connection_from(Ipv4Addr::LOCALHOST).await?;
    let request = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n";
    connection
        .write_all(request.repeat(REQUESTS).as_bytes())
        .await?;
    tokio::time::sleep(Duration::from_secs(36)).await;
    let (said, _) = rest(&mut connection).await?;
    let answers = said.matches("HTTP/1.1 200").count();
    ensure!((1..REQUESTS).contains(&answers), "{answers} answers");
    Ok(())
}

/// Clients that do not go on, or do not read, are not waited for.
#[tokio::test]
async fn slow_clients_are_given_up() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let web = sim.host()?.web().await?;
    tokio::try_join!(
        slow_head(&web),
        dripping_head(&web),
        slow_body(&web),
        idle_connection(&web),
        unread_responses(&web),
    )?;
    web.client(Era::Legacy, None).begin().await?;
    Ok(())
}

/// However many connections they open.
#[tokio::test]
async fn strangers_leave_connections_to_others() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let web = guarded(sim.host()?)
        .env("PROXMOX_MCP_HTTP_CONNECTIONS", "40")
        .web()
        .await?;
    let mut open = Vec::new();
    for _ in 0..100 {
        open.push(web.connection_from(STRANGER).await?);
    }
    let mut alice = web.client(Era::Legacy, Some(TOKEN));
    alice.begin().await?;
    alice.call("list_nodes", json!({})).await?;
    // Those beyond the share were told so.
    let mut last = web.connection_from(STRANGER).await?;
    let (said, _) = rest(&mut last).await?;
    if !said.is_empty() {
        assert_says(&said, &["503", "too_many_connections"]);
    }
    Ok(())
}

/// By a name of its own that leads here, or from another site's page: nothing of that
/// reaches the tools, without a token, too.
#[tokio::test]
async fn web_pages_reach_nothing() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let web = sim.host()?.web().await?;
    let (_, port) = web.address.split_once(':').unwrap_or_default();
    let call = json!({ "vmid": 103 }).to_string();
    let message = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": "stop_guest", "arguments": { "vmid": 103 } },
    })
    .to_string();
    let rebound = [
        format!("Host: evil.example:{port}\r\n"),
        format!("Host: 127.0.0.1.evil.example:{port}\r\n"),
        format!("Host: evil.example\r\nX-Forwarded-Host: localhost:{port}\r\n"),
        format!("Host: localhost@evil.example:{port}\r\n"),
        format!("Host: evil.example:{port}\r\nOrigin: http://evil.example:{port}\r\n"),
    ];
    let foreign = [
        "Host: localhost\r\nOrigin: https://evil.example\r\n".to_owned(),
        "Host: localhost\r\nOrigin: null\r\n".to_owned(),
        "Host: localhost\r\nOrigin: http://localhost.evil.example\r\n".to_owned(),
        "Host: localhost\r\nSec-Fetch-Site: cross-site\r\n".to_owned(),
        "Host: localhost\r\nOrigin: http://localhost\r\nOrigin: https://evil.example\r\n"
            .to_owned(),
    ];
    for headers in rebound.iter().chain(&foreign) {
        for (method, path, body) in [
            ("POST", "/mcp", message.as_str()),
            ("GET", "/mcp", ""),
            ("POST", "/tools/stop_guest", call.as_str()),
            ("GET", "/openapi.json", ""),
            ("GET", "/metrics", ""),
        ] {
            let request = format!(
                "{method} {path} HTTP/1.1\r\n{headers}Connection: close\r\nContent-Type: \
                 application/json\r\nAccept: application/json, text/event-stream\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let answer = web.send(&request).await?;
            let is_refused = matches!(answer.status, 400 | 403);
            assert!(is_refused, "{request}: {answer:?}");
            let shared = answer.header("access-control-allow-origin");
            assert_eq!(shared, None, "{request}");
        }
    }
    assert_eq!(sim.writes()?.len(), 0);
    Ok(())
}

/// One of those who break off, send too much or have no right to: `kind` chooses.
async fn misbehave(web: &Web, kind: usize) -> anyhow::Result<()> {
    let good = format!("Authorization: Bearer {TOKEN}\r\n");
    let mut connection = web.connection().await?;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_guests"}}"#;
    let more = "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n";
    let head = |authorization: &str, length: usize| {
        format!("{HOST}{authorization}{more}Connection: close\r\nContent-Length: {length}\r\n\r\n")
    };
    let (request, status) = match kind % 6 {
        0 => (head(&good, call.len()) + call, None),
        1 => (head(&good, 100 + call.len()) + call, None),
        2 => (format!("{HOST}{good}X: "), None),
        3 => (
            head(&good, 2 << 20) + &" ".repeat((1 << 20) + 1),
            Some("413"),
        ),
        4 => (head("Authorization: Bearer wrong\r\n", 0), Some("4")),
        _ => (
            head(&format!("{good}Origin: https://evil.example\r\n"), 0),
            Some("403"),
        ),
    };
    connection.write_all(request.as_bytes()).await?;
    match status {
        None => tokio::time::sleep(Duration::from_millis(20)).await,
        Some(status) => {
            let (said, _) = rest(&mut connection).await?;
            let start = format!("HTTP/1.1 {status}");
            ensure!(said.starts_with(&start), "{kind}: {said}");
        }
    }
    Ok(())
}

/// Two minutes of that with 500 clients and faults of the cluster, is `cargo xtask soak --http`.
#[tokio::test]
async fn those_who_misbehave_keep_nobody_from_being_answered() -> anyhow::Result<()> {
    const CLIENTS: usize = 60;
    const TURNS: usize = 6;
    let sim = Sim::start().await?;
    let web = guarded(sim.host()?)
        .env("PROXMOX_MCP_HTTP_REQUESTS", "100000")
        .env("PROXMOX_MCP_HTTP_CONNECTIONS", "1000")
        .env("PROXMOX_MCP_HTTP_CONCURRENCY", "1000")
        .web()
        .await?;
    let client = web.client(Era::Stateless, Some(TOKEN));
    client.call("list_guests", json!({})).await?;
    let memory = Memory::idle_web(&web)?;
    let (web, client) = (Arc::new(web), Arc::new(client));
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let (web, client) = (Arc::clone(&web), Arc::clone(&client));
        clients.spawn(async move {
            for turn in 0..TURNS {
                match number % 3 {
                    0 => misbehave(&web, number / 3 + turn).await?,
                    1 => drop(client.call("list_guests", json!({})).await?),
                    _ => drop(client.call("get_guest", json!({ "vmid": 100 })).await?),
                }
            }
            anyhow::Ok(())
        });
    }
    for done in clients.join_all().await {
        done?;
    }
    memory.check()?;
    Ok(())
}
