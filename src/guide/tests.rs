//! What the tables name is there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;
use crate::tool::Tool;
use crate::tools;

/// The tool of this name, which has to read only.
fn reading(name: &str) -> &'static Tool {
    let tool = tools::find(name).unwrap_or_else(|| panic!("no tool {name}"));
    assert!(tool.effects.read_only, "{name} changes something");
    tool
}

/// Part of a schema, with its references resolved.
fn resolved<'a>(root: &'a Value, mut schema: &'a Value) -> &'a Value {
    while let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        schema = root.pointer(name.trim_start_matches('#')).unwrap();
    }
    schema
}

/// The schema of what a pointer leads to in a result, `*` being any entry of a list.
fn found(tool: &Tool, pointer: &str) -> Option<Value> {
    let root: Value = serde_json::from_str(tool.schemas.output).unwrap();
    let mut schema = &root;
    for segment in pointer.split('/').skip(1) {
        let here = resolved(&root, schema);
        schema = match segment {
            "*" => here.get("items")?,
            name => here.pointer(&format!("/properties/{name}"))?,
        };
    }
    Some(resolved(&root, schema).clone())
}

fn names_in_braces(text: &str) -> BTreeSet<String> {
    let parts = text.split('{').skip(1);
    let names = parts.filter_map(|part| Some(part.split_once('}')?.0.to_owned()));
    names.collect()
}

