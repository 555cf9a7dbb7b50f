//! Writes JSON as serde_json does, with less code for each type: with its
//! serializer, all that is written would take twice as much.
//!
//! Unlike serde_json, it refuses integers of 128 bits, which no result has.

use std::fmt;

use serde::ser::{self, Serialize, Serializer};

/// A value as JSON. It cannot be written only where a type itself says so.
pub(crate) fn write<T: Serialize>(value: &T) -> Result<String, Unwritten> {
    let mut writer = Writer::new();
    value.serialize(&mut writer)?;
    writer.finish()
}

/// Why a value is not written.
#[derive(Debug)]
pub(crate) struct Unwritten(Box<str>);

impl fmt::Display for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unwritten {}

impl ser::Error for Unwritten {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string().into())
    }
}

struct Writer {
    json: Vec<u8>,
}

impl Writer {
    #[inline(never)]
    fn new() -> Self {
        Self {
            json: Vec::with_capacity(128),
        }
    }

    #[inline(never)]
    fn finish(self) -> Result<String, Unwritten> {
        String::from_utf8(self.json).map_err(ser::Error::custom)
    }

    fn push(&mut self, text: &str) {
        self.json.extend_from_slice(text.as_bytes());
    }

    #[inline(never)]
    fn text(&mut self, text: &str) -> Result<(), Unwritten> {
        // serde_json writes in pieces, whose lengths it checks one by one.
        let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
        if text.bytes().all(is_plain) {
            self.json.reserve(text.len() + 2);
            self.json.push(b'"');
            self.json.extend_from_slice(text.as_bytes());
            self.json.push(b'"');
            return Ok(());
        }
        serde_json::to_writer(&mut self.json, text).map_err(ser::Error::custom)
    }

    /// A number as serde_json writes it, which finds the shortest text.
    #[inline(never)]
    fn fraction(&mut self, number: f64) -> Result<(), Unwritten> {
        serde_json::to_writer(&mut self.json, &number).map_err(ser::Error::custom)
    }

    #[inline(never)]
    fn whole(&mut self, is_negative: bool, number: u64) -> Result<(), Unwritten> {
        if is_negative {
            self.push("-");
        }
        serde_json::to_writer(&mut self.json, &number).map_err(ser::Error::custom)
    }

    /// Makes a key of the value that was written from here on: a number or a flag
    /// gets its quotes. Fails for a value that cannot be a key: a list, an object,
    /// or null, as which a number that is not finite is written, too.
    #[inline(never)]
    fn quote(&mut self, start: usize) -> Result<(), Unwritten> {
        match self.json.get(start) {
            Some(b'"') => {}
            Some(b'-' | b'0'..=b'9' | b't' | b'f') => {
                self.json.insert(start, b'"');
                self.push("\"");
            }
            _ => return Err(ser::Error::custom("the name of a field must be a text")),
        }
        Ok(())
    }

    /// The beginning of an object with this one field.
    fn variant(&mut self, name: &str) -> Result<(), Unwritten> {
        self.push("{");
        self.text(name)?;
        self.push(":");
        Ok(())
    }
}

/// The entries of a list or an object.
pub(crate) struct Entries<'a> {
    writer: &'a mut Writer,
    is_first: bool,
    /// What follows the last one.
    end: &'static str,
}

impl<'a> Entries<'a> {
    #[inline(never)]
    fn begin(writer: &'a mut Writer, start: &str, end: &'static str) -> Self {
        writer.push(start);
        Self {
            writer,
            is_first: true,
            end,
        }
    }

    #[inline(never)]
    fn next(&mut self) -> &mut Writer {
        if !std::mem::take(&mut self.is_first) {
            self.writer.push(",");
        }
        self.writer
    }

    /// Goes on to the value of a field.
    #[inline(never)]
    fn field(&mut self, name: &str) -> Result<&mut Writer, Unwritten> {
        self.next().text(name)?;
        self.writer.push(":");
        Ok(self.writer)
    }

