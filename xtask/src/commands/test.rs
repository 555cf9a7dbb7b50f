use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::docs::Docs;
use super::{build, check_requests};
use crate::leaks::Transcripts;
use crate::progress::{Progress, Step};
use crate::workspace::Workspace;

/// Build everything and run all tests
#[derive(Args)]
pub(crate) struct Test {
    /// Handed on to `cargo test`, such as `--test tools power`
    #[arg(last = true)]
    arguments: Vec<String>,
}

impl Test {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        let mut progress = Progress::new(build::STEPS + 5);
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
        // The published form of a tool is reviewed as a change of its reference.
        progress.step("comparing the generated docs with the code", || {
            Docs::check(workspace)?;
            Ok(Step::Done)
        })?;
        let transcripts = Transcripts::create(workspace.target("transcripts"))?;
        let mut summary = Summary::default();
        progress.step("building and running the tests", || {
            self.run_tests(workspace, &transcripts, &mut summary)?;
            Ok(Step::Done)
        })?;
        let logs = check_requests::logs(workspace)?;
        let leaks = progress.step("looking for secrets in all that was written", || {
            let searched = transcripts.check(&logs)?;
            // A cluster without a secret means that it was not recorded.
            if !logs.is_empty() && (searched.secrets == 0 || searched.files <= logs.len() + 1) {
                bail!(
                    "the tests left no transcripts in {}",
                    transcripts.folder().display()
                );
            }
            eprintln!(
                "none of {} secrets is in {} files ({} MB)",
                searched.secrets,
                searched.files,
                searched.bytes / 1_000_000
            );
            Ok(Step::Done)
        });
        summary.print(progress.seconds());
        leaks?;
        if !summary.succeeded {
            bail!("the tests failed");
        }
        eprintln!(
            "the requests that they sent are in {} ({} files)",
            check_requests::folder(workspace).display(),
            logs.len()
        );
        Ok(())
    }

    fn run_tests(
        &self,
        workspace: &Workspace,
        transcripts: &Transcripts,
        summary: &mut Summary,
    ) -> Result<()> {
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
            .env(Transcripts::VARIABLE, transcripts.folder())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start cargo test")?;
        // What a failing test shows is an output like any other.
        let mut shown = fs::File::create(transcripts.outputs().join("cargo-test.txt"))?;
        let stdout = tests.stdout.take().context("no pipe from cargo test")?;
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            show(&line);
            writeln!(shown, "{line}")?;
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
    /// How many passed in each file of `tests/`: a module in its program.
    files: BTreeMap<String, usize>,
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
            "ok" => {
                self.passed += 1;
                if let Some((file, test)) = name.split_once("::")
                    && file != "tests"
                    && !test.contains("::")
                {
                    *self.files.entry(file.to_owned()).or_default() += 1;
                }
            }
            "FAILED" => self.failed.push(name.to_owned()),
            _ => {}
        }
    }

    fn print(&self, seconds: f64) {
        let files: Vec<String> = self
            .files
            .iter()
            .map(|(file, passed)| format!("{file} {passed}"))
            .collect();
        if !files.is_empty() {
            eprintln!("passed in tests/: {}", files.join(", "));
        }
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
            "test units::tests::a ... ok",
            "test power::a ... ok",
            "test b ... FAILED",
            "test c - should panic ... ok",
            "test d ... ignored, slow",
            "test result: FAILED. 2 passed; 1 failed; 1 ignored",
        ] {
            summary.read(line);
        }
        assert_eq!(summary.passed, 3);
        assert_eq!(summary.files, BTreeMap::from([("power".to_owned(), 1)]));
        assert_eq!(summary.failed, ["b"]);
    }
}
