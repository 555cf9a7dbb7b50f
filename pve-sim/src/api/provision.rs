//! Guests that come and go: clone, create, restore, template, destroy.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::api::config::{ONLY_ROOT, allocate, check_source, prepared, settings, with_mac};
use crate::api::rights;
use serde_json::Value;

use crate::clock::now;
use crate::endpoint::{Answer, Call, Endpoint, Why, apart, on};
use crate::fail::Fail;
use crate::formats::{DNS_NAME, NODE, POOL, SNAPSHOT_NAME, STORAGE, VMID, field};
use crate::guest_params::{LXC, QEMU, QEMU_DISK};
use crate::params::{BOOL, INT, NUMBER, Param, TEXT, opt, req};
use crate::permission::Permission::{self, All, And, Everyone, IfParam, Or};
use crate::random::uuid;
use crate::ssh;
use crate::state::{
    Cluster, Config, Guest, GuestNames, Lines, Volume, is_disk_key, number_of, volid,
};
use crate::tasks::Plan;
use pve_api::{GuestType, Method, calls, size};

const CLONE: Permission = And(&[
    All("/vms/{vmid}", &["VM.Clone"]),
    Or(&[
        All("/vms/{newid}", &["VM.Allocate"]),
        IfParam("pool", &All("/pool/{pool}", &["VM.Allocate"])),
    ]),
]);
const ALLOCATE: Permission = All("/vms/{vmid}", &["VM.Allocate"]);

/// What both kinds of clones take.
const CLONE_PARAMS: &[Param] = &[
    opt("description", TEXT),
    opt("full", BOOL),
    req("newid", VMID),
    opt("pool", POOL),
    opt("snapname", SNAPSHOT_NAME),
    opt("storage", STORAGE),
    opt("target", NODE),
];

pub(crate) static ENDPOINTS: &[Endpoint] = &[
    on(
        &calls::guests::CLONE.qemu,
        &[
            opt("bwlimit", INT.min(0)),
            opt("format", TEXT.choices(&["raw", "qcow2", "vmdk"])),
            opt("name", DNS_NAME),
        ],
        CLONE,
        |call| clone(call, GuestType::Qemu),
    )
    .with(CLONE_PARAMS),
    on(
        &calls::guests::CLONE.lxc,
        &[opt("bwlimit", NUMBER.min(0)), opt("hostname", DNS_NAME)],
        CLONE,
        |call| clone(call, GuestType::Lxc),
    )
    .with(CLONE_PARAMS),
    on(
        &calls::backup::RESTORE.qemu,
        &[
            req("vmid", VMID),
            opt("archive", TEXT.max_len(255)),
            opt("bwlimit", INT.min(0)),
            opt("force", BOOL).requires("archive"),
            opt("ha-managed", BOOL),
            opt("import-working-storage", STORAGE),
            opt("live-restore", BOOL),
            opt("pool", POOL),
            opt("start", BOOL),
            opt("storage", STORAGE),
            opt("unique", BOOL).requires("archive"),
        ],
        Everyone,
        |call| create(call, GuestType::Qemu),
    )
    .with(QEMU),
    on(
        &calls::backup::RESTORE.lxc,
        &[
            req("vmid", VMID),
            req("ostemplate", TEXT.max_len(255)),
            opt("bwlimit", NUMBER.min(0)),
            opt("force", BOOL),
            opt("ha-managed", BOOL),
            opt("ignore-unpack-errors", BOOL),
            opt("password", TEXT.min_len(5)),
            opt("pool", POOL),
            opt("restore", BOOL),
            opt("ssh-public-keys", TEXT),
            opt("start", BOOL),
            opt("storage", STORAGE),
            opt("unique", BOOL).requires("restore"),
        ],
        Everyone,
        |call| create(call, GuestType::Lxc),
    )
    .with(LXC),
    on(
        &calls::guests::CONVERT.qemu,
        &[opt("disk", QEMU_DISK)],
        ALLOCATE,
        |call| template(call, GuestType::Qemu),
    ),
    on(&calls::guests::CONVERT.lxc, &[], ALLOCATE, |call| {
        template(call, GuestType::Lxc)
    }),
    apart(
        Why::Refused,
        Method::Delete,
        "/nodes/{node}/qemu/{vmid}",
        &[
            opt("destroy-unreferenced-disks", BOOL),
            opt("purge", BOOL),
            opt("skiplock", BOOL).root_only(),
        ],
        ALLOCATE,
        |call| destroy(call, GuestType::Qemu),
    ),
    apart(
        Why::Refused,
        Method::Delete,
        "/nodes/{node}/lxc/{vmid}",
        &[
            opt("destroy-unreferenced-disks", BOOL),
            opt("force", BOOL),
            opt("purge", BOOL),
        ],
        ALLOCATE,
        |call| destroy(call, GuestType::Lxc),
    ),
];

