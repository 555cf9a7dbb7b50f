//! The simulated cluster: what is written is read back.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};

use crate::access::Access;
use crate::clock::{Clock, now};
use crate::firewall::Firewall;
use crate::formats::{field, fields, parse_size};
use crate::pvestatd::{Pvestatd, Reports};
use crate::router::Fail;
use crate::tasks::Tasks;

/// A guest's configuration, as its `.conf` file has it.
pub(crate) type Config = BTreeMap<String, String>;

pub(crate) struct Cluster {
    pub(crate) name: String,
    /// The node that answers; requests for others pass through it.
    pub(crate) local: String,
    pub(crate) quorate: bool,
    pub(crate) nodes: Vec<Node>,
    pub(crate) guests: BTreeMap<u32, Guest>,
    pub(crate) storages: Vec<Storage>,
    pub(crate) volumes: Vec<Volume>,
    pub(crate) pools: BTreeMap<String, Pool>,
    pub(crate) ha: BTreeMap<String, HaResource>,
    pub(crate) firewall: Firewall,
    /// By guest, whether it exists or not: the files stand apart.
    pub(crate) guest_firewalls: BTreeMap<u32, Firewall>,
    pub(crate) access: Access,
    pub(crate) tasks: Tasks,
    pub(crate) log: Vec<LogEntry>,
    /// What the nodes can fetch from the network.
    pub(crate) downloads: Vec<Download>,
    pub(crate) appliances: Vec<Appliance>,
    /// How long a guest needs until its agent answers after a start.
    pub(crate) boot_time: Duration,
    pub(crate) clock: Clock,
    pub(crate) reports: Reports,
    /// What has been put off.
    pub(crate) later: Vec<Later>,
}

/// Something that happens later, without a task.
pub(crate) struct Later {
    pub(crate) at: Duration,
    pub(crate) work: Box<dyn FnOnce(&mut Cluster) + Send>,
}

pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) id: u32,
    pub(crate) ip: String,
    pub(crate) online: bool,
    pub(crate) pvestatd: Pvestatd,
    pub(crate) cpus: u32,
    pub(crate) cpu_model: String,
    pub(crate) memory: u64,
    pub(crate) rootfs: u64,
    /// Load of the node itself, from 0 to 1.
    pub(crate) load: f64,
    pub(crate) booted: i64,
    pub(crate) fingerprint: String,
    pub(crate) firewall: Firewall,
    pub(crate) journal: Vec<(i64, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GuestKind {
    Qemu,
    Lxc,
}

impl GuestKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            GuestKind::Qemu => "qemu",
            GuestKind::Lxc => "lxc",
        }
    }

    /// `VM` or `CT`, as messages call them.
    pub(crate) fn short(self) -> &'static str {
        match self {
            GuestKind::Qemu => "VM",
            GuestKind::Lxc => "CT",
        }
    }

    /// The folder of its configuration files.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            GuestKind::Qemu => "qemu-server",
            GuestKind::Lxc => "lxc",
        }
    }

    /// The key of its name in the configuration.
    pub(crate) fn name_key(self) -> &'static str {
        match self {
            GuestKind::Qemu => "name",
            GuestKind::Lxc => "hostname",
        }
    }

    /// `vm` or `ct`, as HA names services.
    pub(crate) fn ha_type(self) -> &'static str {
        match self {
            GuestKind::Qemu => "vm",
            GuestKind::Lxc => "ct",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Power {
    Stopped,
    Running,
    Paused,
}

#[derive(Clone)]
pub(crate) struct Guest {
    pub(crate) vmid: u32,
    pub(crate) kind: GuestKind,
    pub(crate) node: String,
    pub(crate) config: Config,
    /// Changes that wait for a reboot; `None` deletes the key.
    pub(crate) pending: BTreeMap<String, Option<String>>,
    pub(crate) power: Power,
    pub(crate) since: i64,
    /// When it was started by a request; its agent answers some time later.
    pub(crate) started: Option<Duration>,
    pub(crate) pid: u32,
    /// Whether an agent runs inside; `agent` in the configuration is another matter.
    pub(crate) agent_inside: bool,
    /// Answers an ACPI shutdown request.
    pub(crate) obeys_shutdown: bool,
    /// Addresses by NIC number that win over cloud-init and DHCP.
    pub(crate) addresses: BTreeMap<u32, Vec<String>>,
    /// Cloud-init settings as they were when the drive was last written.
    pub(crate) cloudinit: Config,
    pub(crate) snapshots: BTreeMap<String, Snapshot>,
    /// Typical CPU use, from 0 to 1.
    pub(crate) load: f64,
    /// Share of its memory in use.
    pub(crate) memory_use: f64,
    pub(crate) created: i64,
    /// Commands run by the agent, by pid.
    pub(crate) commands: BTreeMap<u32, Value>,
    /// Contents of a disk stand for themselves by a counter: a rollback brings it back.
    pub(crate) generation: u64,
}

#[derive(Clone)]
pub(crate) struct Snapshot {
    pub(crate) parent: Option<String>,
    pub(crate) time: i64,
    pub(crate) description: Option<String>,
    pub(crate) vmstate: bool,
    pub(crate) config: Config,
    pub(crate) generation: u64,
}

pub(crate) struct Storage {
    pub(crate) id: String,
    /// `dir`, `nfs`, `zfspool`, `lvmthin`, …
    pub(crate) plugin: String,
    pub(crate) path: Option<String>,
    pub(crate) content: Vec<String>,
    pub(crate) shared: bool,
    pub(crate) enabled: bool,
    /// Only there; everywhere when empty.
    pub(crate) nodes: Vec<String>,
    pub(crate) total: u64,
    /// What is used beside the volumes that are known.
    pub(crate) base_used: u64,
}

impl Storage {
    /// Whether container snapshots work on it.
    pub(crate) fn has_snapshots(&self) -> bool {
        matches!(
            self.plugin.as_str(),
            "zfspool" | "lvmthin" | "rbd" | "btrfs"
        )
    }

    pub(crate) fn is_files(&self) -> bool {
        self.path.is_some()
    }

    pub(crate) fn on(&self, node: &str) -> bool {
        self.nodes.is_empty() || self.nodes.iter().any(|name| name == node)
    }

    pub(crate) fn holds(&self, content: &str) -> bool {
        self.content.iter().any(|kind| kind == content)
    }
}

#[derive(Clone)]
pub(crate) struct Volume {
    /// With the storage: `local:iso/x.iso`.
    pub(crate) volid: String,
    pub(crate) storage: String,
    /// Where it is, on a storage that is not shared.
    pub(crate) node: Option<String>,
    pub(crate) content: &'static str,
    pub(crate) format: String,
    pub(crate) size: u64,
    pub(crate) used: u64,
    pub(crate) ctime: i64,
    pub(crate) vmid: Option<u32>,
    pub(crate) notes: Option<String>,
    pub(crate) protected: bool,
    /// The base volume of a linked clone.
    pub(crate) parent: Option<String>,
    /// What a backup holds.
    pub(crate) archive: Option<Archive>,
}

#[derive(Clone)]
pub(crate) struct Archive {
    pub(crate) kind: GuestKind,
    pub(crate) config: Config,
}

pub(crate) struct Pool {
    pub(crate) comment: String,
    pub(crate) guests: Vec<u32>,
    pub(crate) storages: Vec<String>,
}

pub(crate) struct HaResource {
    pub(crate) state: String,
    pub(crate) comment: Option<String>,
    pub(crate) max_restart: u32,
    pub(crate) max_relocate: u32,
}

pub(crate) struct LogEntry {
    pub(crate) uid: u64,
    pub(crate) time: i64,
    pub(crate) node: String,
    pub(crate) pid: u32,
    pub(crate) tag: String,
    pub(crate) user: String,
    pub(crate) priority: u8,
    pub(crate) text: String,
}

/// Something behind a URL.
pub(crate) struct Download {
    pub(crate) url: String,
    pub(crate) size: u64,
    pub(crate) mimetype: String,
    pub(crate) sha256: String,
}

/// An entry of the appliance index.
pub(crate) struct Appliance {
    pub(crate) template: String,
    pub(crate) section: String,
    pub(crate) os: String,
    pub(crate) version: String,
    pub(crate) headline: String,
    pub(crate) size: u64,
}

pub(crate) fn sha1_hex(text: &str) -> String {
    let mut hex = String::with_capacity(40);
    for byte in Sha1::digest(text) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

impl Cluster {
    pub(crate) fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    pub(crate) fn is_online(&self, name: &str) -> bool {
        self.node(name).is_some_and(|node| node.online)
    }

    /// The guest of that kind on that node, or the error that a missing one gives.
    pub(crate) fn guest(&self, node: &str, kind: GuestKind, vmid: u32) -> Result<&Guest, Fail> {
        self.guests
            .get(&vmid)
            .filter(|guest| guest.kind == kind && guest.node == node)
            .ok_or_else(|| Fail::die(missing(node, kind, vmid)))
    }

    pub(crate) fn guest_mut(
        &mut self,
        node: &str,
        kind: GuestKind,
        vmid: u32,
    ) -> Result<&mut Guest, Fail> {
        self.guests
            .get_mut(&vmid)
            .filter(|guest| guest.kind == kind && guest.node == node)
            .ok_or_else(|| Fail::die(missing(node, kind, vmid)))
    }

    pub(crate) fn pool_of(&self, vmid: u32) -> Option<&str> {
        self.pools
            .iter()
            .find(|(_, pool)| pool.guests.contains(&vmid))
            .map(|(name, _)| name.as_str())
    }

    pub(crate) fn storage(&self, id: &str) -> Option<&Storage> {
        self.storages.iter().find(|storage| storage.id == id)
    }

    /// A storage that the node can use, or the error that PVE dies with.
    pub(crate) fn usable_storage(&self, id: &str, node: &str) -> Result<&Storage, Fail> {
        let storage = self
            .storage(id)
            .ok_or_else(|| Fail::die(format!("storage '{id}' does not exist")))?;
        if !storage.enabled {
            return Err(Fail::die(format!("storage '{id}' is disabled")));
        }
        if !storage.on(node) {
            return Err(Fail::die(format!(
                "storage '{id}' is not available on node '{node}'"
            )));
        }
        Ok(storage)
    }

    /// Volumes of a storage as one node sees them.
    pub(crate) fn volumes_on<'a>(
        &'a self,
        storage: &'a str,
        node: &'a str,
    ) -> impl Iterator<Item = &'a Volume> {
        self.volumes.iter().filter(move |volume| {
            volume.storage == storage && volume.node.as_deref().is_none_or(|at| at == node)
        })
    }

    pub(crate) fn volume(&self, volid: &str, node: &str) -> Option<&Volume> {
        self.volumes.iter().find(|volume| {
            volume.volid == volid && volume.node.as_deref().is_none_or(|at| at == node)
        })
    }

    /// Used bytes of a storage on a node.
    pub(crate) fn used(&self, storage: &Storage, node: &str) -> u64 {
        let volumes: u64 = self
            .volumes_on(&storage.id, node)
            .map(|volume| volume.used)
            .sum();
        (storage.base_used + volumes).min(storage.total)
    }

    /// The lowest free guest id.
    pub(crate) fn next_id(&self) -> u32 {
        (100..1_000_000_000)
            .find(|vmid| !self.guests.contains_key(vmid))
            .unwrap_or(100)
    }

    /// Puts something off, by the simulated clock.
    pub(crate) fn after(
        &mut self,
        delay: Duration,
        work: impl FnOnce(&mut Cluster) + Send + 'static,
    ) {
        self.later.push(Later {
            at: self.clock.at() + delay,
            work: Box::new(work),
        });
    }

    pub(crate) fn note(&mut self, node: &str, pid: u32, user: &str, text: String) {
        let uid = self.log.len() as u64 + 2;
        self.log.push(LogEntry {
            uid,
            time: now(),
            node: node.to_owned(),
            pid,
            tag: "pvedaemon".into(),
            user: user.to_owned(),
            priority: 6,
            text,
        });
    }

    /// Makes the volumes that a guest's disks name, where they are not there yet.
    pub(crate) fn add_disks(&mut self, vmid: u32) {
        let Some(guest) = self.guests.get(&vmid) else {
            return;
        };
        let mut added = Vec::new();
        for (_, value) in guest.disks() {
            let Some(volid) = volid(value) else { continue };
            let Some((storage, name)) = volid.split_once(':') else {
                continue;
            };
            if self.volume(volid, &guest.node).is_some() {
                continue;
            }
            let shared = self.storage(storage).is_some_and(|storage| storage.shared);
            let size = field(value, "size").and_then(parse_size).unwrap_or(4 << 20);
            let format = name.rsplit_once('.').map_or("raw", |(_, format)| format);
            added.push(Volume {
                volid: volid.to_owned(),
                storage: storage.to_owned(),
                node: (!shared).then(|| guest.node.clone()),
                content: if guest.kind == GuestKind::Qemu {
                    "images"
                } else {
                    "rootdir"
                },
                format: format.to_owned(),
                size,
                used: size / 5 * 2,
                ctime: guest.created,
                vmid: Some(vmid),
                notes: None,
                protected: false,
                parent: None,
                archive: None,
            });
        }
        self.volumes.extend(added);
    }
}

