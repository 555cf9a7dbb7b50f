//! JSON Schemas from types, in the dialect that every MCP client takes, and the
//! check of arguments against them.

use std::fmt::Write as _;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::argument_names;
use crate::error::Problem;
use crate::text;

/// The schema of a tool's arguments. Whole, without `$ref`: some clients do
/// not follow them.
pub(crate) fn input<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    clean(settings.into_generator().into_root_schema_for::<T>(), true)
}

/// The schema of a tool's result. Without prose: names and units tell, and the
/// list of tools stays short.
pub(crate) fn output<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12()
        .for_serialize()
        .with(|settings| settings.meta_schema = None);
    clean(settings.into_generator().into_root_schema_for::<T>(), false)
}

fn clean(schema: Schema, prose: bool) -> Value {
    let mut value = schema.to_value();
    tidy(&mut value, prose);
    if let Value::Object(root) = &mut value {
        root.remove("title");
        root.remove("description");
        root.entry("type").or_insert_with(|| json!("object"));
        if !prose {
            // `skipped` and `shortened` may be added to any result.
            root.remove("additionalProperties");
        }
        if prose {
            root.entry("properties").or_insert_with(|| json!({}));
        }
    }
    value
}

/// Removes what costs bytes without informing, and what some clients refuse:
/// `null` in a union, number formats, titles, boolean schemas.
fn tidy(value: &mut Value, prose: bool) {
    if let Value::Bool(_) = value {
        // A schema that takes anything.
        *value = json!({});
        return;
    }
    let Value::Object(object) = value else { return };
    object.remove("title");
    object.remove("default");
    if !prose {
        object.remove("description");
        object.remove("minimum");
        object.remove("maximum");
    }
    let is_number = matches!(object.get("format").and_then(Value::as_str), Some(format)
        if format.starts_with("int") || format.starts_with("uint") || matches!(format, "double" | "float"));
    if is_number {
        object.remove("format");
    }
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [one] = types.as_mut_slice() {
            let one = one.take();
            object.insert("type".into(), one);
        }
    }
    if let Some(Value::Array(values)) = object.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(Value::Array(options)) = object.get_mut("anyOf") {
        options.retain(|option| option.get("type") != Some(&json!("null")));
        if let [one] = options.as_mut_slice() {
            let one = one.take();
            object.remove("anyOf");
            if let Value::Object(one) = one {
                for (key, inner) in one {
                    object.entry(key).or_insert(inner);
                }
            }
        }
    }
    for key in ["properties", "$defs"] {
        if let Some(Value::Object(children)) = object.get_mut(key) {
            children.values_mut().for_each(|child| tidy(child, prose));
        }
    }
    if let Some(items) = object.get_mut("items") {
        tidy(items, prose);
    }
    if let Some(more) = object.get_mut("additionalProperties")
        && !more.is_boolean()
    {
        tidy(more, prose);
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        if let Some(Value::Array(options)) = object.get_mut(key) {
            options.iter_mut().for_each(|option| tidy(option, prose));
        }
    }
}

