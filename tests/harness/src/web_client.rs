//! An MCP client over HTTP, which shows each status, header and message.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::client::Era;
use crate::events::{Head, Stream};
use crate::transcript;

/// A client of one server, with one token.
pub struct WebClient {
    address: String,
    era: Era,
    token: Option<String>,
    /// The session, in the older era.
    pub session: Option<String>,
    /// What the client says that it can do.
    pub capabilities: Value,
    last_id: AtomicU64,
}

/// What a request was answered.
#[derive(Debug)]
pub struct Answered {
    /// The status and the headers.
    pub head: Head,
    /// The response; null for one without a body.
    pub response: Value,
    /// What came before it.
    pub before: Vec<Value>,
}

impl WebClient {
    pub(crate) fn new(address: String, era: Era, token: Option<&str>) -> Self {
        Self {
            address,
            era,
            token: token.map(str::to_owned),
            session: None,
            capabilities: json!({}),
            last_id: AtomicU64::new(0),
        }
    }

    /// Says hello: what the server says of itself.
    pub async fn begin(&mut self) -> anyhow::Result<Value> {
        let (method, params) = match self.era {
            Era::Legacy => (
                "initialize",
                json!({
                    "protocolVersion": "2025-11-25",
                    "capabilities": self.capabilities,
                    "clientInfo": { "name": "web-tests", "version": "0" },
                }),
            ),
            Era::Stateless => ("server/discover", json!({})),
        };
        let answered = self.ask(method, params).await?;
        ensure!(answered.head.status == 200, "{answered:?}");
        if self.era == Era::Legacy {
            let session = answered.head.header("mcp-session-id");
            self.session = Some(session.context("no session")?.to_owned());
            let hello = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
            let head = self.post(&hello).await?.head;
            ensure!(head.status == 202, "{head:?}");
        }
        let result = answered.response.get("result").cloned();
        result.with_context(|| format!("{:?}", answered.response))
    }

    /// Sends a request, and reads to its response.
    pub async fn ask(&self, method: &str, params: Value) -> anyhow::Result<Answered> {
        self.post(&self.message(method, params)).await
    }

    /// Sends a request that has to succeed: its result.
    pub async fn result(&self, method: &str, params: Value) -> anyhow::Result<Value> {
        let answered = self.ask(method, params).await?;
        let result = answered.response.get("result").cloned();
        result.with_context(|| format!("{method}: {answered:?}"))
    }

    /// Calls a tool, which has to succeed: its structured content.
    pub async fn call(&self, tool: &str, arguments: Value) -> anyhow::Result<Value> {
        let params = json!({ "name": tool, "arguments": arguments });
        let result = self.result("tools/call", params).await?;
        let structured = result.get("structuredContent").cloned();
        structured.with_context(|| format!("{tool}: {result}"))
    }

    /// Sends a request, and opens the stream that is its response.
    pub async fn open(&self, method: &str, params: Value) -> anyhow::Result<Stream> {
        self.stream("POST", &self.message(method, params).to_string())
            .await
    }

    /// Sends a message, and opens the stream that is the response to it.
    pub async fn open_message(&self, message: &Value) -> anyhow::Result<Stream> {
        self.stream("POST", &message.to_string()).await
    }

    /// The stream of what belongs to no request, in the older era.
    pub async fn listen(&self) -> anyhow::Result<Stream> {
        self.stream("GET", "").await
    }

    /// Ends the session: the status of the response.
    pub async fn end(&self) -> anyhow::Result<u16> {
        Ok(self.stream("DELETE", "").await?.head.status)
    }

    /// Sends a message, and reads the response to it.
    pub async fn post(&self, message: &Value) -> anyhow::Result<Answered> {
        let mut stream = self.stream("POST", &message.to_string()).await?;
        let head = stream.head.clone();
        let is_stream = head
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/event-stream"));
        if is_stream {
            let id = message.get("id").cloned();
            let fits = |message: &Value| {
                message.get("id").cloned() == id && message.get("method").is_none()
            };
            let (response, before) = stream.until(fits).await?;
            return Ok(Answered {
                head,
                response,
                before,
            });
        }
        let text = stream.text().await?;
        let response = match text.is_empty() {
            true => Value::Null,
            false => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        };
        Ok(Answered {
            head,
            response,
            before: Vec::new(),
        })
    }

    /// A request with its envelope, and an id that was not used before.
    pub fn message(&self, method: &str, mut params: Value) -> Value {
        transcript::passwords_in(&params);
        if self.era == Era::Stateless
            && let Some(params) = params.as_object_mut()
        {
            let meta = params.entry("_meta").or_insert_with(|| json!({}));
            if let Some(meta) = meta.as_object_mut() {
                for (key, value) in [
                    ("protocolVersion", json!("2026-07-28")),
                    ("clientInfo", json!({ "name": "web-tests", "version": "0" })),
                    ("clientCapabilities", self.capabilities.clone()),
                ] {
                    meta.insert(format!("io.modelcontextprotocol/{key}"), value);
                }
            }
        }
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
    }

    async fn stream(&self, method: &str, body: &str) -> anyhow::Result<Stream> {
        let mut head = format!(
            "{method} /mcp HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: \
             application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: \
             {}\r\n",
            self.address,
            body.len()
        );
        let message: Value = serde_json::from_str(body).unwrap_or_default();
        let of_message = |path: &str| message.pointer(path).and_then(Value::as_str);
        match self.era {
            Era::Legacy if self.session.is_none() => {}
            Era::Legacy => head += "MCP-Protocol-Version: 2025-11-25\r\n",
            Era::Stateless => {
                head += "MCP-Protocol-Version: 2026-07-28\r\n";
                if let Some(method) = of_message("/method") {
                    head += &format!("Mcp-Method: {method}\r\n");
                }
                let name = of_message("/params/name").or_else(|| of_message("/params/uri"));
                if let Some(name) = name {
                    head += &format!("Mcp-Name: {name}\r\n");
                }
            }
        }
        if let Some(session) = &self.session {
            head += &format!("Mcp-Session-Id: {session}\r\n");
        }
        if let Some(token) = &self.token {
            head += &format!("Authorization: Bearer {token}\r\n");
        }
        let mut stream = TcpStream::connect(&self.address).await?;
        stream
            .write_all(format!("{head}\r\n{body}").as_bytes())
            .await?;
        let mut reader = BufReader::new(stream);
        let head = Head::read(&mut reader).await?;
        Ok(match head.header("content-length") {
            None => Stream::new(head, Box::new(reader)),
            Some(_) => Stream::whole(head, reader).await?,
        })
    }
}