fn named(kind: GuestType, qemu: &'static str, lxc: &'static str) -> &'static str {
    if kind == GuestType::Qemu { qemu } else { lxc }
}

/// `VM 100 already exists on node 'pve1'`.
fn taken(cluster: &Cluster, vmid: u32) -> Option<String> {
    let guest = cluster.guests.get(&vmid)?;
    Some(format!(
        "{} {vmid} already exists on node '{}'",
        guest.kind.short(),
        guest.node
    ))
}

/// The volume's storage, on which its abilities depend.
fn plugin<'a>(cluster: &'a Cluster, volid: &str) -> &'a str {
    let storage = volid
        .split_once(':')
        .and_then(|(storage, _)| cluster.storage(storage));
    storage.map_or("dir", |storage| storage.plugin.as_str())
}

fn is_shared(cluster: &Cluster, volid: &str) -> bool {
    let storage = volid
        .split_once(':')
        .and_then(|(storage, _)| cluster.storage(storage));
    storage.is_some_and(|storage| storage.shared)
}

/// Real disks of a configuration: key, value, volume.
fn real_disks(kind: GuestType, config: &Config) -> impl Iterator<Item = (&str, &str, &str)> {
    config
        .iter()
        .filter(move |(key, _)| is_disk_key(kind, key))
        .filter(|(_, value)| field(value, "media") != Some("cdrom") || value.contains("cloudinit"))
        .filter_map(|(key, value)| Some((key.as_str(), value.as_str(), volid(value)?)))
}

fn clone(call: &mut Call<'_>, kind: GuestType) -> Answer {
    let (node, vmid) = (call.node(), call.vmid());
    let newid = call
        .int("newid")
        .and_then(|id| u32::try_from(id).ok())
        .unwrap_or_default();
    let target = call
        .get("target")
        .filter(|target| *target != node)
        .map(str::to_owned);
    let (pool, storage) = (
        call.get("pool").map(str::to_owned),
        call.get("storage").map(str::to_owned),
    );
    let cluster = &*call.cluster;
    check_destination(
        cluster,
        kind,
        &node,
        target.as_deref(),
        pool.as_deref(),
        storage.as_deref(),
    )?;
    let guest = cluster.guest(&node, kind, vmid)?;
    guest.check_lock().map_err(Fail::die)?;
    let snapshot = call.get("snapname");
    let source = match snapshot {
        None => guest.config.clone(),
        Some(name) => {
            let found = guest.snapshots.get(name);
            found
                .ok_or_else(|| Fail::die(format!("snapshot '{name}' does not exist")))?
                .config
                .clone()
        }
    };
    let full = if call.has("full") {
        call.flag("full")
    } else {
        !guest.is_template()
    };
    for name in ["storage", "format"] {
        if call.has(name) && !full {
            return Err(Fail::die(format!(
                "parameter '{name}' not allowed for linked clones"
            )));
        }
    }
    if kind == GuestType::Lxc && full && guest.is_running() && snapshot.is_none() {
        return Err(Fail::die(
            "Full clone of a running container is only possible from a snapshot",
        ));
    }
    rights::check_copy(call, kind, &source, storage.as_deref())?;
    check_disks(
        cluster,
        guest,
        &source,
        snapshot.is_some(),
        full,
        target.as_deref(),
    )?;
    if let Some(message) = taken(cluster, newid) {
        return Err(Fail::die(match kind {
            GuestType::Qemu => format!("unable to create VM {newid}: config file already exists"),
            GuestType::Lxc => message,
        }));
    }
    let name = call
        .get(kind.name_key())
        .map_or_else(|| default_name(guest), str::to_owned);
    let copy = Copy {
        kind,
        from: vmid,
        newid,
        home: target.unwrap_or(node),
        full,
        storage,
        pool,
        name,
        description: call.get("description").map(str::to_owned),
        format: call.get("format").map(str::to_owned),
    };
    start_clone(call, source, copy)
}

/// Dies unless there can be a clone: on that node, in that pool, on that storage.
fn check_destination(
    cluster: &Cluster,
    kind: GuestType,
    node: &str,
    target: Option<&str>,
    pool: Option<&str>,
    storage: Option<&str>,
) -> Result<(), Fail> {
    if let Some(pool) = pool.filter(|pool| !cluster.pools.contains_key(*pool)) {
        return Err(Fail::die(format!("pool '{pool}' does not exist")));
    }
    if let Some(target) = target.filter(|target| cluster.node(target).is_none()) {
        return Err(Fail::die(format!("no such cluster node '{target}'")));
    }
    let wanted = named(kind, "images", "rootdir");
    if let Some(storage) = storage {
        let found = cluster.usable_storage(storage, node)?;
        if !found.holds(wanted) {
            let what = named(kind, "vm images", "container directories");
            return Err(Fail::param(
                "storage",
                format!("storage '{storage}' does not support {what}"),
            ));
        }
        if let Some(target) = target {
            cluster.usable_storage(storage, target)?;
            if !found.shared {
                return Err(Fail::die(format!(
                    "can't clone to non-shared storage '{storage}'"
                )));
            }
        }
    }
    Ok(())
}

