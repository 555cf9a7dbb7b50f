//! Who may send requests over HTTP, from where, and how many.

use std::time::{Duration, Instant};

use harness::{Era, HostRunner, PATIENCE, Sim, Web, assert_says};
use rcgen::generate_simple_self_signed;
use serde_json::{Value, json};

const ALICE: &str = "alices-token-0123456789abcdef012345";
const BOB: &str = "bobs-token-0123456789abcdef01234567";
const ERAS: [Era; 2] = [Era::Legacy, Era::Stateless];

fn guarded(host: HostRunner) -> anyhow::Result<HostRunner> {
    let tokens = format!("# clients\nalice:{ALICE}\nbob:{BOB}\n");
    Ok(host
        .private_file("tokens", &tokens)?
        .env("PROXMOX_MCP_HTTP_TOKENS_FILE", "tokens")
        .secret(ALICE)
        .secret(BOB))
}

async fn refused(host: HostRunner, args: &[&str], says: &[&str]) -> anyhow::Result<()> {
    let output = host.run(args).await?;
    output.assert_refused_in_one_line(says);
    Ok(())
}

#[tokio::test]
async fn only_a_loopback_address_is_open_to_everybody() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    for address in ["0.0.0.0:0", "[::]:0"] {
        let says = ["not a loopback address", "--http-tokens-file", "--http"];
        refused(sim.host()?, &["serve", "--http", address], &says).await?;
        let host = sim.host()?.env("PROXMOX_MCP_HTTP", address);
        refused(host, &["serve"], &says).await?;
        let host = sim.host()?.env("PROXMOX_MCP_HTTP", address);
        let host = host.env("PROXMOX_MCP_HTTP_TOKENS", " ");
        refused(host, &["serve"], &says).await?;
    }
    let web = guarded(sim.host()?)?
        .env("PROXMOX_MCP_HTTP", "0.0.0.0:0")
        .arg("serve")
        .web_as_is()
        .await?;
    assert_says(&web.stderr()?, &["plain HTTP", "--tls-cert"]);
    let web = sim.host()?.web().await?;
    assert_says(&web.stderr()?, &["no authentication"]);
    Ok(())
}

#[tokio::test]
async fn settings_that_cannot_be_used_end_the_program() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let serve = ["serve", "--http=127.0.0.1:0"];
    for (name, value, says) in [
        ("PROXMOX_MCP_HTTP_TOKENS", "short:abc", "32 characters"),
        ("PROXMOX_MCP_HTTP_TOKENS", ALICE, "NAME:TOKEN"),
        ("PROXMOX_MCP_HTTP_TOKENS_FILE", "absent", "cannot be read"),
        ("PROXMOX_MCP_HTTP_HOSTS", "a/b", "host names"),
        ("PROXMOX_MCP_HTTP_ORIGINS", "app.example", "scheme://host"),
        ("PROXMOX_MCP_HTTP_REQUESTS", "0", "1 to"),
        ("PROXMOX_MCP_HTTP_CONNECTIONS", "many", "1 to"),
        ("PROXMOX_MCP_TLS_CERT", "tls.crt", "PROXMOX_MCP_TLS_KEY"),
    ] {
        let host = sim.host()?.secret(ALICE).env(name, value);
        refused(host, &serve, &[says]).await?;
    }
    let host = sim.host()?.file("tokens", &format!("alice:{ALICE}"))?;
    let host = host.env("PROXMOX_MCP_HTTP_TOKENS_FILE", "tokens");
    refused(host, &serve, &["chmod 600"]).await?;
    let both = guarded(sim.host()?)?.env("PROXMOX_MCP_HTTP_TOKENS", format!("c:{ALICE}"));
    refused(both, &serve, &["keep one"]).await?;
    // The settings of Proxmox, too: nobody waits for a greeting.
    refused(HostRunner::new()?, &serve, &["PROXMOX_URL"]).await?;
    refused(
        sim.host()?,
        &["serve", "--http=8080"],
        &["address with a port"],
    )
    .await
}

