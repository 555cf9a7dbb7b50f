//! Tools and their results, as clients see them.

use std::borrow::Cow;
use std::sync::Arc;

use rmcp::model::{CallToolResult, ContentBlock, Tool as McpTool, ToolAnnotations};

use super::refusal::blame;
use crate::engine::{Tool, ToolError, ToolResult};
use crate::render;

/// A tool in the list.
pub(super) fn to_mcp(tool: &Tool) -> Result<McpTool, ToolError> {
    let annotations = &tool.annotations;
    let input = render::schema(tool, &tool.input_schema)?;
    let output = render::schema(tool, &tool.output_schema)?;
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

/// The result of a call that succeeded.
pub(super) fn to_result(result: ToolResult) -> Result<CallToolResult, ToolError> {
    let structured = render::structured(&result)?;
    // The text is the component's own: making it anew would take longer.
    let mut answer = CallToolResult::success(vec![ContentBlock::text(result.structured)]);
    answer.structured_content = Some(structured);
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
