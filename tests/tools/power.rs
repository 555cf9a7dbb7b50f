//! Power: starting, stopping, restarting, suspending and resuming guests.

use harness::{Sim, assert_says};
use serde_json::json;

#[tokio::test]
async fn guests_are_stopped_and_started() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    for vmid in [103, 200] {
        let vm = json!({ "vmid": vmid });
        let report = client.call("stop_guest", vm.clone()).await?;
        assert_eq!(report["status"], "done", "{report:#}");
        assert_eq!(report["vmid"], vmid);
        assert_eq!(report["node"], "pve1");
        let change = json!([{ "what": "power", "from": "running", "to": "stopped" }]);
        assert_eq!(report["changes"], change);
        assert!(report["upid"].as_str().unwrap().contains("shutdown"));
        assert_eq!(sim.guest(vmid).await?["running"], false);

        let report = client.call("start_guest", vm).await?;
        assert_eq!(report["status"], "done", "{report:#}");
        assert_eq!(report["changes"][0]["to"], "running");
        assert_eq!(sim.guest(vmid).await?["running"], true);
    }
    Ok(())
}

/// A guest already in the wanted state is reported without a request.
#[tokio::test]
async fn a_change_to_the_current_state_sends_nothing() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    for (tool, vmid) in [
        ("start_guest", 100),
        ("start_guest", 200),
        ("stop_guest", 201),
        ("stop_guest", 101),
        ("resume_guest", 100),
    ] {
        let report = client.call(tool, json!({ "vmid": vmid })).await?;
        assert_eq!(report["status"], "unchanged", "{tool} {vmid}: {report:#}");
        assert!(report.get("upid").is_none());
    }
    assert_eq!(sim.writes()?.len(), 0);
    Ok(())
}

/// Proxmox accepts all of these and lets the task fail.
#[tokio::test]
async fn an_impossible_change_is_refused_before_it_is_sent() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    let lock = json!({ "lock": "migrate" });
    sim.set_guest(103, json!({ "config": lock })).await?;
    for (tool, arguments, words) in [
        (
            "start_guest",
            json!({ "vmid": 101 }),
            &["locked01", "locked (backup)", "qm unlock"][..],
        ),
        (
            "start_guest",
            json!({ "vmid": 9000 }),
            &["template", "clone_guest"],
        ),
        (
            "start_guest",
            json!({ "vmid": 9001 }),
            &["template", "clone_guest"],
        ),
        (
            "start_guest",
            json!({ "vmid": 555 }),
            &["no guest 555", "list_guests"],
        ),
        ("start_guest", json!({ "vmid": 300 }), &["pve2", "offline"]),
        ("stop_guest", json!({ "vmid": 103 }), &["locked (migrate)"]),
        (
            "stop_guest",
            json!({ "vmid": 103, "mode": "hard" }),
            &["locked (migrate)"],
        ),
        (
            "restart_guest",
            json!({ "vmid": 103 }),
            &["locked (migrate)"],
        ),
        (
            "restart_guest",
            json!({ "vmid": 201 }),
            &["ct02", "stopped", "start_guest"],
        ),
        (
            "restart_guest",
            json!({ "vmid": 200, "mode": "reset" }),
            &["mode", "container", "reboot"],
        ),
        (
            "suspend_guest",
            json!({ "vmid": 201 }),
            &["stopped", "start_guest"],
        ),
        (
            "suspend_guest",
            json!({ "vmid": 200, "to_disk": true }),
            &["to_disk", "container"],
        ),
        (
            "resume_guest",
            json!({ "vmid": 101 }),
            &["stopped", "start_guest"],
        ),
    ] {
        let text = client.error(tool, arguments).await?;
        assert_says(&text, words);
    }
    assert_eq!(sim.writes()?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn bad_arguments_are_refused_by_name() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    for (tool, arguments, words) in [
        ("start_guest", json!({}), &["vmid", "missing"][..]),
        ("start_guest", json!({ "vmid": 5 }), &["vmid", "100"]),
        (
            "start_guest",
            json!({ "vmid": "web01" }),
            &["vmid", "integer"],
        ),
        (
            "stop_guest",
            json!({ "vmid": 100, "mode": "soft" }),
            &["mode", "shutdown, hard"],
        ),
        (
            "stop_guest",
            json!({ "vmid": 100, "timeout_seconds": 0 }),
            &["timeout_seconds", "1", "7200"],
        ),
        (
            "stop_guest",
            json!({ "vmid": 100, "mode": "hard", "timeout_seconds": 5 }),
            &["timeout_seconds", "shutdown"],
        ),
        (
            "stop_guest",
            json!({ "vmid": 100, "mode": "hard", "force_after_timeout": true }),
            &["force_after_timeout"],
        ),
        (
            "stop_guest",
            json!({ "vmid": 100, "skiplock": true }),
            &["skiplock", "not known"],
        ),
        (
            "restart_guest",
            json!({ "vmid": 100, "mode": "reset", "timeout_seconds": 5 }),
            &["timeout_seconds", "reboot"],
        ),
        (
            "suspend_guest",
            json!({ "vmid": 100, "state_storage": "local" }),
            &["state_storage", "to_disk"],
        ),
    ] {
        let text = client.error(tool, arguments).await?;
        assert_says(&text, words);
    }
    assert_eq!(sim.served().await?, 0);
    Ok(())
}

