//! A Proxmox VE with several addresses: which of them a request goes to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use harness::{Authority, HostRunner, Output, Piece, Rogue, Sim, assert_says};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A port that accepts connections and says nothing, not even in TLS.
struct Hanging {
    url: String,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Hanging {
    async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("https://127.0.0.1:{}", listener.local_addr()?.port());
        let connections = Arc::<AtomicUsize>::default();
        let seen = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                seen.fetch_add(1, Ordering::Relaxed);
                held.push(stream);
            }
        });
        Ok(Self {
            url,
            connections,
            task,
        })
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The address of a port where nothing listens.
fn closed() -> anyhow::Result<String> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(format!(
        "https://127.0.0.1:{}",
        listener.local_addr()?.port()
    ))
}

/// A host-runner with these addresses.
fn host(sim: &Sim, urls: &[&str]) -> anyhow::Result<HostRunner> {
    Ok(sim.admin()?.env("PROXMOX_URL", urls.join(",")))
}

/// Two of three addresses are down: calls go to the third, and only the first of them
/// waits for the one that hangs.
#[tokio::test]
async fn calls_go_to_the_address_that_answers() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let (hanging, closed) = (Hanging::start().await?, closed()?);
    let url = sim.url.clone();
    let client = host(&sim, &[&hanging.url, &closed, &url])?
        .connect()
        .await?;
    client.call("list_nodes", json!({})).await?;
    let connections = hanging.connections();
    ensure!(connections >= 1, "the first one was not tried");
    let began = Instant::now();
    for _ in 0..5 {
        client.call("list_nodes", json!({})).await?;
    }
    ensure!(began.elapsed() < Duration::from_secs(2), "calls wait");
    // A change that was not sent goes on to the next address.
    sim.set_guest(100, json!({ "running": false })).await?;
    client.call("start_guest", json!({ "vmid": 100 })).await?;
    assert_eq!(sim.sent("POST")?.len(), 1);
    assert_eq!(hanging.connections(), connections);
    let output = client.finish().await?;
    assert_says(
        &output.stderr,
        &["requests go to", &url, &closed, "refused"],
    );
    Ok(())
}

/// The first request of the process is a change.
#[tokio::test]
async fn a_change_that_was_not_sent_goes_to_the_next_address() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    sim.set_guest(100, json!({ "running": false })).await?;
    let (hanging, closed) = (Hanging::start().await?, closed()?);
    let host = host(&sim, &[&closed, &hanging.url, &sim.url])?;
    let change = ["call", "start_guest", r#"{"vmid":100}"#];
    let output = host.run(&change).await?;
    ensure!(output.status == Some(0), "{output:?}");
    let changes = sim.requests()?;
    let changes = changes.iter().filter(|one| one["method"] != "GET");
    assert_eq!(changes.count(), 1);
    Ok(())
}

/// The errors of a change that may have been made name the address, and nothing is sent
/// twice.
#[tokio::test]
async fn a_change_that_may_have_arrived_is_not_repeated() -> anyhow::Result<()> {
    let authority = Authority::new()?;
    let breaks_off = |request: &str| match request.starts_with("GET") {
        true => body(request),
        false => vec![Piece::Close],
    };
    let first = authority.serve("127.0.0.1", 0, breaks_off).await?;
    let second = authority.serve("127.0.0.1", 0, body).await?;
    let urls = format!("{},{}", first.url, second.url);
    let host = first.host()?.env("PROXMOX_URL", &urls);
    let client = host.arg("--preset=admin").connect().await?;
    let error = client.error("start_guest", json!({ "vmid": 100 })).await?;
    assert_says(&error, &["may have happened all the same", &first.url]);
    let changes = |rogue: &Rogue| {
        let requests = rogue.requests();
        let changes = requests.iter().filter(|one| !one.starts_with("GET"));
        changes.count()
    };
    assert_eq!((changes(&first), changes(&second)), (1, 0), "{error}");
    Ok(())
}

