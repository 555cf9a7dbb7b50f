//! The guest tools that read: the list, and one in full.

use anyhow::Context as _;
use harness::{Sim, assert_case_says, assert_says, each};
use serde_json::json;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

#[tokio::test]
async fn all_guests_are_listed_with_one_request() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let list = client.call("list_guests", json!({})).await?;
    // One more asks why the status of guest 300 is not known.
    assert_eq!(sim.served().await?, 2);
    let hint = list["hint"].as_str().unwrap();
    assert!(hint.starts_with("node pve2 is offline"), "{list}");
    assert_eq!(list["total"], 10, "{list}");
    let guests = list["guests"].as_array().unwrap();
    let web01 = &guests[0];
    assert_eq!(web01["vmid"], 100);
    assert_eq!(web01["kind"], "qemu");
    assert_eq!(web01["node"], "pve1");
    assert_eq!(web01["status"], "running");
    assert_eq!(web01["name"], "web01");
    assert_eq!(web01["cpus"], 2.0);
    assert_eq!(web01["memory_total_bytes"], 2048 * MIB);
    assert_eq!(web01["disk_total_bytes"], 32 * MIB);
    assert_eq!(web01["tags"], json!(["prod", "web"]));
    assert_eq!(web01["pool"], "prod");
    assert!(web01["cpu_percent"].is_number(), "{web01}");
    assert!(
        web01["memory_used_bytes"].as_u64().unwrap() <= 2048 * MIB,
        "{web01}"
    );
    assert!(
        web01["uptime_seconds"].as_u64().unwrap() >= 18_000,
        "{web01}"
    );
    let by_vmid = |vmid: u64| guests.iter().find(|guest| guest["vmid"] == vmid).unwrap();
    assert_eq!(by_vmid(101)["lock"], "backup");
    assert_eq!(by_vmid(104)["ha_state"], "started");
    assert_eq!(by_vmid(9000)["template"], true);
    assert_eq!(by_vmid(200)["kind"], "lxc");
    // On an offline node Proxmox knows no more than this.
    assert_eq!(
        by_vmid(300),
        &json!({ "vmid": 300, "kind": "qemu", "node": "pve2", "status": "unknown" })
    );
    Ok(())
}

#[tokio::test]
async fn filters_narrow_the_list() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for (filter, found) in [
        (
            json!({}),
            &[100, 101, 102, 103, 104, 200, 201, 300, 9000, 9001][..],
        ),
        (
            json!({ "kind": "qemu" }),
            &[100, 101, 102, 103, 104, 300, 9000],
        ),
        (json!({ "kind": "lxc" }), &[200, 201, 9001]),
        (json!({ "status": "running" }), &[100, 102, 103, 104, 200]),
        (json!({ "status": "stopped" }), &[101, 201, 9000, 9001]),
        (json!({ "status": "unknown" }), &[300]),
        (json!({ "node": "pve2" }), &[300]),
        (json!({ "name": "WEB" }), &[100]),
        (json!({ "name": "0" }), &[100, 101, 103, 104, 200, 201]),
        (json!({ "tag": "prod" }), &[100, 104]),
        (json!({ "pool": "prod" }), &[100, 104]),
        (json!({ "template": true }), &[9000, 9001]),
        (
            json!({ "template": false, "status": "stopped" }),
            &[101, 201],
        ),
        (
            json!({ "kind": "qemu", "tag": "prod", "name": "db" }),
            &[104],
        ),
        // A client sends null for what it leaves out.
        (json!({ "kind": null, "tag": "db", "limit": null }), &[104]),
    ] {
        let list = client.call("list_guests", filter.clone()).await?;
        assert_eq!(each(&list["guests"], "vmid"), found, "{filter}");
    }
    Ok(())
}

/// A filter that names nothing is not an empty list.
#[tokio::test]
async fn unknown_names_as_filters_are_refused() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for (filter, says) in [
        (json!({ "node": "nosuch" }), &["nosuch", "pve1", "pve2"][..]),
        (
            json!({ "node": "PVE1" }),
            &["PVE1", "pve1 is probably meant", "case"],
        ),
        (
            json!({ "tag": "pro" }),
            &["\"pro\"", "prod is probably meant", "db"],
        ),
        (
            json!({ "tag": "Prod" }),
            &["prod is probably meant", "case"],
        ),
        (
            json!({ "pool": "prdo" }),
            &["\"prdo\"", "prod is probably meant"],
        ),
        (
            json!({ "status": "dead" }),
            &["status", "io-error", "\"dead\""],
        ),
        (
            json!({ "pool_id": "prod" }),
            &["pool_id", "use pool instead"],
        ),
    ] {
        let text = client.error("list_guests", filter.clone()).await?;
        assert_case_says(filter, &text, says);
    }
    Ok(())
}

