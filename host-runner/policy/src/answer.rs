//! Reads an answer of Proxmox, `{"data": …}`, without ever holding much more
//! than its text: as values it could take a hundred times as much.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Values that a line of a list may consist of. Proxmox sends about thirty.
const MAX_LINE_VALUES: usize = 4_000;
/// Values that an answer other than a list may consist of.
const MAX_VALUES: usize = 100_000;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The value of `data`.
    pub data: Data,
    /// How long the list is of which it holds a part.
    pub total: Option<u64>,
}

/// The value of `data` in an answer.
#[derive(Debug)]
pub(crate) enum Data {
    /// A list, whose lines have been handed out.
    Lines,
    /// Anything else.
    Whole(Value),
}

/// Reads a response; `line` gets each line, if it is a list. `None` if it is not a
/// valid response of Proxmox.
pub(crate) fn read(text: &[u8], line: impl FnMut(Value)) -> Option<Answer> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let answer = reader.deserialize_map(Outer { line }).ok()?;
    reader.end().ok()?;
    Some(answer)
}

struct Outer<F> {
    line: F,
}

impl<'de, F: FnMut(Value)> Visitor<'de> for Outer<F> {
    type Value = Answer;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an answer")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Answer, A::Error> {
        let (mut data, mut total) = (None, None);
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                // Of two, one reader takes the first, another the last.
                "data" if data.is_some() => return Err(A::Error::custom("two of data")),
                "data" => data = Some(map.next_value_seed(Inner(&mut self.line))?),
                "total" => total = map.next_value()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let data = data.ok_or_else(|| A::Error::custom("no data"))?;
        Ok(Answer { data, total })
    }
}

struct Inner<'a, F>(&'a mut F);

impl<'de, F: FnMut(Value)> DeserializeSeed<'de> for Inner<'_, F> {
    type Value = Data;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Data, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de, F: FnMut(Value)> Visitor<'de> for Inner<'_, F> {
    type Value = Data;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("data")
    }

    fn visit_unit<E>(self) -> Result<Data, E> {
        Ok(Data::Whole(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut lines: A) -> Result<Data, A::Error> {
        loop {
            let mut left = MAX_LINE_VALUES;
            match lines.next_element_seed(Bounded(&mut left))? {
                Some(line) => self.0(line),
                None => return Ok(Data::Lines),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Data, A::Error> {
        let mut left = MAX_VALUES;
        Bounded(&mut left).visit_map(map).map(Data::Whole)
    }
}

/// Reads a value, as long as there are values left.
struct Bounded<'a>(&'a mut usize);

impl Bounded<'_> {
    fn take<E: Error>(&mut self) -> Result<(), E> {
        *self.0 = self
            .0
            .checked_sub(1)
            .ok_or_else(|| E::custom("too many values"))?;
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(mut self, reader: D) -> Result<Value, D::Error> {
        self.take()?;
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(Bounded(self.0))? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(name) = map.next_key()? {
            values.insert(name, map.next_value_seed(Bounded(self.0))?);
        }
        Ok(Value::Object(values))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines(text: &str) -> Option<(Vec<Value>, Answer)> {
        let mut lines = Vec::new();
        let answer = read(text.as_bytes(), |line| lines.push(line))?;
        Some((lines, answer))
    }

    #[test]
    fn lists_come_line_by_line() {
        let text = r#"{"data":[{"a":[1,-2,0.5,null,true,"x"]},7],"total":9,"message":{"b":[]}}"#;
        let (lines, answer) = lines(text).unwrap();
        assert_eq!(
            lines,
            [json!({"a": [1, -2, 0.5, null, true, "x"]}), json!(7)]
        );
        assert!(matches!(answer.data, Data::Lines));
        assert_eq!(answer.total, Some(9));
    }

    #[test]
    fn everything_else_comes_whole() {
        for (text, data) in [
            (r#"{"data":null}"#, json!(null)),
            (r#"{"data":{"a":{"b":1}}}"#, json!({"a": {"b": 1}})),
        ] {
            let (_, answer) = lines(text).unwrap();
            assert!(matches!(answer.data, Data::Whole(whole) if whole == data));
        }
    }

    #[test]
    fn what_proxmox_never_says_is_refused() {
        let deep = format!(r#"{{"data":[{}"#, "[".repeat(1_000_000));
        let wide = format!(r#"{{"data":[[{}0]]}}"#, "0,".repeat(MAX_LINE_VALUES));
        let broad = format!(r#"{{"data":{{"a":[{}0]}}}}"#, "{},".repeat(MAX_VALUES));
        for text in [
            "",
            "[]",
            "{}",
            r#"{"data":[]"#,
            r#"{"data":[]}x"#,
            r#"{"data":7}"#,
            r#"{"data":[1],"data":[2]}"#,
            r#"{"data":[],"total":"x"}"#,
            &deep,
            &wide,
            &broad,
        ] {
            let start: String = text.chars().take(40).collect();
            assert!(lines(text).is_none(), "{start}");
        }
    }
}
