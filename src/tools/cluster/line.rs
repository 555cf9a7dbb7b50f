//! Limits that both logs share.

pub(super) const DEFAULT_LIMIT: u32 = 50;

/// Lines may be of any length.
pub(super) const LINE_LENGTH: usize = 500;
