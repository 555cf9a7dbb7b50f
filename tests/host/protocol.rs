//! MCP over stdio: both eras, errors, malformed input, concurrency, the end.

use harness::{Era, Sim};
use serde_json::{Value, json};

#[tokio::test]
async fn both_eras_serve_the_same() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let legacy = sim.host()?.connect_as(Era::Legacy).await?;
    let stateless = sim.host()?.connect_as(Era::Stateless).await?;
    assert_eq!(legacy.tools(), stateless.tools());
    let (old, new) = (
        legacy.call("list_nodes", json!({})).await?,
        stateless.call("list_nodes", json!({})).await?,
    );
    let names = |list: &Value| {
        list["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| node["node"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&old), names(&new));
    assert!(!names(&old).is_empty());
    for client in [legacy, stateless] {
        let output = client.finish().await?;
        assert_eq!(output.status, Some(0), "{output:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_tool_list_never_varies() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let first = sim.host()?.connect().await?;
    first.call("list_guests", json!({})).await?;
    let second = sim.host()?.connect().await?;
    assert_eq!(first.tools(), second.tools());
    Ok(())
}

#[tokio::test]
async fn initialize_names_the_server() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let mut raw = sim.host()?.raw()?;
    let answer = raw.initialize().await?;
    let result = &answer["result"];
    assert_eq!(result["protocolVersion"], "2025-11-25", "{answer}");
    assert!(result["serverInfo"]["name"].is_string(), "{answer}");
    assert!(result["serverInfo"]["version"].is_string(), "{answer}");
    assert!(result["capabilities"]["tools"].is_object(), "{answer}");
    assert_eq!(
        result["capabilities"],
        json!({
            "completions": {},
            "extensions": { "io.modelcontextprotocol/ui": {} },
            "prompts": {},
            "resources": { "subscribe": true, "listChanged": true },
            "tools": {},
        })
    );
    // The component's own.
    let instructions = result["instructions"].as_str().unwrap_or_default();
    assert!(instructions.contains("guests by vmid"), "{answer}");
    let ping = raw.request("ping", json!({})).await?;
    assert_eq!(ping["result"], json!({}), "{ping}");
    assert_eq!(raw.finish().await?.status, Some(0));
    Ok(())
}

#[tokio::test]
async fn stateless_requests_need_no_session() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let mut raw = sim.host()?.raw()?;
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    // No discover before it: each request is self-contained.
    let answer = raw.request("tools/list", json!({ "_meta": meta })).await?;
    let result = &answer["result"];
    assert!(
        result["tools"]
            .as_array()
            .is_some_and(|tools| !tools.is_empty()),
        "{answer}"
    );
    assert_eq!(result["resultType"], "complete", "{answer}");
    assert!(result["ttlMs"].is_u64(), "{answer}");
    assert!(result["cacheScope"].is_string(), "{answer}");

    let answer = raw
        .request("server/discover", json!({ "_meta": meta }))
        .await?;
    let result = &answer["result"];
    let versions = result["supportedVersions"].as_array().unwrap();
    assert!(versions.contains(&json!("2026-07-28")), "{answer}");
    assert!(result["ttlMs"].is_u64(), "{answer}");
    assert!(result["cacheScope"].is_string(), "{answer}");

    let call = json!({ "name": "list_nodes", "arguments": {}, "_meta": meta });
    let answer = raw.request("tools/call", call).await?;
    assert!(
        answer["result"]["structuredContent"]["nodes"].is_array(),
        "{answer}"
    );
    assert_eq!(answer["result"]["resultType"], "complete", "{answer}");
    assert_eq!(raw.finish().await?.status, Some(0));
    Ok(())
}

#[tokio::test]
async fn unknown_tools_are_protocol_errors() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let error = client
        .protocol_error("delete_guest", json!({ "vmid": 100 }))
        .await?;
    assert_eq!(error.code.0, -32602);
    assert!(error.message.contains("delete_guest"), "{error:?}");
    Ok(())
}

