//! Windows.

pub(crate) mod datagram;
pub(crate) mod file;
mod native;
pub(crate) mod place;
pub(crate) mod private;
pub(crate) mod process;
pub(crate) mod stdio;
pub(crate) mod terminal;
