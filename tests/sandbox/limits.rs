//! What a component may use up: memory, processor time, requests, room for
//! answers.

use anyhow::Context as _;
use harness::hostile::{ends_well, hostile, outcome, paths, start_sim, still_serves};
use harness::{Client, Memory};
use serde_json::{Value, json};

#[tokio::test]
async fn memory_of_a_call_is_limited() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let client = hostile(&sim)?.connect().await?;
    // Either the allocation fails within the component or the call does.
    let result = client.request("grow_memory", json!({})).await??;
    if result.is_error != Some(true) {
        let report = result.structured_content.unwrap_or_default();
        assert_eq!(report["outcome"], "refused", "{report}");
        assert!(report["mebibytes"].as_u64().unwrap() <= 64, "{report}");
    }
    ends_well(client).await
}

/// Many calls at the same time do not together exceed what one may not exceed.
#[tokio::test]
async fn memory_of_many_calls_is_limited() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let client = hostile(&sim)?.connect().await?;
    let mut calls = Vec::new();
    for _ in 0..8 {
        calls.push(client.start("grow_memory", json!({})).await?);
    }
    for call in calls {
        // Each is answered, one way or the other.
        call.await_response().await?;
    }
    ends_well(client).await
}

#[tokio::test]
async fn endless_calls_are_ended() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    for (attack, option, limit) in [
        ("loop_forever", "--cpu-seconds=1", "1 s of processor time"),
        ("sleep_forever", "--call-seconds=1", "longer than 1 s"),
    ] {
        let client = hostile(&sim)?.arg(option).connect().await?;
        let text = client.error(attack, json!({})).await?;
        assert!(
            text.contains(limit),
            "{attack}: the limit is not named: {text}"
        );
        ends_well(client).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_endless_call_can_be_cancelled() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let client = hostile(&sim)?.connect().await?;
    for attack in ["loop_forever", "sleep_forever", "run_forever"] {
        let running = client.start(attack, json!({})).await?;
        running.cancel(Some("enough".to_owned())).await?;
        still_serves(&client).await?;
    }
    // It does not hold up the end either.
    client.start("loop_forever", json!({})).await?;
    let output = client.finish().await?;
    assert_eq!(output.status, Some(0), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn more_endless_calls_than_cores_do_not_stop_the_others() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let client = hostile(&sim)?.connect().await?;
    let mut running = Vec::new();
    // Too few to fill the queue.
    for _ in 0..8 {
        running.push(client.start("loop_forever", json!({})).await?);
    }
    still_serves(&client).await?;
    for call in running {
        call.cancel(None).await?;
    }
    ends_well(client).await
}

#[tokio::test]
async fn results_are_limited_in_size() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let client = hostile(&sim)?.connect().await?;
    for mebibytes in [5, 32] {
        let arguments = json!({ "bytes": mebibytes * 1024 * 1024 });
        let text = client.error("huge_result", arguments).await?;
        assert!(text.len() < 1024, "{} bytes of error", text.len());
    }
    let arguments = json!({ "message": "five ", "times": 1024 * 1024 });
    let text = client.error("fail_with", arguments).await?;
    assert!(text.contains("larger than 1024 KiB"), "{:.200}", text);
    ends_well(client).await
}

/// A component that never ends a task neither holds the client for ever nor
/// makes the host spin, and no garbage of its reaches the protocol.
#[tokio::test]
async fn a_call_that_pends_forever_is_given_up() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let client = hostile(&sim)?.arg("--wait-seconds=2").connect().await?;
    let outcome = outcome(&client, "run_forever", json!({})).await?;
    assert_eq!(outcome, "interim");
    let progress = client.progress();
    assert!(progress.len() < 100, "{} looks in 2 s", progress.len());
    assert!(
        progress.iter().all(|(value, _)| value.is_finite()),
        "{progress:?}"
    );
    ends_well(client).await
}

#[tokio::test]
async fn requests_of_a_call_are_limited() -> anyhow::Result<()> {
    let mut sim = start_sim().await?;
    let client = hostile(&sim)?.arg("--call-requests=40").connect().await?;
    let url = format!("{}/api2/json/version", sim.url);
    let flood = json!({ "url": url, "count": 10_000 });
    let report = client.call("flood", flood).await?;
    assert_eq!(report["answered"], 40, "{report}");
    assert_eq!(sim.served().await?, 40);
    // Each call has its own, and the log is not flooded.
    let report = client.call("send_request", json!({ "url": url })).await?;
    assert_eq!(report["status"], 200, "{report}");
    let said = client.stderr()?.matches("by rule requests").count();
    assert_eq!(said, 1);
    // What is refused counts, too.
    let bad = json!({ "url": format!("{url}/x"), "count": 10_000 });
    client.call("flood", bad).await?;
    assert_eq!(client.stderr()?.matches("refused ").count(), 1 + 40 + 1);
    ends_well(client).await
}

