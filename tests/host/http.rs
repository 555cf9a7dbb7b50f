//! MCP over HTTP, in both protocol eras.

use harness::{Era, HttpAnswer, Sim, Web, WebClient, assert_says};
use serde_json::{Value, json};

const ERAS: [Era; 2] = [Era::Legacy, Era::Stateless];

async fn serve(sim: &Sim) -> anyhow::Result<Web> {
    sim.host()?.web().await
}

async fn client(web: &Web, era: Era) -> anyhow::Result<WebClient> {
    let mut client = web.client(era, None);
    client.begin().await?;
    Ok(client)
}

#[tokio::test]
async fn tools_are_listed_and_called() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let web = serve(&sim).await?;
    for era in ERAS {
        let mut client = web.client(era, None);
        let server = client.begin().await?;
        let text = server.to_string();
        assert_says(&text, &["proxmox-mcp", "instructions"]);
        let list = client.result("tools/list", json!({})).await?;
        let tools = list["tools"].as_array().map_or(0, Vec::len);
        assert!(tools > 30, "{tools} tools");
        let guests = client.call("list_guests", json!({ "limit": 2 })).await?;
        assert_eq!(guests["guests"].as_array().map_or(0, Vec::len), 2);
        let params = json!({ "name": "get_guest", "arguments": { "vmid": 999_999 } });
        let missing = client.result("tools/call", params).await?;
        assert_eq!(missing["isError"], true, "{missing}");
        let unknown = client
            .ask("tools/call", json!({ "name": "nothing" }))
            .await?;
        assert_eq!(unknown.response["error"]["code"], -32602, "{unknown:?}");
    }
    Ok(())
}

#[tokio::test]
async fn resources_prompts_and_completion() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let web = serve(&sim).await?;
    for era in ERAS {
        let client = client(&web, era).await?;
        let list = client.result("resources/list", json!({})).await?;
        assert_says(&list.to_string(), &["pve://guests/100"]);
        let uri = json!({ "uri": "pve://guests/100" });
        let read = client.result("resources/read", uri).await?;
        assert_says(&read.to_string(), &["application/json", "100"]);
        let prompts = client.result("prompts/list", json!({})).await?;
        assert_says(&prompts.to_string(), &["diagnose_a_guest"]);
        let reference = json!({ "type": "ref/resource", "uri": "pve://guests/{vmid}" });
        let argument = json!({ "name": "vmid", "value": "10" });
        let params = json!({ "ref": reference, "argument": argument });
        let completion = client.result("completion/complete", params).await?;
        assert_eq!(completion["completion"]["values"][0], "100", "{completion}");
    }
    Ok(())
}

#[tokio::test]
async fn progress_comes_before_the_result() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let web = serve(&sim).await?;
    for era in ERAS {
        let client = client(&web, era).await?;
        let answered = client
            .ask(
                "tools/call",
                json!({
                    "name": "restart_guest",
                    "arguments": { "vmid": 103 },
                    "_meta": { "progressToken": "p1" },
                }),
            )
            .await?;
        let is_progress = |one: &&Value| one["method"] == "notifications/progress";
        let progress: Vec<_> = answered.before.iter().filter(is_progress).collect();
        assert!(!progress.is_empty(), "{answered:?}");
        for one in &progress {
            assert_eq!(one["params"]["progressToken"], "p1");
        }
        assert_eq!(
            answered.response["result"]["isError"],
            json!(false),
            "{answered:?}"
        );
    }
    Ok(())
}

