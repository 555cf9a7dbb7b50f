//! The world of typed functions: WIT, the Rust code behind it, and the docs
//! that hosts show to a model.

use std::fmt::Write as _;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};

/// The name of the parameter that holds what is optional.
const OPTIONS: &str = "options";

/// A function.
struct Function {
    /// The tool's name.
    tool: String,
    docs: String,
    required: Vec<Argument>,
    optional: Vec<Argument>,
    types: Types,
}

/// An argument of a tool, or a field of an object.
struct Argument {
    /// The tool's own name for it.
    name: String,
    description: String,
    required: bool,
    shape: Shape,
    /// What of the schema no type can say.
    range: String,
}

/// A type.
enum Shape {
    Text,
    Switch,
    Number,
    Integer(&'static str),
    List(Box<Shape>),
    /// By its name.
    Defined(String),
}

/// What a function defines.
#[derive(Default)]
struct Types {
    enums: Vec<(String, Vec<String>)>,
    records: Vec<(String, Vec<Argument>)>,
}

/// The source that `adapters/typed` includes: the world, and the code behind it.
pub(crate) fn source(tools: &[Value]) -> Result<String> {
    let functions = functions(tools)?;
    Ok(rust(&functions, &wit(&functions)))
}

/// The custom section `package-docs`: what hosts show of each function.
pub(crate) fn docs_section(tools: &[Value]) -> Result<Vec<u8>> {
    let exports: Map<String, Value> = functions(tools)?
        .into_iter()
        .map(|function| (kebab(&function.tool), json!({ "docs": function.docs })))
        .collect();
    // The decoded world of every component is called so.
    let docs = json!({ "worlds": { "root": { "func_exports": exports } } });
    // The version of the format.
    let mut section = vec![1];
    section.extend(docs.to_string().into_bytes());
    Ok(section)
}

/// The function's name for a tool's name.
pub(crate) fn kebab(name: &str) -> String {
    name.replace('_', "-")
}

fn functions(tools: &[Value]) -> Result<Vec<Function>> {
    tools.iter().map(Function::new).collect()
}

impl Function {
    fn new(tool: &Value) -> Result<Self> {
        let text = |key: &str| tool.get(key).and_then(Value::as_str);
        let name = text("name").context("a tool has no name")?;
        let description = text("description").context("a tool has no description")?;
        let schema = tool.get("inputSchema").context("a tool has no schema")?;
        let function = || -> Result<Self> {
            ensure!(is_name(&kebab(name)), "{name} cannot be a function's name");
            let mut types = Types::default();
            let all = arguments(schema, &kebab(name), &mut types)?;
            ensure!(
                all.iter().all(|argument| argument.name != OPTIONS),
                "an argument has the name of the parameter for what is optional"
            );
            let (required, optional): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|argument| argument.required);
            Ok(Self {
                docs: docs(description, &required, &optional, &types),
                tool: name.to_owned(),
                required,
                optional,
                types,
            })
        };
        function().with_context(|| format!("the tool {name} has no typed form"))
    }

    fn options(&self) -> String {
        format!("{}-option", kebab(&self.tool))
    }
}

/// An object's properties, in the schema's order.
fn arguments(schema: &Value, prefix: &str, types: &mut Types) -> Result<Vec<Argument>> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return Ok(Vec::new());
    };
    let required = |name: &str| {
        schema
            .get("required")
            .and_then(Value::as_array)
            .is_some_and(|names| names.iter().any(|one| one == name))
    };
    let mut arguments = Vec::new();
    for (name, schema) in properties {
        let kebab = kebab(name);
        ensure!(is_name(&kebab), "{name} cannot be an argument's name");
        let description = schema.get("description").and_then(Value::as_str);
        arguments.push(Argument {
            shape: shape(schema, &format!("{prefix}-{kebab}"), types)
                .with_context(|| format!("the argument {name}"))?,
            range: range(schema),
            description: description.unwrap_or_default().to_owned(),
            required: required(name),
            name: name.clone(),
        });
    }
    Ok(arguments)
}

