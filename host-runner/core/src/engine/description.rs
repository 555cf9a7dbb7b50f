//! What a component says of itself, read when it is embedded: to list its tools,
//! it need not run.
//!
//! It has three lines, all of them JSON: the instructions, the list of tools, and the
//! guide.

use serde::de::DeserializeOwned;

use super::bindings::exports::proxmox::mcp::tools::Tool;
use super::bindings::guided::exports::proxmox::mcp::guide::Contents;

/// Encodes what a component says of itself.
#[cfg(feature = "compiler")]
pub(super) fn encode(
    instructions: &str,
    tools: &[Tool],
    guide: &Contents,
) -> serde_json::Result<String> {
    let instructions = serde_json::to_string(instructions)?;
    let tools = serde_json::to_string(tools)?;
    let guide = serde_json::to_string(guide)?;
    Ok(format!("{instructions}\n{tools}\n{guide}"))
}

/// The instructions. None if it was written by another version of this program.
pub(super) fn instructions(description: &str) -> Option<String> {
    read(description, 0)
}

/// All tools, in the component's order. None as for the instructions.
pub(super) fn tools(description: &str) -> Option<Vec<Tool>> {
    read(description, 1)
}

/// What there is besides the tools. None as for the instructions.
pub(super) fn guide(description: &str) -> Option<Contents> {
    read(description, 2)
}

fn read<T: DeserializeOwned>(description: &str, line: usize) -> Option<T> {
    serde_json::from_str(description.split('\n').nth(line)?)
        .inspect_err(|error| tracing::debug!("the description is not used: {error}"))
        .ok()
}
