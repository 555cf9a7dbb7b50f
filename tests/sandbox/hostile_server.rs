//! A Proxmox VE that means harm, or somebody in its place: whatever it answers,
//! host-runner neither follows, crashes, swells nor gives the token away, and
//! keeps serving.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use harness::{Authority, Client, HostRunner, Memory, Piece, Rogue, hostile_component};
use serde_json::{Value, json};

const MEBIBYTE: usize = 1024 * 1024;

fn text(text: impl Into<String>) -> Piece {
    Piece::Bytes(text.into().into_bytes())
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A whole answer with these headers and this body.
fn answer(status: &str, headers: &str, body: &str) -> Vec<Piece> {
    let length = body.len();
    vec![text(format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    ))]
}

fn fine() -> Vec<Piece> {
    answer("200 OK", "", r#"{"data":{"version":"9.0"}}"#)
}

/// The attacker's own component shows what a component gets to see.
fn attacker(rogue: &Rogue) -> anyhow::Result<HostRunner> {
    Ok(rogue.host()?.component(&hostile_component()?))
}

/// What the component gets from a path. Its text may be cut, since it knows no ceiling.
async fn get(client: &Client, rogue: &Rogue, path: &str) -> anyhow::Result<Value> {
    let url = format!("{}/api2/json/{path}", rogue.url);
    let result = client
        .request("send_request", json!({ "url": url }))
        .await??;
    result.structured_content.context("no structured content")
}

/// A server whose answer to `version` is what the test says; it says fine to
/// all else.
struct Stage {
    rogue: Rogue,
    client: Client,
    next: Arc<Mutex<Vec<Piece>>>,
    memory: Memory,
}

impl Stage {
    async fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let next: Arc<Mutex<Vec<Piece>>> = Arc::default();
        let answers = Arc::clone(&next);
        let rogue = Rogue::start(move |request| match request.contains("/version ") {
            true => lock(&answers).clone(),
            false => fine(),
        })
        .await?;
        let host = attacker(&rogue)?.args(arguments.iter().copied());
        let client = host.connect().await?;
        Ok(Self {
            memory: Memory::idle(&client)?,
            client,
            rogue,
            next,
        })
    }

    /// What a call to `version` says that is answered so.
    async fn after(&self, pieces: Vec<Piece>) -> anyhow::Result<String> {
        *lock(&self.next) = pieces;
        let url = format!("{}/api2/json/version", self.rogue.url);
        let arguments = json!({ "url": url });
        let result = self.client.request("send_request", arguments).await??;
        self.memory.check()?;
        still_serves(&self.client, &self.rogue).await?;
        let report = serde_json::to_value(&result)?;
        Ok(match report.get("structuredContent") {
            Some(report) => report.to_string(),
            None => report.to_string(),
        })
    }
}

