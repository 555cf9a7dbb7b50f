//! What a host may offer besides the tools: resources, suggestions for arguments, and
//! prompts. All of it is data that names tools; a host serves it by calling them.

mod prompts;
mod resources;
mod suggestions;
#[cfg(test)]
mod tests;

pub(crate) use self::prompts::{Argument, PROMPTS, Prompt};
pub(crate) use self::resources::{RESOURCES, Resource};
pub(crate) use self::suggestions::{SUGGESTIONS, Suggestion};
