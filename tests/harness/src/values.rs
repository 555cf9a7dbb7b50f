//! JSON values and texts of tests.

use serde_json::Value;

/// The text contains each of these words.
#[track_caller]
pub fn assert_says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "nothing of {word}: {text}");
    }
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