/// In the older era by a notification, in the newer one by closing the connection.
#[tokio::test]
async fn a_call_can_be_cancelled() -> anyhow::Result<()> {
    for era in ERAS {
        let mut sim = Sim::start().await?;
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("audit.jsonl");
        let host = sim.host()?.arg("--audit").arg(file.display().to_string());
        let web = host.web().await?;
        let client = client(&web, era).await?;
        client.call("list_guests", json!({})).await?;
        sim.fault(json!({ "kind": "hang", "path": "/nodes" }))
            .await?;
        let params = json!({ "name": "list_nodes", "arguments": {} });
        let message = client.message("tools/call", params);
        let id = message["id"].clone();
        let call = client.open_message(&message);
        let cancelled = async {
            loop {
                let text = std::fs::read_to_string(&file)?;
                if text.contains("cancelled") {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        let begun = async {
            while !std::fs::read_to_string(&file)?.contains("list_nodes") {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            anyhow::Ok(())
        };
        let patience = harness::PATIENCE;
        let mut call = Box::pin(call);
        tokio::select! {
            begun = tokio::time::timeout(patience, begun) => begun??,
            opened = &mut call => {
                // The older era's stream begins before the result.
                let _stream = opened?;
                let cancel = json!({
                    "jsonrpc": "2.0", "method": "notifications/cancelled",
                    "params": { "requestId": id },
                });
                client.post(&cancel).await?;
                tokio::time::timeout(patience, cancelled).await??;
                continue;
            }
        }
        match era {
            Era::Stateless => drop(call),
            Era::Legacy => {
                let cancel = json!({
                    "jsonrpc": "2.0", "method": "notifications/cancelled",
                    "params": { "requestId": id },
                });
                client.post(&cancel).await?;
            }
        }
        tokio::time::timeout(patience, cancelled).await??;
    }
    Ok(())
}

/// The user is asked by a request in the stream, or by a result that asks.
#[tokio::test]
async fn the_user_is_asked_before_a_change() -> anyhow::Result<()> {
    for era in ERAS {
        let sim = Sim::start().await?;
        let web = sim.host()?.arg("--confirm=writes").web().await?;
        let mut client = web.client(era, None);
        client.capabilities = json!({ "elicitation": { "form": {} } });
        client.begin().await?;
        let params = json!({ "name": "stop_guest", "arguments": { "vmid": 103 } });
        let agreed = json!({ "action": "accept", "content": {} });
        let result = match era {
            Era::Legacy => {
                let mut stream = client.open("tools/call", params).await?;
                let asks = |one: &Value| one["method"] == "elicitation/create";
                let (question, _) = stream.until(asks).await?;
                assert_says(&question.to_string(), &["stop_guest"]);
                let answer = json!({ "jsonrpc": "2.0", "id": question["id"], "result": agreed });
                assert_eq!(client.post(&answer).await?.head.status, 202);
                let (response, _) = stream.until(|one| one.get("result").is_some()).await?;
                response["result"].clone()
            }
            Era::Stateless => {
                let asks = client.result("tools/call", params.clone()).await?;
                assert_eq!(asks["resultType"], "input_required", "{asks}");
                let answered = harness::with(
                    &params,
                    json!({
                        "requestState": asks["requestState"],
                        "inputResponses": { "confirm": agreed },
                    }),
                );
                client.result("tools/call", answered).await?
            }
        };
        assert_eq!(result["isError"], json!(false), "{result}");
        assert_eq!(sim.writes()?.len(), 1);
    }
    Ok(())
}

#[tokio::test]
async fn watched_resources_are_announced() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let host = sim.host()?.env("PROXMOX_MCP_POLL_SECONDS", "1");
    let web = host.web().await?;
    let uri = "pve://guests/100";
    let is_update = |one: &Value| one["method"] == "notifications/resources/updated";

    let legacy = client(&web, Era::Legacy).await?;
    // Another session of the same client has listeners of its own.
    let other = client(&web, Era::Legacy).await?;
    let mut stream = legacy.listen().await?;
    assert_eq!(stream.head.status, 200, "{:?}", stream.head);
    legacy
        .result("resources/subscribe", json!({ "uri": uri }))
        .await?;
    other
        .result("resources/subscribe", json!({ "uri": uri }))
        .await?;
    other
        .result("resources/unsubscribe", json!({ "uri": uri }))
        .await?;

    let stateless = client(&web, Era::Stateless).await?;
    let filter = json!({ "notifications": { "resourceSubscriptions": [uri] } });
    let mut listening = stateless.open("subscriptions/listen", filter).await?;
    let accepted = listening.next().await?;
    assert!(accepted.is_some(), "{:?}", listening.head);

    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    sim.set_guest(100, json!({ "config": { "memory": "1024" } }))
        .await?;
    for stream in [&mut stream, &mut listening] {
        let (update, _) = stream.until(is_update).await?;
        assert_eq!(update["params"]["uri"], uri, "{update}");
    }
    Ok(())
}

/// A session ends by its client's wish, and is then unknown.
#[tokio::test]
async fn sessions_end() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let web = serve(&sim).await?;
    let client = client(&web, Era::Legacy).await?;
    client.result("ping", json!({})).await?;
    assert_eq!(client.end().await?, 204);
    let answered = client.ask("ping", json!({})).await?;
    assert_eq!(answered.head.status, 404, "{answered:?}");
    Ok(())
}

#[tokio::test]
async fn what_is_no_message_is_answered() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let web = serve(&sim).await?;
    let client = client(&web, Era::Legacy).await?;
    let post = async |body: &str, kind: &str, accept: &str| {
        let headers = format!(
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {kind}\r\n\
             Accept: {accept}\r\nContent-Length: {}\r\nMcp-Session-Id: {}\r\n\r\n{body}",
            body.len(),
            client.session.as_deref().unwrap_or_default()
        );
        web.send(&headers).await
    };
    let (json, both) = ("application/json", "application/json, text/event-stream");
    let many = format!("[{}]", vec!["1"; 20_000].join(","));
    let unknown = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}"#;
    for (body, kind, accept, status, says) in [
        ("{", json, both, 400, "-32700"),
        ("[]", json, both, 400, "-32600"),
        (&many, json, both, 400, "10000"),
        ("", json, both, 400, "JSON-RPC"),
        (unknown, json, both, 200, "-32602"),
        (unknown, "text/plain", both, 200, "-32602"),
        ("{}", json, json, 400, "method"),
    ] {
        let answer = post(body, kind, accept).await?;
        assert_eq!(answer.status, status, "{body:.60}: {answer:?}");
        assert!(answer.body.contains(says), "{body:.60}: {answer:?}");
    }
    // Nothing of that has ended the session.
    client.result("ping", json!({})).await?;
    for (path, method, status) in [
        ("/", "GET", 404),
        ("/mcp", "PUT", 405),
        ("/mcp/x", "POST", 404),
    ] {
        let answer = web.ask(method, path, &[]).await?;
        assert_eq!(answer.status, status, "{answer:?}");
    }
    Ok(())
}

