//! Typed reads of JSON.
//!
//! Every type that is read compiles its code once, for this reader alone, and
//! structs are read from objects only. With serde_json's deserializer behind
//! serde_path_to_error, the component would be a third larger. An error says
//! where the odd value is, and never quotes it: a value may be a password.
//!
//! The reader accepts all JSON. It also accepts numbers that are not quite JSON, such
//! as `007` and `1.`; and of a value that no type reads, it checks the texts, words
//! and numbers, but not the order of its brackets, commas and colons.

/// The methods of a `Deserializer` that read numbers of any other type as it reads a
/// `u64`: the visitor checks the range.
macro_rules! read_numbers_alike {
    () => {
        read_numbers_alike! {
            deserialize_u8 deserialize_u16 deserialize_u32
            deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
            deserialize_f32 deserialize_f64
        }
    };
    ($($method:ident)+) => {
        $(
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
                self.deserialize_u64(visitor)
            }
        )+
    };
}

mod access;
pub(crate) mod fields;
mod writer;

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Expected, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Value;

use self::access::{Entries, Fields, Variant, not_a_name};
pub(crate) use self::writer::{Unwritten, write};
pub(crate) use proxmox_mcp_derive::{DeserializeFields, SerializeFields};

/// Numbers of at most so many digits fit into 64 bits.
const SMALL_DIGITS: usize = 19;

/// How deep lists and objects may be nested, as in serde_json.
const MOST_NESTED: u8 = 128;

/// Reads a value from text that contains nothing else.
pub(crate) fn read<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, Wrong> {
    let mut reader = Reader::new(text);
    let value = T::deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// JSON of any shape; null where it is none.
pub(crate) fn value(json: &[u8]) -> Value {
    // serde_json has other code for bytes.
    let text = std::str::from_utf8(json).unwrap_or_default();
    serde_json::from_str(text).unwrap_or_default()
}

/// A place in JSON text, from which values are read.
pub(crate) struct Reader<'de> {
    text: &'de str,
    at: usize,
    nested: u8,
}

/// Where a value is within the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Index(usize),
    Key(String),
}

/// What a type found wrong. It holds no text from the data but the names of
/// fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong(Box<Details>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Details {
    /// From the inside out.
    path: Vec<Step>,
    message: String,
}

enum Number {
    Positive(u64),
    Negative(i64),
    Float(f64),
}

impl Number {
    fn visit<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Self::Positive(number) => visitor.visit_u64(number),
            Self::Negative(number) => visitor.visit_i64(number),
            Self::Float(number) => visitor.visit_f64(number),
        }
    }
}

impl Wrong {
    fn new(message: String) -> Self {
        Self(Box::new(Details {
            path: Vec::new(),
            message,
        }))
    }

    /// The text is not JSON, or is not to be read any further.
    pub(crate) fn not_json() -> Self {
        Self::new("not JSON".to_owned())
    }

    #[cold]
    fn within(mut self, step: Step) -> Self {
        self.0.path.push(step);
        self
    }