/// The keywords that the function declarations of Gemini and of OpenAI both
/// know. One that they do not know makes some clients refuse every tool.
const PUBLISHED: [&str; 12] = [
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

/// A bound from which on a model needs no telling: the highest vmid.
const OBVIOUS_MAXIMUM: u64 = 999_999_999;

/// The arguments' schema as clients see it. What is left out of it, such as
/// `additionalProperties` and the highest vmid, holds all the same.
pub(crate) fn published(mut schema: Value) -> Value {
    fn publish(schema: &mut Value) {
        let Value::Object(object) = schema else {
            return;
        };
        object.retain(|keyword, value| {
            let is_obvious = keyword == "maximum" && value.as_u64() >= Some(OBVIOUS_MAXIMUM);
            PUBLISHED.contains(&keyword.as_str()) && !is_obvious
        });
        if let Some(Value::Object(properties)) = object.get_mut("properties") {
            properties.values_mut().for_each(publish);
        }
        if let Some(items) = object.get_mut("items") {
            publish(items);
        }
    }
    publish(&mut schema);
    schema
}

/// The names of the arguments whose values are secret.
pub(crate) fn secrets(schema: &Value) -> Vec<String> {
    schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter(|(_, inner)| is_secret(inner))
        .map(|(name, _)| name.clone())
        .collect()
}

fn is_secret(schema: &Value) -> bool {
    schema.get("writeOnly") == Some(&Value::Bool(true))
}

/// All that is wrong with the arguments.
pub(crate) fn check(schema: &Value, arguments: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    check_value(schema, arguments, "", &mut problems);
    problems
}

fn check_value(schema: &Value, value: &Value, pointer: &str, problems: &mut Vec<Problem>) {
    let mut wrong = |message: String| {
        problems.push(Problem {
            pointer: pointer.to_owned(),
            message,
        });
    };
    if let Some(Value::Array(allowed)) = schema.get("enum") {
        if !allowed.contains(value) {
            wrong(format!(
                "must be one of {}, not {}",
                list(allowed),
                shown(schema, value)
            ));
        }
        return;
    }
    let kind = schema
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let fits = match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => true,
    };
    if !fits {
        wrong(format!(
            "must be {}, not {}",
            expected(schema, kind),
            shown(schema, value)
        ));
        return;
    }
    match value {
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or_default();
            let low = schema.get("minimum").and_then(Value::as_f64);
            let high = schema.get("maximum").and_then(Value::as_f64);
            if low.is_some_and(|low| number < low) || high.is_some_and(|high| number > high) {
                wrong(format!(
                    "must be {}, not {}",
                    expected(schema, kind),
                    shown(schema, value)
                ));
            }
        }
        Value::String(text) => {
            let length = text.chars().count() as u64;
            let least = schema.get("minLength").and_then(Value::as_u64).unwrap_or(0);
            let most = schema.get("maxLength").and_then(Value::as_u64);
            if length < least {
                wrong(if least == 1 {
                    "must not be empty".into()
                } else {
                    format!("must be at least {least} characters long")
                });
            } else if let Some(most) = most.filter(|most| length > *most) {
                wrong(format!(
                    "must be at most {most} characters long, not {length}"
                ));
            }
        }
        Value::Array(items) => {
            let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
            let most = schema.get("maxItems").and_then(Value::as_u64);
            if (items.len() as u64) < least {
                wrong(format!("must contain at least {least}"));
            }
            if let Some(most) = most.filter(|most| items.len() as u64 > *most) {
                wrong(format!("must contain at most {most}"));
            }
            if let Some(inner) = schema.get("items") {
                for (index, item) in items.iter().enumerate() {
                    check_value(inner, item, &format!("{pointer}/{index}"), problems);
                }
            }
        }
        Value::Object(fields) => check_fields(schema, fields, pointer, problems),
        _ => {}
    }
}

fn check_fields(
    schema: &Value,
    fields: &Map<String, Value>,
    pointer: &str,
    problems: &mut Vec<Problem>,
) {
    let empty = Map::new();
    let known = schema
        .get("properties")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    for name in schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        if !fields.contains_key(name) {
            let wanted = known
                .get(name)
                .map(|inner| {
                    expected(
                        inner,
                        inner
                            .get("type")
                            .and_then(Value::as_str)
                            .unwrap_or_default(),
                    )
                })
                .unwrap_or_default();
            problems.push(Problem {
                pointer: format!("{pointer}/{}", escaped(name)),
                message: format!("is missing: give {wanted}"),
            });
        }
    }
    for (name, value) in fields {
        let pointer = format!("{pointer}/{}", escaped(name));
        if let Some(inner) = known.get(name) {
            check_value(inner, value, &pointer, problems);
        } else if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
            problems.push(Problem {
                pointer,
                message: argument_names::unknown(name, known),
            });
        } else if let Some(inner) = schema.get("additionalProperties") {
            check_value(inner, value, &pointer, problems);
        }
    }
}

fn expected(schema: &Value, kind: &str) -> String {
    if let Some(Value::Array(allowed)) = schema.get("enum") {
        return format!("one of {}", list(allowed));
    }
    let mut text = match kind {
        "object" => "an object",
        "array" => "a list",
        "string" => "a text",
        "boolean" => "true or false",
        "integer" => "an integer",
        "number" => "a number",
        _ => "a value",
    }
    .to_owned();
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    // Writing to a String cannot fail.
    let _ = match (bound("minimum"), bound("maximum")) {
        (Some(low), Some(high)) => write!(text, " from {low} to {high}"),
        (Some(low), None) => write!(text, " of at least {low}"),
        (None, Some(high)) => write!(text, " of at most {high}"),
        (None, None) => Ok(()),
    };
    text
}

