//! Composes an adapter with the tools component: `cargo xtask adapters` calls
//! this.
//!
//! `adapter-compose ADAPTER TOOLS OUT [OPTIONS]` connects what ADAPTER imports to
//! what TOOLS exports, and writes a component that imports only what the two
//! together still need, and exports what ADAPTER exports.
//!
//! - `--only NAME,NAME,…`: of its functions, those alone that are named.
//! - `--between FILE`: a component that both import from.
//! - `--section NAME FILE`: a custom section with the contents of a file.
//! - `--cbor-section NAME FILE`: one with the contents of a JSON file as CBOR.

use std::borrow::Cow;
use std::env;
use std::fs;

use anyhow::{Context as _, Result, bail, ensure};
use wac_graph::types::{ItemKind, Package, SubtypeChecker, are_semver_compatible};
use wac_graph::{CompositionGraph, EncodeOptions, NodeId, PackageId};
use wasm_encoder::{Component, CustomSection};

fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let mut next = |what: &str| {
        arguments
            .next()
            .with_context(|| format!("{what} is missing"))
    };
    let adapter = next("ADAPTER")?;
    let tools = next("TOOLS")?;
    let out = next("OUT")?;
    let mut only = None;
    let mut between = None;
    let mut sections = Vec::new();
    while let Ok(option) = next("an option") {
        match option.as_str() {
            "--between" => between = Some(next("the component's file")?),
            "--only" => only = Some(next("the names")?),
            "--section" | "--cbor-section" => {
                let name = next("the section's name")?;
                let file = next("the section's file")?;
                let data = fs::read(&file).with_context(|| format!("cannot read {file}"))?;
                let data = match option.as_str() {
                    "--section" => data,
                    _ => cbor(&data).with_context(|| format!("cannot convert {file}"))?,
                };
                sections.push((name, data));
            }
            other => bail!("unknown option {other:?}"),
        }
    }
    let only: Option<Vec<&str>> = only
        .as_deref()
        .map(|names| names.split(',').filter(|name| !name.is_empty()).collect());

    let mut component = compose(&adapter, &tools, between.as_deref(), only.as_deref())
        .with_context(|| format!("cannot compose {adapter} with {tools}"))?;
    for (name, data) in &sections {
        append(&mut component, name, data);
    }
    fs::write(&out, component).with_context(|| format!("cannot write {out}"))
}

/// The adapter with what it imports from the tools, and both with what they
/// import from `between`.
fn compose(
    adapter: &str,
    tools: &str,
    between: Option<&str>,
    only: Option<&[&str]>,
) -> Result<Vec<u8>> {
    let mut graph = CompositionGraph::new();
    let mut instantiate = |name: &str, file: &str| -> Result<(PackageId, NodeId)> {
        let package = Package::from_file(name, None, file, graph.types_mut())?;
        let package = graph.register_package(package)?;
        let instance = graph.instantiate(package);
        Ok((package, instance))
    };
    let outer = instantiate("adapter", adapter)?;
    let inner = instantiate("tools", tools)?;
    let between = between
        .map(|file| instantiate("between", file))
        .transpose()?;
    ensure!(
        connect(&mut graph, inner, outer)? > 0,
        "the adapter imports nothing that the tools export"
    );
    if let Some(between) = between {
        for user in [inner, outer] {
            ensure!(
                connect(&mut graph, between, user)? > 0,
                "not both import from what is between them"
            );
        }
    }
    let (adapter, outer) = outer;

    let exports: Vec<(String, bool)> = graph.types()[graph[adapter].ty()]
        .exports
        .iter()
        .map(|(name, kind)| (name.clone(), matches!(kind, ItemKind::Func(_))))
        .collect();
    if let Some(missing) = only
        .into_iter()
        .flatten()
        .find(|name| !exports.iter().any(|(export, _)| export == *name))
    {
        bail!("the adapter exports no {missing:?}");
    }
    for (name, is_function) in exports {
        let left_out = is_function && only.is_some_and(|only| !only.contains(&name.as_str()));
        if !left_out {
            let export = graph.alias_instance_export(outer, &name)?;
            graph.export(export, &name)?;
        }
    }
    Ok(graph.encode(EncodeOptions::default())?)
}

/// Gives an instance what it imports and another exports. Returns how many
/// interfaces that were.
fn connect(
    graph: &mut CompositionGraph,
    (from, exporter): (PackageId, NodeId),
    (to, importer): (PackageId, NodeId),
) -> Result<usize> {
    let mut pairs = Vec::new();
    {
        let types = graph.types();
        let mut cache = Default::default();
        let mut checker = SubtypeChecker::new(&mut cache);
        for (name, kind) in &types[graph[from].ty()].exports {
            for (wanted, import) in &types[graph[to].ty()].imports {
                if name == wanted || are_semver_compatible(name, wanted) {
                    checker
                        .is_subtype(*kind, types, *import, types)
                        .with_context(|| format!("both mean something else by {name}"))?;
                    pairs.push((name.clone(), wanted.clone()));
                }
            }
        }
    }
    for (name, wanted) in &pairs {
        let export = graph.alias_instance_export(exporter, name)?;
        graph.set_instantiation_argument(importer, wanted, export)?;
    }
    Ok(pairs.len())
}

fn cbor(json: &[u8]) -> Result<Vec<u8>> {
    let value: serde_json::Value = serde_json::from_slice(json)?;
    let mut cbor = Vec::new();
    ciborium::into_writer(&value, &mut cbor)?;
    Ok(cbor)
}

fn append(component: &mut Vec<u8>, name: &str, data: &[u8]) {
    // An encoder starts with the header that the component has already.
    let mut encoder = Component::new();
    let header = encoder.as_slice().len();
    encoder.section(&CustomSection {
        name: Cow::Borrowed(name),
        data: Cow::Borrowed(data),
    });
    component.extend(encoder.as_slice().iter().skip(header));
}
