//! What others on this machine can learn of this process, and how it ends.

use std::io;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long the process of one client may take to end: the documentation promises a second.
pub(crate) const LAST_MOMENT: Duration = Duration::from_millis(850);

/// Cancels `closing` when a signal asks the process to end. From then on, or
/// from when `closing` is cancelled elsewhere, the process ends within this time,
/// whatever blocks it: a client that reads neither stdout nor stderr, or calls
/// that use all of the processor.
///
/// It runs in a thread with its own runtime, which nothing else can block.
pub(crate) fn end_in_time(closing: CancellationToken, time: Duration) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (mut terminated, mut interrupted) = {
        let _runtime = runtime.enter();
        (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        )
    };
    let watch = async move {
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
            () = closing.cancelled() => {}
        }
        closing.cancel();
        tokio::time::sleep(time).await;
    };
    std::thread::Builder::new()
        .name("end".to_owned())
        .spawn(move || {
            runtime.block_on(watch);
            std::process::exit(0);
        })?;
    Ok(())
}

/// The signals that ask the process to read its policy again.
pub(crate) fn hangups() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// Sees to it that no core dump holds the token, and that only root can read
/// the process's memory and environment.
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
