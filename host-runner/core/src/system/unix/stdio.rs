//! Stdin and stdout of a client.

use std::io;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What a pipe that is not full always takes without blocking, and in one piece.
const PIPE_BYTES: usize = 4096;

/// Writes to stdout what certainly does not block.
pub(crate) struct AtOnce {
    is_pipe: bool,
}

impl AtOnce {
    pub(crate) fn new() -> Self {
        let kind = rustix::fs::fstat(io::stdout()).map(|stat| stat.st_mode);
        Self {
            is_pipe: kind.is_ok_and(|mode| FileType::from_raw_mode(mode) == FileType::Fifo),
        }
    }

    /// Writes a line if that does not block, and says whether it did. Nothing else may be
    /// writing.
    pub(crate) fn write(&self, line: &[u8]) -> bool {
        if !self.is_pipe || line.len() > PIPE_BYTES {
            return false;
        }
        let stdout = io::stdout();
        let mut ready = [PollFd::new(&stdout, PollFlags::OUT)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let is_ready = poll(&mut ready, Some(&now)).is_ok()
            && ready
                .iter()
                .all(|stdout| stdout.revents() == PollFlags::OUT);
        is_ready && rustix::io::write(&stdout, line).is_ok_and(|count| count == line.len())
    }
}

/// Waits until the client has closed its end of stdin, also while nothing is read of what it
/// sent before. For a file, which cannot be watched and ends on its own, waits forever.
#[expect(
    deprecated,
    reason = "sound here: stdin is never closed. What replaces it is unsafe"
)]
pub(crate) async fn stdin_closed() {
    if let Ok(stdin) = AsyncFd::with_interest(io::stdin(), Interest::READABLE) {
        while let Ok(mut ready) = stdin.readable().await {
            if ready.ready().is_read_closed() {
                return;
            }
            ready.clear_ready();
        }
    }
    std::future::pending().await
}
