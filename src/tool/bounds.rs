//! Bounds of results: responses can have any length, but a model's context is
//! limited.
//!
//! Tools shorten what they expect to be long themselves, and `page` cuts the longest
//! list of a result. These bounds apply to all that is left: no result is larger than
//! [`MOST_BYTES`], the text that a model reads is no longer than the host allows, and
//! omissions are reported as `shortened`.

use serde_json::Value;

use super::room::{self, Room};
use crate::text;

/// The largest result, as JSON.
const MOST_BYTES: usize = 256 * 1024;

/// From this length on a text is cut. The output of a command is the longest
/// that a tool shows on purpose.
const LONG_TEXT: usize = 32 * 1024;

/// The same for a text in a list; a long SSH key has 3,000 characters.
const LONG_ENTRY: usize = 4_000;

/// What a text that is too long is cut to.
const CUT_TEXT: usize = 4_000;
const CUT_ENTRY: usize = 1_000;

/// The lengths to which texts are cut while the result is still too long, in this order:
/// texts of the result itself, texts in lists.
const SHORTER: [(usize, usize); 3] = [(LONG_TEXT, 300), (4_000, 300), (1_000, 100)];

/// What `shortened` itself needs at most, in bytes.
const NOTE_BYTES: usize = 400;

/// Maximum length of a result's text, in bytes.
const MOST_WORDS: usize = 32 * 1024;

/// Keeps the first of what there is, and notes how many there were: "100 of 340
/// disks are shown".
pub(crate) fn keep<T>(all: &mut Vec<T>, most: usize, what: &str, notes: &mut Vec<String>) {
    if all.len() > most {
        notes.push(format!("{most} of {} {what} are shown", all.len()));
        all.truncate(most);
    }
}

/// Whether [`shorten`] may find something in a result, judged by its JSON.
pub(super) fn may_be_long(json: &str, room: Room) -> bool {
    json.len() > room.bytes.min(MOST_BYTES / 2) || has_long_text(json)
}

fn has_long_text(json: &str) -> bool {
    if json.len() <= LONG_ENTRY {
        return false;
    }
    let (mut is_escaped, mut length) = (false, None);
    for byte in json.bytes() {
        length = match length {
            Some(length) if length > LONG_ENTRY => return true,
            None => (byte == b'"').then_some(0),
            Some(_) if byte == b'"' && !is_escaped => None,
            Some(length) => Some(length + 1),
        };
        is_escaped = byte == b'\\' && !is_escaped;
    }
    false
}

/// Shortens a result that is too long. Says what is missing.
pub(super) fn shorten(result: &mut Value, room: Room) -> Option<String> {
    let is_long =
        |result: &Value| room::json(result) > MOST_BYTES || room.exceeds(result, NOTE_BYTES);
    let mut cut = 0;
    cut_texts(
        result, false, LONG_TEXT, CUT_TEXT, LONG_ENTRY, CUT_ENTRY, &mut cut,
    );
    let mut parts = Vec::new();
    if !room.exceeds(result, 0) && room::json(result) <= MOST_BYTES {
        return said(cut, parts);
    }
    let mut dropped: Vec<(String, usize, usize)> = Vec::new();
    for (own, entry) in SHORTER {
        if is_long(result) {
            cut_texts(
                result,
                false,
                own,
                own.min(CUT_TEXT),
                entry,
                entry,
                &mut cut,
            );
        }
        // Each round halves a list; what is left has no long list.
        for _ in 0..64 {
            if !is_long(result) {
                break;
            }
            let Some((path, _)) = largest(result, "") else {
                break;
            };
            let Some(Value::Array(entries)) = result.pointer_mut(&path) else {
                break;
            };
            let all = entries.len();
            entries.truncate(all / 2);
            let kept = entries.len();
            match dropped.iter_mut().find(|(known, ..)| *known == path) {
                Some((_, shown, _)) => *shown = kept,
                None => dropped.push((path, kept, all)),
            }
        }
    }
    for (path, shown, all) in dropped {
        let name = path.rsplit('/').next().unwrap_or_default();
        parts.push(format!("{shown} of {all} {name} are shown"));
    }
    said(cut, parts)
}

