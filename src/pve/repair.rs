//! Repairs what is not quite JSON.
//!
//! Perl's encoder writes `nan` and `inf` as they are, and passes on what a
//! plugin put into a text.

use serde_json::Number;

/// The same text as JSON, where it is not: numbers that cannot be become null,
/// and what must not be in a string is escaped. Nothing where there is nothing
/// to repair.
pub(super) fn repair(text: &str) -> Option<String> {
    let mut repaired = String::with_capacity(text.len());
    let mut changed = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = if c == '"' {
            let end = end_of_string(rest);
            changed |= string(rest.get(..end).unwrap_or(rest), &mut repaired);
            end
        } else if is_word(c) {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let word = rest.get(..end).unwrap_or(rest);
            let odd = is_number(word) && serde_json::from_str::<Number>(word).is_err();
            repaired.push_str(if odd { "null" } else { word });
            changed |= odd;
            end
        } else {
            repaired.push(c);
            c.len_utf8()
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    changed.then_some(repaired)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')
}

/// Whether it is meant as a number.
fn is_number(word: &str) -> bool {
    let digits = word.trim_start_matches(['+', '-', '.']);
    digits.starts_with(|c: char| c.is_ascii_digit())
        || ["nan", "inf", "infinity"]
            .iter()
            .any(|name| digits.eq_ignore_ascii_case(name))
}

/// How long the string is that a text begins with, quotes included.
fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Writes a string; whether it had to be changed.
fn string(text: &str, repaired: &mut String) -> bool {
    let mut changed = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let mut length = c.len_utf8();
        if c == '\\' {
            let (escape, taken, good) = escape(rest);
            repaired.push_str(&escape);
            length = taken;
            changed |= !good;
        } else if c < ' ' {
            repaired.push_str(&format!("\\u{:04x}", u32::from(c)));
            changed = true;
        } else {
            repaired.push(c);
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    changed
}

/// The escape sequence that a text begins with as JSON has it, how long it was,
/// and whether it was so already.
fn escape(text: &str) -> (String, usize, bool) {
    let unit = |from: usize| -> Option<u32> {
        let digits = text.get(from..from + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(digits, 16).ok()
    };
    let keep = |length: usize| (text.get(..length).unwrap_or(text).to_owned(), length, true);
    match text.chars().nth(1) {
        Some('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't') => keep(2),
        Some('u') => match (unit(0), unit(6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => keep(12),
            // Half of a character.
            (Some(0xd800..=0xdfff), _) => ("\\ufffd".into(), 6, false),
            (Some(_), _) => keep(6),
            (None, _) => ("\\\\".into(), 1, false),
        },
        _ => ("\\\\".into(), 1, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn what_cannot_be_a_number_becomes_null() {
        let text = r#"{"a":nan,"b":-inf,"c":1e999,"d":[Infinity,-2.5e3,07],"e":"nan"}"#;
        let repaired: Value = serde_json::from_str(&repair(text).unwrap()).unwrap();
        assert_eq!(
            repaired,
            json!({"a": null, "b": null, "c": null, "d": [null, -2500.0, null], "e": "nan"})
        );
    }

    #[test]
    fn strings_are_escaped() {
        let text = "{\"a\":\"x\ty\",\"b\":\"\\ud83d!\",\"c\":\"\\x\",\"d\":\"\\ud83d\\ude00\\n\"}";
        let repaired: Value = serde_json::from_str(&repair(text).unwrap()).unwrap();
        assert_eq!(
            repaired,
            json!({"a": "x\ty", "b": "\u{fffd}!", "c": "\\x", "d": "\u{1f600}\n"})
        );
    }

    proptest! {
        #[test]
        fn json_is_left_alone(text in any::<String>(), number in any::<f64>()) {
            prop_assert_eq!(repair(&json!([text, number, {"a": true}]).to_string()), None);
        }

        #[test]
        fn any_text_is_safe(text in "[\"\\\\u0-9a-f{}\\[\\],: \n]{0,40}") {
            let _ = repair(&text);
        }
    }
}
