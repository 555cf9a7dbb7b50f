//! The documentation: its links, and the tables that it is generated from.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Every page: those in `docs/` and those beside it.
fn pages() -> anyhow::Result<Vec<PathBuf>> {
    let mut pages = Vec::new();
    for folder in ["", "docs", "docs/fr"] {
        for entry in std::fs::read_dir(root().join(folder))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    Ok(pages)
}

/// A page without its blocks of code, and its lines of prose.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

/// The anchors of a page, as GitHub makes them of headings, and those it sets itself.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for line in prose(text) {
        if let Some((_, rest)) = line.split_once("<a id=\"")
            && let Some((id, _)) = rest.split_once('"')
        {
            anchors.insert(id.to_owned());
        }
        let title = line.trim_start_matches('#');
        if title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let kept = title.trim().chars().filter_map(|c| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            c if c.is_alphanumeric() => Some(c),
            _ => None,
        });
        let slug: String = kept.flat_map(char::to_lowercase).collect();
        anchors.insert(slug);
    }
    anchors
}

/// The targets of a page's links.
fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    for line in prose(text) {
        for part in line.split("](").skip(1) {
            let target = part.split([')', ' ']).next().unwrap_or_default();
            links.push(target.to_owned());
        }
    }
    links
}

#[test]
fn every_link_leads_somewhere() -> anyhow::Result<()> {
    let mut broken = Vec::new();
    let mut seen = 0;
    for page in pages()? {
        let text = read(&page)?;
        for link in links(&text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            seen += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let folder = page.parent().context("a page without a folder")?;
            let target = match file {
                "" => page.clone(),
                file => folder.join(file),
            };
            let found = target.exists() && {
                let is_page = target
                    .extension()
                    .is_some_and(|extension| extension == "md");
                anchor.is_empty() || !is_page || anchors(&read(&target)?).contains(anchor)
            };
            if !found {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(seen > 100, "{seen}");
    Ok(())
}

#[test]
fn every_page_is_in_the_book() -> anyhow::Result<()> {
    let docs = root().join("docs");
    let summary = read(&docs.join("SUMMARY.md"))?;
    for page in pages()? {
        let Ok(name) = page.strip_prefix(&docs) else {
            continue;
        };
        let name = name.display().to_string();
        let listed = summary.contains(&format!("({name})"));
        assert!(listed || name == "SUMMARY.md", "SUMMARY.md lacks {name}");
    }
    Ok(())
}

fn table(path: &str) -> anyhow::Result<Value> {
    Ok(serde_json::from_str(&read(&root().join(path))?)?)
}

fn list<'a>(value: &'a Value, key: &str) -> anyhow::Result<&'a Vec<Value>> {
    let list = value.get(key).and_then(Value::as_array);
    list.with_context(|| format!("no list {key}"))
}

fn text<'a>(value: &'a Value, key: &str) -> anyhow::Result<&'a str> {
    let text = value.get(key).and_then(Value::as_str);
    let text = text.with_context(|| format!("no text {key} in {value}"))?;
    anyhow::ensure!(!text.is_empty(), "an empty {key} in {value}");
    Ok(text)
}

/// docs/settings.json has the settings that host-runner knows, in both languages.
#[test]
fn every_setting_is_described() -> anyhow::Result<()> {
    let source = read(&root().join("host-runner/core/src/settings/variable.rs"))?;
    let (_, names) = source.split_once("fn name(self)").context("no names")?;
    let (names, _) = names.split_once("\n    }\n").context("endless names")?;
    let known: BTreeSet<&str> = names.split('"').skip(1).step_by(2).collect();
    let settings = table("docs/settings.json")?;
    let mut described = BTreeSet::new();
    for group in list(&settings, "groups")? {
        for setting in list(group, "settings")? {
            text(setting, "en")?;
            text(setting, "fr")?;
            for name in list(setting, "names")? {
                let name = name.as_str().context("a name that is not a text")?;
                assert!(described.insert(name), "{name} is described twice");
            }
        }
    }
    assert_eq!(known, described);
    Ok(())
}

/// A source file with its string literals on one line each.
fn joined(source: &str) -> String {
    let mut joined = String::new();
    let mut continued = false;
    for line in source.lines() {
        let line = if continued { line.trim_start() } else { line };
        let start = line.strip_suffix('\\');
        continued = start.is_some();
        joined.push_str(start.unwrap_or(line));
        if !continued {
            joined.push('\n');
        }
    }
    joined
}

/// The first string in each `#[error(…)]`.
fn messages(source: &str) -> Vec<&str> {
    let mut messages = Vec::new();
    for part in source.split("#[error(").skip(1) {
        let part = part.trim_start();
        if let Some(literal) = part.strip_prefix('"')
            && let Some(end) = (literal.match_indices('"'))
                .map(|(at, _)| at)
                .find(|at| !literal.get(..*at).unwrap_or_default().ends_with('\\'))
        {
            messages.push(literal.get(..end).unwrap_or_default());
        }
    }
    messages
}

/// Each message in docs/messages.json is in the source, and each message of the errors
/// in these files is in docs/messages.json.
#[test]
fn every_message_is_explained() -> anyhow::Result<()> {
    let catalogue = table("docs/messages.json")?;
    let entries = list(&catalogue, "messages")?;
    let by_rule = list(&catalogue, "by_rule")?;
    let mut ids = BTreeSet::new();
    let mut files = BTreeSet::new();
    for entry in entries {
        let id = text(entry, "id")?;
        assert!(ids.insert(id), "{id} is there twice");
        text(entry, "fr")?;
        text(entry, "en")?;
        let file = text(entry, "source")?;
        let source = joined(&read(&root().join(file))?);
        let message = text(entry, "message")?;
        assert!(source.contains(message), "{file} lacks {message:?}");
        files.insert(file);
    }
    let mut missing = Vec::new();
    for file in files {
        let source = joined(&read(&root().join(file))?);
        for message in messages(&source) {
            let passed_on = message.trim_matches(['{', '}', '0']).is_empty();
            let explained = entries.iter().any(|entry| {
                let part = entry.get("message").and_then(Value::as_str);
                let of_file = entry.get("source").and_then(Value::as_str) == Some(file);
                of_file && part.is_some_and(|part| message.contains(part))
            });
            let is_refusal = by_rule.iter().any(|one| one == message);
            if !(passed_on || explained || is_refusal) {
                missing.push(format!("{file}: {message}"));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "docs/messages.json lacks\n{}",
        missing.join("\n")
    );
    Ok(())
}
