//! Stdin and stdout of a client.

/// Writes to stdout what certainly does not block: nothing, since Windows cannot say whether
/// writing to a pipe would block.
pub(crate) struct AtOnce;

impl AtOnce {
    pub(crate) fn new() -> Self {
        Self
    }

    /// Writes nothing, and says so.
    pub(crate) fn write(&self, _: &[u8]) -> bool {
        false
    }
}

/// Never returns: Windows does not say that the other end of a pipe is closed before all is
/// read that was sent. A client that has gone is noticed by writing to stdout, which fails.
pub(crate) async fn stdin_closed() {
    std::future::pending().await
}
