//! Sends lines to journald or to the syslog daemon of this machine.
//!
//! Both take datagrams on a Unix socket, and their protocols are a few lines
//! each: the libraries for them would bring formatters, connections over the
//! network or the log of this program along, none of which is wanted here. A
//! line has at most 16 KiB, which fits into a datagram, so that no file
//! descriptor has to be passed for large ones.
//!
//! A datagram that the daemon's socket has taken counts as written. When the
//! daemon stores it is its own matter.

use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::system::datagram::{Datagrams, JOURNALD, SYSLOG};

/// How the daemons call the sender.
const IDENTIFIER: &str = "proxmox-mcp-audit";
/// `authpriv`: security messages that not everybody may read.
const FACILITY: u8 = 10;
/// `notice`.
const SEVERITY: u8 = 5;
/// A daemon that takes nothing for so long does not answer calls either.
const PATIENCE: Duration = Duration::from_secs(2);
/// What of a line is a field of its own in the journal.
const FIELDS: [&str; 9] = [
    "event", "call", "user", "session", "token", "tool", "method", "path", "verdict",
];

/// A daemon that takes lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Daemon {
    Journald,
    Syslog,
}

/// Sends lines to a daemon.
pub(super) struct Socket {
    daemon: Daemon,
    datagrams: Datagrams,
}

impl Daemon {
    pub(super) fn path(self) -> &'static Path {
        Path::new(match self {
            Self::Journald => JOURNALD,
            Self::Syslog => SYSLOG,
        })
    }
}

impl Socket {
    /// Fails if nothing listens there.
    pub(super) fn open(daemon: Daemon, path: &Path) -> io::Result<Self> {
        Ok(Self {
            daemon,
            datagrams: Datagrams::open(path, PATIENCE)?,
        })
    }

    /// Sends a line, which ends with a newline.
    pub(super) fn append(&self, line: &[u8]) -> io::Result<()> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let message = match self.daemon {
            Daemon::Journald => entry(line),
            Daemon::Syslog => message(line),
        };
        self.datagrams.send(&message)
    }
}

/// An entry of the journal in its native protocol: the whole line as the message,
/// and what is searched for as fields.
fn entry(line: &[u8]) -> Vec<u8> {
    let mut entry = Vec::with_capacity(line.len() + 512);
    let mut field = |name: &str, value: &[u8]| {
        entry.extend_from_slice(name.as_bytes());
        if value.contains(&b'\n') {
            entry.push(b'\n');
            entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
        } else {
            entry.push(b'=');
        }
        entry.extend_from_slice(value);
        entry.push(b'\n');
    };
    field("MESSAGE", line);
    field("PRIORITY", SEVERITY.to_string().as_bytes());
    field("SYSLOG_FACILITY", FACILITY.to_string().as_bytes());
    field("SYSLOG_IDENTIFIER", IDENTIFIER.as_bytes());
    let values: Value = serde_json::from_slice(line).unwrap_or_default();
    for name in FIELDS {
        if let Some(value) = values.get(name).and_then(Value::as_str) {
            let name = format!("PROXMOX_MCP_{}", name.to_ascii_uppercase());
            field(&name, value.as_bytes());
        }
    }
    entry
}

/// A message of syslog as its local socket takes it: RFC 3164 without the host,
/// and without the time, which would be local time. The daemon adds both, and the
/// line has its own time.
fn message(line: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(line.len() + 64);
    let priority = FACILITY * 8 + SEVERITY;
    let process = std::process::id();
    // Writing to a Vec cannot fail.
    let _ = write!(message, "<{priority}>{IDENTIFIER}[{process}]: ");
    message.extend_from_slice(line);
    message
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    fn receive(daemon: Daemon, line: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixDatagram::bind(&path).unwrap();
        let socket = Socket::open(daemon, &path).unwrap();
        socket.append(line).unwrap();
        let mut bytes = vec![0; 64 * 1024];
        let length = listener.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn an_entry_of_the_journal_has_fields() {
        let line = "{\"event\":\"call\",\"user\":\"a\\nb\",\"arguments\":{\"tool\":\"x\"}}\n";
        let entry = receive(Daemon::Journald, line.as_bytes());
        assert_eq!(
            entry,
            format!(
                "MESSAGE={line}PRIORITY=5\nSYSLOG_FACILITY=10\n\
                 SYSLOG_IDENTIFIER=proxmox-mcp-audit\nPROXMOX_MCP_EVENT=call\n\
                 PROXMOX_MCP_USER\n\u{3}\0\0\0\0\0\0\0a\nb\n"
            )
        );
    }

    #[test]
    fn a_message_of_syslog_names_its_sender() {
        let message = receive(Daemon::Syslog, b"{\"event\":\"call\"}\n");
        let process = std::process::id();
        assert_eq!(
            message,
            format!("<85>proxmox-mcp-audit[{process}]: {{\"event\":\"call\"}}")
        );
    }

    /// The longest line fits into a datagram.
    #[test]
    fn long_lines_arrive_whole() {
        let line = format!("{{\"arguments\":\"{}\"}}\n", "x".repeat(16 * 1024));
        for daemon in [Daemon::Journald, Daemon::Syslog] {
            assert!(receive(daemon, line.as_bytes()).contains(line.trim_end()));
        }
    }

    #[test]
    fn a_daemon_that_is_started_again_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        assert!(Socket::open(Daemon::Syslog, &path).is_err());
        let listener = UnixDatagram::bind(&path).unwrap();
        let socket = Socket::open(Daemon::Syslog, &path).unwrap();
        drop(listener);
        assert!(socket.append(b"{}\n").is_err());
        std::fs::remove_file(&path).unwrap();
        assert!(socket.append(b"{}\n").is_err());
        let listener = UnixDatagram::bind(&path).unwrap();
        socket.append(b"{}\n").unwrap();
        assert!(listener.recv(&mut [0; 64]).unwrap() > 0);
        // A daemon that reads nothing is given up.
        let mut taken = 0;
        let error = loop {
            match socket.append(b"{}\n") {
                Ok(()) => taken += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{taken}");
    }
}
