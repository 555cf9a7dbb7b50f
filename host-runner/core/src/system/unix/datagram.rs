//! Datagrams to a daemon of this machine.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where journald listens. Only Linux has it.
pub(crate) const JOURNALD: &str = "/run/systemd/journal/socket";
/// Where the syslog daemon listens.
#[cfg(not(target_os = "macos"))]
pub(crate) const SYSLOG: &str = "/dev/log";
/// Where the syslog daemon listens.
#[cfg(target_os = "macos")]
pub(crate) const SYSLOG: &str = "/var/run/syslog";

/// Sends datagrams to the daemon that listens on a socket.
pub(crate) struct Datagrams {
    path: PathBuf,
    socket: UnixDatagram,
}

impl Datagrams {
    /// Fails if nothing listens there. `patience` is how long [`Self::send`] waits for a
    /// daemon that takes nothing.
    pub(crate) fn open(path: &Path, patience: Duration) -> io::Result<Self> {
        UnixDatagram::unbound()?.connect(path)?;
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(patience))?;
        Ok(Self {
            path: path.to_owned(),
            socket,
        })
    }

    /// Sends one. Fails with [`io::ErrorKind::TimedOut`] if the daemon does not take it in
    /// time.
    pub(crate) fn send(&self, message: &[u8]) -> io::Result<()> {
        // By its path each time: a daemon that was started again is another socket.
        self.socket
            .send_to(message, &self.path)
            .map(drop)
            .map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock => {
                    io::Error::new(io::ErrorKind::TimedOut, "the daemon takes nothing")
                }
                _ => error,
            })
    }
}
