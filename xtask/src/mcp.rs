//! A small MCP client over stdio: JSON-RPC, one message a line, one request at
//! a time. The tests use a full client; this one keeps xtask quick to compile.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// What a client that speaks the older, stateful era asks for.
const PROTOCOL: &str = "2025-11-25";

/// A running server and the line to it.
pub(crate) struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    last_id: u64,
}

/// What a tool answered.
pub(crate) enum Answer {
    /// Its structured content.
    Content(Value),
    /// The text of an error that the model is to read.
    Error(String),
}

impl Client {
    /// Starts a server. Its stderr is the caller's to set.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("no pipe from the server")?;
        Ok(Self {
            child,
            stdin,
            stdout: BufReader::new(stdout),
            last_id: 0,
        })
    }

    /// The handshake; returns what the server says of itself.
    pub(crate) fn initialize(&mut self) -> Result<Value> {
        let params = json!({
            "protocolVersion": PROTOCOL,
            "capabilities": {},
            "clientInfo": {"name": "proxmox-mcp-xtask", "version": env!("CARGO_PKG_VERSION")},
        });
        let result = self.request("initialize", &params)?;
        self.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))?;
        Ok(result)
    }

    /// One request and its result.
    pub(crate) fn request(&mut self, method: &str, params: &Value) -> Result<Value> {
        self.request_with(method, params, |_| ())
    }

    /// The same, and hands on the messages of the progress meanwhile.
    fn request_with(
        &mut self,
        method: &str,
        params: &Value,
        mut progress: impl FnMut(&str),
    ) -> Result<Value> {
        self.last_id += 1;
        let id = self.last_id;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))?;
        loop {
            let message = self.receive()?;
            if message.get("id").and_then(Value::as_u64) != Some(id) {
                if message.get("method").and_then(Value::as_str) == Some("notifications/progress")
                    && let Some(text) = message.pointer("/params/message").and_then(Value::as_str)
                {
                    progress(text);
                }
                continue;
            }
            if let Some(error) = message.get("error") {
                bail!("the server refused {method}: {error}");
            }
            return message
                .get("result")
                .cloned()
                .with_context(|| format!("the answer to {method} has no result"));
        }
    }

    /// One tool call.
    pub(crate) fn call(&mut self, tool: &str, arguments: &Value) -> Result<Answer> {
        let params = json!({"name": tool, "arguments": arguments});
        Answer::new(tool, &self.request("tools/call", &params)?)
    }

    /// One tool call whose progress is shown.
    pub(crate) fn call_with(
        &mut self,
        tool: &str,
        arguments: &Value,
        progress: impl FnMut(&str),
    ) -> Result<Answer> {
        let params = json!({
            "name": tool,
            "arguments": arguments,
            "_meta": {"progressToken": tool},
        });
        Answer::new(tool, &self.request_with("tools/call", &params, progress)?)
    }

    /// The server's process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends the session, as a client does, by closing the server's stdin.
    pub(crate) fn close(mut self) -> Result<()> {
        self.stdin = None;
        let status = self.child.wait().context("cannot wait for the server")?;
        if !status.success() {
            bail!("the server ended with {status}");
        }
        Ok(())
    }

    fn send(&mut self, message: &Value) -> Result<()> {
        let stdin = self.stdin.as_mut().context("the session is closed")?;
        writeln!(stdin, "{message}")
            .and_then(|()| stdin.flush())
            .context("the server takes no more messages; its own words are above")
    }

    fn receive(&mut self) -> Result<Value> {
        let mut line = String::new();
        let read = self.stdout.read_line(&mut line)?;
        if read == 0 {
            bail!("the server has ended; its own words are above");
        }
        serde_json::from_str(&line)
            .with_context(|| format!("the server sent something else than JSON: {line}"))
    }
}

impl Answer {
    fn new(tool: &str, result: &Value) -> Result<Self> {
        if result.get("isError").and_then(Value::as_bool) == Some(true) {
            let text = result
                .pointer("/content/0/text")
                .and_then(Value::as_str)
                .with_context(|| format!("{tool} failed and did not say why"))?;
            return Ok(Answer::Error(text.to_owned()));
        }
        result
            .get("structuredContent")
            .cloned()
            .map(Answer::Content)
            .with_context(|| format!("{tool} answered without structured content"))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stdin = None;
        // After `close` it has ended already; otherwise nobody waits for it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
