//! Takes secrets out of what is logged or shown: by the schema of a tool, by
//! name, by the program of a command, and by what they look like. Where in
//! doubt, more is taken out, not less.
//!
//! The audit log, the messages on stderr, `policy explain`, errors and the
//! questions to the user all take values from here.

mod command;

use serde_json::{Map, Value};

/// Replaces a secret.
const HIDDEN: &str = "(hidden)";

/// How many schemas may apply to one value. Past it, the value is hidden.
const MAX_SCHEMAS: usize = 64;

/// A JSON value without secrets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Masked(pub(crate) Value);

/// A tool's arguments, by its schema: what is `writeOnly` or a `password`
/// there is hidden, and what is a secret by its name or form.
pub(crate) fn arguments(arguments: &Value, input_schema: &Value) -> Masked {
    let schemas = Schemas::new(input_schema);
    Masked(schemas.mask(arguments))
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

/// A text of any kind: without private keys, the user part of URLs, tickets,
/// tokens, and what follows a name such as `password=`.
pub(crate) fn text(text: &str) -> String {
    hide_named(&hide_signatures(&hide_userinfo(&hide_keys(text))))
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

/// A command line, as an argument list or in one text.
fn is_command(name: &str) -> bool {
    matches!(name, "command" | "cmd" | "argv" | "args" | "extra-args")
}

/// The schemas that apply to a value.
#[derive(Default)]
struct Schemas<'a> {
    root: Option<&'a Value>,
    all: Vec<&'a Value>,
    /// There were more than could be followed.
    overflowed: bool,
}

impl<'a> Schemas<'a> {
    fn new(root: &'a Value) -> Self {
        let mut schemas = Self {
            root: Some(root),
            ..Self::default()
        };
        schemas.add(root);
        schemas
    }

    /// Adds a schema and all that it refers to.
    fn add(&mut self, schema: &'a Value) {
        let mut open = vec![schema];
        while let Some(schema) = open.pop() {
            if self.all.iter().any(|known| std::ptr::eq(*known, schema)) {
                continue;
            }
            if self.all.len() >= MAX_SCHEMAS {
                self.overflowed = true;
                return;
            }
            self.all.push(schema);
            for key in ["anyOf", "oneOf", "allOf"] {
                let options = schema.get(key).and_then(Value::as_array);
                open.extend(options.into_iter().flatten());
            }
            for key in ["if", "then", "else"] {
                open.extend(schema.get(key));
            }
            let reference = schema.get("$ref").and_then(Value::as_str);
            let pointer = reference.and_then(|reference| reference.strip_prefix('#'));
            if let (Some(root), Some(pointer)) = (self.root, pointer) {
                open.extend(root.pointer(pointer));
            }
        }
    }

    fn inner(&self, find: impl Fn(&'a Value, &mut Vec<&'a Value>)) -> Self {
        let mut inner = Self {
            root: self.root,
            all: Vec::new(),
            overflowed: self.overflowed,
        };
        let mut found = Vec::new();
        for schema in &self.all {
            find(schema, &mut found);
        }
        for schema in found {
            inner.add(schema);
        }
        inner
    }

    fn field(&self, name: &str) -> Self {
        self.inner(|schema, found| {
            let named = schema.get("properties").and_then(|all| all.get(name));
            found.extend(named.or_else(|| schema.get("additionalProperties")));
            let patterns = schema.get("patternProperties").and_then(Value::as_object);
            found.extend(patterns.into_iter().flat_map(Map::values));
        })
    }

    fn items(&self) -> Self {
        self.inner(|schema, found| {
            found.extend(schema.get("items"));
            let first = schema.get("prefixItems").and_then(Value::as_array);
            found.extend(first.into_iter().flatten());
        })
    }

    fn are_secret(&self) -> bool {
        self.overflowed
            || self.all.iter().any(|schema| {
                schema.get("writeOnly") == Some(&Value::Bool(true))
                    || schema.get("format").and_then(Value::as_str) == Some("password")
            })
    }

    fn mask(&self, value: &Value) -> Value {
        if self.are_secret() {
            return match value {
                Value::Bool(_) => HIDDEN.into(),
                value => hidden(value),
            };
        }
        match value {
            Value::String(text) => self::text(text).into(),
            Value::Array(items) => {
                let schemas = self.items();
                let mut is_next_secret = false;
                let items = items.iter().map(|item| {
                    let is_secret = std::mem::take(&mut is_next_secret);
                    // As a command has it: `--password`, then the password.
                    is_next_secret = item.as_str().is_some_and(|item| {
                        item.starts_with('-') && !item.contains('=') && is_secret_name(item)
                    });
                    if is_secret {
                        hidden(item)
                    } else {
                        schemas.mask(item)
                    }
                });
                items.collect()
            }
            Value::Object(fields) => {
                let fields = fields.iter().map(|(name, value)| {
                    let value = if is_secret_name(name) || is_payload(name, value) {
                        hidden(value)
                    } else if is_command(name) && !self.field(name).are_secret() {
                        without_arguments(value)
                    } else {
                        self.field(name).mask(value)
                    };
                    (text(name), value)
                });
                Value::Object(fields.collect())
            }
            other => other.clone(),
        }
    }
}

/// A command without the secrets among its arguments.
fn without_arguments(value: &Value) -> Value {
    let plain = Schemas::default();
    match value {
        Value::String(line) => plain.mask(&command::line(line).into()),
        Value::Array(words) if words.iter().all(Value::is_string) => {
            let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
            plain.mask(&command::arguments(&words).into())
        }
        other => plain.mask(other),
    }
}

/// Whether there is a value stays to be seen: an empty password means another
/// thing than one. A switch such as `has_password` is none.
fn hidden(value: &Value) -> Value {
    match value {
        Value::Null | Value::Bool(_) => value.clone(),
        Value::String(text) if text.is_empty() => value.clone(),
        _ => HIDDEN.into(),
    }
}

/// Whether what has this name is a secret. Public keys are none.
fn is_secret_name(name: &str) -> bool {
    const PARTS: [&str; 10] = [
        "password",
        "passwd",
        "passphrase",
        "passcode",
        "secret",
        "token",
        "ticket",
        "credential",
        "cookie",
        "authorization",
    ];
    const WORDS: [&str; 6] = ["pass", "pwd", "pw", "psk", "otp", "totp"];
    const ENDS: [&str; 3] = ["key", "keys", "keyring"];
    const HARMLESS_ENDS: [&str; 3] = ["tokenid", "tokenname", "configkeys"];

    let letters: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|character| character.to_ascii_lowercase())
        .collect();
    if HARMLESS_ENDS.iter().any(|end| letters.ends_with(end)) {
        return false;
    }
    let is_public = letters.starts_with("ssh") || letters.contains("pub");
    PARTS.iter().any(|part| letters.contains(part))
        || (!is_public && ENDS.iter().any(|end| letters.ends_with(end)))
        || words(name).any(|word| WORDS.contains(&word.as_str()))
}

