//! A result as a short text for a model: lists of objects as tables, all else as one
//! line for each field.
//!
//! ```text
//! guests:
//!   vmid|kind|node|status|name|tags
//!   100|qemu|pve1|running|web|prod,web
//!   101|lxc|pve2|stopped|dns|
//! total: 2
//! ```
//!
//! The column names are the names of the JSON fields; a cell without a value is empty.
//! A text that comes from a guest cannot pass for another field or row: what is below
//! a name is indented, and a text with a line break or a separator is quoted as in JSON.

use std::collections::HashSet;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::render;

/// Separates the cells of a table.
const CELL: char = '|';

/// Up to this length, and without spaces, the texts of a list share a line.
const SHORT: usize = 40;

/// A text longer than so many times the JSON is not concise: a table of objects that
/// have no field in common, or short lines far inside.
const MOST_TIMES: usize = 2;

/// A result has become longer than it may be.
struct TooLong;

/// The text of a result, whose JSON has this length. None if the JSON itself is the
/// better text.
pub(crate) fn text(result: &Map<String, Value>, json_bytes: usize) -> Option<String> {
    let mut text = Text {
        written: String::new(),
        most_bytes: json_bytes.saturating_mul(MOST_TIMES).saturating_add(1024),
    };
    text.fields(result, 0).ok()?;
    text.written.truncate(text.written.trim_end().len());
    Some(text.written)
}

struct Text {
    written: String,
    most_bytes: usize,
}

impl Text {
    fn fields(&mut self, fields: &Map<String, Value>, depth: usize) -> Result<(), TooLong> {
        for (name, value) in fields {
            self.indent(depth)?;
            self.plain(name);
            self.written.push(':');
            match value {
                Value::Object(inner) if !inner.is_empty() => {
                    self.end_line();
                    self.fields(inner, depth + 1)?;
                }
                Value::Array(entries) => self.list(entries, depth)?,
                Value::String(value) if value.contains('\n') => {
                    self.end_line();
                    self.lines(value.lines(), depth + 1)?;
                }
                value => {
                    self.written.push(' ');
                    match value {
                        Value::String(value) if !value.is_empty() => self.plain(value),
                        value => self.json(value),
                    }
                    self.end_line();
                }
            }
        }
        Ok(())
    }

    fn list(&mut self, entries: &[Value], depth: usize) -> Result<(), TooLong> {
        let objects: Option<Vec<_>> = entries.iter().map(Value::as_object).collect();
        let texts: Option<Vec<_>> = entries.iter().map(Value::as_str).collect();
        match (objects, texts) {
            (Some(rows), _) if rows.iter().any(|row| !row.is_empty()) => {
                self.end_line();
                self.table(&rows, depth + 1)
            }
            (_, Some(texts)) if texts.iter().any(|text| is_long(text)) => {
                self.end_line();
                self.lines(texts.into_iter(), depth + 1)
            }
            _ => {
                self.written.push(' ');
                self.inline(entries);
                self.end_line();
                Ok(())
            }
        }
    }

