//! A token that was not accepted, or that may not do what was asked.

use crate::error::Error;
use crate::pve::failure::grant;
use crate::pve::failure::response::ErrorResponse;

/// Statuses 401 and 403 of Proxmox itself.
pub(super) fn explain(response: &ErrorResponse, said: &str) -> Option<Error> {
    if response.foreign.is_some() {
        return None;
    }
    match response.status {
        401 => Some(Error::Unauthorized(not_accepted(response, said))),
        403 => Some(refused(response, said)),
        _ => None,
    }
}

fn not_accepted(response: &ErrorResponse, said: &str) -> String {
    let (call, token) = (&response.asked.request, &response.asked.token);
    if response.says("no ticket") {
        format!(
            "Proxmox got no token ({said}): PROXMOX_TOKEN_ID or PROXMOX_TOKEN_SECRET may be \
             malformed, or a proxy in front of Proxmox took the Authorization header away"
        )
    } else if response.message.is_empty() {
        format!(
            "{call} was refused with status 401 and without a reason: where Proxmox itself answered, \
             it did not accept the token {token}, so check PROXMOX_TOKEN_ID and \
             PROXMOX_TOKEN_SECRET, and that neither the token nor its user is expired, disabled or \
             removed; a proxy in front of Proxmox may have answered, or have dropped the reason: \
             PROXMOX_URL with Proxmox's own address, port 8006, shows which"
        )
    } else {
        format!(
            "Proxmox did not accept the token {token} ({said}): check PROXMOX_TOKEN_ID and \
             PROXMOX_TOKEN_SECRET, and that neither the token nor its user is expired, disabled or \
             removed"
        )
    }
}

fn refused(response: &ErrorResponse, said: &str) -> Error {
    if response.says("' does not exist") {
        return Error::NotFound(said.to_owned());
    }
    let denied = grant::denied(response, said);
    if !response.message.is_empty() {
        return Error::Denied(denied);
    }
    Error::Denied(format!(
        "{} was refused with status 403 and without a reason: a proxy or firewall in front of \
         Proxmox may have answered, or have dropped the reason, and PROXMOX_URL with Proxmox's own \
         address, port 8006, shows which; where Proxmox itself answered, {denied}",
        response.asked.request
    ))
}
