//! Console events, secrecy of memory, processor time.

use std::io;
use std::time::Duration;

use tokio::signal::windows::{
    CtrlBreak, CtrlC, CtrlClose, CtrlShutdown, ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown,
};

use super::native;

/// The events that ask the process to end: Ctrl-C, the end of its console, the shutdown of
/// the system, and Ctrl-Break unless that is for [`Reloads`]. Not that a user logs off, of
/// which services are told whoever the user is.
pub(crate) struct Ends {
    interrupted: CtrlC,
    closed: CtrlClose,
    shut_down: CtrlShutdown,
    broken: Option<CtrlBreak>,
}

/// The event that asks a server to read its policy again: Ctrl-Break.
pub(crate) struct Reloads(CtrlBreak);

impl Ends {
    /// From now on, these events no longer end the process by themselves. `reloads` is
    /// whether it also listens for [`Reloads`].
    pub(crate) fn listen(reloads: bool) -> io::Result<Self> {
        Ok(Self {
            interrupted: ctrl_c()?,
            closed: ctrl_close()?,
            shut_down: ctrl_shutdown()?,
            broken: match reloads {
                true => None,
                false => Some(ctrl_break()?),
            },
        })
    }

    /// Waits for one.
    pub(crate) async fn recv(&mut self) {
        let broken = async {
            match &mut self.broken {
                Some(broken) => broken.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupted.recv() => {}
            _ = self.closed.recv() => {}
            _ = self.shut_down.recv() => {}
            _ = broken => {}
        }
    }
}

impl Reloads {
    /// From now on, the event no longer ends the process.
    pub(crate) fn listen() -> io::Result<Self> {
        ctrl_break().map(Self)
    }

    /// Waits for one.
    pub(crate) async fn recv(&mut self) {
        self.0.recv().await;
    }
}

/// Sees to it that no crash report holds the token, and that only administrators can read
/// the process's memory and environment.
///
/// Where the system refuses, the program continues without this precaution.
pub(crate) fn keep_private() {
    native::report_no_crashes();
    // Its user may wait for its end, end it, and read its name.
    let list = "D:P(A;;0x101001;;;OW)(A;;0x1fffff;;;SY)(A;;0x1fffff;;;BA)";
    if let Err(error) = native::restrict_process(list) {
        tracing::debug!("the process cannot be hidden from its own user: {error}");
    }
}

/// The processor time of this thread so far. Windows counts in steps of its clock, of 16 ms:
/// a shorter time may count as nothing or as one step, and many of them add up to what they
/// were.
pub(crate) fn thread_time() -> Duration {
    native::thread_time()
}

/// The processor time of this process so far, in the same steps.
pub(crate) fn process_time() -> Duration {
    native::process_time()
}
