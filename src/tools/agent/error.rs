//! Failures of the guest agent, explained.

use crate::error::Error;
use crate::pve::{Failure, Guest};
use crate::tool_names;

/// Explains a failure between Proxmox and a guest's agent. All have status 500; only
/// the message tells the causes apart.
pub(crate) fn agent_error(guest: &Guest, failure: Failure) -> Error {
    let Failure::Api(error) = &failure else {
        return failure.into();
    };
    let label = guest.label();
    if error.says("no qemu guest agent configured") {
        return Error::Conflict(format!(
            "the QEMU guest agent of {label} is switched off: install qemu-guest-agent in the \
             guest, enable it with qm set {} --agent enabled=1 on the node, or in the web \
             interface under Options, then stop and start the guest",
            guest.vmid
        ));
    }
    if error.says("qemu guest agent is not running") {
        return Error::Conflict(format!(
            "the QEMU guest agent of {label} does not answer: a guest that is still booting needs \
             a moment; otherwise install qemu-guest-agent in the guest and start its service"
        ));
    }
    if error.says("is not running") {
        return Error::Conflict(format!(
            "{label} is not running, and neither is its agent: start it with {} first",
            tool_names::START_GUEST
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
    if error.says("has not been found") || error.says("not currently supported") {
        return Error::Conflict(format!(
            "the QEMU guest agent of {label} does not have this command ({}): update \
             qemu-guest-agent in the guest",
            error.message
        ));
    }
    if error.says("agent error:") {
        return Error::Conflict(format!(
            "the QEMU guest agent of {label} refused ({})",
            error.message
        ));
    }
    failure.into()
}
