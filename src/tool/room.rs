//! How much room a result has in a model's context, and how much of it a result needs.
//!
//! The host decides both the number of bytes and the layout of the text that the model
//! reads, see [`crate::settings::result_room`].

use serde_json::{Map, Value};

use crate::settings;

/// How long the text of a result may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) bytes: usize,
    pub(crate) layout: Layout,
}

/// How the host writes a result as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// As JSON.
    Json,
    /// Lists of objects as tables, all else as one line for each field.
    Tables,
}

/// What is added to a result that fits: that something in it was skipped or shortened.
const ADDED_BYTES: usize = 400;

impl Room {
    /// What the host of this component gives.
    pub(super) fn of_host() -> Self {
        let (bytes, tables) = settings::result_room();
        let layout = if tables { Layout::Tables } else { Layout::Json };
        Self {
            bytes: bytes.saturating_sub(ADDED_BYTES),
            layout,
        }
    }

    /// Whether the text of a result is longer, with so many bytes still to come.
    pub(super) fn exceeds(self, result: &Value, reserved: usize) -> bool {
        self.excess(result, reserved) > 0
    }

    /// By how many bytes.
    pub(super) fn excess(self, result: &Value, reserved: usize) -> usize {
        let bytes = match self.layout {
            Layout::Json => json(result),
            Layout::Tables => match result {
                Value::Object(all) => fields(all, 0),
                other => json(other),
            },
        };
        (bytes + reserved).saturating_sub(self.bytes)
    }
}

/// The length of a value as JSON.
pub(super) fn json(value: &Value) -> usize {
    match value {
        Value::Null => 4,
        Value::Bool(_) => 5,
        Value::Number(number) => number.to_string().len(),
        Value::String(text) => 2 + text.bytes().map(escaped).sum::<usize>(),
        Value::Array(entries) => 2 + entries.iter().map(|entry| 1 + json(entry)).sum::<usize>(),
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| key.len() + 4 + json(value);
            2 + fields.iter().map(field).sum::<usize>()
        }
    }
}

/// A byte of a text in JSON.
fn escaped(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 2,
        0..0x20 | 0x7f => 6,
        _ => 1,
    }
}

// What follows counts as the host writes: each line of a field or row is indented by two
// spaces for each level, and ends with a line break.

fn fields(all: &Map<String, Value>, depth: usize) -> usize {
    let field = |(name, value): (&String, &Value)| {
        let start = 2 * depth + name.len() + 3;
        start
            + match value {
                Value::Object(inner) => fields(inner, depth + 1),
                Value::Array(entries) => list(entries, depth + 1),
                Value::String(text) => {
                    let breaks = text.bytes().filter(|byte| *byte == b'\n').count();
                    text.len() + (breaks + 1) * 2 * (depth + 1)
                }
                value => json(value),
            }
    };
    all.iter().map(field).sum()
}

fn list(entries: &[Value], depth: usize) -> usize {
    let rows: Vec<&Map<String, Value>> = entries.iter().filter_map(Value::as_object).collect();
    if rows.len() < entries.len() {
        let line = |entry: &Value| 2 * depth + 1 + json(entry);
        return entries.iter().map(line).sum();
    }
    table(&rows, depth)
}

/// A line with the names of all fields, and one for each object. If one field alone has
/// lists of objects, these are lines below that of their object.
fn table(rows: &[&Map<String, Value>], depth: usize) -> usize {
    let mut columns: Vec<&str> = Vec::new();
    let mut inner: Vec<&Map<String, Value>> = Vec::new();
    let mut bytes = 0;
    for (name, value) in rows.iter().flat_map(|row| row.iter()) {
        if !columns.contains(&name.as_str()) {
            columns.push(name);
        }
        bytes += match value {
            Value::Array(entries) if entries.iter().any(Value::is_object) => {
                inner.extend(entries.iter().filter_map(Value::as_object));
                0
            }
            Value::String(text) => cell(text),
            Value::Array(entries) => entries.iter().map(json).sum::<usize>(),
            value => json(value),
        };
    }
    if !inner.is_empty() {
        bytes += table(&inner, depth + 1);
    }
    let header: usize = columns.iter().map(|name| name.len() + 1).sum();
    header + 2 * depth + rows.len() * (columns.len() + 2 * depth) + bytes
}

/// A text in a table, quoted if it has a separator.
fn cell(text: &str) -> usize {
    match text.contains(['|', '\n', '"']) || text.is_empty() {
        true => {
            2 + text
                .bytes()
                .map(|byte| if byte == b'|' { 6 } else { escaped(byte) })
                .sum::<usize>()
        }
        false => text.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_is_measured_as_it_is_written() {
        for value in [
            json!({"guests": [{"vmid": 100, "name": "a\"b\\c\n"}, {}], "total": 2, "on": false}),
            json!([]),
            json!({"text": "gr\u{fc}n \u{1}"}),
        ] {
            let (counted, length) = (json(&value), value.to_string().len());
            assert!(
                counted >= length && counted <= length + 4,
                "{value}: {counted}"
            );
        }
    }

    /// `tests/tools/lists.rs` checks that the host's text stays within the ceiling.
    #[test]
    fn tables_have_each_name_once() {
        let guests: Vec<Value> = (100..600)
            .map(|vmid| json!({"vmid": vmid, "name": "web", "status": "running"}))
            .collect();
        let result = json!({"guests": guests, "total": 500});
        let written =
            "guests:\n  vmid|name|status\ntotal: 500\n".len() + 500 * "  100|web|running\n".len();
        let fits = |bytes| {
            let layout = Layout::Tables;
            !Room { bytes, layout }.exceeds(&result, 0)
        };
        assert!(fits(written + 100) && !fits(written - 1));
    }
}
