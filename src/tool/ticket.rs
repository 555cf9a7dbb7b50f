//! Tickets: all that a later, fresh instance needs to follow something that is
//! still running.
//!
//! A ticket comes back from outside, so it is read as strictly as arguments
//! are. Its holder can do nothing with it that the tools do not offer: look at
//! a task, a guest or a command, stop a task, and, with the ticket of a tool that
//! works in several steps, begin the steps that follow. What a ticket of
//! [`Pending::Own`] says of these steps is checked by that tool, and a host
//! judges their requests as it judges those of a call.
//!
//! A ticket is data. The table of tools finds the tool that it names, and that
//! line of the table resumes it, see [`Tool::resume`].
//!
//! [`Tool::resume`]: super::Tool::resume

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::expected::Expected;
use super::report::Report;
use crate::error::{Error, Result};
use crate::json::{self, DeserializeFields, SerializeFields};
use crate::pve::Upid;

/// A call of a tool that is still running. Its text is JSON.
#[derive(Debug, Clone, PartialEq, SerializeFields, DeserializeFields)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ticket {
    /// The tool's name in the table.
    pub(crate) tool: String,
    pub(crate) pending: Pending,
}

/// What is still running.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pending {
    /// A Proxmox task.
    Task(Box<PendingTask>),
    /// A guest that is to reach a state, without a task to follow.
    Guest(Box<PendingGuest>),
    /// Something that only the tool knows how to follow. The text is the tool's
    /// own JSON, which the tool reads strictly.
    Own(String),
}

/// A Proxmox task, and the report for the case that it ends well.
#[derive(Debug, Clone, PartialEq, SerializeFields, DeserializeFields)]
#[serde(deny_unknown_fields)]
pub(crate) struct PendingTask {
    pub(crate) upid: Upid,
    pub(crate) report: Report,
    /// The state that the guest is to reach after the task; absent where the
    /// task's end is the end of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expected: Option<Expected>,
    /// How many looks in a row did not show the task.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) gaps: u32,
}

/// A guest that Proxmox has accepted to change, and the report for the case
/// that it has changed.
#[derive(Debug, Clone, PartialEq, SerializeFields, DeserializeFields)]
#[serde(deny_unknown_fields)]
pub(crate) struct PendingGuest {
    pub(crate) report: Report,
    pub(crate) expected: Expected,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Ticket {
    /// The text that goes to the host.
    pub(crate) fn encode(&self) -> Result<String> {
        json::write(self).map_err(unwritten)
    }

    /// Reads a ticket, which anyone may have written. Fails with [`refused`] for
    /// everything that [`Self::encode`] does not write.
    pub(crate) fn decode(text: &str) -> Result<Self> {
        json::read(text).map_err(|_| refused())
    }
}

impl Pending {
    /// What a tool follows on its own. `state` is read by [`Self::read`].
    pub(crate) fn own(state: &impl Serialize) -> Result<Self> {
        json::write(state).map(Self::Own).map_err(unwritten)
    }

    /// Reads the state that [`Self::own`] was given.
    pub(crate) fn read<T: DeserializeOwned>(state: &str) -> Result<T> {
        json::read(state).map_err(|_| refused())
    }
}

#[cold]
fn unwritten(error: json::Unwritten) -> Error {
    Error::Internal(format!("a ticket cannot be written: {error}"))
}

/// The error of whatever is not a ticket of this component.
pub(crate) fn refused() -> Error {
    Error::argument(
        "ticket",
        "is not a ticket from this component; pass it back unchanged",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn round_trip() {
        let ticket = Ticket {
            tool: "start_guest".into(),
            pending: Pending::Task(Box::new(PendingTask {
                upid: "UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:100:root@pam!full:"
                    .parse()
                    .unwrap(),
                report: Report::done("start qemu guest 100"),
                expected: None,
                gaps: 2,
            })),
        };
        assert_eq!(Ticket::decode(&ticket.encode().unwrap()).unwrap(), ticket);
    }

    proptest! {
        #[test]
        fn garbage_is_refused(text in any::<String>()) {
            prop_assert!(Ticket::decode(&text).is_err());
        }
    }

    #[test]
    fn forged_paths_are_refused() {
        let ticket = |node: &str| {
            format!(
                r#"{{"tool":"start_guest","pending":{{"task":{{"upid":"UPID:{node}:0000011D:000BED85:6B02AFAA:x:1:a@b:","report":{{"action":"","status":"done"}}}}}}}}"#
            )
        };
        assert!(Ticket::decode(&ticket("pve1")).is_ok());
        assert!(Ticket::decode(&ticket("../..")).is_err());
    }
}
