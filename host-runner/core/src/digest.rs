//! SHA-256 digests, as people read and type them.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest([u8; 32]);

/// Why a text is not a digest. The messages continue the name of the setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DigestError {
    /// One of SHA-1.
    #[error("is a SHA-1 digest: give the SHA-256 digest, which has 64 hexadecimal digits")]
    Sha1,
    /// Neither that nor one of SHA-256.
    #[error("is not a SHA-256 digest, which has 64 hexadecimal digits")]
    Other,
}

impl Digest {
    /// The digest of these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of a JSON value, which does not depend on the order of members.
    pub(crate) fn of_json(value: &Value) -> Self {
        let mut text = String::new();
        write_sorted(value, &mut text);
        Self::of(text.as_bytes())
    }

    /// Reads hexadecimal digits in either case, with colons between the bytes
    /// or without.
    pub(crate) fn parse(text: &str) -> Result<Self, DigestError> {
        let pairs: Vec<&[u8]> = if text.contains(':') {
            text.split(':').map(str::as_bytes).collect()
        } else {
            text.as_bytes().chunks(2).collect()
        };
        let bytes: Option<Vec<u8>> = pairs.into_iter().map(byte).collect();
        let bytes = bytes.ok_or(DigestError::Other)?;
        match <[u8; 32]>::try_from(bytes.as_slice()) {
            Ok(digest) => Ok(Self(digest)),
            Err(_) if bytes.len() == 20 => Err(DigestError::Sha1),
            Err(_) => Err(DigestError::Other),
        }
    }

    /// The digest itself.
    #[cfg(feature = "compiler")]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// As Proxmox VE and OpenSSL show a certificate's: `AA:BB:…`.
    pub(crate) fn with_colons(&self) -> String {
        let bytes: Vec<_> = self.0.iter().map(|byte| format!("{byte:02X}")).collect();
        bytes.join(":")
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// JSON without spaces, the members of each object in the order of their names.
fn write_sorted(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<_, _> = members.iter().collect();
            text.push('{');
            for (index, (name, value)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&Value::String(name.clone()).to_string());
                text.push(':');
                write_sorted(value, text);
            }
            text.push('}');
        }
        Value::Array(entries) => {
            text.push('[');
            for (index, entry) in entries.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_sorted(entry, text);
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

fn byte(digits: &[u8]) -> Option<u8> {
    let &[high, low] = digits else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_it_is_written() {
        let digest = Digest::of(b"certificate");
        let plain = digest.to_string();
        let colons = digest.with_colons();
        assert_eq!((plain.len(), colons.len()), (64, 95));
        for text in [
            &plain,
            &colons,
            &plain.to_uppercase(),
            &colons.to_lowercase(),
        ] {
            assert_eq!(Digest::parse(text), Ok(digest), "{text}");
        }
        assert_eq!(format!("{digest:?}"), format!("Digest({plain})"));
    }

    #[test]
    fn json_has_one_digest_whatever_its_order() {
        let of = |text: &str| Digest::of_json(&serde_json::from_str(text).unwrap());
        let digest = of(r#"{"b": [1, {"d": null, "c": "x"}], "a": true}"#);
        assert_eq!(digest, of(r#"{"a":true,"b":[1,{"c":"x","d":null}]}"#));
        let canonical = br#"{"a":true,"b":[1,{"c":"x","d":null}]}"#;
        assert_eq!(digest, Digest::of(canonical));
        assert_ne!(digest, of(r#"{"a":true,"b":[{"c":"x","d":null},1]}"#));
    }

    #[test]
    fn anything_else_is_refused() {
        let digest = Digest::of(b"");
        let plain = digest.to_string();
        let colons = digest.with_colons();
        for text in [
            "",
            ":",
            "abc",
            "zz",
            "sha256",
            &plain[1..],
            &plain[2..],
            &format!("{plain}00"),
            &format!("{colons}:"),
            &format!(":{colons}"),
            &colons.replacen(':', "", 1),
            &colons.replacen(':', "::", 1),
            &plain.replacen(|_: char| true, "g", 1),
            &plain.replacen(|_: char| true, "+", 1),
            &plain.replacen(|_: char| true, "é", 1),
        ] {
            assert_eq!(Digest::parse(text), Err(DigestError::Other), "{text}");
        }
        let sha1 = vec!["AB"; 20].join(":");
        assert_eq!(Digest::parse(&sha1), Err(DigestError::Sha1));
        assert_eq!(Digest::parse(&plain[..40]), Err(DigestError::Sha1));
    }
}
