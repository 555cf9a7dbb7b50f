//! What `doctor` says about each tool agrees with what the tool does.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use harness::{Answer, Sim};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const SECRET: &str = "00000000-0000-0000-0000-0000000007e7";

/// What some uses of a tool need and others do not: a guest without a NIC is cloned without
/// `SDN.Use`, and a container is renamed with `VM.Config.Network`. Verdicts count what every
/// use needs.
const DEPENDS: [(&str, &str); 2] = [
    ("clone_guest", "lacks SDN.Use on"),
    ("set_guest_options", "lacks VM.Config.Options on"),
];

/// A usual use of each tool, which changes something if the tool does. Tools that follow
/// tasks need none but their own, and are not here.
fn uses(backup: &str, iso: &str) -> Vec<(&'static str, Value)> {
    let vm = |more: Value| with(json!({ "vmid": 103 }), more);
    let mut uses = reads();
    uses.extend([
        ("create_snapshot", json!({ "vmid": 104, "snapshot": "fresh" })),
        ("rollback_snapshot", json!({ "vmid": 100, "snapshot": "clean" })),
        ("delete_snapshot", json!({ "vmid": 100, "snapshot": "clean" })),
        ("create_backup", json!({ "vmid": 200, "storage": "local" })),
        ("set_backup_job", json!({ "job": "by-hand", "enabled": false })),
        ("restore_backup", json!({ "volid": backup, "storage": "bulk", "name": "again" })),
        ("clone_guest", json!({ "vmid": 9000, "name": "copy" })),
        (
            "create_vm",
            json!({ "name": "new", "iso": iso, "node": "pve1", "storage": "local",
                "disk_size": "1G" }),
        ),
        (
            "create_container",
            json!({ "name": "new", "template": "nas:vztmpl/alpine-3.22-default_20250617_amd64.tar.xz",
                "node": "pve1", "storage": "local", "disk_size": "1G", "password": "hush-hush" }),
        ),
        (
            "download_template",
            json!({ "template": "debian-13-standard_13.1-2_amd64.tar.zst", "storage": "local" }),
        ),
        (
            "download_iso",
            json!({ "url": "https://cdimage.example.org/debian-13.2.0-amd64-netinst.iso",
                "storage": "local" }),
        ),
        ("set_guest_resources", vm(json!({ "memory_mib": 768 }))),
        ("resize_disk", vm(json!({ "disk": "scsi0", "size": "+1G" }))),
        ("set_guest_options", vm(json!({ "tags": ["new"] }))),
        ("set_cloud_init", json!({ "vmid": 100, "user": "admin" })),
        ("set_nic", vm(json!({ "nic": "net0", "vlan": 7 }))),
        ("add_disk", vm(json!({ "size": "1G", "storage": "local" }))),
        ("set_cdrom", json!({ "vmid": 100, "disk": "ide2", "eject": true })),
        ("move_disk", json!({ "vmid": 104, "disk": "scsi0", "storage": "bulk" })),
        ("set_guest_agent", vm(json!({ "enabled": true }))),
        (
            "add_firewall_rule",
            vm(json!({ "direction": "in", "action": "ACCEPT", "macro": "SSH" })),
        ),
        ("set_firewall_options", vm(json!({ "enabled": true }))),
        ("set_ha_resource", json!({ "vmid": 103, "max_restart": 3 })),
        ("run_in_guest", json!({ "vmid": 104, "command": ["true"] })),
        ("start_guest", json!({ "vmid": 201 })),
        ("suspend_guest", json!({ "vmid": 103 })),
        ("resume_guest", json!({ "vmid": 102 })),
        ("restart_guest", json!({ "vmid": 200 })),
        ("stop_guest", json!({ "vmid": 200 })),
        ("convert_to_template", json!({ "vmid": 200 })),
    ]);
    uses
}

