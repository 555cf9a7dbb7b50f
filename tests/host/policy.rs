//! The operator's policy: what the model may not do, whatever it asks.

use std::collections::BTreeSet;

use harness::{HostRunner, Sim, assert_says};
use serde_json::{Value, json};

fn names(tools: &[Value]) -> BTreeSet<&str> {
    tools
        .iter()
        .filter_map(|tool| tool["name"].as_str())
        .collect()
}

fn vmids(list: &Value) -> Vec<u64> {
    let guests = list["guests"].as_array().into_iter().flatten();
    let mut vmids: Vec<_> = guests.filter_map(|guest| guest["vmid"].as_u64()).collect();
    vmids.sort_unstable();
    vmids
}

/// Runs `policy explain` and gives its answer, and whether it allowed.
async fn explain(host: HostRunner, arguments: &[&str]) -> anyhow::Result<(Value, bool)> {
    let arguments = [&["policy", "explain", "-o", "json"], arguments].concat();
    let output = host.run(&arguments).await?;
    let allowed = match output.status {
        Some(0) => true,
        Some(1) => false,
        _ => anyhow::bail!("{output:?}"),
    };
    let answer: Value = serde_json::from_str(&output.stdout)?;
    assert_eq!(answer.get("allowed"), Some(&json!(allowed)), "{answer:#}");
    Ok((answer, allowed))
}

/// The rule of the last decision.
fn rule(answer: &Value) -> &str {
    let requests = answer["requests"].as_array();
    requests
        .and_then(|requests| requests.last()?["rule"].as_str())
        .unwrap_or("none")
}

#[tokio::test]
async fn the_default_policy_loses_no_data() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for (tool, arguments, action) in [
        (
            "stop_guest",
            json!({ "vmid": 100, "mode": "hard" }),
            "hard-stop",
        ),
        (
            "restart_guest",
            json!({ "vmid": 100, "mode": "reset" }),
            "hard-stop",
        ),
    ] {
        let error = client.error(tool, arguments).await?;
        assert!(error.contains("rule actions"), "{error}");
        assert!(error.contains(action), "{error}");
        assert!(error.contains("--preset admin"), "{error}");
    }
    let snapshot = json!({ "vmid": 103, "snapshot": "before" });
    client.call("create_snapshot", snapshot.clone()).await?;
    let error = client.error("rollback_snapshot", snapshot).await?;
    assert!(error.contains("rollback"), "{error}");
    client.call("stop_guest", json!({ "vmid": 103 })).await?;
    assert_eq!(sim.writes()?.len(), 2);

    let client = sim.host()?.arg("--preset=admin").connect().await?;
    let hard = json!({ "vmid": 100, "mode": "hard" });
    client.call("stop_guest", hard).await?;
    assert_eq!(sim.writes()?.len(), 3);
    Ok(())
}

#[tokio::test]
async fn read_only_offers_reads_and_sends_nothing_else() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    for argument in ["--read-only", "--preset=observe"] {
        let client = sim.host()?.arg(argument).connect().await?;
        let writing = client
            .tools()
            .iter()
            .find(|tool| tool["annotations"]["readOnlyHint"] != true);
        assert!(writing.is_none(), "{writing:?}");
        assert!(names(client.tools()).contains("list_guests"));
        let error = client
            .protocol_error("start_guest", json!({ "vmid": 201 }))
            .await?;
        assert!(error.message.contains("only lets reads"), "{error:?}");
        client.call("list_guests", json!({})).await?;
    }
    assert_eq!(sim.writes()?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn toolsets_and_tools_are_chosen() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim
        .host()?
        .arg("--toolsets=guests,nodes")
        .arg("--exclude-tools=get_guest_metrics")
        .connect()
        .await?;
    let listed = names(client.tools());
    assert_eq!(
        listed,
        BTreeSet::from([
            "list_nodes",
            "get_node",
            "list_guests",
            "get_guest",
            "get_guest_network",
        ])
    );
    let error = client
        .protocol_error("get_guest_metrics", json!({}))
        .await?;
    assert!(error.message.contains("chose other tools"), "{error:?}");
    let error = client.protocol_error("stop_guest", json!({})).await?;
    assert!(error.message.contains("toolset \"power\""), "{error:?}");
    let client = sim.host()?.arg("--tools=list_guests").connect().await?;
    assert_eq!(names(client.tools()), BTreeSet::from(["list_guests"]));

    for (argument, named) in [
        ("--toolsets=guest", "perhaps \"guests\""),
        ("--tools=list_guest", "perhaps \"list_guests\""),
        ("--exclude-tools=zzz", "exclude-tools: unknown tool"),
        ("--allow-tool=run_in_guests", "perhaps \"run_in_guest\""),
    ] {
        for arguments in [&["serve"][..], &["call", "list_nodes"]] {
            let output = sim.host()?.arg(argument).run(arguments).await?;
            assert_eq!(output.status, Some(2), "{output:?}");
            assert!(output.stderr.contains(named), "{output:?}");
        }
    }
    Ok(())
}

