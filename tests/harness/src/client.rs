//! An MCP client (rmcp) in front of host-runner.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail, ensure};
use jsonschema::Validator;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResult, ClientConfig, ClientRequest,
    ElicitRequestParams, ElicitResult, ElicitationAction, ElicitationCapability, ErrorData,
    ProgressNotificationParam, ProtocolVersion, ResourceUpdatedNotificationParam,
};
use rmcp::service::{
    NotificationContext, PeerRequestOptions, RequestContext, RequestHandle, RunningService,
    ServiceError,
};
use rmcp::{ClientHandler, ClientLifecycleMode, ClientServiceExt as _, RoleClient};
use serde_json::{Value, json};
use tokio::process::Child;

use crate::patience::PATIENCE;
use crate::process::{Output, Started};
use crate::transcript;
use crate::values::is_json_rpc;
use crate::watch::Watch;

/// Which of the two protocol eras a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// `initialize`, as up to revision 2025-11-25.
    Legacy,
    /// `server/discover` and requests without a session, as from 2026-07-28.
    Stateless,
}

/// One progress notification: how far it is, and its message.
pub type Progress = (f64, Option<String>);

/// How a call ended.
#[derive(Debug)]
pub enum Answer {
    /// Well.
    Success {
        /// The structured content.
        structured: Value,
        /// All of the text.
        text: String,
    },
    /// As an error of the tool, with this text.
    Error(String),
    /// As a JSON-RPC error.
    Protocol(ErrorData),
}

/// An MCP client and the host-runner that it started.
pub struct Client {
    pub(crate) service: RunningService<RoleClient, Handler>,
    pub(crate) era: Era,
    tools: Vec<Value>,
    outputs: HashMap<String, Validator>,
    child: Child,
    watch: Watch,
}

/// What the user in front of a client says to every question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// The client cannot ask.
    Absent,
    /// Yes.
    Agrees,
    /// No.
    Declines,
}

#[derive(Clone)]
pub(crate) struct Handler {
    progress: Arc<Mutex<Vec<Progress>>>,
    /// What has changed: the URIs of resources, or `list`.
    pub(crate) updates: Arc<Mutex<Vec<String>>>,
    user: User,
    questions: Arc<Mutex<Vec<String>>>,
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let mut info = ClientConfig::default();
        if self.user != User::Absent {
            info.capabilities.elicitation = Some(ElicitationCapability::default());
        }
        info
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        if let ElicitRequestParams::FormElicitationParams { message, .. } = request {
            self.questions
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(message);
        }
        Ok(match self.user {
            User::Agrees => ElicitResult::new(ElicitationAction::Accept)
                .with_content(Value::Object(serde_json::Map::new())),
            User::Declines | User::Absent => ElicitResult::new(ElicitationAction::Decline),
        })
    }

    async fn on_resource_updated(
        &self,
        params: ResourceUpdatedNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        self.note(params.uri);
    }

    async fn on_resource_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.note("list".to_owned());
    }

    async fn on_progress(
        &self,
        params: ProgressNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        self.progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((params.progress, params.message));
    }
}

impl Handler {
    /// Notes what has changed.
    pub(crate) fn note(&self, update: String) {
        let updates = self.updates.lock();
        updates.unwrap_or_else(PoisonError::into_inner).push(update);
    }
}

impl Client {
    pub(crate) async fn connect(started: Started, era: Era, user: User) -> anyhow::Result<Self> {
        let Started { mut child, watch } = started;
        let stdin = child.stdin.take().context("no stdin")?;
        let stdout = watch.stdout(child.stdout.take().context("no stdout")?);
        let mode = match era {
            Era::Legacy => ClientLifecycleMode::Initialize,
            Era::Stateless => ClientLifecycleMode::Discover {
                preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            },
        };
        let handler = Handler {
            progress: Arc::default(),
            updates: Arc::default(),
            user,
            questions: Arc::default(),
        };
        let connect = handler.serve_with_lifecycle((stdout, stdin), mode);
        let service = patient(connect).await??;
        let mut client = Self {
            service,
            era,
            tools: Vec::new(),
            outputs: HashMap::new(),
            child,
            watch,
        };
        client.read_tools().await?;
        Ok(client)
    }

