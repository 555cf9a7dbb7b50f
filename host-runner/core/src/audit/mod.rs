//! The audit log: who called what, which requests left and with what result,
//! as JSON lines.
//!
//! A line about a change is on the disk before the change is asked for, so
//! that the log holds at least what happened. It knows neither the engine nor
//! MCP, and takes values only after [`redact`](crate::redact) took the secrets
//! out.
//!
//! `line` is what a line has, `sink` where it goes: to a `file`, whose lines are
//! a `chain`, or to the `socket` of a daemon. `verify` checks the chain.

mod chain;
mod event;
mod file;
mod line;
mod sink;
mod socket;
mod tail;
mod verify;

use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use self::event::{
    AuditedRequest, CallEnd, CallOutcome, CallStart, Occasion, RequestEnd,
};
pub(crate) use self::verify::{Anchors, verify};

use self::event::CallId;
use self::file::Written;
use self::line::Event;
use self::sink::Sink;
use self::socket::Daemon;

/// Where the log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AuditTarget {
    /// Among the other messages of this program.
    Stderr,
    /// Appended to this file, which several processes may share.
    File(PathBuf),
    /// The journal of systemd.
    Journald,
    /// The syslog daemon.
    Syslog,
}

/// A call in the log.
#[derive(Clone)]
pub(crate) struct AuditedCall(Arc<line::Call>);

/// The log. A clone writes to the same one.
#[derive(Clone)]
pub(crate) struct Audit(Arc<Inner>);

/// Why the log cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuditError {
    /// It cannot be opened at the start.
    #[error(
        "cannot open the audit log {target}: {source}: name a file that can be read and written, \
         - for stderr, or journald or syslog where these run"
    )]
    Open {
        /// The log.
        target: AuditTarget,
        /// What the system says.
        source: io::Error,
    },
    /// A change cannot be logged, and so may not be made.
    #[error(
        "the audit log {target} cannot be written ({source}), and this server makes no change \
         that it cannot log: nothing was sent; call again once the operator has made it writable"
    )]
    Write {
        /// The log.
        target: AuditTarget,
        /// What the system says.
        source: io::Error,
    },
}

struct Inner {
    target: AuditTarget,
    required: bool,
    /// The cluster that all lines are about, where there are several.
    cluster: Option<Arc<str>>,
    process: u32,
    calls: AtomicU64,
    state: Mutex<State>,
}

struct State {
    sink: Sink,
    /// Lines that could not be written since the last one that could.
    lost: u64,
    /// The last attempt to bring lines to the disk failed.
    unsynced: bool,
}

impl Audit {
    /// Opens the log. Where it is `required`, changes that it cannot take are
    /// refused; else they are made, with one warning.
    pub(crate) fn open(
        target: AuditTarget,
        required: bool,
        cluster: Option<Arc<str>>,
    ) -> Result<Self, AuditError> {
        match Sink::open(&target) {
            Ok(sink) => Ok(Self::new(target, required, cluster, sink)),
            Err(source) => Err(AuditError::Open { target, source }),
        }
    }

    fn new(target: AuditTarget, required: bool, cluster: Option<Arc<str>>, sink: Sink) -> Self {
        Self(Arc::new(Inner {
            target,
            required,
            cluster,
            // Two processes with one log hardly ever get the same.
            process: RandomState::new().build_hasher().finish() as u32,
            calls: AtomicU64::new(0),
            state: Mutex::new(State {
                sink,
                lost: 0,
                unsynced: false,
            }),
        }))
    }

    /// A call begins, whose requests go with this token of Proxmox, if any does. `trace` is the
    /// trace that it belongs to.
    pub(crate) fn begin(
        &self,
        start: &CallStart<'_>,
        token: Option<&str>,
        trace: Option<&str>,
    ) -> AuditedCall {
        let id = CallId {
            process: self.0.process,
            number: self.0.calls.fetch_add(1, Ordering::Relaxed) + 1,
        };
        let call = Arc::new(line::Call::new(id, start, token, trace));
        // A failure is reported in the log, and refuses the first change.
        let _ = self.0.append(&self.0.encode(&Event::call(&call, start)));
        AuditedCall(call)
    }

