//! Backups: listing, making and restoring them as new guests.

use anyhow::Context as _;
use harness::{Client, Sim, assert_says};
use serde_json::{Value, json};

/// The backups of a guest, newest first.
async fn backups_of(client: &Client, vmid: u32) -> anyhow::Result<Vec<Value>> {
    let list = client.call("list_backups", json!({ "vmid": vmid })).await?;
    let guests = list
        .get("guests")
        .and_then(Value::as_array)
        .context("no guests")?;
    Ok(match guests.as_slice() {
        [] => Vec::new(),
        [one] => one
            .get("backups")
            .and_then(Value::as_array)
            .context("no backups")?
            .clone(),
        _ => anyhow::bail!("backups of other guests: {list:#}"),
    })
}

/// The newest backup of a guest.
async fn newest(client: &Client, vmid: u32) -> anyhow::Result<String> {
    let backups = backups_of(client, vmid).await?;
    let volid = backups.first().and_then(|one| one["volid"].as_str());
    Ok(volid.context("no backup")?.to_owned())
}

#[tokio::test]
async fn backups_are_listed_by_guest_newest_first() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let list = client.call("list_backups", json!({})).await?;
    assert_eq!(list["total"], 3, "{list:#}");
    let guests = list["guests"].as_array().unwrap();
    assert_eq!(guests.len(), 2, "{list:#}");
    let web = &guests[0];
    assert_eq!(web["vmid"], 100);
    assert_eq!(web["name"], "web01");
    assert_eq!(web["exists"], true);
    assert_eq!(web["count"], 2);
    let [new, old] = web["backups"].as_array().unwrap().as_slice() else {
        panic!("{list:#}");
    };
    assert!(
        new["created_at"].as_str() > old["created_at"].as_str(),
        "{list:#}"
    );
    assert!(
        new["age_seconds"].as_u64() < old["age_seconds"].as_u64(),
        "{list:#}"
    );
    assert_eq!(new["protected"], false);
    assert_eq!(old["protected"], true);
    assert_eq!(new["kind"], "qemu");
    assert!(new["size_bytes"].as_u64() > Some(0), "{list:#}");
    assert_says(&new["volid"].to_string(), &["nas:backup/vzdump-qemu-100-"]);
    assert_eq!(guests[1]["backups"][0]["kind"], "lxc");
    // The offline node's own storage may hold more.
    assert!(list.get("guests_without_backup").is_none(), "{list:#}");
    let without = list["guests_whose_backup_is_not_known"].to_string();
    assert_says(&without, &["101", "104", "201"]);
    assert!(
        !without.contains("9000"),
        "a template needs none: {without}"
    );
    assert_says(
        &list["unavailable"].to_string(),
        &["local on pve2", "offline"],
    );

    // Every guest's newest comes before any guest's second.
    let list = client.call("list_backups", json!({ "limit": 2 })).await?;
    let shown: Vec<usize> = list["guests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|guest| guest["backups"].as_array().unwrap().len())
        .collect();
    assert_eq!(shown, [1, 1], "{list:#}");
    assert_says(&list["hint"].to_string(), &["1-2 of 3", "offset to 2"]);
    let list = client
        .call("list_backups", json!({ "storage": "nas" }))
        .await?;
    assert_eq!(list["total"], 2, "{list:#}");
    assert!(list.get("guests_without_backup").is_none(), "{list:#}");
    assert!(backups_of(&client, 104).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn one_storage_that_fails_does_not_hide_the_others() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    sim.fault(json!({
        "kind": "status", "code": 500, "reason": "mount error: nas is not reachable",
        "path": "/storage/nas/content", "times": 9,
    }))
    .await?;
    let list = client.call("list_backups", json!({})).await?;
    assert_eq!(list["total"], 1, "{list:#}");
    assert_says(
        &list["unavailable"].to_string(),
        &["nas on pve1", "not reachable"],
    );
    Ok(())
}

#[tokio::test]
async fn unknown_storages_and_nodes_are_refused() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for (arguments, words) in [
        (
            json!({ "storage": "nos" }),
            &["no storage nos", "local", "nas"][..],
        ),
        (
            json!({ "storage": "tank" }),
            &["tank", "does not hold backups", "nas"],
        ),
        (json!({ "node": "pve9" }), &["pve9", "pve1"]),
        (json!({ "storage": "a b" }), &["a b", "local, nas"]),
        (json!({ "limit": 0 }), &["limit"]),
        (json!({ "vmid": 1 }), &["vmid"]),
    ] {
        let text = client.error("list_backups", arguments).await?;
        assert_says(&text, words);
    }
    let nobody = sim.host_with("none")?.connect().await?;
    let list = nobody.call("list_backups", json!({})).await?;
    assert_says(&list["hint"].to_string(), &["Datastore.Audit"]);
    Ok(())
}

