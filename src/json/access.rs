//! What serde reads through: the entries of a list, the fields of an object and
//! the variant of an enum.

use std::borrow::Cow;

use serde::de::value::{StrDeserializer, U64Deserializer};
use serde::de::{
    self, DeserializeSeed, Deserializer as _, EnumAccess, IntoDeserializer as _, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor,
};

use super::{Reader, Step, Wrong};

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
        let key: StrDeserializer<'_, Wrong> = (*self.key).into_deserializer();
        match seed.deserialize(key) {
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

/// The variant of an enum: its name alone, or an object with nothing else but
/// its value.
pub(super) struct Variant<'a, 'de> {
    /// Which one: an enum then needs no code to compare names. None of ours has
    /// more names for a variant.
    pub(super) place: u64,
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

    /// Goes on behind the object.
    pub(super) fn end(&mut self) -> Result<(), Wrong> {
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
        let value = seed.deserialize(&mut *self.reader)?;
        self.end()?;
        Ok(value)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Wrong> {
        Err(not_a_name())
    }

    fn struct_variant<V: Visitor<'de>>(
        mut self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.begin()?;
        let value = self.reader.deserialize_map(visitor)?;
        self.end()?;
        Ok(value)
    }
}
