//! Backups: `vzdump` makes volumes that a restore reads.

use serde_json::{Value, json};

use crate::api::rights;
use crate::clock::{file_stamp, now, stamp};
use crate::endpoint::{Answer, Call, Endpoint, Why, apart, on};
use crate::fail::Fail;
use crate::formats::{Format, NODE, Props, STORAGE, check_storage, field, split_list};
use crate::params::{ARRAY, BOOL, INT, Kind, TEXT, matches_whole, opt, req};
use crate::permission::Permission::Everyone;
use crate::state::{Archive, Cluster, Guest, GuestNames, Lines, Volume};
use crate::tasks::Plan;
use pve_api::{GuestType, Method, calls};

pub(super) static PRUNE: Props = Props {
    params: &[
        opt("keep-all", BOOL),
        opt("keep-daily", INT.min(0)),
        opt("keep-hourly", INT.min(0)),
        opt("keep-last", INT.min(0)),
        opt("keep-monthly", INT.min(0)),
        opt("keep-weekly", INT.min(0)),
        opt("keep-yearly", INT.min(0)),
    ],
    default_key: None,
    aliases: &[],
};

static FLEECING: Props = Props {
    params: &[
        opt("enabled", BOOL),
        opt(
            "storage",
            TEXT.format(Format::Named("pve-storage-id", check_storage)),
        ),
    ],
    default_key: Some("enabled"),
    aliases: &[],
};

static PERFORMANCE: Props = Props {
    params: &[
        opt("max-workers", INT.min(1).max(256)),
        opt("pbs-entries-max", INT.min(1)),
    ],
    default_key: None,
    aliases: &[],
};

const VMIDS: Kind = TEXT.format(Format::List("pve-vmid", check_vmid));

const VZDUMP: &[crate::params::Param] = &[
    opt("all", BOOL),
    opt("bwlimit", INT.min(0)),
    opt("compress", TEXT.choices(&["0", "1", "gzip", "lzo", "zstd"])),
    opt("dumpdir", TEXT),
    opt("exclude", VMIDS),
    opt("exclude-path", ARRAY),
    opt(
        "fleecing",
        TEXT.format(Format::NamedProps("backup-fleecing", &FLEECING)),
    ),
    opt("ionice", INT.min(0).max(8)),
    opt("job-id", TEXT.max_len(50).pattern("\\S+")),
    opt("lockwait", INT.min(0)),
    opt("mailnotification", TEXT.choices(&["always", "failure"])),
    opt(
        "mailto",
        TEXT.format(Format::List("email-or-username", check_mail)),
    ),
    opt("mode", TEXT.choices(&["snapshot", "suspend", "stop"])),
    opt("node", NODE),
    opt("notes-template", TEXT.max_len(1024)).requires("storage"),
    opt(
        "notification-mode",
        TEXT.choices(&["auto", "legacy-sendmail", "notification-system"]),
    ),
    opt(
        "pbs-change-detection-mode",
        TEXT.choices(&["legacy", "data", "metadata"]),
    ),
    opt(
        "performance",
        TEXT.format(Format::NamedProps("backup-performance", &PERFORMANCE)),
    ),
    opt("pigz", INT),
    opt("pool", TEXT),
    opt("protected", BOOL).requires("storage"),
    opt(
        "prune-backups",
        TEXT.format(Format::NamedProps("prune-backups", &PRUNE)),
    ),
    opt("quiet", BOOL),
    opt("remove", BOOL),
    opt("script", TEXT),
    opt("stdexcludes", BOOL),
    opt("stdout", BOOL),
    opt("stop", BOOL),
    opt("stopwait", INT.min(0)),
    opt("storage", STORAGE),
    opt("tmpdir", TEXT),
    opt("vmid", VMIDS),
    opt("zstd", INT),
];

pub(crate) static ENDPOINTS: &[Endpoint] = &[
    on(&calls::backup::CREATE, VZDUMP, Everyone, vzdump),
    apart(
        Why::Recorded,
        Method::Get,
        "/nodes/{node}/vzdump/defaults",
        &[opt("storage", STORAGE)],
        Everyone,
        defaults,
    ),
    apart(
        Why::Recorded,
        Method::Get,
        "/nodes/{node}/vzdump/extractconfig",
        &[req("volume", TEXT)],
        Everyone,
        extract_config,
    ),
    apart(
        Why::Recorded,
        Method::Get,
        "/cluster/backup-info/not-backed-up",
        &[],
        crate::permission::Permission::All("/", &["Sys.Audit"]),
        not_backed_up,
    )
    .local(),
];