    /// The tools, as `tools/list` answered them.
    pub fn tools(&self) -> &[Value] {
        &self.tools
    }

    /// What the server said of itself.
    pub fn server_info(&self) -> anyhow::Result<Value> {
        let info = self.service.peer_info().context("no server info")?;
        Ok(serde_json::to_value(&*info)?)
    }

    /// A call that has to succeed: its structured content.
    pub async fn call(&self, tool: &str, arguments: Value) -> anyhow::Result<Value> {
        let result = self.request(tool, arguments).await??;
        self.success(tool, &result)
    }

    /// The text that a successful call gives to people.
    pub async fn text(&self, tool: &str, arguments: Value) -> anyhow::Result<String> {
        let result = self.request(tool, arguments).await??;
        self.success(tool, &result)?;
        text_of(&result)
    }

    /// The volid of the first volume of this content that a node has.
    pub async fn first_volume(&self, node: &str, content: &str) -> anyhow::Result<String> {
        let arguments = json!({ "node": node, "content": content });
        let list = self.call("list_storage_content", arguments).await?;
        let volid = list.pointer("/volumes/0/volid").and_then(Value::as_str);
        Ok(volid
            .with_context(|| format!("no {content} on {node}"))?
            .to_owned())
    }

    /// A call that has to fail as a tool: the text of the error.
    pub async fn error(&self, tool: &str, arguments: Value) -> anyhow::Result<String> {
        let result = self.request(tool, arguments).await??;
        ensure!(
            result.is_error == Some(true),
            "{tool} succeeded: {}",
            serde_json::to_string(&result)?
        );
        ensure!(
            result.structured_content.is_none(),
            "{tool} failed with structured content"
        );
        let text = text_of(&result)?;
        ensure!(!text.trim().is_empty(), "{tool} failed without a word");
        Ok(text)
    }

    /// A call that has to fail by the protocol: the JSON-RPC error.
    pub async fn protocol_error(&self, tool: &str, arguments: Value) -> anyhow::Result<ErrorData> {
        match self.request(tool, arguments).await? {
            Err(ServiceError::McpError(error)) => Ok(error),
            Err(other) => bail!("{tool}: {other}"),
            Ok(result) => bail!("{tool} answered {}", serde_json::to_string(&result)?),
        }
    }

    /// A call that may end in any way. Fails where a success breaks its output
    /// schema or an error carries structured content.
    pub async fn answer(&self, tool: &str, arguments: Value) -> anyhow::Result<Answer> {
        let result = match self.request(tool, arguments).await? {
            Ok(result) => result,
            Err(ServiceError::McpError(error)) => return Ok(Answer::Protocol(error)),
            Err(other) => bail!("{tool}: {other}"),
        };
        let text = text_of(&result)?;
        if result.is_error != Some(true) {
            let structured = self.success(tool, &result)?;
            return Ok(Answer::Success { structured, text });
        }
        ensure!(
            result.structured_content.is_none(),
            "{tool} failed with structured content"
        );
        ensure!(!text.trim().is_empty(), "{tool} failed without a word");
        Ok(Answer::Error(text))
    }

    /// A call whose answer is checked by the test alone.
    pub async fn request(
        &self,
        tool: &str,
        arguments: Value,
    ) -> anyhow::Result<Result<CallToolResult, ServiceError>> {
        let call = self.service.call_tool(params(tool, arguments)?);
        patient(call).await
    }

