//! Prints what a command has found, in the format of `-o`.

mod cell;
pub(super) mod style;
pub(super) mod table;

use std::io::{self, IsTerminal as _};

use serde_json::Value;

use super::{CommandError, print};
use crate::cli::{Format, OutputArgs};
use crate::render;

/// Prints a value, for which a person reads this text.
pub(super) fn show(
    output: &OutputArgs,
    value: &Value,
    text: impl FnOnce() -> String,
) -> Result<(), CommandError> {
    show_as(output.format(), value, text)
}

/// The same in this format.
pub(super) fn show_as(
    format: Format,
    value: &Value,
    text: impl FnOnce() -> String,
) -> Result<(), CommandError> {
    match format {
        Format::Table => print_text(&text()),
        Format::Json => structured(Format::Json, value),
        Format::Yaml => structured(Format::Yaml, value),
    }
}

/// Prints the result of a tool: `json` is its text. In a pipe, that text is printed as it is.
pub(super) fn show_result(
    output: &OutputArgs,
    json: &str,
    value: &Value,
) -> Result<(), CommandError> {
    match output.format() {
        Format::Table => print(&table::of(value)),
        Format::Json if !io::stdout().is_terminal() => print(json),
        format => structured(format, value),
    }
}

/// Prints a value as JSON or YAML, as a table where that is the format.
pub(super) fn structured(format: Format, value: &Value) -> Result<(), CommandError> {
    let text = match format {
        Format::Table => return print(&table::of(value)),
        Format::Json => format!("{value:#}"),
        Format::Yaml => yaml(value)?,
    };
    match io::stdout().is_terminal() {
        true => print_text(&text),
        false => print(&text),
    }
}

/// Prints a text in which nothing acts on a terminal.
pub(super) fn print_text(text: &str) -> Result<(), CommandError> {
    print(&render::for_terminal(text))
}

fn yaml(value: &Value) -> Result<String, CommandError> {
    let text = serde_saphyr::to_string(value);
    let text = text.map_err(|error| CommandError::Io(io::Error::other(error.to_string())))?;
    Ok(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A reader of YAML 1.1, as most are, takes some plain texts for something else.
    #[test]
    fn yaml_keeps_the_kind_of_each_value() {
        let text = yaml(&json!({
            "yes": "no", "off": "on", "number": "100", "float": "1e3", "octal": "0o17",
            "hex": "0x1f", "null": "null", "tilde": "~", "empty": "", "date": "2026-11-28",
            "colon": "a: b", "hash": "a #b", "dash": "- a", "star": "*a", "lines": "a\nb\n",
            "space": " a ", "quote": "\"a'", "time": "12:30:45", "special": "%a", "at": "@a",
            "control": "a\u{1b}[2J", "list": [], "object": {}, "n": 3, "b": true,
        }))
        .unwrap();
        println!("{text}");
        for plain in [
            "no",
            "on",
            "100",
            "1e3",
            "0x1f",
            "null",
            "~",
            "2026-11-28",
            "12:30:45",
        ] {
            for line in text.lines() {
                assert!(!line.ends_with(&format!(": {plain}")), "{line}");
            }
        }
        assert!(
            text.contains("\"n\": 3") && text.contains("b: true"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}
