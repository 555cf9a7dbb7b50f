use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use host_runner_policy::{ApiRequest, Verb, row_of, rows};
use serde_json::Value;

use crate::workspace::{Workspace, run};

/// Check the requests that the tests sent: against the policy's table, and
/// against the real API's schema
///
/// Every row and every parameter of the table must be one that a tool sends:
/// run all tests first.
///
/// The checker of the schema is not part of the project: it is looked for
/// beside the checkout, at ../shared/pve/check-requests.
#[derive(Args)]
pub(crate) struct CheckRequests {}

impl CheckRequests {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        let logs = logs(workspace)?;
        if logs.is_empty() {
            bail!("there are no request logs; run `cargo xtask test` first");
        }
        check_table(&logs)?;
        let checker = workspace.root().join("../shared/pve/check-requests");
        if !checker.is_file() {
            eprintln!("skipped: there is no checker at {}", checker.display());
            return Ok(());
        }
        eprintln!("checking {} request logs…", logs.len());
        run(Command::new(checker).args(&logs))
    }
}

/// What no tool sends, and the tests of the sandbox do: a request that does
/// nothing, and lists that have to be filtered.
const NO_TOOL: [&str; 3] = ["version", "access/permissions", "cluster/ha/resources"];

/// Names what the policy's table has and no request of the tests had. The other
/// way round there is nothing to find: what the table does not have was not
/// sent.
fn check_table(logs: &[PathBuf]) -> Result<()> {
    let mut seen = BTreeSet::new();
    let mut unseen = Vec::new();
    for log in logs {
        let text = fs::read_to_string(log)?;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let request: Value = serde_json::from_str(line)?;
            let Some(request) = request_of(&request) else {
                continue;
            };
            if let Some((verb, pattern)) = row_of(&request) {
                seen.insert((verb.as_str(), pattern, String::new()));
                for (name, _) in &request.params {
                    seen.insert((verb.as_str(), pattern, name.clone()));
                }
            }
        }
    }
    for (verb, pattern, params) in rows() {
        let used = |name: &str| {
            seen.iter().any(|(one, path, param)| {
                let same = match name.strip_suffix('#') {
                    Some(prefix) => param.starts_with(prefix),
                    None => param == name,
                };
                same && *one == verb.as_str() && *path == pattern
            })
        };
        if NO_TOOL.contains(&pattern) {
            continue;
        }
        if !used("") {
            unseen.push(format!("{} {pattern}", verb.as_str()));
            continue;
        }
        for name in params {
            if !used(name) {
                unseen.push(format!("{name} of {} {pattern}", verb.as_str()));
            }
        }
    }
    // A tool may send them, and no test have it do so: this is for reading.
    if !unseen.is_empty() {
        eprintln!(
            "{} rows and parameters of the policy's table were in no request of the tests:\n  {}",
            unseen.len(),
            unseen.join("\n  ")
        );
    }
    Ok(())
}

/// A request as the simulator wrote it down.
fn request_of(line: &Value) -> Option<ApiRequest> {
    let path = line["path"].as_str()?;
    let mut params = Vec::new();
    for (name, value) in line["params"].as_object().into_iter().flatten() {
        let values = match value {
            Value::Array(values) => values.iter().collect(),
            value => vec![value],
        };
        for value in values {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            params.push((name.clone(), text));
        }
    }
    Some(ApiRequest {
        verb: Verb::parse(line["method"].as_str()?)?,
        segments: path.split('/').skip(1).map(str::to_owned).collect(),
        params,
    })
}

/// The folder that the tests leave their request logs in.
pub(super) fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target("request-logs")
}

/// The logs that hold a request.
pub(super) fn logs(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let folder = folder(workspace);
    let Ok(entries) = fs::read_dir(&folder) else {
        return Ok(Vec::new());
    };
    let mut logs = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        let path = entry.path();
        let holds_some = entry.metadata().is_ok_and(|metadata| metadata.len() > 0);
        if holds_some && path.extension().is_some_and(|name| name == "jsonl") {
            logs.push(path);
        }
    }
    logs.sort();
    Ok(logs)
}
