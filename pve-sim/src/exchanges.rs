//! Holds the simulator to a larger set of recorded exchanges, where it is at hand: what is
//! refused, with which status, reason, message and errors; what is accepted, and the types of
//! what comes back.
//!
//! The recorded cluster is rebuilt only as far as a request needs it, so that values may differ.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::router::Router;
use crate::state::{Archive, Cluster, Guest, HaResource, Pool, Storage, Volume};
use crate::testing::{Exchange, exchange, request, send, send_as_is};
use crate::{Options, Running, Tls, api, start};
use pve_api::{GuestType, Method};

/// The minimum number of exchanges that are answered as recorded.
const FLOOR: usize = 915;

/// Exchanges that are answered otherwise, by the beginning of their names, and why.
const DIFFERENT: &[(&str, &str)] = &[
    (
        "backup-job-included-volumes",
        "the backup jobs of the simulator are fixed, and others than the recorded ones",
    ),
    (
        "agent-exec-missing",
        "the simulated guest runs other commands and has other files",
    ),
    (
        "agent-exec-status-exit3",
        "the simulated guest runs other commands and has other files",
    ),
    (
        "agent-exec-status-input",
        "the simulated guest runs other commands and has other files",
    ),
    (
        "agent-exec-status-running",
        "the simulated guest runs other commands and has other files",
    ),
    (
        "agent-exec-status-signal",
        "the simulated guest runs other commands and has other files",
    ),
    (
        "agent-exec-string",
        "the simulated guest runs other commands and has other files",
    ),
    (
        "agent-file-read-binary",
        "the simulated guest runs other commands and has other files",
    ),
    (
        "agent-file-read-directory",
        "the simulated guest runs other commands and has other files",
    ),
    (
        "agent-file-read-written",
        "the simulated guest runs other commands and has other files",
    ),
    ("base-pve2-images", "not simulated to this detail"),
    ("cluster-tasks-busy", "not simulated to this detail"),
    ("content-delete-with-delay", "not simulated to this detail"),
    ("ct-clone-of-template", "not simulated to this detail"),
    ("ct-config-hostname-pending", "not simulated to this detail"),
    ("ct-create-bad-feature", "not simulated to this detail"),
    (
        "ct-mp-remove-running-pending",
        "not simulated to this detail",
    ),
    (
        "ct-net-unknown-bridge-running",
        "the simulated nodes have every bridge",
    ),
    ("ct-resize-missing", "not simulated to this detail"),
    ("disk-add-too-big", "not simulated to this detail"),
    ("move-disk-reassign", "a disk moves to another storage only"),
    ("disk-change-options", "not simulated to this detail"),
    ("disk-reattach", "not simulated to this detail"),
    ("download-stop", "not simulated to this detail"),
    ("download-stop-op-other", "not simulated to this detail"),
    (
        "fw-cluster-rule-macro-and-proto",
        "firewall objects that are not here, or checked differently",
    ),
    (
        "fw-group-use-missing",
        "firewall objects that are not here, or checked differently",
    ),
    (
        "fw-guest-ipset-get",
        "firewall objects that are not here, or checked differently",
    ),
    (
        "fw-guest-rule-macro-and-proto",
        "firewall objects that are not here, or checked differently",
    ),
    (
        "fw-guest-rule-with-refs",
        "firewall objects that are not here, or checked differently",
    ),
    (
        "fw-options-delete-unknown",
        "firewall objects that are not here, or checked differently",
    ),
    (
        "fw-options-node-put-nf-conntrack-helpers",
        "firewall objects that are not here, or checked differently",
    ),
    (
        "backup-job-create-bad-prune",
        "other words for an unknown key of a list",
    ),
    ("ha-resource-create-bad-sid", "HA as it was at that moment"),
    (
        "ha-resource-create-with-group",
        "HA as it was at that moment",
    ),
    ("node-journal", "not simulated to this detail"),
    (
        "node-vzdump-defaults-no-storage",
        "not simulated to this detail",
    ),
    ("pool-get-new", "not simulated to this detail"),
    ("raw-200-null", "not simulated to this detail"),
    (
        "raw-token-form-trailing-space",
        "not simulated to this detail",
    ),
    (
        "restore-ct-backup-as-vm-op",
        "the kind of a backup is checked before the task",
    ),
    (
        "restore-vm-backup-as-ct",
        "the kind of a backup is checked before the task",
    ),
    ("run-clone-linked", "not simulated to this detail"),
    ("run-nic-change", "the simulated nodes have every bridge"),
    (
        "run-nic-unknown-bridge",
        "the simulated nodes have every bridge",
    ),
    ("run-nic-vlan", "the simulated nodes have every bridge"),
    ("url-metadata", "the recorded web server is not here"),
    ("url-metadata-404", "the recorded web server is not here"),
    ("url-metadata-op", "the recorded web server is not here"),
    ("vm-config-op-delete-ide2", "not simulated to this detail"),
    (
        "vm-config-op-delete-serial0",
        "not simulated to this detail",
    ),
    ("vm-create-bad-cpu", "not simulated to this detail"),
    (
        "vm-create-wrong-content-cloudinit",
        "not simulated to this detail",
    ),
    ("vzdump-defaults", "not simulated to this detail"),
    ("vzdump-defaults-op", "not simulated to this detail"),
];

