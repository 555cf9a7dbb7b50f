//! CPU, memory, disk sizes and options of a guest.

use harness::{Sim, assert_says};
use serde_json::{Value, json};

#[tokio::test]
async fn changes_of_a_running_vm_say_whether_they_need_a_restart() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let arguments = json!({ "vmid": 100, "memory_mib": 4096, "cpu_limit": 1.5 });
    let report = client
        .call("set_guest_resources", arguments.clone())
        .await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_eq!(
        report["changes"],
        json!([
            { "what": "cpu_limit", "from": "0", "to": "1.5" },
            { "what": "memory_mib", "from": "2048", "to": "4096", "waits_for_reboot": true },
        ]),
        "{report:#}"
    );
    assert_says(&report["next_step"].to_string(), &["restart_guest"]);
    let guest = sim.guest(100).await?;
    assert_eq!(guest["config"]["memory"], "2048", "{guest:#}");
    assert_eq!(guest["pending"]["memory"], "4096", "{guest:#}");
    assert_eq!(guest["config"]["cpulimit"], "1.5", "{guest:#}");

    // A repeated call changes nothing, and what is still pending is reported again.
    let before = sim.writes()?.len();
    let report = client.call("set_guest_resources", arguments).await?;
    assert_eq!(report["status"], "unchanged", "{report:#}");
    assert_says(
        &report["warnings"].to_string(),
        &["memory_mib", "next full start"],
    );
    assert_eq!(sim.writes()?.len(), before);

    // Taken back.
    let report = client
        .call(
            "set_guest_resources",
            json!({ "vmid": 100, "memory_mib": 2048 }),
        )
        .await?;
    assert!(
        sim.guest(100).await?["pending"]["memory"].is_null(),
        "{report:#}"
    );
    Ok(())
}

#[tokio::test]
async fn memory_of_a_running_container_is_not_reduced_below_its_use_without_confirmation()
-> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let little = json!({ "vmid": 200, "memory_mib": 16 });
    let text = client.error("set_guest_resources", little.clone()).await?;
    assert_says(
        &text,
        &[
            "uses",
            "may be killed",
            "nothing was changed",
            "accept_low_memory",
        ],
    );
    assert!(sim.writes()?.is_empty());
    let mut accepted = little.clone();
    accepted["accept_low_memory"] = json!(true);
    let report = client.call("set_guest_resources", accepted).await?;
    assert_says(&report["warnings"].to_string(), &["may be killed"]);
    assert_eq!(sim.guest(200).await?["config"]["memory"], "16");
    // One that is stopped uses none, and a VM changes when it starts.
    for vmid in [201, 103] {
        let report = client
            .call(
                "set_guest_resources",
                json!({ "vmid": vmid, "memory_mib": 64 }),
            )
            .await?;
        assert_eq!(report["status"], "done", "{report:#}");
    }
    Ok(())
}

#[tokio::test]
async fn a_stopped_vm_and_a_container_change_immediately() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let report = client
        .call(
            "set_guest_resources",
            json!({ "vmid": 9000, "cores": 2, "sockets": 2, "memory_mib": 1024, "min_memory_mib": 512 }),
        )
        .await?;
    assert!(report.get("next_step").is_none(), "{report:#}");
    let guest = sim.guest(9000).await?;
    for (key, value) in [
        ("cores", "2"),
        ("sockets", "2"),
        ("memory", "1024"),
        ("balloon", "512"),
    ] {
        assert_eq!(guest["config"][key], value, "{guest:#}");
    }

    let report = client
        .call(
            "set_guest_resources",
            json!({ "vmid": 200, "memory_mib": 1024, "swap_mib": 0, "cores": 2 }),
        )
        .await?;
    assert_eq!(
        report["changes"],
        json!([
            { "what": "cores", "from": "1", "to": "2" },
            { "what": "memory_mib", "from": "512", "to": "1024" },
            { "what": "swap_mib", "from": "512", "to": "0" },
        ])
    );
    // A container's configuration takes PUT alone, and the digest goes along.
    for write in sim.writes()? {
        assert_eq!(write["method"], "PUT");
        assert!(write["params"]["digest"].is_string(), "{write:#}");
    }
    Ok(())
}

