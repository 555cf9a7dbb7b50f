//! Whether a request may change something, before it is answered.

use rmcp::model::{ClientRequest, JsonRpcMessage};

use super::Server;
use super::message::{self, Line};

impl Server {
    /// Whether a message may change something: a call of a tool that does not only read, or an
    /// answer to the question of one.
    pub(crate) async fn may_change(&self, body: &[u8]) -> bool {
        let Line::Message(message) = message::read(body) else {
            return false;
        };
        let JsonRpcMessage::Request(request) = *message else {
            // A response may be the user's consent.
            return matches!(*message, JsonRpcMessage::Response(_));
        };
        match request.request {
            ClientRequest::CallToolRequest(call) => !self.only_reads(&call.params.name).await,
            // The end of a call may leave its steps half done.
            ClientRequest::UpdateTaskRequest(_) | ClientRequest::CancelTaskRequest(_) => true,
            _ => false,
        }
    }

    /// Whether a tool is offered and only reads. The sandbox holds it to that.
    pub(crate) async fn only_reads(&self, tool: &str) -> bool {
        let offer = self.0.catalog.offer().await;
        let tool = offer.ok().and_then(|offer| offer.find(tool).ok());
        tool.is_some_and(|tool| tool.annotations.read_only)
    }
}
