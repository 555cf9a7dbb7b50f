//! serde's traits for structs, with little code for each.
//!
//! The code that serde's own derive macros write for a struct does all the work
//! for its fields, one by one. What these write is a table of the fields;
//! `crate::json` reads and writes all tables with the same code. That, together
//! with a writer of its own, took the component from 2,055 to 1,908 KB.
//!
//! They know these attributes of serde and refuse all others; a type that needs
//! another derives the traits of serde:
//!
//! - of a struct: `default`, `deny_unknown_fields`, and `rename_all` to
//!   `kebab-case` or `PascalCase`,
//! - of a field: `default`, `rename`, `skip`, `skip_serializing_if`.
//!
//! # Restrictions
//!
//! A field may be absent if its type is written as `Option<…>`, by whatever
//! path. A type alias of an `Option` is not recognized: such a field needs
//! `#[serde(default)]`.

mod attributes;

use std::collections::BTreeSet;

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Data, DeriveInput, Error, Fields, Ident, Result, Type};
use syn::{parse_macro_input, spanned::Spanned as _};

use attributes::{Container, Field};

/// Fields are marked in 64 bits.
const MOST_FIELDS: usize = 64;

/// Implements serde's `Deserialize` for a struct with named fields.
#[proc_macro_derive(DeserializeFields, attributes(serde))]
pub fn deserialize_fields(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let code = Struct::read(&input).map(|of| deserialize(&of));
    code.unwrap_or_else(Error::into_compile_error).into()
}

/// Implements serde's `Serialize` for a struct with named fields.
#[proc_macro_derive(SerializeFields, attributes(serde))]
pub fn serialize_fields(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let code = Struct::read(&input).map(|of| serialize(&of));
    code.unwrap_or_else(Error::into_compile_error).into()
}

struct Struct<'a> {
    name: &'a Ident,
    container: Container,
    fields: Vec<Member<'a>>,
}

struct Member<'a> {
    ident: &'a Ident,
    name: String,
    kind: &'a Type,
    attributes: Field,
}

impl<'a> Struct<'a> {
    fn read(input: &'a DeriveInput) -> Result<Self> {
        let Data::Struct(data) = &input.data else {
            return Err(Error::new(input.span(), "only structs have fields"));
        };
        let Fields::Named(fields) = &data.fields else {
            return Err(Error::new(input.span(), "its fields have no names"));
        };
        if !input.generics.params.is_empty() {
            let message = "generic types derive the traits of serde";
            return Err(Error::new(input.generics.span(), message));
        }
        if fields.named.len() > MOST_FIELDS {
            return Err(Error::new(input.span(), "more than 64 fields"));
        }
        let container = Container::read(&input.attrs)?;
        let fields: Vec<Member<'_>> = fields
            .named
            .iter()
            .filter_map(|field| Some((field, field.ident.as_ref()?)))
            .map(|(field, ident)| {
                let attributes = Field::read(&field.attrs)?;
                Ok(Member {
                    ident,
                    name: attributes
                        .rename
                        .clone()
                        .unwrap_or_else(|| container.renamed(ident)),
                    kind: &field.ty,
                    attributes,
                })
            })
            .collect::<Result<_>>()?;
        let of = Self {
            name: &input.ident,
            container,
            fields,
        };
        of.check_names()?;
        Ok(of)
    }

    /// Fails if two fields have the same name in JSON: only the first would be
    /// read, and both written.
    fn check_names(&self) -> Result<()> {
        let mut names = BTreeSet::new();
        match self.known().find(|field| !names.insert(&field.name)) {
            None => Ok(()),
            Some(field) => {
                let message = format!("another field has the name `{}`, too", field.name);
                Err(Error::new(field.ident.span(), message))
            }
        }
    }

    /// The fields that are read and written.
    fn known(&self) -> impl Iterator<Item = &Member<'a>> {
        self.fields.iter().filter(|field| !field.attributes.skip)
    }
}

impl Member<'_> {
    /// Whether it has to be there.
    fn is_required(&self, container: &Container) -> bool {
        let has_default = self.attributes.skip || self.attributes.default || container.default;
        !has_default && outer(self.kind) != "Option"
    }

    /// Whether it is read into a place of its own, since its type may have no
    /// value to begin with.
    fn is_apart(&self, container: &Container) -> bool {
        self.is_required(container) && !begins_empty(self.kind)
    }
}

/// The name of a type without its path and its arguments.
fn outer(kind: &Type) -> String {
    match kind {
        // A type that came through a `macro_rules!` macro is in a group.
        Type::Group(group) => outer(&group.elem),
        Type::Paren(paren) => outer(&paren.elem),
        Type::Path(path) => path
            .path
            .segments
            .last()
            .map(|segment| segment.ident.to_string())
            .unwrap_or_default(),
        _ => String::new(),
    }
}