/// A call without these arguments fails before anything is sent.
fn takes(tool: &Tool, fixed: &str, more: &BTreeSet<String>) {
    let fixed: BTreeMap<String, Value> = serde_json::from_str(fixed).unwrap();
    let schema: Value = serde_json::from_str(tool.schemas.published_input).unwrap();
    let known = schema["properties"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    for name in fixed.keys().chain(more) {
        assert!(known.contains_key(name), "{} takes no {name}", tool.name);
    }
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for name in required {
        let name = name.as_str().unwrap();
        let given = fixed.contains_key(name) || more.contains(name);
        assert!(given, "{} needs {name}", tool.name);
    }
}

#[test]
fn each_resource_is_the_result_of_a_tool_that_reads() {
    let (mut uris, mut names) = (BTreeSet::new(), BTreeSet::new());
    for resource in RESOURCES {
        assert!(
            names.insert(resource.name),
            "{} is named twice",
            resource.name
        );
        assert!(
            uris.insert(resource.uri),
            "{} is listed twice",
            resource.uri
        );
        let tool = reading(resource.tool);
        let variables = names_in_braces(resource.uri);
        takes(tool, resource.arguments, &variables);
        for pointer in resource.omitted.iter().chain(resource.volatile) {
            assert!(
                found(tool, pointer).is_some(),
                "{}: {pointer}",
                resource.uri
            );
        }
        // Advice to a model, not a part of what is shown.
        if found(tool, "/hint").is_some() && resource.name == "task_log" {
            assert!(resource.omitted.contains(&"/hint"), "{}", resource.uri);
        }
        if resource.listed {
            assert_eq!(variables.len(), 1, "{}", resource.uri);
            let listing = SUGGESTIONS
                .iter()
                .find(|one| variables.contains(one.argument))
                .unwrap_or_else(|| panic!("{} has no values", resource.uri));
            assert!(listing.given.is_empty(), "{}", resource.uri);
        }
    }
}

#[test]
fn each_suggestion_is_in_the_result_of_a_tool_that_reads() {
    let mut arguments = BTreeSet::new();
    for suggestion in SUGGESTIONS {
        let argument = suggestion.argument;
        assert!(arguments.insert(argument), "{argument} is listed twice");
        let tool = reading(suggestion.tool);
        let given = suggestion.given.iter().map(|name| (*name).to_owned());
        takes(tool, suggestion.arguments, &given.collect());
        for field in [suggestion.field].into_iter().chain(suggestion.label) {
            let pointer = format!("{}/*/{field}", suggestion.values);
            let schema = found(tool, &pointer);
            let schema = schema.unwrap_or_else(|| panic!("{}: {pointer}", tool.name));
            let kind = schema["type"].as_str().unwrap_or("string");
            assert!(matches!(kind, "string" | "integer"), "{pointer}: {kind}");
        }
        if let Some(total) = suggestion.total {
            let schema = found(tool, total).unwrap_or_else(|| panic!("{}: {total}", tool.name));
            assert_eq!(schema["type"], "integer", "{}: {total}", tool.name);
        }
        // Whatever has a total says it.
        let has_total = found(tool, "/total").is_some();
        assert_eq!(has_total, suggestion.total.is_some(), "{}", tool.name);
    }
    // Each of them is of use somewhere.
    let of_resources = RESOURCES.iter().flat_map(|one| names_in_braces(one.uri));
    let of_prompts = PROMPTS.iter().flat_map(|one| one.arguments);
    let of_prompts = of_prompts.map(|one| one.name.to_owned());
    let used: BTreeSet<String> = of_resources.chain(of_prompts).collect();
    for variable in RESOURCES.iter().flat_map(|one| names_in_braces(one.uri)) {
        assert!(arguments.contains(variable.as_str()), "{variable}");
    }
    // An operator's prompt may have these.
    let others = BTreeSet::from(["storage", "snapshot", "pool"]);
    for argument in arguments.difference(&others) {
        assert!(used.contains(*argument), "{argument}");
    }
}

#[test]
fn prompts_name_their_arguments_and_tools_that_there_are() {
    let mut names = BTreeSet::new();
    for prompt in PROMPTS {
        assert!(names.insert(prompt.name), "{} is listed twice", prompt.name);
        let arguments: BTreeSet<String> = prompt
            .arguments
            .iter()
            .map(|one| one.name.to_owned())
            .collect();
        assert_eq!(arguments, names_in_braces(prompt.text), "{}", prompt.name);
        for argument in prompt.arguments {
            assert_eq!(
                argument.required,
                argument.otherwise.is_empty(),
                "{}: {}",
                prompt.name,
                argument.name
            );
        }
        // A word with an underscore is the name of a tool, or of an argument or field.
        let words = prompt
            .text
            .split(|c: char| !(c.is_ascii_lowercase() || c == '_'));
        let named: BTreeSet<&str> = words.filter(|word| word.contains('_')).collect();
        for word in &named {
            let known = tools::find(word).is_some() || *word == "older_than_days";
            assert!(known, "{}: {word}", prompt.name);
        }
        for tool in prompt.tools {
            assert!(tools::find(tool).is_some(), "{}: {tool}", prompt.name);
            assert!(named.contains(tool), "{} does not name {tool}", prompt.name);
        }
    }
}

/// What is not offered by default is named as such, unless the prompt needs it.
#[test]
fn prompts_say_which_tools_may_be_missing() {
    for prompt in PROMPTS {
        for tool in tools::all().filter(|tool| !tools::is_by_default(tool)) {
            if prompt.tools.contains(&tool.name) {
                continue;
            }
            for (at, _) in prompt.text.match_indices(tool.name) {
                let rest = &prompt.text[at..];
                let sentence = rest.split(['.', '\n']).next().unwrap();
                assert!(
                    sentence.contains("is offered"),
                    "{}: {sentence}",
                    prompt.name
                );
            }
        }
    }
}

/// The names in quotes that the script of a page passes to `call`, and to `read`.
fn called(html: &str) -> Vec<&str> {
    let after = ["call(\"", "read(\""];
    let parts = after.iter().flat_map(|start| html.split(start).skip(1));
    parts
        .filter_map(|part| Some(part.split_once('"')?.0))
        .collect()
}

#[test]
fn views_show_tools_that_there_are_and_call_those_that_read() {
    let (mut seen, mut shown) = (BTreeSet::new(), BTreeSet::new());
    for view in VIEWS {
        assert!(view.uri.starts_with("ui://"), "{}", view.uri);
        assert!(seen.insert(view.uri), "{} is there twice", view.uri);
        for name in view.tools {
            assert!(tools::find(name).is_some(), "no tool {name}");
            assert!(shown.insert(*name), "{name} has two views");
        }
        let html = view.html();
        for name in called(&html) {
            reading(name);
        }
    }
    assert_eq!(called(&VIEWS[0].html()).len(), 3);
    // What is only planned is shown to whoever decides on it.
    for tool in tools::all().filter(|tool| tool.previews()) {
        assert!(shown.contains(tool.name), "{} has no view", tool.name);
    }
}

/// Names and notes of guests are written by others. A page makes elements and text of
/// them, never HTML, and can load nothing.
#[test]
fn views_take_nothing_for_html_and_load_nothing() {
    for view in VIEWS {
        let html = view.html();
        for word in [
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval",
            "Function(",
            "fetch(",
            "import",
            "src=",
            "href",
            "url(",
            "http:",
            "https:",
            "localStorage",
        ] {
            assert!(!html.contains(word), "{} has {word}", view.uri);
        }
        // Nothing was cut, and no comment is left.
        assert!(html.contains("color-scheme"), "{}", view.uri);
        assert!(html.contains("ui/initialize"), "{}", view.uri);
        assert!(html.contains("const draw ="), "{}", view.uri);
        assert!(
            !html.contains("\n//") && !html.contains("\n "),
            "{}",
            view.uri
        );
        assert!(html.len() < 10_000, "{}: {}", view.uri, html.len());
    }
}
