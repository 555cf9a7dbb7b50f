//! Migration: its obstacles, and the move itself.
//!
//! Proxmox accepts nearly every migration with a task that then fails, so all
//! that can be known beforehand is looked up first, by the same code for the
//! check and for the move.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::pve::{
    Content, Disk, Failure, Flag, Format, Guest, GuestConfig, GuestState, Halt, Kind, NodeState,
    Num, Params, Place, Pve, Started, check_node_name, choose, choose_node, find_node, nodes,
    parse_size, places,
};
use crate::text;
use crate::tool::expected::{Cause, EndState, Expected};
use crate::tool::report::Report;
use crate::tool::{Reply, Run};
use crate::tool_names;

/// How long a container may take to shut down by default.
const SHUTDOWN_SECONDS: u32 = 180;

/// How long a guest is followed that the HA manager moves.
const HA_SECONDS: u32 = 900;

/// Where a guest can move.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckMigration {
    #[schemars(range(min = 100, max = 999_999_999))]
    vmid: u32,
    /// Only this node. Default: all.
    target_node: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct MigrationCheck {
    vmid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    kind: Kind,
    node: String,
    running: bool,
    how: How,
    /// What the guest and its users notice.
    interruption: String,
    ha_managed: bool,
    targets: Vec<Target>,
    /// Obstacles to a move to any node.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    blockers: Vec<String>,
    /// Disks that would be copied over the network.
    local_disks: Vec<LocalDisk>,
    local_resources: Vec<String>,
    mapped_resources: Vec<String>,
    /// HA resources that would move along.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    moves_along: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// What kind of migration it would be now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum How {
    /// A running VM keeps running.
    Live,
    /// The guest is stopped and stays stopped.
    Offline,
    /// A running container is shut down, moved and started.
    Restart,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
struct Target {
    node: String,
    allowed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
struct LocalDisk {
    /// The configuration's key, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<String>,
    volid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cdrom: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unused: bool,
}

impl Run for CheckMigration {
    type Output = MigrationCheck;
    const OTHER_NAMES: &'static [(&'static str, &'static str)] = &[("target", "target_node")];

    fn run(self, pve: &Pve) -> Result<Reply<MigrationCheck>> {
        check_node_name("target_node", self.target_node.as_deref())?;
        let nodes = nodes(pve)?;
        if let Some(target) = self.target_node.as_deref().filter(|_| !nodes.is_empty()) {
            find_node(&nodes, target)?;
        }
        let (guest, survey) = Guest::attempt(pve, self.vmid, |guest| Survey::make(pve, guest))?;
        if let Some(target) = self
            .target_node
            .as_deref()
            .filter(|target| *target != guest.node)
        {
            find_node(&nodes, target)?;
        }
        let check = survey.check(&guest, &nodes, self.target_node.as_deref());
        let text = check.text();
        Ok(Reply::Done(check, text))
    }
}

impl MigrationCheck {
    fn text(&self) -> String {
        let able: Vec<&str> = self
            .targets
            .iter()
            .filter(|target| target.allowed)
            .map(|target| target.node.as_str())
            .collect();
        let how = match self.how {
            How::Live => "live",
            How::Offline => "offline",
            How::Restart => "by restart",
        };
        let kind = self.kind.as_str();
        if able.is_empty() {
            format!(
                "{kind} guest {} on {} cannot move to any node now",
                self.vmid, self.node
            )
        } else {
            format!(
                "{kind} guest {} on {} can move {how} to {}",
                self.vmid,
                self.node,
                able.join(", ")
            )
        }
    }
}

/// A move to another node.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MigrateGuest {
    #[schemars(range(min = 100, max = 999_999_999))]
    vmid: u32,
    /// Node to move it to.
    target_node: String,
    /// Live or not, for a VM. Default: live if it runs.
    online: Option<bool>,
    /// False: refuse if disks on local storage would have to be copied. Default true.
    with_local_disks: Option<bool>,
    /// Storage for the disks there: NAME, or pairs FROM:TO by comma. Default: the same names.
    target_storage: Option<String>,
    /// How long a running container may take to shut down, in seconds. Default 180.
    #[schemars(range(min = 1, max = 86_400))]
    shutdown_timeout_seconds: Option<u32>,
    /// Limit in KiB/s; 0 for none.
    bandwidth_limit_kibps: Option<u32>,
    /// False: do not follow the task.
    wait: Option<bool>,
}

/// What a migration was asked to do, for the report.
struct Order {
    how: How,
    local_disks: Vec<LocalDisk>,
    moves_along: Vec<String>,
    warnings: Vec<String>,
    downgraded: bool,
    started: Started,
}

impl Run for MigrateGuest {
    type Output = Report;
    const OTHER_NAMES: &'static [(&'static str, &'static str)] = &[("target", "target_node")];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        check_node_name("target_node", Some(&self.target_node))?;
        let storages = self
            .target_storage
            .as_deref()
            .map(StorageMap::parse)
            .transpose()?;
        let guest = Guest::find(pve, self.vmid)?;
        if guest.node == self.target_node {
            return Ok(Reply::report(self.unchanged(&guest)));
        }
        choose_node(pve, "target_node", Some(&self.target_node))?;
        if let Some(storages) = &storages {
            let content = match guest.kind {
                Kind::Qemu => Content::Images,
                Kind::Lxc => Content::Rootdir,
            };
            for name in storages.targets() {
                choose(pve, &self.target_node, content, Some(name))?;
            }
        }
        let (guest, order) = Guest::attempt(pve, self.vmid, |guest| {
            if guest.node == self.target_node {
                return Ok(None);
            }
            self.order(pve, guest, storages.as_ref()).map(Some)
        })?;
        match order {
            Some(order) => self.report(&guest, order),
            None => Ok(Reply::report(self.unchanged(&guest))),
        }
    }
}