/// Few enough for clients that pass on only a part of the list. The model learns which
/// tools there could be, and how it comes to them.
#[tokio::test]
async fn toolsets_are_off_unless_they_are_on_by_default_or_chosen() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.arg("--toolsets=default").connect().await?;
    let default = names(client.tools());
    assert!(default.len() <= 40, "{default:?}");
    for tool in [
        "list_guests",
        "start_guest",
        "create_snapshot",
        "diagnose_guest",
    ] {
        assert!(default.contains(tool), "{tool}");
    }
    assert!(!default.contains("audit_firewall"));
    let instructions = client.server_info()?["instructions"].to_string();
    assert_says(
        &instructions,
        &[
            "Toolsets that are off",
            "firewall (audit_firewall, ",
            "--toolsets default,",
        ],
    );
    let error = client.protocol_error("audit_firewall", json!({})).await?;
    assert_says(
        &error.message,
        &["toolset \"firewall\"", "--toolsets default,firewall"],
    );
    assert_eq!(error.code.0, -32602);

    let more = sim
        .host()?
        .arg("--toolsets=default,firewall")
        .connect()
        .await?;
    let more = names(more.tools());
    assert!(
        more.is_superset(&default) && more.contains("audit_firewall"),
        "{more:?}"
    );
    let client = sim.host()?.arg("--toolsets=all").connect().await?;
    assert!(names(client.tools()).is_superset(&more));
    let instructions = client.server_info()?["instructions"].to_string();
    assert!(
        !instructions.contains("Toolsets that are off"),
        "{instructions}"
    );
    // Whoever names a tool turns it on.
    let client = sim
        .host()?
        .args(["--toolsets=all", "--tools=audit_firewall"]);
    assert_eq!(
        names(client.connect().await?.tools()),
        BTreeSet::from(["audit_firewall"])
    );
    // A person at the terminal has all tools.
    let call = ["call", "audit_firewall", r#"{"vmid":100}"#];
    assert_eq!(sim.host()?.run(&call).await?.status, Some(0));
    Ok(())
}

/// Tools whose every change is refused are not offered, unless they can show what they
/// would do.
#[tokio::test]
async fn what_a_preset_never_allows_is_not_offered() -> anyhow::Result<()> {
    let refused = |flag: &str| match flag {
        "--preset=operate" => &[
            "hard-stop",
            "rollback",
            "firewall-delete",
            "template",
            "guest-exec",
            "high-availability",
        ][..],
        _ => &[],
    };
    for flag in [
        "--preset=observe",
        "--preset=operate",
        "--preset=admin",
        "--read-only",
    ] {
        let command = ["tools", "-o", "json", "--toolsets=all", flag];
        let output = HostRunner::new()?.run(&command).await?;
        let tools: Vec<Value> = serde_json::from_str(&output.stdout)?;
        for tool in &tools {
            let name = tool["name"].as_str().unwrap_or_default();
            let is = |pointer: &str| tool.pointer(pointer) == Some(&json!(true));
            let calls = tool["calls"].as_array().into_iter().flatten();
            let mut changes: Vec<&Value> = calls
                .filter(|call| call["actions"] != json!(["read"]))
                .collect();
            // Many tools can stop the task that they start.
            if changes.len() > 1 {
                changes.retain(|call| call["actions"] != json!(["stop-task"]));
            }
            let mut actions = changes
                .iter()
                .flat_map(|call| call["actions"].as_array().into_iter().flatten())
                .filter_map(Value::as_str);
            let reads = is("/annotations/readOnlyHint");
            let expected = if flag == "--preset=observe" || flag == "--read-only" {
                reads
            } else if is("/dangerous") {
                flag == "--preset=admin"
            } else {
                let previews = !tool["inputSchema"]["properties"]["preview"].is_null();
                reads || previews || actions.any(|action| !refused(flag).contains(&action))
            };
            assert_eq!(
                is("/offered"),
                expected,
                "{flag} {name} {:?}",
                tool["refused"]
            );
        }
        let offered = |name: &str| {
            tools
                .iter()
                .any(|tool| tool["name"] == name && tool["offered"] == true)
        };
        assert_eq!(offered("delete_firewall_rule"), flag == "--preset=admin");
        assert_eq!(
            offered("resume_guest"),
            refused(flag).len() > 1 || flag.ends_with("admin")
        );
    }
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    assert!(names(client.tools()).contains("rollback_snapshot"));
    let error = client
        .protocol_error("delete_firewall_rule", json!({}))
        .await?;
    assert_says(&error.message, &["firewall-delete", "--preset admin"]);
    Ok(())
}