fn list(values: &[Value]) -> String {
    values
        .iter()
        .map(|value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        })
        .collect::<Vec<_>>()
        .join(", ")
}

/// A refused value, as a message quotes it. Secrets are not shown.
fn shown(schema: &Value, value: &Value) -> String {
    if is_secret(schema) {
        return "the given value".into();
    }
    match value {
        Value::Null => "null".into(),
        Value::String(text) => text::quoted(text),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
        other => other.to_string(),
    }
}

/// Arguments whose refused values no message shows: a private key may have been
/// pasted, an address may hold a password, a command anything.
const UNQUOTED: [&str; 4] = ["ssh_keys", "url", "command", "stdin"];

/// Adds the refused value to what a tool says of an argument, where its words do
/// not hold it.
pub(crate) fn quoting(schema: &Value, given: &Value, problems: Vec<Problem>) -> Vec<Problem> {
    problems
        .into_iter()
        .map(|problem| {
            let Some(value) = refused(schema, given, &problem) else {
                return problem;
            };
            Problem {
                message: format!("{} (given: {value})", problem.message),
                ..problem
            }
        })
        .collect()
}

fn refused(schema: &Value, given: &Value, problem: &Problem) -> Option<String> {
    let name = problem.pointer.split('/').nth(1)?;
    let own = schema.get("properties")?.get(name)?;
    if is_secret(own) || UNQUOTED.contains(&name) {
        return None;
    }
    // It is not the value that is wrong, but that there is one.
    let message = &problem.message;
    if !message.starts_with("must ")
        || [
            "must be left out",
            "must be given",
            "must name",
            "must give",
        ]
        .iter()
        .any(|start| message.starts_with(start))
    {
        return None;
    }
    let (shown, bare) = match given.pointer(&problem.pointer)? {
        Value::String(text) => (text::quoted(text), text.clone()),
        Value::Number(number) => (number.to_string(), format!("not {number}")),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    let is_told = message.contains(&shown) && shown.starts_with('"')
        || bare.chars().count() > 3 && message.contains(&bare);
    (!is_told).then_some(shown)
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};

    #[derive(Deserialize, Serialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    enum Color {
        Red,
        Blue,
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "its schema is the test")]
    struct Args {
        /// The guest.
        #[schemars(range(min = 100, max = 999_999_999))]
        vmid: u32,
        color: Option<Color>,
        #[schemars(length(max = 3))]
        names: Option<Vec<String>>,
        wait: Option<bool>,
    }

    fn messages(arguments: Value) -> Vec<String> {
        check(&input::<Args>(), &arguments)
            .into_iter()
            .map(|problem| format!("{} {}", problem.pointer, problem.message))
            .collect()
    }

    #[test]
    fn input_is_plain() {
        assert_eq!(
            input::<Args>(),
            json!({
                "type": "object",
                "properties": {
                    "vmid": {"description": "The guest.", "type": "integer", "minimum": 100, "maximum": 999_999_999},
                    "color": {"type": "string", "enum": ["red", "blue"]},
                    "names": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
                    "wait": {"type": "boolean"},
                },
                "additionalProperties": false,
                "required": ["vmid"],
            })
        );
    }

    #[test]
    fn every_problem_is_told() {
        assert!(messages(json!({"vmid": 100})).is_empty());
        assert_eq!(
            messages(json!({"vmid": 5, "color": "green", "names": [1], "wiat": true})),
            [
                "/vmid must be an integer from 100 to 999999999, not 5",
                "/color must be one of red, blue, not \"green\"",
                "/names/0 must be a text, not 1",
                "/wiat is not known: give wait instead; known are vmid, color, names, wait",
            ]
        );
        assert_eq!(
            messages(json!({})),
            ["/vmid is missing: give an integer from 100 to 999999999"]
        );
        assert_eq!(messages(json!([])), [" must be an object, not a list"]);
    }
}
