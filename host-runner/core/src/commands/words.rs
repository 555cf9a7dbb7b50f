//! The arguments of a call as they are typed: `key=value …`, or a JSON object.
//!
//! The types come from the tool's input schema. Nothing is guessed: a name that the tool
//! does not have, and a value that does not fit its type, are errors.

use std::io::{self, Read as _};

use serde_json::{Map, Value, json};

use super::CommandError;
use crate::engine::Tool;
use crate::likeness;
use crate::render;

/// How much is read from stdin.
const MAX_STDIN_BYTES: u64 = 16 << 20;

/// The arguments of a call, before the tool is known.
#[derive(Debug)]
pub(super) enum Words {
    /// A JSON object, as it was written.
    Json(String),
    /// Names and values.
    Pairs(Vec<(String, String)>),
}

impl Words {
    /// Reads what was typed after the tool's name. `-` stands for a JSON object on stdin.
    /// Fails if it is neither one JSON object nor only pairs.
    pub(super) fn read(words: &[String]) -> Result<Self, CommandError> {
        match words {
            [] => Ok(Self::Json("{}".to_owned())),
            [word] if word == "-" => Self::json(stdin()?),
            [word] if word.trim_start().starts_with(['{', '[']) => Self::json(word.clone()),
            words => words
                .iter()
                .map(|word| pair(word))
                .collect::<Result<_, _>>()
                .map(Self::Pairs),
        }
    }

    fn json(text: String) -> Result<Self, CommandError> {
        let parsed: Result<Map<String, Value>, _> = serde_json::from_str(&text);
        parsed.map_err(|error| CommandError::Arguments(error.to_string()))?;
        Ok(Self::Json(text))
    }

    /// The JSON object for this tool.
    pub(super) fn for_tool(self, tool: &Tool) -> Result<String, CommandError> {
        let pairs = match self {
            Self::Json(text) => return Ok(text),
            Self::Pairs(pairs) => pairs,
        };
        let schema = Value::Object(render::schema(tool, &tool.input_schema)?);
        let arguments = object(&tool.name, &schema, pairs).map_err(CommandError::Argument)?;
        Ok(Value::Object(arguments).to_string())
    }

    /// The form of a request: the pairs, joined as they are.
    pub(super) fn into_form(self) -> Result<String, CommandError> {
        match self {
            Self::Json(text) if text == "{}" => Ok(String::new()),
            Self::Json(_) => Err(CommandError::Argument(
                "the form of a request is written as key=value, not as JSON".to_owned(),
            )),
            Self::Pairs(pairs) => {
                let pairs = pairs
                    .into_iter()
                    .map(|(name, value)| format!("{name}={value}"));
                Ok(pairs.collect::<Vec<_>>().join("&"))
            }
        }
    }
}

fn stdin() -> Result<String, CommandError> {
    let mut text = String::new();
    io::stdin()
        .take(MAX_STDIN_BYTES)
        .read_to_string(&mut text)?;
    Ok(text)
}

fn pair(word: &str) -> Result<(String, String), CommandError> {
    match word.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(CommandError::Argument(format!(
            "the argument {word:?} is not key=value: write key=value, or all arguments as one JSON \
             object, for example '{{\"vmid\":100}}'"
        ))),
    }
}

/// The object that the pairs describe.
fn object(
    tool: &str,
    schema: &Value,
    pairs: Vec<(String, String)>,
) -> Result<Map<String, Value>, String> {
    let mut arguments = Map::new();
    for (name, text) in pairs {
        let place = place(tool, schema, &name)?;
        let value = value(schema, place, &name, &text)?;
        let is_list = matches!(value, Value::Array(_));
        match slot(&mut arguments, &name)? {
            empty @ Value::Null => *empty = value,
            Value::Array(known) if is_list => {
                known.extend(value.as_array().cloned().unwrap_or_default())
            }
            _ => {
                return Err(format!(
                    "the argument {name:?} is given more than once, but is not a list"
                ));
            }
        }
    }
    Ok(arguments)
}

/// Where the value of a name with dots belongs.
fn slot<'a>(arguments: &'a mut Map<String, Value>, name: &str) -> Result<&'a mut Value, String> {
    let (first, rest) = match name.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (name, None),
    };
    let entry = arguments.entry(first).or_insert(Value::Null);
    let Some(rest) = rest else {
        return Ok(entry);
    };
    if entry.is_null() {
        *entry = json!({});
    }
    match entry {
        Value::Object(inner) => slot(inner, rest),
        _ => Err(format!(
            "the argument {first:?} is given as a whole and by its parts"
        )),
    }
}

