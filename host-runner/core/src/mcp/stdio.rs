//! Stdin and stdout as rmcp's transport.

use std::io;

use rmcp::RoleServer;
use rmcp::model::JsonRpcMessage;
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::{StdioReader, StdioWriter, Transport, stdio_pipes};
use tokio_util::sync::CancellationToken;

/// Stdin and stdout, one message a line.
pub(super) struct Stdio {
    inner: AsyncRwTransport<RoleServer, StdioReader, StdioWriter>,
    /// Cancelled at the end of stdin: rmcp itself tells the handlers only
    /// after it has waited 5 s for them.
    closing: CancellationToken,
    greeted: bool,
    complained: bool,
}

impl Stdio {
    pub(super) fn new(closing: CancellationToken) -> Self {
        let (stdin, stdout) = stdio_pipes();
        Self {
            inner: AsyncRwTransport::new_server(stdin, stdout),
            closing,
            greeted: false,
            complained: false,
        }
    }
}

impl Transport<RoleServer> for Stdio {
    type Error = io::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        self.inner.send(item)
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            let Some(message) = self.inner.receive().await else {
                self.closing.cancel();
                return None;
            };
            // rmcp would end the session over anything but a request here.
            self.greeted |= matches!(message, JsonRpcMessage::Request(_));
            if self.greeted {
                return Some(message);
            }
            if !self.complained {
                tracing::warn!(
                    "ignoring messages before the first request: a client begins with initialize \
                     or server/discover"
                );
                self.complained = true;
            }
        }
    }

    fn close(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send {
        self.inner.close()
    }
}
