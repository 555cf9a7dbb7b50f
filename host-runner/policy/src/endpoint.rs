//! The endpoints that a request may name at all, what each does, and with
//! which parameters.

use super::filter::Listing;
use super::naming::by_name;
use super::preset::Preset;
use super::request::{ApiRequest, Verb};

/// What a request does, in the words of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Changes nothing.
    Read,
    /// Starts and resumes.
    Power,
    /// Shuts down, reboots and suspends, or interrupts the guest by the way.
    Shutdown,
    /// Switches off or resets without asking the guest.
    HardStop,
    /// Makes a guest from another.
    Clone,
    /// Changes cloud-init settings.
    CloudInit,
    /// Changes processors and memory.
    Resources,
    /// Changes name, description, tags, start at boot, protection.
    Options,
    /// Grows a disk.
    Resize,
    /// Moves a guest to another node.
    Migrate,
    /// Makes a snapshot.
    Snapshot,
    /// Removes a snapshot.
    SnapshotDelete,
    /// Goes back to a snapshot.
    Rollback,
    /// Makes a backup.
    Backup,
    /// Makes a guest from a backup.
    Restore,
    /// Adds or changes a firewall rule.
    FirewallRule,
    /// Removes a firewall rule.
    FirewallDelete,
    /// Switches a firewall, or changes its defaults.
    FirewallOptions,
    /// Puts an image or a template on a storage.
    Download,
    /// Stops a task.
    StopTask,
    /// Runs a command inside a guest.
    GuestExec,
}

/// Every action, mildest first, with its name in a policy.
pub const ACTIONS: [(Action, &str); 21] = [
    (Action::Read, "read"),
    (Action::Power, "power"),
    (Action::Shutdown, "shutdown"),
    (Action::Snapshot, "snapshot"),
    (Action::SnapshotDelete, "snapshot-delete"),
    (Action::Backup, "backup"),
    (Action::Restore, "restore"),
    (Action::Clone, "clone"),
    (Action::CloudInit, "cloud-init"),
    (Action::Resources, "resources"),
    (Action::Options, "options"),
    (Action::Resize, "resize"),
    (Action::Migrate, "migrate"),
    (Action::FirewallRule, "firewall-rule"),
    (Action::FirewallOptions, "firewall-options"),
    (Action::Download, "download"),
    (Action::StopTask, "stop-task"),
    (Action::HardStop, "hard-stop"),
    (Action::Rollback, "rollback"),
    (Action::FirewallDelete, "firewall-delete"),
    (Action::GuestExec, "guest-exec"),
];

by_name!(Action, ACTIONS, "action");

impl Action {
    /// Why a request for it is refused, and what allows it.
    pub(crate) fn refusal(self) -> String {
        let name = self.name();
        let preset = Preset::least(self).name();
        format!(
            "the policy of this server does not allow {name}: its operator can, by --preset \
             {preset} or by adding {name:?} to allow_actions in its policy file"
        )
    }

    /// Whether it can do what no request shows: it takes more than a preset to
    /// allow it.
    pub fn is_dangerous(self) -> bool {
        self == Self::GuestExec
    }

    /// Whether it loses data or interrupts a guest.
    pub fn is_destructive(self) -> bool {
        matches!(
            self,
            Self::Shutdown
                | Self::HardStop
                | Self::Rollback
                | Self::SnapshotDelete
                | Self::FirewallDelete
                | Self::StopTask
                | Self::GuestExec
        )
    }
}

/// One line of the table.
#[derive(Debug)]
struct Endpoint {
    verb: Verb,
    /// `{node}`, `{vmid}`, `{storage}`, `{pool}` and `{upid}` say what a scope
    /// looks at; `*` is any other segment.
    pattern: &'static str,
    action: Action,
    params: Params,
    reach: Reach,
}

