//! What the policy allows, for every endpoint and every parameter of the real
//! API.
//!
//! What is harm is said here once more, in other words than those of the
//! policy's tables, by what the schema and Proxmox's documentation say of an
//! endpoint and of a parameter. So a mistake in a table shows.
//!
//! The table of calls itself is compared with the schema in
//! `pve-api/tests/schema.rs`.
//!
//! The schema is not a part of this repository. Without it the tests say so and
//! end.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test ends with what does not fit"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use host_runner_policy::{ApiRequest, Directory, Policy, Preset, Resident};
use pve_api::{Method, calls};
use serde_json::Value;

/// One method of the API.
struct Spec {
    verb: String,
    /// `/nodes/{node}/qemu/{vmid}/config`.
    path: String,
    params: BTreeMap<String, Value>,
    required: Vec<String>,
}

fn methods() -> Option<Vec<Spec>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/pve/schema.json");
    let Ok(text) = std::fs::read_to_string(&file) else {
        eprintln!(
            "skipped: there is no schema of the API in {}",
            file.display()
        );
        return None;
    };
    let schema: Vec<Value> = serde_json::from_str(&text).unwrap();
    let methods = schema.iter().map(|method| {
        let text = |key: &str| method[key].as_str().unwrap().to_owned();
        let path = text("path");
        let params: BTreeMap<String, Value> = method["parameters"]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(name, _)| !path.contains(&format!("{{{name}}}")))
            .map(|(name, spec)| (name.replace("[n]", "0"), spec.clone()))
            .collect();
        let required = params
            .iter()
            .filter(|(_, spec)| spec["optional"].as_u64() != Some(1))
            .map(|(name, _)| name.clone())
            .collect();
        Spec {
            verb: text("method"),
            path,
            params,
            required,
        }
    });
    Some(methods.collect())
}

/// Values that a parameter may have, by its specification and its name.
fn values(name: &str, spec: &Value) -> Vec<String> {
    let mut values: Vec<String> = match name {
        "vmid" | "newid" | "target-vmid" | "vmids" | "vms" => vec!["100".into(), "105".into()],
        "target" | "node" | "migratedfrom" => vec!["pve2".into(), "localhost".into()],
        "storage" | "statestorage" | "target-storage" | "targetstorage" => {
            vec!["local".into(), "1".into(), "local:bulk,tank:local".into()]
        }
        "url" => vec![
            "https://example.com/a.iso".into(),
            "http://169.254.169.254/".into(),
            "http://localhost:8006/".into(),
        ],
        "archive" | "ostemplate" | "volume" | "volid" => vec![
            "nas:backup/vzdump-qemu-101-2026_07_01-10_00_00.vma.zst".into(),
            "local:vztmpl/a.tar.zst".into(),
            "/dev/sda".into(),
        ],
        "delete" | "revert" => vec![
            "1".into(),
            "scsi0".into(),
            "unused0".into(),
            "description unused0".into(),
            "description\tunused0".into(),
            "rootfs".into(),
            "mp0".into(),
            "description".into(),
            "hookscript".into(),
            "comment".into(),
        ],
        "comment" | "description" | "notes-template" => {
            vec!["a".into(), "a\n[OPTIONS]\nenable: 0".into()]
        }
        "disk" => vec!["scsi0".into(), "rootfs".into()],
        "size" => vec!["+1G".into(), "1G".into()],
        "snapname" | "name" | "hostname" | "group" => vec!["before".into()],
        "prune-backups" => vec![
            "keep-all=1".into(),
            "keep-last=1".into(),
            "keep-all=1,keep-last=1".into(),
        ],
        "schedule" => vec!["daily".into()],
        "sid" => vec!["vm:100".into()],
        "action" => vec!["ACCEPT".into(), "DROP".into()],
        "command" => vec!["reboot".into()],
        "timeout" => vec![
            "0".into(),
            "1".into(),
            "59".into(),
            "60".into(),
            "300".into(),
        ],
        "template" => vec!["1".into(), "a.tar.zst".into()],
        _ => Vec::new(),
    };
    for word in spec["enum"].as_array().into_iter().flatten() {
        values.push(match word {
            Value::String(word) => word.clone(),
            word => word.to_string(),
        });
    }
    match spec["type"].as_str() {
        Some("boolean") => values.extend(["0", "1", "yes", "off", "00"].map(str::to_owned)),
        Some("integer" | "number") => {
            values.extend(["0", "1", "2", "16", "100", "32768", "-1", "01"].map(str::to_owned));
        }
        _ => values.extend(["1", "a1", "local:8", "a\u{a0}b"].map(str::to_owned)),
    }
    values
}

