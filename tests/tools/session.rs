//! Records the session in `docs/session.md`, which creates a VM from a template.
//! Fails if the results differ from the document; `UPDATE_SESSION=1` updates it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use harness::{Client, PATIENCE, Sim};
use serde_json::{Value, json};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBkLnpA0Xkd8TmYyrxkSNsv8vRhVjWrb4MTT6pWAcZ1M anna@laptop";

const HEAD: &str = "# A session

An MCP session that creates a VM from a template. `tests/tools/session.rs` runs it against the simulated cluster and fails if a result differs from this page. Task IDs, times and durations are replaced by `…`.

";

/// An MCP session and its transcript.
struct Session {
    client: Client,
    paper: String,
}

impl Session {
    async fn step(&mut self, say: &str, tool: &str, arguments: Value) -> anyhow::Result<Value> {
        let answer = self.client.call(tool, arguments.clone()).await?;
        self.write(say, tool, &arguments, &answer)?;
        Ok(answer)
    }

    fn write(
        &mut self,
        say: &str,
        tool: &str,
        arguments: &Value,
        answer: &Value,
    ) -> anyhow::Result<()> {
        let arguments = serde_json::to_string(arguments)?;
        let answer = serde_json::to_string_pretty(&plain(answer))?;
        write!(
            self.paper,
            "## {say}\n\n`{tool}` `{arguments}`\n\n```json\n{answer}\n```\n\n"
        )?;
        Ok(())
    }
}

/// The result without values that differ from run to run.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| {
                let varies = name == "upid"
                    || name.ends_with("_at")
                    || name.ends_with("_seconds")
                    || matches!(name.as_str(), "received_bytes" | "sent_bytes" | "mac");
                let value = if varies { json!("…") } else { plain(value) };
                (name.clone(), value)
            })
            .collect(),
        Value::Array(items) => items.iter().map(plain).collect(),
        // vzdump-qemu-105-2026_11_22-17_30_00.vma.zst
        Value::String(text) if text.starts_with("fe80:") => json!("fe80::…"),
        Value::String(text) => match text.split_once("-20").zip(text.split_once(".vma")) {
            Some(((before, _), (_, after))) => json!(format!("{before}-….vma{after}")),
            None => json!(text),
        },
        other => other.clone(),
    }
}

#[tokio::test]
async fn the_session_in_the_docs_is_what_the_tools_answer() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let client = sim.host()?.connect().await?;
    let mut session = Session {
        client,
        paper: HEAD.to_owned(),
    };

    let templates = json!({ "template": true, "kind": "qemu" });
    session
        .step("Which templates are there?", "list_guests", templates)
        .await?;
    let clone = json!({ "vmid": 9000, "name": "web02", "description": "staging web server" });
    let clone = session
        .step("Clone the template as web02", "clone_guest", clone)
        .await?;
    let vmid = clone["vmid"].as_u64().context("no vmid of the clone")?;

    let cloud_init = json!({
        "vmid": vmid,
        "user": "anna",
        "ssh_keys": [KEY],
        "addresses": [{ "nic": "net0", "ipv4": "192.0.2.77/24", "ipv4_gateway": "192.0.2.1" }],
    });
    session
        .step(
            "Set its user, SSH key and address",
            "set_cloud_init",
            cloud_init,
        )
        .await?;
    session
        .step("Start it", "start_guest", json!({ "vmid": vmid }))
        .await?;

    // While the guest boots, polls are not recorded.
    let network = json!({ "vmid": vmid });
    let booted = async {
        loop {
            let result = session.client.request("get_guest_network", network.clone());
            if result.await??.is_error != Some(true) {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(PATIENCE, booted).await??;
    let network = session
        .step("Which address does it have?", "get_guest_network", network)
        .await?;
    ensure!(
        network["ip_addresses"] == json!(["192.0.2.77"]),
        "{network:#}"
    );

    let snapshot =
        json!({ "vmid": vmid, "snapshot": "fresh", "description": "right after the install" });
    session
        .step("Take a snapshot", "create_snapshot", snapshot)
        .await?;
    let backup = json!({ "vmid": vmid, "storage": "nas", "protected": true });
    let backup = session
        .step("Back it up and protect the backup", "create_backup", backup)
        .await?;
    ensure!(backup["volid"].is_string(), "{backup:#}");
    session
        .step(
            "Is the backup there?",
            "list_backups",
            json!({ "vmid": vmid }),
        )
        .await?;

    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/session.md");
    let paper = format!("{}\n", session.paper.trim_end());
    if std::env::var_os("UPDATE_SESSION").is_some() {
        std::fs::write(&document, &paper)?;
    }
    let written = std::fs::read_to_string(&document).context("docs/session.md")?;
    assert_eq!(
        written, paper,
        "docs/session.md is stale: run `UPDATE_SESSION=1 cargo xtask test -- --test tools session`"
    );
    Ok(())
}
