//! Structs, read and written field by field, by tables that are derived from
//! them.
//!
//! The code is the same for all structs: a struct has only its table, and each
//! type of a field two functions, whatever structs it is in. With the writer, this
//! took the component from 2,055 to 1,908 KB.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor,
};
use serde::ser::{Serialize, SerializeStruct, Serializer};

/// What there is to know of a struct that is read.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// The names of its fields.
    pub(crate) fields: &'static [&'static str],
    /// A bit for each field that has to be there, the first one lowest.
    pub(crate) required: u64,
    pub(crate) refuses_others: bool,
}

/// A struct that derives `DeserializeFields`.
pub(crate) trait Filled<'de>: Sized {
    const TABLE: &'static Table;

    /// Reads the fields of an object.
    fn read<A: MapAccess<'de>>(map: &mut A) -> Result<Self, A::Error>;
}

/// Where the value of a field goes. Whatever it held is replaced.
pub(crate) trait Slot<'de, A: MapAccess<'de>> {
    fn fill(&mut self, map: &mut A) -> Result<(), A::Error>;
}

impl<'de, A: MapAccess<'de>, T: Deserialize<'de>> Slot<'de, A> for T {
    fn fill(&mut self, map: &mut A) -> Result<(), A::Error> {
        *self = map.next_value()?;
        Ok(())
    }
}

/// The slot of a type that has no value to begin with.
pub(crate) struct Required<T>(pub(crate) Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Required<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(|value| Self(Some(value)))
    }
}

impl<T> Required<T> {
    /// The value, which [`fill`] has made sure of.
    pub(crate) fn found<E: serde::de::Error>(self, name: &'static str) -> Result<T, E> {
        self.0.ok_or_else(|| E::missing_field(name))
    }
}

/// Reads a struct.
pub(crate) fn deserialize<'de, T: Filled<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let table = T::TABLE;
    deserializer.deserialize_struct(table.name, table.fields, Struct(table, PhantomData))
}

struct Struct<T>(&'static Table, PhantomData<T>);

impl<'de, T: Filled<'de>> Visitor<'de> for Struct<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("struct ")?;
        f.write_str(self.0.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        T::read(&mut map)
    }
}

/// Reads the fields of an object, each into its slot.
#[inline(never)]
pub(crate) fn fill<'de, A: MapAccess<'de>>(
    map: &mut A,
    table: &'static Table,
    slots: &mut [&mut dyn Slot<'de, A>],
) -> Result<(), A::Error> {
    let mut filled = 0_u64;
    while let Some(place) = map.next_key_seed(Name(table))? {
        let Some((place, slot)) = place.and_then(|place| Some((place, slots.get_mut(place)?)))
        else {
            map.next_value::<IgnoredAny>()?;
            continue;
        };
        let bit = 1 << place;
        if filled & bit != 0 {
            return Err(A::Error::duplicate_field(table.field(place)));
        }
        filled |= bit;
        slot.fill(map)?;
    }
    match table.required & !filled {
        0 => Ok(()),
        missing => Err(A::Error::missing_field(
            table.field(missing.trailing_zeros() as usize),
        )),
    }
}

impl Table {
    fn field(&self, place: usize) -> &'static str {
        self.fields.get(place).copied().unwrap_or_default()
    }
}

/// The place of a field in the table, by its name.
struct Name(&'static Table);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("field identifier")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
        // The first character first: a comparison is a call of its own.
        let (length, first) = (name.len(), name.as_bytes().first());
        let is_name = |field: &&str| {
            field.len() == length && field.as_bytes().first() == first && *field == name
        };
        let place = self.0.fields.iter().position(is_name);
        if place.is_none() && self.0.refuses_others {
            return Err(E::unknown_field(name, self.0.fields));
        }
        Ok(place)
    }
}

/// The value of a field that is written.
pub(crate) trait Entry<S: SerializeStruct> {
    fn write(&self, name: &'static str, to: &mut S) -> Result<(), S::Error>;
}

impl<S: SerializeStruct, T: Serialize> Entry<S> for T {
    fn write(&self, name: &'static str, to: &mut S) -> Result<(), S::Error> {
        to.serialize_field(name, self)
    }
}

/// Writes a struct: of each field the name, and the value unless it is left
/// out.
#[inline(never)]
pub(crate) fn write<S: Serializer>(
    serializer: S,
    name: &'static str,
    names: &[&'static str],
    values: &[Option<&dyn Entry<S::SerializeStruct>>],
) -> Result<S::Ok, S::Error> {
    let mut to = serializer.serialize_struct(name, values.iter().flatten().count())?;
    for (name, value) in names.iter().zip(values) {
        match value {
            Some(value) => value.write(name, &mut to)?,
            None => to.skip_field(name)?,
        }
    }
    to.end()
}
