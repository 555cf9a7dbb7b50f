//! How much of a result its text has: the argument `detail`, and shorter schemas of
//! results. The component knows nothing of either.

use std::borrow::Cow;

use clap::ValueEnum as _;
use serde_json::{Map, Value, json};

use crate::engine::{ArgumentProblem, InvalidArguments, Tool, ToolError};
use crate::render;
use crate::settings::Detail;

/// The argument's name.
const NAME: &str = "detail";

/// What the instructions say of it.
pub(super) const INSTRUCTION: &str =
    "\nLists in results are tables; a tool that reads returns JSON with detail: full.";

/// Adds the argument to the schema of a tool that has none of this name.
pub(super) fn offer(input: &mut Map<String, Value>) {
    let Some(Value::Object(properties)) = input.get_mut("properties") else {
        return;
    };
    let names: Vec<_> = Detail::value_variants()
        .iter()
        .filter_map(|detail| Some(detail.to_possible_value()?.get_name().to_owned()))
        .collect();
    properties
        .entry(NAME)
        .or_insert_with(|| json!({ "type": "string", "enum": names }));
}

/// Other arguments, and what this one says.
type Taken<'a> = (Cow<'a, Map<String, Value>>, Option<Detail>);

/// The other arguments of a call, and this one. None where the call leaves the choice to
/// the server. Tools that change something take it as well, since models use it wherever
/// they have seen it.
pub(super) fn take<'a>(
    arguments: &'a Map<String, Value>,
    tool: &Tool,
) -> Result<Taken<'a>, ToolError> {
    let Some(value) = arguments.get(NAME) else {
        return Ok((Cow::Borrowed(arguments), None));
    };
    let input = render::schema(tool, &tool.input_schema)?;
    let is_the_tools = input
        .get("properties")
        .is_some_and(|properties| properties.get(NAME).is_some());
    if is_the_tools {
        return Ok((Cow::Borrowed(arguments), None));
    }
    let detail = match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(Detail::from_str(text, true).map_err(|_| invalid())?),
        _ => return Err(invalid()),
    };
    let mut others = arguments.clone();
    others.shift_remove(NAME);
    Ok((Cow::Owned(others), detail))
}

fn invalid() -> ToolError {
    let message = "must be \"concise\" (tables) or \"full\" (JSON)";
    ToolError::InvalidArguments(InvalidArguments {
        message: format!("{NAME}: {message}"),
        problems: vec![ArgumentProblem {
            pointer: format!("/{NAME}"),
            message: message.to_owned(),
        }],
    })
}

/// The schema of a result with the names and types of its own fields only: what is in
/// them shows in the result.
pub(super) fn outline(schema: &Map<String, Value>) -> Map<String, Value> {
    let mut outline = Map::new();
    for (name, value) in schema {
        match name.as_str() {
            "type" | "required" => {
                outline.insert(name.clone(), value.clone());
            }
            "properties" => {
                let fields = value.as_object().into_iter().flatten();
                let fields = fields.map(|(name, field)| (name.clone(), kind(field, schema)));
                outline.insert(name.clone(), Value::Object(fields.collect()));
            }
            _ => {}
        }
    }
    outline
}

/// A field's type, and that of the entries of a list.
fn kind(field: &Value, root: &Map<String, Value>) -> Value {
    let field = resolve(field, root);
    let mut kind = Map::new();
    if let Some(name) = field.get("type").or_else(|| shared_type(field)) {
        kind.insert("type".to_owned(), name.clone());
    }
    if let Some(items) = field.get("items") {
        // Clients refuse arrays without items, and unions within items.
        let name = resolve(items, root).get("type").and_then(Value::as_str);
        let items = match name {
            Some(name) if name != "array" => json!({ "type": name }),
            _ => json!({}),
        };
        kind.insert("items".to_owned(), items);
    }
    Value::Object(kind)
}

/// The type of all alternatives of a field, such as the names of states.
fn shared_type(field: &Value) -> Option<&Value> {
    let alternatives = field.get("oneOf")?.as_array()?;
    let first = alternatives.first()?.get("type")?;
    let is_first = |one: &Value| one.get("type") == Some(first);
    alternatives.iter().all(is_first).then_some(first)
}

/// What a reference within the schema stands for.
fn resolve<'a>(value: &'a Value, root: &'a Map<String, Value>) -> &'a Value {
    let target = value
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|reference| reference.strip_prefix("#/$defs/"))
        .and_then(|name| root.get("$defs")?.get(name));
    target.unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(object) => object,
            value => panic!("{value} is not an object"),
        }
    }

    #[test]
    fn an_outline_has_the_fields_and_their_types() {
        let schema = object(json!({
            "$defs": {
                "Guest": { "type": "object", "properties": { "vmid": {} } },
                "Status": { "oneOf": [
                    { "type": "string", "enum": ["done", "failed"] },
                    { "type": "string", "const": "running", "description": "It runs." },
                ] },
                "Either": { "oneOf": [{ "type": "string" }, { "type": "object" }] },
            },
            "type": "object",
            "properties": {
                "guests": { "type": "array", "items": { "$ref": "#/$defs/Guest" } },
                "first": { "$ref": "#/$defs/Guest", "description": "The first one." },
                "total": { "type": "integer", "minimum": 0 },
                "hint": { "type": ["string", "null"] },
                "status": { "$ref": "#/$defs/Status" },
                "either": { "$ref": "#/$defs/Either" },
                "value": true,
            },
            "required": ["guests"],
        }));
        assert_eq!(
            Value::Object(outline(&schema)),
            json!({
                "type": "object",
                "properties": {
                    "guests": { "type": "array", "items": { "type": "object" } },
                    "first": { "type": "object" },
                    "total": { "type": "integer" },
                    "hint": { "type": ["string", "null"] },
                    "status": { "type": "string" },
                    "either": {},
                    "value": {},
                },
                "required": ["guests"],
            })
        );
    }

    #[test]
    fn the_argument_is_offered_unless_the_tool_has_one() {
        let mut input = object(json!({ "type": "object", "properties": {} }));
        offer(&mut input);
        assert_eq!(
            input["properties"]["detail"],
            json!({ "type": "string", "enum": ["concise", "full"] })
        );
        let mut own = object(json!({ "properties": { "detail": { "type": "integer" } } }));
        offer(&mut own);
        assert_eq!(own["properties"]["detail"], json!({ "type": "integer" }));
    }
}
