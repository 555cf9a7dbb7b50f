//! What decides where a guest can go: its own needs, and what the other nodes
//! have.

use std::collections::BTreeSet;

use pve_api::calls;

use super::super::survey::{How, Survey, is_ha_managed};
use crate::error::{Error, Result};
use crate::order::Ordered as _;
use crate::pve::{
    At, Disk, Guest, GuestConfig, HaEntry, HaRule, NodeStatus, Params, PendingConfig, Properties,
    Pve, Request, Source, StorageResource, bridges,
};
use crate::tools::finding::{visible, visible_ha_rules};
use crate::{text, tool_names};

/// A node that guests may go to. What is absent could not be read.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(super) name: String,
    pub(super) memory_total: Option<u64>,
    /// What is available now, in bytes.
    pub(super) memory_free: Option<u64>,
    /// Threads: a VM cannot have more.
    pub(super) cpus: Option<u64>,
    pub(super) cpu_model: Option<String>,
    /// The version of Proxmox VE: `9.2.11`.
    pub(super) version: Option<String>,
    /// Empty if the token sees none.
    pub(super) bridges: BTreeSet<String>,
}

/// What is known of a node that guests leave.
#[derive(Debug, Default)]
pub(crate) struct SourceNode {
    pub(super) cpu_model: Option<String>,
    pub(super) version: Option<String>,
}

/// What high availability has to say.
#[derive(Debug, Default)]
pub(crate) struct Ha {
    pub(super) rules: Vec<HaRule>,
    /// Services that it does not move back to the node that they prefer.
    stays_put: BTreeSet<String>,
    /// Nodes in maintenance mode.
    maintenance: BTreeSet<String>,
}

/// A guest that may move, with its needs.
#[derive(Debug)]
pub(crate) struct Mover {
    pub(super) guest: Guest,
    pub(super) how: How,
    /// What it needs on its new node, in bytes: nothing unless it runs.
    pub(super) memory: u64,
    /// Of a running VM.
    pub(super) vcpus: u64,
    /// A running VM's type of CPU.
    pub(super) cpu_type: Option<String>,
    /// Card and bridge.
    pub(super) nics: Vec<(String, String)>,
    /// The storages of its volumes.
    pub(super) storages: BTreeSet<String>,
    /// Storage and size of each volume that is copied over the network.
    pub(super) copied: Vec<(String, u64)>,
    pub(super) survey: Survey,
    /// What keeps it from moving anywhere.
    pub(super) blockers: Vec<String>,
    /// The `target_storage` that reverses its move; once it is planned.
    pub(super) back: Option<String>,
}

impl Node {
    pub(crate) fn read(pve: &Pve, name: &str, not_visible: &mut Vec<String>) -> Self {
        let what = format!("memory and CPUs of node {name}, which were not compared");
        let status = status(pve, name, &what, not_visible);
        let bridges = visible(
            bridges(pve, name),
            &format!("bridges of node {name}"),
            not_visible,
        );
        Self::new(
            name,
            status.unwrap_or_default(),
            bridges.unwrap_or_default().into_iter().ordered(),
        )
    }

    fn new(name: &str, status: NodeStatus, bridges: BTreeSet<String>) -> Self {
        let memory = status.memory.unwrap_or_default();
        let cpu = status.cpuinfo.unwrap_or_default();
        Self {
            name: name.to_owned(),
            memory_total: memory.total.map(|bytes| bytes.0),
            memory_free: memory.free(),
            cpus: cpu.cpus.map(|count| count.0),
            cpu_model: cpu.model,
            version: status.pveversion.as_deref().and_then(version),
            bridges,
        }
    }

    /// The requests of [`Self::read`].
    pub(crate) fn requests(name: &str) -> impl Iterator<Item = (Request, Params)> + use<> {
        [
            (calls::nodes::STATUS.at([name]), Params::new()),
            (
                calls::nodes::NETWORK.at([name]),
                Params::new().set("type", "any_bridge"),
            ),
        ]
        .into_iter()
    }
}

impl SourceNode {
    pub(crate) fn read(pve: &Pve, name: &str, not_visible: &mut Vec<String>) -> Self {
        let what = format!("the CPU model and version of node {name}, which were not compared");
        let status = status(pve, name, &what, not_visible).unwrap_or_default();
        Self {
            cpu_model: status.cpuinfo.and_then(|cpu| cpu.model),
            version: status.pveversion.as_deref().and_then(version),
        }
    }
}

/// The version in `pve-manager/9.2.11/14a22df35955d97d`.
fn version(text: &str) -> Option<String> {
    text.split('/').nth(1).map(str::to_owned)
}

fn status(pve: &Pve, name: &str, what: &str, not_visible: &mut Vec<String>) -> Option<NodeStatus> {
    let status = pve.send(&calls::nodes::STATUS.at([name]), &Params::new());
    visible(status, what, not_visible)
}

impl Ha {
    /// Reads its state, which names the nodes in maintenance mode, and its rules if any
    /// guest is under high availability.
    pub(crate) fn read(pve: &Pve, guests: &[&Guest], not_visible: &mut Vec<String>) -> Self {
        let entries: Vec<HaEntry> = visible(
            pve.send(&calls::cluster::HA_STATUS.at([]), &Params::new()),
            "the state of high availability, so nodes in maintenance mode are not known",
            not_visible,
        )
        .unwrap_or_default();
        if !guests.iter().any(|guest| is_ha_managed(guest)) {
            return Self::new(&entries, Vec::new());
        }
        let rules = visible_ha_rules(pve, "the rules of high availability", not_visible);
        Self::new(&entries, rules)
    }

