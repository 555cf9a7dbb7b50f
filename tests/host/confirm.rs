//! Asking the user before a change, in both protocol eras.

use harness::{Client, Era, Sim, User, assert_says};
use serde_json::{Value, json};

const ERAS: [Era; 2] = [Era::Legacy, Era::Stateless];

async fn client(sim: &Sim, confirm: &str, era: Era, user: User) -> anyhow::Result<Client> {
    let host = sim.host()?.args(["--confirm", confirm]);
    host.connect_with(era, user).await
}

fn vm(vmid: u32) -> Value {
    json!({ "vmid": vmid })
}

#[tokio::test]
async fn consent_makes_the_change() -> anyhow::Result<()> {
    for era in ERAS {
        let sim = Sim::start().await?;
        let client = client(&sim, "destructive", era, User::Agrees).await?;
        let report = client.call("stop_guest", vm(103)).await?;
        assert_eq!(report["status"], "done", "{report:#}");
        let questions = client.questions();
        assert_eq!(questions.len(), 1, "{questions:?}");
        let question = questions.first().map(String::as_str).unwrap_or_default();
        assert_says(
            question,
            &["stop_guest", "POST /nodes/pve1/qemu/103/status/shutdown"],
        );
        // A change that interrupts no guest is not asked about.
        client.call("start_guest", vm(103)).await?;
        client.call("list_guests", json!({})).await?;
        assert_eq!(client.questions().len(), 1);
        assert_eq!(sim.writes()?.len(), 2);
    }
    Ok(())
}

#[tokio::test]
async fn a_refusal_changes_nothing() -> anyhow::Result<()> {
    for era in ERAS {
        let sim = Sim::start().await?;
        let client = client(&sim, "writes", era, User::Declines).await?;
        let error = client.error("start_guest", vm(201)).await?;
        assert!(error.contains("did not agree"), "{error}");
        assert_eq!(client.questions().len(), 1);
        client.call("list_guests", json!({})).await?;
        assert_eq!(sim.writes()?.len(), 0);
    }
    Ok(())
}

#[tokio::test]
async fn a_client_that_cannot_ask_is_refused_unless_the_operator_says_otherwise()
-> anyhow::Result<()> {
    for era in ERAS {
        let sim = Sim::start().await?;
        let refused = client(&sim, "destructive", era, User::Absent).await?;
        let error = refused.error("stop_guest", vm(103)).await?;
        assert!(error.contains("rule confirm"), "{error}");
        assert!(error.contains("confirm_fallback"), "{error}");
        assert_eq!(sim.writes()?.len(), 0);

        let host = sim.host()?;
        let host = host.args(["--confirm=destructive", "--confirm-fallback=allow"]);
        let allowed = host.connect_as(era).await?;
        allowed.call("stop_guest", vm(103)).await?;
        assert_eq!(sim.writes()?.len(), 1);
    }
    Ok(())
}

/// The answer counts for the very call that was asked about.
#[tokio::test]
async fn an_answer_cannot_be_used_for_another_call() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let mut raw = sim.host()?.arg("--confirm=writes").raw()?;
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": { "elicitation": {} },
    });
    let call = |vmid: u32, more: Value| {
        let mut params = json!({
            "_meta": meta,
            "name": "stop_guest",
            "arguments": { "vmid": vmid },
        });
        if let (Some(params), Some(more)) = (params.as_object_mut(), more.as_object()) {
            params.extend(more.clone());
        }
        params
    };
    let asked = raw.request("tools/call", call(103, json!({}))).await?;
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked:#}");
    let state = asked["result"]["requestState"].clone();
    let yes = json!({ "confirm": { "action": "accept", "content": {} } });
    // Another guest, a state that was tampered with, none at all: asked anew.
    let mut tampered = state.as_str().unwrap_or_default().to_owned();
    let other = if tampered.ends_with('A') { "B" } else { "A" };
    tampered.replace_range(tampered.len() - 1.., other);
    let attempts = [
        (100, state.clone()),
        (103, json!(tampered)),
        (103, json!("")),
    ];
    for (vmid, state) in attempts {
        let more = json!({ "requestState": state, "inputResponses": yes });
        let again = raw.request("tools/call", call(vmid, more)).await?;
        assert_ne!(again["result"]["resultType"], "complete", "{again:#}");
    }
    assert_eq!(sim.writes()?.len(), 0);
    let more = json!({ "requestState": state, "inputResponses": yes });
    let done = raw.request("tools/call", call(103, more)).await?;
    assert_eq!(done["result"]["resultType"], "complete", "{done:#}");
    assert_eq!(sim.writes()?.len(), 1);
    Ok(())
}

/// A raw client of the newer era, which answers what it likes.
fn call(name: &str, arguments: Value, answer: Option<(&Value, &str)>) -> Value {
    let mut params = json!({
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
            "io.modelcontextprotocol/clientCapabilities": { "elicitation": {} },
        },
        "name": name,
        "arguments": arguments,
    });
    if let (Some((state, action)), Some(params)) = (answer, params.as_object_mut()) {
        params.insert("requestState".to_owned(), state.clone());
        params.insert(
            "inputResponses".to_owned(),
            json!({ "confirm": { "action": action, "content": {} } }),
        );
    }
    params
}