/// The words in `some_name`, `some-name` and `someName`.
fn words(name: &str) -> impl Iterator<Item = String> {
    let mut words = vec![String::new()];
    let mut was_small = false;
    for character in name.chars() {
        let starts = character.is_ascii_uppercase() && was_small;
        if starts || !character.is_ascii_alphanumeric() {
            words.push(String::new());
        }
        if character.is_ascii_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.push(character.to_ascii_lowercase());
        }
        was_small = character.is_ascii_lowercase();
    }
    words.into_iter()
}

/// The input of a command, the content of a file, the settings of a plugin: these
/// may contain secrets.
fn is_payload(name: &str, value: &Value) -> bool {
    match name {
        "stdin" | "input-data" | "input_data" | "pin" | "header" => true,
        // A list of kinds, where a storage is meant.
        "content" | "data" => !value.as_str().is_some_and(|text| {
            let is_plain = |b: u8| b.is_ascii_lowercase() || b == b',';
            text.len() <= 64 && text.bytes().all(is_plain)
        }),
        _ => false,
    }
}

/// Private keys in PEM form, also where they are percent-encoded.
fn hide_keys(text: &str) -> String {
    const BEGIN: &str = "-----BEGIN";
    const END: &str = "-----END";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, key)) = rest.split_once(BEGIN) {
        out.push_str(before);
        let label = key.split("-----").next().unwrap_or_default();
        if !label.to_ascii_uppercase().contains("PRIVATE") {
            out.push_str(BEGIN);
            rest = key;
            continue;
        }
        out.push_str(HIDDEN);
        // Behind the dashes that end the last line.
        rest = key
            .split_once(END)
            .and_then(|(_, end)| end.split_once("-----"))
            .map_or("", |(_, rest)| rest);
    }
    out.push_str(rest);
    out
}

