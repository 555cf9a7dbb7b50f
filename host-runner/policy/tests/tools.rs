//! The policy's table against the source of the tools: what no tool can send is
//! not in the table, and what a tool can send is.
//!
//! A tool's request is put together from names in its file, and in those that
//! all tools share. So a row is used if one family of tools has all the fixed
//! segments of its path, and a parameter if that family, or what is shared, has
//! its name. This reads the source, since no test calls every tool with every
//! argument; `cargo xtask check-requests` says what the tests have sent.

#![expect(clippy::unwrap_used, reason = "a test ends with what does not fit")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use pve_api::call::stands_for;
use pve_api::{Call, Method, calls};

/// Rows that no tool sends, and why the table has them.
const NO_TOOL: [(&Call, &str); 1] = [(
    &calls::cluster::HA_RESOURCES,
    "the tests of the sandbox read it, as a list that has to be filtered",
)];

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

fn fixed(call: &Call) -> impl Iterator<Item = &'static str> + use<> {
    call.segments().filter(|segment| {
        !segment.starts_with('{') && !matches!(*segment, "nodes" | "qemu" | "lxc" | "cluster")
    })
}

#[test]
fn every_row_and_parameter_is_one_that_a_tool_sends() {
    let families = families();
    let shared = literals(families.get("").unwrap());
    let mut unused = Vec::new();
    for call in calls::all() {
        if NO_TOOL.iter().any(|(one, _)| std::ptr::eq(*one, call)) {
            continue;
        }
        let with: Vec<BTreeSet<&str>> = families
            .values()
            .map(|text| literals(text).union(&shared).copied().collect())
            .filter(|names: &BTreeSet<&str>| fixed(call).all(|part| names.contains(part)))
            .collect();
        if with.is_empty() {
            unused.push(call.to_string());
            continue;
        }
        let is_sent = |param: &&str| {
            let mut names = with.iter().flatten();
            names.any(|name| stands_for(param, name))
                || *param == "digest" && call.method == Method::Put
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

#[test]
fn every_parameter_that_a_tool_sends_is_in_the_table() {
    let families = families();
    let shared = literals(families.get("").unwrap());
    let mut count = 0;
    for (family, text) in &families {
        let names: BTreeSet<&str> = literals(text).union(&shared).copied().collect();
        for name in sent(text) {
            count += 1;
            let known = calls::all().any(|call| {
                (family.is_empty() || fixed(call).all(|part| names.contains(part)))
                    && call
                        .param_names()
                        .into_iter()
                        .any(|param| stands_for(param, name))
            });
            assert!(
                known,
                "{family}: no row of the policy has the parameter {name}"
            );
        }
    }
    assert!(count > 60, "{count} parameters were found in the source");
}