async fn still_serves(client: &Client, rogue: &Rogue) -> anyhow::Result<()> {
    let report = get(client, rogue, "nodes").await?;
    let body = json!(r#"{"data":{"version":"9.0"}}"#);
    ensure!(report.get("status") == Some(&json!(200)), "{report}");
    ensure!(report.get("body") == Some(&body), "{report}");
    Ok(())
}

/// Answers that are none, with the code that the component sees.
async fn fails_as(cases: Vec<(&str, Vec<Piece>, &str)>) -> anyhow::Result<()> {
    let stage = Stage::start(&[]).await?;
    for (name, pieces, code) in cases {
        let report = stage.after(pieces).await.context(name.to_owned())?;
        ensure!(
            report.contains(r#""outcome":"refused""#),
            "{name}: {report}"
        );
        ensure!(report.contains(code), "{name}: {report}");
    }
    stage.client.finish().await?;
    Ok(())
}

#[tokio::test]
async fn redirects_of_a_server_are_not_followed() -> anyhow::Result<()> {
    let other = Rogue::start(|_| fine()).await?;
    let elsewhere = format!("{}/api2/json/version", other.url);
    for location in [elsewhere.as_str(), "/api2/json/nodes", "//evil.example/"] {
        for status in [
            "301 Moved",
            "302 Found",
            "303 See Other",
            "307 Same",
            "308 Same",
        ] {
            let headers = format!("Location: {location}\r\n");
            let pieces = answer(status, &headers, "");
            let rogue = Rogue::start(move |request| match request {
                // The host's own question before a request goes to a node.
                nodes if nodes.starts_with("GET /api2/json/nodes ") => {
                    answer("200 OK", "", r#"{"data":[{"node":"pve1"}]}"#)
                }
                _ => pieces.clone(),
            })
            .await?;
            let client = attacker(&rogue)?.connect().await?;
            let report = get(&client, &rogue, "version").await?;
            assert_eq!(report["status"].to_string(), status[..3], "{report}");
            let start = json!({
                "method": "POST",
                "scheme": "https",
                "authority": format!("127.0.0.1:{}", rogue.port()),
                "path": "/api2/json/nodes/pve1/qemu/100/status/start",
            });
            let report = client.call("send_raw", start).await?;
            assert_eq!(report["status"].to_string(), status[..3], "{report}");
            assert_eq!(rogue.requests().len(), 3, "{:?}", rogue.requests());
        }
    }
    assert_eq!(other.connections(), 0);
    Ok(())
}

/// Nothing is unpacked, so nothing can swell.
#[tokio::test]
async fn compressed_answers_are_refused() -> anyhow::Result<()> {
    let codings = [
        "gzip",
        "GZIP",
        "br",
        "deflate",
        "zstd",
        "identity, gzip",
        "x",
    ];
    let cases = codings.map(|coding| {
        let headers = format!("Content-Encoding: {coding}\r\n");
        let pieces = answer("200 OK", &headers, "\u{1f}not even gzip");
        (coding, pieces, "ContentCoding")
    });
    fails_as(cases.into()).await
}

#[tokio::test]
async fn endless_bodies_are_refused() -> anyhow::Result<()> {
    let block = || vec![b'x'; 64 * 1024];
    let chunk = || [b"10000\r\n".as_slice(), &block(), b"\r\n"].concat();
    let head = |headers: &str| text(format!("HTTP/1.1 200 OK\r\n{headers}\r\n"));
    fails_as(vec![
        (
            "endless chunks",
            vec![
                head("Transfer-Encoding: chunked\r\n"),
                Piece::Forever(chunk()),
            ],
            "BodySize",
        ),
        (
            "no length at all",
            vec![head(""), Piece::Forever(block())],
            "BodySize",
        ),
        (
            "a length of a tebibyte",
            vec![head("Content-Length: 1099511627776\r\n")],
            "BodySize",
        ),
        (
            "more than it may be",
            vec![
                head("Content-Length: 16842752\r\n"),
                Piece::Times(block(), 257),
            ],
            "BodySize",
        ),
        (
            "a chunk that never ends",
            vec![
                head("Transfer-Encoding: chunked\r\n"),
                text("ffffffffffffff\r\n"),
                Piece::Forever(block()),
            ],
            "",
        ),
        (
            "endless chunk extensions",
            vec![
                head("Transfer-Encoding: chunked\r\n"),
                text("1;"),
                Piece::Forever(block()),
            ],
            "",
        ),
        (
            "a chunk for each byte",
            vec![
                head("Transfer-Encoding: chunked\r\n"),
                Piece::Times(b"1\r\nx\r\n".repeat(10_000), 100),
                Piece::Close,
            ],
            "Incomplete",
        ),
        (
            "endless trailers",
            vec![
                head("Transfer-Encoding: chunked\r\n"),
                text("0\r\n"),
                Piece::Forever(b"X-A: b\r\n".repeat(1000)),
            ],
            "",
        ),
    ])
    .await
}

#[tokio::test]
async fn endless_heads_are_refused() -> anyhow::Result<()> {
    let line = || b"X-Header: value\r\n".repeat(1000);
    let block = || vec![b'x'; 64 * 1024];
    fails_as(vec![
        (
            "endless headers",
            vec![text("HTTP/1.1 200 OK\r\n"), Piece::Forever(line())],
            "Protocol",
        ),
        (
            "thousands of headers",
            vec![
                text("HTTP/1.1 200 OK\r\n"),
                Piece::Times(line(), 5),
                text("Content-Length: 0\r\n\r\n"),
            ],
            "Protocol",
        ),
        (
            "a header of many megabytes",
            vec![
                text("HTTP/1.1 200 OK\r\nX-Header: "),
                Piece::Times(block(), 256),
                text("\r\nContent-Length: 0\r\n\r\n"),
            ],
            "Protocol",
        ),
        (
            "an endless reason",
            vec![text("HTTP/1.1 200 "), Piece::Forever(block())],
            "Protocol",
        ),
        ("an endless word", vec![Piece::Forever(block())], "Protocol"),
    ])
    .await
}

#[tokio::test]
async fn anything_but_http_1_is_refused() -> anyhow::Result<()> {
    let closing = |bytes: &str| vec![text(bytes), Piece::Close];
    fails_as(vec![
        ("http/0.9", closing("<html>hello</html>"), "Protocol"),
        (
            "http/2",
            closing("HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
            "Protocol",
        ),
        (
            "no status",
            closing("HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n"),
            "Protocol",
        ),
        (
            "a status of four digits",
            closing("HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"),
            "Protocol",
        ),
        (
            "another protocol",
            closing(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            ),
            "Protocol",
        ),
        (
            "a negative length",
            closing("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}"),
            "Protocol",
        ),
        (
            "two lengths",
            closing("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 30\r\n\r\n{}"),
            "Protocol",
        ),
        (
            "a length beyond all numbers",
            closing("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n{}"),
            "Protocol",
        ),
        (
            "a length that is too long",
            closing("HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n{}"),
            "Incomplete",
        ),
        (
            "a chunk without a size",
            closing("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
            "",
        ),
        (
            "a header without a colon",
            closing("HTTP/1.1 200 OK\r\nX\r\n\r\n"),
            "Protocol",
        ),
        ("nothing", vec![Piece::Close], "Terminated"),
    ])
    .await
}

/// A second answer behind the first is ignored.
#[tokio::test]
async fn a_second_answer_is_ignored() -> anyhow::Result<()> {
    let smuggled = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled";
    let stage = Stage::start(&[]).await?;
    for first in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 100\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}",
    ] {
        let pieces = vec![text(format!("{first}{smuggled}"))];
        let report = stage.after(pieces).await.context(first)?;
        assert!(!report.contains("smuggled"), "{first:?}: {report}");
    }
    Ok(())
}

#[tokio::test]
async fn hints_come_before_the_answer() -> anyhow::Result<()> {
    let hints = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n";
    let pieces = [vec![text(hints)], fine()].concat();
    let report = Stage::start(&[]).await?.after(pieces).await?;
    assert!(report.contains(r#""status":200"#), "{report}");
    Ok(())
}

/// Each keeps the connection busy, but not the call.
#[tokio::test]
async fn answers_that_never_come_are_given_up() -> anyhow::Result<()> {
    let pause = Duration::from_millis(20);
    let head = || text("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    let stage = Stage::start(&["--call-seconds=1"]).await?;
    for (name, pieces) in [
        ("silence", vec![Piece::Drip(Vec::new(), pause)]),
        ("a dripping head", vec![Piece::Drip(b"H".to_vec(), pause)]),
        (
            "a dripping body",
            vec![head(), Piece::Drip(b" ".to_vec(), pause)],
        ),
        (
            "a flood of hints",
            vec![Piece::Forever(b"HTTP/1.1 100 Continue\r\n\r\n".repeat(100))],
        ),
    ] {
        // What cannot be a head ends the call immediately.
        let report = stage.after(pieces).await.context(name)?;
        assert!(
            report.contains("longer than 1 s") || report.contains("Protocol"),
            "{name}: {report}"
        );
    }
    Ok(())
}

/// Under a scope host-runner itself reads the lists, so they are aimed at it.
#[tokio::test]
async fn json_bombs_do_not_fill_memory() -> anyhow::Result<()> {
    let fill = |start: &str, piece: &str, end: &str| {
        let times = (16 * MEBIBYTE - start.len() - end.len()) / piece.len();
        format!("{start}{}{end}", piece.repeat(times))
    };
    let bombs = [
        ("deep lists", fill(r#"{"data":"#, "[", "")),
        ("deep objects", fill("", r#"{"data":"#, "")),
        ("deep lines", fill(r#"{"data":[{"type":"#, "[", "")),
        ("many lines", fill(r#"{"data":[{}"#, r#",{"":0}"#, "]}")),
        ("a wide line", fill(r#"{"data":[[0"#, r#",{"":0}"#, "]]}")),
        (
            "a wide object",
            fill(r#"{"data":{"":[0"#, r#",{"":0}"#, "]}}"),
        ),
        (
            "many names",
            fill(r#"{"data":[],"":[0"#, r#",{"":0}"#, "]}"),
        ),
        (
            "many guests",
            fill(r#"{"data":[{}"#, r#",{"type":"lxc","vmid":200}"#, "]}"),
        ),
        ("one text", fill(r#"{"data":[""#, "x", r#""]}"#)),
        (
            "many tags",
            fill(
                r#"{"data":[{"type":"qemu","vmid":100,"tags":""#,
                "a;",
                r#""}]}"#,
            ),
        ),
    ];
    // Either the list that host-runner asks for itself, or the component's.
    for own in [true, false] {
        let next: Arc<Mutex<String>> = Arc::default();
        let bomb_now = Arc::clone(&next);
        let rogue = Rogue::start(move |request| {
            let is_own = request.contains("type=vm ");
            match request.contains("/cluster/resources") {
                true if is_own == own => answer("200 OK", "", &lock(&bomb_now)),
                true => answer("200 OK", "", r#"{"data":[]}"#),
                false => fine(),
            }
        })
        .await?;
        let client = attacker(&rogue)?.arg("--vmids=100").connect().await?;
        let memory = Memory::idle(&client)?;
        for (name, bomb) in &bombs {
            lock(&next).clone_from(bomb);
            let report = get(&client, &rogue, "cluster/resources?type=storage").await?;
            let body = report["body"].as_str().unwrap_or_default();
            assert!(!body.contains("200"), "{name}: out of scope: {body:.200}");
            memory.check().context(*name)?;
            let report = get(&client, &rogue, "version").await?;
            ensure!(report["status"] == 200, "{name}: {report}");
        }
        client.finish().await?;
    }
    Ok(())
}

/// Nor do they harm where the component reads them.
#[tokio::test]
async fn a_json_bomb_ends_one_call() -> anyhow::Result<()> {
    for bomb in ["[", r#"{"data":"#, r#"{"data":[0"#] {
        let bomb = bomb.repeat(MEBIBYTE);
        let rogue = Rogue::start(move |request| match request.contains("/version ") {
            true => answer(
                "200 OK",
                "",
                r#"{"data":{"version":"9.0","release":"9.0"}}"#,
            ),
            false => answer("200 OK", "", &bomb),
        })
        .await?;
        for scope in [&[][..], &["--vmids=100"]] {
            let client = rogue.host()?.args(scope.iter().copied()).connect().await?;
            let memory = Memory::idle(&client)?;
            for tool in ["list_guests", "list_nodes", "list_storage", "list_tasks"] {
                let error = client.error(tool, json!({})).await?;
                assert!(error.len() < 2000, "{tool}: {} bytes", error.len());
            }
            memory.check()?;
            client.finish().await?;
        }
    }
    Ok(())
}

/// Whoever answers has got the token; the model is not to get it from them. The
/// harness looks for it in all that host-runner writes as well.
#[tokio::test]
async fn a_reflected_token_is_masked() -> anyhow::Result<()> {
    let echo = |request: &str| -> Vec<Piece> {
        let line = request
            .lines()
            .find(|line| line.starts_with("authorization:"));
        let value = line.unwrap_or_default().replace("authorization: ", "");
        let (half, rest) = value.split_at(value.len() - 10);
        let path = request.split(' ').nth(1).unwrap_or_default();
        let body = format!(r#"{{"data":"{value}{value}","message":"{value}"}}"#);
        match path.rsplit('/').next().unwrap_or_default() {
            "version" => answer("200 OK", &format!("X-Echo: {value}\r\n"), &body),
            "nodes" => answer(&format!("500 no good {value}"), "", &body),
            "resources" => {
                let name = format!("X-{}: 1\r\n", Rogue::SECRET);
                answer("403 No", &name, "{}")
            }
            // In two pieces.
            "pools" => vec![
                text("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
                text(format!("{:x}\r\n{half}\r\n", half.len())),
                text(format!("a\r\n{rest}\r\n0\r\n\r\n")),
            ],
            _ => answer("302 Found", &format!("Location: https://x/{value}\r\n"), ""),
        }
    };
    let rogue = Rogue::start(echo).await?;
    let host = || anyhow::Ok(attacker(&rogue)?.arg("--log-level=trace"));
    let client = host()?.connect().await?;
    for path in [
        "version",
        "nodes",
        "cluster/resources",
        "pools",
        "cluster/status",
    ] {
        let report = get(&client, &rogue, path).await?.to_string();
        assert!(report.contains("answered"), "{path}: {report}");
        assert!(!report.contains(Rogue::SECRET), "{path}: {report}");
        assert!(
            report.contains("****") || path == "cluster/resources",
            "{path}: {report}"
        );
    }
    let output = client.finish().await?;
    assert!(
        output.stderr.contains("which was masked"),
        "{}",
        output.stderr
    );
    assert!(
        rogue
            .requests()
            .iter()
            .all(|request| request.contains(Rogue::SECRET))
    );

    let client = rogue.host()?.connect().await?;
    for tool in [
        "list_nodes",
        "list_guests",
        "list_storage",
        "get_cluster_status",
    ] {
        let error = client.error(tool, json!({})).await?;
        assert!(!error.contains(Rogue::SECRET), "{tool}: {error}");
    }
    client.finish().await?;
    Ok(())
}

/// A component cannot choose an address, and a name that leads elsewhere now
/// leads to somebody without the right certificate.
#[tokio::test]
async fn a_host_name_that_resolves_elsewhere_is_refused() -> anyhow::Result<()> {
    let authority = Authority::new()?;
    let first = authority.serve("localhost", 0, |_| fine()).await?;
    let (port, url) = (first.port(), first.url.clone());
    let client = attacker(&first)?.connect().await?;
    let ask = json!({ "url": format!("{url}/api2/json/version") });
    let report = client.call("send_request", ask.clone()).await?;
    assert_eq!(report["status"], 200, "{report}");
    // The address instead of the name.
    for address in ["127.0.0.1", "[::1]", "2130706433", "localhost.", "0.0.0.0"] {
        let url = format!("https://{address}:{port}/api2/json/version");
        let report = client.call("send_request", json!({ "url": url })).await?;
        assert_eq!(report["outcome"], "refused", "{address}: {report}");
    }
    assert_eq!(first.requests().len(), 1);
    first.stop().await;

    // Another machine with a certificate of its own, then one that the same
    // authority has signed for another name.
    for (authority, name) in [
        (Authority::new()?, "localhost"),
        (authority.clone(), "other.example"),
    ] {
        let second = authority.serve(name, port, |_| fine()).await?;
        let report = client.call("send_request", ask.clone()).await?;
        assert_eq!(report["outcome"], "refused", "{report}");
        let error = report["error"].as_str().unwrap_or_default();
        assert!(error.contains("TlsCertificateError"), "{report}");
        assert!(second.connections() > 0);
        // Not a byte of a request, so no token.
        assert_eq!(second.requests(), Vec::<String>::new());
        second.stop().await;
    }

    // Home again.
    let third = authority.serve("localhost", port, |_| fine()).await?;
    let report = client.call("send_request", ask).await?;
    assert_eq!(report["status"], 200, "{report}");
    assert_eq!(third.requests().len(), 1);
    Ok(())
}

/// What a component asks for and does not take is not kept for it.
#[tokio::test]
async fn large_answers_do_not_fill_memory() -> anyhow::Result<()> {
    let body = "x".repeat(12 * MEBIBYTE);
    let rogue = Rogue::start(move |request| match request.contains("/version ") {
        true => answer("200 OK", "", &body),
        false => fine(),
    })
    .await?;
    let client = attacker(&rogue)?.arg("--call-seconds=4").connect().await?;
    let memory = Memory::idle(&client)?;
    let url = format!("{}/api2/json/version", rogue.url);
    let hoard = json!({ "url": url, "count": 200 });
    let error = client.error("hoard_answers", hoard).await?;
    assert!(error.contains("longer than 4 s"), "{error}");
    memory.check()?;
    still_serves(&client, &rogue).await?;
    Ok(())
}