#[tokio::test]
async fn impossible_combinations_are_refused() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for (arguments, words) in [
        (
            json!({ "vmid": 100, "min_memory_mib": 4096 }),
            &["min_memory_mib", "at most", "2048"][..],
        ),
        (
            json!({ "vmid": 104, "memory_mib": 512 }),
            &["memory_mib", "at least", "1024", "min_memory_mib"],
        ),
        (
            json!({ "vmid": 100, "swap_mib": 512 }),
            &["swap_mib", "inside the guest"],
        ),
        (
            json!({ "vmid": 200, "sockets": 2 }),
            &["sockets", "container"],
        ),
        (
            json!({ "vmid": 200, "min_memory_mib": 64 }),
            &["min_memory_mib", "container"],
        ),
        (
            json!({ "vmid": 100, "cores": 4096 }),
            &["4096 CPUs", "node pve1 has", "fewer"],
        ),
        (json!({ "vmid": 300, "cores": 1 }), &["pve2", "offline"]),
        (json!({ "vmid": 999, "cores": 1 }), &["999"]),
    ] {
        let text = client.error("set_guest_resources", arguments).await?;
        assert_says(&text, words);
    }
    assert!(sim.writes()?.is_empty());
    // A locked guest is refused by Proxmox itself.
    let text = client
        .error("set_guest_resources", json!({ "vmid": 101, "cores": 2 }))
        .await?;
    assert_says(&text, &["locked (backup)"]);

    let before = sim.served().await?;
    for (arguments, words) in [
        (json!({ "vmid": 100 }), &["cores", "swap_mib"][..]),
        (json!({ "vmid": 100, "cores": 0 }), &["cores", "1"]),
        (json!({ "vmid": 100, "cores": -2 }), &["cores"]),
        (json!({ "vmid": 100, "cores": 1.5 }), &["cores", "integer"]),
        (json!({ "vmid": 100, "cpu_limit": -1 }), &["cpu_limit"]),
        (
            json!({ "vmid": 100, "memory_mib": "2 apples" }),
            &["memory_mib", "integer", "2 apples"],
        ),
        (
            json!({ "vmid": 100, "memory": 2048 }),
            &["memory", "memory_mib"],
        ),
    ] {
        let text = client.error("set_guest_resources", arguments).await?;
        assert_says(&text, words);
    }
    assert_eq!(sim.served().await?, before);
    Ok(())
}

#[tokio::test]
async fn a_concurrent_change_is_refused_by_its_digest() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for (tool, vmid, mut arguments) in [
        ("set_guest_resources", 100, json!({ "memory_mib": 1024 })),
        ("set_guest_options", 200, json!({ "description": "mine" })),
        (
            "resize_disk",
            100,
            json!({ "disk": "scsi0", "size": "+1G" }),
        ),
    ] {
        arguments["vmid"] = json!(vmid);
        let before = sim.served().await?;
        // The write is held up long enough for the other change to be made.
        sim.fault(
            json!({ "kind": "latency", "ms": 5000, "method": "PUT", "path": "/(config|resize)$" }),
        )
        .await?;
        let call = client.error(tool, arguments);
        let other = async {
            // The list, what each reads, and the write itself.
            let reads = if tool == "set_guest_options" { 2 } else { 3 };
            sim.serves_more_than(before + reads).await?;
            sim.set_guest(vmid, json!({ "config": { "description": "theirs" } }))
                .await
        };
        let (text, other) = tokio::join!(call, other);
        other?;
        assert_says(&text?, &["someone else", "nothing was written"]);
        let guest = sim.guest(vmid).await?;
        assert_eq!(guest["config"]["description"], "theirs", "{guest:#}");
        sim.set_guest(vmid, json!({ "config": { "description": null } }))
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_guest_that_moves_during_the_call_is_found_again() -> anyhow::Result<()> {
    let mut sim = Sim::options().arg("--nodes=pve1,pve2").start().await?;
    let client = sim.host()?.connect().await?;
    let before = sim.served().await?;
    sim.fault(json!({ "kind": "latency", "ms": 5000, "method": "GET", "path": "/104/pending$" }))
        .await?;
    let call = client.call(
        "set_guest_options",
        json!({ "vmid": 104, "description": "moved" }),
    );
    let other = async {
        sim.serves_more_than(before + 1).await?;
        sim.set_guest(104, json!({ "node": "pve2" })).await
    };
    let (report, other) = tokio::join!(call, other);
    other?;
    let report = report?;
    assert_eq!(report["node"], "pve2", "{report:#}");
    assert_eq!(sim.guest(104).await?["config"]["description"], "moved");
    Ok(())
}

#[tokio::test]
async fn disks_grow() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let report = client
        .call(
            "resize_disk",
            json!({ "vmid": 100, "disk": "scsi0", "size": "+1G" }),
        )
        .await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_eq!(
        report["changes"],
        json!([{ "what": "scsi0", "from": "32 MiB", "to": "1 GiB" }])
    );
    assert_says(&report["next_step"].to_string(), &["file system"]);
    let guest = client.call("get_guest", json!({ "vmid": 100 })).await?;
    assert_eq!(
        guest["disks"][2]["size_bytes"],
        (1u64 << 30) + (32 << 20),
        "{guest:#}"
    );

    let report = client
        .call(
            "resize_disk",
            json!({ "vmid": 200, "disk": "rootfs", "size": "0.5G" }),
        )
        .await?;
    assert_eq!(report["changes"][0]["to"], "512 MiB", "{report:#}");
    assert!(report.get("next_step").is_none(), "{report:#}");
    let before = sim.writes()?.len();
    let report = client
        .call(
            "resize_disk",
            json!({ "vmid": 200, "disk": "rootfs", "size": "512M" }),
        )
        .await?;
    assert_eq!(report["status"], "unchanged", "{report:#}");
    assert_eq!(sim.writes()?.len(), before);

    sim.fault(json!({ "task": "resize", "error": "no space left on device" }))
        .await?;
    let text = client
        .error(
            "resize_disk",
            json!({ "vmid": 100, "disk": "scsi0", "size": "+1T" }),
        )
        .await?;
    assert_says(
        &text,
        &["grow scsi0", "no space left on device", "make room"],
    );
    Ok(())
}

