//! The pages of the documentation agree with the code, and their blocks of code can be
//! used as they are.
//!
//! JSON, TOML and INI are parsed here. `tests/host/examples.rs` runs the commands in
//! `console` and `sh`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use host_runner_policy::{ACTIONS, PolicyFile};
use serde_json::Value;

/// The languages that a block may have. One that is not here has no check yet.
const LANGUAGES: [&str; 8] = [
    "bat", "console", "ini", "json", "mermaid", "sh", "text", "toml",
];

/// A block of code.
struct Block {
    /// Its page and line.
    place: String,
    language: String,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn pages() -> Result<Vec<PathBuf>> {
    let mut pages = Vec::new();
    for folder in ["", "docs", "docs/fr"] {
        for entry in fs::read_dir(root().join(folder))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    Ok(pages)
}

/// The blocks of a page. The indentation of a block in a list is removed.
fn blocks_of(name: &str, page: &str) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, Block)> = None;
    for (at, line) in page.lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```");
        match (fence, open.take()) {
            (Some(language), None) => {
                let block = Block {
                    place: format!("{name}:{}", at.saturating_add(1)),
                    language: language.to_owned(),
                    text: String::new(),
                };
                let indentation = line.len().saturating_sub(line.trim_start().len());
                open = Some((indentation, block));
            }
            (Some(""), Some((_, block))) => blocks.push(block),
            (Some(_), Some((_, block))) => bail!("{}: a fence in a block", block.place),
            (None, Some((indentation, mut block))) => {
                block
                    .text
                    .push_str(line.get(indentation..).unwrap_or(line.trim_start()));
                block.text.push('\n');
                open = Some((indentation, block));
            }
            (None, None) => {}
        }
    }
    ensure!(open.is_none(), "{name}: a block does not end");
    Ok(blocks)
}

fn blocks() -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    for page in pages()? {
        let text = fs::read_to_string(&page)?;
        let name = page
            .strip_prefix(root())
            .unwrap_or(&page)
            .display()
            .to_string();
        blocks.extend(blocks_of(&name, &text)?);
    }
    Ok(blocks)
}

/// Checks each complete block of a language, and says how many there are.
fn check(language: &str, check: impl Fn(&str) -> Result<()>) -> Result<usize> {
    let mut wrong = Vec::new();
    let mut seen: usize = 0;
    for block in blocks()? {
        if block.language == language {
            seen = seen.saturating_add(1);
            if let Err(error) = check(&block.text) {
                wrong.push(format!("{}: {error:#}", block.place));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(seen)
}

#[test]
fn every_block_has_a_language_that_is_checked() -> Result<()> {
    for block in blocks()? {
        assert!(
            LANGUAGES.contains(&block.language.as_str()),
            "{}: a block of the language {:?}, for which no test is here",
            block.place,
            block.language
        );
    }
    Ok(())
}

/// An entry of a client: the program and its arguments, or the address of a server.
fn check_entry(entry: &Value) -> Result<()> {
    if let Some(url) = entry.get("url") {
        let url = url.as_str().context("a url that is not a text")?;
        ensure!(url.starts_with("http"), "{url} is no address of a server");
        return Ok(());
    }
    let command = entry.get("command").and_then(Value::as_str);
    let command = command.context("an entry of a client without a command")?;
    let name = command.rsplit(['/', '\\']).next();
    ensure!(
        name != Some("host-runner") || command.starts_with('/'),
        "clients need the absolute path of {command}"
    );
    if let Some(arguments) = entry.get("args") {
        let arguments = arguments.as_array().context("args is not a list")?;
        ensure!(
            arguments.iter().all(Value::is_string),
            "args has other values than texts"
        );
    }
    Ok(())
}

#[test]
fn blocks_of_json_are_json_and_entries_of_clients_start_the_server() -> Result<()> {
    let seen = check("json", |text| {
        let block: Value = serde_json::from_str(text)?;
        for key in ["mcpServers", "servers", "context_servers"] {
            let entries = block.get(key).and_then(Value::as_object);
            for entry in entries.into_iter().flat_map(serde_json::Map::values) {
                check_entry(entry)?;
            }
        }
        Ok(())
    })?;
    assert!(seen > 10, "{seen}");
    Ok(())
}

/// The names of the tools and toolsets, from their page.
fn tool_names() -> Result<BTreeSet<String>> {
    let page = fs::read_to_string(root().join("docs/tools.md"))?;
    let mut names = BTreeSet::new();
    for line in page.lines() {
        if let Some(tool) = line.strip_prefix("## ") {
            names.insert(tool.to_owned());
        } else if let Some((toolset, _)) = line
            .strip_prefix("| `")
            .and_then(|rest| rest.split_once('`'))
        {
            names.insert(toolset.to_owned());
        }
    }
    Ok(names)
}

