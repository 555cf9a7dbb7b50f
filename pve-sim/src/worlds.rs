//! The clusters to begin with.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

use crate::access::Access;
use crate::auth::Token;
use crate::clock::{Clock, file_stamp, now};
use crate::firewall::{Firewall, Group, IpSet, Rule};
use crate::pvestatd::{Pvestatd, Reports};
use crate::state::{
    Appliance, Archive, Cluster, Download, Guest, GuestKind, HaResource, Node, Pool, Power,
    Snapshot, Storage, Volume, parse_conf,
};
use crate::tasks::Tasks;
use crate::{Options, World};

const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;
const DAY: i64 = 86_400;

/// The cluster that the options ask for.
pub(crate) fn build(options: &Options) -> Cluster {
    let clock = Clock::new(options.speed);
    let mut cluster = match options.world {
        World::Test => test(&options.nodes),
        World::Demo => demo(&options.nodes),
    };
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
    cluster
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
    .map(|(id, rights)| Token::new(id, &random_uuid(), rights))
    .collect()
}

/// A version 4 UUID. Its randomness is that of the standard library's hash keys.
pub(crate) fn random_uuid() -> String {
    let word = || RandomState::new().build_hasher().finish();
    let (high, low) = (word(), word());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        (low >> 48 & 0x3fff) | 0x8000,
        low & 0xffff_ffff_ffff
    )
}

/// A unicast MAC address with Proxmox's prefix.
pub(crate) fn random_mac() -> String {
    let random = RandomState::new().build_hasher().finish();
    format!(
        "BC:24:11:{:02X}:{:02X}:{:02X}",
        random & 0xff,
        random >> 8 & 0xff,
        random >> 16 & 0xff
    )
}

fn empty(name: &str, nodes: Vec<Node>) -> Cluster {
    let local = nodes
        .iter()
        .find(|node| node.online)
        .or(nodes.first())
        .map_or_else(String::new, |node| node.name.clone());
    Cluster {
        name: name.into(),
        local,
        quorate: true,
        nodes,
        guests: [].into(),
        storages: Vec::new(),
        volumes: Vec::new(),
        pools: [].into(),
        ha: [].into(),
        firewall: Firewall::default(),
        guest_firewalls: [].into(),
        access: Access::default(),
        tasks: Tasks::new(0.5),
        log: Vec::new(),
        downloads: downloads(),
        appliances: appliances(),
        boot_time: Duration::ZERO,
        clock: Clock::new(1.0),
        reports: Reports::default(),
        later: Vec::new(),
    }
}

