//! An MCP session that costs the client next to nothing: lines are written and
//! read as they are, and the clock stops before a response is parsed.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

/// A server that answers nothing for so many seconds is killed, which ends the
/// session.
const PATIENCE_SECONDS: u64 = 120;

/// A server process. Dropping it kills the process.
pub(super) struct Session {
    process: Arc<Process>,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    requests: u64,
}

/// A response, and how long it took.
pub(super) struct Response {
    pub(super) result: Value,
    /// Length of the line.
    pub(super) bytes: usize,
    pub(super) took: Duration,
}

/// How long many requests took, and what they were answered.
pub(super) struct Loaded {
    pub(super) elapsed: Duration,
    pub(super) each: Vec<Duration>,
    pub(super) results: Vec<Value>,
}

impl Response {
    pub(super) fn milliseconds(&self) -> f64 {
        self.took.as_secs_f64() * 1e3
    }
}

impl Session {
    /// Starts a server and waits for the response to `initialize`. Returns the
    /// time from before the start.
    pub(super) fn start(command: &mut Command) -> Result<(Self, Response)> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let started = Instant::now();
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let stdin = child.stdin.take().context("no pipe to the server")?;
        let stdout = child.stdout.take().context("no pipe from the server")?;
        let process = Arc::new(Process {
            id: child.id(),
            child: Mutex::new(child),
            started,
            deadline: AtomicU64::new(NONE),
        });
        thread::spawn({
            let process = Arc::clone(&process);
            move || process.watch()
        });
        let mut session = Self {
            process,
            stdin,
            stdout: BufReader::with_capacity(64 * 1024, stdout),
            requests: 0,
        };
        let mut response = session.request(
            "initialize",
            &json!({
                "protocolVersion": "2025-06-18",
                "capabilities": {},
                "clientInfo": { "name": "bench", "version": "0" },
            }),
        )?;
        response.took = started.elapsed();
        session.write(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }))?;
        Ok((session, response))
    }

    /// Sends a request and waits for its response. Fails at an error.
    pub(super) fn request(&mut self, method: &str, params: &Value) -> Result<Response> {
        let (id, request) = self.prepare(method, params);
        let mut line = String::new();
        self.process.expect_answer();
        let started = Instant::now();
        self.stdin.write_all(request.as_bytes())?;
        loop {
            line.clear();
            let bytes = self.stdout.read_line(&mut line)?;
            let took = started.elapsed();
            self.process.expect_nothing();
            ensure!(
                bytes > 0,
                "the server ended before it answered {method}, or did not answer within \
                 {PATIENCE_SECONDS} s"
            );
            let mut message: Value = serde_json::from_str(&line)
                .with_context(|| format!("the server sent something that is not JSON: {line}"))?;
            // The others are notifications.
            if message.get("id").and_then(Value::as_u64) == Some(id) {
                let result = message.get_mut("result").map(Value::take);
                let result =
                    result.with_context(|| format!("{method} failed: {}", start(&line)))?;
                return Ok(Response {
                    result,
                    bytes,
                    took,
                });
            }
        }
    }

    /// Calls a tool. Fails if the tool does.
    pub(super) fn call(&mut self, tool: &str, arguments: &Value) -> Result<Response> {
        let response = self.call_any(tool, arguments)?;
        if response.result.get("isError") == Some(&Value::Bool(true)) {
            bail!("{tool} failed: {}", start(&response.result.to_string()));
        }
        Ok(response)
    }

    /// Calls a tool that may fail.
    pub(super) fn call_any(&mut self, tool: &str, arguments: &Value) -> Result<Response> {
        self.request("tools/call", &call(tool, arguments))
    }

    /// Sends so many requests, with `callers` under way at any moment, which take turns
    /// through `params`. Fails at an error.
    pub(super) fn load(
        &mut self,
        method: &str,
        params: &[Value],
        callers: usize,
        times: usize,
    ) -> Result<Loaded> {
        let requests: Vec<(u64, String)> = (0..times)
            .zip(params.iter().cycle())
            .map(|(_, params)| self.prepare(method, params))
            .collect();
        let mut requests = requests.iter();
        let mut sent = BTreeMap::new();
        let mut lines: Vec<(Instant, String)> = Vec::with_capacity(times);
        self.process.expect_answer();
        let started = Instant::now();
        for (id, request) in requests.by_ref().take(callers) {
            sent.insert(*id, Instant::now());
            self.stdin.write_all(request.as_bytes())?;
        }
        while lines.len() < times {
            let mut line = String::new();
            let bytes = self.stdout.read_line(&mut line)?;
            ensure!(
                bytes > 0,
                "the server ended under load, or took longer than {PATIENCE_SECONDS} s"
            );
            if is_response(&line) {
                lines.push((Instant::now(), line));
                if let Some((id, request)) = requests.next() {
                    sent.insert(*id, Instant::now());
                    self.stdin.write_all(request.as_bytes())?;
                }
            }
        }
        let elapsed = started.elapsed();
        self.process.expect_nothing();
        let (mut each, mut results) = (Vec::new(), Vec::new());
        for (arrived, line) in lines {
            let mut message: Value = serde_json::from_str(&line)?;
            let result = message.get_mut("result").map(Value::take);
            results.push(
                result.with_context(|| format!("{method} failed under load: {}", start(&line)))?,
            );
            let id = message.get("id").and_then(Value::as_u64);
            let sent = id.and_then(|id| sent.get(&id));
            each.push(arrived.duration_since(*sent.context("an answer to nothing")?));
        }
        Ok(Loaded {
            elapsed,
            each,
            results,
        })
    }

    /// The same for calls of a tool that has to succeed.
    pub(super) fn load_calls(
        &mut self,
        tool: &str,
        arguments: &[Value],
        callers: usize,
        times: usize,
    ) -> Result<Loaded> {
        let calls: Vec<Value> = arguments.iter().map(|one| call(tool, one)).collect();
        let loaded = self.load("tools/call", &calls, callers, times)?;
        for result in &loaded.results {
            let is_good = result.get("isError") != Some(&Value::Bool(true));
            ensure!(
                is_good,
                "{tool} failed under load: {}",
                start(&result.to_string())
            );
        }
        Ok(loaded)
    }

    /// The server's process id.
    pub(super) fn id(&self) -> u32 {
        self.process.id
    }

    fn prepare(&mut self, method: &str, params: &Value) -> (u64, String) {
        self.requests += 1;
        let id = self.requests;
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        (id, format!("{request}\n"))
    }

    fn write(&mut self, message: &Value) -> Result<()> {
        self.stdin.write_all(format!("{message}\n").as_bytes())?;
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.process.deadline.store(ENDED, Ordering::Relaxed);
        self.process.kill();
    }
}