fn check_policy(text: &str, names: &BTreeSet<String>) -> Result<()> {
    let policy = PolicyFile::parse(text)?;
    policy.policy()?;
    let lists = [
        &policy.toolsets,
        &policy.tools,
        &policy.exclude_tools,
        &policy.allow_tools,
    ];
    for name in lists.into_iter().flatten().flatten() {
        ensure!(names.contains(name), "there is no tool or toolset {name}");
    }
    Ok(())
}

/// The keys of a section `[clusters.NAME]`, from their page.
fn cluster_keys() -> Result<BTreeSet<String>> {
    let page = fs::read_to_string(root().join("docs/clusters.md"))?;
    let (_, table) = page
        .split_once("| Key | Setting |")
        .context("no table of keys")?;
    let (table, _) = table.split_once("\n\n").context("an endless table")?;
    let first = table.lines().filter_map(|line| line.split('|').nth(1));
    let keys = first.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    Ok(keys.map(str::to_owned).collect())
}

#[test]
fn blocks_of_toml_are_policies_clusters_or_entries_of_codex() -> Result<()> {
    let (names, keys) = (tool_names()?, cluster_keys()?);
    let seen = check("toml", |text| {
        let table: toml::Table = text.parse()?;
        let sections = |key| table.get(key).and_then(toml::Value::as_table);
        if let Some(servers) = sections("mcp_servers") {
            for entry in servers.values() {
                check_entry(&serde_json::to_value(entry)?)?;
            }
        } else if let Some(clusters) = sections("clusters") {
            for cluster in clusters.values() {
                let cluster = cluster.as_table().context("a cluster is not a section")?;
                let unknown = cluster.keys().find(|key| !keys.contains(*key));
                ensure!(
                    unknown.is_none(),
                    "docs/clusters.md lacks the key {unknown:?}"
                );
            }
        } else {
            check_policy(text, &names)?;
        }
        Ok(())
    })?;
    assert!(seen > 10, "{seen}");
    Ok(())
}

/// The settings that docs/settings.json describes.
fn settings() -> Result<BTreeSet<String>> {
    let table: Value =
        serde_json::from_str(&fs::read_to_string(root().join("docs/settings.json"))?)?;
    let groups = table.get("groups").and_then(Value::as_array);
    let settings = groups
        .context("no groups")?
        .iter()
        .filter_map(|group| group.get("settings"));
    let names = settings
        .filter_map(Value::as_array)
        .flatten()
        .filter_map(|one| one.get("names"));
    let names = names
        .filter_map(Value::as_array)
        .flatten()
        .filter_map(Value::as_str);
    Ok(names.map(str::to_owned).collect())
}

/// Units of systemd, and files of settings, which have no sections.
#[test]
fn blocks_of_ini_have_sections_or_known_settings() -> Result<()> {
    let settings = settings()?;
    let seen = check("ini", |text| {
        let text = text.replace("\\\n", " ");
        let mut section = "";
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = line.strip_prefix('[') {
                section = name.strip_suffix(']').context("a section without an end")?;
                ensure!(
                    ["Install", "Service", "Unit"].contains(&section),
                    "a unit of a service has no section {section}"
                );
                continue;
            }
            let (key, _) = line
                .split_once('=')
                .with_context(|| format!("not a setting: {line}"))?;
            ensure!(
                !section.is_empty() || settings.contains(key),
                "{key} is not in docs/settings.json"
            );
        }
        Ok(())
    })?;
    assert!(seen > 3, "{seen}");
    Ok(())
}

#[test]
fn the_french_page_about_the_policy_names_every_action() -> Result<()> {
    let page = fs::read_to_string(root().join("docs/fr/politique.md"))?;
    for (_, action) in ACTIONS {
        assert!(page.contains(&format!("`{action}`")), "{action}");
    }
    Ok(())
}

#[test]
fn mistakes_are_found() -> Result<()> {
    let names = BTreeSet::from(["get_node_log".to_owned()]);
    check_policy("exclude_tools = [\"get_node_log\"]", &names)?;
    for wrong in [
        "exclude_tools = [\"get_nodelog\"]",
        "presets = \"observe\"",
        "allow_actions = [\"rollbacks\"]",
        "[limits]\nwrites_per_minute = 0",
    ] {
        assert!(check_policy(wrong, &names).is_err(), "{wrong}");
    }
    for wrong in [
        serde_json::json!({"args": []}),
        serde_json::json!({"command": "host-runner"}),
        serde_json::json!({"command": "/a", "args": "--demo"}),
        serde_json::json!({"url": "localhost"}),
    ] {
        assert!(check_entry(&wrong).is_err(), "{wrong}");
    }
    let listed = blocks_of("page", "1. a\n   ```toml\n   a = 1\n   ```\n")?;
    assert_eq!(listed.len(), 1);
    assert!(
        listed
            .iter()
            .all(|block| block.text == "a = 1\n" && block.place == "page:2")
    );
    assert!(blocks_of("page", "```toml\na = 1\n").is_err());
    Ok(())
}
