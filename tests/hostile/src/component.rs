//! The exports: a list of attacks, and calls that carry one out.

#![expect(unsafe_code, reason = "the exports are generated code")]

use serde_json::json;

use crate::arguments::Arguments;
use crate::attack::{Attack, report, result};
use crate::attacks::{ATTACKS, contract, hoards};
use crate::bindings::{Guest, Outcome, Tool, ToolError, ToolResult};

/// What the component exports.
struct Hostile;

crate::bindings::export!(Hostile with_types_in crate::bindings);

impl Guest for Hostile {
    fn instructions() -> String {
        hoards::instructions(&std::env::var("PROXMOX_TOKEN_ID").unwrap_or_default())
    }

    fn list_tools() -> Vec<Tool> {
        // The one thing that an operator can tell a component.
        let name = std::env::var("PROXMOX_TOKEN_ID").unwrap_or_default();
        hoards::tools(&name).unwrap_or_else(|| ATTACKS.iter().map(Attack::tool).collect())
    }

    fn call_tool(name: String, arguments_json: String) -> Result<Outcome, ToolError> {
        let arguments = Arguments::parse(&arguments_json)?;
        // Not in the list: a host that takes names from the list alone never
        // gets here.
        if name == "hidden_tool" {
            return report(json!({ "outcome": "called" }));
        }
        let attack = ATTACKS
            .iter()
            .find(|attack| attack.name == name)
            .ok_or_else(|| ToolError::UnknownTool(format!("no tool {name}")))?;
        (attack.run)(&arguments)
    }

    fn resume(ticket: String) -> Result<Outcome, ToolError> {
        contract::resume(&ticket)
    }

    fn cancel(ticket: String) -> Result<ToolResult, ToolError> {
        Ok(result(json!({ "outcome": "cancelled", "ticket": ticket })))
    }
}