/// What may do more than its arguments show is for the operator to allow.
#[tokio::test]
async fn dangerous_tools_are_offered_only_if_the_operator_allows_them() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let listed = |tools: &[Value]| tools.iter().any(|tool| tool["name"] == "run_in_guest");
    assert!(!listed(client.tools()));
    let arguments = json!({ "vmid": 100, "command": ["id"] });
    let error = client
        .protocol_error("run_in_guest", arguments.clone())
        .await?;
    assert_eq!(error.code.0, -32602);
    assert!(
        error.message.contains("--allow-tool run_in_guest"),
        "{error:?}"
    );
    assert_eq!(sim.served().await?, 0);
    // On the command line, too.
    let host = sim.host()?;
    let output = host
        .run(&["call", "run_in_guest", &arguments.to_string()])
        .await?;
    assert_eq!(output.status, Some(1), "{output:?}");
    assert!(output.stderr.contains("--allow-tool"), "{output:?}");
    assert_eq!(sim.served().await?, 0);

    let client = sim
        .host()?
        .arg("--allow-tool=run_in_guest")
        .connect()
        .await?;
    assert!(listed(client.tools()));
    // No other name is let in by it.
    client.protocol_error("delete_guest", json!({})).await?;
    Ok(())
}

#[tokio::test]
async fn another_protocol_on_stdin_ends_with_one_line() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let mut raw = sim.host()?.raw()?;
    raw.send(r#"{"jsonrpc":"2.0","id":1,"method":"textDocument/hover","params":{}}"#)
        .await?;
    let output = raw.finish().await?;
    assert!(matches!(output.status, Some(0 | 1)), "{output:?}");
    assert!(output.stderr.lines().count() <= 1, "{output:?}");
    Ok(())
}

#[tokio::test]
async fn unknown_methods_are_refused() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let mut raw = sim.host()?.raw()?;
    raw.initialize().await?;
    let answer = raw.request("tools/destroy", json!({})).await?;
    assert_eq!(answer["error"]["code"], -32601, "{answer}");
    Ok(())
}

#[tokio::test]
async fn errors_of_malformed_calls_say_what_is_wrong() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let mut raw = sim.host()?.raw()?;
    raw.initialize().await?;
    for (params, says) in [
        (json!({ "arguments": {} }), "name is missing"),
        (json!({ "name": 5 }), "name is a number"),
        (
            json!({ "name": "get_guest", "arguments": "{\"vmid\":100}" }),
            "arguments is a string",
        ),
        (
            json!({ "name": "get_guest", "arguments": [100] }),
            "arguments is a list",
        ),
        (json!(["get_guest"]), "params is a list"),
        (json!("get_guest"), "params is a string"),
        (json!(null), "params is missing"),
    ] {
        let answer = raw.request("tools/call", params.clone()).await?;
        assert_eq!(answer["error"]["code"], -32602, "{params}: {answer}");
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(says), "{params}: {answer}");
    }
    let answer = raw.request("tools/list", json!([])).await?;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    // No arguments at all are as good as empty ones.
    for params in [
        json!({ "name": "list_nodes" }),
        json!({ "name": "list_nodes", "arguments": null }),
    ] {
        assert_eq!(sim.served().await? > 0, params.get("arguments").is_some());
        let answer = raw.request("tools/call", params).await?;
        assert!(
            answer["result"]["structuredContent"].is_object(),
            "{answer}"
        );
    }
    assert_eq!(raw.finish().await?.status, Some(0));
    Ok(())
}

/// Each line that is not a message is answered, by an id where it has one.
#[tokio::test]
async fn lines_that_are_not_messages_are_answered() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    for greeted in [false, true] {
        let mut raw = sim.host()?.raw()?;
        if greeted {
            raw.initialize().await?;
        }
        for (line, id, code) in [
            ("not json", json!(null), -32700),
            ("{\"jsonrpc\":\"2.0\",\"id\":1,", json!(null), -32700),
            ("\u{0}\u{1}", json!(null), -32700),
            (
                r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
                json!(null),
                -32600,
            ),
            ("42", json!(null), -32600),
            ("{}", json!(null), -32600),
            (r#"{"jsonrpc":"2.0","id":90}"#, json!(90), -32600),
            (
                r#"{"jsonrpc":"1.0","id":90,"method":"ping"}"#,
                json!(90),
                -32600,
            ),
            (
                r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
                json!(null),
                -32600,
            ),
            (
                r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
                json!(null),
                -32600,
            ),
        ] {
            raw.send(line).await?;
            let answer = raw.next().await?;
            assert_eq!(answer["error"]["code"], code, "{line}: {answer}");
            assert_eq!(answer["id"], id, "{line}: {answer}");
            let message = answer["error"]["message"].as_str();
            assert!(message.is_some_and(|text| !text.is_empty()), "{answer}");
        }
        // A line without an end, and one that is too long to keep.
        raw.send(&"x".repeat(17 * 1024 * 1024)).await?;
        assert_eq!(raw.next().await?["error"]["code"], -32600);
        if !greeted {
            raw.initialize().await?;
        }
        let answer = raw.request("ping", json!({})).await?;
        assert_eq!(answer["result"], json!({}), "{answer}");
        assert_eq!(raw.finish().await?.status, Some(0));
    }
    Ok(())
}