/// The user and password in URLs, read as browsers do: between the slashes
/// behind the scheme and the last `@` before the next slash.
fn hide_userinfo(text: &str) -> String {
    const ENDS: [char; 4] = ['/', '\\', '?', '#'];
    let mut out = String::with_capacity(text.len());
    for segment in text.split_inclusive(ENDS) {
        let Some((user, host)) = segment.rsplit_once('@') else {
            out.push_str(segment);
            continue;
        };
        let before = out.trim_end_matches(['/', '\\']);
        let slashes = out.len() - before.len();
        let start = if slashes >= 2 || (slashes == 1 && ends_with_scheme(before)) {
            Some(0)
        } else {
            // Browsers take a URL without slashes too.
            let colons = user.match_indices(':').map(|(at, _)| at);
            colons
                .filter(|at| user.get(..*at).is_some_and(ends_with_web_scheme))
                .map(|at| at + 1)
                .find(|start| {
                    let user = user.get(*start..).unwrap_or_default();
                    !user.starts_with(char::is_whitespace)
                })
        };
        match start.and_then(|start| user.get(..start)) {
            Some(start) => {
                out.push_str(start);
                out.push_str(HIDDEN);
            }
            None => out.push_str(user),
        }
        out.push('@');
        out.push_str(host);
    }
    out
}

/// Values in the query of a URL that give access: signatures of links that
/// expire, keys, and whatever looks random.
fn hide_signatures(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['?', '&']) {
        let (before, query) = split(rest, at + 1);
        out.push_str(before);
        rest = query;
        let Some((name, value)) = query.split_once('=') else {
            continue;
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '%');
        if name.is_empty() || !name.chars().all(is_plain) {
            continue;
        }
        let ends =
            |c: char| c.is_whitespace() || matches!(c, '&' | '#' | '"' | '\'' | '<' | '>' | ')');
        let length = value.find(ends).unwrap_or(value.len());
        let (value, after) = split(value, length);
        if !value.is_empty() && (is_signature(name) || is_random(value)) {
            out.push_str(name);
            out.push('=');
            out.push_str(HIDDEN);
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

fn is_signature(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let parts = ["sig", "hmac", "credential", "accesskey", "auth", "policy"];
    parts.iter().any(|part| name.contains(part)) || name == "code" || is_secret_name(&name)
}

/// Long, of letters and digits without a word's breaks.
fn is_random(value: &str) -> bool {
    let is_code =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'%' | b'+' | b'/' | b'=' | b'_');
    is_uuid(value)
        || (value.len() >= 24
            && value.bytes().all(is_code)
            && value.bytes().any(|b| b.is_ascii_digit())
            && value.bytes().any(|b| b.is_ascii_alphabetic()))
}

fn ends_with_scheme(text: &str) -> bool {
    text.strip_suffix(':').is_some_and(ends_with_web_scheme)
}

/// One for which any number of slashes will do.
fn ends_with_web_scheme(text: &str) -> bool {
    ["http", "https", "ftp", "ws", "wss"].iter().any(|scheme| {
        let start = text.len().checked_sub(scheme.len());
        let end = start.and_then(|start| text.get(start..));
        end.is_some_and(|end| end.eq_ignore_ascii_case(scheme))
    })
}

/// What follows the name of a secret, and tokens and tickets of Proxmox.
fn hide_named(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        let start = rest.find(is_name).unwrap_or(rest.len());
        let (before, after) = split(rest, start);
        out.push_str(before);
        if after.is_empty() {
            return out;
        }
        let end = after.find(|c| !is_name(c)).unwrap_or(after.len());
        let (name, after) = split(after, end);
        let is_token = out.ends_with('!');
        out.push_str(name);
        rest = after;
        let identifies = name.eq_ignore_ascii_case("by") && ends_with_identified(&out);
        let Some(value) = Assigned::find(name, after)
            .or_else(|| Assigned::quoted(after))
            .or_else(|| Assigned::word(after).filter(|_| identifies))
        else {
            continue;
        };
        let (lead, assigned) = split(after, value.start);
        // The letter of `\n` belongs to no name.
        let escaped = out
            .strip_suffix(name)
            .is_some_and(|out| out.ends_with('\\'));
        let bare = name.strip_prefix(['n', 'r', 't']).filter(|_| escaped);
        let length = if identifies || is_secret_name(bare.unwrap_or(name)) || is_secret_name(name) {
            value.length(assigned)
        } else if (is_token && is_uuid(assigned)) || is_ticket(name, assigned) {
            word(assigned).len()
        } else {
            continue;
        };
        let (hidden, after) = split(assigned, length);
        out.push_str(lead);
        if !hidden.is_empty() {
            out.push_str(HIDDEN);
        }
        rest = after;
    }
}