#[tokio::test]
async fn a_vm_is_backed_up_and_restored() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let report = client
        .call(
            "create_backup",
            json!({ "vmid": 103, "storage": "nas", "notes": "before\nC:\\tmp {{guestname}}", "protected": true }),
        )
        .await?;
    assert_eq!(report["status"], "done", "{report:#}");
    let volid = report["volid"].as_str().context("nothing created")?;
    assert_says(volid, &["nas:backup/vzdump-qemu-103-", ".vma.zst"]);
    let backups = backups_of(&client, 103).await?;
    let [made] = backups.as_slice() else {
        panic!("{backups:?}");
    };
    assert_eq!(made["volid"], volid);
    assert_eq!(made["protected"], true);
    assert_eq!(made["notes"], "before\nC:\\tmp plain01");
    // Older ones are kept: retention is not applied unasked.
    let write = sim.writes()?.pop().context("no write")?;
    assert_says(&write["params"]["remove"].to_string(), &["0"]);

    let report = client
        .call("restore_backup", json!({ "volid": volid, "name": "again" }))
        .await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_eq!(report["vmid"], 105, "{report:#}");
    assert_says(
        &report["warnings"].to_string(),
        &["plain01", "still exists"],
    );
    assert_says(&report["next_step"].to_string(), &["start_guest"]);
    let (old, new) = (sim.guest(103).await?, sim.guest(105).await?);
    assert_eq!(new["running"], false);
    assert_eq!(new["config"]["name"], "again");
    assert_eq!(new["config"]["memory"], old["config"]["memory"]);
    assert_ne!(
        new["config"]["net0"], old["config"]["net0"],
        "the same MAC address"
    );
    Ok(())
}

#[tokio::test]
async fn a_container_is_backed_up_and_restored() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let archive = newest(&client, 200).await?;
    // Several storages hold containers: Proxmox would just take local.
    let text = client
        .error("restore_backup", json!({ "volid": archive }))
        .await?;
    assert_says(&text, &["storage", "several", "bulk", "local"]);
    let report = client
        .call(
            "restore_backup",
            json!({ "volid": archive, "storage": "bulk", "new_vmid": 500, "keep_macs": true, "name": "ct05" }),
        )
        .await?;
    assert_eq!(report["vmid"], 500, "{report:#}");
    assert_says(&report["warnings"].to_string(), &["ct01", "MAC addresses"]);
    let (old, new) = (sim.guest(200).await?, sim.guest(500).await?);
    assert_eq!(new["kind"], "lxc");
    assert_eq!(new["config"]["hostname"], "ct05");
    assert_eq!(new["config"]["net0"], old["config"]["net0"]);
    assert_says(&new["config"]["rootfs"].to_string(), &["bulk:"]);
    Ok(())
}

