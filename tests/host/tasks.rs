//! Long calls as tasks: the extension `io.modelcontextprotocol/tasks`.

use std::time::Duration;

use anyhow::{Context as _, bail};
use harness::{PATIENCE, Raw, Sim, assert_says};
use serde_json::{Value, json};

/// What a client of the newer era sends with each request, if it knows tasks or not.
fn meta(extensions: Value) -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {
            "elicitation": {},
            "extensions": extensions,
        },
    })
}

fn with_tasks(mut params: Value) -> Value {
    if let Value::Object(fields) = &mut params {
        let meta = meta(json!({ "io.modelcontextprotocol/tasks": {} }));
        fields.insert("_meta".to_owned(), meta);
    }
    params
}

/// A member of an object; null where there is none.
fn member<'a>(value: &'a Value, name: &str) -> &'a Value {
    value.get(name).unwrap_or(&Value::Null)
}

fn call(tool: &str, arguments: Value) -> Value {
    with_tasks(json!({ "name": tool, "arguments": arguments }))
}

/// The answer to a request about a task.
async fn about(raw: &mut Raw, method: &str, id: &str) -> anyhow::Result<Value> {
    raw.request(method, with_tasks(json!({ "taskId": id })))
        .await
}

/// A simulated cluster whose tasks end when the time is moved on.
async fn slow() -> anyhow::Result<Sim> {
    Sim::options().arg("--task-seconds=3600").start().await
}

/// The task that a call has become.
async fn begun(raw: &mut Raw, tool: &str, arguments: Value) -> anyhow::Result<Value> {
    let answer = raw.request("tools/call", call(tool, arguments)).await?;
    let task = member(&answer, "result");
    assert_eq!(member(task, "resultType"), "task", "{answer:#}");
    Ok(task.clone())
}

fn id(task: &Value) -> &str {
    member(task, "taskId").as_str().unwrap_or_default()
}