/// Where the value of a name starts, and how it may end.
struct Assigned {
    start: usize,
    /// It may hold spaces, as in `password: correct horse`.
    is_loose: bool,
}

impl Assigned {
    fn find(name: &str, after: &str) -> Option<Self> {
        // The name's own closing quote, perhaps escaped.
        let unquoted = after.trim_start_matches(['\\', '"', '\'', ']']);
        let spaced = unquoted.trim_start_matches([' ', '\t']);
        let value = spaced.trim_start_matches([':', '=']);
        let separator = split(spaced, spaced.len() - value.len()).0;
        let value = match separator {
            "=" | ":=" | "==" => value,
            separator if separator.contains([':', '=']) => value.strip_prefix('>').unwrap_or(value),
            // As an option of a command: `--password hush`.
            _ if name.starts_with('-') && spaced.len() < unquoted.len() => value,
            _ => return None,
        };
        let trimmed = value.trim_start_matches([' ', '\t']);
        let is_spaced = trimmed.len() < value.len() || spaced.len() < unquoted.len();
        Some(Self {
            start: after.len() - trimmed.len(),
            is_loose: separator.contains(':') || (is_spaced && !separator.is_empty()),
        })
    }

    /// As in SQL: `password 'hush'`, `PASSWORD('hush')`.
    fn quoted(after: &str) -> Option<Self> {
        let value = after.trim_start_matches([' ', '\t', '(']);
        let opens = value.trim_start_matches('\\').starts_with(['"', '\'']);
        (opens && value.len() < after.len()).then_some(Self {
            start: after.len() - value.len(),
            is_loose: false,
        })
    }

    /// The next word.
    fn word(after: &str) -> Option<Self> {
        let value = after.trim_start();
        (value.len() < after.len()).then_some(Self {
            start: after.len() - value.len(),
            is_loose: false,
        })
    }

    fn length(&self, value: &str) -> usize {
        match value.chars().next() {
            Some(quote @ ('"' | '\'')) => quoted(value, quote),
            // An escaped quote, whose end is unknown.
            Some('\\') => value.len(),
            _ if !self.is_loose => word(value).len(),
            _ => {
                let line = value.split('\n').next().unwrap_or_default();
                let is_block = matches!(line.trim(), "" | "-") || line.starts_with(['|', '>']);
                let (_, next) = split(value, line.len() + 1);
                if is_block && next.starts_with([' ', '\t', '-']) {
                    value.len()
                } else {
                    line.len()
                }
            }
        }
    }
}

