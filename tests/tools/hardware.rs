//! Network cards, CD drives, new disks and moves to other storages.

use harness::{Sim, assert_says};
use serde_json::{Value, json};

/// The volumes that a guest's configuration refers to.
fn volumes(guest: &Value) -> Vec<String> {
    let config = guest["config"].as_object().into_iter().flatten();
    let mut volumes: Vec<String> = config
        .filter_map(|(_, value)| value.as_str()?.split(',').next())
        .filter(|head| head.contains(":") && head.contains("vm-"))
        .map(str::to_owned)
        .collect();
    volumes.sort();
    volumes
}

#[tokio::test]
async fn a_card_is_moved_to_a_vlan_and_keeps_its_mac() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let before = sim.guest(100).await?["config"]["net0"].to_string();
    let mac = before
        .split(['=', ','])
        .find(|part| part.matches(':').count() == 5)
        .unwrap_or_default()
        .to_owned();
    let change = json!({ "vmid": 100, "nic": "net0", "vlan": 20, "firewall": true });
    let report = client.call("set_nic", change.clone()).await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_says(&report["warnings"].to_string(), &["enabled for the guest"]);
    let after = sim.guest(100).await?["config"]["net0"].to_string();
    assert_says(&after, &[&mac, "tag=20", "firewall=1"]);
    let writes = sim.writes()?.len();
    let report = client.call("set_nic", change).await?;
    assert_eq!(report["status"], "unchanged", "{report:#}");
    assert_eq!(sim.writes()?.len(), writes);
    // A container's address, live.
    let report = client
        .call(
            "set_nic",
            json!({ "vmid": 200, "nic": "net0", "ipv4": "192.0.2.77/24",
                "ipv4_gateway": "192.0.2.1" }),
        )
        .await?;
    assert_eq!(report["status"], "done", "{report:#}");
    let card = sim.guest(200).await?["config"]["net0"].to_string();
    assert_says(&card, &["ip=192.0.2.77/24", "gw=192.0.2.1", "name=eth0"]);
    let error = client
        .error(
            "set_nic",
            json!({ "vmid": 100, "nic": "new", "bridge": "vmbr77" }),
        )
        .await?;
    assert_says(&error, &["bridge", "vmbr0"]);
    let report = client
        .call(
            "set_nic",
            json!({ "vmid": 100, "nic": "new", "bridge": "vmbr0" }),
        )
        .await?;
    assert_eq!(report["changes"][0]["what"], "net1", "{report:#}");
    Ok(())
}

#[tokio::test]
async fn a_cd_is_inserted_and_ejected_and_the_cloud_init_drive_stays() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let iso = client.first_volume("pve1", "iso").await?;
    for vmid in [100, 103, 9000] {
        let before = volumes(&sim.guest(vmid).await?);
        let report = client
            .call("set_cdrom", json!({ "vmid": vmid, "volid": iso }))
            .await?;
        let slot = report["changes"][0]["what"].as_str().unwrap_or_default();
        assert!(!slot.is_empty(), "{report:#}");
        let report = client
            .call(
                "set_cdrom",
                json!({ "vmid": vmid, "eject": true, "disk": slot }),
            )
            .await;
        // A drive that is only pending cannot be emptied before it is there.
        if let Ok(report) = report {
            assert!(report["status"] != "running", "{report:#}");
        }
        assert_eq!(volumes(&sim.guest(vmid).await?), before, "guest {vmid}");
    }
    let config = sim.guest(9000).await?["config"].clone();
    let drive = config
        .as_object()
        .into_iter()
        .flatten()
        .find_map(|(slot, value)| value.as_str()?.contains("cloudinit").then(|| slot.clone()));
    if let Some(drive) = drive {
        let error = client
            .error(
                "set_cdrom",
                json!({ "vmid": 9000, "volid": iso, "disk": drive }),
            )
            .await?;
        assert_says(&error, &["cloud-init drive"]);
    }
    Ok(())
}

