//! What serde reads through: the entries of a list, the fields of an object with
//! their keys, and the variant of an enum.

use std::borrow::Cow;

use serde::de::value::{StrDeserializer, U64Deserializer};
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer as _, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::{Number, Reader, Step, Wrong};

/// The entries of a list.
pub(super) struct Entries<'a, 'de> {
    pub(super) reader: &'a mut Reader<'de>,
    pub(super) index: usize,
    pub(super) has_ended: bool,
}

impl Entries<'_, '_> {
    pub(super) fn next(&mut self) -> Result<bool, Wrong> {
        let mut is_first = self.index == 0;
        let is_there = self.reader.more(b']', &mut is_first)?;
        self.has_ended = !is_there;
        Ok(is_there)
    }
}

impl<'de> SeqAccess<'de> for Entries<'_, 'de> {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Wrong> {
        if !self.next()? {
            return Ok(None);
        }
        match seed.deserialize(&mut *self.reader) {
            Ok(entry) => {
                self.index += 1;
                Ok(Some(entry))
            }
            Err(wrong) => Err(wrong.within(Step::Index(self.index))),
        }
    }
}

/// The fields of an object.
pub(super) struct Fields<'a, 'de> {
    pub(super) reader: &'a mut Reader<'de>,
    /// Of the field whose value is read.
    pub(super) key: Cow<'de, str>,
    pub(super) is_first: bool,
}

impl Fields<'_, '_> {
    fn next(&mut self) -> Result<bool, Wrong> {
        if !self.reader.more(b'}', &mut self.is_first)? {
            return Ok(false);
        }
        self.key = self.reader.key()?;
        Ok(true)
    }

    #[cold]
    #[inline(never)]
    fn within(&mut self, wrong: Wrong) -> Wrong {
        wrong.within(Step::Key(std::mem::take(&mut self.key).into_owned()))
    }
}

impl<'de> MapAccess<'de> for Fields<'_, 'de> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Wrong> {
        if !self.next()? {
            return Ok(None);
        }
        match seed.deserialize(Key(&self.key)) {
            Ok(key) => Ok(Some(key)),
            Err(wrong) => Err(self.within(wrong)),
        }
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Wrong> {
        match seed.deserialize(&mut *self.reader) {
            Ok(value) => Ok(value),
            Err(wrong) => Err(self.within(wrong)),
        }
    }
}

/// The key of a field, which is a text, or a number or a flag in a text.
struct Key<'a>(&'a str);

impl Key<'_> {
    /// The number that is all of the key, if it is one.
    #[inline(never)]
    fn number(&self) -> Option<Number> {
        let mut reader = Reader::new(self.0);
        let number = reader.number().ok()?;
        (reader.at == self.0.len()).then_some(number)
    }
}

impl<'de> Deserializer<'de> for Key<'_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_str(self.0)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.number() {
            Some(number) => number.visit(visitor),
            None => visitor.visit_str(self.0),
        }
    }

    read_numbers_alike!();

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.0 {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            text => visitor.visit_str(text),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let key: StrDeserializer<'_, Wrong> = self.0.into_deserializer();
        key.deserialize_enum(name, names, visitor)
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map
        struct identifier ignored_any
    }
}

/// The variant of an enum: its name alone, or an object with nothing else but
/// its value.
pub(super) struct Variant<'a, 'de> {
    /// Which one: an enum then needs no code to compare names. None of ours has
    /// more names for a variant.
    pub(super) place: u64,
    pub(super) name: &'static str,
    pub(super) reader: &'a mut Reader<'de>,
    pub(super) has_value: bool,
}

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Wrong;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), Wrong> {
        let place: U64Deserializer<Wrong> = self.place.into_deserializer();
        Ok((seed.deserialize(place)?, self))
    }
}

/// An object where there is no variant with a value.
#[cold]
pub(super) fn not_a_name() -> Wrong {
    de::Error::invalid_type(Unexpected::Map, &"a variant")
}

impl Variant<'_, '_> {
    /// Goes on to the value.
    fn begin(&mut self) -> Result<(), Wrong> {
        if !self.has_value {
            return Err(de::Error::custom("a variant without its value"));
        }
        self.reader.take(b':')
    }

    /// An error inside the value.
    #[cold]
    #[inline(never)]
    fn within(&self, wrong: Wrong) -> Wrong {
        wrong.within(Step::Key(self.name.to_owned()))
    }

    /// Goes on behind the object.
    fn end(&mut self) -> Result<(), Wrong> {
        match self.reader.more(b'}', &mut false)? {
            false => Ok(()),
            true => Err(Wrong::not_json()),
        }
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Wrong;

    fn unit_variant(self) -> Result<(), Wrong> {
        match self.has_value {
            false => Ok(()),
            true => Err(not_a_name()),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(mut self, seed: T) -> Result<T::Value, Wrong> {
        self.begin()?;
        match seed.deserialize(&mut *self.reader) {
            Ok(value) => self.end().map(|()| value),
            Err(wrong) => Err(self.within(wrong)),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(mut self, _: usize, visitor: V) -> Result<V::Value, Wrong> {
        self.begin()?;
        match self.reader.deserialize_seq(visitor) {
            Ok(value) => self.end().map(|()| value),
            Err(wrong) => Err(self.within(wrong)),
        }
    }

    fn struct_variant<V: Visitor<'de>>(
        mut self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.begin()?;
        match self.reader.deserialize_map(visitor) {
            Ok(value) => self.end().map(|()| value),
            Err(wrong) => Err(self.within(wrong)),
        }
    }
}