#[tokio::test]
async fn consent_counts_once() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let mut raw = sim.host()?.arg("--confirm=writes").raw()?;
    let stop = || json!({ "vmid": 103 });
    let asked = raw
        .request("tools/call", call("stop_guest", stop(), None))
        .await?;
    let state = &asked["result"]["requestState"];
    let yes = || call("stop_guest", stop(), Some((state, "accept")));
    let done = raw.request("tools/call", yes()).await?;
    assert_eq!(done["result"]["resultType"], "complete", "{done:#}");
    assert_eq!(sim.writes()?.len(), 1);
    // The guest runs again, so that it can be stopped.
    let starter = sim.host()?.connect().await?;
    starter.call("start_guest", vm(103)).await?;
    let again = raw.request("tools/call", yes()).await?;
    assert_eq!(again["result"]["resultType"], "input_required", "{again:#}");
    assert_eq!(sim.writes()?.len(), 2);
    Ok(())
}

/// A call that waits for its user holds up none of the others, and only so many
/// can wait.
#[tokio::test]
async fn calls_that_wait_for_consent_do_not_delay_others() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let host = sim.host()?.args(["--confirm=writes", "--concurrency=1"]);
    let mut raw = host.raw()?;
    let stop = || call("stop_guest", json!({ "vmid": 103 }), None);
    let mut asked = Vec::new();
    for _ in 0..8 {
        let answer = raw.request("tools/call", stop()).await?;
        assert_eq!(
            answer["result"]["resultType"], "input_required",
            "{answer:#}"
        );
        asked.push(answer["result"]["requestState"].clone());
    }
    let list = raw
        .request("tools/call", call("list_guests", json!({}), None))
        .await?;
    assert_eq!(list["result"]["resultType"], "complete", "{list:#}");
    let ninth = raw.request("tools/call", stop()).await?;
    let text = ninth["result"]["content"][0]["text"]
        .as_str()
        .unwrap_or_default();
    assert!(
        text.contains("already wait for the user's answer"),
        "{ninth:#}"
    );
    assert_eq!(sim.writes()?.len(), 0);
    let yes = call(
        "stop_guest",
        json!({ "vmid": 103 }),
        Some((&asked[3], "accept")),
    );
    let done = raw.request("tools/call", yes).await?;
    assert_eq!(done["result"]["resultType"], "complete", "{done:#}");
    assert_eq!(sim.writes()?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn each_change_of_a_call_is_asked_about() -> anyhow::Result<()> {
    let settings = json!({ "vmid": 100, "user": "ops" });
    for era in ERAS {
        let sim = Sim::start().await?;
        let client = client(&sim, "writes", era, User::Agrees).await?;
        client.call("set_cloud_init", settings.clone()).await?;
        let questions = client.questions();
        assert_eq!(questions.len(), sim.writes()?.len(), "{questions:?}");
        assert!(questions.len() >= 2, "{questions:?}");
    }

    // Consent to the first change is not consent to the second.
    let sim = Sim::start().await?;
    let mut raw = sim.host()?.arg("--confirm=writes").raw()?;
    let first = call("set_cloud_init", settings.clone(), None);
    let first = raw.request("tools/call", first).await?;
    let state = &first["result"]["requestState"];
    let yes = call("set_cloud_init", settings.clone(), Some((state, "accept")));
    let second = raw.request("tools/call", yes).await?;
    assert_eq!(
        second["result"]["resultType"], "input_required",
        "{second:#}"
    );
    assert_eq!(sim.writes()?.len(), 1);
    let state = &second["result"]["requestState"];
    let no = call("set_cloud_init", settings, Some((state, "decline")));
    let declined = raw.request("tools/call", no).await?;
    assert_eq!(declined["result"]["isError"], true, "{declined:#}");
    let text = declined["result"]["content"][0]["text"]
        .as_str()
        .unwrap_or_default();
    assert!(text.contains("did not agree"), "{text}");
    assert!(text.contains("earlier changes"), "{text}");
    assert_eq!(sim.writes()?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn the_question_shows_the_whole_command() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let host = sim
        .admin()?
        .args(["--allow-tool=run_in_guest", "--confirm=writes"]);
    let client = host.connect_with(Era::Legacy, User::Declines).await?;
    let line = "mysqldump -pHush1 shop > /srv/shop.sql && rm -rf /srv/old";
    let arguments = json!({ "vmid": 100, "command": ["/bin/sh", "-c", line] });
    client.error("run_in_guest", arguments).await?;
    let questions = client.questions().join("\n");
    assert_says(
        &questions,
        &[
            "command = \"/bin/sh\"",
            "command = \"-c\"",
            // Nor what looks like a password: it may be the part that takes effect.
            "mysqldump -pHush1 shop > /srv/shop.sql && rm -rf /srv/old",
        ],
    );
    assert_eq!(sim.writes()?.len(), 0);
    Ok(())
}

/// To look at a file of the internet, a node sends a request there.
#[tokio::test]
async fn a_node_requests_no_url_before_the_user_has_seen_it() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = client_of_an_admin(&sim).await?;
    let url = "https://example.com/images/debian-13-generic-amd64.iso";
    let arguments = json!({ "url": url, "storage": "local" });
    client.error("download_iso", arguments).await?;
    let questions = client.questions();
    let first = questions.first().map(String::as_str).unwrap_or_default();
    assert!(first.contains("GET /nodes/"), "{questions:?}");
    assert!(first.contains(url), "{questions:?}");
    let requests = sim.requests()?;
    let asked = |one: &Value| {
        one["path"]
            .as_str()
            .is_some_and(|path| path.contains("url"))
    };
    assert!(!requests.iter().any(asked), "{requests:?}");
    Ok(())
}

async fn client_of_an_admin(sim: &Sim) -> anyhow::Result<Client> {
    let host = sim.admin()?.arg("--confirm=writes");
    host.connect_with(Era::Legacy, User::Declines).await
}
