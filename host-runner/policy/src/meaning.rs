//! What a request means: what it does and names, by the table of calls.

use std::borrow::Cow;

use pve_api::call::stands_for;
use pve_api::hardware::NewDrive;
use pve_api::{
    Action, Call, Grammar, Listing, Need, Param, Params, Setting, Shown, Upid, Vmid, calls,
    grammar, hardware, size,
};

use super::directory::Resident;
use super::effect;
use super::request::ApiRequest;

/// What a request names, and what it does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meaning {
    /// All that it does; a configuration may do several things.
    pub actions: Vec<Action>,
    /// The nodes that it names.
    pub nodes: Vec<String>,
    /// The guests that it names.
    pub vmids: Vec<u32>,
    /// Guests that it makes.
    pub new_vmids: Vec<u32>,
    /// The storages that it names.
    pub storages: Vec<String>,
    /// The volumes that it names, whose owners [`owner_of`](super::owner_of)
    /// tells. Their storages are among `storages`.
    pub volids: Vec<String>,
    /// The pools that it names.
    pub pools: Vec<String>,
    /// Writes to a storage that the request does not name: Proxmox would
    /// choose.
    pub unnamed_storage: bool,
    /// What its answer lists.
    pub listing: Option<Listing>,
    /// Its answer lists all nodes of the cluster.
    pub lists_nodes: bool,
    /// Its answer is about any guest, in a form that cannot be filtered.
    pub tells_of_any_guest: bool,
    /// It is a shutdown, which high availability turns into a hard stop.
    pub forced_by_ha: bool,
    /// It is a migration, for which high availability chooses the storages.
    pub storage_left_to_ha: bool,
    /// It sets how much memory a guest has. A running container that has more
    /// than that in use loses processes at once.
    pub may_starve: bool,
    /// It adds or changes a backup job, or changes what high availability does with a
    /// guest: backups may be lost, or the guest left without them or without help.
    pub may_unprotect: bool,
    /// It inserts a CD-ROM. A guest that boots from it may overwrite its disk.
    pub may_reinstall: bool,
    /// It mounts a volume in a container, which hides what is below that path.
    pub may_hide: bool,
    /// The hosts, in lower case, that a node would fetch from.
    pub hosts: Vec<String>,
    /// It may cut nodes, or guests on them, off from the network, though nothing is lost.
    pub may_lock_out: bool,
    /// It may cut a guest off from its network: it changes one of its cards, or its
    /// firewall.
    pub may_isolate: bool,
    /// It migrates a container. One that runs is restarted on the other node, and so is
    /// one under high availability, whatever the request says.
    pub may_restart: bool,
    /// The largest disk that it makes or grows, in bytes; `u64::MAX` where it
    /// grows a disk by a size, not to one.
    pub disk_bytes: u64,
    /// The memory that it gives a guest, or the swap if that is more, in MiB.
    pub memory_mib: u64,
    /// The CPUs that it gives a guest: cores times sockets; `u64::MAX` where the
    /// request does not show how many.
    pub cpus: u64,
    /// No tool sends it: an `allow` rule lets it through.
    pub for_experts: bool,
}