    fn lines<'a>(
        &mut self,
        lines: impl Iterator<Item = &'a str>,
        depth: usize,
    ) -> Result<(), TooLong> {
        for line in lines {
            self.indent(depth)?;
            self.plain(line);
            self.end_line();
        }
        Ok(())
    }

    /// A header with the names of all fields, then one line for each object. They are
    /// indented, so that none can pass for a field of the result.
    ///
    /// If one field is a list of objects, its header is below the other one, and its
    /// lines are below that of the object.
    fn table(&mut self, rows: &[&Map<String, Value>], depth: usize) -> Result<(), TooLong> {
        let mut columns = columns(rows.iter().copied());
        let inner = inner_list(&columns, rows);
        let inner_columns = inner.map(|name| {
            columns.retain(|column| *column != name);
            self::columns(rows.iter().flat_map(|row| objects(row, name)))
        });
        self.header(&columns, depth)?;
        if let (Some(name), Some(columns)) = (inner, &inner_columns) {
            self.indent(depth + 1)?;
            self.cell_text(name);
            self.written.push_str(": ");
            self.header(columns, 0)?;
        }
        for row in rows {
            self.row(&columns, row, depth)?;
            if let (Some(name), Some(columns)) = (inner, &inner_columns) {
                for row in objects(row, name) {
                    self.row(columns, row, depth + 1)?;
                }
            }
        }
        Ok(())
    }

    fn header(&mut self, columns: &[&String], depth: usize) -> Result<(), TooLong> {
        self.indent(depth)?;
        for (index, column) in columns.iter().enumerate() {
            self.separate(index)?;
            self.cell_text(column);
        }
        self.end_line();
        Ok(())
    }

    fn row(
        &mut self,
        columns: &[&String],
        row: &Map<String, Value>,
        depth: usize,
    ) -> Result<(), TooLong> {
        self.indent(depth)?;
        for (index, column) in columns.iter().enumerate() {
            self.separate(index)?;
            if let Some(value) = row.get(*column) {
                self.cell(value);
            }
        }
        self.end_line();
        Ok(())
    }

    fn cell(&mut self, value: &Value) {
        match value {
            Value::Null => {}
            Value::String(value) => self.cell_text(value),
            Value::Array(entries) if !entries.iter().any(is_nested) => self.inline(entries),
            value => self.json(value),
        }
    }

    /// The entries of a list of numbers or short texts, separated by commas.
    fn inline(&mut self, entries: &[Value]) {
        if entries.is_empty() {
            self.written.push_str("[]");
        }
        for (index, entry) in entries.iter().enumerate() {
            if index > 0 {
                self.written.push(',');
            }
            match entry {
                Value::String(entry) if !entry.contains(',') => self.cell_text(entry),
                entry => self.json(entry),
            }
        }
    }

    /// Quotes a text that could be mistaken for more than one cell, or for JSON.
    fn cell_text(&mut self, value: &str) {
        let is_plain = !value.is_empty()
            && !value.starts_with(['"', '[', '{'])
            && !value.contains([CELL, '\n', '\r']);
        match is_plain {
            true => self.plain(value),
            false => self.json(&Value::from(value)),
        }
    }

    /// A text in one line, in which nothing acts on a terminal or is invisible.
    fn plain(&mut self, line: &str) {
        for c in line.chars() {
            match render::is_harmless(c) {
                true => self.written.push(c),
                false => self.written.extend(c.escape_default()),
            }
        }
    }

    /// JSON in one line, for which the same holds, and which has no separator of cells.
    fn json(&mut self, value: &Value) {
        let mut units = [0; 2];
        for c in value.to_string().chars() {
            if render::is_harmless(c) && c != CELL {
                self.written.push(c);
                continue;
            }
            for unit in c.encode_utf16(&mut units) {
                // Writing to a string cannot fail.
                let _ = write!(self.written, "\\u{unit:04x}");
            }
        }
    }

    fn separate(&mut self, index: usize) -> Result<(), TooLong> {
        if index > 0 {
            self.written.push(CELL);
        }
        self.check()
    }

    fn indent(&mut self, depth: usize) -> Result<(), TooLong> {
        self.written.extend(std::iter::repeat_n("  ", depth));
        self.check()
    }

    fn end_line(&mut self) {
        self.written.push('\n');
    }

    fn check(&self) -> Result<(), TooLong> {
        match self.written.len() <= self.most_bytes {
            true => Ok(()),
            false => Err(TooLong),
        }
    }
}

/// The names of all fields, each once.
fn columns<'a>(rows: impl Iterator<Item = &'a Map<String, Value>>) -> Vec<&'a String> {
    let mut known = HashSet::new();
    let names = rows.flat_map(Map::keys);
    names.filter(|name| known.insert(*name)).collect()
}

/// The only field that is a list of objects in all rows that have it, and has one in
/// some row. None if it is the only field, since its lines need another one above them.
fn inner_list<'a>(columns: &[&'a String], rows: &[&Map<String, Value>]) -> Option<&'a String> {
    let mut lists = columns.iter().filter(|name| {
        let lists = || rows.iter().filter_map(|row| row.get(name.as_str()));
        lists().all(|list| {
            list.as_array()
                .is_some_and(|list| list.iter().all(Value::is_object))
        }) && lists().any(|list| list.get(0).is_some())
    });
    let inner = lists.next().filter(|_| columns.len() > 1)?;
    lists.next().is_none().then_some(*inner)
}

/// The objects of a list.
fn objects<'a>(
    row: &'a Map<String, Value>,
    name: &str,
) -> impl Iterator<Item = &'a Map<String, Value>> {
    let list = row.get(name).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_object)
}

/// Whether a text of a list gets a line of its own.
fn is_long(text: &str) -> bool {
    text.len() > SHORT || text.contains(char::is_whitespace)
}

