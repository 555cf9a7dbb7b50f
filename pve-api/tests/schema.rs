//! The table of calls against the real API: paths, methods, parameters and
//! privileges.
//!
//! The schema of the real API is not a part of this repository. Without it the
//! tests say so and end.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test ends with what does not fit"
)]

use std::path::Path;

use pve_api::{Call, Given, calls};
use serde_json::Value;

fn schema() -> Option<Vec<Value>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/pve/schema.json");
    let Ok(text) = std::fs::read_to_string(&file) else {
        eprintln!(
            "skipped: there is no schema of the API in {}",
            file.display()
        );
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

fn table() -> impl Iterator<Item = &'static Call> {
    calls::all().chain(calls::for_experts())
}

/// What the schema says of a call.
fn spec<'a>(schema: &'a [Value], call: &Call) -> Option<&'a Value> {
    schema
        .iter()
        .find(|spec| spec["method"] == call.method().as_str() && spec["path"] == call.path())
}

#[test]
fn every_call_is_in_the_real_api() {
    let Some(schema) = schema() else { return };
    let missing: Vec<String> = table()
        .filter(|call| spec(&schema, call).is_none())
        .map(ToString::to_string)
        .collect();
    assert!(missing.is_empty(), "not in the API: {missing:#?}");
}

#[test]
fn every_parameter_is_one_of_the_real_api() {
    let Some(schema) = schema() else { return };
    let mut wrong = Vec::new();
    for call in table() {
        let known = &spec(&schema, call).unwrap()["parameters"];
        for name in call.param_names() {
            // The table may have one of numbered parameters: serial0 of serial[n].
            let numbered = format!(
                "{}[n]",
                name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '#')
            );
            if known.get(name).or(known.get(&numbered)).is_none() {
                wrong.push(format!("{call} has no parameter {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_call_names_the_privileges_that_the_real_api_checks() {
    let Some(schema) = schema() else { return };
    let mut wrong = Vec::new();
    for call in table() {
        let permissions = &spec(&schema, call).unwrap()["permissions"];
        let real = match &permissions["check"] {
            Value::Null => {
                assert_eq!(permissions["user"], "all", "{call}");
                String::new()
            }
            check => privileges(check),
        };
        if call.needs() != real {
            wrong.push(format!("{call} needs {real:?}, not {:?}", call.needs()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A check of the schema, as the table writes it.
fn privileges(check: &Value) -> String {
    let list = check.as_array().unwrap();
    let words = |between: &str| {
        let parts = list.iter().skip(1).map(|part| {
            let text = privileges(part);
            let is_group = part[0] != "perm";
            if is_group { format!("({text})") } else { text }
        });
        parts.collect::<Vec<_>>().join(between)
    };
    match list[0].as_str().unwrap() {
        "and" => words(", and "),
        "or" => words(", or "),
        "perm" => {
            let is_any = list.iter().any(|word| word == "any");
            let names: Vec<&str> = list[2]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(Value::as_str)
                .collect();
            let names = names.join(if is_any { " or " } else { " and " });
            format!("{names} on {}", list[1].as_str().unwrap())
        }
        other => format!("the check {other}, which this test does not know"),
    }
}

#[test]
fn a_request_fits_one_call_at_most() {
    for call in table() {
        let segments: Vec<&str> = call.segments().collect();
        let given: Vec<Given> = table()
            .filter(|one| one.matches(call.method(), &segments))
            .map(|one| one.given())
            .collect();
        let told_apart = match given.as_slice() {
            [Given::Any] => true,
            [Given::With(one), Given::Without(other)]
            | [Given::Without(one), Given::With(other)] => one == other,
            _ => false,
        };
        assert!(told_apart, "{call}: {given:?}");
    }
}

#[test]
fn every_varying_segment_has_a_grammar() {
    for call in table() {
        for part in call.segments().filter(|part| part.starts_with('{')) {
            assert!(
                pve_api::Grammar::of_segment(part).is_some(),
                "{part} of {call}"
            );
        }
    }
}

#[test]
fn the_agent_answers_what_is_below_its_path() {
    for call in table() {
        let is_below = call.path().contains("/{vmid}/agent/");
        assert_eq!(call.asks_agent(), is_below, "{call}");
    }
}
