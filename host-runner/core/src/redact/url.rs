//! Secrets in URLs: users with their passwords, and signed links.

use super::name::{HIDDEN, is_secret_name};
use super::token::{is_uuid, split};

/// The user and password in URLs, read as browsers do: between the slashes
/// behind the scheme and the last `@` before the next slash.
pub(super) fn hide_userinfo(text: &str) -> String {
    const ENDS: [char; 4] = ['/', '\\', '?', '#'];
    let mut out = String::with_capacity(text.len());
    for segment in text.split_inclusive(ENDS) {
        let Some((user, host)) = segment.rsplit_once('@') else {
            out.push_str(segment);
            continue;
        };
        let before = out.trim_end_matches(['/', '\\']);
        let slashes = out.len() - before.len();
        let start = if slashes >= 2 || (slashes == 1 && ends_with_scheme(before)) {
            Some(0)
        } else {
            // Browsers take a URL without slashes too.
            let colons = user.match_indices(':').map(|(at, _)| at);
            colons
                .filter(|at| user.get(..*at).is_some_and(ends_with_web_scheme))
                .map(|at| at + 1)
                .find(|start| {
                    let user = user.get(*start..).unwrap_or_default();
                    !user.starts_with(char::is_whitespace)
                })
        };
        match start.and_then(|start| user.get(..start)) {
            Some(start) => {
                out.push_str(start);
                out.push_str(HIDDEN);
            }
            None => out.push_str(user),
        }
        out.push('@');
        out.push_str(host);
    }
    out
}

/// Values in the query of a URL that give access: signatures of links that
/// expire, keys, and whatever looks random.
pub(super) fn hide_signatures(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['?', '&']) {
        let (before, query) = split(rest, at + 1);
        out.push_str(before);
        rest = query;
        let Some((name, value)) = query.split_once('=') else {
            continue;
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '%');
        if name.is_empty() || !name.chars().all(is_plain) {
            continue;
        }
        let ends =
            |c: char| c.is_whitespace() || matches!(c, '&' | '#' | '"' | '\'' | '<' | '>' | ')');
        let length = value.find(ends).unwrap_or(value.len());
        let (value, after) = split(value, length);
        if !value.is_empty() && (is_signature(name) || is_random(value)) {
            out.push_str(name);
            out.push('=');
            out.push_str(HIDDEN);
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

fn is_signature(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let parts = ["sig", "hmac", "credential", "accesskey", "auth", "policy"];
    parts.iter().any(|part| name.contains(part)) || name == "code" || is_secret_name(&name)
}

/// Long, of letters and digits without a word's breaks.
fn is_random(value: &str) -> bool {
    let is_code =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'%' | b'+' | b'/' | b'=' | b'_');
    is_uuid(value)
        || (value.len() >= 24
            && value.bytes().all(is_code)
            && value.bytes().any(|b| b.is_ascii_digit())
            && value.bytes().any(|b| b.is_ascii_alphabetic()))
}

fn ends_with_scheme(text: &str) -> bool {
    text.strip_suffix(':').is_some_and(ends_with_web_scheme)
}

/// One for which any number of slashes will do.
fn ends_with_web_scheme(text: &str) -> bool {
    ["http", "https", "ftp", "ws", "wss"].iter().any(|scheme| {
        let start = text.len().checked_sub(scheme.len());
        let end = start.and_then(|start| text.get(start..));
        end.is_some_and(|end| end.eq_ignore_ascii_case(scheme))
    })
}
