//! `convert_to_template`: makes a template of a stopped guest.

use pve_api::calls;
use schemars::JsonSchema;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::pve::{Guest, GuestConfig, Params, Pve, Started, Vmid};
use crate::tool::declared::{Calls, FOLLOW_TASK, LOOK_UP};
use crate::tool::expected::{Cause, EndState, Expected};
use crate::tool::report::Report;
use crate::tool::{Reply, Run};
use crate::tool_names;

/// Converts a guest to a template.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConvertToTemplate {
    vmid: Vmid,
    /// False: do not follow the task.
    wait: Option<bool>,
}

impl Run for ConvertToTemplate {
    type Output = Report;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::All(FOLLOW_TASK),
        Calls::Guest(&calls::guests::CONFIG),
        Calls::Guest(&calls::guests::CONVERT),
        Calls::Guest(&calls::guests::STATUS),
        Calls::Guest(&calls::snapshots::LIST),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        let (guest, started) = Guest::with(pve, self.vmid, |guest| {
            if GuestConfig::read(pve, guest)?.flag("template") == Some(true) {
                return Ok(None);
            }
            let state = guest.state(pve)?;
            state.unlocked(guest)?;
            if state.is_running() {
                return Err(Error::Conflict(format!(
                    "{} is running: stop it with {}, then convert it",
                    guest.label(),
                    tool_names::STOP_GUEST
                )));
            }
            let listed: Vec<Value> =
                pve.send(&guest.request(&calls::snapshots::LIST), &Params::new())?;
            let is_snapshot = |one: &&Value| {
                one.get("name")
                    .and_then(Value::as_str)
                    .is_some_and(|name| name != "current")
            };
            let count = listed.iter().filter(is_snapshot).count();
            if count > 0 {
                return Err(Error::Conflict(format!(
                    "{} has {count} snapshots, and a template can have none: remove them first \
                     ({}), or clone the guest ({}) and convert the clone",
                    guest.label(),
                    tool_names::DELETE_SNAPSHOT,
                    tool_names::CLONE_GUEST
                )));
            }
            let request = guest.request(&calls::guests::CONVERT);
            Ok(Some(pve.send::<Started>(&request, &Params::new())?))
        })?;
        let action = format!("convert {} to a template", guest.label());
        let Some(started) = started else {
            return Ok(Reply::report(Report::unchanged(action).on(&guest)));
        };
        let report = Report::done(action).on(&guest).next(format!(
            "{} makes guests of it, with full: true where its storage has no linked clones",
            tool_names::CLONE_GUEST
        ));
        // Of a container, no task is named: the guest itself shows the end of it.
        let expected = matches!(started, Started::WithoutTask(_))
            .then(|| Expected::new(guest.vmid, EndState::Template, Cause::Unnamed, 60));
        report.started_until(&started, self.wait, expected)
    }
}