/// What PVE says of a guest that is not there.
pub(crate) fn missing(node: &str, kind: GuestKind, vmid: u32) -> String {
    format!(
        "Configuration file 'nodes/{node}/{}/{vmid}.conf' does not exist",
        kind.folder()
    )
}

/// The volume of a disk's value, unless it is none or a device.
pub(crate) fn volid(value: &str) -> Option<&str> {
    let (key, first) = fields(value).next()?;
    let volid = match key {
        "" | "file" | "volume" => first,
        _ => return None,
    };
    (volid != "none" && volid != "cdrom" && volid.contains(':')).then_some(volid)
}

const QEMU_DISKS: [&str; 6] = ["scsi", "virtio", "sata", "ide", "efidisk", "tpmstate"];

/// Whether `key` names a disk of that kind of guest.
pub(crate) fn is_disk_key(kind: GuestKind, key: &str) -> bool {
    let numbered = |prefix: &str| {
        key.strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
    };
    match kind {
        GuestKind::Qemu => QEMU_DISKS.iter().any(|prefix| numbered(prefix)),
        GuestKind::Lxc => key == "rootfs" || numbered("mp"),
    }
}

/// The number at the end of `net0`.
pub(crate) fn number_of(prefix: &str, key: &str) -> Option<u32> {
    key.strip_prefix(prefix)?.parse().ok()
}