#[tokio::test]
async fn a_restore_never_overwrites() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let archive = newest(&client, 100).await?;
    let before = sim.guest(100).await?;
    let text = client
        .error(
            "restore_backup",
            json!({ "volid": archive, "new_vmid": 100 }),
        )
        .await?;
    assert_says(&text, &["100", "taken", "web01", "new guest"]);
    for (argument, value) in [
        ("force", json!(true)),
        ("overwrite", json!(1)),
        ("start", json!(true)),
    ] {
        let text = client
            .error(
                "restore_backup",
                json!({ "volid": archive, "new_vmid": 100, argument: value }),
            )
            .await?;
        assert_says(&text, &[argument, "not known"]);
    }
    assert!(sim.writes()?.is_empty());
    assert_eq!(sim.guest(100).await?["config"], before["config"]);

    // A guest that the token does not see is in no more danger.
    sim.control(json!({
        "cmd": "token", "id": "ops@pve!restore", "secret": "4f0d2a52-0000-4000-8000-000000000002",
        "rights": "/vms=VM.Allocate,/vms/100=none,/storage=Datastore.Audit+Datastore.AllocateSpace+Datastore.Allocate,/=Sys.Audit",
    }))
    .await?;
    let blind = sim
        .host()?
        .env("PROXMOX_USER", "ops@pve")
        .env("PROXMOX_TOKEN_ID", "restore")
        .env(
            "PROXMOX_TOKEN_SECRET",
            "4f0d2a52-0000-4000-8000-000000000002",
        )
        .connect()
        .await?;
    let text = blind
        .error(
            "restore_backup",
            json!({ "volid": archive, "new_vmid": 100 }),
        )
        .await?;
    assert!(!text.is_empty());
    assert_eq!(sim.guest(100).await?["config"], before["config"]);
    for write in sim.writes()? {
        assert!(write["params"].get("force").is_none(), "{write:#}");
    }
    Ok(())
}

#[tokio::test]
async fn a_restore_takes_the_next_vmid_if_the_first_was_taken() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let archive = newest(&client, 100).await?;
    // Someone else has been faster.
    sim.fault(json!({
        "kind": "status", "code": 500, "reason": "unable to restore VM 105 - VM 105 already exists on node 'pve1'",
        "method": "POST", "path": "/qemu$",
    }))
    .await?;
    let report = client
        .call("restore_backup", json!({ "volid": archive }))
        .await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_eq!(sim.sent_to("GET", "/cluster/nextid")?.len(), 2);
    Ok(())
}

/// Of a guest that has left the node Proxmox says OK, and makes no backup.
#[tokio::test]
async fn an_ok_without_a_task_is_not_a_backup() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.admin()?.connect().await?;
    let mut ok = json!({ "cmd": "fault", "kind": "status", "code": 200, "method": "POST",
        "path": "/vzdump$", "body": r#"{"data":"OK"}"#, "times": 1 });
    sim.control(ok.clone()).await?;
    let backup = json!({ "vmid": 200, "storage": "nas" });
    let report = client.call("create_backup", backup.clone()).await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert!(report["volid"].is_string(), "{report:#}");

    ok["times"] = json!(2);
    sim.control(ok).await?;
    let text = client.error("create_backup", backup).await?;
    assert_says(&text, &["no backup was made", "200", "get_guest"]);
    Ok(())
}

#[tokio::test]
async fn an_archive_that_cannot_be_restored_is_refused() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let archive = newest(&client, 100).await?;
    for (arguments, words) in [
        (
            json!({ "volid": "nas:backup/vzdump-qemu-100-2020_01_01-00_00_00.vma.zst" }),
            &["no backup", "list_backups"][..],
        ),
        (
            json!({ "volid": "nos:backup/x.vma" }),
            &["no storage nos", "nas"],
        ),
        (
            json!({ "volid": "tank:backup/x.vma" }),
            &["tank", "does not hold backups"],
        ),
        (json!({ "volid": archive, "node": "pve2" }), &["pve2"]),
        (
            json!({ "volid": archive, "node": "pve9" }),
            &["pve9", "pve1"],
        ),
        (
            json!({ "volid": archive, "storage": "nos" }),
            &["no storage nos"],
        ),
    ] {
        let text = client.error("restore_backup", arguments).await?;
        assert_says(&text, words);
    }
    assert!(sim.writes()?.is_empty());
    let before = sim.served().await?;
    for (arguments, words) in [
        (json!({ "volid": "vzdump-qemu-100.vma" }), &["volid"][..]),
        (json!({ "volid": "nas:../../etc/passwd" }), &["volid"]),
        (json!({ "volid": "nas:backup/a b" }), &["volid"]),
        (
            json!({ "volid": archive, "name": "web_2" }),
            &["name", "DNS name"],
        ),
        (json!({ "volid": archive, "new_vmid": 99 }), &["new_vmid"]),
        (json!({ "volid": archive, "storage": "a/b" }), &["storage"]),
        (json!({}), &["volid", "missing"]),
    ] {
        let text = client.error("restore_backup", arguments).await?;
        assert_says(&text, words);
    }
    assert_eq!(sim.served().await?, before);
    Ok(())
}

