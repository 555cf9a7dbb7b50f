//! Nodes and their tasks.

use super::common::{ANYONE, AUDIT_CLUSTER, AUDIT_NODE, COUNT, MODIFY_NODE, REQUIRED};
use crate::action::Action;
use crate::call::{Call, Listing, Param, delete, get, must, opt};
use crate::grammar::Grammar as G;

/// Of a task that another user has started.
const OTHERS_TASK: &str = "Sys.Audit on /nodes/{node} for tasks of other users";

/// A moment, in seconds since 1970.
const MOMENT: G = G::Int(0, 99_999_999_999);

const TASK_FILTERS: &[Param] = &[
    opt("limit", COUNT),
    opt("since", MOMENT),
    opt("source", G::OneOf(&["archive", "active", "all"])),
    opt("start", COUNT),
    opt(
        "statusfilter",
        G::SomeOf(&["ok", "error", "warning", "unknown"]),
    ),
    opt("typefilter", G::Word),
    opt("until", MOMENT),
    opt("userfilter", G::Word),
    opt("vmid", G::Vmid),
];

const SYSLOG_FILTERS: &[Param] = &[
    opt("limit", COUNT),
    opt("service", G::Word),
    opt("since", G::Time),
    opt("start", COUNT),
    opt("until", G::Time),
];

const INTERFACE_TYPE: G = G::OneOf(&[
    "include_sdn",
    "any_bridge",
    "any_local_bridge",
    "bridge",
    "bond",
    "eth",
    "vlan",
    "vnet",
]);

calls! {
    /// All nodes of the cluster.
    LIST = get("/nodes", ANYONE)
        .also("Sys.Audit on /nodes/{node} for the numbers of each node")
        .lists(Listing::Nodes);
    /// Load, memory, kernel and version.
    STATUS = get("/nodes/{node}/status", AUDIT_NODE);
    /// Time and time zone.
    TIME = get("/nodes/{node}/time", AUDIT_NODE);
    /// Interfaces and bridges.
    NETWORK = get("/nodes/{node}/network", ANYONE)
        .also("SDN.Audit or SDN.Use on /sdn/zones/{zone}/{bridge} for each bridge and vnet")
        .takes(&[opt("type", INTERFACE_TYPE)]);
    /// Load, memory and pressure over time.
    METRICS = get("/nodes/{node}/rrddata", AUDIT_NODE)
        .takes(&[opt("timeframe", G::OneOf(&["hour"]))]);
    /// System services and whether each runs.
    SERVICES = get("/nodes/{node}/services", AUDIT_NODE);
    /// Physical disks, with their health and wear.
    DISKS = get("/nodes/{node}/disks/list", "Sys.Audit on /, or Sys.Audit on /nodes/{node}");
    /// What a disk says of itself.
    SMART = get("/nodes/{node}/disks/smart", AUDIT_CLUSTER).takes(&[must(
        "disk",
        G::Word,
        REQUIRED,
    )]);
    /// ZFS pools.
    ZFS = get("/nodes/{node}/disks/zfs", AUDIT_CLUSTER);
    /// The disks of a ZFS pool, and their errors.
    ZFS_POOL = get("/nodes/{node}/disks/zfs/{name}", AUDIT_CLUSTER);
    /// Thin pools of LVM.
    LVM_THIN = get("/nodes/{node}/disks/lvmthin", AUDIT_CLUSTER);
    /// The state of Ceph, of the whole cluster.
    CEPH = get("/nodes/{node}/ceph/status", "Sys.Audit or Datastore.Audit on /");
    /// Certificates of the web interface and the API. No private keys.
    CERTIFICATES = get("/nodes/{node}/certificates/info", ANYONE);
    /// Whether the node has a subscription.
    SUBSCRIPTION = get("/nodes/{node}/subscription", ANYONE);
    /// Packages that can be upgraded, as last looked up.
    UPDATES = get("/nodes/{node}/apt/update", MODIFY_NODE);
    /// Installed packages of Proxmox VE, and the kernel that runs.
    PACKAGES = get("/nodes/{node}/apt/versions", AUDIT_NODE);
    /// Tasks that run or have run there.
    TASKS = get("/nodes/{node}/tasks", ANYONE)
        .also(OTHERS_TASK)
        .takes(TASK_FILTERS)
        .lists(Listing::Tasks);
    /// Whether a task runs, and how it has ended.
    TASK_STATUS = get("/nodes/{node}/tasks/{upid}/status", ANYONE).also(OTHERS_TASK);
    /// Lines of a task's log: the first 50 without `start` and `limit`.
    TASK_LOG = get("/nodes/{node}/tasks/{upid}/log", ANYONE)
        .also(OTHERS_TASK)
        .takes(&[opt("start", COUNT), opt("limit", COUNT)]);
    /// Stops a running task.
    STOP_TASK = delete("/nodes/{node}/tasks/{upid}", Action::StopTask, ANYONE)
        .also("Sys.Modify on /nodes/{node} for tasks of other users");
    /// The system's log.
    SYSLOG = get("/nodes/{node}/syslog", "Sys.Syslog on /nodes/{node}")
        .takes(SYSLOG_FILTERS)
        .shows_any_guest();
}
