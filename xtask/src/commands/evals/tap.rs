//! A pipe between an agent and host-runner that records what passes: the agent
//! starts it in host-runner's place.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::outcome::Used;

/// Pass MCP messages on to a server and record them
#[derive(Args)]
pub(super) struct Tap {
    /// The file to append the messages to
    #[arg(long)]
    record: PathBuf,
    /// The server's command
    #[arg(last = true, required = true)]
    server: Vec<String>,
}

impl Tap {
    pub(super) fn run(self) -> Result<()> {
        let (program, arguments) = self.server.split_first().context("no server")?;
        let mut server = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        let to_server = server.stdin.take().context("no pipe to the server")?;
        let from_server = server.stdout.take().context("no pipe from the server")?;
        let record = self.record.clone();
        // Ends with the process: the client may keep its end open.
        thread::spawn(move || pass(io::stdin().lock(), to_server, &record));
        pass(
            BufReader::new(from_server),
            io::stdout().lock(),
            &self.record,
        )?;
        let status = server.wait()?;
        ensure!(status.success(), "{program} ended with {status}");
        Ok(())
    }
}

fn pass(from: impl BufRead, mut to: impl Write, record: &Path) -> Result<()> {
    let mut record = OpenOptions::new().create(true).append(true).open(record)?;
    for line in from.lines() {
        let line = line? + "\n";
        record.write_all(line.as_bytes())?;
        to.write_all(line.as_bytes())?;
        to.flush()?;
    }
    Ok(())
}

/// What the recorded session has used.
pub(super) fn used(record: &Path) -> Result<Used> {
    let mut used = Used::default();
    // Empty if the agent never started the server.
    let text =
        fs::read_to_string(record).with_context(|| format!("cannot read {}", record.display()))?;
    for line in text.lines() {
        let message: Value = serde_json::from_str(line).context("a recorded line is not JSON")?;
        if message.get("method") == Some(&json!("tools/call")) {
            used.calls += 1;
        }
        if let Some(result) = message
            .get("result")
            .filter(|result| result.get("content").is_some())
        {
            used.add_result(result);
        }
    }
    Ok(used)
}