/// A guest that ignores the request: what to do is said, and works.
#[tokio::test]
async fn a_guest_that_ignores_its_shutdown_can_be_stopped_hard() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    let arguments = json!({ "vmid": 102, "timeout_seconds": 1 });
    let text = client.error("stop_guest", arguments.clone()).await?;
    assert_says(
        &text,
        &[
            "noagent",
            "got timeout",
            "mode hard",
            "stop_guest",
            "guest-ping",
            "UPID:",
        ],
    );
    let text = client.error("restart_guest", arguments.clone()).await?;
    assert_says(&text, &["got timeout"]);
    assert_eq!(sim.guest(102).await?["running"], true);

    let mut firm = arguments;
    firm["force_after_timeout"] = json!(true);
    let report = client.call("stop_guest", firm).await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_eq!(sim.guest(102).await?["running"], false);

    client.call("start_guest", json!({ "vmid": 102 })).await?;
    let report = client
        .call("stop_guest", json!({ "vmid": 102, "mode": "hard" }))
        .await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_says(
        report["action"].as_str().unwrap(),
        &["switch off", "noagent"],
    );
    assert_eq!(sim.guest(102).await?["running"], false);
    Ok(())
}

/// Proxmox before 8.2 does not know the parameter that ends a hanging shutdown.
#[tokio::test]
async fn guests_are_stopped_on_an_older_proxmox() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    sim.fault(json!({
        "kind": "status", "code": 400, "path": "/status/stop$", "times": 1,
        "reason": "Parameter verification failed.",
        "body": r#"{"data":null,"errors":{"overrule-shutdown":"property is not defined in schema and the schema does not allow additional properties"}}"#,
    }))
    .await?;
    let report = client
        .call("stop_guest", json!({ "vmid": 103, "mode": "hard" }))
        .await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_eq!(sim.guest(103).await?["running"], false);
    Ok(())
}

