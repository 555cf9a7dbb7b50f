//! Nodes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::firewall::Firewall;

/// The time from one report of pvestatd to the next.
pub(crate) const CYCLE: Duration = Duration::from_secs(10);

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) id: u32,
    pub(crate) ip: String,
    pub(crate) online: bool,
    #[serde(skip)]
    pub(crate) pvestatd: Pvestatd,
    pub(crate) cpus: u32,
    pub(crate) cpu_model: String,
    pub(crate) memory: u64,
    pub(crate) rootfs: u64,
    /// Load of the node itself, from 0 to 1.
    pub(crate) load: f64,
    pub(crate) booted: i64,
    pub(crate) fingerprint: String,
    pub(crate) firewall: Firewall,
    pub(crate) journal: Vec<(i64, String)>,
}

/// A node's daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pvestatd {
    /// Reports at this time next.
    Runs { next: Duration },
    /// Hangs, or does not run: the last report ages.
    Stopped,
}

impl Default for Pvestatd {
    /// One that has reported as the cluster was born.
    fn default() -> Pvestatd {
        Pvestatd::reported(Duration::ZERO)
    }
}

impl Pvestatd {
    /// One that has just reported.
    pub(crate) fn reported(at: Duration) -> Pvestatd {
        Pvestatd::Runs { next: at + CYCLE }
    }
}
