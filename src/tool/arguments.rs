//! Arguments as models send them, read by a tool's schema: numbers and switches
//! as text, one value where a list is wanted, empty texts for what is left out.
//!
//! What cannot be meant is refused with the value and the name of its argument;
//! an unknown name is always refused, and the likely right one is named.

use pve_api::size;
use serde_json::{Map, Number, Value};

use super::schema::{self, Fields, Kind, List, Schema, Splits};
use crate::error::Problem;

/// Texts that say what a call is about: of a tool whose other texts clear a
/// value, an empty one counts as not given all the same.
const NEVER_CLEARED: [&str; 2] = ["node", "digest"];

/// Reads arguments by their schema, or says all that is wrong with them.
pub(crate) fn read(schema: &Schema, mut arguments: Value) -> Result<Value, Vec<Problem>> {
    adapt(schema, &mut arguments, "", true, schema.clears);
    let problems = schema::check(schema, &arguments);
    if problems.is_empty() {
        Ok(arguments)
    } else {
        Err(problems)
    }
}

/// Changes a value into what its schema asks for, where there is no doubt.
/// Numbers become texts only where they are `loose`: a required name is never a
/// number.
fn adapt(schema: &Schema, value: &mut Value, name: &str, loose: bool, clears: bool) {
    match schema.kind {
        Kind::OneOf(allowed) => choose(allowed, value),
        Kind::Object(known) => {
            parse_nested(value, '{');
            if let Value::Object(fields) = value {
                adapt_fields(known, fields, clears);
            }
        }
        Kind::List(list) => {
            parse_nested(value, '[');
            parse_nested(value, '{');
            if let Some(parts) = split(list, value) {
                *value = Value::Array(parts);
            }
            if !matches!(value, Value::Array(_) | Value::Null) {
                *value = Value::Array(vec![value.take()]);
            }
            if let Value::Array(items) = value {
                for item in items {
                    adapt(&list.items, item, name, true, clears);
                }
            }
        }
        Kind::Integer(_) => {
            if let Some(whole) = integer(value).or_else(|| mebibytes(name, value)) {
                *value = Value::Number(whole);
            }
        }
        Kind::Number(_) => {
            if let Value::String(text) = value
                && let Ok(number) = text.trim().parse::<f64>()
                && let Some(number) = Number::from_f64(number)
            {
                *value = Value::Number(number);
            }
        }
        Kind::Boolean => {
            if let Some(switch) = switch(value) {
                *value = Value::Bool(switch);
            }
        }
        Kind::Text(_) if loose => {
            if let Value::Number(number) = value {
                *value = integer(&Value::Number(number.clone()))
                    .unwrap_or_else(|| number.clone())
                    .to_string()
                    .into();
            }
        }
        Kind::Text(_) => {}
    }
}

fn adapt_fields(known: &Fields, fields: &mut Map<String, Value>, clears: bool) {
    fields.retain(|name, value| {
        let Some(inner) = known.get(name) else {
            return true;
        };
        match value {
            Value::Null => false,
            Value::String(text) if !known.requires(name) => {
                if matches!(inner.kind, Kind::Text(_)) {
                    let cleared = clears && !NEVER_CLEARED.contains(&name.as_str());
                    !text.is_empty() || cleared || inner.clears
                } else {
                    !text.trim().is_empty()
                }
            }
            _ => true,
        }
    });
    for (name, value) in fields {
        if let Some(inner) = known.get(name) {
            let clears = clears || inner.clears;
            adapt(inner, value, name, !known.requires(name), clears);
        }
    }
}

/// A lone text that holds several entries of a list, where the list's schema
/// says what is between them.
fn split(list: &List, value: &Value) -> Option<Vec<Value>> {
    let text = value.as_str()?;
    let between: &[char] = match list.splits? {
        Splits::Lines => &['\n', '\r'],
        Splits::Words => &[',', ';', ' ', '\t', '\n', '\r'],
    };
    let parts = text.split(between).map(str::trim);
    Some(
        parts
            .filter(|part| !part.is_empty())
            .map(Value::from)
            .collect(),
    )
}

/// A list or an object that was sent as its JSON text.
fn parse_nested(value: &mut Value, opening: char) {
    if let Value::String(text) = value
        && text.trim_start().starts_with(opening)
        && let Ok(parsed) = serde_json::from_str(text)
    {
        *value = parsed;
    }
}

