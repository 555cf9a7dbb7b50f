//! Values by the schema of a tool's arguments.

use serde_json::{Map, Value};

use super::command;
use super::name::{HIDDEN, is_command, is_payload, is_secret_name};
use super::text::text;

/// How many schemas may apply to one value. Past it, the value is hidden.
const MAX_SCHEMAS: usize = 64;

/// The schemas that apply to a value.
#[derive(Default)]
pub(super) struct Schemas<'a> {
    root: Option<&'a Value>,
    all: Vec<&'a Value>,
    /// There were more than could be followed.
    overflowed: bool,
}

impl<'a> Schemas<'a> {
    pub(super) fn new(root: &'a Value) -> Self {
        let mut schemas = Self {
            root: Some(root),
            ..Self::default()
        };
        schemas.add(root);
        schemas
    }

    /// Adds a schema and all that it refers to.
    fn add(&mut self, schema: &'a Value) {
        let mut open = vec![schema];
        while let Some(schema) = open.pop() {
            if self.all.iter().any(|known| std::ptr::eq(*known, schema)) {
                continue;
            }
            if self.all.len() >= MAX_SCHEMAS {
                self.overflowed = true;
                return;
            }
            self.all.push(schema);
            for key in ["anyOf", "oneOf", "allOf"] {
                let options = schema.get(key).and_then(Value::as_array);
                open.extend(options.into_iter().flatten());
            }
            for key in ["if", "then", "else"] {
                open.extend(schema.get(key));
            }
            let reference = schema.get("$ref").and_then(Value::as_str);
            let pointer = reference.and_then(|reference| reference.strip_prefix('#'));
            if let (Some(root), Some(pointer)) = (self.root, pointer) {
                open.extend(root.pointer(pointer));
            }
        }
    }

    fn inner(&self, find: impl Fn(&'a Value, &mut Vec<&'a Value>)) -> Self {
        let mut inner = Self {
            root: self.root,
            all: Vec::new(),
            overflowed: self.overflowed,
        };
        let mut found = Vec::new();
        for schema in &self.all {
            find(schema, &mut found);
        }
        for schema in found {
            inner.add(schema);
        }
        inner
    }

    fn field(&self, name: &str) -> Self {
        self.inner(|schema, found| {
            let named = schema.get("properties").and_then(|all| all.get(name));
            found.extend(named.or_else(|| schema.get("additionalProperties")));
            let patterns = schema.get("patternProperties").and_then(Value::as_object);
            found.extend(patterns.into_iter().flat_map(Map::values));
        })
    }

    fn items(&self) -> Self {
        self.inner(|schema, found| {
            found.extend(schema.get("items"));
            let first = schema.get("prefixItems").and_then(Value::as_array);
            found.extend(first.into_iter().flatten());
        })
    }

    fn are_secret(&self) -> bool {
        self.overflowed
            || self.all.iter().any(|schema| {
                schema.get("writeOnly") == Some(&Value::Bool(true))
                    || schema.get("format").and_then(Value::as_str) == Some("password")
            })
    }

    pub(super) fn mask(&self, value: &Value) -> Value {
        if self.are_secret() {
            return match value {
                Value::Bool(_) => HIDDEN.into(),
                value => hidden(value),
            };
        }
        match value {
            Value::String(string) => text(string).into(),
            Value::Array(items) => {
                let schemas = self.items();
                let mut is_next_secret = false;
                let items = items.iter().map(|item| {
                    let is_secret = std::mem::take(&mut is_next_secret);
                    // As a command has it: `--password`, then the password.
                    is_next_secret = item.as_str().is_some_and(|item| {
                        item.starts_with('-') && !item.contains('=') && is_secret_name(item)
                    });
                    if is_secret {
                        hidden(item)
                    } else {
                        schemas.mask(item)
                    }
                });
                items.collect()
            }
            Value::Object(fields) => {
                let fields = fields.iter().map(|(name, value)| {
                    let value = if is_secret_name(name) || is_payload(name, value) {
                        hidden(value)
                    } else if is_command(name) && !self.field(name).are_secret() {
                        without_arguments(value)
                    } else {
                        self.field(name).mask(value)
                    };
                    (text(name), value)
                });
                Value::Object(fields.collect())
            }
            other => other.clone(),
        }
    }
}

/// A command without the secrets among its arguments.
pub(super) fn without_arguments(value: &Value) -> Value {
    let plain = Schemas::default();
    match value {
        Value::String(line) => plain.mask(&command::line(line).into()),
        Value::Array(words) if words.iter().all(Value::is_string) => {
            let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
            plain.mask(&command::arguments(&words).into())
        }
        other => plain.mask(other),
    }
}

/// Whether there is a value stays to be seen: an empty password means another
/// thing than one. A switch such as `has_password` is none.
fn hidden(value: &Value) -> Value {
    match value {
        Value::Null | Value::Bool(_) => value.clone(),
        Value::String(text) if text.is_empty() => value.clone(),
        _ => HIDDEN.into(),
    }
}