#[tokio::test]
async fn mode_and_compression_are_sent_as_given() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let report = client
        .call(
            "create_backup",
            json!({ "vmid": 100, "storage": "local", "mode": "stop", "compress": "none", "notes": "" }),
        )
        .await?;
    assert_says(
        &report["warnings"].to_string(),
        &["shut down", "started again"],
    );
    let volid = report["volid"].as_str().context("nothing created")?;
    assert!(volid.ends_with(".vma"), "{report:#}");
    let report = client
        .call(
            "create_backup",
            json!({ "vmid": 200, "storage": "local", "mode": "suspend", "compress": "gzip" }),
        )
        .await?;
    let volid = report["volid"].as_str().context("nothing created")?;
    assert!(volid.ends_with(".tar.gz"), "{report:#}");
    Ok(())
}

#[tokio::test]
async fn a_backup_that_cannot_be_made_is_explained() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for (arguments, words) in [
        (
            json!({ "vmid": 100 }),
            &["storage", "several", "local", "nas"][..],
        ),
        (
            json!({ "vmid": 100, "storage": "bulk" }),
            &["bulk", "backups", "nas"],
        ),
        (
            json!({ "vmid": 100, "storage": "nos" }),
            &["no storage nos"],
        ),
        (
            json!({ "vmid": 101, "storage": "nas" }),
            &["locked (backup)"],
        ),
        (json!({ "vmid": 300, "storage": "nas" }), &["offline"]),
        (json!({ "vmid": 999, "storage": "nas" }), &["999"]),
    ] {
        let text = client.error("create_backup", arguments).await?;
        assert_says(&text, words);
    }
    assert!(sim.writes()?.is_empty());
    let before = sim.served().await?;
    for (arguments, words) in [
        (
            json!({ "vmid": 100, "mode": "live" }),
            &["mode", "snapshot", "suspend", "stop"][..],
        ),
        (
            json!({ "vmid": 100, "compress": "0" }),
            &["compress", "zstd", "none"],
        ),
        (json!({ "vmid": 100, "storage": "a b" }), &["storage"]),
        (
            json!({ "vmid": 100, "notes": "\n".repeat(600) }),
            &["notes", "1024"],
        ),
        (
            json!({ "vmid": 100, "notes": "of {{date}}" }),
            &["notes", "{{guestname}}"],
        ),
        (
            json!({ "vmid": 100, "dumpdir": "/etc" }),
            &["dumpdir", "not known"],
        ),
    ] {
        let text = client.error("create_backup", arguments).await?;
        assert_says(&text, words);
    }
    assert_eq!(sim.served().await?, before);

    sim.fault(json!({ "task": "vzdump", "error": "job errors" }))
        .await?;
    let text = client
        .error("create_backup", json!({ "vmid": 100, "storage": "nas" }))
        .await?;
    assert_says(&text, &["back up qemu guest 100", "job errors", "UPID:"]);

    let auditor = sim.host_with("audit")?.connect().await?;
    let text = auditor
        .error("create_backup", json!({ "vmid": 100, "storage": "nas" }))
        .await?;
    // Proxmox asks for the storage first.
    assert_says(&text, &["Datastore.AllocateSpace"]);

    // Last, as that backup keeps running and locks the guest.
    sim.fault(json!({ "kind": "cut-after", "method": "POST", "path": "/vzdump$" }))
        .await?;
    let text = client
        .error("create_backup", json!({ "vmid": 100, "storage": "nas" }))
        .await?;
    assert_says(&text, &["may have happened all the same", "task list"]);
    Ok(())
}
