//! Where each guest goes. All moves are planned before the first, and the load
//! of each counts for the next.

use std::collections::{BTreeMap, BTreeSet};

use super::super::storage_map::StorageMap;
use super::super::survey::{How, is_ha_managed};
use super::facts::{Ha, Mover, Node, SourceNode};
use crate::order::{self, Ordered as _};
use crate::pve::{Content, Guest, GuestType, HaRule, NodeState, StorageResource};
use crate::{text, tool_names};

/// What the moves have to respect.
#[derive(Debug)]
pub(crate) struct Limits<'a> {
    /// How much of a target's memory is to remain available.
    pub(crate) reserve_percent: u64,
    pub(crate) with_local_disks: bool,
    pub(crate) storages: Option<&'a StorageMap>,
    pub(crate) may_restart: bool,
}

/// What is planned with.
#[derive(Debug)]
pub(crate) struct Cluster<'a> {
    /// All guests, also those that stay where they are.
    pub(crate) guests: &'a [Guest],
    pub(crate) nodes: &'a [NodeState],
    /// Empty if the token sees none.
    pub(crate) storages: &'a [StorageResource],
    pub(crate) ha: &'a Ha,
    /// The nodes that guests leave, by name.
    pub(crate) sources: &'a BTreeMap<String, SourceNode>,
    pub(crate) limits: Limits<'a>,
}

/// A target with what is planned for it.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) node: Node,
    pub(crate) guests: usize,
    pub(crate) memory: u64,
    /// Bytes that are copied to each of its storages.
    copied: BTreeMap<String, u64>,
    /// Services that go there.
    sids: BTreeSet<String>,
}

/// Which of the movers go where, in the order of the moves, and why the others
/// stay.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) moves: Vec<(Mover, String)>,
    pub(crate) stays: Vec<(Mover, Vec<String>)>,
    pub(crate) loads: Vec<Load>,
}

/// How many reasons are given for a guest that stays.
const MOST_REASONS: usize = 6;

impl Plan {
    /// The nodes that running guests go to though their free memory is not known.
    pub(crate) fn targets_of_unknown_memory(&self) -> Vec<&str> {
        self.loads
            .iter()
            .filter(|load| load.memory > 0 && load.left().is_none())
            .map(|load| load.node.name.as_str())
            .collect()
    }
}

impl Load {
    /// What is left of its memory, in bytes, after all moves so far; absent if it
    /// could not be read.
    pub(crate) fn left(&self) -> Option<u64> {
        Some(self.node.memory_free?.saturating_sub(self.memory))
    }

    fn reserve(&self, percent: u64) -> u64 {
        self.node.memory_total.unwrap_or_default() / 100 * percent
    }

    /// How much room a unit would leave, in thousandths of its memory.
    fn share_left(&self, memory: u64) -> u64 {
        match (self.left(), self.node.memory_total) {
            (Some(left), Some(total)) if total > 0 => {
                left.saturating_sub(memory) / (total / 1000).max(1)
            }
            _ => 0,
        }
    }
}