impl Guest {
    pub(crate) fn new(vmid: u32, kind: GuestKind, node: &str, conf: &str) -> Guest {
        Guest {
            vmid,
            kind,
            node: node.to_owned(),
            config: parse_conf(conf),
            pending: BTreeMap::new(),
            power: Power::Stopped,
            since: 0,
            started: None,
            pid: 0,
            agent_inside: false,
            obeys_shutdown: true,
            addresses: BTreeMap::new(),
            cloudinit: Config::new(),
            snapshots: BTreeMap::new(),
            load: 0.05,
            memory_use: 0.5,
            created: now() - 30 * 86_400,
            commands: BTreeMap::new(),
            generation: 0,
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.config.get(key).map(String::as_str)
    }

    pub(crate) fn name(&self) -> String {
        let fallback = || match self.kind {
            GuestKind::Qemu => format!("VM {}", self.vmid),
            GuestKind::Lxc => format!("CT{}", self.vmid),
        };
        self.get(self.kind.name_key())
            .map_or_else(fallback, str::to_owned)
    }

    pub(crate) fn is_running(&self) -> bool {
        self.power != Power::Stopped
    }

    pub(crate) fn is_template(&self) -> bool {
        self.get("template") == Some("1")
    }

    pub(crate) fn lock(&self) -> Option<&str> {
        self.get("lock")
    }

    /// Dies as PVE does when the caller has seen another configuration.
    pub(crate) fn check_digest(&self, seen: Option<&str>) -> Result<(), &'static str> {
        match (seen, self.kind) {
            (None, _) => Ok(()),
            (Some(seen), _) if seen == self.digest() => Ok(()),
            (_, GuestKind::Qemu) => Err("checksum mismatch (file change by other user?)"),
            (_, GuestKind::Lxc) => {
                Err("detected modified configuration - file changed by other user? Try again.")
            }
        }
    }

    /// Dies as PVE does when the guest is locked.
    pub(crate) fn check_lock(&self) -> Result<(), String> {
        match self.lock() {
            Some(lock) => Err(format!("{} is locked ({lock})", self.kind.short())),
            None => Ok(()),
        }
    }

    pub(crate) fn cpus(&self) -> f64 {
        let number = |key: &str| self.get(key).and_then(|value| value.parse::<f64>().ok());
        let cores = number("cores").unwrap_or(1.0) * number("sockets").unwrap_or(1.0);
        match number("cpulimit").filter(|limit| *limit > 0.0) {
            Some(limit) => cores.min(limit),
            None => cores,
        }
    }

