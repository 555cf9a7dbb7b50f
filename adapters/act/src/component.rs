//! The exports: ACT's types on one side, `adapter-common` on the other.

use adapter_common::{Answer, Failure, Kind, Tool};
use serde_json::Value;

use crate::bindings::act::core::types::LocalizedString;
use crate::bindings::act::tools::types::{ContentPart, ToolDefinition};
use crate::bindings::exports::act::tools::tool_provider::{
    Cbor, Error, Guest, ListToolsResponse, Metadata, ToolEvent, ToolResult,
};
use crate::bindings::proxmox::adapter::settings;
use crate::words;

/// What `bindings` exports.
pub(crate) struct Adapter;

impl Guest for Adapter {
    async fn list_tools(_metadata: Metadata) -> Result<ListToolsResponse, Error> {
        Ok(ListToolsResponse {
            metadata: Vec::new(),
            tools: adapter_common::tools()
                .into_iter()
                .map(definition)
                .collect(),
        })
    }

    // The call blocks, and with it this instance: hosts start another one for
    // another call.
    async fn call_tool(name: String, arguments: Cbor, metadata: Metadata) -> ToolResult {
        let event = match call(&name, &arguments, &metadata) {
            Ok(answer) => ToolEvent::Content(ContentPart {
                data: answer.structured.into_bytes(),
                mime_type: Some("application/json".to_owned()),
                metadata: Vec::new(),
            }),
            Err(failure) => ToolEvent::Error(error(&failure)),
        };
        ToolResult::Immediate(vec![event])
    }
}

fn call(name: &str, arguments: &[u8], metadata: &Metadata) -> Result<Answer, Failure> {
    if !settings::set(&variables(metadata)) {
        return Err(Failure::new(
            Kind::Internal,
            "the metadata has changed since the first call: restart ACT",
        ));
    }
    let arguments = match arguments {
        [] => String::new(),
        cbor => ciborium::from_reader::<Value, _>(cbor)
            .map_err(|_| {
                Failure::new(
                    Kind::InvalidArguments,
                    "the arguments are not CBOR: give an object of arguments",
                )
            })?
            .to_string(),
    };
    adapter_common::call(name, &arguments)
}

/// ACT passes no environment on, but metadata: what of it is named like a
/// variable of ours becomes one.
fn variables(metadata: &Metadata) -> Vec<(String, String)> {
    metadata
        .iter()
        .filter(|(name, _)| name.starts_with("PROXMOX_"))
        .filter_map(|(name, cbor)| {
            let value = match ciborium::from_reader(cbor.as_slice()).ok()? {
                Value::String(text) => text,
                other => other.to_string(),
            };
            Some((name.clone(), value))
        })
        .collect()
}

fn definition(tool: Tool) -> ToolDefinition {
    ToolDefinition {
        metadata: words::metadata(&tool),
        name: tool.name,
        description: LocalizedString::Plain(tool.description),
        parameters_schema: tool.input_schema,
    }
}

fn error(failure: &Failure) -> Error {
    Error {
        kind: words::kind(failure.kind),
        message: LocalizedString::Plain(failure.text()),
        metadata: Vec::new(),
    }
}
