//! The clusters to start with, from the files in `worlds/`.

mod files;

use std::time::Duration;

use anyhow::Context as _;

use crate::clock::{Clock, file_stamp, now};
use crate::options::Options;
use crate::random::uuid;
use crate::state::{
    Access, Archive, Cluster, Firewall, Guest, Node, Power, Pvestatd, Reports, Tasks, Token, Volume,
};
use pve_api::{GuestType, Vmid, size};

const GIB: u64 = 1 << 30;
const DAY: i64 = 86_400;

/// The cluster that the options ask for.
///
/// Fails if a file in `worlds/` is malformed.
pub(crate) fn build(options: &Options) -> anyhow::Result<Cluster> {
    let clock = Clock::new(options.speed);
    let world = files::World::read(options.world)?;
    let mut cluster = cluster(world, &options.nodes)?;
    cluster.tasks.seconds = options.task_seconds;
    cluster.boot_time = Duration::from_secs_f64(options.task_seconds.max(0.0));
    add_guests(&mut cluster, options.guests);
    let vmids: Vec<u32> = cluster.guests.keys().copied().collect();
    for vmid in vmids {
        cluster.add_disks(vmid);
    }
    for guest in cluster.guests.values_mut() {
        guest.write_cloudinit();
    }
    cluster.clock = clock;
    first_reports(&mut cluster, &options.nodes);
    Ok(cluster)
}

/// Every node has just reported, except those that are silent.
fn first_reports(cluster: &mut Cluster, given: &[String]) {
    for (name, state) in given.iter().filter_map(|text| text.split_once(':')) {
        match state {
            "silent" => cluster.run_pvestatd(name, false),
            "hung" => {
                cluster.report(name);
                cluster.run_pvestatd(name, false);
            }
            _ => {}
        }
    }
    cluster.report_all();
}

/// The tokens of the command line, or three with random secrets.
pub(crate) fn tokens(given: &[String]) -> Result<Vec<Token>, String> {
    if !given.is_empty() {
        return given.iter().map(|text| Token::parse(text)).collect();
    }
    [
        ("root@pam!full", "all"),
        ("audit@pve!viewer", "audit"),
        ("nobody@pve!none", "none"),
    ]
    .into_iter()
    .map(|(id, rights)| Token::new(id, &uuid(), rights))
    .collect()
}

/// The cluster of a file, with these nodes instead of its own if there are any.
fn cluster(world: files::World, given: &[String]) -> anyhow::Result<Cluster> {
    let hardware = &world.hardware;
    let names = if given.is_empty() {
        &hardware.nodes
    } else {
        given
    };
    let nodes = nodes(names, hardware)?;
    let local = nodes
        .iter()
        .find(|node| node.online)
        .or(nodes.first())
        .map_or_else(String::new, |node| node.name.clone());
    let common = files::Common::read()?;
    let mut cluster = Cluster {
        name: world.name,
        local,
        quorate: true,
        nodes,
        guests: [].into(),
        storages: Vec::new(),
        volumes: Vec::new(),
        pools: world
            .pools
            .into_iter()
            .map(|(name, pool)| (name, pool.into()))
            .collect(),
        ha: world
            .ha
            .into_iter()
            .map(|(sid, resource)| (sid, resource.into()))
            .collect(),
        backup_jobs: world.backup_jobs,
        firewall: world.firewall.into(),
        guest_firewalls: [].into(),
        access: Access::default(),
        tasks: Tasks::new(0.5),
        jobs: [].into(),
        log: Vec::new(),
        downloads: common
            .downloads
            .into_iter()
            .map(TryInto::try_into)
            .collect::<anyhow::Result<_>>()?,
        appliances: common
            .appliances
            .into_iter()
            .map(TryInto::try_into)
            .collect::<anyhow::Result<_>>()?,
        boot_time: Duration::ZERO,
        clock: Clock::new(1.0),
        reports: Reports::default(),
        later: Vec::new(),
    };
    for storage in world.storages {
        let storage = storage.with_nodes(&cluster)?;
        cluster.storages.push(storage);
    }
    for guest in world.guests {
        if let Some(node) = node(&cluster, &guest.node) {
            cluster.guests.insert(guest.vmid.get(), guest.on(&node)?);
        }
    }
    for (vmid, firewall) in world.guest_firewalls {
        cluster
            .guest_firewalls
            .insert(vmid.parse::<Vmid>()?.get(), firewall.into());
    }
    add_files(&mut cluster, &world.files, &world.backups)?;
    add_history(&mut cluster, &world.tasks, &common.journal);
    Ok(cluster)
}