fn shape(schema: &Value, name: &str, types: &mut Types) -> Result<Shape> {
    let most = schema.get("maximum").and_then(Value::as_f64);
    // A minimum of 0 or 1 is not published.
    let least = schema.get("minimum").and_then(Value::as_f64).unwrap_or(0.0);
    Ok(match schema.get("type").and_then(Value::as_str) {
        Some("string") => match schema.get("enum").and_then(Value::as_array) {
            None => Shape::Text,
            Some(values) => {
                let values: Option<Vec<String>> = values
                    .iter()
                    .map(|value| value.as_str().map(str::to_owned))
                    .collect();
                let values = values.context("an allowed value is not a string")?;
                if values.iter().all(|value| is_name(value)) {
                    types.enums.push((name.to_owned(), values));
                    Shape::Defined(name.to_owned())
                } else {
                    Shape::Text
                }
            }
        },
        Some("boolean") => Shape::Switch,
        Some("number") => Shape::Number,
        Some("integer") => Shape::Integer(match most {
            _ if least < 0.0 => "s64",
            Some(most) if most <= f64::from(u32::MAX) => "u32",
            _ => "u64",
        }),
        Some("array") => {
            let items = schema.get("items").context("a list without items")?;
            Shape::List(Box::new(shape(items, name, types)?))
        }
        Some("object") => {
            let fields = arguments(schema, name, types)?;
            ensure!(!fields.is_empty(), "an object without properties");
            types.records.push((name.to_owned(), fields));
            Shape::Defined(name.to_owned())
        }
        other => bail!("there is no type for {other:?}"),
    })
}

/// What a number may be, in words.
fn range(schema: &Value) -> String {
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    match (bound("minimum"), bound("maximum")) {
        (Some(least), Some(most)) => format!("{least} to {most}. "),
        (Some(least), None) if least > 0.0 => format!("At least {least}. "),
        (None, Some(most)) => format!("At most {most}. "),
        _ => String::new(),
    }
}

/// What a model reads of a function.
fn docs(description: &str, required: &[Argument], optional: &[Argument], types: &Types) -> String {
    let mut text = description.to_owned();
    if required.len() + optional.len() > 0 {
        text.push('\n');
    }
    for argument in required {
        let _ = write!(
            text,
            "\n{}: {}",
            kebab(&argument.name),
            argument.meaning(types)
        );
    }
    if !optional.is_empty() {
        let _ = write!(
            text,
            "\n{OPTIONS}: [] for none, or what is needed of these, such as {}:",
            optional
                .first()
                .map(|argument| argument.example(types))
                .unwrap_or_default()
        );
    }
    for argument in optional {
        let _ = write!(
            text,
            "\n- {}: {}",
            kebab(&argument.name),
            argument.meaning(types)
        );
    }
    text
}

impl Argument {
    fn meaning(&self, types: &Types) -> String {
        let mut text = format!("{}{}", self.range, self.description);
        if let Shape::List(inner) = &self.shape
            && let Shape::Defined(name) = &**inner
            && let Some((_, fields)) = types.records.iter().find(|(record, _)| record == name)
        {
            text.push_str(" Each with");
            for field in fields {
                let null = if field.required { "" } else { ", or null" };
                let _ = write!(
                    text,
                    " {} ({}{null}),",
                    kebab(&field.name),
                    field.meaning(types).trim_end_matches('.')
                );
            }
            text = format!("{}.", text.trim_end_matches(','));
        }
        text.trim().to_owned()
    }

    /// As it is written in `options`.
    fn example(&self, types: &Types) -> String {
        let value = match &self.shape {
            Shape::Text => json!("…"),
            Shape::Switch => json!(true),
            Shape::Number | Shape::Integer(_) => json!(100),
            Shape::List(_) => json!([]),
            Shape::Defined(name) => types
                .enums
                .iter()
                .find(|(one, _)| one == name)
                .and_then(|(_, values)| values.first())
                .map_or_else(|| json!({}), |value| json!(value)),
        };
        format!("{{\"tag\": \"{}\", \"val\": {value}}}", kebab(&self.name))
    }
}