#[tokio::test]
async fn disks_do_not_shrink() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for (vmid, disk, size, words) in [
        (
            100,
            "scsi0",
            "1M",
            &["size", "32 MiB", "never shrink", "+"][..],
        ),
        (100, "scsi9", "+1G", &["disk", "scsi0 (32 MiB)"]),
        (100, "ide2", "+1G", &["disk", "CD-ROM", "scsi0"]),
        (100, "ide0", "+1G", &["disk", "CD-ROM", "scsi0"]),
        (200, "scsi0", "+1G", &["disk", "rootfs (64 MiB)"]),
        (101, "scsi0", "+1G", &["locked (backup)"]),
        (300, "scsi0", "+1G", &["offline"]),
    ] {
        let text = client
            .error(
                "resize_disk",
                json!({ "vmid": vmid, "disk": disk, "size": size }),
            )
            .await?;
        assert_says(&text, words);
    }
    assert!(sim.writes()?.is_empty());
    let before = sim.served().await?;
    for size in [
        "",
        "abc",
        "10",
        "+10",
        "-1G",
        "4 apples",
        "+",
        "1e3G",
        "99999999999T",
    ] {
        let text = client
            .error(
                "resize_disk",
                json!({ "vmid": 100, "disk": "scsi0", "size": size }),
            )
            .await?;
        assert_says(&text, &["size"]);
    }
    assert_eq!(sim.served().await?, before);
    Ok(())
}

#[tokio::test]
async fn options_of_a_vm_are_changed() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let report = client
        .call(
            "set_guest_options",
            json!({
                "vmid": 100, "name": "web02", "add_tags": ["blue"], "remove_tags": ["WEB"],
                "start_at_boot": false, "protection": true, "description": "a=b;c & d\nsecond: 100 %",
            }),
        )
        .await?;
    assert_eq!(
        report["changes"],
        json!([
            { "what": "name", "from": "web01", "to": "web02" },
            { "what": "description", "from": "web server\nsecond line", "to": "a=b;c & d\nsecond: 100 %" },
            { "what": "tags", "from": "prod;web", "to": report["changes"][2]["to"] },
            { "what": "start_at_boot", "from": "true", "to": "false" },
            { "what": "protection", "from": "false", "to": "true" },
        ]),
        "{report:#}"
    );
    let guest = client.call("get_guest", json!({ "vmid": 100 })).await?;
    assert_eq!(guest["name"], "web02");
    assert_eq!(guest["description"], "a=b;c & d\nsecond: 100 %");
    let mut tags: Vec<&str> = guest["tags"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    tags.sort_unstable();
    assert_eq!(tags, ["blue", "prod"]);
    assert_eq!(guest["protection"], true);
    assert_eq!(guest["boot"]["start_at_boot"], false);

    // An empty text, and an empty list, clear.
    let report = client
        .call(
            "set_guest_options",
            json!({ "vmid": 100, "name": "", "description": "", "tags": [] }),
        )
        .await?;
    assert_eq!(report["changes"].as_array().unwrap().len(), 3, "{report:#}");
    let guest = sim.guest(100).await?;
    for key in ["name", "description", "tags"] {
        assert!(guest["config"].get(key).is_none(), "{guest:#}");
    }
    let before = sim.writes()?.len();
    let report = client
        .call(
            "set_guest_options",
            json!({ "vmid": 100, "tags": [], "protection": true }),
        )
        .await?;
    assert_eq!(report["status"], "unchanged", "{report:#}");
    assert_eq!(sim.writes()?.len(), before);
    Ok(())
}