/// Why the table does not permit a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unknown {
    #[error("no tool sends this request")]
    Call,
    #[error("parameter {0} is not allowed in this request")]
    Param(String),
    #[error("{0} must be {1}")]
    Value(String, Cow<'static, str>),
    #[error("parameter {0} is given more than once")]
    Twice(String),
    #[error("parameter {0} is missing: {1}")]
    Missing(&'static str, &'static str),
    #[error("parameter {0} must be {1}: {2}")]
    Harmful(&'static str, &'static str, &'static str),
}

/// What a request does and names, where the table has it.
pub(crate) fn meaning(request: &ApiRequest) -> Result<Meaning, Unknown> {
    let has_param = |name: &str| request.values(name).next().is_some();
    let call = calls::find(request.method, &request.segments, has_param).ok_or(Unknown::Call)?;
    Meaning::of(call, request)
}

/// What a change does that no tool makes, and that an `allow` rule may let
/// through.
pub(crate) fn meaning_for_experts(request: &ApiRequest) -> Result<Meaning, Unknown> {
    let has_param = |name: &str| request.values(name).next().is_some();
    let call = calls::find_for_experts(request.method, &request.segments, has_param)
        .ok_or(Unknown::Call)?;
    let meaning = Meaning::of(call, request)?;
    Ok(Meaning {
        for_experts: true,
        ..meaning
    })
}

/// What a read that is not in the table names, as far as its path and
/// parameters tell: for what an `allow` rule lets through. What looks like the
/// name of a guest and is none could be any guest.
pub(crate) fn guess(request: &ApiRequest) -> Result<Meaning, Unknown> {
    let mut meaning = Meaning {
        actions: vec![Action::Read],
        for_experts: true,
        ..Meaning::default()
    };
    let mut segments = request.segments.iter().map(String::as_str);
    if let (Some("nodes"), Some(node)) = (segments.next(), segments.next()) {
        meaning.add("node", Grammar::Node, node)?;
        match (segments.next(), segments.next()) {
            (Some("qemu" | "lxc"), Some(segment)) => match Vmid::parse(segment) {
                Some(vmid) => meaning.vmids.push(vmid.get()),
                None => meaning.tells_of_any_guest = true,
            },
            (Some("storage"), Some(storage)) => {
                meaning.add("storage", Grammar::Storage, storage)?
            }
            (Some("tasks"), Some(upid)) => meaning.add("upid", Grammar::Upid, upid)?,
            _ => {}
        }
    }
    for (name, value) in &request.params {
        let grammar = match name.as_str() {
            "node" | "nodes" | "target" | "targetnode" | "target-node" | "check-node"
            | "node-list" => Grammar::Nodes,
            "vmid" | "vmids" | "vms" => Grammar::Vmids,
            "storage" => Grammar::Storage,
            "poolid" | "pool" => Grammar::Pool,
            "volume" | "volid" => Grammar::Volid,
            "url" => Grammar::Url,
            _ => Grammar::Line,
        };
        meaning.add(name, grammar, value)?;
    }
    Ok(meaning)
}

/// A setting of how much memory a guest has.
fn is_memory(name: &str) -> bool {
    matches!(name, "memory" | "balloon" | "swap")
}

impl Meaning {
    /// Whether it may change which guests there are, where they are, their pools
    /// and tags, or whether they are under high availability.
    pub fn changes_directory(&self) -> bool {
        self.actions.iter().any(|action| {
            matches!(
                action,
                Action::Clone
                    | Action::Create
                    | Action::Restore
                    | Action::Options
                    | Action::Migrate
                    | Action::HighAvailability
            )
        })
    }

    /// The guests that it makes, as the directory will list them.
    pub fn new_residents(&self) -> impl Iterator<Item = (u32, Resident)> {
        self.new_vmids.iter().map(|vmid| {
            let resident = Resident {
                // The target of a clone comes after its source.
                node: self.nodes.last().cloned().unwrap_or_default(),
                pool: self.pools.first().cloned(),
                ..Resident::default()
            };
            (*vmid, resident)
        })
    }

    /// Whether it loses or hides data, interrupts a guest, may take memory or backups from
    /// one, or may cut nodes or a guest off. How much memory a guest has now is not known
    /// here, nor whether a container runs, so each change of memory and each migration of
    /// a container counts.
    pub fn is_destructive(&self) -> bool {
        self.may_lock_out
            || self.may_starve
            || self.may_isolate
            || self.may_restart
            || self.may_unprotect
            || self.may_reinstall
            || self.may_hide
            || self.actions.iter().any(|action| action.is_destructive())
    }

    /// Whether it is about a node's firewall, through which all of its guests
    /// are reached.
    pub(crate) fn is_of_node(&self) -> bool {
        let is_of_firewall = |action: &Action| {
            matches!(
                action,
                Action::FirewallRule | Action::FirewallDelete | Action::FirewallOptions
            )
        };
        self.vmids.is_empty() && self.actions.iter().any(is_of_firewall)
    }

    /// What a request for this call means.
    fn of(call: &'static Call, request: &ApiRequest) -> Result<Self, Unknown> {
        let mut meaning = Self::default();
        for (part, segment) in call.segments().zip(&request.segments) {
            if let Some(grammar) = Grammar::of_segment(part) {
                meaning.add(part.trim_matches(['{', '}']), grammar, segment)?;
            }
        }
        match call.shown() {
            Shown::OfPath => {}
            Shown::List(listing) => {
                meaning.listing = Some(listing);
                meaning.lists_nodes = std::ptr::eq(call, &calls::nodes::LIST);
            }
            Shown::OfAnyGuest => meaning.tells_of_any_guest = true,
        }
        for (index, (name, _)) in request.params.iter().enumerate() {
            let mut before = request.params.iter().take(index);
            // A command's arguments are the one list that is sent.
            if name != "command" && before.any(|(other, _)| other == name) {
                return Err(Unknown::Twice(name.clone()));
            }
        }
        match call.params() {
            Params::These(params) => {
                meaning.actions.push(call.action());
                meaning.add_params(params, request)?;
            }
            Params::Config(groups) => meaning.add_config(groups, request)?,
        }
        if let Some(effect) = call.effect() {
            effect::apply(effect, request, &mut meaning);
        }
        meaning.add_resources(request);
        Ok(meaning)
    }

    /// Notes the memory and CPUs that it gives a guest.
    fn add_resources(&mut self, request: &ApiRequest) {
        let number = |name: &str| request.values(name).find_map(pve_api::text::whole);
        let gives = [Action::Create, Action::Resources]
            .into_iter()
            .any(|action| self.actions.contains(&action));
        if !gives {
            return;
        }
        let swap = number("swap").unwrap_or_default();
        self.memory_mib = number("memory").unwrap_or_default().max(swap);
        self.cpus = if self.actions.contains(&Action::Create) {
            number("cores").unwrap_or_default()
        } else if effect::is_of_container(request) {
            container_cpus(request)
        } else {
            vm_cpus(request)
        };
    }

    /// Notes the size of a disk that it makes.
    fn add_disk(&mut self, bytes: u64) {
        self.disk_bytes = self.disk_bytes.max(bytes);
    }

    fn add_params(
        &mut self,
        params: &'static [Param],
        request: &ApiRequest,
    ) -> Result<(), Unknown> {
        for (name, value) in &request.params {
            let known = params
                .iter()
                .find(|param| stands_for(param.name, name))
                .ok_or_else(|| Unknown::Param(name.clone()))?;
            self.add(name, known.grammar, value)?;
            if let Need::Fixed(wanted, why) = known.need
                && grammar::flag(value) != grammar::flag(wanted)
            {
                return Err(Unknown::Harmful(known.name, wanted, why));
            }
        }
        for param in params {
            if request.values(param.name).next().is_some() {
                continue;
            }
            match param.need {
                Need::Optional => {}
                Need::Required(why) => return Err(Unknown::Missing(param.name, why)),
                Need::Fixed(wanted, why) => {
                    return Err(Unknown::Harmful(param.name, wanted, why));
                }
            }
        }
        Ok(())
    }

    fn add_config(
        &mut self,
        groups: &'static [(Action, &'static [Setting])],
        request: &ApiRequest,
    ) -> Result<(), Unknown> {
        let find = |name: &str| {
            groups
                .iter()
                .flat_map(|(action, settings)| settings.iter().map(move |one| (*action, one)))
                .find(|(_, setting)| stands_for(setting.name, name))
                .map(|(action, setting)| (action, setting.grammar))
                .ok_or_else(|| Unknown::Param(name.to_owned()))
        };
        for (name, value) in &request.params {
            match name.as_str() {
                "digest" => self.add(name, Grammar::Hex, value)?,
                // Removing a disk's setting removes the disk: only what may be
                // set may be removed.
                "delete" => {
                    if !grammar::is_list(value) {
                        return Err(Unknown::Value(name.clone(), "a list of settings".into()));
                    }
                    for name in grammar::list(value) {
                        let (action, _) = find(name)?;
                        if action == Action::Hardware {
                            let wanted = "a list of settings without hardware";
                            return Err(Unknown::Value("delete".to_owned(), wanted.into()));
                        }
                        self.act(action);
                        self.may_starve |= is_memory(name);
                    }
                }
                _ => {
                    let (action, grammar) = find(name)?;
                    self.add(name, grammar, value)?;
                    self.act(action);
                    self.may_starve |= is_memory(name);
                    self.may_isolate |= stands_for("net#", name);
                    self.may_hide |= grammar == Grammar::MountPoint;
                    self.may_reinstall |= matches!(grammar, Grammar::Drive { .. })
                        && matches!(NewDrive::parse(value), Some(NewDrive::Cd(Some(_))));
                }
            }
        }
        if self.actions.contains(&Action::Hardware) && request.values("digest").next().is_none() {
            return Err(Unknown::Missing(
                "digest",
                "the guest may have been changed since its hardware was read",
            ));
        }
        if self.actions.is_empty() {
            self.act(Action::Options);
        }
        Ok(())
    }

    /// Notes one more thing that it does.
    pub(crate) fn act(&mut self, action: Action) {
        if !self.actions.contains(&action) {
            self.actions.push(action);
        }
    }

    /// Notes what a value names, if it has the form that it must have.
    fn add(&mut self, name: &str, grammar: Grammar, value: &str) -> Result<(), Unknown> {
        if !grammar.fits(value) {
            return Err(Unknown::Value(name.to_owned(), grammar.wanted()));
        }
        match grammar {
            Grammar::Node => self.nodes.push(value.to_owned()),
            Grammar::Nodes => self.nodes.extend(grammar::list(value).map(str::to_owned)),
            Grammar::Vmid => self.vmids.extend(vmid(value)),
            Grammar::Vmids => self.vmids.extend(grammar::list(value).filter_map(vmid)),
            Grammar::NewVmid => self.new_vmids.extend(vmid(value)),
            Grammar::Storage => self.storages.push(value.to_owned()),
            Grammar::StorageMap => {
                let new = grammar::list(value).map(|pair| pair.rsplit(':').next().unwrap_or(pair));
                self.storages
                    .extend(new.filter(|name| *name != "1").map(str::to_owned));
            }
            Grammar::Volid => self.add_volume(value),
            Grammar::TemplateVolume => self.add_volume(value),
            Grammar::Drive { .. } => {
                let drive = NewDrive::parse(value);
                let storage = drive.and_then(|drive| drive.storage());
                self.storages.extend(storage.map(str::to_owned));
                if let Some(source) = drive.and_then(|drive| drive.source()) {
                    self.add_volume(source);
                }
                if let Some(NewDrive::Volume { bytes, .. }) = drive {
                    self.add_disk(bytes);
                }
            }
            Grammar::StateVolume => {
                let storage = hardware::state_volume(value);
                self.storages.extend(storage.map(str::to_owned));
            }
            Grammar::RootFs | Grammar::MountPoint => {
                let is_mount_point = grammar == Grammar::MountPoint;
                if let Some((storage, bytes)) = hardware::container_volume(value, is_mount_point) {
                    self.storages.push(storage.to_owned());
                    self.add_disk(bytes);
                }
            }
            Grammar::Size => self.add_disk(match value.strip_prefix('+') {
                Some(_) => u64::MAX,
                None => size::parse(value).unwrap_or(u64::MAX),
            }),
            Grammar::Pool => self.pools.push(value.to_owned()),
            Grammar::Upid => self.add_task(value),
            Grammar::HaSid => self.vmids.extend(grammar::ha_vmid(value).map(Vmid::get)),
            Grammar::Url => self.hosts.extend(super::address::host(value)),
            _ => {}
        }
        Ok(())
    }

    fn add_volume(&mut self, volid: &str) {
        let storage = volid.split(':').next().unwrap_or_default();
        self.storages.push(storage.to_owned());
        self.volids.push(volid.to_owned());
    }

    /// A task is about the guest in its UPID, if there is one. Its log may tell
    /// of any guest otherwise, unless it only fetches a file.
    fn add_task(&mut self, upid: &str) {
        let Ok(upid) = upid.parse::<Upid>() else {
            return self.tells_of_any_guest = true;
        };
        match upid.vmid() {
            Some(vmid) => self.vmids.push(vmid.get()),
            None if upid.kind() == "download" => {}
            None => self.tells_of_any_guest = true,
        }
    }
}

