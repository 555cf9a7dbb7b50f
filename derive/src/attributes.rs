//! The attributes of serde that are known here.

use syn::meta::ParseNestedMeta;
use syn::{Attribute, ExprPath, Ident, LitStr, Result};

/// Those of a struct.
#[derive(Default)]
pub(crate) struct Container {
    pub(crate) default: bool,
    pub(crate) deny_unknown_fields: bool,
    rename_all: Option<Case>,
}

/// Those of a field.
#[derive(Default)]
pub(crate) struct Field {
    pub(crate) default: bool,
    pub(crate) rename: Option<String>,
    pub(crate) skip: bool,
    pub(crate) skip_serializing_if: Option<ExprPath>,
}

#[derive(Clone, Copy)]
enum Case {
    Kebab,
    Pascal,
}

impl Container {
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut all = Self::default();
        each(attributes, |meta| {
            if is_default(meta)? {
                all.default = true;
            } else if meta.path.is_ident("deny_unknown_fields") {
                all.deny_unknown_fields = true;
            } else if meta.path.is_ident("rename_all") {
                all.rename_all = match text(meta)?.value().as_str() {
                    "kebab-case" => Some(Case::Kebab),
                    "PascalCase" => Some(Case::Pascal),
                    _ => return Err(unknown(meta)),
                };
            } else {
                return Err(unknown(meta));
            }
            Ok(())
        })?;
        Ok(all)
    }

    /// A field's name in JSON.
    pub(crate) fn renamed(&self, field: &Ident) -> String {
        let name = field.to_string();
        let name = name.strip_prefix("r#").unwrap_or(&name);
        match self.rename_all {
            None => name.to_owned(),
            Some(Case::Kebab) => name.replace('_', "-"),
            Some(Case::Pascal) => name.split('_').map(capitalized).collect(),
        }
    }
}

fn capitalized(word: &str) -> String {
    let mut chars = word.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

impl Field {
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut all = Self::default();
        each(attributes, |meta| {
            if is_default(meta)? {
                all.default = true;
            } else if meta.path.is_ident("rename") {
                all.rename = Some(text(meta)?.value());
            } else if meta.path.is_ident("skip") {
                all.skip = true;
            } else if meta.path.is_ident("skip_serializing_if") {
                all.skip_serializing_if = Some(text(meta)?.parse()?);
            } else {
                return Err(unknown(meta));
            }
            Ok(())
        })?;
        Ok(all)
    }
}

fn each(
    attributes: &[Attribute],
    mut read: impl FnMut(&ParseNestedMeta<'_>) -> Result<()>,
) -> Result<()> {
    attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("serde"))
        .try_for_each(|attribute| attribute.parse_nested_meta(|meta| read(&meta)))
}

fn text(meta: &ParseNestedMeta<'_>) -> Result<LitStr> {
    meta.value()?.parse()
}

/// Whether this is `default`. Fails for `default = "path"`.
fn is_default(meta: &ParseNestedMeta<'_>) -> Result<bool> {
    let is_default = meta.path.is_ident("default");
    if is_default && meta.input.peek(syn::Token![=]) {
        return Err(meta.error(
            "a default by path is not known here: implement `Default`, or derive the traits of \
             serde",
        ));
    }
    Ok(is_default)
}

fn unknown(meta: &ParseNestedMeta<'_>) -> syn::Error {
    meta.error("not known here: derive the traits of serde")
}
