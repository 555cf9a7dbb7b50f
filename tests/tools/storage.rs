//! The storage tools that read.

use harness::{Sim, assert_case_says, assert_says, each};
use serde_json::{Value, json};

const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

#[tokio::test]
async fn shared_storages_are_listed_once() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let list = client.call("list_storage", json!({})).await?;
    // One more asks whether the node is offline whose storages are unknown.
    assert_eq!(sim.served().await?, 2);
    assert_eq!(list["hint"], "node pve2 is offline");
    let storages = list["storages"].as_array().unwrap();
    // One that both nodes have, each its own; one of one node; two shared ones.
    assert_eq!(storages.len(), 5, "{list:#}");
    let find = |storage: &str, node: &str| {
        storages
            .iter()
            .find(|one| one["storage"] == storage && one["nodes"].to_string().contains(node))
            .unwrap_or_else(|| panic!("no {storage} on {node}: {list:#}"))
    };
    let bulk = find("bulk", "pve1");
    assert_eq!(bulk["nodes"], json!(["pve1", "pve2"]));
    assert_eq!(bulk["shared"], true);
    assert_eq!(bulk["active"], true);
    assert_eq!(bulk["type"], "dir");
    assert_eq!(bulk["content"], json!(["images", "rootdir"]));
    assert_eq!(bulk["total_bytes"], 2 * TIB);
    let used = bulk["used_bytes"].as_f64().unwrap();
    let percent = bulk["used_percent"].as_f64().unwrap();
    assert!(
        (used / (2 * TIB) as f64 * 100.0 - percent).abs() < 0.1,
        "{bulk}"
    );
    let local = find("local", "pve1");
    assert_eq!(local["shared"], false);
    assert_eq!(local["total_bytes"], 252 * GIB);
    assert_eq!(
        local["content"],
        json!([
            "backup", "images", "import", "iso", "rootdir", "snippets", "vztmpl"
        ])
    );
    // The usage on the offline node is not known.
    let away = find("local", "pve2");
    assert_eq!(away["active"], false);
    assert!(away.get("used_bytes").is_none(), "{away}");
    assert_eq!(find("tank", "pve1")["type"], "zfspool");
    Ok(())
}

#[tokio::test]
async fn storages_are_filtered_by_node_and_content() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for (filter, found) in [
        (
            json!({ "node": "pve1" }),
            json!(["bulk", "local", "nas", "tank"]),
        ),
        (
            json!({ "content": "backup", "node": "pve1" }),
            json!(["local", "nas"]),
        ),
        (
            json!({ "content": "snippets", "node": "pve1" }),
            json!(["local"]),
        ),
        (
            json!({ "content": "images" }),
            json!(["bulk", "local", "local", "tank"]),
        ),
    ] {
        let list = client.call("list_storage", filter.clone()).await?;
        let names = each(&list["storages"], "storage");
        assert_eq!(Value::from(names), found, "{filter}");
    }
    let text = client
        .error("list_storage", json!({ "node": "nosuch" }))
        .await?;
    assert_says(&text, &["nosuch", "pve1", "pve2"]);
    let text = client
        .error("list_storage", json!({ "content": "disks" }))
        .await?;
    assert_says(
        &text,
        &[
            "content", "iso", "vztmpl", "backup", "images", "rootdir", "import",
        ],
    );
    Ok(())
}

#[tokio::test]
async fn volumes_are_filtered_by_content() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for (filter, found) in [
        (
            json!({ "content": "iso" }),
            json!([
                "local:iso/debian-13.1.0-amd64-netinst.iso",
                "local:iso/test.iso",
                "nas:iso/ubuntu-24.04.3-live-server-amd64.iso",
            ]),
        ),
        (
            json!({ "content": "iso", "name": "DEBIAN" }),
            json!(["local:iso/debian-13.1.0-amd64-netinst.iso"]),
        ),
        (
            json!({ "content": "iso", "storage": "nas" }),
            json!(["nas:iso/ubuntu-24.04.3-live-server-amd64.iso"]),
        ),
        (
            json!({ "content": "vztmpl" }),
            json!([
                "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst",
                "nas:vztmpl/alpine-3.22-default_20250617_amd64.tar.xz",
            ]),
        ),
        (
            json!({ "storage": "bulk", "vmid": 104 }),
            json!([
                "bulk:104/vm-104-disk-0.qcow2",
                "bulk:104/vm-104-disk-1.qcow2"
            ]),
        ),
        (json!({ "content": "import" }), json!([])),
    ] {
        let list = client.call("list_storage_content", filter.clone()).await?;
        let volids = each(&list["volumes"], "volid");
        assert_eq!(Value::from(volids), found, "{filter}");
    }
    Ok(())
}