/// Dies unless all disks of the source can be cloned that way.
fn check_disks(
    cluster: &Cluster,
    guest: &Guest,
    source: &Config,
    of_snapshot: bool,
    full: bool,
    target: Option<&str>,
) -> Result<(), Fail> {
    for (key, _, id) in real_disks(guest.kind, source) {
        if target.is_some() && !is_shared(cluster, id) && !id.contains("cloudinit") {
            return Err(Fail::die(match guest.kind {
                GuestType::Qemu => format!(
                    "can't clone VM to node '{}' (VM uses local storage)",
                    target.unwrap_or_default()
                ),
                GuestType::Lxc => format!(
                    "can't clone CT to node '{}' (CT uses local storage)",
                    target.unwrap_or_default()
                ),
            }));
        }
        let linkable = id.contains("cloudinit")
            || guest.is_template()
            || of_snapshot && matches!(plugin(cluster, id), "rbd" | "btrfs");
        if !full && !linkable {
            let of = if of_snapshot { "a snapshot of " } else { "" };
            return Err(Fail::die(match guest.kind {
                GuestType::Qemu => {
                    format!("Linked clone feature is not supported for {of}'{id}' ({key})")
                }
                GuestType::Lxc => format!("Linked clone feature for '{id}' is not available"),
            }));
        }
    }
    Ok(())
}

fn default_name(guest: &Guest) -> String {
    match guest.kind {
        GuestType::Qemu => format!("Copy-of-VM-{}", guest.name()),
        GuestType::Lxc => format!("Copy-of-CT-{}", guest.name()),
    }
}

/// A clone that is about to be made.
#[derive(Clone)]
struct Copy {
    kind: GuestType,
    from: u32,
    newid: u32,
    home: String,
    full: bool,
    storage: Option<String>,
    pool: Option<String>,
    name: String,
    description: Option<String>,
    format: Option<String>,
}

fn start_clone(call: &mut Call<'_>, source: Config, copy: Copy) -> Answer {
    let (kind, from, newid) = (copy.kind, copy.from, copy.newid);
    // Until it is done, the new guest is there and locked. It gets its name a moment later.
    let mut half = Guest::new(newid, kind, &call.node(), "lock: clone");
    half.created = now();
    call.cluster.guests.insert(newid, half);
    let name = copy.name.clone();
    call.cluster
        .after(Duration::from_millis(100), move |cluster| {
            if let Some(half) = cluster
                .guests
                .get_mut(&newid)
                .filter(|half| half.lock() == Some("clone"))
            {
                half.config.entry(kind.name_key().into()).or_insert(name);
            }
        });
    let disks: Vec<(String, u64)> = real_disks(kind, &source)
        .map(|(key, value, _)| {
            (
                key.to_owned(),
                field(value, "size")
                    .and_then(size::parse)
                    .unwrap_or_default(),
            )
        })
        .collect();
    let full = copy.full;
    let work =
        move |cluster: &mut Cluster, lines: &mut Lines| finish_clone(cluster, source, copy, lines);
    let mut plan = Plan::new(named(kind, "qmclone", "vzclone"), from, work)
        .length(if full { 2.0 } else { 1.0 })
        .on_stop("clone failed: interrupted by signal")
        .cleanup(move |cluster, _| {
            cluster.guests.remove(&newid);
            cluster.volumes.retain(|volume| volume.vmid != Some(newid));
            Ok(())
        });
    if kind == GuestType::Qemu {
        plan = plan.line(
            0.0,
            format!("creating a clone of VM {from} with ID {newid}"),
        );
    }
    if full {
        for (key, size) in disks {
            plan = plan.line(0.05, format!("create full clone of drive {key}"));
            for percent in [0, 25, 50, 75, 100] {
                plan = plan.line(
                    0.1 + f64::from(percent) / 130.0,
                    format!(
                        "transferred {} of {} ({percent}.00%)",
                        size::parameter(size / 100 * percent as u64),
                        size::parameter(size)
                    ),
                );
            }
        }
    }
    call.start(plan)
}

