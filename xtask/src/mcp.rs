//! MCP sessions over stdio with a server that a command starts: rmcp's client,
//! for code that blocks.

use std::collections::HashSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, ClientConfig, ClientRequest,
    ExtensionCapabilities, JsonObject, ProgressNotificationParam, ReadResourceRequestParams,
};
use rmcp::service::{NotificationContext, PeerRequestOptions, RunningService, ServiceError};
use rmcp::{ClientHandler, ClientLifecycleMode, ClientServiceExt as _, RoleClient};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::process::Process;

/// An unanswered call fails after this long. A call may wait for its turn, and
/// then for requests that Proxmox never answers; host-runner gives up on each of
/// those after 35 s.
const PATIENCE: Duration = Duration::from_secs(300);

/// A server that still runs this long after it was told to end is a fault.
const END: Duration = Duration::from_secs(20);

/// A server process before the handshake. Dropping it kills the process.
pub(crate) struct Server {
    process: Process,
    secret: Option<String>,
    on_progress: fn(&str),
    extensions: ExtensionCapabilities,
}

/// A session in the revisions up to 2025-11-25, which begin with `initialize`.
/// Any number of threads may call at once. Dropping it kills the server.
pub(crate) struct Client {
    process: Process,
    service: RunningService<RoleClient, Handler>,
    reader: JoinHandle<Result<()>>,
    runtime: Runtime,
}

/// How a server answers a tool call.
pub(crate) enum Answer {
    /// With the structured content of a result.
    Content(Value),
    /// With the text of a tool's error, which the model reads.
    Error(String),
    /// With a JSON-RPC error: the tool was not called.
    Refused(String),
}

impl Server {
    /// Starts the process. Its stderr is the caller's to set.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Self {
            process: Process(child),
            secret: None,
            on_progress: |_| (),
            extensions: ExtensionCapabilities::new(),
        })
    }

    /// Breaks the session off at the first message that contains `secret`.
    pub(crate) fn without_secret(mut self, secret: &str) -> Self {
        self.secret = Some(secret.to_owned());
        self
    }

    /// Has the messages of progress notifications handled.
    pub(crate) fn on_progress(mut self, handle: fn(&str)) -> Self {
        self.on_progress = handle;
        self
    }

    /// Declares that the client has an extension.
    pub(crate) fn with_extension(mut self, name: &str, settings: JsonObject) -> Self {
        self.extensions.insert(name.to_owned(), settings);
        self
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Performs the handshake.
    pub(crate) fn connect(self) -> Result<Client> {
        let Self {
            mut process,
            secret,
            on_progress,
            extensions,
        } = self;
        let handler = Handler {
            on_progress,
            extensions,
        };
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let context = runtime.enter();
        let stdin = process.0.stdin.take().context("no pipe to the server")?;
        let stdin = ChildStdin::from_std(stdin)?;
        let stdout = process.0.stdout.take().context("no pipe from the server")?;
        let stdout = ChildStdout::from_std(stdout)?;
        drop(context);
        let (relayed, client_end) = tokio::io::duplex(64 * 1024);
        let reader = runtime.spawn(relay(stdout, relayed, secret));
        let service = runtime
            .block_on(
                handler.serve_with_lifecycle((client_end, stdin), ClientLifecycleMode::Initialize),
            )
            .context("the handshake failed; the server's own words are above")?;
        Ok(Client {
            process,
            service,
            reader,
            runtime,
        })
    }
}