#[tokio::test]
async fn the_list_is_sorted() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let filter = json!({ "sort": "name", "kind": "lxc" });
    let list = client.call("list_guests", filter).await?;
    assert_eq!(each(&list["guests"], "vmid"), [9001, 200, 201]);
    for (sort, field) in [("cpu", "cpu_percent"), ("memory", "memory_used_bytes")] {
        let list = client.call("list_guests", json!({ "sort": sort })).await?;
        let guests = list["guests"].as_array().unwrap();
        let values: Vec<f64> = guests
            .iter()
            .map(|guest| guest[field].as_f64().unwrap_or_default())
            .collect();
        assert!(
            values.windows(2).all(|pair| pair[0] >= pair[1]),
            "{sort}: {values:?}"
        );
        assert!(values[0] > 0.0, "{sort}: {values:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_list_cut_by_its_limit_says_so() -> anyhow::Result<()> {
    let sim = Sim::options().arg("--guests=100").start().await?;
    let client = sim.host()?.connect().await?;
    let list = client.call("list_guests", json!({})).await?;
    let shown = list["guests"].as_array().unwrap().len();
    assert!(shown < 110, "{shown} guests by default");
    assert_eq!(list["total"], 110);
    let hint = list["hint"].as_str().unwrap();
    assert_says(hint, &["110", "offset to 50", "tag"]);
    // Small enough for a model: a token is about four bytes.
    assert!(
        list.to_string().len() < 20_000,
        "{} bytes",
        list.to_string().len()
    );

    let list = client.call("list_guests", json!({ "limit": 3 })).await?;
    assert_eq!(list["guests"].as_array().unwrap().len(), 3);
    assert!(
        list["hint"].as_str().unwrap().contains("3 of 110"),
        "{list}"
    );
    let list = client.call("list_guests", json!({ "limit": 500 })).await?;
    assert_eq!(list["guests"].as_array().unwrap().len(), 110);
    let hint = list["hint"].as_str().unwrap();
    assert!(!hint.contains("are shown"), "{hint}");
    Ok(())
}

#[tokio::test]
async fn bad_filters_are_named() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for (filter, says) in [
        (json!({ "kind": "vm" }), &["kind", "qemu", "lxc"][..]),
        (json!({ "status": "up" }), &["status", "running", "stopped"]),
        (
            json!({ "sort": "size" }),
            &["sort", "vmid", "name", "cpu", "memory"],
        ),
        (json!({ "limit": 0 }), &["limit", "1", "500"]),
        (json!({ "limit": 501 }), &["limit", "1", "500"]),
        (json!({ "limit": "ten" }), &["limit", "integer"]),
        (json!({ "limit": 2.5 }), &["limit", "integer"]),
        (json!({ "limit": -1 }), &["limit"]),
        (
            json!({ "template": "maybe" }),
            &["template", "true or false"],
        ),
        (json!({ "tags": ["prod"] }), &["tags", "not known", "tag"]),
        (json!({ "kind": "vm", "limit": 0 }), &["kind", "limit"]),
    ] {
        let text = client.error("list_guests", filter.clone()).await?;
        assert_case_says(filter, &text, says);
    }
    assert_eq!(sim.served().await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_vm_is_shown_in_full() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let guest = client.call("get_guest", json!({ "vmid": 100 })).await?;
    for (field, value) in [
        ("vmid", json!(100)),
        ("kind", json!("qemu")),
        ("node", json!("pve1")),
        ("name", json!("web01")),
        ("status", json!("running")),
        ("template", json!(false)),
        ("tags", json!(["prod", "web"])),
        ("pool", json!("prod")),
        ("protection", json!(false)),
        ("os_type", json!("l26")),
        ("agent_enabled", json!(true)),
        ("description", json!("web server\nsecond line")),
        ("pending", json!([])),
        ("ha", json!({ "managed": false })),
    ] {
        assert_eq!(guest[field], value, "{field} in {guest:#}");
    }
    assert_eq!(guest["cpu"]["cores"], 2);
    assert_eq!(guest["cpu"]["sockets"], 1);
    assert_eq!(guest["cpu"]["model"], "x86-64-v2-AES");
    assert!(guest["cpu"]["used_percent"].is_number(), "{guest:#}");
    assert_eq!(guest["memory"]["configured_bytes"], 2048 * MIB);
    assert!(
        guest["memory"]["used_bytes"].as_u64().unwrap() > 0,
        "{guest:#}"
    );
    assert_eq!(
        guest["disks"],
        json!([
            {
                "disk": "ide0",
                "volid": "local:100/vm-100-cloudinit.qcow2",
                "storage": "local",
                "size_bytes": 4 * MIB,
                "cdrom": true,
                "cloud_init": true,
            },
            {
                "disk": "ide2",
                "volid": "local:iso/test.iso",
                "storage": "local",
                "size_bytes": MIB,
                "cdrom": true,
            },
            {
                "disk": "scsi0",
                "volid": "local:100/vm-100-disk-0.qcow2",
                "storage": "local",
                "size_bytes": 32 * MIB,
                "options": ["iothread=1"],
            },
        ])
    );
    assert_eq!(
        guest["nics"],
        json!([{
            "nic": "net0",
            "model": "virtio",
            "mac": "BC:24:11:00:00:01",
            "bridge": "vmbr0",
            "firewall": true,
        }])
    );
    assert_eq!(
        guest["boot"],
        json!({ "start_at_boot": true, "order": ["scsi0", "ide2", "net0"] })
    );
    assert_eq!(
        guest["cloud_init"],
        json!({
            "has_drive": true,
            "user": "debian",
            "has_password": true,
            "ssh_key_names": ["ssh-ed25519 test"],
            "ip": { "net0": "ip=192.0.2.50/24,gw=192.0.2.1" },
        })
    );
    // What no field is made of is not lost.
    assert_eq!(guest["other"]["scsihw"], "virtio-scsi-single");
    // The hash of a password is a secret.
    assert!(!guest.to_string().contains("$5$"), "{guest:#}");
    Ok(())
}

#[tokio::test]
async fn a_container_is_shown_in_full() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let guest = client.call("get_guest", json!({ "vmid": 200 })).await?;
    assert_eq!(guest["kind"], "lxc");
    assert_eq!(guest["name"], "ct01");
    assert_eq!(guest["status"], "running");
    assert_eq!(guest["unprivileged"], true);
    assert_eq!(guest["cpu"]["cores"], 1);
    assert!(guest["cpu"].get("sockets").is_none(), "{guest:#}");
    assert_eq!(guest["memory"]["configured_bytes"], 512 * MIB);
    assert_eq!(guest["memory"]["swap_bytes"], 512 * MIB);
    assert_eq!(
        guest["disks"],
        json!([{
            "disk": "rootfs",
            "volid": "local:200/vm-200-disk-0.raw",
            "storage": "local",
            "size_bytes": 64 * MIB,
        }])
    );
    assert_eq!(
        guest["nics"],
        json!([{
            "nic": "net0",
            "name": "eth0",
            "mac": "BC:24:11:00:02:C8",
            "bridge": "vmbr0",
            "firewall": true,
            "ipv4": "dhcp",
        }])
    );
    for absent in ["agent_enabled", "cloud_init"] {
        assert!(guest.get(absent).is_none(), "{guest:#}");
    }
    Ok(())
}