/// A guest outside of the scope is neither seen nor reached.
#[tokio::test]
async fn guests_outside_the_scope_are_hidden() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    for (argument, expected, outside) in [
        ("--vmids=100-103,200", vec![100, 101, 102, 103, 200], 104),
        ("--pools=prod", vec![100, 104], 103),
        ("--tags=infra,test", vec![103, 200], 100),
        ("--nodes=pve2", vec![300], 100),
    ] {
        let client = sim.host()?.arg(argument).connect().await?;
        let list = client.call("list_guests", json!({})).await?;
        assert_eq!(vmids(&list), expected, "{argument}");
        for tool in ["get_guest", "start_guest", "stop_guest", "list_snapshots"] {
            let error = client.error(tool, json!({ "vmid": outside })).await?;
            assert!(error.contains(&outside.to_string()), "{argument}: {error}");
            assert!(error.contains("outside this server's scope"), "{error}");
            assert!(!error.contains("VM.Audit"), "{error}");
        }
        let tasks = client.call("list_tasks", json!({})).await?.to_string();
        assert!(
            !tasks.contains(&format!(":{outside}:")),
            "{argument}: {tasks}"
        );
    }
    assert_eq!(sim.writes()?.len(), 0);
    Ok(())
}

/// A response says that something is outside of the scope, and not that the token
/// lacks a privilege.
#[tokio::test]
async fn a_guest_outside_of_the_scope_is_not_reported_as_a_missing_privilege() -> anyhow::Result<()>
{
    let sim = Sim::start().await?;
    let client = sim.host()?.arg("--vmids=899").connect().await?;
    let list = client.call("list_guests", json!({})).await?.to_string();
    assert!(
        list.contains("outside this server's scope (vmids 899)"),
        "{list}"
    );
    assert!(!list.contains("VM.Audit"), "{list}");
    let by_name = json!({ "source_name": "web01", "name": "copy" });
    let error = client.error("clone_guest", by_name).await?;
    assert!(error.contains("outside this server's scope"), "{error}");
    let client = sim.host()?.arg("--storages=none-such").connect().await?;
    let list = client.call("list_storage", json!({})).await?.to_string();
    assert!(
        list.contains("outside this server's scope (storages none-such)"),
        "{list}"
    );
    assert!(!list.contains("Datastore.Audit"), "{list}");
    Ok(())
}

/// A scope that names what the cluster does not have is most likely misspelt.
#[tokio::test]
async fn a_scope_with_unknown_names_causes_a_warning() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let flags = ["--vmids=100,899", "--pools=labb", "--nodes=pve9,pve1"];
    let stop = ["stop_guest", r#"{"vmid":100}"#];
    let (answer, _) = explain(sim.host()?.args(flags), &stop).await?;
    let warnings = answer["warnings"].to_string();
    let output = sim
        .host()?
        .args(flags)
        .run(&["call", "list_guests"])
        .await?;
    for text in [&warnings, &output.stderr] {
        assert_says(text, &["guest 899", "pool labb", "node pve9", "pve1, pve2"]);
        assert!(!text.contains("guest 100 "), "{text}");
    }
    let (answer, _) = explain(sim.host()?.arg("--vmids=100"), &stop).await?;
    assert_eq!(answer["warnings"], json!([]), "{answer:#}");
    Ok(())
}