/// `pve1`, `pve2:offline`, `pve3:hung` or `pve4:silent`.
fn nodes(given: &[String], default: &[&str], cpus: u32, memory: u64, model: &str) -> Vec<Node> {
    let own: Vec<String> = default.iter().map(|name| (*name).to_owned()).collect();
    let names = if given.is_empty() { &own } else { given };
    let mut id = 0;
    names
        .iter()
        .map(|text| {
            id += 1;
            let (name, state) = text.split_once(':').unwrap_or((text, "online"));
            Node {
                name: name.to_owned(),
                id,
                ip: format!("192.0.2.{}", 10 + id),
                online: state != "offline",
                pvestatd: Pvestatd::reported(Duration::ZERO),
                cpus,
                cpu_model: model.to_owned(),
                memory,
                rootfs: 252 * GIB,
                load: 0.08 + 0.05 * f64::from(id),
                booted: now() - 41 * DAY - i64::from(id) * 3 * DAY,
                fingerprint: fingerprint(id),
                firewall: Firewall::default(),
                journal: Vec::new(),
            }
        })
        .collect()
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
                GuestKind::Lxc,
                format!(
                    "hostname: ct-{at:05}\narch: amd64\nostype: debian\ncores: 1\nmemory: 512\nswap: 512\nunprivileged: 1\n\
                 net0: name=eth0,bridge=vmbr0,hwaddr={mac},ip=dhcp,type=veth\nrootfs: bulk:{vmid}/vm-{vmid}-disk-0.raw,size=8G\ntags: bench"
                ),
            )
        } else {
            (
                GuestKind::Qemu,
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

fn storage(
    id: &str,
    plugin: &str,
    path: Option<&str>,
    content: &str,
    shared: bool,
    total: u64,
    base_used: u64,
) -> Storage {
    Storage {
        id: id.into(),
        plugin: plugin.into(),
        path: path.map(str::to_owned),
        content: content.split(',').map(str::to_owned).collect(),
        shared,
        enabled: true,
        nodes: Vec::new(),
        total,
        base_used,
    }
}

/// A file on a storage; on one node only unless `node` is none.
fn file(storage: &str, node: Option<&str>, name: &str, size: u64, age: i64) -> Volume {
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
        node: node.map(str::to_owned),
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

/// A backup of a guest as it is now, made `age` seconds ago.
fn backup(
    cluster: &mut Cluster,
    (storage, node): (&str, Option<&str>),
    vmid: u32,
    age: i64,
    size: u64,
    notes: &str,
    protected: bool,
) {
    let Some(guest) = cluster.guests.get(&vmid) else {
        return;
    };
    let (kind, config) = (guest.kind, guest.config.clone());
    let suffix = if kind == GuestKind::Qemu {
        "vma.zst"
    } else {
        "tar.zst"
    };
    let name = format!(
        "backup/vzdump-{}-{vmid}-{}.{suffix}",
        kind.name(),
        file_stamp(now() - age)
    );
    let mut volume = file(storage, node, &name, size, age);
    volume.vmid = Some(vmid);
    volume.notes = (!notes.is_empty()).then(|| notes.to_owned());
    volume.protected = protected;
    volume.archive = Some(Archive { kind, config });
    cluster.volumes.push(volume);
}

fn rule(text: &str) -> Rule {
    text.split(' ')
        .filter_map(|pair| pair.split_once('='))
        .map(|(k, v)| (k.to_owned(), v.replace('_', " ")))
        .collect()
}

/// Small, with every odd case that a test wants.
fn test(given: &[String]) -> Cluster {
    let mut cluster = empty(
        "testcl",
        nodes(given, &["pve1", "pve2:offline"], 4, 24 * GIB, "AMD EPYC"),
    );
    let first = cluster.local.clone();
    let offline = cluster
        .nodes
        .iter()
        .find(|node| !node.online)
        .map(|node| node.name.clone());
    cluster.storages = vec![
        storage(
            "local",
            "dir",
            Some("/var/lib/vz"),
            "import,snippets,iso,vztmpl,backup,rootdir,images",
            false,
            252 * GIB,
            29 * GIB,
        ),
        storage(
            "bulk",
            "dir",
            Some("/var/lib/bulk"),
            "rootdir,images",
            true,
            2 * TIB,
            300 * GIB,
        ),
        storage(
            "tank",
            "zfspool",
            None,
            "rootdir,images",
            false,
            900 * GIB,
            20 * GIB,
        ),
        storage(
            "nas",
            "nfs",
            Some("/mnt/pve/nas"),
            "backup,iso,vztmpl",
            true,
            8 * TIB,
            TIB,
        ),
    ];

    if let Some(tank) = cluster
        .storages
        .iter_mut()
        .find(|storage| storage.id == "tank")
    {
        tank.nodes = vec![first.clone()];
    }

    let web01 = "
        name: web01
        description: web server\\nsecond line
        agent: 1
        boot: order=scsi0;ide2;net0
        cipassword: $5$simulated$hash
        ciuser: debian
        cores: 2
        cpu: x86-64-v2-AES
        ide0: local:100/vm-100-cloudinit.qcow2,media=cdrom,size=4M
        ide2: local:iso/test.iso,media=cdrom,size=1M
        ipconfig0: ip=192.0.2.50/24,gw=192.0.2.1
        memory: 2048
        meta: creation-qemu=7.2.0,ctime=1700000000
        net0: virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1
        numa: 0
        onboot: 1
        ostype: l26
        parent: clean
        scsi0: local:100/vm-100-disk-0.qcow2,iothread=1,size=32M
        scsihw: virtio-scsi-single
        smbios1: uuid=11111111-2222-4333-8444-555555555555
        sockets: 1
        sshkeys: ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAAIJustATestKeyJustATestKeyJustATestKeyJustATe%20test%0A
        tags: prod;web
        vmgenid: 66666666-7777-4888-9999-aaaaaaaaaaaa";
    let mut guest = Guest::new(100, GuestKind::Qemu, &first, web01);
    running(&mut guest, 18_000);
    guest.agent_inside = true;
    guest.addresses.insert(
        0,
        vec!["192.0.2.50/24".into(), "fe80::be24:11ff:fe00:1/64".into()],
    );
    let mut before = parse_conf(web01);
    for key in [
        "parent",
        "agent",
        "ide0",
        "ciuser",
        "cipassword",
        "sshkeys",
        "ipconfig0",
        "tags",
        "description",
    ] {
        before.remove(key);
    }
    before.insert("cores".into(), "1".into());
    before.insert("memory".into(), "1024".into());
    guest.snapshots.insert(
        "clean".into(),
        Snapshot {
            parent: None,
            time: 1_700_000_100,
            description: Some("before upgrade".into()),
            vmstate: false,
            config: before,
            generation: 0,
        },
    );
    guest.generation = 3;
    cluster.guests.insert(100, guest);

    let small = |name: &str, vmid: u32, more: &str| {
        format!(
            "name: {name}\nboot: order=scsi0\ncores: 1\nmemory: 512\nostype: l26\nsockets: 1\n\
             net0: virtio=BC:24:11:00:01:{:02X},bridge=vmbr0\nscsi0: local:{vmid}/vm-{vmid}-disk-0.qcow2,size=1G\n{more}",
            vmid % 256
        )
    };
    let locked = Guest::new(
        101,
        GuestKind::Qemu,
        &first,
        &small("locked01", 101, "lock: backup"),
    );
    cluster.guests.insert(101, locked);
    let mut noagent = Guest::new(
        102,
        GuestKind::Qemu,
        &first,
        &small("noagent", 102, "agent: 1"),
    );
    running(&mut noagent, 17_000);
    noagent.obeys_shutdown = false;
    cluster.guests.insert(102, noagent);
    let mut plain = Guest::new(
        103,
        GuestKind::Qemu,
        &first,
        &small("plain01", 103, "tags: test"),
    );
    running(&mut plain, 16_000);
    cluster.guests.insert(103, plain);
    let db01 = "
        name: db01
        agent: enabled=1,fstrim_cloned_disks=1
        balloon: 1024
        boot: order=scsi0
        cores: 2
        memory: 4096
        net0: virtio=BC:24:11:00:00:04,bridge=vmbr0,firewall=1
        net1: virtio=BC:24:11:00:00:14,bridge=vmbr1,tag=20
        ostype: l26
        scsi0: bulk:104/vm-104-disk-0.qcow2,discard=on,size=8G
        scsi1: bulk:104/vm-104-disk-1.qcow2,backup=0,size=20G
        scsihw: virtio-scsi-single
        sockets: 1
        tags: db;prod";
    let mut db01 = Guest::new(104, GuestKind::Qemu, &first, db01);
    running(&mut db01, 900_000);
    db01.agent_inside = true;
    db01.addresses
        .insert(0, vec!["192.0.2.54/24".into(), "2001:db8::54/64".into()]);
    db01.addresses.insert(1, vec!["198.51.100.54/24".into()]);
    cluster.guests.insert(104, db01);
    let ha = HaResource {
        state: "started".into(),
        comment: None,
        max_restart: 1,
        max_relocate: 1,
    };
    cluster.ha.insert("vm:104".into(), ha);

    let tmpl = "
        name: tmpl
        agent: 1
        boot: order=scsi0
        cores: 1
        ide2: local:9000/vm-9000-cloudinit.qcow2,media=cdrom,size=4M
        ipconfig0: ip=dhcp
        memory: 512
        net0: virtio=BC:24:11:00:90:00,bridge=vmbr0,firewall=1
        ostype: l26
        scsi0: local:9000/base-9000-disk-0.qcow2,size=2G
        scsihw: virtio-scsi-single
        serial0: socket
        sockets: 1
        template: 1
        vga: serial0";
    let mut tmpl = Guest::new(9000, GuestKind::Qemu, &first, tmpl);
    tmpl.agent_inside = true;
    cluster.guests.insert(9000, tmpl);

    let ct = |name: &str, vmid: u32, disk: &str, more: &str| {
        format!(
            "arch: amd64\ncores: 1\nfeatures: nesting=1\nhostname: {name}\nmemory: 512\nostype: debian\nswap: 512\nunprivileged: 1\n\
             net0: name=eth0,bridge=vmbr0,firewall=1,hwaddr=BC:24:11:00:02:{:02X},ip=dhcp,type=veth\nrootfs: {disk}\n{more}",
            vmid % 256
        )
    };
    let mut ct01 = Guest::new(
        200,
        GuestKind::Lxc,
        &first,
        &ct(
            "ct01",
            200,
            "local:200/vm-200-disk-0.raw,size=64M",
            "tags: infra",
        ),
    );
    running(&mut ct01, 15_000);
    ct01.addresses.insert(0, vec!["192.0.2.60/24".into()]);
    cluster.guests.insert(200, ct01);
    let ct02 = Guest::new(
        201,
        GuestKind::Lxc,
        &first,
        &ct("ct02", 201, "tank:subvol-201-disk-0,size=4G", ""),
    );
    cluster.guests.insert(201, ct02);
    let ct_tmpl = Guest::new(
        9001,
        GuestKind::Lxc,
        &first,
        &ct(
            "ct-tmpl",
            9001,
            "tank:basevol-9001-disk-0,size=2G",
            "template: 1",
        ),
    );
    cluster.guests.insert(9001, ct_tmpl);
    if let Some(node) = offline {
        cluster.guests.insert(
            300,
            Guest::new(300, GuestKind::Qemu, &node, &small("faraway", 300, "")),
        );
    }

    let pool = Pool {
        comment: "production".into(),
        guests: vec![100, 104],
        storages: vec!["bulk".into()],
    };
    cluster.pools.insert("prod".into(), pool);
    let at = Some(first.as_str());
    cluster.volumes.extend([
        file("local", at, "iso/test.iso", 1 << 20, 400 * DAY),
        file(
            "local",
            at,
            "iso/debian-13.1.0-amd64-netinst.iso",
            783 << 20,
            60 * DAY,
        ),
        file(
            "nas",
            None,
            "iso/ubuntu-24.04.3-live-server-amd64.iso",
            3 * GIB,
            50 * DAY,
        ),
        file(
            "local",
            at,
            "vztmpl/debian-12-standard_12.7-1_amd64.tar.zst",
            121 << 20,
            100 * DAY,
        ),
        file(
            "nas",
            None,
            "vztmpl/alpine-3.22-default_20250617_amd64.tar.xz",
            3 << 20,
            90 * DAY,
        ),
    ]);
    backup(
        &mut cluster,
        ("local", at),
        200,
        3 * DAY,
        1_078_645,
        "ct01",
        false,
    );
    backup(
        &mut cluster,
        ("nas", None),
        100,
        2 * DAY,
        400 << 20,
        "web01",
        true,
    );
    backup(
        &mut cluster,
        ("nas", None),
        100,
        DAY,
        410 << 20,
        "web01",
        false,
    );
    let user = "root@pam!full";
    cluster.past_task(&first, user, ("vzstart", "200"), (15_001, 1), "OK", &[]);
    cluster.past_task(&first, user, ("qmstart", "102"), (17_001, 1), "OK", &[]);
    cluster.past_task(&first, user, ("qmstart", "100"), (18_001, 1), "OK", &[]);
    cluster.past_task(&first, user, ("qmigrate", "9000"), (19_000, 3), "migration aborted", &[
        "2026-11-22 08:04:31 ssh: connect to host 192.0.2.12 port 22: No route to host",
        "2026-11-22 08:04:31 ERROR: migration aborted (duration 00:00:03): Can't connect to destination address using public key",
    ]);
    seed_log(&mut cluster);
    cluster
}

/// Three nodes and a dozen guests that look like somebody's cluster.
fn demo(given: &[String]) -> Cluster {
    let default = ["pve1", "pve2", "pve3:offline"];
    let mut cluster = empty(
        "homelab",
        nodes(
            given,
            &default,
            16,
            64 * GIB,
            "AMD Ryzen 9 7940HS w/ Radeon 780M Graphics",
        ),
    );
    let name = |at: usize| {
        cluster
            .nodes
            .get(at)
            .or(cluster.nodes.first())
            .map_or_else(String::new, |node| node.name.clone())
    };
    let (pve1, pve2, pve3) = (name(0), name(1), name(2));
    cluster.storages = vec![
        storage(
            "local",
            "dir",
            Some("/var/lib/vz"),
            "iso,vztmpl,snippets,import",
            false,
            94 * GIB,
            21 * GIB,
        ),
        storage(
            "local-lvm",
            "lvmthin",
            None,
            "images,rootdir",
            false,
            820 * GIB,
            90 * GIB,
        ),
        storage(
            "ceph",
            "rbd",
            None,
            "images,rootdir",
            true,
            6 * TIB,
            1340 * GIB,
        ),
        storage(
            "backup",
            "nfs",
            Some("/mnt/pve/backup"),
            "backup,iso,vztmpl",
            true,
            12 * TIB,
            4 * TIB,
        ),
    ];

    let vm = |vmid: u32, name: &str, cores: u32, memory: u32, disk: &str, more: &str| {
        format!(
            "name: {name}\nagent: 1\nballoon: 0\nbios: ovmf\nboot: order=scsi0\ncores: {cores}\ncpu: x86-64-v2-AES\nmemory: {memory}\n\
             net0: virtio=BC:24:11:5E:{:02X}:{:02X},bridge=vmbr0,firewall=1\nostype: l26\nscsi0: {disk}\nscsihw: virtio-scsi-single\n\
             sockets: 1\nonboot: 1\n{more}",
            vmid >> 8 & 0xff,
            vmid & 0xff
        )
    };
    let ct = |vmid: u32, name: &str, memory: u32, disk: &str, ip: &str, more: &str| {
        format!(
            "arch: amd64\ncores: 2\nfeatures: nesting=1\nhostname: {name}\nmemory: {memory}\nostype: debian\nswap: 512\nunprivileged: 1\nonboot: 1\n\
             net0: name=eth0,bridge=vmbr0,firewall=1,gw=192.0.2.1,hwaddr=BC:24:11:C7:{:02X}:{:02X},ip={ip}/24,type=veth\nrootfs: {disk}\n{more}",
            vmid >> 8 & 0xff,
            vmid & 0xff
        )
    };
    // Node, id, configuration, uptime in hours (0: stopped), CPU, memory, address.
    let vms: [(&str, u32, String, i64, f64, f64, &str); 8] = [
        (
            &pve1,
            101,
            vm(
                101,
                "web-frontend",
                4,
                8192,
                "ceph:vm-101-disk-0,discard=on,size=40G",
                "tags: prod;web",
            ),
            960,
            0.22,
            0.61,
            "192.0.2.21/24",
        ),
        (
            &pve2,
            102,
            vm(
                102,
                "web-frontend-2",
                4,
                8192,
                "ceph:vm-102-disk-0,discard=on,size=40G",
                "tags: prod;web",
            ),
            948,
            0.19,
            0.58,
            "192.0.2.22/24",
        ),
        (
            &pve1,
            110,
            vm(
                110,
                "postgres-main",
                8,
                16384,
                "ceph:vm-110-disk-0,discard=on,size=60G",
                "scsi1: ceph:vm-110-disk-1,discard=on,iothread=1,size=400G\ntags: db;prod\nprotection: 1",
            ),
            960,
            0.37,
            0.83,
            "192.0.2.30/24",
        ),
        (
            &pve2,
            120,
            vm(
                120,
                "gitlab",
                6,
                12288,
                "ceph:vm-120-disk-0,discard=on,size=120G",
                "tags: dev",
            ),
            312,
            0.14,
            0.74,
            "192.0.2.40/24",
        ),
        (
            &pve2,
            121,
            vm(
                121,
                "ci-runner",
                8,
                8192,
                "local-lvm:vm-121-disk-0,discard=on,size=80G",
                "tags: dev",
            ),
            26,
            0.68,
            0.52,
            "192.0.2.41/24",
        ),
        (
            &pve1,
            130,
            vm(
                130,
                "home-assistant",
                2,
                4096,
                "local-lvm:vm-130-disk-0,size=32G",
                "tags: home",
            ),
            2010,
            0.05,
            0.44,
            "192.0.2.60/24",
        ),
        (
            &pve1,
            140,
            vm(
                140,
                "win11-desktop",
                6,
                16384,
                "local-lvm:vm-140-disk-0,discard=on,size=128G",
                "tags: desktop",
            ),
            0,
            0.0,
            0.0,
            "",
        ),
        (
            &pve3,
            150,
            vm(
                150,
                "lab-k3s",
                4,
                8192,
                "ceph:vm-150-disk-0,size=60G",
                "tags: lab",
            ),
            0,
            0.0,
            0.0,
            "",
        ),
    ];
    for (node, vmid, conf, hours, load, memory, address) in vms {
        let mut guest = Guest::new(vmid, GuestKind::Qemu, node, &conf);
        guest.agent_inside = true;
        guest.load = load;
        guest.memory_use = memory;
        if hours > 0 {
            running(&mut guest, hours * 3600 + i64::from(vmid) * 7);
            let link_local = format!("fe80::be24:11ff:fe5e:{vmid:x}/64");
            guest.addresses.insert(0, vec![address.into(), link_local]);
        }
        cluster.guests.insert(vmid, guest);
    }
    let cts: [(&str, u32, String, i64, f64, f64); 4] = [
        (
            &pve1,
            201,
            ct(
                201,
                "pihole",
                512,
                "local-lvm:vm-201-disk-0,size=8G",
                "192.0.2.5",
                "tags: infra",
            ),
            2010,
            0.02,
            0.37,
        ),
        (
            &pve1,
            202,
            ct(
                202,
                "nginx-proxy",
                1024,
                "ceph:vm-202-disk-0,size=8G",
                "192.0.2.6",
                "tags: infra;prod",
            ),
            960,
            0.04,
            0.31,
        ),
        (
            &pve2,
            203,
            ct(
                203,
                "grafana",
                2048,
                "ceph:vm-203-disk-0,size=16G",
                "192.0.2.7",
                "tags: infra;monitoring",
            ),
            948,
            0.09,
            0.66,
        ),
        (
            &pve2,
            210,
            ct(
                210,
                "minecraft",
                8192,
                "local-lvm:vm-210-disk-0,size=40G",
                "192.0.2.70",
                "tags: home",
            ),
            0,
            0.0,
            0.0,
        ),
    ];
    for (node, vmid, conf, hours, load, memory) in cts {
        let mut guest = Guest::new(vmid, GuestKind::Lxc, node, &conf);
        guest.load = load;
        guest.memory_use = memory;
        if hours > 0 {
            running(&mut guest, hours * 3600 + i64::from(vmid) * 5);
        }
        cluster.guests.insert(vmid, guest);
    }
    let template = vm(9000, "debian-13-cloud", 2, 2048, "ceph:base-9000-disk-0,discard=on,size=8G", "ide2: ceph:vm-9000-cloudinit,media=cdrom,size=4M\nciuser: debian\nipconfig0: ip=dhcp\nserial0: socket\nvga: serial0\ntemplate: 1\ntags: template")
        .replace("onboot: 1\n", "");
    let mut template = Guest::new(9000, GuestKind::Qemu, &pve1, &template);
    template.agent_inside = true;
    cluster.guests.insert(9000, template);
    if let Some(guest) = cluster.guests.get_mut(&110) {
        let config = guest.config.clone();
        guest.config.insert("parent".into(), "before-pg17".into());
        let snapshot = Snapshot {
            parent: None,
            time: now() - 9 * DAY,
            description: Some("before the upgrade to PostgreSQL 17".into()),
            vmstate: false,
            config,
            generation: 1,
        };
        guest.snapshots.insert("before-pg17".into(), snapshot);
    }
    let guarded = Firewall {
        options: [
            ("enable".to_owned(), "1".to_owned()),
            ("policy_in".to_owned(), "DROP".to_owned()),
        ]
        .into(),
        rules: vec![
            rule(
                "type=in action=ACCEPT proto=tcp dport=5432 source=192.0.2.0/24 enable=1 comment=database",
            ),
            rule("type=in action=ACCEPT macro=SSH source=192.0.2.0/24 enable=1"),
        ],
        ..Firewall::default()
    };
    cluster.guest_firewalls.insert(110, guarded);
    let open = Firewall {
        rules: vec![
            rule("type=in action=ACCEPT macro=Web enable=1"),
            rule("type=in action=ACCEPT proto=tcp dport=22 source=0.0.0.0/0 enable=1 comment=ssh"),
        ],
        ..Firewall::default()
    };
    cluster.guest_firewalls.insert(101, open);
    cluster.firewall.options = [
        ("enable".to_owned(), "1".to_owned()),
        ("policy_in".to_owned(), "DROP".to_owned()),
    ]
    .into();
    cluster.firewall.groups.insert(
        "webservers".into(),
        Group {
            comment: "public web".into(),
            rules: vec![rule("type=in action=ACCEPT macro=Web enable=1")],
        },
    );
    cluster.firewall.ipsets.insert(
        "management".into(),
        IpSet {
            comment: "admins".into(),
            entries: vec![("192.0.2.0/28".into(), false, String::new())],
        },
    );
    cluster.firewall.aliases.insert(
        "office".into(),
        ("198.51.100.0/24".into(), "office network".into()),
    );

    for (pool, comment, guests) in [
        ("production", "customer facing", vec![101, 102, 110, 202]),
        ("development", "", vec![120, 121]),
        ("home", "", vec![130, 210]),
    ] {
        cluster.pools.insert(
            pool.into(),
            Pool {
                comment: comment.into(),
                guests,
                storages: Vec::new(),
            },
        );
    }
    for sid in ["vm:101", "vm:102", "vm:110"] {
        let ha = HaResource {
            state: "started".into(),
            comment: None,
            max_restart: 1,
            max_relocate: 1,
        };
        cluster.ha.insert(sid.into(), ha);
    }
    for node in [&pve1, &pve2] {
        cluster.volumes.push(file(
            "local",
            Some(node),
            "vztmpl/debian-13-standard_13.1-2_amd64.tar.zst",
            124 << 20,
            30 * DAY,
        ));
    }
    cluster.volumes.extend([
        file(
            "local",
            Some(&pve1),
            "iso/debian-13.1.0-amd64-netinst.iso",
            783 << 20,
            60 * DAY,
        ),
        file(
            "backup",
            None,
            "iso/Win11_24H2_EnglishInternational_x64.iso",
            5600 << 20,
            200 * DAY,
        ),
        file(
            "backup",
            None,
            "iso/virtio-win-0.1.271.iso",
            709 << 20,
            200 * DAY,
        ),
        file(
            "backup",
            None,
            "iso/ubuntu-24.04.3-live-server-amd64.iso",
            3 * GIB,
            50 * DAY,
        ),
    ]);
    for (vmid, size) in [
        (101, 6 * GIB),
        (110, 71 * GIB),
        (120, 38 * GIB),
        (130, 4 * GIB),
        (202, GIB),
    ] {
        for days in [1, 2, 8] {
            backup(
                &mut cluster,
                ("backup", None),
                vmid,
                days * DAY - 7200,
                size,
                "",
                days == 8 && vmid == 110,
            );
        }
    }
    let user = "root@pam";
    cluster.past_task(
        &pve1,
        user,
        ("vzdump", ""),
        (79_000, 1460),
        "OK",
        &["INFO: Backup job finished successfully"],
    );
    cluster.past_task(
        &pve2,
        user,
        ("vzdump", ""),
        (78_000, 880),
        "WARNINGS: 1",
        &["WARN: guest agent of VM 121 did not answer"],
    );
    cluster.past_task(
        &pve2,
        "root@pam!automation",
        ("qmreboot", "121"),
        (93_600, 14),
        "OK",
        &[],
    );
    cluster.past_task(
        &pve1,
        user,
        ("qmsnapshot", "110"),
        (9 * DAY, 3),
        "OK",
        &["snapshotting 'drive-scsi0' (ceph:vm-110-disk-0)"],
    );
    cluster.past_task(&pve1, user, ("qmigrate", "140"), (40_000, 4), "migration aborted", &["ERROR: migration aborted (duration 00:00:04): storage 'local-lvm' is not available on node 'pve3'"]);
    cluster.past_task(
        &pve1,
        "root@pam!automation",
        ("aptupdate", ""),
        (20_000, 9),
        "OK",
        &[],
    );
    seed_log(&mut cluster);
    cluster
}

/// Cluster log and journals of the past.
fn seed_log(cluster: &mut Cluster) {
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
    for node in &mut cluster.nodes {
        let at = now();
        for (ago, text) in [
            (
                7200,
                "systemd[1]: Starting apt-daily.service - Daily apt download activities...",
            ),
            (
                7195,
                "systemd[1]: apt-daily.service: Deactivated successfully.",
            ),
            (
                3600,
                "CRON[40120]: (root) CMD (cd / && run-parts --report /etc/cron.hourly)",
            ),
            (1800, "pvestatd[1290]: status update time (5.318 seconds)"),
            (
                600,
                "pvedaemon[1311]: <root@pam> successful auth for user 'root@pam'",
            ),
            (
                120,
                "smartd[1002]: Device: /dev/nvme0n1, SMART Usage Attribute: Temperature 41",
            ),
            (20, "pmxcfs[1187]: [status] notice: received log"),
        ] {
            node.journal
                .push((at - ago, text.replace("{}", &node.name)));
        }
    }
}

fn downloads() -> Vec<Download> {
    let entry = |url: &str, size: u64, mimetype: &str, sha256: &str| Download {
        url: url.into(),
        size,
        mimetype: mimetype.into(),
        sha256: sha256.into(),
    };
    let iso = "application/x-iso9660-image";
    vec![
        entry(
            "http://192.0.2.11:8099/test.iso",
            4096,
            iso,
            "ad7facb2586fc6e966c004d7d1d16b024f5805ff7cb47c7a85dabd8b48892ca7",
        ),
        entry(
            "https://cdimage.example.org/debian-13.2.0-amd64-netinst.iso",
            784 << 20,
            iso,
            "677c4d57aa034dc192b5191870141057574c1b05df2b9569c0ee08aa4e32125d",
        ),
        entry(
            "https://cdimage.example.org/images/debian-13-generic-amd64.qcow2",
            412 << 20,
            "application/octet-stream",
            "9f7c4d57aa034dc192b5191870141057574c1b05df2b9569c0ee08aa4e32125d",
        ),
        entry(
            "https://cdimage.example.org/rootfs/alpine-3.22-default_20251001_amd64.tar.xz",
            3 << 20,
            "application/x-xz",
            "1b7c4d57aa034dc192b5191870141057574c1b05df2b9569c0ee08aa4e32125d",
        ),
    ]
}

fn appliances() -> Vec<Appliance> {
    let entry =
        |template: &str, section: &str, os: &str, version: &str, headline: &str, size: u64| {
            Appliance {
                template: template.into(),
                section: section.into(),
                os: os.into(),
                version: version.into(),
                headline: headline.into(),
                size,
            }
        };
    vec![
        entry(
            "alpine-3.22-default_20250617_amd64.tar.xz",
            "system",
            "alpine",
            "20250617",
            "LXC default image for alpine 3.22 (20250617)",
            3 << 20,
        ),
        entry(
            "debian-12-standard_12.12-1_amd64.tar.zst",
            "system",
            "debian-12",
            "12.12-1",
            "Debian 12 Bookworm (standard)",
            126 << 20,
        ),
        entry(
            "debian-13-standard_13.1-2_amd64.tar.zst",
            "system",
            "debian-13",
            "13.1-2",
            "Debian 13 Trixie (standard)",
            124 << 20,
        ),
        entry(
            "ubuntu-24.04-standard_24.04-2_amd64.tar.zst",
            "system",
            "ubuntu-24.04",
            "24.04-2",
            "Ubuntu 24.04 Noble (standard)",
            142 << 20,
        ),
        entry(
            "debian-13-turnkey-nextcloud_19.0-1_amd64.tar.gz",
            "turnkeylinux",
            "debian-13",
            "19.0-1",
            "TurnKey Nextcloud",
            430 << 20,
        ),
    ]
}
