//! Bounds of results: responses can have any length, but a model's context is
//! limited.
//!
//! Tools shorten what they expect to be long themselves, and `page` cuts the longest
//! list of a result. These bounds apply to all that is left: no result is larger than its
//! [`Room`], and omissions are reported as `shortened`.

use serde_json::Value;

use super::page::Part;
use super::room::{self, Room};
use crate::text;

/// From this length on a text is cut. The output of a command is the longest
/// that a tool shows on purpose.
const LONG_TEXT: usize = 32 * 1024;

/// The same for a text in a list; a long SSH key has 3,000 characters.
const LONG_ENTRY: usize = 4_000;

/// What a text that is too long is cut to.
const CUT_TEXT: usize = 4_000;
const CUT_ENTRY: usize = 1_000;

/// The lengths to which texts are cut while the result is still too long, in this order:
/// texts of the result itself, at least to what the room leaves, and texts in lists.
const SHORTER: [(usize, usize); 2] = [(CUT_TEXT, 300), (1_000, 100)];

/// Lists whose last entries are the newest.
const LOGS: [&str; 2] = ["log", "lines"];

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
    json.len() > room.surely() || has_long_text(json)
}

fn has_long_text(json: &str) -> bool {
    if json.len() <= LONG_ENTRY {
        return false;
    }
    let mut length = 0;
    json.split('"').any(|part| {
        length += part.len();
        let is_long = length > LONG_ENTRY;
        let backslashes = part.len() - part.trim_end_matches('\\').len();
        // A quote behind an odd number of them belongs to the text.
        if backslashes.is_multiple_of(2) {
            length = 0;
        }
        is_long
    })
}

/// Shortens a result that is too long: its texts, then what is not of the paged list and
/// takes more than its share, then the paged list. Returns whether the list is another one,
/// and says what else is missing.
pub(super) fn shorten(
    result: &mut Value,
    part: Option<Part>,
    room: Room,
) -> (bool, Option<String>) {
    let mut cuts = Cuts::default();
    cuts.texts(result, Some((LONG_TEXT, CUT_TEXT)), (LONG_ENTRY, CUT_ENTRY));
    let mut is_fitted = false;
    if room.excess(result, 0) > 0 {
        if let Some(part) = part {
            if let Some(list) = result.pointer_mut(part.list()).map(Value::take) {
                cuts.shrink(result, room.beside(&list));
                if let Some(place) = result.pointer_mut(part.list()) {
                    *place = list;
                }
            }
            is_fitted = part.fit(result, room);
        }
        cuts.shrink(result, room);
    }
    (is_fitted, cuts.said())
}

/// What is missing of a result.
#[derive(Default)]
struct Cuts {
    /// In lists, or longer than any.
    texts: usize,
    /// The names of others.
    own: Vec<String>,
    /// Each list, how many entries are shown, and of how many.
    lists: Vec<(String, usize, usize)>,
}

impl Cuts {
    /// Shortens what there is until it fits.
    fn shrink(&mut self, result: &mut Value, room: Room) {
        if room.excess(result, 0) == 0 {
            return;
        }
        for (own, entry) in SHORTER {
            if room.excess(result, NOTE_BYTES) > 0 {
                self.texts(result, None, (entry, entry));
            }
            self.own_texts(result, room, own);
            self.halve_lists(result, room);
        }
    }

    /// Cuts the longest texts that are in no list by what does not fit.
    fn own_texts(&mut self, result: &mut Value, room: Room, least: usize) {
        for _ in 0..64 {
            let excess = room.excess(result, NOTE_BYTES);
            let text = longest(result, "").filter(|_| excess > 0);
            let Some((name, text)) = text.filter(|(_, text)| text.chars().count() > least) else {
                return;
            };
            let chars = text.chars().count();
            let left_out = chars.saturating_mul(excess) / text.len().max(1);
            let most = chars.saturating_sub(left_out + 2).max(least);
            *text = text::cut_middle(text, most);
            if !self.own.iter().any(|known| known == name) {
                self.own.push(name.to_owned());
            }
        }
    }

    /// Each round halves a list; what is left has no long list.
    fn halve_lists(&mut self, result: &mut Value, room: Room) {
        for _ in 0..64 {
            if room.excess(result, NOTE_BYTES) == 0 {
                break;
            }
            let Some((path, _)) = largest(result, "") else {
                break;
            };
            let Some(Value::Array(entries)) = result.pointer_mut(&path) else {
                break;
            };
            let all = entries.len();
            let kept = all / 2;
            match LOGS.contains(&last_name(&path)) {
                true => drop(entries.drain(..all - kept)),
                false => entries.truncate(kept),
            }
            match self.lists.iter_mut().find(|(known, ..)| *known == path) {
                Some((_, shown, _)) => *shown = kept,
                None => self.lists.push((path, kept, all)),
            }
        }
    }