/// Whether a text ends in `identified by`, or in `identified with … by`.
fn ends_with_identified(text: &str) -> bool {
    let from = text.floor_char_boundary(text.len().saturating_sub(100));
    let end = text.get(from..).unwrap_or_default();
    end.to_ascii_lowercase().contains("identified")
}

fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.')
}

/// `PVE:user@realm:HEX::…`, or `PVEVNC:HEX::…`.
fn is_ticket(name: &str, rest: &str) -> bool {
    let (start, _) = split(rest, rest.floor_char_boundary(256));
    let mut fields = start.split(':');
    let Some(mut time) = fields.next() else {
        return false;
    };
    if time.contains('@') {
        time = fields.next().unwrap_or_default();
    }
    name.starts_with('P')
        && time.bytes().all(|b| b.is_ascii_hexdigit())
        && !time.is_empty()
        && fields.next() == Some("")
        && fields.next().is_some()
}

fn word(text: &str) -> &str {
    text.split(char::is_whitespace).next().unwrap_or_default()
}

/// The length of a text in quotes, and of what a shell would add to it.
fn quoted(text: &str, quote: char) -> usize {
    let mut open = Some(quote);
    let mut is_escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        if std::mem::take(&mut is_escaped) {
            continue;
        }
        match (open, character) {
            (_, '\\') => is_escaped = true,
            (Some(quote), character) if character == quote => open = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => open = Some(character),
            (None, character) if character.is_whitespace() => return at,
            (None, _) => {}
        }
    }
    text.len()
}