impl MigrateGuest {
    /// It is on that node already.
    fn unchanged(&self, guest: &Guest) -> Report {
        let action = format!("migrate {} to {}", guest.label(), self.target_node);
        let report = Report::unchanged(action).on(guest);
        match &self.target_storage {
            None => report,
            Some(storage) => report
                .warn(format!(
                    "the guest is on node {} already, and a migration moves disks only together \
                     with the guest: its disks were not moved to {storage}",
                    guest.node
                ))
                .next(
                    "disks move between storages of one node in the web interface (Hardware or \
                     Resources, Volume Action, Move Storage) or by qm disk move and pct \
                     move-volume on the node",
                ),
        }
    }

    /// Looks up all obstacles to the move, and starts it.
    fn order(
        &self,
        pve: &Pve,
        guest: &Guest,
        storages: Option<&StorageMap>,
    ) -> Result<Order, Halt> {
        let survey = Survey::make(pve, guest)?;
        let running = survey.running;
        match (guest.kind, self.online) {
            (Kind::Lxc, Some(true)) => {
                return Err(Error::argument(
                    "online",
                    "must be left out for a container: containers cannot be migrated live; a \
                     running one is shut down, moved and started",
                )
                .into());
            }
            (_, Some(false)) if running => {
                return Err(Error::Conflict(format!(
                    "{} is running, and online is false: stop it first with {}, or leave online \
                     out to move it {}",
                    guest.label(),
                    tool_names::STOP_GUEST,
                    match guest.kind {
                        Kind::Qemu => "while it runs",
                        Kind::Lxc => "by shutdown and start",
                    }
                ))
                .into());
            }
            _ => {}
        }
        // The node has been checked.
        let target = survey.judge(guest, &[], &self.target_node, storages);
        let blockers = survey.blockers(guest);
        let mut reasons: Vec<&str> = blockers
            .iter()
            .chain(&target.reasons)
            .map(String::as_str)
            .collect();
        let copied = survey.copied();
        let refused;
        if self.with_local_disks == Some(false) && !copied.is_empty() {
            refused = format!(
                "with_local_disks is false, and {} would have to be copied",
                copied
                    .iter()
                    .map(|disk| disk.volid.as_str())
                    .collect::<Vec<_>>()
                    .join(", ")
            );
            reasons.push(&refused);
        }
        if !reasons.is_empty() {
            return Err(Error::Conflict(format!(
                "{} cannot move to {}: {}; {} shows where it can",
                guest.label(),
                self.target_node,
                reasons.join("; "),
                tool_names::CHECK_MIGRATION
            ))
            .into());
        }
        let how = survey.how(guest.kind);
        let mut form = Params::new().set("target", &self.target_node);
        form = match guest.kind {
            Kind::Qemu => {
                if how == How::Live {
                    form = form.flag("online", true);
                }
                if !copied.is_empty() || storages.is_some() {
                    form = form.flag("with-local-disks", true);
                }
                form.opt("targetstorage", storages)
            }
            Kind::Lxc => {
                if how == How::Restart {
                    form = form
                        .flag("restart", true)
                        .set("timeout", self.shutdown_timeout());
                }
                form.opt("target-storage", storages)
            }
        }
        .opt("bwlimit", self.bandwidth_limit_kibps);
        let started = pve.post(&guest.path(["migrate"]), &form)?;
        Ok(Order {
            how,
            local_disks: copied.into_iter().cloned().collect(),
            moves_along: survey.moves_along,
            warnings: survey.warnings,
            downgraded: self.online == Some(true) && !running,
            started,
        })
    }

    fn shutdown_timeout(&self) -> u32 {
        self.shutdown_timeout_seconds.unwrap_or(SHUTDOWN_SECONDS)
    }

