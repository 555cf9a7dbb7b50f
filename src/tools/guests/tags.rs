//! Tags of a guest.

pub(super) const MOST_TAGS: usize = 64;
