//! What all servers of a process share, whatever policy they have.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::backlog::Backlog;
use super::room::Room;
use super::tasks::ByUser;

/// What all servers of a process share. A clone is the same.
#[derive(Clone)]
pub(crate) struct Common {
    pub(super) tasks: Arc<ByUser>,
    pub(super) backlog: Backlog,
    pub(super) room: Arc<Room>,
    /// The client is gone, or is to be.
    pub(super) closing: CancellationToken,
    pub(super) calls: TaskTracker,
    /// Calls that may change something, whether or not anybody waits for their answers.
    pub(super) changes: TaskTracker,
}

impl Common {
    pub(crate) fn new() -> Self {
        Self {
            tasks: Arc::default(),
            backlog: Backlog::new(),
            room: Arc::new(Room::new()),
            closing: CancellationToken::new(),
            calls: TaskTracker::new(),
            changes: TaskTracker::new(),
        }
    }

    /// Cancelling this ends the servers, and it is cancelled when the client on stdin closes
    /// its end.
    pub(crate) fn closing(&self) -> CancellationToken {
        self.closing.clone()
    }

    /// Returns once [`Self::closing`] was cancelled and all calls have ended, those among
    /// them that nobody waits for any more.
    pub(crate) async fn ended(&self) {
        self.closing.cancelled().await;
        for running in [&self.calls, &self.changes] {
            running.close();
            running.wait().await;
        }
    }
}
