//! What Proxmox says about the state of a guest, a storage or an agent. It has no
//! codes for these: the words of the message are all there is.

use crate::error::Error;
use crate::pve::failure::grant;
use crate::pve::failure::response::ErrorResponse;
use crate::tool_names;

pub(super) fn explain(response: &ErrorResponse, said: &str) -> Option<Error> {
    let says = |words: &str| response.says(words);
    if says("only root") {
        return Some(Error::Denied(grant::denied(response, said)));
    }
    if let Some(hint) = conflict(response) {
        return Some(Error::Conflict(format!("{said}: {hint}")));
    }
    Some(
        // "file changed by other user", "file change by other user".
        if says("by other user") {
            Error::Conflict(
                "the configuration was changed by someone else in the meantime: nothing was \
                 written; look at it again and repeat the call"
                    .into(),
            )
        } else if says("rrd error") || says("rrdcached") {
            Error::Internal(format!(
                "the node's load database (RRD) is at fault, not this call ({said}): restart \
                 rrdcached and pvestatd on the node; if a file stays broken, move it away, and \
                 pvestatd creates a new one"
            ))
        } else if says("agent error:") {
            Error::Conflict(agent(said))
        } else if says("does not exist") || says("no such") {
            Error::NotFound(said.to_owned())
        } else if says("already exists") || says("not running") || says("already running") {
            Error::Conflict(said.to_owned())
        } else {
            return None;
        },
    )
}

/// What to do about a state that does not allow a change.
fn conflict(response: &ErrorResponse) -> Option<String> {
    let says = |words: &str| response.says(words);
    Some(if says("is locked (suspended") {
        format!(
            "it is suspended to disk: {} resumes it; unlocking it would lose its memory",
            tool_names::START_GUEST
        )
    } else if says("is locked") {
        format!(
            "another task holds the guest, or left its lock behind; first look at the running tasks \
             with {}, including backups of several guests, and wait for the one that holds it; only \
             where there is none, unlock it on the node with qm unlock or pct unlock",
            tool_names::LIST_TASKS
        )
    } else if says("can't lock file") || says("can't get lock") {
        // "can't lock file '/var/lock/…' - got timeout".
        "another task holds the lock, and nothing was started; try again in a moment".into()
    } else if says("unable to get any free vmid") {
        "give a vmid that is free, or widen the range under Datacenter, Options, Next Free VMID Range"
            .into()
    } else if says("can't take snapshot") || says("snapshot feature is not") {
        format!(
            "nothing was changed; the storage or the format of one of its disks has no snapshots, or \
             the guest's current state allows none: {} shows its disks",
            tool_names::GET_GUEST
        )
    } else if says("storage '") && says("is not online") {
        format!(
            "the server of this storage is off or out of reach from the node; {} shows its state, \
             and the call can be repeated once it is back",
            tool_names::LIST_STORAGE
        )
    } else {
        return None;
    })
}

/// What a guest's agent refused, without a guest's name at hand.
fn agent(said: &str) -> String {
    let lowered = said.to_ascii_lowercase();
    if lowered.contains("has been disabled") {
        format!(
            "the guest's QEMU guest agent forbids this command ({said}): allow it in the agent's own \
             configuration in the guest, and restart the agent"
        )
    } else if lowered.contains("has not been found") || lowered.contains("not currently supported")
    {
        format!(
            "the guest's QEMU guest agent does not have this command ({said}): update \
             qemu-guest-agent in the guest"
        )
    } else {
        format!("the guest's QEMU guest agent refused ({said})")
    }
}