    #[inline(never)]
    fn finish(self) -> Result<(), Unwritten> {
        self.writer.push(self.end);
        Ok(())
    }
}

impl<'a> Serializer for &'a mut Writer {
    type Ok = ();
    type Error = Unwritten;
    type SerializeSeq = Entries<'a>;
    type SerializeTuple = Entries<'a>;
    type SerializeTupleStruct = Entries<'a>;
    type SerializeTupleVariant = Entries<'a>;
    type SerializeMap = Entries<'a>;
    type SerializeStruct = Entries<'a>;
    type SerializeStructVariant = Entries<'a>;

    fn serialize_bool(self, flag: bool) -> Result<(), Unwritten> {
        self.push(if flag { "true" } else { "false" });
        Ok(())
    }

    fn serialize_i8(self, number: i8) -> Result<(), Unwritten> {
        self.serialize_i64(number.into())
    }

    fn serialize_i16(self, number: i16) -> Result<(), Unwritten> {
        self.serialize_i64(number.into())
    }

    fn serialize_i32(self, number: i32) -> Result<(), Unwritten> {
        self.serialize_i64(number.into())
    }

    fn serialize_i64(self, number: i64) -> Result<(), Unwritten> {
        self.whole(number < 0, number.unsigned_abs())
    }

    fn serialize_u8(self, number: u8) -> Result<(), Unwritten> {
        self.serialize_u64(number.into())
    }

    fn serialize_u16(self, number: u16) -> Result<(), Unwritten> {
        self.serialize_u64(number.into())
    }

    fn serialize_u32(self, number: u32) -> Result<(), Unwritten> {
        self.serialize_u64(number.into())
    }

    fn serialize_u64(self, number: u64) -> Result<(), Unwritten> {
        self.whole(false, number)
    }

    fn serialize_f32(self, number: f32) -> Result<(), Unwritten> {
        serde_json::to_writer(&mut self.json, &number).map_err(ser::Error::custom)
    }

    fn serialize_f64(self, number: f64) -> Result<(), Unwritten> {
        self.fraction(number)
    }