#[tokio::test]
async fn guests_in_every_state_are_shown() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    // Locked, and stopped.
    let guest = client.call("get_guest", json!({ "vmid": 101 })).await?;
    assert_eq!(guest["lock"], "backup");
    assert_eq!(guest["status"], "stopped");
    // Highly available, with two disks and two networks.
    let guest = client.call("get_guest", json!({ "vmid": 104 })).await?;
    assert_eq!(guest["ha"], json!({ "managed": true, "state": "started" }));
    assert_eq!(guest["memory"]["min_memory_bytes"], GIB);
    let disks = guest["disks"].as_array().unwrap();
    assert_eq!(disks.len(), 2, "{guest:#}");
    assert_eq!(disks[1]["backup"], false);
    assert_eq!(disks[1]["size_bytes"], 20 * GIB);
    assert_eq!(guest["nics"][1]["vlan"], 20);
    assert_eq!(guest["nics"][1]["firewall"], false);
    // Templates.
    let guest = client.call("get_guest", json!({ "vmid": 9000 })).await?;
    assert_eq!(guest["template"], true);
    assert_eq!(guest["cloud_init"]["has_drive"], true);
    let guest = client.call("get_guest", json!({ "vmid": 9001 })).await?;
    assert_eq!(guest["template"], true);
    assert_eq!(guest["kind"], "lxc");
    Ok(())
}