#[tokio::test]
async fn malformed_input_changes_nothing() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let mut raw = sim.host()?.raw()?;
    raw.initialize().await?;
    for line in [
        "",
        "   ",
        "not json",
        "{",
        "[]",
        "null",
        "42",
        "{}",
        r#"{"jsonrpc":"1.0","id":90,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/nonsense","params":{"a":[1]}}"#,
        r#"{"jsonrpc":"2.0","id":91,"result":{"of":"nothing"}}"#,
        r#"{"jsonrpc":"2.0","id":92,"error":{"code":1,"message":"of nothing"}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":4711}}"#,
        "\u{feff}{\"jsonrpc\":\"2.0\"}",
        "\u{0}\u{1}\u{2}",
    ] {
        raw.send(line).await?;
    }
    raw.send(&format!("\"{}\"", "x".repeat(1024 * 1024)))
        .await?;
    let answer = raw
        .request(
            "tools/call",
            json!({ "name": "list_nodes", "arguments": {} }),
        )
        .await?;
    assert!(
        answer["result"]["structuredContent"].is_object(),
        "{answer}"
    );
    assert_eq!(raw.finish().await?.status, Some(0));
    Ok(())
}

/// Before any handshake, too: nonsense does not end the process, and a first
/// request that is no MCP is answered or ends it in one line.
#[tokio::test]
async fn nonsense_at_the_start_is_survived() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let mut raw = sim.host()?.raw()?;
    raw.send("GET / HTTP/1.1").await?;
    raw.send("{]").await?;
    raw.initialize().await?;
    let answer = raw.request("tools/list", json!({})).await?;
    assert!(answer["result"]["tools"].is_array(), "{answer}");
    assert_eq!(raw.finish().await?.status, Some(0));
    Ok(())
}

#[tokio::test]
async fn the_end_of_stdin_ends_the_process() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    // Without a word, after the handshake, and in both eras.
    let raw = sim.host()?.raw()?;
    let output = raw.finish().await?;
    assert_eq!(output.status, Some(0), "{output:?}");
    assert_eq!(output.stdout, "");

    let mut raw = sim.host()?.raw()?;
    raw.initialize().await?;
    assert_eq!(raw.finish().await?.status, Some(0));
    Ok(())
}

/// With its result, or with the word that it was broken off.
#[tokio::test]
async fn a_call_in_flight_is_answered_at_the_end() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let call = json!({ "name": "list_nodes", "arguments": {} });
    for (fault, ended) in [
        (json!({ "kind": "latency", "ms": 20 }), false),
        (json!({ "kind": "hang" }), true),
    ] {
        let mut raw = sim.host()?.raw()?;
        raw.initialize().await?;
        raw.request("tools/call", call.clone()).await?;
        let before = sim.served().await?;
        sim.fault(fault.clone()).await?;
        raw.send_json(json!({
            "jsonrpc": "2.0", "id": "last", "method": "tools/call", "params": call,
        }))
        .await?;
        sim.serves_more_than(before).await?;
        raw.hang_up();
        let answer = raw.next().await?;
        assert_eq!(answer["id"], "last", "{answer}");
        let text = answer["result"]["content"].to_string();
        let done = answer["result"]["structuredContent"].is_object();
        assert!(!(done && ended), "{fault}: {answer}");
        assert!(done || text.contains("ending"), "{fault}: {answer}");
        let output = raw.finish().await?;
        assert_eq!(output.status, Some(0), "{output:?}");
    }
    Ok(())
}