    fn serialize_char(self, letter: char) -> Result<(), Unwritten> {
        self.text(letter.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, text: &str) -> Result<(), Unwritten> {
        self.text(text)
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Unwritten> {
        self.collect_seq(bytes)
    }

    fn serialize_none(self) -> Result<(), Unwritten> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Unwritten> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Unwritten> {
        self.push("null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Unwritten> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Unwritten> {
        self.text(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Unwritten> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Unwritten> {
        self.variant(variant)?;
        value.serialize(&mut *self)?;
        self.push("}");
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Entries<'a>, Unwritten> {
        Ok(Entries::begin(self, "[", "]"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Entries<'a>, Unwritten> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Entries<'a>, Unwritten> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Entries<'a>, Unwritten> {
        self.variant(variant)?;
        Ok(Entries::begin(self, "[", "]}"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Entries<'a>, Unwritten> {
        Ok(Entries::begin(self, "{", "}"))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Entries<'a>, Unwritten> {
        self.serialize_map(None)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Entries<'a>, Unwritten> {
        self.variant(variant)?;
        Ok(Entries::begin(self, "{", "}}"))
    }
}

/// Lists of all kinds are written alike.
macro_rules! write_lists {
    ($($kind:ident by $method:ident,)+) => {
        $(
            impl ser::$kind for Entries<'_> {
                type Ok = ();
                type Error = Unwritten;

                fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritten> {
                    value.serialize(self.next())
                }

                fn end(self) -> Result<(), Unwritten> {
                    self.finish()
                }
            }
        )+
    };
}

write_lists! {
    SerializeSeq by serialize_element,
    SerializeTuple by serialize_element,
    SerializeTupleStruct by serialize_field,
    SerializeTupleVariant by serialize_field,
}

impl ser::SerializeMap for Entries<'_> {
    type Ok = ();
    type Error = Unwritten;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unwritten> {
        let writer = self.next();
        let start = writer.json.len();
        key.serialize(&mut *writer)?;
        writer.quote(start)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritten> {
        self.writer.push(":");
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Result<(), Unwritten> {
        self.finish()
    }
}

impl ser::SerializeStruct for Entries<'_> {
    type Ok = ();
    type Error = Unwritten;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Unwritten> {
        value.serialize(self.field(name)?)
    }

    fn end(self) -> Result<(), Unwritten> {
        self.finish()
    }
}

impl ser::SerializeStructVariant for Entries<'_> {
    type Ok = ();
    type Error = Unwritten;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Unwritten> {
        value.serialize(self.field(name)?)
    }

    fn end(self) -> Result<(), Unwritten> {
        self.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::json::SerializeFields;

    #[derive(serde::Serialize)]
    #[serde(rename_all = "kebab-case")]
    enum Kind {
        TheFirst,
        Of(Option<i64>),
        Two(u8, char),
        Named { field: f64, other: f32 },
    }

    #[derive(SerializeFields)]
    #[serde(rename_all = "kebab-case")]
    struct Entry {
        the_name: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        number: Option<f64>,
        kinds: Vec<Kind>,
        by_number: BTreeMap<u32, (bool, ())>,
    }

    proptest! {
        #[test]
        fn writes_what_serde_json_writes(
            text in any::<String>(), real in any::<f64>(), small in any::<f32>(),
            whole in any::<i64>(), letter in any::<char>(), has_number in any::<bool>(),
        ) {
            let entry = Entry {
                the_name: text,
                number: has_number.then_some(real),
                kinds: vec![
                    Kind::TheFirst,
                    Kind::Of(Some(whole)),
                    Kind::Of(None),
                    Kind::Two(7, letter),
                    Kind::Named { field: real, other: small },
                ],
                by_number: BTreeMap::from([(100, (true, ())), (200, (false, ()))]),
            };
            let theirs = serde_json::to_string(&entry).unwrap();
            prop_assert_eq!(&write(&entry).unwrap(), &theirs);
            let value: Value = serde_json::from_str(&theirs).unwrap();
            prop_assert_eq!(write(&value).unwrap(), value.to_string());
        }
    }

    #[test]
    fn only_what_serde_json_takes_as_a_key_is_one() {
        #[derive(PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
        struct Number(i64);

        #[derive(serde::Serialize)]
        struct Struct {
            field: u8,
        }

        struct Map<K>(K);

        impl<K: Serialize> Serialize for Map<K> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map([(&self.0, 1)])
            }
        }

        fn check<K: Serialize>(key: K, is_key: bool) {
            let map = Map(key);
            let (ours, theirs) = (write(&map).ok(), serde_json::to_string(&map).ok());
            assert_eq!(ours, theirs);
            assert_eq!(ours.is_some(), is_key, "{theirs:?}");
        }

        check("a", true);
        check('a', true);
        check(-1, true);
        check(Number(100), true);
        check(1.5, true);
        check(true, true);
        check(Kind::TheFirst, true);
        check(f64::NAN, false);
        check(f32::INFINITY, false);
        check(None::<u8>, false);
        check((), false);
        check((1, 2), false);
        check(Struct { field: 1 }, false);
        check(Kind::Of(None), false);
        check(BTreeMap::from([(1, 2)]), false);
        assert!(write(&1_i128).is_err());
    }

    #[test]
    fn what_is_empty() {
        for (value, text) in [
            (serde_json::json!({}), "{}"),
            (serde_json::json!([]), "[]"),
            (serde_json::json!({"a": [], "b": {}}), r#"{"a":[],"b":{}}"#),
        ] {
            assert_eq!(write(&value).unwrap(), text);
        }
    }
}
