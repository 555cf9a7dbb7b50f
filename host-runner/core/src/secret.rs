//! A value that must not be seen.

use std::fmt;

use bytes::Bytes;
use zeroize::Zeroizing;

/// Text that no log, error or debug print shows, and that is wiped from memory
/// when it is dropped.
#[derive(Clone)]
pub(crate) struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over.
    pub(crate) fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Whether this holds for the text.
    pub(crate) fn is_a(&self, holds: impl FnOnce(&str) -> bool) -> bool {
        holds(&self.0)
    }

    /// The text, for a moment.
    pub(crate) fn expose<T>(&self, to: impl FnOnce(&str) -> T) -> T {
        to(&self.0)
    }

    /// `prefix` and the secret, in bytes that are wiped too. They can back a
    /// header value without being copied.
    pub(crate) fn expose_after(&self, prefix: &str) -> Bytes {
        let mut text = Zeroizing::new(Vec::with_capacity(prefix.len() + self.0.len()));
        text.extend_from_slice(prefix.as_bytes());
        text.extend_from_slice(self.0.as_bytes());
        Bytes::from_owner(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        let secret = Secret::new("8a7f-secret".to_owned());
        let shown = format!("{secret:?} {:?}", Some(&secret));
        assert!(!shown.contains("8a7f"), "{shown}");
    }

    #[test]
    fn is_exposed_after_a_prefix() {
        let secret = Secret::new("s".to_owned());
        assert_eq!(secret.expose_after("a=").as_ref(), b"a=s");
    }
}
