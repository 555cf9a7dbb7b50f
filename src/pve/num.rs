//! Values that Proxmox sends now as a number, now as a string.

use std::fmt;
use std::str::FromStr;

use pve_api::Vmid;
use serde::de::{self, Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// A number that may arrive as a string: `2048`, `"2048"`. An integer may come
/// as `12.0`, as `1e9` or with a fraction, which is rounded.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub(crate) struct Num<T>(pub(crate) T);

/// A type of [`Num`].
pub(crate) trait Numeric: FromStr {
    /// A whole number as this type, if it has it: most numbers are whole, and
    /// this takes no text of them.
    fn whole(number: u64) -> Option<Self>;
}

macro_rules! numeric {
    ($($integer:ty)*) => {
        $(impl Numeric for $integer {
            fn whole(number: u64) -> Option<Self> {
                number.try_into().ok()
            }
        })*
    };
}

numeric!(u8 u16 u32 u64 i64);

impl Numeric for f64 {
    fn whole(number: u64) -> Option<Self> {
        Some(number as Self)
    }
}

impl Numeric for Vmid {
    fn whole(number: u64) -> Option<Self> {
        Self::new(number.try_into().ok()?)
    }
}

impl<'de, T: Numeric> Deserialize<'de> for Num<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match deserializer.deserialize_any(ScalarVisitor)? {
            Scalar::Whole(number) => match T::whole(number) {
                Some(number) => return Ok(Self(number)),
                None => number.to_string(),
            },
            Scalar::Other(text) => text,
        };
        // `NaN` and `inf` are numbers to Rust.
        let float = text
            .parse::<f64>()
            .ok()
            .filter(|float| float.is_finite())
            .ok_or_else(|| D::Error::custom(NOT_A_NUMBER))?;
        // Adding 0 makes a plain one of a negative 0.
        text.parse()
            .or_else(|_| format!("{}", float.round() + 0.0).parse())
            .map(Num)
            .map_err(|_| D::Error::custom("a number out of range"))
    }
}

const NOT_A_NUMBER: &str = "not a number";

/// What a number may be sent as.
enum Scalar {
    Whole(u64),
    Other(String),
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar::Whole(number))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Scalar, E> {
        Ok(match u64::try_from(number) {
            Ok(number) => Scalar::Whole(number),
            Err(_) => Scalar::Other(number.to_string()),
        })
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Scalar, E> {
        Ok(Scalar::Other(number.to_string()))
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Scalar, E> {
        Ok(Scalar::Whole(flag.into()))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Other(text.trim().to_owned()))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Scalar, E> {
        Err(E::custom(NOT_A_NUMBER))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Scalar, A::Error> {
        Err(A::Error::custom(NOT_A_NUMBER))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Scalar, A::Error> {
        Err(A::Error::custom(NOT_A_NUMBER))
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
            _ => Err(D::Error::custom("not a string")),
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
