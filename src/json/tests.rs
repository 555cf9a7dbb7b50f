//! What the reader accepts, and what it says of the rest.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, PartialEq, DeserializeFields)]
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

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize, serde::Serialize)]
struct Number(i64);

#[derive(Debug, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    TheFirst,
    Of(Option<Number>),
    Two(u8, String),
    Named { field: f64 },
}

#[derive(Debug, PartialEq, serde::Deserialize, serde::Serialize)]
struct Maps {
    by_number: BTreeMap<i64, Kind>,
    by_newtype: BTreeMap<Number, Kind>,
    by_flag: BTreeMap<bool, Kind>,
}

#[test]
fn what_is_written_is_read() {
    let maps = Maps {
        by_number: BTreeMap::from([(-1, Kind::TheFirst), (2, Kind::Of(None))]),
        by_newtype: BTreeMap::from([
            (Number(100), Kind::Two(7, "a".to_owned())),
            (Number(200), Kind::Of(Some(Number(1)))),
        ]),
        by_flag: BTreeMap::from([(true, Kind::Named { field: 0.5 })]),
    };
    assert_eq!(read::<Maps>(&write(&maps).unwrap()).unwrap(), maps);
}

#[test]
fn a_key_of_another_type_is_refused() {
    for (json, message) in [
        (r#"{"a":1}"#, "a text, expected i64"),
        (r#"{"1 ":1}"#, "a text, expected i64"),
        (r#"{"":1}"#, "a text, expected i64"),
        (r#"{"1.5":1}"#, "a fractional number, expected i64"),
        (r#"{"18446744073709551615":1}"#, "an integer, expected i64"),
    ] {
        let wrong = read::<BTreeMap<i64, u8>>(json).unwrap_err();
        assert_eq!(wrong.to_string(), message, "{json}");
    }
}

#[test]
fn an_error_in_a_variant_says_which() {
    let key = |key: &str| Step::Key(key.to_owned());
    for (json, path, message) in [
        (r#"{"of":"hush"}"#, vec![key("of")], "a text, expected i64"),
        (
            r#"{"two":[1,2]}"#,
            vec![key("two"), Step::Index(1)],
            "an integer, expected a string",
        ),
        (
            r#"{"named":{"field":null}}"#,
            vec![key("named"), key("field")],
            "null, expected f64",
        ),
        ("{}", vec![], "an object, expected enum Kind"),
        (
            r#"{"the-first":1}"#,
            vec![],
            "an object, expected a variant",
        ),
        (r#""of""#, vec![], "a variant without its value"),
        (r#""two""#, vec![], "a variant without its value"),
        (r#"{"two":[1,"a"],"of":1}"#, vec![], "not JSON"),
    ] {
        let wrong = read::<Kind>(json).unwrap_err().into_parts();
        assert_eq!(wrong, (path, message.to_owned()), "{json}");
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
