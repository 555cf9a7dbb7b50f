//! The checksum of all that clients are shown.

use serde_json::json;

use super::tool::to_mcp;
use super::{prompts, resources};
use crate::digest::Digest;
use crate::offer::{Catalog, OfferError};
use crate::settings::Detail;

/// The checksum of the tools as clients see them, the instructions, the resources and
/// the prompts with their texts.
///
/// It depends on the component, the policy, `--detail` and this program. What the token may do
/// leaves tools out of the list, but adds none, so it does not count.
pub(crate) async fn checksum(catalog: &Catalog, detail: Detail) -> Result<Digest, OfferError> {
    let surface = catalog.surface().await?;
    let tools = surface.tools.iter().map(|tool| to_mcp(tool, detail));
    let tools: Vec<_> = tools.collect::<Result<_, _>>().map_err(OfferError::Tools)?;
    let prompts = surface.guide.prompts().iter();
    let prompts = prompts.map(|prompt| {
        let otherwise = prompt.arguments.iter().map(|one| one.otherwise.as_str());
        json!({
            "prompt": prompts::to_mcp(prompt),
            "text": prompt.text,
            "otherwise": otherwise.collect::<Vec<_>>(),
        })
    });
    Ok(Digest::of_json(&json!({
        "instructions": surface.instructions,
        "tools": tools,
        "resources": resources::singles(&surface.guide),
        "resourceTemplates": resources::templates(&surface.guide),
        "prompts": prompts.collect::<Vec<_>>(),
    })))
}
