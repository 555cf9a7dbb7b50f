//! The audit log: who called what, which requests left and with what result,
//! as JSON lines.
//!
//! A line about a change is on the disk before the change is asked for, so
//! that the log holds at least what happened. It knows neither the engine nor
//! MCP, and takes values only after [`redact`](crate::redact) took the secrets
//! out.

mod event;
mod file;
mod line;

use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use self::event::{
    AuditedRequest, CallEnd, CallId, CallOutcome, CallStart, Occasion, RequestEnd,
};

use self::file::{Log, Written};
use self::line::Event;

/// Where the log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AuditTarget {
    /// Among the other messages of this program.
    Stderr,
    /// Appended to this file, which several processes may share.
    File(PathBuf),
}

/// The log. A clone writes to the same one.
#[derive(Clone)]
pub(crate) struct Audit(Arc<Inner>);

/// Why the log cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuditError {
    /// It cannot be opened at the start.
    #[error("cannot open the audit log {path}: {source}: name a file that can be written, or - for stderr", path = .path.display())]
    Open {
        /// The file.
        path: PathBuf,
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
    process: u32,
    calls: AtomicU64,
    state: Mutex<State>,
}

struct State {
    log: Log,
    /// Lines that could not be written since the last one that could.
    lost: u64,
    /// The last attempt to bring lines to the disk failed.
    unsynced: bool,
}

impl Audit {
    /// Opens the log. Where it is `required`, changes that it cannot take are
    /// refused; else they are made, with one warning.
    pub(crate) fn open(target: AuditTarget, required: bool) -> Result<Self, AuditError> {
        let log = match &target {
            AuditTarget::Stderr => Log::stderr(),
            AuditTarget::File(path) => Log::file(path).map_err(|source| AuditError::Open {
                path: path.clone(),
                source,
            })?,
        };
        Ok(Self(Arc::new(Inner {
            target,
            required,
            // Two processes with one log hardly ever get the same.
            process: RandomState::new().build_hasher().finish() as u32,
            calls: AtomicU64::new(0),
            state: Mutex::new(State {
                log,
                lost: 0,
                unsynced: false,
            }),
        })))
    }

    /// A call begins.
    pub(crate) fn begin(&self, start: &CallStart<'_>) -> CallId {
        let call = CallId {
            process: self.0.process,
            number: self.0.calls.fetch_add(1, Ordering::Relaxed) + 1,
        };
        // A failure is reported in the log, and refuses the first change.
        let _ = self.0.append(&line::encode(&Event::call(call, start)));
        call
    }

    /// A change is about to be asked for: it may be only when this succeeds.
    pub(crate) async fn write_ahead(
        &self,
        call: CallId,
        request: &AuditedRequest<'_>,
    ) -> Result<(), AuditError> {
        let line = line::encode(&Event::sending(call, request));
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
        call: CallId,
        request: &AuditedRequest<'_>,
        end: &RequestEnd<'_>,
    ) {
        let line = line::encode(&Event::request(call, request, end));
        // A failure is reported in the log, and refuses the next change.
        let _ = if matches!(request.method, "GET" | "HEAD") {
            self.0.append(&line).map(drop)
        } else {
            self.append_synced(line).await
        };
    }

    /// A call has ended.
    pub(crate) fn outcome(&self, call: CallId, end: &CallEnd<'_>) {
        // As above.
        let _ = self.0.append(&line::encode(&Event::outcome(call, end)));
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
            self.log
                .append(&line::encode(&Event::gap(self.lost)))
                .map(drop)?;
            tracing::warn!(
                "the audit log is writable again; {} lines were lost",
                self.lost
            );
            self.lost = 0;
        }
        self.log.append(line)
    }
}

impl fmt::Display for AuditTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stderr => f.write_str("on stderr"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests;
