//! Puts an entry into the text of a configuration, and leaves all else as it is.

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstObject, CstObjectProp, CstRootNode};
use serde_json::{Map, Value};
use toml_edit::{DocumentMut, Item, TableLike, Value as TomlValue};

use super::Format;

/// A server's entry in the configuration of a client.
pub(crate) struct Entry {
    /// The key of the object that has the entries of all servers.
    pub section: &'static str,
    /// Its own key.
    pub name: String,
    /// What it says.
    pub value: Value,
    /// An element of `inputs`, with its `id`: what VS Code asks its user for.
    pub input: Option<Value>,
    /// How it is written.
    pub format: Format,
    /// Whether it contains a token.
    pub holds_secret: bool,
}

/// What becomes of a text.
#[derive(Debug, PartialEq)]
pub(crate) enum Merged {
    /// The same entry is there.
    Unchanged,
    /// The new text.
    Changed {
        /// All of it.
        text: String,
        /// The entry that was replaced.
        before: Option<Value>,
    },
}

/// Why an entry cannot be put into a text.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MergeError {
    /// The text is neither empty nor what the client reads.
    #[error("line {line}, column {column}: {message}")]
    Syntax {
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
        /// What the parser says.
        message: String,
    },
    /// Something else is where the entries should be.
    #[error("{0} is not {1}")]
    Shape(String, &'static str),
    /// A key is there more than once, and programs differ in which one they read.
    #[error(
        "the key {0:?} is there more than once, and the client may read either: keep one of them"
    )]
    Duplicate(String),
    /// Another entry has this name.
    #[error("there is another entry named {name}")]
    Other {
        /// Its name.
        name: String,
        /// What it says.
        before: Value,
    },
}

/// Puts the entry into a text; an empty one gets everything that is needed. Replaces another
/// entry of the same name only if `replace` is set.
pub(crate) fn merge(text: &str, entry: &Entry, replace: bool) -> Result<Merged, MergeError> {
    let before = existing(text, entry)?;
    match before {
        Some(before) if before == entry.value => return Ok(Merged::Unchanged),
        Some(before) if !replace => {
            return Err(MergeError::Other {
                name: entry.name.clone(),
                before,
            });
        }
        _ => {}
    }
    let text = match entry.format {
        Format::Json => merge_json(text, entry)?,
        Format::Toml => merge_toml(text, entry)?,
    };
    Ok(Merged::Changed { text, before })
}

/// The entry of this name in a text.
pub(crate) fn existing(text: &str, entry: &Entry) -> Result<Option<Value>, MergeError> {
    match entry.format {
        Format::Json => {
            let root = parse_json(text)?;
            let Some(root) = root_object(&root, text)? else {
                return Ok(None);
            };
            // What is asked for is put into this one.
            if entry.input.is_some() {
                only(&root, "inputs")?;
            }
            let Some(section) = only(&root, entry.section)? else {
                return Ok(None);
            };
            let section = section
                .object_value()
                .ok_or(MergeError::Shape(entry.section.to_owned(), "an object"))?;
            let found = only(&section, &entry.name)?.and_then(|found| found.value());
            Ok(found.map(|node| json_value(&node)))
        }
        Format::Toml => {
            let document = parse_toml(text)?;
            let Some(section) = document.get(entry.section) else {
                return Ok(None);
            };
            let section = section
                .as_table_like()
                .ok_or(MergeError::Shape(entry.section.to_owned(), "a table"))?;
            Ok(section.get(&entry.name).map(toml_item))
        }
    }
}

/// The member of this name. Fails if there are several.
fn only(object: &CstObject, name: &str) -> Result<Option<CstObjectProp>, MergeError> {
    let members = object.properties().into_iter();
    let mut members = members.filter(|member| member.decoded_name().as_deref() == Some(name));
    match (members.next(), members.next()) {
        (_, Some(_)) => Err(MergeError::Duplicate(name.to_owned())),
        (member, None) => Ok(member),
    }
}

/// The text of a file that has nothing but this entry.
pub(crate) fn written(entry: &Entry) -> String {
    match merge("", entry, false) {
        Ok(Merged::Changed { text, .. }) => text,
        Ok(Merged::Unchanged) | Err(_) => String::new(),
    }
}

fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count().saturating_add(1);
    let last = before.rsplit('\n').next().unwrap_or_default();
    (line, last.chars().count().saturating_add(1))
}

/// What clients accept at most: comments and trailing commas.
const OPTIONS: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_loose_object_property_names: false,
    allow_trailing_commas: true,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

fn parse_json(text: &str) -> Result<CstRootNode, MergeError> {
    let (_, body) = mark(text);
    CstRootNode::parse(body, &OPTIONS).map_err(|error| {
        let (line, column) = position(body, error.range().start);
        let message = error.kind().to_string();
        MergeError::Syntax {
            line,
            column,
            message,
        }
    })
}

/// The byte order mark that some editors write, and the rest.
fn mark(text: &str) -> (&str, &str) {
    match text.strip_prefix('\u{feff}') {
        Some(body) => ("\u{feff}", body),
        None => ("", text),
    }
}

fn root_object(root: &CstRootNode, text: &str) -> Result<Option<CstObject>, MergeError> {
    match (root.object_value(), root.value()) {
        (Some(object), _) => Ok(Some(object)),
        (None, None) => Ok(None),
        (None, Some(_)) => {
            let (line, column) = position(text, 0);
            Err(MergeError::Syntax {
                line,
                column,
                message: "the file is not a JSON object".to_owned(),
            })
        }
    }
}

fn merge_json(text: &str, entry: &Entry) -> Result<String, MergeError> {
    let shape = |what: &str, kind| MergeError::Shape(what.to_owned(), kind);
    let root = parse_json(text)?;
    let object = root
        .object_value_or_create()
        .ok_or(shape("the file", "a JSON object"))?;
    if let Some(input) = &entry.input {
        let inputs = object
            .array_value_or_create("inputs")
            .ok_or(shape("inputs", "a list"))?;
        let id = input.get("id");
        let known = inputs
            .elements()
            .iter()
            .any(|element| json_value(element).get("id") == id);
        if !known {
            inputs.ensure_multiline();
            inputs.append(input_of(input));
        }
    }
    let section = object
        .object_value_or_create(entry.section)
        .ok_or(shape(entry.section, "an object"))?;
    match section.get(&entry.name) {
        Some(found) => found.set_value(input_of(&entry.value)),
        None => {
            section.append(&entry.name, input_of(&entry.value));
        }
    }
    let (mark, _) = mark(text);
    let mut merged = format!("{mark}{root}");
    if text.trim().is_empty() {
        merged.truncate(merged.trim_end().len());
        merged.push('\n');
    }
    Ok(merged)
}

fn input_of(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(value) => CstInputValue::Bool(*value),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(values) => CstInputValue::Array(values.iter().map(input_of).collect()),
        Value::Object(members) => CstInputValue::Object(
            members
                .iter()
                .map(|(key, value)| (key.clone(), input_of(value)))
                .collect(),
        ),
    }
}

/// What a part of a JSON text says; null for what cannot be read.
fn json_value(node: &jsonc_parser::cst::CstNode) -> Value {
    if let Some(object) = node.as_object() {
        let members = object.properties().into_iter().filter_map(|member| {
            let value = json_value(&member.value()?);
            Some((member.decoded_name()?, value))
        });
        return Value::Object(members.collect::<Map<_, _>>());
    }
    if let Some(array) = node.as_array() {
        return Value::Array(array.elements().iter().map(json_value).collect());
    }
    if let Some(text) = node.as_string_lit() {
        return text.decoded_value().map_or(Value::Null, Value::String);
    }
    serde_json::from_str(&node.to_string()).unwrap_or_default()
}

fn parse_toml(text: &str) -> Result<DocumentMut, MergeError> {
    let (_, body) = mark(text);
    body.parse::<DocumentMut>().map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let (line, column) = position(body, start);
        let message = error.message().to_owned();
        MergeError::Syntax {
            line,
            column,
            message,
        }
    })
}

