//! Guests and their configurations.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use pve_api::GuestType;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::now;
use crate::digest::sha1_hex;
use crate::formats::{field, fields};
use pve_api::size;

/// A guest's configuration, as its `.conf` file has it.
pub(crate) type Config = BTreeMap<String, String>;

/// How Proxmox names what belongs to a type of guest.
pub(crate) trait GuestNames {
    /// `VM` or `CT`, as messages call them.
    fn short(self) -> &'static str;

    /// The folder of its configuration files.
    fn folder(self) -> &'static str;

    /// The key of its name in the configuration.
    fn name_key(self) -> &'static str;

    /// `vm` or `ct`, as HA names services.
    fn ha_type(self) -> &'static str;
}

impl GuestNames for GuestType {
    fn short(self) -> &'static str {
        match self {
            GuestType::Qemu => "VM",
            GuestType::Lxc => "CT",
        }
    }

    fn folder(self) -> &'static str {
        match self {
            GuestType::Qemu => "qemu-server",
            GuestType::Lxc => "lxc",
        }
    }

    fn name_key(self) -> &'static str {
        match self {
            GuestType::Qemu => "name",
            GuestType::Lxc => "hostname",
        }
    }

    fn ha_type(self) -> &'static str {
        match self {
            GuestType::Qemu => "vm",
            GuestType::Lxc => "ct",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Power {
    Stopped,
    Running,
    Paused,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Guest {
    pub(crate) vmid: u32,
    pub(crate) kind: GuestType,
    pub(crate) node: String,
    pub(crate) config: Config,
    /// Changes that wait for a reboot; `None` deletes the key.
    pub(crate) pending: BTreeMap<String, Option<String>>,
    pub(crate) power: Power,
    pub(crate) since: i64,
    /// When it was started by a request; its agent answers some time later.
    #[serde(skip)]
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
    /// A counter that represents the contents of the disks: a rollback restores it.
    pub(crate) generation: u64,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Snapshot {
    pub(crate) parent: Option<String>,
    pub(crate) time: i64,
    pub(crate) description: Option<String>,
    pub(crate) vmstate: bool,
    pub(crate) config: Config,
    pub(crate) generation: u64,
}

/// What PVE says of a guest that is not there.
pub(crate) fn missing(node: &str, kind: GuestType, vmid: u32) -> String {
    format!(
        "Configuration file 'nodes/{node}/{}/{vmid}.conf' does not exist",
        kind.folder()
    )
}

/// The volume in a disk's value; absent for `none` and for devices.
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
pub(crate) fn is_disk_key(kind: GuestType, key: &str) -> bool {
    let numbered = |prefix: &str| {
        key.strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
    };
    match kind {
        GuestType::Qemu => QEMU_DISKS.iter().any(|prefix| numbered(prefix)),
        GuestType::Lxc => key == "rootfs" || numbered("mp"),
    }
}

/// The number at the end of `net0`.
pub(crate) fn number_of(prefix: &str, key: &str) -> Option<u32> {
    key.strip_prefix(prefix)?.parse().ok()
}

impl Guest {
    pub(crate) fn new(vmid: u32, kind: GuestType, node: &str, conf: &str) -> Guest {
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
            GuestType::Qemu => format!("VM {}", self.vmid),
            GuestType::Lxc => format!("CT{}", self.vmid),
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
            (_, GuestType::Qemu) => Err("checksum mismatch (file change by other user?)"),
            (_, GuestType::Lxc) => {
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
        let size = |value: &str| field(value, "size").and_then(size::parse);
        if self.kind == GuestType::Lxc {
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
            GuestType::Qemu => self.cloudinit.get(&key).map(String::as_str),
            GuestType::Lxc => self.get(&format!("net{nic}")),
        };
        let by_dhcp = format!("192.0.2.{}/24", 100 + (self.vmid + nic * 50) % 150);
        let Some(setting) = setting else {
            return if self.kind == GuestType::Qemu && self.cloudinit_drive().is_none() {
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
pub(crate) fn shown(kind: GuestType, key: &str, value: &str) -> Value {
    let numeric = match kind {
        GuestType::Qemu => matches!(
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
        GuestType::Lxc => matches!(
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