#[tokio::test]
async fn without_a_right_token_nothing_is_answered() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let web = guarded(sim.host()?)?.web().await?;
    let wrong = format!("{ALICE}x");
    for era in ERAS {
        for (token, challenge) in [(None, "Bearer"), (Some(wrong.as_str()), "invalid_token")] {
            let client = web.client(era, token);
            let answered = client.ask("server/discover", json!({})).await?;
            assert_eq!(answered.head.status, 401, "{answered:?}");
            let header = answered.head.header("www-authenticate").unwrap_or_default();
            assert_says(header, &["Bearer", challenge]);
            assert_eq!(answered.response["error"], "unauthorized");
            assert!(answered.head.header("x-request-id").is_some());
        }
        let mut client = web.client(era, Some(ALICE));
        client.begin().await?;
        client.call("list_nodes", json!({})).await?;
    }
    for path in [
        "/",
        "/mcp",
        "/metrics",
        "/tools/list_nodes",
        "/openapi.json",
    ] {
        assert_eq!(web.ask("GET", path, &[]).await?.status, 401, "{path}");
    }
    assert_eq!(web.ask("GET", "/healthz", &[]).await?.status, 200);
    Ok(())
}

/// Others who share the address, behind a proxy, are not locked out.
#[tokio::test]
async fn many_wrong_tokens_are_refused_and_the_right_one_is_not() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let web = guarded(sim.host()?)?.web().await?;
    let stranger = web.client(Era::Stateless, Some("wrong"));
    let mut statuses = Vec::new();
    for _ in 0..40 {
        let answered = stranger.ask("server/discover", json!({})).await?;
        statuses.push(answered.head.status);
    }
    assert_eq!(statuses.first(), Some(&401), "{statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
    let alice = web.client(Era::Stateless, Some(ALICE));
    alice.call("list_nodes", json!({})).await?;
    Ok(())
}

/// The list of tokens can be changed while clients are served.
#[tokio::test]
async fn a_token_can_be_withdrawn() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let web = guarded(sim.host()?)?.web().await?;
    let mut bob = web.client(Era::Legacy, Some(BOB));
    bob.begin().await?;
    web.replace("tokens", &format!("alice:{ALICE}\n"))?;
    let withdrawn = async {
        while bob.ask("ping", json!({})).await?.head.status != 401 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, withdrawn).await??;
    web.client(Era::Legacy, Some(ALICE)).begin().await?;
    // A file that cannot be used changes nothing.
    web.replace("tokens", "")?;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    web.client(Era::Legacy, Some(ALICE)).begin().await?;
    assert_says(&web.stderr()?, &["remains", "in force"]);
    // One with nothing but comments withdraws all tokens.
    web.replace("tokens", "# nobody\n")?;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let alice = web.client(Era::Stateless, Some(ALICE));
    let answered = alice.ask("server/discover", json!({})).await?;
    assert_eq!(answered.head.status, 401, "{answered:?}");
    Ok(())
}

#[tokio::test]
async fn a_session_belongs_to_the_user_who_began_it() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let web = guarded(sim.host()?)?.web().await?;
    let mut alice = web.client(Era::Legacy, Some(ALICE));
    alice.begin().await?;
    let mut bob = web.client(Era::Legacy, Some(BOB));
    bob.session.clone_from(&alice.session);
    let stolen = bob.ask("tools/list", json!({})).await?;
    assert_eq!(stolen.head.status, 404, "{stolen:?}");
    assert_eq!(bob.listen().await?.head.status, 404);
    assert_eq!(bob.end().await?, 404);
    // As for a session that nobody has.
    bob.session = Some("5f7d2a52-0000-4000-8000-000000000000".to_owned());
    let unknown = bob.ask("tools/list", json!({})).await?;
    assert_eq!(unknown.head.status, 404);
    assert_eq!(unknown.response, stolen.response);
    alice.result("ping", json!({})).await?;
    Ok(())
}

/// Nor can another user answer the question of a call.
#[tokio::test]
async fn a_question_belongs_to_its_user() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let web = guarded(sim.host()?)?.arg("--confirm=writes").web().await?;
    let client = |token| {
        let mut client = web.client(Era::Stateless, Some(token));
        client.capabilities = json!({ "elicitation": { "form": {} } });
        client
    };
    let (alice, bob) = (client(ALICE), client(BOB));
    let params = json!({ "name": "stop_guest", "arguments": { "vmid": 103 } });
    let asks = alice.result("tools/call", params.clone()).await?;
    let agreed = json!({ "confirm": { "action": "accept", "content": {} } });
    let answer = harness::with(
        &params,
        json!({ "requestState": asks["requestState"], "inputResponses": agreed }),
    );
    let again = bob.result("tools/call", answer.clone()).await?;
    assert_eq!(again["resultType"], "input_required", "{again}");
    assert_eq!(sim.writes()?.len(), 0);
    alice.result("tools/call", answer).await?;
    assert_eq!(sim.writes()?.len(), 1);
    Ok(())
}