    fn report(self, guest: &Guest, order: Order) -> Result<Reply<Report>> {
        // Proxmox hands an HA guest to the HA manager, whose own task does it.
        let by_ha = match &order.started {
            Started::Task(upid) => upid.kind().starts_with("ha"),
            Started::WithoutTask(_) => false,
        };
        let how = match order.how {
            How::Live => "live",
            How::Offline => "offline",
            How::Restart => "by restart",
        };
        let what = format!(
            "{} from {} to {}",
            guest.label(),
            guest.node,
            self.target_node
        );
        let mut report = Report::done(format!("migrate {what}, {how}"))
            .on(guest)
            .change("node", Some(&guest.node), Some(&self.target_node));
        let finish = if by_ha {
            let node = EndState::On(self.target_node.clone());
            Some(Expected::by_ha(guest.vmid, node, HA_SECONDS))
        } else if matches!(order.started, Started::WithoutTask(_)) {
            let node = EndState::On(self.target_node.clone());
            Some(Expected::new(guest.vmid, node, Cause::Unnamed, HA_SECONDS))
        } else {
            report.node = Some(self.target_node.clone());
            None
        };
        if order.how == How::Restart {
            report = report.warn(format!(
                "containers cannot be migrated live: it is shut down (within {} s), moved and \
                 started on {}, and is unavailable meanwhile",
                self.shutdown_timeout(),
                self.target_node
            ));
        }
        if order.downgraded {
            report = report.warn("it is not running, so it is moved offline");
        }
        if !order.local_disks.is_empty() {
            let bytes: u64 = order
                .local_disks
                .iter()
                .filter_map(|disk| disk.size_bytes)
                .sum();
            report = report.warn(format!(
                "{} on local storage {} copied over the network: {}{}",
                text::count(order.local_disks.len(), "disk"),
                if order.local_disks.len() == 1 {
                    "is"
                } else {
                    "are"
                },
                order
                    .local_disks
                    .iter()
                    .map(|disk| disk.volid.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
                if bytes > 0 {
                    format!(" ({})", text::bytes(bytes))
                } else {
                    String::new()
                }
            ));
        }
        if !order.moves_along.is_empty() {
            report = report.warn(format!(
                "an HA rule keeps these with it, so they move along: {}",
                order.moves_along.join(", ")
            ));
        }
        for warning in order.warnings {
            report = report.warn(warning);
        }
        if by_ha && (self.target_storage.is_some() || self.bandwidth_limit_kibps.is_some()) {
            report = report.warn(
                "the HA manager does not take a target storage or a bandwidth limit: both were \
                 ignored",
            );
        }
        report.started_until(&order.started, self.wait, finish)
    }
}

/// `targetstorage`: one storage for all, or pairs, and one for the rest.
#[derive(Debug, Clone, PartialEq)]
struct StorageMap {
    text: String,
    pairs: Vec<(String, String)>,
    rest: Option<String>,
}

impl StorageMap {
    fn parse(text: &str) -> Result<Self> {
        let wrong = |what: &str| {
            Error::argument(
                "target_storage",
                format!(
                    "must be the name of one storage, or pairs such as local-lvm:tank,bulk:bulk \
                     ({what})"
                ),
            )
        };
        let mut map = Self {
            text: text.to_owned(),
            pairs: Vec::new(),
            rest: None,
        };
        for part in text.split(',') {
            match part.split_once(':') {
                Some((from, to)) if Format::Storage.fits(from) && Format::Storage.fits(to) => {
                    if map.pairs.iter().any(|(known, _)| known == from) {
                        return Err(wrong(&format!("{from} is given more than once")));
                    }
                    map.pairs.push((from.to_owned(), to.to_owned()));
                }
                None if Format::Storage.fits(part) => {
                    if map.rest.replace(part.to_owned()).is_some() {
                        return Err(wrong("only one may be without a colon"));
                    }
                }
                _ => return Err(wrong("this is not the name of a storage")),
            }
        }
        Ok(map)
    }

    fn targets(&self) -> BTreeSet<&str> {
        self.pairs
            .iter()
            .map(|(_, to)| to.as_str())
            .chain(self.rest.as_deref())
            .collect()
    }

