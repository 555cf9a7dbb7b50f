//! The schemas as the types of the tools define them, in the dialect that every
//! MCP client takes, and the file that `cargo xtask docs` makes of them.
//!
//! Compiled for the tests only: the component has the file.

use std::fmt::Write as _;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::schema::{self, Fields, Kind, Length, List, Range, Splits};

/// The schema of a tool's arguments. Whole, without `$ref`: some clients do
/// not follow them.
pub(crate) fn input<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    clean(settings.into_generator().into_root_schema_for::<T>(), true)
}

/// The schema of a tool's result. Without prose: names and units tell, and the
/// list of tools stays short.
pub(crate) fn output<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12()
        .for_serialize()
        .with(|settings| settings.meta_schema = None);
    clean(settings.into_generator().into_root_schema_for::<T>(), false)
}

fn clean(schema: Schema, prose: bool) -> Value {
    let mut value = schema.to_value();
    tidy(&mut value, prose);
    if let Value::Object(root) = &mut value {
        root.remove("title");
        root.remove("description");
        root.entry("type").or_insert_with(|| json!("object"));
        if !prose {
            // `skipped` and `shortened` may be added to any result.
            root.remove("additionalProperties");
        }
        if prose {
            root.entry("properties").or_insert_with(|| json!({}));
        }
    }
    value
}

/// Removes what costs bytes without informing, and what some clients refuse:
/// `null` in a union, number formats, titles, boolean schemas.
fn tidy(value: &mut Value, prose: bool) {
    if let Value::Bool(_) = value {
        // A schema that takes anything.
        *value = json!({});
        return;
    }
    let Value::Object(object) = value else { return };
    object.remove("title");
    object.remove("default");
    if !prose {
        object.remove("description");
        object.remove("minimum");
        object.remove("maximum");
    }
    let is_number = matches!(object.get("format").and_then(Value::as_str), Some(format)
        if format.starts_with("int") || format.starts_with("uint") || matches!(format, "double" | "float"));
    if is_number {
        object.remove("format");
    }
    // Where a comment in the source is broken into lines.
    if let Some(Value::String(text)) = object.get_mut("description") {
        *text = text.replace('\n', " ");
    }
    drop_null(object);
    for key in ["properties", "$defs"] {
        if let Some(Value::Object(children)) = object.get_mut(key) {
            children.values_mut().for_each(|child| tidy(child, prose));
        }
    }
    if let Some(items) = object.get_mut("items") {
        tidy(items, prose);
    }
    if let Some(more) = object.get_mut("additionalProperties")
        && !more.is_boolean()
    {
        tidy(more, prose);
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        if let Some(Value::Array(options)) = object.get_mut(key) {
            options.iter_mut().for_each(|option| tidy(option, prose));
        }
    }
}

/// Removes `null` from the types, values and alternatives of a schema, and replaces a
/// single alternative that is left by its keywords.
fn drop_null(object: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [one] = types.as_mut_slice() {
            let one = one.take();
            object.insert("type".into(), one);
        }
    }
    if let Some(Value::Array(values)) = object.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(Value::Array(options)) = object.get_mut("anyOf") {
        options.retain(|option| option.get("type") != Some(&json!("null")));
        if let [one] = options.as_mut_slice() {
            let one = one.take();
            object.remove("anyOf");
            if let Value::Object(one) = one {
                for (key, inner) in one {
                    object.entry(key).or_insert(inner);
                }
            }
        }
    }
}

/// The keywords that the function declarations of Gemini and of OpenAI both
/// know. One that they do not know makes some clients refuse every tool.
const PUBLISHED: [&str; 12] = [
    "type",
    "description",
    "enum",
    "properties",
    "required",
    "items",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
];

/// A bound from which on a model needs no telling: the highest vmid.
const OBVIOUS_MAXIMUM: u64 = 999_999_999;

/// Minima that models respect without being told; the component checks them all the same.
const OBVIOUS_MINIMA: [f64; 2] = [0.0, 1.0];

/// The arguments' schema as clients see it. What is left out of it, such as
/// `additionalProperties`, the highest vmid and a minimum of 0 or 1, holds all the same.
pub(crate) fn published(mut schema: Value) -> Value {
    fn publish(schema: &mut Value) {
        let Value::Object(object) = schema else {
            return;
        };
        object.retain(|keyword, value| {
            let is_obvious = match keyword.as_str() {
                "maximum" => value.as_u64() >= Some(OBVIOUS_MAXIMUM),
                "minimum" => value
                    .as_f64()
                    .is_some_and(|low| OBVIOUS_MINIMA.contains(&low)),
                _ => false,
            };
            PUBLISHED.contains(&keyword.as_str()) && !is_obvious
        });
        if let Some(Value::Object(properties)) = object.get_mut("properties") {
            properties.values_mut().for_each(publish);
        }
        if let Some(items) = object.get_mut("items") {
            publish(items);
        }
    }
    publish(&mut schema);
    schema
}

