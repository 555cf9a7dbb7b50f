//! `get_guest`: one guest in full.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::config::{CloudInit, Config, boot_order};
use super::read::{Pending, Read, shown};
use super::tags::MOST_TAGS;
use crate::error::{Error, Result};
use crate::pve::{Disk, Guest, Kind, Nic, Pve, owned_tags};
use crate::text;
use crate::tool::{Reply, Run, bounds};

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
struct Ha {
    managed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
}

impl Run for GetGuest {
    type Output = GuestDetails;

    fn run(self, pve: &Pve) -> Result<Reply<GuestDetails>> {
        let guest = Guest::find(pve, self.vmid)?;
        let read = guest.reachable(pve).and_then(|()| {
            guest
                .clone()
                .retry_if_moved(pve, |guest| Ok(Read::new(pve, guest)?))
        });
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

pub(super) const MIB: u64 = 1 << 20;

/// How many of each a result shows: a guest decides how many it has.
pub(super) const MOST_DISKS: usize = 64;
const MOST_NICS: usize = 32;
const MOST_PENDING: usize = 64;

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

    pub(super) fn new(guest: Guest, read: Read) -> Self {
        let kind = guest.kind;
        let all_cores = guest.maxcpu.map_or(1, |cpus| cpus.0 as u64);
        let mut notes = Vec::new();
        let mut pending: Vec<Pending> = read
            .settings
            .changes()
            .map(|(setting, change)| Pending::new(setting, change))
            .collect();
        bounds::keep(&mut pending, MOST_PENDING, "pending changes", &mut notes);
        let mut config = Config(
            read.settings
                .iter()
                .filter_map(|setting| Some((setting.key.clone(), setting.value.clone()?)))
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
            .map_or(known.tags, |tags| owned_tags(&tags));
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
            status: live.and_then(shown).unwrap_or(known.status),
            incomplete: (!read.incomplete.is_empty()).then(|| read.incomplete.join("; ")),
            lock: config
                .take("lock")
                .or_else(|| live?.lock().map(str::to_owned))
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
                    .number("memory")
                    .unwrap_or(512u64)
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
                    managed: live.is_ha_managed(),
                    state: live.ha_state().map(str::to_owned),
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
