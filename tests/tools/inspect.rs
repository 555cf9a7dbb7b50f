//! Tools that look at something as a whole, and backup jobs.

use harness::Sim;
use serde_json::{Value, json};

/// All findings or causes, as text.
fn said(list: &Value) -> String {
    let words = |one: &Value| {
        let word = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        format!(
            "{}{}: {}{}",
            word("severity"),
            word("certainty"),
            word("finding"),
            word("cause")
        )
    };
    let all: Vec<String> = list.as_array().into_iter().flatten().map(words).collect();
    all.join("\n")
}

#[tokio::test]
async fn a_disabled_job_covers_no_guest() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let list = client.call("list_backup_jobs", json!({})).await?;
    let uncovered: Vec<&Value> = list["uncovered"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|guest| &guest["vmid"])
        .collect();
    // The job by hand names 102; nothing names 103.
    assert_eq!(uncovered, [&json!(103)], "{list:#}");
    assert_eq!(list["total"], 3);
    let said = said(&list["findings"]);
    for words in [
        "high: no enabled backup job covers 1 guest",
        "job by-hand names guests that do not exist",
        "low: job lab is disabled",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let of_one = client
        .call("list_backup_jobs", json!({ "vmid": 102 }))
        .await?;
    assert_eq!(of_one["jobs"][0]["job"], "by-hand", "{of_one:#}");
    assert_eq!(of_one["uncovered"], json!([]));
    assert_eq!(sim.writes()?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn a_scope_hides_the_guests_of_others_in_jobs() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.arg("--vmids=102").connect().await?;
    let list = client.call("list_backup_jobs", json!({})).await?;
    assert!(!list.to_string().contains("9999"), "{list:#}");
    assert!(!list.to_string().contains("103"), "{list:#}");
    assert_eq!(list["uncovered_total"], 0, "{list:#}");
    let access = client.call("audit_access", json!({ "vmid": 102 })).await?;
    assert!(!access["holders"].as_array().unwrap().is_empty());
    let error = client
        .error("diagnose_guest", json!({ "vmid": 100 }))
        .await?;
    assert!(error.contains("scope"), "{error}");
    Ok(())
}

#[tokio::test]
async fn the_health_of_a_node_ends_in_findings() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    let health = client
        .call("get_node_health", json!({ "node": "pve1" }))
        .await?;
    let found = said(&health["findings"]);
    for words in [
        "medium: the disk /dev/sda is worn: 12% of its life is left",
        "medium: the disk /dev/sdb has 8 reallocated sectors",
        "medium: the service postfix has failed",
        "low: a newer kernel is installed than the one that runs",
        "low: 2 updates can be installed",
    ] {
        assert!(found.contains(words), "{words}: {found}");
    }
    assert_eq!(health["disks"][0]["life_left_percent"], 97.0, "{health:#}");
    assert_eq!(health["kernel"]["reboot_pending"], true);
    assert_eq!(health["subscription"], "notfound");
    assert_eq!(health.get("ceph"), None);

    // What an auditor may not see is named, and the rest is shown.
    let auditor = sim.host_with("audit")?.connect().await?;
    let health = auditor
        .call("get_node_health", json!({ "node": "pve1" }))
        .await?;
    assert_eq!(
        health["not_visible"],
        json!(["updates: the token lacks Sys.Modify on /nodes/pve1"]),
        "{health:#}"
    );
    let blind = sim.host_with("none")?.connect().await?;
    let health = blind
        .call("get_node_health", json!({ "node": "pve1" }))
        .await?;
    let unseen = health["not_visible"].as_array().unwrap();
    assert!(unseen.len() >= 8, "{health:#}");

    let error = client
        .error("get_node_health", json!({ "node": "pve2" }))
        .await?;
    assert!(error.contains("offline"), "{error}");
    Ok(())
}