#[tokio::test]
async fn guests_are_rebooted_and_reset() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    for (arguments, kind) in [
        (json!({ "vmid": 103, "timeout_seconds": 20 }), "qmreboot"),
        (json!({ "vmid": 103, "mode": "reset" }), "qmreset"),
        (json!({ "vmid": 200 }), "vzreboot"),
    ] {
        let report = client.call("restart_guest", arguments).await?;
        assert_eq!(report["status"], "done", "{report:#}");
        assert!(
            report["upid"].as_str().unwrap().contains(kind),
            "{report:#}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_vm_is_paused_and_resumed() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    let vm = json!({ "vmid": 103 });
    let report = client.call("suspend_guest", vm.clone()).await?;
    assert_eq!(report["changes"][0]["to"], "paused", "{report:#}");
    let guest = client.call("get_guest", vm.clone()).await?;
    assert_eq!(guest["status"], "paused");
    let report = client.call("suspend_guest", vm.clone()).await?;
    assert_eq!(report["status"], "unchanged");
    for tool in ["start_guest", "stop_guest", "restart_guest"] {
        let text = client.error(tool, vm.clone()).await?;
        assert_says(&text, &["paused", "resume_guest"]);
    }
    let report = client.call("resume_guest", vm.clone()).await?;
    assert_eq!(report["changes"][0]["from"], "paused", "{report:#}");
    let guest = client.call("get_guest", vm).await?;
    assert_eq!(guest["status"], "running");
    Ok(())
}

#[tokio::test]
async fn a_vm_is_suspended_to_disk_and_resumed() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    let vm = json!({ "vmid": 103 });
    for wake in ["start_guest", "resume_guest"] {
        let report = client
            .call(
                "suspend_guest",
                json!({ "vmid": 103, "to_disk": true, "state_storage": "local" }),
            )
            .await?;
        assert_eq!(
            report["changes"][0]["to"], "suspended to disk",
            "{report:#}"
        );
        let asleep = sim.guest(103).await?;
        assert_eq!(asleep["running"], false);
        assert_eq!(asleep["config"]["lock"], "suspended");
        let report = client.call("stop_guest", vm.clone()).await?;
        assert_eq!(report["status"], "unchanged");

        let report = client.call(wake, vm.clone()).await?;
        assert_eq!(
            report["changes"][0]["from"], "suspended to disk",
            "{report:#}"
        );
        let awake = sim.guest(103).await?;
        assert_eq!(awake["running"], true);
        assert!(awake["config"].get("lock").is_none());
    }
    Ok(())
}

/// Proxmox lets containers be suspended by CRIU, which mostly fails.
#[tokio::test]
async fn a_container_that_cannot_be_suspended_is_an_error_with_the_log() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    let text = client
        .error("suspend_guest", json!({ "vmid": 200 }))
        .await?;
    assert_says(&text, &["suspend lxc guest 200", "lxc-checkpoint", "UPID:"]);
    let text = client.error("resume_guest", json!({ "vmid": 201 })).await?;
    assert_says(&text, &["resume lxc guest 201", "lxc-checkpoint"]);
    Ok(())
}

/// The task of a guest under HA ends before the guest has changed, so the guest
/// is followed.
#[tokio::test]
async fn a_guest_under_high_availability_is_followed_until_it_has_changed() -> anyhow::Result<()> {
    // The HA manager acts nine to fifteen seconds after its task.
    let mut sim = Sim::options().arg("--speed=4").start().await?;
    let client = sim.admin()?.connect().await?;
    let report = client.call("stop_guest", json!({ "vmid": 104 })).await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_says(&report["upid"].to_string(), &[":hastop:"]);
    assert_eq!(
        report["changes"],
        json!([{ "what": "power", "from": "running", "to": "stopped" }]),
        "{report:#}"
    );
    assert_eq!(sim.guest(104).await?["running"], false);

    // Without waiting, nothing is claimed that has not happened.
    let asked = json!({ "vmid": 104, "wait": false });
    let report = client.call("start_guest", asked).await?;
    assert_eq!(report["status"], "requested", "{report:#}");
    assert!(report.get("changes").is_none(), "{report:#}");
    assert_says(
        report["next_step"].as_str().unwrap(),
        &["get_guest", "get_cluster_status"],
    );
    // Waiting for the task that forwards the request means waiting for the guest.
    let report = client
        .call("wait_task", json!({ "upid": report["upid"] }))
        .await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_eq!(sim.guest(104).await?["running"], true);
    Ok(())
}

