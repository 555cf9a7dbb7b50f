//! One call for several guests: the selection, the order, and a result for each.

use harness::{Sim, assert_says};
use serde_json::{Value, json};

/// The vmids of the requests that change something, in their order.
fn changed(sim: &Sim) -> anyhow::Result<Vec<String>> {
    let path = |request: &Value| {
        let path = request["path"].as_str().unwrap_or_default().to_owned();
        path.split('/').nth(4).unwrap_or_default().to_owned()
    };
    Ok(sim.writes()?.iter().map(path).collect())
}

/// `103: done, 201: unchanged`.
fn statuses(report: &Value) -> String {
    let guests = report["guests"].as_array().into_iter().flatten();
    let words =
        guests.map(|one| format!("{}: {}", one["vmid"], one["status"].as_str().unwrap_or("?")));
    words.collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn guests_start_in_their_startup_order_and_stop_backwards() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    for (vmid, startup) in [(103, "order=2"), (201, "order=1"), (200, "order=3,up=1")] {
        let config = json!({ "startup": startup });
        sim.set_guest(vmid, json!({ "running": false, "config": config }))
            .await?;
    }
    sim.advance(10).await?;
    let vmids = json!({ "vmids": [9000, 200, 201, 103, 100] });
    let report = client.call("start_guest", vmids.clone()).await?;
    assert_eq!(
        statuses(&report),
        "201: done, 103: done, 200: done, 100: unchanged",
        "{report:#}"
    );
    assert_eq!(report["status"], "done", "{report:#}");
    assert_eq!(
        report["counts"],
        json!({ "total": 4, "done": 3, "unchanged": 1 })
    );
    assert!(report["left_out"][0].as_str().unwrap().contains("template"));
    assert_eq!(changed(&sim)?, ["201", "103", "200"]);

    // The same call once more has nothing left to do.
    let again = client.call("start_guest", vmids).await?;
    assert_eq!(again["status"], "unchanged", "{again:#}");

    let stop = json!({ "vmids": "201, 200, 103" });
    let report = client.call("stop_guest", stop).await?;
    assert_eq!(
        statuses(&report),
        "200: done, 103: done, 201: done",
        "{report:#}"
    );
    assert_eq!(sim.guest(103).await?["running"], false);
    Ok(())
}

#[tokio::test]
async fn a_preview_lists_the_guests_and_sends_nothing() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    let report = client
        .call("stop_guest", json!({ "tag": "prod", "preview": true }))
        .await?;
    assert_eq!(
        statuses(&report),
        "100: preview, 104: preview",
        "{report:#}"
    );
    assert_eq!(report["status"], "preview");
    assert_eq!(report["guests"][0]["changes"][0]["to"], "stopped");
    for (tool, arguments, expected) in [
        (
            "create_snapshot",
            json!({ "pool": "prod", "snapshot": "before" }),
            "100: preview, 104: preview",
        ),
        (
            "create_backup",
            json!({ "vmids": [200, 101], "storage": "nas" }),
            "101: failed, 200: preview",
        ),
        (
            "set_guest_options",
            json!({ "vmids": [103, 200], "add_tags": ["test"] }),
            "103: unchanged, 200: preview",
        ),
    ] {
        let mut arguments = arguments;
        arguments["preview"] = json!(true);
        let report = client.call(tool, arguments).await?;
        assert_eq!(statuses(&report), expected, "{tool}: {report:#}");
    }
    // Of one guest, too.
    let one = json!({ "vmid": 103, "preview": true });
    let report = client.call("restart_guest", one).await?;
    assert_eq!(report["status"], "preview", "{report:#}");
    assert!(report.get("guests").is_none(), "{report:#}");
    assert_eq!(sim.writes()?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn a_failure_of_one_guest_stops_no_other() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    let stop = json!({ "vmids": [101, 102, 103, 300], "timeout_seconds": 1 });
    let report = client.call("stop_guest", stop).await?;
    assert_eq!(
        statuses(&report),
        "101: unchanged, 102: failed, 103: done, 300: failed",
        "{report:#}"
    );
    assert_eq!(report["status"], "partly_failed", "{report:#}");
    let error = |index: usize| report["guests"][index]["error"].as_str().unwrap();
    assert_says(error(1), &["got timeout"]);
    assert_says(error(3), &["pve2", "offline"]);
    assert_eq!(sim.guest(103).await?["running"], false);
    assert_eq!(sim.guest(102).await?["running"], true);

    // Where every guest fails, the call does.
    let text = client
        .error("restart_guest", json!({ "vmids": [101, 201] }))
        .await?;
    assert_says(&text, &["all failed", "101: ", "201: ", "start_guest"]);
    Ok(())
}

