//! The checksum of all that a server shows.

use harness::{HostRunner, Sim};
use serde_json::{Value, json};

const POLICY: &str = r#"
[[prompts]]
name = "undo"
text = "Roll {vmid} back."

[[prompts.arguments]]
name = "vmid"
required = true
"#;

async fn printed(what: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let host = HostRunner::new()?.file("policy.toml", POLICY)?;
    let output = host.run(&[&["tools", what], arguments].concat()).await?;
    output.assert_succeeds();
    Ok(output.stdout.trim().to_owned())
}

async fn checksum(arguments: &[&str]) -> anyhow::Result<String> {
    printed("--checksum", arguments).await
}

/// The server ends without an answer, and says why.
async fn refuses(host: HostRunner, says: &[&str]) -> anyhow::Result<()> {
    let mut raw = host.raw()?;
    raw.hang_up();
    let output = raw.ended().await?;
    output.assert_refused(says);
    Ok(())
}

#[tokio::test]
async fn a_server_with_other_tools_than_expected_refuses_to_start() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let default = checksum(&[]).await?;
    assert_eq!(default.len(), 64);
    assert_eq!(checksum(&[]).await?, default);
    let all = checksum(&["--toolsets=all"]).await?;
    for other in [
        &all,
        &checksum(&["--read-only"]).await?,
        &checksum(&["--policy=policy.toml"]).await?,
        // Another line in the instructions, and other schemas.
        &checksum(&["--detail=concise"]).await?,
    ] {
        assert_ne!(*other, default);
    }
    // The harness starts servers with all toolsets.
    let client = sim.host()?.env("PROXMOX_MCP_TOOLS_CHECKSUM", &all);
    let client = client.connect().await?;
    client.call("list_nodes", json!({})).await?;
    assert_eq!(client.finish().await?.status, Some(0));
    // What the token may do changes no checksum.
    let host = sim.host_with("audit")?.env("PROXMOX_MCP_FIT_TOKEN", "on");
    let client = host
        .arg(format!("--tools-checksum={all}"))
        .connect()
        .await?;
    client.call("list_nodes", json!({})).await?;

    let host = sim.host()?.arg(format!("--tools-checksum={default}"));
    let says = [&all, &default, "tools --surface", "new checksum"];
    refuses(host, &says).await
}

/// Whatever is wrong, only tools that were approved are listed.
#[tokio::test]
async fn faulty_settings_do_not_turn_the_comparison_off() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let default = checksum(&[]).await?;
    let narrow = checksum(&["--read-only"]).await?;
    let given = format!("--tools-checksum={narrow}");
    let line = format!("PROXMOX_MCP_TOOLS_CHECKSUM={narrow}\n");
    let name = "PROXMOX_MCP_TOOLS_CHECKSUM";
    let broken = || sim.host()?.file("broken.toml", "[");

    // The policy is not known, so neither are the tools that were approved.
    let policy = "--policy=broken.toml";
    refuses(
        broken()?.args([policy, &given]),
        &["broken.toml", "checksum"],
    )
    .await?;
    let host = broken()?.arg(policy).env(name, &narrow);
    refuses(host, &["broken.toml", "checksum"]).await?;
    // The command line is not known.
    let host = sim.host()?.args(["--read-only", "--no-such-flag", &given]);
    refuses(host, &["--no-such-flag", "checksum"]).await?;
    let host = sim.host()?.args(["--read-only", "--no-such-flag"]);
    refuses(host.env(name, &narrow), &["--no-such-flag", "checksum"]).await?;
    let host = sim.host()?.file("given.env", &line)?;
    let host = host.args(["--env-file=given.env", "--no-such-flag"]);
    refuses(host, &["--no-such-flag", "checksum"]).await?;
    // Another setting is malformed.
    let host = sim.host()?.args(["--read-only", &given]);
    let host = host.env("PROXMOX_MCP_POLL_SECONDS", "often");
    refuses(host, &["PROXMOX_MCP_POLL_SECONDS", "checksum"]).await?;

    // The checksum itself is.
    let host = sim.host()?.env_mistaken(name, "abc");
    refuses(host, &[name, "64 hexadecimal"]).await?;
    let host = sim.host()?.arg("--tools-checksum=abc");
    refuses(host, &["tools-checksum", "64 hexadecimal"]).await?;
    let host = sim.host()?.file("given.env", &format!("{line}{line}"))?;
    refuses(host.arg("--env-file=given.env"), &["given.env", name]).await?;

    // Without its options, not even a server with the standard tools is compared.
    let host = sim.host()?.arg(format!("--tools-checksum={default}"));
    refuses(host.arg("--no-such-flag"), &["--no-such-flag", "checksum"]).await?;
    Ok(())
}

/// The difference between two checksums can be found.
#[tokio::test]
async fn the_surface_is_what_clients_are_shown() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    for detail in ["concise", "full"] {
        let arguments = [
            "--policy=policy.toml",
            "--toolsets=all",
            &format!("--detail={detail}"),
        ];
        let shown = printed("--surface", &arguments).await?;
        let shown: Value = serde_json::from_str(&shown)?;
        let host = || -> anyhow::Result<HostRunner> {
            let host = sim.host()?.file("policy.toml", POLICY)?;
            let host = host.arg("--policy=policy.toml");
            Ok(host.arg(format!("--detail={detail}")))
        };
        let greeting = host()?.raw()?.initialize().await?;
        let greeting = &greeting["result"];
        assert_eq!(shown["instructions"], greeting["instructions"]);
        for key in ["name", "title"] {
            assert_eq!(shown["server"][key], greeting["serverInfo"][key]);
        }
        let client = host()?.connect().await?;
        assert_eq!(shown["tools"], json!(client.tools()));
        let templates = client.resource_templates().await?;
        assert_eq!(shown["resourceTemplates"], json!(templates));
        let prompts = shown["prompts"].as_array().unwrap().iter();
        let prompts: Vec<_> = prompts.map(|one| one["prompt"].clone()).collect();
        assert_eq!(prompts, client.prompts().await?);
    }
    Ok(())
}
