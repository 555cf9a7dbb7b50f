//! Parameters on the wire, parsed with the quirks of the real server.

use serde_json::Value;

use crate::params::{Arg, Args};

/// A query or form body. As in PVE, pairs end at `&` and `;`, a value ends at
/// its first bare `=`, and repeated keys become a list.
pub(crate) fn parse_form(text: &str) -> Args {
    let mut args = Args::new();
    for pair in text.split(['&', ';']).filter(|pair| !pair.is_empty()) {
        let mut parts = pair.split('=');
        let key = decode(parts.next().unwrap_or_default());
        // Perl's split drops empty trailing fields: `a=` has no value.
        let value = parts
            .next()
            .filter(|value| !value.is_empty() || parts.any(|rest| !rest.is_empty()));
        let Some(value) = value else {
            args.insert(key, Arg::Undef);
            continue;
        };
        let value = decode(value);
        let merged = match args.remove(&key) {
            Some(Arg::Many(mut list)) => {
                list.push(value);
                Arg::Many(list)
            }
            Some(Arg::One(old)) => Arg::Many(vec![old, value]),
            _ => Arg::One(value),
        };
        args.insert(key, merged);
    }
    args
}

/// Reads a JSON body. Fails with the reason why it is not JSON.
pub(crate) fn parse_json(text: &str) -> Result<Args, String> {
    if text.trim().is_empty() {
        return Err(
            "malformed JSON string, neither tag, array, object, number, string or atom, at character offset 0 (before \"(end of string)\")"
                .into(),
        );
    }
    let value: Value =
        serde_json::from_str(text).map_err(|error| format!("malformed JSON string: {error}"))?;
    let Value::Object(fields) = value else {
        return Err("Not a HASH reference".into());
    };
    Ok(fields
        .into_iter()
        .map(|(key, value)| (key, arg(value)))
        .collect())
}

fn arg(value: Value) -> Arg {
    match value {
        Value::Null => Arg::Undef,
        Value::Bool(flag) => Arg::Bool(flag),
        Value::Number(number) => Arg::One(number.to_string()),
        Value::String(text) => Arg::One(text),
        Value::Array(list) => Arg::Many(
            list.into_iter()
                .map(|item| match item {
                    Value::String(text) => text,
                    other => other.to_string(),
                })
                .collect(),
        ),
        Value::Object(_) => Arg::Hash,
    }
}

/// `+` and percent escapes.
pub(crate) fn decode(text: &str) -> String {
    unescape(&text.replace('+', " "))
}

/// Percent escapes alone, as in paths.
pub(crate) fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first == b'%'
            && let Some((hex, after)) = tail.split_at_checked(2)
            && let Some(byte) = std::str::from_utf8(hex)
                .ok()
                .filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
            && let Ok(byte) = u8::from_str_radix(byte, 16)
        {
            out.push(byte);
            rest = after;
        } else {
            out.push(*first);
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Arg {
        Arg::One(text.into())
    }

    #[test]
    fn a_bare_equals_sign_truncates() {
        let args = parse_form("net0=virtio,bridge=vmbr0&net1=virtio%2Cbridge%3Dvmbr0");
        assert_eq!(args.get("net0"), Some(&one("virtio,bridge")));
        assert_eq!(args.get("net1"), Some(&one("virtio,bridge=vmbr0")));
    }

    #[test]
    fn semicolons_separate_and_repeats_make_lists() {
        let args = parse_form("command=ls&command=-l;tags=a+b%3Bc");
        assert_eq!(
            args.get("command"),
            Some(&Arg::Many(vec!["ls".into(), "-l".into()]))
        );
        assert_eq!(args.get("tags"), Some(&one("a b;c")));
    }

    #[test]
    fn an_empty_value_is_undefined() {
        assert_eq!(parse_form("a=&b&c=1").get("a"), Some(&Arg::Undef));
        assert_eq!(parse_form("a=&b&c=1").get("b"), Some(&Arg::Undef));
    }

    #[test]
    fn json_keeps_booleans_and_refuses_nothing() {
        let args = parse_json(r#"{"a":true,"b":5,"c":["x"],"d":null,"e":""}"#).unwrap();
        assert_eq!(args.get("a"), Some(&Arg::Bool(true)));
        assert_eq!(args.get("b"), Some(&one("5")));
        assert_eq!(args.get("c"), Some(&Arg::Many(vec!["x".into()])));
        assert_eq!(args.get("d"), Some(&Arg::Undef));
        assert_eq!(args.get("e"), Some(&one("")));
        assert!(parse_json("").is_err());
        assert!(parse_json("[1]").is_err());
    }

    #[test]
    fn escapes_are_undone_once() {
        assert_eq!(unescape("a%2520b%2Fc%zz%"), "a%20b/c%zz%");
        assert_eq!(unescape("%E2%82%AC"), "€");
    }
}