fn wit(functions: &[Function]) -> String {
    let mut text = "\
        /// A function for each tool of the component that this adapter is composed\n\
        /// with. What a tool answers is JSON, as text; an error is text.\n\
        package proxmox:typed@0.1.0;\n\n\
        world root {\n"
        .to_owned();
    let separated: Vec<String> = functions.iter().map(function_wit).collect();
    text.push_str(&separated.join("\n"));
    text.push_str("}\n");
    text
}

fn function_wit(function: &Function) -> String {
    let mut text = String::new();
    for (name, values) in &function.types.enums {
        let values: Vec<String> = values.iter().map(|value| escaped(value)).collect();
        let _ = writeln!(text, "  enum {name} {{ {} }}", values.join(", "));
    }
    for (name, fields) in &function.types.records {
        let _ = writeln!(text, "  record {name} {{");
        for field in fields {
            comment(&mut text, "    ", &field.meaning(&function.types));
            let shape = field.shape.wit();
            let shape = if field.required {
                shape
            } else {
                format!("option<{shape}>")
            };
            let _ = writeln!(text, "    {}: {shape},", escaped(&kebab(&field.name)));
        }
        text.push_str("  }\n");
    }
    if !function.optional.is_empty() {
        let _ = writeln!(text, "  variant {} {{", function.options());
        for argument in &function.optional {
            comment(&mut text, "    ", &argument.meaning(&function.types));
            let name = escaped(&kebab(&argument.name));
            let _ = writeln!(text, "    {name}({}),", argument.shape.wit());
        }
        text.push_str("  }\n");
    }
    comment(&mut text, "  ", &function.docs);
    let mut parameters: Vec<String> = function
        .required
        .iter()
        .map(|argument| {
            format!(
                "{}: {}",
                escaped(&kebab(&argument.name)),
                argument.shape.wit()
            )
        })
        .collect();
    if !function.optional.is_empty() {
        parameters.push(format!("{OPTIONS}: list<{}>", function.options()));
    }
    let _ = writeln!(
        text,
        "  export {}: func({}) -> result<string, string>;",
        kebab(&function.tool),
        parameters.join(", ")
    );
    text
}

fn comment(text: &mut String, indent: &str, docs: &str) {
    for line in docs.lines() {
        let _ = writeln!(text, "{}", format!("{indent}/// {line}").trim_end());
    }
}

impl Shape {
    fn wit(&self) -> String {
        match self {
            Self::Text => "string".to_owned(),
            Self::Switch => "bool".to_owned(),
            Self::Number => "f64".to_owned(),
            Self::Integer(name) => (*name).to_owned(),
            Self::List(inner) => format!("list<{}>", inner.wit()),
            Self::Defined(name) => name.clone(),
        }
    }

    fn rust(&self) -> String {
        match self {
            Self::Text => "String".to_owned(),
            Self::Switch => "bool".to_owned(),
            Self::Number => "f64".to_owned(),
            Self::Integer(name) => name.replace('s', "i"),
            Self::List(inner) => format!("Vec<{}>", inner.rust()),
            Self::Defined(name) => format!("wit::{}", camel(name)),
        }
    }
}

fn rust(functions: &[Function], world: &str) -> String {
    let mut text = format!(
        "// Made from the tool list by `cargo xtask adapters`.\n\n\
         use serde_json::Value;\n\n\
         use crate::Adapter;\n\
         use crate::arguments::{{Arguments, record}};\n\n\
         mod wit {{\n\
         use crate::Adapter;\n\n\
         wit_bindgen::generate!({{ inline: r##\"{world}\"##, world: \"root\" }});\n\n\
         export!(Adapter);\n\
         }}\n\n\
         impl wit::Guest for Adapter {{\n"
    );
    let separated: Vec<String> = functions.iter().map(function_rust).collect();
    text.push_str(&separated.join("\n"));
    text.push_str("}\n");
    for function in functions {
        for (name, values) in &function.types.enums {
            let name = camel(name);
            let _ = write!(
                text,
                "\nimpl From<wit::{name}> for Value {{\n    \
                 fn from(value: wit::{name}) -> Self {{\n        \
                 match value {{\n"
            );
            for value in values {
                let _ = writeln!(
                    text,
                    "            wit::{name}::{} => \"{value}\".into(),",
                    camel(value)
                );
            }
            text.push_str("        }\n    }\n}\n");
        }
        for (name, fields) in &function.types.records {
            let name = camel(name);
            let _ = write!(
                text,
                "\nimpl From<wit::{name}> for Value {{\n    \
                 fn from(value: wit::{name}) -> Self {{\n        \
                 record([\n"
            );
            for field in fields {
                let _ = writeln!(
                    text,
                    "            (\"{}\", value.{}.into()),",
                    field.name,
                    variable(&field.name)
                );
            }
            text.push_str("        ])\n    }\n}\n");
        }
    }
    text
}

