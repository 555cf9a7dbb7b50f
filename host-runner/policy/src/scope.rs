//! Which part of the cluster a policy is for.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use pve_api::{Action, Grammar, Vmid, owner_of, tags};
use serde_json::Value;

use super::answer::{self, Data};
use super::directory::{Directory, Resident};
use super::meaning::Meaning;

/// Which guests, nodes and storages there are for a policy. What is not
/// limited is all.
///
/// A guest is in scope when it is in one of the vmid ranges, or in one of the
/// pools, or has one of the tags, as far as any of these is given; and when its
/// node is in scope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Ranges of vmids.
    pub vmids: Vec<RangeInclusive<u32>>,
    /// Pools whose guests are in scope.
    pub pools: BTreeSet<String>,
    /// Tags whose guests are in scope.
    pub tags: BTreeSet<String>,
    /// Nodes.
    pub nodes: BTreeSet<String>,
    /// Storages.
    pub storages: BTreeSet<String>,
}

/// What a request names that is not in scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Outside {
    /// A guest.
    #[error("guest {vmid} is outside this server's scope ({scope})")]
    Guest {
        /// The guest.
        vmid: u32,
        /// What is in scope.
        scope: String,
    },
    /// A guest that would be made.
    #[error(
        "a new guest {vmid} would be outside this server's scope ({scope}): choose another vmid, or \
         a pool, that is in it"
    )]
    NewGuest {
        /// Its vmid.
        vmid: u32,
        /// What is in scope.
        scope: String,
    },
    /// A node.
    #[error("node {0} is outside this server's scope")]
    Node(String),
    /// A storage.
    #[error("storage {0} is outside this server's scope")]
    Storage(String),
    /// No storage, where Proxmox would choose one.
    #[error("name a storage in this server's scope: {0}")]
    UnnamedStorage(String),
    /// A migration of a guest that high availability would migrate itself.
    #[error(
        "guest {vmid} is under high availability, which migrates its disks to storages that the \
         request does not choose, but this server may use only: {storages}"
    )]
    HaMigration {
        /// The guest.
        vmid: u32,
        /// What is in scope.
        storages: String,
    },
    /// A volume of a guest that is outside, or whose owner is not known.
    #[error(
        "volume {volid} does not belong to a guest in this server's scope ({scope}), or its name \
         does not show whose it is"
    )]
    Volume {
        /// The volume.
        volid: String,
        /// What is in scope.
        scope: String,
    },
    /// A pool.
    #[error("pool {0} is outside this server's scope")]
    Pool(String),
    /// The whole cluster.
    #[error("this affects the whole cluster, but this server may act on only part of it")]
    Cluster,
    /// A log.
    #[error("this log covers all guests, but only some of them are in this server's scope")]
    Log,
}

impl Scope {
    /// Whether guests are limited at all.
    pub fn limits_guests(&self) -> bool {
        !(self.vmids.is_empty() && self.pools.is_empty() && self.tags.is_empty())
    }

    /// Whether deciding needs to know pools, tags or nodes of guests.
    pub fn needs_directory(&self) -> bool {
        self.limits_guests() || !self.nodes.is_empty()
    }

    /// Whether anything is limited.
    pub fn is_limited(&self) -> bool {
        self.needs_directory() || !self.storages.is_empty()
    }

    /// Whether a node is in scope.
    pub fn has_node(&self, node: &str) -> bool {
        self.nodes.is_empty() || self.nodes.contains(node)
    }

    /// Whether a pool is in scope.
    pub fn has_pool(&self, pool: &str) -> bool {
        !self.limits_guests() || self.pools.contains(pool)
    }

    /// Whether a storage is in scope.
    pub fn has_storage(&self, storage: &str) -> bool {
        self.storages.is_empty() || self.storages.contains(storage)
    }

    /// Whether a guest is in scope.
    pub fn has_guest(&self, vmid: u32, directory: &Directory) -> bool {
        self.has_resident(vmid, directory.get(&vmid))
    }

    /// Whether a guest is in scope, of which this is known.
    pub(crate) fn has_resident(&self, vmid: u32, resident: Option<&Resident>) -> bool {
        if !self.nodes.is_empty() && !resident.is_some_and(|one| self.has_node(&one.node)) {
            return false;
        }
        !self.limits_guests()
            || self.has_vmid(vmid)
            || resident.is_some_and(|resident| {
                let pool = resident.pool.as_ref();
                pool.is_some_and(|pool| self.pools.contains(pool)) || self.has_tag_of(resident)
            })
    }