fn finish_clone(
    cluster: &mut Cluster,
    source: Config,
    copy: Copy,
    lines: &mut Lines,
) -> Result<(), String> {
    let origin = cluster
        .guests
        .get(&copy.from)
        .ok_or("source guest is gone")?;
    let (agent, obeys) = (origin.agent_inside, origin.obeys_shutdown);
    let mut config = Config::new();
    for (key, value) in source {
        let dropped = matches!(
            key.as_str(),
            "template" | "parent" | "lock" | "vmstate" | "snaptime"
        ) || key.starts_with("unused");
        if dropped {
            continue;
        }
        let value = if number_of("net", &key).is_some() {
            with_mac(copy.kind, &without_mac(&value))
        } else if key == "vmgenid" {
            uuid()
        } else if key == "smbios1" {
            format!("uuid={}", uuid())
        } else {
            value
        };
        config.insert(key, value);
    }
    config.insert(copy.kind.name_key().into(), copy.name.clone());
    if let Some(description) = &copy.description {
        config.insert("description".into(), description.clone());
    }
    let mut made = BTreeSet::new();
    let keys: Vec<String> = real_disks(copy.kind, &config)
        .map(|(key, _, _)| key.to_owned())
        .collect();
    for key in keys {
        let Some(value) = config.get(&key).cloned() else {
            continue;
        };
        let new = copy_disk(cluster, &copy, &value, &mut made);
        if copy.kind == GuestType::Lxc {
            lines.push(format!(
                "create {} clone of mountpoint {key} ({})",
                if copy.full { "full" } else { "linked" },
                volid(&value).unwrap_or_default()
            ));
        }
        config.insert(key, new);
    }
    let guest = cluster
        .guests
        .get_mut(&copy.newid)
        .ok_or("new guest is gone")?;
    guest.config = config;
    guest.node = copy.home;
    guest.agent_inside = agent;
    guest.obeys_shutdown = obeys;
    guest.write_cloudinit();
    if let Some(pool) = copy.pool.and_then(|pool| cluster.pools.get_mut(&pool)) {
        pool.guests.push(copy.newid);
    }
    let firewall = cluster.guest_firewalls.get(&copy.from).cloned();
    if let Some(firewall) = firewall {
        cluster.guest_firewalls.insert(copy.newid, firewall);
    }
    Ok(())
}

/// A NIC's value without its address, so that a new one is made.
fn without_mac(value: &str) -> String {
    let part = |(key, text): (&str, &str)| match key {
        "hwaddr" | "macaddr" => None,
        "" => Some(text.to_owned()),
        _ if text.len() == 17 && text.bytes().filter(|b| *b == b':').count() == 5 => {
            Some(key.to_owned())
        }
        _ => Some(format!("{key}={text}")),
    };
    crate::formats::fields(value)
        .filter_map(part)
        .collect::<Vec<_>>()
        .join(",")
}

/// Makes the volume of a cloned disk, and gives the disk's value with it.
fn copy_disk(
    cluster: &mut Cluster,
    copy: &Copy,
    value: &str,
    made: &mut BTreeSet<String>,
) -> String {
    let Some(old) = volid(value) else {
        return value.to_owned();
    };
    let source = cluster
        .volumes
        .iter()
        .find(|volume| volume.volid == old)
        .cloned();
    let own = old
        .split_once(':')
        .map_or("local", |(storage, _)| storage)
        .to_owned();
    let storage = copy.storage.clone().unwrap_or(own);
    let (is_files, shared) = cluster
        .storage(&storage)
        .map_or((true, false), |found| (found.is_files(), found.shared));
    let format = match (&copy.format, &source) {
        _ if !is_files => "raw".to_owned(),
        (Some(format), _) => format.clone(),
        (None, Some(source)) => source.format.clone(),
        (None, None) => "qcow2".to_owned(),
    };
    let id = copy.newid;
    let base = |number: usize| match old.contains("cloudinit") {
        true => format!("vm-{id}-cloudinit"),
        false => format!("vm-{id}-disk-{number}"),
    };
    let number = made.len();
    let file = if is_files {
        format!("{id}/{}.{format}", base(number))
    } else {
        base(number)
    };
    // A linked clone on files names its base in the path.
    let name = match (copy.full || old.contains("cloudinit"), is_files) {
        (false, true) => format!(
            "{storage}:{}/{file}",
            old.split_once(':').map_or(old, |(_, path)| path)
        ),
        _ => format!("{storage}:{file}"),
    };
    if !old.contains("cloudinit") {
        made.insert(name.clone());
    }
    let size = source.as_ref().map_or(4 << 20, |source| source.size);
    let used = source.as_ref().map_or(0, |source| {
        if copy.full {
            source.used
        } else {
            source.used / 50
        }
    });
    cluster.volumes.push(Volume {
        volid: name.clone(),
        storage,
        node: (!shared).then(|| copy.home.clone()),
        content: named(copy.kind, "images", "rootdir"),
        format,
        size,
        used,
        ctime: now(),
        vmid: Some(id),
        notes: None,
        protected: false,
        parent: (!copy.full && !old.contains("cloudinit"))
            .then(|| old.split_once(':').map_or(old, |(_, path)| path).to_owned()),
        archive: None,
    });
    value.replacen(old, &name, 1)
}

