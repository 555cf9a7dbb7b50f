//! Replays recorded exchanges with a real node, where they are at hand, and
//! compares the answers by shape: status, reason, field names, types, errors.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use pve_api::GuestType;
use serde_json::Value;

use crate::state::Guest;
use crate::testing::{Exchange, TOKENS, authorization, ended, exchange, send};
use crate::{Options, Running, Tls, start};

/// Exchanges on endpoints that are not simulated: no tool uses them.
const LEFT_OUT: &[&str] = &[
    "agent-fsfreeze-status",
    "backup-create",
    "backup-del",
    "backup-get",
    "backup-list",
    "termproxy",
    "vncproxy",
];

/// Where a difference is meant: a file's beginning, the field, and why.
const TOLERATED: &[(&str, &str, &str)] = &[
    ("qemu-list-full", "data[].nics", "one field per interface"),
    ("tasks-cluster", "data[].pid", "no task runs here"),
    ("", "data.tags", "the recorded guest has other tags"),
    ("", "data[].tags", "the recorded guest has other tags"),
    ("", "data[].pool", "the simulated guest is in a pool"),
    ("", "data[].hastate", "a simulated guest is under HA"),
    (
        "agent-osinfo",
        "data.result.version-codename",
        "another release",
    ),
    ("cluster-log", "data[].pid", "same type, other process"),
    (
        "cloudinit-get",
        "data[].pending",
        "the simulated drive is up to date",
    ),
    (
        "node-status",
        "data.boot-info.secureboot",
        "EFI here, BIOS there",
    ),
    (
        "node-status",
        "data.cpuinfo.microcode",
        "bare metal here, a virtual machine there",
    ),
    ("qemu-config", "data", "another guest, other settings"),
    ("lxc-config", "data", "another guest, other settings"),
    ("snapshot-config", "data", "another guest, other settings"),
    ("qemu-list", "data[].template", "another guest"),
    ("qemu-list", "data[].lock", "another guest"),
    ("lxc-list", "data[].template", "another guest"),
    ("lxc-list", "data[].pid", "a stopped container has none"),
    (
        "lxc-list",
        "data[].pressure",
        "a stopped container has none",
    ),
    ("storage-content", "data[].notes", "backups with notes here"),
    (
        "storage-content",
        "data[].protected",
        "a protected backup here",
    ),
    (
        "storage-cluster",
        "data[].path",
        "storages without a path here",
    ),
    (
        "storage-cluster",
        "data[].nodes",
        "a storage of one node here",
    ),
    ("resources", "data[].lock", "another guest"),
    ("aplinfo", "data[]", "the recorded index is empty"),
    ("pools", "data[]", "the recorded cluster has no pools"),
    (
        "migrate-pre",
        "data.local_disks[]",
        "the recorded template has no disks",
    ),
    ("lxc-rrd", "data[]", "the recorded node has no history"),
    ("rrddata", "data[]", "the recorded node has no history"),
    ("node-syslog", "data[]", "the recorded journal is empty"),
    ("permissions-", "data", "same privileges on other paths"),
    ("tasks", "data[].status", "exit status of another task"),
    ("ha-", "data[]", "a simulated guest is under HA already"),
    (
        "agent-ifaces",
        "data.result[].ip-addresses[]",
        "other addresses",
    ),
    (
        "agent-fsinfo",
        "data.result[]",
        "the recorded guest reports no file systems",
    ),
];

/// What must have happened before, by file.
const BEFORE: &[(&str, &[&str])] = &[
    (
        "fw-opt.",
        &["PUT /nodes/pve1/qemu/100/firewall/options enable=1 policy_in=DROP"],
    ),
    ("fw-rule-del", &[ADD_RULE]),
    ("fw-rule-digest", &[ADD_RULE]),
    ("fw-rule-update", &[ADD_RULE]),
    ("fw-rule0", &[ADD_RULE]),
    ("fw-rules", &[ADD_RULE]),
    (
        "ha-del.",
        &["POST /cluster/ha/resources sid=vm:9000 state=stopped"],
    ),
    (
        "ha-resources",
        &["POST /cluster/ha/resources sid=vm:9000 state=stopped"],
    ),
    (
        "ha-status",
        &["POST /cluster/ha/resources sid=vm:9000 state=stopped"],
    ),
    (
        "lxc-interfaces-stopped",
        &["POST /nodes/pve1/lxc/200/status/stop"],
    ),
    (
        "qemu-pending-memory",
        &["PUT /nodes/pve1/qemu/100/config memory=1024"],
    ),
    ("resume", &["POST /nodes/pve1/qemu/100/status/suspend"]),
    ("task-lxc-start", &["POST /nodes/pve1/lxc/200/status/stop"]),
    (
        "task-rollback",
        &["POST /nodes/pve1/qemu/113/snapshot snapname=off1"],
    ),
    (
        "task-snap-del",
        &["POST /nodes/pve1/qemu/113/snapshot snapname=off1"],
    ),
];

