//! The cluster as a whole.

use super::common::{ANYONE, AUDIT_CLUSTER};
use crate::call::{Call, Listing, get, opt};
use crate::grammar::Grammar as G;

calls! {
    /// The version of the node that answers.
    VERSION = get("/version", ANYONE);
    /// Guests, nodes, storages and pools, as pvestatd last reported them.
    RESOURCES = get("/cluster/resources", ANYONE)
        .also("VM.Audit, Sys.Audit, Datastore.Audit or Pool.Audit for each entry")
        .takes(&[opt("type", G::OneOf(&["vm", "storage", "node", "sdn"]))])
        .lists(Listing::Resources);
    /// Quorum, and which nodes are online.
    STATUS = get("/cluster/status", AUDIT_CLUSTER).lists(Listing::Nodes);
    /// The latest tasks of all nodes.
    TASKS = get("/cluster/tasks", ANYONE)
        .also("Sys.Audit on / for tasks of other users")
        .lists(Listing::Tasks);
    /// The log of the cluster.
    LOG = get("/cluster/log", ANYONE)
        .also("Sys.Syslog on / for entries of other users")
        .takes(&[opt("max", G::Int(1, 1_000_000))])
        .shows_any_guest();
    /// A free vmid. With `vmid` the answer would tell whether that guest exists.
    NEXT_ID = get("/cluster/nextid", ANYONE);
    /// What the HA manager does with each of its resources.
    HA_STATUS = get("/cluster/ha/status/current", AUDIT_CLUSTER).lists(Listing::HaResources);
    /// Which resources the HA manager has.
    HA_RESOURCES = get("/cluster/ha/resources", AUDIT_CLUSTER).lists(Listing::HaResources);
    /// Where the HA manager may run its resources, and which of them together.
    HA_RULES = get("/cluster/ha/rules", AUDIT_CLUSTER).lists(Listing::HaRules);
    /// Scheduled backups: which guests, when, and where to.
    BACKUP_JOBS = get("/cluster/backup", AUDIT_CLUSTER).lists(Listing::BackupJobs);
    /// Virtual networks, with their zone and VLAN.
    SDN_VNETS = get("/cluster/sdn/vnets", ANYONE)
        .also("SDN.Audit or SDN.Allocate on /sdn/zones/{zone}/{vnet} for each entry");
    /// All replication jobs, without their state.
    REPLICATION = get("/cluster/replication", ANYONE)
        .also("VM.Audit on /vms/{vmid} for each job")
        .lists(Listing::Replication);
    /// The replication jobs that start on a node, with their state.
    NODE_REPLICATION = get("/nodes/{node}/replication", ANYONE)
        .also("VM.Audit on /vms/{vmid} for each job")
        .lists(Listing::Replication);
}