#[tokio::test]
async fn a_failed_task_is_an_error_with_the_log() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    sim.control(json!({ "cmd": "fault", "task": "vzstart", "error": "no space left on device" }))
        .await?;
    let text = client.error("start_guest", json!({ "vmid": 201 })).await?;
    assert_says(
        &text,
        &[
            "start lxc guest 201 (ct02) failed",
            "no space left",
            "make room",
            "UPID:",
        ],
    );
    sim.control(json!({ "cmd": "fault", "task": "vzstart", "warnings": 2 }))
        .await?;
    let report = client.call("start_guest", json!({ "vmid": 201 })).await?;
    assert_eq!(report["status"], "done_with_warnings", "{report:#}");
    assert_eq!(report["warnings"].as_array().unwrap().len(), 2);
    Ok(())
}

/// Without waiting the task's identifier is answered, which leads to its end.
#[tokio::test]
async fn a_call_without_wait_returns_the_running_task() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    let report = client
        .call("start_guest", json!({ "vmid": 201, "wait": false }))
        .await?;
    assert_eq!(report["status"], "running", "{report:#}");
    assert_says(report["next_step"].as_str().unwrap(), &["wait_task"]);
    let upid = json!({ "upid": report["upid"] });
    let report = client.call("wait_task", upid).await?;
    assert_eq!(report["status"], "done", "{report:#}");
    Ok(())
}

#[tokio::test]
async fn a_missing_privilege_is_named() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let auditor = sim
        .host_with("audit")?
        .arg("--preset=admin")
        .connect()
        .await?;
    for (tool, vmid) in [
        ("start_guest", 201),
        ("stop_guest", 100),
        ("suspend_guest", 100),
    ] {
        let text = auditor.error(tool, json!({ "vmid": vmid })).await?;
        assert_says(
            &text,
            &["audit@pve!viewer", "VM.PowerMgmt", &format!("/vms/{vmid}")],
        );
    }
    let nobody = sim
        .host_with("none")?
        .arg("--preset=admin")
        .connect()
        .await?;
    let text = nobody.error("start_guest", json!({ "vmid": 201 })).await?;
    assert_says(&text, &["nobody@pve!none", "VM.Audit", "/vms/201"]);
    Ok(())
}

/// The answer is lost, not the deed: that is said, and where to look.
#[tokio::test]
async fn a_cut_connection_says_that_the_change_may_have_happened() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    sim.fault(json!({ "kind": "cut-after", "method": "POST", "path": "/status/start$" }))
        .await?;
    let text = client.error("start_guest", json!({ "vmid": 201 })).await?;
    assert_says(&text, &["may have happened all the same", "task list"]);
    assert_eq!(sim.writes()?.len(), 1);
    let tasks = client
        .call("list_tasks", json!({ "vmid": 201, "type": "start" }))
        .await?;
    let upid = json!({ "upid": tasks["tasks"][0]["upid"] });
    client.call("wait_task", upid).await?;
    assert_eq!(sim.guest(201).await?["running"], true);
    Ok(())
}

/// A guest that leaves its node just when it is looked at is found again.
#[tokio::test]
async fn a_guest_that_moves_during_the_call_is_found_again() -> anyhow::Result<()> {
    let mut sim = Sim::options().arg("--nodes=pve1,pve2").start().await?;
    let client = sim.admin()?.connect().await?;
    sim.fault(json!({ "kind": "latency", "ms": 1500, "path": "/pve1/lxc/201/status/current$" }))
        .await?;
    let before = sim.served().await?;
    let call = client.call("start_guest", json!({ "vmid": 201 }));
    let moving = async {
        // The list of guests, then the state.
        sim.serves_more_than(before + 1).await?;
        sim.set_guest(201, json!({ "node": "pve2" })).await
    };
    let (report, moved) = tokio::join!(call, moving);
    moved?;
    let report = report?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_eq!(report["node"], "pve2");
    assert_eq!(sim.guest(201).await?["running"], true);
    Ok(())
}
