//! The result of a tool for a person: lists of objects as tables, all else as one line for
//! each field.
//!
//! Numbers of bytes and seconds are rounded to what a person reads at a glance. A table that
//! is wider than the terminal loses its last columns, and says which ones.

use std::time::Duration;

use serde_json::{Map, Value};

use super::style;
use crate::render;

/// The gap between two columns.
const GAP: usize = 2;
/// As deep as this, objects are shown in lines of their own.
const MOST_DEPTH: usize = 6;

/// The text for a value.
pub(in crate::commands) fn of(value: &Value) -> String {
    let width = match is_terminal() {
        true => terminal_size::terminal_size().map(|(width, _)| width.0.into()),
        false => None,
    };
    Writer {
        width: width.unwrap_or(usize::MAX),
        bold: style::is_wanted(),
        lines: Vec::new(),
    }
    .write(value)
}

fn is_terminal() -> bool {
    use std::io::IsTerminal as _;
    std::io::stdout().is_terminal()
}

struct Writer {
    width: usize,
    bold: bool,
    lines: Vec<String>,
}

impl Writer {
    fn write(mut self, value: &Value) -> String {
        match value {
            Value::Object(fields) => self.fields(fields, 0),
            value => self.lines.push(cell("", value)),
        }
        self.lines.join("\n")
    }

    fn fields(&mut self, fields: &Map<String, Value>, depth: usize) {
        let indent = "  ".repeat(depth);
        for (name, value) in fields {
            let heading = style::bold(format_args!("{}:", plain(name)), self.bold);
            match value {
                Value::Object(inner) if !inner.is_empty() && depth < MOST_DEPTH => {
                    self.lines.push(format!("{indent}{heading}"));
                    self.fields(inner, depth + 1);
                }
                Value::Array(entries) => match rows(entries) {
                    Some(rows) => {
                        self.lines.push(format!("{indent}{heading}"));
                        self.table(&rows, depth + 1);
                    }
                    None if entries.iter().any(is_long) => {
                        self.lines.push(format!("{indent}{heading}"));
                        for entry in entries {
                            self.lines.push(format!("{indent}  {}", cell("", entry)));
                        }
                    }
                    None => self
                        .lines
                        .push(format!("{indent}{heading} {}", cell(name, value))),
                },
                Value::String(text) if text.contains('\n') => {
                    self.lines.push(format!("{indent}{heading}"));
                    let lines = text.lines();
                    self.lines
                        .extend(lines.map(|line| format!("{indent}  {}", plain(line))));
                }
                value => self
                    .lines
                    .push(format!("{indent}{heading} {}", cell(name, value))),
            }
        }
    }

    fn table(&mut self, rows: &[&Map<String, Value>], depth: usize) {
        let indent = "  ".repeat(depth);
        let columns: Vec<_> = columns(rows)
            .into_iter()
            .map(|name| column(name, rows))
            .collect();
        let mut shown = Vec::new();
        let mut used = indent.len();
        for column in &columns {
            used = used.saturating_add(column.width + GAP);
            // The last column needs no gap after it.
            if !shown.is_empty() && used.saturating_sub(GAP) > self.width {
                break;
            }
            shown.push(column);
        }
        let line = |cell: &dyn Fn(&Column) -> String| {
            let cells: String = shown
                .iter()
                .map(|column| column.pad(&cell(column)))
                .collect();
            format!("{indent}{}", cells.trim_end())
        };
        let header = line(&|column| column.heading.clone());
        self.lines.push(style::bold(header, self.bold));
        for row in 0..rows.len() {
            self.lines.push(line(&|column| {
                column.cells.get(row).cloned().unwrap_or_default()
            }));
        }
        let left_out: Vec<_> = columns.iter().skip(shown.len()).collect();
        if !left_out.is_empty() {
            let names: Vec<_> = left_out
                .iter()
                .map(|column| column.heading.as_str())
                .collect();
            self.lines.push(format!(
                "{indent}(no room for {}: use a wider terminal, or -o yaml)",
                names.join(", ")
            ));
        }
    }
}

/// A column of a table.
struct Column {
    heading: String,
    cells: Vec<String>,
    width: usize,
    is_number: bool,
}

impl Column {
    /// A cell with the gap behind it.
    fn pad(&self, text: &str) -> String {
        let missing = " ".repeat(self.width.saturating_sub(text.chars().count()));
        let gap = " ".repeat(GAP);
        match self.is_number {
            true => format!("{missing}{text}{gap}"),
            false => format!("{text}{missing}{gap}"),
        }
    }
}

