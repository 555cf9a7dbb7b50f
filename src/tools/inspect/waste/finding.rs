//! Something that takes room and may not be needed.

use schemars::JsonSchema;
use serde::Serialize;

use crate::clock;
use crate::json::SerializeFields;
use crate::pve::{Guest, Vmid};
use crate::text;

/// Something that takes room and may not be needed.
#[derive(Debug, Clone, PartialEq, SerializeFields, JsonSchema)]
pub(crate) struct Waste {
    pub(super) kind: WasteKind,
    /// Of memory for guests that run, of storage for all else; absent where Proxmox does
    /// not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes: Option<u64>,
    pub(crate) finding: String,
    /// What it rests on.
    pub(super) evidence: String,
    /// The next step.
    pub(super) fix: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) vmid: Option<Vmid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) node: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) volid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) snapshot: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WasteKind {
    /// A running guest that does next to nothing.
    IdleGuest,
    /// A running guest that never uses most of its memory.
    OversizedMemory,
    /// A guest that has been stopped for long.
    StoppedGuest,
    OldSnapshot,
    /// A disk that is detached from its guest, and still listed by it.
    UnusedDisk,
    /// A volume that no guest has.
    OrphanedVolume,
    /// An ISO image that no guest has in a drive.
    UnusedIso,
}

impl WasteKind {
    pub(crate) const ALL: [Self; 7] = [
        Self::IdleGuest,
        Self::OversizedMemory,
        Self::StoppedGuest,
        Self::OldSnapshot,
        Self::UnusedDisk,
        Self::OrphanedVolume,
        Self::UnusedIso,
    ];
}

impl Waste {
    pub(super) fn new(kind: WasteKind, finding: String, evidence: String, fix: String) -> Self {
        Self {
            kind,
            bytes: None,
            finding,
            evidence,
            fix,
            vmid: None,
            node: None,
            volid: None,
            snapshot: None,
        }
    }

    pub(crate) fn is(&self, kind: WasteKind) -> bool {
        self.kind == kind
    }

    pub(super) fn on(mut self, guest: &Guest) -> Self {
        self.vmid = Some(guest.vmid);
        self.node = Some(guest.node.clone());
        self
    }

    pub(super) fn bytes(mut self, bytes: Option<u64>) -> Self {
        self.bytes = bytes;
        self
    }

    pub(super) fn volid(mut self, volid: &str) -> Self {
        self.volid = Some(volid.to_owned());
        self
    }
}

/// Whole days from a moment until now.
pub(super) fn days_since(then: u64, now: u64) -> u64 {
    now.saturating_sub(then) / clock::DAY
}

/// `2026-03-01T08:00:00Z (42 days ago)`.
pub(super) fn since(then: u64, now: u64) -> String {
    let days = usize::try_from(days_since(then, now)).unwrap_or(usize::MAX);
    format!("{} ({} ago)", text::time(then), text::count(days, "day"))
}
