//! The refusal of settings that cannot be read.

use crate::error::Error;
use crate::pve::Guest;

/// The error of a change that depends on a setting that cannot be read.
pub(super) fn unreadable(guest: &Guest, what: &str, instead: &str) -> Error {
    Error::Conflict(format!(
        "{what} of {} in Proxmox's response cannot be read, and a change would lose the current \
         value: nothing was changed; look at them in the web interface, and {instead}",
        guest.label()
    ))
}
