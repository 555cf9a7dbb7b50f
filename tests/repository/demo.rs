//! The examples of the documentation are about the cluster of `--demo`: they can be typed as
//! they are, and name guests, nodes, storages and pools that are there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;

/// Pages about clusters that are not the demo's: a design, situations of users, and the test
/// cluster.
const OTHERS: [&str; 1] = ["docs/development.md"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The names of the demo's cluster, by what they are names of.
struct Demo {
    vmids: BTreeSet<u64>,
    nodes: BTreeSet<String>,
    storages: BTreeSet<String>,
    pools: BTreeSet<String>,
    tags: BTreeSet<String>,
    snapshots: BTreeSet<String>,
    volumes: BTreeSet<String>,
    jobs: BTreeSet<String>,
}

impl Demo {
    fn read() -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(root().join("pve-sim/worlds/demo.toml"))?;
        let world: Value = toml::from_str(&text)?;
        let each = |key: &str| -> anyhow::Result<&Vec<Value>> {
            let list = world.get(key).and_then(Value::as_array);
            list.with_context(|| format!("the world has no {key}"))
        };
        let keys = |key: &str| -> anyhow::Result<BTreeSet<String>> {
            let table = world.get(key).and_then(Value::as_object);
            let table = table.with_context(|| format!("the world has no {key}"))?;
            Ok(table.keys().cloned().collect())
        };
        let text = |value: &Value, key: &str| {
            let text = value.get(key).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let guests = each("guests")?;
        let lines = guests.iter().map(|guest| text(guest, "config"));
        let tags = lines.flat_map(|config| {
            let lines = config
                .lines()
                .filter_map(|line| line.strip_prefix("tags: "));
            let tags = lines.flat_map(|tags| tags.split(';').map(str::to_owned));
            tags.collect::<Vec<_>>()
        });
        let snapshots = guests.iter().filter_map(|guest| guest.get("snapshots"));
        let snapshots = snapshots.filter_map(Value::as_array).flatten();
        let nodes = world.pointer("/hardware/nodes").and_then(Value::as_array);
        let nodes = nodes.into_iter().flatten().filter_map(Value::as_str);
        let files = each("files")?.iter();
        Ok(Self {
            vmids: guests
                .iter()
                .filter_map(|one| one.get("vmid")?.as_u64())
                .collect(),
            nodes: nodes
                .filter_map(|node| node.split(':').next().map(str::to_owned))
                .collect(),
            storages: each("storages")?
                .iter()
                .map(|one| text(one, "id"))
                .collect(),
            pools: keys("pools")?,
            tags: tags.collect(),
            snapshots: snapshots.map(|one| text(one, "name")).collect(),
            volumes: files
                .map(|one| format!("{}:{}", text(one, "storage"), text(one, "name")))
                .collect(),
            jobs: keys("backup_jobs")?,
        })
    }

    /// Whether the cluster has what an argument, an option or a key of a policy names. What it
    /// does not know is of no interest here, such as the name of a guest to come.
    fn has(&self, tool: &str, key: &str, value: &str) -> bool {
        let is_new = ["create_", "set_backup_job", "clone_"];
        let is_new = is_new.iter().any(|start| tool.starts_with(start));
        match key {
            "vmid" | "vmids" => self.has_vmids(value),
            "node" | "nodes" | "target_node" => self.nodes.contains(value),
            "storage" | "storages" | "target_storage" => self.storages.contains(value),
            "pool" | "pools" => self.pools.contains(value),
            "tag" | "tags" if !is_new => self.tags.contains(value),
            "snapshot" if !is_new => self.snapshots.contains(value),
            "iso" | "template" if value.contains('/') => self.volumes.contains(value),
            "job" if !is_new => self.jobs.contains(value),
            _ => true,
        }
    }

    /// A vmid, or a range with a guest in it.
    fn has_vmids(&self, text: &str) -> bool {
        let number = |text: &str| text.trim().parse::<u64>().ok();
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        match (number(from), number(to)) {
            (Some(from), Some(to)) => self.vmids.range(from..=to).next().is_some(),
            _ => false,
        }
    }
}

/// A name in an example.
struct Named {
    tool: String,
    key: String,
    value: String,
}

/// A number or a text, as it is typed.
fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// The words of a command, as a shell reads them.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in line.chars() {
        match (c, quote) {
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(mark)) if c == mark => quote = None,
            (' ' | '|' | '>' | '<', None) => words.push(String::new()),
            (c, _) => words.last_mut().into_iter().for_each(|word| word.push(c)),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// What a command names: in its options, in the arguments of a tool, and in a request.
fn named(line: &str) -> Vec<Named> {
    let words = words(line);
    let at = words
        .iter()
        .position(|word| word == "call" || word == "explain");
    let tool = at
        .and_then(|at| words.get(at + 1))
        .cloned()
        .unwrap_or_default();
    let add = |key: &str, value: &str| {
        let values = value.split(',').map(|value| Named {
            tool: tool.clone(),
            key: key.trim_start_matches("--").replace('-', "_"),
            value: value.to_owned(),
        });
        values.collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        if let Ok(Value::Object(arguments)) = serde_json::from_str(word) {
            for (key, value) in arguments {
                let values = match value {
                    Value::Array(values) => values,
                    one => vec![one],
                };
                for value in values {
                    found.extend(add(&key, &plain(&value)));
                }
            }
        } else if let Some((key, value)) = word.split_once('=') {
            found.extend(add(key, value));
        } else if let Some(value) = words.get(at + 1)
            && word.starts_with("--")
        {
            found.extend(add(word, value));
        }
    }
    // "POST /nodes/pve1/qemu/101/status/stop"
    let mut parts = tool.split('/').skip_while(|part| *part != "nodes").skip(1);
    if let Some(node) = parts.next() {
        found.extend(add("node", node));
        let vmid = parts.nth(1).filter(|part| part.parse::<u32>().is_ok());
        found.extend(vmid.into_iter().flat_map(|vmid| add("vmid", vmid)));
    }
    found
}

/// The pages, and the help of the command line.
fn texts() -> anyhow::Result<Vec<(String, String)>> {
    let mut texts = Vec::new();
    let help = "host-runner/core/src/cli/help.rs";
    let text = std::fs::read_to_string(root().join(help))?;
    let text = text
        .replace("\\\"", "\u{1}")
        .replace("\";", "")
        .replace('\u{1}', "\"");
    texts.push((help.to_owned(), text));
    for folder in ["", "docs", "docs/fr"] {
        for entry in std::fs::read_dir(root().join(folder))? {
            let path = entry?.path();
            let name = path.strip_prefix(root())?.display().to_string();
            if name.ends_with(".md") && !OTHERS.contains(&&*name) {
                texts.push((name, std::fs::read_to_string(path)?));
            }
        }
    }
    Ok(texts)
}

/// Whether a line is a command that calls a tool, judges a request, or is limited to some
/// guests.
fn is_example(line: &str) -> bool {
    let is_command = line.contains("host-runner ") && !line.contains("…");
    let is_shown = line.starts_with("  host-runner ")
        || line.starts_with("host-runner ")
        || line.starts_with("target/release/host-runner ")
        || line.starts_with("$ ");
    is_command && is_shown
}

#[test]
fn every_example_is_about_the_cluster_of_the_demo() -> anyhow::Result<()> {
    let demo = Demo::read()?;
    let mut seen = 0;
    let mut unknown = Vec::new();
    for (page, text) in texts()? {
        // Guests that an example before has made.
        let mut made = BTreeSet::new();
        for line in text.lines().filter(|line| is_example(line)) {
            for named in named(line) {
                seen += 1;
                if named.key == "new_vmid" {
                    made.insert(named.value.clone());
                }
                let is_made = named.key == "vmid" && made.contains(&named.value);
                if !is_made && !demo.has(&named.tool, &named.key, &named.value) {
                    unknown.push(format!("{page}: {} {}: {line}", named.key, named.value));
                }
            }
        }
    }
    assert!(unknown.is_empty(), "the demo lacks\n{}", unknown.join("\n"));
    assert!(seen > 40, "{seen}");
    Ok(())
}

/// What a policy limits a client to is there.
#[test]
fn every_policy_is_about_the_cluster_of_the_demo() -> anyhow::Result<()> {
    let demo = Demo::read()?;
    let mut seen = 0;
    let mut unknown = Vec::new();
    for (page, text) in texts()? {
        for block in text.split("```toml\n").skip(1) {
            let policy = block.split("```").next().unwrap_or_default();
            let policy: Value = toml::from_str(policy).with_context(|| page.clone())?;
            let clients = policy.get("clients").and_then(Value::as_array);
            let parts = clients.into_iter().flatten().chain([&policy]);
            let scopes = parts.filter_map(|part| part.get("scope")?.as_object());
            for (key, values) in scopes.flatten() {
                for value in values.as_array().into_iter().flatten() {
                    let value = plain(value);
                    seen += 1;
                    if !demo.has("", key, &value) {
                        unknown.push(format!("{page}: {key} {value}"));
                    }
                }
            }
        }
    }
    assert!(unknown.is_empty(), "the demo lacks\n{}", unknown.join("\n"));
    assert!(seen > 8, "{seen}");
    Ok(())
}

#[test]
fn what_the_demo_lacks_is_found() -> anyhow::Result<()> {
    let demo = Demo::read()?;
    let lacks = |line: &str| {
        let named = named(line).into_iter();
        let lacks = named.filter(|one| !demo.has(&one.tool, &one.key, &one.value));
        lacks.map(|one| one.value).collect::<Vec<_>>()
    };
    assert_eq!(
        lacks("host-runner call get_guest '{\"vmid\":100}'"),
        ["100"]
    );
    assert_eq!(lacks("host-runner call start_guest vmids=101,104"), ["104"]);
    assert_eq!(
        lacks("host-runner --vmids 300-399 policy show"),
        ["300-399"]
    );
    assert_eq!(lacks("host-runner --pools lab,home policy show"), ["lab"]);
    let request = "host-runner policy explain 'DELETE /nodes/pve4/qemu/100'";
    assert_eq!(lacks(request), ["pve4", "100"]);
    let new = "host-runner call clone_guest vmid=9000 new_vmid=500 name=x";
    assert_eq!(lacks(new), [""; 0]);
    Ok(())
}
