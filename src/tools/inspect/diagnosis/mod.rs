//! What keeps a guest from starting or from being reached.

pub(super) mod cause;
pub(super) mod node;
pub(super) mod reach;
pub(super) mod start;
pub(super) mod start_log;