/// What the recorded operator's role holds.
const OPERATOR: &str = "Datastore.AllocateSpace+Datastore.AllocateTemplate+Datastore.Audit+Pool.Audit+SDN.Use+Sys.AccessNetwork+Sys.Audit+Sys.Syslog+VM.Allocate+VM.Audit+VM.Backup+VM.Clone+VM.Config.CPU+VM.Config.Cloudinit+VM.Config.Disk+VM.Config.Memory+VM.Config.Network+VM.Config.Options+VM.GuestAgent.Audit+VM.Migrate+VM.PowerMgmt+VM.Snapshot+VM.Snapshot.Rollback";

/// Fields that depend on what the cluster holds.
const OPTIONAL: [&str; 4] = ["tags", "serial", "pool", "comment"];

const ROOT: &str = "PVEAPIToken=root@pam!full=r";

/// What had happened before, by the beginnings of names.
const BEFORE: &[(&str, &[&str])] = &[
    ("fw-cluster-alias-create-exists", &[ALIAS]),
    ("fw-cluster-alias-get", &[ALIAS]),
    ("fw-cluster-ipset-add", &[IPSET, ALIAS, ALIAS_2]),
    (
        "fw-cluster-ipset-add-exists",
        &["POST /cluster/firewall/ipset/fxset cidr=192.0.2.66"],
    ),
    ("fw-cluster-ipset-create-exists", &[IPSET]),
    ("fw-cluster-ipset-get", &[IPSET]),
    ("fw-cluster-rule-get-pos", &[RULE]),
    ("fw-cluster-rule-move", &[RULE, RULE, RULE]),
    ("fw-cluster-rule-with-refs", &[IPSET_2, ALIAS_2]),
    ("fw-group-create-exists", &[GROUP]),
    ("fw-group-get-op", &[GROUP]),
    ("fw-group-rule", &[GROUP, GROUP_2, GROUP_RULE]),
    (
        "fw-group-rule-delete",
        &["POST /cluster/firewall/groups/fxsg2 type=in action=ACCEPT"],
    ),
    (
        "fw-group-rule-delete-missing",
        &["DELETE /cluster/firewall/groups/fxsg2/0"],
    ),
    ("fw-group-use", &[GROUP]),
    ("fw-guest-rule-get-pos", &[GUEST_RULE]),
    ("fw-guest-rule-move", &[GUEST_RULE, GUEST_RULE, GUEST_RULE]),
];