/// The guest id of a request that makes a guest, checked to be free and allowed.
fn new_id(call: &Call<'_>, kind: GuestType, verb: &str) -> Result<u32, Fail> {
    let vmid = call.vmid();
    let allowed = call.may(&format!("/vms/{vmid}"), "VM.Allocate")
        || call
            .get("pool")
            .is_some_and(|pool| call.may(&format!("/pool/{pool}"), "VM.Allocate"));
    if let Some(pool) = call
        .get("pool")
        .filter(|pool| !call.cluster.pools.contains_key(*pool))
    {
        return Err(Fail::denied(&format!("pool '{pool}' does not exist")));
    }
    if !allowed {
        return Err(Fail::denied_unnamed());
    }
    let replaces = call.flag("force") && verb == "restore";
    match taken(call.cluster, vmid) {
        Some(message) if !replaces => Err(Fail::die(match kind {
            GuestType::Qemu => format!("unable to {verb} VM {vmid} - {message}"),
            GuestType::Lxc => message,
        })),
        _ => Ok(vmid),
    }
}

fn create(call: &mut Call<'_>, kind: GuestType) -> Answer {
    if kind == GuestType::Qemu && call.has("archive")
        || kind == GuestType::Lxc && call.flag("restore")
    {
        return restore(call, kind);
    }
    let vmid = new_id(call, kind, "create")?;
    let node = call.node();
    let storage = call.get("storage").unwrap_or("local").to_owned();
    let mut config = settings(call);
    let own: Vec<&str> = ENDPOINTS
        .iter()
        .filter(|endpoint| {
            endpoint.path == "/nodes/{node}/qemu" || endpoint.path == "/nodes/{node}/lxc"
        })
        .flat_map(|endpoint| endpoint.params)
        .map(|param| param.name)
        .collect();
    config.retain(|key, _| !own.contains(&key.as_str()));
    if let Some(keys) = config.get("sshkeys") {
        ssh::check_keys(&crate::wire::unescape(keys)).map_err(Fail::die)?;
    }
    if let Some(keys) = call.get("ssh-public-keys") {
        ssh::check_keys(keys).map_err(Fail::die)?;
    }
    rights::check_new(call, kind, &config)?;
    for (key, value) in config.iter().filter(|(key, _)| is_disk_key(kind, key)) {
        check_source(call.cluster, &node, kind, key, value)?;
    }
    let missing_template = match kind {
        GuestType::Qemu => None,
        GuestType::Lxc => check_template(call, vmid, &storage)?,
    };
    if kind == GuestType::Lxc && !config.contains_key("rootfs") {
        rights::check_space(call, &storage)?;
    }
    add_defaults(&mut config, kind, vmid, &storage);
    for (key, value) in &mut config {
        *value = prepared(kind, key, value);
    }
    if let Some(why) = missing_template {
        return call.start(Plan::failing("vzcreate", vmid, why));
    }
    let mut half = Guest::new(vmid, kind, &node, "lock: create");
    half.created = now();
    call.cluster.guests.insert(vmid, half);
    let (pool, start) = (call.get("pool").map(str::to_owned), call.flag("start"));
    let has_agent = config.values().any(|value| brings_agent(value));
    let plan = Plan::new(
        named(kind, "qmcreate", "vzcreate"),
        vmid,
        move |cluster: &mut Cluster, lines: &mut Lines| {
            make_disks(cluster, (kind, vmid, &node), &mut config, lines);
            let at = cluster.clock.at();
            let guest = cluster.guests.get_mut(&vmid).ok_or("guest is gone")?;
            guest.config = config;
            guest.agent_inside = has_agent;
            if start {
                guest.power_on(at);
            }
            if let Some(pool) = pool.and_then(|pool| cluster.pools.get_mut(&pool)) {
                pool.guests.push(vmid);
            }
            Ok(())
        },
    )
    .cleanup(move |cluster, _| {
        cluster.guests.remove(&vmid);
        Ok(())
    });
    call.start(plan)
}

/// Whether a disk is a copy of a cloud image that has the guest agent installed.
fn brings_agent(value: &str) -> bool {
    const WITH_AGENT: [&str; 3] = ["import/AlmaLinux-", "import/Rocky-", "import/Arch-"];
    field(value, "import-from")
        .is_some_and(|image| WITH_AGENT.iter().any(|name| image.contains(name)))
}

