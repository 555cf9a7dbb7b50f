//! The schema of a tool's arguments as data, and the check of arguments against
//! it.
//!
//! The types of the tools define the schemas. `derived` turns them into the
//! generated [`super::schemas`], so that a call neither generates nor parses one.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::argument_names;
use crate::error::Problem;
use crate::text;

/// What clients see of a tool's arguments and result, and what is checked.
#[derive(Debug)]
pub(crate) struct Schemas {
    /// What arguments are checked against: an object.
    pub(crate) input: Schema,
    /// The JSON Schema of the arguments. It leaves out what is checked without
    /// being published.
    pub(crate) published_input: &'static str,
    /// The JSON Schema of the result.
    pub(crate) output: &'static str,
}

/// What a value may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Schema {
    pub(crate) kind: Kind,
    /// No message or log may show the value: `writeOnly`.
    pub(crate) secret: bool,
    /// An empty text clears a value, here and further inside: `x-clears`.
    pub(crate) clears: bool,
}

/// The type of a value, with its bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer(Range),
    /// Any number.
    Number(Range),
    /// A text, with bounds for its number of characters.
    Text(Length),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A list.
    List(&'static List),
    /// An object.
    Object(&'static Fields),
}

/// The lowest and the highest number, where they are limited.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Range {
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
}

/// The shortest and the longest length, where they are limited.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Length {
    pub(crate) least: u32,
    pub(crate) most: Option<u32>,
}

/// The entries of a list.
#[derive(Debug, PartialEq)]
pub(crate) struct List {
    pub(crate) items: Schema,
    pub(crate) length: Length,
    /// How a lone text is split into entries: `x-splits`.
    pub(crate) splits: Option<Splits>,
}

/// What separates entries in a lone text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Splits {
    /// Commas, semicolons or white space.
    Words,
    /// The ends of lines.
    Lines,
}

/// The fields of an object.
#[derive(Debug, PartialEq)]
pub(crate) struct Fields {
    pub(crate) known: &'static [(&'static str, Schema)],
    /// The names of those that must be given.
    pub(crate) required: &'static [&'static str],
    /// What fields of other names may be; absent where there may be none.
    pub(crate) others: Option<Schema>,
}

impl Fields {
    /// The schema of a field.
    pub(crate) fn get(&self, name: &str) -> Option<&Schema> {
        let found = self.known.iter().find(|(known, _)| *known == name);
        found.map(|(_, schema)| schema)
    }

    /// The names of the known fields.
    fn names(&self) -> Vec<&'static str> {
        self.known.iter().map(|(name, _)| *name).collect()
    }

    /// Whether a field must be given.
    pub(crate) fn requires(&self, name: &str) -> bool {
        self.required.contains(&name)
    }
}

impl Schema {
    /// A schema without marks.
    pub(crate) const fn new(kind: Kind) -> Self {
        Self {
            kind,
            secret: false,
            clears: false,
        }
    }

    /// The same, of a value that no message or log may show.
    pub(crate) const fn secret(self) -> Self {
        Self {
            secret: true,
            ..self
        }
    }

    /// The same, of a value that an empty text clears.
    pub(crate) const fn clearing(self) -> Self {
        Self {
            clears: true,
            ..self
        }
    }

    /// The fields, of an object.
    fn fields(&self) -> Option<&'static Fields> {
        match self.kind {
            Kind::Object(fields) => Some(fields),
            _ => None,
        }
    }

    /// Whether there is an argument of this name.
    pub(crate) fn takes(&self, name: &str) -> bool {
        let known = self.fields().map_or(&[][..], |fields| fields.known);
        known.iter().any(|(one, _)| *one == name)
    }

    /// The names of the arguments whose values are secret.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let known = self.fields().map_or(&[][..], |fields| fields.known);
        let secret = known.iter().filter(|(_, schema)| schema.secret);
        secret.map(|(name, _)| (*name).to_owned()).collect()
    }
}

/// All that is wrong with the arguments.
pub(crate) fn check(schema: &Schema, arguments: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    check_value(schema, arguments, "", &mut problems);
    problems
}