#[tokio::test]
async fn networks_say_whether_the_token_may_use_them() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let list = client.call("list_networks", json!({})).await?;
    assert_eq!(list["total"], 1, "{list:#}");
    let bridge = &list["networks"][0];
    assert_eq!(bridge["bridge"], "vmbr0");
    assert_eq!(bridge["ports"], json!(["nic0"]));
    assert_eq!(bridge["usable"], true);
    assert!(list["not_visible"].to_string().contains("pve2 is offline"));
    let cards = client
        .call("list_networks", json!({ "type": "eth" }))
        .await?;
    assert_eq!(cards["networks"][0]["bridge"], "nic0");
    Ok(())
}

#[tokio::test]
async fn what_the_agent_tells_of_the_system_inside() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let info = client
        .call("get_guest_agent_info", json!({ "vmid": 100 }))
        .await?;
    assert_eq!(info["os"], "Debian GNU/Linux 13 (trixie)", "{info:#}");
    assert_eq!(info["time_zone"], "UTC");
    assert_eq!(info["logins"], json!([]));
    assert_eq!(info["filesystems"][0]["mount_point"], "/");
    for (vmid, words) in [
        (101, "switched off"),
        (102, "does not answer"),
        (200, "is a container"),
    ] {
        let error = client
            .error("get_guest_agent_info", json!({ "vmid": vmid }))
            .await?;
        assert!(error.contains(words), "{vmid}: {error}");
    }
    Ok(())
}

#[tokio::test]
async fn high_availability_and_pools() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let ha = client.call("get_ha", json!({})).await?;
    assert_eq!(ha["resources"][0]["sid"], "vm:104", "{ha:#}");
    assert_eq!(ha["rules"][0]["resources"], json!(["vm:104"]));
    let pools = client.call("list_pools", json!({})).await?;
    assert_eq!(pools["pools"][0]["pool"], "prod", "{pools:#}");
    assert!(pools["pools"][0].get("guests").is_none());
    let one = client.call("list_pools", json!({ "pool": "prod" })).await?;
    let count = one["pools"][0]["guest_count"].as_u64().unwrap();
    assert_eq!(
        one["pools"][0]["guests"].as_array().unwrap().len() as u64,
        count
    );
    let error = client.error("list_pools", json!({ "pool": "prd" })).await?;
    assert!(error.contains("prod is probably meant"), "{error}");
    Ok(())
}

#[tokio::test]
async fn access_is_audited_without_secrets() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    let audit = client.call("audit_access", json!({ "vmid": 100 })).await?;
    assert!(audit["users_total"].as_u64().unwrap() >= 1, "{audit:#}");
    let found = said(&audit["findings"]);
    assert!(found.contains("never expire"), "{found}");
    let holders = audit["holders"].to_string();
    assert!(holders.contains("root@pam"), "{holders}");
    Ok(())
}

#[tokio::test]
async fn a_diagnosis_names_the_cause_and_the_fix() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let locked = client
        .call("diagnose_guest", json!({ "vmid": 101 }))
        .await?;
    assert_eq!(locked["lock"], "backup", "{locked:#}");
    let causes = said(&locked["causes"]);
    assert!(causes.contains("locked (backup)"), "{causes}");
    assert!(locked["causes"].to_string().contains("qm unlock 101"));

    let template = client
        .call("diagnose_guest", json!({ "vmid": 9000 }))
        .await?;
    assert!(said(&template["causes"]).starts_with("certain: it is a template"));

    let wrong = json!({ "vmid": 100, "address": "192.0.2.99" });
    let address = client.call("diagnose_guest", wrong).await?;
    let causes = said(&address["causes"]);
    assert!(
        causes.contains("certain: it does not have the address"),
        "{causes}"
    );

    sim.set_guest(
        100,
        json!({ "config": { "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr7,link_down=1" } }),
    )
    .await?;
    let cut = client
        .call("diagnose_guest", json!({ "vmid": 100 }))
        .await?;
    let causes = said(&cut["causes"]);
    assert!(causes.contains("the link of net0 is down"), "{causes}");
    // It runs, so it has its bridge.
    assert!(!causes.contains("vmbr7"), "{causes}");

    let away = client
        .call("diagnose_guest", json!({ "vmid": 300 }))
        .await?;
    assert!(
        said(&away["causes"]).contains("node pve2 is offline"),
        "{away:#}"
    );
    assert_eq!(sim.writes()?.len(), 0);
    Ok(())
}
