//! The official conformance suite, against an http adapter.

use anyhow::Result;

use super::balancer;
use crate::conformance::{REVISIONS, Suite, Tally};
use crate::npm;
use crate::workspace::Workspace;

/// Runs it once for each revision. It has no way to send a bearer token: a proxy adds it.
pub(super) fn run(workspace: &Workspace, server: &str, token: &str) -> Result<String> {
    let suite = match Suite::install(workspace) {
        Ok(suite) => suite,
        Err(error) if npm::is_fault(&error) => return Err(error),
        Err(error) => return Ok(format!("conformance skipped ({})", npm::reason(&error))),
    };
    let proxy = balancer::start(vec![server.to_owned()], Some(token.to_owned()))?;
    let expected = workspace.root().join("adapters/http/conformance.yml");
    let mut said = Vec::new();
    for revision in REVISIONS {
        let Tally { passed, failed } =
            suite.run(&format!("http://{proxy}/mcp"), revision, &expected)?;
        said.push(format!(
            "conformance {revision}: {passed} scenarios pass, {failed} fail as expected"
        ));
    }
    Ok(said.join(", "))
}