/// What an answer tells beyond the guest, node or storage in its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Nothing.
    Path,
    /// A list, out of which can be taken what is outside of a scope.
    List(Listing),
    /// Words about any guest: nothing for whoever may see some of them alone.
    AnyGuest,
}

/// Which parameters an endpoint takes.
#[derive(Debug)]
enum Params {
    /// Any: a read has no parameter that does harm.
    Any,
    /// These alone. A name that ends in `#` stands for it with a number.
    Only(&'static [&'static str]),
    /// A guest's configuration: each parameter has an action of its own.
    Config,
}

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
    /// The pools that it names.
    pub pools: Vec<String>,
    /// Needs a storage that the request does not name: Proxmox would choose.
    pub unnamed_storage: bool,
    /// What its answer lists.
    pub listing: Option<Listing>,
    /// Its answer tells of guests that nobody can take out again.
    pub tells_of_any_guest: bool,
}

/// Why a request has no place in the table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unknown {
    #[error("no tool has any use for this call")]
    Endpoint,
    #[error("parameter {0} has no place in this call")]
    Param(String),
    #[error("{0} is no vmid")]
    Vmid(String),
    #[error("parameter {0} stands there twice")]
    Twice(String),
}

use Action as A;
use Listing as L;
use Verb::{Delete, Get, Post, Put};

const fn read(pattern: &'static str) -> Endpoint {
    Endpoint {
        verb: Get,
        pattern,
        action: A::Read,
        params: Params::Any,
        reach: Reach::Path,
    }
}

const fn list(pattern: &'static str, listing: Listing) -> Endpoint {
    Endpoint {
        reach: Reach::List(listing),
        ..read(pattern)
    }
}

const fn log(pattern: &'static str) -> Endpoint {
    Endpoint {
        reach: Reach::AnyGuest,
        ..read(pattern)
    }
}

const fn write(
    verb: Verb,
    pattern: &'static str,
    action: Action,
    params: &'static [&'static str],
) -> Endpoint {
    Endpoint {
        verb,
        pattern,
        action,
        params: Params::Only(params),
        reach: Reach::Path,
    }
}

const fn config(verb: Verb, pattern: &'static str) -> Endpoint {
    Endpoint {
        verb,
        pattern,
        action: A::Options,
        params: Params::Config,
        reach: Reach::Path,
    }
}

const RULE: &[&str] = &[
    "type",
    "action",
    "enable",
    "macro",
    "iface",
    "source",
    "dest",
    "proto",
    "dport",
    "sport",
    "icmp-type",
    "log",
    "comment",
    "pos",
    "digest",
    "delete",
    "moveto",
];
const FIREWALL_OPTIONS: &[&str] = &[
    "enable",
    "policy_in",
    "policy_out",
    "policy_forward",
    "dhcp",
    "ndp",
    "radv",
    "macfilter",
    "ipfilter",
    "log_level_in",
    "log_level_out",
    "log_level_forward",
    "ebtables",
    "nosmurfs",
    "tcpflags",
    "log_ratelimit",
    "nf_conntrack_max",
    "nftables",
    "delete",
    "digest",
];

