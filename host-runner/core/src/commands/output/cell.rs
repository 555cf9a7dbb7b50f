//! A value as a person reads it: in one line, with units.

use std::time::Duration;

use serde_json::Value;

use crate::render;

/// What a number counts, by the name of its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Bytes,
    BytesPerSecond,
    Seconds,
    None,
}

impl Unit {
    const ALL: [(&str, Self); 3] = [
        ("_bytes", Self::Bytes),
        ("_bytes_per_second", Self::BytesPerSecond),
        ("_seconds", Self::Seconds),
    ];

    pub(super) fn of(name: &str) -> Self {
        let mut all = Self::ALL.iter();
        all.find(|(end, _)| name.ends_with(end))
            .map_or(Self::None, |(_, unit)| *unit)
    }
}

/// The name of a field, without its unit where its cells say it, unless that is the name of
/// another field.
pub(super) fn heading(
    name: &str,
    values: &[Option<&Value>],
    is_taken: impl Fn(&str) -> bool,
) -> String {
    let says_unit = |value: &&Value| value.is_number() || value.is_null();
    let mut ends = Unit::ALL.iter();
    match ends.find_map(|(end, _)| name.strip_suffix(end)) {
        Some(short) if values.iter().flatten().all(says_unit) && !is_taken(short) => plain(short),
        _ => plain(name),
    }
}

/// The value of a field of this name.
pub(super) fn cell(name: &str, value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number_cell(name, number),
        Value::String(text) => plain(text),
        Value::Array(entries) if !is_nested(value) => {
            let cells: Vec<_> = entries.iter().map(|entry| cell("", entry)).collect();
            cells.join(", ")
        }
        Value::Object(fields) if fields.is_empty() => String::new(),
        value => plain(&value.to_string()),
    }
}

fn number_cell(name: &str, number: &serde_json::Number) -> String {
    let whole = number.as_f64().filter(|value| *value >= 0.0);
    let whole = number.as_u64().or(whole.map(|value| value.round() as u64));
    match (Unit::of(name), whole) {
        (Unit::Bytes, Some(bytes)) => size(bytes),
        (Unit::BytesPerSecond, Some(bytes)) => format!("{}/s", size(bytes)),
        (Unit::Seconds, Some(seconds)) => duration(seconds),
        _ if number.is_f64() => {
            let text = format!("{:.2}", number.as_f64().unwrap_or_default());
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
    let parts = text.split(' ').take(2).map(|part| {
        let at = part.find(|c: char| !c.is_ascii_digit());
        let (number, unit) = part.split_at(at.unwrap_or(part.len()));
        match unit.len() {
            // Such as `2h`, but `9 days`.
            0..=2 => part.to_owned(),
            _ => format!("{number} {unit}"),
        }
    });
    parts.collect::<Vec<_>>().join(" ")
}

/// A text in one line, in which nothing acts on a terminal.
pub(super) fn plain(text: &str) -> String {
    render::for_terminal(text).replace('\n', "\\n")
}

/// Whether a value is an object, or a list with objects in it.
pub(super) fn is_nested(value: &Value) -> bool {
    match value {
        Value::Object(_) => true,
        Value::Array(entries) => entries
            .iter()
            .any(|entry| entry.is_object() || entry.is_array()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
