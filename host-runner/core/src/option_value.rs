//! How options of the command line read their values, where clap would not say what to write.

use std::ffi::OsStr;
use std::str::FromStr;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Command, Error};

/// A whole number of this type, which may be zero.
pub(crate) fn whole<T: FromStr>(text: &str) -> Result<T, String> {
    number(text, "")
}

/// A whole number of this type, which cannot be zero.
pub(crate) fn positive<T: FromStr>(text: &str) -> Result<T, String> {
    number(text, " of at least 1")
}

fn number<T: FromStr>(text: &str, least: &str) -> Result<T, String> {
    let is_whole = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().map_err(
        |_| match is_whole && text.bytes().any(|byte| byte != b'0') {
            true => "is too large: write a smaller number".to_owned(),
            false => format!("must be a whole number{least}, without a unit"),
        },
    )
}

/// Reads a value by a function whose errors name what can be written, and offers the names to
/// the completion of shells.
#[derive(Clone)]
pub(crate) struct Named<T> {
    parse: fn(&str) -> Result<T, String>,
    names: Vec<&'static str>,
}

impl<T: FromStr<Err = String>> Named<T> {
    /// One of these values, by its name.
    pub(crate) fn of(all: &[(T, &'static str)]) -> Self {
        let names = all.iter().map(|(_, name)| *name);
        Self::by(T::from_str, names)
    }
}

impl<T> Named<T> {
    /// What the function reads; there may be more than the names.
    pub(crate) fn by(
        parse: fn(&str) -> Result<T, String>,
        names: impl IntoIterator<Item = &'static str>,
    ) -> Self {
        let names = names.into_iter().collect();
        Self { parse, names }
    }
}

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Named<T> {
    type Value = T;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<T, Error> {
        self.parse.parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.names.iter().map(PossibleValue::new)))
    }
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU32, NonZeroUsize};

    use super::*;

    #[test]
    fn numbers_say_what_to_write() {
        assert_eq!(whole::<u64>("0"), Ok(0));
        assert_eq!(
            positive::<NonZeroU32>("7"),
            Ok(NonZeroU32::MIN.saturating_add(6))
        );
        for text in ["0", "lots", "64MiB", "-1", "1.5", ""] {
            let error = positive::<NonZeroUsize>(text).unwrap_err();
            assert!(
                error.contains("a whole number of at least 1"),
                "{text}: {error}"
            );
        }
        let error = positive::<NonZeroU32>("4294967296").unwrap_err();
        assert!(error.contains("too large"), "{error}");
        assert!(
            whole::<u32>("x")
                .unwrap_err()
                .contains("a whole number, without")
        );
    }
}