    /// The storage that the volumes of a storage move to.
    fn of<'a>(&'a self, storage: &'a str) -> &'a str {
        self.pairs
            .iter()
            .find(|(from, _)| from == storage)
            .map(|(_, to)| to.as_str())
            .or(self.rest.as_deref())
            .unwrap_or(storage)
    }
}

impl std::fmt::Display for StorageMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// What Proxmox says beforehand. VMs and containers spell it differently.
#[derive(Debug, Default, Deserialize)]
struct Preflight {
    #[serde(default)]
    running: Flag,
    /// Of a guest that is not running only.
    #[serde(default, alias = "allowed-nodes")]
    allowed_nodes: Option<Vec<String>>,
    #[serde(default, alias = "not-allowed-nodes")]
    not_allowed_nodes: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    local_disks: Option<Vec<RawDisk>>,
    #[serde(default)]
    local_resources: Option<Vec<String>>,
    #[serde(default, rename = "mapped-resources")]
    mapped_resources: Option<Vec<String>>,
    #[serde(default, rename = "mapped-resource-info")]
    mapped_resource_info: Option<BTreeMap<String, RawMapped>>,
    #[serde(default, rename = "dependent-ha-resources")]
    dependent: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct RawDisk {
    volid: String,
    /// The configuration's key.
    #[serde(default)]
    drivename: Option<String>,
    #[serde(default)]
    size: Option<Value>,
    #[serde(default)]
    cdrom: Flag,
    #[serde(default)]
    is_unused: Flag,
}

#[derive(Debug, Default, Deserialize)]
struct RawMapped {
    #[serde(default, rename = "live-migration")]
    live_migration: Flag,
}

impl Preflight {
    /// Asks for it. Whether the guest runs is what its node says where the
    /// preflight says nothing of it: the list of guests lags behind.
    fn read(pve: &Pve, guest: &Guest, state: &GuestState) -> Result<Self, Failure> {
        let mut preflight = match pve.get(&guest.path(["migrate"]), &Params::new()) {
            // Before Proxmox VE 9 containers had no preflight.
            Err(Failure::Api(error)) if error.status == 501 && guest.kind == Kind::Lxc => {
                Self::default()
            }
            other => other?,
        };
        preflight.running.0 |= state.is_running();
        Ok(preflight)
    }
}

/// All that can be known before a migration.
#[derive(Debug)]
struct Survey {
    running: bool,
    local_disks: Vec<LocalDisk>,
    local_resources: Vec<String>,
    mapped_resources: Vec<String>,
    /// Those of them that hold a running VM.
    not_live: Vec<String>,
    moves_along: Vec<String>,
    /// A container's mount points outside the storages.
    bound: Vec<String>,
    /// A VM's disks that are devices of the node.
    passed_through: Vec<String>,
    /// Storages that a container's volumes lie on.
    storages: BTreeSet<String>,
    places: Vec<Place>,
    allowed: Option<Vec<String>>,
    refused: BTreeMap<String, Value>,
    /// What may go wrong all the same.
    warnings: Vec<String>,
}

impl Survey {
    /// Asks for all of it, and refuses a guest that is locked.
    fn make(pve: &Pve, guest: &Guest) -> Result<Self, Halt> {
        let state = guest.state(pve)?;
        state.unlocked(guest)?;
        let preflight = Preflight::read(pve, guest, &state)?;
        match guest.kind {
            Kind::Qemu => match GuestConfig::read(pve, guest) {
                Ok(config) => Ok(Self::of_vm(guest, preflight, &config.disks())),
                // A token that may not read it still gets the preflight.
                Err(failure) => {
                    let mut survey = Self::of_vm(guest, preflight, &[]);
                    survey.warnings.push(format!(
                        "the configuration could not be read, so disks and drives of node {} \
                         itself, which would hold the VM there, may have been missed: {}",
                        guest.node,
                        text::cut(&Error::from(failure).message(), 300)
                    ));
                    Ok(survey)
                }
            },
            Kind::Lxc => {
                let config = GuestConfig::read(pve, guest)?;
                Ok(Self::of_container(preflight, &config, places(pve)?))
            }
        }
    }

    fn of_vm(guest: &Guest, preflight: Preflight, disks: &[Disk]) -> Self {
        let running = preflight.running.0;
        let (paths, local_disks): (Vec<RawDisk>, Vec<RawDisk>) = preflight
            .local_disks
            .unwrap_or_default()
            .into_iter()
            .partition(|disk| is_device(&disk.volid));
        let configured = disks
            .iter()
            .filter(|disk| is_device(&disk.volid))
            .map(|disk| (Some(disk.id.clone()), disk.volid.clone()));
        let mut passed_through = BTreeMap::new();
        for (id, path) in paths
            .into_iter()
            .map(|disk| (disk.drivename, disk.volid))
            .chain(configured)
        {
            let known = passed_through.entry(path).or_insert_with(|| id.clone());
            if known.is_none() {
                *known = id;
            }
        }
        let info = preflight.mapped_resource_info.unwrap_or_default();
        let mapped = preflight.mapped_resources.unwrap_or_default();
        // The drive is made anew on the other node.
        let cloud_init = format!("vm-{}-cloudinit", guest.vmid);
        Self {
            running,
            not_live: mapped
                .iter()
                .filter(|key| running && !info.get(*key).is_some_and(|one| one.live_migration.0))
                .cloned()
                .collect(),
            passed_through: passed_through
                .into_iter()
                .map(|(path, id)| match id {
                    Some(id) => format!("{id} ({path})"),
                    None => path,
                })
                .collect(),
            local_disks: local_disks
                .into_iter()
                .filter(|disk| !disk.volid.contains(&cloud_init))
                .map(LocalDisk::from)
                .collect(),
            local_resources: preflight.local_resources.unwrap_or_default(),
            mapped_resources: mapped,
            moves_along: preflight.dependent.unwrap_or_default(),
            bound: Vec::new(),
            storages: BTreeSet::new(),
            places: Vec::new(),
            allowed: preflight.allowed_nodes.filter(|_| !running),
            refused: preflight.not_allowed_nodes.unwrap_or_default(),
            warnings: Vec::new(),
        }
    }

