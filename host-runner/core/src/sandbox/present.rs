//! A guest's present configuration, or the size of an image: asked of Proxmox by the
//! host itself, since a component could lie about which disks and drives a guest has.
//!
//! It is asked anew for each request that it decides about. The request carries
//! its digest, so Proxmox refuses a change that was judged by an older one.

use std::sync::Arc;

use host_runner_policy::{Present, Subject, lookup};

use super::failure::{FailureKind, SendError};
use super::limits::REQUEST_TIMEOUT;
use super::upstream::Upstream;
use crate::budget::Budget;

/// What a verdict depends on, or why it is not known. Fails where an outage
/// hides it: nothing has left, and the same may be asked in a moment.
pub(super) async fn ask(
    upstream: &Upstream,
    budget: &Arc<Budget>,
    subject: &Subject,
) -> Result<Result<Present, String>, SendError> {
    let path = subject.path();
    let answer = match upstream
        .ask(&path, REQUEST_TIMEOUT, &budget.account())
        .await
    {
        Ok(answer) => answer,
        Err(error) => {
            let kind = FailureKind::ConnectionRefused;
            return Err(SendError::new(kind, error.detail));
        }
    };
    let status = answer.status();
    if lookup::is_outage(status.as_u16()) {
        let why = format!("Proxmox answered {status} to GET {path}");
        return Err(SendError::new(FailureKind::ConnectionRefused, why));
    }
    if !status.is_success() {
        return Ok(Err(format!("Proxmox answered {status} to GET {path}")));
    }
    Ok(subject
        .read(answer.body())
        .ok_or_else(|| format!("the answer of Proxmox to GET {path} is not as expected")))
}
