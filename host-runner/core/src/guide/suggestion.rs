//! Values for an argument, from the result of a tool that lists them.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::arguments::{Values, argument, object};
use crate::engine::{self, Tool};

/// Where the values of an argument come from.
#[derive(Debug)]
pub(crate) struct Suggestion {
    declared: engine::Suggestion,
    fixed: Map<String, Value>,
    schema: Value,
}

/// A value, and its name for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Suggested {
    pub value: String,
    pub label: Option<String>,
}

/// The longest value that is suggested, and the longest name for one.
const MAX_CHARS: usize = 256;
/// As many values as are kept: more than the tools list.
const MAX_VALUES: usize = 2000;

impl Suggestion {
    pub(super) fn new(tool: &Tool, declared: engine::Suggestion) -> Option<Self> {
        Some(Self {
            fixed: object(&declared.arguments_json)?,
            schema: serde_json::from_str(&tool.input_schema).ok()?,
            declared,
        })
    }

    /// The argument whose values these are.
    pub(crate) fn argument(&self) -> &str {
        &self.declared.argument
    }

    /// The tool that lists them.
    pub(crate) fn tool(&self) -> &str {
        &self.declared.tool
    }

    /// Whether they depend on no other argument.
    pub(super) fn needs_nothing(&self) -> bool {
        self.declared.given.is_empty()
    }

    /// The arguments of the tool. None while one that they depend on is not known.
    pub(crate) fn arguments(&self, known: &Values) -> Option<Map<String, Value>> {
        let mut arguments = self.fixed.clone();
        for name in &self.declared.given {
            let value = known.get(name).filter(|value| !value.is_empty())?;
            arguments.insert(name.clone(), argument(&self.schema, name, value));
        }
        Some(arguments)
    }

    /// The values in the tool's result, each once.
    pub(crate) fn values(&self, result: &Value) -> Vec<Suggested> {
        let entries = result.pointer(&self.declared.values);
        let entries = entries.and_then(Value::as_array);
        let mut seen = BTreeSet::new();
        let values = entries.into_iter().flatten().filter_map(|entry| {
            let value = text(entry.get(&self.declared.field)?)?;
            let label = self.declared.label.as_ref();
            Some(Suggested {
                label: label.and_then(|label| text(entry.get(label)?)),
                value,
            })
        });
        values
            .filter(|one| seen.insert(one.value.clone()))
            .take(MAX_VALUES)
            .collect()
    }
}

impl Suggested {
    /// Whether it may be what somebody begins to type: the value, or a part of its name.
    pub(crate) fn fits(&self, typed: &str) -> bool {
        let typed = typed.trim().to_lowercase();
        let label = self.label.as_ref();
        self.begins_with(&typed) || label.is_some_and(|label| label.to_lowercase().contains(&typed))
    }

    /// Whether the value itself begins like that, in any case.
    pub(crate) fn begins_with(&self, typed: &str) -> bool {
        self.value.to_lowercase().starts_with(&typed.to_lowercase())
    }
}

/// A value in one line. None for anything else.
fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let fits = !text.is_empty()
        && text.chars().count() <= MAX_CHARS
        && !text.chars().any(char::is_control);
    fits.then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn suggestion(given: &[&str]) -> Suggestion {
        Suggestion {
            declared: engine::Suggestion {
                argument: "vmid".to_owned(),
                tool: "list".to_owned(),
                arguments_json: "{}".to_owned(),
                values: "/guests".to_owned(),
                field: "vmid".to_owned(),
                label: Some("name".to_owned()),
                given: given.iter().map(|name| (*name).to_owned()).collect(),
            },
            fixed: object(r#"{"limit":5}"#).unwrap(),
            schema: json!({"properties": {"vmid": {"type": "integer"}}}),
        }
    }

    #[test]
    fn values_come_from_the_result() {
        let result = json!({"guests": [
            {"vmid": 100, "name": "Web"},
            {"vmid": 101},
            {"vmid": 100, "name": "again"},
            {"vmid": "two\nlines"},
            {"vmid": ""},
            {"name": "no value"},
            {"vmid": {"nested": 1}},
            {"vmid": "x".repeat(300)},
        ]});
        let values = suggestion(&[]).values(&result);
        let plain: Vec<_> = values.iter().map(|one| one.value.as_str()).collect();
        assert_eq!(plain, ["100", "101"]);
        assert_eq!(values[0].label.as_deref(), Some("Web"));
        assert!(values[0].fits("10") && values[0].fits("web") && values[0].fits(""));
        assert!(!values[1].fits("web") && !values[1].fits("01"));
        assert!(suggestion(&[]).values(&json!({"guests": 5})).is_empty());
    }

    #[test]
    fn what_it_depends_on_has_to_be_known() {
        let suggestion = suggestion(&["vmid"]);
        assert!(suggestion.arguments(&Values::new()).is_none());
        let known = Values::from([("vmid".to_owned(), "100".to_owned())]);
        let arguments = suggestion.arguments(&known).unwrap();
        assert_eq!(Value::Object(arguments), json!({"limit": 5, "vmid": 100}));
    }
}
