//! What differs between Unix systems and Windows: files, signals, standard streams,
//! processor time and well-known places. Each of the two has the same modules with the
//! same items, so that no other module needs to know on which system it runs.
//! `docs/systems.md` is the user's view of the differences.
//!
//! # Layout
//!
//! - [`datagram`]: the sockets of journald and syslog.
//! - [`mod@file`]: which file it is, locks, and opening without waiting.
//! - [`place`]: where files are if the operator names none.
//! - [`private`]: files that other users can neither read nor change.
//! - [`process`]: signals, secrecy of memory, processor time.
//! - [`stdio`]: stdin and stdout of a client.
//! - [`terminal`]: typing that is not shown.

#[cfg(any(windows, test))]
mod sddl;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use self::unix::{datagram, file, place, private, process, stdio, terminal};
#[cfg(windows)]
pub(crate) use self::windows::{datagram, file, place, private, process, stdio, terminal};