/// Proxmox looks up any other name, and so would carry it out of the cluster.
#[tokio::test]
async fn only_nodes_of_the_cluster_are_nodes() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let upid = "UPID:nosuchnode:0000011D:000BED85:6B02AFAA:qmstart:100:root@pam:";
    let error = client.error("get_task", json!({ "upid": upid })).await?;
    assert!(
        error.contains("nosuchnode") && error.contains("pve1, pve2"),
        "{error}"
    );
    let asked = sim.requests()?;
    let named = |request: &Value| request["path"].to_string().contains("nosuchnode");
    assert!(!asked.iter().any(named), "{asked:#?}");
    // The list is asked for once, whatever is done with its nodes.
    for vmid in [100, 103, 300] {
        client.call("get_guest", json!({ "vmid": vmid })).await?;
    }
    let lists = sim.requests()?;
    let lists = lists.iter().filter(|request| request["path"] == "/nodes");
    assert_eq!(lists.count(), 1);

    // What cannot be asked is said as it is, and nothing goes to a node.
    let refused = json!({
        "kind": "status", "code": 403, "path": "^/nodes$", "times": 10,
        "body": r#"{"data":null,"message":"Permission check failed (/, Sys.Audit)\n"}"#,
    });
    sim.fault(refused).await?;
    let before = sim.requests()?.len();
    let client = sim.host()?.connect().await?;
    let error = client
        .error("list_snapshots", json!({ "vmid": 100 }))
        .await?;
    assert!(
        error.contains("403") || error.contains("permission"),
        "{error}"
    );
    let sent = sim.requests()?.split_off(before);
    let to_node = |request: &Value| request["path"].to_string().contains("/nodes/");
    assert!(!sent.iter().any(to_node), "{sent:#?}");
    sim.clear_faults().await?;
    // An outage is waited for.
    sim.fault(json!({ "kind": "status", "code": 503, "path": "^/nodes$", "times": 2 }))
        .await?;
    let client = sim.host()?.connect().await?;
    client
        .call("list_snapshots", json!({ "vmid": 100 }))
        .await?;
    Ok(())
}

/// A node asks no node of the cluster, by whatever name it is listed.
#[tokio::test]
async fn no_node_fetches_from_a_node() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for host in ["pve1:8006", "PVE2.", "pve2.example.com"] {
        let url = format!("http://{host}/a.iso");
        let arguments = json!({ "url": url, "storage": "local" });
        let error = client.error("download_iso", arguments).await?;
        assert!(error.contains("rule built-in"), "{host}: {error}");
    }
    assert_eq!(sim.writes()?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn storages_and_logs_have_a_scope_too() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.arg("--storages=nas").connect().await?;
    let list = client.call("list_storage", json!({})).await?;
    let storages = list["storages"].as_array().unwrap();
    assert!(
        storages.iter().all(|line| line["storage"] == "nas"),
        "{list:#}"
    );
    // A map leaves the other disks where Proxmox puts them.
    for (body, allowed) in [
        ("target=pve2&targetstorage=nas", true),
        ("target=pve2&targetstorage=local%3Anas", false),
    ] {
        let migrate = ["POST /nodes/pve1/qemu/100/migrate", body];
        let host = sim.host()?.arg("--storages=nas");
        let (answer, is_allowed) = explain(host, &migrate).await?;
        assert_eq!(is_allowed, allowed, "{body}: {answer:#}");
        let wanted = if allowed { "actions" } else { "scope" };
        assert_eq!(rule(&answer), wanted, "{body}: {answer:#}");
    }
    let client = sim.host()?.arg("--vmids=100").connect().await?;
    let error = client.error("get_cluster_log", json!({})).await?;
    assert!(error.contains("rule scope"), "{error}");
    Ok(())
}

/// What is made within the scope can be followed and used immediately.
#[tokio::test]
async fn a_clone_has_to_be_in_the_scope() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let scoped = || anyhow::Ok(sim.host()?.arg("--vmids=500-510,9000"));
    let client = scoped()?.connect().await?;
    let outside = json!({ "vmid": 9000, "new_vmid": 600, "name": "out" });
    let error = client.error("clone_guest", outside).await?;
    assert!(error.contains("500-510"), "{error}");
    assert_eq!(sim.writes()?.len(), 0);
    let inside = json!({ "vmid": 9000, "new_vmid": 501, "name": "in" });
    let report = client.call("clone_guest", inside).await?;
    assert_eq!(report["status"], "done", "{report:#}");
    client.call("start_guest", json!({ "vmid": 501 })).await?;

    // By its pool, which it is made in.
    let client = sim
        .host()?
        .args(["--pools=prod", "--vmids=9000"])
        .connect()
        .await?;
    let clone = json!({ "vmid": 9000, "new_vmid": 700, "name": "pooled", "pool": "prod" });
    client.call("clone_guest", clone).await?;
    let list = client.call("list_guests", json!({})).await?;
    assert!(vmids(&list).contains(&700), "{list:#}");
    Ok(())
}