pub(super) fn check_vmid(text: &str) -> Result<(), String> {
    if matches_whole("[1-9][0-9]{2,8}", text) {
        Ok(())
    } else {
        Err("value does not look like a valid VM ID\n".into())
    }
}

fn check_mail(text: &str) -> Result<(), String> {
    if matches_whole(r"[^\s@,;]+(@[^\s@,;]+)?", text) {
        return Ok(());
    }
    Err("value does not look like a valid email address or user name\n".into())
}

/// A backup job as it was asked for.
#[derive(Clone)]
struct Job {
    /// When it began.
    at: i64,
    node: String,
    storage: String,
    mode: String,
    compress: String,
    notes: Option<String>,
    protected: bool,
    keep_last: Option<usize>,
    vmids: Vec<u32>,
}

fn vzdump(call: &mut Call<'_>) -> Answer {
    let node = call.node();
    for name in ["tmpdir", "dumpdir", "script"] {
        if call.has(name) {
            return Err(Fail::param(name, "Only root may set this option."));
        }
    }
    for name in ["bwlimit", "ionice", "performance"] {
        if call.has(name) {
            call.require("/", "Sys.Modify")?;
        }
    }
    if call.flag("stop") {
        let running: Vec<String> = call
            .cluster
            .tasks
            .list
            .iter()
            .filter(|task| task.kind == "vzdump" && task.node == node && task.status.is_none())
            .map(|task| task.upid.clone())
            .collect();
        for upid in running {
            call.cluster.stop_task(&upid);
        }
        if !call.has("vmid") && !call.flag("all") {
            return Ok(json!("OK"));
        }
    }
    let asked = asked(call)?;
    if let Some(storage) = call.get("storage") {
        rights::check_space(call, storage)?;
    }
    for vmid in &asked {
        call.require(&format!("/vms/{vmid}"), "VM.Backup")?;
    }
    // Guests of other nodes are left to those.
    let elsewhere = |vmid: &u32| {
        call.cluster
            .guests
            .get(vmid)
            .is_some_and(|guest| guest.node != node)
    };
    let vmids: Vec<u32> = asked
        .iter()
        .copied()
        .filter(|vmid| !elsewhere(vmid))
        .collect();
    if vmids.is_empty() {
        return Ok(json!("OK"));
    }
    let storage = call.get("storage").unwrap_or("local").to_owned();
    if call.flag("stop") {
        call.require(&format!("/nodes/{node}"), "Sys.Modify")?;
    }
    if call.has("prune-backups") {
        call.require(&format!("/storage/{storage}"), "Datastore.Allocate")?;
    }
    if let Some(notes) = call.get("notes-template") {
        check_notes(notes).map_err(|why| Fail::param("notes-template", why))?;
    }
    let prune = call
        .get("prune-backups")
        .filter(|_| !call.has("remove") || call.flag("remove"));
    let job = Job {
        at: now(),
        node,
        mode: call.get("mode").unwrap_or("snapshot").to_owned(),
        compress: call.get("compress").unwrap_or("0").to_owned(),
        notes: call.get("notes-template").map(str::to_owned),
        protected: call.flag("protected"),
        keep_last: prune
            .and_then(|prune| field(prune, "keep-last"))
            .and_then(|count| count.parse().ok()),
        vmids,
        storage,
    };
    start(call, job)
}

/// The guests that a request names.
fn asked(call: &Call<'_>) -> Result<Vec<u32>, Fail> {
    let vmids = match (call.get("vmid"), call.get("pool")) {
        (Some(list), _) => split_list(list)
            .filter_map(|vmid| vmid.parse().ok())
            .collect(),
        (None, Some(pool)) => {
            let known = call.cluster.pools.get(pool);
            known
                .ok_or_else(|| Fail::die(format!("pool '{pool}' does not exist")))?
                .guests
                .clone()
        }
        (None, None) if call.flag("all") => {
            let excluded: Vec<u32> = call
                .get("exclude")
                .into_iter()
                .flat_map(split_list)
                .filter_map(|vmid| vmid.parse().ok())
                .collect();
            call.cluster
                .guests
                .keys()
                .copied()
                .filter(|vmid| !excluded.contains(vmid))
                .collect()
        }
        (None, None) => return Err(Fail::param("vmid", "property is missing")),
    };
    Ok(vmids)
}

