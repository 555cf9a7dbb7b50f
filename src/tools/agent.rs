//! Commands inside a guest, by its QEMU agent.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::pve::{Failure, Guest, Pve};
use crate::tool::Outcome;
use crate::tools::{name_of, power};

/// What goes wrong on the way to a guest's agent, told apart: Proxmox answers
/// all of it with status 500.
pub(crate) fn agent_error(guest: &Guest, failure: Failure) -> Error {
    let Failure::Api(error) = &failure else {
        return failure.into();
    };
    let label = guest.label();
    if error.says("no qemu guest agent configured") {
        return Error::Conflict(format!(
            "{label} has its QEMU guest agent switched off: install qemu-guest-agent in the \
             guest, switch it on with qm set {} --agent enabled=1 on the node, or in the web \
             interface under Options, then stop and start the guest",
            guest.vmid
        ));
    }
    if error.says("qemu guest agent is not running") {
        return Error::Conflict(format!(
            "the QEMU guest agent of {label} does not answer: a guest that is still booting needs \
             a moment; else install qemu-guest-agent in the guest and start its service"
        ));
    }
    if error.says("is not running") {
        return Error::Conflict(format!(
            "{label} is not running, so there is no agent to ask: start it with {} first",
            name_of::<power::StartGuest>()
        ));
    }
    if error.says("got timeout") {
        return Error::Conflict(format!(
            "the QEMU guest agent of {label} took too long: the guest may be overloaded or \
             paused; try again later"
        ));
    }
    if error.says("has been disabled") {
        return Error::Conflict(format!(
            "the QEMU guest agent of {label} forbids this command: allow it in the agent's own \
             configuration in the guest (/etc/sysconfig/qemu-ga or /etc/qemu/qemu-ga.conf), and \
             restart the agent"
        ));
    }
    failure.into()
}

/// A command inside a guest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExecTicket {
    vmid: u32,
    pid: u64,
}

impl ExecTicket {
    pub(crate) fn resume(self, _pve: &Pve) -> Result<Outcome> {
        Err(Error::Internal("not yet".into()))
    }
}
