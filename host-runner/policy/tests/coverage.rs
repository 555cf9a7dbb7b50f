//! The policy's table against the source of the tools: what no tool can send is
//! not in the table, and what a tool can send is.
//!
//! The component can send the calls of the table alone, so a call is used if the
//! source has its name, and a parameter if a family of tools that has the call, or
//! what all tools share, has the parameter's. This reads the source, since no test
//! calls every tool with every argument; `cargo xtask check-requests` says what
//! the tests have sent.

#![expect(clippy::unwrap_used, reason = "a test ends with what does not fit")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use pve_api::call::stands_for;
use pve_api::{Method, calls};

/// Names that occur in the source as string literals, by family of tools: a folder
/// of `src/tools`. What all share is under the empty name.
fn families() -> BTreeMap<String, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src");
    let mut families: BTreeMap<String, String> = BTreeMap::new();
    let mut folders = vec![source.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.ends_with("tests.rs") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("\n#[cfg(test)]\nmod ").next().unwrap();
            let below = path.strip_prefix(&source).unwrap();
            let mut parts = below.iter().map(|part| part.to_string_lossy());
            let family = match (parts.next().as_deref(), parts.next()) {
                (Some("tools"), Some(name)) if name != "mod.rs" => {
                    name.trim_end_matches(".rs").to_owned()
                }
                _ => String::new(),
            };
            families.entry(family).or_default().push_str(text);
        }
    }
    families
}

/// Words between quotes.
fn literals(text: &str) -> BTreeSet<&str> {
    let starts = text.match_indices('"').map(|(at, _)| at + 1);
    starts
        .filter_map(|start| {
            let word = text.get(start..)?.split('"').next()?;
            let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            (!word.is_empty() && word.chars().all(is_name)).then_some(word)
        })
        .collect()
}

/// Names that are given to a request as parameters.
fn sent(text: &str) -> BTreeSet<&str> {
    [".set(", ".opt(", ".flag(", ".opt_flag("]
        .into_iter()
        .flat_map(|method| text.split(method).skip(1))
        .filter_map(|rest| {
            let (name, rest) = rest.trim_start().strip_prefix('"')?.split_once('"')?;
            rest.trim_start().starts_with(',').then_some(name)
        })
        .collect()
}

/// Whether a source has a call, by its path or by a list of imports.
fn has_call(text: &str, area: &str, name: &str) -> bool {
    let is_word = |at: usize| {
        let after = text.get(at + name.len()..).unwrap_or_default();
        let before = text.get(..at).unwrap_or_default();
        let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        !after.starts_with(part) && !before.ends_with(part)
    };
    text.contains(&format!("calls::{area}::"))
        && text.match_indices(name).any(|(at, _)| is_word(at))
}

#[test]
fn every_call_and_parameter_is_one_that_a_tool_sends() {
    let families = families();
    let shared = families.get("").unwrap();
    let mut unused = Vec::new();
    for (area, name, call) in calls::named() {
        let with: Vec<&String> = families
            .values()
            .filter(|text| has_call(text, area, name))
            .collect();
        if with.is_empty() {
            unused.push(format!("{area}::{name}: {call}"));
            continue;
        }
        let names: BTreeSet<&str> = with
            .into_iter()
            .chain([shared])
            .flat_map(|text| literals(text))
            .collect();
        let is_sent = |param: &&str| {
            names.iter().any(|name| is_same(param, name))
                || *param == "digest" && call.method() == Method::Put
        };
        let none = call
            .param_names()
            .into_iter()
            .filter(|param| !is_sent(param));
        unused.extend(none.map(|param| format!("{param} of {call}")));
    }
    assert!(
        unused.is_empty(),
        "no tool sends:\n  {}",
        unused.join("\n  ")
    );
}

/// Whether a parameter of the table stands for a name, or for what a name is made
/// of: `ipconfig` for `ipconfig0`.
fn is_same(known: &str, name: &str) -> bool {
    stands_for(known, name) || known.strip_suffix('#') == Some(name)
}

#[test]
fn every_parameter_that_a_tool_sends_is_in_the_table() {
    let families = families();
    let mut count = 0;
    for (family, text) in &families {
        for sent in sent(text) {
            count += 1;
            let known = calls::named().any(|(area, name, call)| {
                (family.is_empty() || has_call(text, area, name))
                    && call
                        .param_names()
                        .into_iter()
                        .any(|param| is_same(param, sent))
            });
            assert!(
                known,
                "{family}: no call that it makes has the parameter {sent}"
            );
        }
    }
    assert!(count > 60, "{count} parameters were found in the source");
}