fn start(call: &mut Call<'_>, job: Job) -> Answer {
    let id = match job.vmids.as_slice() {
        [one] => one.to_string(),
        _ => String::new(),
    };
    let given: Vec<String> = call
        .args
        .keys()
        .filter(|key| !matches!(key.as_str(), "vmid"))
        .filter_map(|key| Some(format!("--{key} {}", call.get(key)?)))
        .collect();
    let list: Vec<String> = job.vmids.iter().map(u32::to_string).collect();
    let begun = format!(
        "INFO: starting new backup job: vzdump {} {}",
        list.join(" "),
        given.join(" ")
    );
    if let Err(fail) = call.cluster.usable_storage(&job.storage, &job.node) {
        let (storage, why) = (&job.storage, fail.message.trim_end().to_owned());
        let error = format!(
            "could not activate storage '{storage}': {why} could not get storage information for '{storage}': {why}"
        );
        return call.start(Plan::failing("vzdump", id, error));
    }
    let usable = call
        .cluster
        .storage(&job.storage)
        .is_some_and(|storage| storage.holds("backup"));
    if !usable {
        let storage = &job.storage;
        let error = format!(
            "could not get storage information for '{storage}': can't use storage '{storage}' for backups - wrong content type"
        );
        return call.start(Plan::failing("vzdump", id, error));
    }
    let locked = lock(call.cluster, &job.vmids);
    let held = locked.clone();
    let headers = locked
        .iter()
        .filter_map(|vmid| call.cluster.guests.get(vmid))
        .map(|guest| header(call.cluster, &job, guest));
    let headers: Vec<Vec<(f64, String)>> = headers.collect();
    let mut plan = Plan::new("vzdump", id, {
        let locked = locked.clone();
        move |cluster: &mut Cluster, lines: &mut Lines| save_all(cluster, &job, &locked, lines)
    })
    .length(3.0)
    .on_stop("interrupted by signal")
    .cleanup(move |cluster, lines| {
        for vmid in held {
            if let Some(guest) = cluster.guests.get_mut(&vmid) {
                guest.config.remove("lock");
            }
            lines.push(format!(
                "ERROR: Backup of VM {vmid} failed - interrupted by signal"
            ));
        }
        Ok(())
    })
    .line(0.0, begun);
    // One guest after the other.
    #[expect(clippy::cast_precision_loss, reason = "a handful of guests")]
    let count = headers.len() as f64;
    for (index, lines) in (0u32..).zip(headers) {
        for (at, line) in lines {
            plan = plan.line((f64::from(index) + at) / count, line);
        }
    }
    call.start(plan)
}

/// Locks the guests that can be saved. Returns which ones.
fn lock(cluster: &mut Cluster, vmids: &[u32]) -> Vec<u32> {
    let mut locked = Vec::new();
    for vmid in vmids {
        if let Some(guest) = cluster
            .guests
            .get_mut(vmid)
            .filter(|guest| guest.lock().is_none())
        {
            guest.config.insert("lock".into(), "backup".into());
            locked.push(*vmid);
        }
    }
    locked
}

/// Saves one guest after the other, of which these are locked for it.
fn save_all(
    cluster: &mut Cluster,
    job: &Job,
    locked: &[u32],
    lines: &mut Lines,
) -> Result<(), String> {
    let mut failed = 0;
    for vmid in &job.vmids {
        if let Err(error) = save(cluster, job, *vmid, locked.contains(vmid), lines) {
            lines.push(format!("ERROR: Backup of VM {vmid} failed - {error}"));
            lines.push(format!("INFO: Failed at {}", stamp(now())));
            failed += 1;
        }
    }
    if failed > 0 {
        lines.push("INFO: Backup job finished with errors");
        return Err("job errors".into());
    }
    lines.push("INFO: Backup job finished successfully");
    Ok(())
}