fn merge_toml(text: &str, entry: &Entry) -> Result<String, MergeError> {
    let mut document = parse_toml(text)?;
    let mut implicit = toml_edit::Table::new();
    implicit.set_implicit(true);
    let section = document
        .entry(entry.section)
        .or_insert(Item::Table(implicit));
    let inline = section.is_inline_table();
    let section: &mut dyn TableLike = section
        .as_table_like_mut()
        .ok_or(MergeError::Shape(entry.section.to_owned(), "a table"))?;
    let members = entry.value.as_object().into_iter().flatten();
    let members = members.map(|(key, value)| (key.clone(), toml_value(value)));
    let mut item = match inline {
        true => Item::Value(TomlValue::InlineTable(members.collect())),
        false => Item::Table(
            members
                .map(|(key, value)| (key, Item::Value(value)))
                .collect(),
        ),
    };
    // The comments in front of a table belong to it.
    let old = section.get(&entry.name).and_then(Item::as_table);
    if let (Some(old), Item::Table(new)) = (old, &mut item) {
        *new.decor_mut() = old.decor().clone();
        new.set_position(old.position());
    }
    section.insert(&entry.name, item);
    let (mark, body) = mark(text);
    Ok(format!(
        "{mark}{}",
        with_ends_of(body, &document.to_string())
    ))
}

/// The new text, whose lines end as in the old one. The writer ends all lines with a line feed
/// alone; those before and after the change get their own ends back, and new ones that of the
/// first line.
fn with_ends_of(old: &str, new: &str) -> String {
    if !old.contains('\r') {
        return new.to_owned();
    }
    let old: Vec<&str> = old.split_inclusive('\n').collect();
    let new: Vec<&str> = new.split_inclusive('\n').collect();
    let body_of = |line: &str| {
        let body = line.strip_suffix('\n')?;
        Some(body.strip_suffix('\r').unwrap_or(body).to_owned())
    };
    let is_same =
        |(a, b): &(&&str, &&str)| a == b || (body_of(a).is_some() && body_of(a) == body_of(b));
    let head = old.iter().zip(&new).take_while(is_same).count();
    let most = old.len().min(new.len()).saturating_sub(head);
    let tail = old.iter().rev().zip(new.iter().rev());
    let tail = tail.take(most).take_while(is_same).count();
    let end = match old.first().is_some_and(|line| line.ends_with("\r\n")) {
        true => "\r\n",
        false => "\n",
    };
    let changed = new.iter().skip(head);
    let changed = changed.take(new.len().saturating_sub(head.saturating_add(tail)));
    let changed = changed.map(|line| match line.strip_suffix('\n') {
        Some(line) => format!("{line}{end}"),
        None => (*line).to_owned(),
    });
    let before = old.iter().take(head).map(|line| (*line).to_owned());
    let after = old.iter().skip(old.len().saturating_sub(tail));
    let after = after.map(|line| (*line).to_owned());
    before.chain(changed).chain(after).collect()
}

fn toml_value(value: &Value) -> TomlValue {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => number.as_i64().unwrap_or_default().into(),
        Value::String(text) => text.as_str().into(),
        Value::Array(values) => TomlValue::Array(values.iter().map(toml_value).collect()),
        Value::Object(members) => TomlValue::InlineTable(
            members
                .iter()
                .map(|(key, value)| (key.clone(), toml_value(value)))
                .collect(),
        ),
        Value::Null => "".into(),
    }
}

fn toml_item(item: &Item) -> Value {
    match item {
        Item::Value(value) => json_of_toml(value),
        Item::None => Value::Null,
        Item::ArrayOfTables(tables) => tables
            .iter()
            .map(|table| json_of_table(table))
            .collect::<Vec<_>>()
            .into(),
        Item::Table(table) => json_of_table(table),
    }
}

fn json_of_table(table: &dyn TableLike) -> Value {
    let members = table.iter();
    let members = members.map(|(key, item)| (key.to_owned(), toml_item(item)));
    Value::Object(members.collect())
}

fn json_of_toml(value: &TomlValue) -> Value {
    match value {
        TomlValue::String(text) => text.value().as_str().into(),
        TomlValue::Integer(number) => (*number.value()).into(),
        TomlValue::Float(number) => (*number.value()).into(),
        TomlValue::Boolean(value) => (*value.value()).into(),
        TomlValue::Datetime(time) => time.value().to_string().into(),
        TomlValue::Array(values) => values.iter().map(json_of_toml).collect::<Vec<_>>().into(),
        TomlValue::InlineTable(table) => json_of_table(table),
    }
}

#[cfg(test)]
mod tests;