fn said(cut: usize, mut parts: Vec<String>) -> Option<String> {
    if cut > 0 {
        parts.push(format!("{} cut, where … is", text::count(cut, "long text")));
    }
    (!parts.is_empty()).then(|| {
        format!(
            "the result was too long: {}; narrow the call, or lower its limit",
            parts.join(", ")
        )
    })
}

/// The words that go with a result, at a bearable length.
pub(crate) fn words(words: String) -> String {
    if words.len() <= MOST_WORDS {
        return words;
    }
    text::cut(&words, MOST_WORDS)
}

fn cut_texts(
    value: &mut Value,
    in_list: bool,
    long: usize,
    to: usize,
    long_entry: usize,
    entry_to: usize,
    cut: &mut usize,
) {
    match value {
        Value::String(text) => {
            let (long, to) = if in_list {
                (long_entry, entry_to)
            } else {
                (long, to)
            };
            if text.len() > long && text.chars().count() > long {
                *text = text::cut(text, to);
                *cut += 1;
            }
        }
        Value::Array(entries) => {
            for entry in entries {
                cut_texts(entry, true, long, to, long_entry, entry_to, cut);
            }
        }
        Value::Object(fields) => {
            for field in fields.values_mut() {
                cut_texts(field, in_list, long, to, long_entry, entry_to, cut);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The list that takes most room, of those with several entries.
fn largest(value: &Value, path: &str) -> Option<(String, usize)> {
    let inner = match value {
        Value::Array(entries) => entries
            .iter()
            .enumerate()
            .filter_map(|(index, entry)| largest(entry, &format!("{path}/{index}")))
            .max_by_key(|(_, size)| *size),
        Value::Object(fields) => fields
            .iter()
            .filter_map(|(key, field)| {
                let key = key.replace('~', "~0").replace('/', "~1");
                largest(field, &format!("{path}/{key}"))
            })
            .max_by_key(|(_, size)| *size),
        _ => None,
    };
    match value {
        Value::Array(entries) if entries.len() > 1 => {
            let own = room::json(value);
            match inner {
                // One entry may be nearly all of it.
                Some((path, size)) if size > own / 2 => Some((path, size)),
                _ => Some((path.to_owned(), own)),
            }
        }
        _ => inner,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::room::Layout;
    use proptest::prelude::*;
    use serde_json::json;

    const ROOM: Room = Room {
        bytes: MOST_BYTES,
        layout: Layout::Json,
    };

    #[test]
    fn a_usual_result_stays_as_it_is() {
        let usual = json!({"guests": vec![json!({"vmid": 100, "name": "web"}); 500], "stdout": "x".repeat(16_500)});
        let mut result = usual.clone();
        assert_eq!(shorten(&mut result, ROOM), None);
        assert_eq!(result, usual);
    }

    #[test]
    fn a_long_list_keeps_its_first_entries_and_says_so() {
        let rules: Vec<Value> = (0..5_000)
            .map(|position| json!({"position": position, "comment": "x".repeat(200)}))
            .collect();
        let mut result = json!({"rules": rules, "groups": [{"rules": [1, 2]}]});
        let said = shorten(&mut result, ROOM).unwrap();
        assert!(said.contains("of 5000 rules are shown"), "{said}");
        assert!(result.to_string().len() <= MOST_BYTES);
        assert_eq!(result["rules"][0]["position"], 0);
        assert_eq!(result["groups"][0]["rules"], json!([1, 2]));
    }

    #[test]
    fn a_long_text_is_cut() {
        let mut result =
            json!({"rules": [{"comment": "x".repeat(1 << 20)}], "notes": "y".repeat(1 << 20)});
        let said = shorten(&mut result, ROOM).unwrap();
        assert!(said.contains("2 long texts cut"), "{said}");
        assert!(result.to_string().len() < 10_000);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn no_result_of_lists_is_too_large(lists in prop::collection::vec((1usize..800, 0usize..2_000), 1..4)) {
            let mut result = Value::Object(
                lists
                    .iter()
                    .enumerate()
                    .map(|(name, (entries, length))| {
                        (name.to_string(), json!(vec![json!({"text": "x".repeat(*length)}); *entries]))
                    })
                    .collect(),
            );
            shorten(&mut result, ROOM);
            prop_assert!(result.to_string().len() <= MOST_BYTES);
        }
    }
}