    pub(super) fn new(entries: &[HaEntry], rules: Vec<HaRule>) -> Self {
        let services = entries.iter().filter(|entry| entry.kind == "service");
        let stays = services.filter(|entry| entry.failback.is_some_and(|flag| !flag.0));
        let nodes = entries.iter().filter(|entry| entry.kind == "lrm");
        let resting = nodes.filter(|entry| entry.said().contains("maintenance"));
        Self {
            stays_put: stays
                .filter_map(|entry| Some(entry.service()?.to_owned()))
                .ordered(),
            maintenance: resting.map(|entry| entry.on_node().to_owned()).ordered(),
            rules: rules.into_iter().filter(HaRule::is_enabled).collect(),
        }
    }

    /// Whether a node is in maintenance mode.
    pub(crate) fn is_resting(&self, node: &str) -> bool {
        self.maintenance.contains(node)
    }

    /// Whether it moves a service back to the node that a rule prefers, which is
    /// the default.
    pub(super) fn fails_back(&self, sid: &str) -> bool {
        !self.stays_put.contains(sid)
    }
}

impl Mover {
    /// Reads what a move of the guest needs. The error says what keeps the guest
    /// from moving.
    pub(crate) fn read(pve: &Pve, guest: &Guest, storages: &[StorageResource]) -> Result<Self> {
        let (survey, config) = Survey::with_config(pve, guest, || Ok(storages.to_vec()))?;
        Ok(Self::new(guest.clone(), survey, config.as_ref()))
    }

    pub(super) fn new(guest: Guest, survey: Survey, config: Option<&GuestConfig>) -> Self {
        let how = survey.how(guest.kind);
        let settings = config.map(PendingConfig::from);
        let number = |key: &str| settings.as_ref()?.number(key);
        let configured = number("memory").map(|mib| mib.saturating_mul(1 << 20));
        let memory = guest.maxmem.map(|bytes| bytes.0).or(configured);
        let is_live = how == How::Live;
        let vcpus = number("cores")
            .unwrap_or(1)
            .saturating_mul(number("sockets").unwrap_or(1));
        let cpu_type = config.and_then(|config| {
            let cpu = Properties::parse(config.get("cpu")?);
            let kind = cpu.bare().or_else(|| cpu.get("cputype"))?;
            Some(kind.to_owned())
        });
        let nics = config.map(GuestConfig::nics).unwrap_or_default();
        let disks = config.map(GuestConfig::disks).unwrap_or_default();
        let copied = survey.copied();
        Self {
            memory: match how {
                How::Offline => 0,
                How::Live | How::Restart => memory.unwrap_or_default(),
            },
            vcpus: if is_live { vcpus } else { 0 },
            cpu_type: cpu_type.filter(|_| is_live),
            nics: nics
                .into_iter()
                .filter_map(|nic| Some((nic.id, nic.bridge?)))
                .collect(),
            storages: disks
                .iter()
                .filter(|disk| disk.source == Source::Volume)
                .filter_map(|disk| disk.storage.clone())
                .ordered(),
            copied: copied
                .iter()
                .filter_map(|disk| {
                    let storage = Disk::parse("", &disk.volid).storage?;
                    Some((storage, disk.size_bytes.unwrap_or_default()))
                })
                .collect(),
            blockers: blockers(&guest, &survey),
            back: None,
            how,
            survey,
            guest,
        }
    }

    /// Whether it may crash on another CPU: a VM that sees its node's own, and
    /// does not stop.
    pub(crate) fn depends_on_cpu(&self) -> bool {
        matches!(self.cpu_type.as_deref(), Some("host" | "max"))
    }

    pub(crate) fn is_live(&self) -> bool {
        self.how == How::Live
    }

    /// Whether its type of CPU may lack features on another model, or be missing there.
    pub(crate) fn has_demanding_cpu(&self) -> bool {
        const BASIC: &[&str] = &[
            "kvm32",
            "kvm64",
            "qemu32",
            "qemu64",
            "x86-64-v2",
            "x86-64-v2-AES",
        ];
        let kind = self.cpu_type.as_deref();
        kind.is_some_and(|kind| !BASIC.contains(&kind))
    }

    /// Whether high availability moves it, which ignores `target_storage`.
    pub(crate) fn is_ha_managed(&self) -> bool {
        is_ha_managed(&self.guest)
    }

    pub(super) fn copied_bytes(&self) -> u64 {
        self.copied.iter().map(|(_, bytes)| bytes).sum()
    }

    /// The requests of [`Self::read`].
    pub(crate) fn requests(guest: &Guest) -> impl Iterator<Item = (Request, Params)> + use<> {
        [
            guest.request(&calls::guests::STATUS),
            guest.request(&calls::guests::MIGRATION_TARGETS),
            guest.request(&calls::guests::CONFIG),
        ]
        .into_iter()
        .map(|request| (request, Params::new()))
    }
}

/// What keeps a guest from moving anywhere, with what high availability would
/// not do.
fn blockers(guest: &Guest, survey: &Survey) -> Vec<String> {
    let mut blockers = survey.blockers(guest);
    if let Some(state @ ("error" | "disabled" | "recovery" | "fence")) = guest.hastate.as_deref() {
        blockers.push(format!(
            "high availability moves no guest in the state {state}: {}",
            match state {
                "disabled" => format!("set it to stopped with {}", tool_names::SET_HA_RESOURCE),
                _ => format!("{} shows why", tool_names::GET_HA),
            }
        ));
    }
    blockers
}

/// Why the needs of a guest could not be read, which keeps it where it is.
pub(crate) fn unread(error: &Error) -> String {
    let message = match error {
        Error::Conflict(message) => message.clone(),
        error => format!("it could not be checked: {}", error.message()),
    };
    text::cut(&message, 300)
}
