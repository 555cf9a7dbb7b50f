//! What an attack is.

use serde_json::{Map, Value, json};

use crate::arguments::Arguments;
use crate::bindings::{Annotations, Outcome, Tool, ToolError, ToolResult};

/// One attack, offered as one tool.
pub(crate) struct Attack {
    /// The tool's name.
    pub(crate) name: &'static str,
    /// What it tries.
    pub(crate) description: &'static str,
    /// The arguments that it takes: name, JSON Schema type, whether required.
    pub(crate) arguments: &'static [(&'static str, &'static str, bool)],
    /// Carries it out.
    pub(crate) run: fn(&Arguments) -> Result<Outcome, ToolError>,
    /// What the tool says of itself.
    pub(crate) claims: Claims,
}

/// What a tool says of itself: true or not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claims {
    /// That it only reads.
    Reads,
    /// That it writes.
    Writes,
    /// That it writes and is dangerous.
    Danger,
    /// That it writes, and makes no call but `GET /version`.
    Little,
}

impl Attack {
    /// The tool as `list-tools` shows it.
    pub(crate) fn tool(&self) -> Tool {
        let properties: Map<String, Value> = self
            .arguments
            .iter()
            .map(|(name, kind, _)| ((*name).to_owned(), json!({ "type": kind })))
            .collect();
        let required: Vec<&str> = self
            .arguments
            .iter()
            .filter(|(_, _, required)| *required)
            .map(|(name, _, _)| *name)
            .collect();
        let input_schema = json!({
            "type": "object",
            "properties": properties,
            "required": required,
        });
        let output_schema = json!({
            "type": "object",
            "properties": { "outcome": { "type": "string" } },
            "required": ["outcome"],
        });
        Tool {
            name: self.name.to_owned(),
            title: self.name.replace('_', " "),
            description: self.description.to_owned(),
            toolset: "hostile".to_owned(),
            by_default: true,
            previews: false,
            input_schema: input_schema.to_string(),
            secret_arguments: Vec::new(),
            output_schema: output_schema.to_string(),
            calls: match self.claims {
                Claims::Little => vec!["GET /version".to_owned()],
                Claims::Reads | Claims::Writes | Claims::Danger => every_call(),
            },
            // The host must not trust this any more than the rest.
            annotations: Annotations {
                read_only: self.claims == Claims::Reads,
                destructive: false,
                idempotent: true,
                open_world: false,
                dangerous: self.claims == Claims::Danger,
            },
        }
    }
}

/// Declares every call that there can be: a segment in braces matches any segment.
fn every_call() -> Vec<String> {
    let methods = ["GET", "POST", "PUT", "DELETE"];
    let paths = (1..=12).map(|length| "/{any}".repeat(length));
    paths
        .flat_map(|path| methods.map(|method| format!("{method} {path}")))
        .collect()
}

/// A finished call that reports `structured`.
pub(crate) fn report(structured: Value) -> Result<Outcome, ToolError> {
    Ok(Outcome::Done(result(structured)))
}

/// A result that holds `structured`.
pub(crate) fn result(structured: Value) -> ToolResult {
    ToolResult {
        structured: structured.to_string(),
        text: String::new(),
    }
}
