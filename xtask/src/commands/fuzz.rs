use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::tools::Tool;
use crate::workspace::{Workspace, run};

const TARGETS: [&str; 4] = ["request", "response", "ticket", "settings"];

/// Let fuzzers look for inputs that break what reads from outside
///
/// Each starts with the seeds in fuzz/seeds and what earlier runs have found.
/// An input that breaks something is kept in fuzz/artifacts: add it to the
/// seeds, which the tests play.
#[derive(Args)]
pub(crate) struct Fuzz {
    /// How long each of them runs
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Which of them; all where none is named
    #[arg(value_parser = TARGETS)]
    targets: Vec<String>,
}

impl Fuzz {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        let tool = Tool::find(workspace, "fuzz", "0.13.2")?;
        let targets = if self.targets.is_empty() {
            TARGETS.map(str::to_owned).to_vec()
        } else {
            self.targets
        };
        let fuzz = |subcommand: &str| -> Result<Command> {
            let mut command = tool.command(workspace)?;
            command
                .arg(subcommand)
                // The code is all safe: a sanitizer would only take time.
                .args(["--sanitizer", "none"])
                // Coverage needs flags that a stable compiler refuses otherwise.
                .env("RUSTC_BOOTSTRAP", "1")
                // Of its own: everything is compiled in another way.
                .env("CARGO_TARGET_DIR", workspace.target("fuzz"));
            Ok(command)
        };
        for target in &targets {
            run(fuzz("build")?.arg(target))?;
        }
        let mut broken = Vec::new();
        for target in &targets {
            let corpus = workspace.root().join("fuzz/corpus").join(target);
            fs::create_dir_all(&corpus)
                .with_context(|| format!("cannot write {}", corpus.display()))?;
            eprintln!("{target}: {} s…", self.seconds);
            let mut command = fuzz("run")?;
            command
                .arg(target)
                .args([&corpus, &seeds(workspace, target)]);
            command
                .arg("--")
                .arg(format!("-max_total_time={}", self.seconds))
                .args([
                    "-print_final_stats=1",
                    "-timeout=10",
                    "-rss_limit_mb=2048",
                    "-verbosity=0",
                ]);
            let outcome = Outcome::of(&mut command)?;
            outcome.print(target);
            if !outcome.succeeded {
                broken.push(target.as_str());
            }
        }
        if !broken.is_empty() {
            bail!(
                "inputs were found that break {}: they are in {}",
                broken.join(", "),
                workspace.root().join("fuzz/artifacts").display()
            );
        }
        Ok(())
    }
}

fn seeds(workspace: &Workspace, target: &str) -> PathBuf {
    workspace.root().join("fuzz/seeds").join(target)
}

/// What a fuzzer told at its end.
struct Outcome {
    executions: u64,
    per_second: u64,
    succeeded: bool,
}

impl Outcome {
    /// Runs it. Its other words are shown as they come.
    fn of(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start cargo fuzz")?;
        let stderr = child.stderr.take().context("no pipe from cargo fuzz")?;
        let mut outcome = Self {
            executions: 0,
            per_second: 0,
            succeeded: false,
        };
        for line in BufReader::new(stderr).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            if !outcome.read(&line) {
                eprintln!("{line}");
            }
        }
        outcome.succeeded = child.wait()?.success();
        Ok(outcome)
    }

    /// Whether it is a line of the figures.
    fn read(&mut self, line: &str) -> bool {
        let Some((name, figure)) = line
            .strip_prefix("stat::")
            .and_then(|rest| rest.split_once(':'))
        else {
            return false;
        };
        let figure = figure.trim().parse().unwrap_or_default();
        match name {
            "number_of_executed_units" => self.executions = figure,
            "average_exec_per_sec" => self.per_second = figure,
            _ => {}
        }
        true
    }

    #[expect(clippy::print_stdout, reason = "the figures are what was asked for")]
    fn print(&self, target: &str) {
        let Self {
            executions,
            per_second,
            succeeded,
        } = self;
        let end = if *succeeded {
            "nothing broke"
        } else {
            "BROKEN"
        };
        println!("{target:<12}{executions} executions, {per_second} a second: {end}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read() {
        let mut outcome = Outcome {
            executions: 0,
            per_second: 0,
            succeeded: true,
        };
        assert!(outcome.read("stat::number_of_executed_units: 12345"));
        assert!(outcome.read("stat::average_exec_per_sec:     678"));
        assert!(outcome.read("stat::peak_rss_mb:              90"));
        assert!(!outcome.read("#2\tINITED cov: 5"));
        assert_eq!((outcome.executions, outcome.per_second), (12345, 678));
    }
}
