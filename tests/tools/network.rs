//! A guest's addresses, from the QEMU agent or the container.

use harness::{Sim, assert_case_says, assert_says};
use serde_json::json;

#[tokio::test]
async fn addresses_of_a_vm_come_from_its_agent() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let network = client
        .call("get_guest_network", json!({ "vmid": 100 }))
        .await?;
    assert_eq!(network["vmid"], 100);
    assert_eq!(network["kind"], "qemu");
    assert_eq!(network["name"], "web01");
    // Those that others can reach: not the link-local one.
    assert_eq!(network["ip_addresses"], json!(["192.0.2.50"]));
    let interfaces = network["interfaces"].as_array().unwrap();
    assert_eq!(interfaces.len(), 1, "{network:#}");
    assert_eq!(interfaces[0]["name"], "eth0");
    assert_eq!(interfaces[0]["mac"], "bc:24:11:00:00:01");
    assert_eq!(
        interfaces[0]["addresses"],
        json!([
            { "family": "ipv4", "address": "192.0.2.50", "prefix_length": 24 },
            { "family": "ipv6", "address": "fe80::be24:11ff:fe00:1", "prefix_length": 64 },
        ])
    );
    assert!(interfaces[0]["received_bytes"].is_u64(), "{network:#}");
    Ok(())
}

#[tokio::test]
async fn addresses_of_a_container_have_the_same_shape() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let network = client
        .call("get_guest_network", json!({ "vmid": 200 }))
        .await?;
    assert_eq!(network["kind"], "lxc");
    assert_eq!(network["ip_addresses"], json!(["192.0.2.60"]));
    assert_eq!(
        network["interfaces"],
        json!([{
            "name": "eth0",
            "nic": "net0",
            "mac": "bc:24:11:00:02:c8",
            "addresses": [
                { "family": "ipv4", "address": "192.0.2.60", "prefix_length": 24 },
            ],
        }])
    );
    Ok(())
}

#[tokio::test]
async fn all_interfaces_and_address_families_are_listed() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let network = client
        .call("get_guest_network", json!({ "vmid": 104 }))
        .await?;
    assert_eq!(
        network["ip_addresses"],
        json!(["192.0.2.54", "2001:db8::54", "198.51.100.54"])
    );
    Ok(())
}

#[tokio::test]
async fn loopback_is_shown_on_request() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for vmid in [100, 200] {
        for (asked, shown) in [
            (json!(null), false),
            (json!(false), false),
            (json!(true), true),
        ] {
            let arguments = json!({ "vmid": vmid, "include_loopback": asked });
            let network = client.call("get_guest_network", arguments).await?;
            let interfaces = network["interfaces"].as_array().unwrap();
            let found = interfaces.iter().any(|interface| interface["name"] == "lo");
            assert_eq!(found, shown, "{vmid}: {network:#}");
            // The guest cannot be reached by this address, whether it is shown or not.
            let addresses = network["ip_addresses"].to_string();
            assert!(!addresses.contains("127.0.0.1"), "{vmid}: {network:#}");
            assert!(!addresses.contains("::1\""), "{vmid}: {network:#}");
        }
    }
    Ok(())
}

/// Each reason has its own text, which names the next step.
#[tokio::test]
async fn missing_addresses_are_explained() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    sim.set_guest(100, json!({ "running": false })).await?;
    let mut texts = std::collections::BTreeSet::new();
    for (vmid, says) in [
        // The agent is off in the configuration.
        (103, &["agent", "switched off", "qm set 103"][..]),
        // It is on, but nothing answers within the guest.
        (102, &["agent", "install"]),
        // The VM is stopped.
        (100, &["not running", "start_guest"]),
        // The container is stopped.
        (201, &["not running", "start_guest"]),
        // The node is offline.
        (300, &["pve2", "offline"]),
        // This guest does not exist.
        (999, &["no guest 999"]),
    ] {
        let text = client
            .error("get_guest_network", json!({ "vmid": vmid }))
            .await?;
        assert_case_says(vmid, &text, says);
        assert!(text.contains(&vmid.to_string()), "{vmid}: {text}");
        let digits = |c: char| c.is_ascii_digit();
        texts.insert(text.replace(digits, ""));
    }
    assert!(texts.len() >= 5, "not told apart: {texts:#?}");
    Ok(())
}

/// The agent that comes up is found, and one that stops is missed.
#[tokio::test]
async fn an_agent_is_used_again_once_it_is_back() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    sim.set_guest(100, json!({ "agent": false })).await?;
    client
        .error("get_guest_network", json!({ "vmid": 100 }))
        .await?;
    sim.set_guest(100, json!({ "agent": true })).await?;
    client
        .call("get_guest_network", json!({ "vmid": 100 }))
        .await?;
    sim.set_guest(200, json!({ "running": false })).await?;
    let text = client
        .error("get_guest_network", json!({ "vmid": 200 }))
        .await?;
    assert!(text.contains("not running"), "{text}");
    Ok(())
}

#[tokio::test]
async fn bad_arguments_are_refused_by_name() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let arguments = json!({ "vmid": 100, "include_loopback": "maybe" });
    let text = client.error("get_guest_network", arguments).await?;
    assert!(text.contains("include_loopback"), "{text}");
    assert!(text.contains("true or false"), "{text}");
    assert_eq!(sim.served().await?, 0);
    Ok(())
}

/// Reading addresses requires a separate privilege.
#[tokio::test]
async fn a_missing_privilege_is_named() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let secret = "4f0d2a52-0000-4000-8000-000000000002";
    sim.control(json!({
        "cmd": "token", "id": "ops@pve!audit", "secret": secret,
        "rights": "/vms/100=VM.Audit",
    }))
    .await?;
    let client = sim
        .host()?
        .env("PROXMOX_USER", "ops@pve")
        .env("PROXMOX_TOKEN_ID", "audit")
        .env("PROXMOX_TOKEN_SECRET", secret)
        .connect()
        .await?;
    let text = client
        .error("get_guest_network", json!({ "vmid": 100 }))
        .await?;
    assert_says(&text, &["ops@pve!audit", "/vms/100", "VM.GuestAgent.Audit"]);
    Ok(())
}
