//! What a host may offer besides the tools: resources, suggestions for arguments,
//! prompts, and pages that show results. All of it is data that names tools; a host
//! serves it by calling them.

mod prompts;
mod resources;
mod suggestions;
#[cfg(test)]
mod tests;
mod views;

pub(crate) use self::prompts::{Argument, PROMPTS, Prompt};
pub(crate) use self::resources::{RESOURCES, Resource};
pub(crate) use self::suggestions::{SUGGESTIONS, Suggestion};
pub(crate) use self::views::{VIEWS, View};