/// So many calls of one attack at once; each is answered, one way or the other.
async fn sixteen(client: &Client, attack: &str, arguments: &Value) -> anyhow::Result<()> {
    let mut calls = Vec::new();
    for _ in 0..16 {
        calls.push(client.start(attack, arguments.clone()).await?);
    }
    for call in calls {
        call.await_response().await.context(attack.to_owned())?;
    }
    Ok(())
}

/// Whatever the host keeps or copies for a component: all of it is bounded, for
/// all calls together. `cargo xtask redteam` runs more of these, and tells how
/// much each takes.
#[tokio::test]
async fn memory_of_the_host_is_limited() -> anyhow::Result<()> {
    let mut sim = start_sim().await?;
    let client = hostile(&sim)?.arg("--call-seconds=3").connect().await?;
    let url = format!("{}/api2/json/version", sim.url);
    sixteen(&client, "count_calls", &json!({})).await?;
    let memory = Memory::idle(&client)?;
    for (attack, arguments) in [
        ("grow_memory", json!({})),
        ("random_bytes", json!({ "bytes": 64 << 20, "count": 1 })),
        ("zeroes", json!({ "bytes": 3_u64 << 30 })),
        ("hoard_streams", json!({ "count": 100_000 })),
        ("hoard_timers", json!({ "count": 100_000 })),
        ("hoard_headers", json!({ "count": 200 })),
        ("hoard_requests", json!({ "count": 200 })),
        ("hoard_bodies", json!({ "url": url, "count": 100_000 })),
        ("huge_result", json!({ "bytes": 32 << 20 })),
        ("huge_result", json!({ "bytes": 1_000_000 })),
        (
            "bomb",
            json!({ "bytes": 8 << 20, "piece": "{},", "end": "0" }),
        ),
        (
            "bomb",
            json!({ "bytes": 72_000, "piece": "{\"\":0},", "end": "0" }),
        ),
        ("many_problems", json!({ "count": 1_000_000 })),
        ("many_lines", json!({ "count": 2_000_000 })),
        (
            "flood_refused",
            json!({
                "url": sim.url, "method": "POST", "count": 50,
                "path": "/api2/json/nodes/pve1/qemu/100/config",
                "body": "FILLERb=1", "filler": "a=&", "bytes": 500_000,
            }),
        ),
        (
            "flood_refused",
            json!({
                "url": sim.url, "method": "GET", "count": 1000,
                "path": "/api2/json/nodes/pve1/FILLER", "filler": "n", "bytes": 6000,
            }),
        ),
    ] {
        sixteen(&client, attack, &arguments).await?;
        memory.check().context(attack)?;
    }
    assert_eq!(sim.served().await?, 0, "{:?}", paths(&sim)?);
    ends_well(client).await
}

/// Answers are counted among it, whether they are taken, left or filtered.
#[tokio::test]
async fn answers_count_towards_the_memory_of_the_host() -> anyhow::Result<()> {
    let mut sim = start_sim().await?;
    let path = "/api2/json/cluster/resources";
    let url = format!("{}{path}", sim.url);
    for scope in [None, Some("--vmids=100")] {
        let host = hostile(&sim)?.arg("--call-seconds=3");
        let client = host.args(scope).connect().await?;
        sixteen(&client, "count_calls", &json!({})).await?;
        let memory = Memory::idle(&client)?;
        let huge = json!({ "kind": "huge", "bytes": 15 << 20, "path": path, "times": 100_000 });
        sim.fault(huge).await?;
        sixteen(&client, "send_request", &json!({ "url": url })).await?;
        sixteen(
            &client,
            "hoard_answers",
            &json!({ "url": url, "count": 100 }),
        )
        .await?;
        memory.check()?;
        sim.clear_faults().await?;
        ends_well(client).await?;
    }
    Ok(())
}