/// Adds what is on the storages besides the disks of guests.
fn add_files(
    cluster: &mut Cluster,
    files: &[files::File],
    backups: &[files::Backup],
) -> anyhow::Result<()> {
    for file in files {
        let node = file.node.as_deref().and_then(|text| node(cluster, text));
        let (size, age) = (size(&file.size)?, file.age_days * DAY);
        cluster
            .volumes
            .push(volume(&file.storage, node, &file.name, size, age));
    }
    for backup in backups {
        add_backup(cluster, backup)?;
    }
    Ok(())
}

/// Adds the tasks of the past, and what the journals say.
fn add_history(cluster: &mut Cluster, tasks: &[files::Task], journal: &[files::JournalLine]) {
    for task in tasks {
        if let Some(node) = node(cluster, &task.node) {
            let log: Vec<&str> = task.log.iter().map(String::as_str).collect();
            let times = (task.seconds_ago, task.took_seconds);
            let what = (task.kind.as_str(), task.id.as_str());
            cluster.past_task(&node, &task.user, what, times, &task.status, &log);
        }
    }
    log_of_past_tasks(cluster);
    for node in &mut cluster.nodes {
        for line in journal {
            node.journal
                .push((now() - line.seconds_ago, line.text.clone()));
        }
    }
}

/// The node that a file means: `@local` is the one that answers, `@offline` the
/// first that is not online, `@2` the second or else the first.
fn node(cluster: &Cluster, text: &str) -> Option<String> {
    let nodes = &cluster.nodes;
    let found = match text.strip_prefix('@')? {
        "local" => return Some(cluster.local.clone()),
        "offline" => nodes.iter().find(|node| !node.online),
        place => {
            let place: usize = place.parse().ok()?;
            nodes.get(place.checked_sub(1)?).or(nodes.first())
        }
    };
    found.map(|node| node.name.clone())
}

fn size(text: &str) -> anyhow::Result<u64> {
    size::parse(text).with_context(|| format!("{text:?} is not a size"))
}

/// `pve1`, `pve2:offline`, `pve3:hung` or `pve4:silent`.
fn nodes(names: &[String], hardware: &files::Hardware) -> anyhow::Result<Vec<Node>> {
    let memory = size(&hardware.memory)?;
    let nodes = (1..).zip(names).map(|(id, text)| {
        let (name, state) = text.split_once(':').unwrap_or((text, "online"));
        Node {
            name: name.to_owned(),
            id,
            ip: format!("192.0.2.{}", 10 + id),
            online: state != "offline",
            pvestatd: Pvestatd::reported(Duration::ZERO),
            cpus: hardware.cpus,
            cpu_model: hardware.cpu_model.clone(),
            memory,
            rootfs: 252 * GIB,
            load: 0.08 + 0.05 * f64::from(id),
            booted: now() - 41 * DAY - i64::from(id) * 3 * DAY,
            fingerprint: fingerprint(id),
            firewall: Firewall::default(),
            journal: Vec::new(),
        }
    });
    Ok(nodes.collect())
}

fn fingerprint(id: u32) -> String {
    let pairs: Vec<String> = (0..32u32)
        .map(|at| format!("{:02X}", (id * 37 + at * 29) % 256))
        .collect();
    pairs.join(":")
}