/// The allowed value that differs from the given one in case, or in `_` for
/// `-`, only.
fn choose(allowed: &[&str], value: &mut Value) {
    let plain = |text: &str| text.trim().to_ascii_lowercase().replace(['_', ' '], "-");
    let Value::String(text) = &*value else { return };
    if allowed.contains(&text.as_str()) {
        return;
    }
    let wanted = plain(text);
    if let Some(found) = allowed.iter().find(|one| plain(one) == wanted) {
        *value = Value::from(*found);
    }
}

/// `100`, `100.0`, `"100"` and `"100.0"`.
fn integer(value: &Value) -> Option<Number> {
    let text = match value {
        Value::Number(number) if number.is_f64() => number.to_string(),
        Value::Number(number) => return Some(number.clone()),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    let whole = match text.split_once('.') {
        Some((whole, fraction)) => {
            let zeros = !fraction.is_empty() && fraction.bytes().all(|digit| digit == b'0');
            zeros.then_some(whole)?
        }
        None => text.as_str(),
    };
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    whole
        .parse::<i64>()
        .map(Number::from)
        .or_else(|_| whole.parse::<u64>().map(Number::from))
        .ok()
}

/// A size with its unit, for an argument that is a number of MiB.
fn mebibytes(name: &str, value: &Value) -> Option<Number> {
    const MIB: u64 = 1 << 20;
    let text = value.as_str().filter(|_| name.ends_with("_mib"))?;
    let bytes = size::bytes(text)?;
    (bytes == 0 || bytes >= MIB).then(|| (size::whole(bytes) / MIB).into())
}

fn switch(value: &Value) -> Option<bool> {
    match value {
        Value::Number(number) => match number.as_f64()? {
            0.0 => Some(false),
            1.0 => Some(true),
            _ => None,
        },
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "y" | "on" => Some(true),
            "false" | "0" | "no" | "n" | "off" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::argument_names::unknown;
    use super::*;
    use crate::tool::derived;
    use proptest::prelude::*;
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    #[derive(Deserialize, Serialize, JsonSchema)]
    #[serde(rename_all = "kebab-case")]
    enum State {
        Running,
        IoError,
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "its schema is the test")]
    struct Address {
        nic: u8,
        ip: Option<String>,
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "its schema is the test")]
    struct Args {
        #[schemars(range(min = 100, max = 999_999_999))]
        vmid: u32,
        state: Option<State>,
        #[schemars(extend("x-splits" = "words"))]
        tags: Option<Vec<String>>,
        wait: Option<bool>,
        since: Option<String>,
        memory_mib: Option<u32>,
        cpu_limit: Option<f64>,
        addresses: Option<Vec<Address>>,
        #[schemars(extend("x-clears" = true))]
        description: Option<String>,
        #[schemars(length(max = 8), extend("writeOnly" = true))]
        password: Option<String>,
    }

    fn read_args(arguments: Value) -> Result<Value, Vec<String>> {
        read(&derived::checked(&derived::input::<Args>()), arguments).map_err(|problems| {
            problems
                .into_iter()
                .map(|problem| format!("{} {}", problem.pointer, problem.message))
                .collect()
        })
    }

    #[test]
    fn values_in_another_dress_are_read() {
        for (given, read) in [
            (json!({"vmid": 100.0}), json!({"vmid": 100})),
            (json!({"vmid": " 100 "}), json!({"vmid": 100})),
            (json!({"vmid": "100.0"}), json!({"vmid": 100})),
            (
                json!({"vmid": 100, "state": "Running", "wait": "False"}),
                json!({"vmid": 100, "state": "running", "wait": false}),
            ),
            (
                json!({"vmid": 100, "state": "IO_ERROR", "wait": 1}),
                json!({"vmid": 100, "state": "io-error", "wait": true}),
            ),
            (
                json!({"vmid": 100, "tags": "prod", "since": 1_795_338_154}),
                json!({"vmid": 100, "tags": ["prod"], "since": "1795338154"}),
            ),
            (
                json!({"vmid": 100, "tags": "[\"a\", 7]", "cpu_limit": "1.5"}),
                json!({"vmid": 100, "tags": ["a", "7"], "cpu_limit": 1.5}),
            ),
            (
                json!({"vmid": 100, "addresses": {"nic": "0", "ip": ""}}),
                json!({"vmid": 100, "addresses": [{"nic": 0}]}),
            ),
            (
                json!({"vmid": 100, "tags": "prod, web;db", "wait": "off"}),
                json!({"vmid": 100, "tags": ["prod", "web", "db"], "wait": false}),
            ),
            (
                json!({"vmid": 100, "tags": ["a;b"], "wait": "Yes", "memory_mib": "0.3TB"}),
                json!({"vmid": 100, "tags": ["a;b"], "wait": true, "memory_mib": 314_573}),
            ),
            (
                json!({"vmid": 100, "memory_mib": "4GB"}),
                json!({"vmid": 100, "memory_mib": 4096}),
            ),
            (
                json!({"vmid": 100, "memory_mib": "10240M"}),
                json!({"vmid": 100, "memory_mib": 10240}),
            ),
        ] {
            assert_eq!(read_args(given.clone()), Ok(read), "{given}");
        }
    }

    #[test]
    fn what_is_empty_is_not_given_unless_it_clears() {
        assert_eq!(
            read_args(
                json!({"vmid": 100, "state": "", "tags": "", "wait": " ", "since": "",
                "memory_mib": null, "description": ""})
            ),
            Ok(json!({"vmid": 100, "description": ""}))
        );
        assert_eq!(
            read_args(json!({"vmid": ""})),
            Err(vec![
                "/vmid must be an integer from 100 to 999999999, not \"\"".to_owned()
            ])
        );
    }

    #[test]
    fn what_is_refused_is_quoted_unless_it_is_secret() {
        assert_eq!(
            read_args(json!({"vmid": "web01", "state": "gone", "wait": "maybe",
                "memory_mib": 1.5, "password": "much too long"})),
            Err(vec![
                "/vmid must be an integer from 100 to 999999999, not \"web01\"".to_owned(),
                "/state must be one of running, io-error, not \"gone\"".to_owned(),
                "/wait must be true or false, not \"maybe\"".to_owned(),
                "/memory_mib must be an integer of at least 0, not 1.5".to_owned(),
                "/password must be at most 8 characters long, not 13".to_owned(),
            ])
        );
        let long = read_args(json!({"vmid": "x".repeat(4000)})).unwrap_err();
        assert!(long.concat().len() < 200, "{long:?}");
        let secret = read_args(json!({"vmid": 100, "password": ["hunter2", "x"]})).unwrap_err();
        assert!(!secret.concat().contains("hunter2"), "{secret:?}");
    }

    #[test]
    fn a_guessed_name_is_refused_and_the_right_one_named() {
        for (guessed, right) in [
            ("id", "vmid"),
            ("vm_id", "vmid"),
            ("vmId", "vmid"),
            ("guest", "vmid"),
            ("enable", "enabled"),
            ("dest_port", "dport"),
            ("port", "dport"),
            ("snapshot", "name"),
            ("memory", "memory_mib"),
            ("nmae", "name"),
        ] {
            let all = ["vmid", "enabled", "dport", "name", "memory_mib"];
            let message = unknown(guessed, &all);
            assert!(
                message.contains(&format!("use {right} instead")),
                "{message}"
            );
        }
        assert!(unknown("snapshot", &["vmid", "snapshot_name"]).contains("snapshot_name"));
        assert!(!unknown("colour", &["vmid"]).contains("instead"));
        for (known, right) in [
            (&["limit", "offset", "since", "until"], "since"),
            (&["kind", "name", "limit", "offset"], "offset"),
            (&["upid", "wait", "log_lines", "log_start"], "log_start"),
        ] {
            let message = unknown("start", known);
            assert!(
                message.contains(&format!("use {right} instead")),
                "{message}"
            );
        }
        assert_eq!(
            read_args(json!({"vmid": 100, "enable": true, "wiat": true}))
                .unwrap_err()
                .len(),
            2
        );
    }

    proptest! {
        #[test]
        fn any_value_is_safe(vmid in any::<String>(), number in any::<f64>()) {
            let _ = read_args(json!({"vmid": vmid.clone(), "state": vmid.clone(), "tags": vmid.clone(),
                "memory_mib": vmid.clone(), "cpu_limit": vmid, "wait": number}));
            let _ = read_args(json!({"vmid": number}));
        }
    }
}