    /// The preflight of a container knows of HA alone: the volumes are looked
    /// up here.
    fn of_container(preflight: Preflight, config: &GuestConfig, places: Vec<Place>) -> Self {
        let is_shared = |storage: &str| {
            places
                .iter()
                .any(|place| place.storage == storage && place.shared.0)
        };
        let mut local_disks = Vec::new();
        let mut bound = Vec::new();
        let mut storages = BTreeSet::new();
        for disk in config.disks() {
            let Some(storage) = disk.storage.filter(|_| !disk.volid.starts_with('/')) else {
                if !disk.options.iter().any(|option| option == "shared=1") {
                    bound.push(format!("{} ({})", disk.id, disk.volid));
                }
                continue;
            };
            if !is_shared(&storage) {
                local_disks.push(LocalDisk {
                    unused: disk.id.starts_with("unused"),
                    disk: Some(disk.id),
                    volid: disk.volid,
                    size_bytes: disk.size_bytes,
                    cdrom: false,
                });
            }
            storages.insert(storage);
        }
        Self {
            running: preflight.running.0,
            local_disks,
            local_resources: Vec::new(),
            mapped_resources: Vec::new(),
            not_live: Vec::new(),
            moves_along: preflight.dependent.unwrap_or_default(),
            passed_through: Vec::new(),
            bound,
            storages,
            places,
            // It holds for a running container as well, which is shut down.
            allowed: preflight.allowed_nodes,
            refused: preflight.not_allowed_nodes.unwrap_or_default(),
            warnings: node_parts(config).into_iter().collect(),
        }
    }

    fn how(&self, kind: Kind) -> How {
        match kind {
            _ if !self.running => How::Offline,
            Kind::Qemu => How::Live,
            Kind::Lxc => How::Restart,
        }
    }

    /// The local disks that are copied; an ISO image is none of them.
    fn copied(&self) -> Vec<&LocalDisk> {
        self.local_disks.iter().filter(|disk| !disk.cdrom).collect()
    }

    /// Obstacles to a move to any node.
    fn blockers(&self, guest: &Guest) -> Vec<String> {
        let mut blockers = Vec::new();
        for disk in self.local_disks.iter().filter(|disk| disk.cdrom) {
            blockers.push(format!(
                "the CD-ROM drive holds {}, which is on local storage: eject it first",
                disk.volid
            ));
        }
        if !self.passed_through.is_empty() {
            blockers.push(format!(
                "it uses disks or drives of node {} itself, which cannot move: {}; detach them \
                 first",
                guest.node,
                self.passed_through.join(", ")
            ));
        }
        if !self.local_resources.is_empty() {
            blockers.push(format!(
                "it uses devices of node {}: {}",
                guest.node,
                self.local_resources.join(", ")
            ));
        }
        if !self.not_live.is_empty() {
            blockers.push(format!(
                "it is running with mapped devices that cannot move live: {}",
                self.not_live.join(", ")
            ));
        }
        if !self.bound.is_empty() {
            blockers.push(format!(
                "mount points outside the storages cannot move unless they are marked shared=1: {}",
                self.bound.join(", ")
            ));
        }
        blockers
    }

    /// Obstacles to a move to one node.
    fn judge(
        &self,
        guest: &Guest,
        nodes: &[NodeState],
        target: &str,
        storages: Option<&StorageMap>,
    ) -> Target {
        let mut reasons = Vec::new();
        if target == guest.node {
            reasons.push("the guest is already on this node".to_owned());
        }
        if nodes
            .iter()
            .any(|node| node.node == target && node.is_offline())
        {
            reasons.push("the node is offline".into());
        }
        let mut lifted = false;
        if let Some(refusal) = self.refused.get(target) {
            // A running VM, and one whose disks go elsewhere, needs no storage
            // of the same name there.
            lifted = storages.is_some() && is_about_storages(refusal);
            if !lifted {
                reasons.extend(refusal_reasons(refusal));
            }
        }
        let missing = self.missing_storages(target, storages);
        reasons.extend(missing.filter(|missing| !reasons.contains(missing)));
        if let Some(allowed) = &self.allowed
            && reasons.is_empty()
            && !lifted
            && !allowed.iter().any(|node| node == target)
        {
            reasons.push("Proxmox does not allow it and gives no reason".into());
        }
        Target {
            node: target.to_owned(),
            allowed: reasons.is_empty(),
            reasons,
        }
    }

    fn missing_storages(&self, target: &str, storages: Option<&StorageMap>) -> Option<String> {
        // A token that may see no storage cannot know.
        if self.places.is_empty() {
            return None;
        }
        let missing: Vec<&str> = self
            .storages
            .iter()
            .map(|storage| storages.map_or(storage.as_str(), |map| map.of(storage)))
            .filter(|storage| {
                !self
                    .places
                    .iter()
                    .any(|place| place.node == target && place.storage == *storage)
            })
            .collect();
        (!missing.is_empty()).then(|| unavailable(&missing))
    }

