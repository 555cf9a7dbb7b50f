//! Responses that did not come from Proxmox's API: of a proxy or firewall in front
//! of it, or of another server at the address in PROXMOX_URL.

use crate::error::Error;
use crate::pve::failure::response::{ErrorResponse, Foreign};

pub(super) fn explain(response: &ErrorResponse, said: &str) -> Option<Error> {
    let (call, status) = (&response.asked.request, response.status);
    Some(match status {
        300..=399 => Error::Unreachable(format!(
            "{call} was answered with a redirect, which is never followed: set PROXMOX_URL to the \
             address of Proxmox itself, https and port 8006 included"
        )),
        // A node that is away is explained elsewhere.
        502..=504 if response.foreign.is_some() || !response.is_node_away() => {
            Error::Unreachable(format!(
                "{call} was answered with status {status} ({said}): the proxy in front of Proxmox \
                 does not reach it, or pveproxy is restarting; try again later"
            ))
        }
        _ => match response.foreign {
            Some(foreign) => not_proxmox(response, foreign, said),
            None => return by_status(response, said),
        },
    })
}

fn not_proxmox(response: &ErrorResponse, foreign: Foreign, said: &str) -> Error {
    let (call, status) = (&response.asked.request, response.status);
    let how = match foreign {
        Foreign::Page => "it is a web page",
        Foreign::Login => "it asks for a login of its own",
        Foreign::Text => "it is a text that is not JSON",
    };
    match status {
        401 => Error::Unauthorized(format!(
            "{call} was refused with status 401 by something in front of Proxmox ({how}), so \
             checking the token alone does not help: let the proxy pass requests to /api2/json, \
             Authorization header included, or set PROXMOX_URL to Proxmox itself, port 8006"
        )),
        403 => Error::Denied(format!(
            "{call} was refused with status 403 by something in front of Proxmox ({how}), so the \
             token's rights do not matter: let the proxy or firewall pass requests to /api2/json, or \
             set PROXMOX_URL to Proxmox itself, port 8006"
        )),
        _ => Error::Unreachable(format!(
            "{call} was answered with status {status} ({said}) by something in front of Proxmox \
             ({how}), not by its API: check the host, port (8006) and path of PROXMOX_URL, and what \
             the proxy does with /api2/json"
        )),
    }
}

/// Statuses and messages that the API itself does not have.
fn by_status(response: &ErrorResponse, said: &str) -> Option<Error> {
    let (call, status) = (&response.asked.request, response.status);
    Some(match status {
        404 => Error::Unreachable(format!(
            "{call} was answered with status 404 ({said}): what answers at PROXMOX_URL is not the \
             API of Proxmox VE; check its host, port (8006) and path"
        )),
        500 | 501 if is_outside_api(&response.message) => Error::Unreachable(format!(
            "{call} did not reach the API ({said}): the path of PROXMOX_URL is not where the API is, \
             or a proxy in front of Proxmox adds or removes a part of the path; the API has to be at \
             /api2/json below PROXMOX_URL"
        )),
        506 | 415 => Error::Internal(format!(
            "Proxmox did not accept the form of {call} ({said}): a proxy in front of it may have \
             changed the Content-Type header"
        )),
        413 | 414 | 431 => Error::Internal(format!(
            "{call} is too large for Proxmox or a proxy in front of it (status {status}): send less \
             in one call"
        )),
        429 => Error::Unreachable(format!(
            "a proxy in front of Proxmox refused {call} because of too many requests: try again later"
        )),
        _ => return None,
    })
}

/// Whether a message is what pveproxy answers outside of `/api2/json`.
fn is_outside_api(message: &str) -> bool {
    message.starts_with("no such file '")
        || message.starts_with("no such uri")
        || message.starts_with("no formatter")
}
