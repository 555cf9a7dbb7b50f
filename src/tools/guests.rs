//! Guests: the list, and one in full.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::freshness;
use crate::error::{Error, Result};
use crate::pve::{
    Disk, Failure, Flag, Guest, GuestConfig, Kind, Nic, Num, Params, Path, Properties, Pve, Text,
    guests,
};
use crate::text;
use crate::tool::bounds;
use crate::tool::{Reply, Run};
use crate::tools::nodes::known_node;

/// The guests that fit the filters.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListGuests {
    /// VMs or containers only.
    kind: Option<Kind>,
    /// unknown: not reported by its node. other: none of these.
    status: Option<GuestStatus>,
    /// Only on this node.
    node: Option<String>,
    /// Part of the name, in any case.
    name: Option<String>,
    /// Only with this tag; case matters.
    tag: Option<String>,
    /// Only in this pool or one within it.
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
#[serde(rename_all = "kebab-case")]
enum GuestStatus {
    Running,
    Stopped,
    Paused,
    Suspended,
    Prelaunch,
    IoError,
    InternalError,
    Unknown,
    Other,
}

impl GuestStatus {
    const NAMED: [(Self, &str); 8] = [
        (Self::Running, "running"),
        (Self::Stopped, "stopped"),
        (Self::Paused, "paused"),
        (Self::Suspended, "suspended"),
        (Self::Prelaunch, "prelaunch"),
        (Self::IoError, "io-error"),
        (Self::InternalError, "internal-error"),
        (Self::Unknown, "unknown"),
    ];

