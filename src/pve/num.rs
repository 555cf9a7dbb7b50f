//! Values that Proxmox sends now as a number, now as a string.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::Value;

/// A number that may arrive as a string: `2048`, `"2048"`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub(crate) struct Num<T>(pub(crate) T);

impl<'de, T: FromStr> Deserialize<'de> for Num<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let text = match &value {
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.trim().to_owned(),
            Value::Bool(flag) => u8::from(*flag).to_string(),
            _ => return Err(D::Error::custom("not a number")),
        };
        // An integer may come as `12.0` or, in status calls, as `1e9`.
        text.parse()
            .or_else(|_| {
                let float: f64 = text.parse().map_err(|_| ())?;
                format!("{float:.0}").parse().map_err(|_| ())
            })
            .map(Num)
            .map_err(|()| D::Error::custom(format!("not a number: {text:?}")))
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
            Value::Number(number) => Ok(Self(number.to_string())),
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
        assert!(serde_json::from_str::<Num<u64>>(r#""abc""#).is_err());
    }

    #[test]
    fn flags_in_any_dress() {
        let flags: Vec<Flag> = serde_json::from_str(r#"[1, "1", true, "on"]"#).unwrap();
        assert!(flags.iter().all(|flag| flag.0));
        let flags: Vec<Flag> = serde_json::from_str(r#"[0, "0", false, "", null]"#).unwrap();
        assert!(flags.iter().all(|flag| !flag.0));
    }
}