#[tokio::test]
async fn changes_per_minute_are_limited() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim
        .host()?
        .args(["--writes-per-minute=3", "--destructive-per-minute=1"])
        .connect()
        .await?;
    let tags = |vmid: u32, tag: &str| json!({ "vmid": vmid, "add_tags": [tag] });
    client.call("stop_guest", json!({ "vmid": 103 })).await?;
    let error = client.error("stop_guest", json!({ "vmid": 200 })).await?;
    assert!(error.contains("at most 1 destructive"), "{error}");
    client.call("set_guest_options", tags(103, "a")).await?;
    client.call("set_guest_options", tags(103, "b")).await?;
    let error = client.error("set_guest_options", tags(103, "c")).await?;
    assert!(error.contains("at most 3 changes"), "{error}");
    assert_eq!(sim.writes()?.len(), 3);
    client.call("list_guests", json!({})).await?;
    Ok(())
}

#[tokio::test]
async fn a_policy_file_and_flags_mean_the_same() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let policy = r#"
        preset = "admin"
        deny_actions = ["rollback"]
        deny = ["POST /nodes/*/qemu/104/**"]
        exclude_tools = ["run_in_guest"]
        [scope]
        pools = ["prod"]
    "#;
    let with_file = |text: &str| {
        let host = sim.host()?.file("policy.toml", text)?;
        anyhow::Ok(host.args(["--policy", "policy.toml"]))
    };
    let client = with_file(policy)?.connect().await?;
    assert!(!names(client.tools()).contains("run_in_guest"));
    let list = client.call("list_guests", json!({})).await?;
    assert_eq!(vmids(&list), [100, 104]);
    let hard = |vmid| json!({ "vmid": vmid, "mode": "hard" });
    let error = client.error("stop_guest", hard(104)).await?;
    assert!(error.contains("rule deny"), "{error}");
    client.call("stop_guest", hard(100)).await?;

    // A flag beats the file.
    let output = with_file(policy)?
        .run(&["policy", "show", "--pools=lab", "--preset=observe"])
        .await?;
    assert_eq!(output.status, Some(0), "{output:?}");
    assert!(output.stdout.contains("pools = [\"lab\"]"), "{output:?}");
    assert!(output.stdout.contains("preset = \"observe\""), "{output:?}");

    for (text, named) in [
        ("presett = 1", "policy.toml: line 1"),
        ("\n[scope]\nvmids = [\"9-1\"]", "line 3"),
        ("tools = []", "empty list"),
    ] {
        let output = with_file(text)?.run(&["policy", "show"]).await?;
        assert_eq!(output.status, Some(2), "{output:?}");
        assert!(output.stderr.contains(named), "{output:?}");
    }
    let output = sim
        .host()?
        .args(["--policy", "none.toml"])
        .run(&["serve"])
        .await?;
    assert_eq!(output.status, Some(2), "{output:?}");
    assert!(output.stderr.contains("none.toml"), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn explain_names_the_rule_and_changes_nothing() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let stop = json!({ "vmid": 100 }).to_string();
    let hard = json!({ "vmid": 100, "mode": "hard" }).to_string();
    let cases: [(&[&str], &[&str], &str); 9] = [
        (&[], &["stop_guest", &stop], "actions"),
        (&[], &["DELETE /nodes/pve1/qemu/100"], "built-in"),
        (
            &["--preset=admin"],
            &["DELETE /nodes/pve1/lxc/200?purge=1"],
            "built-in",
        ),
        (
            &[],
            &["GET https://evil.example/api2/json/version"],
            "origin",
        ),
        (&["--vmids=200"], &["stop_guest", &stop], "scope"),
        (
            &["--read-only"],
            &["POST /nodes/pve1/qemu/100/status/start"],
            "read-only",
        ),
        (&["--read-only"], &["stop_guest", &stop], "read-only"),
        (&[], &["stop_guest", &hard], "actions"),
        (
            &["--preset=observe"],
            &["PUT /nodes/pve1/qemu/100/config", "cores=2"],
            "actions",
        ),
    ];
    for (index, (flags, arguments, expected)) in cases.into_iter().enumerate() {
        let host = sim.host()?.args(flags.iter().copied());
        let (answer, allowed) = explain(host, arguments).await?;
        assert_eq!(
            rule(&answer),
            expected,
            "{flags:?} {arguments:?}: {answer:#}"
        );
        assert_eq!(allowed, index == 0, "{answer:#}");
    }
    assert_eq!(sim.writes()?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn explain_needs_no_settings() -> anyhow::Result<()> {
    let arguments = ["start_guest", r#"{"vmid":100}"#];
    let (answer, _) = explain(HostRunner::new()?, &arguments).await?;
    assert_eq!(answer["offline"], true);
    assert_eq!(answer["requests"][0]["sent"], false, "{answer:#}");
    let delete = ["DELETE /nodes/pve1/qemu/100"];
    let (answer, allowed) = explain(HostRunner::new()?, &delete).await?;
    assert_eq!((rule(&answer), allowed), ("built-in", false));
    Ok(())
}

/// The manager of high availability stops a guest hard that does not shut down
/// in time: `operate` may not even ask it to.
#[tokio::test]
async fn a_shutdown_that_high_availability_forces_is_a_hard_stop() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let error = client.error("stop_guest", json!({ "vmid": 104 })).await?;
    assert_says(&error, &["high availability", "hard-stop", "rule actions"]);
    assert_eq!(sim.writes()?.len(), 0);
    client.call("stop_guest", json!({ "vmid": 103 })).await?;
    assert_eq!(sim.writes()?.len(), 1);
    // Proxmox kills a container that does not reboot in time.
    let short = json!({ "vmid": 200, "timeout_seconds": 5 });
    let error = client.error("restart_guest", short).await?;
    assert!(error.contains("hard-stop"), "{error}");
    assert_eq!(sim.writes()?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn denied_actions_beat_allowed_tools() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let policy = r#"
        allow_tools = ["run_in_guest"]
        allow = ["POST /nodes/*/qemu/*/agent/exec"]
        deny_actions = ["guest-exec"]
    "#;
    let host = || {
        let host = sim.host()?.file("policy.toml", policy)?;
        anyhow::Ok(host.args(["--policy", "policy.toml"]))
    };
    let run = json!({ "vmid": 100, "command": ["id"] });
    let error = host()?.connect().await?.error("run_in_guest", run).await?;
    assert!(error.contains("rule deny"), "{error}");
    assert_eq!(sim.writes()?.len(), 0);

    let exec = ["POST /nodes/pve1/qemu/100/agent/exec", "command=id"];
    let (answer, _) = explain(host()?, &exec).await?;
    assert_eq!(rule(&answer), "deny", "{answer:#}");
    // A command is for the tool alone that the operator allows.
    let (answer, allowed) = explain(sim.host()?, &exec).await?;
    assert_eq!((rule(&answer), allowed), ("actions", false), "{answer:#}");
    let host = sim.host()?.arg("--allow-tool=run_in_guest");
    assert!(explain(host, &exec).await?.1);
    Ok(())
}

/// Each option that the tool offers is one that the policy lets through.
#[tokio::test]
async fn every_firewall_option_that_is_offered_is_allowed() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for (place, options) in [
        (
            json!({ "vmid": 100 }),
            "enable=1 policy_in=REJECT policy_out=DROP dhcp=1 macfilter=0 ipfilter=1 radv=1 ndp=0 \
             log_level_in=info log_level_out=info",
        ),
        (
            json!({ "node": "pve1" }),
            "enable=0 ndp=0 log_level_in=info log_level_out=info log_level_forward=info nftables=1 \
             nosmurfs=1 smurf_log_level=info tcpflags=1 tcp_flags_log_level=info \
             protection_synflood=1 protection_synflood_rate=100 protection_synflood_burst=100 \
             log_nf_conntrack=1 nf_conntrack_allow_invalid=1 nf_conntrack_max=65536 \
             nf_conntrack_tcp_timeout_established=10000 nf_conntrack_tcp_timeout_syn_recv=30",
        ),
        (
            json!({ "cluster": true }),
            "policy_in=ACCEPT policy_out=DROP policy_forward=DROP ebtables=0 enable=1",
        ),
    ] {
        let options: Vec<&str> = options.split_whitespace().collect();
        let mut arguments = place;
        arguments["more"] = json!(options);
        arguments["accept_lockout"] = json!(true);
        let report = client.call("set_firewall_options", arguments).await?;
        assert_eq!(report["status"], "done", "{report:#}");
    }
    Ok(())
}

/// A parameter made from a secret argument is never shown.
#[tokio::test]
async fn explain_masks_passwords() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let arguments = json!({ "vmid": 100, "password": "hunter2-hunter2" }).to_string();
    let host = sim.host()?.secret("hunter2-hunter2");
    let output = host
        .run(&[
            "policy",
            "explain",
            "set_cloud_init",
            &arguments,
            "-o",
            "table",
        ])
        .await?;
    assert!(output.stdout.contains("cipassword=(hidden)"), "{output:?}");
    Ok(())
}

const LOCKED: &str = "locked = true\npreset = \"observe\"\n[scope]\nvmids = [\"100-199\"]\n";

/// Flags take away from a locked policy, and add nothing to it.
#[tokio::test]
async fn a_locked_policy_is_only_narrowed() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let host = || {
        let host = sim.host()?.file("locked.toml", LOCKED)?;
        anyhow::Ok(host.arg("--policy=locked.toml"))
    };
    for (argument, key) in [
        ("--preset=admin", "preset"),
        ("--preset=operate", "preset"),
        ("--vmids=100-200", "scope.vmids"),
        ("--pools=lab", "scope.pools"),
        ("--allow-tool=run_in_guest", "allow_tools"),
    ] {
        for command in [
            &["call", "list_guests"][..],
            &["policy", "show"],
            &["tools"],
        ] {
            let output = host()?.arg(argument).run(command).await?;
            assert_eq!(output.status, Some(2), "{output:?}");
            assert_says(&output.stderr, &["locked.toml", "locked", key]);
        }
    }
    assert_eq!(sim.requests()?.len(), 0);
    let client = host()?.arg("--vmids=100-101").connect().await?;
    let list = client.call("list_guests", json!({})).await?;
    assert_eq!(vmids(&list), [100, 101]);
    // Each part says where it comes from, and the whole is still a policy.
    let output = host()?.arg("--vmids=100-101").run(&["policy", "show"]);
    let output = output.await?;
    assert_says(
        &output.stdout,
        &[
            "preset: locked.toml",
            "scope.vmids: the command line or the settings",
            "confirm: the default",
        ],
    );
    let again = sim.host()?.file("again.toml", &output.stdout)?;
    let again = again.args(["--policy", "again.toml"]);
    assert_eq!(again.run(&["policy", "show"]).await?.status, Some(0));
    Ok(())
}

