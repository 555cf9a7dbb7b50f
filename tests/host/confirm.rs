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

/// The name of a tool and the arguments of a call.
type ToolCall = (&'static str, Value);

const TEMPLATE: &str = "debian-13-standard_13.1-2_amd64.tar.zst";

/// Calls of tools that only make reversible or additive changes.
fn harmless_calls(iso: &str, backup: &Value) -> Vec<ToolCall> {
    let url = "https://cdimage.example.org/images/debian-13-generic-amd64.qcow2";
    vec![
        ("start_guest", vm(201)),
        ("resume_guest", vm(103)),
        (
            "clone_guest",
            json!({ "vmid": 100, "new_vmid": 500, "storage": "bulk" }),
        ),
        (
            "download_template",
            json!({ "template": TEMPLATE, "node": "pve1", "storage": "local" }),
        ),
        (
            "download_iso",
            json!({ "url": url, "node": "pve1", "storage": "local" }),
        ),
        (
            "create_vm",
            json!({ "name": "web09", "iso": iso, "node": "pve1", "storage": "local",
                "disk_size": "1G" }),
        ),
        (
            "create_container",
            json!({ "name": "ct11", "template": TEMPLATE, "node": "pve1", "storage": "local",
                "disk_size": "1G", "password": "hush-hush" }),
        ),
        (
            "restore_backup",
            json!({ "volid": backup, "name": "again", "storage": "local" }),
        ),
        ("set_cloud_init", json!({ "vmid": 100, "user": "ops" })),
        (
            "set_guest_options",
            json!({ "vmid": 103, "description": "asked" }),
        ),
        (
            "resize_disk",
            json!({ "vmid": 200, "disk": "rootfs", "size": "+1G" }),
        ),
        (
            "move_disk",
            json!({ "vmid": 103, "disk": "scsi0", "storage": "bulk" }),
        ),
        ("set_guest_agent", json!({ "vmid": 100, "enabled": false })),
        (
            "create_snapshot",
            json!({ "vmid": 104, "snapshot": "fresh" }),
        ),
    ]
}

/// Changes of a guest's firewall that may cut it off.
fn firewall_calls() -> Vec<ToolCall> {
    vec![
        (
            "add_firewall_rule",
            json!({ "vmid": 103, "direction": "in", "action": "DROP" }),
        ),
        (
            "update_firewall_rule",
            json!({ "vmid": 104, "position": 0, "enabled": false }),
        ),
        (
            "delete_firewall_rule",
            json!({ "vmid": 104, "position": 0 }),
        ),
        (
            "set_firewall_options",
            json!({ "vmid": 103, "enabled": true }),
        ),
    ]
}

/// The other calls of tools that are destructive, apart from `stop_task`.
fn destructive_calls(iso: &str, asleep: Value) -> Vec<ToolCall> {
    vec![
        ("stop_guest", vm(103)),
        ("restart_guest", vm(103)),
        ("suspend_guest", asleep),
        (
            "migrate_guest",
            json!({ "vmid": 200, "target_node": "pve3" }),
        ),
        (
            "evacuate_node",
            json!({ "node": "pve1", "vmids": [200], "plan": false,
                "accept_container_restart": true }),
        ),
        (
            "rollback_snapshot",
            json!({ "vmid": 100, "snapshot": "clean" }),
        ),
        (
            "delete_snapshot",
            json!({ "vmid": 100, "snapshot": "clean" }),
        ),
        ("run_in_guest", json!({ "vmid": 100, "command": ["id"] })),
        (
            "create_backup",
            json!({ "vmid": 100, "storage": "nas", "mode": "stop" }),
        ),
        (
            "set_backup_job",
            json!({ "job": "nightly", "add_vmids": [103], "keep_all": true }),
        ),
        ("set_ha_resource", json!({ "vmid": 104, "max_relocate": 0 })),
        (
            "set_nic",
            json!({ "vmid": 100, "nic": "new", "bridge": "vmbr0" }),
        ),
        (
            "set_guest_resources",
            json!({ "vmid": 200, "memory_mib": 1024 }),
        ),
        ("set_cdrom", json!({ "vmid": 103, "volid": iso })),
        (
            "add_disk",
            json!({ "vmid": 200, "size": "1G", "mount_point": "/srv/data", "storage": "local" }),
        ),
        ("convert_to_template", vm(500)),
    ]
}

async fn stopping_a_task_asks() -> anyhow::Result<()> {
    // A task that has ended is not stopped, so it takes one that runs.
    let slow = Sim::options().arg("--task-seconds=3600").start().await?;
    let starts = json!({ "vmid": 201, "wait": false });
    let started = slow.host()?.connect().await?;
    let started = started.call("start_guest", starts).await?;
    let stops = slow.host()?.arg("--confirm=destructive");
    let stops = stops.connect_with(Era::Legacy, User::Declines).await?;
    let upid = json!({ "upid": started.get("upid") });
    stops.error("stop_task", upid).await?;
    assert_eq!(stops.questions().len(), 1);
    Ok(())
}

/// What the operator wants users to be asked about and what clients ask about by
/// themselves, by a tool's annotations, is the same: a tool is destructive if it can send
/// a request that is.
#[tokio::test]
async fn annotations_and_consent_agree_for_every_tool() -> anyhow::Result<()> {
    let sim = Sim::options().arg("--nodes=pve1,pve3").start().await?;
    let admin = sim.admin()?.connect().await?;
    let host = sim.admin()?;
    let host = host.args(["--allow-tool=run_in_guest", "--confirm=destructive"]);
    let client = host.connect_with(Era::Legacy, User::Declines).await?;
    let asleep = json!({ "vmid": 103, "to_disk": true, "state_storage": "local" });
    admin.call("suspend_guest", asleep.clone()).await?;
    let backup = json!({ "vmid": 100, "storage": "nas" });
    let backup = admin.call("create_backup", backup).await?["volid"].clone();
    let rule = json!({ "vmid": 104, "direction": "in", "action": "ACCEPT", "macro": "HTTPS" });
    admin.call("add_firewall_rule", rule).await?;
    let iso = client.first_volume("pve1", "iso").await?;
    let harmless = harmless_calls(&iso, &backup);
    let mut destructive = destructive_calls(&iso, asleep);
    destructive.extend(firewall_calls());

    let hint = |name: &str, hint: &str| -> bool {
        let mut tools = client.tools().iter();
        let tool = tools.find(|tool| tool["name"] == name);
        tool.is_some_and(|tool| tool["annotations"][hint] == true)
    };
    for (tool, arguments) in &harmless {
        assert!(!hint(tool, "destructiveHint"), "{tool}");
        let before = sim.writes()?.len();
        client.call(tool, arguments.clone()).await?;
        assert!(sim.writes()?.len() > before, "{tool} changed nothing");
    }
    assert_eq!(client.questions(), [""; 0]);
    let before = sim.writes()?.len();
    for (tool, arguments) in &destructive {
        assert!(hint(tool, "destructiveHint"), "{tool}");
        let asked = client.questions().len();
        let answer = client.answer(tool, arguments.clone()).await?;
        let has_asked = client.questions().len() > asked;
        assert!(has_asked, "{tool} does not ask: {answer:?}");
    }
    assert_eq!(sim.writes()?.len(), before);

    stopping_a_task_asks().await?;

    let mut tried: Vec<_> = harmless
        .iter()
        .chain(&destructive)
        .map(|one| one.0)
        .collect();
    tried.push("stop_task");
    for tool in client.tools() {
        let name = tool["name"].as_str().unwrap_or_default();
        let is_tried = tried.contains(&name) || hint(name, "readOnlyHint");
        assert!(is_tried, "add a call of {name} to this test");
    }
    Ok(())
}

#[tokio::test]
async fn a_question_says_in_words_what_happens() -> anyhow::Result<()> {
    for (tool, arguments, lines) in [
        (
            "stop_guest",
            vm(103),
            &[
                "stop_guest wants to make a change in Proxmox VE.",
                "Guest: 103, named \"plain01\" in Proxmox VE",
                "Node: pve1",
                "What happens: The guest is shut down.",
                "Possible harm: The guest's services are interrupted.",
                "POST /nodes/pve1/qemu/103/status/shutdown",
            ][..],
        ),
        (
            "rollback_snapshot",
            json!({ "vmid": 100, "snapshot": "clean" }),
            &[
                "Guest: 100, named \"web01\" in Proxmox VE",
                "What happens: The guest goes back to a snapshot.",
                "What cannot be undone: All that the guest has written since the snapshot is lost.",
            ],
        ),
        (
            "set_firewall_options",
            json!({ "vmid": 103, "enabled": true }),
            &[
                "What happens: A firewall is turned on or off, or its policies are changed.",
                "Possible harm: The guest may be cut off from its network.",
                "  enable = \"1\"",
            ],
        ),
    ] {
        let sim = Sim::start().await?;
        let host = sim.admin()?.arg("--confirm=destructive");
        let client = host.connect_with(Era::Stateless, User::Declines).await?;
        client.error(tool, arguments).await?;
        let questions = client.questions();
        let question = questions.first().map(String::as_str).unwrap_or_default();
        for line in lines {
            assert!(
                question.lines().any(|one| one == *line),
                "{line}: {question}"
            );
        }
        assert_eq!(sim.writes()?.len(), 0);
    }
    Ok(())
}

/// Whoever may name a guest could otherwise write lines of the question.
#[tokio::test]
async fn the_name_of_a_guest_is_quoted_in_the_question() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let name = "a\nWhat happens: nothing\u{202e}\u{1b}[2J";
    sim.set_guest(103, json!({ "config": { "name": name } }))
        .await?;
    let client = client(&sim, "destructive", Era::Legacy, User::Declines).await?;
    client.error("stop_guest", vm(103)).await?;
    let questions = client.questions();
    let question = questions.first().map(String::as_str).unwrap_or_default();
    let of = |start: &str| {
        question
            .lines()
            .filter(|line| line.starts_with(start))
            .count()
    };
    assert_eq!(
        (of("Guest: 103"), of("What happens:")),
        (1, 1),
        "{question}"
    );
    assert!(!question.contains(['\u{202e}', '\u{1b}']), "{question:?}");
    assert!(
        question.contains(r"a\nWhat happens: nothing\u{202e}"),
        "{question}"
    );
    Ok(())
}
