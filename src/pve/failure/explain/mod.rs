//! An error response, explained: what it means for the caller, and what to do.
//!
//! Each file knows one kind of responses and returns nothing for the others.

mod access;
mod node;
mod proxy;
mod state;

use super::response::ErrorResponse;
use crate::error::{Error, Problem};
use crate::settings::Route;

/// What a message says about a change that may have been made.
pub(super) const MAYBE_DONE: &str = "; the change may have happened all the same: look at the task \
                                     list and at the guest before you repeat it";

/// What a message says where another server than `host-runner forward` may have
/// answered.
const NOT_FORWARD: &str = "; PROXMOX_URL has http://, so `host-runner forward` should answer: check \
                           that this is the PROXMOX_URL that it printed";

/// The error of a request that was answered with this response.
pub(super) fn explain(response: &ErrorResponse) -> Error {
    let after = if response.maybe_done() {
        MAYBE_DONE
    } else {
        ""
    };
    let may_be_another = response.is_not_the_api() && response.asked.route == Route::Forward;
    let forward = if may_be_another { NOT_FORWARD } else { "" };
    match by_kind(response) {
        Error::NotFound(message) if response.is_missing_guest() => Error::GuestMoved(message),
        Error::Unreachable(message) => Error::Unreachable(message + forward + after),
        Error::Internal(message) => Error::Internal(message + after),
        other => other,
    }
}

fn by_kind(response: &ErrorResponse) -> Error {
    let said = lower(&response.message);
    access::explain(response, &said)
        .or_else(|| proxy::explain(response, &said))
        .or_else(|| unknown_call(response, &said))
        .or_else(|| node::explain(response, &said))
        .or_else(|| refused_parameters(response))
        .or_else(|| without_reason(response))
        .or_else(|| state::explain(response, &said))
        .unwrap_or_else(|| {
            Error::Internal(format!(
                "Proxmox answered {} with status {}: {said}",
                response.asked.request, response.status
            ))
        })
}

/// A call that this version of Proxmox VE does not have.
fn unknown_call(response: &ErrorResponse, said: &str) -> Option<Error> {
    if response.status != 501 {
        return None;
    }
    let request = &response.asked.request;
    let here = response.version.as_ref().map_or_else(
        || "this Proxmox VE".into(),
        |version| format!("Proxmox VE {version}, which answered,"),
    );
    Some(Error::Internal(match request.call().since() {
        Some(since) => format!(
            "{here} does not know {request} ({said}): this call came with Proxmox VE {since}; upgrade \
             the node"
        ),
        None => format!(
            "{here} does not know {request} ({said}): the call may be newer than this version; upgrade the node, \
             since this server is made for Proxmox VE 8 and 9"
        ),
    }))
}

/// Parameters that Proxmox did not accept.
fn refused_parameters(response: &ErrorResponse) -> Option<Error> {
    if response.errors.is_empty() {
        return None;
    }
    let problem = |(name, text): (&String, &String)| Problem {
        pointer: String::new(),
        message: format!("Proxmox refused {name}: {}", lower(text)),
    };
    Some(Error::InvalidArguments(
        response.errors.iter().map(problem).collect(),
    ))
}

/// An error without a reason. Before Proxmox VE 8.4 it is in the reason phrase
/// alone, which HTTP/2 does not have and a proxy may drop.
fn without_reason(response: &ErrorResponse) -> Option<Error> {
    if !response.message.is_empty() {
        return None;
    }
    let (call, status) = (&response.asked.request, response.status);
    let lost = "Proxmox gave no reason: a proxy in front of it may have dropped the reason phrase, \
                where versions before 8.4 put it";
    Some(if response.asked.request.asks_agent() {
        Error::Conflict(format!(
            "{call} was answered with status {status}, and {lost}; likely the guest is not running, \
             its QEMU guest agent is not installed or not started in the guest, or it is switched \
             off in the guest's options"
        ))
    } else {
        Error::Internal(format!(
            "{call} was answered with status {status}, and {lost}; ask Proxmox directly, port 8006, \
             or look at the node's syslog"
        ))
    })
}

/// Messages are lowercase and end without a period; names keep their case.
fn lower(message: &str) -> String {
    let message = message.trim().trim_end_matches(['.', '!']);
    if message.is_empty() {
        return "no reason given".into();
    }
    let first_word_is_name = message
        .split_whitespace()
        .next()
        .is_some_and(|word| word.chars().skip(1).any(|c| c.is_uppercase() || c == '/'));
    if first_word_is_name {
        return message.to_owned();
    }
    let mut chars = message.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(chars).collect()
    })
}