#[tokio::test]
async fn a_selection_that_is_wrong_is_refused_before_anything_is_sent() -> anyhow::Result<()> {
    let sim = Sim::options().arg("--guests=40").start().await?;
    let client = sim.admin()?.connect().await?;
    for (arguments, words) in [
        (json!({}), &["vmid", "missing", "tag"][..]),
        (json!({ "vmid": 103, "tag": "prod" }), &["vmid", "left out"]),
        (json!({ "tag": "Prod" }), &["prod is probably meant"]),
        (json!({ "pool": "prd" }), &["prod is probably meant"]),
        (json!({ "node": "pve3" }), &["pve3"]),
        (
            json!({ "vmids": [103, 555] }),
            &["no guest 555", "nothing was changed"],
        ),
        (
            json!({ "tag": "prod", "vmids": [103] }),
            &["no guest with tag prod of vmids 103"],
        ),
        (
            json!({ "vmids": [9000, 9001] }),
            &["no guest of vmids 9000, 9001", "2 templates"],
        ),
        (
            json!({ "node": "pve1" }),
            &["at most 25", "narrow", "vmids", "nothing was changed"],
        ),
    ] {
        let text = client.error("stop_guest", arguments).await?;
        assert_says(&text, words);
    }
    assert_eq!(sim.writes()?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn snapshots_of_several_guests_are_continued_by_a_second_call() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    let first = json!({ "vmids": [104], "snapshot": "before" });
    client.call("create_snapshot", first).await?;
    let all = json!({ "tag": "prod", "snapshot": "before" });
    let report = client.call("create_snapshot", all).await?;
    assert_eq!(statuses(&report), "100: done, 104: unchanged", "{report:#}");
    assert!(
        report["guests"][1]["warnings"][0]
            .as_str()
            .unwrap()
            .contains("already has this snapshot")
    );
    assert_eq!(changed(&sim)?, ["104", "100"]);
    Ok(())
}

#[tokio::test]
async fn several_guests_are_backed_up_one_after_the_other() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    let report = client
        .call(
            "create_backup",
            json!({ "vmids": [103, 200], "storage": "nas" }),
        )
        .await?;
    assert_eq!(statuses(&report), "103: done, 200: done", "{report:#}");
    for guest in report["guests"].as_array().unwrap() {
        assert!(guest["volid"].is_string(), "{report:#}");
    }
    // The second was requested once the first had ended.
    let requests = sim.requests()?;
    let at = |method: &str, part: &str| {
        let is = |request: &Value| {
            request["method"] == method && request["path"].as_str().unwrap().contains(part)
        };
        requests.iter().rposition(is)
    };
    assert!(at("POST", "/vzdump") > at("GET", ":103:"), "{requests:#?}");
    Ok(())
}

#[tokio::test]
async fn tags_of_several_guests_are_added_and_removed() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let add = json!({ "vmids": [103, 200], "add_tags": ["maint"] });
    let report = client.call("set_guest_options", add).await?;
    assert_eq!(statuses(&report), "103: done, 200: done", "{report:#}");
    assert_eq!(report["guests"][0]["changes"][0]["to"], "maint;test");
    sim.advance(10).await?;
    let remove = json!({ "tag": "maint", "remove_tags": ["maint"] });
    let report = client.call("set_guest_options", remove).await?;
    assert_eq!(statuses(&report), "103: done, 200: done", "{report:#}");
    assert_eq!(sim.guest(103).await?["config"]["tags"], "test");
    let text = client
        .error(
            "set_guest_options",
            json!({ "tag": "test", "name": "web02" }),
        )
        .await?;
    assert_says(&text, &["name", "several guests"]);
    Ok(())
}

/// Each request of each guest is judged as it would be alone.
#[tokio::test]
async fn the_policy_judges_each_guest() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.arg("--vmids=102,103").connect().await?;
    let node = json!({ "node": "pve1", "preview": true });
    let report = client.call("stop_guest", node).await?;
    assert_eq!(
        statuses(&report),
        "102: preview, 103: preview",
        "{report:#}"
    );
    let hard = json!({ "vmids": [102, 103], "mode": "hard" });
    let text = client.error("stop_guest", hard).await?;
    assert_says(&text, &["all failed", "102, 103: ", "hard-stop"]);
    let outside = json!({ "vmids": [103, 104] });
    let text = client.error("stop_guest", outside).await?;
    assert_says(&text, &["no guest 104", "scope"]);
    assert_eq!(sim.writes()?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn tasks_of_several_guests_need_not_be_followed() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    let arguments = json!({ "vmids": [103, 200], "wait": false });
    let report = client.call("stop_guest", arguments).await?;
    assert_eq!(statuses(&report), "103: running, 200: running");
    assert_eq!(report["status"], "running", "{report:#}");
    assert!(report["guests"][0]["upid"].is_string(), "{report:#}");
    assert_says(
        report["next_step"].as_str().unwrap(),
        &["wait_task", "upid"],
    );
    Ok(())
}