/// Every endpoint that may be called. What is not here is refused.
#[rustfmt::skip]
static ENDPOINTS: &[Endpoint] = &[
    read("version"),
    list("access/permissions", L::Permissions),
    list("pools", L::Pools),
    list("pools/{pool}", L::Pool),
    list("storage", L::Storages),
    list("cluster/resources", L::Resources),
    list("cluster/status", L::Nodes),
    list("cluster/tasks", L::Tasks),
    log("cluster/log"),
    read("cluster/nextid"),
    read("cluster/options"),
    list("cluster/ha/status/current", L::HaResources),
    list("cluster/ha/resources", L::HaResources),
    read("cluster/firewall/options"),
    read("cluster/firewall/rules"),
    read("cluster/firewall/rules/*"),
    read("cluster/firewall/groups"),
    read("cluster/firewall/groups/*"),
    read("cluster/firewall/groups/*/*"),
    read("cluster/firewall/aliases"),
    read("cluster/firewall/ipset"),
    read("cluster/firewall/ipset/*"),
    read("cluster/firewall/macros"),
    read("cluster/firewall/refs"),
    list("nodes", L::Nodes),
    read("nodes/{node}/status"),
    read("nodes/{node}/version"),
    read("nodes/{node}/time"),
    read("nodes/{node}/network"),
    read("nodes/{node}/rrddata"),
    list("nodes/{node}/tasks", L::Tasks),
    read("nodes/{node}/tasks/{upid}/status"),
    read("nodes/{node}/tasks/{upid}/log"),
    log("nodes/{node}/syslog"),
    log("nodes/{node}/journal"),
    read("nodes/{node}/aplinfo"),
    // The node asks that url, whatever it is.
    Endpoint { verb: Get, pattern: "nodes/{node}/query-url-metadata", action: A::Download, params: Params::Only(&["url", "verify-certificates"]), reach: Reach::Path },
    read("nodes/{node}/firewall/options"),
    read("nodes/{node}/firewall/rules"),
    read("nodes/{node}/firewall/rules/*"),
    list("nodes/{node}/storage", L::Storages),
    read("nodes/{node}/storage/{storage}/status"),
    list("nodes/{node}/storage/{storage}/content", L::Content),
    list("nodes/{node}/qemu", L::Guests),
    list("nodes/{node}/lxc", L::Guests),
    read("nodes/{node}/qemu/{vmid}/config"),
    read("nodes/{node}/qemu/{vmid}/pending"),
    read("nodes/{node}/qemu/{vmid}/status/current"),
    read("nodes/{node}/qemu/{vmid}/rrddata"),
    read("nodes/{node}/qemu/{vmid}/snapshot"),
    read("nodes/{node}/qemu/{vmid}/snapshot/*/config"),
    list("nodes/{node}/qemu/{vmid}/migrate", L::Targets),
    read("nodes/{node}/qemu/{vmid}/cloudinit"),
    read("nodes/{node}/qemu/{vmid}/cloudinit/dump"),
    read("nodes/{node}/qemu/{vmid}/feature"),
    read("nodes/{node}/qemu/{vmid}/firewall/options"),
    read("nodes/{node}/qemu/{vmid}/firewall/rules"),
    read("nodes/{node}/qemu/{vmid}/firewall/rules/*"),
    read("nodes/{node}/qemu/{vmid}/firewall/aliases"),
    read("nodes/{node}/qemu/{vmid}/firewall/ipset"),
    read("nodes/{node}/qemu/{vmid}/firewall/ipset/*"),
    read("nodes/{node}/qemu/{vmid}/firewall/refs"),
    read("nodes/{node}/qemu/{vmid}/agent/network-get-interfaces"),
    read("nodes/{node}/qemu/{vmid}/agent/get-osinfo"),
    read("nodes/{node}/qemu/{vmid}/agent/get-host-name"),
    read("nodes/{node}/qemu/{vmid}/agent/get-fsinfo"),
    read("nodes/{node}/qemu/{vmid}/agent/info"),
    // What the exec of a policy that allows it has printed.
    Endpoint { verb: Get, pattern: "nodes/{node}/qemu/{vmid}/agent/exec-status", action: A::GuestExec, params: Params::Only(&["pid"]), reach: Reach::Path },
    read("nodes/{node}/lxc/{vmid}/config"),
    read("nodes/{node}/lxc/{vmid}/pending"),
    read("nodes/{node}/lxc/{vmid}/status/current"),
    read("nodes/{node}/lxc/{vmid}/rrddata"),
    read("nodes/{node}/lxc/{vmid}/interfaces"),
    read("nodes/{node}/lxc/{vmid}/snapshot"),
    read("nodes/{node}/lxc/{vmid}/snapshot/*/config"),
    list("nodes/{node}/lxc/{vmid}/migrate", L::Targets),
    read("nodes/{node}/lxc/{vmid}/feature"),
    read("nodes/{node}/lxc/{vmid}/firewall/options"),
    read("nodes/{node}/lxc/{vmid}/firewall/rules"),
    read("nodes/{node}/lxc/{vmid}/firewall/rules/*"),
    read("nodes/{node}/lxc/{vmid}/firewall/aliases"),
    read("nodes/{node}/lxc/{vmid}/firewall/ipset"),
    read("nodes/{node}/lxc/{vmid}/firewall/ipset/*"),
    read("nodes/{node}/lxc/{vmid}/firewall/refs"),

    write(Post, "nodes/{node}/qemu/{vmid}/status/start", A::Power, &["timeout"]),
    write(Post, "nodes/{node}/qemu/{vmid}/status/shutdown", A::Shutdown, &["timeout", "forceStop"]),
    write(Post, "nodes/{node}/qemu/{vmid}/status/reboot", A::Shutdown, &["timeout"]),
    write(Post, "nodes/{node}/qemu/{vmid}/status/suspend", A::Shutdown, &["todisk", "statestorage"]),
    write(Post, "nodes/{node}/qemu/{vmid}/status/resume", A::Power, &[]),
    write(Post, "nodes/{node}/qemu/{vmid}/status/stop", A::HardStop, &["timeout", "overrule-shutdown"]),
    write(Post, "nodes/{node}/qemu/{vmid}/status/reset", A::HardStop, &[]),
    write(Post, "nodes/{node}/lxc/{vmid}/status/start", A::Power, &[]),
    write(Post, "nodes/{node}/lxc/{vmid}/status/shutdown", A::Shutdown, &["timeout", "forceStop"]),
    write(Post, "nodes/{node}/lxc/{vmid}/status/reboot", A::Shutdown, &["timeout"]),
    write(Post, "nodes/{node}/lxc/{vmid}/status/suspend", A::Shutdown, &[]),
    write(Post, "nodes/{node}/lxc/{vmid}/status/resume", A::Power, &[]),
    write(Post, "nodes/{node}/lxc/{vmid}/status/stop", A::HardStop, &["overrule-shutdown"]),

    write(Post, "nodes/{node}/qemu/{vmid}/clone", A::Clone,
        &["newid", "name", "target", "storage", "full", "pool", "snapname", "description", "format", "bwlimit"]),
    write(Post, "nodes/{node}/lxc/{vmid}/clone", A::Clone,
        &["newid", "hostname", "target", "storage", "full", "pool", "snapname", "description", "bwlimit"]),
    config(Post, "nodes/{node}/qemu/{vmid}/config"),
    config(Put, "nodes/{node}/qemu/{vmid}/config"),
    config(Put, "nodes/{node}/lxc/{vmid}/config"),
    write(Put, "nodes/{node}/qemu/{vmid}/cloudinit", A::CloudInit, &[]),
    write(Put, "nodes/{node}/qemu/{vmid}/resize", A::Resize, &["disk", "size", "digest"]),
    write(Put, "nodes/{node}/lxc/{vmid}/resize", A::Resize, &["disk", "size", "digest"]),
    write(Post, "nodes/{node}/qemu/{vmid}/migrate", A::Migrate,
        &["target", "online", "with-local-disks", "targetstorage", "bwlimit"]),
    write(Post, "nodes/{node}/lxc/{vmid}/migrate", A::Migrate,
        &["target", "restart", "online", "timeout", "target-storage", "bwlimit"]),
    write(Post, "nodes/{node}/qemu/{vmid}/snapshot", A::Snapshot, &["snapname", "description", "vmstate"]),
    write(Post, "nodes/{node}/lxc/{vmid}/snapshot", A::Snapshot, &["snapname", "description"]),
    write(Post, "nodes/{node}/qemu/{vmid}/snapshot/*/rollback", A::Rollback, &["start"]),
    write(Post, "nodes/{node}/lxc/{vmid}/snapshot/*/rollback", A::Rollback, &["start"]),
    write(Delete, "nodes/{node}/qemu/{vmid}/snapshot/*", A::SnapshotDelete, &[]),
    write(Delete, "nodes/{node}/lxc/{vmid}/snapshot/*", A::SnapshotDelete, &[]),
    write(Post, "nodes/{node}/vzdump", A::Backup,
        &["vmid", "storage", "mode", "compress", "notes-template", "protected", "remove", "bwlimit"]),
    write(Post, "nodes/{node}/qemu", A::Restore,
        &["vmid", "archive", "storage", "unique", "name", "pool", "bwlimit"]),
    write(Post, "nodes/{node}/lxc", A::Restore,
        &["vmid", "ostemplate", "restore", "storage", "unique", "hostname", "pool", "bwlimit"]),
    write(Post, "nodes/{node}/storage/{storage}/download-url", A::Download,
        &["content", "filename", "url", "checksum", "checksum-algorithm", "verify-certificates", "compression"]),
    write(Post, "nodes/{node}/aplinfo", A::Download, &["storage", "template"]),
    write(Delete, "nodes/{node}/tasks/{upid}", A::StopTask, &[]),

    write(Post, "cluster/firewall/rules", A::FirewallRule, RULE),
    write(Put, "cluster/firewall/rules/*", A::FirewallRule, RULE),
    write(Delete, "cluster/firewall/rules/*", A::FirewallDelete, &["digest"]),
    write(Put, "cluster/firewall/options", A::FirewallOptions, FIREWALL_OPTIONS),
    write(Post, "nodes/{node}/firewall/rules", A::FirewallRule, RULE),
    write(Put, "nodes/{node}/firewall/rules/*", A::FirewallRule, RULE),
    write(Delete, "nodes/{node}/firewall/rules/*", A::FirewallDelete, &["digest"]),
    write(Put, "nodes/{node}/firewall/options", A::FirewallOptions, FIREWALL_OPTIONS),
    write(Post, "nodes/{node}/qemu/{vmid}/firewall/rules", A::FirewallRule, RULE),
    write(Put, "nodes/{node}/qemu/{vmid}/firewall/rules/*", A::FirewallRule, RULE),
    write(Delete, "nodes/{node}/qemu/{vmid}/firewall/rules/*", A::FirewallDelete, &["digest"]),
    write(Put, "nodes/{node}/qemu/{vmid}/firewall/options", A::FirewallOptions, FIREWALL_OPTIONS),
    write(Post, "nodes/{node}/lxc/{vmid}/firewall/rules", A::FirewallRule, RULE),
    write(Put, "nodes/{node}/lxc/{vmid}/firewall/rules/*", A::FirewallRule, RULE),
    write(Delete, "nodes/{node}/lxc/{vmid}/firewall/rules/*", A::FirewallDelete, &["digest"]),
    write(Put, "nodes/{node}/lxc/{vmid}/firewall/options", A::FirewallOptions, FIREWALL_OPTIONS),

    write(Post, "nodes/{node}/qemu/{vmid}/agent/exec", A::GuestExec, &["command", "input-data"]),
];