    fn fits(self, guest: &Guest) -> bool {
        let named = Self::NAMED.iter().find(|(_, name)| *name == guest.status);
        match self {
            Self::Unknown => !guest.has_known_status(),
            // One whose memory is on disk is stopped, and keeps this lock.
            Self::Suspended if guest.lock.as_deref() == Some("suspended") => true,
            Self::Other => named.is_none() && guest.has_known_status(),
            _ => named.is_some_and(|(status, _)| *status == self),
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
        let mut all = guests(pve)?;
        let none_seen = all.is_empty();
        let mut notes = freshness::complete(pve, &mut all);
        if none_seen {
            notes.push(pve.empty_hint("VM.Audit", "/vms"));
        }
        if let Some(node) = &self.node
            && !all.iter().any(|guest| guest.node == *node)
        {
            known_node(pve, node)?;
        }
        if let Some(tag) = &self.tag
            && !none_seen
        {
            notes.extend(self.check_tag(tag, &all)?);
        }
        if let Some(pool) = &self.pool
            && !none_seen
        {
            notes.extend(check_pool(pve, pool, &all)?);
        }
        let mut found: Vec<Guest> = all.into_iter().filter(|guest| self.fits(guest)).collect();
        sort(&mut found, self.sort.unwrap_or(Sort::Vmid));
        let total = found.len();
        found.truncate(self.limit.unwrap_or(DEFAULT_LIMIT) as usize);
        if found.len() < total {
            notes.push(format!(
                "{} of {total} are shown: raise limit, or narrow by kind, status, node, name, tag \
                 or pool",
                found.len()
            ));
        }
        if let Some(part) = &self.name
            && total == 0
            && part.contains(['*', '?'])
        {
            notes.push(
                "name is a part of the name, taken literally: * and ? match nothing else".into(),
            );
        }
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
                hint: (!notes.is_empty()).then(|| notes.join("; ")),
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
            && self.status.is_none_or(|status| status.fits(guest))
            && self.node.as_ref().is_none_or(|node| *node == guest.node)
            && self.name.as_ref().is_none_or(name_fits)
            && self
                .tag
                .as_ref()
                .is_none_or(|tag| guest.tags().contains(tag))
            && self
                .pool
                .as_ref()
                .is_none_or(|pool| guest.pool.as_ref().is_some_and(|own| within(pool, own)))
            && self
                .template
                .is_none_or(|template| template == guest.template.0)
    }

    /// Refuses a tag that no guest has, and says where another case of it is.
    fn check_tag(&self, tag: &str, all: &[Guest]) -> Result<Option<String>> {
        let tags: BTreeSet<String> = all.iter().flat_map(Guest::tags).collect();
        let twins: Vec<&str> = tags
            .iter()
            .map(String::as_str)
            .filter(|one| *one != tag && one.to_lowercase() == tag.to_lowercase())
            .collect();
        if tags.contains(tag) {
            return Ok((!twins.is_empty()).then(|| {
                format!(
                    "case matters: other guests have the tag {}",
                    twins.join(", ")
                )
            }));
        }
        Err(no_such("tag", tag, "a guest", &tags))
    }
}

/// Whether a pool is another one or within it: `lab/team-a` is within `lab`,
/// `labor` is not.
fn within(outer: &str, pool: &str) -> bool {
    pool.strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Refuses a pool that does not exist, and names the pools within one that
/// does.
fn check_pool(pve: &Pve, pool: &str, all: &[Guest]) -> Result<Option<String>> {
    let mut pools: BTreeSet<String> = all.iter().filter_map(|guest| guest.pool.clone()).collect();
    if !pools.iter().any(|one| within(pool, one)) {
        #[derive(Deserialize)]
        struct Pool {
            poolid: String,
        }
        // A pool may be without guests. Where the list cannot be had, those
        // that guests are in are all that is known.
        let more: Vec<Pool> = pve
            .get(&Path::new(["pools"]), &Params::new())
            .unwrap_or_default();
        pools.extend(more.into_iter().map(|pool| pool.poolid));
        if pools.iter().any(|one| within(pool, one)) {
            return Ok(None);
        }
        return Err(no_such("pool", pool, "the token", &pools));
    }
    let inner: Vec<&str> = pools
        .iter()
        .map(String::as_str)
        .filter(|one| *one != pool && within(pool, one))
        .collect();
    Ok((!inner.is_empty()).then(|| {
        format!(
            "guests of the pools within {pool} are included: {}",
            text::cut(&inner.join(", "), NAMES_LENGTH)
        )
    }))
}

/// How much of a list of names a message holds.
const NAMES_LENGTH: usize = 400;

/// A filter that names nothing, and the names that there are, the nearest
/// first.
fn no_such(what: &str, name: &str, who: &str, known: &BTreeSet<String>) -> Error {
    let shown = text::quoted(name);
    if known.is_empty() {
        return Error::NotFound(format!("there is no {what} {shown} that {who} has or sees"));
    }
    let lower = name.to_lowercase();
    let same = known.iter().find(|one| one.to_lowercase() == lower);
    let near = same
        .map(String::as_str)
        .or_else(|| text::nearest(name, known.iter().map(String::as_str)));
    let meant = match near {
        Some(near) if same.is_some() => format!(", {near} is probably meant (case matters)"),
        Some(near) => format!(", {near} is probably meant"),
        None => String::new(),
    };
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    Error::NotFound(format!(
        "there is no {what} {shown}{meant}; there are: {}",
        text::cut(&names.join(", "), NAMES_LENGTH)
    ))
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
            tags: guest.tags().into_iter().take(MOST_TAGS).collect(),
            vmid: guest.vmid,
            kind: guest.kind,
            node: guest.node,
            status: Some(guest.status)
                .filter(|status| !status.is_empty())
                .unwrap_or_else(|| "unknown".into()),
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

/// Settings are absent where they could not be read.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct GuestDetails {
    vmid: u32,
    kind: Kind,
    node: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// `running`, `stopped`, `paused` and whatever else QEMU says.
    status: String,
    /// What could not be read, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    incomplete: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lock: Option<String>,
    template: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<GuestCpu>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<GuestMemory>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disks: Option<Vec<Disk>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nics: Option<Vec<Nic>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    boot: Option<Boot>,
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protection: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    os_type: Option<String>,
    /// Whether the configuration has the QEMU guest agent switched on.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unprivileged: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cloud_init: Option<CloudInit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ha: Option<Ha>,
    /// Changes that wait for the next full stop and start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<Vec<Pending>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// A container's raw settings, which Proxmox hands to LXC unread: devices,
    /// mounts, rights.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    raw_lxc: Vec<String>,
    /// All other settings, as they are in the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
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
        let guest = Guest::find(pve, self.vmid)?;
        let read = guest
            .reachable(pve)
            .and_then(|()| guest.clone().then(pve, |guest| Read::new(pve, guest)));
        let details = match read {
            Ok((guest, read)) => GuestDetails::new(guest, read),
            // The cluster's list is worth showing all the same.
            Err(Error::Unreachable(message)) => GuestDetails {
                incomplete: Some(format!(
                    "only what the cluster's list knows of it is shown: {message}"
                )),
                ..GuestDetails::known(guest)
            },
            Err(error) => return Err(error),
        };
        let text = details.text();
        Ok(Reply::Done(details, text))
    }
}

/// What a guest's node knows of it.
#[derive(Debug, Default)]
struct Read {
    entries: Vec<Entry>,
    /// Absent where it could not be read.
    current: Option<Current>,
    raw_lxc: Vec<String>,
    incomplete: Vec<String>,
}

impl Read {
    fn new(pve: &Pve, guest: &Guest) -> Result<Self, Failure> {
        let mut read = Self::default();
        let mut config = None;
        match pve.get(&guest.path(["pending"]), &Params::new()) {
            Ok(entries) => read.entries = entries,
            // What waits for a restart is one thing, the settings another.
            Err(Failure::Api(error))
                if matches!(error.status, 500 | 501) && !error.is_missing_guest() =>
            {
                let Ok(settings) = GuestConfig::read(pve, guest) else {
                    return Err(Failure::Api(error));
                };
                read.entries = settings.iter().map(Entry::in_force).collect();
                config = Some(settings);
                read.incomplete.push(format!(
                    "pending changes cannot be read, and settings that wait are shown as if they \
                     were in force: {}",
                    Error::from(Failure::Api(error)).message()
                ));
            }
            Err(failure) => return Err(failure),
        }
        match pve.get(&guest.path(["status", "current"]), &Params::new()) {
            Ok(current) => read.current = Some(current),
            Err(Failure::Api(error)) if error.is_missing_guest() => {
                return Err(Failure::Api(error));
            }
            Err(failure) => read.incomplete.push(format!(
                "its present state cannot be read, the status is from the cluster's list: {}",
                Error::from(failure).message()
            )),
        }
        // Of a container's raw settings the other calls say nothing.
        if guest.kind == Kind::Lxc {
            let config = match config {
                Some(config) => Ok(config),
                None => GuestConfig::read(pve, guest),
            };
            match config {
                Ok(config) => read.raw_lxc = config.raw_lxc().to_vec(),
                Err(failure) => read.incomplete.push(format!(
                    "its raw LXC settings cannot be read: {}",
                    Error::from(failure).message()
                )),
            }
        }
        Ok(read)
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

    /// Whether the agent is switched on. The setting stays where it says more
    /// than that.
    fn agent(&mut self) -> bool {
        let Some(agent) = self.take("agent") else {
            return false;
        };
        let properties = Properties::parse(&agent);
        let enabled = properties
            .flag("enabled")
            .unwrap_or(properties.bare() == Some("1"));
        if properties.pairs().any(|(key, _)| key != "enabled") {
            self.0.insert("agent".to_owned(), agent);
        }
        enabled
    }

    fn matching(&mut self, fits: impl Fn(&str) -> bool) -> Vec<(String, String)> {
        let keys: Vec<String> = self.0.keys().filter(|key| fits(key)).cloned().collect();
        keys.into_iter()
            .filter_map(|key| self.0.remove_entry(&key))
            .collect()
    }
}

const MIB: u64 = 1 << 20;

/// How many of each a result shows: a guest decides how many it has.
const MOST_DISKS: usize = 64;
const MOST_NICS: usize = 32;
const MOST_PENDING: usize = 64;
const MOST_TAGS: usize = 64;
const MOST_RAW: usize = 64;
const MOST_OTHER: usize = 150;

/// How much of a value and of a description a result shows.
const VALUE_LENGTH: usize = 1_000;
const DESCRIPTION_LENGTH: usize = 2_000;

impl GuestDetails {
    /// What the cluster's list knows.
    fn known(guest: Guest) -> Self {
        Self {
            tags: guest.tags(),
            vmid: guest.vmid,
            kind: guest.kind,
            node: guest.node,
            name: guest.name,
            status: Some(guest.status)
                .filter(|status| !status.is_empty())
                .unwrap_or_else(|| "unknown".into()),
            incomplete: None,
            lock: guest.lock,
            template: guest.template.0,
            uptime_seconds: None,
            cpu: None,
            memory: None,
            disks: None,
            nics: None,
            boot: None,
            pool: guest.pool,
            protection: None,
            os_type: None,
            agent_enabled: None,
            unprivileged: None,
            cloud_init: None,
            ha: guest.hastate.map(|state| Ha {
                managed: true,
                state: Some(state),
            }),
            pending: None,
            description: None,
            raw_lxc: Vec::new(),
            other: None,
            hint: None,
        }
    }

