//! JSON values and texts of tests.

use std::fmt::Display;

use serde_json::Value;

/// The text contains each of these words.
#[track_caller]
pub fn assert_says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "nothing of {word}: {text}");
    }
}

/// The same of one of several cases, which a failure names.
#[track_caller]
pub fn assert_case_says(case: impl Display, text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{case}: nothing of {word}: {text}");
    }
}

/// The field of each entry of a list, null where an entry has none.
#[track_caller]
pub fn each(list: &Value, field: &str) -> Vec<Value> {
    let entries = list.as_array();
    assert!(entries.is_some(), "not a list: {list}");
    let entries = entries.into_iter().flatten();
    entries
        .map(|entry| entry.get(field).cloned().unwrap_or_default())
        .collect()
}

/// An object with some of its fields changed.
pub fn with(object: &Value, changes: Value) -> Value {
    let mut object = object.clone();
    if let (Value::Object(fields), Value::Object(changes)) = (&mut object, changes) {
        fields.extend(changes);
    }
    object
}

/// Whether a message is one of JSON-RPC 2.0.
pub(crate) fn is_json_rpc(message: &Value) -> bool {
    message.get("jsonrpc").and_then(Value::as_str) == Some("2.0")
}