const ADD_RULE: &str = "POST /nodes/pve1/qemu/100/firewall/rules type=in action=ACCEPT proto=tcp dport=22 enable=1 comment=ssh source=192.0.2.0/24";

/// Recorded requests that name what only that moment had.
const REWRITTEN: &[(&str, &str, &str)] = &[
    // The recorded agent has busybox alone, and its process is long gone.
    ("agent-exec-status", "pid=120", "pid=PID"),
    // The template has an agent configured here.
    ("err-agent-vmstopped", "/9000/", "/101/"),
];

fn folder() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/pve/fixtures");
    path.is_dir().then_some(path)
}

/// The kinds of values at each path.
type Shape = BTreeMap<String, BTreeSet<&'static str>>;

fn shape(at: &str, value: &Value, into: &mut Shape) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    into.entry(at.to_owned()).or_default().insert(kind);
    match value {
        Value::Array(list) => list
            .iter()
            .for_each(|item| shape(&format!("{at}[]"), item, into)),
        Value::Object(fields) => fields
            .iter()
            .for_each(|(name, value)| shape(&format!("{at}.{name}"), value, into)),
        _ => {}
    }
}

/// Entries of lists are compared with those of their own sort.
fn sorts(data: &Value) -> BTreeMap<String, Vec<Value>> {
    let mut sorts: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    match data {
        Value::Array(list) => {
            for item in list {
                let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
                let kind = text("type");
                let is_guest = matches!(
                    kind.as_str(),
                    "qemu"
                        | "lxc"
                        | "node"
                        | "storage"
                        | "cluster"
                        | "quorum"
                        | "fencing"
                        | "service"
                );
                let sort = if is_guest {
                    format!(
                        "{kind} {}",
                        text("status").split(' ').next().unwrap_or_default()
                    )
                } else {
                    text("content")
                };
                sorts.entry(sort).or_default().push(item.clone());
            }
        }
        other => {
            sorts.entry(String::new()).or_default().push(other.clone());
        }
    }
    sorts
}

fn compare(name: &str, real: &Exchange, ours: &Exchange, wrong: &mut Vec<String>) {
    let mut differ = |what: &str, ours: &str, real: &str| {
        if ours != real {
            wrong.push(format!("{name}: {what} '{ours}', recorded '{real}'"));
        }
    };
    differ("status", &ours.status.to_string(), &real.status.to_string());
    differ("reason", &ours.reason, &real.reason);
    let (Some(real), Some(ours)) = (&real.body, &ours.body) else {
        differ(
            "body",
            &format!("{:?}", ours.body.is_some()),
            &format!("{:?}", real.body.is_some()),
        );
        return;
    };
    differ(
        "message",
        &ours["message"].to_string(),
        &real["message"].to_string(),
    );
    differ(
        "errors",
        &ours["errors"].to_string(),
        &real["errors"].to_string(),
    );
    let upid_type = |value: &Value| {
        value["data"]
            .as_str()
            .filter(|text| text.starts_with("UPID:"))
            .map(|text| text.split(':').skip(5).take(1).collect::<String>())
    };
    differ(
        "task",
        &format!("{:?}", upid_type(ours)),
        &format!("{:?}", upid_type(real)),
    );
    let is_list = real["data"].is_array();
    differ(
        "data",
        &ours["data"].is_array().to_string(),
        &is_list.to_string(),
    );
    let (real, ours) = (sorts(&real["data"]), sorts(&ours["data"]));
    for (sort, real) in &real {
        let Some(ours) = ours.get(sort) else { continue };
        let at = if is_list { "data[]" } else { "data" };
        let (mut known, mut seen) = (Shape::new(), Shape::new());
        real.iter().for_each(|item| shape(at, item, &mut known));
        ours.iter().for_each(|item| shape(at, item, &mut seen));
        let tolerated = |path: &str| {
            TOLERATED.iter().any(|(file, field, _)| {
                name.starts_with(file)
                    && (path == *field
                        || path.starts_with(&format!("{field}."))
                        || field.ends_with("pressure") && path.starts_with(field))
            })
        };
        for (path, kinds) in &known {
            match seen.get(path) {
                _ if tolerated(path) => {}
                None => wrong.push(format!("{name}: {path} is missing{}", of(sort))),
                Some(ours) if ours.is_disjoint(kinds) => {
                    wrong.push(format!(
                        "{name}: {path} is {ours:?}, recorded {kinds:?}{}",
                        of(sort)
                    ));
                }
                Some(_) => {}
            }
        }
        for path in seen
            .keys()
            .filter(|path| !known.contains_key(*path) && !tolerated(path))
        {
            wrong.push(format!(
                "{name}: {path} is not in the recording{}",
                of(sort)
            ));
        }
    }
}

fn of(sort: &str) -> String {
    if sort.is_empty() {
        String::new()
    } else {
        format!(" (of {sort})")
    }
}