/// Questions that one user leaves open keep no other from being asked.
#[tokio::test]
async fn open_questions_are_limited_by_user() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let web = guarded(sim.host()?)?.arg("--confirm=writes").web().await?;
    let ask = async |token| {
        let mut client = web.client(Era::Stateless, Some(token));
        client.capabilities = json!({ "elicitation": { "form": {} } });
        let params = json!({ "name": "stop_guest", "arguments": { "vmid": 103 } });
        client.result("tools/call", params).await
    };
    for _ in 0..4 {
        let asks = ask(ALICE).await?;
        assert_eq!(asks["resultType"], "input_required", "{asks}");
    }
    let refused = ask(ALICE).await?;
    assert_eq!(refused["isError"], json!(true), "{refused}");
    harness::assert_says(&refused.to_string(), &["answer these first"]);
    let asks = ask(BOB).await?;
    assert_eq!(asks["resultType"], "input_required", "{asks}");
    assert_eq!(sim.writes()?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn the_logs_name_the_user() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("audit.jsonl");
    let host = guarded(sim.host()?)?
        .args(["--log-format=json", "--log-level=info", "--audit"])
        .arg(file.display().to_string());
    let web = host.web().await?;
    let mut alice = web.client(Era::Legacy, Some(ALICE));
    alice.begin().await?;
    alice.call("list_nodes", json!({})).await?;
    let bob = web.client(Era::Stateless, Some(BOB));
    bob.call("list_nodes", json!({})).await?;
    let text = std::fs::read_to_string(&file)?;
    let lines: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
    let calls: Vec<_> = lines?
        .into_iter()
        .filter(|one| one["event"] == "call")
        .collect();
    let [of_alice, of_bob] = calls.as_slice() else {
        anyhow::bail!("{calls:#?}");
    };
    assert_eq!(
        (&of_alice["user"], &of_bob["user"]),
        (&json!("alice"), &json!("bob"))
    );
    assert_eq!(of_alice["address"], "127.0.0.1");
    assert!(of_alice["session"].is_string() && of_bob.get("session").is_none());
    assert!(of_alice["http_request"].is_string());
    // So does the log, with one line for each call.
    let log: Vec<Value> = web
        .stderr()?
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let calls: Vec<_> = log.iter().filter(|one| one["message"] == "call").collect();
    let users: Vec<_> = calls.iter().map(|one| &one["fields"]["user"]).collect();
    assert_eq!(users, ["alice", "bob"], "{log:#?}");
    for call in calls {
        assert_eq!(call["fields"]["tool"], "list_nodes");
        assert_eq!(call["fields"]["outcome"], "ok");
        assert!(call["fields"]["duration_ms"].is_u64(), "{call}");
    }
    // The id itself is a secret.
    assert!(!text.contains(alice.session.as_deref().unwrap_or_default()));
    Ok(())
}