    fn new(guest: Guest, read: Read) -> Self {
        let kind = guest.kind;
        let all_cores = guest.maxcpu.map_or(1, |cpus| cpus.0 as u64);
        let mut notes = Vec::new();
        let mut pending: Vec<Pending> = read.entries.iter().filter_map(Entry::waiting).collect();
        bounds::keep(&mut pending, MOST_PENDING, "pending changes", &mut notes);
        let mut config = Config(
            read.entries
                .into_iter()
                .filter_map(|entry| Some((entry.key, entry.value?.0)))
                .collect(),
        );
        config.take("digest");
        let mut disks: Vec<Disk> = config
            .matching(|key| Disk::is_key(kind, key))
            .iter()
            .map(|(key, value)| Disk::parse(key, value))
            .collect();
        // What is in use comes before what was detached.
        disks.sort_by_key(|disk| disk.id.starts_with("unused"));
        let mut nics: Vec<Nic> = config
            .matching(Nic::is_key)
            .iter()
            .map(|(key, value)| Nic::parse(kind, key, value))
            .collect();
        let cloud_init = match kind {
            Kind::Qemu => CloudInit::take(&mut config, &disks),
            Kind::Lxc => None,
        };
        bounds::keep(&mut disks, MOST_DISKS, "disks", &mut notes);
        bounds::keep(&mut nics, MOST_NICS, "network cards", &mut notes);
        let known = Self::known(guest);
        let current = read.current;
        let live = current.as_ref();
        let mut tags = config
            .take("tags")
            .map_or(known.tags, |tags| split_tags(&tags));
        bounds::keep(&mut tags, MOST_TAGS, "tags", &mut notes);
        let mut raw_lxc: Vec<String> = read
            .raw_lxc
            .iter()
            .map(|line| text::cut(line, VALUE_LENGTH))
            .collect();
        bounds::keep(&mut raw_lxc, MOST_RAW, "raw LXC settings", &mut notes);
        let agent_enabled = (kind == Kind::Qemu).then(|| config.agent());
        let description = config.take("description").map(|description| {
            let description = description.trim();
            let length = description.chars().count();
            if length > DESCRIPTION_LENGTH {
                notes.push(format!(
                    "the first {DESCRIPTION_LENGTH} of {length} characters of the description are \
                     shown"
                ));
            }
            text::cut(description, DESCRIPTION_LENGTH)
        });
        let mut details = Self {
            name: config
                .take("name")
                .or_else(|| config.take("hostname"))
                .or(known.name),
            status: live.and_then(Current::shown).unwrap_or(known.status),
            incomplete: (!read.incomplete.is_empty()).then(|| read.incomplete.join("; ")),
            lock: config
                .take("lock")
                .or_else(|| live?.lock.clone())
                .or(known.lock),
            template: config.flag("template").unwrap_or(known.template),
            uptime_seconds: live.and_then(|live| Some(live.uptime?.0)),
            cpu: Some(GuestCpu {
                // Without a setting a VM has one core, a container all of its
                // node's.
                cores: config.number("cores").unwrap_or(match kind {
                    Kind::Qemu => 1,
                    Kind::Lxc => all_cores,
                }),
                sockets: (kind == Kind::Qemu).then(|| config.number("sockets").unwrap_or(1)),
                model: config.take("cpu"),
                cpu_limit: config.number("cpulimit").filter(|limit: &f64| *limit > 0.0),
                used_percent: live.and_then(|live| Some(text::round(live.cpu?.0 * 100.0, 1))),
            }),
            memory: Some(GuestMemory {
                configured_bytes: config
                    .take("memory")
                    .map_or(512, |memory| mebibytes(&memory))
                    .saturating_mul(MIB),
                used_bytes: live.and_then(|live| Some(live.mem?.0)),
                min_memory_bytes: config
                    .number("balloon")
                    .map(|balloon: u64| balloon.saturating_mul(MIB)),
                swap_bytes: (kind == Kind::Lxc)
                    .then(|| config.number("swap").unwrap_or(512u64).saturating_mul(MIB)),
            }),
            boot: Some(Boot {
                start_at_boot: config.flag("onboot").unwrap_or(false),
                order: config
                    .take("boot")
                    .map_or_else(Vec::new, |boot| boot_order(&boot)),
                startup: config.take("startup"),
            }),
            tags,
            protection: Some(config.flag("protection").unwrap_or(false)),
            os_type: config.take("ostype"),
            agent_enabled,
            unprivileged: (kind == Kind::Lxc).then(|| config.flag("unprivileged").unwrap_or(false)),
            cloud_init,
            ha: match live {
                Some(live) => Some(Ha {
                    managed: live.ha.managed.0,
                    state: live.ha.state.clone(),
                }),
                None => known.ha,
            },
            pending: Some(pending),
            description,
            disks: Some(disks),
            nics: Some(nics),
            raw_lxc,
            ..known
        };
        let mut other: Vec<(String, String)> = config
            .0
            .into_iter()
            .map(|(key, value)| (key, text::cut(&value, VALUE_LENGTH)))
            .collect();
        bounds::keep(&mut other, MOST_OTHER, "other settings", &mut notes);
        details.other = Some(other.into_iter().collect());
        details.hint = (!notes.is_empty()).then(|| notes.join("; "));
        details
    }

