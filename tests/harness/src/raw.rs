//! JSON-RPC lines over stdio, as they are.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin};

use crate::patience::PATIENCE;
use crate::process::{self, Output, Started};
use crate::transcript;
use crate::values::is_json_rpc;
use crate::watch::{Recorder, Watch};

/// A host-runner that a test talks to line by line.
pub struct Raw {
    stdin: Option<ChildStdin>,
    stdout: BufReader<Recorder>,
    child: Child,
    watch: Watch,
    next_id: u64,
}

impl Raw {
    pub(crate) fn new(started: Started) -> anyhow::Result<Self> {
        let Started { mut child, watch } = started;
        let stdin = child.stdin.take();
        let stdout = BufReader::new(watch.stdout(child.stdout.take().context("no stdout")?));
        Ok(Self {
            stdin,
            stdout,
            child,
            watch,
            next_id: 1,
        })
    }

    /// Opens a session of the older era.
    pub async fn initialize(&mut self) -> anyhow::Result<Value> {
        let answer = self
            .request(
                "initialize",
                json!({
                    "protocolVersion": "2025-11-25",
                    "capabilities": {},
                    "clientInfo": { "name": "tests", "version": "0" },
                }),
            )
            .await?;
        self.send_json(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))
            .await?;
        Ok(answer)
    }

    /// Sends a line as it is.
    pub async fn send(&mut self, line: &str) -> anyhow::Result<()> {
        if let Ok(message) = serde_json::from_str(line) {
            transcript::passwords_in(&message);
        }
        self.send_bytes(line.as_bytes()).await
    }

    /// Sends a line that need not be text.
    pub async fn send_bytes(&mut self, line: &[u8]) -> anyhow::Result<()> {
        let stdin = self.stdin.as_mut().context("already hung up")?;
        stdin.write_all(line).await?;
        stdin.write_all(b"\n").await?;
        Ok(stdin.flush().await?)
    }

    /// Sends a message.
    pub async fn send_json(&mut self, message: Value) -> anyhow::Result<()> {
        self.send(&message.to_string()).await
    }

    /// The next message.
    pub async fn next(&mut self) -> anyhow::Result<Value> {
        let mut line = String::new();
        tokio::time::timeout(PATIENCE, self.stdout.read_line(&mut line))
            .await
            .context("host-runner says nothing")??;
        ensure!(!line.is_empty(), "host-runner hung up");
        let message: Value = serde_json::from_str(&line)
            .with_context(|| format!("stdout holds more than JSON-RPC: {line:?}"))?;
        ensure!(is_json_rpc(&message), "no JSON-RPC: {line:?}");
        Ok(message)
    }

    /// Sends a request and waits for its answer, whatever comes in between.
    pub async fn request(&mut self, method: &str, params: Value) -> anyhow::Result<Value> {
        let id = self.next_id;
        self.next_id += 1;
        self.send_json(json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
            .await?;
        loop {
            let message = self.next().await?;
            if message.get("id").and_then(Value::as_u64) == Some(id) {
                return Ok(message);
            }
        }
    }

    /// Memory of the process, by its name in `/proc`.
    pub fn memory(&self, field: &str) -> anyhow::Result<usize> {
        let process = self.child.id().context("it has ended")?;
        process::memory(process, field)
    }

    /// Waits until the log holds this.
    pub async fn logged(&self, words: &str) -> anyhow::Result<()> {
        let logged = async {
            while !self.watch.stderr_text()?.contains(words) {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, logged)
            .await
            .with_context(|| format!("host-runner does not log {words:?}"))?
    }

    /// Closes stdin.
    pub fn hang_up(&mut self) {
        self.stdin = None;
    }

    /// Sends the process a signal, such as `TERM`.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        let process = self.child.id().context("it has ended")?;
        let status = std::process::Command::new("kill")
            .arg(format!("-{name}"))
            .arg(process.to_string())
            .status()?;
        ensure!(status.success(), "kill: {status}");
        Ok(())
    }

    /// Waits until host-runner has exited, without reading its output before.
    pub async fn ended_unread(mut self) -> anyhow::Result<Output> {
        tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .context("host-runner does not end")??;
        self.ended().await
    }

    /// Hangs up, reads the rest and waits until host-runner has ended.
    pub async fn finish(mut self) -> anyhow::Result<Output> {
        self.hang_up();
        self.ended().await
    }

    /// Reads the rest and waits until host-runner has exited.
    pub async fn ended(mut self) -> anyhow::Result<Output> {
        let rest = async {
            let mut line = String::new();
            while self.stdout.read_line(&mut line).await? > 0 {
                line.clear();
            }
            self.child.wait().await
        };
        let status = tokio::time::timeout(PATIENCE, rest)
            .await
            .context("host-runner does not end")??;
        Ok(Output {
            status: status.code(),
            stdout: self.watch.stdout_text(),
            stderr: self.watch.stderr_text()?,
        })
    }
}
