//! `host-runner tools`

use serde_json::{Value, json};

use super::inspect::calls_of;
use super::{CommandError, Context, print};
use crate::cli::Operator;
use crate::engine::{Embedded, Loader, Program, Tool};
use crate::mcp;
use crate::offer::{Fleet, Offer, OfferError};
use crate::policy::Choice;
use crate::render;
use crate::sandbox::Sandbox;
use crate::settings::Detail;

/// Prints the checksum of what clients are shown. Needs no settings, and nothing can
/// leave.
pub(crate) async fn checksum(
    operators: &[Operator<'_>],
    embedded: Embedded,
) -> Result<(), CommandError> {
    let catalog = catalog(operators, embedded)?;
    print(
        &mcp::checksum(&catalog, detail(operators))
            .await?
            .to_string(),
    )
}

/// Prints the JSON that the checksum is of. Needs no settings, and nothing can leave.
pub(crate) async fn surface(
    operators: &[Operator<'_>],
    embedded: Embedded,
) -> Result<(), CommandError> {
    let catalog = catalog(operators, embedded)?;
    let surface = mcp::surface(&catalog, detail(operators)).await?;
    print(&format!("{surface:#}"))
}

/// Prints the resources, prompts and views that are offered. Needs no settings, and nothing
/// can leave.
pub(crate) async fn guide(
    operators: &[Operator<'_>],
    embedded: Embedded,
) -> Result<(), CommandError> {
    let catalog = catalog(operators, embedded)?;
    let guide = catalog.surface().await?.guide;
    let resources = guide.resources().iter().map(|resource| {
        let declared = resource.declared();
        json!({
            "uri": resource.template().as_str(),
            "title": declared.title,
            "description": declared.description,
            "tool": declared.tool,
            "listed": declared.listed || resource.template().variables().next().is_none(),
        })
    });
    let prompts = guide.prompts().iter().map(|prompt| {
        let arguments = prompt.arguments.iter().map(|argument| {
            json!({
                "name": argument.name,
                "description": argument.description,
                "required": argument.required,
            })
        });
        json!({
            "name": prompt.name,
            "title": prompt.title,
            "description": prompt.description,
            "arguments": arguments.collect::<Vec<_>>(),
            "text": prompt.text,
        })
    });
    let views = guide.views().iter().map(|view| {
        let declared = view.declared();
        json!({
            "uri": declared.uri,
            "title": declared.title,
            "description": declared.description,
            "tools": declared.tools,
        })
    });
    let shown = json!({
        "resources": resources.collect::<Vec<_>>(),
        "prompts": prompts.collect::<Vec<_>>(),
        "views": views.collect::<Vec<_>>(),
    });
    print(&format!("{shown:#}"))
}

fn detail(operators: &[Operator<'_>]) -> Detail {
    operators.first().map(Operator::detail).unwrap_or_default()
}

/// What is offered under this policy. One that cannot be used is an error.
fn catalog(operators: &[Operator<'_>], embedded: Embedded) -> Result<Fleet, CommandError> {
    let [first, ..] = operators else {
        return Err(OfferError::Nothing.into());
    };
    for operator in operators {
        operator.rules(&operator.policy()?)?;
    }
    let context = Context::sealed(first.options, operators, embedded);
    Ok(context.catalog)
}

/// Lists the tools, and which of them the policy offers. Needs no settings, and
/// nothing can leave.
pub(crate) async fn run(
    operator: &Operator<'_>,
    embedded: Embedded,
    json: bool,
) -> Result<(), CommandError> {
    let file = operator.policy()?;
    let choice = Choice::new(&file, &operator.rules(&file)?);
    let limits = operator.options.limits();
    let sealed = Sandbox::sealed(limits.memory_bytes);
    let component = operator.options.component(embedded);
    let program = Program::new(component, limits);
    let loader = Loader::new(&program, sealed, Vec::new());
    let tools = loader.list_tools().await??;
    let offer = Offer::new(tools.clone(), &choice)?;
    if json {
        let tools = tools.iter().map(|tool| to_json(tool, &offer, &choice));
        let tools: Vec<_> = tools.collect::<Result<_, _>>()?;
        return print(&format!("{:#}", Value::Array(tools)));
    }
    let lines = tools.iter().map(|tool| to_line(tool, &tools, &offer));
    print(&lines.collect::<Vec<_>>().join("\n"))
}

fn to_json(tool: &Tool, offer: &Offer, choice: &Choice) -> Result<Value, CommandError> {
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
        "calls": calls_of(tool),
        "by_default": tool.by_default,
        "offered": offer.find(&tool.name).is_ok(),
        // A tool that previews is offered all the same.
        "refused": choice.refuses(tool),
        "inputSchema": render::schema(tool, &tool.input_schema)?,
        "outputSchema": render::schema(tool, &tool.output_schema)?,
    }))
}

fn to_line(tool: &Tool, tools: &[Tool], offer: &Offer) -> String {
    let width = |text: fn(&Tool) -> &str| tools.iter().map(|tool| text(tool).len()).max();
    let names = width(|tool| &tool.name).unwrap_or_default();
    let toolsets = width(|tool| &tool.toolset).unwrap_or_default();
    let effect = match &tool.annotations {
        annotations if annotations.dangerous => "dangerous",
        annotations if annotations.read_only => "reads",
        annotations if annotations.destructive => "destructive",
        _ => "writes",
    };
    let note = match offer.find(&tool.name) {
        Ok(_) => "",
        Err(_) => " (not offered)",
    };
    format!(
        "{:names$}  {:toolsets$}  {effect:11}  {}{note}",
        tool.name, tool.toolset, tool.title
    )
}
