//! `host-runner inspect`

use serde_json::{Value, json};

use host_runner_policy::{Action, actions_of, privileges_of};

use super::{CommandError, output};
use crate::cli::InspectArgs;
use crate::engine::{self, ComponentSource, Import, Inspection, Limits, Loader, Program, Tool};
use crate::sandbox::Sandbox;

/// The world that a component has to be of.
const WORLD: &str = "proxmox:mcp/plugin@0.1.0";

/// Shows what a component asks for and what it would get. Nothing of it runs,
/// and one that would be refused is shown like any other.
///
/// With `calls`, the calls that its tools declare are shown too. To list them, a
/// component from a file is run; nothing is sent.
pub(crate) async fn run(source: &ComponentSource, args: &InspectArgs) -> Result<(), CommandError> {
    let inspection = engine::inspect(source)?;
    let tools = match args.calls && inspection.refusal.is_none() {
        true => Some(list_tools(source).await?),
        false => None,
    };
    let mut shown = to_json(&inspection);
    if let (Some(tools), Some(fields)) = (&tools, shown.as_object_mut()) {
        let calls = tools.iter().map(|tool| (tool.name.clone(), calls_of(tool)));
        let calls: serde_json::Map<_, _> = calls.collect();
        fields.insert("calls".to_owned(), Value::Object(calls));
    }
    output::show(&args.output, &shown, || {
        let mut text = to_text(&inspection);
        for tool in tools.iter().flatten() {
            text.push_str(&format!("\n{} may make these calls", tool.name));
            for call in &tool.calls {
                let privileges =
                    privileges_of(call).unwrap_or_else(|| "no call of a tool".to_owned());
                text.push_str(&format!("\n  {call}  ({privileges})"));
            }
        }
        text
    })
}

async fn list_tools(source: &ComponentSource) -> Result<Vec<Tool>, CommandError> {
    let limits = Limits::default();
    let sealed = Sandbox::sealed(limits.memory_bytes);
    let program = Program::new(source.clone(), limits);
    let loader = Loader::new(&program, sealed, Vec::new());
    Ok(loader.list_tools().await??)
}

/// The calls that a tool declares, with the privileges that Proxmox requires for
/// each; null for one that is not in the policy's table.
pub(super) fn calls_of(tool: &Tool) -> Value {
    let calls = tool.calls.iter();
    let actions = |call| actions_of(call).into_iter().map(Action::name);
    let calls = calls.map(|call| {
        json!({
            "call": call,
            "actions": actions(call).collect::<Vec<_>>(),
            "privileges": privileges_of(call),
        })
    });
    Value::Array(calls.collect())
}

fn to_json(inspection: &Inspection) -> Value {
    let import = |import: &Import| {
        json!({
            "name": import.name,
            "granted": import.granted,
            "restriction": import.restriction,
            "functions": import.functions,
        })
    };
    json!({
        "component": inspection.name,
        "bytes": inspection.size,
        "sha256": inspection.digest.to_string(),
        "world": WORLD,
        "world_matches": inspection.foreign.is_none(),
        "world_problem": inspection.foreign,
        "imports": inspection.imports.iter().map(import).collect::<Vec<_>>(),
        "exports": inspection.exports,
        "would_run": inspection.refusal.is_none(),
        "refusal": inspection.refusal,
    })
}

fn to_text(inspection: &Inspection) -> String {
    let refused = inspection.imports.iter().filter(|import| !import.granted);
    let refused = refused.count();
    let granted = inspection.imports.len() - refused;
    let names = inspection.imports.iter().map(|import| import.name.len());
    let width = names.max().unwrap_or_default();
    let mut lines = vec![
        format!("component  {}", inspection.name),
        format!("size       {} bytes", inspection.size),
        format!("sha-256    {}", inspection.digest),
        match &inspection.foreign {
            None => format!("world      {WORLD}, as expected"),
            Some(problem) => format!("world      not {WORLD}: {problem}"),
        },
        format!("imports    {granted} granted, {refused} refused"),
    ];
    for import in &inspection.imports {
        let verdict = if import.granted { "granted" } else { "REFUSED" };
        let line = match import.restriction {
            Some(restriction) => format!("  {verdict}  {:width$}  {restriction}", import.name),
            None => format!("  {verdict}  {}", import.name),
        };
        lines.push(line);
    }
    lines.push("exports".to_owned());
    lines.extend(inspection.exports.iter().map(|name| format!("  {name}")));
    lines.push(match &inspection.refusal {
        None => "host-runner would run it".to_owned(),
        Some(refusal) => format!("host-runner would NOT run it: {refusal}"),
    });
    lines.join("\n")
}
