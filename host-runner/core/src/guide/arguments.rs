//! Arguments of tools.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Values of arguments, by their names.
pub(crate) type Values = BTreeMap<String, String>;

/// A JSON object in a text. None for anything else.
pub(super) fn object(text: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(text).ok()
}

/// The value of an argument as its tool takes it: a number where an integer is wanted
/// and given, otherwise a text. The component decides whether it fits.
pub(super) fn argument(schema: &Value, name: &str, text: &str) -> Value {
    let kind = schema
        .get("properties")
        .and_then(|properties| properties.get(name)?.get("type")?.as_str());
    match (kind, text.parse::<i64>()) {
        (Some("integer"), Ok(number)) => number.into(),
        _ => text.into(),
    }
}
