//! What a component says of itself, read when it is embedded: to list its tools,
//! it need not run.
//!
//! It has two lines, both JSON: the instructions, and the list of tools.

use serde::de::DeserializeOwned;

use super::bindings::exports::proxmox::mcp::tools::Tool;

/// Encodes what a component says of itself.
#[cfg(feature = "compiler")]
pub(super) fn encode(instructions: &str, tools: &[Tool]) -> serde_json::Result<String> {
    let instructions = serde_json::to_string(instructions)?;
    let tools = serde_json::to_string(tools)?;
    Ok(format!("{instructions}\n{tools}"))
}

/// The instructions. None if it was written by another version of this program.
pub(super) fn instructions(description: &str) -> Option<String> {
    read(description.split_once('\n')?.0)
}

/// All tools, in the component's order. None as for the instructions.
pub(super) fn tools(description: &str) -> Option<Vec<Tool>> {
    read(description.split_once('\n')?.1)
}

fn read<T: DeserializeOwned>(json: &str) -> Option<T> {
    serde_json::from_str(json)
        .inspect_err(|error| tracing::debug!("the description is not used: {error}"))
        .ok()
}