/// What the log says of a guest until its archive is written, and when.
fn header(cluster: &Cluster, job: &Job, guest: &Guest) -> Vec<(f64, String)> {
    let (vmid, size) = (guest.vmid, guest.disk_size());
    let files = cluster
        .storage(&job.storage)
        .and_then(|storage| storage.path.clone())
        .unwrap_or_default();
    let state = if guest.is_running() {
        "running"
    } else {
        "stopped"
    };
    let mut lines = vec![
        (
            0.01,
            format!(
                "INFO: Starting Backup of VM {vmid} ({})",
                guest.kind.as_str()
            ),
        ),
        (0.01, format!("INFO: Backup started at {}", stamp(job.at))),
        (0.02, format!("INFO: status = {state}")),
        (0.02, format!("INFO: backup mode: {}", job.mode)),
        (0.02, "INFO: ionice priority: 7".to_owned()),
        (
            0.02,
            format!("INFO: {} Name: {}", guest.kind.short(), guest.name()),
        ),
        (
            0.03,
            format!(
                "INFO: creating vzdump archive '{files}/dump/{}'",
                file_name(guest, job)
            ),
        ),
    ];
    if guest.kind == GuestType::Qemu {
        for percent in [10u32, 35, 60, 85, 100] {
            #[expect(clippy::cast_precision_loss, reason = "a figure for a log")]
            let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
            let done = gib(size / 100 * u64::from(percent));
            let line = format!(
                "INFO: {percent:>3}% ({done:.1} GiB of {:.1} GiB) in {}s, read: 412.3 MiB/s, write: 398.1 MiB/s",
                gib(size),
                percent / 10
            );
            lines.push((f64::from(percent) / 110.0, line));
        }
    }
    lines
}

/// Saves one guest, whose lock is this job's own.
fn save(
    cluster: &mut Cluster,
    job: &Job,
    vmid: u32,
    own_lock: bool,
    lines: &mut Lines,
) -> Result<(), String> {
    let name = cluster.name.clone();
    let guest = cluster
        .guests
        .get_mut(&vmid)
        .ok_or_else(|| format!("unable to find VM '{vmid}'"))?;
    if own_lock {
        guest.config.remove("lock");
    }
    guest.check_lock()?;
    let made = archive(guest, job, &name);
    lines.push(format!("INFO: archive file size: {}MB", made.size >> 20));
    if made.notes.is_some() {
        lines.push("INFO: adding notes to backup");
    }
    if made.protected {
        lines.push("INFO: marking backup as protected");
    }
    let shared = cluster
        .storage(&job.storage)
        .is_some_and(|storage| storage.shared);
    cluster.volumes.push(Volume {
        node: (!shared).then(|| job.node.clone()),
        ..made
    });
    if let Some(keep) = job.keep_last {
        prune(cluster, &job.storage, vmid, keep, lines);
    }
    lines.push(format!("INFO: Finished Backup of VM {vmid} (00:00:02)"));
    lines.push(format!("INFO: Backup finished at {}", stamp(now())));
    Ok(())
}

fn suffix(kind: GuestType, compress: &str) -> &'static str {
    match (kind, compress) {
        (GuestType::Qemu, "zstd") => "vma.zst",
        (GuestType::Qemu, "gzip") => "vma.gz",
        (GuestType::Qemu, "lzo" | "1") => "vma.lzo",
        (GuestType::Qemu, _) => "vma",
        (GuestType::Lxc, "zstd") => "tar.zst",
        (GuestType::Lxc, "gzip") => "tar.gz",
        (GuestType::Lxc, "lzo" | "1") => "tar.lzo",
        (GuestType::Lxc, _) => "tar",
    }
}

fn file_name(guest: &Guest, job: &Job) -> String {
    let (kind, suffix) = (guest.kind.as_str(), suffix(guest.kind, &job.compress));
    format!(
        "vzdump-{kind}-{}-{}.{suffix}",
        guest.vmid,
        file_stamp(job.at)
    )
}

/// `\\n` is a line feed and `\\\\` a backslash; nothing else was let in.
fn unescaped(template: &str) -> String {
    let mut text = String::with_capacity(template.len());
    let mut chars = template.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.next() == Some('n') => text.push('\n'),
            c => text.push(c),
        }
    }
    text
}