#[tokio::test]
async fn hosts_and_origins_are_checked() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    // A name that others know is not served without tokens, whatever the address.
    let named = sim.host()?.env("PROXMOX_MCP_HTTP_HOSTS", "mcp.example");
    let says = ["PROXMOX_MCP_HTTP_HOSTS", "--http-tokens-file"];
    refused(named, &["serve", "--http=127.0.0.1:0"], &says).await?;
    let host = guarded(sim.host()?)?
        .env("PROXMOX_MCP_HTTP_HOSTS", "mcp.example")
        .env("PROXMOX_MCP_HTTP_ORIGINS", "https://app.example");
    let web = host.web().await?;
    for (headers, status, says) in [
        (vec![("Host", "evil.example")], 403, "--http-hosts"),
        (vec![("Host", "")], 400, "Host"),
        (
            vec![("Host", "localhost"), ("Host", "localhost")],
            400,
            "Host",
        ),
        (vec![("Host", "mcp.example")], 405, ""),
        (
            vec![("Origin", "https://evil.example")],
            403,
            "--http-origins",
        ),
        (vec![("Origin", "null")], 403, "--http-origins"),
        (vec![("Origin", "https://app.example")], 405, ""),
        (
            vec![("Sec-Fetch-Site", "cross-site")],
            403,
            "--http-origins",
        ),
        (
            vec![("Host", "evil.example"), ("Origin", "http://evil.example")],
            403,
            "--http-hosts",
        ),
    ] {
        let bearer = format!("Bearer {ALICE}");
        let headers = [headers, vec![("Authorization", bearer.as_str())]].concat();
        let answer = web.ask("PUT", "/mcp", &headers).await?;
        assert_eq!(answer.status, status, "{headers:?}: {answer:?}");
        assert!(answer.body.contains(says), "{headers:?}: {answer:?}");
    }
    let asks = [
        ("Origin", "https://app.example"),
        ("Access-Control-Request-Method", "POST"),
    ];
    // Without a question, it is a request like any other.
    assert_eq!(web.ask("OPTIONS", "/mcp", &[]).await?.status, 401);
    let preflight = web.ask("OPTIONS", "/mcp", &asks).await?;
    assert_eq!(preflight.status, 204, "{preflight:?}");
    let header = |name| preflight.header(name).unwrap_or_default();
    assert_eq!(header("access-control-allow-origin"), "https://app.example");
    assert_says(
        header("access-control-allow-headers"),
        &["authorization", "mcp-session-id"],
    );
    // A request for a proxy.
    let proxied = "GET http://evil.example/mcp HTTP/1.1\r\nHost: localhost\r\n\
                   Connection: close\r\n\r\n";
    assert_eq!(web.send(proxied).await?.status, 403);
    Ok(())
}

#[tokio::test]
async fn large_and_malformed_requests_are_refused() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let web = sim.host()?.web().await?;
    let post = |headers: &str| format!("POST /mcp HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    let close = "Connection: close\r\n";
    let long = "x".repeat(2 * 1024 * 1024);
    let chunks = format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len());
    let head = format!("{close}X-Long: {}\r\n", "x".repeat(20_000));
    for (request, status) in [
        (
            post(&format!("{close}Content-Length: 2097152\r\n")) + &long,
            413,
        ),
        (
            post(&format!("{close}Transfer-Encoding: chunked\r\n")) + &chunks,
            413,
        ),
        (post(&head), 431),
        ("nonsense\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), 400),
        (
            "GET /mcp HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(),
            400,
        ),
    ] {
        let answer = web.send(&request).await?;
        assert_eq!(answer.status, status, "{request:.40}: {answer:?}");
        if matches!(status, 413 | 431) {
            assert_says(&answer.body, &["bytes", "request_id"]);
        }
    }
    web.client(Era::Legacy, None).begin().await?;
    Ok(())
}

#[tokio::test]
async fn requests_are_limited_by_client() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let host = guarded(sim.host()?)?.env("PROXMOX_MCP_HTTP_REQUESTS", "10");
    let web = host.env("PROXMOX_MCP_HTTP_CONCURRENCY", "2").web().await?;
    let mut alice = web.client(Era::Legacy, Some(ALICE));
    alice.begin().await?;
    let _one = alice.listen().await?;
    let mut statuses = Vec::new();
    for _ in 0..12 {
        let answered = alice.ask("ping", json!({})).await?;
        statuses.push(answered.head.status);
        if answered.head.status == 429 {
            assert_eq!(answered.response["error"], "rate_limited");
            assert_says(&answered.response.to_string(), &["--http-requests"]);
            assert!(answered.head.header("retry-after").is_some());
        }
    }
    assert_eq!(statuses.first(), Some(&200), "{statuses:?}");
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");

    let mut bob = web.client(Era::Legacy, Some(BOB));
    bob.begin().await?;
    let mut other = web.client(Era::Legacy, Some(BOB));
    other.begin().await?;
    let (_one, _two) = (bob.listen().await?, other.listen().await?);
    let answered = bob.ask("ping", json!({})).await?;
    assert_eq!(answered.head.status, 429, "{answered:?}");
    assert_eq!(answered.response["error"], "too_many_open_requests");
    Ok(())
}

