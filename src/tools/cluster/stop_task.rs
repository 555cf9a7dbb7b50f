//! `stop_task`: stops a running task.

use pve_api::calls;
use schemars::JsonSchema;

use super::task::{EXIT_STATUS_LENGTH, known, label, task_error};
use crate::error::Result;
use crate::json::DeserializeFields;
use crate::pve::{Pve, TaskStatus};
use crate::tool::declared::Calls;
use crate::tool::report::Report;
use crate::tool::{Reply, Run, follow};
use crate::{text, tool_names};

/// Stops a task.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StopTask {
    /// The task's identifier, UPID:…
    upid: String,
}

impl Run for StopTask {
    type Output = Report;

    const CALLS: &'static [Calls] = &[
        Calls::One(&calls::cluster::STATUS),
        Calls::One(&calls::nodes::LIST),
        Calls::One(&calls::nodes::STOP_TASK),
        Calls::One(&calls::nodes::TASK_STATUS),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        let upid = known(pve, &self.upid)?;
        let status = TaskStatus::read(pve, &upid).map_err(|failure| task_error(&upid, failure))?;
        let action = format!("ask {} to stop", label(&upid));
        let about = |mut report: Report| {
            report.node = Some(upid.node().to_owned());
            report.vmid = upid.id().parse().ok();
            report.upid = Some(upid.to_string());
            report
        };
        if let Some(exit) = status.exit() {
            let report = about(Report::unchanged(action));
            return Ok(Reply::report(report.next(format!(
                "it had ended already: {}",
                text::cut(exit, EXIT_STATUS_LENGTH)
            ))));
        }
        follow::stop(pve, &upid).map_err(|failure| task_error(&upid, failure))?;
        let report = about(Report::done(action));
        Ok(Reply::report(report.next(format!(
            "it stops in a moment; {} shows its final status. Its work may be incomplete, and a \
             guest may stay locked",
            tool_names::GET_TASK
        ))))
    }
}