    /// Whether a volume is of a guest in scope, or of no guest: an image or a
    /// template.
    pub(crate) fn has_volume(&self, volid: &str, directory: &Directory) -> bool {
        match owner_of(volid).map(Vmid::get) {
            Some(owner) => self.has_guest(owner, directory),
            None => volid.split_once(':').is_some_and(|(_, name)| {
                let folder = name.split_once('/').map(|(folder, _)| folder);
                matches!(folder, Some("iso" | "vztmpl" | "import"))
            }),
        }
    }

    /// Whether all that a request names is in scope, and it reaches nothing else.
    pub fn check(&self, meaning: &Meaning, directory: &Directory) -> Result<(), Outside> {
        for node in &meaning.nodes {
            if !self.has_node(node) {
                return Err(Outside::Node(node.clone()));
            }
        }
        for storage in &meaning.storages {
            if !self.has_storage(storage) {
                return Err(Outside::Storage(storage.clone()));
            }
        }
        if meaning.unnamed_storage && !self.storages.is_empty() {
            return Err(Outside::UnnamedStorage(joined(&self.storages)));
        }
        for &vmid in &meaning.vmids {
            if !self.has_guest(vmid, directory) {
                let scope = self.guests();
                return Err(Outside::Guest { vmid, scope });
            }
        }
        // An empty directory means that nothing was asked.
        if meaning.storage_left_to_ha && !self.storages.is_empty() && !directory.is_empty() {
            let managed = |vmid: &&u32| directory.get(vmid).is_none_or(|guest| guest.is_under_ha);
            if let Some(&vmid) = meaning.vmids.iter().find(managed) {
                let storages = joined(&self.storages);
                return Err(Outside::HaMigration { vmid, storages });
            }
        }
        for volid in &meaning.volids {
            if self.limits_guests() && !self.has_volume(volid, directory) {
                return Err(Outside::Volume {
                    volid: volid.clone(),
                    scope: self.guests(),
                });
            }
        }
        for pool in &meaning.pools {
            if !self.has_pool(pool) {
                return Err(Outside::Pool(pool.clone()));
            }
        }
        for &vmid in &meaning.new_vmids {
            if !self.has_new_guest(vmid, meaning, directory) {
                let scope = self.guests();
                return Err(Outside::NewGuest { vmid, scope });
            }
        }
        self.check_reach(meaning)
    }

    /// Whether a request reaches no further than what it names.
    fn check_reach(&self, meaning: &Meaning) -> Result<(), Outside> {
        if meaning.tells_of_any_guest && self.limits_guests() {
            return Err(Outside::Log);
        }
        // The log of the cluster tells of all nodes.
        if meaning.tells_of_any_guest && meaning.nodes.is_empty() && !self.nodes.is_empty() {
            return Err(Outside::Log);
        }
        let changes = meaning.actions.iter().any(|action| *action != Action::Read);
        if changes && meaning.nodes.is_empty() && meaning.vmids.is_empty() && self.is_limited() {
            return Err(Outside::Cluster);
        }
        // A job may have selected other guests before, and rules of high
        // availability tie guests together.
        let is_shared =
            |action: &Action| matches!(action, Action::BackupJob | Action::HighAvailability);
        if self.is_limited() && meaning.actions.iter().any(is_shared) {
            return Err(Outside::Cluster);
        }
        // Whose task it is cannot be told.
        if meaning.actions.contains(&Action::StopTask)
            && meaning.vmids.is_empty()
            && self.limits_guests()
        {
            return Err(Outside::Cluster);
        }
        // A node's own settings touch every guest on it.
        if changes && meaning.is_of_node() && self.limits_guests() {
            return Err(Outside::Cluster);
        }
        Ok(())
    }

    /// A guest that does not exist yet is in scope by its vmid, by the pool
    /// that it is made in, or by the tags that a clone takes from its source.
    fn has_new_guest(&self, vmid: u32, meaning: &Meaning, directory: &Directory) -> bool {
        let inherits = meaning.actions.contains(&Action::Clone)
            && !meaning.vmids.is_empty()
            && meaning.vmids.iter().all(|source| {
                directory
                    .get(source)
                    .is_some_and(|one| self.has_tag_of(one))
            });
        !self.limits_guests() || self.has_vmid(vmid) || !meaning.pools.is_empty() || inherits
    }