/// An installer in the image could overwrite the disk.
#[tokio::test]
async fn an_image_that_would_boot_before_the_disk_is_refused() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let iso = client.first_volume("pve1", "iso").await?;
    let drive = json!({ "config": { "boot": "order=ide2;scsi0", "ide2": "none,media=cdrom" } });
    sim.set_guest(103, drive).await?;
    let insert = json!({ "vmid": 103, "volid": iso, "disk": "ide2" });
    let error = client.error("set_cdrom", insert.clone()).await?;
    assert_says(&error, &["before its disk", "web interface", "boot order"]);
    assert!(sim.writes()?.is_empty());
    sim.set_guest(103, json!({ "config": { "boot": "order=scsi0;ide2" } }))
        .await?;
    client.call("set_cdrom", insert).await?;
    // What boots first can still be ejected.
    sim.set_guest(103, json!({ "config": { "boot": "order=ide2;scsi0" } }))
        .await?;
    client
        .call(
            "set_cdrom",
            json!({ "vmid": 103, "eject": true, "disk": "ide2" }),
        )
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_disk_is_added_in_a_free_slot_only() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let before = volumes(&sim.guest(100).await?);
    let report = client
        .call(
            "add_disk",
            json!({ "vmid": 100, "size": "8G", "storage": "local" }),
        )
        .await?;
    assert_says(&report["status"].to_string(), &["done"]);
    let volid = report["volid"].as_str().unwrap_or_default().to_owned();
    assert_says(&volid, &["vm-100-disk-"]);
    let after = volumes(&sim.guest(100).await?);
    assert!(
        before.iter().all(|volume| after.contains(volume)),
        "{before:?} {after:?}"
    );
    assert_eq!(after.len(), before.len() + 1);
    let slot = report["changes"][0]["what"].clone();
    let error = client
        .error(
            "add_disk",
            json!({ "vmid": 100, "size": "8G", "disk": slot }),
        )
        .await?;
    assert_says(&error, &["is in use"]);
    let error = client
        .error(
            "add_disk",
            json!({ "vmid": 200, "size": "1G", "mount_point": "/etc/ssh", "storage": "local" }),
        )
        .await?;
    assert_says(&error, &["mount_point", "directory of the system"]);
    let report = client
        .call(
            "add_disk",
            json!({ "vmid": 200, "size": "1G", "mount_point": "/srv/data", "storage": "local" }),
        )
        .await;
    let text = format!("{report:?}");
    assert!(text.contains("mp0") || text.contains("container"), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_moved_disk_leaves_its_old_volume() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let guest = client.call("get_guest", json!({ "vmid": 100 })).await?;
    let disk = guest["disks"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|disk| disk["cdrom"] != json!(true) && disk["storage"].is_string())
        .cloned()
        .unwrap_or_default();
    let target = if disk["storage"] == "local" {
        "bulk"
    } else {
        "local"
    };
    let before = volumes(&sim.guest(100).await?);
    let report = client
        .call(
            "move_disk",
            json!({ "vmid": 100, "disk": disk["disk"], "storage": target }),
        )
        .await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_says(&report["next_step"].to_string(), &["unused0", "snapshots"]);
    let after = volumes(&sim.guest(100).await?);
    assert!(
        before.iter().all(|volume| after.contains(volume)),
        "{before:?} {after:?}"
    );
    Ok(())
}

/// What the tools refuse, the host refuses too, whatever a component sends.
#[tokio::test]
async fn host_runner_reads_the_configuration_itself() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    client
        .call("set_guest_agent", json!({ "vmid": 100, "enabled": false }))
        .await?;
    let before = sim.requests()?.len();
    client
        .call(
            "add_disk",
            json!({ "vmid": 100, "size": "1G", "storage": "local" }),
        )
        .await?;
    let asked = sim.requests()?.split_off(before);
    let pending = |one: &&Value| {
        one["path"]
            .as_str()
            .is_some_and(|path| path.ends_with("/pending"))
    };
    // Once by the tool before, once after, and once by the host in between.
    assert_eq!(asked.iter().filter(pending).count(), 3, "{asked:#?}");
    let admin = sim.admin()?.connect().await?;
    admin
        .call("stop_guest", json!({ "vmid": 103, "mode": "hard" }))
        .await?;
    // It cannot be undone, so it takes more than the default policy.
    let error = client
        .protocol_error("convert_to_template", json!({ "vmid": 103 }))
        .await?;
    assert_says(&error.message, &["template", "admin"]);
    let report = admin
        .call("convert_to_template", json!({ "vmid": 103 }))
        .await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_eq!(sim.guest(103).await?["config"]["template"], "1");
    Ok(())
}

#[tokio::test]
async fn a_guarded_change_takes_a_snapshot_first() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let change = json!({ "vmid": 100, "nic": "net0", "vlan": 30, "safe": true });
    let report = client.call("set_nic", change.clone()).await?;
    assert_says(&report["status"].to_string(), &["done"]);
    let snapshot = report["snapshot"].as_str().unwrap_or_default().to_owned();
    assert!(snapshot.starts_with("before_nic_"), "{report:#}");
    assert_says(
        &report["next_step"].to_string(),
        &["the guest runs", "rollback_snapshot", &snapshot],
    );
    let writes = sim.writes()?;
    let at = |path: &str| {
        let mut paths = writes
            .iter()
            .map(|one| one["path"].as_str().unwrap_or_default());
        paths.position(|one| one.ends_with(path))
    };
    assert!(at("/snapshot") < at("/config"), "{writes:#?}");
    let config = sim.guest(100).await?["config"].clone();
    assert_says(&config["net0"].to_string(), &["tag=30"]);
    // Nothing to change takes no snapshot, nor does what is refused.
    let report = client.call("set_nic", change).await?;
    assert_eq!(report["status"], "unchanged", "{report:#}");
    client
        .error(
            "resize_disk",
            json!({ "vmid": 100, "disk": "scsi9", "size": "+1G", "safe": true }),
        )
        .await?;
    assert_eq!(sim.writes()?.len(), writes.len());
    let report = client
        .call(
            "set_guest_resources",
            json!({ "vmid": 100, "cores": 3, "safe": true }),
        )
        .await?;
    assert_says(&report["snapshot"].to_string(), &["before_resources_"]);
    let guest = client.call("get_guest", json!({ "vmid": 100 })).await?;
    let disk = guest["disks"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|disk| disk["cdrom"] != json!(true) && disk["storage"].is_string())
        .cloned()
        .unwrap_or_default();
    let report = client
        .call(
            "resize_disk",
            json!({ "vmid": 100, "disk": disk["disk"], "size": "+1G", "safe": true }),
        )
        .await?;
    assert_says(&report["snapshot"].to_string(), &["before_disk_size_"]);
    assert_says(
        &report["next_step"].to_string(),
        &["partition", "rollback_snapshot"],
    );
    Ok(())
}