/// Whatever their parameters are.
#[tokio::test]
async fn methods_that_the_newer_era_has_removed_are_unknown_in_it() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let web = serve(&sim).await?;
    let client = client(&web, Era::Stateless).await?;
    for (method, params) in [
        ("initialize", json!({})),
        ("ping", json!({})),
        ("logging/setLevel", json!({})),
        ("logging/setLevel", json!({ "level": "info" })),
        ("resources/subscribe", json!({})),
        ("resources/subscribe", json!({ "uri": "pve://cluster" })),
        ("resources/unsubscribe", json!({ "uri": 5 })),
        ("resources/unsubscribe", json!({ "uri": "pve://cluster" })),
    ] {
        let answered = client.ask(method, params).await?;
        assert_eq!(answered.head.status, 404, "{method}: {answered:?}");
        assert_eq!(answered.response["error"]["code"], -32601, "{answered:?}");
    }
    Ok(())
}

async fn post(web: &Web, path: &str, body: &str) -> anyhow::Result<HttpAnswer> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: \
         application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    web.send(&head).await
}

/// The same tools for programs that do not speak MCP.
#[tokio::test]
async fn tools_are_called_by_plain_http() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let web = sim.host()?.arg("--confirm=destructive").web().await?;
    let guests = post(&web, "/tools/list_guests", r#"{"limit":2}"#).await?;
    assert_eq!(guests.status, 200, "{guests:?}");
    assert_eq!(guests.json()?["guests"].as_array().map_or(0, Vec::len), 2);
    let nodes = post(&web, "/tools/list_nodes", "").await?;
    assert_eq!(nodes.status, 200, "{nodes:?}");
    let started = post(&web, "/tools/start_guest", r#"{"vmid":201}"#).await?;
    assert_eq!(started.status, 200, "{started:?}");
    assert_eq!(started.json()?["status"], "done");
    for (path, body, status, error) in [
        (
            "/tools/get_guest",
            r#"{"vmid":5}"#,
            400,
            "invalid-arguments",
        ),
        ("/tools/get_guest", r#"{"vmid":999999}"#, 404, "not-found"),
        (
            "/tools/list_nodes",
            r#"{"nonsense":1}"#,
            400,
            "invalid-arguments",
        ),
        ("/tools/list_nodes", "[]", 400, "bad_arguments"),
        ("/tools/list_node", "{}", 404, "unknown-tool"),
        ("/tools/", "{}", 404, "unknown-tool"),
        // Nobody can be asked.
        ("/tools/stop_guest", r#"{"vmid":103}"#, 403, "denied"),
    ] {
        let answer = post(&web, path, body).await?;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        let json = answer.json()?;
        assert_eq!(json["error"], error, "{path}: {json}");
        assert!(json["message"].is_string() && json["request_id"].is_string());
    }
    assert_eq!(sim.writes()?.len(), 1);
    assert_eq!(web.ask("GET", "/tools/list_nodes", &[]).await?.status, 405);
    let form = [("Content-Type", "text/plain"), ("Content-Length", "0")];
    let answer = web.ask("POST", "/tools/list_nodes", &form).await?;
    assert_eq!(answer.status, 415, "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn openapi_describes_the_offered_tools() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let web = sim.host()?.arg("--read-only").web().await?;
    let answer = web.ask("GET", "/openapi.json", &[]).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    let document = answer.json()?;
    assert_eq!(document["openapi"], "3.1.0");
    let client = client(&web, Era::Stateless).await?;
    let list = client.result("tools/list", json!({})).await?;
    let tools = list["tools"].as_array().cloned().unwrap_or_default();
    let paths = document["paths"].as_object().cloned().unwrap_or_default();
    assert_eq!(paths.len(), tools.len());
    for tool in &tools {
        let name = tool["name"].as_str().unwrap_or_default();
        let operation = &document["paths"][format!("/tools/{name}")]["post"];
        assert_eq!(operation["operationId"], name);
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        jsonschema::validator_for(schema)?;
        let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        assert_eq!(schema, &tool["outputSchema"], "{name}");
    }
    // Nothing is required where everybody may call.
    assert!(document.get("security").is_none());
    Ok(())
}
