//! The cluster: its state and its tasks; its logs; the replication between nodes.

mod get_cluster_log;
mod get_cluster_status;
mod get_node_log;
mod get_task;
mod line;
mod list_replication;
mod list_tasks;
mod set_ha_resource;
mod stop_task;
pub(crate) mod task;
#[cfg(test)]
mod tests;
mod wait_task;

use get_cluster_log::GetClusterLog;
use get_cluster_status::GetClusterStatus;
use get_node_log::GetNodeLog;
use get_task::GetTask;
use list_replication::ListReplication;
use list_tasks::ListTasks;
use set_ha_resource::SetHaResource;
use stop_task::StopTask;
use wait_task::WaitTask;

use crate::tool::{DESTROY, READ, Tool, Toolset};

const TOOLSET: Toolset = Toolset("cluster");
const LOGS_TOOLSET: Toolset = Toolset("logs");
const HA_TOOLSET: Toolset = Toolset("ha");

/// The tools of the set `cluster`, in the order in which clients see them.
#[rustfmt::skip]
pub(crate) const TOOLS: &[Tool] = &[
    Tool::new::<GetClusterStatus>(TOOLSET, "get_cluster_status", "Get the cluster's state", READ,
        "Quorum, nodes, high availability, and what needs attention."),
    Tool::new::<ListTasks>(TOOLSET, "list_tasks", "List tasks", READ,
        "Tasks (starts, clones, backups, migrations) with user, time and how they ended, newest first."),
    Tool::new::<GetTask>(TOOLSET, "get_task", "Get a task", READ,
        "One task's status and the last lines of its log, without waiting."),
    Tool::new::<WaitTask>(TOOLSET, "wait_task", "Wait for a task", READ,
        "Follow a running task to its end. A task that failed is an error with the log's last lines."),
    Tool::new::<StopTask>(TOOLSET, "stop_task", "Stop a task", DESTROY.idempotent(),
        "Abort a running task. What it has done so far is not undone."),
];

/// Those of the set `logs`.
#[rustfmt::skip]
pub(crate) const LOGS: &[Tool] = &[
    Tool::new::<GetClusterLog>(LOGS_TOOLSET, "get_cluster_log", "Get the cluster's log", READ,
        "The cluster log: who did what (logins, tasks, failures), newest first."),
    Tool::new::<GetNodeLog>(LOGS_TOOLSET, "get_node_log", "Get a node's log", READ,
        "The last lines of a node's journal, filtered by unit, word and time."),
];

/// A part of the set `ha`.
#[rustfmt::skip]
pub(crate) const HA: &[Tool] = &[
    Tool::new::<ListReplication>(HA_TOOLSET, "list_replication", "List replication jobs", READ,
        "Replication jobs with state, last and next run, errors; failing ones first."),
    Tool::new::<SetHaResource>(HA_TOOLSET, "set_ha_resource", "Set high availability", DESTROY.idempotent(),
        "Put a guest under high availability, or change its HA state, limits or failback. Only the web interface can take a guest out of HA."),
];
