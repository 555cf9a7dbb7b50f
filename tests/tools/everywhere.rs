//! Reads about all guests in one call, with a bounded number of requests.

use harness::{Sim, assert_says};
use serde_json::{Value, json};

fn vmids(list: &Value) -> Vec<u64> {
    let vmid = |one: &Value| one["vmid"].as_u64().unwrap_or_default();
    list.as_array().into_iter().flatten().map(vmid).collect()
}

#[tokio::test]
async fn snapshots_of_all_guests_by_age() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    let new = json!({ "vmid": 104, "snapshot": "fresh" });
    client.call("create_snapshot", new).await?;
    let all = client.call("list_snapshots", json!({})).await?;
    assert_eq!(vmids(&all["snapshots"]), [100, 104], "{all:#}");
    assert_eq!(all["snapshots"][0]["name"], "web01");
    assert_eq!(all["guests_read"], 7, "{all:#}");
    assert!(all.get("vmid").is_none());
    assert_says(all["hint"].as_str().unwrap(), &["1 guest", "offline"]);
    let old = client
        .call("list_snapshots", json!({ "older_than_days": 30 }))
        .await?;
    assert_eq!(vmids(&old["snapshots"]), [100], "{old:#}");
    let of_one = json!({ "vmid": 104, "older_than_days": 30 });
    let of_one = client.call("list_snapshots", of_one).await?;
    assert_eq!(of_one["snapshots"], json!([]), "{of_one:#}");
    let text = client
        .error("list_snapshots", json!({ "vmid": 104, "node": "pve1" }))
        .await?;
    assert_says(&text, &["node", "left out"]);
    Ok(())
}

#[tokio::test]
async fn guests_whose_newest_backup_is_old() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let stale = client
        .call("list_backups", json!({ "older_than_days": 2 }))
        .await?;
    assert_eq!(vmids(&stale["guests"]), [200], "{stale:#}");
    // Those without any are named as before, and no others.
    let none = client.call("list_backups", json!({})).await?;
    let unknown = "guests_whose_backup_is_not_known";
    assert_eq!(stale[unknown], none[unknown], "{stale:#}");
    assert_eq!(
        stale["guests_without_backup"],
        none["guests_without_backup"]
    );
    let older = client
        .call("list_backups", json!({ "older_than_days": 30 }))
        .await?;
    assert_eq!(older["guests"], json!([]), "{older:#}");
    Ok(())
}

#[tokio::test]
async fn the_guest_that_has_an_address_is_found() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for (address, vmid, source) in [
        ("192.0.2.50", 100, "ipconfig0"),
        ("192.0.2.54", 104, "guest agent"),
        ("2001:DB8:0:0::54", 104, "guest agent"),
        ("192.0.2.60", 200, "interfaces"),
    ] {
        let list = client
            .call("list_guests", json!({ "address": address }))
            .await?;
        assert_eq!(vmids(&list["guests"]), [vmid], "{address}: {list:#}");
        assert_eq!(list["guests"][0]["address_source"], source, "{list:#}");
    }
    let none = client
        .call("list_guests", json!({ "ip": "192.0.2.99" }))
        .await?;
    assert_eq!(none["total"], 0, "{none:#}");
    assert_says(
        none["hint"].as_str().unwrap(),
        &["192.0.2.99", "guest agent", "offline"],
    );
    let text = client
        .error("list_guests", json!({ "address": "192.0.2.0/24" }))
        .await?;
    assert_says(&text, &["address", "prefix length", "192.0.2.0/24"]);
    Ok(())
}

/// The number of requests does not grow with the cluster, and what is left out is said.
#[tokio::test]
async fn requests_are_bounded_at_1000_guests() -> anyhow::Result<()> {
    let mut sim = Sim::options().arg("--guests=1000").start().await?;
    let client = sim.admin()?.connect().await?;
    for (tool, arguments, most, field, words) in [
        (
            "list_snapshots",
            json!({}),
            810,
            "hint",
            &["not looked at", "node"][..],
        ),
        (
            "list_guests",
            json!({ "address": "203.0.113.99" }),
            900,
            "hint",
            &["203.0.113.99", "narrow by node"],
        ),
        (
            "report_waste",
            json!({}),
            960,
            "not_checked",
            &["beyond the limits"],
        ),
    ] {
        let before = sim.served().await?;
        let result = client.call(tool, arguments).await?;
        let requests = sim.served().await? - before;
        assert!(requests <= most, "{tool} made {requests} requests");
        assert!(result.to_string().len() < 64_000, "{tool}");
        assert_says(&result[field].to_string(), words);
    }
    Ok(())
}

#[tokio::test]
async fn firewalls_of_all_guests_are_audited_at_once() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    let all = json!({ "cluster": true, "guests": true });
    let off = client.call("audit_firewall", all.clone()).await?;
    if off["enabled"] == false {
        assert!(off.get("guests").is_none(), "{off:#}");
        assert_says(off["hint"].as_str().unwrap(), &["off", "not read"]);
        let enable = json!({ "cluster": true, "enabled": true, "accept_lockout": true });
        client.call("set_firewall_options", enable).await?;
    }
    let audit = client.call("audit_firewall", all).await?;
    let guests = audit["guests"].as_array().unwrap();
    assert!(!guests.is_empty(), "{audit:#}");
    for guest in guests {
        let severity = guest["findings"][0]["severity"].as_str().unwrap();
        assert!(["high", "medium"].contains(&severity), "{guest:#}");
        // The same audit of this guest alone says it, too.
        let alone = json!({ "vmid": guest["vmid"] });
        let alone = client.call("audit_firewall", alone).await?;
        let alone = alone["findings"].to_string();
        let finding = guest["findings"][0]["finding"].as_str().unwrap();
        assert!(alone.contains(finding), "{finding}: {alone}");
    }
    let text = client
        .error("audit_firewall", json!({ "vmid": 100, "guests": true }))
        .await?;
    assert_says(&text, &["guests", "cluster true"]);
    Ok(())
}
