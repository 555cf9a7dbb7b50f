//! Records the sessions in `docs/session.md`: one creates a VM from a template, the
//! other creates guests of all kinds, protects them and empties their node. Fails if
//! the results differ from the document; `UPDATE_SESSION=1` updates it.

#![expect(clippy::indexing_slicing, reason = "a test may panic")]

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use harness::{Client, PATIENCE, Sim};
use serde_json::{Value, json};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBkLnpA0Xkd8TmYyrxkSNsv8vRhVjWrb4MTT6pWAcZ1M anna@laptop";

const HEAD: &str = "# Two sessions

Two MCP sessions: a VM from a template, and a day's work on a cluster. `tests/tools/session.rs` runs them against the cluster of `--demo`, whose tasks take as long as they would, and fails if a result differs from this page. Task IDs, times, durations and changing figures are replaced by `…`.
";

const FROM_A_TEMPLATE: &str = "## A VM from a template";

const ON_A_CLUSTER: &str =
    "## New guests, a VLAN, a backup job, and a node that is emptied and refilled";

/// An MCP session and its transcript.
struct Session {
    client: Client,
    paper: String,
}

impl Session {
    fn new(client: Client, title: &str) -> Self {
        Self {
            client,
            paper: format!("\n{title}\n\n"),
        }
    }

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
            "### {say}\n\n`{tool}` `{arguments}`\n\n```json\n{answer}\n```\n\n"
        )?;
        Ok(())
    }
}

fn is_recording() -> bool {
    std::env::var_os("UPDATE_SESSION").is_some()
}

/// The longer session is recorded with tasks that take as long as they would, and
/// checked with faster ones.
fn speed() -> &'static str {
    match is_recording() {
        true => "--speed=1",
        false => "--speed=20",
    }
}

/// The text without the 8 random characters that follow a mark.
fn without(text: &str, mark: &str) -> String {
    let random = text.find(mark).map(|at| at + mark.len()).and_then(|from| {
        let chosen = text.get(from..from + 8)?;
        let is_random = chosen.chars().all(|c| c.is_ascii_hexdigit() || c == ':');
        is_random.then_some(chosen)
    });
    match random {
        Some(random) => text.replacen(random, "…", 1),
        None => text.to_owned(),
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
                    || name.ends_with("_free_bytes")
                    || name.ends_with("_left_bytes")
                    || name == "next_run"
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
            None => json!(without(&without(text, "BC:24:11:"), "backup-")),
        },
        other => other.clone(),
    }
}

/// Clones a template, sets it up, and takes a snapshot and a backup of it.
async fn from_a_template() -> anyhow::Result<String> {
    // All of it happens before pvestatd reports the new guest, and with it its name.
    let sim = Sim::options().arg("--demo").arg("--task-seconds=0.1");
    let sim = sim.start().await?;
    let client = sim.host()?.connect().await?;
    let mut session = Session::new(client, FROM_A_TEMPLATE);

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
    let backup = json!({ "vmid": vmid, "storage": "backup", "protected": true });
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

    Ok(session.paper)
}

/// Creates guests from an ISO image, a cloud image and a container template, moves one
/// to a VLAN, covers them with a backup job, and empties and refills their node.
async fn on_a_cluster() -> anyhow::Result<String> {
    let sim = Sim::options().arg("--demo").arg(speed()).start().await?;
    let client = sim.admin()?.arg("--toolsets=all").connect().await?;
    let mut session = Session::new(client, ON_A_CLUSTER);

    let iso = json!({
        "name": "installer", "iso": "backup:iso/ubuntu-24.04.3-live-server-amd64.iso", "node": "pve2",
        "storage": "ceph", "disk_size": "16G", "tags": ["lab"],
    });
    let iso = session
        .step(
            "Create a VM that installs from an ISO image",
            "create_vm",
            iso,
        )
        .await?;
    let image = json!({
        "url": "https://cdimage.example.org/images/AlmaLinux-9-GenericCloud-latest.x86_64.qcow2", "node": "pve2",
        "storage": "local",
    });
    let image = session
        .step("Fetch a cloud image", "download_iso", image)
        .await?;
    let cloud = json!({
        "name": "shop01", "image": image["volid"], "node": "pve2", "storage": "ceph",
        "disk_size": "20G", "user": "anna", "ssh_keys": [KEY], "ipv4": "192.0.2.61/24",
        "ipv4_gateway": "192.0.2.1", "tags": ["lab"], "start": true, "wait_for_address": true,
    });
    let cloud = session
        .step(
            "Create a VM from it, start it, and wait for its address",
            "create_vm",
            cloud,
        )
        .await?;
    let is_there = |change: &Value| change["what"] == "addresses" && change["to"] == "192.0.2.61";
    let changes = cloud["changes"].as_array().into_iter().flatten();
    ensure!(changes.into_iter().any(is_there), "{cloud:#}");
    let container = json!({
        "name": "dns01", "template": "alpine-3.22-default", "node": "pve2", "storage": "ceph",
        "disk_size": "4G", "ipv4": "192.0.2.53/24", "ipv4_gateway": "192.0.2.1",
        "ssh_keys": [KEY], "tags": ["lab"], "start": true,
    });
    let container = session
        .step(
            "Create a container with a fixed address, from a template that is not there yet",
            "create_container",
            container,
        )
        .await?;
    let nic = json!({ "vmid": cloud["vmid"], "vlan": 30, "firewall": true });
    session
        .step(
            "Move the VM's network card to VLAN 30, with the firewall on",
            "set_nic",
            nic,
        )
        .await?;
    let vmids = [&iso, &cloud, &container].map(|guest| guest["vmid"].clone());
    let job = json!({
        "vmids": vmids, "storage": "backup", "schedule": "daily", "comment": "lab", "keep_all": true,
    });
    session
        .step("Back all three up every night", "set_backup_job", job)
        .await?;
    let evacuate = json!({
        "node": "pve2", "vmids": vmids, "accept_container_restart": true,
    });
    session
        .step("Where could they go?", "evacuate_node", evacuate.clone())
        .await?;
    let mut run = evacuate;
    run["plan"] = json!(false);
    let away = session.step("Move them", "evacuate_node", run).await?;
    let way_back = away["way_back"][0].clone();
    let mut back = json!({ "node": "pve1", "plan": false, "accept_container_restart": true });
    for (name, value) in way_back.as_object().context("no way back")? {
        back[name] = value.clone();
    }
    let back = session
        .step("Move them back", "evacuate_node", back)
        .await?;
    ensure!(back["status"] == "done", "{back:#}");
    Ok(session.paper)
}

#[tokio::test]
async fn the_sessions_in_the_docs_are_what_the_tools_answer() -> anyhow::Result<()> {
    let (first, second) = tokio::try_join!(from_a_template(), on_a_cluster())?;
    let paper = format!("{HEAD}{first}{}\n", second.trim_end());
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/session.md");
    if is_recording() {
        std::fs::write(&document, &paper)?;
    }
    let written = std::fs::read_to_string(&document).context("docs/session.md")?;
    assert_eq!(
        written, paper,
        "docs/session.md is stale: run `UPDATE_SESSION=1 cargo xtask test -- --test tools session`"
    );
    Ok(())
}