    fn said(self) -> Option<String> {
        let mut parts = Vec::new();
        for (path, shown, all) in self.lists {
            let name = last_name(&path);
            parts.push(match LOGS.contains(&name) {
                true => format!("the last {shown} of {all} lines are shown"),
                false => format!("{shown} of {all} {name} are shown"),
            });
        }
        let cut = self.texts + self.own.len();
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

    /// Cuts texts longer than the first number of characters to the second: those in no
    /// list, and those in lists.
    fn texts(&mut self, value: &mut Value, own: Option<(usize, usize)>, entry: (usize, usize)) {
        match value {
            Value::String(text) => {
                if let Some((long, to)) = own
                    && text.len() > long
                    && text.chars().count() > long
                {
                    *text = text::cut_middle(text, to);
                    self.texts += 1;
                }
            }
            Value::Array(entries) => {
                for value in entries {
                    self.texts(value, Some(entry), entry);
                }
            }
            Value::Object(fields) => {
                for field in fields.values_mut() {
                    self.texts(field, own, entry);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

fn last_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// The longest text that is in no list, and its name.
fn longest<'a>(value: &'a mut Value, name: &'a str) -> Option<(&'a str, &'a mut String)> {
    match value {
        Value::String(text) => Some((name, text)),
        Value::Object(fields) => fields
            .iter_mut()
            .filter_map(|(name, field)| longest(field, name))
            .max_by_key(|(_, text)| text.len()),
        _ => None,
    }
}

/// The words that go with a result, at a bearable length.
pub(crate) fn words(words: String) -> String {
    if words.len() <= MOST_WORDS {
        return words;
    }
    text::cut(&words, MOST_WORDS)
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
    use crate::tool::page::{Offset, Page};
    use crate::tool::room::{Layout, MOST_BYTES};
    use proptest::prelude::*;
    use serde_json::json;

    fn room(bytes: usize) -> Room {
        Room::new(bytes, Layout::Json)
    }

    fn shortened(result: &mut Value) -> Option<String> {
        shorten(result, None, room(MOST_BYTES)).1
    }

    #[test]
    fn a_usual_result_stays_as_it_is() {
        let usual = json!({"guests": vec![json!({"vmid": 100, "name": "web"}); 500], "stdout": "x".repeat(16_500)});
        let mut result = usual.clone();
        assert_eq!(shortened(&mut result), None);
        assert_eq!(result, usual);
    }

    #[test]
    fn a_long_list_keeps_its_first_entries_and_says_so() {
        let rules: Vec<Value> = (0..5_000)
            .map(|position| json!({"position": position, "comment": "x".repeat(200)}))
            .collect();
        let mut result = json!({"rules": rules, "groups": [{"rules": [1, 2]}]});
        let said = shortened(&mut result).unwrap();
        assert!(said.contains("of 5000 rules are shown"), "{said}");
        assert!(result.to_string().len() <= MOST_BYTES);
        assert_eq!(result["rules"][0]["position"], 0);
        assert_eq!(result["groups"][0]["rules"], json!([1, 2]));
    }

    #[test]
    fn a_long_text_is_cut() {
        let mut result =
            json!({"rules": [{"comment": "x".repeat(1 << 20)}], "notes": "y".repeat(1 << 20)});
        let said = shortened(&mut result).unwrap();
        assert!(said.contains("2 long texts cut"), "{said}");
        assert!(result.to_string().len() < 10_000);
    }

    #[test]
    fn of_a_log_and_of_an_output_the_end_stays() {
        let lines: Vec<String> = (0..1_000).map(|line| format!("line {line}")).collect();
        let stdout = format!("first {} last", "x".repeat(16_000));
        let mut result = json!({"start": {"log": lines}});
        let (_, said) = shorten(&mut result, None, room(8_000));
        assert!(said.unwrap().contains("the last 500 of 1000 lines"));
        let log = result["start"]["log"].as_array().unwrap();
        assert_eq!(log.last().unwrap(), "line 999");

        let mut result = json!({"stdout": stdout, "exit_code": 1});
        let (_, said) = shorten(&mut result, None, room(15_000));
        assert!(said.unwrap().contains("1 long text cut"));
        let length = result.to_string().len();
        assert!((14_000..=15_000).contains(&length), "{length}");
        let stdout = result["stdout"].as_str().unwrap();
        assert!(stdout.starts_with("first x") && stdout.ends_with("x last"));
    }

    #[test]
    fn what_is_beside_the_paged_list_leaves_it_half_of_the_room() {
        let others: Vec<Value> = (0..2_000)
            .map(|pos| json!({"pos": pos, "to": "y"}))
            .collect();
        for beside in [
            json!({"group_rules": others}),
            json!({"notes": "y".repeat(30_000)}),
        ] {
            let mut rules: Vec<Value> = (0..300).map(|rule| json!({"rule": rule})).collect();
            let page = Page::new(Some(Offset(0)), Some(200), 50);
            let part = page.cut(&mut rules, "/rules", "");
            let mut result = json!({"rules": rules, "beside": beside, "hint": part.note()});
            let (_, said) = shorten(&mut result, Some(part), room(5_000));
            assert!(said.is_some() && result.to_string().len() <= 5_000);
            let shown = result["rules"].as_array().unwrap().len();
            assert!(shown > 100, "{shown}: {result}");
            let hint = result["hint"].as_str().unwrap();
            assert!(hint.contains(&format!("set offset to {shown}")), "{hint}");
        }
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
            shortened(&mut result);
            prop_assert!(result.to_string().len() <= MOST_BYTES);
        }
    }
}