    fn text(&self) -> String {
        let mut text = format!(
            "{} {}{} on {}: {}",
            self.kind.as_str(),
            self.vmid,
            self.name
                .as_ref()
                .map_or_else(String::new, |name| format!(" ({name})")),
            self.node,
            self.status,
        );
        if let Some(cpu) = &self.cpu {
            text.push_str(&format!(
                ", {} cores",
                cpu.cores.saturating_mul(cpu.sockets.unwrap_or(1))
            ));
        }
        if let Some(memory) = &self.memory {
            text.push_str(&format!(", {}", text::bytes(memory.configured_bytes)));
        }
        if let Some(pending) = self.pending.as_ref().filter(|all| !all.is_empty()) {
            text.push_str(&format!(
                ", {} waiting for a restart",
                text::count(pending.len(), "change")
            ));
        }
        if let Some(why) = &self.incomplete {
            text.push_str(&format!("; {why}"));
        }
        text
    }
}

impl Current {
    /// The state in QEMU's own word, where it says more.
    fn shown(&self) -> Option<String> {
        self.qmpstatus
            .as_ref()
            .filter(|status| *status != "prelaunch" || self.status == "running")
            .into_iter()
            .chain([&self.status])
            .find(|status| !status.is_empty())
            .cloned()
    }
}

impl Entry {
    fn in_force((key, value): (&str, &str)) -> Self {
        Self {
            key: key.to_owned(),
            value: Some(Text(value.to_owned())),
            pending: None,
            delete: None,
        }
    }

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
        let read = Read {
            entries: serde_json::from_value(entries).unwrap(),
            current: serde_json::from_value(current).unwrap(),
            ..Read::default()
        };
        let details = GuestDetails::new(serde_json::from_value(guest).unwrap(), read);
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
    fn states_are_filtered_as_they_are() {
        let fits = |filter: &str, guest_json: Value| {
            let mut json = json!({"vmid": 100, "type": "qemu", "node": "pve1"});
            let more = guest_json.as_object().unwrap().clone();
            json.as_object_mut().unwrap().extend(more);
            serde_json::from_value::<ListGuests>(json!({"status": filter}))
                .unwrap()
                .fits(&guest(json))
        };
        for status in [
            "running",
            "paused",
            "prelaunch",
            "suspended",
            "io-error",
            "internal-error",
        ] {
            assert!(fits(status, json!({"status": status})), "{status}");
            assert!(!fits("stopped", json!({"status": status})), "{status}");
            assert!(!fits("other", json!({"status": status})), "{status}");
        }
        assert!(fits(
            "suspended",
            json!({"status": "stopped", "lock": "suspended"})
        ));
        assert!(fits("unknown", json!({"status": "unknown"})) && fits("unknown", json!({})));
        assert!(fits("other", json!({"status": "guest-panicked"})));
        assert!(!fits("running", json!({"status": "guest-panicked"})));
    }

