//! How names and numbers are written.

/// A number as anyone writes it: Perl takes `00` for true and for zero.
pub fn whole(text: &str) -> Option<u64> {
    let plain = is_number(text) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

pub(crate) fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

pub(crate) fn is_word(text: &str, also: &[u8]) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || also.contains(&b))
}

fn starts_with_letter(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
}

/// A part of a DNS name, which a node's name is: letters, digits and hyphens, at
/// most 63, not with a hyphen at either end.
pub fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_word(text, b"-") && !text.starts_with('-') && !text.ends_with('-')
}

/// Labels, separated by dots.
pub fn is_dns_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// A storage's name: a letter, then letters, digits, `-`, `_` and `.`, 2 to 100
/// characters that end with a letter or digit.
pub fn is_storage(text: &str) -> bool {
    (2..=100).contains(&text.len())
        && starts_with_letter(text)
        && is_word(text, b"-_.")
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// A pool's name: letters, digits, `-`, `_` and `.`, in up to three levels that
/// `/` separates.
pub fn is_pool(text: &str) -> bool {
    text.split('/').count() <= 3 && text.split('/').all(|part| is_word(part, b"-_."))
}

/// What Proxmox calls a configid, such as a snapshot's name: a letter, then
/// letters, digits, `-` and `_`, 2 to 40 characters.
pub fn is_config_id(text: &str) -> bool {
    (2..=40).contains(&text.len()) && starts_with_letter(text) && is_word(text, b"-_")
}
