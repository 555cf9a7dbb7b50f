//! Bearer tokens with names: `NAME:TOKEN`, one on each line or separated by commas.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

/// A shorter token could be guessed.
const MIN_CHARS: usize = 32;
const MAX_NAME_CHARS: usize = 64;

const EMPTY: &str = "is empty: write an entry NAME:TOKEN for each client";

/// Tokens, of which only the digests are kept.
pub(super) struct Tokens(Vec<(Arc<str>, [u8; 32])>);

impl Tokens {
    /// Reads entries, at least one, and comments, which begin with `#`. The message of an
    /// error continues the name of their source, and holds nothing of a token.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let tokens = Self::parse_any(text)?;
        tokens.check()?;
        Ok(tokens)
    }

    /// Fails if there is none.
    pub(super) fn check(&self) -> Result<(), String> {
        match self.0.is_empty() {
            true => Err(EMPTY.to_owned()),
            false => Ok(()),
        }
    }

    /// The same as [`Self::parse`], even if there are only comments. A text without anything
    /// is more likely a file that is just being written.
    pub(super) fn parse_any(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err(EMPTY.to_owned());
        }
        let mut tokens: Vec<(Arc<str>, [u8; 32])> = Vec::new();
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.starts_with('#'));
        let entries = lines.flat_map(|line| line.split(',')).map(str::trim);
        for (at, entry) in entries.filter(|entry| !entry.is_empty()).enumerate() {
            let refused = |why: String| format!("has an entry (number {}) that {why}", at + 1);
            let (name, token) = entry.split_once(':').unwrap_or_default();
            let (name, token) = (name.trim(), token.trim());
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
            if name.is_empty() || name.len() > MAX_NAME_CHARS || !name.chars().all(plain) {
                return Err(refused(
                    "is not of the form NAME:TOKEN, with a name of letters, digits and ._-@"
                        .to_owned(),
                ));
            }
            if token.len() < MIN_CHARS || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(refused(format!(
                    "has no token of at least {MIN_CHARS} characters without spaces: `openssl rand \
                     -hex 32` makes one"
                )));
            }
            let digest = digest(token.as_bytes());
            if tokens.iter().any(|(_, known)| *known == digest) {
                return Err(refused("has the same token as another one".to_owned()));
            }
            tokens.push((name.into(), digest));
        }
        Ok(Self(tokens))
    }

    /// Whose token this is. Takes the same time whichever it is, and for one that is none.
    pub(super) fn user(&self, token: &[u8]) -> Option<Arc<str>> {
        let given = digest(token);
        let mut found = u32::MAX;
        for (at, (_, known)) in (0_u32..).zip(&self.0) {
            let is_same: Choice = given.ct_eq(known);
            found = u32::conditional_select(&found, &at, is_same);
        }
        let (name, _) = self.0.get(usize::try_from(found).ok()?)?;
        Some(Arc::clone(name))
    }
}

fn digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "0123456789abcdef0123456789abcdef";
    const TWO: &str = "fedcba9876543210:fedcba9876543210";

    #[test]
    fn entries_are_on_lines_or_separated_by_commas() {
        for text in [
            format!("a:{ONE}\nb:{TWO}\n"),
            format!("# tokens\r\n a : {ONE} \r\n\r\nb:{TWO}"),
            format!("a:{ONE}, b:{TWO},"),
        ] {
            let tokens = Tokens::parse(&text).unwrap();
            let user = |token: &str| tokens.user(token.as_bytes());
            assert_eq!(user(ONE).as_deref(), Some("a"));
            assert_eq!(user(TWO).as_deref(), Some("b"));
            for other in ["", "a", &ONE[1..], &format!("{ONE}0")] {
                assert_eq!(user(other), None, "{other}");
            }
        }
    }

    #[test]
    fn problems_are_named_without_the_token() {
        for (text, why) in [
            (String::new(), "is empty"),
            ("# nothing".to_owned(), "is empty"),
            (ONE.to_owned(), "NAME:TOKEN"),
            (format!(":{ONE}"), "NAME:TOKEN"),
            (format!("a b:{ONE}"), "NAME:TOKEN"),
            (format!("a:{}", &ONE[1..]), "32 characters"),
            (format!("a:{ONE} {ONE}"), "32 characters"),
            (format!("a:{ONE},b:{ONE}"), "number 2"),
        ] {
            let problem = Tokens::parse(&text).map(drop).unwrap_err();
            assert!(problem.contains(why), "{text}: {problem}");
            assert!(!problem.contains("456789"), "{problem}");
        }
    }
}