    /// A change is about to be asked for: it may be only when this succeeds.
    pub(crate) async fn write_ahead(
        &self,
        call: &AuditedCall,
        request: &AuditedRequest<'_>,
    ) -> Result<(), AuditError> {
        let line = self.0.encode(&Event::sending(&call.0, request));
        match self.append_synced(line).await {
            Err(source) if self.0.required => Err(AuditError::Write {
                target: self.0.target.clone(),
                source,
            }),
            _ => Ok(()),
        }
    }

    /// A request was answered, failed or was refused.
    pub(crate) async fn request(
        &self,
        call: &AuditedCall,
        request: &AuditedRequest<'_>,
        end: &RequestEnd<'_>,
    ) {
        let line = self.0.encode(&Event::request(&call.0, request, end));
        // A failure is reported in the log, and refuses the next change.
        let _ = if matches!(request.method, "GET" | "HEAD") {
            self.0.append(&line).map(drop)
        } else {
            self.append_synced(line).await
        };
    }

    /// A call has ended.
    pub(crate) fn outcome(&self, call: &AuditedCall, end: &CallEnd<'_>) {
        // As above.
        let _ = self.0.append(&self.0.encode(&Event::outcome(&call.0, end)));
    }

    /// The line is on the disk when this returns. A caller that no longer
    /// waits takes nothing of that back.
    async fn append_synced(&self, line: Vec<u8>) -> io::Result<()> {
        let inner = Arc::clone(&self.0);
        let append = move || inner.append_synced(&line);
        match tokio::task::spawn_blocking(append).await {
            Ok(result) => result,
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

impl Inner {
    fn encode(&self, event: &Event<'_>) -> Vec<u8> {
        line::encode(event, self.cluster.as_deref())
    }

    fn append(&self, line: &[u8]) -> io::Result<Written> {
        let mut state = self.state();
        let written = match state.append(line) {
            Ok(written) => written,
            Err(error) => {
                if state.lost == 0 {
                    self.warn(&error);
                }
                state.lost = state.lost.saturating_add(1);
                return Err(error);
            }
        };
        Ok(written)
    }

    fn append_synced(&self, line: &[u8]) -> io::Result<()> {
        // Without the lock, so that other calls can append.
        let synced = self.append(line)?.sync();
        let mut state = self.state();
        match &synced {
            Err(error) if !state.unsynced => self.warn(error),
            _ => {}
        }
        state.unsynced = synced.is_err();
        synced
    }

    /// Once for each time that it stops working.
    fn warn(&self, error: &io::Error) {
        let consequence = if self.required {
            "changes are refused until it can be"
        } else {
            "calls continue unlogged until it can be"
        };
        tracing::warn!(
            "the audit log {} cannot be written: {error}: {consequence}",
            self.target
        );
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn append(&mut self, line: &[u8]) -> io::Result<Written> {
        if self.lost > 0 {
            // The log itself shows that lines are missing.
            self.sink
                .append(&line::encode(&Event::gap(self.lost), None))
                .map(drop)?;
            tracing::warn!(
                "the audit log is writable again; {} lines were lost",
                self.lost
            );
            self.lost = 0;
        }
        self.sink.append(line)
    }
}

impl AuditTarget {
    /// What a path of the policy means: `-`, `journald` and `syslog` are no files.
    /// A file of such a name is written with a folder: `./journald`.
    pub(crate) fn named(path: &Path) -> Self {
        match path.to_str() {
            Some("-") => Self::Stderr,
            Some("journald") => Self::Journald,
            Some("syslog") => Self::Syslog,
            _ => Self::File(path.to_owned()),
        }
    }
}

impl fmt::Display for AuditTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stderr => f.write_str("on stderr"),
            Self::Journald => write!(f, "in journald ({})", Daemon::Journald.path().display()),
            Self::Syslog => write!(f, "in syslog ({})", Daemon::Syslog.path().display()),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests;
