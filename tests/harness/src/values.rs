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
