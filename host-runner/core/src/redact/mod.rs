//! Takes secrets out of what is logged or shown: by the schema of a tool, by
//! name, by the program of a command, and by what they look like. Where in
//! doubt, more is taken out, not less.
//!
//! The audit log, the messages on stderr, `policy explain`, errors and the
//! questions to the user all take values from here.
//!
//! | file | recognizes a secret by |
//! |---|---|
//! | `schema` | the schema of a tool's argument |
//! | `name` | the name of a parameter or field |
//! | `command` | the program whose argument it is |
//! | `text` | the name before it in a text, or its form as a private key |
//! | `url` | its place in a URL |
//! | `token` | its form as a token or ticket of Proxmox |

mod command;
mod name;
mod schema;
#[cfg(test)]
mod tests;
mod text;
mod token;
mod url;

use serde_json::{Map, Value};

use self::name::{HIDDEN, is_command, is_secret_name};
use self::schema::Schemas;

pub(crate) use self::text::text;

/// A JSON value without secrets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Masked(pub(crate) Value);

/// A tool's arguments, by its schema: what is `writeOnly` or a `password`
/// there is hidden, and what is a secret by its name or form.
pub(crate) fn arguments(arguments: &Value, input_schema: &Value) -> Masked {
    let schemas = Schemas::new(input_schema);
    Masked(schemas.mask(arguments))
}

/// The fields of a message, by their names and forms.
pub(crate) fn fields(fields: Map<String, Value>) -> Masked {
    Masked(Schemas::default().mask(&Value::Object(fields)))
}

/// A request's parameters, decoded, in order. Several of one name become a
/// list.
pub(crate) fn params(params: &[(String, String)]) -> Masked {
    let mut grouped: Map<String, Value> = Map::new();
    for (name, value) in params {
        let value = Value::from(value.as_str());
        match grouped.get_mut(name) {
            None => {
                grouped.insert(name.clone(), value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    Masked(Schemas::default().mask(&Value::Object(grouped)))
}

/// A request's parameters as the user is shown them before agreeing, in order.
///
/// What a guest is to run, to read or to keep in a file stays whole: a question
/// must not hide what it asks about, and whatever looks like a secret there may
/// be what acts.
pub(crate) fn asked(params: &[(String, String)]) -> Vec<(String, String)> {
    let shown = params.iter().map(|(name, value)| {
        let value = if is_command(name) || matches!(name.as_str(), "input-data" | "content") {
            value.clone()
        } else if is_secret_name(name) {
            HIDDEN.to_owned()
        } else {
            text(value)
        };
        (name.clone(), value)
    });
    shown.collect()
}

/// A request's parameters as decisions about it show them, in order.
///
/// A command, and what it reads, stays whole where the part that looks like a
/// secret holds characters that a shell acts on.
pub(crate) fn shown(params: &[(String, String)]) -> Vec<(String, String)> {
    let command: Vec<&str> = params
        .iter()
        .filter(|(name, _)| is_command(name))
        .map(|(_, value)| value.as_str())
        .collect();
    let mut words = command::arguments(&command).into_iter();
    params
        .iter()
        .map(|(name, value)| {
            let value = if is_command(name) {
                let word = words.next().unwrap_or_default();
                unless_active(value, text(&word))
            } else if name == "input-data" {
                unless_active(value, command::input(&command, value))
            } else if is_secret_name(name) {
                HIDDEN.to_owned()
            } else {
                text(value)
            };
            (name.clone(), value)
        })
        .collect()
}

/// The redacted text, or the original where what was taken out holds
/// characters that a shell acts on.
fn unless_active(original: &str, redacted: String) -> String {
    let active = |text: &str| {
        let acts = |c: &char| {
            matches!(
                c,
                '$' | '`' | ';' | '|' | '&' | '<' | '>' | '(' | ')' | '{' | '}' | '\n' | '\r'
            )
        };
        text.chars().filter(acts).count()
    };
    let brackets = 2 * redacted.matches(HIDDEN).count();
    match active(original) + brackets == active(&redacted) {
        true => redacted,
        false => original.to_owned(),
    }
}
