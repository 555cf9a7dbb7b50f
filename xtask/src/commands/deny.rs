use anyhow::Result;
use clap::Args;

use crate::tools::Tool;
use crate::workspace::{Workspace, output, run};

/// Check the dependencies' licenses, sources, versions and known vulnerabilities
///
/// The rules are in deny.toml. The database of known vulnerabilities has to be fetched:
/// where it cannot be reached, that part alone is left out, and said to be.
#[derive(Args)]
pub(crate) struct Deny {}

impl Deny {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        let tool = Tool::find(workspace, "deny", "0.20.2")?;
        let check = |what: &[&str]| {
            run(tool
                .command(workspace)?
                .args(["--locked", "--workspace", "check"])
                .args(what))
        };
        check(&["bans", "licenses", "sources"])?;
        if let Err(error) = output(tool.command(workspace)?.args(["fetch", "db"])) {
            let error = format!("{error:#}");
            let reason = error.lines().last().unwrap_or_default();
            eprintln!(
                "skipped: NOT checked for known vulnerabilities, since the advisory database \
                 cannot be fetched: {reason}"
            );
            return Ok(());
        }
        check(&["advisories"])
    }
}
