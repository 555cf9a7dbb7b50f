use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use pve_api::call::stands_for;
use pve_api::{Call, Method, calls};
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
const NO_TOOL: [&Call; 3] = [
    &calls::cluster::VERSION,
    &calls::access::PERMISSIONS,
    &calls::cluster::HA_RESOURCES,
];

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
            if let Some(call) = call_of(&request) {
                seen.insert((call.to_string(), String::new()));
                let sent = request.get("params").and_then(Value::as_object);
                for name in sent.into_iter().flat_map(|sent| sent.keys()) {
                    seen.insert((call.to_string(), name.clone()));
                }
            }
        }
    }
    for call in calls::all() {
        if NO_TOOL.iter().any(|one| std::ptr::eq(*one, call)) {
            continue;
        }
        let name = call.to_string();
        let used = |param: &str| {
            seen.iter()
                .any(|(one, sent)| *one == name && stands_for(param, sent))
        };
        if !used("") {
            unseen.push(name);
            continue;
        }
        let unused = call.param_names().into_iter().filter(|param| !used(param));
        unseen.extend(unused.map(|param| format!("{param} of {name}")));
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

/// The call of a request that the simulator wrote down, where the table has it.
fn call_of(request: &Value) -> Option<&'static Call> {
    let method = Method::parse(request["method"].as_str()?)?;
    let path = request["path"].as_str()?;
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    calls::find(method, &segments)
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
