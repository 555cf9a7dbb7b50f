//! Tasks.
use schemars::JsonSchema;
use serde::Deserialize;
use crate::error::Result;
use crate::pve::Pve;
use crate::report::Report;
use crate::tool::{Reply, Run};

/// x
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StopGuest {
    /// The task's identifier.
    upid: String,
}
impl Run for StopGuest {
    type Output = Report;
    fn run(self, _pve: &Pve) -> Result<Reply<Report>> {
        Ok(Reply::report(Report::done(self.upid)))
    }
}