/// Checks the template of a new container. A missing one is reported by the task.
fn check_template(call: &Call<'_>, vmid: u32, storage: &str) -> Result<Option<String>, Fail> {
    let template = call.text("ostemplate");
    if !template.contains(':') {
        return Err(Fail::die(ONLY_ROOT));
    }
    let Some((source, _)) = template.split_once(":vztmpl/") else {
        return Err(Fail::die(format!(
            "unable to use volume {template} - content type needs to be 'vztmpl'"
        )));
    };
    rights::check_read(call, source)?;
    let missing = call
        .cluster
        .volume(&template, &call.node())
        .is_none()
        .then(|| format!("unable to create CT {vmid} - volume '{template}' does not exist"));
    call.cluster.usable_storage(storage, &call.node())?;
    Ok(missing)
}

/// Adds what Proxmox sets where a request leaves it out.
fn add_defaults(config: &mut Config, kind: GuestType, vmid: u32, storage: &str) {
    match kind {
        GuestType::Lxc => {
            config
                .entry("rootfs".into())
                .or_insert_with(|| format!("{storage}:4"));
            for (key, default) in [
                ("arch", "amd64"),
                ("ostype", "debian"),
                ("memory", "512"),
                ("swap", "512"),
            ] {
                config.entry(key.into()).or_insert_with(|| default.into());
            }
            config
                .entry("hostname".into())
                .or_insert_with(|| format!("CT{vmid}"));
        }
        GuestType::Qemu => {
            config
                .entry("smbios1".into())
                .or_insert_with(|| format!("uuid={}", uuid()));
            config.entry("vmgenid".into()).or_insert_with(uuid);
            config
                .entry("meta".into())
                .or_insert_with(|| format!("creation-qemu=10.1.2,ctime={}", now()));
        }
    }
}

/// A property string without one of its keys.
fn without(value: &str, key: &str) -> String {
    let is_kept = |part: &&str| part.split_once('=').is_none_or(|(name, _)| name != key);
    let parts: Vec<&str> = value.split(',').filter(is_kept).collect();
    parts.join(",")
}

/// Allocates the disks that a configuration asks for as `STORAGE:SIZE`.
fn make_disks(
    cluster: &mut Cluster,
    (kind, vmid, node): (GuestType, u32, &str),
    config: &mut Config,
    lines: &mut Lines,
) {
    let keys: Vec<String> = real_disks(kind, config)
        .map(|(key, _, _)| key.to_owned())
        .collect();
    for key in keys {
        let Some(value) = config.get(&key).cloned() else {
            continue;
        };
        let asked = volid(&value).and_then(|id| id.split_once(':'));
        if let Some((storage, size)) =
            asked.filter(|(_, size)| *size == "cloudinit" || size.parse::<f64>().is_ok())
        {
            let source = field(&value, "import-from")
                .and_then(|source| cluster.volume(source, node))
                .map(|source| source.size);
            let value = without(&value, "import-from");
            let mut made = allocate(cluster, vmid, node, (storage, size), &value, lines);
            if let Some(bytes) = source {
                if let Some(volume) = cluster.volumes.last_mut() {
                    volume.size = bytes;
                }
                made = match made.rsplit_once(",size=") {
                    Some((rest, _)) => format!("{rest},size={}", size::parameter(bytes)),
                    None => made,
                };
            }
            if kind == GuestType::Qemu {
                lines.push(format!("{key}: successfully created disk '{made}'"));
            }
            config.insert(key, made);
        }
    }
}