impl Client {
    /// Starts a server and performs the handshake.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        Server::start(command)?.connect()
    }

    /// The name and version of the server, and the revision that it speaks.
    pub(crate) fn server(&self) -> Result<(String, String, String)> {
        let info = self.service.peer_info().context("no handshake")?;
        let server = info
            .server_info
            .clone()
            .context("a server without a name")?;
        Ok((
            server.name,
            server.version,
            info.protocol_version.to_string(),
        ))
    }

    /// All tools that the server lists, as JSON.
    pub(crate) fn tools(&self) -> Result<Vec<Value>> {
        let tools = self.runtime.block_on(self.service.list_all_tools())?;
        let tools = tools.iter().map(serde_json::to_value);
        tools.collect::<Result<_, _>>().map_err(Into::into)
    }

    /// The contents of a resource, as JSON.
    pub(crate) fn read(&self, uri: &str) -> Result<Value> {
        let read = ReadResourceRequestParams::new(uri);
        let read = self.runtime.block_on(self.service.read_resource(read))?;
        Ok(serde_json::to_value(read)?)
    }

    /// Calls a tool. Fails if the answer takes longer than [`PATIENCE`] or is not
    /// one that host-runner may give.
    pub(crate) fn call(&self, tool: &str, arguments: &Value) -> Result<Answer> {
        let result = match self.call_any(tool, arguments)? {
            Ok(result) => result,
            Err(text) => return Ok(Answer::Refused(text)),
        };
        if result.is_error == Some(true) {
            let text = text(&result).with_context(|| format!("{tool} failed without a text"))?;
            return Ok(Answer::Error(text.to_owned()));
        }
        let content = result.structured_content;
        content
            .map(Answer::Content)
            .with_context(|| format!("{tool} answered without structured content"))
    }

    /// Fails unless the server has tools and finds guests. Returns how many tools it has.
    pub(crate) fn finds_guests(&self) -> Result<usize> {
        let tools = self.tools()?.len();
        ensure!(tools > 0, "tools/list is empty");
        let answer = self.call("list_guests", &json!({}))?;
        let content = answer.content().context("list_guests failed")?;
        let guests = content.pointer("/guests").and_then(Value::as_array);
        ensure!(
            guests.is_some_and(|guests| !guests.is_empty()),
            "list_guests found no guest: {content}"
        );
        Ok(tools)
    }

    /// Calls a tool of a server that may answer in a form of its own. Returns its
    /// result, or the text of the JSON-RPC error.
    pub(crate) fn call_any(
        &self,
        tool: &str,
        arguments: &Value,
    ) -> Result<Result<CallToolResult, String>> {
        let call = self.service.call_tool(params(tool, arguments)?);
        let answer = self
            .runtime
            .block_on(async { tokio::time::timeout(PATIENCE, call).await });
        match answer {
            Ok(Ok(result)) => Ok(Ok(result)),
            Ok(Err(ServiceError::McpError(error))) => Ok(Err(error.message.into_owned())),
            Ok(Err(error)) => Err(error).with_context(|| format!("{tool} {arguments}")),
            Err(_) => bail!(
                "{tool} {arguments} got no answer within {} s",
                PATIENCE.as_secs()
            ),
        }
    }

    /// Sends a tool call whose answer is never read.
    pub(crate) fn call_and_forget(&self, tool: &str, arguments: &Value) -> Result<()> {
        let request = CallToolRequest::new(params(tool, arguments)?);
        self.runtime
            .block_on(self.service.send_cancellable_request(
                ClientRequest::CallToolRequest(request),
                PeerRequestOptions::no_options(),
            ))?;
        Ok(())
    }

    /// The server's process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Closes the server's stdin, as a client does that ends, and waits for the
    /// end of the process: see [`ended`](Self::ended).
    pub(crate) fn close(mut self) -> Result<Duration> {
        self.runtime.block_on(self.service.close())?;
        self.ended()
    }

    /// Sends SIGTERM, and waits for the end of the process: see [`ended`](Self::ended).
    pub(crate) fn terminate(self) -> Result<Duration> {
        self.process.terminate()?;
        self.ended()
    }

    /// Waits for the end of a process that was told to end.
    /// Returns how long that took. Fails if it takes too long, or at an exit
    /// status other than 0.
    fn ended(mut self) -> Result<Duration> {
        let took = self.process.ended(END)?;
        self.runtime
            .block_on(self.reader)
            .context("the reader of the server's messages failed")??;
        Ok(took)
    }
}

impl Answer {
    /// The structured content. Fails with the text of any error.
    pub(crate) fn content(self) -> Result<Value> {
        match self {
            Self::Content(content) => Ok(content),
            Self::Error(text) | Self::Refused(text) => bail!(text),
        }
    }
}

/// The first block of text in a result.
pub(crate) fn text(result: &CallToolResult) -> Option<&str> {
    let text = result.content.iter().find_map(|block| block.as_text())?;
    Some(&text.text)
}

fn params(tool: &str, arguments: &Value) -> Result<CallToolRequestParams> {
    let arguments = arguments.as_object().cloned();
    let arguments = arguments.context("arguments have to be an object")?;
    Ok(CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments))
}

/// What the client does when the server speaks first.
struct Handler {
    on_progress: fn(&str),
    extensions: ExtensionCapabilities,
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let mut config = ClientConfig::default();
        config.client_info.name = "proxmox-mcp-xtask".to_owned();
        config.client_info.version = env!("CARGO_PKG_VERSION").to_owned();
        if !self.extensions.is_empty() {
            config.capabilities.extensions = Some(self.extensions.clone());
        }
        config
    }

    async fn on_progress(
        &self,
        params: ProgressNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        if let Some(message) = params.message {
            (self.on_progress)(&message);
        }
    }
}

/// Passes the server's messages on to the client, which ignores much that is
/// wrong with them: fails at a line that is not JSON or contains the secret, and
/// at a second answer to the same request.
async fn relay(
    stdout: ChildStdout,
    mut client: DuplexStream,
    secret: Option<String>,
) -> Result<()> {
    let mut answered = HashSet::new();
    let mut lines = BufReader::new(stdout).lines();
    while let Some(mut line) = lines.next_line().await? {
        if let Some(secret) = &secret {
            ensure!(
                !line.contains(secret),
                "the server leaked the token's secret"
            );
        }
        let message: Value = serde_json::from_str(&line)
            .with_context(|| format!("the server sent something that is not JSON: {line}"))?;
        let id = message
            .get("id")
            .filter(|_| message.get("method").is_none());
        if let Some(id) = id {
            ensure!(
                answered.insert(id.to_string()),
                "the server answered a request twice: {line}"
            );
        }
        line.push('\n');
        // A client that has closed the session reads no more; the server must
        // not block for that.
        let _ = client.write_all(line.as_bytes()).await;
    }
    Ok(())
}