    #[test]
    fn a_pool_holds_those_within_it_alone() {
        assert!(within("lab", "lab") && within("lab", "lab/team-a/x"));
        assert!(!within("lab", "labor") && !within("lab/team-a", "lab"));
    }

    #[test]
    fn a_filter_that_names_nothing_names_the_nearest() {
        let known = ["lab", "prod"].map(str::to_owned).into();
        for (name, says) in [
            ("Prod", "prod is probably meant (case matters)"),
            ("prdo", "prod is probably meant;"),
            ("zzzzzz", "\"zzzzzz\"; there are: lab, prod"),
        ] {
            let message = no_such("pool", name, "the token", &known).message();
            assert!(message.contains(says), "{message}");
        }
    }

    #[test]
    fn what_a_guest_has_without_end_is_cut_and_counted() {
        let mut entries = vec![json!({"key": "description", "value": "x".repeat(9000)})];
        for number in 0..200 {
            entries.push(json!({"key": format!("unused{number}"), "value": "local:x"}));
        }
        entries.push(json!({"key": "scsi0", "value": "local:100/vm-100-disk-0.raw,size=1G"}));
        let details = details(
            json!({"vmid": 100, "type": "qemu", "node": "pve1"}),
            Value::Array(entries),
            json!({"status": "stopped"}),
        );
        assert_eq!(details["disks"].as_array().unwrap().len(), MOST_DISKS);
        assert_eq!(details["disks"][0]["disk"], "scsi0");
        let hint = details["hint"].as_str().unwrap();
        assert!(
            hint.contains("64 of 201 disks") && hint.contains("of 9000 characters"),
            "{hint}"
        );
    }

    #[test]
    fn agent_options_are_not_lost() {
        let details = details(
            json!({"vmid": 100, "type": "qemu", "node": "pve1"}),
            json!([{"key": "agent", "value": "1,fstrim_cloned_disks=1,type=isa"}]),
            json!({"status": "stopped"}),
        );
        assert_eq!(details["agent_enabled"], true);
        assert_eq!(
            details["other"]["agent"],
            "1,fstrim_cloned_disks=1,type=isa"
        );
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