/// Whether the text starts with one, as the secrets of tokens are.
fn is_uuid(text: &str) -> bool {
    let mut bytes = text.bytes();
    (0..36).all(|at| {
        bytes.next().is_some_and(|byte| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    })
}

fn split(text: &str, at: usize) -> (&str, &str) {
    text.split_at_checked(at).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const UUID: &str = "8a7f1c52-0b1e-4c5e-9d61-2f0c5d3e7a90";

    fn masked(value: Value) -> Value {
        super::arguments(&value, &json!({"type": "object"})).0
    }

    #[test]
    fn by_schema() {
        let schema = json!({
            "type": "object",
            "properties": {
                "vmid": {"type": "integer"},
                "one": {"type": "string", "writeOnly": true},
                "two": {"type": ["string", "null"], "format": "password"},
                "three": {"anyOf": [{"$ref": "#/$defs/Hush"}, {"type": "null"}]},
                "list": {"type": "array", "items": {"type": "object", "properties": {
                    "shown": {"type": "string"},
                    "four": {"type": "integer", "writeOnly": true},
                }}},
                "map": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Hush"}},
                "loop": {"$ref": "#/properties/loop"},
            },
            "$defs": {"Hush": {"type": "string", "format": "password"}},
        });
        let value = json!({
            "vmid": 100, "one": "hush", "two": "hush", "three": "hush", "loop": "seen",
            "list": [{"shown": "yes", "four": 1234}, {"four": true}], "map": {"a": "hush", "b": ""},
        });
        assert_eq!(
            super::arguments(&value, &schema).0,
            json!({
                "vmid": 100, "one": HIDDEN, "two": HIDDEN, "three": HIDDEN, "loop": "seen",
                "list": [{"shown": "yes", "four": HIDDEN}, {"four": HIDDEN}],
                "map": {"a": HIDDEN, "b": ""},
            })
        );
        // Whatever the schema is.
        for schema in [
            json!(null),
            json!(true),
            json!({"properties": 3, "anyOf": {}}),
        ] {
            assert_eq!(
                super::arguments(&json!({"a": 1}), &schema).0,
                json!({"a": 1})
            );
        }
        let endless = json!({"anyOf": vec![json!({"type": "string"}); 100]});
        assert_eq!(super::arguments(&json!("x"), &endless).0, json!(HIDDEN));
    }

    #[test]
    fn by_name() {
        for name in [
            "password",
            "cipassword",
            "Password",
            "new_password",
            "rootpw-passwd",
            "client_secret",
            "token",
            "lock-token",
            "ticket",
            "vncticket",
            "encryption-key",
            "privateKey",
            "apiKey",
            "key",
            "keys",
            "keyring",
            "otp",
            "db_pass",
            "dbPass",
            "psk",
            "PVEAuthCookie",
            "eab-hmac-key",
            "stdin",
            "input-data",
        ] {
            assert_eq!(
                masked(json!({name: "hush"})),
                json!({name: HIDDEN}),
                "{name}"
            );
            assert_eq!(
                masked(json!({"a": [{"b": {name: ["hush", 7]}}]})),
                json!({"a": [{"b": {name: HIDDEN}}]}),
                "{name}"
            );
            assert_eq!(masked(json!({name: ""})), json!({name: ""}));
            assert_eq!(masked(json!({name: null})), json!({name: null}));
        }
        for name in [
            "vmid",
            "node",
            "sshkeys",
            "ssh_keys",
            "ssh-public-keys",
            "master-pubkey",
            "public_key",
            "keyboard",
            "tokenid",
            "token_id",
            "upid",
            "digest",
            "bypass_name",
            "description",
            "verify-certificates",
            "passthrough",
            "comment",
            "config-keys",
        ] {
            assert_eq!(
                masked(json!({name: "seen"})),
                json!({name: "seen"}),
                "{name}"
            );
        }
        assert_eq!(
            masked(json!({"has_password": true})),
            json!({"has_password": true})
        );
    }

    #[test]
    fn parameters() {
        let params = |pairs: &[(&str, &str)]| {
            let pairs: Vec<_> = pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            super::params(&pairs).0
        };
        assert_eq!(
            params(&[
                ("cipassword", "hush"),
                ("cores", "2"),
                ("delete", "cipassword"),
                ("input-data", "hush"),
                ("content", "iso,vztmpl"),
                ("sshkeys", "ssh-ed25519%20AAAA%20me"),
                ("url", "https://me:hush@example.com/a.iso"),
            ]),
            json!({
                "cipassword": HIDDEN, "cores": "2", "delete": "cipassword", "input-data": HIDDEN,
                "content": "iso,vztmpl", "sshkeys": "ssh-ed25519%20AAAA%20me",
                "url": "https://(hidden)@example.com/a.iso",
            })
        );
        assert_eq!(
            params(&[("content", "user=root\n")]),
            json!({"content": HIDDEN})
        );
        assert_eq!(
            params(&[
                ("command", "mysql"),
                ("command", "--password"),
                ("command", "hush"),
                ("command", "-v"),
                ("command", "--secret=hush"),
            ]),
            json!({"command": ["mysql", "--password", HIDDEN, "-v", "--secret=(hidden)"]})
        );
        assert_eq!(
            params(&[("password", "hush"), ("password", "hush")]),
            json!({"password": HIDDEN})
        );
        assert_eq!(params(&[]), json!({}));
    }

    #[test]
    fn in_texts() {
        let header = format!("PVEAPIToken=root@pam!full={UUID}");
        for (text, masked) in [
            (format!("root@pam!full={UUID}"), "root@pam!full=(hidden)"),
            (
                format!("a root@pam!full={UUID} b"),
                "a root@pam!full=(hidden) b",
            ),
            (
                format!("backup@pbs!full:{UUID}"),
                "backup@pbs!full:(hidden)",
            ),
            (header, "PVEAPIToken=(hidden)"),
        ] {
            assert_eq!(super::text(&text), masked);
        }
        for (text, masked) in [
            ("https://user:hush@host/x", "https://(hidden)@host/x"),
            ("HTTPS:/user:hush@host/x", "HTTPS:/(hidden)@host/x"),
            (r"https:\\user:hush@host", r"https:\\(hidden)@host"),
            ("https:user:hush@host", "https:(hidden)@host"),
            (
                "get ftp://hush@a@host?q=1@2 now",
                "get ftp://(hidden)@host?q=1@2 now",
            ),
            (
                "a//b https://u:hush@h/ http://v:hush@h",
                "a//b https://(hidden)@h/ http://(hidden)@h",
            ),
            ("password=hush", "password=(hidden)"),
            ("a password=hush b", "a password=(hidden) b"),
            ("PGPASSWORD='hush hush' psql", "PGPASSWORD=(hidden) psql"),
            ("mysql --password hush -v", "mysql --password (hidden) -v"),
            (
                "password: correct horse\nuser: me",
                "password: (hidden)\nuser: me",
            ),
            ("password:\n  correct horse", "password:(hidden)"),
            ("secret: |\n  correct\n  horse", "secret: (hidden)"),
            (
                r#"{"password":"hush hush", "a":1}"#,
                r#"{"password":(hidden) "a":1}"#,
            ),
            (
                r#"{\"password\":\"hush hush\"}"#,
                r#"{\"password\":(hidden)"#,
            ),
            ("password = hush hush", "password = (hidden)"),
            ("Authorization: Bearer hush", "Authorization: (hidden)"),
            ("x?a=1&token=hush", "x?a=1&token=(hidden)"),
            (
                "https://example.com/a.iso?X-Amz-Expires=60&X-Amz-Signature=abc123&v=2",
                "https://example.com/a.iso?X-Amz-Expires=60&X-Amz-Signature=(hidden)&v=2",
            ),
            (
                "https://example.com/a.iso?sv=2026&sig=hush%2Fhush%3D b",
                "https://example.com/a.iso?sv=2026&sig=(hidden) b",
            ),
            (
                "https://example.com/?d=Q3JlZGVudGlhbHMxMjM0NTY3ODkw",
                "https://example.com/?d=(hidden)",
            ),
            ("PVE:root@pam:64F1::aGhzaA==", "PVE:(hidden)"),
            ("a PVEVNC:64F1::aGhzaA== b", "a PVEVNC:(hidden) b"),
            (
                "a -----BEGIN RSA PRIVATE KEY-----\nhush\n-----END RSA PRIVATE KEY----- b",
                "a (hidden) b",
            ),
            (
                "-----BEGIN%20OPENSSH%20PRIVATE%20KEY-----%0Ahush",
                "(hidden)",
            ),
            ("password=", "password="),
        ] {
            assert_eq!(super::text(text), masked);
        }
        for text in [
            "",
            "a",
            "https://example.com/a@b",
            "https://example.com/get?file=debian-12-generic-amd64-20260316.qcow2&v=2",
            "me@example.com",
            "user: me@example.com",
            "UPID:pve1:0000A1B2:00C3D4E5:66A1B2C3:qmstart:100:root@pam!secret:",
            "local:iso/debian-12.iso",
            "uuid=8a7f1c52-0b1e-4c5e-9d61-2f0c5d3e7a90",
            "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1",
            "net0: virtio",
            "ssh-ed25519 AAAA me@host",
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
            "fe80::1",
            "PVE::1",
            "the password is wrong",
            "2001:db8::1",
        ] {
            assert_eq!(super::text(text), text);
        }
    }

    #[test]
    fn long_texts_take_no_long_time() {
        for part in [
            "http:",
            "a://",
            "!a=",
            "PVE:",
            "-----BEGIN PRIVATE",
            "x=\"",
            "P:@",
            "P=",
            "-a ",
            "@",
            "//",
            "p ",
        ] {
            super::text(&part.repeat(100_000));
        }
    }

    proptest! {
        #[test]
        fn a_secret_is_in_no_text(before in ".{0,20}", after in "[ \n/].{0,20}", secret in "hush[a-zA-Z0-9!$%*+.;,&:-]{4,12}") {
            for text in [
                format!("{before} https://me:{secret}@host{after}"),
                format!("{before} --password={secret}{after}"),
                format!("{before} api_token: {secret}{after}"),
            ] {
                prop_assert!(!super::text(&text).contains(&secret), "{}", super::text(&text));
            }
        }

        #[test]
        fn no_text_is_too_odd(text in any::<String>()) {
            super::text(&text);
        }
    }
}
