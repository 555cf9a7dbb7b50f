use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::workspace::{Workspace, run};

/// Check the requests that the tests sent against the real API's schema
///
/// The checker is no part of the project: it is looked for beside the
/// checkout, at ../shared/pve/check-requests.
#[derive(Args)]
pub(crate) struct CheckRequests {}

impl CheckRequests {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        let checker = workspace.root().join("../shared/pve/check-requests");
        if !checker.is_file() {
            eprintln!("skipped: there is no checker at {}", checker.display());
            return Ok(());
        }
        let logs = logs(workspace)?;
        if logs.is_empty() {
            bail!("there are no request logs; run `cargo xtask test` first");
        }
        eprintln!("checking {} request logs…", logs.len());
        run(Command::new(checker).args(&logs))
    }
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
