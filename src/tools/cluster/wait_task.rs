//! `wait_task`: follows a task to its end.

use pve_api::calls;
use schemars::JsonSchema;

use super::task::{known, label, task_error};
use crate::error::Result;
use crate::json::DeserializeFields;
use crate::pve::{Pve, Started, TaskStatus, Upid};
use crate::tool::declared::{Calls, LOOK_UP};
use crate::tool::expected::Expected;
use crate::tool::report::Report;
use crate::tool::ticket::PendingTask;
use crate::tool::{Reply, Run};
use crate::tools::backups::CreateBackup;

/// Follows a task to its end.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WaitTask {
    /// The task's identifier, UPID:…
    upid: String,
}

impl Run for WaitTask {
    type Output = Report;

    const CALLS: &'static [Calls] = &[
        // A guest under high availability changes after its task has ended.
        Calls::All(LOOK_UP),
        Calls::Guest(&calls::guests::STATUS),
        Calls::One(&calls::nodes::LIST),
        Calls::One(&calls::nodes::STOP_TASK),
        Calls::One(&calls::nodes::TASK_LOG),
        Calls::One(&calls::nodes::TASK_STATUS),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        let upid = known(pve, &self.upid)?;
        let status = match TaskStatus::read(pve, &upid) {
            Ok(status) => Some(status),
            // It is followed until Proxmox answers again.
            Err(failure) if failure.may_pass() => None,
            Err(failure) => return Err(task_error(&upid, failure)),
        };
        let mut report = Report::done(label(&upid));
        report.vmid = upid.id().parse().ok();
        let expected = report
            .vmid
            .and_then(|vmid| Expected::of_ha_task(upid.kind(), vmid, upid.started()));
        let Some(status) = status.filter(|status| status.exit().is_some()) else {
            return report.started_until(&Started::Task(upid), None, expected);
        };
        PendingTask::new(upid, report, expected).ended(pve, &status, Self::complete)
    }

    /// Adds the backup that a vzdump task has made.
    fn complete(pve: &Pve, upid: &Upid, report: Report) -> Report {
        match upid.kind() {
            "vzdump" => CreateBackup::complete(pve, upid, report),
            _ => report,
        }
    }
}