#[tokio::test]
async fn connections_are_limited() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let web = sim
        .host()?
        .env("PROXMOX_MCP_HTTP_CONNECTIONS", "3")
        .web()
        .await?;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(web.connection().await?);
    }
    // The connections are accepted in order.
    let answer = web.ask("GET", "/healthz", &[]).await?;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_says(&answer.body, &["--http-connections"]);
    drop(open);
    let again = async {
        while web.ask("GET", "/healthz", &[]).await?.status != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, again).await?
}

/// Open streams do not hold up the end, and a call that runs is answered.
#[tokio::test]
async fn a_signal_ends_the_server() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let web = sim.host()?.web().await?;
    let mut client = web.client(Era::Legacy, None);
    client.begin().await?;
    let mut stream = client.listen().await?;
    let filter = json!({ "notifications": { "resourceSubscriptions": ["pve://guests/100"] } });
    let stateless = web.client(Era::Stateless, None);
    let mut listening = stateless.open("subscriptions/listen", filter).await?;
    listening.next().await?;
    let began = Instant::now();
    web.terminate()?;
    while stream.next().await?.is_some() {}
    while listening.next().await?.is_some() {}
    let output = web.ended().await?;
    assert_eq!(output.status, Some(0), "{output:?}");
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    Ok(())
}

#[tokio::test]
async fn a_running_call_is_answered_before_the_end() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let web = sim.host()?.web().await?;
    let mut client = web.client(Era::Legacy, None);
    client.begin().await?;
    client.call("list_nodes", json!({})).await?;
    sim.fault(json!({ "kind": "latency", "ms": 2000 })).await?;
    let params = json!({ "name": "list_nodes", "arguments": {} });
    let call = client.result("tools/call", params);
    let end = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        web.terminate()
    };
    let (result, ended) = tokio::join!(call, end);
    ended?;
    assert_eq!(result?["isError"], json!(false));
    assert_eq!(web.ended().await?.status, Some(0));
    Ok(())
}

/// Nobody waits for the answer any more, and the change is made all the same.
#[tokio::test]
async fn a_change_without_its_client_is_completed_before_the_end() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let web = sim.host()?.web().await?;
    let client = web.client(Era::Stateless, None);
    client.call("list_guests", json!({})).await?;
    sim.fault(json!({ "kind": "latency", "ms": 1000, "method": "GET" }))
        .await?;
    let params = json!({ "name": "stop_guest", "arguments": { "vmid": 103 } });
    let call = client.result("tools/call", params);
    let answered = tokio::time::timeout(Duration::from_millis(500), call).await;
    assert!(answered.is_err(), "{answered:?}");
    assert_eq!(sim.writes()?.len(), 0);
    // The server notices that the client is gone.
    tokio::time::sleep(Duration::from_millis(100)).await;
    web.terminate()?;
    assert_eq!(web.ended().await?.status, Some(0));
    assert_eq!(sim.writes()?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn health_is_asked_for_by_a_command() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let web = guarded(sim.host()?)?.web().await?;
    let ready = async {
        loop {
            let asked = HostRunner::new()?.run(&["health", &web.address]).await?;
            if asked.status == Some(0) {
                return anyhow::Ok(asked.stdout);
            }
            assert_says(&asked.stderr, &["is not ready", "starting"]);
        }
    };
    let said = tokio::time::timeout(PATIENCE, ready).await??;
    assert_says(&said, &["\"ready\"", "last_answer_seconds_ago"]);
    let address = web.address.clone();
    web.terminate()?;
    web.ended().await?;
    let asked = HostRunner::new()?.env("PROXMOX_MCP_HTTP", address);
    let asked = asked.run(&["health"]).await?;
    assert_eq!(asked.status, Some(1), "{asked:?}");
    assert_says(&asked.stderr, &["is not ready"]);
    Ok(())
}