fn restore(call: &mut Call<'_>, kind: GuestType) -> Answer {
    let node = call.node();
    let name = call.text(if kind == GuestType::Qemu {
        "archive"
    } else {
        "ostemplate"
    });
    if let Some((storage, _)) = name
        .split_once(':')
        .filter(|(_, it)| it.starts_with("backup/"))
    {
        rights::check_space(call, storage)?;
    }
    let vmid = new_id(call, kind, "restore")?;
    let Some(volume) = call.cluster.volume(&name, &node) else {
        return Err(Fail::die(format!("volume '{name}' does not exist")));
    };
    if volume.content != "backup" {
        return Err(Fail::die(format!(
            "unable to use volume {name} - content type needs to be 'backup'"
        )));
    }
    let Some(archive) = volume
        .archive
        .clone()
        .filter(|archive| archive.kind == kind)
    else {
        return Err(Fail::die(format!(
            "unable to restore '{name}': it is not a backup of a {}",
            kind.short()
        )));
    };
    let bytes = volume.size;
    let storage = call.get("storage").map(str::to_owned);
    let wanted = named(kind, "images", "rootdir");
    if let Some(storage) = &storage {
        let found = call.cluster.usable_storage(storage, &node)?;
        if !found.holds(wanted) {
            return Err(Fail::die(format!(
                "storage '{storage}' does not support content-type '{wanted}'"
            )));
        }
        rights::check_space(call, storage)?;
    }
    let unique = call.flag("unique");
    let mut overrides = settings(call);
    let declared = if kind == GuestType::Qemu { QEMU } else { LXC };
    overrides.retain(|key, _| declared.iter().any(|param| param.matches(key)));
    let (pool, start) = (call.get("pool").map(str::to_owned), call.flag("start"));
    let mut half = Guest::new(vmid, kind, &node, "lock: create");
    half.created = now();
    call.cluster.guests.insert(vmid, half);
    let work = move |cluster: &mut Cluster, lines: &mut Lines| {
        let mut config = archive.config;
        for key in ["lock", "parent", "template", "snaptime"] {
            config.remove(key);
        }
        if unique {
            for (key, value) in config
                .iter_mut()
                .filter(|(key, _)| number_of("net", key).is_some())
            {
                let _ = key;
                *value = with_mac(kind, &without_mac(value));
            }
        }
        config.extend(overrides.into_iter().map(|(key, value)| {
            let value = prepared(kind, &key, &value);
            (key, value)
        }));
        let storage = storage.as_deref();
        unpack_disks(cluster, (kind, vmid, &node), storage, &mut config, lines);
        let at = cluster.clock.at();
        let guest = cluster.guests.get_mut(&vmid).ok_or("guest is gone")?;
        guest.config = config;
        guest.agent_inside = true;
        guest.write_cloudinit();
        if start {
            guest.power_on(at);
        }
        if let Some(pool) = pool.and_then(|pool| cluster.pools.get_mut(&pool)) {
            pool.guests.push(vmid);
        }
        if kind == GuestType::Qemu {
            lines.push("rescan volumes...");
        } else {
            lines.push("merging backed-up and given configuration..");
        }
        Ok(())
    };
    let mut plan = Plan::new(named(kind, "qmrestore", "vzrestore"), vmid, work)
        .length(2.0)
        .cleanup(move |cluster, _| {
            cluster.guests.remove(&vmid);
            Ok(())
        });
    plan = match kind {
        GuestType::Qemu => plan.line(0.0, format!("restore vma archive: zstd -q -d -c {name} | vma extract -v -r /var/tmp/vzdumptmp.fifo - /var/tmp/vzdumptmp")),
        GuestType::Lxc => plan.line(0.0, format!("recovering backed-up configuration from '{name}'")),
    };
    call.start(with_progress(plan, kind, bytes))
}

/// Makes the disks of a backup, on the storage that the request or else the backup names.
fn unpack_disks(
    cluster: &mut Cluster,
    (kind, vmid, node): (GuestType, u32, &str),
    storage: Option<&str>,
    config: &mut Config,
    lines: &mut Lines,
) {
    let disks: Vec<(String, String)> = real_disks(kind, config)
        .map(|(key, value, _)| (key.to_owned(), value.to_owned()))
        .collect();
    for (key, value) in disks {
        let own = volid(&value)
            .and_then(|id| id.split_once(':'))
            .map_or("local", |(storage, _)| storage);
        let target = storage.unwrap_or(own);
        let size = field(&value, "size")
            .and_then(size::parse)
            .unwrap_or(1 << 30);
        let asked = if value.contains("cloudinit") {
            "cloudinit"
        } else {
            "1"
        };
        let made = allocate(cluster, vmid, node, (target, asked), &value, lines);
        if let Some(volume) = cluster.volumes.last_mut() {
            volume.size = if asked == "1" { size } else { volume.size };
            volume.used = volume.size / 3;
        }
        let made = match made.rsplit_once(",size=") {
            Some((rest, _)) => format!("{rest},size={}", size::parameter(size)),
            None => made,
        };
        config.insert(key, made);
    }
}

/// Adds the lines that a restore of so many bytes logs on its way.
fn with_progress(mut plan: Plan, kind: GuestType, bytes: u64) -> Plan {
    for percent in [10u64, 30, 50, 70, 90, 100] {
        #[expect(clippy::cast_precision_loss, reason = "a percentage")]
        let at = percent as f64 / 105.0;
        let line = match kind {
            GuestType::Qemu => format!(
                "progress {percent}% (read {} bytes, duration {} sec)",
                bytes / 100 * percent,
                percent / 10
            ),
            GuestType::Lxc => format!("extracted {percent}% of {bytes} bytes"),
        };
        plan = plan.line(at, line);
    }
    plan
}

