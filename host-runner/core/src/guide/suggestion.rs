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

/// What a result suggests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SuggestedValues {
    pub all: Vec<Suggested>,
    /// There are more, which the tool does not list.
    pub is_cut: bool,
    /// How many entries the tool has listed so far.
    listed: usize,
    seen: BTreeSet<String>,
}

/// The longest value that is suggested, and the longest name for one.
const MAX_CHARS: usize = 256;
/// As many entries are read: more than the largest clusters have.
const MAX_VALUES: usize = 10_000;

/// The argument with which a tool continues a list.
const OFFSET: &str = "offset";

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
            let fits = |value: &&String| !value.is_empty() && !is_long(value);
            let value = known.get(name).filter(fits)?;
            arguments.insert(name.clone(), argument(&self.schema, name, value));
        }
        Some(arguments)
    }

    /// Adds the values in the tool's result, each once.
    pub(crate) fn add(&self, result: &Value, values: &mut SuggestedValues) {
        let entries = result.pointer(&self.declared.values);
        let entries = entries.and_then(Value::as_array);
        let listed = entries.map_or(0, Vec::len);
        values.listed += listed;
        let total = self.declared.total.as_ref();
        let total = total.and_then(|total| result.pointer(total)?.as_u64());
        let is_cut = total.is_some_and(|total| total > values.listed as u64);
        values.is_cut = is_cut || values.listed > MAX_VALUES;
        for entry in entries.into_iter().flatten() {
            let Some(value) = entry.get(&self.declared.field).and_then(text) else {
                continue;
            };
            if values.all.len() < MAX_VALUES && values.seen.insert(value.clone()) {
                let label = self.declared.label.as_ref();
                values.all.push(Suggested {
                    label: label.and_then(|label| text(entry.get(label)?)),
                    value,
                });
            }
        }
    }

    /// The arguments with which the tool lists those that are missing. None if none is, if
    /// there are too many, or if it cannot.
    pub(crate) fn next(
        &self,
        mut arguments: Map<String, Value>,
        values: &SuggestedValues,
    ) -> Option<Map<String, Value>> {
        let before = arguments.get(OFFSET).and_then(Value::as_u64).unwrap_or(0);
        let offset = values.listed as u64;
        let takes_it = self.schema.get("properties")?.get(OFFSET).is_some();
        let goes_on = values.is_cut && takes_it && offset > before;
        arguments.insert(OFFSET.to_owned(), offset.into());
        (goes_on && values.listed < MAX_VALUES).then_some(arguments)
    }
}

/// Those that may be what somebody begins to type, in any case: the values that begin like
/// that, then those whose name contains it.
pub(crate) fn fitting<'a>(values: &'a [Suggested], typed: &str) -> Vec<&'a Suggested> {
    let typed = typed.trim();
    if is_long(typed) {
        return Vec::new();
    }
    let typed = typed.to_lowercase();
    let (begin, others): (Vec<_>, Vec<_>) = values
        .iter()
        .partition(|one| one.value.to_lowercase().starts_with(&typed));
    let is_named = |one: &&Suggested| {
        let label = one.label.as_ref();
        label.is_some_and(|label| label.to_lowercase().contains(&typed))
    };
    begin
        .into_iter()
        .chain(others.into_iter().filter(is_named))
        .collect()
}

/// Whether a text is longer than any value.
fn is_long(text: &str) -> bool {
    text.chars().take(MAX_CHARS + 1).count() > MAX_CHARS
}

/// A value in one line. None for anything else.
fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let fits = !text.is_empty() && !is_long(&text) && !text.chars().any(char::is_control);
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
                total: Some("/count/all".to_owned()),
            },
            fixed: object(r#"{"limit":5}"#).unwrap(),
            schema: json!({"properties": {"vmid": {"type": "integer"}}}),
        }
    }

    fn suggested(result: &Value) -> SuggestedValues {
        let mut values = SuggestedValues::default();
        suggestion(&[]).add(result, &mut values);
        values
    }

    #[test]
    fn a_list_in_parts_is_read_to_its_end() {
        let mut suggestion = suggestion(&[]);
        let part = |vmids: std::ops::Range<u32>| {
            let guests: Vec<Value> = vmids.map(|vmid| json!({"vmid": vmid})).collect();
            json!({"guests": guests, "count": {"all": 9}})
        };
        let mut values = SuggestedValues::default();
        let first = suggestion.arguments(&Values::new()).unwrap();
        suggestion.add(&part(100..105), &mut values);
        assert_eq!(suggestion.next(first.clone(), &values), None);
        suggestion.schema["properties"]["offset"] = json!({"type": "integer"});
        let second = suggestion.next(first, &values).unwrap();
        assert_eq!(
            Value::Object(second.clone()),
            json!({"limit": 5, "offset": 5})
        );
        // A tool that lists nothing more is not asked again.
        assert_eq!(suggestion.next(second.clone(), &values), None);
        suggestion.add(&part(105..109), &mut values);
        assert_eq!(suggestion.next(second, &values), None);
        assert_eq!((values.all.len(), values.is_cut), (9, false));
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
        let values = suggested(&result).all;
        let plain: Vec<_> = values.iter().map(|one| one.value.as_str()).collect();
        assert_eq!(plain, ["100", "101"]);
        assert_eq!(values[0].label.as_deref(), Some("Web"));
        let fit = |typed: &str| fitting(&values, typed).len();
        assert_eq!([fit("10"), fit(" WEB "), fit(""), fit("01")], [2, 1, 2, 0]);
        assert!(suggested(&json!({"guests": 5})).all.is_empty());
    }

    #[test]
    fn a_list_that_ends_early_is_known_by_its_total() {
        let is_cut = |result: Value| suggested(&result).is_cut;
        let entry = json!({"vmid": 100});
        assert!(!is_cut(json!({"guests": [entry], "count": {"all": 1}})));
        assert!(is_cut(json!({"guests": [entry], "count": {"all": 2}})));
        // Values that occur twice are not missing.
        assert!(!is_cut(
            json!({"guests": [entry, entry], "count": {"all": 2}})
        ));
        assert!(!is_cut(json!({"guests": [entry]})));
        assert!(is_cut(json!({"guests": vec![entry; MAX_VALUES + 1]})));
    }

    #[test]
    fn what_is_longer_than_any_value_fits_nothing() {
        let longest = "x".repeat(MAX_CHARS);
        let values = [Suggested {
            value: longest.clone(),
            label: Some("y".repeat(2 * MAX_CHARS)),
        }];
        assert_eq!(fitting(&values, &longest).len(), 1);
        assert!(fitting(&values, &"y".repeat(MAX_CHARS + 1)).is_empty());
        // Not lower-cased for each value.
        let many = vec![values[0].clone(); 2000];
        let start = std::time::Instant::now();
        assert!(fitting(&many, &"X".repeat(1 << 20)).is_empty());
        assert!(start.elapsed() < std::time::Duration::from_secs(2));
    }

    #[test]
    fn what_it_depends_on_has_to_be_known() {
        let suggestion = suggestion(&["vmid"]);
        assert!(suggestion.arguments(&Values::new()).is_none());
        let known = Values::from([("vmid".to_owned(), "100".to_owned())]);
        let arguments = suggestion.arguments(&known).unwrap();
        assert_eq!(Value::Object(arguments), json!({"limit": 5, "vmid": 100}));
        let long = Values::from([("vmid".to_owned(), "1".repeat(MAX_CHARS + 1))]);
        assert!(suggestion.arguments(&long).is_none());
    }
}
