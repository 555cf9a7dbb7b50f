//! Checks of a node's name.

use crate::error::{Error, Result};
use crate::pve::{Format, Pve, choose_node};

/// Refuses the name of a node that is not there or is offline, before Proxmox
/// looks it up in DNS for seconds. Where the list of nodes cannot be had, the
/// node itself has to say.
pub(crate) fn check_node(pve: &Pve, argument: &str, name: &str) -> Result<()> {
    match choose_node(pve, argument, Some(name)) {
        Err(error @ (Error::NotFound(_) | Error::Unreachable(_))) => Err(error),
        _ => Format::Node.check(argument, name),
    }
}

/// Refuses the name of a node that is not there; one that is offline may pass.
pub(crate) fn known_node(pve: &Pve, name: &str) -> Result<()> {
    match choose_node(pve, "node", Some(name)) {
        Err(error @ Error::NotFound(_)) => Err(error),
        _ => Ok(()),
    }
}