/// How to end a host-runner.
#[derive(Debug, Clone, Copy)]
enum End {
    HangUp,
    Signal(&'static str),
}

/// A client that does not read keeps nothing from ending: not the end of
/// stdin, not a signal, with answers waiting and a call under way.
#[tokio::test]
async fn a_client_that_does_not_read_does_not_delay_the_end() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    for end in [End::HangUp, End::Signal("TERM"), End::Signal("INT")] {
        for calls in [false, true] {
            let mut raw = sim.host()?.raw()?;
            raw.initialize().await?;
            raw.request("tools/list", json!({})).await?;
            // More than any pipe holds, and less than the server keeps for a
            // client that does not read.
            for id in 0..20 {
                let list = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/list" });
                raw.send_json(list).await?;
            }
            // The end of stdin is noticed behind all that, too.
            if calls {
                let before = sim.served().await?;
                sim.fault(json!({ "kind": "hang" })).await?;
                raw.send_json(json!({
                    "jsonrpc": "2.0", "id": "last", "method": "tools/call",
                    "params": { "name": "list_nodes", "arguments": {} },
                }))
                .await?;
                sim.serves_more_than(before).await?;
            }
            match end {
                End::HangUp => raw.hang_up(),
                End::Signal(name) => raw.signal(name)?,
            }
            let output = raw.ended_unread().await?;
            assert_eq!(output.status, Some(0), "{end:?}: {output:?}");
            sim.clear_faults().await?;
        }
    }
    Ok(())
}

/// What is answered and not read is bounded: of a client that does not read,
/// nothing more is read. When it does, it gets all of its answers.
#[tokio::test]
async fn unread_answers_are_bounded() -> anyhow::Result<()> {
    const LISTS: u64 = 900;
    let sim = Sim::start().await?;
    let mut raw = sim.host()?.raw()?;
    raw.initialize().await?;
    raw.request("tools/list", json!({})).await?;
    let idle = raw.memory("VmRSS:")?;
    // They fit into the pipe, so that nothing holds this up.
    for id in 0..LISTS {
        raw.send(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list"}}"#
        ))
        .await?;
    }
    raw.logged("does not read what it is sent").await?;
    for _ in 0..LISTS {
        let answer = raw.next().await?;
        assert!(answer["result"]["tools"].is_array(), "{answer}");
    }
    // The lists have some 100 KiB each.
    let peak = raw.memory("VmHWM:")?.saturating_sub(idle);
    assert!(peak < 256 << 20, "{} MiB", peak >> 20);
    let output = raw.finish().await?;
    assert_eq!(output.status, Some(0), "{output:?}");
    Ok(())
}

/// What a client sends is bounded, too: a line has so many bytes and values, and
/// what all calls hold has an end. Whoever sends more is told the limit.
#[tokio::test]
async fn messages_from_the_client_are_bounded() -> anyhow::Result<()> {
    const CALLS: usize = 16;
    let sim = Sim::start().await?;
    let mut raw = sim.host()?.raw()?;
    raw.initialize().await?;
    let call = |id: usize, value: &Value| {
        json!({
            "jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": { "name": "list_guests", "arguments": { "x": value } },
        })
    };
    // As large as a file or what a command reads may be.
    raw.send_json(call(0, &json!("x".repeat(300_000)))).await?;
    let answer = raw.next().await?;
    assert!(answer["result"].is_object(), "{answer}");
    let idle = raw.memory("VmRSS:")?;
    for (value, says) in [
        (json!(vec![0; 500_000]), Some("10000 JSON values")),
        (json!("x".repeat(4 << 20)), Some("1048576 bytes")),
        (json!("x".repeat(1_000_000)), None),
        (json!(vec![json!([]); 4_500]), None),
    ] {
        for id in 0..CALLS {
            raw.send_json(call(id, &value)).await?;
        }
        let mut ids = std::collections::BTreeSet::new();
        for _ in 0..CALLS {
            let answer = raw.next().await?;
            ids.insert(answer["id"].as_u64());
            let error = answer["error"]["message"].as_str();
            match (says, error) {
                (Some(says), error) => {
                    assert!(error.is_some_and(|error| error.contains(says)), "{answer}")
                }
                (None, Some(error)) => assert!(error.contains("16 MiB"), "{answer}"),
                (None, None) => assert!(answer["result"].is_object(), "{answer}"),
            }
        }
        assert_eq!(ids.len(), CALLS, "{ids:?}");
    }
    // A notification is not answered and takes no memory.
    for _ in 0..4 {
        let params = json!({ "x": vec![0; 500_000] });
        let notification =
            json!({ "jsonrpc": "2.0", "method": "notifications/x", "params": params });
        raw.send_json(notification).await?;
    }
    let answer = raw.request("ping", json!({})).await?;
    assert_eq!(answer["result"], json!({}), "{answer}");
    let peak = raw.memory("VmHWM:")?.saturating_sub(idle);
    assert!(peak < 128 << 20, "{} MiB", peak >> 20);
    assert_eq!(raw.finish().await?.status, Some(0));
    Ok(())
}

