use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::{build, check_requests};
use crate::progress::{Progress, Step};
use crate::workspace::Workspace;

/// Build everything and run all tests
#[derive(Args)]
pub(crate) struct Test {
    /// Handed on to `cargo test`, such as `--test sandbox`
    #[arg(last = true)]
    arguments: Vec<String>,
}

impl Test {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        let mut progress = Progress::new(build::STEPS + 3);
        build::steps(workspace, &mut progress)?;
        progress.step(
            "building the hostile components for the sandbox tests",
            || {
                build::component(workspace, "hostile")?;
                build::example_components(workspace, "hostile")
            },
        )?;
        progress.step("building the simulated Proxmox VE", || {
            build::release(workspace, &["pve-sim"])
        })?;
        let mut summary = Summary::default();
        progress.step("building and running the tests", || {
            self.run_tests(workspace, &mut summary)?;
            Ok(Step::Done)
        })?;
        summary.print(progress.seconds());
        if !summary.succeeded {
            bail!("the tests failed");
        }
        let logs = check_requests::logs(workspace)?.len();
        eprintln!(
            "the requests that they sent are in {} ({logs} files)",
            check_requests::folder(workspace).display()
        );
        Ok(())
    }

    fn run_tests(&self, workspace: &Workspace, summary: &mut Summary) -> Result<()> {
        let logs = check_requests::folder(workspace);
        if logs.exists() {
            fs::remove_dir_all(&logs)
                .with_context(|| format!("cannot empty {}", logs.display()))?;
        }
        fs::create_dir_all(&logs)?;
        let mut tests = workspace
            .cargo(["test", "--no-fail-fast"])
            .args(build::SELECTION)
            .args(&self.arguments)
            .env("PVE_SIM_LOG_DIR", &logs)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start cargo test")?;
        let stdout = tests.stdout.take().context("no pipe from cargo test")?;
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            show(&line);
            summary.read(&line);
        }
        summary.succeeded = tests.wait()?.success();
        Ok(())
    }
}

/// What all the test programs told in all.
#[derive(Default)]
struct Summary {
    passed: usize,
    failed: Vec<String>,
    succeeded: bool,
}

impl Summary {
    /// A line of a test program: `test name ... ok` or `... FAILED`.
    fn read(&mut self, line: &str) {
        let Some((name, result)) = line
            .strip_prefix("test ")
            .and_then(|line| line.rsplit_once(" ... "))
        else {
            return;
        };
        match result {
            "ok" => self.passed += 1,
            "FAILED" => self.failed.push(name.to_owned()),
            _ => {}
        }
    }

    fn print(&self, seconds: f64) {
        for name in &self.failed {
            eprintln!("failed: {name}");
        }
        eprintln!(
            "{} tests passed, {} failed, in {seconds:.0} s",
            self.passed,
            self.failed.len()
        );
    }
}

#[expect(clippy::print_stdout, reason = "handed on from the tests")]
fn show(line: &str) {
    println!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_counted() {
        let mut summary = Summary::default();
        for line in [
            "running 3 tests",
            "test units::a ... ok",
            "test b ... FAILED",
            "test c - should panic ... ok",
            "test d ... ignored, slow",
            "test result: FAILED. 2 passed; 1 failed; 1 ignored",
        ] {
            summary.read(line);
        }
        assert_eq!(summary.passed, 2);
        assert_eq!(summary.failed, ["b"]);
    }
}
