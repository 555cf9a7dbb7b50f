//! The cluster: its state, its tasks and its logs.

mod get_cluster_log;
mod get_cluster_status;
mod get_node_log;
mod get_task;
mod line;
mod list_tasks;
mod stop_task;
mod task;
#[cfg(test)]
mod tests;
mod wait_task;

pub(crate) use get_cluster_log::GetClusterLog;
pub(crate) use get_cluster_status::GetClusterStatus;
pub(crate) use get_node_log::GetNodeLog;
pub(crate) use get_task::GetTask;
pub(crate) use list_tasks::ListTasks;
pub(crate) use stop_task::StopTask;
pub(crate) use wait_task::WaitTask;
