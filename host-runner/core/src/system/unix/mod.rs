//! Linux, macOS and other Unix systems.

pub(crate) mod datagram;
pub(crate) mod file;
pub(crate) mod place;
pub(crate) mod private;
pub(crate) mod process;
pub(crate) mod stdio;
pub(crate) mod terminal;
