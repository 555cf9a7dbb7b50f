//! What a client sees of a server that was started in a wrong way: it is
//! greeted, it sees the tools, and each call says what is wrong. Nothing is
//! sent.

use harness::{Era, HostRunner, Sim, assert_case_says, assert_says};
use serde_json::{Value, json};

/// Starts in a wrong way, whose fault is explained by these words.
type Fault = (
    &'static str,
    fn(HostRunner) -> HostRunner,
    &'static [&'static str],
);

const FAULTS: [Fault; 12] = [
    (
        "no secret",
        |host| host.env_remove("PROXMOX_TOKEN_SECRET"),
        &["PROXMOX_TOKEN_SECRET is not set"],
    ),
    (
        "a malformed address",
        |host| host.env("PROXMOX_URL", "pve.example.com"),
        &["PROXMOX_URL", "https://"],
    ),
    (
        "a certificate file that is none",
        |host| host.env("PROXMOX_CA_FILE", "ca.pem"),
        &["PROXMOX_CA_FILE", "no certificate"],
    ),
    (
        "a certificate file that is absent",
        |host| host.env("PROXMOX_CA_FILE", "absent.pem"),
        &["PROXMOX_CA_FILE", "absent.pem"],
    ),
    (
        "a file of settings that is absent",
        |host| host.arg("--env-file=absent.env"),
        &["absent.env", "cannot be read"],
    ),
    (
        "two places",
        |host| host.arg("--env-file=given.env"),
        &["given.env", "one place"],
    ),
    (
        "a policy that is none",
        |host| host.arg("--policy=broken.toml"),
        &["broken.toml", "line 1"],
    ),
    (
        "a policy that is absent",
        |host| host.env("PROXMOX_MCP_POLICY", "absent.toml"),
        &["absent.toml", "cannot be read"],
    ),
    (
        "a toolset that does not exist",
        |host| host.arg("--toolsets=guest"),
        &["toolsets", "perhaps \"guests\""],
    ),
    (
        "an audit log that cannot be written",
        |host| host.arg("--audit=absent/audit.jsonl"),
        &["absent/audit.jsonl"],
    ),
    (
        "a log level that does not exist",
        |host| host.env("PROXMOX_MCP_LOG", "loud"),
        &["PROXMOX_MCP_LOG"],
    ),
    (
        "a flag that does not exist",
        |host| host.arg("--no-such-flag"),
        &["--no-such-flag"],
    ),
];

fn started(sim: &Sim, start: fn(HostRunner) -> HostRunner) -> anyhow::Result<HostRunner> {
    let host = sim
        .host()?
        .file("ca.pem", "nothing\n")?
        .file("broken.toml", "preset = \"everything\"\n")?
        .file("given.env", "PROXMOX_FINGERPRINT=AA\n")?;
    Ok(start(host))
}

#[tokio::test]
async fn each_call_explains_the_fault() -> anyhow::Result<()> {
    let mut sim = Sim::start().await?;
    for era in [Era::Legacy, Era::Stateless] {
        for (name, start, says) in FAULTS {
            let client = started(&sim, start)?.connect_as(era).await?;
            let listed = |tool: &str| client.tools().iter().any(|one| one["name"] == tool);
            assert!(listed("list_nodes") && listed("start_guest"), "{name}");
            assert!(!listed("run_in_guest"), "{name}");
            for (tool, arguments) in [
                ("list_nodes", json!({})),
                ("start_guest", json!({ "vmid": 201 })),
                ("no_such_tool", json!({})),
            ] {
                let error = client.error(tool, arguments).await?;
                assert_case_says(name, &error, says);
                assert!(error.contains("nothing was sent"), "{name}: {error}");
                assert!(!error.contains('\n'), "{name}: {error}");
            }
            let output = client.finish().await?;
            assert_eq!(output.status, Some(0), "{name}: {output:?}");
            // For the client's log.
            assert_eq!(output.stderr.lines().count(), 1, "{name}: {output:?}");
            assert!(output.stderr.starts_with("error: "), "{name}: {output:?}");
        }
    }
    assert_eq!(sim.served().await?, 0);
    Ok(())
}

/// The instructions say it before any call.
#[tokio::test]
async fn a_fault_is_in_the_instructions() -> anyhow::Result<()> {
    let mut raw = HostRunner::new()?.raw()?;
    let answer = raw.initialize().await?;
    let instructions = answer["result"]["instructions"].as_str();
    let instructions = instructions.unwrap_or_default();
    assert_says(
        instructions,
        &["PROXMOX_URL", "PROXMOX_TOKEN_SECRET", "configuration"],
    );
    let answer = raw.request("ping", json!({})).await?;
    assert_eq!(answer["result"], json!({}), "{answer}");
    assert_eq!(raw.finish().await?.status, Some(0));

    let sim = Sim::start().await?;
    let answer = sim.host()?.raw()?.initialize().await?;
    let instructions = answer["result"]["instructions"].as_str();
    assert!(!instructions.unwrap_or_default().contains("PROXMOX_"));
    Ok(())
}

/// A client that keeps what a faulty server shows would show it when the fault is gone.
#[tokio::test]
async fn nothing_that_a_faulty_server_shows_is_kept() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let no_such_toolset = sim.host()?.arg("--toolsets=guest");
    let hosts = [
        (HostRunner::new()?, false),
        (no_such_toolset, false),
        (sim.host()?, true),
    ];
    for (host, works) in hosts {
        let mut raw = host.raw()?;
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        for method in ["server/discover", "tools/list"] {
            let answer = raw.request(method, json!({ "_meta": meta })).await?;
            let result = &answer["result"];
            let kept = (&result["ttlMs"], &result["cacheScope"]);
            match works {
                true => assert_eq!(kept, (&json!(3_600_000), &json!("public")), "{method}"),
                false => assert_eq!(kept, (&json!(0), &json!("private")), "{method}"),
            }
        }
    }
    Ok(())
}

/// What the policy would not offer is not listed either, where it can be read.
#[tokio::test]
async fn a_policy_chooses_the_tools_despite_a_fault() -> anyhow::Result<()> {
    let client = HostRunner::new()?.arg("--read-only").connect().await?;
    let writes = |tool: &Value| tool["annotations"]["readOnlyHint"] != true;
    assert!(!client.tools().iter().any(writes));
    assert!(!client.tools().is_empty());
    Ok(())
}

/// A component that cannot be read leaves nothing to list, but a greeting.
#[tokio::test]
async fn an_absent_component_is_explained() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let absent = std::path::Path::new("absent.wasm");
    let client = sim.host()?.component(absent).connect().await?;
    assert_eq!(client.tools(), Vec::<Value>::new());
    let error = client.error("list_nodes", json!({})).await?;
    assert!(error.contains("absent.wasm"), "{error}");
    assert_eq!(client.finish().await?.status, Some(0));
    Ok(())
}

/// Where no client says a word, and for every other command, the program ends
/// with status 2 and one line.
#[tokio::test]
async fn without_a_client_a_fault_ends_the_program() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    for (name, start, says) in FAULTS {
        for command in [&["serve"][..], &["call", "list_nodes"]] {
            let output = started(&sim, start)?.run(command).await?;
            assert_eq!(output.status, Some(2), "{name}: {output:?}");
            assert_eq!(output.stdout, "", "{name}: {output:?}");
            assert_case_says(name, &output.stderr, says);
            // clap has more to say to people.
            if command == ["serve"] || !name.contains("flag") {
                assert_eq!(output.stderr.lines().count(), 1, "{name}: {output:?}");
            }
        }
    }
    Ok(())
}