    fn check(self, guest: &Guest, nodes: &[NodeState], only: Option<&str>) -> MigrationCheck {
        let how = self.how(guest.kind);
        let blockers = self.blockers(guest);
        let mut targets: Vec<Target> = match only {
            Some(target) => vec![self.judge(guest, nodes, target, None)],
            None => nodes
                .iter()
                .filter(|node| node.node != guest.node)
                .map(|node| self.judge(guest, nodes, &node.node, None))
                .collect(),
        };
        if !blockers.is_empty() {
            for target in &mut targets {
                target.allowed = false;
                target
                    .reasons
                    .push("the blockers rule out every node".into());
            }
        }
        let ha_managed = is_ha_managed(guest);
        let mut notes = Vec::new();
        if targets.is_empty() {
            notes.push("there is no other node in this cluster".to_owned());
        } else if ha_managed {
            notes.push(
                "it is managed by HA: the HA manager moves it some time after the request".into(),
            );
        }
        notes.extend(self.warnings);
        let hint = (!notes.is_empty()).then(|| notes.join("; "));
        MigrationCheck {
            vmid: guest.vmid,
            name: guest.name.clone(),
            kind: guest.kind,
            node: guest.node.clone(),
            running: self.running,
            how,
            interruption: match how {
                How::Live => {
                    "almost none: the VM keeps running, with a pause of usually less than a second"
                }
                How::Offline => "none: it is not running",
                How::Restart => {
                    "the container is shut down, moved and started again: it is unavailable meanwhile"
                }
            }
            .into(),
            ha_managed,
            targets,
            blockers,
            local_disks: self.local_disks,
            local_resources: self.local_resources,
            mapped_resources: self.mapped_resources,
            moves_along: self.moves_along,
            hint,
        }
    }
}

impl From<RawDisk> for LocalDisk {
    fn from(raw: RawDisk) -> Self {
        Self {
            disk: raw.drivename,
            volid: raw.volid,
            // Bytes, or as the configuration has it: `32G`.
            size_bytes: raw.size.and_then(|size| match size {
                Value::String(text) => parse_size(&text),
                other => serde_json::from_value::<Num<u64>>(other)
                    .ok()
                    .map(|size| size.0),
            }),
            cdrom: raw.cdrom.0,
            unused: raw.is_unused.0,
        }
    }
}

/// What of a container is made of its node's own devices and folders. Proxmox
/// moves such a container without a word, and it may not start on a node that
/// lacks them.
fn node_parts(config: &GuestConfig) -> Option<String> {
    let is_device = |key: &str| {
        key.strip_prefix("dev")
            .is_some_and(|index| !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit()))
    };
    let mut parts: Vec<String> = config
        .iter()
        .filter(|(key, _)| is_device(key))
        .map(|(key, value)| format!("{key}: {value}"))
        .collect();
    parts.extend(
        config
            .raw_lxc()
            .iter()
            .filter(|line| {
                ["lxc.mount.", "lxc.cgroup2.devices", "lxc.cgroup.devices"]
                    .iter()
                    .any(|key| line.starts_with(key))
            })
            .cloned(),
    );
    (!parts.is_empty()).then(|| {
        format!(
            "it uses devices or folders of its node, and may not start where they are missing: {}",
            text::cut(&parts.join(", "), 600)
        )
    })
}

/// Whether the HA manager moves it.
fn is_ha_managed(guest: &Guest) -> bool {
    guest
        .hastate
        .as_deref()
        .is_some_and(|state| !state.is_empty() && state != "ignored")
}

/// Whether a disk is a device or file of the node, not a volume on a storage.
/// `cdrom` is the node's own drive.
fn is_device(volid: &str) -> bool {
    volid.starts_with('/') || volid == "cdrom"
}

fn unavailable(storages: &[&str]) -> String {
    format!(
        "storage {} is not available there: choose another by target_storage of {}",
        storages.join(", "),
        tool_names::MIGRATE_GUEST
    )
}

/// Whether missing storages are all that a refusal is about.
fn is_about_storages(refusal: &Value) -> bool {
    refusal.as_object().is_some_and(|fields| {
        fields
            .iter()
            .all(|(key, value)| key.replace('_', "-") == "unavailable-storages" || is_empty(value))
    })
}

/// A refusal of Proxmox in words. An empty one does not count: Proxmox lists
/// nodes that it allows like that.
fn refusal_reasons(refusal: &Value) -> Vec<String> {
    let Value::Object(fields) = refusal else {
        return refusal.as_str().map(str::to_owned).into_iter().collect();
    };
    fields
        .iter()
        .filter(|(_, value)| !is_empty(value))
        .map(|(key, value)| {
            let items: Vec<String> = match value {
                Value::Array(items) => items.iter().map(item).collect(),
                other => vec![item(other)],
            };
            let names: Vec<&str> = items.iter().map(String::as_str).collect();
            // VMs and containers differ in their hyphens here as well.
            match key.replace('_', "-").as_str() {
                "unavailable-storages" => unavailable(&names),
                "unavailable-resources" => {
                    format!(
                        "mapped devices are not available there: {}",
                        names.join(", ")
                    )
                }
                "blocking-ha-resources" => format!("HA rules forbid it: {}", names.join(", ")),
                other => format!("{other}: {}", names.join(", ")),
            }
        })
        .collect()
}

/// One entry of a refusal: a name, or an HA resource with its cause.
fn item(value: &Value) -> String {
    let field = |name: &str| value.get(name).and_then(Value::as_str);
    match (value, field("sid"), field("cause")) {
        (_, Some(sid), Some("node-affinity")) => format!("{sid} may not run on this node"),
        (_, Some(sid), Some("resource-affinity")) => {
            format!("{sid} is on that node, and they must not be on the same one")
        }
        (_, Some(sid), Some(cause)) => format!("{sid} ({cause})"),
        (_, Some(sid), None) => sid.to_owned(),
        (Value::String(text), _, _) => text.clone(),
        _ => value.to_string(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn guest(kind: &str) -> Guest {
        serde_json::from_value(json!({
            "type": kind, "vmid": 100, "node": "pve1", "status": "running", "name": "web01"
        }))
        .unwrap()
    }

    fn node_list() -> Vec<NodeState> {
        serde_json::from_value(json!([
            {"node": "pve1", "status": "online"}, {"node": "pve2", "status": "online"},
            {"node": "pve3", "status": "offline"}
        ]))
        .unwrap()
    }

    fn vm(preflight: Value) -> Survey {
        Survey::of_vm(
            &guest("qemu"),
            serde_json::from_value(preflight).unwrap(),
            &[],
        )
    }

    #[test]
    fn a_node_that_stands_in_both_lists_is_allowed() {
        // As recorded: an empty refusal beside the permission.
        let survey = vm(json!({
            "not_allowed_nodes": {"pve2": {}}, "mapped-resources": [], "local_resources": [],
            "mapped-resource-info": {}, "allowed_nodes": ["pve2", "pve3"], "local_disks": [],
            "has-dbus-vmstate": 1, "running": 0
        }));
        let check = survey.check(&guest("qemu"), &node_list(), None);
        assert_eq!(
            serde_json::to_value(&check.targets).unwrap(),
            json!([
                {"node": "pve2", "allowed": true},
                {"node": "pve3", "allowed": false, "reasons": ["the node is offline"]}
            ])
        );
        assert_eq!(check.how, How::Offline);
    }

    #[test]
    fn containers_spell_it_otherwise() {
        let preflight: Preflight = serde_json::from_value(json!({
            "running": 1, "not-allowed-nodes": {"pve3": {"blocking-ha-resources":
                [{"sid": "ct:201", "cause": "resource-affinity"}]}},
            "allowed-nodes": ["pve2"]
        }))
        .unwrap();
        assert_eq!(
            preflight.allowed_nodes.as_deref(),
            Some(&["pve2".to_owned()][..])
        );
        assert_eq!(
            refusal_reasons(&preflight.not_allowed_nodes.unwrap()["pve3"]),
            ["HA rules forbid it: ct:201 is on that node, and they must not be on the same one"]
        );
    }

    #[test]
    fn refusals_are_told_and_lifted_by_another_storage() {
        let survey = vm(json!({
            "running": 0, "allowed_nodes": [],
            "not_allowed_nodes": {"pve2": {"unavailable_storages": ["tank"]}}
        }));
        let nodes = node_list();
        let target = survey.judge(&guest("qemu"), &nodes, "pve2", None);
        assert!(!target.allowed && target.reasons[0].starts_with("storage tank is not available"));
        let map = StorageMap::parse("bulk").unwrap();
        assert!(
            survey
                .judge(&guest("qemu"), &nodes, "pve2", Some(&map))
                .allowed
        );
        // Offline beats all.
        assert!(
            !survey
                .judge(&guest("qemu"), &nodes, "pve3", Some(&map))
                .allowed
        );
        // Not in the list of a stopped guest, without a reason.
        let silent = vm(json!({"running": 0, "allowed_nodes": []}));
        assert!(!silent.judge(&guest("qemu"), &nodes, "pve2", None).allowed);
        // A running one has no such list.
        let running = vm(json!({"running": 1, "allowed_nodes": []}));
        assert!(running.judge(&guest("qemu"), &nodes, "pve2", None).allowed);
    }

    #[test]
    fn what_stands_against_every_node() {
        let survey = vm(json!({
            "running": 1, "local_resources": ["hostpci0"], "mapped-resources": ["hostpci1", "usb0"],
            "mapped-resource-info": {"hostpci1": {"live-migration": 1}},
            "local_disks": [
                {"volid": "local:iso/debian.iso", "cdrom": 1, "size": 3},
                {"volid": "local:100/vm-100-cloudinit.qcow2", "cdrom": 1},
                {"volid": "local:100/vm-100-disk-0.qcow2", "size": "32M", "is_unused": 0}
            ]
        }));
        let blockers = survey.blockers(&guest("qemu"));
        assert_eq!(blockers.len(), 3, "{blockers:?}");
        assert!(blockers[0].contains("debian.iso"));
        assert!(blockers[2].ends_with(": usb0"));
        assert_eq!(survey.copied().len(), 1);
        assert_eq!(survey.copied()[0].size_bytes, Some(33_554_432));
        let check = survey.check(&guest("qemu"), &node_list(), Some("pve2"));
        assert!(!check.targets[0].allowed);
        assert_eq!(check.how, How::Live);
    }

    #[test]
    fn local_volumes_of_a_container() {
        let places: Vec<Place> = serde_json::from_value(json!([
            {"storage": "bulk", "node": "pve1", "shared": 1}, {"storage": "bulk", "node": "pve2", "shared": 1},
            {"storage": "tank", "node": "pve1", "shared": 0}
        ]))
        .unwrap();
        let config: BTreeMap<&str, &str> = BTreeMap::from([
            ("rootfs", "tank:subvol-200-disk-0,size=8G"),
            ("mp0", "bulk:200/vm-200-disk-1.raw,mp=/srv,size=1G"),
            ("mp1", "/mnt/data,mp=/data"),
            ("mp2", "/mnt/pve/nas,mp=/nas,shared=1"),
        ]);
        let config = GuestConfig::of(Kind::Lxc, config);
        let survey = Survey::of_container(Preflight::default(), &config, places);
        assert_eq!(survey.local_disks.len(), 1);
        assert_eq!(survey.local_disks[0].disk.as_deref(), Some("rootfs"));
        assert_eq!(survey.bound, ["mp1 (/mnt/data)"]);
        assert!(survey.warnings.is_empty());
        let nodes = node_list();
        let target = survey.judge(&guest("lxc"), &nodes, "pve2", None);
        assert!(
            target.reasons[0].starts_with("storage tank is not available"),
            "{target:?}"
        );
        let map = StorageMap::parse("tank:bulk").unwrap();
        assert!(
            survey
                .judge(&guest("lxc"), &nodes, "pve2", Some(&map))
                .allowed
        );
    }

    #[test]
    fn parts_of_the_node_in_a_container() {
        let config = GuestConfig::sample(
            Kind::Lxc,
            json!({
                "dev0": "/dev/ttyUSB0,mode=0660", "description": "dev",
                "lxc": [["lxc.cgroup2.devices.allow", "c 226:* rwm"], ["lxc.apparmor.profile", "x"]]
            }),
        );
        let warning = node_parts(&config).unwrap();
        assert!(
            warning.ends_with(
                "missing: dev0: /dev/ttyUSB0,mode=0660, lxc.cgroup2.devices.allow = c 226:* rwm"
            ),
            "{warning}"
        );
    }

    #[test]
    fn storage_maps() {
        let map = StorageMap::parse("local:tank,bulk:nas,rest").unwrap();
        assert_eq!(
            (map.of("local"), map.of("bulk"), map.of("x1")),
            ("tank", "nas", "rest")
        );
        assert_eq!(
            map.targets().into_iter().collect::<Vec<_>>(),
            ["nas", "rest", "tank"]
        );
        for nonsense in [
            "",
            "a",
            "1",
            "a:b:c",
            "local:",
            ":tank",
            "local,tank",
            "local:tank,local:nas",
            "lo cal",
        ] {
            assert!(StorageMap::parse(nonsense).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn devices_of_the_node_hold_a_vm() {
        let preflight = json!({
            "running": 0, "allowed_nodes": ["pve2"], "not_allowed_nodes": {},
            "local_disks": [
                {"drivename": "virtio1", "volid": "/dev/disk/by-id/nvme-a:b", "size": null},
                {"drivename": "scsi0", "volid": "local:100/vm-100-disk-0.qcow2", "size": 64},
            ],
        });
        let disks = [
            Disk::parse("virtio1", "/dev/disk/by-id/nvme-a:b,size=4G"),
            Disk::parse("sata3", "/dev/sdq"),
            Disk::parse("ide0", "cdrom,media=cdrom"),
            Disk::parse("ide2", "none,media=cdrom"),
        ];
        let preflight = serde_json::from_value(preflight).unwrap();
        let survey = Survey::of_vm(&guest("qemu"), preflight, &disks);
        let check = survey.check(&guest("qemu"), &node_list(), None);
        assert!(check.targets.iter().all(|target| !target.allowed));
        let [blocker] = check.blockers.as_slice() else {
            panic!("{:?}", check.blockers);
        };
        for held in [
            "virtio1 (/dev/disk/by-id/nvme-a:b)",
            "sata3 (/dev/sdq)",
            "ide0 (cdrom)",
        ] {
            assert!(blocker.contains(held), "{blocker}");
        }
        assert!(!blocker.contains("ide2"), "{blocker}");
        let copied: Vec<_> = check
            .local_disks
            .iter()
            .map(|disk| disk.disk.as_deref())
            .collect();
        assert_eq!(copied, [Some("scsi0")]);
    }

    proptest! {
        #[test]
        fn any_refusal_is_read(key in "[a-z_-]{1,12}", items in prop::collection::vec(".*", 0..3)) {
            let value = json!({ key: items });
            prop_assert_eq!(refusal_reasons(&value).is_empty(), items.is_empty());
        }

        #[test]
        fn storage_maps_never_panic(text in any::<String>()) {
            if let Ok(map) = StorageMap::parse(&text) {
                prop_assert_eq!(map.to_string(), text);
            }
        }
    }
}
