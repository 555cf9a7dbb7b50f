//! Guests: the list, and one in full.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::pve::{Disk, Flag, Guest, Kind, Nic, Num, Params, Properties, Pve, Text, guests};
use crate::text;
use crate::tool::{Reply, Run};

/// The guests that fit the filters.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListGuests {
    /// VMs or containers only.
    kind: Option<Kind>,
    /// unknown: on an offline node.
    status: Option<GuestStatus>,
    /// Only on this node.
    node: Option<String>,
    /// Part of the name, in any case.
    name: Option<String>,
    /// Only with this tag.
    tag: Option<String>,
    /// Only in this pool.
    pool: Option<String>,
    /// True: templates only; false: no templates.
    template: Option<bool>,
    /// cpu and memory: largest use first. Default vmid.
    sort: Option<Sort>,
    /// Default 50.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum GuestStatus {
    Running,
    Stopped,
    Paused,
    Unknown,
}

impl GuestStatus {
    fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Paused => "paused",
            Self::Unknown => "unknown",
        }
    }
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Sort {
    Vmid,
    Name,
    Cpu,
    Memory,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct GuestList {
    guests: Vec<GuestSummary>,
    /// How many fit the filters, also where not all are shown.
    total: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// A guest on an offline node has the first four fields only.
#[derive(Debug, Serialize, JsonSchema)]
struct GuestSummary {
    vmid: u32,
    kind: Kind,
    node: String,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Of the CPUs that the guest has.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_percent: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpus: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_used_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_total_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_total_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    template: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    lock: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ha_state: Option<String>,
}

const DEFAULT_LIMIT: u32 = 50;

impl Run for ListGuests {
    type Output = GuestList;

    fn run(self, pve: &Pve) -> Result<Reply<GuestList>> {
        let all = guests(pve)?;
        let none_seen = all.is_empty();
        let mut found: Vec<Guest> = all.into_iter().filter(|guest| self.fits(guest)).collect();
        sort(&mut found, self.sort.unwrap_or(Sort::Vmid));
        let total = found.len();
        found.truncate(self.limit.unwrap_or(DEFAULT_LIMIT) as usize);
        let hint = if none_seen {
            Some(pve.empty_hint("VM.Audit", "/vms"))
        } else if found.len() < total {
            Some(format!(
                "{} of {total} are shown: raise limit, or narrow by kind, status, node, name, tag \
                 or pool",
                found.len()
            ))
        } else {
            None
        };
        let running = found.iter().filter(|guest| guest.is_running()).count();
        let text = format!(
            "{}, {running} of those shown running",
            text::count(total, "guest")
        );
        let guests = found.into_iter().map(GuestSummary::from).collect();
        Ok(Reply::Done(
            GuestList {
                guests,
                total,
                hint,
            },
            text,
        ))
    }
}

impl ListGuests {
    fn fits(&self, guest: &Guest) -> bool {
        let name_fits = |part: &String| {
            let name = guest.name.as_deref().unwrap_or_default();
            name.to_lowercase().contains(&part.to_lowercase())
        };
        self.kind.is_none_or(|kind| kind == guest.kind)
            && self
                .status
                .is_none_or(|status| status.as_str() == guest.status)
            && self.node.as_ref().is_none_or(|node| *node == guest.node)
            && self.name.as_ref().is_none_or(name_fits)
            && self
                .tag
                .as_ref()
                .is_none_or(|tag| guest.tags().contains(tag))
            && self
                .pool
                .as_ref()
                .is_none_or(|pool| guest.pool.as_ref() == Some(pool))
            && self
                .template
                .is_none_or(|template| template == guest.template.0)
    }
}

fn sort(guests: &mut [Guest], by: Sort) {
    let cpu = |guest: &Guest| guest.cpu.unwrap_or_default().0;
    let memory = |guest: &Guest| guest.mem.unwrap_or_default().0;
    match by {
        Sort::Vmid => guests.sort_by_key(|guest| guest.vmid),
        Sort::Name => guests.sort_by(|a, b| a.name.cmp(&b.name)),
        Sort::Cpu => guests.sort_by(|a, b| cpu(b).total_cmp(&cpu(a))),
        Sort::Memory => guests.sort_by_key(|guest| std::cmp::Reverse(memory(guest))),
    }
}

impl From<Guest> for GuestSummary {
    fn from(guest: Guest) -> Self {
        Self {
            tags: guest.tags(),
            vmid: guest.vmid,
            kind: guest.kind,
            node: guest.node,
            status: guest.status,
            name: guest.name,
            cpu_percent: guest.cpu.map(|cpu| text::round(cpu.0 * 100.0, 1)),
            cpus: guest.maxcpu.map(|cpus| cpus.0),
            memory_used_bytes: guest.mem.map(|bytes| bytes.0),
            memory_total_bytes: guest.maxmem.map(|bytes| bytes.0),
            disk_total_bytes: guest.maxdisk.map(|bytes| bytes.0),
            uptime_seconds: guest.uptime.map(|seconds| seconds.0),
            pool: guest.pool,
            template: guest.template.0,
            lock: guest.lock,
            ha_state: guest.hastate,
        }
    }
}

/// One guest in full.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetGuest {
    #[schemars(range(min = 100, max = 999_999_999))]
    vmid: u32,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct GuestDetails {
    vmid: u32,
    kind: Kind,
    node: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// `running`, `stopped`, `paused` and whatever else QEMU says.
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    lock: Option<String>,
    template: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime_seconds: Option<u64>,
    cpu: GuestCpu,
    memory: GuestMemory,
    disks: Vec<Disk>,
    nics: Vec<Nic>,
    boot: Boot,
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<String>,
    protection: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    os_type: Option<String>,
    /// Whether the configuration has the QEMU guest agent switched on.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unprivileged: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cloud_init: Option<CloudInit>,
    ha: Ha,
    /// Changes that wait for the next full stop and start.
    pending: Vec<Pending>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// All other settings, as they stand.
    other: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct GuestCpu {
    cores: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sockets: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// At most so many CPUs' worth of time.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_limit: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    used_percent: Option<f64>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct GuestMemory {
    configured_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    used_bytes: Option<u64>,
    /// A VM's least memory under ballooning; 0 where ballooning is off.
    #[serde(skip_serializing_if = "Option::is_none")]
    min_memory_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    swap_bytes: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Boot {
    /// Started when its node starts.
    start_at_boot: bool,
    /// Devices, first to last.
    order: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    startup: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct CloudInit {
    has_drive: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    has_password: bool,
    /// Type and comment of each.
    ssh_key_names: Vec<String>,
    /// By network card: `net0`.
    ip: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dns_servers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    search_domain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upgrade: Option<bool>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Ha {
    managed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct Pending {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<String>,
    /// Absent where it will be removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<String>,
}

/// An entry of the `pending` call: the configuration as it is in force, and
/// what waits.
#[derive(Debug, Deserialize)]
struct Entry {
    key: String,
    value: Option<Text>,
    pending: Option<Text>,
    delete: Option<Num<u8>>,
}

#[derive(Debug, Default, Deserialize)]
struct Current {
    #[serde(default)]
    status: String,
    qmpstatus: Option<String>,
    lock: Option<String>,
    cpu: Option<Num<f64>>,
    mem: Option<Num<u64>>,
    uptime: Option<Num<u64>>,
    #[serde(default)]
    ha: RawHa,
}

#[derive(Debug, Default, Deserialize)]
struct RawHa {
    #[serde(default)]
    managed: Flag,
    state: Option<String>,
}

impl Run for GetGuest {
    type Output = GuestDetails;

    fn run(self, pve: &Pve) -> Result<Reply<GuestDetails>> {
        let (guest, (entries, current)) = Guest::on(pve, self.vmid, |guest| {
            let entries: Vec<Entry> = pve.get(&guest.path(["pending"]), &Params::new())?;
            let current: Current = pve.get(&guest.path(["status", "current"]), &Params::new())?;
            Ok((entries, current))
        })?;
        let details = GuestDetails::new(guest, entries, current);
        let text = details.text();
        Ok(Reply::Done(details, text))
    }
}

/// A configuration, from which each setting is taken once: what is left is
/// "other".
struct Config(BTreeMap<String, String>);

impl Config {
    fn take(&mut self, key: &str) -> Option<String> {
        self.0.remove(key)
    }

    fn number<T: std::str::FromStr>(&mut self, key: &str) -> Option<T> {
        self.take(key)?.trim().parse().ok()
    }

    fn flag(&mut self, key: &str) -> Option<bool> {
        self.take(key).map(|value| value == "1")
    }

    fn matching(&mut self, fits: impl Fn(&str) -> bool) -> Vec<(String, String)> {
        let keys: Vec<String> = self.0.keys().filter(|key| fits(key)).cloned().collect();
        keys.into_iter()
            .filter_map(|key| self.0.remove_entry(&key))
            .collect()
    }
}

const MIB: u64 = 1 << 20;

impl GuestDetails {
    fn new(guest: Guest, entries: Vec<Entry>, current: Current) -> Self {
        let pending = entries.iter().filter_map(Entry::waiting).collect();
        let mut config = Config(
            entries
                .into_iter()
                .filter_map(|entry| Some((entry.key, entry.value?.0)))
                .collect(),
        );
        config.take("digest");
        let kind = guest.kind;
        let disks: Vec<Disk> = config
            .matching(|key| Disk::is_key(kind, key))
            .iter()
            .map(|(key, value)| Disk::parse(key, value))
            .collect();
        let nics = config
            .matching(Nic::is_key)
            .iter()
            .map(|(key, value)| Nic::parse(kind, key, value))
            .collect();
        let cloud_init = match kind {
            Kind::Qemu => CloudInit::take(&mut config, &disks),
            Kind::Lxc => None,
        };
        let name = config
            .take("name")
            .or_else(|| config.take("hostname"))
            .or_else(|| guest.name.clone());
        let tags = config
            .take("tags")
            .map_or_else(|| guest.tags(), |tags| split_tags(&tags));
        Self {
            vmid: guest.vmid,
            kind,
            node: guest.node,
            name,
            status: current
                .qmpstatus
                .filter(|status| status != "prelaunch" || current.status == "running")
                .unwrap_or(current.status),
            lock: config.take("lock").or(current.lock),
            template: config.flag("template").unwrap_or(guest.template.0),
            uptime_seconds: current.uptime.map(|uptime| uptime.0),
            cpu: GuestCpu {
                // Without a setting a VM has one core, a container all of its
                // node's.
                cores: config.number("cores").unwrap_or(match kind {
                    Kind::Qemu => 1,
                    Kind::Lxc => guest.maxcpu.map_or(1, |cpus| cpus.0 as u64),
                }),
                sockets: (kind == Kind::Qemu).then(|| config.number("sockets").unwrap_or(1)),
                model: config.take("cpu"),
                cpu_limit: config.number("cpulimit").filter(|limit: &f64| *limit > 0.0),
                used_percent: current.cpu.map(|cpu| text::round(cpu.0 * 100.0, 1)),
            },
            memory: GuestMemory {
                configured_bytes: config
                    .take("memory")
                    .map_or(512, |memory| mebibytes(&memory))
                    * MIB,
                used_bytes: current.mem.map(|mem| mem.0),
                min_memory_bytes: config.number("balloon").map(|balloon: u64| balloon * MIB),
                swap_bytes: (kind == Kind::Lxc)
                    .then(|| config.number("swap").unwrap_or(512u64) * MIB),
            },
            boot: Boot {
                start_at_boot: config.flag("onboot").unwrap_or(false),
                order: config
                    .take("boot")
                    .map_or_else(Vec::new, |boot| boot_order(&boot)),
                startup: config.take("startup"),
            },
            tags,
            pool: guest.pool,
            protection: config.flag("protection").unwrap_or(false),
            os_type: config.take("ostype"),
            agent_enabled: (kind == Kind::Qemu).then(|| {
                config.take("agent").is_some_and(|agent| {
                    let agent = Properties::parse(&agent);
                    agent.flag("enabled").unwrap_or(agent.bare() == Some("1"))
                })
            }),
            unprivileged: (kind == Kind::Lxc).then(|| config.flag("unprivileged").unwrap_or(false)),
            cloud_init,
            ha: Ha {
                managed: current.ha.managed.0,
                state: current.ha.state,
            },
            pending,
            description: config
                .take("description")
                .map(|description| text::cut(description.trim(), 1_000)),
            disks,
            nics,
            other: config
                .0
                .into_iter()
                .map(|(key, value)| (key, text::cut(&value, 300)))
                .collect(),
        }
    }

    fn text(&self) -> String {
        let mut text = format!(
            "{} {}{} on {}: {}, {} cores, {}",
            self.kind.as_str(),
            self.vmid,
            self.name
                .as_ref()
                .map_or_else(String::new, |name| format!(" ({name})")),
            self.node,
            self.status,
            self.cpu.cores * self.cpu.sockets.unwrap_or(1),
            text::bytes(self.memory.configured_bytes),
        );
        if !self.pending.is_empty() {
            text.push_str(&format!(
                ", {} waiting for a restart",
                text::count(self.pending.len(), "change")
            ));
        }
        text
    }
}

impl Entry {
    fn waiting(&self) -> Option<Pending> {
        let removed = self.delete.is_some_and(|delete| delete.0 > 0);
        if self.pending.is_none() && !removed {
            return None;
        }
        let show = |value: &Text| {
            if self.key == "cipassword" {
                "(hidden)".to_owned()
            } else {
                text::cut(&value.0, 300)
            }
        };
        Some(Pending {
            key: self.key.clone(),
            current: self.value.as_ref().map(show),
            new: self.pending.as_ref().filter(|_| !removed).map(show),
        })
    }
}

impl CloudInit {
    fn take(config: &mut Config, disks: &[Disk]) -> Option<Self> {
        let cloud_init = Self {
            has_drive: disks.iter().any(|disk| disk.cloud_init),
            user: config.take("ciuser"),
            has_password: config.take("cipassword").is_some(),
            ssh_key_names: config
                .take("sshkeys")
                .map_or_else(Vec::new, |keys| key_names(&keys)),
            ip: config
                .matching(|key| key.starts_with("ipconfig"))
                .into_iter()
                .map(|(key, value)| (key.replace("ipconfig", "net"), value))
                .collect(),
            dns_servers: config.take("nameserver").map_or_else(Vec::new, |servers| {
                servers.split_whitespace().map(str::to_owned).collect()
            }),
            search_domain: config.take("searchdomain"),
            upgrade: config.flag("ciupgrade"),
        };
        let used = cloud_init.has_drive
            || cloud_init.user.is_some()
            || cloud_init.has_password
            || !cloud_init.ssh_key_names.is_empty()
            || !cloud_init.ip.is_empty();
        used.then_some(cloud_init)
    }
}

/// `ssh-ed25519 … comment` becomes `ssh-ed25519 comment`.
fn key_names(encoded: &str) -> Vec<String> {
    percent_decode_str(encoded)
        .decode_utf8_lossy()
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let mut words = line.split_whitespace();
            let kind = words.next().unwrap_or_default();
            let comment: Vec<&str> = words.skip(1).collect();
            text::cut(format!("{kind} {}", comment.join(" ")).trim(), 100)
        })
        .collect()
}

/// `2048`, or `current=2048` as newer versions write it.
fn mebibytes(memory: &str) -> u64 {
    let memory = Properties::parse(memory);
    memory
        .get("current")
        .or_else(|| memory.bare())
        .and_then(|number| number.parse().ok())
        .unwrap_or(512)
}

/// `order=scsi0;ide2;net0`, or the older `cdn`.
fn boot_order(boot: &str) -> Vec<String> {
    let properties = Properties::parse(boot);
    if let Some(order) = properties.get("order") {
        return order
            .split(';')
            .filter(|device| !device.is_empty())
            .map(str::to_owned)
            .collect();
    }
    let legacy = properties
        .get("legacy")
        .or_else(|| properties.bare())
        .unwrap_or_default();
    legacy
        .chars()
        .filter_map(|device| match device {
            'a' => Some("floppy"),
            'c' => Some("disk"),
            'd' => Some("cdrom"),
            'n' => Some("network"),
            _ => None,
        })
        .map(str::to_owned)
        .collect()
}

fn split_tags(tags: &str) -> Vec<String> {
    tags.split([';', ',', ' '])
        .filter(|tag| !tag.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn guest(value: Value) -> Guest {
        serde_json::from_value(value).unwrap()
    }

    fn details(guest: Value, entries: Value, current: Value) -> Value {
        let details = GuestDetails::new(
            serde_json::from_value(guest).unwrap(),
            serde_json::from_value(entries).unwrap(),
            serde_json::from_value(current).unwrap(),
        );
        serde_json::to_value(details).unwrap()
    }

    #[test]
    fn filters() {
        let web = guest(
            json!({"vmid": 100, "type": "qemu", "node": "pve1", "status": "running",
            "name": "Web01", "tags": "prod;web", "template": 0}),
        );
        let fits = |filter: Value| {
            serde_json::from_value::<ListGuests>(filter)
                .unwrap()
                .fits(&web)
        };
        assert!(fits(json!({})));
        assert!(fits(
            json!({"kind": "qemu", "status": "running", "name": "web", "tag": "prod"})
        ));
        assert!(!fits(json!({"kind": "lxc"})));
        assert!(!fits(json!({"tag": "pro"})));
        assert!(!fits(json!({"pool": "prod"})));
        assert!(fits(json!({"template": false})) && !fits(json!({"template": true})));
    }

    #[test]
    fn vm_in_full() {
        let details = details(
            json!({"vmid": 100, "type": "qemu", "node": "pve1", "status": "running", "pool": "p"}),
            json!([
                {"key": "name", "value": "web01"}, {"key": "agent", "value": "1"},
                {"key": "memory", "value": "2048", "pending": "4096"},
                {"key": "cores", "value": 2}, {"key": "sockets", "value": 1},
                {"key": "balloon", "value": 1024, "delete": 1},
                {"key": "scsihw", "value": "virtio-scsi-single"},
                {"key": "scsi0", "value": "local:100/vm-100-disk-0.qcow2,size=32M"},
                {"key": "ide2", "value": "local:100/vm-100-cloudinit.qcow2,media=cdrom"},
                {"key": "net0", "value": "virtio=BC:24:11:00:00:01,bridge=vmbr0"},
                {"key": "boot", "value": "order=scsi0;ide2;net0"}, {"key": "onboot", "value": 1},
                {"key": "tags", "value": "prod;web"}, {"key": "digest", "value": "abc"},
                {"key": "ciuser", "value": "debian"},
                {"key": "cipassword", "value": "**********", "pending": "**********"},
                {"key": "sshkeys", "value": "ssh-ed25519%20AAAAC3Nz%20me%40home%0A"},
                {"key": "ipconfig0", "value": "ip=dhcp"},
                {"key": "description", "value": "web server\nsecond line"}
            ]),
            json!({"status": "running", "qmpstatus": "paused", "cpu": 0.25, "mem": 5,
                "uptime": 15, "ha": {"managed": 0}}),
        );
        assert_eq!(details["status"], "paused");
        assert_eq!(
            details["cpu"],
            json!({"cores": 2, "sockets": 1, "used_percent": 25.0})
        );
        assert_eq!(details["memory"]["configured_bytes"], 2_147_483_648u64);
        assert_eq!(details["disks"].as_array().unwrap().len(), 2);
        assert_eq!(details["boot"]["order"], json!(["scsi0", "ide2", "net0"]));
        assert_eq!(
            details["cloud_init"],
            json!({"has_drive": true, "user": "debian", "has_password": true,
                "ssh_key_names": ["ssh-ed25519 me@home"], "ip": {"net0": "ip=dhcp"}})
        );
        assert_eq!(
            details["pending"],
            json!([
                {"key": "memory", "current": "2048", "new": "4096"},
                {"key": "balloon", "current": "1024"},
                {"key": "cipassword", "current": "(hidden)", "new": "(hidden)"},
            ])
        );
        assert_eq!(details["other"], json!({"scsihw": "virtio-scsi-single"}));
        assert_eq!(details["agent_enabled"], true);
    }

    #[test]
    fn container_in_full() {
        let details = details(
            json!({"vmid": 200, "type": "lxc", "node": "pve1", "status": "stopped", "maxcpu": 8}),
            json!([
                {"key": "hostname", "value": "ct01"}, {"key": "memory", "value": 512},
                {"key": "unprivileged", "value": 1},
                {"key": "rootfs", "value": "local:200/vm-200-disk-0.raw,size=64M"},
                {"key": "net0", "value": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:02,ip=dhcp"}
            ]),
            json!({"status": "stopped", "ha": {"managed": 1, "state": "stopped"}}),
        );
        assert_eq!(details["name"], "ct01");
        assert_eq!(details["cpu"], json!({"cores": 8}));
        assert_eq!(details["memory"]["swap_bytes"], 512 * MIB);
        assert_eq!(details["disks"][0]["disk"], "rootfs");
        assert_eq!(details["ha"], json!({"managed": true, "state": "stopped"}));
        assert!(details.get("cloud_init").is_none());
    }

    #[test]
    fn old_boot_orders() {
        assert_eq!(boot_order("cdn"), ["disk", "cdrom", "network"]);
        assert_eq!(boot_order("order=net0"), ["net0"]);
        assert!(boot_order("order=").is_empty());
        assert_eq!(mebibytes("current=1024"), 1024);
    }
}
