//! What `report_waste` finds, and what it leaves alone.

use harness::{Sim, assert_says};
use serde_json::{Value, json};

fn of_kind<'a>(report: &'a Value, kind: &str) -> Vec<&'a Value> {
    let findings = report["findings"].as_array().into_iter().flatten();
    findings.filter(|one| one["kind"] == kind).collect()
}

#[tokio::test]
async fn waste_is_found_with_its_size_and_evidence() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    sim.control(json!({ "cmd": "node", "node": "pve2", "online": true }))
        .await?;
    let client = sim.admin()?.connect().await?;
    let detached = json!({ "unused0": "local:103/vm-103-disk-0.qcow2", "scsi0": null });
    sim.set_guest(103, json!({ "config": detached })).await?;
    sim.set_guest(104, json!({ "load": 0.005, "memory_use": 0.05 }))
        .await?;
    sim.control(json!({ "cmd": "remove-guest", "vmid": 102 }))
        .await?;
    sim.advance(10).await?;
    let report = client.call("report_waste", json!({})).await?;

    let sizes: Vec<u64> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["bytes"].as_u64().unwrap_or(0))
        .collect();
    assert!(sizes.is_sorted_by(|a, b| a >= b), "{report:#}");

    let idle = of_kind(&report, "idle_guest");
    assert_eq!(idle.len(), 1, "{report:#}");
    assert_eq!(idle[0]["vmid"], 104);
    assert_eq!(idle[0]["bytes"], 4_u64 << 30);

    let unused = of_kind(&report, "unused_disk");
    assert_eq!(unused.len(), 1, "{report:#}");
    assert_eq!(unused[0]["bytes"], 1 << 30);

    let orphans = of_kind(&report, "orphaned_volume");
    assert_eq!(orphans.len(), 1, "{report:#}");
    assert_eq!(orphans[0]["volid"], "local:102/vm-102-disk-0.qcow2");
    assert_says(
        orphans[0]["evidence"].as_str().unwrap(),
        &["there is no guest 102"],
    );

    let isos = of_kind(&report, "unused_iso");
    let names: Vec<&str> = isos
        .iter()
        .map(|iso| iso["volid"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "nas:iso/ubuntu-24.04.3-live-server-amd64.iso",
            "local:iso/debian-13.1.0-amd64-netinst.iso"
        ],
        "{report:#}"
    );

    let snapshots = of_kind(&report, "old_snapshot");
    assert_eq!(snapshots[0]["snapshot"], "clean", "{report:#}");
    // The task log of the simulated node is a few hours old.
    assert!(of_kind(&report, "stopped_guest").is_empty(), "{report:#}");
    assert_says(
        &report["not_checked"].to_string(),
        &["stopped guests on pve1", "does not reach back 30 days"],
    );
    // It says where a person can remove something, and offers no tool for it.
    assert!(!report.to_string().contains("delete_snapshot"));
    assert_eq!(sim.writes()?.len(), 0);
    Ok(())
}

/// A volume of a guest that the token may not see is not one of a guest that is gone.
#[tokio::test]
async fn what_may_belong_to_a_hidden_guest_is_no_orphan() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    for host in [
        sim.host()?.arg("--vmids=103"),
        sim.host_with("audit")?,
        sim.host()?,
    ] {
        let client = host.connect().await?;
        let report = client.call("report_waste", json!({})).await?;
        assert!(of_kind(&report, "orphaned_volume").is_empty(), "{report:#}");
    }
    let scoped = sim.host()?.arg("--vmids=103").connect().await?;
    let report = scoped.call("report_waste", json!({})).await?;
    assert!(of_kind(&report, "unused_iso").is_empty(), "{report:#}");
    assert_says(&report["not_checked"].to_string(), &["ISO images"]);
    let text = scoped
        .error("report_waste", json!({ "node": "pve9" }))
        .await?;
    assert_says(&text, &["pve9"]);
    Ok(())
}