    fn has_vmid(&self, vmid: u32) -> bool {
        self.vmids.iter().any(|range| range.contains(&vmid))
    }

    fn has_tag_of(&self, resident: &Resident) -> bool {
        resident.tags.iter().any(|tag| self.tags.contains(tag))
    }

    /// What is in scope, in words.
    pub fn in_words(&self) -> String {
        let mut text = self.guests();
        if !self.storages.is_empty() {
            if !text.is_empty() {
                text.push_str("; ");
            }
            text.push_str(&format!("storages {}", joined(&self.storages)));
        }
        text
    }

    /// Which guests are in scope, in words.
    fn guests(&self) -> String {
        let mut parts = Vec::new();
        if !self.vmids.is_empty() {
            let ranges: Vec<_> = self.vmids.iter().map(range).collect();
            parts.push(format!("vmids {}", ranges.join(", ")));
        }
        for (name, set) in [("pools", &self.pools), ("tags", &self.tags)] {
            if !set.is_empty() {
                parts.push(format!("{name} {}", joined(set)));
            }
        }
        let mut text = parts.join(", or ");
        if !self.nodes.is_empty() {
            let nodes = format!("nodes {}", joined(&self.nodes));
            text = if text.is_empty() {
                nodes
            } else {
                format!("{text}, on {nodes}")
            };
        }
        text
    }
}

impl Resident {
    /// The most of a name that is kept. Proxmox takes no longer ones.
    pub const MAX_NAME_CHARS: usize = 63;

    /// A guest as `/cluster/resources` lists it, with its vmid.
    pub fn of_resource(resource: &Value) -> Option<(u32, Self)> {
        let text = |name: &str| resource.get(name).and_then(Value::as_str);
        if !matches!(text("type"), Some("qemu" | "lxc")) {
            return None;
        }
        let vmid = number(resource.get("vmid")?)?;
        let resident = Self {
            name: text("name")
                .filter(|name| !name.is_empty())
                .map(|name| name.chars().take(Self::MAX_NAME_CHARS).collect()),
            node: text("node").unwrap_or_default().to_owned(),
            pool: text("pool")
                .filter(|pool| !pool.is_empty())
                .map(str::to_owned),
            tags: tags(text("tags").unwrap_or_default())
                // A guest is in scope by its tags, never out of it.
                .take(MAX_TAGS)
                .map(str::to_owned)
                .collect(),
            // An ignored guest is stopped by its node.
            is_under_ha: text("hastate").is_some_and(|state| !matches!(state, "" | "ignored")),
        };
        Some((vmid, resident))
    }

    /// About what it takes in memory.
    fn bytes(&self) -> usize {
        let tags: usize = self.tags.iter().map(|tag| tag.len() + 40).sum();
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        124 + self.node.len() + length(&self.name) + length(&self.pool) + tags
    }
}

/// The tags of a guest that are looked at.
const MAX_TAGS: usize = 64;
/// Guests of a cluster: several times as many as any has.
const MAX_GUESTS: usize = 50_000;
/// What the names of their nodes, pools and tags may take in memory.
const MAX_DIRECTORY_BYTES: usize = 16 << 20;

/// Reads the guests out of an answer of `/cluster/resources`.
pub fn read_directory(answer: &[u8]) -> Option<Directory> {
    let mut directory = Directory::new();
    let mut bytes = 0;
    let answer = answer::read(answer, |line| {
        // Whatever more there is makes the answer one to be refused.
        if let Some((vmid, resident)) = Resident::of_resource(&line)
            && directory.len() <= MAX_GUESTS
            && bytes <= MAX_DIRECTORY_BYTES
        {
            bytes += resident.bytes();
            directory.insert(vmid, resident);
        }
    })?;
    let sane = directory.len() <= MAX_GUESTS && bytes <= MAX_DIRECTORY_BYTES;
    (sane && matches!(answer.data, Data::Lines)).then_some(directory)
}

/// Nodes of a cluster: several times as many as any has.
const MAX_NODES: usize = 1_000;

