//! Addresses of consoles.

use harness::{Sim, assert_says};
use serde_json::json;

#[tokio::test]
async fn urls_are_those_of_the_web_interface() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let base = sim.url.clone();
    for (vmid, viewer, rest) in [
        (
            100,
            "novnc",
            "?console=kvm&novnc=1&vmid=100&vmname=web01&node=pve1&resize=off&cmd=",
        ),
        (
            200,
            "xtermjs",
            "?console=lxc&xtermjs=1&vmid=200&vmname=ct01&node=pve1&cmd=",
        ),
    ] {
        let before = sim.served().await?;
        let console = client
            .call("get_console_url", json!({ "vmid": vmid }))
            .await?;
        assert_eq!(console["url"], format!("{base}/{rest}"), "{console:#}");
        assert_eq!(console["viewer"], viewer);
        assert_eq!(console["node"], "pve1");
        assert_says(
            console["hint"].as_str().unwrap(),
            &["logged in", &base, "VM.Console"],
        );
        // Finding the guest is all that it takes.
        assert_eq!(sim.served().await?, before + 1);
    }
    let console = client
        .call("get_console_url", json!({ "vmid": 200, "viewer": "novnc" }))
        .await?;
    assert_says(
        console["url"].as_str().unwrap(),
        &["console=lxc&novnc=1", "resize=off"],
    );
    let stopped = client
        .call("get_console_url", json!({ "vmid": 201 }))
        .await?;
    assert_says(stopped["hint"].as_str().unwrap(), &["stopped"]);
    Ok(())
}

#[tokio::test]
async fn urls_keep_the_path_of_a_reverse_proxy() -> anyhow::Result<()> {
    let sim = Sim::options().arg("--prefix=/pve").start().await?;
    let client = sim.host()?.connect().await?;
    let console = client
        .call("get_console_url", json!({ "vmid": 100 }))
        .await?;
    let url = console["url"].as_str().unwrap();
    assert!(
        url.starts_with(&format!("{}/?console=kvm", sim.url)),
        "{url}"
    );
    assert!(sim.url.ends_with("/pve"));
    Ok(())
}

/// A VM's terminal needs a serial port.
#[tokio::test]
async fn a_terminal_of_a_vm_needs_a_serial_port() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let arguments = json!({ "vmid": 103, "viewer": "xtermjs" });
    let text = client.error("get_console_url", arguments.clone()).await?;
    assert_says(&text, &["plain01", "serial0", "novnc"]);
    let serial = json!({ "serial0": "socket" });
    sim.set_guest(103, json!({ "config": serial })).await?;
    let console = client.call("get_console_url", arguments).await?;
    assert_says(
        console["url"].as_str().unwrap(),
        &["?console=kvm&xtermjs=1&vmid=103&vmname=plain01&node=pve1&cmd="],
    );
    Ok(())
}

#[tokio::test]
async fn a_guest_without_a_console_is_refused() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    for (arguments, words) in [
        (
            json!({ "vmid": 100, "viewer": "spice" }),
            &["viewer", "novnc, xtermjs"][..],
        ),
        (json!({ "vmid": 99 }), &["vmid", "100"]),
    ] {
        let text = client.error("get_console_url", arguments).await?;
        assert_says(&text, words);
    }
    assert_eq!(sim.served().await?, 0);
    for (vmid, words) in [
        (9000, &["template", "clone_guest"][..]),
        (300, &["pve2", "offline"]),
        (555, &["no guest 555", "list_guests"]),
    ] {
        let text = client
            .error("get_console_url", json!({ "vmid": vmid }))
            .await?;
        assert_says(&text, words);
    }
    Ok(())
}