/// A setting of a guest, as a request leaves it.
enum Left {
    /// As it was, which the request does not show.
    Unknown,
    /// At its default.
    Removed,
    Set(u64),
}

fn left(request: &ApiRequest, name: &str) -> Left {
    let mut removed = request.values("delete").flat_map(grammar::list);
    // A fraction of a core is one that is used.
    let number = |text: &str| {
        let (number, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let has_rest = decimals.bytes().any(|digit| digit != b'0');
        let number: u64 = number.parse().unwrap_or(u64::MAX);
        number.saturating_add(has_rest.into())
    };
    match request.values(name).next() {
        Some(value) => Left::Set(number(value)),
        None if removed.any(|one| one == name) => Left::Removed,
        None => Left::Unknown,
    }
}

/// The CPUs that a change gives a VM. Without both factors their product is not known.
fn vm_cpus(request: &ApiRequest) -> u64 {
    let factors = (left(request, "cores"), left(request, "sockets"));
    let known = |factor| match factor {
        Left::Unknown => None,
        Left::Removed => Some(1),
        Left::Set(number) => Some(number),
    };
    match factors {
        (Left::Unknown, Left::Unknown) => 0,
        (cores, sockets) => known(cores)
            .zip(known(sockets))
            .map_or(u64::MAX, |(cores, sockets)| cores.saturating_mul(sockets)),
    }
}

/// The CPUs that a change gives a container. It has those of its node without a number of
/// cores, unless its CPU time has a limit; a limit of 0 is none.
fn container_cpus(request: &ApiRequest) -> u64 {
    match (left(request, "cores"), left(request, "cpulimit")) {
        (Left::Set(cores), _) => cores,
        (Left::Unknown, Left::Unknown) => 0,
        (_, Left::Set(limit)) if limit > 0 => limit,
        _ => u64::MAX,
    }
}

fn vmid(text: &str) -> Option<u32> {
    Vmid::parse(text).map(Vmid::get)
}
