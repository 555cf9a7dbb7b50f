//! Tools and their results, as clients see them.

use std::borrow::Cow;
use std::sync::Arc;

use rmcp::model::{CallToolResult, ContentBlock, Tool as McpTool, ToolAnnotations};

use serde_json::{Map, Value};

use super::detail;
use super::refusal::blame;
use crate::ceiling::Ceiling;
use crate::concise;
use crate::engine::{Tool, ToolError, ToolResult};
use crate::render;
use crate::settings::Detail;

/// A tool in the list.
pub(super) fn to_mcp(tool: &Tool, standard: Detail) -> Result<McpTool, ToolError> {
    let annotations = &tool.annotations;
    let mut input = render::schema(tool, &tool.input_schema)?;
    if annotations.read_only {
        detail::offer(&mut input);
    }
    let mut output = render::schema(tool, &tool.output_schema)?;
    if standard == Detail::Concise {
        output = detail::outline(&output);
    }
    let name = Cow::Owned(tool.name.clone());
    let description = Some(Cow::Owned(tool.description.clone()));
    Ok(McpTool::new_with_raw(name, description, input)
        .with_title(tool.title.clone())
        .with_raw_output_schema(Arc::new(output))
        .with_annotations(
            ToolAnnotations::new()
                .read_only(annotations.read_only)
                .destructive(annotations.destructive)
                .idempotent(annotations.idempotent)
                .open_world(annotations.open_world),
        ))
}

fn names_of_arguments(tool: &Tool) -> Vec<String> {
    let input = render::schema(tool, &tool.input_schema).unwrap_or_default();
    let arguments = input.get("properties").and_then(Value::as_object);
    arguments.into_iter().flat_map(Map::keys).cloned().collect()
}

/// The result of a call that succeeded. Its structured content is always complete.
///
/// A component that keeps to the ceiling has cut the lists in it. The text alone is cut here.
pub(super) fn to_result(
    tool: &Tool,
    result: ToolResult,
    detail: Detail,
    ceiling: Ceiling,
) -> Result<CallToolResult, ToolError> {
    let structured = render::structured(&result)?;
    let text = match detail {
        Detail::Concise => concise::text(&structured, result.structured.len()),
        Detail::Full => None,
    };
    // The JSON is the component's own: making it anew would take longer.
    let text = text.unwrap_or(result.structured);
    let text = ceiling.cut(text, || names_of_arguments(tool));
    let mut answer = CallToolResult::success(vec![ContentBlock::text(text)]);
    answer.structured_content = Some(Value::Object(structured));
    Ok(answer)
}

/// The result of one that failed.
pub(super) fn to_error(error: &ToolError) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(render::error_text(error))])
}

/// The answer to every call while the settings cannot be used.
pub(super) fn faulty(fault: &str) -> CallToolResult {
    let text = blame(fault);
    CallToolResult::error(vec![ContentBlock::text(text)])
}