/// Which action a parameter of a guest's configuration is. Disks, network
/// cards, passed-through devices and hook scripts are not here.
#[rustfmt::skip]
static CONFIG: &[(Action, &[&str])] = &[
    (A::Resources, &["cores", "sockets", "memory", "swap", "balloon", "cpulimit", "vcpus"]),
    (A::Options, &["name", "hostname", "description", "tags", "onboot", "protection"]),
    (A::CloudInit, &["ciuser", "cipassword", "sshkeys", "ipconfig#", "nameserver", "searchdomain", "ciupgrade", "citype"]),
];

/// What a request does and names, where the table has it.
pub(crate) fn meaning(request: &ApiRequest) -> Result<Meaning, Unknown> {
    let mut meaning = Meaning::default();
    let endpoint = ENDPOINTS
        .iter()
        .find(|endpoint| endpoint.verb == request.verb && endpoint.matches(request))
        .ok_or(Unknown::Endpoint)?;
    for (part, segment) in endpoint.pattern.split('/').zip(&request.segments) {
        match part {
            "{node}" => meaning.nodes.push(segment.clone()),
            "{storage}" => meaning.storages.push(segment.clone()),
            "{vmid}" => meaning.vmids.push(vmid(segment)?),
            "{pool}" => meaning.pools.push(segment.clone()),
            "{upid}" => meaning.vmids.extend(upid_vmid(segment)),
            _ => {}
        }
    }
    match endpoint.reach {
        Reach::Path => {}
        Reach::List(listing) => meaning.listing = Some(listing),
        Reach::AnyGuest => meaning.tells_of_any_guest = true,
    }
    match endpoint.params {
        Params::Any => meaning.actions.push(endpoint.action),
        Params::Only(names) => {
            meaning.actions.push(endpoint.action);
            for (name, _) in &request.params {
                if !names.contains(&name.as_str()) {
                    return Err(Unknown::Param(name.clone()));
                }
            }
        }
        Params::Config => meaning.actions = config_actions(request)?,
    }
    // A command's arguments are the one list that is sent.
    for (index, (name, _)) in request.params.iter().enumerate() {
        let again = request
            .params
            .iter()
            .skip(index + 1)
            .any(|(other, _)| other == name);
        if again && name != "command" {
            return Err(Unknown::Twice(name.clone()));
        }
    }
    meaning.add_params(endpoint, request)?;
    Ok(meaning)
}