/// Notes are one line, with two escapes and four variables.
fn check_notes(template: &str) -> Result<(), String> {
    if template.contains('\n') {
        return Err("contains a line-feed".into());
    }
    let mut wrong = Vec::new();
    let mut chars = template.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            continue;
        }
        match chars.next() {
            Some('n' | '\\') | None => {}
            Some(other) => wrong.push(format!("escape sequence '\\{other}'")),
        }
    }
    for part in template.split("{{").skip(1) {
        let name = part.split_once("}}").map(|(name, _)| name);
        let is_one = |name: &&str| !name.is_empty() && !name.contains([' ', '{', '}']);
        if let Some(name) = name.filter(is_one)
            && !matches!(name, "cluster" | "guestname" | "node" | "vmid")
        {
            wrong.push(format!("variable '{name}'"));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!("found unknown: {}", wrong.join(", ")))
}

fn archive(guest: &Guest, job: &Job, cluster: &str) -> Volume {
    let notes = job.notes.as_ref().map(|template| {
        unescaped(template)
            .replace("{{guestname}}", &guest.name())
            .replace("{{vmid}}", &guest.vmid.to_string())
            .replace("{{node}}", &job.node)
            .replace("{{cluster}}", cluster)
    });
    let size = guest.disk_size() / 10 * 3 + (1 << 20);
    let mut config = guest.config.clone();
    config.remove("lock");
    Volume {
        volid: format!("{}:backup/{}", job.storage, file_name(guest, job)),
        storage: job.storage.clone(),
        node: None,
        content: "backup",
        format: suffix(guest.kind, &job.compress).to_owned(),
        size,
        used: size,
        ctime: job.at,
        vmid: Some(guest.vmid),
        notes,
        protected: job.protected,
        parent: None,
        archive: Some(Archive {
            kind: guest.kind,
            config,
        }),
    }
}

/// Drops all but the newest; protected ones stay and do not count.
fn prune(cluster: &mut Cluster, storage: &str, vmid: u32, keep: usize, lines: &mut Lines) {
    let mut own: Vec<(i64, String)> = cluster
        .volumes
        .iter()
        .filter(|volume| {
            volume.storage == storage
                && volume.content == "backup"
                && volume.vmid == Some(vmid)
                && !volume.protected
        })
        .map(|volume| (volume.ctime, volume.volid.clone()))
        .collect();
    own.sort();
    let gone: Vec<String> = own
        .into_iter()
        .rev()
        .skip(keep)
        .map(|(_, volid)| volid)
        .collect();
    lines.push(format!(
        "INFO: prune older backups with retention: keep-last={keep}"
    ));
    for volid in &gone {
        lines.push(format!("INFO: removing backup '{volid}'"));
    }
    cluster
        .volumes
        .retain(|volume| !gone.contains(&volume.volid));
}

fn defaults(call: &mut Call<'_>) -> Answer {
    if let Some(storage) = call.get("storage") {
        rights::check_read(call, storage)?;
        call.cluster.usable_storage(storage, &call.node())?;
    }
    Ok(
        json!({"mode": "snapshot", "compress": "0", "storage": "local", "remove": 1, "prune-backups": {"keep-all": "1"}}),
    )
}

fn extract_config(call: &mut Call<'_>) -> Answer {
    let (node, volume) = (call.node(), call.text("volume"));
    let storage = volume.split(':').next().unwrap_or_default();
    rights::check_space(call, storage)?;
    let found = call
        .cluster
        .volume(&volume, &node)
        .and_then(|volume| volume.archive.as_ref());
    let archive = found.ok_or_else(|| Fail::die(format!("volume '{volume}' does not exist")))?;
    let text: String = archive
        .config
        .iter()
        .map(|(key, value)| format!("{key}: {value}\n"))
        .collect();
    Ok(json!(text))
}

/// No backup jobs are simulated, so none of the guests is part of one.
fn not_backed_up(call: &mut Call<'_>) -> Answer {
    let guests = call.cluster.guests.values();
    let list: Value = guests
        .map(|guest| json!({"vmid": guest.vmid, "type": guest.kind.as_str(), "name": guest.name()}))
        .collect();
    Ok(list)
}
