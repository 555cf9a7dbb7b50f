//! What the files in `worlds/` hold.
//!
//! Sizes are texts such as `783M`; a unit is 1024 times the one before it. Nodes
//! are `@local`, `@offline` or `@1`, as the command line may name others.

use std::collections::BTreeMap;

use anyhow::Context as _;
use pve_api::{GuestType, Vmid};
use serde::Deserialize;

use super::{DAY, node, running, size};
use crate::clock::now;
use crate::options;
use crate::state::{self, Cluster, IpSet, Rule, parse_conf};

/// A cluster.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct World {
    pub(super) name: String,
    pub(super) hardware: Hardware,
    pub(super) storages: Vec<Storage>,
    pub(super) guests: Vec<Guest>,
    #[serde(default)]
    pub(super) firewall: Firewall,
    /// By vmid, whether there is such a guest or not.
    #[serde(default)]
    pub(super) guest_firewalls: BTreeMap<String, Firewall>,
    pub(super) pools: BTreeMap<String, Pool>,
    /// By service: `vm:104`.
    pub(super) ha: BTreeMap<String, HaResource>,
    /// By id, each as `jobs.cfg` has it.
    pub(super) backup_jobs: BTreeMap<String, BTreeMap<String, String>>,
    pub(super) files: Vec<File>,
    pub(super) backups: Vec<Backup>,
    pub(super) tasks: Vec<Task>,
}

