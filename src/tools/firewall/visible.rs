//! Calls that a token may not make, or that a version of Proxmox does not have.

use crate::error::Result;
use crate::pve::Failure;

/// None if the token may not read it, or this version of Proxmox does not have
/// the call.
pub(super) fn visible<T>(result: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match result {
        Err(Failure::Api(error)) if matches!(error.status, 400 | 403 | 501) => Ok(None),
        other => other.map(Some),
    }
}