/// The schema of a name, which may have dots. Fails if the tool has no such argument.
fn place<'a>(tool: &str, root: &'a Value, name: &str) -> Result<&'a Value, String> {
    let mut schema = root;
    let mut path = String::new();
    for part in name.split('.') {
        let known = resolved(root, schema)
            .get("properties")
            .and_then(Value::as_object);
        let Some(known) = known else {
            return Err(format!(
                "the argument {path:?} of {tool} has no parts, so {name:?} means nothing"
            ));
        };
        schema = known
            .get(part)
            .ok_or_else(|| unknown(tool, &path, part, known))?;
        path = if path.is_empty() {
            part.to_owned()
        } else {
            format!("{path}.{part}")
        };
    }
    Ok(resolved(root, schema))
}

fn unknown(tool: &str, path: &str, name: &str, known: &Map<String, Value>) -> String {
    let owner = match path {
        "" => tool.to_owned(),
        path => format!("{path} of {tool}"),
    };
    if known.is_empty() {
        return format!("{owner} takes no arguments, so {name:?} means nothing");
    }
    let nearest = likeness::nearest(name, 0.7, known.keys().map(|key| (key.as_str(), key)));
    let perhaps = nearest.map_or_else(String::new, |key| format!(" (perhaps {key:?})"));
    let names: Vec<_> = known.keys().map(String::as_str).collect();
    format!(
        "{owner} has no argument {name:?}{perhaps}. Its arguments are {}",
        names.join(", ")
    )
}

/// A schema, with a reference to a definition followed.
pub(super) fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let reference = schema.get("$ref").and_then(Value::as_str);
    let pointer = reference.and_then(|text| text.strip_prefix('#'));
    pointer
        .and_then(|pointer| root.pointer(pointer))
        .unwrap_or(schema)
}

/// The types that a schema names.
fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// A text as a value of this schema.
fn value(root: &Value, schema: &Value, name: &str, text: &str) -> Result<Value, String> {
    let types = types(schema);
    let fits = |kind: &str| types.contains(&kind);
    if fits("array") {
        return list(root, schema, name, text);
    }
    if fits("object") {
        let parsed: Result<Map<String, Value>, _> = serde_json::from_str(text);
        return parsed.map(Value::Object).map_err(|_| {
            format!("the argument {name:?} must be a JSON object, or be given by its parts: {name}.KEY=VALUE")
        });
    }
    if fits("boolean")
        && let Ok(value) = text.parse::<bool>()
    {
        return Ok(Value::Bool(value));
    }
    if fits("integer")
        && let Ok(value) = text.parse::<i64>()
    {
        return Ok(json!(value));
    }
    if fits("number")
        && let Ok(value) = text.parse::<f64>()
        && value.is_finite()
    {
        return Ok(json!(value));
    }
    if fits("string") {
        return choice(schema, name, text);
    }
    let expected = match types.first() {
        Some(&"boolean") => "true or false",
        Some(&"integer") => "an integer",
        Some(&"number") => "a number",
        _ => {
            return Err(format!(
                "the argument {name:?} can be given only in a JSON object"
            ));
        }
    };
    Err(format!(
        "the argument {name:?} must be {expected}, not {text:?}"
    ))
}

/// A string, which some schemas limit to a list.
fn choice(schema: &Value, name: &str, text: &str) -> Result<Value, String> {
    let choices = schema.get("enum").and_then(Value::as_array);
    let Some(choices) = choices else {
        return Ok(json!(text));
    };
    let choices: Vec<_> = choices.iter().filter_map(Value::as_str).collect();
    match choices.contains(&text) {
        true => Ok(json!(text)),
        false => {
            let nearest = likeness::nearest(text, 0.7, choices.iter().map(|one| (*one, *one)));
            let perhaps = nearest.map_or_else(String::new, |one| format!(" (perhaps {one:?})"));
            let choices = choices.join(", ");
            Err(format!(
                "the argument {name:?} must be one of {choices}, not {text:?}{perhaps}"
            ))
        }
    }
}

