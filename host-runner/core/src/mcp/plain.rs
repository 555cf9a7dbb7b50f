//! The tools for programs that do not speak MCP. Offer, policy, limits and audit log are
//! the same.

use serde_json::{Map, Value};

use super::Server;
use super::refusal::ENDING;
use super::running::{Caller, Event};
use crate::audit::Occasion;
use crate::engine::{Tool, ToolError};
use crate::offer::Target;
use crate::remote::Remote;
use crate::render;
use crate::settings::Detail;
use crate::trace::Parent;

/// From here on, the next call would probably find the engine's queue full.
const MAX_CALLS: usize = 256;

impl Server {
    /// Whether so many calls wait that another one should come later.
    pub(crate) fn is_crowded(&self) -> bool {
        self.0.calls.len() >= MAX_CALLS
    }

    /// The tools that can be called.
    pub(crate) async fn plain_tools(&self) -> Result<&[Tool], ToolError> {
        let offer = self.0.catalog.offer().await;
        let offer = offer.map_err(|error| ToolError::Internal(error.to_string()))?;
        Ok(offer.tools())
    }

    /// Calls a tool: its structured result. Nobody can be asked for consent. A call whose
    /// future is dropped is cancelled.
    pub(crate) async fn call_plainly(
        &self,
        tool: &str,
        arguments: Map<String, Value>,
        remote: Remote,
        parent: Option<Parent>,
    ) -> Result<Map<String, Value>, ToolError> {
        let _running = self.0.calls.token();
        tokio::select! {
            answer = Box::pin(self.answer_plainly(tool, arguments, remote, parent)) => answer,
            () = self.0.closed() => Err(ToolError::Internal(ENDING.to_owned())),
        }
    }

    async fn answer_plainly(
        &self,
        tool: &str,
        arguments: Map<String, Value>,
        remote: Remote,
        parent: Option<Parent>,
    ) -> Result<Map<String, Value>, ToolError> {
        let offer = self.0.catalog.offer().await;
        let offer = offer.map_err(|error| ToolError::Internal(error.to_string()))?;
        let tool = offer.find(tool);
        let tool = tool.map_err(|error| ToolError::UnknownTool(error.to_string()))?;
        let caller = Caller {
            client: None,
            remote: Some(remote),
            parent,
            occasion: Some(Occasion::Call),
        };
        let mut arguments = arguments;
        let target = self.0.catalog.target(tool, &mut arguments).await?;
        let arguments = Value::Object(arguments).to_string();
        // The client gets the JSON, most likely for a model.
        let shown = (self.0.ceiling, Detail::Full);
        if let Target::All(members) = &target {
            let all = self.0.call_all(tool, members, &arguments, &caller, shown);
            return Box::pin(all).await.structured();
        }
        let call = self
            .0
            .start_for(&target, tool, arguments, false, &caller, shown);
        let mut call = call.await?;
        loop {
            // Progress has no place in one response, and nothing asks.
            if let Event::Ended(answer) = call.next().await {
                return render::structured(&answer?);
            }
        }
    }
}