#[tokio::test]
async fn a_guest_that_cannot_be_read_is_explained() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let text = client.error("get_guest", json!({ "vmid": 999 })).await?;
    assert_says(&text, &["999", "VM.Audit", "list_guests"]);
    // On an offline node: what the cluster's list knows, and why no more.
    let guest = client.call("get_guest", json!({ "vmid": 300 })).await?;
    assert_eq!(
        (&guest["node"], &guest["kind"], &guest["status"]),
        (&json!("pve2"), &json!("qemu"), &json!("unknown"))
    );
    let why = guest["incomplete"].as_str().unwrap();
    assert!(why.contains("pve2") && why.contains("offline"), "{why}");
    for absent in ["disks", "memory", "protection", "pending"] {
        assert!(guest.get(absent).is_none(), "{guest:#}");
    }
    // Gone since a moment ago.
    sim.control(json!({ "cmd": "remove-guest", "vmid": 201 }))
        .await?;
    let text = client.error("get_guest", json!({ "vmid": 201 })).await?;
    assert!(text.contains("201"), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_malformed_vmid_is_refused_without_a_request() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for vmid in [
        json!(99),
        json!(0),
        json!(-100),
        json!(1_000_000_000_u64),
        json!(100.5),
        json!("99"),
        json!("web01"),
        json!([100]),
        json!(null),
        json!(true),
    ] {
        for tool in ["get_guest", "get_guest_network", "get_guest_metrics"] {
            let text = client.error(tool, json!({ "vmid": vmid })).await?;
            assert_case_says(
                format!("{tool} {vmid}"),
                &text,
                &["vmid", "100", "999999999"],
            );
        }
    }
    assert_eq!(sim.served().await?, 0);
    Ok(())
}

/// The guest is found on whatever node it is on now.
#[tokio::test]
async fn a_guest_that_moved_to_another_node_is_found() -> anyhow::Result<()> {
    let mut sim = Sim::options().arg("--nodes=pve1,pve2").start().await?;
    let client = sim.host()?.connect().await?;
    let before = client.call("get_guest", json!({ "vmid": 104 })).await?;
    assert_eq!(before["node"], "pve1");
    sim.set_guest(104, json!({ "node": "pve2" })).await?;
    let after = client.call("get_guest", json!({ "vmid": 104 })).await?;
    assert_eq!(after["node"], "pve2");
    Ok(())
}

#[tokio::test]
async fn a_token_sees_only_guests_that_it_may_audit() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    // One guest only.
    sim.control(json!({
        "cmd": "token", "id": "ops@pve!one", "secret": "4f0d2a52-0000-4000-8000-000000000001",
        "rights": "/vms/100=VM.Audit",
    }))
    .await?;
    let client = sim
        .host()?
        .env("PROXMOX_USER", "ops@pve")
        .env("PROXMOX_TOKEN_ID", "one")
        .env(
            "PROXMOX_TOKEN_SECRET",
            "4f0d2a52-0000-4000-8000-000000000001",
        )
        .connect()
        .await?;
    let list = client.call("list_guests", json!({})).await?;
    assert_eq!(each(&list["guests"], "vmid"), [100]);
    client.call("get_guest", json!({ "vmid": 100 })).await?;
    let text = client.error("get_guest", json!({ "vmid": 104 })).await?;
    assert!(text.contains("ops@pve!one"), "{text}");

    let auditor = sim.host_with("audit")?.connect().await?;
    let list = auditor.call("list_guests", json!({})).await?;
    assert_eq!(each(&list["guests"], "vmid").len(), 10);
    auditor.call("get_guest", json!({ "vmid": 104 })).await?;
    Ok(())
}

