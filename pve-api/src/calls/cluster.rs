//! The cluster as a whole.

use super::common::{ANYONE, AUDIT_CLUSTER, COUNT, DIGEST, MODIFY_CLUSTER, REQUIRED};
use crate::action::Action;
use crate::call::{Call, Effect, Listing, Param, get, must, opt, post, put};
use crate::grammar::Grammar as G;

/// Without retention of its own, a job deletes old backups of its guests by that of
/// its storage or node, also those that something else has made.
const KEEPS_ALL: &str = "old backups would be deleted by the retention of the storage or node";
const KEEP_ALL: G = G::OneOf(&["keep-all=1"]);
const MODE: G = G::OneOf(&["snapshot", "suspend", "stop"]);

const NEW_BACKUP_JOB: &[Param] = &[
    opt("id", G::Id),
    must("schedule", G::Schedule, REQUIRED),
    must(
        "storage",
        G::Storage,
        "backups would go to the storage local",
    ),
    must("mode", MODE, "the node's default mode may stop the guests"),
    must("prune-backups", KEEP_ALL, KEEPS_ALL),
    opt("enabled", G::Bool),
    opt("vmid", G::Vmids),
    opt("all", G::Bool),
    opt("pool", G::Pool),
    opt("compress", G::OneOf(&["0", "gzip", "lzo", "zstd"])),
    opt("notes-template", G::Line),
    opt("comment", G::Line),
];

/// What is left out stays as it is. The policy lets through without `prune-backups`
/// only what cannot make a job delete more than it does.
const BACKUP_JOB: &[Param] = &[
    opt("schedule", G::Schedule),
    opt("storage", G::Storage),
    opt("mode", MODE),
    opt("prune-backups", KEEP_ALL),
    opt("enabled", G::Bool),
    opt("vmid", G::Vmids),
    opt("all", G::Bool),
    opt("exclude", G::Vmids),
    opt("pool", G::Pool),
    opt("comment", G::Line),
    opt("delete", G::OneOf(&["exclude"])),
];

/// HA does not touch a guest whose state is `ignored`.
const HA_STATE: G = G::OneOf(&["started", "stopped", "ignored"]);
/// `disabled` is the only way out of the state `error`; HA stops a guest that runs.
const HA_NEW_STATE: G = G::OneOf(&["started", "stopped", "disabled", "ignored"]);
const WRITE_HA: &str = "Sys.Console on /";

const NEW_HA_RESOURCE: &[Param] = &[
    must("sid", G::HaSid, REQUIRED),
    must(
        "state",
        HA_STATE,
        "a guest that is stopped would be started",
    ),
    opt("max_restart", COUNT),
    opt("max_relocate", COUNT),
    opt("failback", G::Bool),
    opt("comment", G::Line),
];

const HA_RESOURCE: &[Param] = &[
    opt("state", HA_NEW_STATE),
    opt("max_restart", COUNT),
    opt("max_relocate", COUNT),
    opt("failback", G::Bool),
    opt("comment", G::Line),
    DIGEST,
];

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
    HA_RULES = get("/cluster/ha/rules", AUDIT_CLUSTER)
        .lists(Listing::HaRules)
        .came_with("9.0");
    /// Scheduled backups: which guests, when, and where to.
    BACKUP_JOBS = get("/cluster/backup", AUDIT_CLUSTER).lists(Listing::BackupJobs);
    /// Adds a backup job, which keeps all backups.
    ADD_BACKUP_JOB = post("/cluster/backup", Action::BackupJob, MODIFY_CLUSTER)
        .also("Datastore.Allocate on /storage/{storage}")
        .takes(NEW_BACKUP_JOB)
        .with(Effect::BackupJob);
    /// Changes a backup job.
    SET_BACKUP_JOB = put("/cluster/backup/{id}", Action::BackupJob, MODIFY_CLUSTER)
        .also("Datastore.Allocate on /storage/{storage}, if it changes")
        .takes(BACKUP_JOB)
        .with(Effect::BackupJob);
    /// Puts a guest under high availability.
    ADD_HA_RESOURCE = post("/cluster/ha/resources", Action::HighAvailability, WRITE_HA)
        .takes(NEW_HA_RESOURCE)
        .with(Effect::HaState);
    /// Changes what the HA manager does with a guest.
    SET_HA_RESOURCE = put("/cluster/ha/resources/{sid}", Action::HighAvailability, WRITE_HA)
        .takes(HA_RESOURCE)
        .with(Effect::HaState);
    /// Which volumes of its guests a scheduled backup includes.
    BACKUP_VOLUMES = get("/cluster/backup/{id}/included_volumes", AUDIT_CLUSTER).shows_any_guest();
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
