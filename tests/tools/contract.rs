//! What clients see of the tools before they call one, and what the component
//! asks of its host.

use std::collections::BTreeSet;

use anyhow::Context as _;
use harness::{HostRunner, component};
use serde_json::Value;
use wasmparser::{Encoding, Parser, Payload};

/// The tool list needs no settings and reaches nothing.
async fn tools() -> anyhow::Result<Vec<Value>> {
    let output = HostRunner::new()?.run(&["tools", "-o", "json"]).await?;
    anyhow::ensure!(output.status == Some(0), "{output:?}");
    let list: Value = serde_json::from_str(&output.stdout)?;
    let tools = list.as_array().or_else(|| list.get("tools")?.as_array());
    Ok(tools.context("no list")?.clone())
}

#[tokio::test]
async fn every_tool_has_a_name_a_title_a_description_and_annotations() -> anyhow::Result<()> {
    let mut names = BTreeSet::new();
    for tool in tools().await? {
        let name = tool["name"].as_str().unwrap();
        let plain = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(name.starts_with(|c: char| c.is_ascii_lowercase()), "{name}");
        assert!(
            name.chars().all(plain) && (2..=41).contains(&name.len()),
            "{name}"
        );
        assert!(names.insert(name.to_owned()), "{name} stands twice");
        for text in ["title", "description"] {
            assert!(
                tool[text].as_str().is_some_and(|text| !text.is_empty()),
                "{name}: {text}"
            );
        }
        let annotations = tool["annotations"].as_object().unwrap();
        for hint in [
            "readOnlyHint",
            "destructiveHint",
            "idempotentHint",
            "openWorldHint",
        ] {
            assert!(annotations[hint].is_boolean(), "{name}: {hint}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn monitoring_tools_are_read_only() -> anyhow::Result<()> {
    let tools = tools().await?;
    for name in [
        "list_nodes",
        "get_node",
        "list_guests",
        "get_guest",
        "get_guest_network",
        "get_guest_metrics",
        "list_storage",
        "list_storage_content",
        "get_cluster_status",
        "list_tasks",
        "get_task",
    ] {
        let tool = tools.iter().find(|tool| tool["name"] == name);
        let tool = tool.with_context(|| format!("no {name}"))?;
        let annotations = &tool["annotations"];
        assert_eq!(annotations["readOnlyHint"], true, "{name}");
        assert_eq!(annotations["destructiveHint"], false, "{name}");
        assert_eq!(annotations["idempotentHint"], true, "{name}");
        assert_eq!(annotations["openWorldHint"], false, "{name}");
    }
    Ok(())
}

/// One such schema makes some clients drop every tool.
#[tokio::test]
async fn schemas_suit_every_client() -> anyhow::Result<()> {
    for tool in tools().await? {
        let name = tool["name"].as_str().unwrap();
        for key in ["inputSchema", "outputSchema"] {
            let schema = &tool[key];
            assert_eq!(schema["type"], "object", "{name}: {key}");
            jsonschema::meta::validate(schema)
                .map_err(|error| anyhow::anyhow!("{name}: {key}: {error}"))?;
            check_schema(schema, &format!("{name}: {key}"))?;
        }
        let input = &tool["inputSchema"];
        check_keywords(input, &format!("{name}: inputSchema"))?;
        for (argument, schema) in input["properties"].as_object().unwrap() {
            // A vmid is Proxmox's own word.
            let described = schema["description"].is_string() || argument == "vmid";
            assert!(described, "{name}: {argument} is not described");
        }
    }
    Ok(())
}

/// The function declarations of Gemini and of OpenAI both know these keywords.
/// Gemini's SDK refuses every tool for one that it does not know.
fn check_keywords(schema: &Value, at: &str) -> anyhow::Result<()> {
    const KNOWN: [&str; 12] = [
        "type",
        "description",
        "enum",
        "properties",
        "required",
        "items",
        "minimum",
        "maximum",
        "minItems",
        "maxItems",
        "minLength",
        "maxLength",
    ];
    let object = schema
        .as_object()
        .with_context(|| format!("{at} is not an object"))?;
    for keyword in object.keys() {
        anyhow::ensure!(KNOWN.contains(&keyword.as_str()), "{at}: {keyword}");
    }
    let properties = object.get("properties").and_then(Value::as_object);
    for (name, inner) in properties.into_iter().flatten() {
        check_keywords(inner, &format!("{at}/{name}"))?;
    }
    if let Some(items) = object.get("items") {
        check_keywords(items, &format!("{at}/items"))?;
    }
    Ok(())
}

/// Walks schemas only, not the names of properties.
fn check_schema(schema: &Value, at: &str) -> anyhow::Result<()> {
    let object = schema
        .as_object()
        .with_context(|| format!("{at} is a schema of {schema}"))?;
    let kind = object.get("type");
    anyhow::ensure!(
        !matches!(kind, Some(Value::Array(_))),
        "{at}: a union of types"
    );
    if kind == Some(&Value::from("array")) {
        anyhow::ensure!(object.contains_key("items"), "{at}: an array without items");
    }
    if let Some(items) = object.get("items") {
        for union in ["anyOf", "oneOf", "allOf"] {
            anyhow::ensure!(items.get(union).is_none(), "{at}: a union in items");
        }
        check_schema(items, &format!("{at}/items"))?;
    }
    for key in ["properties", "$defs"] {
        let inner = object.get(key).and_then(Value::as_object);
        for (name, inner) in inner.into_iter().flatten() {
            check_schema(inner, &format!("{at}/{name}"))?;
        }
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        let inner = object.get(key).and_then(Value::as_array);
        for inner in inner.into_iter().flatten() {
            check_schema(inner, &format!("{at}/{key}"))?;
        }
    }
    Ok(())
}

/// What the list costs in a model's context, without the output schemas, and how many
/// tools some clients pass on.
///
/// The limits are those of the component's unit test of this name. They are repeated
/// here, as this test uses nothing of the component's source. Under `admin`, no tool is
/// left out because the policy refuses it.
#[tokio::test]
async fn the_list_fits_its_budget() -> anyhow::Result<()> {
    for (arguments, most, most_bytes) in [
        (&["--preset=admin"][..], 40, 32 * 1024),
        (&["--preset=admin", "--toolsets=default"], 40, 32 * 1024),
        (&["--preset=admin", "--toolsets=all"], 75, 60 * 1024),
    ] {
        let command = ["tools", "-o", "json"].iter().chain(arguments);
        let command: Vec<&str> = command.copied().collect();
        let output = HostRunner::new()?.run(&command).await?;
        let list: Vec<Value> = serde_json::from_str(&output.stdout)?;
        let offered: Vec<&Value> = list.iter().filter(|one| one["offered"] == true).collect();
        let mut sizes: Vec<(usize, &str)> = Vec::new();
        for tool in &offered {
            let mut published = serde_json::Map::new();
            for key in ["name", "title", "description", "annotations", "inputSchema"] {
                published.insert(key.to_owned(), tool[key].clone());
            }
            let name = tool["name"].as_str().context("no name")?;
            sizes.push((Value::from(published).to_string().len(), name));
        }
        sizes.sort_unstable();
        let bytes: usize = sizes.iter().map(|(bytes, _)| bytes).sum();
        assert!(
            sizes.len() <= most && bytes <= most_bytes,
            "{arguments:?}: {} tools of {bytes} bytes: {sizes:?}",
            sizes.len()
        );
        // As clients that pass on only a part of the list take its beginning.
        let default = |tool: &&Value| tool["by_default"] == true;
        let first = offered.iter().take_while(|tool| default(tool)).count();
        assert_eq!(first, offered.iter().filter(|tool| default(tool)).count());
    }
    Ok(())
}

#[tokio::test]
async fn the_command_line_lists_every_tool() -> anyhow::Result<()> {
    let output = HostRunner::new()?.run(&["tools", "-o", "table"]).await?;
    assert_eq!(output.status, Some(0), "{output:?}");
    for tool in tools().await? {
        let name = tool["name"].as_str().unwrap();
        assert!(output.stdout.contains(name), "{name}: {}", output.stdout);
    }
    Ok(())
}

/// wasi:http, and what std's runtime forces on every program: nothing to reach
/// the network or a file by. std links the file types without being given a
/// directory.
#[test]
fn the_component_imports_nothing_that_it_could_escape_by() -> anyhow::Result<()> {
    const ALLOWED: [&str; 18] = [
        "wasi:cli/environment",
        "wasi:cli/exit",
        "wasi:cli/stderr",
        "wasi:cli/stdin",
        "wasi:cli/stdout",
        "wasi:cli/terminal-input",
        "wasi:cli/terminal-output",
        "wasi:cli/terminal-stderr",
        "wasi:cli/terminal-stdin",
        "wasi:cli/terminal-stdout",
        "wasi:clocks/monotonic-clock",
        "wasi:clocks/wall-clock",
        "wasi:filesystem/preopens",
        "wasi:filesystem/types",
        "wasi:http/outgoing-handler",
        "wasi:http/types",
        "wasi:io",
        "wasi:random",
    ];
    let (imports, exports) = surface(&std::fs::read(component()?)?)?;
    for import in &imports {
        let interface = import.split('@').next().unwrap_or_default();
        let package = interface.split('/').next().unwrap_or_default();
        assert!(
            ALLOWED.contains(&interface) || ALLOWED.contains(&package),
            "the component imports {import}"
        );
    }
    assert!(
        imports
            .iter()
            .any(|import| import.starts_with("wasi:http/outgoing-handler@"))
    );
    assert_eq!(
        exports,
        BTreeSet::from(["guide", "tools"].map(|name| format!("proxmox:mcp/{name}@0.1.0")))
    );
    Ok(())
}

/// No other WASI version than hosts of today have.
#[test]
fn the_component_imports_no_newer_wasi() -> anyhow::Result<()> {
    let (imports, _) = surface(&std::fs::read(component()?)?)?;
    for import in imports {
        let patch = import
            .rsplit_once("@0.2.")
            .and_then(|(_, patch)| patch.parse::<u32>().ok());
        assert!(
            patch.is_some_and(|patch| patch <= 8),
            "the component imports {import}"
        );
    }
    Ok(())
}

/// The imports and exports of a component, nested ones apart.
fn surface(wasm: &[u8]) -> anyhow::Result<(BTreeSet<String>, BTreeSet<String>)> {
    let (mut imports, mut exports) = (BTreeSet::new(), BTreeSet::new());
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::Version { encoding, .. } => {
                anyhow::ensure!(depth > 0 || encoding == Encoding::Component, "no component");
                depth += 1;
            }
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    imports.insert(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    exports.insert(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok((imports, exports))
}