/// With stdin open, a signal ends it in order.
#[tokio::test]
async fn a_signal_ends_the_process() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    for name in ["TERM", "INT"] {
        let mut raw = sim.host()?.raw()?;
        raw.initialize().await?;
        raw.signal(name)?;
        let output = raw.ended().await?;
        assert_eq!(output.status, Some(0), "{name}: {output:?}");
    }
    Ok(())
}

/// A node that never answers does not keep the process from ending.
#[tokio::test]
async fn a_call_that_hangs_does_not_delay_the_end() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let mut raw = sim.host()?.raw()?;
    raw.initialize().await?;
    sim.fault(json!({ "kind": "hang" })).await?;
    raw.send_json(json!({
        "jsonrpc": "2.0", "id": 7, "method": "tools/call",
        "params": { "name": "list_nodes", "arguments": {} },
    }))
    .await?;
    let output = raw.finish().await?;
    assert_eq!(output.status, Some(0), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn many_calls_at_once_are_all_answered() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let mut calls = Vec::new();
    for number in 0..100 {
        let (tool, arguments) = match number % 4 {
            0 => ("list_nodes", json!({})),
            1 => ("list_guests", json!({ "limit": 1 })),
            2 => ("list_storage", json!({})),
            _ => ("get_guest", json!({ "vmid": 1 })),
        };
        calls.push((number, client.start(tool, arguments).await?));
    }
    for (number, call) in calls {
        let answer = serde_json::to_value(call.await_response().await?)?;
        // Each its own answer, errors included.
        let key = ["nodes", "guests", "storages"].get(number % 4);
        match key {
            Some(key) => assert!(
                answer["structuredContent"][*key].is_array(),
                "{key}: {answer}"
            ),
            None => assert_eq!(answer["isError"], true, "{answer}"),
        }
    }
    assert_eq!(client.finish().await?.status, Some(0));
    Ok(())
}

/// After a cancel nothing more is said of that request.
#[tokio::test]
async fn a_cancelled_call_is_not_answered() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let mut raw = sim.host()?.raw()?;
    raw.initialize().await?;
    sim.fault(json!({ "kind": "hang" })).await?;
    raw.send_json(json!({
        "jsonrpc": "2.0", "id": "gone", "method": "tools/call",
        "params": { "name": "list_nodes", "arguments": {} },
    }))
    .await?;
    sim.serves_more_than(0).await?;
    raw.send_json(json!({
        "jsonrpc": "2.0", "method": "notifications/cancelled",
        "params": { "requestId": "gone", "reason": "the user said so" },
    }))
    .await?;
    let answer = raw
        .request(
            "tools/call",
            json!({ "name": "list_nodes", "arguments": {} }),
        )
        .await?;
    assert!(
        answer["result"]["structuredContent"].is_object(),
        "{answer}"
    );
    let output = raw.finish().await?;
    assert_eq!(output.status, Some(0), "{output:?}");
    assert!(!output.stdout.contains("\"gone\""), "{}", output.stdout);
    Ok(())
}

#[tokio::test]
async fn ids_are_returned_unchanged() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let mut raw = sim.host()?.raw()?;
    raw.initialize().await?;
    for id in [json!(0), json!("a"), json!("1"), json!(4_294_967_296_u64)] {
        raw.send_json(json!({ "jsonrpc": "2.0", "id": id, "method": "ping" }))
            .await?;
        assert_eq!(raw.next().await?["id"], id);
    }
    Ok(())
}