const ALIAS: &str = "POST /cluster/firewall/aliases name=fxweb cidr=192.0.2.10";
const ALIAS_2: &str = "POST /cluster/firewall/aliases name=fxweb2 cidr=192.0.2.12";
const IPSET: &str = "POST /cluster/firewall/ipset name=fxset";
const IPSET_2: &str = "POST /cluster/firewall/ipset name=fxset2";
const GROUP: &str = "POST /cluster/firewall/groups group=fxsg";
const GROUP_2: &str = "POST /cluster/firewall/groups group=fxsg2";
const GROUP_RULE: &str = "POST /cluster/firewall/groups/fxsg type=in action=ACCEPT";
const RULE: &str = "POST /cluster/firewall/rules type=in action=ACCEPT";
const GUEST_RULE: &str = "POST /nodes/pve1/qemu/627/firewall/rules type=in action=ACCEPT";

/// Volumes that recorded requests name.
const VOLUMES: &[(&str, &str, Option<u32>)] = &[
    (
        "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst",
        "vztmpl",
        None,
    ),
    ("local:iso/test.iso", "iso", None),
    ("local:iso/fx-up.iso", "iso", None),
    ("local:iso/fx-op.iso", "iso", None),
    ("local:import/disk.raw", "import", None),
    ("local:627/vm-627-disk-5.raw", "images", Some(627)),
    ("local:627/vm-627-disk-6.qcow2", "images", Some(627)),
    (
        "local:backup/vzdump-lxc-630-2026_11_26-14_00_17.tar.zst",
        "backup",
        Some(630),
    ),
    (
        "local:backup/vzdump-qemu-620-2026_11_26-14_00_17.vma.zst",
        "backup",
        Some(620),
    ),
    (
        "local:backup/vzdump-qemu-620-2026_11_26-14_01_29.vma",
        "backup",
        Some(620),
    ),
    (
        "bulk:backup/vzdump-qemu-102-2026_11_26-13_35_17.vma.zst",
        "backup",
        Some(102),
    ),
];

fn folder() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/pve/exchanges");
    path.is_dir().then_some(path)
}

/// A recorded request and its answer.
struct Recorded {
    name: String,
    authorization: Option<String>,
    /// `METHOD PATH name=value …`
    line: String,
    /// Sent without `/api2/json` before the path.
    as_is: bool,
    answer: Exchange,
}

fn parse(name: &str, text: &str) -> Option<Recorded> {
    let mut line = text.lines().next()?.strip_prefix("# ")?;
    let answer = exchange(text)?;
    let as_is = line.contains("path as sent");
    if let Some((request, _remark)) = line.split_once("   (") {
        line = request;
    }
    let mut authorization = Some(ROOT.to_owned());
    if let Some(rest) = line.strip_prefix("-t ") {
        let (token, rest) = rest.split_once(' ')?;
        line = rest;
        authorization = match token {
            "op" => Some("PVEAPIToken=op@pve!op=o".into()),
            "ro" => Some("PVEAPIToken=audit@pve!ro=a".into()),
            "sep" => Some("PVEAPIToken=root@pam!sep=s".into()),
            "None" | "none" => None,
            _ => return None,
        };
    }
    if let Some(rest) = line.strip_prefix("Authorization: ") {
        let at = rest.find(" GET ")?;
        let (header, request) = rest.split_at(at);
        authorization = Some(header.replace("full=00000000-0000-0000-0000-000000000000", "full=r"));
        if answer.status == 401 && !name.contains("form") {
            authorization = Some(header.to_owned());
        }
        line = request.trim_start();
    }
    Some(Recorded {
        name: name.to_owned(),
        authorization,
        line: line.to_owned(),
        as_is,
        answer,
    })
}

impl Recorded {
    fn method_and_path(&self) -> Option<(Method, &str)> {
        let mut words = self.line.split(' ');
        let method = Method::parse(words.next()?)?;
        let path = words.next()?;
        path.starts_with('/').then_some((method, path))
    }