/// Reads the names out of an answer of `/nodes`.
pub fn read_nodes(answer: &[u8]) -> Option<BTreeSet<String>> {
    let mut nodes = BTreeSet::new();
    let answer = answer::read(answer, |line| {
        let name = line.get("node").and_then(Value::as_str);
        // One more than there may be makes the answer one to be refused.
        if let Some(name) = name.filter(|name| Grammar::Node.fits(name) && nodes.len() <= MAX_NODES)
        {
            nodes.insert(name.to_owned());
        }
    })?;
    (nodes.len() <= MAX_NODES && matches!(answer.data, Data::Lines)).then_some(nodes)
}

/// What a cluster has that a scope can name, as far as the token sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Its nodes.
    pub nodes: BTreeSet<String>,
    vmids: BTreeSet<u32>,
    pools: BTreeSet<String>,
    tags: BTreeSet<String>,
    storages: BTreeSet<String>,
}

/// Reads an answer of `/cluster/resources`.
pub fn read_inventory(answer: &[u8]) -> Option<Inventory> {
    let mut found = Inventory::default();
    let (mut lines, mut bytes) = (0_usize, 0);
    let answer = answer::read(answer, |line| {
        lines += 1;
        if lines > MAX_GUESTS || bytes > MAX_DIRECTORY_BYTES {
            return;
        }
        if let Some((vmid, resident)) = Resident::of_resource(&line) {
            bytes += resident.bytes();
            found.vmids.insert(vmid);
            found.pools.extend(resident.pool);
            found.tags.extend(resident.tags);
        }
        for (name, set) in [
            ("node", &mut found.nodes),
            ("pool", &mut found.pools),
            ("storage", &mut found.storages),
        ] {
            let name = line.get(name).and_then(Value::as_str);
            if let Some(name) = name.filter(|name| !name.is_empty()) {
                bytes += name.len();
                set.insert(name.to_owned());
            }
        }
    })?;
    matches!(answer.data, Data::Lines).then_some(found)
}

impl Scope {
    /// What the scope names and the cluster does not show, each with what there
    /// is instead. A range of vmids may be for guests to come.
    pub fn missing(&self, inventory: &Inventory) -> Vec<String> {
        let single = self
            .vmids
            .iter()
            .filter(|range| range.start() == range.end());
        let vmids: BTreeSet<String> = single.map(|range| range.start().to_string()).collect();
        let known: BTreeSet<String> = inventory.vmids.iter().map(u32::to_string).collect();
        [
            ("guest", "vmids", &vmids, &known),
            ("pool", "pools", &self.pools, &inventory.pools),
            ("tag", "tags", &self.tags, &inventory.tags),
            ("node", "nodes", &self.nodes, &inventory.nodes),
            ("storage", "storages", &self.storages, &inventory.storages),
        ]
        .into_iter()
        .flat_map(|(what, key, named, known)| {
            let known_ones = match known.is_empty() {
                true => "the token sees none".to_owned(),
                false => format!("it sees {}", few(known)),
            };
            named.difference(known).map(move |name| {
                format!(
                    "the policy's scope names {what} {name} (scope.{key}), which the cluster does \
                     not have or the token does not see; {known_ones}"
                )
            })
        })
        .take(MAX_MISSING)
        .collect()
    }
}

/// Warnings about names that do not exist.
const MAX_MISSING: usize = 20;

/// The first of many.
fn few(set: &BTreeSet<String>) -> String {
    const SHOWN: usize = 20;
    let shown: Vec<&str> = set.iter().map(String::as_str).take(SHOWN).collect();
    let more = match set.len() > SHOWN {
        true => format!(" and {} more", set.len() - SHOWN),
        false => String::new(),
    };
    format!("{}{more}", shown.join(", "))
}

/// Proxmox writes a vmid as a number or as a string.
pub(crate) fn number(value: &Value) -> Option<u32> {
    match value {
        Value::Number(number) => number.as_u64()?.try_into().ok(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// A range as a policy file writes it.
pub(crate) fn range(range: &RangeInclusive<u32>) -> String {
    match (range.start(), range.end()) {
        (start, end) if start == end => start.to_string(),
        (start, end) => format!("{start}-{end}"),
    }
}

fn joined(set: &BTreeSet<String>) -> String {
    set.iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}
