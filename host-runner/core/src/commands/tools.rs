//! `host-runner tools`

use serde_json::{Value, json};

use super::inspect::calls_of;
use super::{CommandError, Context, output, print, tool_page};
use crate::cli::{Format, Operator, OutputArgs, ToolsArgs};
use crate::engine::{Embedded, Loader, Program, Tool};
use crate::mcp;
use crate::offer::{self, Fleet, Offer, OfferError};
use crate::policy::Choice;
use crate::render;
use crate::sandbox::Sandbox;
use crate::settings::Detail;

/// Prints what was asked for of the tools. Needs no settings, and nothing can leave.
pub(crate) async fn run(
    operator: Operator<'_>,
    embedded: Embedded,
    args: &ToolsArgs,
) -> Result<(), CommandError> {
    // What clients are shown is of all clusters.
    match args {
        ToolsArgs { checksum: true, .. } => checksum(&operator.by_cluster()?, embedded).await,
        ToolsArgs { surface: true, .. } => surface(&operator.by_cluster()?, embedded).await,
        ToolsArgs { guide: true, .. } => {
            guide(&operator.by_cluster()?, embedded, &args.output).await
        }
        args => list(&operator.of_one_cluster()?, embedded, args).await,
    }
}

/// Prints the checksum of what clients are shown. Needs no settings, and nothing can
/// leave.
async fn checksum(operators: &[Operator<'_>], embedded: Embedded) -> Result<(), CommandError> {
    let catalog = catalog(operators, embedded)?;
    print(
        &mcp::checksum(&catalog, detail(operators))
            .await?
            .to_string(),
    )
}

/// Prints the JSON that the checksum is of. Needs no settings, and nothing can leave.
async fn surface(operators: &[Operator<'_>], embedded: Embedded) -> Result<(), CommandError> {
    let catalog = catalog(operators, embedded)?;
    let surface = mcp::surface(&catalog, detail(operators)).await?;
    print(&format!("{surface:#}"))
}

/// Prints the resources, prompts and views that are offered. Needs no settings, and nothing
/// can leave.
async fn guide(
    operators: &[Operator<'_>],
    embedded: Embedded,
    args: &OutputArgs,
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
    output::structured(args.format(), &shown)
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

/// Lists the tools and which of them the policy offers, or describes one of them. Needs no
/// settings, and nothing can leave.
async fn list(
    operator: &Operator<'_>,
    embedded: Embedded,
    args: &ToolsArgs,
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
    if let Some(name) = &args.name {
        return describe(name, &tools, &offer, &choice, &args.output);
    }
    let all = tools.iter().map(|tool| to_json(tool, &offer, &choice));
    let all: Vec<_> = all.collect::<Result<_, _>>()?;
    output::show(&args.output, &Value::Array(all), || {
        let lines = tools.iter().map(|tool| to_line(tool, &tools, &offer));
        lines.collect::<Vec<_>>().join("\n")
    })
}

fn describe(
    name: &str,
    tools: &[Tool],
    offer: &Offer,
    choice: &Choice,
    args: &OutputArgs,
) -> Result<(), CommandError> {
    let Some(tool) = tools.iter().find(|tool| tool.name == name) else {
        let nearest = offer::nearest_tool(name, tools);
        return Err(CommandError::Argument(format!(
            "unknown tool {name:?}{}: `host-runner tools` lists the available tools",
            offer::instead(name, &nearest)
        )));
    };
    let not_offered = offer.find(name).err().map(|reason| reason.to_string());
    if args.format() == Format::Table {
        let text = tool_page::text(tool, not_offered.as_deref())?;
        return print(&text);
    }
    let mut described = to_json(tool, offer, choice)?;
    if let Some(fields) = described.as_object_mut() {
        fields.insert("not_offered".to_owned(), json!(not_offered));
        fields.insert("example".to_owned(), json!(tool_page::example(tool)?));
    }
    output::structured(args.format(), &described)
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
    let effect = tool_page::effect(&tool.annotations);
    let note = match offer.find(&tool.name) {
        Ok(_) => "",
        Err(_) => " (not offered)",
    };
    format!(
        "{:names$}  {:toolsets$}  {effect:11}  {}{note}",
        tool.name, tool.toolset, tool.title
    )
}