    fn is_simulated(&self, router: &Router) -> bool {
        let Some((method, path)) = self.method_and_path() else {
            return false;
        };
        let words = self.line.split(' ').skip(2);
        let has_words = words.clone().all(|word| !word.is_empty());
        // Multipart forms and the like are described in words.
        let described = words.clone().next().is_some_and(|word| !word.contains('='));
        has_words && !described && (self.as_is || router.find(method, path).is_some())
    }

    fn changes(&self) -> bool {
        !self.line.starts_with("GET ") && self.answer.status < 400
    }

    fn told(&self) -> String {
        let body = self.answer.body.as_ref();
        let message = body.and_then(|body| body["message"].as_str());
        format!("{} {}", self.answer.reason, message.unwrap_or_default())
    }
}

async fn lab() -> Running {
    let sim = start(Options {
        tls: Tls::Off,
        nodes: vec!["pve1".into(), "pve2:offline".into()],
        tokens: vec![
            "root@pam!full=r".into(),
            "root@pam!sep=s:none".into(),
            format!("op@pve!op=o:/={OPERATOR}"),
            "audit@pve!ro=a:audit".into(),
        ],
        task_seconds: 0.0,
        auth_delay: Duration::ZERO,
        lookup_delay: Duration::ZERO,
        ..Options::default()
    })
    .await
    .unwrap();
    for role in ["LabOp", "FxRole"] {
        let privileges = if role == "LabOp" {
            OPERATOR.replace('+', ",")
        } else {
            "VM.Audit".to_owned()
        };
        let line = format!("pveum role add {role} --privs {privileges}");
        sim.control(&json!({"cmd": "pveum", "line": line}));
    }
    {
        let mut cluster = sim.server.cluster();
        let away = Guest::new(300, GuestType::Qemu, "pve2", "name: away\nmemory: 512");
        cluster.guests.insert(300, away);
        let lab = Pool {
            comment: String::new(),
            guests: vec![100],
            storages: Vec::new(),
        };
        cluster.pools.insert("lab".into(), lab);
        let like = cluster.storage("local").map(|local| Storage {
            id: "fxiso".into(),
            plugin: local.plugin.clone(),
            path: Some("/var/lib/fxiso".into()),
            content: vec!["iso".into()],
            shared: false,
            enabled: true,
            nodes: Vec::new(),
            total: local.total,
            base_used: local.base_used,
        });
        let off = like.as_ref().map(|like| Storage {
            id: "fxdir".into(),
            content: like.content.clone(),
            enabled: false,
            plugin: like.plugin.clone(),
            path: Some("/mnt/fxdir".into()),
            nodes: Vec::new(),
            ..*like
        });
        cluster.storages.extend(like.into_iter().chain(off));
        for (name, content, vmid) in VOLUMES {
            let kind = match name.contains("-lxc-") {
                true => GuestType::Lxc,
                false => GuestType::Qemu,
            };
            let config = [("memory".to_owned(), "256".to_owned())].into();
            cluster.volumes.push(Volume {
                volid: (*name).to_owned(),
                storage: name.split(':').next().unwrap_or_default().to_owned(),
                node: Some("pve1".into()),
                content,
                format: name.rsplit('.').next().unwrap_or_default().to_owned(),
                size: 1 << 20,
                used: 1 << 20,
                ctime: 1_795_700_000,
                vmid: *vmid,
                notes: None,
                protected: false,
                parent: None,
                archive: (*content == "backup").then_some(Archive { kind, config }),
            });
        }
    }
    sim
}