/// Appends extra guests, over the nodes that are online.
fn add_guests(cluster: &mut Cluster, count: usize) {
    let nodes: Vec<String> = cluster
        .nodes
        .iter()
        .filter(|node| node.online)
        .map(|node| node.name.clone())
        .collect();
    let mut vmid = 1000;
    for (at, node) in nodes.iter().cycle().take(count).enumerate() {
        while cluster.guests.contains_key(&vmid) {
            vmid += 1;
        }
        let mac = format!("BC:24:11:A0:{:02X}:{:02X}", vmid >> 8 & 0xff, vmid & 0xff);
        let (kind, conf) = if at % 3 == 2 {
            (
                GuestType::Lxc,
                format!(
                    "hostname: ct-{at:05}\narch: amd64\nostype: debian\ncores: 1\nmemory: 512\nswap: 512\nunprivileged: 1\n\
                 net0: name=eth0,bridge=vmbr0,hwaddr={mac},ip=dhcp,type=veth\nrootfs: bulk:{vmid}/vm-{vmid}-disk-0.raw,size=8G\ntags: bench"
                ),
            )
        } else {
            (
                GuestType::Qemu,
                format!(
                    "name: vm-{at:05}\ncores: 2\nsockets: 1\nmemory: 2048\nostype: l26\nagent: 1\nboot: order=scsi0\n\
                 net0: virtio={mac},bridge=vmbr0,firewall=1\nscsi0: bulk:{vmid}/vm-{vmid}-disk-0.qcow2,size=16G\ntags: bench"
                ),
            )
        };
        let mut guest = Guest::new(vmid, kind, node, &conf);
        guest.agent_inside = true;
        if at % 4 != 3 {
            running(&mut guest, 3600 + i64::from(vmid));
        }
        cluster.guests.insert(vmid, guest);
        vmid += 1;
    }
}

fn running(guest: &mut Guest, uptime: i64) {
    guest.power = Power::Running;
    guest.since = now() - uptime;
    guest.pid = 1000 + guest.vmid % 30_000;
}

/// A file on a storage; if `node` is given, on that node only.
fn volume(storage: &str, node: Option<String>, name: &str, size: u64, age: i64) -> Volume {
    let content = match name.split('/').next() {
        Some("iso") => "iso",
        Some("vztmpl") => "vztmpl",
        Some("import") => "import",
        Some("snippets") => "snippets",
        _ => "backup",
    };
    let format = match content {
        "iso" => "iso".to_owned(),
        "vztmpl" | "backup" => name.split_once(".tar.").map_or_else(
            || "vma.zst".into(),
            |(_, rest)| match content {
                "vztmpl" => format!("t{rest}"),
                _ => format!("tar.{rest}"),
            },
        ),
        _ => name
            .rsplit_once('.')
            .map_or("raw", |(_, format)| format)
            .to_owned(),
    };
    Volume {
        volid: format!("{storage}:{name}"),
        storage: storage.into(),
        node,
        content,
        format,
        size,
        used: size,
        ctime: now() - age,
        vmid: None,
        notes: None,
        protected: false,
        parent: None,
        archive: None,
    }
}

/// A backup of a guest as it is now, made some time ago.
fn add_backup(cluster: &mut Cluster, backup: &files::Backup) -> anyhow::Result<()> {
    let guest = cluster.guests.get(&backup.vmid.get());
    let guest = guest.with_context(|| format!("a backup of no guest: {}", backup.vmid))?;
    let (kind, config) = (guest.kind, guest.config.clone());
    let suffix = match kind {
        GuestType::Qemu => "vma.zst",
        GuestType::Lxc => "tar.zst",
    };
    let age = backup.age_hours * 3600;
    let name = format!(
        "backup/vzdump-{}-{}-{}.{suffix}",
        kind.as_str(),
        backup.vmid,
        file_stamp(now() - age)
    );
    let node = backup.node.as_deref().and_then(|text| node(cluster, text));
    let mut volume = volume(&backup.storage, node, &name, size(&backup.size)?, age);
    volume.vmid = Some(backup.vmid.get());
    volume.notes.clone_from(&backup.notes);
    volume.protected = backup.protected;
    volume.archive = Some(Archive { kind, config });
    cluster.volumes.push(volume);
    Ok(())
}

/// What the cluster log says of the tasks so far.
fn log_of_past_tasks(cluster: &mut Cluster) {
    let mut past: Vec<(i64, i64, u32, String, String, String, String)> = cluster
        .tasks
        .list
        .iter()
        .map(|task| {
            let status = task.status.clone().unwrap_or_default();
            (
                task.start,
                task.end.unwrap_or(task.start),
                task.pid,
                task.node.clone(),
                task.user.clone(),
                task.upid.clone(),
                status,
            )
        })
        .collect();
    past.sort();
    for (start, end, pid, node, user, upid, status) in past {
        cluster.note(&node, pid, &user, format!("starting task {upid}"));
        if let Some(entry) = cluster.log.last_mut() {
            entry.time = start;
        }
        cluster.note(&node, pid, &user, format!("end task {upid} {status}"));
        if let Some(entry) = cluster.log.last_mut() {
            entry.time = end;
        }
    }
}