fn function_rust(function: &Function) -> String {
    let mut parameters: Vec<String> = function
        .required
        .iter()
        .map(|argument| format!("{}: {}", variable(&argument.name), argument.shape.rust()))
        .collect();
    if !function.optional.is_empty() {
        parameters.push(format!(
            "{OPTIONS}: Vec<wit::{}>",
            camel(&function.options())
        ));
    }
    let mut text = format!(
        "    fn {}({}) -> Result<String, String> {{\n",
        variable(&function.tool),
        parameters.join(", ")
    );
    let mutable = if function.optional.is_empty() {
        ""
    } else {
        "mut "
    };
    let _ = write!(
        text,
        "        let {mutable}arguments = Arguments::default()"
    );
    for argument in &function.required {
        let _ = write!(
            text,
            "\n            .required(\"{}\", {})",
            argument.name,
            variable(&argument.name)
        );
    }
    text.push_str(";\n");
    if !function.optional.is_empty() {
        let _ = writeln!(text, "        for option in {OPTIONS} {{");
        text.push_str("            match option {\n");
        for argument in &function.optional {
            let _ = writeln!(
                text,
                "                wit::{}::{}(value) => arguments.option(\"{}\", value)?,",
                camel(&function.options()),
                camel(&argument.name),
                argument.name
            );
        }
        text.push_str("            }\n        }\n");
    }
    let _ = writeln!(text, "        arguments.call(\"{}\")", function.tool);
    text.push_str("    }\n");
    text
}

/// Whether a text is a name in WIT: words of letters and digits, each in one
/// case and beginning with a letter, joined by `-`.
fn is_name(text: &str) -> bool {
    text.split('-').all(|word| {
        let mut letters = word.chars();
        let first = letters.next();
        first.is_some_and(|first| first.is_ascii_lowercase())
            && letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
            || first.is_some_and(|first| first.is_ascii_uppercase())
                && word
                    .chars()
                    .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
    })
}

/// A name that WIT does not take for one of its own words.
fn escaped(name: &str) -> String {
    const WORDS: [&str; 42] = [
        "as",
        "async",
        "bool",
        "borrow",
        "char",
        "constructor",
        "enum",
        "error-context",
        "export",
        "f32",
        "f64",
        "flags",
        "from",
        "func",
        "future",
        "import",
        "include",
        "interface",
        "list",
        "map",
        "option",
        "own",
        "package",
        "record",
        "resource",
        "result",
        "s16",
        "s32",
        "s64",
        "s8",
        "static",
        "stream",
        "string",
        "tuple",
        "type",
        "u16",
        "u32",
        "u64",
        "u8",
        "use",
        "variant",
        "with",
    ];
    if WORDS.contains(&name) || name == "world" {
        format!("%{name}")
    } else {
        name.to_owned()
    }
}

/// A type's or a case's name in Rust, as wit-bindgen makes it.
fn camel(name: &str) -> String {
    name.split(['-', '_'])
        .map(|word| {
            let mut letters = word.chars();
            letters.next().map_or_else(String::new, |first| {
                let rest = letters.as_str().to_ascii_lowercase();
                format!("{}{rest}", first.to_ascii_uppercase())
            })
        })
        .collect()
}

/// A variable's or a field's name in Rust, as wit-bindgen makes it.
fn variable(name: &str) -> String {
    const WORDS: [&str; 12] = [
        "as", "const", "for", "if", "in", "match", "mod", "move", "ref", "static", "type", "use",
    ];
    if WORDS.contains(&name) {
        format!("{name}_")
    } else {
        name.to_owned()
    }
}
