//! Cloud-init settings: what is set, what is kept, what is never told.

use anyhow::Context as _;
use harness::{Sim, assert_says, each};
use serde_json::{Value, json};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJustATestKeyJustATestKeyJustATestKeyJustATe";

async fn config(sim: &mut Sim, vmid: u64) -> anyhow::Result<Value> {
    let guest = sim.guest(vmid).await?;
    guest.get("config").cloned().context("no configuration")
}

#[tokio::test]
async fn the_settings_of_a_clone_are_changed_and_shown() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    client
        .call("clone_guest", json!({ "vmid": 9000, "name": "web02" }))
        .await?;
    let arguments = json!({
        "vmid": 105, "user": "ops", "password": "S3same & open=you;",
        "ssh_keys": [format!("{KEY} me+you@home / büro"), KEY],
        "addresses": [{ "nic": "net0", "ipv4": "192.0.2.105/24", "ipv4_gateway": "192.0.2.1", "ipv6": "auto" }],
        "dns_servers": ["192.0.2.53", "2001:db8::53"], "search_domain": "example.com",
        "upgrade": false,
    });
    let report = client.call("set_cloud_init", arguments.clone()).await?;
    assert_eq!(report["status"], "done", "{report:#}");
    assert!(!report.to_string().contains("S3same"), "{report:#}");
    assert_says(&report["next_step"].to_string(), &["start_guest"]);
    assert_eq!(
        report["changes"][3],
        json!({ "what": "addresses of net0", "from": "ip=dhcp",
            "to": "ip=192.0.2.105/24,gw=192.0.2.1,ip6=auto" })
    );
    let set = config(&mut sim, 105).await?;
    assert_eq!(set["ciuser"], "ops");
    assert_eq!(set["nameserver"], "192.0.2.53 2001:db8::53");
    assert_eq!(set["ciupgrade"], "0");
    assert_eq!(set["ipconfig0"], "ip=192.0.2.105/24,gw=192.0.2.1,ip6=auto");

    let shown = client
        .call("get_cloud_init", json!({ "vmid": 105 }))
        .await?;
    assert_eq!(
        shown["ssh_keys"],
        json!([format!("{KEY} me+you@home / büro"), KEY])
    );
    assert_eq!(shown["pending"], json!([]), "{shown:#}");
    assert_eq!(shown["has_password"], true);
    assert_eq!(
        shown["addresses"],
        json!([{ "nic": "net0", "ipv4": "192.0.2.105/24", "ipv4_gateway": "192.0.2.1", "ipv6": "auto" }])
    );
    let user = shown["documents"]["user"].to_string();
    assert_says(
        &user,
        &["user: ops", "password: (hidden)", "me+you@home / büro"],
    );
    assert_says(
        &shown["documents"]["network"].to_string(),
        &["192.0.2.105/24"],
    );
    assert!(!shown.to_string().contains("$5$"), "{shown:#}");

    // Once more without the password, which alone cannot be compared.
    let mut same = arguments;
    same.as_object_mut().map(|fields| fields.remove("password"));
    let before = sim.sent("PUT")?.len();
    let report = client.call("set_cloud_init", same).await?;
    assert_eq!(report["status"], "unchanged", "{report:#}");
    assert_eq!(sim.sent("PUT")?.len(), before);
    Ok(())
}

#[tokio::test]
async fn settings_that_are_not_given_stay() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let before = config(&mut sim, 100).await?;
    let report = client
        .call(
            "set_cloud_init",
            json!({ "vmid": 100, "addresses": [{ "nic": "net0", "ipv6": "2001:db8::50/64" }] }),
        )
        .await?;
    assert_eq!(report["changes"][0]["waits_for_reboot"], true, "{report:#}");
    assert_says(&report["next_step"].to_string(), &["restart_guest"]);
    let mut after = config(&mut sim, 100).await?;
    assert_eq!(
        after["ipconfig0"],
        "ip=192.0.2.50/24,gw=192.0.2.1,ip6=2001:db8::50/64"
    );
    after["ipconfig0"] = before["ipconfig0"].clone();
    assert_eq!(after, before);
    // An address from elsewhere takes the gateway along; lists are emptied.
    let report = client
        .call(
            "set_cloud_init",
            json!({ "vmid": 100, "ssh_keys": [], "password": "",
                "addresses": [{ "nic": "net0", "ipv4": "dhcp" }] }),
        )
        .await?;
    assert_eq!(report["status"], "done", "{report:#}");
    let after = config(&mut sim, 100).await?;
    assert_eq!(after["ipconfig0"], "ip=dhcp,ip6=2001:db8::50/64");
    assert!(after.get("sshkeys").is_none() && after.get("cipassword").is_none());
    // A gateway out of reach is taken, with a warning.
    let report = client
        .call(
            "set_cloud_init",
            json!({ "vmid": 100, "addresses":
                [{ "nic": "net0", "ipv4": "192.0.2.50/32", "ipv4_gateway": "198.51.100.1" }] }),
        )
        .await?;
    assert_says(
        &report["warnings"].to_string(),
        &["198.51.100.1", "outside"],
    );
    Ok(())
}