/// Makes the guest of the path as the recording has met it.
fn prepare(cluster: &mut Cluster, recorded: &Recorded) {
    let Some((_, path)) = recorded.method_and_path() else {
        return;
    };
    let parts: Vec<&str> = path.split('/').collect();
    prepare_ha(cluster, recorded, &parts);
    prepare_jobs(cluster, recorded);
    prepare_new(cluster, recorded);
    let [
        "",
        "nodes",
        "pve1",
        kind @ ("qemu" | "lxc"),
        vmid,
        rest @ ..,
    ] = parts.as_slice()
    else {
        return;
    };
    let Some(vmid) = vmid.parse().ok().filter(|vmid| (600..700).contains(vmid)) else {
        return;
    };
    let told = recorded.told();
    if told.contains(&format!("{vmid}.conf' does not exist")) {
        cluster.guests.remove(&vmid);
        return;
    }
    let has = |text: &str| told.contains(text);
    make(cluster, kind, vmid);
    let at = cluster.clock.at();
    let Some(guest) = cluster.guests.get_mut(&vmid) else {
        return;
    };
    let acts = matches!(
        rest,
        [
            "status",
            "stop" | "shutdown" | "reboot" | "suspend" | "reset"
        ] | ["agent", ..]
            | ["interfaces"]
    ) || recorded.name.starts_with("run-");
    if (acts || has("already running") || has(" is running") || has(" running container"))
        && !has("not running")
        && !has("is not running")
        || has("agent is not running")
    {
        guest.power_on(at);
    }
    if has("agent configured") {
        guest.config.remove("agent");
    }
    if has("agent is not running") {
        guest.agent_inside = false;
    }
    if has("convert a template") {
        guest.config.insert("template".into(), "1".into());
    }
    if has("move a cdrom") {
        let cd = "local:iso/test.iso,media=cdrom,size=1M";
        guest.config.insert("ide2".into(), cd.into());
    }
    if has("protection mode") {
        guest.config.insert("protection".into(), "1".into());
    }
    if let Some((_, lock)) = told.split_once("is locked (") {
        let lock = lock.split(')').next().unwrap_or_default().to_owned();
        guest.config.insert("lock".into(), lock);
    }
}

/// The guest id that a request gives to a new guest is free, unless the answer says otherwise.
fn prepare_new(cluster: &mut Cluster, recorded: &Recorded) {
    let new = recorded
        .line
        .split(' ')
        .filter_map(|word| word.strip_prefix("vmid=").or(word.strip_prefix("newid=")))
        .find_map(|vmid| vmid.parse().ok());
    let Some(vmid) = new.filter(|vmid: &u32| (600..700).contains(vmid)) else {
        return;
    };
    if recorded.told().contains("already exists") {
        make(cluster, "qemu", vmid);
    } else if recorded.line.starts_with("POST /nodes/pve1/qemu ")
        || recorded.line.starts_with("POST /nodes/pve1/lxc ")
        || recorded.line.contains("newid=")
    {
        cluster.guests.remove(&vmid);
    } else {
        make(cluster, "qemu", vmid);
    }
}

/// Guests under HA, and those that come under it.
fn prepare_ha(cluster: &mut Cluster, recorded: &Recorded, parts: &[&str]) {
    if !recorded.name.starts_with("ha-") {
        return;
    }
    for (kind, vmid) in [
        ("qemu", 620),
        ("qemu", 621),
        ("qemu", 622),
        ("qemu", 623),
        ("lxc", 630),
    ] {
        make(cluster, kind, vmid);
    }
    let resource = || HaResource {
        state: "started".into(),
        comment: None,
        max_restart: 1,
        max_relocate: 1,
        failback: true,
    };
    let sid = match parts {
        ["", "cluster", "ha", "resources", sid] => (*sid).to_owned(),
        _ if recorded.told().contains("already defined") => "vm:620".into(),
        _ if recorded.name.starts_with("ha-vm-") => "vm:623".into(),
        _ => return,
    };
    let missing =
        recorded.told().contains("no such resource") || recorded.told().contains("not HA managed");
    if !missing {
        cluster.ha.insert(sid, resource());
    }
}

