//! Where lines go: to stderr, to a file, or to a daemon of this machine.

use std::io;
use std::path::Path;

use super::AuditTarget;
use super::file::{LogFile, Written, write_line};
use super::socket::{Daemon, Socket};

/// Takes whole lines.
pub(super) enum Sink {
    Stderr {
        /// The last line was not written to its end.
        torn: bool,
    },
    File(LogFile),
    Socket(Socket),
}

impl Sink {
    pub(super) fn open(target: &AuditTarget) -> io::Result<Self> {
        match target {
            AuditTarget::Stderr => Ok(Self::Stderr { torn: false }),
            AuditTarget::File(path) => LogFile::new(path).map(Self::File),
            AuditTarget::Journald => Self::socket(Daemon::Journald, Daemon::Journald.path()),
            AuditTarget::Syslog => Self::socket(Daemon::Syslog, Daemon::Syslog.path()),
        }
    }

    pub(super) fn socket(daemon: Daemon, path: &Path) -> io::Result<Self> {
        Socket::open(daemon, path).map(Self::Socket)
    }

    /// Appends a line, which ends with a newline.
    pub(super) fn append(&mut self, line: &[u8]) -> io::Result<Written> {
        match self {
            Self::Stderr { torn } => write_line(io::stderr().lock(), line, torn)?,
            Self::File(file) => return file.append(line),
            Self::Socket(socket) => socket.append(line)?,
        }
        Ok(Written::elsewhere())
    }
}
