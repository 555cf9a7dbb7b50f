//! Secrets in a text: private keys, and what follows the name of a secret.

use super::name::{HIDDEN, is_secret_name};
use super::token::{is_ticket, is_uuid, split};
use super::url::{hide_signatures, hide_userinfo};

/// A text of any kind: without private keys, the user part of URLs, tickets,
/// tokens, and what follows a name such as `password=`.
pub(crate) fn text(text: &str) -> String {
    hide_named(&hide_signatures(&hide_userinfo(&hide_keys(text))))
}

/// Private keys in PEM form, also where they are percent-encoded.
fn hide_keys(text: &str) -> String {
    const BEGIN: &str = "-----BEGIN";
    const END: &str = "-----END";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, key)) = rest.split_once(BEGIN) {
        out.push_str(before);
        let label = key.split("-----").next().unwrap_or_default();
        if !label.to_ascii_uppercase().contains("PRIVATE") {
            out.push_str(BEGIN);
            rest = key;
            continue;
        }
        out.push_str(HIDDEN);
        // Behind the dashes that end the last line.
        rest = key
            .split_once(END)
            .and_then(|(_, end)| end.split_once("-----"))
            .map_or("", |(_, rest)| rest);
    }
    out.push_str(rest);
    out
}

/// What follows the name of a secret, and tokens and tickets of Proxmox.
fn hide_named(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        let start = rest.find(is_name).unwrap_or(rest.len());
        let (before, after) = split(rest, start);
        out.push_str(before);
        if after.is_empty() {
            return out;
        }
        let end = after.find(|c| !is_name(c)).unwrap_or(after.len());
        let (name, after) = split(after, end);
        let is_token = out.ends_with('!');
        out.push_str(name);
        rest = after;
        let identifies = name.eq_ignore_ascii_case("by") && ends_with_identified(&out);
        let Some(value) = Assigned::find(name, after)
            .or_else(|| Assigned::quoted(after))
            .or_else(|| Assigned::word(after).filter(|_| identifies))
        else {
            continue;
        };
        let (lead, assigned) = split(after, value.start);
        // The letter of `\n` belongs to no name.
        let escaped = out
            .strip_suffix(name)
            .is_some_and(|out| out.ends_with('\\'));
        let bare = name.strip_prefix(['n', 'r', 't']).filter(|_| escaped);
        let length = if identifies || bare.is_some_and(is_secret_name) || is_secret_name(name) {
            value.length(assigned)
        } else if (is_token && is_uuid(assigned)) || is_ticket(name, assigned) {
            word(assigned).len()
        } else {
            continue;
        };
        let (hidden, after) = split(assigned, length);
        out.push_str(lead);
        if !hidden.is_empty() {
            out.push_str(HIDDEN);
        }
        rest = after;
    }
}

/// Where the value of a name starts, and how it may end.
struct Assigned {
    start: usize,
    /// It may hold spaces, as in `password: correct horse`.
    is_loose: bool,
}

impl Assigned {
    fn find(name: &str, after: &str) -> Option<Self> {
        // The name's own closing quote, perhaps escaped.
        let unquoted = after.trim_start_matches(['\\', '"', '\'', ']']);
        let spaced = unquoted.trim_start_matches([' ', '\t']);
        let value = spaced.trim_start_matches([':', '=']);
        let separator = split(spaced, spaced.len() - value.len()).0;
        let value = match separator {
            "=" | ":=" | "==" => value,
            separator if separator.contains([':', '=']) => value.strip_prefix('>').unwrap_or(value),
            // As an option of a command: `--password hush`.
            _ if name.starts_with('-') && spaced.len() < unquoted.len() => value,
            _ => return None,
        };
        let trimmed = value.trim_start_matches([' ', '\t']);
        let is_spaced = trimmed.len() < value.len() || spaced.len() < unquoted.len();
        Some(Self {
            start: after.len() - trimmed.len(),
            is_loose: separator.contains(':') || (is_spaced && !separator.is_empty()),
        })
    }

    /// As in SQL: `password 'hush'`, `PASSWORD('hush')`.
    fn quoted(after: &str) -> Option<Self> {
        let value = after.trim_start_matches([' ', '\t', '(']);
        let opens = value.trim_start_matches('\\').starts_with(['"', '\'']);
        (opens && value.len() < after.len()).then_some(Self {
            start: after.len() - value.len(),
            is_loose: false,
        })
    }

    /// The next word.
    fn word(after: &str) -> Option<Self> {
        let value = after.trim_start();
        (value.len() < after.len()).then_some(Self {
            start: after.len() - value.len(),
            is_loose: false,
        })
    }

    fn length(&self, value: &str) -> usize {
        match value.chars().next() {
            Some(quote @ ('"' | '\'')) => quoted(value, quote),
            // An escaped quote, whose end is unknown.
            Some('\\') => value.len(),
            _ if !self.is_loose => word(value).len(),
            _ => {
                let line = value.split('\n').next().unwrap_or_default();
                let is_block = matches!(line.trim(), "" | "-") || line.starts_with(['|', '>']);
                let (_, next) = split(value, line.len() + 1);
                if is_block && next.starts_with([' ', '\t', '-']) {
                    value.len()
                } else {
                    line.len()
                }
            }
        }
    }
}

/// Whether a text ends in `identified by`, or in `identified with … by`.
fn ends_with_identified(text: &str) -> bool {
    let from = text.floor_char_boundary(text.len().saturating_sub(100));
    let end = text.get(from..).unwrap_or_default();
    end.to_ascii_lowercase().contains("identified")
}

fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.')
}

fn word(text: &str) -> &str {
    text.split(char::is_whitespace).next().unwrap_or_default()
}

/// The length of a text in quotes, and of what a shell would add to it.
fn quoted(text: &str, quote: char) -> usize {
    let mut open = Some(quote);
    let mut is_escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        if std::mem::take(&mut is_escaped) {
            continue;
        }
        match (open, character) {
            (_, '\\') => is_escaped = true,
            (Some(quote), character) if character == quote => open = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => open = Some(character),
            (None, character) if character.is_whitespace() => return at,
            (None, _) => {}
        }
    }
    text.len()
}
