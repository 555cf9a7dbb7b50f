use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;
use pve_api::call::stands_for;
use pve_api::{Call, Method, calls};
use serde_json::Value;

use crate::workspace::{Workspace, output, run};

/// Check the requests that the tests sent: against the policy's table, the calls
/// that tools declare, and the real API's schema
///
/// Reports the rows and parameters of the table that no test had a tool send, and
/// the calls that a tool declares and no test had it make: run all tests first.
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
        check_declarations(workspace, &logs)?;
        let checker = workspace.root().join("../shared/pve/check-requests");
        if !checker.is_file() {
            eprintln!("skipped: there is no checker at {}", checker.display());
            return Ok(());
        }
        eprintln!("checking {} request logs…", logs.len());
        run(Command::new(checker).args(&logs))
    }
}

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
        // Sent where Proxmox refuses something.
        if calls::EXPLAIN.iter().any(|one| std::ptr::eq(*one, call)) {
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

/// Compares the calls that tools declare with those that they made. Fails where
/// one was made and not declared, which host-runner should not have let through
/// (a refused one fails the test that causes it); lists those that were not made.
fn check_declarations(workspace: &Workspace, logs: &[PathBuf]) -> Result<()> {
    let host_runner = workspace.binary("host-runner");
    let tools = output(Command::new(host_runner).args(["tools", "-o", "json"]))?;
    let tools: Vec<Value> = serde_json::from_str(&tools)?;
    let mut made = BTreeSet::new();
    for log in logs {
        for line in fs::read_to_string(log)?.lines() {
            let request: Value = serde_json::from_str(line)?;
            if let (Some(tool), Some(call)) = (
                request.get("tool").and_then(Value::as_str),
                call_of(&request),
            ) {
                made.insert((tool.to_owned(), call.to_string()));
            }
        }
    }
    let (mut undeclared, mut unmade) = (Vec::new(), Vec::new());
    for tool in &tools {
        let name = tool["name"].as_str().context("a tool has no name")?;
        let calls = tool["calls"].as_array().context("a tool has no calls")?;
        let declared: BTreeSet<&str> = calls
            .iter()
            .filter_map(|call| call["call"].as_str()?.split('?').next())
            .collect();
        let of_tool = made.iter().filter(|(tool, _)| tool == name);
        let calls: BTreeSet<&str> = of_tool.map(|(_, call)| call.as_str()).collect();
        undeclared.extend(
            calls
                .difference(&declared)
                .map(|call| format!("{name}: {call}")),
        );
        let unmade_calls = declared.difference(&calls);
        let unmade_calls = unmade_calls.filter(|call| {
            !calls::EXPLAIN
                .iter()
                .any(|common| common.to_string() == **call)
        });
        unmade.extend(unmade_calls.map(|call| format!("{name}: {call}")));
    }
    if !unmade.is_empty() {
        eprintln!(
            "{} declared calls were in no request of the tests:\n  {}",
            unmade.len(),
            unmade.join("\n  ")
        );
    }
    if !undeclared.is_empty() {
        bail!(
            "{} calls were made and not declared:\n  {}",
            undeclared.len(),
            undeclared.join("\n  ")
        );
    }
    Ok(())
}

/// The call of a request that the simulator wrote down, where the table has it.
fn call_of(request: &Value) -> Option<&'static Call> {
    let method = Method::parse(request["method"].as_str()?)?;
    let path = request["path"].as_str()?;
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    // An odd body has no parameters.
    let params = request["params"].as_object();
    let has_param = |name: &str| params.is_some_and(|params| params.contains_key(name));
    calls::find(method, &segments, has_param)
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