/// What a request that is not in the table names, as far as its path and
/// parameters tell: for what an expert's rule lets through. What looks like the
/// name of a guest and is none could be any guest.
pub(crate) fn guess(request: &ApiRequest) -> Meaning {
    let mut meaning = Meaning::default();
    let mut segments = request.segments.iter().map(String::as_str);
    if let (Some("nodes"), Some(node)) = (segments.next(), segments.next()) {
        meaning.nodes.push(node.to_owned());
        match (segments.next(), segments.next()) {
            (Some("qemu" | "lxc"), Some(segment)) => match vmid(segment) {
                Ok(vmid) => meaning.vmids.push(vmid),
                Err(_) => meaning.tells_of_any_guest = true,
            },
            (Some("storage"), Some(storage)) => meaning.storages.push(storage.to_owned()),
            _ => {}
        }
    }
    if meaning.add_params(&read(""), request).is_err() {
        meaning.tells_of_any_guest = true;
    }
    meaning
}

impl Endpoint {
    fn matches(&self, request: &ApiRequest) -> bool {
        let mut parts = self.pattern.split('/');
        let mut segments = request.segments.iter();
        loop {
            match (parts.next(), segments.next()) {
                (None, None) => return true,
                (Some(part), Some(segment)) => {
                    if part != "*" && !part.starts_with('{') && part != segment {
                        return false;
                    }
                }
                _ => return false,
            }
        }
    }
}