/// A function of the host that is called for ever costs processor time like any
/// other loop.
#[tokio::test]
async fn host_functions_count_towards_processor_time() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let client = hostile(&sim)?.arg("--cpu-seconds=1").connect().await?;
    for on in ["random", "clock", "stderr", "headers", "resources", "polls"] {
        let error = client.error("spin", json!({ "on": on })).await?;
        assert!(error.contains("1 s of processor time"), "{on}: {error}");
    }
    ends_well(client).await
}

/// Calls that take all places and all the processor neither hold up other
/// messages nor the end of the server.
#[tokio::test]
async fn a_busy_server_answers_and_ends() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let host = hostile(&sim)?.args(["--cpu-seconds=100", "--concurrency=32"]);
    let client = host.connect().await?;
    for on in ["random", "clock", "stderr", "headers"].repeat(4) {
        client.start("spin", json!({ "on": on })).await?;
    }
    still_serves(&client).await?;
    let process = client.process_id().context("it has ended")?;
    let killed = std::process::Command::new("kill")
        .args(["-TERM", &process.to_string()])
        .status()?;
    assert!(killed.success());
    let output = client.finish().await?;
    assert_eq!(output.status, Some(0), "{output:?}");
    Ok(())
}

/// What a component says of its tools is bounded like the rest.
#[tokio::test]
async fn the_list_of_tools_is_limited_in_size() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    for kind in [
        "wide-schemas",
        "long-schemas",
        "deep-schemas",
        "many-tools",
        "long-names",
        "many-calls",
    ] {
        // The one setting by which the component learns what to do.
        let host = hostile(&sim)?.env("PROXMOX_TOKEN_ID", kind);
        let output = host.run(&["call", "count_calls"]).await?;
        assert_ne!(output.status, Some(0), "{kind}: {output:?}");
        assert!(output.stderr.contains("component"), "{kind}: {output:?}");
        assert!(output.stderr.len() < 2000, "{kind}");
    }
    Ok(())
}

/// A client is still greeted.
#[tokio::test]
async fn instructions_have_a_size() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    for (kind, instructions) in [("long-instructions", ""), ("short", "Break out.")] {
        let host = hostile(&sim)?.env("PROXMOX_TOKEN_ID", kind);
        let mut raw = host.raw()?;
        let answer = raw.initialize().await?;
        assert_eq!(answer["result"]["instructions"], instructions, "{kind}");
        assert_eq!(raw.finish().await?.status, Some(0), "{kind}");
    }
    Ok(())
}

#[tokio::test]
async fn a_body_that_never_ends_is_never_sent() -> anyhow::Result<()> {
    let mut sim = start_sim().await?;
    let client = hostile(&sim)?.arg("--call-seconds=1").connect().await?;
    let url = format!("{}/api2/json/nodes/pve1/qemu/103/config", sim.url);
    let error = client.error("drip_body", json!({ "url": url })).await?;
    assert!(error.contains("longer than 1 s"), "{error}");
    assert_eq!(sim.served().await?, 0);
    ends_well(client).await
}

#[tokio::test]
async fn the_queue_of_calls_is_limited() -> anyhow::Result<()> {
    let sim = start_sim().await?;
    let client = hostile(&sim)?.arg("--concurrency=1").connect().await?;
    let sleeper = client.start("sleep_forever", json!({})).await?;
    let (told, mut answers) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..400 {
        let call = client.start("count_calls", json!({})).await?;
        let told = told.clone();
        tokio::spawn(async move { told.send(call.await_response().await) });
    }
    drop(told);
    // Calls that came before the sleeper got their turn. Once it sleeps, no
    // call does, and an answer means that the queue was full.
    let mut done = 0;
    let refused = loop {
        let answer = serde_json::to_value(answers.recv().await.unwrap()?)?;
        if answer["isError"] == true {
            break answer;
        }
        assert_eq!(answer["structuredContent"]["calls"], 1, "{answer}");
        done += 1;
    };
    let text = refused["content"][0]["text"].as_str().unwrap_or_default();
    assert!(text.contains("waiting already"), "{text}");
    assert!(text.contains("nothing was done"), "{text}");
    sleeper.cancel(None).await?;
    while let Some(answer) = answers.recv().await {
        let answer = serde_json::to_value(answer?)?;
        done += usize::from(answer["structuredContent"]["calls"] == 1);
    }
    assert!(done >= 256, "{done} of those that waited got their turn");
    ends_well(client).await
}
