//! Tests that the table of calls has what the tools send, and no more.
//!
//! A call is used if a tool declares it; a parameter, if the source of a folder of
//! tools that has the call, or what all tools share, has its name. The parameters are
//! looked for in the source since no test calls every tool with every argument;
//! `cargo xtask check-requests` says what the tests have sent.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use pve_api::call::stands_for;
use pve_api::slot::Bus;
use pve_api::{Call, Method, calls};

use super::all;
use crate::tool::declared;

/// A folder of tools.
#[derive(Default)]
struct Folder {
    source: String,
    /// What its tools declare.
    rows: Vec<&'static Call>,
}

impl Folder {
    fn has(&self, call: &'static Call) -> bool {
        self.rows.iter().any(|row| std::ptr::eq(*row, call))
    }
}

/// The folders of `src/tools`, by name. What all tools share is under the empty name.
fn folders() -> BTreeMap<String, Folder> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found: BTreeMap<String, Folder> = BTreeMap::new();
    let mut unread = vec![source.clone()];
    while let Some(folder) = unread.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                unread.push(path);
                continue;
            }
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            if matches!(name.as_str(), "tests" | "coverage") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("\n#[cfg(test)]\nmod ").next().unwrap();
            let below = path.strip_prefix(&source).unwrap();
            let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
            let folder = match parts.as_slice() {
                [tools, folder, _, ..] if tools == "tools" => folder.as_ref(),
                _ => "",
            };
            let folder = found.entry(folder.to_owned()).or_default();
            folder.source.push_str(text);
            if let Some(tool) = super::find(&name) {
                folder.rows.extend(declared::rows(tool.calls));
            }
        }
    }
    found
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

/// Whether a parameter of the table stands for a name, or for what a name is made
/// of: `ipconfig` for `ipconfig0`.
fn is_same(known: &str, name: &str) -> bool {
    stands_for(known, name) || known.strip_suffix('#') == Some(name)
}

#[test]
fn every_call_of_the_table_is_declared_by_a_tool() {
    let declared: Vec<&Call> = all()
        .flat_map(|tool| declared::rows(tool.calls))
        .chain(calls::EXPLAIN)
        .collect();
    let is_declared = |call: &Call| declared.iter().any(|one| std::ptr::eq(*one, call));
    let unused: Vec<String> = calls::named()
        .filter(|(_, _, call)| !is_declared(call))
        .map(|(area, name, call)| format!("{area}::{name}: {call}"))
        .collect();
    assert!(unused.is_empty(), "no tool declares {unused:#?}");
}

#[test]
fn every_parameter_of_the_table_is_in_the_source_of_a_tool() {
    let folders = folders();
    let shared = folders.get("").unwrap();
    let mut unused = Vec::new();
    for call in calls::all() {
        let with: Vec<&Folder> = folders
            .values()
            .filter(|folder| folder.has(call))
            .chain([shared])
            .collect();
        let names: BTreeSet<&str> = with
            .iter()
            .flat_map(|folder| literals(&folder.source))
            .collect();
        // Slots of disks have their names from pve-api.
        let has_slots = with.iter().any(|folder| folder.source.contains("Bus::"));
        let is_sent = |param: &&str| {
            names.iter().any(|name| is_same(param, name))
                || *param == "digest" && call.method() == Method::Put
                || has_slots && Bus::of(&param.replace('#', "0")).is_some()
        };
        let params = call.param_names().into_iter();
        let none = params.filter(|param| !is_sent(param));
        unused.extend(none.map(|param| format!("{param} of {call}")));
    }
    assert!(unused.is_empty(), "no tool sends {unused:#?}");
}

#[test]
fn every_parameter_that_a_tool_sends_is_in_the_table() {
    let mut count = 0;
    for (name, folder) in &folders() {
        for sent in sent(&folder.source) {
            count += 1;
            let mut calls = calls::all().filter(|call| name.is_empty() || folder.has(call));
            let known = calls.any(|call| call.param_names().iter().any(|one| is_same(one, sent)));
            assert!(
                known,
                "{name}: no call of its tools has the parameter {sent}"
            );
        }
    }
    assert!(count > 60, "{count} parameters were found in the source");
}