type Form = BTreeMap<String, String>;

fn policies() -> [(&'static str, Policy); 3] {
    let mut all = Policy::preset(Preset::Admin);
    all.allow = vec!["* /**".parse().unwrap()];
    [
        ("operate", Policy::preset(Preset::Operate)),
        ("admin", Policy::preset(Preset::Admin)),
        ("admin that allows everything", all),
    ]
}

fn directory() -> Directory {
    let resident = Resident {
        node: "pve1".to_owned(),
        ..Resident::default()
    };
    Directory::from([(100, resident.clone()), (200, resident)])
}

fn segments(path: &str) -> Vec<&str> {
    path.split('/').skip(1).collect()
}

fn request(method: &Spec, form: &Form) -> Option<ApiRequest> {
    let is_container = method.path.contains("/lxc");
    let path: Vec<&str> = segments(&method.path)
        .into_iter()
        .map(|segment| match segment {
            "{node}" => "pve1",
            "{vmid}" if is_container => "200",
            "{vmid}" => "100",
            "{storage}" => "local",
            "{upid}" => "UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:100:root@pam:",
            "{pos}" => "0",
            "{sid}" => "vm:100",
            segment if segment.starts_with('{') => "name1",
            segment => segment,
        })
        .collect();
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    text.extend_pairs(form);
    let text = text.finish();
    let path = format!("/api2/json/{}", path.join("/"));
    match method.verb.as_str() {
        "GET" | "DELETE" => {
            let target = match text.is_empty() {
                true => path,
                false => format!("{path}?{text}"),
            };
            ApiRequest::parse(&method.verb, &target, None, b"").ok()
        }
        verb => {
            let kind = Some("application/x-www-form-urlencoded").filter(|_| !text.is_empty());
            ApiRequest::parse(verb, &path, kind, text.as_bytes()).ok()
        }
    }
}

/// Whether Proxmox takes a value for true, or for anything but nothing.
fn is_on(form: &Form, name: &str) -> bool {
    form.get(name).is_some_and(|value| {
        !matches!(
            value.to_ascii_lowercase().as_str(),
            "0" | "off" | "no" | "false"
        )
    })
}

/// Why nobody may send this, whatever the policy.
fn harm(method: &Spec, form: &Form) -> Option<String> {
    let path = segments(&method.path);
    let has = |name: &str| form.contains_key(name);
    let is = |name: &str, value: &str| form.get(name).is_some_and(|one| one == value);
    if is_on(form, "url") {
        let url = form.get("url").map_or("", String::as_str);
        if url.contains("169.254") || url.contains("localhost") {
            return Some("a node fetches from itself or from a metadata service".into());
        }
    }
    if form.values().any(|value| value == "localhost") {
        return Some("localhost is whichever node answers".into());
    }
    if method.verb == "GET" {
        // Tickets, and terminals that are opened by reading.
        let secret = matches!(path.as_slice(), ["access", "ticket" | "tfa" | "openid", ..])
            || path.contains(&"vncwebsocket")
            || path.contains(&"mtunnelwebsocket");
        return secret.then(|| "it is a way in".into());
    }
    // Where a change may happen at all: everything else belongs to the people
    // who run the cluster.
    let place = matches!(
        path.as_slice(),
        ["nodes", _, "qemu" | "lxc"]
            | ["nodes", _, "vzdump" | "aplinfo"]
            | ["nodes", _, "storage", _, "download-url"]
            | ["nodes", _, "tasks", _]
            | ["nodes", _, "firewall", ..]
            | ["cluster", "firewall", ..]
            | ["cluster", "backup"]
            | ["cluster", "backup", _]
            | ["cluster", "ha", "resources"]
            | ["cluster", "ha", "resources", _]
            | [
                "nodes",
                _,
                "qemu" | "lxc",
                _,
                "status"
                    | "clone"
                    | "config"
                    | "cloudinit"
                    | "resize"
                    | "migrate"
                    | "snapshot"
                    | "firewall"
                    | "agent"
                    | "move_disk"
                    | "move_volume",
                ..
            ]
    );
    if !place {
        return Some("it changes what is not a guest's, or what nobody can undo".into());
    }
    if let [_, _, _, _, "agent", what] = path.as_slice()
        && !matches!(*what, "exec" | "ping" | "fstrim")
    {
        return Some("it reaches into a guest".into());
    }
    if method.verb == "DELETE"
        && !path.contains(&"firewall")
        && !path.contains(&"snapshot")
        && !path.contains(&"tasks")
    {
        return Some("it deletes".into());
    }
    // A job deletes what its retention does not keep, whoever has made it.
    let keeps_all = is("prune-backups", "keep-all=1");
    let of_job = matches!(path.as_slice(), ["cluster", "backup", ..]);
    if of_job && !keeps_all {
        let has_no_part = form.iter().all(|(name, value)| match name.as_str() {
            "comment" | "mode" => true,
            "enabled" => matches!(value.as_str(), "0" | "off"),
            _ => false,
        });
        if path.len() == 2 || !has_no_part {
            return Some("a backup job may delete more than before".into());
        }
    }
    // Parameters that overwrite, delete, skip a check, or run something.
    for name in [
        "force",
        "skiplock",
        "purge",
        "destroy-unreferenced-disks",
        "remove",
        "hookscript",
        "args",
        "script",
        "tmpdir",
        "dumpdir",
        "prune-backups",
        "maxfiles",
        "lock",
        "stateuri",
        "migratedfrom",
        "migration_type",
        "migration_network",
        "nocheck",
        "keepActive",
        "target-vmid",
        "target-volume",
        "target-digest",
        "import-working-storage",
        "live-restore",
        "stop",
        "all",
        "exclude",
        "pool-all",
        "job-id",
        "fleecing",
        "performance",
        "cicustom",
        "background_delay",
        "ha-managed",
        "unprivileged",
        "features",
        "entrypoint",
        "env",
        "vmstatestorage",
    ] {
        let is_harmless = of_job && matches!(name, "prune-backups" | "all" | "exclude");
        if is_on(form, name) && !is_harmless {
            return Some(format!("{name} does harm"));
        }
    }
    if is("template", "1") {
        return Some("a template is for good".into());
    }
    // Devices of the node, and disks: given, they replace or attach one.
    let slots = [
        "scsi", "virtio", "sata", "ide", "unused", "mp", "efidisk", "tpmstate", "hostpci", "usb",
        "serial", "parallel", "virtiofs", "dev",
    ];
    for name in form.keys() {
        let slot = name.trim_end_matches(|c: char| c.is_ascii_digit());
        if slots.contains(&slot) && slot != name
            || matches!(name.as_str(), "rootfs" | "cdrom" | "ivshmem" | "rng0")
        {
            return Some(format!("{name} is a disk or a device"));
        }
    }
    // Settings that are removed: a disk's goes with the disk.
    for name in ["delete", "revert"] {
        let Some(value) = form.get(name) else {
            continue;
        };
        if path.contains(&"move_disk") || path.contains(&"move_volume") {
            if is_on(form, name) {
                return Some("the old volume is deleted".into());
            }
            continue;
        }
        let mut names = value.split(|c: char| c.is_whitespace() || ",;\0".contains(c));
        if names.any(|name| {
            let slot = name.trim_end_matches(|c: char| c.is_ascii_digit());
            name == "rootfs" || slot != name && slots.contains(&slot)
        }) {
            return Some("a disk is deleted".into());
        }
    }
    // Line breaks in what is kept line by line.
    for name in ["comment", "notes-template"] {
        if form.get(name).is_some_and(|text| text.contains('\n')) {
            return Some(format!("{name} has a second line"));
        }
    }
    // Defaults.
    match path.as_slice() {
        ["nodes", _, "vzdump"] if !has("remove") => {
            Some("old backups are pruned by default".into())
        }
        ["nodes", _, "vzdump"] if !has("mode") => {
            Some("the node's default mode may stop the guest".into())
        }
        ["nodes", _, "vzdump"] if !has("vmid") => {
            Some("which guests is for the node's file to say".into())
        }
        ["cluster", "backup"] if !has("mode") || !has("storage") => {
            Some("the node's defaults decide".into())
        }
        ["cluster", "ha", "resources"] if !has("state") => {
            Some("a guest that is stopped would be started".into())
        }
        ["nodes", _, "qemu"] if !has("archive") => Some("a guest is made of nothing".into()),
        ["nodes", _, "lxc"] if !is_on(form, "restore") => {
            Some("a container is made of a template".into())
        }
        _ => None,
    }
}

/// Why `operate`, which loses no data and cuts no power, may not send this.
fn loss(method: &Spec, form: &Form) -> Option<&'static str> {
    let path = segments(&method.path);
    let timeout = form
        .get("timeout")
        .and_then(|timeout| timeout.parse::<u32>().ok());
    match path.as_slice() {
        [_, _, "qemu" | "lxc", _, "status", "stop" | "reset"] => Some("it is a hard stop"),
        [_, _, "qemu" | "lxc", _, "status", "shutdown"]
            if is_on(form, "forceStop") || timeout == Some(0) =>
        {
            Some("it ends in a hard stop")
        }
        [_, _, "lxc", _, "status", "reboot"] if timeout.is_some_and(|timeout| timeout < 60) => {
            Some("the container is killed")
        }
        [_, _, _, _, "snapshot", _, "rollback"] => Some("what came after the snapshot is lost"),
        [.., "agent", "exec" | "exec-status"] => Some("a command may do anything"),
        [.., "rules", _] if method.verb == "DELETE" => Some("a rule is lost"),
        ["cluster", "ha", ..] if method.verb != "GET" => Some("HA stops guests hard"),
        _ => None,
    }
}

