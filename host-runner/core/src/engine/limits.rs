//! What one call of a component may use.

use std::time::Duration;

/// What a call may use.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Memory, over all of an instance's memories. What all calls take together
    /// is bounded too: see [`crate::budget`].
    pub memory_bytes: usize,
    /// Processor time, of the host's functions that it calls too.
    pub cpu: Duration,
    /// Time in all, waiting for Proxmox included.
    pub wall: Duration,
    /// Calls that run at the same time; others wait for their turn.
    pub concurrency: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            cpu: Duration::from_secs(10),
            wall: Duration::from_secs(120),
            concurrency: 16,
        }
    }
}