/// Nor does another file: a locked one is a ceiling wherever it is named.
#[tokio::test]
async fn another_policy_does_not_get_around_a_locked_one() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let files = |host: HostRunner| {
        let host = host.file("locked.toml", LOCKED)?;
        let host = host.file("open.toml", "preset = \"admin\"\n")?;
        let host = host.file(
            "narrow.toml",
            "[scope]\nvmids = [101]\n[limits]\nwrites_per_minute = 1\n",
        )?;
        host.file("given.env", "PROXMOX_MCP_POLICY=locked.toml\n")
    };
    let by_variable = || files(sim.host()?.env("PROXMOX_MCP_POLICY", "locked.toml"));
    let by_file = || files(sim.host()?.arg("--env-file=given.env"));
    for host in [
        by_variable()?.arg("--policy=open.toml"),
        by_file()?.arg("--policy=open.toml"),
        by_file()?.env("PROXMOX_MCP_POLICY", "open.toml"),
    ] {
        let output = host.run(&["call", "list_guests"]).await?;
        assert_eq!(output.status, Some(2), "{output:?}");
        assert_says(
            &output.stderr,
            &["locked.toml", "locked", "open.toml", "preset"],
        );
    }
    assert_eq!(sim.requests()?.len(), 0);
    let narrow = by_variable()?.args(["--policy=narrow.toml", "--preset=observe"]);
    let output = narrow.run(&["policy", "show"]).await?;
    assert_says(
        &output.stdout,
        &[
            "locked: locked.toml",
            "scope.vmids: narrow.toml",
            "preset: the command line or the settings",
        ],
    );
    // One that is not locked is beaten.
    let host = files(sim.host()?.env("PROXMOX_MCP_POLICY", "open.toml"))?;
    let output = host.arg("--policy=locked.toml").run(&["policy", "show"]);
    assert!(output.await?.stdout.contains("preset: locked.toml"));
    Ok(())
}

