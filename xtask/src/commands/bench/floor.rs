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

/// hyper, with a simulator's settings.
pub(super) struct Floor(Program);

/// An HTTP server that has nothing to do.
pub(super) struct Echo {
    /// `127.0.0.1:PORT`. A path names the length of the response.
    pub(super) address: String,
    _program: Program,
}

/// A client of HTTP servers.
pub(super) struct Poster(Program);

/// Requests to a server.
pub(super) struct Posts<'a> {
    pub(super) url: &'a str,
    pub(super) headers: &'a [(&'static str, String)],
    /// The requests take turns through these.
    pub(super) bodies: &'a [String],
    /// What every response must contain.
    pub(super) expects: &'a str,
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
        let settings = simulator.settings();
        Program::start(workspace, "http", threads, settings).map(Self)
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
        self.0.work(&job)
    }
}

impl Echo {
    /// With so many threads.
    pub(super) fn start(workspace: &Workspace, threads: usize) -> Result<Self> {
        let mut program = Program::start(workspace, "echo", threads, &[])?;
        Ok(Self {
            address: program.line()?.trim().to_owned(),
            _program: program,
        })
    }
}

impl Poster {
    /// With so many threads.
    pub(super) fn start(workspace: &Workspace, threads: usize) -> Result<Self> {
        Program::start(workspace, "post", threads, &[]).map(Self)
    }

    /// Sends `times` requests, with `callers` under way at any moment.
    pub(super) fn run(&mut self, posts: &Posts<'_>, callers: usize, times: usize) -> Result<Times> {
        self.0.work(&json!({
            "url": posts.url,
            "headers": posts.headers,
            "bodies": posts.bodies,
            "expects": posts.expects,
            "callers": callers,
            "times": times,
        }))
    }
}

/// A running floor program. Dropping it kills the process.
struct Program {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Program {
    fn start(
        workspace: &Workspace,
        command: &str,
        threads: usize,
        settings: &[(&'static str, String)],
    ) -> Result<Self> {
        let mut child = Command::new(workspace.binary(PROGRAM))
            .args([command, &threads.to_string()])
            .envs(settings.iter().map(|(name, value)| (name, value)))
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

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the floor program ended; see above");
        Ok(line)
    }

    fn work(&mut self, job: &Value) -> Result<Times> {
        writeln!(self.stdin, "{job}").context("the floor program ended; see above")?;
        let answer: Value = serde_json::from_str(&self.line()?)?;
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

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