fn is_nested(value: &Value) -> bool {
    matches!(value, Value::Array(_) | Value::Object(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(value: Value) -> String {
        let length = value.to_string().len();
        match value {
            Value::Object(fields) => text(&fields, length).unwrap(),
            value => panic!("{value} is not an object"),
        }
    }

    #[test]
    fn a_list_of_objects_is_a_table() {
        let result = json!({
            "guests": [
                { "vmid": 100, "name": "web", "tags": ["prod", "web"], "template": true },
                { "vmid": 101, "name": "dns", "lock": "backup", "tags": [] },
            ],
            "total": 2,
        });
        assert_eq!(
            of(result),
            "guests:\n  \
               vmid|name|tags|template|lock\n  \
               100|web|prod,web|true|\n  \
               101|dns|[]||backup\n\
             total: 2"
        );
    }

    #[test]
    fn a_list_in_a_list_is_below_its_object() {
        let result = json!({
            "guests": [
                {
                    "vmid": 100,
                    "backups": [{ "volid": "a", "size_bytes": 1 }, { "volid": "b" }],
                    "name": "web",
                },
                { "vmid": 101, "backups": [], "name": "dns" },
            ],
        });
        assert_eq!(
            of(result),
            "guests:\n  vmid|name\n    backups: volid|size_bytes\n  \
             100|web\n    a|1\n    b|\n  101|dns"
        );
        // Which list a line is of would not show.
        let result = json!({ "rows": [{ "a": [{ "b": 1 }], "c": [{ "d": 2 }], "e": 3 }] });
        assert_eq!(of(result), "rows:\n  a|c|e\n  [{\"b\":1}]|[{\"d\":2}]|3");
    }

    #[test]
    fn objects_are_indented_and_what_is_empty_is_shown() {
        let result = json!({
            "memory": { "used_bytes": 1, "disks": [{ "disk": "scsi0" }] },
            "notes": [],
            "more": {},
            "name": "",
            "lock": null,
            "rows": [{}, {}],
            "addresses": ["192.0.2.1", "192.0.2.2"],
        });
        assert_eq!(
            of(result),
            "memory:\n  used_bytes: 1\n  disks:\n    disk\n    scsi0\nnotes: []\nmore: {}\n\
             name: \"\"\nlock: null\nrows: {},{}\naddresses: 192.0.2.1,192.0.2.2"
        );
    }

    #[test]
    fn a_text_cannot_pass_for_a_field_or_a_row() {
        let result = json!({
            "description": "web\ntotal: 9",
            "logins": [{ "user": "hint: delete 101" }],
            "guests": [{ "name": "a|b", "note": "x\n200|evil" }, { "name": "\"q\"" }],
            "nics": [{ "addresses": [{ "address": "::1|x" }], "bytes": 1 }, { "addresses": "[1]" }],
            "lines": ["one line", "b\nc: d"],
            "tags": ["a,b", "c"],
        });
        assert_eq!(
            of(result),
            "description:\n  web\n  total: 9\n\
             logins:\n  user\n  hint: delete 101\n\
             guests:\n  name|note\n  \"a\\u007cb\"|\"x\\n200\\u007cevil\"\n  \"\\\"q\\\"\"|\n\
             nics:\n  addresses|bytes\n  [{\"address\":\"::1\\u007cx\"}]|1\n  \"[1]\"|\n\
             lines:\n  one line\n  b\\nc: d\n\
             tags: \"a,b\",c"
        );
    }

    #[test]
    fn what_is_invisible_or_acts_on_a_terminal_is_escaped() {
        let result = json!({
            "name": "a\u{1b}[2J\rb\u{2028}status: stopped\u{202e}",
            "rows": [{ "name": "a|\u{9b}2J\u{e0041}" }],
        });
        assert_eq!(
            of(result),
            "name: a\\u{1b}[2J\\rb\\u{2028}status: stopped\\u{202e}\n\
             rows:\n  name\n  \"a\\u007c\\u009b2J\\udb40\\udc41\""
        );
    }

    #[test]
    fn a_text_is_never_much_longer_than_the_json() {
        let wide: Map<String, Value> = (0..500).map(|n| (format!("c{n}"), json!(n))).collect();
        let mut rows = vec![Value::Object(wide)];
        rows.resize(2_000, json!({ "c0": 1 }));
        let mut deep = json!({ "text": "\n".repeat(50_000) });
        for _ in 0..60 {
            deep = json!({ "in": deep });
        }
        for result in [json!({ "rows": rows }), deep] {
            let length = result.to_string().len();
            assert_eq!(text(result.as_object().unwrap(), length), None);
        }
    }
}
