//! `get_guest`: one guest in full.

use pve_api::calls;
use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::config::{CloudInit, Config, boot_order};
use super::read::{NodeData, Pending, shown};
use super::tags::MOST_TAGS;
use crate::error::{Error, Result};
use crate::json::{DeserializeFields, SerializeFields};
use crate::order::{self, Ordered as _};
use crate::pve::{Disk, Guest, GuestState, GuestType, Nic, Pve, Vmid, owned_tags};
use crate::text;
use crate::tool::declared::{Calls, LOOK_UP};
use crate::tool::{Reply, Run, bounds};

/// One guest in full.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetGuest {
    vmid: Vmid,
}

/// Settings are absent where they could not be read.
#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct GuestDetails {
    vmid: Vmid,
    kind: GuestType,
    node: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// `running`, `stopped`, `paused`, or another state of QEMU.
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
    /// Whether the configuration enables the QEMU guest agent.
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
    /// A container's raw LXC settings, which Proxmox does not interpret:
    /// devices, mounts, capabilities.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    raw_lxc: Vec<String>,
    /// All other settings, verbatim.
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
struct GuestCpu {
    cores: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sockets: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// The limit of CPU time, in CPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_limit: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    used_percent: Option<f64>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
struct GuestMemory {
    configured_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    used_bytes: Option<u64>,
    /// A VM's minimum memory under ballooning; 0 if ballooning is disabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    min_memory_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    swap_bytes: Option<u64>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
struct Boot {
    /// Started when its node starts.
    start_at_boot: bool,
    /// Devices, first to last.
    order: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    startup: Option<String>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
struct Ha {
    managed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
}

impl Run for GetGuest {
    type Output = GuestDetails;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::Guest(&calls::guests::CONFIG),
        Calls::Guest(&calls::guests::PENDING),
        Calls::Guest(&calls::guests::STATUS),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<GuestDetails>> {
        let guest = Guest::find(pve, self.vmid)?;
        let read = guest.reachable(pve).and_then(|()| {
            guest
                .clone()
                .retry_if_moved(pve, |guest| Ok(NodeData::new(pve, guest)?))
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

/// How many disks, network cards and other entries a result shows: a guest can have any
/// number.
pub(super) const MOST_DISKS: usize = 64;
const MOST_NICS: usize = 32;
const MOST_PENDING: usize = 64;

const MOST_RAW: usize = 64;
const MOST_OTHER: usize = 150;

/// How much of a value and of a description a result shows.
const VALUE_LENGTH: usize = 1_000;
const DESCRIPTION_LENGTH: usize = 2_000;

impl GuestDetails {
    /// What the cluster's list contains.
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

    /// What the list and the guest's node report. Each setting has one field; those
    /// without a separate field are in `other`.
    pub(super) fn new(guest: Guest, read: NodeData) -> Self {
        let kind = guest.kind;
        let all_cores = guest.maxcpu.map_or(1, |cpus| cpus.0 as u64);
        let known = Self::known(guest);
        let state = read.current.as_ref();
        let mut config = Config::from(&read.settings);
        config.take("digest");
        let disks = disks(&mut config, kind);
        let cloud_init = match kind {
            GuestType::Qemu => CloudInit::take(&mut config, &disks),
            GuestType::Lxc => None,
        };
        let mut details = Self {
            name: config
                .take("name")
                .or_else(|| config.take("hostname"))
                .or(known.name),
            status: state.and_then(shown).unwrap_or(known.status),
            incomplete: (!read.incomplete.is_empty()).then(|| read.incomplete.join("; ")),
            lock: config
                .take("lock")
                .or_else(|| state?.lock().map(str::to_owned))
                .or(known.lock),
            template: config.flag("template").unwrap_or(known.template),
            uptime_seconds: state.and_then(|state| Some(state.uptime?.0)),
            cpu: Some(GuestCpu::take(&mut config, kind, all_cores, state)),
            memory: Some(GuestMemory::take(&mut config, kind, state)),
            disks: Some(disks),
            nics: Some(nics(&mut config, kind)),
            boot: Some(Boot::take(&mut config)),
            tags: config
                .take("tags")
                .map_or(known.tags, |tags| owned_tags(&tags)),
            protection: Some(config.flag("protection").unwrap_or(false)),
            os_type: config.take("ostype"),
            agent_enabled: (kind == GuestType::Qemu).then(|| config.agent()),
            unprivileged: (kind == GuestType::Lxc)
                .then(|| config.flag("unprivileged").unwrap_or(false)),
            cloud_init,
            ha: match state {
                Some(state) => Some(Ha {
                    managed: state.is_ha_managed(),
                    state: state.ha_state().map(str::to_owned),
                }),
                None => known.ha,
            },
            pending: Some(
                read.settings
                    .changes()
                    .map(|(setting, change)| Pending::new(setting, change))
                    .collect(),
            ),
            description: config.take("description"),
            raw_lxc: read.raw_lxc,
            ..known
        };
        details.other = Some(config.0);
        details.shorten();
        details
    }

    /// Shortens lists and texts, and says in `hint` how much is left out: a guest's
    /// configuration can have any length.
    fn shorten(&mut self) {
        let mut notes = Vec::new();
        if let Some(pending) = &mut self.pending {
            bounds::keep(pending, MOST_PENDING, "pending changes", &mut notes);
        }
        if let Some(disks) = &mut self.disks {
            bounds::keep(disks, MOST_DISKS, "disks", &mut notes);
        }
        if let Some(nics) = &mut self.nics {
            bounds::keep(nics, MOST_NICS, "network cards", &mut notes);
        }
        bounds::keep(&mut self.tags, MOST_TAGS, "tags", &mut notes);
        bounds::keep(&mut self.raw_lxc, MOST_RAW, "raw LXC settings", &mut notes);
        for line in &mut self.raw_lxc {
            *line = text::cut(line, VALUE_LENGTH);
        }
        if let Some(description) = &mut self.description {
            let length = description.trim().chars().count();
            if length > DESCRIPTION_LENGTH {
                notes.push(format!(
                    "the first {DESCRIPTION_LENGTH} of {length} characters of the description are \
                     shown"
                ));
            }
            *description = text::cut(description.trim(), DESCRIPTION_LENGTH);
        }
        if let Some(other) = self.other.take() {
            let mut other: Vec<(String, String)> = other.into_iter().collect();
            bounds::keep(&mut other, MOST_OTHER, "other settings", &mut notes);
            let cut = |(key, value): (String, String)| (key, text::cut(&value, VALUE_LENGTH));
            self.other = Some(other.into_iter().map(cut).ordered());
        }
        self.hint = (!notes.is_empty()).then(|| notes.join("; "));
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

impl GuestCpu {
    /// Without a setting, a VM has one core and a container all of its node's.
    fn take(
        config: &mut Config,
        kind: GuestType,
        all_cores: u64,
        state: Option<&GuestState>,
    ) -> Self {
        Self {
            cores: config.number("cores").unwrap_or(match kind {
                GuestType::Qemu => 1,
                GuestType::Lxc => all_cores,
            }),
            sockets: (kind == GuestType::Qemu).then(|| config.number("sockets").unwrap_or(1)),
            model: config.take("cpu"),
            cpu_limit: config.number("cpulimit").filter(|limit: &f64| *limit > 0.0),
            used_percent: state.and_then(|state| Some(text::round(state.cpu?.0 * 100.0, 1))),
        }
    }
}

impl GuestMemory {
    /// Proxmox's default is 512 MiB, of memory and of a container's swap.
    fn take(config: &mut Config, kind: GuestType, state: Option<&GuestState>) -> Self {
        let bytes = |mebibytes: u64| mebibytes.saturating_mul(MIB);
        Self {
            configured_bytes: bytes(config.number("memory").unwrap_or(512)),
            used_bytes: state.and_then(|state| Some(state.mem?.0)),
            min_memory_bytes: config.number("balloon").map(bytes),
            swap_bytes: (kind == GuestType::Lxc)
                .then(|| bytes(config.number("swap").unwrap_or(512))),
        }
    }
}

impl Boot {
    fn take(config: &mut Config) -> Self {
        Self {
            start_at_boot: config.flag("onboot").unwrap_or(false),
            order: config
                .take("boot")
                .map_or_else(Vec::new, |boot| boot_order(&boot)),
            startup: config.take("startup"),
        }
    }
}

/// The disks in use, then those that were detached.
fn disks(config: &mut Config, kind: GuestType) -> Vec<Disk> {
    let mut disks: Vec<Disk> = config
        .matching(|key| Disk::is_key(kind, key))
        .iter()
        .map(|(key, value)| Disk::parse(key, value))
        .collect();
    order::by_key(&mut disks, |disk| disk.is_unused());
    disks
}

fn nics(config: &mut Config, kind: GuestType) -> Vec<Nic> {
    config
        .matching(Nic::is_key)
        .iter()
        .map(|(key, value)| Nic::parse(kind, key, value))
        .collect()
}