/// The part of a schema of arguments that calls are checked by.
///
/// Leaks its parts: only tests call it.
pub(crate) fn checked(schema: &Value) -> schema::Schema {
    let number = |key: &str| schema.get(key).and_then(Value::as_f64);
    let count = |key: &str| {
        let count = schema.get(key)?.as_u64()?;
        Some(u32::try_from(count).expect("a length of 32 bits"))
    };
    let is_marked = |key: &str| schema.get(key) == Some(&Value::Bool(true));
    let range = Range {
        low: number("minimum"),
        high: number("maximum"),
    };
    let length = |least: &str, most: &str| Length {
        least: count(least).unwrap_or(0),
        most: count(most),
    };
    let kind = match schema.get("type").and_then(Value::as_str) {
        _ if schema.get("enum").is_some() => Kind::OneOf(names(schema.get("enum"))),
        None => panic!("an argument of any type: {schema}"),
        Some("boolean") => Kind::Boolean,
        Some("integer") => Kind::Integer(range),
        Some("number") => Kind::Number(range),
        Some("string") => Kind::Text(length("minLength", "maxLength")),
        Some("array") => Kind::List(Box::leak(Box::new(List {
            items: checked(schema.get("items").unwrap_or(&Value::Null)),
            length: length("minItems", "maxItems"),
            splits: schema.get("x-splits").map(|splits| match splits.as_str() {
                Some("words") => Splits::Words,
                Some("lines") => Splits::Lines,
                _ => panic!("x-splits is {splits}"),
            }),
        }))),
        Some("object") => Kind::Object(Box::leak(Box::new(fields(schema)))),
        Some(other) => panic!("arguments of type {other}"),
    };
    schema::Schema {
        kind,
        secret: is_marked("writeOnly"),
        clears: is_marked("x-clears"),
    }
}

fn fields(schema: &Value) -> Fields {
    let empty = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object);
    let known = properties.unwrap_or(&empty).iter();
    let known = known.map(|(name, inner)| (name.clone().leak() as &str, checked(inner)));
    Fields {
        known: known.collect::<Vec<_>>().leak(),
        required: names(schema.get("required")),
        others: match schema.get("additionalProperties") {
            Some(Value::Bool(false)) => None,
            Some(others) => Some(checked(others)),
            None => panic!("unknown fields are not refused: {schema}"),
        },
    }
}

fn names(list: Option<&Value>) -> &'static [&'static str] {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    let names = list.map(|name| name.as_str().expect("a text").to_owned().leak() as &str);
    names.collect::<Vec<_>>().leak()
}

/// A schema as Rust source.
fn code(schema: &schema::Schema) -> String {
    let kind = match schema.kind {
        Kind::Boolean => "Boolean".to_owned(),
        Kind::Integer(range) => format!("Integer({range:?})"),
        Kind::Number(range) => format!("Number({range:?})"),
        Kind::Text(length) => format!("Text({length:?})"),
        Kind::OneOf(texts) => format!("OneOf(&{texts:?})"),
        Kind::List(list) => format!(
            "List(&List {{ items: {}, length: {:?}, splits: {} }})",
            code(&list.items),
            list.length,
            match list.splits {
                None => "None",
                Some(Splits::Words) => "Some(Splits::Words)",
                Some(Splits::Lines) => "Some(Splits::Lines)",
            }
        ),
        Kind::Object(fields) => {
            let known = fields.known.iter();
            let known =
                known.map(|(name, inner)| format!("\n        ({name:?}, {}),", code(inner)));
            format!(
                "Object(&Fields {{ required: &{:?}, others: {}, known: &[{}] }})",
                fields.required,
                match &fields.others {
                    None => "None".to_owned(),
                    Some(others) => format!("Some({})", code(others)),
                },
                known.collect::<String>()
            )
        }
    };
    let marks = [(schema.secret, ".secret()"), (schema.clears, ".clearing()")];
    let marks = marks.iter().filter(|(is_set, _)| *is_set);
    let marks: String = marks.map(|(_, call)| *call).collect();
    format!("Schema::new(Kind::{kind}){marks}")
}

/// The file of all schemas, by the name of their tool.
pub(crate) fn file<'a>(tools: impl Iterator<Item = (&'a str, Value, Value)>) -> String {
    let mut file =
        "//! What each tool takes and returns. Generated from the types of the tools by\n\
        //! `cargo xtask docs`: do not edit.\n\n\
        use crate::tool::schema::{Fields, Kind, Length, List, Range, Schema, Schemas, Splits};\n\n\
        pub(super) const ALL: &[(&str, Schemas)] = &[\n"
            .to_owned();
    for (name, input, output) in tools {
        let checked = code(&checked(&input));
        let published = published(input).to_string();
        let output = output.to_string();
        writeln!(
            file,
            "    ({name:?}, Schemas {{\n        input: {checked},\n        published_input: \
             {},\n        output: {},\n    }}),",
            literal(&published),
            literal(&output)
        )
        .expect("a text grows");
    }
    file.push_str("];\n");
    file
}

fn literal(text: &str) -> String {
    assert!(!text.contains("\"##"), "{text}");
    format!("r##\"{text}\"##")
}