impl Cluster<'_> {
    /// Plans the moves: the largest guests first, those that high availability
    /// keeps together at once, each to the node that has the most room left.
    pub(crate) fn plan(&self, movers: Vec<Mover>, targets: Vec<Node>) -> Plan {
        let mut plan = Plan {
            loads: targets
                .into_iter()
                .map(|node| Load {
                    node,
                    guests: 0,
                    memory: 0,
                    copied: BTreeMap::new(),
                    sids: BTreeSet::new(),
                })
                .collect(),
            ..Plan::default()
        };
        let mut units = self.units(movers);
        order::by_key(&mut units, |unit| {
            let memory: u64 = unit.iter().map(|mover| mover.memory).sum();
            std::cmp::Reverse(memory)
        });
        for unit in units {
            self.place(unit, &mut plan);
        }
        order::by_key(&mut plan.stays, |(mover, _)| mover.guest.vmid);
        plan
    }

    /// The movers, those together that a rule keeps on one node.
    fn units(&self, movers: Vec<Mover>) -> Vec<Vec<Mover>> {
        let mut units: Vec<Vec<Mover>> = Vec::new();
        for mover in movers {
            let sid = mover.guest.ha_id();
            let is_with = |unit: &Vec<Mover>| {
                unit.iter()
                    .any(|other| self.keeps_together(&sid, &other.guest.ha_id()))
            };
            let (mut with, without): (Vec<_>, Vec<_>) = units.into_iter().partition(is_with);
            units = without;
            let mut unit: Vec<Mover> = with.drain(..).flatten().collect();
            unit.push(mover);
            units.push(unit);
        }
        units
    }

    /// Guests of the same node that are not among the movers, and that high availability
    /// moves along with one of them.
    fn companions(&self, unit: &[Mover]) -> Vec<&Guest> {
        let is_in_unit = |guest: &Guest| unit.iter().any(|one| one.guest.vmid == guest.vmid);
        let is_kept_with = |guest: &Guest, sid: &str| {
            unit.iter()
                .filter(|one| one.guest.node == guest.node && one.is_ha_managed())
                .any(|one| self.keeps_together(&one.guest.ha_id(), sid))
        };
        self.guests
            .iter()
            .filter(|guest| is_ha_managed(guest) && !is_in_unit(guest))
            .filter(|guest| is_kept_with(guest, &guest.ha_id()))
            .collect()
    }

    /// Whether a rule keeps two services on one node.
    fn keeps_together(&self, one: &str, other: &str) -> bool {
        self.ha
            .rules
            .iter()
            .filter(|rule| rule.affinity.as_deref() == Some("positive"))
            .any(|rule| names(rule, one) && names(rule, other))
    }

    fn place(&self, mut unit: Vec<Mover>, plan: &mut Plan) {
        let companions = self.companions(&unit);
        let running = companions.iter().filter(|guest| guest.is_running());
        let along: u64 = running
            .filter_map(|guest| Some(guest.maxmem?.0))
            .fold(0, u64::saturating_add);
        let moved: u64 = unit.iter().map(|mover| mover.memory).sum();
        let memory = moved.saturating_add(along);
        let obstacles: Vec<Vec<String>> = unit.iter().map(|one| self.obstacles(one)).collect();
        let mut reasons: Vec<Vec<String>> = obstacles.clone();
        let mut best: Option<(usize, u64)> = None;
        if obstacles.iter().all(Vec::is_empty) {
            for (index, load) in plan.loads.iter().enumerate() {
                let against: Vec<Vec<String>> = unit
                    .iter()
                    .map(|one| self.against(one, memory, load))
                    .collect();
                if against.iter().all(Vec::is_empty) {
                    let left = load.share_left(memory);
                    let fewer = |other: usize| {
                        plan.loads
                            .get(other)
                            .is_some_and(|other| load.guests < other.guests)
                    };
                    if best.is_none_or(|(other, share)| {
                        left > share || (left == share && fewer(other))
                    }) {
                        best = Some((index, left));
                    }
                }
                for (all, here) in reasons.iter_mut().zip(against) {
                    all.extend(
                        here.into_iter()
                            .map(|reason| format!("{}: {reason}", load.node.name)),
                    );
                }
            }
        }
        let Some(load) = best.and_then(|(index, _)| plan.loads.get_mut(index)) else {
            let others: Vec<String> = unit
                .iter()
                .zip(&obstacles)
                .filter(|(_, obstacles)| !obstacles.is_empty())
                .map(|(mover, _)| mover.guest.vmid.to_string())
                .collect();
            for (mover, mut reasons) in unit.into_iter().zip(reasons) {
                if reasons.is_empty() {
                    reasons.push(if others.is_empty() {
                        "no other node is left for it".to_owned()
                    } else {
                        format!(
                            "an HA rule keeps it together with {}, which cannot move",
                            others.join(", ")
                        )
                    });
                }
                let count = reasons.len();
                reasons.truncate(MOST_REASONS);
                if count > MOST_REASONS {
                    reasons.push(format!("and {} more", count - MOST_REASONS));
                }
                plan.stays.push((mover, reasons));
            }
            return;
        };
        load.memory = load.memory.saturating_add(memory);
        load.guests += unit.len() + companions.len();
        load.sids
            .extend(companions.iter().map(|guest| guest.ha_id()));
        if !companions.is_empty() && unit.iter().all(|one| one.survey.moves_along.is_empty()) {
            let sids: Vec<String> = companions.iter().map(|guest| guest.ha_id()).collect();
            if let Some(first) = unit.first_mut() {
                first.survey.moves_along = sids;
            }
        }
        for mut mover in unit {
            let warnings = self.warnings(&mover, &load.node);
            mover.survey.warnings.extend(warnings);
            mover.back = self.back(&mover);
            load.sids.insert(mover.guest.ha_id());
            for (storage, bytes) in &mover.copied {
                let there = self.mapped(&mover, storage).to_owned();
                let copied = load.copied.entry(there).or_default();
                *copied = copied.saturating_add(*bytes);
            }
            plan.moves.push((mover, load.node.name.clone()));
        }
    }

    /// The map of storages, where it counts for the guest.
    fn storages(&self, mover: &Mover) -> Option<&StorageMap> {
        self.limits.storages.filter(|_| !mover.is_ha_managed())
    }

    /// The storage that volumes of a storage go to.
    fn mapped<'a>(&'a self, mover: &Mover, storage: &'a str) -> &'a str {
        self.storages(mover)
            .map_or(storage, |storages| storages.of(storage))
    }

    /// The map that brings the copied disks back to their storages; none where they stay on
    /// storages of the same names, or where it would not be unique.
    fn back(&self, mover: &Mover) -> Option<String> {
        let mut pairs: BTreeMap<&str, &str> = BTreeMap::new();
        for (from, _) in &mover.copied {
            let to = self.mapped(mover, from);
            if pairs.insert(to, from).is_some_and(|other| other != from) {
                return None;
            }
        }
        // From a shared storage, Proxmox copies nothing.
        let is_shared = |name: &str| {
            let mut all = self.storages.iter();
            all.any(|one| one.storage == name && one.shared.0)
        };
        pairs.retain(|to, from| to != from && !is_shared(to));
        let is_used = |to: &str| mover.storages.contains(to);
        if pairs.is_empty() || pairs.keys().any(|to| is_used(to)) {
            return None;
        }
        let pairs: Vec<String> = pairs
            .iter()
            .map(|(to, from)| format!("{to}:{from}"))
            .collect();
        Some(pairs.join(","))
    }

    /// What is to be known of a move to this node.
    fn warnings(&self, mover: &Mover, target: &Node) -> Vec<String> {
        let mut warnings = Vec::new();
        if mover.is_ha_managed() && self.limits.storages.is_some() && !mover.copied.is_empty() {
            warnings.push("the HA manager ignores target_storage".to_owned());
        }
        let Some(source) = self.sources.get(&mover.guest.node) else {
            return warnings;
        };
        if let (Some(kind), Some(here), Some(there)) =
            (&mover.cpu_type, &source.cpu_model, &target.cpu_model)
            && mover.has_demanding_cpu()
            && here != there
        {
            warnings.push(format!(
                "its CPU type is {kind}, and the CPU of node {} ({there}) is not that of node {} \
                 ({here}): the migration fails if features are missing there",
                target.name, mover.guest.node
            ));
        }
        if let (Some(here), Some(there)) = (&source.version, &target.version)
            && mover.how == How::Live
            && numbers(there) < numbers(here)
        {
            warnings.push(format!(
                "node {} has Proxmox VE {there}, which is older than {here} on node {}: a live \
                 migration to an older version can fail",
                target.name, mover.guest.node
            ));
        }
        warnings
    }

    /// What keeps a guest from moving anywhere.
    fn obstacles(&self, mover: &Mover) -> Vec<String> {
        let mut obstacles = mover.blockers.clone();
        if !self.limits.with_local_disks && !mover.copied.is_empty() {
            obstacles.push(format!(
                "with_local_disks is false, and {} would have to be copied",
                text::bytes(mover.copied_bytes())
            ));
        }
        if mover.how == How::Restart && !self.limits.may_restart {
            obstacles.push(
                "it is a running container, which moves only by shutdown and start: allow that \
                 with accept_container_restart"
                    .to_owned(),
            );
        }
        obstacles
    }

    /// What speaks against one target. `memory` is what the whole unit needs.
    fn against(&self, mover: &Mover, memory: u64, load: &Load) -> Vec<String> {
        let guest = &mover.guest;
        let target = &load.node;
        let judged = mover
            .survey
            .judge(guest, self.nodes, &target.name, self.storages(mover));
        let mut reasons = judged.reasons;
        reasons.extend(self.against_storages(mover, load));
        let reserve = load.reserve(self.limits.reserve_percent);
        if let Some(left) = load.left()
            && mover.memory > 0
            && left < memory.saturating_add(reserve)
        {
            reasons.push(format!(
                "{} of memory are needed, and {} are left beyond the reserve of {}: add another \
                 node to target_nodes, or stop guests",
                text::bytes(memory),
                text::bytes(left.saturating_sub(reserve)),
                text::bytes(reserve)
            ));
        }
        if let Some(cpus) = target.cpus
            && mover.vcpus > cpus
        {
            reasons.push(format!(
                "the VM has {} vCPUs, and the node {cpus}: reduce them with {}",
                mover.vcpus,
                tool_names::SET_GUEST_RESOURCES
            ));
        }
        reasons.extend(self.against_cpu(mover, target));
        let missing: Vec<String> = mover
            .nics
            .iter()
            .filter(|(_, bridge)| !target.bridges.is_empty() && !target.bridges.contains(bridge))
            .map(|(nic, bridge)| format!("{bridge} ({nic})"))
            .collect();
        if !missing.is_empty() {
            reasons.push(format!(
                "bridge {} does not exist there: {} shows which do",
                missing.join(", "),
                tool_names::LIST_NETWORKS
            ));
        }
        reasons.extend(self.against_ha(guest, load));
        reasons
    }

    fn against_storages(&self, mover: &Mover, load: &Load) -> Vec<String> {
        if self.storages.is_empty() {
            return Vec::new();
        }
        let there = |storage: &str| {
            self.storages
                .iter()
                .find(|one| one.node == load.node.name && one.storage == storage)
        };
        // Where pvestatd reports others of the node, it would report this one too.
        let is_reported = self
            .storages
            .iter()
            .any(|one| one.node == load.node.name && one.is_available());
        let mut reasons = Vec::new();
        let wanted: BTreeSet<&str> = mover
            .storages
            .iter()
            .map(|storage| self.mapped(mover, storage))
            .ordered();
        let content = Content::of_disks(mover.guest.kind);
        for storage in wanted {
            let is_chosen = !mover.storages.contains(storage);
            match there(storage) {
                // Whatever else judges a container's volumes has named it.
                None if mover.guest.kind == GuestType::Lxc => {}
                None if mover.is_ha_managed() => reasons.push(format!(
                    "storage {storage} is not available there, and HA moves disks only to a \
                     storage of the same name"
                )),
                None => reasons.push(format!(
                    "storage {storage} is not available there: choose another by target_storage"
                )),
                Some(found) if is_reported && !found.is_available() => {
                    reasons.push(format!(
                        "storage {storage} is not active there: {} shows why",
                        tool_names::LIST_STORAGE
                    ));
                }
                Some(found) if is_chosen && !found.content.is_empty() && !found.holds(content) => {
                    reasons.push(format!(
                        "storage {storage} does not allow the content {}: choose another by \
                     target_storage",
                        content.as_str()
                    ))
                }
                Some(_) => {}
            }
        }
        let mut needed: BTreeMap<&str, u64> = BTreeMap::new();
        for (storage, bytes) in &mover.copied {
            let sum = needed.entry(self.mapped(mover, storage)).or_default();
            *sum = sum.saturating_add(*bytes);
        }
        for (storage, bytes) in needed {
            let Some(found) = there(storage) else {
                continue;
            };
            let (Some(total), Some(used)) = (found.maxdisk, found.disk) else {
                continue;
            };
            let planned = load.copied.get(storage).copied().unwrap_or_default();
            let room = total.0.saturating_sub(used.0).saturating_sub(planned);
            if room < bytes {
                reasons.push(format!(
                    "storage {storage} has room for {}, and {} are needed: choose another by \
                     target_storage",
                    text::bytes(room),
                    text::bytes(bytes)
                ));
            }
        }
        reasons
    }

    /// A VM that sees its node's own CPU may crash on another one.
    fn against_cpu(&self, mover: &Mover, target: &Node) -> Option<String> {
        if !mover.depends_on_cpu() {
            return None;
        }
        let here = self.sources.get(&mover.guest.node)?.cpu_model.as_deref()?;
        let there = target.cpu_model.as_deref()?;
        (here != there).then(|| {
            format!(
                "the VM runs with the CPU of its node ({here}), and this node has another \
                 ({there}): stop it first with {}, or give it a CPU type that both nodes have",
                tool_names::STOP_GUEST
            )
        })
    }

    fn against_ha(&self, guest: &Guest, load: &Load) -> Vec<String> {
        let sid = guest.ha_id();
        let target = load.node.name.as_str();
        let mut reasons = Vec::new();
        for rule in self.ha.rules.iter().filter(|rule| names(rule, &sid)) {
            let of_nodes = rule.kind == "node-affinity";
            let priority = |node: &str| {
                rule.nodes().find_map(|entry| {
                    let (name, priority) = entry.split_once(':').unwrap_or((entry, "0"));
                    (name == node).then(|| priority.parse::<u32>().unwrap_or_default())
                })
            };
            if of_nodes && rule.strict.is_some_and(|flag| flag.0) && priority(target).is_none() {
                reasons.push(format!("HA rule {} does not allow this node", rule.rule));
            } else if of_nodes
                && priority(&guest.node) > priority(target)
                && self.ha.fails_back(&sid)
                && !self.ha.is_resting(&guest.node)
            {
                reasons.push(format!(
                    "HA rule {} prefers node {}, and HA would move it back at once: set its \
                     failback to false with {} first, or put the node in maintenance mode (on a node: \
                     ha-manager crm-command node-maintenance enable {})",
                    rule.rule,
                    guest.node,
                    tool_names::SET_HA_RESOURCE,
                    guest.node
                ));
            }
            if rule.affinity.as_deref() == Some("negative") {
                let there = |other: &str| {
                    load.sids.contains(other)
                        || self
                            .guests
                            .iter()
                            .any(|guest| guest.node == target && guest.ha_id() == other)
                };
                let peers: Vec<&str> = rule
                    .resources()
                    .filter(|other| *other != sid && there(other))
                    .collect();
                if !peers.is_empty() {
                    reasons.push(format!(
                        "HA rule {} keeps it apart from {}, which is or will be on this node",
                        rule.rule,
                        peers.join(", ")
                    ));
                }
            }
        }
        reasons
    }
}

fn names(rule: &HaRule, sid: &str) -> bool {
    rule.resources().any(|other| other == sid)
}

/// The numbers of a version, for comparison.
fn numbers(version: &str) -> Vec<u32> {
    version
        .split(|c: char| !c.is_ascii_digit())
        .map_while(|part| part.parse().ok())
        .collect()
}