#[tokio::test]
async fn metrics_count_what_happens() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let web = guarded(sim.host()?)?
        .arg("--confirm=destructive")
        .web()
        .await?;
    let mut client = web.client(Era::Legacy, Some(ALICE));
    client.begin().await?;
    client.call("list_nodes", json!({})).await?;
    client.call("start_guest", json!({ "vmid": 201 })).await?;
    let params = json!({ "name": "stop_guest", "arguments": { "vmid": 103 } });
    client.result("tools/call", params).await?;
    web.client(Era::Legacy, Some("wrong"))
        .ask("ping", json!({}))
        .await?;
    let bearer = format!("Bearer {ALICE}");
    let answer = web
        .ask("GET", "/metrics", &[("Authorization", &bearer)])
        .await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_says(
        &answer.body,
        &[
            "proxmox_mcp_calls_total{tool=\"list_nodes\",outcome=\"ok\"} 1",
            "proxmox_mcp_calls_total{tool=\"stop_guest\",outcome=\"",
            "proxmox_mcp_call_duration_seconds_count{tool=\"list_nodes\"} 1",
            "proxmox_mcp_requests_total{status=\"200\"}",
            "proxmox_mcp_refused_requests_total{rule=\"confirm\"}",
            "proxmox_mcp_tasks_followed_total 1",
            "proxmox_mcp_tasks_following 0",
            "proxmox_mcp_http_refusals_total{reason=\"unauthorized\"} 1",
            "proxmox_mcp_http_responses_total{method=\"POST\",path=\"/mcp\",status=\"401\"} 1",
        ],
    );
    Ok(())
}

fn certificate() -> anyhow::Result<(String, String, Vec<u8>)> {
    let made = generate_simple_self_signed(["localhost".to_owned()])?;
    let der = made.cert.der().to_vec();
    Ok((made.cert.pem(), made.signing_key.serialize_pem(), der))
}

async fn serves(web: &Web, certificate: &[u8]) -> anyhow::Result<bool> {
    let answer = web.ask_over_tls("/healthz", certificate).await;
    Ok(answer.is_ok_and(|answer| answer.status == 200))
}

#[tokio::test]
async fn a_renewed_certificate_is_used() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let (pem, key, first) = certificate()?;
    let host = sim
        .host()?
        .file("tls.crt", &pem)?
        .private_file("tls.key", &key)?;
    let host = host.env("PROXMOX_MCP_TLS_CERT", "tls.crt");
    let web = host.env("PROXMOX_MCP_TLS_KEY", "tls.key").web().await?;
    assert!(serves(&web, &first).await?);
    let asked = HostRunner::new()?.file("tls.crt", &pem)?;
    let asked = asked.env("PROXMOX_MCP_TLS_CERT", "tls.crt");
    let asked = asked.run(&["health", &web.address]).await?;
    assert!(!asked.stderr.contains("certificate"), "{asked:?}");
    // Plain HTTP is not spoken there.
    assert!(web.ask("GET", "/healthz", &[]).await.is_err());
    let (pem, key, second) = certificate()?;
    assert!(!serves(&web, &second).await?);
    web.replace("tls.crt", &pem)?;
    web.replace("tls.key", &key)?;
    let renewed = async {
        while !serves(&web, &second).await? {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, renewed).await??;
    assert!(!serves(&web, &first).await?);
    web.replace("tls.key", "nothing")?;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert!(serves(&web, &second).await?);
    Ok(())
}

/// Neither the revision that `initialize` names nor its header admits more sessions.
#[tokio::test]
async fn sessions_are_limited() -> anyhow::Result<()> {
    const MOST: usize = 64;
    let sim = Sim::start().await?;
    let web = guarded(sim.host()?)?.web().await?;
    let begin = async |token: &str, version: &str, name: &str| {
        let message = json!({
            "jsonrpc": "2.0", "id": 1, "method": "initialize",
            "params": {
                "protocolVersion": version,
                "capabilities": {},
                "clientInfo": { "name": name, "version": "0" },
            },
        })
        .to_string();
        let head = format!(
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer \
             {token}\r\nContent-Type: application/json\r\nAccept: application/json, \
             text/event-stream\r\nMCP-Protocol-Version: {version}\r\nContent-Length: {}\r\n\r\n",
            message.len()
        );
        anyhow::Ok(web.send(&format!("{head}{message}")).await?.status)
    };
    let long = "x".repeat(65 * 1024);
    assert_eq!(begin(ALICE, "2025-11-25", &long).await?, 413);
    let versions = ["2025-11-25", "2026-07-28"].into_iter().cycle();
    let mut statuses = Vec::new();
    for version in versions.take(MOST + 2) {
        statuses.push(begin(ALICE, version, "a").await?);
    }
    assert!(
        statuses.iter().take(MOST).all(|status| *status == 200),
        "{statuses:?}"
    );
    assert_eq!(statuses.split_off(MOST), [429, 429]);
    assert_eq!(begin(BOB, "2025-11-25", "b").await?, 200);
    Ok(())
}
