//! The contract of wasmcp: `wasmcp:mcp-v20251125/tools@0.1.1`, which wasmcp
//! composes with its own components into an MCP server.

// The exports of the component are generated code.
#![cfg_attr(not(target_family = "wasm"), forbid(unsafe_code))]

mod bindings;

use adapter_common::{Answer, Failure, Kind, Tool};
use bindings::exports::wasmcp::mcp_v20251125::tools::{
    CallToolRequest, CallToolResult, ErrorCode, Guest, ListToolsRequest, ListToolsResult,
    MessageContext,
};
use bindings::wasmcp::mcp_v20251125::mcp;

/// What `bindings` exports.
#[derive(Debug)]
pub struct Adapter;

impl Guest for Adapter {
    fn list_tools(
        _context: MessageContext<'_>,
        _request: ListToolsRequest,
    ) -> Result<ListToolsResult, ErrorCode> {
        Ok(ListToolsResult {
            meta: None,
            next_cursor: None,
            tools: adapter_common::tools().into_iter().map(tool).collect(),
        })
    }

    fn call_tool(
        _context: MessageContext<'_>,
        request: CallToolRequest,
    ) -> Result<Option<CallToolResult>, ErrorCode> {
        let arguments = request.arguments.unwrap_or_default();
        Ok(result(adapter_common::call(&request.name, &arguments)))
    }
}

fn tool(tool: Tool) -> mcp::Tool {
    let annotations = tool.annotations;
    mcp::Tool {
        name: tool.name,
        input_schema: tool.input_schema,
        options: Some(mcp::ToolOptions {
            meta: None,
            annotations: Some(mcp::ToolAnnotations {
                title: Some(tool.title.clone()),
                read_only_hint: Some(annotations.read_only),
                destructive_hint: Some(annotations.destructive && !annotations.read_only),
                idempotent_hint: Some(annotations.idempotent),
                open_world_hint: Some(annotations.open_world),
            }),
            description: Some(tool.description),
            output_schema: Some(tool.output_schema),
            title: Some(tool.title),
            icons: None,
        }),
    }
}

/// None for a tool that another component of the server may have.
fn result(outcome: Result<Answer, Failure>) -> Option<CallToolResult> {
    match outcome {
        Ok(answer) => Some(CallToolResult {
            meta: None,
            // Clients that read no structured results read this.
            content: vec![text(answer.structured.clone())],
            is_error: Some(false),
            structured_content: Some(answer.structured),
        }),
        Err(failure) if failure.kind == Kind::UnknownTool => None,
        Err(failure) => Some(CallToolResult {
            meta: None,
            content: vec![text(failure.text())],
            is_error: Some(true),
            structured_content: None,
        }),
    }
}

fn text(text: String) -> mcp::ContentBlock {
    mcp::ContentBlock::Text(mcp::TextContent {
        text: mcp::TextData::Text(text),
        options: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_of_another_component_is_left_to_it() {
        let failure = |kind| Err(Failure::new(kind, "why"));
        assert!(result(failure(Kind::UnknownTool)).is_none());
        let error = result(failure(Kind::Conflict)).unwrap();
        assert_eq!((error.is_error, error.content.len()), (Some(true), 1));
    }

    #[test]
    fn a_result_is_structured_and_text() {
        let answer = Answer {
            structured: "{\"vmid\":100}".to_owned(),
            text: String::new(),
            running: false,
        };
        let result = result(Ok(answer)).unwrap();
        assert_eq!(result.structured_content.as_deref(), Some("{\"vmid\":100}"));
        assert_eq!(result.is_error, Some(false));
    }
}