fn template(call: &mut Call<'_>, kind: GuestType) -> Answer {
    let (node, vmid) = (call.node(), call.vmid());
    let guest = call.cluster.guest(&node, kind, vmid)?;
    guest.check_lock().map_err(Fail::die)?;
    let short = kind.short();
    if !guest.snapshots.is_empty() {
        return Err(Fail::die(format!(
            "unable to create template, because {short} contains snapshots"
        )));
    }
    if guest.is_template() {
        return Err(Fail::die("you can't convert a template to a template"));
    }
    if guest.is_running() {
        return Err(Fail::die(format!(
            "you can't convert a {short} to template if {} is running",
            named(kind, "VM", "the CT")
        )));
    }
    let plan = Plan::new(
        named(kind, "qmtemplate", "vztemplate"),
        vmid,
        move |cluster: &mut Cluster, _: &mut Lines| {
            let guest = cluster.guests.get_mut(&vmid).ok_or("guest is gone")?;
            guest.config.insert("template".into(), "1".into());
            let mut renamed = Vec::new();
            for (key, value) in &mut guest.config {
                let Some(old) = volid(value)
                    .filter(|_| is_disk_key(kind, key))
                    .map(str::to_owned)
                else {
                    continue;
                };
                let new = old
                    .replace("/vm-", "/base-")
                    .replace(":vm-", ":base-")
                    .replace(":subvol-", ":basevol-");
                if new != old && !old.contains("cloudinit") {
                    *value = value.replacen(&old, &new, 1);
                    renamed.push((old, new));
                }
            }
            for (old, new) in renamed {
                for volume in cluster
                    .volumes
                    .iter_mut()
                    .filter(|volume| volume.volid == old)
                {
                    volume.volid.clone_from(&new);
                }
            }
            Ok(())
        },
    );
    let upid = call.start(plan.length(0.5))?;
    // A container's task is not named to the caller.
    Ok(match kind {
        GuestType::Qemu => upid,
        GuestType::Lxc => Value::Null,
    })
}

fn destroy(call: &mut Call<'_>, kind: GuestType) -> Answer {
    let (node, vmid) = (call.node(), call.vmid());
    let purge = call.flag("purge");
    let cluster = &*call.cluster;
    let guest = cluster.guest(&node, kind, vmid)?;
    let short = kind.short();
    guest.check_lock().map_err(Fail::die)?;
    if guest.get("protection") == Some("1") {
        return Err(Fail::die(format!(
            "can't remove {short} {vmid} - protection mode enabled"
        )));
    }
    if guest.is_running() && !(kind == GuestType::Lxc && call.flag("force")) {
        return Err(Fail::die(match kind {
            GuestType::Qemu => format!("VM {vmid} is running - destroy failed"),
            GuestType::Lxc => format!("unable to destroy CT {vmid} - container is running"),
        }));
    }
    if cluster.ha.contains_key(&guest.ha_sid()) && !purge {
        return Err(Fail::die(format!(
            "unable to remove {short} {vmid} - used in HA resources and purge parameter not set."
        )));
    }
    let used = real_disks(kind, &guest.config).find_map(|(_, _, id)| {
        let path = id.split_once(':').map_or(id, |(_, path)| path).to_owned();
        let used = cluster
            .volumes
            .iter()
            .any(|volume| volume.parent.as_deref() == Some(path.as_str()));
        used.then(|| id.to_owned())
    });
    let task = named(kind, "qmdestroy", "vzdestroy");
    if let Some(id) = used {
        return call.start(Plan::failing(
            task,
            vmid,
            format!("base volume '{id}' is still in use by linked cloned"),
        ));
    }
    let plan = Plan::new(
        task,
        vmid,
        move |cluster: &mut Cluster, lines: &mut Lines| {
            if purge {
                lines.push(format!(
                    "purging {short} {vmid} from related configurations.."
                ));
                cluster.ha.remove(&format!("{}:{vmid}", kind.ha_type()));
            }
            cluster.guests.remove(&vmid);
            cluster.guest_firewalls.remove(&vmid);
            cluster
                .volumes
                .retain(|volume| volume.vmid != Some(vmid) || volume.content == "backup");
            for pool in cluster.pools.values_mut() {
                pool.guests.retain(|member| *member != vmid);
            }
            Ok(())
        },
    );
    call.start(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nic_loses_its_address_and_nothing_else() {
        assert_eq!(
            without_mac("virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1"),
            "virtio,bridge=vmbr0,firewall=1"
        );
        assert_eq!(
            without_mac("name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:02,ip=dhcp"),
            "name=eth0,bridge=vmbr0,ip=dhcp"
        );
    }
}