#[tokio::test]
async fn a_backup_is_shown_in_full() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let filter = json!({ "content": "backup", "vmid": 100 });
    let list = client.call("list_storage_content", filter).await?;
    let backups = list["volumes"].as_array().unwrap();
    assert_eq!(backups.len(), 2, "{list:#}");
    assert_eq!(list["total"], 2);
    for backup in backups {
        assert_eq!(backup["content"], "backup");
        assert_eq!(backup["vmid"], 100);
        assert_eq!(backup["notes"], "web01");
        assert!(
            backup["size_bytes"].as_u64().unwrap() >= 400 << 20,
            "{backup}"
        );
        let volid = backup["volid"].as_str().unwrap();
        assert!(volid.starts_with("nas:backup/vzdump-qemu-100-"), "{backup}");
        // 2026-11-22T15:28:00Z
        let created = backup["created_at"].as_str().unwrap();
        assert!(created.len() == 20 && created.ends_with('Z'), "{backup}");
    }
    let protected = backups
        .iter()
        .filter(|backup| backup["protected"] == true)
        .count();
    assert_eq!(protected, 1, "{list:#}");
    Ok(())
}

/// A shared storage is looked through once; what cannot be read is named, and
/// does not hide the rest.
#[tokio::test]
async fn storages_that_cannot_be_read_do_not_hide_the_rest() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let list = client
        .call("list_storage_content", json!({ "content": "iso" }))
        .await?;
    assert_eq!(list["total"], 3);
    let unavailable = list["unavailable"].to_string();
    assert!(unavailable.contains("local on pve2"), "{list:#}");
    assert!(!unavailable.contains("nas"), "{list:#}");

    sim.fault(json!({
        "kind": "status", "code": 500, "path": "/storage/nas/content",
        "reason": "unable to activate storage 'nas' - directory does not exist or is unreachable",
        "times": 5,
    }))
    .await?;
    let list = client
        .call("list_storage_content", json!({ "content": "iso" }))
        .await?;
    assert_eq!(list["total"], 2, "{list:#}");
    assert!(
        list["unavailable"]
            .to_string()
            .contains("unable to activate storage"),
        "{list:#}"
    );
    Ok(())
}

#[tokio::test]
async fn a_list_cut_by_its_limit_says_so() -> anyhow::Result<()> {
    let sim = Sim::options().arg("--guests=200").start().await?;
    let client = sim.host()?.connect().await?;
    let list = client
        .call("list_storage_content", json!({ "limit": 2 }))
        .await?;
    assert_eq!(list["volumes"].as_array().unwrap().len(), 2);
    let total = list["total"].as_u64().unwrap();
    assert!(total > 200, "{total}");
    let hint = list["hint"].as_str().unwrap();
    assert_says(hint, &[&total.to_string(), "offset to 2", "vmid"]);
    let list = client.call("list_storage_content", json!({})).await?;
    assert!(
        list.to_string().len() < 20_000,
        "{} bytes",
        list.to_string().len()
    );
    Ok(())
}

#[tokio::test]
async fn bad_arguments_are_refused_by_name() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for (filter, says) in [
        (json!({ "vmid": 99 }), &["vmid", "100"][..]),
        (json!({ "limit": 0 }), &["limit", "1", "500"]),
        (json!({ "content": "isos" }), &["content", "iso", "backup"]),
        (
            json!({ "storages": "local" }),
            &["storages", "not known", "storage"],
        ),
    ] {
        let text = client.error("list_storage_content", filter.clone()).await?;
        assert_case_says(filter, &text, says);
    }
    assert_eq!(sim.served().await?, 0);
    let text = client
        .error("list_storage_content", json!({ "storage": "locla" }))
        .await?;
    assert_says(&text, &["locla", "local", "bulk", "tank", "nas"]);
    let text = client
        .error("list_storage_content", json!({ "node": "pve9" }))
        .await?;
    assert_says(&text, &["pve9", "pve1"]);
    Ok(())
}
