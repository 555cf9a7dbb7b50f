//! What a component says of itself, read when it is embedded: to list its tools,
//! it need not run.
//!
//! It has three parts, each encoded by postcard and preceded by its length: the
//! instructions, the list of tools, and the guide. Nothing of it is text within text,
//! as it would be in JSON: schemas are copied as they are. Every start reads it.

use serde::de::DeserializeOwned;

use super::bindings::exports::proxmox::mcp::tools::Tool;
use super::bindings::guided::exports::proxmox::mcp::guide::Contents;

/// Encodes what a component says of itself.
#[cfg(feature = "compiler")]
pub(super) fn encode(
    instructions: &str,
    tools: &[Tool],
    guide: &Contents,
) -> postcard::Result<Vec<u8>> {
    let parts = [
        postcard::to_allocvec(instructions)?,
        postcard::to_allocvec(tools)?,
        postcard::to_allocvec(guide)?,
    ];
    let mut description = Vec::new();
    for part in parts {
        description.extend((part.len() as u64).to_le_bytes());
        description.extend(part);
    }
    Ok(description)
}

/// The instructions. None if it was written by another version of this program.
pub(super) fn instructions(description: &[u8]) -> Option<String> {
    read(description, 0)
}

/// All tools, in the component's order. None as for the instructions.
pub(super) fn tools(description: &[u8]) -> Option<Vec<Tool>> {
    read(description, 1)
}

/// What there is besides the tools. None as for the instructions.
pub(super) fn guide(description: &[u8]) -> Option<Contents> {
    read(description, 2)
}

fn read<T: DeserializeOwned>(description: &[u8], part: usize) -> Option<T> {
    let (value, rest) = postcard::take_from_bytes(parts(description).nth(part)?)
        .inspect_err(|error| tracing::debug!("the description is not used: {error}"))
        .ok()?;
    // Bytes that are left over belong to another contract.
    rest.is_empty().then_some(value)
}

fn parts(mut description: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = description.split_first_chunk()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (part, rest) = rest.split_at_checked(length)?;
        description = rest;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_with_bytes_left_over_is_not_used() {
        let part = |part: &[u8]| {
            let length = (part.len() as u64).to_le_bytes();
            [length.as_slice(), part].concat()
        };
        let text = postcard::to_allocvec("use them well").unwrap();
        let said = instructions(&part(&text));
        assert_eq!(said.as_deref(), Some("use them well"));
        assert_eq!(instructions(&part(&[text, vec![0]].concat())), None);
    }
}
