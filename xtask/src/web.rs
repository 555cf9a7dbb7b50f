//! MCP over HTTP: a `host-runner serve --http` that a command starts, and clients of it,
//! for code that blocks.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::{HeaderMap, Request};

use crate::mcp::Answer;
use crate::process::Process;

/// An unanswered request fails after this long, as over stdio.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long a server may take to listen.
const START: Duration = Duration::from_secs(60);
/// How long it may take to end, whatever its calls do: docs/http.md says so.
const END: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const MAX_ANSWER_BYTES: u64 = 64 << 20;

const NEWEST: &str = "2026-07-28";
const LEGACY: &str = "2025-11-25";

/// A running `host-runner serve --http`. Dropping it kills the process.
pub(crate) struct Web {
    process: Process,
    address: String,
}

/// How requests are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    /// As in 2025-11-25: a session, which begins with `initialize`.
    Legacy,
    /// As in 2026-07-28: each request for itself.
    Stateless,
}

/// A client of a server. Any number of threads may send requests at once.
pub(crate) struct Visitor {
    agent: Agent,
    address: String,
    era: Era,
    token: Option<String>,
    session: Option<String>,
    last_id: AtomicU64,
    secret: Option<String>,
}

/// A whole response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: HeaderMap,
    body: String,
}

impl Web {
    /// Starts host-runner with `serve --http` on a free port, and waits until it listens.
    /// Its stderr goes to `log`, which is replaced.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = command
            .args(["serve", "--http=127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let mut process = Process(child);
        let started = Instant::now();
        loop {
            let said = fs::read_to_string(log)?;
            if let Some(address) = address(&said) {
                let address = address.to_owned();
                return Ok(Self { process, address });
            }
            if let Some(status) = process.0.try_wait()? {
                bail!("serve ended with {status}: {}", said.trim());
            }
            ensure!(
                started.elapsed() < START,
                "serve does not listen: {}",
                said.trim()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends SIGTERM and waits for the end, which has to be in time and with status 0.
    pub(crate) fn end(mut self) -> Result<Duration> {
        self.process.terminate()?;
        self.process.ended(END)
    }
}

/// Where it listens, once stderr says so.
fn address(stderr: &str) -> Option<&str> {
    let (_, rest) = stderr.split_once("serving MCP at http://")?;
    Some(rest.split_once("/mcp\n")?.0)
}

impl Visitor {
    /// A client with this token, which has said hello if its era wants that.
    pub(crate) fn greet(address: &str, era: Era, token: Option<&str>) -> Result<Self> {
        let config = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .max_redirects(0)
            .build();
        let mut visitor = Self {
            agent: Agent::new_with_config(config),
            address: address.to_owned(),
            era,
            token: token.map(str::to_owned),
            session: None,
            last_id: AtomicU64::new(0),
            secret: None,
        };
        if era == Era::Legacy {
            visitor.begin()?;
        }
        Ok(visitor)
    }

    /// Fails at the first response that contains `secret`.
    pub(crate) fn without_secret(mut self, secret: &str) -> Self {
        self.secret = Some(secret.to_owned());
        self
    }

    /// Begins a session.
    fn begin(&mut self) -> Result<()> {
        let hello = json!({
            "protocolVersion": LEGACY,
            "capabilities": {},
            "clientInfo": { "name": "proxmox-mcp-xtask", "version": env!("CARGO_PKG_VERSION") },
        });
        let (_, message) = self.message("initialize", hello);
        let response = self.post(&message)?;
        let session = response.headers.get("mcp-session-id");
        let session = session.and_then(|session| session.to_str().ok());
        let session = session.with_context(|| format!("no session: {response:?}"))?;
        self.session = Some(session.to_owned());
        let done = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let response = self.post(&done)?;
        ensure!(response.status == 202, "{response:?}");
        Ok(())
    }

    /// All tools that the server lists, as JSON.
    pub(crate) fn tools(&self) -> Result<Vec<Value>> {
        let mut tools = Vec::new();
        let mut params = json!({});
        loop {
            let result = self
                .ask("tools/list", params)?
                .map_err(anyhow::Error::msg)?;
            let page = result.get("tools").and_then(Value::as_array);
            tools.extend(page.context("no list of tools")?.iter().cloned());
            let Some(cursor) = result.get("nextCursor") else {
                return Ok(tools);
            };
            params = json!({ "cursor": cursor });
        }
    }

    /// Calls a tool: see [`crate::mcp::Client::call`].
    pub(crate) fn call(&self, tool: &str, arguments: &Value) -> Result<Answer> {
        let params = json!({ "name": tool, "arguments": arguments });
        let result = match self.ask("tools/call", params)? {
            Ok(result) => result,
            Err(text) => return Ok(Answer::Refused(text)),
        };
        if result.get("isError") == Some(&Value::Bool(true)) {
            let text = result.pointer("/content/0/text").and_then(Value::as_str);
            let text = text.with_context(|| format!("{tool} failed without a text"))?;
            return Ok(Answer::Error(text.to_owned()));
        }
        let content = result.get("structuredContent").cloned();
        content
            .map(Answer::Content)
            .with_context(|| format!("{tool} answered without structured content"))
    }

    /// Sends a request: its result, or the text of the error that refuses it.
    pub(crate) fn ask(&self, method: &str, params: Value) -> Result<Result<Value, String>> {
        let (id, message) = self.message(method, params);
        let response = self.post(&message)?;
        response.answer(id)
    }

    /// Where the server listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The bytes of a request, on a connection that ends with it.
    pub(crate) fn bytes(&self, method: &str, params: Value) -> Vec<u8> {
        let (_, message) = self.message(method, params);
        let body = message.to_string();
        let mut head = format!(
            "POST /mcp HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n",
            self.address,
            body.len()
        );
        for (name, value) in self.headers(&message) {
            head += &format!("{name}: {value}\r\n");
        }
        format!("{head}\r\n{body}").into_bytes()
    }

    /// Sends a tool call whose answer is never read: it runs while the connection is kept.
    pub(crate) fn call_and_keep(&self, tool: &str, arguments: &Value) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(&self.address)?;
        let params = json!({ "name": tool, "arguments": arguments });
        stream.write_all(&self.bytes("tools/call", params))?;
        Ok(stream)
    }

    /// A request with its envelope, and its id.
    pub(crate) fn message(&self, method: &str, mut params: Value) -> (u64, Value) {
        if self.era == Era::Stateless
            && let Some(params) = params.as_object_mut()
        {
            let meta = json!({
                "io.modelcontextprotocol/protocolVersion": NEWEST,
                "io.modelcontextprotocol/clientInfo": { "name": "proxmox-mcp-xtask", "version": "0" },
                "io.modelcontextprotocol/clientCapabilities": {},
            });
            params.insert("_meta".to_owned(), meta);
        }
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        (id, message)
    }

    /// The headers of a message, apart from those that frame it.
    pub(crate) fn headers(&self, message: &Value) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("Content-Type", "application/json".to_owned()),
            ("Accept", "application/json, text/event-stream".to_owned()),
        ];
        let text = |pointer: &str| message.pointer(pointer).and_then(Value::as_str);
        if self.era == Era::Stateless {
            headers.push(("MCP-Protocol-Version", NEWEST.to_owned()));
            let named = [("Mcp-Method", "/method"), ("Mcp-Name", "/params/name")];
            for (name, pointer) in named {
                headers.extend(text(pointer).map(|value| (name, value.to_owned())));
            }
        }
        if let Some(session) = &self.session {
            headers.push(("MCP-Protocol-Version", LEGACY.to_owned()));
            headers.push(("Mcp-Session-Id", session.clone()));
        }
        if let Some(token) = &self.token {
            headers.push(("Authorization", format!("Bearer {token}")));
        }
        headers
    }

    /// Posts a message, and reads the whole response to it.
    fn post(&self, message: &Value) -> Result<Response> {
        let url = format!("http://{}/mcp", self.address);
        let mut response = self.agent.run(self.request(&url, message)?)?;
        let text = response.body_mut().with_config().limit(MAX_ANSWER_BYTES);
        let text = text.read_to_string()?;
        if let Some(secret) = &self.secret {
            ensure!(
                !text.contains(secret),
                "the server leaked the token's secret"
            );
        }
        Ok(Response {
            status: response.status().as_u16(),
            headers: std::mem::take(response.headers_mut()),
            body: text,
        })
    }

    fn request(&self, url: &str, message: &Value) -> Result<Request<String>> {
        let mut request = Request::builder().method("POST").uri(url);
        for (name, value) in self.headers(message) {
            request = request.header(name, value);
        }
        Ok(request.body(message.to_string())?)
    }
}

impl Response {
    /// The result of the request with this id, or the text of the error that refuses it.
    /// Fails if there is neither, or more than one answer.
    fn answer(&self, id: u64) -> Result<Result<Value, String>> {
        let mut answers = messages(&self.body)
            .with_context(|| format!("status {}", self.status))?
            .into_iter()
            .filter(|message| message.get("method").is_none());
        let answer = answers.next();
        let answer = answer.with_context(|| format!("no answer: {self:?}"))?;
        ensure!(answers.next().is_none(), "more than one answer: {self:?}");
        if let Some(result) = answer.get("result") {
            ensure!(
                self.status == 200 && answer.get("id") == Some(&json!(id)),
                "an answer to another request: {self:?}"
            );
            return Ok(Ok(result.clone()));
        }
        // A JSON-RPC error, or a refusal before anything has read the message.
        let said = ["/error/message", "/message"];
        let said = said.iter().find_map(|path| answer.pointer(path)?.as_str());
        let said = said.with_context(|| format!("no answer: {self:?}"))?;
        Ok(Err(format!("{} ({})", said, self.status)))
    }
}

/// The messages in a body: one, or those of a stream of events.
fn messages(body: &str) -> Result<Vec<Value>> {
    let parsed = |text: &str| -> Result<Value> {
        serde_json::from_str(text).with_context(|| format!("not JSON: {text:.200}"))
    };
    if body.starts_with('{') {
        return Ok(vec![parsed(body)?]);
    }
    let data = body.lines().filter_map(|line| line.strip_prefix("data:"));
    let data = data.map(str::trim).filter(|data| !data.is_empty());
    data.map(parsed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, body: &str) -> Response {
        Response {
            status,
            headers: HeaderMap::new(),
            body: body.to_owned(),
        }
    }

    #[test]
    fn an_answer_is_a_body_or_an_event() {
        let result = r#"{"jsonrpc":"2.0","id":7,"result":{"a":1}}"#;
        let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{}}"#;
        let stream = format!("id: 0\nretry: 3000\ndata:\n\ndata: {progress}\n\ndata: {result}\n\n");
        for body in [result, &stream] {
            let answer = response(200, body).answer(7).unwrap().unwrap();
            assert_eq!(answer, json!({ "a": 1 }), "{body}");
            assert!(response(200, body).answer(8).is_err(), "{body}");
        }
        let refused = r#"{"error":"unauthorized","message":"no","request_id":"1"}"#;
        let refused = response(401, refused).answer(7).unwrap();
        assert_eq!(refused, Err("no (401)".to_owned()));
        let twice = format!("{stream}data: {result}\n\n");
        for body in ["", "data: x\n\n", &twice] {
            assert!(response(200, body).answer(7).is_err(), "{body}");
        }
    }

    #[test]
    fn the_address_is_known_once_it_is_whole() {
        assert_eq!(address("serving MCP at http://127.0.0.1:80"), None);
        assert_eq!(
            address(" WARN a\nserving MCP at http://127.0.0.1:8080/mcp\n"),
            Some("127.0.0.1:8080")
        );
    }
}