/// A task once it has this status.
async fn once(raw: &mut Raw, id: &str, status: &str) -> anyhow::Result<Value> {
    let poll = async {
        loop {
            let answer = about(raw, "tasks/get", id).await?;
            let task = member(&answer, "result");
            assert_eq!(member(task, "resultType"), "complete", "{answer:#}");
            match member(task, "status").as_str() {
                Some(now) if now == status => return Ok(task.clone()),
                Some("working") => {}
                _ => bail!("not {status}: {answer:#}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, poll)
        .await
        .with_context(|| format!("the task does not become {status}"))?
}

/// The code and the message of an error.
fn error(answer: &Value) -> (i64, String) {
    let error = member(answer, "error");
    let message = member(error, "message").as_str().unwrap_or_default();
    let code = member(error, "code").as_i64().unwrap_or_default();
    (code, message.into())
}

fn text(result: &Value) -> &str {
    let text = result.pointer("/content/0/text");
    text.and_then(Value::as_str).unwrap_or_default()
}

#[tokio::test]
async fn a_long_call_is_answered_with_a_task() -> anyhow::Result<()> {
    let mut sim = slow().await?;
    let mut raw = sim.host()?.raw()?;
    let discovered = raw
        .request("server/discover", with_tasks(json!({})))
        .await?;
    let extensions = &discovered["result"]["capabilities"]["extensions"];
    assert_eq!(
        extensions["io.modelcontextprotocol/tasks"],
        json!({}),
        "{discovered:#}"
    );

    let task = begun(&mut raw, "start_guest", json!({ "vmid": 201 })).await?;
    assert_eq!(task["status"], "working", "{task:#}");
    assert_eq!(task["pollIntervalMs"], 1000, "{task:#}");
    assert!(task["ttlMs"].as_u64() >= Some(3_600_000), "{task:#}");
    assert!(task["createdAt"].is_string() && task["lastUpdatedAt"].is_string());
    assert_says(
        task["statusMessage"].as_str().unwrap_or_default(),
        &["start", "201"],
    );
    let upid = task["_meta"]["proxmox-mcp/upid"]
        .as_str()
        .unwrap_or_default();
    assert!(upid.starts_with("UPID:pve1:"), "{task:#}");
    assert!(id(&task).ends_with(upid), "{task:#}");

    let now = once(&mut raw, id(&task), "working").await?;
    assert_eq!(now["taskId"], task["taskId"]);
    assert_eq!(now["createdAt"], task["createdAt"]);
    assert!(now.get("result").is_none(), "{now:#}");
    assert_eq!(now["_meta"]["proxmox-mcp/upid"], upid);

    sim.advance(3600).await?;
    let ended = once(&mut raw, id(&task), "completed").await?;
    let result = &ended["result"];
    assert_ne!(result["isError"], true, "{ended:#}");
    assert_eq!(result["structuredContent"]["status"], "done", "{ended:#}");
    assert_eq!(result["structuredContent"]["upid"], upid);
    // It can be asked for again, and there is nothing left to cancel.
    let ack = about(&mut raw, "tasks/cancel", id(&task)).await?;
    assert_eq!(ack["result"], json!({ "resultType": "complete" }), "{ack}");
    once(&mut raw, id(&task), "completed").await?;
    assert_eq!(sim.writes()?.len(), 1);
    assert_eq!(raw.finish().await?.status, Some(0));
    Ok(())
}

#[tokio::test]
async fn a_call_that_fails_is_a_completed_task_with_an_error() -> anyhow::Result<()> {
    let mut sim = slow().await?;
    let mut raw = sim.host()?.raw()?;
    let failure = "startup for container '201' failed";
    sim.control(json!({ "cmd": "fault", "task": "vzstart", "error": failure }))
        .await?;
    let task = begun(&mut raw, "start_guest", json!({ "vmid": 201 })).await?;
    sim.advance(3600).await?;
    let ended = once(&mut raw, id(&task), "completed").await?;
    assert_eq!(ended["result"]["isError"], true, "{ended:#}");
    assert!(ended["result"].get("structuredContent").is_none());
    assert!(ended.get("error").is_none(), "{ended:#}");
    assert_says(text(&ended["result"]), &["startup for container", "UPID:"]);
    Ok(())
}

#[tokio::test]
async fn who_does_not_know_tasks_gets_results() -> anyhow::Result<()> {
    let sim = slow().await?;
    let mut raw = sim.host()?.arg("--wait-seconds=3").raw()?;
    // A quick call is answered at once in any case.
    let list = raw
        .request("tools/call", call("list_guests", json!({})))
        .await?;
    assert_eq!(list["result"]["resultType"], "complete", "{list:#}");

    let params = json!({
        "_meta": meta(json!({})),
        "name": "start_guest",
        "arguments": { "vmid": 201 },
    });
    let answer = raw.request("tools/call", params).await?;
    let result = &answer["result"];
    assert_eq!(result["resultType"], "complete", "{answer:#}");
    assert_eq!(result["structuredContent"]["status"], "running");

    for method in ["tasks/get", "tasks/cancel", "tasks/update"] {
        let params = json!({ "_meta": meta(json!({})), "taskId": "x", "inputResponses": {} });
        let answer = raw.request(method, params).await?;
        assert_eq!(error(&answer).0, -32021, "{method}: {answer:#}");
        let required = &answer["error"]["data"]["requiredCapabilities"]["extensions"];
        assert!(
            required["io.modelcontextprotocol/tasks"].is_object(),
            "{answer:#}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_task_of_an_older_session_is_not_offered() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let mut raw = sim.host()?.raw()?;
    let greeting = raw.initialize().await?;
    let extensions = &greeting["result"]["capabilities"]["extensions"];
    assert!(
        extensions.get("io.modelcontextprotocol/tasks").is_none(),
        "{greeting:#}"
    );
    Ok(())
}

#[tokio::test]
async fn unknown_tasks_are_refused() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let mut raw = sim.host()?.raw()?;
    let secret = "0123456789abcdef0123456789abcdef";
    let upid = "UPID:pve1:000FFFFF:000A73C7:6B02DAF4:vzstart:200:root@pam!full:";
    for id in [
        "".to_owned(),
        secret.to_owned(),
        upid.to_owned(),
        // A tool that changes something follows nothing.
        format!("{secret}.stop_task.{upid}"),
        format!("{secret}.no_such_tool.{upid}"),
        format!("{secret}.wait_task.100"),
        "x".repeat(100_000),
    ] {
        for method in ["tasks/get", "tasks/cancel"] {
            let (code, message) = error(&about(&mut raw, method, &id).await?);
            assert_eq!(code, -32602, "{method}: {message}");
            assert_says(&message, &["unknown task", "60 minutes", "UPID"]);
            assert!(message.len() < 1000, "{message}");
        }
    }
    let (code, message) = error(&raw.request("tasks/get", with_tasks(json!({}))).await?);
    assert_eq!(code, -32602, "{message}");
    assert_eq!(sim.served().await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_cancelled_task_says_what_still_runs() -> anyhow::Result<()> {
    let sim = slow().await?;
    let mut raw = sim.host()?.raw()?;
    let task = begun(&mut raw, "start_guest", json!({ "vmid": 201 })).await?;
    let upid = task["_meta"]["proxmox-mcp/upid"]
        .as_str()
        .unwrap_or_default();
    let ack = about(&mut raw, "tasks/cancel", id(&task)).await?;
    assert_eq!(ack["result"], json!({ "resultType": "complete" }), "{ack}");
    let cancelled = once(&mut raw, id(&task), "cancelled").await?;
    assert!(cancelled.get("result").is_none(), "{cancelled:#}");
    assert_says(
        cancelled["statusMessage"].as_str().unwrap_or_default(),
        &[upid, "wait_task", "stop_task", "no longer followed"],
    );
    assert_eq!(cancelled["_meta"]["proxmox-mcp/upid"], upid);
    // The task itself was left alone.
    let running = call("get_task", json!({ "upid": upid }));
    let running = raw.request("tools/call", running).await?;
    assert_eq!(running["result"]["structuredContent"]["status"], "running");
    assert_eq!(sim.writes()?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_task_asks_for_consent() -> anyhow::Result<()> {
    for (action, writes) in [("accept", 2), ("decline", 1)] {
        let mut sim = slow().await?;
        let mut raw = sim.host()?.arg("--confirm=writes").raw()?;
        let arguments = json!({ "vmid": 100, "cores": 1, "safe": true });
        // The snapshot is asked about before the call takes long.
        let mut params = call("set_guest_resources", arguments);
        let asked = raw.request("tools/call", params.clone()).await?;
        let asked = &asked["result"];
        assert_eq!(asked["resultType"], "input_required", "{asked:#}");
        params["requestState"] = asked["requestState"].clone();
        params["inputResponses"] = json!({ "confirm": { "action": "accept", "content": {} } });
        let task = raw.request("tools/call", params).await?["result"].clone();
        assert_eq!(task["resultType"], "task", "{task:#}");
        assert_eq!(sim.writes()?.len(), 1);

        // The change itself is asked about by the task.
        sim.advance(3600).await?;
        let asks = once(&mut raw, id(&task), "input_required").await?;
        let question = &asks["inputRequests"]["confirm-1"];
        assert_eq!(question["method"], "elicitation/create", "{asks:#}");
        let message = question["params"]["message"].as_str().unwrap_or_default();
        assert_says(message, &["set_guest_resources", "cores"]);
        let update = |answers: Value| {
            with_tasks(json!({ "taskId": task["taskId"], "inputResponses": answers }))
        };
        // What is not asked is ignored, and what is no answer is refused.
        let other = json!({ "confirm": { "action": "accept", "content": {} } });
        let ack = raw.request("tasks/update", update(other)).await?;
        assert_eq!(ack["result"], json!({ "resultType": "complete" }), "{ack}");
        let broken = json!({ "confirm-1": "yes" });
        let refused = raw.request("tasks/update", update(broken)).await?;
        assert_eq!(error(&refused).0, -32602, "{refused:#}");
        once(&mut raw, id(&task), "input_required").await?;
        assert_eq!(sim.writes()?.len(), 1);

        let answer = json!({ "confirm-1": { "action": action, "content": {} } });
        let ack = raw.request("tasks/update", update(answer)).await?;
        assert_eq!(ack["result"], json!({ "resultType": "complete" }), "{ack}");
        let mut now = about(&mut raw, "tasks/get", id(&task)).await?;
        while now["result"]["status"] == "working" {
            sim.advance(60).await?;
            now = about(&mut raw, "tasks/get", id(&task)).await?;
        }
        let result = &now["result"]["result"];
        assert_eq!(now["result"]["status"], "completed", "{now:#}");
        assert_eq!(result["isError"] == true, action == "decline", "{now:#}");
        if action == "decline" {
            assert_says(text(result), &["did not agree"]);
        }
        assert_eq!(sim.writes()?.len(), writes);
    }
    Ok(())
}

/// A backup takes hours, and each look at it a few requests.
#[tokio::test]
async fn a_task_is_looked_at_as_often_as_it_takes() -> anyhow::Result<()> {
    const REQUESTS: u64 = 8;
    let mut sim = slow().await?;
    let limit = format!("--call-requests={REQUESTS}");
    let mut raw = sim.host()?.arg(&limit).raw()?;
    let task = begun(&mut raw, "start_guest", json!({ "vmid": 201 })).await?;
    let looks = async {
        while sim.served().await? < 3 * REQUESTS {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, looks)
        .await
        .context("the task is no longer looked at")??;
    once(&mut raw, id(&task), "working").await?;
    sim.advance(3600).await?;
    let ended = once(&mut raw, id(&task), "completed").await?;
    assert_ne!(ended["result"]["isError"], true, "{ended:#}");
    Ok(())
}

#[tokio::test]
async fn a_cancelled_task_begins_no_further_step() -> anyhow::Result<()> {
    let mut sim = slow().await?;
    let mut raw = sim.host()?.raw()?;
    // With the snapshot done, the call would go on to the change itself.
    let arguments = json!({ "vmid": 100, "cores": 1, "safe": true });
    let task = begun(&mut raw, "set_guest_resources", arguments).await?;
    about(&mut raw, "tasks/cancel", id(&task)).await?;
    once(&mut raw, id(&task), "cancelled").await?;
    sim.advance(3600).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(sim.writes()?.len(), 1);
    Ok(())
}

/// The id contains what a later process needs.
#[tokio::test]
async fn a_task_survives_a_restart() -> anyhow::Result<()> {
    let mut sim = slow().await?;
    let mut raw = sim.host()?.raw()?;
    let task = begun(&mut raw, "start_guest", json!({ "vmid": 201 })).await?;
    let upid = &task["_meta"]["proxmox-mcp/upid"];
    raw.finish().await?;

    // A process with another scope shows nothing of it.
    let mut elsewhere = sim.host()?.arg("--vmids=100").raw()?;
    let hidden = once(&mut elsewhere, id(&task), "completed").await?;
    assert_eq!(hidden["result"]["isError"], true, "{hidden:#}");
    // Nor does one that offers no tool for it.
    let mut without = sim.host()?.arg("--toolsets=guests").raw()?;
    let refused = about(&mut without, "tasks/get", id(&task)).await?;
    assert_eq!(error(&refused).0, -32602, "{refused:#}");
    assert_says(&error(&refused).1, &["wait_task"]);

    let mut again = sim.host()?.raw()?;
    let now = once(&mut again, id(&task), "working").await?;
    assert_eq!(&now["_meta"]["proxmox-mcp/upid"], upid, "{now:#}");
    sim.advance(3600).await?;
    let ended = once(&mut again, id(&task), "completed").await?;
    assert_eq!(ended["taskId"], task["taskId"]);
    let report = &ended["result"]["structuredContent"];
    assert_eq!(report["status"], "done", "{ended:#}");
    assert_eq!(&report["upid"], upid);
    assert_says(
        ended["statusMessage"].as_str().unwrap_or_default(),
        &["only the result of wait_task", "further steps"],
    );
    assert_eq!(sim.writes()?.len(), 1);
    Ok(())
}

/// Without a place for another task, a call is answered as it is for who knows none.
#[tokio::test]
async fn only_so_many_tasks_run() -> anyhow::Result<()> {
    const MOST: usize = 32;
    let sim = slow().await?;
    let mut raw = sim.host()?.arg("--wait-seconds=5").raw()?;
    let start = call("start_guest", json!({ "vmid": 201, "wait": false }));
    let started = raw.request("tools/call", start).await?;
    let upid = started["result"]["structuredContent"]["upid"].clone();
    for number in 0..=MOST {
        let params = call("wait_task", json!({ "upid": upid }));
        let id = 1000 + number;
        let request =
            json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params });
        raw.send_json(request).await?;
    }
    let (mut tasks, mut results) = (Vec::new(), 0);
    while tasks.len() + results <= MOST {
        let answer = raw.next().await?;
        match answer["result"]["resultType"].as_str() {
            Some("task") => tasks.push(answer["result"].clone()),
            Some("complete") => {
                let report = &answer["result"]["structuredContent"];
                assert_eq!(report["status"], "running", "{answer:#}");
                results += 1;
            }
            _ => bail!("neither a task nor a result: {answer:#}"),
        }
    }
    assert_eq!((tasks.len(), results), (MOST, 1));
    // An id of another process finds no place, and says so.
    let foreign = format!(
        "0123456789abcdef0123456789abcdef.wait_task.{}",
        upid.as_str().unwrap_or_default()
    );
    let (code, message) = error(&about(&mut raw, "tasks/get", &foreign).await?);
    assert_eq!(code, -32603, "{message}");
    assert_says(&message, &["32", "cancel"]);
    // One that has ended makes room.
    let first = tasks.first().map(id).unwrap_or_default();
    about(&mut raw, "tasks/cancel", first).await?;
    once(&mut raw, first, "cancelled").await?;
    once(&mut raw, &foreign, "working").await?;
    // It has ended: it is not followed again by its UPID.
    let (code, message) = error(&about(&mut raw, "tasks/get", first).await?);
    assert_eq!(code, -32602, "{message}");
    assert_says(&message, &["has ended", "no longer kept"]);
    assert_eq!(raw.finish().await?.status, Some(0));
    Ok(())
}