/// What all nodes have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hardware {
    pub(super) nodes: Vec<String>,
    pub(super) cpus: u32,
    pub(super) cpu_model: String,
    pub(super) memory: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Storage {
    id: String,
    plugin: String,
    path: Option<String>,
    content: Vec<String>,
    #[serde(default)]
    shared: bool,
    #[serde(default)]
    nodes: Vec<String>,
    total: String,
    /// What is used in addition to the known volumes.
    used_by_others: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Guest {
    pub(super) vmid: Vmid,
    kind: GuestType,
    pub(super) node: String,
    /// It is stopped without one.
    uptime_seconds: Option<i64>,
    #[serde(default)]
    agent_inside: bool,
    #[serde(default)]
    ignores_shutdown: bool,
    load: Option<f64>,
    memory_use: Option<f64>,
    #[serde(default)]
    generation: u64,
    /// By number of the network card.
    #[serde(default)]
    addresses: BTreeMap<String, Vec<String>>,
    /// As in `/etc/pve`.
    config: String,
    #[serde(default)]
    snapshots: Vec<Snapshot>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Snapshot {
    name: String,
    description: Option<String>,
    /// Seconds since 1970, or else its age.
    time: Option<i64>,
    age_days: Option<i64>,
    #[serde(default)]
    generation: u64,
    config: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Firewall {
    options: BTreeMap<String, String>,
    /// `type=in action=ACCEPT …`; `_` stands for a space.
    rules: Vec<String>,
    aliases: BTreeMap<String, Alias>,
    ipsets: BTreeMap<String, Networks>,
    groups: BTreeMap<String, Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Alias {
    network: String,
    comment: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Networks {
    comment: String,
    networks: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    comment: String,
    rules: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pool {
    #[serde(default)]
    comment: String,
    guests: Vec<u32>,
    #[serde(default)]
    storages: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HaResource {
    state: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) storage: String,
    pub(super) node: Option<String>,
    /// With its folder: `iso/debian.iso`.
    pub(super) name: String,
    pub(super) size: String,
    pub(super) age_days: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Backup {
    pub(super) vmid: Vmid,
    pub(super) storage: String,
    pub(super) node: Option<String>,
    pub(super) age_hours: i64,
    pub(super) size: String,
    pub(super) notes: Option<String>,
    #[serde(default)]
    pub(super) protected: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Task {
    pub(super) node: String,
    pub(super) user: String,
    pub(super) kind: String,
    #[serde(default)]
    pub(super) id: String,
    pub(super) seconds_ago: i64,
    pub(super) took_seconds: i64,
    pub(super) status: String,
    #[serde(default)]
    pub(super) log: Vec<String>,
}

/// What every cluster has.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Common {
    /// What the nodes can fetch from the network.
    pub(super) downloads: Vec<Download>,
    pub(super) appliances: Vec<Appliance>,
    pub(super) journal: Vec<JournalLine>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Download {
    url: String,
    size: String,
    mimetype: String,
    sha256: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Appliance {
    template: String,
    section: String,
    os: String,
    version: String,
    headline: String,
    size: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JournalLine {
    pub(super) seconds_ago: i64,
    pub(super) text: String,
}

impl World {
    /// The file of a world.
    pub(super) fn read(world: options::World) -> anyhow::Result<Self> {
        match world {
            options::World::Test => {
                toml::from_str(include_str!("../../worlds/test.toml")).context("worlds/test.toml")
            }
            options::World::Demo => {
                toml::from_str(include_str!("../../worlds/demo.toml")).context("worlds/demo.toml")
            }
        }
    }
}

impl Common {
    /// The file of what every world has.
    pub(super) fn read() -> anyhow::Result<Self> {
        toml::from_str(include_str!("../../worlds/common.toml")).context("worlds/common.toml")
    }
}

impl Storage {
    pub(super) fn with_nodes(self, cluster: &Cluster) -> anyhow::Result<state::Storage> {
        Ok(state::Storage {
            id: self.id,
            plugin: self.plugin,
            path: self.path,
            content: self.content,
            shared: self.shared,
            enabled: true,
            nodes: self
                .nodes
                .iter()
                .filter_map(|text| node(cluster, text))
                .collect(),
            total: size(&self.total)?,
            base_used: size(&self.used_by_others)?,
        })
    }
}

impl Guest {
    pub(super) fn on(self, node: &str) -> anyhow::Result<state::Guest> {
        let mut guest = state::Guest::new(self.vmid.get(), self.kind, node, &self.config);
        if let Some(uptime) = self.uptime_seconds {
            running(&mut guest, uptime);
        }
        guest.agent_inside = self.agent_inside;
        guest.obeys_shutdown = !self.ignores_shutdown;
        guest.load = self.load.unwrap_or(guest.load);
        guest.memory_use = self.memory_use.unwrap_or(guest.memory_use);
        guest.generation = self.generation;
        for (card, addresses) in self.addresses {
            guest.addresses.insert(card.parse()?, addresses);
        }
        for snapshot in self.snapshots {
            let age = snapshot.age_days.unwrap_or_default() * DAY;
            let state = state::Snapshot {
                parent: None,
                time: snapshot.time.unwrap_or_else(|| now() - age),
                description: snapshot.description,
                vmstate: false,
                config: parse_conf(&snapshot.config),
                generation: snapshot.generation,
            };
            guest.snapshots.insert(snapshot.name, state);
        }
        Ok(guest)
    }
}

impl From<Firewall> for state::Firewall {
    fn from(file: Firewall) -> Self {
        let ipset = |set: Networks| IpSet {
            comment: set.comment,
            entries: set
                .networks
                .into_iter()
                .map(|network| (network, false, String::new()))
                .collect(),
        };
        let group = |group: Group| state::Group {
            comment: group.comment,
            rules: group.rules.iter().map(|text| rule(text)).collect(),
        };
        Self {
            options: file.options,
            rules: file.rules.iter().map(|text| rule(text)).collect(),
            aliases: file
                .aliases
                .into_iter()
                .map(|(name, alias)| (name, (alias.network, alias.comment)))
                .collect(),
            ipsets: file
                .ipsets
                .into_iter()
                .map(|(name, set)| (name, ipset(set)))
                .collect(),
            groups: file
                .groups
                .into_iter()
                .map(|(name, one)| (name, group(one)))
                .collect(),
        }
    }
}

fn rule(text: &str) -> Rule {
    text.split(' ')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.replace('_', " ")))
        .collect()
}

impl From<Pool> for state::Pool {
    fn from(pool: Pool) -> Self {
        Self {
            comment: pool.comment,
            guests: pool.guests,
            storages: pool.storages,
        }
    }
}

impl From<HaResource> for state::HaResource {
    fn from(resource: HaResource) -> Self {
        Self {
            state: resource.state,
            comment: None,
            max_restart: 1,
            max_relocate: 1,
            failback: true,
        }
    }
}

impl TryFrom<Download> for state::Download {
    type Error = anyhow::Error;

    fn try_from(download: Download) -> anyhow::Result<Self> {
        Ok(Self {
            size: size(&download.size)?,
            url: download.url,
            mimetype: download.mimetype,
            sha256: download.sha256,
        })
    }
}

impl TryFrom<Appliance> for state::Appliance {
    type Error = anyhow::Error;

    fn try_from(appliance: Appliance) -> anyhow::Result<Self> {
        Ok(Self {
            size: size(&appliance.size)?,
            template: appliance.template,
            section: appliance.section,
            os: appliance.os,
            version: appliance.version,
            headline: appliance.headline,
        })
    }
}
