//! Values that Proxmox sends now as a number, now as a string.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::Value;

/// A number that may arrive as a string: `2048`, `"2048"`. An integer may come
/// as `12.0`, as `1e9` or with a fraction, which is rounded.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub(crate) struct Num<T>(pub(crate) T);

impl<'de, T: FromStr> Deserialize<'de> for Num<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Value::deserialize(deserializer)? {
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.trim().to_owned(),
            Value::Bool(flag) => u8::from(flag).to_string(),
            _ => return Err(D::Error::custom("not a number")),
        };
        // `NaN` and `inf` are numbers to Rust.
        let float = text
            .parse::<f64>()
            .ok()
            .filter(|float| float.is_finite())
            .ok_or_else(|| D::Error::custom("not a number"))?;
        // Adding 0 makes a plain one of a negative 0.
        text.parse()
            .or_else(|_| format!("{}", float.round() + 0.0).parse())
            .map(Num)
            .map_err(|_| D::Error::custom("a number out of range"))
    }
}

/// A boolean as `0`, `1`, `"1"` or `true`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Flag(pub(crate) bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Value::deserialize(deserializer)? {
            Value::Bool(flag) => flag,
            Value::Number(number) => number.as_f64().is_some_and(|number| number != 0.0),
            Value::String(text) => matches!(text.as_str(), "1" | "on" | "yes" | "true"),
            _ => false,
        }))
    }
}

/// Text that may arrive as a number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Text(pub(crate) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text)),
            // A whole number may come as `2.0`.
            Value::Number(number) => {
                let text = number.to_string();
                let whole = text.strip_suffix(".0").map(str::to_owned);
                Ok(Self(whole.unwrap_or(text)))
            }
            Value::Bool(flag) => Ok(Self(u8::from(flag).to_string())),
            _ => Err(D::Error::custom("not a text")),
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_any_dress() {
        let numbers: Vec<Num<u64>> =
            serde_json::from_str(r#"[2048, "2048", 2048.0, "2048.0"]"#).unwrap();
        assert!(numbers.iter().all(|number| number.0 == 2048));
        let load: Vec<Num<f64>> = serde_json::from_str(r#"["2.91", 1]"#).unwrap();
        assert_eq!(load, [Num(2.91), Num(1.0)]);
        let rounded: Vec<Num<u64>> =
            serde_json::from_str(r#"["1.5e3", 1499.7, "-0.2", 18446744073709551615]"#).unwrap();
        assert_eq!(rounded, [Num(1500), Num(1500), Num(0), Num(u64::MAX)]);
    }

    #[test]
    fn impossible_numbers_are_refused() {
        for text in [
            r#""abc""#, r#""""#, "-1", "null", "3.7e19", "[]", r#""NaN""#, r#""inf""#,
        ] {
            assert!(serde_json::from_str::<Num<u64>>(text).is_err(), "{text}");
        }
        for text in [r#""nan""#, r#""-Infinity""#, "null"] {
            assert!(serde_json::from_str::<Num<f64>>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_whole_number_reads_as_one() {
        let texts: Vec<Text> = serde_json::from_str(r#"["2.0", 2.0, 2, 2.5, true]"#).unwrap();
        let texts: Vec<&str> = texts.iter().map(|text| text.0.as_str()).collect();
        assert_eq!(texts, ["2.0", "2", "2", "2.5", "1"]);
    }

    #[test]
    fn flags_in_any_dress() {
        let flags: Vec<Flag> = serde_json::from_str(r#"[1, "1", true, "on"]"#).unwrap();
        assert!(flags.iter().all(|flag| flag.0));
        let flags: Vec<Flag> = serde_json::from_str(r#"[0, "0", false, "", null]"#).unwrap();
        assert!(flags.iter().all(|flag| !flag.0));
    }
}