/// A policy for the whole machine. A mount namespace of its own shows it to
/// this process alone; without the right to make one, there is nothing to see.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_system_policy_can_only_be_narrowed() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let wrapped = || {
        let host = sim.host()?.file("own.toml", "preset = \"operate\"\n")?;
        let etc = host.directory().join("etc/proxmox-mcp");
        std::fs::create_dir_all(&etc)?;
        std::fs::write(etc.join("policy.toml"), "preset = \"observe\"\n")?;
        anyhow::Ok(host.wrapper(&[
            "unshare",
            "--mount",
            "--map-root-user",
            "sh",
            "-c",
            "mount --bind etc /etc && exec \"$0\" \"$@\"",
        ]))
    };
    let output = wrapped()?.run(&["policy", "show"]).await?;
    if output.stderr.contains("unshare") || output.stderr.contains("mount") {
        eprintln!("not shown here: {}", output.stderr);
        return Ok(());
    }
    assert_eq!(output.status, Some(0), "{output:?}");
    let line = "preset: /etc/proxmox-mcp/policy.toml";
    assert!(output.stdout.contains(line), "{output:?}");
    for argument in ["--preset=admin", "--policy=own.toml"] {
        let output = wrapped()?
            .arg(argument)
            .run(&["call", "list_nodes"])
            .await?;
        assert_eq!(output.status, Some(2), "{output:?}");
        assert_says(&output.stderr, &["/etc/proxmox-mcp/policy.toml", "preset"]);
    }
    let start = ["call", "start_guest", r#"{"vmid":201}"#];
    let output = wrapped()?.run(&start).await?;
    assert_eq!(output.status, Some(1), "{output:?}");
    assert_eq!(sim.writes()?.len(), 0);
    Ok(())
}

