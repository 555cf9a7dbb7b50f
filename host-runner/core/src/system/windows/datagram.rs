//! Datagrams to a daemon of this machine: Windows has neither journald nor syslog.

use std::io;
use std::path::Path;
use std::time::Duration;

/// Shown in place of journald's socket.
pub(crate) const JOURNALD: &str = "not on Windows";
/// Shown in place of syslog's socket.
pub(crate) const SYSLOG: &str = "not on Windows";

/// There are none.
pub(crate) enum Datagrams {}

impl Datagrams {
    /// Fails with [`io::ErrorKind::Unsupported`].
    pub(crate) fn open(_: &Path, _: Duration) -> io::Result<Self> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "Windows has neither journald nor syslog",
        ))
    }

    /// Is never called.
    pub(crate) fn send(&self, _: &[u8]) -> io::Result<()> {
        match *self {}
    }
}
