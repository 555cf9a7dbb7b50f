//! The name of a token's user, for the log, the audit log, sessions and limits.

use std::fmt::Write as _;

use crate::digest::Digest;

/// OpenID Connect allows no more.
const MAX_SUBJECT_BYTES: usize = 255;
/// A longer name would be cut in the audit log.
const MAX_NAME_BYTES: usize = 200;
/// What remains of a longer name before and behind a digest of it: the policy may name
/// users by how their names begin or end, such as by their issuer.
const START_CHARS: usize = 46;
const END_CHARS: usize = 120;
const DIGEST_DIGITS: usize = 32;

/// The name of a subject, different for all subjects: `oauth:SUBJECT`, or
/// `oauth:SUBJECT#ISSUER` where there are several issuers. The colon keeps it apart from the
/// names of static tokens. None if the subject is empty or too long.
pub(super) fn user(subject: &str, issuer: Option<&str>) -> Option<String> {
    if subject.is_empty() || subject.len() > MAX_SUBJECT_BYTES {
        return None;
    }
    let mut name = "oauth:".to_owned();
    encode(subject, &mut name);
    if let Some(issuer) = issuer {
        name.push('#');
        name.push_str(issuer);
    }
    if name.len() > MAX_NAME_BYTES {
        let digest = Digest::of(name.as_bytes()).to_string();
        let digest: String = digest.chars().take(DIGEST_DIGITS).collect();
        let start: String = name.chars().take(START_CHARS).collect();
        let from = name.chars().count().saturating_sub(END_CHARS);
        let end: String = name.chars().skip(from).collect();
        // The sign is in no other name.
        name = format!("{start}~{digest}~{end}");
    }
    Some(name)
}

/// Percent-encodes what could end a name in a log, or is not visible there.
fn encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        let is_plain = byte.is_ascii_alphanumeric() || b"-._:|@/+,".contains(&byte);
        match is_plain {
            true => into.push(char::from(byte)),
            // Writing to a string does not fail.
            false => drop(write!(into, "%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact;

    #[test]
    fn subjects_have_different_and_harmless_names() {
        for (subject, name) in [
            ("alice", "oauth:alice"),
            ("alice@example.com", "oauth:alice@example.com"),
            ("auth0|5f7c8ec7", "oauth:auth0|5f7c8ec7"),
            (
                "8a7f3c1e-aaaa-4bbb-8ccc-0123456789ab",
                "oauth:8a7f3c1e-aaaa-4bbb-8ccc-0123456789ab",
            ),
            ("a b\n\u{202e}%~#", "oauth:a%20b%0A%E2%80%AE%25%7E%23"),
        ] {
            let user = user(subject, None).unwrap();
            assert_eq!(user, name);
            assert_eq!(redact::text(&user), name);
        }
        let issuer = "https://id.example.com/realms/a";
        let name = "oauth:alice@example.com#https://id.example.com/realms/a";
        assert_eq!(user("alice@example.com", Some(issuer)).unwrap(), name);
        assert_eq!(redact::text(name), name);
    }

    #[test]
    fn long_names_are_cut_and_still_different() {
        let long = |end: &str| user(&format!("{}{end}", "x".repeat(250)), None).unwrap();
        assert_ne!(long("a"), long("b"));
        assert!(long("a").len() <= MAX_NAME_BYTES);
        // Nobody can have a subject that is named like the short form of another one.
        let short = long("a");
        let subject = short.strip_prefix("oauth:").unwrap();
        assert_ne!(user(subject, None).unwrap(), short);
        assert_eq!(user("", None), None);
        assert_eq!(user(&"x".repeat(256), None), None);
    }
}
