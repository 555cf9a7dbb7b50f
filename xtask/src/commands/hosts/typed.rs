//! A tool's arguments as the typed world's functions take them.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::adapters::typed::kebab;

/// The parameters of a call, as JSON: what is required, and `options`.
pub(super) fn parameters(tools: &[Value], tool: &str, arguments: &Value) -> Result<Vec<Parameter>> {
    let schema = tools
        .iter()
        .find(|one| one["name"] == tool)
        .and_then(|tool| tool.get("inputSchema"))
        .with_context(|| format!("there is no tool {tool}"))?;
    let properties = schema["properties"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let given = arguments.as_object().cloned().unwrap_or_default();
    let mut parameters = Vec::new();
    let mut options = Vec::new();
    for (name, schema) in &properties {
        let is_required = required.iter().any(|one| one == name);
        let Some(value) = given.get(name) else {
            continue;
        };
        let parameter = Parameter {
            name: kebab(name),
            value: value.clone(),
            is_enum: schema.get("enum").is_some(),
        };
        if is_required {
            parameters.push(parameter);
        } else {
            options.push(parameter);
        }
    }
    if properties.len() > required.len() {
        parameters.push(Parameter {
            name: "options".to_owned(),
            value: options
                .iter()
                .map(|option| json!({ "tag": option.name, "val": option.value }))
                .collect(),
            is_enum: false,
        });
    }
    Ok(parameters)
}

/// A parameter of a function.
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) value: Value,
    is_enum: bool,
}

/// As one JSON object.
pub(super) fn object(parameters: Vec<Parameter>) -> Value {
    parameters
        .into_iter()
        .map(|parameter| (parameter.name, parameter.value))
        .collect::<Map<_, _>>()
        .into()
}

/// As a call in WAVE, the notation of `wasmtime run --invoke`.
pub(super) fn wave(tools: &[Value], tool: &str, arguments: &Value) -> Result<String> {
    let parameters = parameters(tools, tool, arguments)?;
    let schema = |name: &str| {
        tools
            .iter()
            .find(|one| one["name"] == tool)
            .and_then(|one| {
                one["inputSchema"]["properties"]
                    .get(name.replace('-', "_"))
                    .cloned()
            })
            .unwrap_or_default()
    };
    let texts: Vec<String> = parameters
        .iter()
        .map(
            |parameter| match (parameter.name.as_str(), &parameter.value) {
                ("options", Value::Array(options)) => {
                    let options: Vec<String> = options
                        .iter()
                        .map(|option| {
                            let tag = option["tag"].as_str().unwrap_or_default();
                            let is_enum = schema(tag).get("enum").is_some();
                            format!("{tag}({})", literal(&option["val"], is_enum))
                        })
                        .collect();
                    format!("[{}]", options.join(", "))
                }
                (_, value) => literal(value, parameter.is_enum),
            },
        )
        .collect();
    Ok(format!("{}({})", kebab(tool), texts.join(", ")))
}

fn literal(value: &Value, is_enum: bool) -> String {
    match value {
        Value::String(text) if is_enum => text.clone(),
        // A string is quoted and escaped as in JSON.
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_become_parameters_and_options() {
        let tools = [json!({
            "name": "list_things",
            "inputSchema": {
                "properties": {
                    "vmid": {"type": "integer"},
                    "sort_by": {"type": "string", "enum": ["name"]},
                    "text": {"type": "string"},
                },
                "required": ["vmid"],
            },
        })];
        let given = json!({ "vmid": 7, "sort_by": "name", "text": "a \"b\"" });
        assert_eq!(
            wave(&tools, "list_things", &given).unwrap(),
            r#"list-things(7, [sort-by(name), text("a \"b\"")])"#
        );
        assert_eq!(
            object(parameters(&tools, "list_things", &json!({ "vmid": 7 })).unwrap()),
            json!({ "vmid": 7, "options": [] })
        );
    }
}
