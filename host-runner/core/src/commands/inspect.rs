//! `host-runner inspect`

use serde_json::{Value, json};

use super::{CommandError, print};
use crate::engine::{self, ComponentSource, Import, Inspection};
use crate::render;

/// The world that a component has to be of.
const WORLD: &str = "proxmox:mcp/plugin@0.1.0";

/// Shows what a component asks for and what it would get. Nothing of it runs,
/// and one that would be refused is shown like any other.
pub(crate) fn run(source: &ComponentSource, json: bool) -> Result<(), CommandError> {
    let inspection = engine::inspect(source)?;
    if json {
        return print(&format!("{:#}", to_json(&inspection)));
    }
    print(&render::for_terminal(&to_text(&inspection)))
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
