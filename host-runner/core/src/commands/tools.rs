//! `host-runner tools`

use serde_json::{Value, json};

use super::{CommandError, print};
use crate::cli::Options;
use crate::engine::{Embedded, Loader, Tool};
use crate::render;
use crate::sandbox::Sandbox;

/// Lists the tools. Needs no settings, and nothing can leave.
pub(crate) async fn run(
    options: &Options,
    embedded: Embedded,
    json: bool,
) -> Result<(), CommandError> {
    let loader = Loader::new(
        options.component(embedded),
        options.limits(),
        Sandbox::sealed(),
        Vec::new(),
    );
    let tools = loader.plugin().await?.list_tools().await?;
    if json {
        let tools: Vec<_> = tools.iter().map(to_json).collect::<Result<_, _>>()?;
        return print(&format!("{:#}", Value::Array(tools)));
    }
    let lines: Vec<_> = tools.iter().map(|tool| to_line(tool, &tools)).collect();
    print(&lines.join("\n"))
}

fn to_json(tool: &Tool) -> Result<Value, CommandError> {
    let annotations = &tool.annotations;
    Ok(json!({
        "name": tool.name,
        "title": tool.title,
        "toolset": tool.toolset,
        "description": tool.description,
        "annotations": {
            "readOnlyHint": annotations.read_only,
            "destructiveHint": annotations.destructive,
            "idempotentHint": annotations.idempotent,
            "openWorldHint": annotations.open_world,
        },
        "dangerous": annotations.dangerous,
        "inputSchema": render::schema(tool, &tool.input_schema)?,
        "outputSchema": render::schema(tool, &tool.output_schema)?,
    }))
}

fn to_line(tool: &Tool, tools: &[Tool]) -> String {
    let width = |text: fn(&Tool) -> &str| tools.iter().map(|tool| text(tool).len()).max();
    let names = width(|tool| &tool.name).unwrap_or_default();
    let toolsets = width(|tool| &tool.toolset).unwrap_or_default();
    let effect = match &tool.annotations {
        annotations if annotations.dangerous => "dangerous",
        annotations if annotations.read_only => "reads",
        annotations if annotations.destructive => "destructive",
        _ => "writes",
    };
    format!(
        "{:names$}  {:toolsets$}  {effect:11}  {}",
        tool.name, tool.toolset, tool.title
    )
}