#[tokio::test]
async fn a_failed_regeneration_of_the_drive_says_how_to_repeat_it() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let arguments = json!({ "vmid": 100, "user": "ops" });
    sim.fault(
        json!({ "kind": "status", "code": 500, "reason": "storage is full",
        "method": "PUT", "path": "/cloudinit$" }),
    )
    .await?;
    let text = client.error("set_cloud_init", arguments.clone()).await?;
    assert_says(
        &text,
        &[
            "settings are written",
            "not regenerated",
            "repeat the call",
            "storage is full",
        ],
    );
    let shown = client
        .call("get_cloud_init", json!({ "vmid": 100 }))
        .await?;
    assert_eq!(
        shown["pending"],
        json!([{ "setting": "ciuser", "on_drive": "debian", "wanted": "ops" }])
    );
    let report = client.call("set_cloud_init", arguments.clone()).await?;
    assert_eq!(report["status"], "done", "{report:#}");
    let shown = client
        .call("get_cloud_init", json!({ "vmid": 100 }))
        .await?;
    assert_eq!(shown["pending"], json!([]));
    let report = client.call("set_cloud_init", arguments).await?;
    assert_eq!(report["status"], "unchanged", "{report:#}");
    // A request that a fault answers is not in the log.
    assert_eq!(
        each(&sim.sent("PUT")?.into(), "path"),
        [
            "/nodes/pve1/qemu/100/config",
            "/nodes/pve1/qemu/100/cloudinit",
        ]
    );
    Ok(())
}

#[tokio::test]
async fn impossible_settings_are_refused() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for (arguments, words) in [
        (
            json!({ "vmid": 103, "user": "ops" }),
            &["no cloud-init drive", "qm set 103 --ide2"][..],
        ),
        (
            json!({ "vmid": 200, "user": "ops" }),
            &["container", "created"],
        ),
        (json!({ "vmid": 300, "user": "ops" }), &["pve2", "offline"]),
        (
            json!({ "vmid": 999, "user": "ops" }),
            &["999", "list_guests"],
        ),
        (json!({ "vmid": 101, "user": "ops" }), &["locked (backup)"]),
        (
            json!({ "vmid": 100, "addresses": [{ "nic": "net3", "ipv4": "dhcp" }] }),
            &["no network card net3", "net0"],
        ),
        (
            json!({ "vmid": 9000, "addresses": [{ "nic": "net0", "ipv4_gateway": "192.0.2.1" }] }),
            &["net0 has no fixed ipv4 address"],
        ),
    ] {
        let text = client.error("set_cloud_init", arguments).await?;
        assert_says(&text, words);
    }
    let text = client
        .error("get_cloud_init", json!({ "vmid": 200 }))
        .await?;
    assert_says(&text, &["container"]);
    let shown = client
        .call("get_cloud_init", json!({ "vmid": 103 }))
        .await?;
    assert_says(&shown["hint"].to_string(), &["no cloud-init drive"]);
    assert!(shown.get("documents").is_none());
    assert!(sim.sent("PUT")?.is_empty());

    let before = sim.served().await?;
    let hush = "hush-hush";
    for (arguments, words) in [
        (json!({}), &["nothing to set", "ssh_keys"][..]),
        (json!({ "user": "a: b" }), &["/user"]),
        (json!({ "user": "a\nb" }), &["/user"]),
        (
            json!({ "password": format!("{hush}\nroot:x") }),
            &["/password"],
        ),
        (json!({ "password": [hush] }), &["/password"]),
        (json!({ "cipassword": hush }), &["cipassword", "password"]),
        (
            json!({ "ssh_keys": ["ssh-ed25519 notakey test"] }),
            &["/ssh_keys/0", "base64"],
        ),
        (
            json!({ "ssh_keys": [KEY, format!("{KEY}\n{KEY}")] }),
            &["/ssh_keys/1", "one line"],
        ),
        (
            json!({ "ssh_keys": [format!("command=\"sh\" {KEY}")] }),
            &["/ssh_keys/0", "type"],
        ),
        (
            json!({ "ssh_keys": [KEY.replace("ssh-ed25519", "ssh-rsa")] }),
            &["another type"],
        ),
        (
            json!({ "ssh_keys": ["-----BEGIN OPENSSH PRIVATE KEY-----"] }),
            &["private"],
        ),
        (
            json!({ "addresses": [{ "nic": "net0", "ipv4": "192.0.2.5" }] }),
            &["/addresses/0/ipv4", "192.0.2.10/24"],
        ),
        (
            json!({ "addresses": [{ "nic": "net0", "ipv4": "192.0.2.5/24,gw=192.0.2.1" }] }),
            &["/addresses/0/ipv4"],
        ),
        (
            json!({ "addresses": [{ "nic": "net0", "ipv6": "fe80::1" }, { "nic": "net32", "ipv4": "dhcp" }] }),
            &["/addresses/1/nic"],
        ),
        (
            json!({ "addresses": [{ "nic": "net0", "ipv4": "dhcp", "ipv4_gateway": "192.0.2.1" }] }),
            &["/addresses/0/ipv4_gateway", "dhcp"],
        ),
        (
            json!({ "dns_servers": ["dns.example.com"] }),
            &["/dns_servers/0"],
        ),
        (json!({ "search_domain": "a b" }), &["/search_domain"]),
        (json!({ "upgrade": "maybe" }), &["/upgrade"]),
    ] {
        let mut arguments = arguments;
        arguments["vmid"] = json!(100);
        let text = client.error("set_cloud_init", arguments).await?;
        assert_says(&text, words);
        assert!(!text.contains(hush), "{text}");
    }
    assert_eq!(sim.served().await?, before);
    assert!(!client.finish().await?.stderr.contains(hush));
    Ok(())
}

