//! How much room a result has in a model's context, and how much of it a result needs.
//!
//! The host decides both the number of bytes and the layout of the text that the model
//! reads, see [`crate::settings::result_room`].

use serde_json::{Map, Value};

use crate::settings;

/// How long the text of a result may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// Of the text that a model reads.
    bytes: usize,
    /// Of the JSON, which a client may show in place of the text.
    json_bytes: usize,
    layout: Layout,
}

/// How the host writes a result as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// As JSON.
    Json,
    /// Lists of objects as tables, all else as one line for each field.
    Tables,
}

/// The largest result, as JSON.
pub(super) const MOST_BYTES: usize = 256 * 1024;

/// What is added to a result that fits: that something in it was skipped or shortened.
const ADDED_BYTES: usize = 400;

impl Room {
    /// What the host of this component gives.
    pub(super) fn of_host() -> Self {
        let (bytes, tables) = settings::result_room();
        let layout = if tables { Layout::Tables } else { Layout::Json };
        Self::new(bytes.saturating_sub(ADDED_BYTES), layout)
    }

    pub(super) fn new(bytes: usize, layout: Layout) -> Self {
        Self {
            bytes,
            json_bytes: MOST_BYTES,
            layout,
        }
    }

    /// The length of JSON that cannot be too long.
    pub(super) fn surely(self) -> usize {
        self.bytes.min(self.json_bytes / 2)
    }

    /// What is left beside a list for the rest of a result: all that the list does not
    /// need, and half at least.
    pub(super) fn beside(self, list: &Value) -> Self {
        let needed = json(list);
        let left = |most: usize| most.saturating_sub(needed).max(most / 2);
        Self {
            bytes: left(self.bytes),
            json_bytes: left(self.json_bytes),
            ..self
        }
    }

    /// The share of so many entries that exceed the room by so many bytes.
    pub(super) fn share(self, entries: usize, excess: usize) -> usize {
        entries.saturating_mul(excess) / (self.bytes + excess)
    }

    /// By how many bytes a result is too long, with so many still to come: its text, or its
    /// JSON.
    pub(super) fn excess(self, result: &Value, reserved: usize) -> usize {
        let as_json = json(result);
        let text = match (self.layout, result) {
            (Layout::Tables, Value::Object(all)) => fields(all, 0),
            _ => as_json,
        };
        let over = |bytes: usize, most: usize| (bytes + reserved).saturating_sub(most);
        over(text, self.bytes).max(over(as_json, self.json_bytes))
    }
}

/// The length of a value as JSON.
pub(super) fn json(value: &Value) -> usize {
    let list = |entries: usize| (1 + entries).max(2);
    match value {
        Value::Null | Value::Bool(true) => 4,
        Value::Bool(false) => 5,
        Value::Number(number) => number.to_string().len(),
        Value::String(text) => 2 + text.chars().map(escaped).sum::<usize>(),
        Value::Array(entries) => list(entries.iter().map(|entry| 1 + json(entry)).sum()),
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| key.len() + 4 + json(value);
            list(fields.iter().map(field).sum())
        }
    }
}

/// A character of a text in JSON, with the escapes of the host.
fn escaped(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        c => plain(c),
    }
}

/// A character of a text that is not quoted. The host escapes one that is invisible or acts
/// on a terminal, as `\u{200b}` or, in JSON, as `\u200b`.
fn plain(c: char) -> usize {
    match c {
        ' '..='~' | '\n' => 1,
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' => 8,
        '\u{e0000}'..='\u{e007f}' => 12,
        c if c.is_control() => 6,
        c => c.len_utf8(),
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
                    text.chars().map(plain).sum::<usize>() + (breaks + 1) * 2 * (depth + 1)
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

/// A text in a table, quoted if it has a separator or looks like JSON.
fn cell(text: &str) -> usize {
    let is_quoted =
        text.is_empty() || text.starts_with(['"', '[', '{']) || text.contains(['|', '\n', '\r']);
    if !is_quoted {
        return text.chars().map(plain).sum();
    }
    let quoted = |c| if c == '|' { 6 } else { escaped(c) };
    2 + text.chars().map(quoted).sum::<usize>()
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
            json!({}),
            json!({"text": "gr\u{fc}n \u{1} \u{8}", "more": [[], [{"a": null}, true]]}),
        ] {
            assert_eq!(json(&value), value.to_string().len(), "{value}");
        }
    }

    /// The host writes each as its code in the text that a model reads.
    #[test]
    fn unseen_characters_are_measured_as_the_host_escapes_them() {
        let room = Room::new(1_000, Layout::Tables);
        for unseen in [
            '\u{7f}',
            '\u{9b}',
            '\u{200b}',
            '\u{202e}',
            '\u{feff}',
            '\u{e0041}',
        ] {
            let escaped = unseen.escape_default().len();
            let text = unseen.to_string().repeat(1_000 / escaped);
            for result in [
                json!({"text": text}),
                json!({"lines": [text]}),
                json!({"guests": [{"name": text}]}),
            ] {
                assert!(room.excess(&result, 0) > 0, "{result:?}");
            }
        }
    }

    #[test]
    fn the_json_has_its_own_bound() {
        let guests = vec![json!({"a_long_name_of_a_field": 1}); MOST_BYTES / 20];
        let result = json!({"guests": guests});
        let room = Room::new(200_000, Layout::Tables);
        assert_eq!(
            room.excess(&result, 0),
            result.to_string().len() - MOST_BYTES
        );
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
        let fits = |bytes| Room::new(bytes, Layout::Tables).excess(&result, 0) == 0;
        assert!(fits(written + 100) && !fits(written - 1));
    }
}