#[tokio::test]
async fn load_over_time_is_summarized() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for (timeframe, resolution) in [
        (json!(null), 60),
        (json!("hour"), 60),
        (json!("day"), 1_800),
        (json!("week"), 10_800),
        (json!("month"), 43_200),
        (json!("year"), 604_800),
    ] {
        let arguments = json!({ "vmid": 104, "timeframe": timeframe });
        let metrics = client.call("get_guest_metrics", arguments).await?;
        assert_eq!(metrics["vmid"], 104);
        let name = timeframe.as_str().unwrap_or("hour");
        assert_eq!(metrics["timeframe"], name);
        let step = metrics["resolution_seconds"].as_u64().unwrap();
        assert!(step > 0 && step <= resolution, "{name}: {step}");
        for series in [
            "cpu_percent",
            "memory_used_bytes",
            "network_in_bytes_per_second",
            "network_out_bytes_per_second",
            "disk_read_bytes_per_second",
            "disk_write_bytes_per_second",
        ] {
            let value = |key: &str| metrics[series][key].as_f64().unwrap();
            assert!(
                value("min") <= value("mean"),
                "{name} {series}: {metrics:#}"
            );
            assert!(
                value("mean") <= value("max"),
                "{name} {series}: {metrics:#}"
            );
            assert!(
                value("min") <= value("last") && value("last") <= value("max"),
                "{metrics:#}"
            );
        }
        assert!(
            metrics["cpu_percent"]["max"].as_f64().unwrap() <= 100.0,
            "{metrics:#}"
        );
        assert_eq!(metrics["memory_total_bytes"], 4 * GIB);
        assert!(metrics["samples"].as_u64().unwrap() > 0, "{metrics:#}");
        // A summary, not the points.
        assert!(metrics.to_string().len() < 2_000, "{metrics:#}");
    }
    // A container, too.
    let metrics = client
        .call("get_guest_metrics", json!({ "vmid": 200 }))
        .await?;
    assert!(metrics["cpu_percent"]["mean"].is_number(), "{metrics:#}");
    Ok(())
}

#[tokio::test]
async fn load_that_cannot_be_read_is_explained() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let arguments = json!({ "vmid": 100, "timeframe": "decade" });
    let text = client.error("get_guest_metrics", arguments).await?;
    assert_says(
        &text,
        &["timeframe", "hour", "day", "week", "month", "year"],
    );
    // The past of a guest on an offline node is on every node; of this one
    // there is none.
    let metrics = client
        .call("get_guest_metrics", json!({ "vmid": 300 }))
        .await?;
    assert_eq!(metrics["samples"], 0);
    assert!(
        metrics["hint"].as_str().unwrap().contains("offline"),
        "{metrics:#}"
    );
    let text = client
        .error("get_guest_metrics", json!({ "vmid": 999 }))
        .await?;
    assert!(text.contains("999"), "{text}");
    Ok(())
}

/// Where pvestatd hangs, the nodes themselves are asked, and the reason is said.
#[tokio::test]
async fn a_hung_pvestatd_hides_no_guest() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let before = client
        .call(
            "list_guests",
            json!({ "node": "pve1", "status": "running" }),
        )
        .await?;
    sim.control(json!({ "cmd": "pvestatd", "node": "pve1", "runs": false }))
        .await?;
    sim.advance(400).await?;
    let list = client
        .call(
            "list_guests",
            json!({ "node": "pve1", "status": "running" }),
        )
        .await?;
    let hint = list["hint"].as_str().context("no hint")?;
    assert!(hint.contains("pvestatd of node pve1"), "{hint}");
    for (was, is) in before["guests"]
        .as_array()
        .unwrap()
        .iter()
        .zip(list["guests"].as_array().unwrap())
    {
        for field in ["vmid", "name", "status", "tags"] {
            assert_eq!(was[field], is[field], "{field}: {list:#}");
        }
    }
    assert_eq!(before["total"], list["total"], "{list:#}");
    let guest = client.call("get_guest", json!({ "vmid": 100 })).await?;
    assert_eq!(guest["status"], "running", "{guest:#}");
    assert!(guest.get("incomplete").is_none(), "{guest:#}");

    let nodes = client.call("list_nodes", json!({})).await?;
    assert_eq!(nodes["nodes"][0]["status"], "online", "{nodes:#}");
    let hint = nodes["hint"].as_str().context("no hint")?;
    assert!(hint.contains("pvestatd"), "{hint}");

    let list = client
        .call("list_storage", json!({ "node": "pve1" }))
        .await?;
    for storage in list["storages"].as_array().unwrap() {
        assert_eq!(storage["active"], true, "{list:#}");
    }
    let hint = list["hint"].as_str().context("no hint")?;
    assert!(hint.contains("pvestatd of node pve1"), "{hint}");
    Ok(())
}
