//! The floor program: see `xtask/floor`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::simulator::Simulator;
use crate::workspace::Workspace;

/// The name of its binary.
pub(super) const PROGRAM: &str = "bench-floor";

/// It as an MCP server that has nothing to do.
pub(super) fn stdio(workspace: &Workspace) -> Command {
    let mut command = Command::new(workspace.binary(PROGRAM));
    command.arg("stdio");
    command
}

/// hyper, with a simulator's settings. Dropping it kills the process.
pub(super) struct Floor {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

/// How long the calls of a job took.
pub(super) struct Times {
    /// Each in milliseconds.
    pub(super) each: Vec<f64>,
    pub(super) elapsed: Duration,
}

impl Floor {
    /// With as many threads; 0 is the fastest for one caller.
    pub(super) fn start(
        workspace: &Workspace,
        simulator: &Simulator,
        threads: usize,
    ) -> Result<Self> {
        let mut child = Command::new(workspace.binary(PROGRAM))
            .args(["http", &threads.to_string()])
            .envs(
                simulator
                    .settings()
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the floor program")?;
        let stdin = child.stdin.take().context("no pipe to the floor program")?;
        let stdout = child.stdout.take();
        let stdout = stdout.context("no pipe from the floor program")?;
        Ok(Self {
            child,
            stdin,
            stdout: BufReader::new(stdout),
        })
    }

    /// Makes `times` calls, each of which sends its requests in turn, with
    /// `callers` calls under way at any moment.
    pub(super) fn run(
        &mut self,
        calls: &[Vec<String>],
        callers: usize,
        times: usize,
    ) -> Result<Times> {
        let job = json!({ "calls": calls, "callers": callers, "times": times });
        writeln!(self.stdin, "{job}").context("the floor program ended; see above")?;
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the floor program ended; see above");
        let answer: Value = serde_json::from_str(&line)?;
        let nanos = answer.get("nanos").and_then(Value::as_array);
        let nanos = nanos.context("no times of the floor program")?;
        let elapsed = answer.get("elapsed_nanos").and_then(Value::as_u64);
        Ok(Times {
            each: nanos
                .iter()
                .filter_map(Value::as_f64)
                .map(|nanos| nanos / 1e6)
                .collect(),
            elapsed: Duration::from_nanos(elapsed.context("no time of the floor program")?),
        })
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
