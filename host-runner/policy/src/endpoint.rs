//! The endpoints that a request may name at all, what each does, and with
//! which parameters.

use std::borrow::Cow;

use super::action::Action;
use super::effect;
use super::filter::Listing;
use super::kind::{self, Kind};
use super::request::{ApiRequest, Verb};

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Endpoint {
    pub(crate) verb: Verb,
    /// Segments in braces are named by their kind: see [`segment_kind`].
    pub(crate) pattern: &'static str,
    pub(crate) action: Action,
    pub(crate) params: Params,
    reach: Reach,
    /// What else it does, by its parameters.
    effect: Option<fn(&ApiRequest, &mut Meaning)>,
}

/// What an answer tells beyond the guest, node or storage in its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Nothing.
    Path,
    /// A list, out of which can be taken what is outside of a scope.
    List(Listing),
    /// Text about any guest: refused under a scope on guests.
    AnyGuest,
}

/// Which parameters an endpoint takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Params {
    /// These alone.
    These(&'static [Param]),
    /// A guest's configuration: each parameter has an action of its own, and
    /// `delete` may name each of them. A name that ends in `#` stands for it
    /// with a number.
    Config(&'static [(Action, &'static [(&'static str, Kind)])]),
}

/// A parameter: its name, the grammar of its values, and whether it may be
/// left out.
pub(crate) type Param = (&'static str, Kind, Need);

/// Whether a parameter may be left out, and what it may be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Need {
    /// It may be left out: Proxmox's default does no harm.
    May,
    /// It has to be there: what Proxmox does without it.
    Must(&'static str),
    /// It has to be there with this value: what Proxmox does otherwise.
    Only(&'static str, &'static str),
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
    /// The hosts, in lower case, that a node would fetch from.
    pub hosts: Vec<String>,
    /// It may cut nodes off from the network, though nothing is lost.
    pub may_lock_out: bool,
    /// No tool sends it: an `allow` rule lets it through.
    pub for_experts: bool,
}

/// Why the table does not permit a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unknown {
    #[error("no tool sends this request")]
    Endpoint,
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

use Action as A;
use Kind as K;
use Listing as L;
use Need::{May, Must, Only};
use Verb::{Delete, Get, Post, Put};

const fn read(pattern: &'static str, params: &'static [Param]) -> Endpoint {
    Endpoint {
        verb: Get,
        pattern,
        action: A::Read,
        params: Params::These(params),
        reach: Reach::Path,
        effect: None,
    }
}

const fn list(pattern: &'static str, listing: Listing, params: &'static [Param]) -> Endpoint {
    Endpoint {
        reach: Reach::List(listing),
        ..read(pattern, params)
    }
}

const fn log(pattern: &'static str, params: &'static [Param]) -> Endpoint {
    Endpoint {
        reach: Reach::AnyGuest,
        ..read(pattern, params)
    }
}

const fn write(
    verb: Verb,
    pattern: &'static str,
    action: Action,
    params: &'static [Param],
) -> Endpoint {
    Endpoint {
        verb,
        pattern,
        action,
        ..read(pattern, params)
    }
}

const fn config(
    verb: Verb,
    pattern: &'static str,
    params: &'static [(Action, &'static [(&'static str, Kind)])],
) -> Endpoint {
    Endpoint {
        params: Params::Config(params),
        ..write(verb, pattern, A::Options, &[])
    }
}

impl Endpoint {
    const fn with(self, effect: fn(&ApiRequest, &mut Meaning)) -> Self {
        Self {
            effect: Some(effect),
            ..self
        }
    }
}

const TIMEFRAME: Kind = K::OneOf(&["hour", "day", "week", "month", "year", "decade"]);
const CONSOLIDATION: Kind = K::OneOf(&["AVERAGE", "MAX"]);
const COUNT: Kind = K::Int(0, 1_000_000);
const SECONDS: Kind = K::Int(0, 86_400);
/// A moment, in seconds since 1970.
const MOMENT: Kind = K::Int(0, 99_999_999_999);
/// KiB/s.
const BANDWIDTH: Kind = K::Int(0, 1_000_000_000);
const LOG_LEVEL: Kind = K::OneOf(&[
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug", "nolog",
]);
const VERDICT: Kind = K::OneOf(&["ACCEPT", "REJECT", "DROP"]);

const RRD: &[Param] = &[("timeframe", TIMEFRAME, May), ("cf", CONSOLIDATION, May)];
const CONFIG_OF: &[Param] = &[("snapshot", K::Id, May)];
const CONTENT: Kind = K::OneOf(&[
    "images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import",
]);
const TASK_FILTERS: &[Param] = &[
    ("limit", COUNT, May),
    ("since", MOMENT, May),
    ("source", K::OneOf(&["archive", "active", "all"]), May),
    (
        "statusfilter",
        K::SomeOf(&["ok", "error", "warning", "unknown"]),
        May,
    ),
    ("typefilter", K::Word, May),
    ("until", MOMENT, May),
    ("userfilter", K::Word, May),
    ("vmid", K::Vmid, May),
];
const SYSLOG_FILTERS: &[Param] = &[
    ("limit", COUNT, May),
    ("service", K::Word, May),
    ("since", K::Time, May),
    ("start", COUNT, May),
    ("until", K::Time, May),
];
/// A new rule. Without `enable` Proxmox adds it switched off: the default opens
/// and closes nothing.
const NEW_RULE: &[Param] = &[
    ("type", K::OneOf(&["in", "out", "forward", "group"]), May),
    ("action", K::Name, May),
    ("enable", K::Int(0, 1), May),
    ("macro", K::Name, May),
    ("iface", K::Spec, May),
    ("source", K::Spec, May),
    ("dest", K::Spec, May),
    ("proto", K::Spec, May),
    ("dport", K::Spec, May),
    ("sport", K::Spec, May),
    ("icmp-type", K::Spec, May),
    ("log", LOG_LEVEL, May),
    // The file of rules is kept line by line: a second line would be another
    // rule, or switch the firewall off.
    ("comment", K::Line, May),
];
/// A change of a rule. What is left out stays as it is.
const RULE: &[Param] = &[
    ("type", K::OneOf(&["in", "out", "forward", "group"]), May),
    ("action", K::Name, May),
    ("enable", K::Int(0, 1), May),
    ("macro", K::Name, May),
    ("iface", K::Spec, May),
    ("source", K::Spec, May),
    ("dest", K::Spec, May),
    ("proto", K::Spec, May),
    ("dport", K::Spec, May),
    ("sport", K::Spec, May),
    ("icmp-type", K::Spec, May),
    ("log", LOG_LEVEL, May),
    ("comment", K::Line, May),
    ("moveto", COUNT, May),
    ("digest", K::Hex, May),
    (
        "delete",
        K::SomeOf(&[
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
        ]),
        May,
    ),
];
const DIGEST: &[Param] = &[("digest", K::Hex, May)];
/// What is left out of the options of a firewall stays as it is: no default
/// comes into force.
const CLUSTER_OPTIONS: &[Param] = &[
    ("enable", K::Int(0, 1), May),
    ("policy_in", VERDICT, May),
    ("policy_out", VERDICT, May),
    ("policy_forward", K::OneOf(&["ACCEPT", "DROP"]), May),
    ("ebtables", K::Bool, May),
    ("digest", K::Hex, May),
];
const NODE_OPTIONS: &[Param] = &[
    ("enable", K::Bool, May),
    ("ndp", K::Bool, May),
    ("log_level_in", LOG_LEVEL, May),
    ("log_level_out", LOG_LEVEL, May),
    ("log_level_forward", LOG_LEVEL, May),
    ("nftables", K::Bool, May),
    ("nosmurfs", K::Bool, May),
    ("smurf_log_level", LOG_LEVEL, May),
    ("tcpflags", K::Bool, May),
    ("tcp_flags_log_level", LOG_LEVEL, May),
    ("protection_synflood", K::Bool, May),
    ("protection_synflood_rate", COUNT, May),
    ("protection_synflood_burst", COUNT, May),
    ("log_nf_conntrack", K::Bool, May),
    ("nf_conntrack_allow_invalid", K::Bool, May),
    ("nf_conntrack_max", K::Int(32_768, 4_294_967_295), May),
    (
        "nf_conntrack_tcp_timeout_established",
        K::Int(7_875, 4_294_967_295),
        May,
    ),
    ("nf_conntrack_tcp_timeout_syn_recv", K::Int(30, 60), May),
    ("digest", K::Hex, May),
];
const GUEST_OPTIONS: &[Param] = &[
    ("enable", K::Bool, May),
    ("policy_in", VERDICT, May),
    ("policy_out", VERDICT, May),
    ("dhcp", K::Bool, May),
    ("ndp", K::Bool, May),
    ("radv", K::Bool, May),
    ("macfilter", K::Bool, May),
    ("ipfilter", K::Bool, May),
    ("log_level_in", LOG_LEVEL, May),
    ("log_level_out", LOG_LEVEL, May),
    ("digest", K::Hex, May),
];

/// Every endpoint that may be called. What is not here is refused.
///
/// No row has `force`, `skiplock`, `purge`, `remove` other than 0, or another
/// parameter that Proxmox deletes or overwrites by: they are built in. Where
/// the default of a parameter does harm, it has to be there: the row says why.
#[rustfmt::skip]
static ENDPOINTS: &[Endpoint] = &[
    read("version", &[]),
    list("access/permissions", L::Permissions, &[]),
    list("pools", L::Pools, &[]),
    list("cluster/resources", L::Resources, &[("type", K::OneOf(&["vm", "storage", "node", "sdn"]), May)]),
    list("cluster/status", L::Nodes, &[]),
    list("cluster/tasks", L::Tasks, &[]),
    log("cluster/log", &[("max", K::Int(1, 1_000_000), May)]),
    // With `vmid` it would tell whether that guest exists.
    read("cluster/nextid", &[]),
    list("cluster/ha/status/current", L::HaResources, &[]),
    list("cluster/ha/resources", L::HaResources, &[]),
    read("cluster/firewall/options", &[]),
    read("cluster/firewall/rules", &[]),
    read("cluster/firewall/groups", &[]),
    read("cluster/firewall/groups/{name}", &[]),
    read("cluster/firewall/ipset/{name}", &[]),
    read("cluster/firewall/macros", &[]),
    list("cluster/firewall/refs", L::References, &[]),
    list("nodes", L::Nodes, &[]),
    read("nodes/{node}/status", &[]),
    read("nodes/{node}/time", &[]),
    read("nodes/{node}/network", &[("type", K::OneOf(&["include_sdn", "any_bridge", "any_local_bridge", "bridge", "bond", "eth", "vlan", "vnet"]), May)]),
    list("nodes/{node}/tasks", L::Tasks, TASK_FILTERS),
    read("nodes/{node}/tasks/{upid}/status", &[]),
    read("nodes/{node}/tasks/{upid}/log", &[("start", COUNT, May), ("limit", COUNT, May)]),
    log("nodes/{node}/syslog", SYSLOG_FILTERS),
    read("nodes/{node}/aplinfo", &[]),
    // The node asks that address, whatever it is; not, though, those near it,
    // which are built in.
    write(Get, "nodes/{node}/query-url-metadata", A::Download, &[("url", K::Url, May), ("verify-certificates", K::Bool, May)]),
    read("nodes/{node}/firewall/options", &[]),
    read("nodes/{node}/firewall/rules", &[]),
    list("nodes/{node}/storage", L::Storages, &[]),
    list("nodes/{node}/storage/{storage}/content", L::Content, &[("content", CONTENT, May), ("vmid", K::Vmid, May)]),
    list("nodes/{node}/qemu", L::Guests, &[]),
    list("nodes/{node}/lxc", L::Guests, &[]),
    read("nodes/{node}/qemu/{vmid}/config", CONFIG_OF),
    read("nodes/{node}/qemu/{vmid}/pending", &[]),
    read("nodes/{node}/qemu/{vmid}/status/current", &[]),
    read("nodes/{node}/qemu/{vmid}/rrddata", RRD),
    read("nodes/{node}/qemu/{vmid}/snapshot", &[]),
    list("nodes/{node}/qemu/{vmid}/migrate", L::Targets, &[]),
    read("nodes/{node}/qemu/{vmid}/cloudinit", &[]),
    read("nodes/{node}/qemu/{vmid}/cloudinit/dump", &[("type", K::OneOf(&["user", "network", "meta"]), May)]),
    read("nodes/{node}/qemu/{vmid}/firewall/options", &[]),
    read("nodes/{node}/qemu/{vmid}/firewall/rules", &[]),
    list("nodes/{node}/qemu/{vmid}/firewall/refs", L::References, &[]),
    read("nodes/{node}/qemu/{vmid}/agent/network-get-interfaces", &[]),
    // What the exec of a policy that allows it has printed.
    write(Get, "nodes/{node}/qemu/{vmid}/agent/exec-status", A::GuestExec, &[("pid", K::Int(0, 4_294_967_295), May)]),
    read("nodes/{node}/lxc/{vmid}/config", CONFIG_OF),
    read("nodes/{node}/lxc/{vmid}/pending", &[]),
    read("nodes/{node}/lxc/{vmid}/status/current", &[]),
    read("nodes/{node}/lxc/{vmid}/rrddata", RRD),
    read("nodes/{node}/lxc/{vmid}/interfaces", &[]),
    read("nodes/{node}/lxc/{vmid}/snapshot", &[]),
    list("nodes/{node}/lxc/{vmid}/migrate", L::Targets, &[]),
    read("nodes/{node}/lxc/{vmid}/firewall/options", &[]),
    read("nodes/{node}/lxc/{vmid}/firewall/rules", &[]),
    list("nodes/{node}/lxc/{vmid}/firewall/refs", L::References, &[]),

    write(Post, "nodes/{node}/qemu/{vmid}/status/start", A::Power, &[]),
    // `forceStop` is off by default, and only high availability forces.
    write(Post, "nodes/{node}/qemu/{vmid}/status/shutdown", A::Shutdown, &[("timeout", SECONDS, May), ("forceStop", K::Bool, May)]).with(effect::shutdown),
    // A VM that does not shut down in time stays on.
    write(Post, "nodes/{node}/qemu/{vmid}/status/reboot", A::Shutdown, &[("timeout", SECONDS, May)]),
    // Pauses unless `todisk` says otherwise.
    write(Post, "nodes/{node}/qemu/{vmid}/status/suspend", A::Shutdown, &[("todisk", K::Bool, May), ("statestorage", K::Storage, May)]).with(effect::suspend),
    write(Post, "nodes/{node}/qemu/{vmid}/status/resume", A::Power, &[]),
    write(Post, "nodes/{node}/qemu/{vmid}/status/stop", A::HardStop, &[("overrule-shutdown", K::Bool, May)]),
    write(Post, "nodes/{node}/qemu/{vmid}/status/reset", A::HardStop, &[]),
    write(Post, "nodes/{node}/lxc/{vmid}/status/start", A::Power, &[]),
    write(Post, "nodes/{node}/lxc/{vmid}/status/shutdown", A::Shutdown, &[("timeout", SECONDS, May), ("forceStop", K::Bool, May)]).with(effect::shutdown),
    // A container that does not shut down in time, by default in 60 seconds,
    // is killed.
    write(Post, "nodes/{node}/lxc/{vmid}/status/reboot", A::Shutdown, &[("timeout", SECONDS, May)]).with(effect::container_reboot),
    write(Post, "nodes/{node}/lxc/{vmid}/status/suspend", A::Shutdown, &[]),
    write(Post, "nodes/{node}/lxc/{vmid}/status/resume", A::Power, &[]),
    write(Post, "nodes/{node}/lxc/{vmid}/status/stop", A::HardStop, &[("overrule-shutdown", K::Bool, May)]),

    // Without `full` a template is cloned linked, and another guest fully:
    // neither touches the source.
    write(Post, "nodes/{node}/qemu/{vmid}/clone", A::Clone, &[
        ("newid", K::NewVmid, Must("Proxmox needs it")), ("name", K::DnsName, May), ("target", K::Node, May),
        ("storage", K::Storage, May), ("full", K::Bool, May), ("pool", K::Pool, May), ("snapname", K::Id, May),
        ("description", K::Text, May),
    ]).with(effect::unnamed_storage),
    write(Post, "nodes/{node}/lxc/{vmid}/clone", A::Clone, &[
        ("newid", K::NewVmid, Must("Proxmox needs it")), ("hostname", K::DnsName, May), ("target", K::Node, May),
        ("storage", K::Storage, May), ("full", K::Bool, May), ("pool", K::Pool, May), ("snapname", K::Id, May),
        ("description", K::Text, May),
    ]).with(effect::unnamed_storage),
    config(Put, "nodes/{node}/qemu/{vmid}/config", VM_CONFIG),
    config(Put, "nodes/{node}/lxc/{vmid}/config", CONTAINER_CONFIG),
    write(Put, "nodes/{node}/qemu/{vmid}/cloudinit", A::CloudInit, &[]),
    // Proxmox refuses to shrink.
    write(Put, "nodes/{node}/qemu/{vmid}/resize", A::Resize, &[("disk", K::Disk, May), ("size", K::Size, May), ("digest", K::Hex, May)]),
    write(Put, "nodes/{node}/lxc/{vmid}/resize", A::Resize, &[("disk", K::Disk, May), ("size", K::Size, May), ("digest", K::Hex, May)]),
    // `online` is off by default, and a running guest then is not moved.
    write(Post, "nodes/{node}/qemu/{vmid}/migrate", A::Migrate, &[
        ("target", K::Node, Must("Proxmox needs it")), ("online", K::Bool, May), ("with-local-disks", K::Bool, May),
        ("targetstorage", K::StorageMap, May), ("bwlimit", BANDWIDTH, May),
    ]).with(effect::migrate),
    // `restart` shuts the container down, and gives up where it does not in
    // time; off by default, as is `online`.
    write(Post, "nodes/{node}/lxc/{vmid}/migrate", A::Migrate, &[
        ("target", K::Node, Must("Proxmox needs it")), ("restart", K::Bool, May), ("timeout", SECONDS, May),
        ("target-storage", K::StorageMap, May), ("bwlimit", BANDWIDTH, May),
    ]).with(effect::migrate),
    write(Post, "nodes/{node}/qemu/{vmid}/snapshot", A::Snapshot, &[
        ("snapname", K::Id, Must("Proxmox needs it")), ("description", K::Text, May), ("vmstate", K::Bool, May),
    ]).with(effect::snapshot),
    write(Post, "nodes/{node}/lxc/{vmid}/snapshot", A::Snapshot, &[
        ("snapname", K::Id, Must("Proxmox needs it")), ("description", K::Text, May),
    ]),
    // `start` is off by default.
    write(Post, "nodes/{node}/qemu/{vmid}/snapshot/{id}/rollback", A::Rollback, &[("start", K::Bool, May)]),
    write(Post, "nodes/{node}/lxc/{vmid}/snapshot/{id}/rollback", A::Rollback, &[("start", K::Bool, May)]),
    // `force` would forget a snapshot whose volumes could not be removed.
    write(Delete, "nodes/{node}/qemu/{vmid}/snapshot/{id}", A::SnapshotDelete, &[]),
    write(Delete, "nodes/{node}/lxc/{vmid}/snapshot/{id}", A::SnapshotDelete, &[]),
    // `all` and `stop`, which would stop other backups, are off by default.
    write(Post, "nodes/{node}/vzdump", A::Backup, &[
        ("vmid", K::Vmids, Must("Proxmox would back up by other rules")),
        ("storage", K::Storage, May),
        ("mode", K::OneOf(&["snapshot", "suspend", "stop"]), Must("a node's default may be to stop the guest")),
        ("compress", K::OneOf(&["0", "1", "gzip", "lzo", "zstd"]), May),
        ("notes-template", K::Line, May),
        ("protected", K::Bool, May),
        ("remove", K::Bool, Only("0", "by default old backups are deleted, by the retention of the storage")),
    ]).with(effect::backup),
    // `force` would overwrite a guest; off by default, as are `start` and
    // `live-restore`. Without `unique` the new guest has the addresses of the
    // old one, which may be meant.
    write(Post, "nodes/{node}/qemu", A::Restore, &[
        ("vmid", K::NewVmid, Must("Proxmox needs it")),
        ("archive", K::Volid, Must("an empty guest would be made")),
        ("storage", K::Storage, May), ("unique", K::Bool, May), ("name", K::DnsName, May), ("pool", K::Pool, May),
    ]).with(effect::unnamed_storage),
    write(Post, "nodes/{node}/lxc", A::Restore, &[
        ("vmid", K::NewVmid, Must("Proxmox needs it")),
        ("ostemplate", K::Volid, Must("Proxmox needs it")),
        ("restore", K::Bool, Only("1", "an empty container would be made")),
        ("storage", K::Storage, May), ("unique", K::Bool, May), ("hostname", K::DnsName, May), ("pool", K::Pool, May),
    ]).with(effect::unnamed_storage),
    // Proxmox overwrites no file, and verifies certificates unless told
    // otherwise.
    write(Post, "nodes/{node}/storage/{storage}/download-url", A::Download, &[
        ("content", K::OneOf(&["iso", "vztmpl", "import"]), May), ("filename", K::FileName, May), ("url", K::Url, May),
        ("checksum", K::Hex, May), ("checksum-algorithm", K::OneOf(&["md5", "sha1", "sha224", "sha256", "sha384", "sha512"]), May),
        ("verify-certificates", K::Bool, May), ("compression", K::OneOf(&["gz", "lzo", "zst", "bz2"]), May),
    ]),
    write(Post, "nodes/{node}/aplinfo", A::Download, &[("storage", K::Storage, Must("Proxmox needs it")), ("template", K::FileName, May)]),
    write(Delete, "nodes/{node}/tasks/{upid}", A::StopTask, &[]),

    write(Post, "cluster/firewall/rules", A::FirewallRule, NEW_RULE).with(effect::firewall_of_nodes),
    write(Put, "cluster/firewall/rules/{pos}", A::FirewallRule, RULE).with(effect::firewall_of_nodes),
    write(Delete, "cluster/firewall/rules/{pos}", A::FirewallDelete, DIGEST),
    write(Put, "cluster/firewall/options", A::FirewallOptions, CLUSTER_OPTIONS).with(effect::firewall_of_nodes),
    write(Post, "nodes/{node}/firewall/rules", A::FirewallRule, NEW_RULE).with(effect::firewall_of_nodes),
    write(Put, "nodes/{node}/firewall/rules/{pos}", A::FirewallRule, RULE).with(effect::firewall_of_nodes),
    write(Delete, "nodes/{node}/firewall/rules/{pos}", A::FirewallDelete, DIGEST),
    write(Put, "nodes/{node}/firewall/options", A::FirewallOptions, NODE_OPTIONS).with(effect::firewall_of_nodes),
    write(Post, "nodes/{node}/qemu/{vmid}/firewall/rules", A::FirewallRule, NEW_RULE),
    write(Put, "nodes/{node}/qemu/{vmid}/firewall/rules/{pos}", A::FirewallRule, RULE),
    write(Delete, "nodes/{node}/qemu/{vmid}/firewall/rules/{pos}", A::FirewallDelete, DIGEST),
    write(Put, "nodes/{node}/qemu/{vmid}/firewall/options", A::FirewallOptions, GUEST_OPTIONS),
    write(Post, "nodes/{node}/lxc/{vmid}/firewall/rules", A::FirewallRule, NEW_RULE),
    write(Put, "nodes/{node}/lxc/{vmid}/firewall/rules/{pos}", A::FirewallRule, RULE),
    write(Delete, "nodes/{node}/lxc/{vmid}/firewall/rules/{pos}", A::FirewallDelete, DIGEST),
    write(Put, "nodes/{node}/lxc/{vmid}/firewall/options", A::FirewallOptions, GUEST_OPTIONS),

    write(Post, "nodes/{node}/qemu/{vmid}/agent/exec", A::GuestExec, &[("command", K::Anything, May), ("input-data", K::Anything, May)]),
];

/// A VM's settings, by action. Disks, network cards, passed-through devices,
/// arguments of QEMU and hook scripts are not here. What is left out stays as
/// it is.
#[rustfmt::skip]
const VM_CONFIG: &[(Action, &[(&str, Kind)])] = &[
    (A::Resources, &[
        ("cores", COUNT), ("sockets", COUNT), ("memory", K::Int(16, 1_000_000_000)), ("balloon", K::Int(0, 1_000_000_000)),
        ("cpulimit", K::Decimal), ("vcpus", COUNT),
    ]),
    (A::Options, &[
        ("name", K::DnsName), ("description", K::Text), ("tags", K::Tags), ("onboot", K::Bool), ("protection", K::Bool),
    ]),
    (A::CloudInit, &[
        ("ciuser", K::Line), ("cipassword", K::Line), ("sshkeys", K::Encoded),
        ("ipconfig#", K::Props(&["ip", "gw", "ip6", "gw6"])), ("nameserver", K::Hosts), ("searchdomain", K::Hosts),
        ("ciupgrade", K::Bool),
    ]),
];

/// A container's.
#[rustfmt::skip]
const CONTAINER_CONFIG: &[(Action, &[(&str, Kind)])] = &[
    (A::Resources, &[
        ("cores", COUNT), ("memory", K::Int(16, 1_000_000_000)), ("swap", K::Int(0, 1_000_000_000)), ("cpulimit", K::Decimal),
    ]),
    (A::Options, &[
        ("hostname", K::DnsName), ("description", K::Text), ("tags", K::Tags), ("onboot", K::Bool), ("protection", K::Bool),
    ]),
];

/// Changes that no tool makes and an `allow` rule may: what they do is known,
/// can be undone or only adds, and stays within the cluster's own objects.
#[rustfmt::skip]
static FOR_EXPERTS: &[Endpoint] = &[
    write(Post, "cluster/firewall/groups", A::FirewallRule, &[("group", K::Name, May), ("comment", K::Line, May), ("digest", K::Hex, May), ("rename", K::Name, May)]),
    write(Delete, "cluster/firewall/groups/{name}", A::FirewallDelete, &[]),
    write(Post, "cluster/firewall/groups/{name}", A::FirewallRule, NEW_RULE),
    write(Put, "cluster/firewall/groups/{name}/{pos}", A::FirewallRule, RULE),
    write(Delete, "cluster/firewall/groups/{name}/{pos}", A::FirewallDelete, DIGEST),
    write(Post, "cluster/firewall/aliases", A::FirewallRule, ALIAS),
    write(Put, "cluster/firewall/aliases/{name}", A::FirewallRule, ALIAS),
    write(Delete, "cluster/firewall/aliases/{name}", A::FirewallDelete, DIGEST),
    write(Post, "cluster/firewall/ipset", A::FirewallRule, IPSET),
    write(Delete, "cluster/firewall/ipset/{name}", A::FirewallDelete, &[]),
    write(Post, "cluster/firewall/ipset/{name}", A::FirewallRule, IPSET_ENTRY),
    write(Post, "nodes/{node}/qemu/{vmid}/firewall/aliases", A::FirewallRule, ALIAS),
    write(Put, "nodes/{node}/qemu/{vmid}/firewall/aliases/{name}", A::FirewallRule, ALIAS),
    write(Delete, "nodes/{node}/qemu/{vmid}/firewall/aliases/{name}", A::FirewallDelete, DIGEST),
    write(Post, "nodes/{node}/qemu/{vmid}/firewall/ipset", A::FirewallRule, IPSET),
    write(Delete, "nodes/{node}/qemu/{vmid}/firewall/ipset/{name}", A::FirewallDelete, &[]),
    write(Post, "nodes/{node}/qemu/{vmid}/firewall/ipset/{name}", A::FirewallRule, IPSET_ENTRY),
    write(Post, "nodes/{node}/lxc/{vmid}/firewall/aliases", A::FirewallRule, ALIAS),
    write(Put, "nodes/{node}/lxc/{vmid}/firewall/aliases/{name}", A::FirewallRule, ALIAS),
    write(Delete, "nodes/{node}/lxc/{vmid}/firewall/aliases/{name}", A::FirewallDelete, DIGEST),
    write(Post, "nodes/{node}/lxc/{vmid}/firewall/ipset", A::FirewallRule, IPSET),
    write(Delete, "nodes/{node}/lxc/{vmid}/firewall/ipset/{name}", A::FirewallDelete, &[]),
    write(Post, "nodes/{node}/lxc/{vmid}/firewall/ipset/{name}", A::FirewallRule, IPSET_ENTRY),
    write(Put, "nodes/{node}/qemu/{vmid}/snapshot/{id}/config", A::Options, &[("description", K::Text, May)]),
    write(Put, "nodes/{node}/lxc/{vmid}/snapshot/{id}/config", A::Options, &[("description", K::Text, May)]),
    write(Post, "nodes/{node}/qemu/{vmid}/agent/ping", A::Options, &[]),
    write(Post, "nodes/{node}/qemu/{vmid}/agent/fstrim", A::Options, &[]),
    // Without `delete` the old volume stays, unused.
    write(Post, "nodes/{node}/qemu/{vmid}/move_disk", A::Migrate, &[
        ("disk", K::Disk, May), ("storage", K::Storage, Must("another guest would get the disk")),
        ("format", K::OneOf(&["raw", "qcow2", "vmdk"]), May), ("digest", K::Hex, May), ("bwlimit", BANDWIDTH, May),
    ]),
    write(Post, "nodes/{node}/lxc/{vmid}/move_volume", A::Migrate, &[
        ("volume", K::Disk, May), ("storage", K::Storage, Must("another guest would get the volume")),
        ("digest", K::Hex, May), ("bwlimit", BANDWIDTH, May),
    ]),
];

const ALIAS: &[Param] = &[
    ("cidr", K::Spec, May),
    ("comment", K::Line, May),
    ("name", K::Name, May),
    ("rename", K::Name, May),
    ("digest", K::Hex, May),
];
const IPSET: &[Param] = &[
    ("name", K::Name, May),
    ("comment", K::Line, May),
    ("digest", K::Hex, May),
    ("rename", K::Name, May),
];
const IPSET_ENTRY: &[Param] = &[
    ("cidr", K::Spec, May),
    ("comment", K::Line, May),
    ("nomatch", K::Bool, May),
];

/// The grammar of a segment that a pattern has in braces.
fn segment_kind(part: &str) -> Option<Kind> {
    Some(match part {
        "{node}" => K::Node,
        "{vmid}" => K::Vmid,
        "{storage}" => K::Storage,
        "{pool}" => K::Pool,
        "{upid}" => K::Upid,
        "{id}" => K::Id,
        "{name}" => K::Name,
        "{pos}" => COUNT,
        _ => return None,
    })
}

/// What a request does and names, where the table has it.
pub(crate) fn meaning(request: &ApiRequest) -> Result<Meaning, Unknown> {
    find(ENDPOINTS, request)
        .ok_or(Unknown::Endpoint)?
        .meaning(request)
}

/// What a change does that no tool makes, and that an `allow` rule may let
/// through.
pub(crate) fn meaning_for_experts(request: &ApiRequest) -> Result<Meaning, Unknown> {
    let meaning = find(FOR_EXPERTS, request)
        .ok_or(Unknown::Endpoint)?
        .meaning(request)?;
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
        meaning.add("node", K::Node, node)?;
        match (segments.next(), segments.next()) {
            (Some("qemu" | "lxc"), Some(segment)) => match kind::vmid(segment) {
                Some(vmid) => meaning.vmids.push(vmid),
                None => meaning.tells_of_any_guest = true,
            },
            (Some("storage"), Some(storage)) => meaning.add("storage", K::Storage, storage)?,
            (Some("tasks"), Some(upid)) => meaning.add("upid", K::Upid, upid)?,
            _ => {}
        }
    }
    for (name, value) in &request.params {
        let kind = match name.as_str() {
            "node" | "nodes" | "target" | "targetnode" | "target-node" | "check-node"
            | "node-list" => K::Nodes,
            "vmid" | "vmids" | "vms" => K::Vmids,
            "storage" => K::Storage,
            "poolid" | "pool" => K::Pool,
            "volume" | "volid" => K::Volid,
            "url" => K::Url,
            _ => K::Line,
        };
        meaning.add(name, kind, value)?;
    }
    Ok(meaning)
}

/// Every row that a tool may use: its method, its path and its parameters.
#[doc(hidden)]
pub fn rows() -> Vec<(Verb, &'static str, Vec<&'static str>)> {
    ENDPOINTS
        .iter()
        .map(|row| (row.verb, row.pattern, row.params.names()))
        .collect()
}

/// The row that a request is for.
#[doc(hidden)]
pub fn row_of(request: &ApiRequest) -> Option<(Verb, &'static str)> {
    find(ENDPOINTS, request).map(|row| (row.verb, row.pattern))
}

fn find(table: &'static [Endpoint], request: &ApiRequest) -> Option<&'static Endpoint> {
    table
        .iter()
        .find(|endpoint| endpoint.verb == request.verb && endpoint.matches(request))
}

impl Params {
    fn names(self) -> Vec<&'static str> {
        match self {
            Self::These(params) => params.iter().map(|(name, ..)| *name).collect(),
            Self::Config(groups) => {
                let names = groups.iter().flat_map(|(_, params)| params.iter());
                let names = names.map(|(name, _)| *name);
                names.chain(["delete", "digest"]).collect()
            }
        }
    }
}

impl Endpoint {
    fn matches(&self, request: &ApiRequest) -> bool {
        let mut parts = self.pattern.split('/');
        let mut segments = request.segments.iter();
        loop {
            match (parts.next(), segments.next()) {
                (None, None) => return true,
                (Some(part), Some(segment)) => {
                    if !part.starts_with('{') && part != segment {
                        return false;
                    }
                }
                _ => return false,
            }
        }
    }

    fn meaning(&self, request: &ApiRequest) -> Result<Meaning, Unknown> {
        let mut meaning = Meaning::default();
        for (part, segment) in self.pattern.split('/').zip(&request.segments) {
            if let Some(kind) = segment_kind(part) {
                meaning.add(part.trim_matches(['{', '}']), kind, segment)?;
            }
        }
        match self.reach {
            Reach::Path => {}
            Reach::List(listing) => {
                meaning.listing = Some(listing);
                meaning.lists_nodes = self.pattern == "nodes";
            }
            Reach::AnyGuest => meaning.tells_of_any_guest = true,
        }
        for (index, (name, _)) in request.params.iter().enumerate() {
            let mut before = request.params.iter().take(index);
            // A command's arguments are the one list that is sent.
            if name != "command" && before.any(|(other, _)| other == name) {
                return Err(Unknown::Twice(name.clone()));
            }
        }
        match self.params {
            Params::These(params) => {
                meaning.actions.push(self.action);
                meaning.add_params(params, request)?;
            }
            Params::Config(groups) => meaning.add_config(groups, request)?,
        }
        if let Some(effect) = self.effect {
            effect(request, &mut meaning);
        }
        Ok(meaning)
    }
}

/// A setting of how much memory a guest has.
fn is_memory(name: &str) -> bool {
    matches!(name, "memory" | "balloon" | "swap")
}

/// `ipconfig#` stands for `ipconfig0` and its like.
fn stands_for(known: &str, name: &str) -> bool {
    let Some(prefix) = known.strip_suffix('#') else {
        return known == name;
    };
    name.strip_prefix(prefix)
        .is_some_and(|number| number.len() <= 3 && kind::whole(number).is_some())
}

impl Meaning {
    /// Whether it loses data, interrupts a guest, may take memory from one or
    /// may cut nodes off. How much memory a guest has now is not known here, so
    /// each change of it counts.
    pub fn is_destructive(&self) -> bool {
        self.may_lock_out
            || self.may_starve
            || self.actions.iter().any(|action| action.is_destructive())
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

    fn add_params(
        &mut self,
        params: &'static [Param],
        request: &ApiRequest,
    ) -> Result<(), Unknown> {
        for (name, value) in &request.params {
            let (known, kind, need) = params
                .iter()
                .find(|(known, ..)| known == name)
                .ok_or_else(|| Unknown::Param(name.clone()))?;
            self.add(name, *kind, value)?;
            if let Need::Only(wanted, why) = need
                && kind::flag(value) != kind::flag(wanted)
            {
                return Err(Unknown::Harmful(known, wanted, why));
            }
        }
        for (name, _, need) in params {
            if request.values(name).next().is_some() {
                continue;
            }
            match need {
                Need::May => {}
                Need::Must(why) => return Err(Unknown::Missing(name, why)),
                Need::Only(wanted, why) => return Err(Unknown::Harmful(name, wanted, why)),
            }
        }
        Ok(())
    }

    fn add_config(
        &mut self,
        groups: &'static [(Action, &'static [(&'static str, Kind)])],
        request: &ApiRequest,
    ) -> Result<(), Unknown> {
        let find = |name: &str| {
            groups
                .iter()
                .flat_map(|(action, params)| {
                    params
                        .iter()
                        .map(move |(known, kind)| (*action, known, *kind))
                })
                .find(|(_, known, _)| stands_for(known, name))
                .map(|(action, _, kind)| (action, kind))
                .ok_or_else(|| Unknown::Param(name.to_owned()))
        };
        for (name, value) in &request.params {
            match name.as_str() {
                "digest" => self.add(name, Kind::Hex, value)?,
                // Removing a disk's setting removes the disk: only what may be
                // set may be removed.
                "delete" => {
                    if !kind::is_list(value) {
                        return Err(Unknown::Value(name.clone(), "a list of settings".into()));
                    }
                    for name in kind::list(value) {
                        self.act(find(name)?.0);
                        self.may_starve |= is_memory(name);
                    }
                }
                _ => {
                    let (action, kind) = find(name)?;
                    self.add(name, kind, value)?;
                    self.act(action);
                    self.may_starve |= is_memory(name);
                }
            }
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
    fn add(&mut self, name: &str, kind: Kind, value: &str) -> Result<(), Unknown> {
        if !kind.fits(value) {
            return Err(Unknown::Value(name.to_owned(), kind.wanted()));
        }
        match kind {
            Kind::Node => self.nodes.push(value.to_owned()),
            Kind::Nodes => self.nodes.extend(kind::list(value).map(str::to_owned)),
            Kind::Vmid => self.vmids.extend(kind::vmid(value)),
            Kind::Vmids => self.vmids.extend(kind::list(value).filter_map(kind::vmid)),
            Kind::NewVmid => self.new_vmids.extend(kind::vmid(value)),
            Kind::Storage => self.storages.push(value.to_owned()),
            Kind::StorageMap => {
                let new = kind::list(value).map(|pair| pair.rsplit(':').next().unwrap_or(pair));
                self.storages
                    .extend(new.filter(|name| *name != "1").map(str::to_owned));
            }
            Kind::Volid => {
                let storage = value.split(':').next().unwrap_or_default();
                self.storages.push(storage.to_owned());
                self.volids.push(value.to_owned());
            }
            Kind::Pool => self.pools.push(value.to_owned()),
            Kind::Upid => self.add_task(value),
            Kind::Url => self.hosts.extend(super::address::host(value)),
            _ => {}
        }
        Ok(())
    }

    /// A task is about the guest in its UPID, if there is one. Its log may tell
    /// of any guest otherwise, unless it only fetches a file.
    fn add_task(&mut self, upid: &str) {
        let mut fields = upid.split(':').skip(5);
        let (kind, id) = (fields.next(), fields.next().unwrap_or_default());
        // A volume's task is named 104@local.
        match kind::vmid(id.split('@').next().unwrap_or_default()) {
            Some(vmid) => self.vmids.push(vmid),
            None if kind == Some("download") => {}
            None => self.tells_of_any_guest = true,
        }
    }
}
