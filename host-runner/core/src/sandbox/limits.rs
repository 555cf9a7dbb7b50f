//! How large and how slow requests and responses may be.

use std::time::Duration;

/// The most that Proxmox VE takes as a request's body.
pub(crate) const MAX_REQUEST_BYTES: usize = 512 * 1024;
/// The most that an answer may hold.
pub(crate) const MAX_RESPONSE_BYTES: usize = 16 * 1024 * 1024;
/// How long an answer may take in all: Proxmox VE itself gives up on a node
/// after 30 s.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(35);
/// What an answer takes: itself, and a copy of what a component reads at once.
pub(super) const COPIES_OF_AN_ANSWER: usize = 2;
/// The most that the host keeps for one call: a response of the largest size,
/// once more for a copy of it, and what is left of it after filtering.
pub(crate) const MAX_CALL_BYTES: usize = 3 * MAX_RESPONSE_BYTES;
