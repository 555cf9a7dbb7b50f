//! The most that a model may read of one result.
//!
//! The component cuts its lists so that the text of a result fits: it knows the argument
//! that continues a list and those that narrow it. What is longer all the same is cut
//! here, between two rows or lines, and says so.

use crate::settings::{Detail, ResultTokens};

/// How many bytes of a text count as one token at most.
///
/// Tables of numbers, times and identifiers are the text with the most tokens: as
/// cl100k_base counts, those of `list_tasks` and `get_cluster_log` have 2.0 bytes per
/// token, a list of guests 2.3, JSON 2.4 to 3.6, and prose more than 4.
const BYTES_PER_TOKEN: usize = 2;

/// The most bytes of a result that no model reads.
const UNREAD_BYTES: usize = 256 * 1024;

/// The least that one of several results gets.
const MIN_BYTES: usize = 2_000;

/// How long the text of a result may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ceiling {
    bytes: usize,
    tokens: Option<ResultTokens>,
}

impl Ceiling {
    /// Of a result that a model reads.
    pub(crate) fn of_model(tokens: ResultTokens) -> Self {
        Self {
            bytes: tokens.get() * BYTES_PER_TOKEN,
            tokens: Some(tokens),
        }
    }

    /// Of a result that this program or a person reads.
    pub(crate) fn unread() -> Self {
        Self {
            bytes: UNREAD_BYTES,
            tokens: None,
        }
    }

    /// Of each of so many results that are read together.
    pub(crate) fn shared_by(self, count: usize) -> Self {
        Self {
            bytes: (self.bytes / count.max(1)).max(MIN_BYTES),
            ..self
        }
    }

    /// The variables of its environment from which the component learns of it.
    pub(crate) fn environment(self, detail: Detail) -> Vec<(String, String)> {
        let tables = (detail == Detail::Concise).to_string();
        vec![
            (
                "PROXMOX_MCP_RESULT_BYTES".to_owned(),
                self.bytes.to_string(),
            ),
            ("PROXMOX_MCP_RESULT_TABLES".to_owned(), tables),
        ]
    }

    /// The text, or the beginning of one that is too long, with the names of the arguments
    /// by which the call can be narrowed, which are asked for only then.
    pub(crate) fn cut(self, mut text: String, arguments: impl FnOnce() -> Vec<String>) -> String {
        let Some(tokens) = self.tokens.filter(|_| text.len() > self.bytes) else {
            return text;
        };
        let narrow = match arguments().as_slice() {
            [] => String::new(),
            names => format!("; to narrow it, use {}", names.join(", ")),
        };
        let note = format!(
            "\n(cut here: the result has {} bytes, and the limit is {} tokens{narrow})",
            text.len(),
            tokens.get()
        );
        text.truncate(end_of_row(&text, self.bytes.saturating_sub(note.len())));
        text.push_str(&note);
        text
    }
}

/// The end of the last whole line within `most` bytes or, in JSON, of the last object or
/// string of a list.
fn end_of_row(text: &str, most: usize) -> usize {
    let most = text.floor_char_boundary(most);
    let start = text.get(..most).unwrap_or_default();
    let whole = |end: Option<usize>| end.filter(|end| *end > most / 2);
    let line = whole(start.rfind('\n'));
    let object = || whole(start.rfind("},").map(|at| at + 1));
    let entry = || whole(start.rfind("\",").map(|at| at + 1));
    line.or_else(object).or_else(entry).unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: String, arguments: &[&str]) -> String {
        let tokens = ResultTokens::parse("1000").unwrap();
        Ceiling::of_model(tokens).cut(text, || {
            arguments.iter().map(|name| (*name).to_owned()).collect()
        })
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        let text = "x".repeat(2_000);
        assert_eq!(cut(text.clone(), &["limit"]), text);
        let long = "x".repeat(UNREAD_BYTES * 2);
        assert_eq!(Ceiling::unread().cut(long.clone(), Vec::new), long);
    }

    #[test]
    fn what_is_longer_ends_between_two_rows() {
        let rows = |row: &str| row.repeat(1_500);
        for (text, row) in [
            (rows("  100|web|running\n"), "  100|web|running"),
            (rows("{\"vmid\":100},"), "{\"vmid\":100}"),
            (rows("\"a line\","), "\"a line\""),
            (rows("\u{e4}"), "\u{e4}"),
        ] {
            let shown = cut(text, &["limit", "node"]);
            assert!(shown.len() <= 2_000, "{}", shown.len());
            let (before, note) = shown.rsplit_once('\n').unwrap();
            assert!(before.ends_with(row), "{shown}");
            assert!(
                note.contains("1000 tokens") && note.contains("limit, node"),
                "{note}"
            );
        }
    }
}