    /// Starts a call, which can then be cancelled.
    pub async fn start(
        &self,
        tool: &str,
        arguments: Value,
    ) -> anyhow::Result<RequestHandle<RoleClient>> {
        let request = CallToolRequest::new(params(tool, arguments)?);
        let request = ClientRequest::CallToolRequest(request);
        Ok(self
            .service
            .send_cancellable_request(request, PeerRequestOptions::no_options())
            .await?)
    }

    /// All progress notifications so far.
    pub fn progress(&self) -> Vec<Progress> {
        self.service
            .service()
            .progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What the user was asked so far.
    pub fn questions(&self) -> Vec<String> {
        self.service
            .service()
            .questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What host-runner has written to stderr so far.
    pub fn stderr(&self) -> anyhow::Result<String> {
        self.watch.stderr_text()
    }

    /// host-runner's process id, while it runs.
    pub fn process_id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Hangs up and waits until host-runner has exited.
    pub async fn finish(self) -> anyhow::Result<Output> {
        let Self {
            service,
            mut child,
            watch,
            ..
        } = self;
        patient(service.cancel()).await??;
        let status = patient(child.wait()).await??;
        let stdout = watch.stdout_text();
        for line in stdout.lines() {
            let message: Value = serde_json::from_str(line)
                .with_context(|| format!("stdout holds more than JSON-RPC: {line:?}"))?;
            ensure!(is_json_rpc(&message), "no JSON-RPC: {line:?}");
        }
        Ok(Output {
            status: status.code(),
            stdout,
            stderr: watch.stderr_text()?,
        })
    }

    async fn read_tools(&mut self) -> anyhow::Result<()> {
        for tool in patient(self.service.list_all_tools()).await?? {
            let tool = serde_json::to_value(&tool)?;
            let name = tool
                .get("name")
                .and_then(Value::as_str)
                .context("a tool without a name")?;
            if let Some(schema) = tool.get("outputSchema") {
                let validator = jsonschema::validator_for(schema)
                    .with_context(|| format!("the output schema of {name}"))?;
                self.outputs.insert(name.to_owned(), validator);
            }
            self.tools.push(tool);
        }
        Ok(())
    }

    fn success(&self, tool: &str, result: &CallToolResult) -> anyhow::Result<Value> {
        ensure!(
            result.is_error != Some(true),
            "{tool} failed: {}",
            text_of(result)?
        );
        let structured = result
            .structured_content
            .clone()
            .with_context(|| format!("{tool} gave no structured content"))?;
        let validator = self
            .outputs
            .get(tool)
            .with_context(|| format!("{tool} declares no output schema"))?;
        let problems: Vec<String> = validator
            .iter_errors(&structured)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        ensure!(
            problems.is_empty(),
            "{tool} broke its output schema: {problems:?} in {structured:#}"
        );
        let as_text = serde_json::to_value(&result.content)?
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|block| block.get("text")?.as_str())
            .any(|text| serde_json::from_str::<Value>(text).is_ok_and(|json| json == structured));
        ensure!(
            as_text,
            "{tool} does not send its JSON as text too, for clients without structured content"
        );
        Ok(structured)
    }
}

fn params(tool: &str, arguments: Value) -> anyhow::Result<CallToolRequestParams> {
    transcript::passwords_in(&arguments);
    let params = CallToolRequestParams::new(tool.to_owned());
    Ok(match arguments {
        Value::Null => params,
        Value::Object(arguments) => params.with_arguments(arguments),
        other => bail!("a client sends an object as arguments, not {other}"),
    })
}

fn text_of(result: &CallToolResult) -> anyhow::Result<String> {
    let content = serde_json::to_value(&result.content)?;
    let texts: Vec<&str> = content
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|block| block.get("text")?.as_str())
        .collect();
    Ok(texts.join("\n"))
}

/// Waits, but not for ever.
pub(crate) async fn patient<T>(future: impl Future<Output = T>) -> anyhow::Result<T> {
    tokio::time::timeout(PATIENCE, future)
        .await
        .context("host-runner does not answer")
}