/// Whether a type of the standard library implements `Default`.
fn begins_empty(kind: &Type) -> bool {
    const EMPTY: [&str; 10] = [
        "String", "bool", "u8", "u16", "u32", "u64", "usize", "i64", "f64", "Vec",
    ];
    EMPTY.contains(&outer(kind).as_str())
}

fn deserialize(of: &Struct<'_>) -> TokenStream {
    let Struct {
        name, container, ..
    } = of;
    let text = name.to_string();
    let names = of.known().map(|field| &field.name);
    let refuses_others = container.deny_unknown_fields;
    let required = of
        .known()
        .zip(0_u32..)
        .filter(|(field, _)| field.is_required(container))
        .fold(0_u64, |required, (_, place)| required | 1 << place);
    let read = read(of);
    quote! {
        impl<'de> ::serde::Deserialize<'de> for #name {
            fn deserialize<D: ::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                crate::json::fields::deserialize(deserializer)
            }
        }

        impl<'de> crate::json::fields::Filled<'de> for #name {
            const TABLE: &'static crate::json::fields::Table = &crate::json::fields::Table {
                name: #text,
                fields: &[#(#names),*],
                required: #required,
                refuses_others: #refuses_others,
            };

            fn read<A: ::serde::de::MapAccess<'de>>(
                map: &mut A,
            ) -> ::core::result::Result<Self, A::Error> {
                #read
            }
        }
    }
}

/// Reads the fields: where all types have a value to begin with, right into
/// the struct.
fn read(of: &Struct<'_>) -> TokenStream {
    let Struct {
        container, fields, ..
    } = of;
    let idents: Vec<&Ident> = fields.iter().map(|field| field.ident).collect();
    let known = of.known().map(|field| field.ident);
    if container.default {
        // As with serde, a field's own `default` has precedence.
        let own = fields.iter().filter(|field| field.attributes.default);
        let own = own.map(|field| field.ident);
        return quote! {
            let mut read = <Self as ::core::default::Default>::default();
            #(read.#own = ::core::default::Default::default();)*
            crate::json::fields::fill(map, Self::TABLE, &mut [#(&mut read.#known),*])?;
            ::core::result::Result::Ok(read)
        };
    }
    if !fields.iter().any(|field| field.is_apart(container)) {
        return quote! {
            let mut read = Self { #(#idents: ::core::default::Default::default()),* };
            crate::json::fields::fill(map, Self::TABLE, &mut [#(&mut read.#known),*])?;
            ::core::result::Result::Ok(read)
        };
    }
    read_apart(of)
}

/// Reads the fields into variables, which are then moved into the struct.
fn read_apart(of: &Struct<'_>) -> TokenStream {
    let Struct {
        container, fields, ..
    } = of;
    let idents = fields.iter().map(|field| field.ident);
    // Not as the fields: one of them may have the name of another variable.
    let variables: Vec<Ident> = (0..fields.len())
        .map(|place| Ident::new(&format!("field_{place}"), Span::mixed_site()))
        .collect();
    let known = fields
        .iter()
        .zip(&variables)
        .filter(|(field, _)| !field.attributes.skip)
        .map(|(_, variable)| variable);
    let empty = fields.iter().map(|field| {
        let kind = field.kind;
        match field.is_apart(container) {
            true => quote!(crate::json::fields::Required::<#kind>(None)),
            false => quote!(<#kind as ::core::default::Default>::default()),
        }
    });
    let values =
        fields
            .iter()
            .zip(&variables)
            .map(|(field, variable)| match field.is_apart(container) {
                true => {
                    let name = &field.name;
                    quote!(#variable.found(#name)?)
                }
                false => quote!(#variable),
            });
    quote! {
        #(let mut #variables = #empty;)*
        crate::json::fields::fill(map, Self::TABLE, &mut [#(&mut #known),*])?;
        ::core::result::Result::Ok(Self { #(#idents: #values),* })
    }
}

fn serialize(of: &Struct<'_>) -> TokenStream {
    let name = of.name;
    let text = name.to_string();
    let names = of.known().map(|field| &field.name);
    let values = of.known().map(|field| {
        let ident = field.ident;
        match &field.attributes.skip_serializing_if {
            Some(skips) => quote! {
                match #skips(&self.#ident) {
                    true => ::core::option::Option::None,
                    false => ::core::option::Option::Some(&self.#ident),
                }
            },
            None => quote!(::core::option::Option::Some(&self.#ident)),
        }
    });
    quote! {
        impl ::serde::Serialize for #name {
            fn serialize<S: ::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                crate::json::fields::write(serializer, #text, &[#(#names),*], &[#(#values),*])
            }
        }
    }
}

#[cfg(test)]
mod tests;
