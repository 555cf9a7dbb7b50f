//! The result of a tool for a person: lists of objects as tables, all else as one line for
//! each field.
//!
//! Numbers of bytes and seconds are rounded to what a person reads at a glance. What is itself
//! a list or an object stands below its row. If a table is wider than the terminal, long texts
//! stand there, too, and if it is still too wide, so does what is in its last columns.

use serde_json::{Map, Value};

use super::cell::{Unit, cell, heading, is_nested, plain};
use super::style;

/// The gap between two columns.
const GAP: usize = 2;
/// From this width on, a column is moved below the rows of a table that is too wide.
const LONG: usize = 24;
/// As deep as this, objects and lists of them are shown in lines of their own.
const MOST_DEPTH: usize = 8;

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
            Value::Object(fields) => self.fields(fields, "", 0),
            value => self.lines.push(cell("", value)),
        }
        self.lines.join("\n")
    }

    /// The fields of an object of this name, which may say their unit.
    fn fields(&mut self, fields: &Map<String, Value>, parent: &str, depth: usize) {
        let indent = "  ".repeat(depth);
        for (name, value) in fields {
            let heading = heading(name, &[Some(value)], |short| fields.contains_key(short));
            let heading = style::bold(format_args!("{heading}:"), self.bold);
            let name = match Unit::of(name) {
                Unit::None if value.is_number() => parent,
                _ => name,
            };
            match value {
                Value::Object(inner) if !inner.is_empty() && depth < MOST_DEPTH => {
                    self.lines.push(format!("{indent}{heading}"));
                    self.fields(inner, name, depth + 1);
                }
                Value::Array(entries) => match rows(entries) {
                    Some(rows) if depth < MOST_DEPTH => {
                        self.lines.push(format!("{indent}{heading}"));
                        self.table(&rows, depth + 1);
                    }
                    _ if entries.iter().any(is_long) => {
                        self.lines.push(format!("{indent}{heading}"));
                        for entry in entries {
                            self.lines.push(format!("{indent}  {}", cell("", entry)));
                        }
                    }
                    _ => self
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
        let columns = columns(rows).into_iter().enumerate();
        let columns = columns.map(|(place, name)| column(place, name, rows));
        let layout = Layout::new(columns.collect(), self.width.saturating_sub(indent.len()));
        let line = |cell: &dyn Fn(&Column) -> String| {
            let cells = layout.beside.iter();
            let cells: String = cells.map(|column| column.pad(&cell(column))).collect();
            format!("{indent}{}", cells.trim_end())
        };
        let header = line(&|column| column.heading.clone());
        self.lines.push(style::bold(header, self.bold));
        for (at, row) in rows.iter().enumerate() {
            self.lines.push(line(&|column| column.shown(at)));
            let more = layout.more.iter().filter(|one| !one.cell(at).is_empty());
            let more = more.map(|column| format!("{}: {}", column.heading, column.cell(at)));
            self.wrap(more, depth + 2);
            let cut = layout.beside.iter().filter(|column| column.is_cut(at));
            let below = cut.chain(&layout.below);
            let below = below.filter_map(|column| row.get_key_value(&column.name));
            let below = below.filter(|(_, value)| !is_empty(value));
            let below = below.map(|(name, value)| (name.clone(), value.clone()));
            self.fields(&below.collect(), "", depth + 2);
        }
    }

    /// Parts separated by semicolons, in as many lines as it takes.
    fn wrap(&mut self, parts: impl Iterator<Item = String>, depth: usize) {
        let indent = "  ".repeat(depth);
        let mut line = String::new();
        for part in parts {
            let width = indent.len() + line.chars().count() + part.chars().count();
            // A semicolon and a blank, and the semicolon of the next one.
            if !line.is_empty() && width + 3 > self.width {
                self.lines.push(format!("{indent}{line};"));
                line.clear();
            }
            if !line.is_empty() {
                line.push_str("; ");
            }
            line.push_str(&part);
        }
        if !line.is_empty() {
            self.lines.push(format!("{indent}{line}"));
        }
    }
}

/// Where the columns of a table are shown, in their order.
struct Layout {
    beside: Vec<Column>,
    /// In a line below each row.
    more: Vec<Column>,
    /// In lines of their own below each row.
    below: Vec<Column>,
}

impl Layout {
    fn new(columns: Vec<Column>, width: usize) -> Self {
        let (mut below, mut beside): (Vec<_>, Vec<_>) =
            columns.into_iter().partition(|column| column.is_nested);
        let is_too_wide = |beside: &[Column]| {
            let widths = beside.iter().map(|column| column.width.saturating_add(GAP));
            // The last column needs no gap after it.
            beside.len() > 1 && widths.sum::<usize>().saturating_sub(GAP) > width
        };
        while is_too_wide(&beside) {
            let widest = beside.iter().enumerate();
            let widest = widest.max_by_key(|(_, column)| column.width);
            match widest {
                Some((at, column)) if column.width > LONG => match beside.get_mut(at) {
                    Some(column) if column.has_few_long() => column.width = LONG,
                    _ => below.push(beside.remove(at)),
                },
                _ => break,
            }
        }
        let mut more = Vec::new();
        while is_too_wide(&beside) {
            more.extend(beside.pop());
        }
        more.reverse();
        below.sort_by_key(|column| column.place);
        Self {
            beside,
            more,
            below,
        }
    }
}

/// A column of a table.
struct Column {
    name: String,
    /// Its number among the columns.
    place: usize,
    heading: String,
    cells: Vec<String>,
    width: usize,
    is_number: bool,
    /// Whether a cell is an object or a list of objects.
    is_nested: bool,
}

impl Column {
    /// Whether most of the cells are not long.
    fn has_few_long(&self) -> bool {
        let long = (0..self.cells.len()).filter(|at| self.cell(*at).chars().count() > LONG);
        self.heading.chars().count() <= LONG && long.count() * 2 < self.cells.len()
    }

    /// Whether the cell of a row is cut off, and so has to be shown elsewhere, too.
    fn is_cut(&self, row: usize) -> bool {
        self.cell(row).chars().count() > self.width
    }

    /// The cell of a row, as far as there is room.
    fn shown(&self, row: usize) -> String {
        match self.is_cut(row) {
            true => {
                let start = self.cell(row).chars().take(self.width.saturating_sub(1));
                start.chain(['…']).collect()
            }
            false => self.cell(row).to_owned(),
        }
    }

    /// The cell of a row.
    fn cell(&self, row: usize) -> &str {
        self.cells.get(row).map_or("", String::as_str)
    }

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

fn column(place: usize, name: &str, rows: &[&Map<String, Value>]) -> Column {
    let values: Vec<_> = rows.iter().map(|row| row.get(name)).collect();
    let cells = values.iter();
    let cells: Vec<_> = cells
        .map(|value| value.map_or_else(String::new, |value| cell(name, value)))
        .collect();
    let heading = heading(name, &values, |short| {
        rows.iter().any(|row| row.contains_key(short))
    });
    let widths = cells.iter().chain([&heading]);
    let width = widths.map(|text| text.chars().count()).max();
    Column {
        width: width.unwrap_or_default(),
        is_number: values.iter().flatten().all(|value| value.is_number()),
        is_nested: values.iter().flatten().any(|value| is_nested(value)),
        name: name.to_owned(),
        place,
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

/// Whether a value says nothing below a row.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(entries) => entries.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn is_long(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.len() > 40)
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
             \x20 vmid  name      locked    uptime  memory_total  tags\n\
             \x20  100  web                              4.0 GiB  a, b\n\
             \x20 1001  database  yes     1 day 1h\n\
             total: 2"
        );
        assert_eq!(
            text(34, &value),
            "guests:\n\
             \x20 vmid  name      locked    uptime\n\
             \x20  100  web\n\
             \x20     memory_total: 4.0 GiB;\n\
             \x20     tags: a, b\n\
             \x20 1001  database  yes     1 day 1h\n\
             total: 2"
        );
    }

    #[test]
    fn what_does_not_fit_stands_below_its_row() {
        let upid = "UPID:pve1:0000012A:000A6040:6B0A83BE:aptupdate::root@pam!automation:";
        let value = json!({
            "tasks": [
                { "upid": upid, "node": "pve1", "type": "aptupdate", "exit_status": "OK" },
                { "upid": "UPID:pve2", "node": "pve2", "type": "vzdump" },
            ],
        });
        assert_eq!(
            text(40, &value),
            format!(
                "tasks:\n\
                 \x20 node  type       exit_status\n\
                 \x20 pve1  aptupdate  OK\n\
                 \x20     upid: {upid}\n\
                 \x20 pve2  vzdump\n\
                 \x20     upid: UPID:pve2"
            )
        );
    }

    /// One long name does not take the column from the others.
    #[test]
    fn a_long_cell_among_short_ones_is_cut() {
        let long = "x".repeat(40);
        let value = json!({
            "guests": [
                { "name": "web", "vmid": 100 },
                { "name": long, "vmid": 101 },
                { "name": "db", "vmid": 102 },
            ],
        });
        assert_eq!(
            text(40, &value),
            format!(
                "guests:\n\
                 \x20 name                      vmid\n\
                 \x20 web                        100\n\
                 \x20 {}…   101\n\
                 \x20     name: {long}\n\
                 \x20 db                         102",
                "x".repeat(23)
            )
        );
    }

    #[test]
    fn a_list_in_a_list_is_a_table_of_its_own() {
        let value = json!({
            "guests": [
                { "vmid": 101, "backups": [{ "volid": "a", "size_bytes": 1024 }], "count": 1 },
                { "vmid": 102, "backups": [], "count": 0 },
            ],
        });
        assert_eq!(
            text(usize::MAX, &value),
            "guests:\n\
             \x20 vmid  count\n\
             \x20  101      1\n\
             \x20     backups:\n\
             \x20       volid     size\n\
             \x20       a      1.0 KiB\n\
             \x20  102      0"
        );
    }

    #[test]
    fn numbers_have_the_unit_of_their_field() {
        let value = json!({
            "memory_used_bytes": { "max": 6_218_585_473.0 },
            "network_in_bytes_per_second": { "last": 1536 },
            "age_seconds": 1_209_600,
            "age_bytes": "none",
            "options": {},
            "total": 2,
            "total_bytes": 1024,
        });
        assert_eq!(
            text(usize::MAX, &value),
            "memory_used_bytes:\n  max: 5.8 GiB\n\
             network_in_bytes_per_second:\n  last: 1.5 KiB/s\nage: 14 days\nage_bytes: none\noptions: \ntotal: 2\n\
             total_bytes: 1.0 KiB"
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
}
