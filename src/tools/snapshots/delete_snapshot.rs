//! `delete_snapshot`: removes a snapshot.

use pve_api::calls;
use schemars::JsonSchema;

use super::snapshot::{Snapshots, check_name};
use crate::error::Result;
use crate::json::DeserializeFields;
use crate::pve::{Guest, Params, Pve, Started, Vmid};
use crate::tool::declared::{Calls, FOLLOW_TASK, LOOK_UP};
use crate::tool::report::Report;
use crate::tool::{Reply, Run};

/// Removes a snapshot.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteSnapshot {
    vmid: Vmid,
    /// The snapshot; case matters.
    #[schemars(length(min = 1, max = 40))]
    snapshot: String,
    /// False: do not follow the task.
    wait: Option<bool>,
}

impl Run for DeleteSnapshot {
    type Output = Report;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::All(FOLLOW_TASK),
        Calls::Guest(&calls::guests::STATUS),
        Calls::Guest(&calls::snapshots::DELETE),
        Calls::Guest(&calls::snapshots::LIST),
    ];
    const OTHER_NAMES: &'static [(&'static str, &'static str)] =
        &[("name", "snapshot"), ("snapname", "snapshot")];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        check_name(&self.snapshot)?;
        let (guest, (changes, action, started)) = Guest::with(pve, self.vmid, |guest| {
            let snapshots = Snapshots::read(pve, guest)?;
            let snapshot = snapshots.find(guest, &self.snapshot)?;
            guest.state(pve)?.unlocked(guest)?;
            let request = guest.request_named(&calls::snapshots::DELETE, [&self.snapshot]);
            let started = pve.send::<Started>(&request, &Params::new())?;
            let with_ram = if snapshot.has_ram() {
                " and its RAM state"
            } else {
                ""
            };
            let action = format!(
                "remove snapshot {}{}{with_ram} of {}",
                self.snapshot,
                snapshot.when(),
                guest.label()
            );
            Ok((snapshots.orphans(snapshot), action, started))
        })?;
        let mut report = Report::done(action).on(&guest).snapshot(&self.snapshot);
        report.changes = changes;
        report.started(&started, self.wait)
    }
}
