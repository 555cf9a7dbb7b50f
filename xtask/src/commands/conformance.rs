//! The official conformance suite, against `host-runner serve --http`.

use std::fs;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};

use super::build;
use crate::conformance::{REVISIONS, Suite, Tally};
use crate::npm;
use crate::progress::Progress;
use crate::simulator::Simulator;
use crate::table;
use crate::web::Web;
use crate::workspace::Workspace;

/// The scenarios that fail, with the reasons.
const EXPECTED: &str = "host-runner/conformance.yml";

/// Prompts of the suite, which an operator can add to any server. What else it calls,
/// such as `test_simple_text`, would have to be tools.
const POLICY: &str = r#"
[[prompts]]
name = "test_simple_prompt"
description = "A prompt without arguments."
text = "This is a simple prompt for testing."

[[prompts]]
name = "test_prompt_with_arguments"
description = "A prompt with two arguments."
text = "Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"

[[prompts.arguments]]
name = "arg1"
required = true

[[prompts.arguments]]
name = "arg2"
required = true
"#;

/// Run the official conformance suite of MCP against host-runner over HTTP
///
/// All scenarios of both protocol revisions, on a simulated cluster. Fails if one fails
/// that `host-runner/conformance.yml` does not name, or if one passes that it names. The
/// suite and its Node.js are installed below the build directory; where they cannot be
/// fetched, it is skipped.
#[derive(Args)]
pub(crate) struct Conformance {
    /// Use what an earlier command built
    #[arg(long)]
    no_build: bool,
}

impl Conformance {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        if !self.no_build {
            build::steps(workspace, &mut Progress::new(build::STEPS))?;
            build::release(workspace, &["pve-sim"])?;
        }
        let suite = match Suite::install(workspace) {
            Ok(suite) => suite,
            Err(error) if npm::is_fault(&error) => return Err(error),
            Err(error) => {
                print(&format!("skipped: {}", npm::reason(&error)));
                return Ok(());
            }
        };
        let folder = workspace.target("conformance");
        let policy = folder.join("prompts.toml");
        fs::write(&policy, POLICY)?;
        let simulator = Simulator::start(workspace)?;
        let mut command = simulator.host_runner(workspace);
        command
            .env("PROXMOX_MCP_HTTP_REQUESTS", "1000000")
            .args(["--toolsets=all", "--policy"])
            .arg(&policy);
        let web = Web::start(&mut command, &folder.join("host-runner.log"))?;
        let url = format!("http://{}/mcp", web.address());
        let expected = workspace.root().join(EXPECTED);
        let (mut rows, mut faults) = (Vec::new(), Vec::new());
        for revision in REVISIONS {
            eprintln!("running the scenarios of {revision}…");
            let (row, fault) = row(revision, suite.run(&url, revision, &expected));
            rows.push(row);
            faults.extend(fault);
        }
        web.end()?;
        print(&table::render(
            &rows,
            &["revision", "passed", "failed_as_expected", "outcome"],
        ));
        match faults.is_empty() {
            true => Ok(()),
            false => bail!("{}", faults.join("\n")),
        }
    }
}

fn row(revision: &str, outcome: Result<Tally>) -> (Value, Option<String>) {
    match outcome {
        Ok(Tally { passed, failed }) => {
            let row = json!({
                "revision": revision,
                "passed": passed,
                "failed_as_expected": failed,
                "outcome": "ok",
            });
            (row, None)
        }
        Err(error) => {
            let row = json!({ "revision": revision, "outcome": "FAILED" });
            (row, Some(format!("{error:#}")))
        }
    }
}

#[expect(clippy::print_stdout, reason = "the table is what was asked for")]
fn print(text: &str) {
    println!("{}", text.trim_end());
}