    pub(crate) fn memory(&self) -> u64 {
        let text = self.get("memory").unwrap_or("512");
        let current = field(text, "")
            .or_else(|| field(text, "current"))
            .unwrap_or("512");
        current.parse::<u64>().unwrap_or(512) << 20
    }

    pub(crate) fn swap(&self) -> u64 {
        self.get("swap")
            .and_then(|swap| swap.parse::<u64>().ok())
            .unwrap_or(512)
            << 20
    }

    /// Its disks: key and value, cloud-init drives included, CD-ROMs not.
    pub(crate) fn disks(&self) -> impl Iterator<Item = (&str, &str)> {
        self.config
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .filter(|(key, _)| is_disk_key(self.kind, key))
            .filter(|(_, value)| {
                field(value, "media") != Some("cdrom") || value.contains("cloudinit")
            })
    }

    /// The size of the disk that it boots from.
    pub(crate) fn disk_size(&self) -> u64 {
        let size = |value: &str| field(value, "size").and_then(parse_size);
        if self.kind == GuestKind::Lxc {
            return self.get("rootfs").and_then(size).unwrap_or_default();
        }
        let order = self
            .get("boot")
            .and_then(|boot| field(boot, "order"))
            .unwrap_or_default();
        let first = order
            .split(';')
            .find_map(|key| self.disks().find(|(disk, _)| *disk == key));
        let disk = first.or_else(|| {
            self.disks()
                .find(|(_, value)| field(value, "media") != Some("cdrom"))
        });
        disk.and_then(|(_, value)| size(value)).unwrap_or_default()
    }

    /// Its NICs: number and value.
    pub(crate) fn nics(&self) -> impl Iterator<Item = (u32, &str)> {
        self.config
            .iter()
            .filter_map(|(key, value)| Some((number_of("net", key)?, value.as_str())))
    }

    /// The key of the cloud-init drive.
    pub(crate) fn cloudinit_drive(&self) -> Option<&str> {
        self.disks()
            .find(|(_, value)| volid(value).is_some_and(|id| id.contains("cloudinit")))
            .map(|(key, _)| key)
    }

    pub(crate) fn agent_enabled(&self) -> bool {
        let Some(agent) = self.get("agent") else {
            return false;
        };
        field(agent, "").or_else(|| field(agent, "enabled")) == Some("1")
    }

    pub(crate) fn uptime(&self) -> i64 {
        if self.is_running() {
            (now() - self.since).max(1)
        } else {
            0
        }
    }

    /// Starts it: pending changes become real, and the disk's contents move on.
    pub(crate) fn power_on(&mut self, at: Duration) {
        self.apply_pending();
        self.power = Power::Running;
        self.since = now();
        self.started = Some(at);
        self.pid = 1000 + self.vmid % 30_000;
        self.generation += 1;
        if self.cloudinit_drive().is_some() {
            self.write_cloudinit();
        }
    }

    pub(crate) fn power_off(&mut self) {
        self.power = Power::Stopped;
        self.since = 0;
        self.commands.clear();
        self.apply_pending();
    }

    pub(crate) fn apply_pending(&mut self) {
        for (key, value) in std::mem::take(&mut self.pending) {
            match value {
                Some(value) => self.config.insert(key, value),
                None => self.config.remove(&key),
            };
        }
    }

    /// Writes the cloud-init drive from the settings as they are now.
    pub(crate) fn write_cloudinit(&mut self) {
        self.cloudinit = self
            .config
            .iter()
            .filter(|(key, _)| is_cloudinit_key(key))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
    }

    /// The digest of the configuration file, snapshots and pending changes included.
    pub(crate) fn digest(&self) -> String {
        let mut text = String::new();
        for (key, value) in &self.config {
            let _ = writeln!(text, "{key}: {value}");
        }
        for (key, value) in &self.pending {
            let _ = writeln!(text, "[PENDING] {key}: {value:?}");
        }
        for (name, snapshot) in &self.snapshots {
            let _ = writeln!(
                text,
                "[{name}] {} {:?}",
                snapshot.time, snapshot.description
            );
        }
        sha1_hex(&text)
    }

    /// CPU use between 0 and 1 of what it has, at that time.
    pub(crate) fn cpu_at(&self, time: f64) -> f64 {
        if self.power != Power::Running {
            return 0.0;
        }
        wave(u64::from(self.vmid), time, self.load)
    }