fn config_actions(request: &ApiRequest) -> Result<Vec<Action>, Unknown> {
    let mut actions = Vec::new();
    let mut add = |name: &str| {
        let found = CONFIG
            .iter()
            .find(|(_, names)| names.iter().any(|known| stands_for(known, name)))
            .map(|(action, _)| *action)
            .ok_or_else(|| Unknown::Param(name.to_owned()))?;
        if !actions.contains(&found) {
            actions.push(found);
        }
        Ok(())
    };
    for (name, value) in &request.params {
        match name.as_str() {
            "digest" => {}
            // Removing a disk's setting removes the disk: only what may be set
            // may be removed.
            "delete" | "revert" => {
                let names = value.split([',', ';', ' ', '\0']);
                for name in names.filter(|name| !name.is_empty()) {
                    add(name)?;
                }
            }
            name => add(name)?,
        }
    }
    if actions.is_empty() {
        actions.push(Action::Options);
    }
    Ok(actions)
}

/// `ipconfig#` stands for `ipconfig0` and its like.
fn stands_for(known: &str, name: &str) -> bool {
    let Some(prefix) = known.strip_suffix('#') else {
        return known == name;
    };
    name.strip_prefix(prefix).is_some_and(|number| {
        (1..=3).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit())
    })
}

impl Meaning {
    /// Whether it loses data or interrupts a guest.
    pub fn is_destructive(&self) -> bool {
        self.actions.iter().any(|action| action.is_destructive())
    }

