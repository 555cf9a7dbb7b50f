//! The error of a task that has failed, and of one that can no longer be
//! followed.

use crate::error::{Error, FailedTask};
use crate::pve::{Upid, is_unknown_exit};
use crate::text;
use crate::tool_names;

/// The longest exit status in a message, in characters: it may be a whole
/// command line.
const EXIT_LENGTH: usize = 800;

/// The longest line of a log in an error, in characters: it may be a progress
/// bar.
pub(super) const LINE_LENGTH: usize = 500;

/// The error of a failed task, with what to do where its words are known.
pub(super) fn failed(action: &str, upid: &Upid, exit: &str, log_tail: Vec<String>) -> Error {
    // A backup job's status alone names no cause.
    let exit = match log_tail
        .iter()
        .find_map(|line| line.strip_prefix("ERROR: Backup of "))
    {
        Some(why) if exit == "job errors" => &format!("{exit}: backup of {why}"),
        _ => exit,
    };
    let exit = &text::cut(exit, EXIT_LENGTH);
    let log_tail = log_tail
        .iter()
        .map(|line| text::cut(line, LINE_LENGTH))
        .collect();
    let message = if is_unknown_exit(exit) {
        format!(
            "{action}: the task has ended, and Proxmox does not know how ({exit}), for example \
             because its node lost power or the task was killed: check what it did before you \
             repeat it"
        )
    } else {
        format!("{action} failed: {exit}{}", hint(exit))
    };
    Error::FailedTask(Box::new(FailedTask {
        message,
        upid: upid.to_string(),
        exit_status: exit.to_owned(),
        log_tail,
    }))
}

fn hint(exit: &str) -> String {
    let exit = exit.to_ascii_lowercase();
    let says = |text: &str| exit.contains(text);
    if says("is locked") || says("can't lock file") {
        format!(
            "; another task is using the guest, or left its lock behind: look at the running tasks \
             with {} and wait for that task; only if there is none, unlock the guest on its node with \
             qm unlock or pct unlock",
            tool_names::LIST_TASKS
        )
    } else if says("got timeout") && says("powerdown") {
        format!(
            "; the guest did not shut down in time: give it longer, install its guest agent or ACPI \
             support, or switch it off with mode hard of {}",
            tool_names::STOP_GUEST
        )
    } else if says("interrupted by signal") || says("received interrupt") {
        "; the task was stopped from outside".into()
    } else if says("no space left") || says("not enough free space") {
        "; the storage is full: choose another or make room".into()
    } else if says("bridge '") && says("does not exist") {
        format!(
            "; the node has no such bridge: create it there, or give the network card another bridge \
             with {} or in the web interface",
            tool_names::SET_NIC
        )
    } else if says("storage '")
        && (says("is not online") || says("not available") || says("does not exist"))
    {
        format!(
            "; the node cannot use this storage: {} shows which are active",
            tool_names::LIST_STORAGE
        )
    } else if says("volume '") && says("does not exist") {
        format!(
            "; a disk or image that the guest refers to is missing: {} shows what the storage holds",
            tool_names::LIST_STORAGE_CONTENT
        )
    } else if says("cannot allocate memory") || says("not enough memory") {
        "; the node has too little free memory: stop another guest, or give this one less".into()
    } else if says("snapshot feature is not available") {
        "; the storage of one of its volumes does not support it: LXC snapshots need ZFS, LVM-thin, \
         Ceph RBD or Btrfs"
            .into()
    } else if says("checksum mismatch") {
        "; the file was discarded: check the checksum, its algorithm and the address".into()
    } else {
        "; see the last lines of its log".into()
    }
}

/// The error of losing sight of a task: what was asked for has been accepted,
/// so it must not be asked for again.
pub(super) fn accepted(action: &str, upid: &Upid, error: Error) -> Error {
    let wait = tool_names::WAIT_TASK;
    told_of(
        format!(
            "{action}: Proxmox accepted the request as task {upid}, but the task's status cannot \
             be read ({}): follow it with {wait} upid={upid}; do not repeat the call",
            error.message()
        ),
        error,
    )
}

/// The same where there is no task.
pub(super) fn unseen(action: &str, error: Error) -> Error {
    let get = tool_names::GET_GUEST;
    told_of(
        format!(
            "{action}: Proxmox accepted the request, but the guest's state cannot be read ({}): do \
             not repeat the call until you have checked with {get} whether it has changed",
            error.message()
        ),
        error,
    )
}

/// An error of the same kind with another message, as far as the kind is one of
/// reading.
fn told_of(message: String, error: Error) -> Error {
    match error {
        Error::Denied(_) => Error::Denied(message),
        Error::Unauthorized(_) => Error::Unauthorized(message),
        Error::NotFound(_) | Error::GuestMoved(_) => Error::NotFound(message),
        _ => Error::Unreachable(message),
    }
}