/// A list: JSON, or texts with commas between them.
fn list(root: &Value, schema: &Value, name: &str, text: &str) -> Result<Value, String> {
    if text.starts_with('[') {
        let parsed: Result<Vec<Value>, _> = serde_json::from_str(text);
        let parsed = parsed
            .map_err(|error| format!("the argument {name:?} is not a JSON array: {error}"))?;
        return Ok(Value::Array(parsed));
    }
    let any = Value::Bool(true);
    let items = resolved(root, schema.get("items").unwrap_or(&any));
    if text.is_empty() {
        return Ok(json!([]));
    }
    if types(items).contains(&"object") {
        return Ok(json!([value(root, items, name, text)?]));
    }
    let entries = text
        .split(',')
        .map(|entry| value(root, items, name, entry.trim()));
    Ok(Value::Array(entries.collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Value, String> {
        let schema = json!({
            "properties": {
                "vmid": { "type": "integer" }, "ratio": { "type": "number" },
                "wait": { "type": "boolean" }, "name": { "type": ["null", "string"] },
                "kind": { "type": "string", "enum": ["qemu", "lxc"] },
                "vmids": { "type": "array", "items": { "type": "integer" } },
                "tags": { "type": "array", "items": { "$ref": "#/$defs/Tag" } },
                "nics": { "type": "array", "items": { "type": "object" } },
                "disk": { "$ref": "#/$defs/Disk" },
            },
            "$defs": {
                "Tag": { "type": "string" },
                "Disk": { "type": "object", "properties": { "size": { "type": "integer" } } },
            },
        });
        let pairs = words.iter().map(|word| pair(word).unwrap()).collect();
        object("tool", &schema, pairs).map(Value::Object)
    }

    #[test]
    fn types_come_from_the_schema() {
        for (words, expected) in [
            (
                &["vmid=100", "wait=false", "ratio=0.5"][..],
                json!({"vmid":100,"wait":false,"ratio":0.5}),
            ),
            (&["name=100"], json!({"name":"100"})),
            (
                &["name=a=b", "kind=lxc"],
                json!({"name":"a=b","kind":"lxc"}),
            ),
            (&["name="], json!({"name":""})),
            (&["vmids=1,2", "vmids=3"], json!({"vmids":[1,2,3]})),
            (&["tags=a, b"], json!({"tags":["a","b"]})),
            (&["tags=[\"a,b\"]"], json!({"tags":["a,b"]})),
            (&["tags="], json!({"tags":[]})),
            (
                &["nics={\"a\":1}", "nics={\"b\":2}"],
                json!({"nics":[{"a":1},{"b":2}]}),
            ),
            (&["disk.size=3"], json!({"disk":{"size":3}})),
            (&["disk={\"size\":3}"], json!({"disk":{"size":3}})),
        ] {
            assert_eq!(parse(words), Ok(expected), "{words:?}");
        }
    }

    #[test]
    fn nothing_is_guessed() {
        for (words, expected) in [
            (
                &["vmdi=100"][..],
                "tool has no argument \"vmdi\" (perhaps \"vmid\"). Its arguments are vmid, ratio",
            ),
            (&["vmid=web"], "\"vmid\" must be an integer, not \"web\""),
            (&["wait=yes"], "\"wait\" must be true or false, not \"yes\""),
            (&["ratio=inf"], "\"ratio\" must be a number"),
            (
                &["kind=qemo"],
                "must be one of qemu, lxc, not \"qemo\" (perhaps \"qemu\")",
            ),
            (&["vmid=1", "vmid=2"], "\"vmid\" is given more than once"),
            (
                &["disk.siz=3"],
                "disk of tool has no argument \"siz\" (perhaps \"size\")",
            ),
            (&["vmid.x=3"], "\"vmid\" of tool has no parts"),
            (&["disk={}", "disk=5"], "\"disk\" must be a JSON object"),
            (&["vmids=[1,"], "\"vmids\" is not a JSON array"),
            (&["vmids=1,x"], "\"vmids\" must be an integer, not \"x\""),
        ] {
            let error = parse(words).unwrap_err();
            assert!(error.contains(expected), "{words:?}: {error}");
        }
    }

    #[test]
    fn pairs_and_json_are_not_mixed() {
        let read = |words: &[&str]| {
            Words::read(
                &words
                    .iter()
                    .map(|&word| word.to_owned())
                    .collect::<Vec<_>>(),
            )
        };
        assert!(matches!(read(&[]), Ok(Words::Json(text)) if text == "{}"));
        assert!(matches!(read(&["{\"a\":1}"]), Ok(Words::Json(_))));
        for words in [
            &["{}", "a=1"][..],
            &["a=1", "{}"],
            &["[]"],
            &["{"],
            &["x"],
            &["=1"],
        ] {
            assert!(read(words).is_err(), "{words:?}");
        }
    }
}