    /// Whether it is about a node's firewall, through which all of its guests
    /// are reached.
    pub(crate) fn is_of_node(&self) -> bool {
        let firewall = |action: &Action| {
            matches!(
                action,
                Action::FirewallRule | Action::FirewallDelete | Action::FirewallOptions
            )
        };
        self.vmids.is_empty() && self.actions.iter().any(firewall)
    }

    /// Parameters name guests, nodes, storages and pools as well.
    fn add_params(&mut self, endpoint: &Endpoint, request: &ApiRequest) -> Result<(), Unknown> {
        let makes_guest = matches!(endpoint.action, Action::Clone | Action::Restore);
        for (name, value) in &request.params {
            match name.as_str() {
                "newid" => self.new_vmids.push(vmid(value)?),
                "vmid" if makes_guest => self.new_vmids.push(vmid(value)?),
                // Asks whether this vmid is free, or for one that is.
                "vmid" if endpoint.pattern == "cluster/nextid" => {}
                "vmid" => {
                    for one in value.split([',', ';', ' ']).filter(|one| !one.is_empty()) {
                        self.vmids.push(vmid(one)?);
                    }
                }
                "target" => self.nodes.push(value.clone()),
                "storage" | "statestorage" => self.storages.push(value.clone()),
                // One for all disks, or pairs of old and new.
                "targetstorage" | "target-storage" => {
                    let pairs = value.split([',', ';', ' ']).filter(|pair| !pair.is_empty());
                    let new = pairs.map(|pair| pair.rsplit(':').next().unwrap_or(pair));
                    self.storages
                        .extend(new.filter(|name| *name != "1").map(str::to_owned));
                }
                "archive" | "ostemplate" => {
                    let (storage, _) = value
                        .split_once(':')
                        .ok_or_else(|| Unknown::Param(name.clone()))?;
                    self.storages.push(storage.to_owned());
                }
                "pool" => self.pools.push(value.clone()),
                "forceStop" if value != "0" => self.actions.push(Action::HardStop),
                "mode" if endpoint.action == Action::Backup && value != "snapshot" => {
                    self.actions.push(Action::Shutdown);
                }
                // Old backups would go.
                "remove" if value != "0" => return Err(Unknown::Param("remove=1".to_owned())),
                "restart" if endpoint.action == Action::Migrate && value != "0" => {
                    self.actions.push(Action::Shutdown);
                }
                _ => {}
            }
        }
        self.unnamed_storage = matches!(endpoint.action, Action::Backup | Action::Restore)
            && request.values("storage").next().is_none();
        Ok(())
    }
}

/// The guest that a task is about, if its UPID names one.
fn upid_vmid(upid: &str) -> Option<u32> {
    vmid(upid.split(':').nth(6)?).ok()
}

fn vmid(text: &str) -> Result<u32, Unknown> {
    let wrong = || Unknown::Vmid(text.chars().take(16).collect());
    if text.starts_with('0') || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    match text.parse() {
        Ok(vmid @ 100..=999_999_999) => Ok(vmid),
        _ => Err(wrong()),
    }
}