/// The recorded session had made these guests by then.
fn prepare(sim: &Running, line: &str) {
    let mut cluster = sim.server.cluster();
    for vmid in [111, 113] {
        if line.contains(&format!("id={vmid}")) {
            continue;
        }
        let conf = format!(
            "name: copy{vmid}\nmemory: 128\nnet0: virtio=BC:24:11:00:11:{vmid},bridge=vmbr0\nscsi0: local:{vmid}/vm-{vmid}-disk-0.qcow2,size=1G"
        );
        cluster
            .guests
            .insert(vmid, Guest::new(vmid, GuestType::Qemu, "pve1", &conf));
        cluster.add_disks(vmid);
    }
}

async fn replay(folder: &Path, name: &str, wrong: &mut Vec<String>) {
    let text = std::fs::read_to_string(folder.join(format!("{name}.txt"))).unwrap();
    let mut line = text
        .lines()
        .next()
        .unwrap()
        .trim_start_matches("# ")
        .to_owned();
    let mut token = "ROOT".to_owned();
    if let Some(rest) = line.strip_prefix("-t ") {
        let (given, rest) = rest.split_once(' ').unwrap();
        (token, line) = (given.to_owned(), rest.to_owned());
    }
    for (file, from, to) in REWRITTEN {
        if name.starts_with(file) {
            line = line.replace(from, to);
        }
    }
    let tokens = TOKENS
        .iter()
        .map(|(_, token)| (*token).to_owned())
        .collect();
    let options = Options {
        tls: Tls::Off,
        tokens,
        task_seconds: 0.0,
        auth_delay: std::time::Duration::ZERO,
        ..Options::default()
    };
    let sim = start(options).await.unwrap();
    prepare(&sim, &line);
    let root = authorization("ROOT").unwrap();
    for (_, lines) in BEFORE
        .iter()
        .filter(|(file, _)| format!("{name}.").starts_with(file))
    {
        for line in *lines {
            let answer = send(&sim, Some(&root), line).await;
            assert_eq!(answer.status, 200, "{name}: {line}: {answer:?}");
        }
    }
    if line.contains("pid=PID") {
        let made = send(
            &sim,
            Some(&root),
            "POST /nodes/pve1/qemu/100/agent/exec command=uname command=-a",
        )
        .await;
        line = line.replace("PID", &made.body.unwrap()["data"]["pid"].to_string());
    }
    if line.contains("/tasks/UPID:pve1:00000107") {
        let known = sim
            .server
            .cluster()
            .tasks
            .list
            .first()
            .map(|task| task.upid.clone())
            .unwrap();
        line = format!("DELETE /nodes/pve1/tasks/{known}");
    }
    let ours = send(&sim, authorization(&token).as_deref(), &line).await;
    let real = exchange(&text).unwrap();
    compare(name, &real, &ours, wrong);
    let Ok(task) = std::fs::read_to_string(folder.join(format!("{name}.task.txt"))) else {
        return;
    };
    let Some(upid) = ours.body.as_ref().and_then(|body| body["data"].as_str()) else {
        return;
    };
    let (status, log) = ended(&sim, &root, upid).await;
    let at = task.rfind("# GET").unwrap();
    let (real_status, real_log) = task.split_at(at);
    let (real_status, real_log) = (exchange(real_status).unwrap(), exchange(real_log).unwrap());
    // One recording was read while the task still ran.
    if real_status
        .body
        .as_ref()
        .is_some_and(|body| body["data"]["status"] == "running")
    {
        return;
    }
    compare(&format!("{name}.task"), &real_status, &status, wrong);
    compare(&format!("{name}.log"), &real_log, &log, wrong);
    let last = |exchange: &Exchange| {
        exchange.body.as_ref().and_then(|body| {
            body["data"]
                .as_array()?
                .last()
                .map(|line| line["t"].to_string())
        })
    };
    if last(&real_log) != last(&log) {
        wrong.push(format!(
            "{name}: the log ends {:?}, recorded {:?}",
            last(&log),
            last(&real_log)
        ));
    }
    let exit = |exchange: &Exchange| {
        exchange
            .body
            .as_ref()
            .map(|body| body["data"]["exitstatus"].to_string())
    };
    if exit(&real_status) != exit(&status) {
        wrong.push(format!(
            "{name}: the task ends {:?}, recorded {:?}",
            exit(&status),
            exit(&real_status)
        ));
    }
}

#[tokio::test]
async fn answers_are_shaped_as_recorded() {
    let Some(folder) = folder() else {
        println!("no recordings beside the project: skipped");
        return;
    };
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .filter_map(|entry| {
            entry
                .unwrap()
                .file_name()
                .to_str()?
                .strip_suffix(".txt")
                .map(str::to_owned)
        })
        .filter(|name| !name.ends_with(".task") && !name.ends_with(".status-early"))
        .filter(|name| !LEFT_OUT.contains(&name.as_str()))
        .collect();
    names.sort();
    let mut wrong = Vec::new();
    for name in &names {
        replay(&folder, name, &mut wrong).await;
    }
    assert!(
        wrong.is_empty(),
        "{} differences over {} recordings:\n{}",
        wrong.len(),
        names.len(),
        wrong.join("\n")
    );
    println!("{} recordings replayed", names.len());
}
