//! What a component says of itself. It can send nothing while it does.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use wasmtime::Store;

use super::bindings::exports::proxmox::mcp::tools::Guest;
use super::state::State;
use super::{Call, Guide, Plugin, Shared, Tool, ToolError, sizes};
use crate::sandbox::{Gate, Sandbox, Terms};

impl Plugin {
    /// How to use the tools, in the component's words for a model.
    pub(crate) async fn instructions(&self) -> Result<String, ToolError> {
        let (call, gate, turn) = self.sealed_call().await?;
        let own = Arc::clone(&gate);
        let text = async move {
            let ask = async |tools: &Guest, store: &mut _| tools.call_instructions(store).await;
            Ok(call.run(&own, ask).await?.0)
        };
        let text = self.on_workers(turn, &gate, text).await?;
        sizes::checked_instructions(text)
    }

    /// All tools, in the component's order.
    pub(crate) async fn list_tools(&self) -> Result<Vec<Tool>, ToolError> {
        let (call, gate, turn) = self.sealed_call().await?;
        let own = Arc::clone(&gate);
        let tools = async move {
            let list = async |tools: &Guest, store: &mut _| tools.call_list_tools(store).await;
            Ok(call.run(&own, list).await?.0)
        };
        let tools = self.on_workers(turn, &gate, tools).await?;
        sizes::checked_list(tools)
    }

    /// A call that can send nothing: for what the component says of itself.
    async fn sealed_call(&self) -> Result<(Call, Arc<Gate>, OwnedSemaphorePermit), ToolError> {
        let sealed = Sandbox::sealed(self.machine.shared.limits.memory_bytes);
        let gate = Gate::new(&Arc::new(sealed), Terms::default(), None);
        let turn = self.turn().await?;
        Ok((self.call(&gate), gate, turn))
    }

    /// What there is besides the tools: nothing, where the component has no guide.
    pub(crate) async fn guide(&self) -> Result<Guide, ToolError> {
        let Some(guided) = self.machine.shared.guided.clone() else {
            return Ok(Guide {
                resources: Vec::new(),
                suggestions: Vec::new(),
                prompts: Vec::new(),
                views: Vec::new(),
            });
        };
        let (call, gate, turn) = self.sealed_call().await?;
        let own = Arc::clone(&gate);
        let guide = async move {
            let ask = async |_: &Shared, store: &mut Store<State>| {
                let instance = guided.instantiate_async(&mut *store).await?;
                instance.proxmox_mcp_guide().call_describe(store).await
            };
            Ok(call.within_limits(&own, ask).await?.0)
        };
        let guide = self.on_workers(turn, &gate, guide).await?;
        sizes::checked_guide(guide)
    }
}
