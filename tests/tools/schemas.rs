//! The published form of each tool is kept in `tests/snapshots/`, so that a
//! change of it is a diff that somebody reviews.

use std::collections::BTreeSet;
use std::path::Path;
use std::{env, fs};

use anyhow::{Context as _, ensure};
use harness::HostRunner;
use serde_json::{Map, Value};

/// What clients see of a tool; the host's own additions are left out.
const PUBLISHED: [&str; 6] = [
    "name",
    "title",
    "description",
    "annotations",
    "inputSchema",
    "outputSchema",
];

/// `UPDATE_SNAPSHOTS=1` writes the files anew.
#[tokio::test]
async fn every_tool_is_published_as_its_snapshot_says() -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots");
    let update = env::var_os("UPDATE_SNAPSHOTS").is_some();
    let output = HostRunner::new()?.run(&["tools", "--json"]).await?;
    ensure!(output.status == Some(0), "{output:?}");
    let list: Value = serde_json::from_str(&output.stdout)?;
    let tools = list.as_array().context("no list")?;

    let mut files = BTreeSet::new();
    let mut stale = Vec::new();
    for tool in tools {
        let published: Map<String, Value> = PUBLISHED
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), tool.get(key)?.clone())))
            .collect();
        let name = tool.get("name").and_then(Value::as_str);
        let file = format!("{}.json", name.context("a tool without a name")?);
        let text = format!("{}\n", serde_json::to_string_pretty(&published)?);
        if fs::read_to_string(folder.join(&file)).ok().as_ref() != Some(&text) {
            if update {
                fs::write(folder.join(&file), text)?;
            } else {
                stale.push(file.clone());
            }
        }
        files.insert(file);
    }
    for entry in fs::read_dir(&folder)? {
        let entry = entry?;
        let file = entry.file_name().to_string_lossy().into_owned();
        if !files.contains(&file) {
            if update {
                fs::remove_file(entry.path())?;
            } else {
                stale.push(file);
            }
        }
    }
    ensure!(
        stale.is_empty(),
        "other than in tests/snapshots/: {stale:?}; to accept the change, run \
         `UPDATE_SNAPSHOTS=1 cargo xtask test -- --test tools schemas`"
    );
    Ok(())
}