fn check_value(schema: &Schema, value: &Value, pointer: &str, problems: &mut Vec<Problem>) {
    let mut wrong = |message: String| {
        problems.push(Problem {
            pointer: pointer.to_owned(),
            message,
        });
    };
    let mismatch = || format!("must be {}, not {}", expected(schema), shown(schema, value));
    match (schema.kind, value) {
        (Kind::Boolean, Value::Bool(_)) => {}
        (Kind::OneOf(allowed), Value::String(text)) if allowed.contains(&text.as_str()) => {}
        (Kind::Integer(range), Value::Number(number)) if !number.is_f64() => {
            if !range.contains(number.as_f64()) {
                wrong(mismatch());
            }
        }
        (Kind::Number(range), Value::Number(number)) => {
            if !range.contains(number.as_f64()) {
                wrong(mismatch());
            }
        }
        (Kind::Text(Length { least, most }), Value::String(text)) => {
            let length = text.chars().count();
            if length < least as usize {
                wrong(if least == 1 {
                    "must not be empty".into()
                } else {
                    format!("must be at least {least} characters long")
                });
            } else if let Some(most) = most.filter(|most| length > *most as usize) {
                wrong(format!(
                    "must be at most {most} characters long, not {length}"
                ));
            }
        }
        (Kind::List(list), Value::Array(items)) => {
            let Length { least, most } = list.length;
            if items.len() < least as usize {
                wrong(format!("must contain at least {least}"));
            }
            if let Some(most) = most.filter(|most| items.len() > *most as usize) {
                wrong(format!("must contain at most {most}"));
            }
            for (index, item) in items.iter().enumerate() {
                check_value(&list.items, item, &format!("{pointer}/{index}"), problems);
            }
        }
        (Kind::Object(known), Value::Object(fields)) => {
            check_fields(known, fields, pointer, problems);
        }
        _ => wrong(mismatch()),
    }
}

fn check_fields(
    known: &Fields,
    fields: &Map<String, Value>,
    pointer: &str,
    problems: &mut Vec<Problem>,
) {
    for name in known.required {
        if !fields.contains_key(*name) {
            let wanted = known.get(name).map(expected).unwrap_or_default();
            problems.push(Problem {
                pointer: format!("{pointer}/{}", escaped(name)),
                message: format!("is missing: give {wanted}"),
            });
        }
    }
    for (name, value) in fields {
        let pointer = format!("{pointer}/{}", escaped(name));
        if let Some(inner) = known.get(name).or(known.others.as_ref()) {
            check_value(inner, value, &pointer, problems);
        } else {
            problems.push(Problem {
                pointer,
                message: argument_names::unknown(name, &known.names()),
            });
        }
    }
}

impl Range {
    fn contains(self, number: Option<f64>) -> bool {
        let number = number.unwrap_or_default();
        self.low.is_none_or(|low| number >= low) && self.high.is_none_or(|high| number <= high)
    }
}

fn expected(schema: &Schema) -> String {
    let (kind, range) = match schema.kind {
        Kind::OneOf(allowed) => return format!("one of {}", allowed.join(", ")),
        Kind::Object(_) => return "an object".into(),
        Kind::List(_) => return "a list".into(),
        Kind::Text(_) => return "a text".into(),
        Kind::Boolean => return "true or false".into(),
        Kind::Integer(range) => ("an integer", range),
        Kind::Number(range) => ("a number", range),
    };
    let mut text = kind.to_owned();
    // Writing to a String cannot fail.
    let _ = match (range.low, range.high) {
        (Some(low), Some(high)) => write!(text, " from {low} to {high}"),
        (Some(low), None) => write!(text, " of at least {low}"),
        (None, Some(high)) => write!(text, " of at most {high}"),
        (None, None) => Ok(()),
    };
    text
}

/// A refused value, as a message quotes it. Secrets are not shown.
fn shown(schema: &Schema, value: &Value) -> String {
    if schema.secret {
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
pub(crate) fn quoting(schema: &Schema, given: &Value, problems: Vec<Problem>) -> Vec<Problem> {
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

fn refused(schema: &Schema, given: &Value, problem: &Problem) -> Option<String> {
    let name = problem.pointer.split('/').nth(1)?;
    let own = schema.fields()?.get(name)?;
    if own.secret || UNQUOTED.contains(&name) {
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
    use crate::tool::derived;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use serde_json::json;

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
        check(&derived::checked(&derived::input::<Args>()), &arguments)
            .into_iter()
            .map(|problem| format!("{} {}", problem.pointer, problem.message))
            .collect()
    }

    #[test]
    fn input_is_plain() {
        assert_eq!(
            derived::input::<Args>(),
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
                "/wiat is not known: use wait instead; known arguments: vmid, color, names, wait",
            ]
        );
        assert_eq!(
            messages(json!({})),
            ["/vmid is missing: give an integer from 100 to 999999999"]
        );
        assert_eq!(messages(json!([])), [" must be an object, not a list"]);
    }
}