    /// Where it is, and what is wrong with it: `an integer, expected a string`
    /// where it is the value's type, in serde's words for a type.
    pub(crate) fn into_parts(self) -> (Vec<Step>, String) {
        let Details { mut path, message } = *self.0;
        path.reverse();
        (path, message)
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Wrong {}

impl de::Error for Wrong {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("{}, expected {expected}", kind(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Self::new(format!(
            "an unknown value, expected one of {}",
            known.join(", ")
        ))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("missing field `{field}`"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(format!("duplicate field `{field}`"))
    }
}

/// What was found, without its value.
fn kind(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Map => "an object",
        Unexpected::Seq => "a list",
        Unexpected::Str(_) => "a text",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "an integer",
        Unexpected::Float(_) => "a fractional number",
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unit | Unexpected::Option => "null",
        _ => "an unknown value",
    }
}

impl<'de> Reader<'de> {
    /// At the start of some JSON.
    pub(crate) fn new(text: &'de str) -> Self {
        Self {
            text,
            at: 0,
            nested: 0,
        }
    }

    /// Fails unless nothing but white space is left.
    pub(crate) fn end(&mut self) -> Result<(), Wrong> {
        match self.next() {
            None => Ok(()),
            Some(_) => Err(Wrong::not_json()),
        }
    }

    /// Reads an object field by field: `field` reads the value of each.
    pub(crate) fn fields(
        &mut self,
        field: &mut dyn FnMut(&str, &mut Self) -> Result<(), Wrong>,
    ) -> Result<(), Wrong> {
        self.open(b'{')?;
        let mut is_first = true;
        while self.more(b'}', &mut is_first)? {
            let key = self.key()?;
            field(&key, self)?;
        }
        Ok(())
    }

    /// Passes over a value.
    #[inline(never)]
    pub(crate) fn skip(&mut self) -> Result<(), Wrong> {
        let mut open = 0_u32;
        loop {
            match self.next().ok_or_else(Wrong::not_json)? {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' => {
                    open += 1;
                    self.at += 1;
                    continue;
                }
                b'}' | b']' if open > 0 => {
                    open -= 1;
                    self.at += 1;
                }
                b',' | b':' if open > 0 => {
                    self.at += 1;
                    continue;
                }
                b't' | b'f' | b'n' => {
                    self.word()?;
                }
                _ => {
                    self.number()?;
                }
            }
            if open == 0 {
                return Ok(());
            }
        }
    }

    /// The next character that is not white space.
    #[inline(always)]
    fn next(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        loop {
            let next = *bytes.get(self.at)?;
            if !matches!(next, b' ' | b'\n' | b'\t' | b'\r') {
                return Some(next);
            }
            self.at += 1;
        }
    }

    fn take(&mut self, wanted: u8) -> Result<(), Wrong> {
        if self.next() != Some(wanted) {
            return Err(Wrong::not_json());
        }
        self.at += 1;
        Ok(())
    }

    fn open(&mut self, bracket: u8) -> Result<(), Wrong> {
        self.take(bracket)?;
        self.nested += 1;
        if self.nested > MOST_NESTED {
            return Err(Wrong::not_json());
        }
        Ok(())
    }

    /// Opens a list or an object, where one is expected.
    #[inline(never)]
    fn enter(&mut self, bracket: u8, expected: &dyn Expected) -> Result<(), Wrong> {
        match self.next() == Some(bracket) {
            true => self.open(bracket),
            false => Err(self.mismatch(expected)),
        }
    }

    /// Whether another entry follows, or the closing bracket, which is passed.
    #[inline(never)]
    fn more(&mut self, bracket: u8, is_first: &mut bool) -> Result<bool, Wrong> {
        let next = self.next();
        if next == Some(bracket) {
            self.at += 1;
            self.nested = self.nested.saturating_sub(1);
            return Ok(false);
        }
        if !std::mem::take(is_first) {
            self.take(b',')?;
        }
        Ok(true)
    }

    fn key(&mut self) -> Result<Cow<'de, str>, Wrong> {
        self.next();
        let key = self.string()?;
        self.take(b':')?;
        Ok(key)
    }

    /// A string, from its opening quote on.
    #[inline(never)]
    fn string(&mut self) -> Result<Cow<'de, str>, Wrong> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        if bytes.get(start) != Some(&b'"') {
            return Err(Wrong::not_json());
        }
        let mut is_plain = true;
        let mut at = start + 1;
        loop {
            match bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    is_plain = false;
                    at += 1;
                }
                None | Some(0..0x20) => return Err(Wrong::not_json()),
                Some(_) => {}
            }
            at += 1;
        }
        self.at = at + 1;
        let text = match is_plain {
            true => self.text.get(start + 1..at).map(Cow::Borrowed),
            false => self
                .text
                .get(start..=at)
                .and_then(|text| serde_json::from_str(text).ok())
                .map(Cow::Owned),
        };
        text.ok_or_else(Wrong::not_json)
    }

    /// One of these variants, where one is expected.
    #[inline(never)]
    fn variant(
        &mut self,
        names: &'static [&'static str],
        expected: &dyn Expected,
    ) -> Result<Variant<'_, 'de>, Wrong> {
        let has_value = match self.next() {
            Some(b'"') => false,
            Some(b'{') => {
                self.open(b'{')?;
                if self.next() == Some(b'}') {
                    return Err(de::Error::invalid_type(Unexpected::Map, expected));
                }
                true
            }
            _ => return Err(self.mismatch(expected)),
        };
        let name = self.string()?;
        match (0..).zip(names).find(|(_, known)| **known == name) {
            Some((place, name)) => Ok(Variant {
                place,
                name,
                reader: self,
                has_value,
            }),
            None if has_value => Err(not_a_name()),
            None => Err(de::Error::unknown_variant(&name, names)),
        }
    }

    /// A string, where one is expected.
    #[inline(never)]
    fn text(&mut self, expected: &dyn Expected) -> Result<Cow<'de, str>, Wrong> {
        match self.next() {
            Some(b'"') => self.string(),
            _ => Err(self.mismatch(expected)),
        }
    }

    /// A number, where one is expected.
    #[inline(never)]
    fn figure(&mut self, expected: &dyn Expected) -> Result<Number, Wrong> {
        match self.next() {
            Some(b'0'..=b'9' | b'-') => self.number(),
            _ => Err(self.mismatch(expected)),
        }
    }

    /// Whether it is null, which is passed.
    #[inline(never)]
    fn null(&mut self) -> Result<bool, Wrong> {
        Ok(self.next() == Some(b'n') && self.word()?.is_none())
    }

    /// `true`, `false` or `null`, as which it is absent.
    #[inline(never)]
    fn word(&mut self) -> Result<Option<bool>, Wrong> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        for (word, value) in [("true", Some(true)), ("false", Some(false)), ("null", None)] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(Wrong::not_json())
    }

    #[inline(never)]
    fn number(&mut self) -> Result<Number, Wrong> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut end = start;
        // Nearly all numbers are small, and have no sign and no fraction.
        let mut small = Some(0_u64);
        while let Some(byte @ (b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')) = bytes.get(end) {
            let digit = byte.wrapping_sub(b'0');
            small = match digit < 10 && end - start < SMALL_DIGITS {
                true => small.map(|small| small * 10 + u64::from(digit)),
                false => None,
            };
            end += 1;
        }
        let text = self.text.get(start..end).unwrap_or_default();
        let digits = match text.as_bytes() {
            [b'-', ..] => text.get(1..).unwrap_or_default(),
            _ => text,
        };
        if !digits.as_bytes().first().is_some_and(u8::is_ascii_digit) {
            return Err(Wrong::not_json());
        }
        self.at = end;
        if let Some(small) = small {
            return Ok(Number::Positive(small));
        }
        let whole = match digits.len() == text.len() {
            true => text.parse().map(Number::Positive).ok(),
            // A negative zero is a fraction to serde_json, too.
            false if digits == "0" => None,
            false => text.parse().map(Number::Negative).ok(),
        };
        if let Some(whole) = whole {
            return Ok(whole);
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Number::Float(number)),
            _ => Err(Wrong::not_json()),
        }
    }

    /// The error that another value is here than was expected.
    #[cold]
    #[inline(never)]
    fn mismatch(&mut self, expected: &dyn Expected) -> Wrong {
        let found = match self.next() {
            Some(b'{') => Unexpected::Map,
            Some(b'[') => Unexpected::Seq,
            Some(b'"') => Unexpected::Str(""),
            Some(b't' | b'f' | b'n') => match self.word() {
                Ok(Some(_)) => Unexpected::Bool(true),
                Ok(None) => Unexpected::Unit,
                Err(wrong) => return wrong,
            },
            _ => match self.number() {
                Ok(Number::Float(number)) => Unexpected::Float(number),
                Ok(_) => Unexpected::Unsigned(0),
                Err(wrong) => return wrong,
            },
        };
        de::Error::invalid_type(found, expected)
    }

    fn visit_string<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Wrong> {
        match self.string()? {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        }
    }

    fn visit_number<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Wrong> {
        self.number()?.visit(visitor)
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.next() {
            Some(b'{') => self.deserialize_map(visitor),
            Some(b'[') => self.deserialize_seq(visitor),
            Some(b'"') => self.visit_string(visitor),
            Some(b't' | b'f' | b'n') => match self.word()? {
                Some(flag) => visitor.visit_bool(flag),
                None => visitor.visit_unit(),
            },
            _ => self.visit_number(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if matches!(self.next(), Some(b't' | b'f'))
            && let Some(flag) = self.word()?
        {
            return visitor.visit_bool(flag);
        }
        Err(self.mismatch(&visitor))
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.figure(&visitor)?.visit(visitor)
    }

    read_numbers_alike!();

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.text(&visitor)? {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if self.null()? {
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if self.null()? {
            return visitor.visit_unit();
        }
        Err(self.mismatch(&visitor))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.enter(b'[', &visitor)?;
        let mut entries = Entries {
            reader: self,
            index: 0,
            has_ended: false,
        };
        let value = visitor.visit_seq(&mut entries)?;
        // A tuple reads no more than it has.
        if !entries.has_ended && entries.next()? {
            return Err(de::Error::custom("a list with too many entries"));
        }
        Ok(value)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.enter(b'{', &visitor)?;
        visitor.visit_map(Fields {
            reader: self,
            key: Cow::Borrowed(""),
            is_first: true,
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let variant = self.variant(names, &visitor)?;
        visitor.visit_enum(variant)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.skip()?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit_struct tuple tuple_struct
    }
}

#[cfg(test)]
mod derives;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod twins;