/// What is to be confirmed is shown by `explain`, and `call` does not pass it
/// over where no user can be asked.
#[tokio::test]
async fn confirmation_is_explained_and_asked_by_call() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    const MEMORY: (&str, &str) = ("set_guest_resources", r#"{"vmid":200,"memory_mib":1024}"#);
    let stop = r#"{"vmid":103}"#;
    let host = |confirm: &str| anyhow::Ok(sim.host()?.arg(format!("--confirm={confirm}")));
    for (confirm, tool, arguments, asks) in [
        ("never", "stop_guest", stop, false),
        ("destructive", "stop_guest", stop, true),
        ("destructive", "start_guest", r#"{"vmid":201}"#, false),
        ("destructive", MEMORY.0, MEMORY.1, true),
        ("writes", "start_guest", r#"{"vmid":201}"#, true),
        ("writes", "list_nodes", "{}", false),
    ] {
        let (answer, allowed) = explain(host(confirm)?, &[tool, arguments]).await?;
        assert!(allowed, "{answer:#}");
        let requests = answer["requests"].as_array().unwrap();
        let asked = requests.iter().any(|one| one["asks_user"] == true);
        assert_eq!(asked, asks, "{confirm} {tool}: {answer:#}");
        let command = ["policy", "explain", tool, arguments, "-o", "table"];
        let output = host(confirm)?.run(&command).await?;
        assert_eq!(output.stdout.contains("rule confirm"), asks, "{output:?}");
    }
    assert_eq!(sim.writes()?.len(), 0);
    let output = host("destructive")?
        .run(&["call", "stop_guest", stop])
        .await?;
    assert_eq!(output.status, Some(1), "{output:?}");
    assert_says(
        &output.stderr,
        &["rule confirm", "--yes", "nothing was changed"],
    );
    assert_eq!(sim.writes()?.len(), 0);
    let fallback = host("destructive")?.arg("--confirm-fallback=allow");
    let output = fallback.run(&["call", "stop_guest", stop]).await?;
    assert_eq!(output.status, Some(0), "{output:?}");
    let output = host("writes")?
        .run(&["call", "--yes", "start_guest", stop])
        .await?;
    assert_eq!(output.status, Some(0), "{output:?}");
    assert_eq!(sim.writes()?.len(), 2);
    Ok(())
}