fn check(method: &Spec, form: &Form, policies: &[(&'static str, Policy)]) -> usize {
    let Some(request) = request(method, form) else {
        return 0;
    };
    let directory = directory();
    let mut allowed = 0;
    for (name, policy) in policies {
        if !policy.decide(Ok(&request), &directory).allowed {
            continue;
        }
        allowed += 1;
        let case = format!("{name} allows {} {} {form:?}", method.verb, method.path);
        assert_eq!(harm(method, form), None, "{case}");
        if *name == "operate" {
            assert_eq!(loss(method, form), None, "{case}");
        }
    }
    allowed
}

/// What has to be there for a request to be allowed at all, so that the cases
/// reach beyond the first refusal.
fn base(method: &Spec) -> Form {
    let mut form: Form = method
        .required
        .iter()
        .filter_map(|name| {
            Some((
                name.clone(),
                values(name, &method.params[name]).into_iter().next()?,
            ))
        })
        .collect();
    let mut add = |pairs: &[(&str, &str)]| {
        for (name, value) in pairs {
            form.insert((*name).to_owned(), (*value).to_owned());
        }
    };
    let backup = "nas:backup/vzdump-qemu-101-2026_07_01-10_00_00.vma.zst";
    match (method.verb.as_str(), method.path.as_str()) {
        ("POST", "/nodes/{node}/vzdump") => {
            add(&[("vmid", "100"), ("mode", "snapshot"), ("remove", "0")]);
        }
        ("POST", "/cluster/backup") => add(&[
            ("vmid", "100"),
            ("schedule", "daily"),
            ("storage", "nas"),
            ("mode", "snapshot"),
            ("prune-backups", "keep-all=1"),
        ]),
        ("POST", "/cluster/ha/resources") => add(&[("state", "started")]),
        ("POST", "/nodes/{node}/qemu") => add(&[("vmid", "105"), ("archive", backup)]),
        ("POST", "/nodes/{node}/lxc") => {
            add(&[("vmid", "105"), ("ostemplate", backup), ("restore", "1")])
        }
        _ => {}
    }
    form
}

#[test]
fn nothing_harmful_is_allowed_on_any_endpoint() {
    let Some(methods) = methods() else { return };
    assert!(methods.len() > 600, "{} methods", methods.len());
    let policies = policies();
    let (mut cases, mut allowed) = (0, 0);
    let mut run = |method: &Spec, form: &Form| {
        cases += 1;
        allowed += check(method, form, &policies);
    };
    for method in &methods {
        let base = base(method);
        run(method, &base);
        run(method, &Form::new());
        for omitted in base.keys() {
            let mut form = base.clone();
            form.remove(omitted);
            run(method, &form);
        }
        // Each parameter with each value, and beside each other parameter.
        for (name, spec) in &method.params {
            for value in values(name, spec) {
                let mut form = base.clone();
                form.insert(name.clone(), value);
                run(method, &form);
            }
        }
        let firsts: Vec<_> = method
            .params
            .iter()
            .flat_map(|(name, spec)| {
                values(name, spec)
                    .into_iter()
                    .take(3)
                    .map(move |value| (name, value))
            })
            .collect();
        if firsts.len() > 90 {
            continue;
        }
        for (first, value) in &firsts {
            for (second, other) in &firsts {
                let mut form = base.clone();
                form.insert((*first).clone(), value.clone());
                form.insert((*second).clone(), other.clone());
                run(method, &form);
            }
        }
    }
    assert!(cases > 20_000 && allowed > 2_000, "{allowed} of {cases}");
}

/// A default that switches something on has to be looked at: these have been.
#[test]
fn every_default_was_looked_at() {
    let Some(methods) = methods() else { return };
    let known: BTreeSet<(&str, &str)> = BTreeSet::from([
        // Required in the table, with another value.
        ("POST /nodes/{node}/vzdump", "remove"),
        ("POST /nodes/{node}/vzdump", "mode"),
        // Retention keeps all by default, and with remove=0 is not applied.
        ("POST /nodes/{node}/vzdump", "prune-backups"),
        // What is left out of a backup's files, how it compresses and logs, who is
        // told of it, and how long it waits.
        ("POST /nodes/{node}/vzdump", "stdexcludes"),
        ("POST /nodes/{node}/vzdump", "compress"),
        ("POST /nodes/{node}/vzdump", "ionice"),
        ("POST /nodes/{node}/vzdump", "lockwait"),
        ("POST /nodes/{node}/vzdump", "stopwait"),
        ("POST /nodes/{node}/vzdump", "zstd"),
        ("POST /nodes/{node}/vzdump", "mailnotification"),
        ("POST /nodes/{node}/vzdump", "notification-mode"),
        // The same of a backup job, where the table requires the mode and keep-all=1.
        ("POST /cluster/backup", "remove"),
        ("POST /cluster/backup", "mode"),
        ("POST /cluster/backup", "prune-backups"),
        ("POST /cluster/backup", "stdexcludes"),
        ("POST /cluster/backup", "compress"),
        ("POST /cluster/backup", "ionice"),
        ("POST /cluster/backup", "lockwait"),
        ("POST /cluster/backup", "stopwait"),
        ("POST /cluster/backup", "zstd"),
        ("POST /cluster/backup", "mailnotification"),
        ("POST /cluster/backup", "notification-mode"),
        // It runs from then on, on all days that its schedule says.
        ("POST /cluster/backup", "enabled"),
        ("POST /cluster/backup", "dow"),
        // The table requires the state.
        ("POST /cluster/ha/resources", "state"),
        ("POST /cluster/ha/resources", "failback"),
        ("POST /cluster/ha/resources", "max_relocate"),
        ("POST /cluster/ha/resources", "max_restart"),
        // Certificates are verified.
        (
            "POST /nodes/{node}/storage/{storage}/download-url",
            "verify-certificates",
        ),
        // How long a start, a shutdown or a restart may take.
        ("POST /nodes/{node}/qemu/{vmid}/status/start", "timeout"),
        ("POST /nodes/{node}/lxc/{vmid}/status/shutdown", "timeout"),
        ("POST /nodes/{node}/lxc/{vmid}/migrate", "timeout"),
        // A limit of bandwidth.
        ("POST /nodes/{node}/qemu/{vmid}/migrate", "bwlimit"),
        ("POST /nodes/{node}/lxc/{vmid}/migrate", "bwlimit"),
        ("POST /nodes/{node}/qemu/{vmid}/clone", "bwlimit"),
        ("POST /nodes/{node}/lxc/{vmid}/clone", "bwlimit"),
        ("POST /nodes/{node}/qemu/{vmid}/move_disk", "bwlimit"),
        ("POST /nodes/{node}/lxc/{vmid}/move_volume", "bwlimit"),
    ]);
    let mut found = BTreeSet::new();
    for call in calls::all() {
        // A configuration and options that are left out stay as they are, and a
        // restored guest has those of its backup.
        let stays = [
            "/config",
            "/options",
            "{node}/qemu",
            "{node}/lxc",
            "/{id}",
            "/{sid}",
        ]
        .into_iter()
        .any(|end| call.path().ends_with(end));
        if call.method() == Method::Get || stays {
            continue;
        }
        for method in &methods {
            if method.verb != call.method().as_str() || method.path != call.path() {
                continue;
            }
            for (name, spec) in &method.params {
                let is_off = match &spec["default"] {
                    Value::Null => true,
                    Value::Number(number) => number.as_f64() == Some(0.0),
                    Value::String(text) => matches!(text.as_str(), "0" | "" | "no"),
                    _ => false,
                };
                if !is_off {
                    found.insert((call.to_string(), name.clone()));
                }
            }
        }
    }
    assert!(!found.is_empty());
    for (method, name) in &found {
        assert!(
            known.contains(&(method.as_str(), name.as_str())),
            "{method} {name} has a default that nobody has looked at"
        );
    }
}
