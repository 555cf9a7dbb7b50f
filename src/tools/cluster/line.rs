//! Limits that both logs share.

pub(super) const DEFAULT_LIMIT: u32 = 50;

/// The longest line that is shown, in characters.
pub(super) const LINE_LENGTH: usize = 500;