fn column(name: &str, rows: &[&Map<String, Value>]) -> Column {
    let values: Vec<_> = rows.iter().map(|row| row.get(name)).collect();
    let cells = values.iter();
    let cells: Vec<_> = cells
        .map(|value| value.map_or_else(String::new, |value| cell(name, value)))
        .collect();
    let heading = plain(name);
    let widths = cells.iter().chain([&heading]);
    let width = widths.map(|text| text.chars().count()).max();
    Column {
        width: width.unwrap_or_default(),
        is_number: values.iter().flatten().all(|value| value.is_number()),
        heading,
        cells,
    }
}

/// The fields of all rows, in the order in which they come first.
fn columns<'a>(rows: &[&'a Map<String, Value>]) -> Vec<&'a str> {
    let mut columns: Vec<&str> = Vec::new();
    for row in rows {
        let mut after = 0;
        for name in row.keys() {
            match columns.iter().position(|known| known == name) {
                Some(at) => after = at + 1,
                None => {
                    columns.insert(after, name);
                    after += 1;
                }
            }
        }
    }
    columns
}

/// The entries of a list, if they are objects.
fn rows(entries: &[Value]) -> Option<Vec<&Map<String, Value>>> {
    let rows: Option<Vec<_>> = entries.iter().map(Value::as_object).collect();
    rows.filter(|rows| rows.iter().any(|row| !row.is_empty()))
}

fn is_long(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.len() > 40)
}

fn cell(name: &str, value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number_cell(name, number),
        Value::String(text) => plain(text),
        Value::Array(entries)
            if entries
                .iter()
                .all(|entry| !entry.is_object() && !entry.is_array()) =>
        {
            let cells: Vec<_> = entries.iter().map(|entry| cell("", entry)).collect();
            cells.join(", ")
        }
        value => plain(&value.to_string()),
    }
}

fn number_cell(name: &str, number: &serde_json::Number) -> String {
    match (number.as_u64(), number.as_f64()) {
        (Some(bytes), _) if name.ends_with("_bytes") => size(bytes),
        (Some(seconds), _) if name.ends_with("_seconds") && seconds >= 60 => duration(seconds),
        (None, Some(value)) => {
            let text = format!("{value:.2}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => number.to_string(),
    }
}

/// A number of bytes with at most four digits.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = bytes as f64;
    let mut unit = None;
    for next in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = Some(next);
    }
    match unit {
        None => format!("{bytes} B"),
        Some(unit) if value >= 100.0 => format!("{value:.0} {unit}"),
        Some(unit) => format!("{value:.1} {unit}"),
    }
}

/// The two largest units of a time.
fn duration(seconds: u64) -> String {
    let text = humantime::format_duration(Duration::from_secs(seconds)).to_string();
    let parts: Vec<_> = text.split(' ').take(2).collect();
    parts.join(" ")
}

/// A text in one line, in which nothing acts on a terminal.
fn plain(text: &str) -> String {
    render::for_terminal(text).replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(width: usize, value: &Value) -> String {
        let writer = Writer {
            width,
            bold: false,
            lines: Vec::new(),
        };
        writer.write(value)
    }

    #[test]
    fn a_list_of_objects_is_a_table() {
        let value = json!({
            "guests": [
                { "vmid": 100, "name": "web", "memory_total_bytes": 4_294_967_296_u64, "tags": ["a", "b"] },
                { "vmid": 1001, "name": "database", "locked": true, "uptime_seconds": 90_061 },
            ],
            "total": 2,
        });
        assert_eq!(
            text(usize::MAX, &value),
            "guests:\n\
             \x20 vmid  name      locked  uptime_seconds  memory_total_bytes  tags\n\
             \x20  100  web                                          4.0 GiB  a, b\n\
             \x20 1001  database  yes            1day 1h\n\
             total: 2"
        );
        assert_eq!(
            text(25, &value),
            "guests:\n\
             \x20 vmid  name      locked\n\
             \x20  100  web\n\
             \x20 1001  database  yes\n\
             \x20 (no room for uptime_seconds, memory_total_bytes, tags: use a wider terminal, or \
             -o yaml)\n\
             total: 2"
        );
    }

    #[test]
    fn no_text_leaves_its_place() {
        let value = json!({
            "rows": [{ "name": "a\nb\u{1b}[2J" }],
            "a\nb": "\u{202e}x",
            "inner": { "log": "one\ntwo", "empty": [], "nothing": null },
        });
        assert_eq!(
            text(usize::MAX, &value),
            "rows:\n  name\n  a\\nb\\u{1b}[2J\na\\nb: \\u{202e}x\ninner:\n  log:\n    one\n    two\n  \
             empty: \n  nothing: -"
        );
    }

    #[test]
    fn sizes_have_few_digits() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (1 << 40, "1.0 TiB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }
}
