//! All that clients are shown, and its checksum.

use rmcp::model::Implementation;
use serde_json::{Value, json};

use super::tool::to_mcp;
use super::{detail, prompts, resources};
use crate::digest::Digest;
use crate::guide::View;
use crate::offer::{Fleet, OfferError};
use crate::settings::Detail;

/// What the server calls itself.
pub(super) fn implementation() -> Implementation {
    Implementation::new("proxmox-mcp", env!("CARGO_PKG_VERSION")).with_title("Proxmox VE")
}

/// The instructions as clients get them, of those of the catalog.
pub(super) fn instructions(mut of_catalog: String, detail: Detail) -> String {
    if detail == Detail::Concise {
        of_catalog.push_str(detail::INSTRUCTION);
    }
    of_catalog
}

/// The tools as clients see them, the instructions, the resources, the prompts with
/// their texts, and the views; the members of each object in the order of their names.
///
/// It depends on the component, the policy, `--detail` and this program, but not on the
/// program's version, by which nothing of it need change. What the token may do leaves tools
/// out of the list, but adds none, so it does not count.
pub(crate) async fn surface(catalog: &Fleet, detail: Detail) -> Result<Value, OfferError> {
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
    let server = implementation();
    let mut shown = json!({
        "server": { "name": server.name, "title": server.title },
        "instructions": instructions(surface.instructions, detail),
        "tools": tools,
        "resources": resources::singles(&surface.guide),
        "resourceTemplates": resources::templates(&surface.guide),
        "prompts": prompts.collect::<Vec<_>>(),
        "views": surface.guide.views().iter().map(View::declared).collect::<Vec<_>>(),
    });
    shown.sort_all_objects();
    Ok(shown)
}

/// The checksum of all that.
pub(crate) async fn checksum(catalog: &Fleet, detail: Detail) -> Result<Digest, OfferError> {
    Ok(Digest::of_json(&surface(catalog, detail).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instructions_say_how_results_are_shown() {
        let with = |detail| instructions("Use the tools.".to_owned(), detail);
        assert_eq!(with(Detail::Full), "Use the tools.");
        assert!(with(Detail::Concise).ends_with(detail::INSTRUCTION));
    }
}
