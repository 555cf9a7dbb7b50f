//! Signals, secrecy of memory, processor time.

use std::io;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::time::{ClockId, Timespec, clock_gettime};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that ask the process to end: SIGTERM and SIGINT.
pub(crate) struct Ends {
    terminated: Signal,
    interrupted: Signal,
}

/// The signal that asks a server to read its policy again: SIGHUP.
pub(crate) struct Reloads(Signal);

impl Ends {
    /// From now on, these signals no longer end the process by themselves. `_reloads` is
    /// whether it also listens for [`Reloads`], which makes no difference here.
    pub(crate) fn listen(_reloads: bool) -> io::Result<Self> {
        Ok(Self {
            terminated: signal(SignalKind::terminate())?,
            interrupted: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for one.
    pub(crate) async fn recv(&mut self) {
        tokio::select! {
            _ = self.terminated.recv() => {}
            _ = self.interrupted.recv() => {}
        }
    }
}

impl Reloads {
    /// From now on, the signal no longer ends the process.
    pub(crate) fn listen() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Waits for one.
    pub(crate) async fn recv(&mut self) {
        self.0.recv().await;
    }
}

/// Sees to it that no core dump holds the token, and that only root can read the process's
/// memory and environment.
///
/// Where the system refuses, the program continues without this precaution.
pub(crate) fn keep_private() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::debug!("core dumps cannot be turned off: {error}");
    }
    // The limit above holds for files; a kernel that pipes dumps to a program
    // asks for this.
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
            tracing::debug!("the process cannot be hidden from its own user: {error}");
        }
    }
}

/// The processor time of this thread so far.
pub(crate) fn thread_time() -> Duration {
    duration(clock_gettime(ClockId::ThreadCPUTime))
}

/// The processor time of this process so far.
pub(crate) fn process_time() -> Duration {
    duration(clock_gettime(ClockId::ProcessCPUTime))
}

fn duration(time: Timespec) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds)
}
