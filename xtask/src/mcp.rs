//! A small MCP client over stdio: JSON-RPC, one message a line. The tests use a
//! full client; this one keeps xtask quick to compile.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// What a client that speaks the older, stateful era asks for.
const PROTOCOL: &str = "2025-11-25";

/// A running server and the line to it, for one request at a time.
pub(crate) struct Client {
    server: Server,
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
            server: Server(child),
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
        self.server.0.id()
    }

    /// Ends the session, as a client does, by closing the server's stdin.
    pub(crate) fn close(mut self) -> Result<()> {
        self.stdin = None;
        let status = self.server.0.wait().context("cannot wait for the server")?;
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

/// The process; killed on drop unless its end was awaited.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // After a `wait` these do nothing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running server and the line to it, for many calls at once.
pub(crate) struct Session {
    server: Server,
    stdin: Mutex<Option<ChildStdin>>,
    calls: Arc<Mutex<Calls>>,
    reader: JoinHandle<Result<()>>,
}

/// The calls that wait for their answer, by id.
struct Calls {
    /// No more answers come.
    ended: bool,
    last_id: u64,
    waiting: HashMap<u64, Sender<Value>>,
}

/// What a call was answered.
pub(crate) enum Reply {
    /// By the tool, well or not.
    Tool(Answer),
    /// By the server, which did not let it come to the tool.
    Refused(String),
}

impl Client {
    /// Goes on with many calls at once. No message of the server may hold
    /// `secret`.
    pub(crate) fn into_session(self, secret: &str) -> Session {
        let calls = Arc::new(Mutex::new(Calls {
            ended: false,
            last_id: self.last_id,
            waiting: HashMap::new(),
        }));
        let reader = thread::spawn({
            let (calls, secret) = (Arc::clone(&calls), secret.to_owned());
            move || {
                let result = hand_out(self.stdout, &calls, &secret);
                // Whoever still waits learns that no answer comes.
                let mut calls = lock(&calls);
                calls.ended = true;
                calls.waiting.clear();
                result
            }
        });
        Session {
            server: self.server,
            stdin: Mutex::new(self.stdin),
            calls,
            reader,
        }
    }
}

impl Session {
    /// One tool call among others.
    pub(crate) fn call(&self, tool: &str, arguments: &Value, patience: Duration) -> Result<Reply> {
        let (sender, receiver) = mpsc::channel();
        self.send(tool, arguments, sender)?;
        let message = match receiver.recv_timeout(patience) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout) => {
                bail!(
                    "{tool} {arguments} got no answer within {} s",
                    patience.as_secs()
                )
            }
            Err(RecvTimeoutError::Disconnected) => {
                bail!("{tool} {arguments} got no answer, and none will come")
            }
        };
        if let Some(error) = message.get("error") {
            let text = error.get("message").and_then(Value::as_str);
            let text = text.with_context(|| format!("{tool} was refused without a reason"))?;
            return Ok(Reply::Refused(text.to_owned()));
        }
        let result = message.get("result");
        let result = result.with_context(|| format!("the answer to {tool} has no result"))?;
        Answer::new(tool, result).map(Reply::Tool)
    }

    /// A tool call whose answer is never read.
    pub(crate) fn call_and_forget(&self, tool: &str, arguments: &Value) -> Result<()> {
        let (sender, _) = mpsc::channel();
        self.send(tool, arguments, sender)
    }

    /// The server's process.
    pub(crate) fn id(&self) -> u32 {
        self.server.0.id()
    }

    /// Closes the server's stdin and waits for its end, which must be clean.
    /// Tells how long it took.
    pub(crate) fn close(self, patience: Duration) -> Result<Duration> {
        *lock(&self.stdin) = None;
        self.ended(patience)
    }

    /// Waits for the server's end, which must be clean. Tells how long it took.
    pub(crate) fn ended(mut self, patience: Duration) -> Result<Duration> {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.server.0.try_wait()? {
                break status;
            }
            if started.elapsed() > patience {
                bail!(
                    "the server still runs {} s after it was told to end",
                    patience.as_secs()
                );
            }
            thread::sleep(Duration::from_millis(5));
        };
        let took = started.elapsed();
        if !status.success() {
            bail!("the server ended with {status}");
        }
        match self.reader.join() {
            Ok(result) => result?,
            Err(_) => bail!("the reader of the server's answers panicked"),
        }
        Ok(took)
    }

    fn send(&self, tool: &str, arguments: &Value, answer: Sender<Value>) -> Result<()> {
        let id = {
            let mut calls = lock(&self.calls);
            if calls.ended {
                bail!("the server answers no more");
            }
            calls.last_id += 1;
            let id = calls.last_id;
            calls.waiting.insert(id, answer);
            id
        };
        let message = json!({
            "jsonrpc": "2.0",
            "id": id,
            "method": "tools/call",
            "params": {"name": tool, "arguments": arguments},
        });
        let mut stdin = lock(&self.stdin);
        let stdin = stdin.as_mut().context("the session is closed")?;
        writeln!(stdin, "{message}")
            .and_then(|()| stdin.flush())
            .context("the server takes no more messages")
    }
}

/// Hands each answer to the call that waits for it, until the server ends.
fn hand_out(stdout: BufReader<ChildStdout>, calls: &Mutex<Calls>, secret: &str) -> Result<()> {
    for line in stdout.lines() {
        let line = line.context("cannot read the server's answers")?;
        if line.contains(secret) {
            bail!("the server told the token's secret");
        }
        let message: Value = serde_json::from_str(&line)
            .with_context(|| format!("the server sent something else than JSON: {line}"))?;
        let Some(id) = message.get("id").and_then(Value::as_u64) else {
            continue;
        };
        let Some(waiting) = lock(calls).waiting.remove(&id) else {
            bail!("the server answered an unknown call, or answered twice: {line}");
        };
        // Nobody may be there to read it.
        let _ = waiting.send(message);
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