fn reads() -> Vec<(&'static str, Value)> {
    let vm = || json!({ "vmid": 100 });
    let node = || json!({ "node": "pve1" });
    vec![
        ("list_guests", json!({})),
        ("get_guest", vm()),
        ("get_guest_network", json!({ "vmid": 200 })),
        ("get_guest_metrics", vm()),
        ("list_nodes", json!({})),
        ("get_node", node()),
        ("get_cluster_status", json!({})),
        ("list_tasks", json!({})),
        ("get_node_health", node()),
        ("list_snapshots", vm()),
        ("list_backups", json!({ "storage": "local" })),
        ("list_storage", json!({})),
        ("list_storage_content", json!({ "storage": "local" })),
        ("list_templates", json!({})),
        ("get_cloud_init", vm()),
        ("list_networks", json!({})),
        ("check_migration", vm()),
        ("audit_firewall", vm()),
        ("list_backup_jobs", json!({})),
        ("get_guest_agent_info", vm()),
        ("get_cluster_log", json!({})),
        ("get_node_log", node()),
        ("get_ha", json!({})),
        ("list_replication", json!({})),
        ("list_pools", json!({})),
        ("audit_access", json!({})),
        ("get_console_url", vm()),
    ]
}

fn with(mut arguments: Value, more: Value) -> Value {
    if let (Some(all), Value::Object(more)) = (arguments.as_object_mut(), more) {
        all.extend(more);
    }
    arguments
}

/// The tools that lack something, each with which privileges.
async fn verdicts(sim: &Sim) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let output = host(sim)?.run(&["doctor", "--json"]).await?;
    let report: Value = serde_json::from_str(&output.stdout)?;
    let checks = report.get("checks").and_then(Value::as_array);
    let mut checks = checks.context("no checks")?.iter();
    let rights = checks.find(|check| check.get("check") == Some(&json!("rights")));
    let toolsets = rights.and_then(|check| check.pointer("/data/toolsets"));
    let toolsets = toolsets.and_then(Value::as_array).context("no toolsets")?;
    let mut lacks = BTreeMap::new();
    for one in toolsets.iter().filter_map(|one| one.get("lack")) {
        for one in one.as_array().into_iter().flatten() {
            let tool = one.get("tool").and_then(Value::as_str).context("no tool")?;
            let missing = one.get("missing").and_then(Value::as_array);
            let names = missing.into_iter().flatten();
            let names = names.filter_map(|one| one.get("privileges").and_then(Value::as_array));
            let names = names.flatten().filter_map(Value::as_str);
            lacks.insert(tool.to_owned(), names.map(str::to_owned).collect());
        }
    }
    Ok(lacks)
}

fn host(sim: &Sim) -> anyhow::Result<harness::HostRunner> {
    let host = sim.host()?;
    Ok(host
        .env("PROXMOX_USER", "mcp@pve")
        .env("PROXMOX_TOKEN_ID", "role")
        .env("PROXMOX_TOKEN_SECRET", SECRET)
        .env("PROXMOX_MCP_FIT_TOKEN", "off")
        .arg("--preset=admin")
        .arg("--toolsets=all")
        .arg("--allow-tool=run_in_guest"))
}

/// Whether an error is about privileges.
fn is_refusal(error: &str) -> bool {
    let words = ["Permission check failed", "lacks", "privilege", "pveum"];
    words.iter().any(|word| error.contains(word))
}

fn depends(tool: &str, error: &str) -> bool {
    let mut known = DEPENDS.iter();
    known.any(|(name, lacks)| *name == tool && error.contains(lacks))
}

/// The tools whose verdict is wrong for a token with these privileges on `/`.
async fn wrong(role: &str, privileges: &[&str]) -> anyhow::Result<Vec<String>> {
    let sim = Sim::options().arg("--task-seconds=0.05").arg("--speed=20");
    let mut sim = sim.start().await?;
    let admin = sim.admin()?.arg("--toolsets=all").connect().await?;
    let paused = json!({ "vmid": 102 });
    admin.call("suspend_guest", paused).await?;
    let backup = admin.first_volume("pve1", "backup").await?;
    let iso = admin.first_volume("pve1", "iso").await?;
    let rights = format!("/={}", privileges.join("+"));
    sim.control(json!({
        "cmd": "token", "id": "mcp@pve!role", "secret": SECRET, "rights": rights,
    }))
    .await?;
    let lacks = verdicts(&sim).await?;
    let client = host(&sim)?.connect().await?;
    let mut wrong = Vec::new();
    for (tool, arguments) in uses(&backup, &iso) {
        let error = match client.answer(tool, arguments).await? {
            // A list of nothing is of no use.
            Answer::Success { structured, .. } => {
                let is_empty = structured.get("volumes") == Some(&json!([]));
                is_empty.then(|| "no volumes".to_owned())
            }
            Answer::Error(text) => Some(text),
            Answer::Protocol(error) => anyhow::bail!("{tool}: {error:?}"),
        };
        match (lacks.get(tool), error) {
            (None, Some(error)) if is_refusal(&error) && !depends(tool, &error) => {
                wrong.push(format!("{role}: {tool} works, and is refused: {error}"));
            }
            (Some(missing), None) => {
                wrong.push(format!("{role}: {tool} lacks {missing:?}, and works"));
            }
            _ => {}
        }
    }
    Ok(wrong)
}

