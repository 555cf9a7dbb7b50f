//! The derive macros of `derive/` against those of serde: the same structs, read
//! from the same objects and written again.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Step, read, write};

/// The structs, with one of both pairs of derive macros.
macro_rules! structs {
    ($name:ident, $read:path, $write:path) => {
        mod $name {
            #[derive(Debug, Default, Clone, PartialEq, $read, $write)]
            pub(super) struct Plain {
                pub(super) map: String,
                pub(super) r#type: u8,
                flag: Option<bool>,
                nested: Inner,
                #[serde(default)]
                list: Vec<Inner>,
                #[serde(skip)]
                unread: Inner,
                #[serde(rename = "other name")]
                renamed: std::option::Option<i64>,
                #[serde(default, skip_serializing_if = "String::is_empty")]
                read: String,
            }

            #[derive(Debug, Default, Clone, PartialEq, $read, $write)]
            #[serde(rename_all = "kebab-case", deny_unknown_fields)]
            pub(super) struct Inner {
                one_number: u16,
                #[serde(skip_serializing_if = "Option::is_none")]
                a_text: Option<String>,
            }

            #[derive(Debug, Clone, PartialEq, $read, $write)]
            #[serde(default, rename_all = "PascalCase")]
            pub(super) struct WithDefault {
                one_number: u16,
                a_text: Option<String>,
                #[serde(default)]
                own_default: u16,
                #[serde(skip)]
                unread: u16,
            }

            impl Default for WithDefault {
                fn default() -> Self {
                    Self {
                        one_number: 7,
                        a_text: Some("default".to_owned()),
                        own_default: 7,
                        unread: 7,
                    }
                }
            }

            /// All fields have a type that begins empty.
            #[derive(Debug, Default, Clone, PartialEq, $read, $write)]
            #[serde(deny_unknown_fields)]
            pub(super) struct Filled {
                text: String,
                #[serde(rename = "n")]
                number: f64,
                maybe: Option<Option<u8>>,
                #[serde(skip)]
                unread: super::NeverRead,
            }

            #[derive(Debug, Default, Clone, PartialEq, $read, $write)]
            pub(super) struct Empty {}
        }
    };
}

structs!(
    ours,
    crate::json::DeserializeFields,
    crate::json::SerializeFields
);
structs!(theirs, serde::Deserialize, serde::Serialize);

/// A type that can be neither read nor written.
#[derive(Debug, Default, Clone, PartialEq)]
struct NeverRead;

/// What reading has found, of both alike.
type Found = Result<(String, String), (Vec<Step>, String)>;

fn found<'de, T>(json: &'de str) -> Found
where
    T: serde::Deserialize<'de> + serde::Serialize + std::fmt::Debug,
{
    match read::<T>(json) {
        Ok(value) => Ok((format!("{value:?}"), write(&value).unwrap())),
        Err(wrong) => Err(wrong.into_parts()),
    }
}

/// That serde's derive macros have the same result, also as serde_json writes it.
fn check<'de, Ours, Theirs>(json: &'de str) -> Found
where
    Ours: serde::Deserialize<'de> + serde::Serialize + std::fmt::Debug,
    Theirs: serde::Deserialize<'de> + serde::Serialize + std::fmt::Debug,
{
    let ours = found::<Ours>(json);
    assert_eq!(ours, found::<Theirs>(json), "{json}");
    if let Ok((_, written)) = &ours {
        let theirs = serde_json::to_string(&read::<Theirs>(json).unwrap()).unwrap();
        assert_eq!(*written, theirs, "{json}");
        let ours = serde_json::to_string(&read::<Ours>(json).unwrap()).unwrap();
        assert_eq!(ours, theirs, "{json}");
    }
    ours
}

