//! The tools that are offered to a token.

use std::collections::BTreeSet;

use harness::{Client, HostRunner, Sim, assert_says};
use serde_json::{Value, json};

fn names(client: &Client) -> BTreeSet<&str> {
    let names = client.tools().iter();
    names.filter_map(|tool| tool["name"].as_str()).collect()
}

fn instructions(client: &Client) -> anyhow::Result<String> {
    let info = client.server_info()?;
    let text = info.get("instructions").and_then(|text| text.as_str());
    Ok(text.unwrap_or_default().to_owned())
}

/// Waits until Proxmox has said what the token may do.
fn fitted(host: HostRunner) -> HostRunner {
    host.env("PROXMOX_MCP_FIT_TOKEN", "on")
}

#[tokio::test]
async fn tools_that_need_what_the_token_lacks_are_left_out_and_named() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let client = fitted(sim.host_with("audit")?).connect().await?;
    let offered = names(&client);
    for tool in [
        "list_guests",
        "get_guest",
        "list_backups",
        "audit_firewall",
        "audit_access",
    ] {
        assert!(offered.contains(tool), "{tool}");
    }
    for tool in [
        "start_guest",
        "create_snapshot",
        "create_backup",
        "clone_guest",
    ] {
        assert!(!offered.contains(tool), "{tool}");
    }
    let text = instructions(&client)?;
    assert_says(
        &text,
        &[
            "VM.PowerMgmt (start_guest, ",
            "VM.Backup and Datastore.AllocateSpace (create_backup)",
        ],
    );
    let lines = text.lines().filter(|line| line.contains("start_guest"));
    assert_eq!(lines.count(), 1, "{text}");

    let error = client
        .protocol_error("start_guest", json!({ "vmid": 201 }))
        .await?;
    assert_eq!(error.code.0, -32602);
    assert_says(&error.message, &["VM.PowerMgmt", "--fit-token=off"]);
    assert_eq!(
        sim.served().await?,
        1,
        "only the question what the token may do"
    );
    let [asked] = &sim.requests()?[..] else {
        panic!("{:?}", sim.requests()?);
    };
    assert_eq!(asked["path"], "/access/permissions", "{asked}");
    Ok(())
}

/// A privilege on any path is enough.
#[tokio::test]
async fn a_privilege_on_one_guest_is_enough() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let secret = "00000000-0000-0000-0000-00000000f17a";
    sim.control(json!({
        "cmd": "token", "id": "one@pve!guest", "secret": secret,
        "rights": "/vms/100=VM.Audit+VM.PowerMgmt",
    }))
    .await?;
    let host = sim.host()?;
    let host = host
        .env("PROXMOX_USER", "one@pve")
        .env("PROXMOX_TOKEN_ID", "guest");
    let client = fitted(host.env("PROXMOX_TOKEN_SECRET", secret))
        .connect()
        .await?;
    let offered = names(&client);
    assert!(offered.contains("start_guest"), "{offered:?}");
    assert!(!offered.contains("create_snapshot"), "{offered:?}");
    assert!(!offered.contains("get_node_log"), "{offered:?}");
    assert_says(
        &instructions(&client)?,
        &[
            "VM.Snapshot (",
            "VM.Config.CPU or VM.Config.Memory (set_guest_resources)",
        ],
    );
    Ok(())
}

/// The token that may do everything, one that may do nothing yet, whose errors say what to
/// grant, and one that is not asked about.
#[tokio::test]
async fn every_tool_is_offered_where_none_is_known_to_be_of_no_use() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let all = sim.host()?.connect().await?;
    let none = fitted(sim.host_with("none")?);
    let off = sim.host_with("audit")?.env("PROXMOX_MCP_FIT_TOKEN", "auto");
    let denied = sim
        .host_with("audit")?
        .file("policy.toml", "deny = [\"GET /access/permissions\"]")?
        .arg("--policy=policy.toml");
    for host in [
        fitted(sim.host()?),
        none,
        off.arg("--fit-token=off"),
        fitted(denied),
    ] {
        let client = host.connect().await?;
        let (left_out, text) = (names(&all), instructions(&client)?);
        let left_out: Vec<_> = left_out.difference(&names(&client)).copied().collect();
        assert!(left_out.is_empty(), "{left_out:?}");
        assert!(!text.contains("Privileges"), "{text}");
    }
    assert_eq!(sim.served().await?, 2);
    Ok(())
}

/// Clients keep the list: it is the same after the token got more privileges.
#[tokio::test]
async fn the_list_is_fixed_once_it_was_given() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    let token = sim.token("audit")?.id.clone();
    let mut raw = fitted(sim.host_with("audit")?).raw()?;
    raw.initialize().await?;
    let first = raw.request("tools/list", json!({})).await?;
    let user = token.split('!').next().unwrap_or_default();
    for who in [format!("--users {user}"), format!("--tokens '{token}'")] {
        let command = format!("pveum acl modify / {who} --roles PVEAdmin");
        sim.control(json!({ "cmd": "pveum", "line": command }))
            .await?;
    }
    assert_eq!(
        raw.request("tools/list", json!({})).await?["result"],
        first["result"]
    );
    raw.finish().await?;
    Ok(())
}

/// A Proxmox that does not answer holds nothing up, and leaves no tool out.
#[tokio::test]
async fn without_an_answer_every_tool_is_offered() -> anyhow::Result<()> {
    for fault in [
        json!({ "kind": "hang", "path": "/access/permissions", "times": 9 }),
        json!({ "kind": "status", "code": 500, "path": "/access/permissions", "times": 9 }),
        json!({ "kind": "garbage", "path": "/access/permissions", "times": 9 }),
    ] {
        let mut sim = Sim::start().await?;
        let all = sim.host()?.connect().await?;
        sim.fault(fault.clone()).await?;
        let host = sim.host_with("audit")?;
        let client = host.arg("--fit-token=auto").connect().await?;
        assert_eq!(names(&client), names(&all), "{fault}");
        let text = instructions(&client)?;
        assert!(!text.contains("Privileges"), "{text}");
        client.call("list_guests", json!({})).await?;
    }
    Ok(())
}

/// Every command checks the value.
#[tokio::test]
async fn a_wrong_value_is_an_error() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let host = sim.host()?.env("PROXMOX_MCP_FIT_TOKEN", "maybe");
    let output = host.run(&["call", "list_nodes"]).await?;
    assert_eq!(output.status, Some(2), "{output:?}");
    assert_says(
        &output.stderr,
        &["PROXMOX_MCP_FIT_TOKEN", "auto, on or off"],
    );
    let _: Value = serde_json::from_str(&sim.host()?.run(&["call", "list_nodes"]).await?.stdout)?;
    Ok(())
}