#[tokio::test]
async fn a_guest_that_moves_during_the_call_is_found_again() -> anyhow::Result<()> {
    let mut sim = Sim::options().arg("--nodes=pve1,pve2").start().await?;
    let client = sim.host()?.connect().await?;
    let before = sim.served().await?;
    sim.fault(
        json!({ "kind": "latency", "ms": 5000, "method": "GET", "path": "/qemu/100/config$" }),
    )
    .await?;
    let call = client.call("set_cloud_init", json!({ "vmid": 100, "user": "ops" }));
    let other = async {
        // The list, and the configuration, which is held up.
        sim.serves_more_than(before + 1).await?;
        sim.set_guest(100, json!({ "node": "pve2" })).await
    };
    let (report, other) = tokio::join!(call, other);
    other?;
    assert_eq!(report?["node"], "pve2");
    assert_eq!(config(&mut sim, 100).await?["ciuser"], "ops");
    Ok(())
}

#[tokio::test]
async fn concurrent_changes_missing_privileges_and_cut_connections_are_explained()
-> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let arguments = json!({ "vmid": 100, "user": "ops", "password": "hush-hush" });
    // The write is held up long enough for the other change to be made.
    let before = sim.served().await?;
    sim.fault(json!({ "kind": "latency", "ms": 5000, "method": "PUT", "path": "/config$" }))
        .await?;
    let call = client.error("set_cloud_init", arguments.clone());
    let other = async {
        // The list, the configuration, the state, and the write itself.
        sim.serves_more_than(before + 3).await?;
        sim.set_guest(100, json!({ "config": { "cores": "3" } }))
            .await
    };
    let (text, other) = tokio::join!(call, other);
    other?;
    assert_says(&text?, &["someone else", "nothing was written"]);
    assert_eq!(config(&mut sim, 100).await?["ciuser"], "debian");

    let auditor = sim.host_with("audit")?.connect().await?;
    auditor
        .call("get_cloud_init", json!({ "vmid": 100 }))
        .await?;
    let text = auditor.error("set_cloud_init", arguments.clone()).await?;
    assert_says(&text, &["VM.Config", "/vms/100"]);

    sim.fault(json!({ "kind": "cut-after", "method": "PUT", "path": "/config$" }))
        .await?;
    let text = client.error("set_cloud_init", arguments.clone()).await?;
    assert_says(&text, &["may have happened all the same"]);
    assert!(!text.contains("hush"), "{text}");
    assert_eq!(config(&mut sim, 100).await?["ciuser"], "ops");
    // Repeating it brings the drive up to date.
    let report = client.call("set_cloud_init", arguments).await?;
    assert_eq!(report["status"], "done", "{report:#}");
    Ok(())
}