/// The process, which a thread watches.
struct Process {
    id: u32,
    child: Mutex<Child>,
    started: Instant,
    /// Seconds after `started`, [`NONE`] or [`ENDED`].
    deadline: AtomicU64,
}

const NONE: u64 = 0;
const ENDED: u64 = u64::MAX;

impl Process {
    fn expect_answer(&self) {
        let deadline = self.started.elapsed().as_secs() + PATIENCE_SECONDS;
        self.deadline.store(deadline, Ordering::Relaxed);
    }

    fn expect_nothing(&self) {
        self.deadline.store(NONE, Ordering::Relaxed);
    }

    fn watch(&self) {
        loop {
            thread::sleep(Duration::from_secs(1));
            match self.deadline.load(Ordering::Relaxed) {
                ENDED => return,
                NONE => {}
                deadline if self.started.elapsed().as_secs() < deadline => {}
                _ => return self.kill(),
            }
        }
    }

    fn kill(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// The parameters of a call.
pub(super) fn call(tool: &str, arguments: &Value) -> Value {
    json!({ "name": tool, "arguments": arguments })
}

/// Told apart from a notification without parsing: servers write the id before
/// the result, and the method of a notification before its parameters.
fn is_response(line: &str) -> bool {
    let mut head = line.len().min(64);
    while !line.is_char_boundary(head) {
        head -= 1;
    }
    let (head, _) = line.split_at(head);
    head.contains("\"id\"") && !head.contains("\"method\"")
}

/// The first words of a message that should not have come.
fn start(text: &str) -> String {
    text.trim().chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_told_apart_from_notifications() {
        assert!(is_response(r#"{"jsonrpc":"2.0","id":7,"result":{}}"#));
        assert!(!is_response(
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"id":1}}"#
        ));
        assert!(is_response(&format!(
            r#"{{"id":1,"result":"{}"}}"#,
            "é".repeat(60)
        )));
    }
}
