//! How the process ends, and what others on this machine can learn of it.

use std::io;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::system::process::{Ends, Reloads};

pub(crate) use crate::system::process::keep_private;

/// How long the process of one client may take to end: the documentation promises a second.
pub(crate) const LAST_MOMENT: Duration = Duration::from_millis(850);

/// Cancels `closing` when a signal asks the process to end. From then on, or
/// from when `closing` is cancelled elsewhere, the process ends within this time,
/// whatever blocks it: a client that reads neither stdout nor stderr, or calls
/// that use all of the processor.
///
/// It runs in a thread with its own runtime, which nothing else can block.
pub(crate) fn end_in_time(closing: CancellationToken, time: Duration) -> io::Result<()> {
    watch(closing, time, false)
}

/// The same for a process that can read its policy again. Returns the signals that ask it
/// to.
pub(crate) fn end_in_time_or_reload(
    closing: CancellationToken,
    time: Duration,
) -> io::Result<Reloads> {
    watch(closing, time, true)?;
    Reloads::listen()
}

fn watch(closing: CancellationToken, time: Duration, reloads: bool) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut ends = {
        let _runtime = runtime.enter();
        Ends::listen(reloads)?
    };
    let watch = async move {
        tokio::select! {
            () = ends.recv() => {}
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