#[tokio::test]
async fn options_of_a_container_are_changed() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let report = client
        .call(
            "set_guest_options",
            json!({ "vmid": 200, "name": "ct09.example.org", "tags": ["a", "b"] }),
        )
        .await?;
    let changes = report["changes"].as_array().unwrap();
    assert_eq!(changes[0]["what"], "name", "{report:#}");
    assert_eq!(changes[0]["to"], "ct09.example.org", "{report:#}");
    assert_eq!(changes[1]["to"], "a;b", "{report:#}");
    let text = client
        .error("set_guest_options", json!({ "vmid": 200, "name": "" }))
        .await?;
    assert_says(&text, &["name", "container"]);
    Ok(())
}

#[tokio::test]
async fn bad_options_are_refused_without_a_request() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let long = "x".repeat(8193);
    for (arguments, words) in [
        (
            json!({ "vmid": 100 }),
            &["at least one of", "protection"][..],
        ),
        (
            json!({ "vmid": 100, "name": "web_01" }),
            &["name", "DNS name"],
        ),
        (
            json!({ "vmid": 100, "name": "web 01" }),
            &["name", "DNS name"],
        ),
        (json!({ "vmid": 100, "tags": ["a b"] }), &["/tags/0", "tag"]),
        (
            json!({ "vmid": 100, "add_tags": ["ok", "c!"] }),
            &["/add_tags/1", "tag"],
        ),
        (json!({ "vmid": 100, "tags": [true] }), &["tags", "text"]),
        (
            json!({ "vmid": 100, "tags": ["a"], "remove_tags": ["b"] }),
            &["tags", "remove_tags"],
        ),
        (
            json!({ "vmid": 100, "add_tags": ["a"], "remove_tags": ["a"] }),
            &["remove_tags"],
        ),
        (
            json!({ "vmid": 100, "description": long }),
            &["description", "8192"],
        ),
        (
            json!({ "vmid": 100, "protection": "maybe" }),
            &["protection", "true or false"],
        ),
    ] {
        let text = client.error("set_guest_options", arguments).await?;
        assert_says(&text, words);
    }
    assert_eq!(sim.served().await?, 0);
    Ok(())
}

#[tokio::test]
async fn missing_privileges_and_cut_connections_are_explained() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let auditor = sim.host_with("audit")?.connect().await?;
    for (tool, arguments, right) in [
        (
            "set_guest_resources",
            json!({ "vmid": 100, "cores": 1 }),
            "VM.Config",
        ),
        (
            "set_guest_options",
            json!({ "vmid": 100, "name": "x1" }),
            "VM.Config",
        ),
        (
            "resize_disk",
            json!({ "vmid": 100, "disk": "scsi0", "size": "+1G" }),
            "VM.Config.Disk",
        ),
    ] {
        let text = auditor.error(tool, arguments).await?;
        assert_says(&text, &[right]);
    }
    let client = sim.host()?.connect().await?;
    sim.fault(json!({ "kind": "cut-after", "method": "PUT", "path": "/config$" }))
        .await?;
    let text = client
        .error("set_guest_options", json!({ "vmid": 100, "name": "x1" }))
        .await?;
    assert_says(&text, &["PUT", "may have happened all the same"]);
    assert_eq!(sim.guest(100).await?["config"]["name"], "x1");

    // Written, but reading the outcome fails: the call still succeeds.
    sim.fault(
        json!({ "kind": "cut", "method": "GET", "path": "/pending$", "skip": 1, "times": 99 }),
    )
    .await?;
    let report = client
        .call("set_guest_options", json!({ "vmid": 100, "name": "x2" }))
        .await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert_says(
        &report["warnings"].to_string(),
        &["written", "could not be read"],
    );
    Ok(())
}