fn names(texts: &[&'static str]) -> Vec<&'static str> {
    texts
        .iter()
        .flat_map(|text| text.split_whitespace())
        .collect()
}

/// The privileges of a role of docs/security.md.
fn documented(role: &str) -> anyhow::Result<Vec<&'static str>> {
    let text = include_str!("../../docs/security.md");
    let start = format!("pveum role add {role} --privs \"");
    let (_, rest) = text.split_once(&start).context("no such role")?;
    let (privileges, _) = rest.split_once('"').context("no end")?;
    let words = privileges.split_whitespace();
    Ok(words.filter(|word| *word != "\\").collect())
}

/// The role `MCPAdmin` without one of its privileges.
fn without(left_out: &str) -> anyhow::Result<Vec<&'static str>> {
    let mut all = documented("MCPAdmin")?;
    all.retain(|name| *name != left_out);
    Ok(all)
}

#[tokio::test]
async fn what_doctor_says_of_a_role_is_what_its_tools_do() -> anyhow::Result<()> {
    let auditor = "VM.Audit VM.GuestAgent.Audit Datastore.Audit Pool.Audit SDN.Audit Sys.Audit \
                   Mapping.Audit";
    let user = "VM.Audit VM.Backup VM.Config.CDROM VM.Config.Cloudinit VM.Console \
                VM.GuestAgent.Audit VM.GuestAgent.FileRead VM.GuestAgent.FileSystemMgmt \
                VM.GuestAgent.FileWrite VM.PowerMgmt";
    let vm_admin = "VM.Allocate VM.Clone VM.Config.CPU VM.Config.Disk VM.Config.HWType \
                    VM.Config.Memory VM.Config.Network VM.Config.Options VM.Migrate VM.Replicate \
                    VM.Snapshot VM.Snapshot.Rollback VM.GuestAgent.Unrestricted";
    let mut roles = JoinSet::new();
    for (role, privileges) in [
        ("allocate", names(&["VM.Allocate VM.Audit Datastore.Audit"])),
        ("power without audit", names(&["VM.PowerMgmt Sys.Audit"])),
        ("PVEAuditor", names(&[auditor])),
        ("PVEVMUser", names(&[user])),
        ("PVEVMAdmin", names(&[user, vm_admin])),
        ("MCPObserve", documented("MCPObserve")?),
        ("MCPOperate", documented("MCPOperate")?),
        ("MCPAdmin", documented("MCPAdmin")?),
        ("no storages", without("Datastore.AllocateSpace")?),
        ("no bridges", without("SDN.Use")?),
        ("no options", without("VM.Config.Options")?),
    ] {
        roles.spawn(async move { wrong(role, &privileges).await });
    }
    let mut found = Vec::new();
    while let Some(wrong) = roles.join_next().await {
        found.extend(wrong??);
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}

/// In that case, single tools are not mentioned.
#[tokio::test]
async fn a_token_without_privileges_is_a_problem() -> anyhow::Result<()> {
    let sim = Sim::start().await?;
    let output = sim.host_with("none")?.run(&["doctor", "--json"]).await?;
    let report: Value = serde_json::from_str(&output.stdout)?;
    let mut checks = report
        .get("checks")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let rights = checks.find(|check| check.get("check") == Some(&json!("rights")));
    let status = rights.and_then(|check| check.get("status"));
    assert_eq!(status, Some(&json!("problem")), "{report:#}");
    Ok(())
}
