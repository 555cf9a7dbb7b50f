//! What the reader accepts, and what it says of the rest.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Guest {
    vmid: u32,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    load: Vec<f64>,
    state: Option<State>,
}

#[derive(Debug, PartialEq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Running,
}

fn wrong(text: &str) -> (Vec<Step>, String) {
    read::<Vec<Guest>>(text).unwrap_err().into_parts()
}

#[test]
fn a_type_reads_its_fields_and_no_others() {
    let text = r#" [ {"vmid":100,"more":{"a":[1,"]\"",{}],"b":null},"name":"caf\u00e9",
        "load":[1,-2,0.5e1]} , {"state":"running","vmid":4294967295,"name":null}] "#;
    let guests: Vec<Guest> = read(text).unwrap();
    assert_eq!(guests[0].name.as_deref(), Some("café"));
    assert_eq!(guests[0].load, [1.0, -2.0, 5.0]);
    assert_eq!(guests[1].vmid, u32::MAX);
    assert_eq!(guests[1].state, Some(State::Running));
}

#[test]
fn an_error_says_where_and_what_but_not_the_value() {
    let key = |key: &str| Step::Key(key.to_owned());
    for (text, path, message) in [
        (
            r#"[{"vmid":1},{"vmid":"hush"}]"#,
            vec![Step::Index(1), key("vmid")],
            "a text, expected u32",
        ),
        (
            r#"[{"name":"hush"}]"#,
            vec![Step::Index(0)],
            "missing field `vmid`",
        ),
        (
            r#"[{"vmid":1,"load":[1,null]}]"#,
            vec![Step::Index(0), key("load"), Step::Index(1)],
            "null, expected f64",
        ),
        (
            r#"[{"vmid":-4}]"#,
            vec![Step::Index(0), key("vmid")],
            "an integer, expected u32",
        ),
        (
            r#"[{"vmid":1,"state":"hush"}]"#,
            vec![Step::Index(0), key("state")],
            "an unknown value, expected one of running",
        ),
        (r#"{"a":1}"#, vec![], "an object, expected a sequence"),
        (
            r#"[["hush"]]"#,
            vec![Step::Index(0)],
            "a list, expected struct Guest",
        ),
    ] {
        assert_eq!(wrong(text), (path, message.to_owned()), "{text}");
    }
}

#[test]
fn text_that_is_not_json_is_refused() {
    for text in [
        "",
        "[",
        "[1",
        "[1,",
        "[1 2]",
        "{\"a\" 1}",
        "{\"a\":1",
        "\"a",
        "tru",
        "[]]",
        "-",
        ".5",
        "1e999",
        "nan",
        "\"\n\"",
        "\"\\q\"",
    ] {
        assert!(read::<Value>(text).is_err(), "{text}");
    }
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read::<Value>(&deep(100)).is_ok());
    assert!(read::<Value>(&deep(100_000)).is_err());
    assert!(read::<de::IgnoredAny>(&deep(100_000)).is_ok());
}

/// Any JSON value, as deep as API responses are.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn all_json_is_read(value in any_json()) {
        for text in [value.to_string(), format!("{value:#}")] {
            prop_assert_eq!(&read::<Value>(&text).unwrap(), &value);
        }
        let text = format!("[{value},1]");
        let mut reader = Reader::new(text.get(1..).unwrap());
        reader.skip().unwrap();
        prop_assert_eq!(reader.next(), Some(b','));
    }

    #[test]
    fn any_text_is_safe(text in any::<String>(), cut in any::<prop::sample::Index>()) {
        let _ = read::<Value>(&text);
        let json = serde_json::json!([{"a": [text, 1.5, null]}, true]).to_string();
        let cut = json.get(..cut.index(json.len())).unwrap_or_default();
        prop_assert!(read::<BTreeMap<String, Value>>(cut).is_err());
    }
}