/// A read whose answer breaks off is repeated elsewhere.
#[tokio::test]
async fn a_read_that_breaks_off_is_repeated_elsewhere() -> anyhow::Result<()> {
    let authority = Authority::new()?;
    let first = authority
        .serve("127.0.0.1", 0, |_| vec![Piece::Close])
        .await?;
    let half = |_: &str| {
        let half = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{";
        vec![Piece::Bytes(half.into()), Piece::Close]
    };
    let second = authority.serve("127.0.0.1", 0, half).await?;
    let third = authority.serve("127.0.0.1", 0, body).await?;
    let urls = [&first.url, &second.url, &third.url]
        .map(String::as_str)
        .join(" ");
    let client = first.host()?.env("PROXMOX_URL", urls).connect().await?;
    client.call("list_nodes", json!({})).await?;
    ensure!(!first.requests().is_empty() && !second.requests().is_empty());
    let hosts: Vec<_> = third.requests();
    let port = third.port().to_string();
    ensure!(hosts.iter().all(|one| one.contains(&port)), "{hosts:?}");
    Ok(())
}

/// What the real API answers to the reads of these tests, shortened.
fn body(request: &str) -> Vec<Piece> {
    let path = request.split(' ').nth(1).unwrap_or_default();
    let data = match path.split('?').next().unwrap_or_default() {
        "/api2/json/nodes" => json!([{ "node": "pve1", "status": "online", "type": "node" }]),
        "/api2/json/cluster/resources" => json!([{
            "type": "qemu", "id": "qemu/100", "vmid": 100, "node": "pve1", "status": "stopped",
            "name": "web", "template": 0
        }]),
        _ => json!({}),
    };
    let body = json!({ "data": data }).to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=UTF-8\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    vec![Piece::Bytes(format!("{head}{body}").into_bytes())]
}

/// The address that is used ends, and the first one is back.
#[tokio::test]
async fn an_address_that_is_back_is_used_again() -> anyhow::Result<()> {
    let authority = Authority::new()?;
    let first = authority.serve("127.0.0.1", 0, body).await?;
    let port = first.port();
    let second = authority.serve("127.0.0.1", 0, body).await?;
    let host = first.host()?;
    let url = first.url.clone();
    let urls = format!("{url},{}", second.url);
    first.stop().await;
    let client = host.env("PROXMOX_URL", urls).connect().await?;
    client.call("list_nodes", json!({})).await?;
    ensure!(!second.requests().is_empty());
    let first = authority.serve("127.0.0.1", port, body).await?;
    second.stop().await;
    client.call("list_nodes", json!({})).await?;
    ensure!(!first.requests().is_empty());
    let output = client.finish().await?;
    assert_says(&output.stderr, &[&format!("requests go to {url}")]);
    Ok(())
}

/// Without any address that answers, the error names all of them with their reasons.
#[tokio::test]
async fn the_error_names_each_address() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let (hanging, closed) = (Hanging::start().await?, closed()?);
    let untrusted = Sim::start().await?;
    let urls = [&hanging.url, &closed, &untrusted.url].map(String::as_str);
    let client = host(&sim, &urls)?.connect().await?;
    let error = client.error("list_nodes", json!({})).await?;
    for url in urls {
        assert_says(&error, &[url]);
    }
    assert_says(
        &error,
        &["refused", "no connection within 2 s", "PROXMOX_FINGERPRINT"],
    );
    assert_eq!(sim.served().await?, 0);
    Ok(())
}

async fn pinned(sim: &Sim, urls: &str, pins: &str) -> anyhow::Result<Output> {
    let host = sim.host()?.env_remove("PROXMOX_CA_FILE");
    let host = host
        .env("PROXMOX_URL", urls)
        .env("PROXMOX_FINGERPRINT", pins);
    host.run(&["call", "list_nodes", "{}"]).await
}

/// The fingerprint of one address does not count for another.
#[tokio::test]
async fn each_address_has_its_own_certificate() -> anyhow::Result<()> {
    let (mut one, mut other) = (Sim::start().await?, Sim::start().await?);
    let name = |sim: &Sim| sim.url.strip_prefix("https://").map(str::to_owned);
    let (first, second) = (name(&one).context("https")?, name(&other).context("https")?);
    let urls = format!("{},{}", one.url, other.url);
    let swapped = format!("{first}={},{second}={}", other.fingerprint, one.fingerprint);
    let output = pinned(&one, &urls, &swapped).await?;
    assert_eq!(output.status, Some(1), "{output:?}");
    assert_says(
        &output.stderr,
        &[&one.url, &other.url, "PROXMOX_FINGERPRINT"],
    );
    assert_eq!((one.served().await?, other.served().await?), (0, 0));
    let right = format!("{first}={},{second}={}", one.fingerprint, other.fingerprint);
    pinned(&one, &urls, &right).await?.assert_succeeds();
    let wrong = pinned(&one, &urls, &format!("elsewhere={}", one.fingerprint)).await?;
    assert_eq!(wrong.status, Some(2), "{wrong:?}");
    assert_says(&wrong.stderr, &["PROXMOX_FINGERPRINT", "PROXMOX_URL"]);
    Ok(())
}
