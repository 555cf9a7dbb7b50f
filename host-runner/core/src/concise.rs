//! A result as a short text for a model: lists of objects as tables, all else as one
//! line for each field.
//!
//! ```text
//! guests:
//! vmid|kind|node|status|name|tags
//! 100|qemu|pve1|running|web|prod, web
//! 101|lxc|pve2|stopped|dns|
//! total: 2
//! ```
//!
//! The column names are the names of the JSON fields. A text that comes from a guest
//! cannot pass for another field or row: one that has several lines is indented below
//! its name, and in a table it is quoted as in JSON.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// Separates the cells of a table.
const CELL: char = '|';

/// Up to this length, the texts of a list share a line.
const SHORT: usize = 40;

/// The text of a result.
pub(crate) fn text(result: &Map<String, Value>) -> String {
    let mut text = String::new();
    fields(&mut text, result, 0);
    text.truncate(text.trim_end().len());
    text
}

fn fields(text: &mut String, fields: &Map<String, Value>, depth: usize) {
    for (name, value) in fields {
        indent(text, depth);
        text.push_str(name);
        text.push(':');
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                text.push('\n');
                self::fields(text, inner, depth + 1);
            }
            Value::Array(entries) => list(text, entries, depth),
            Value::String(value) if value.contains('\n') => {
                text.push('\n');
                for line in value.lines() {
                    indent(text, depth + 1);
                    line_of(text, line);
                    text.push('\n');
                }
            }
            Value::String(value) => {
                text.push(' ');
                line_of(text, value);
                text.push('\n');
            }
            value => {
                // Writing to a string cannot fail.
                let _ = writeln!(text, " {value}");
            }
        }
    }
}

fn list(text: &mut String, entries: &[Value], depth: usize) {
    if entries.is_empty() {
        text.push_str(" none\n");
        return;
    }
    let objects: Option<Vec<_>> = entries.iter().map(Value::as_object).collect();
    if let Some(rows) = objects {
        text.push('\n');
        table(text, &rows, depth);
        return;
    }
    let texts: Option<Vec<_>> = entries.iter().map(Value::as_str).collect();
    match texts {
        Some(texts) if texts.iter().any(|text| text.len() > SHORT) => {
            text.push('\n');
            for one in texts {
                indent(text, depth + 1);
                line_of(text, one);
                text.push('\n');
            }
        }
        _ => {
            text.push(' ');
            push_inline(text, entries);
            text.push('\n');
        }
    }
}

/// A header with the names of all fields, then one line for each object.
fn table(text: &mut String, rows: &[&Map<String, Value>], depth: usize) {
    let mut columns: Vec<&str> = Vec::new();
    for row in rows {
        for name in row.keys() {
            if !columns.contains(&name.as_str()) {
                columns.push(name);
            }
        }
    }
    indent(text, depth);
    text.push_str(&columns.join("|"));
    text.push('\n');
    for row in rows {
        indent(text, depth);
        for (index, column) in columns.iter().enumerate() {
            if index > 0 {
                text.push(CELL);
            }
            if let Some(value) = row.get(*column) {
                cell(text, value);
            }
        }
        text.push('\n');
    }
}

fn cell(text: &mut String, value: &Value) {
    match value {
        Value::Null => {}
        Value::String(value) => push_cell(text, value),
        Value::Array(entries) if entries.iter().all(|entry| !is_nested(entry)) => {
            push_inline(text, entries);
        }
        value => {
            let _ = write!(text, "{value}");
        }
    }
}

/// The entries of a list of numbers or short texts, separated by commas.
fn push_inline(text: &mut String, entries: &[Value]) {
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            text.push_str(", ");
        }
        match entry {
            Value::String(entry) if !entry.contains(',') => push_cell(text, entry),
            entry => {
                let _ = write!(text, "{entry}");
            }
        }
    }
}

/// Quotes a text that could be mistaken for more than one cell.
fn push_cell(text: &mut String, value: &str) {
    let is_plain = !value.starts_with('"') && !value.contains([CELL, '\n', '\r']);
    if is_plain {
        line_of(text, value);
    } else {
        let _ = write!(text, "{}", Value::from(value));
    }
}

/// One line, in which nothing acts on a terminal.
fn line_of(text: &mut String, line: &str) {
    for c in line.chars() {
        match c.is_control() && c != '\t' {
            true => text.extend(c.escape_default()),
            false => text.push(c),
        }
    }
}

fn is_nested(value: &Value) -> bool {
    matches!(value, Value::Array(_) | Value::Object(_))
}

fn indent(text: &mut String, depth: usize) {
    text.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(value: Value) -> String {
        match value {
            Value::Object(fields) => text(&fields),
            value => panic!("{value} is not an object"),
        }
    }

    #[test]
    fn a_list_of_objects_is_a_table() {
        let result = json!({
            "guests": [
                { "vmid": 100, "name": "web", "tags": ["prod", "web"], "template": true },
                { "vmid": 101, "name": "dns", "lock": "backup" },
            ],
            "total": 2,
        });
        assert_eq!(
            of(result),
            "guests:\n\
             vmid|name|tags|template|lock\n\
             100|web|prod, web|true|\n\
             101|dns|||backup\n\
             total: 2"
        );
    }

    #[test]
    fn objects_are_indented_and_empty_lists_are_named() {
        let result = json!({
            "memory": { "used_bytes": 1, "disks": [{ "disk": "scsi0" }] },
            "notes": [],
            "addresses": ["192.0.2.1", "192.0.2.2"],
        });
        assert_eq!(
            of(result),
            "memory:\n  used_bytes: 1\n  disks:\n  disk\n  scsi0\nnotes: none\n\
             addresses: 192.0.2.1, 192.0.2.2"
        );
    }

    #[test]
    fn a_text_cannot_pass_for_a_field_or_a_row() {
        let result = json!({
            "description": "web\ntotal: 9",
            "guests": [{ "name": "a|b", "note": "x\n200|evil" }, { "name": "\"q\"" }],
            "lines": ["one long line of a log that is over the limit", "b\nc: d"],
            "tags": ["a,b", "c"],
        });
        assert_eq!(
            of(result),
            "description:\n  web\n  total: 9\n\
             guests:\nname|note\n\"a|b\"|\"x\\n200|evil\"\n\"\\\"q\\\"\"|\n\
             lines:\n  one long line of a log that is over the limit\n  b\\nc: d\n\
             tags: \"a,b\", c"
        );
    }

    #[test]
    fn what_acts_on_a_terminal_is_escaped() {
        assert_eq!(
            of(json!({ "name": "a\u{1b}[2J\rb" })),
            "name: a\\u{1b}[2J\\rb"
        );
    }

    #[test]
    fn nested_lists_stay_json() {
        let result = json!({ "nics": [{ "nic": "net0", "addresses": [{ "address": "::1" }] }] });
        assert_eq!(
            of(result),
            "nics:\nnic|addresses\nnet0|[{\"address\":\"::1\"}]"
        );
    }
}
