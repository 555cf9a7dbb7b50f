//! Tables: of JSON objects, for a person to read, and in Markdown.

use serde_json::Value;

/// The chosen fields of each row, one column each; a field that no row has is
/// left out. Units are read from the fields' names.
pub(crate) fn render(rows: &[Value], fields: &[&str]) -> String {
    let fields: Vec<&str> = fields
        .iter()
        .copied()
        .filter(|field| rows.iter().any(|row| !row_field(row, field).is_null()))
        .collect();
    let mut lines: Vec<Vec<String>> = vec![fields.iter().map(|field| title(field)).collect()];
    for row in rows {
        lines.push(
            fields
                .iter()
                .map(|field| shown(field, row_field(row, field)))
                .collect(),
        );
    }
    let widths: Vec<usize> = (0..fields.len())
        .map(|column| {
            lines
                .iter()
                .filter_map(|line| line.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for line in lines {
        let mut row = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            row.push_str(&format!("  {cell:<width$}"));
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

/// A table in Markdown.
pub(crate) fn markdown(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for row in rows {
        let cells: Vec<String> = row.iter().map(|text| cell(text)).collect();
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}

/// A text as [`markdown`] writes it into a cell.
pub(crate) fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn row_field<'a>(row: &'a Value, field: &str) -> &'a Value {
    row.get(field).unwrap_or(&Value::Null)
}

/// `memory_used_bytes` is titled `memory used`.
fn title(field: &str) -> String {
    let bare = ["_bytes", "_percent", "_seconds"]
        .iter()
        .find_map(|unit| field.strip_suffix(unit))
        .unwrap_or(field);
    bare.replace('_', " ")
}

fn shown(field: &str, value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => {
            let amount = number.as_f64().unwrap_or_default();
            if field.ends_with("_bytes") {
                bytes(amount)
            } else if field.ends_with("_percent") {
                format!("{amount:.1} %")
            } else if field.ends_with("_seconds") {
                duration(amount)
            } else {
                number.to_string()
            }
        }
        Value::Array(items) => items
            .iter()
            .map(|item| match item {
                // An address is its own best description.
                Value::Object(object) => object
                    .get("address")
                    .map_or_else(|| item.to_string(), |address| shown("", address)),
                other => shown("", other),
            })
            .collect::<Vec<_>>()
            .join(", "),
        Value::Object(_) => value.to_string(),
    }
}

/// A size in binary units.
pub(crate) fn bytes(amount: f64) -> String {
    let mut amount = amount;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if amount < 1024.0 {
            let digits = if unit == "B" { 0 } else { 1 };
            return format!("{amount:.digits$} {unit}");
        }
        amount /= 1024.0;
    }
    format!("{amount:.1} TiB")
}

fn duration(seconds: f64) -> String {
    let minutes = seconds / 60.0;
    let hours = minutes / 60.0;
    if hours >= 48.0 {
        format!("{:.0} days", hours / 24.0)
    } else if minutes >= 120.0 {
        format!("{hours:.0} h")
    } else if seconds >= 120.0 {
        format!("{minutes:.0} min")
    } else {
        format!("{seconds:.0} s")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cell_of_markdown_may_contain_a_bar() {
        let row = ["a|b", "c"].map(str::to_owned).to_vec();
        assert_eq!(
            markdown(&["one", "two"], [row]),
            "| one | two |\n|---|---|\n| a\\|b | c |\n"
        );
    }

    #[test]
    fn units_are_read_from_the_names() {
        let rows = [
            json!({"vmid": 100, "memory_bytes": 2_147_483_648_u64, "cpu_percent": 12.34}),
            json!({"vmid": 101, "memory_bytes": 512, "tags": ["a", "b"]}),
        ];
        let text = render(
            &rows,
            &["vmid", "memory_bytes", "cpu_percent", "tags", "pool"],
        );
        assert_eq!(
            text,
            "  vmid  memory   cpu     tags\n\
             \x20 100   2.0 GiB  12.3 %  -\n\
             \x20 101   512 B    -       a, b\n"
        );
    }
}
