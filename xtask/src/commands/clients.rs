//! Other people's clients and SDKs: the tests in `tests/python/`, and what they need.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::build;
use crate::npm;
use crate::progress::Progress;
use crate::table;
use crate::workspace::{Workspace, output};

/// Test host-runner with MCP clients and SDKs that people use
///
/// The Python reference client, the SDKs of Gemini and OpenAI with a scripted model,
/// and the MCP Inspector, installed below the build directory. Fails if one of them
/// does not get what it should. A client whose packages cannot be installed is skipped,
/// and the table says why.
#[derive(Args)]
pub(crate) struct Clients {
    /// Do not rebuild the tools component and host-runner
    #[arg(long)]
    no_build: bool,
    /// Only these clients: python, sdks, inspector
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        value_parser = ["python", "sdks", "inspector"]
    )]
    only: Vec<String>,
}

/// A test program in `tests/python/`, and the files that pin what it needs.
struct Client {
    name: &'static str,
    script: &'static str,
    /// Its lists of Python packages.
    python: &'static [&'static str],
    /// Whether it also needs the npm packages, whose folder is its first argument.
    npm: bool,
}

const CLIENTS: [Client; 3] = [
    Client {
        name: "python",
        script: "test_client.py",
        python: &["requirements.txt"],
        npm: false,
    },
    Client {
        name: "sdks",
        script: "test_sdks.py",
        python: &["requirements.txt", "requirements-sdks.txt"],
        npm: false,
    },
    Client {
        name: "inspector",
        script: "test_inspector.py",
        python: &["requirements.txt"],
        npm: true,
    },
];

impl Clients {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        if !self.no_build {
            build::steps(workspace, &mut Progress::new(build::STEPS))?;
        }
        let host_runner = workspace.binary("host-runner");
        ensure!(
            host_runner.exists(),
            "no {}: leave out --no-build",
            host_runner.display()
        );
        let wanted =
            |client: &&Client| self.only.is_empty() || self.only.iter().any(|o| o == client.name);
        let mut rows = Vec::new();
        for client in CLIENTS.iter().filter(wanted) {
            rows.push(client.row(workspace, &host_runner)?);
        }
        print(&rows);
        if rows.iter().any(|row| row.get("bad") == Some(&json!(true))) {
            bail!("a client did not get what it should");
        }
        Ok(())
    }
}

impl Client {
    /// Runs it. The row of the table says how it went. Fails if what it needs is not
    /// what the files pin.
    fn row(&self, workspace: &Workspace, host_runner: &Path) -> Result<Value> {
        let found = python(workspace, self.python).and_then(|python| {
            let folder = self.npm.then(|| npm::install(workspace)).transpose()?;
            Ok((python, folder))
        });
        let (python, folder) = match found {
            Ok(found) => found,
            Err(error) if npm::is_fault(&error) => return Err(error),
            Err(error) => {
                let outcome = format!("skipped: {}", npm::reason(&error));
                return Ok(json!({ "client": self.name, "outcome": outcome }));
            }
        };
        eprintln!("trying {}…", self.name);
        let started = Instant::now();
        let ended = Command::new(python)
            .arg(workspace.root().join("tests/python").join(self.script))
            .args(folder)
            .arg(host_runner)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot start {}", self.script))?;
        let counts = counts(&String::from_utf8_lossy(&ended.stdout));
        let good = ended.status.success() && counts.is_some_and(|(_, failed)| failed == 0);
        let outcome = match (good, counts) {
            (true, _) => "ok",
            (false, Some(_)) => "FAILED",
            (false, None) => "FAILED: no summary",
        };
        Ok(json!({
            "client": self.name,
            "passed": counts.map(|(passed, _)| passed),
            "failed": counts.map(|(_, failed)| failed),
            "duration_seconds": started.elapsed().as_secs(),
            "bad": !good,
            "outcome": outcome,
        }))
    }
}

/// The numbers in the last line of a test program, `N passed, M failed`.
fn counts(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().last()?;
    let (passed, failed) = line.strip_suffix(" failed")?.split_once(" passed, ")?;
    Some((passed.parse().ok()?, failed.parse().ok()?))
}

/// A Python with the packages of these lists, in the environment that `.ci/run` uses too.
fn python(workspace: &Workspace, lists: &[&str]) -> Result<PathBuf> {
    let folder = workspace.target("venv");
    let python = folder.join("bin/python");
    if !python.exists() {
        output(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    }
    let mut command = Command::new(&python);
    command.args(["-m", "pip", "install", "--quiet"]);
    command.arg("--disable-pip-version-check");
    for list in lists {
        let list = workspace.root().join("tests/python").join(list);
        command.arg("--requirement").arg(list);
    }
    output(&mut command)?;
    Ok(python)
}

#[expect(clippy::print_stdout, reason = "the table is what was asked for")]
fn print(rows: &[Value]) {
    let fields = ["client", "passed", "failed", "duration_seconds", "outcome"];
    println!("{}", table::render(rows, &fields));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_the_summary() {
        assert_eq!(
            counts("9 passed, 9 failed\n12 passed, 3 failed\n"),
            Some((12, 3))
        );
        for text in [
            "",
            "12 passed",
            "12 passed, x failed",
            "1 passed, 0 failed\nbye",
        ] {
            assert_eq!(counts(text), None, "{text}");
        }
    }
}