    /// Bytes of memory in use at that time.
    pub(crate) fn memory_at(&self, time: f64) -> u64 {
        if !self.is_running() {
            return 0;
        }
        let share =
            wave(u64::from(self.vmid) + 7919, time / 20.0, self.memory_use).clamp(0.02, 0.98);
        scaled(self.memory(), share)
    }

    pub(crate) fn ha_sid(&self) -> String {
        format!("{}:{}", self.kind.ha_type(), self.vmid)
    }

    /// The IP addresses of a NIC, with their prefix, as the guest itself knows them.
    pub(crate) fn nic_addresses(&self, nic: u32) -> Vec<String> {
        if let Some(fixed) = self.addresses.get(&nic) {
            return fixed.clone();
        }
        let key = format!("ipconfig{nic}");
        let setting = match self.kind {
            GuestKind::Qemu => self.cloudinit.get(&key).map(String::as_str),
            GuestKind::Lxc => self.get(&format!("net{nic}")),
        };
        let by_dhcp = format!("192.0.2.{}/24", 100 + (self.vmid + nic * 50) % 150);
        let Some(setting) = setting else {
            return if self.kind == GuestKind::Qemu && self.cloudinit_drive().is_none() {
                vec![by_dhcp]
            } else {
                Vec::new()
            };
        };
        let mut list = Vec::new();
        match field(setting, "ip") {
            Some("dhcp") => list.push(by_dhcp),
            Some("manual") | None => {}
            Some(fixed) => list.push(fixed.to_owned()),
        }
        match field(setting, "ip6") {
            Some("auto" | "dhcp") => list.push(format!("2001:db8::{:x}/64", self.vmid + nic)),
            Some("manual") | None => {}
            Some(fixed) => list.push(fixed.to_owned()),
        }
        list
    }
}

pub(crate) fn is_cloudinit_key(key: &str) -> bool {
    matches!(
        key,
        "ciuser"
            | "cipassword"
            | "sshkeys"
            | "nameserver"
            | "searchdomain"
            | "citype"
            | "ciupgrade"
            | "cicustom"
            | "name"
    ) || number_of("ipconfig", key).is_some()
}

/// `key: value` lines.
pub(crate) fn parse_conf(text: &str) -> Config {
    text.lines()
        .filter_map(|line| line.trim().split_once(':'))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().replace("\\n", "\n")))
        .collect()
}

/// A load that wanders around `mean` as real ones do, the same at the same time.
pub(crate) fn wave(seed: u64, time: f64, mean: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a phase needs no precision")]
    let phase = (seed.wrapping_mul(2_654_435_761) % 10_000) as f64 / 1000.0;
    let slow = (time / 900.0 + phase).sin() * 0.25;
    let quick = (time / 37.0 + phase * 3.0).sin() * 0.15 + (time / 11.0 + phase * 7.0).sin() * 0.08;
    (mean * (1.0 + slow + quick)).clamp(0.0, 1.0)
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bytes stay below 2^53, shares between 0 and 1"
)]
pub(crate) fn scaled(whole: u64, share: f64) -> u64 {
    (whole as f64 * share) as u64
}

/// Numbers as PVE shows a stored value: integers where the schema has integers and booleans.
pub(crate) fn shown(kind: GuestKind, key: &str, value: &str) -> Value {
    let numeric = match kind {
        GuestKind::Qemu => matches!(
            key,
            "acpi"
                | "allow-ksm"
                | "autostart"
                | "balloon"
                | "ciupgrade"
                | "cores"
                | "cpuunits"
                | "freeze"
                | "keephugepages"
                | "kvm"
                | "localtime"
                | "migrate_speed"
                | "numa"
                | "onboot"
                | "protection"
                | "reboot"
                | "shares"
                | "smp"
                | "sockets"
                | "tablet"
                | "tdf"
                | "template"
                | "vcpus"
                | "cpulimit"
                | "migrate_downtime"
        ),
        GuestKind::Lxc => matches!(
            key,
            "console"
                | "cores"
                | "cpulimit"
                | "cpuunits"
                | "debug"
                | "memory"
                | "onboot"
                | "protection"
                | "swap"
                | "template"
                | "tty"
                | "unprivileged"
        ),
    };
    if numeric {
        if let Ok(number) = value.parse::<i64>() {
            return json!(number);
        }
        if let Ok(number) = value.parse::<f64>() {
            return json!(number);
        }
    }
    json!(value)
}