/// What becomes of a field of an object.
#[derive(Debug, Clone)]
enum Fate {
    Kept,
    Dropped,
    /// It has this value instead.
    Odd(&'static str),
    /// It is there once more, with this value.
    Twice(&'static str),
}

const VALUES: [&str; 12] = [
    "null",
    "1",
    "-1",
    "70000",
    "1.5",
    r#""a""#,
    "true",
    "[]",
    "{}",
    "[1]",
    r#"{"one-number":1}"#,
    r#"[{"one-number":1,"a-text":"x"},{"a-text":null,"one-number":2}]"#,
];

/// An object of these fields in any order, of which some have another fate, and
/// perhaps of a field that no struct has.
fn object(fields: &'static [(&'static str, &'static str)]) -> impl Strategy<Value = String> {
    let value = || prop::sample::select(&VALUES[..]);
    let fate = prop_oneof![
        12 => Just(Fate::Kept),
        1 => Just(Fate::Dropped),
        1 => value().prop_map(Fate::Odd),
        1 => value().prop_map(Fate::Twice),
    ];
    let fates = prop::collection::vec(fate, fields.len());
    let other = prop::option::weighted(0.1, value());
    (fates, other)
        .prop_map(|(fates, other)| {
            let mut all: Vec<(&str, &str)> = Vec::new();
            for ((name, value), fate) in fields.iter().zip(fates) {
                match fate {
                    Fate::Kept => all.push((name, value)),
                    Fate::Dropped => {}
                    Fate::Odd(odd) => all.push((name, odd)),
                    Fate::Twice(more) => all.extend([(*name, *value), (*name, more)]),
                }
            }
            all.extend(other.map(|value| ("unknown", value)));
            all
        })
        .prop_shuffle()
        .prop_map(|fields| {
            let fields = fields
                .iter()
                .map(|(name, value)| format!("\"{name}\":{value}"));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn ours_read_and_write_what_those_of_serde_do(
        plain in object(&[
            ("map", r#""a""#),
            ("type", "2"),
            ("flag", "true"),
            ("nested", r#"{"one-number":1,"a-text":"x"}"#),
            ("list", r#"[{"one-number":1}]"#),
            ("other name", "-5"),
            ("read", r#""b""#),
        ]),
        inner in object(&[("one-number", "1"), ("a-text", r#""x""#)]),
        with_default in object(&[
            ("OneNumber", "1"),
            ("AText", r#""x""#),
            ("OwnDefault", "2"),
            ("Unread", "3"),
        ]),
        filled in object(&[("text", r#""x""#), ("n", "1.5"), ("maybe", "4")]),
    ) {
        let _ = check::<ours::Plain, theirs::Plain>(&plain);
        let _ = check::<ours::Inner, theirs::Inner>(&inner);
        let _ = check::<ours::WithDefault, theirs::WithDefault>(&with_default);
        let _ = check::<ours::Filled, theirs::Filled>(&filled);
        let _ = check::<ours::Empty, theirs::Empty>(&filled);
    }
}

/// What the objects of the test above have at least: a test that only compares
/// errors would say little.
#[test]
fn both_read_what_they_should() {
    let plain = json!({
        "map": "a", "type": 2, "nested": {"one-number": 1}, "unread": 5, "read": "",
    });
    let (_, written) = check::<ours::Plain, theirs::Plain>(&plain.to_string()).unwrap();
    let written: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(
        written,
        json!({
            "map": "a", "type": 2, "flag": null, "nested": {"one-number": 1}, "list": [],
            "other name": null,
        })
    );
    let (shown, _) = check::<ours::WithDefault, theirs::WithDefault>("{}").unwrap();
    assert_eq!(
        shown,
        "WithDefault { one_number: 7, a_text: Some(\"default\"), own_default: 0, unread: 7 }"
    );
    for (json, message) in [
        (r#"{"text":"a"}"#, "missing field `n`"),
        (r#"{"n":1,"n":"a"}"#, "duplicate field `n`"),
        (r#"{"n":"a"}"#, "a text, expected f64"),
        (
            r#"{"unread":1}"#,
            "unknown field `unread`, expected one of `text`, `n`, `maybe`",
        ),
        ("[]", "a list, expected struct Filled"),
    ] {
        let (_, found) = check::<ours::Filled, theirs::Filled>(json).unwrap_err();
        assert_eq!(found, message, "{json}");
    }
}