/// The backup job that recordings change.
fn prepare_jobs(cluster: &mut Cluster, recorded: &Recorded) {
    if !recorded.name.starts_with("backup-job-") {
        return;
    }
    let told = recorded.told();
    if told.contains("already exists")
        || recorded.name.contains("update") && !told.contains("no such")
    {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let job = [("all", "1"), ("exclude", "101,9000"), ("comment", "x")].map(owned);
        for id in ["fx-all", "fx-ids"] {
            let job = job.iter().cloned().collect();
            cluster.backup_jobs.insert(id.to_owned(), job);
        }
    }
}

fn make(cluster: &mut Cluster, kind: &str, vmid: u32) {
    let (kind, conf) = if kind == "qemu" {
        (
            GuestType::Qemu,
            format!(
                "name: fx{vmid}\nmemory: 256\ncores: 1\nagent: 1\nboot: order=scsi0\nnet0: virtio=BC:24:11:00:0{}:{},bridge=vmbr0\nscsi0: local:{vmid}/vm-{vmid}-disk-0.qcow2,size=1G",
                vmid % 7,
                vmid % 90 + 10,
            ),
        )
    } else {
        (
            GuestType::Lxc,
            format!(
                "hostname: fx{vmid}\nmemory: 256\nswap: 512\narch: amd64\nostype: debian\nunprivileged: 1\nnet0: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:0{}:{},type=veth\nrootfs: local:{vmid}/vm-{vmid}-disk-0.raw,size=1G",
                vmid % 7,
                vmid % 90 + 10,
            ),
        )
    };
    let mut guest = Guest::new(vmid, kind, "pve1", &conf);
    guest.agent_inside = true;
    cluster.guests.insert(vmid, guest);
    cluster.add_disks(vmid);
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(text) if text.starts_with("UPID:") => "UPID",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Fields that both have are of the same type. Nothing is said of those that one lacks.
fn types(at: &str, real: &Value, ours: &Value, wrong: &mut Vec<String>) {
    match (real, ours) {
        (Value::Null, _) | (_, Value::Null) if at.contains('.') || at.contains('[') => {}
        (Value::Array(real), Value::Array(ours)) => {
            if let (Some(real), Some(ours)) = (real.first(), ours.first()) {
                types(&format!("{at}[]"), real, ours, wrong);
            }
        }
        (Value::Object(real), Value::Object(ours)) => {
            for (name, real) in real {
                if let Some(ours) = ours.get(name) {
                    types(&format!("{at}.{name}"), real, ours, wrong);
                }
            }
        }
        _ if kind(real) != kind(ours) => {
            wrong.push(format!("{at} is {} ({})", kind(ours), kind(real)));
        }
        _ => {}
    }
}

/// Whether a list's entries lack a field that every recorded one has.
fn always(real: &Value, ours: &Value, wrong: &mut Vec<String>) {
    let (Value::Array(real), Value::Array(ours)) = (real, ours) else {
        return;
    };
    let sort = |entry: &Value| format!("{} {}", entry["type"], entry["status"]);
    let mut recorded: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for entry in real.iter().filter(|entry| entry.is_object()) {
        recorded.entry(sort(entry)).or_default().push(entry);
    }
    for (sort_name, entries) in recorded.iter().filter(|(_, entries)| entries.len() > 1) {
        let Some(first) = entries.first().and_then(|entry| entry.as_object()) else {
            continue;
        };
        // What the other guests there had is of no interest.
        for name in first
            .keys()
            .filter(|name| !OPTIONAL.contains(&name.as_str()))
        {
            let everywhere = entries.iter().all(|entry| entry.get(name).is_some());
            let same = || ours.iter().filter(|entry| sort(entry) == *sort_name);
            if everywhere && same().next().is_some() && same().all(|it| it.get(name).is_none()) {
                wrong.push(format!("data[].{name} is missing"));
            }
        }
    }
}

fn compare(real: &Exchange, ours: &Exchange) -> Vec<String> {
    let mut wrong = Vec::new();
    if ours.status != real.status {
        wrong.push(format!(
            "{} {} ({} {})",
            ours.status, ours.reason, real.status, real.reason
        ));
        return wrong;
    }
    if ours.reason != real.reason {
        wrong.push(format!("reason '{}' ('{}')", ours.reason, real.reason));
    }
    match (&real.body, &ours.body) {
        (None, None) => {}
        (Some(real), Some(ours)) => {
            for name in ["message", "errors", "success", "status"] {
                if ours[name] != real[name] {
                    wrong.push(format!("{name} {} ({})", ours[name], real[name]));
                }
            }
            types("data", &real["data"], &ours["data"], &mut wrong);
            always(&real["data"], &ours["data"], &mut wrong);
            let task = |body: &Value| {
                body["data"]
                    .as_str()
                    .filter(|text| text.starts_with("UPID:"))
                    .and_then(|upid| upid.split(':').nth(5).map(str::to_owned))
            };
            if task(real) != task(ours) {
                wrong.push(format!("task {:?} ({:?})", task(ours), task(real)));
            }
        }
        (real, ours) => wrong.push(format!("body {} ({})", ours.is_some(), real.is_some())),
    }
    wrong
}

#[tokio::test]
async fn recorded_exchanges_are_answered_alike() {
    let Some(folder) = folder() else {
        println!("no recordings beside the project: skipped");
        return;
    };
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().ok()?;
            name.strip_suffix(".txt").map(str::to_owned)
        })
        .filter(|name| !name.ends_with(".task") && !name.ends_with(".status-early"))
        .collect();
    names.sort();
    let router = Router::new(api::FAMILIES);
    let (mut alike, mut different, mut not_simulated) = (0, 0, 0);
    let (mut unexpected, mut needless) = (Vec::new(), Vec::new());
    let mut shared = lab().await;
    for name in &names {
        let path = folder.join(format!("{name}.txt"));
        let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        let Some(recorded) = parse(name, &text).filter(|it| it.is_simulated(&router)) else {
            not_simulated += 1;
            continue;
        };
        let before: Vec<&str> = BEFORE
            .iter()
            .filter(|(start, _)| name.starts_with(start))
            .flat_map(|(_, lines)| lines.iter().copied())
            .collect();
        let fresh;
        let sim = if recorded.changes() || !before.is_empty() || name.starts_with("ha-") {
            fresh = lab().await;
            &fresh
        } else {
            &shared
        };
        for line in before {
            let answer = send(sim, Some(ROOT), line).await;
            if answer.status != 200 {
                unexpected.push(format!("{name}: before it, {line}: {}", answer.reason));
            }
        }
        prepare(&mut sim.server.cluster(), &recorded);
        let authorization = recorded.authorization.as_deref();
        let ours = if recorded.as_is {
            let (_, path, _) = request(&recorded.line);
            send_as_is(sim, authorization, &path).await
        } else {
            send(sim, authorization, &recorded.line).await
        };
        let wrong = compare(&recorded.answer, &ours);
        let meant = DIFFERENT.iter().find(|(start, _)| name.starts_with(start));
        match (wrong.is_empty(), meant) {
            (true, _) => alike += 1,
            (false, Some(_)) => different += 1,
            (false, None) => unexpected.push(format!("{name}: {}", wrong.join("; "))),
        }
        if !recorded.changes() && !recorded.line.starts_with("GET ") && ours.status < 400 {
            shared = lab().await;
        }
    }
    for (start, _) in DIFFERENT {
        if !names.iter().any(|name| name.starts_with(start)) {
            needless.push(*start);
        }
    }
    println!(
        "of {} recorded exchanges, {alike} are answered alike, {different} differ as listed, {not_simulated} are not simulated",
        names.len()
    );
    assert!(
        unexpected.is_empty(),
        "{} of {alike} differ (recorded in parentheses):\n{}",
        unexpected.len(),
        unexpected.join("\n")
    );
    assert!(needless.is_empty(), "nothing is named {needless:?}");
    assert!(alike >= FLOOR, "only {alike} are answered alike");
}
