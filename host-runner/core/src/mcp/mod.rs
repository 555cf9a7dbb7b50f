//! MCP over stdio, in both protocol eras. Only this module imports rmcp.

mod backlog;
mod confirm;
mod message;
mod refusal;
mod room;
mod running;
mod stdio;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock,
    DiscoverResult, Implementation, InitializeRequestParams, InitializeResult, ListToolsResult,
    PaginatedRequestParams, ProgressNotificationParam, ProgressToken, ProtocolVersion,
    ServerCapabilities, ServerConfig, Tool as McpTool, ToolAnnotations,
};
use rmcp::service::{RequestContext, ServerInitializeError};
use rmcp::{ErrorData, Peer, RoleServer, ServerHandler, ServiceExt as _};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::backlog::Backlog;
use self::confirm::{Questions, Way};
use self::running::{Event, Progress, Running, Start};
use self::stdio::Stdio;
use crate::engine::{Plugin, Tool, ToolError, ToolResult};
use crate::offer::Catalog;
use crate::render;
use crate::timings::{self, Milestone};

/// How long calls have to end by themselves once the client is gone, or a
/// signal came.
const GRACE: Duration = Duration::from_millis(100);
/// How long the rest may take: to write what a client has not read yet.
const ENDING_TIME: Duration = Duration::from_millis(600);
/// How long a client may keep what never changes while the process lives.
const TTL_MS: u64 = 60 * 60 * 1000;

/// How long a client may wait to be greeted.
const GREETING_TIME: Duration = Duration::from_secs(10);

/// The answer to a call that the end of the server cuts short.
const ENDING: &str =
    "the server is ending: if the call was meant to change something, check whether it did";

/// The MCP server.
#[derive(Clone)]
pub(crate) struct Server(Arc<Inner>);

struct Inner {
    catalog: Arc<Catalog>,
    /// The offered tools as clients see them.
    list: OnceCell<Vec<McpTool>>,
    wait: Duration,
    questions: Questions,
    backlog: Backlog,
    /// Why no call can be made: settings that cannot be used.
    fault: Option<String>,
    /// The client is gone, or is to be.
    closing: CancellationToken,
    /// The client has got a message.
    responded: CancellationToken,
    calls: TaskTracker,
}

/// The client no longer wants an answer.
struct Cancelled;

impl Server {
    /// Follows a task for `wait` before returning with the task still running.
    /// With a `fault` the tools are listed, and every call is answered with it.
    pub(crate) fn new(catalog: Arc<Catalog>, wait: Duration, fault: Option<String>) -> Self {
        Self(Arc::new(Inner {
            catalog,
            list: OnceCell::new(),
            wait,
            questions: Questions::new(),
            backlog: Backlog::new(),
            fault,
            closing: CancellationToken::new(),
            responded: CancellationToken::new(),
            calls: TaskTracker::new(),
        }))
    }

    /// Cancelled when something was written to the client.
    pub(crate) fn responded(&self) -> CancellationToken {
        self.0.responded.clone()
    }

    /// Cancelling this ends the server, and it is cancelled when the client
    /// closes its end.
    pub(crate) fn closing(&self) -> CancellationToken {
        self.0.closing.clone()
    }

    /// Serves stdin and stdout until [`Self::closing`] is cancelled. Calls that
    /// run then get a moment to end. Tells whether a client has sent a request.
    pub(crate) async fn serve(self) -> Result<bool, String> {
        let Inner {
            closing,
            responded,
            calls,
            backlog,
            ..
        } = &*self.0;
        let ended = CancellationToken::new();
        let transport = Stdio::start(closing.clone(), responded.clone(), backlog.clone())
            .map_err(|error| format!("cannot read stdin: {error}"))?;
        let (outgoing, greeted) = (transport.outgoing(), transport.greeted());
        let served = async {
            let service = self.clone().serve_with_ct(transport, ended.clone()).await?;
            // A join error is a panic in rmcp's loop, which it has reported.
            let _ = service.waiting().await;
            Ok(())
        };
        let stopped = async {
            closing.cancelled().await;
            calls.close();
            calls.wait().await;
            ended.cancel();
            std::future::pending::<()>().await;
        };
        // A client that does not read holds nothing up.
        let overdue = async {
            closing.cancelled().await;
            tokio::time::sleep(ENDING_TIME).await;
        };
        let served = async {
            let served: Result<(), ServerInitializeError> = tokio::select! {
                served = served => served,
                () = stopped => Ok(()),
            };
            outgoing.drained().await;
            served
        };
        let served = tokio::select! {
            served = served => served,
            () = overdue => Ok(()),
        };
        match served {
            Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled)
            | Ok(()) => Ok(greeted.load(Ordering::Relaxed)),
            Err(error) => Err(format!("cannot serve this client: {error}")),
        }
    }
}

impl ServerHandler for Server {
    /// Has the instructions once they were read, as they are for `initialize`
    /// and `discover`.
    fn get_info(&self) -> ServerConfig {
        let mut instructions = self.0.catalog.instructions();
        if let Some(fault) = &self.0.fault {
            let text = format!(
                "{instructions}\nNo call works at the moment: {}.",
                blame(fault)
            );
            instructions = text.trim_start().to_owned();
        }
        let implementation =
            Implementation::new("proxmox-mcp", env!("CARGO_PKG_VERSION")).with_title("Proxmox VE");
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(implementation)
            .with_instructions(instructions)
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        context.peer.set_peer_info(request.clone());
        self.0.read_instructions().await;
        self.negotiate_initialize(&request)
    }

    async fn discover(&self, _: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        self.0.read_instructions().await;
        let versions = self.supported_protocol_versions().into_owned();
        Ok(DiscoverResult::from_server_info(versions, self.get_info())
            .with_ttl_ms(TTL_MS)
            .with_cache_scope(CacheScope::Public))
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let _running = self.0.calls.token();
        let listed = tokio::select! {
            listed = self.0.listed() => listed,
            () = self.0.closed() => return Err(ErrorData::internal_error(ENDING, None)),
        };
        self.0.prepare();
        timings::reached(Milestone::ToolList);
        let list = ListToolsResult::with_all_items(listed.map_err(internal)?);
        if context.protocol_version() < Some(ProtocolVersion::V_2026_07_28) {
            return Ok(list);
        }
        Ok(list
            .with_ttl_ms(TTL_MS)
            .with_cache_scope(CacheScope::Public))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let _running = self.0.calls.token();
        tokio::select! {
            answer = self.0.answer(request, &context) => answer,
            () = self.0.closed() => Ok(to_error(&ToolError::Internal(ENDING.to_owned())).into()),
        }
    }
}

impl Inner {
    async fn plugin(&self) -> Result<Arc<Plugin>, ToolError> {
        let plugin = self.catalog.plugin().await;
        plugin.map_err(|error| ToolError::Internal(error.to_string()))
    }

    /// Waits for the component's instructions, unless it takes long to compile:
    /// clients give a server some seconds for the greeting.
    async fn read_instructions(&self) {
        let read = self.catalog.read_instructions();
        let _ = tokio::time::timeout(GREETING_TIME, read).await;
    }

    /// The tools to list: those that can be called, else those that could be
    /// if the policy fitted the component.
    async fn listed(&self) -> Result<Vec<McpTool>, ToolError> {
        let convert = |tools: &[Tool]| tools.iter().map(to_mcp).collect::<Result<Vec<_>, _>>();
        match self.catalog.offer().await {
            Ok(offer) => {
                let convert = async || convert(offer.tools());
                self.list.get_or_try_init(convert).await.cloned()
            }
            Err(_) => convert(&self.catalog.without_choice().await),
        }
    }

    async fn answer(
        &self,
        request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if let Some(fault) = &self.fault {
            return Ok(faulty(fault).into());
        }
        self.backlog.room().await;
        let offer = match self.catalog.offer().await {
            Ok(offer) => offer,
            Err(error) => return Ok(faulty(&error.to_string()).into()),
        };
        let tool = offer
            .find(&request.name)
            .map_err(|error| ErrorData::invalid_params(error.to_string(), None))?;
        let arguments = match &request.arguments {
            Some(arguments) => serde_json::to_string(arguments),
            None => Ok("{}".to_owned()),
        };
        let arguments =
            arguments.map_err(|error| ErrorData::invalid_params(error.to_string(), None))?;
        let way = self.questions.way(context);
        let mut call = match self.questions.resume(&request) {
            Some(resumed) => {
                resumed.question.answer(resumed.agreed);
                resumed.call
            }
            None => match self.start(tool, arguments, way.is_some(), context).await {
                Ok(call) => call,
                Err(error) => return Ok(to_error(&error).into()),
            },
        };
        let mut client = Client::new(context);
        loop {
            let event = tokio::select! {
                event = call.next() => event,
                () = context.ct.cancelled() => return Err(Cancelled.into()),
            };
            match (event, way) {
                (Event::Progress(now), _) => client.progress(now).await,
                (Event::Ended(answer), _) => {
                    timings::reached(Milestone::FirstCall);
                    let answer = answer.and_then(to_result);
                    return Ok(answer.unwrap_or_else(|error| to_error(&error)).into());
                }
                (Event::Question(mut question), Some(Way::Request)) => {
                    let change = question.change.clone();
                    let agreed = tokio::select! {
                        agreed = self.questions.ask(&tool.name, &change, context) => agreed,
                        () = question.expired() => continue,
                        () = context.ct.cancelled() => return Err(Cancelled.into()),
                    };
                    question.answer(agreed);
                }
                (Event::Question(question), _) => {
                    return Ok(match self.questions.park(&request, question, call) {
                        Some(asks) => asks.into(),
                        None => to_error(&refusal::unasked()).into(),
                    });
                }
            }
        }
    }

    async fn start(
        &self,
        tool: &Tool,
        arguments: String,
        can_ask: bool,
        context: &RequestContext<RoleServer>,
    ) -> Result<Running, ToolError> {
        let plugin = self.plugin().await?;
        let client = client_of(context);
        let client = client.as_ref();
        let start = Start {
            plugin: &plugin,
            tool,
            client_name: client.map(|client| client.name.as_str()),
            client_version: client.map(|client| client.version.as_str()),
            wait: self.wait,
            closing: self.closing.clone(),
        };
        Ok(Running::start(start, arguments, can_ask))
    }

    /// Makes ready for the first request to Proxmox, which most clients cause
    /// soon after they have seen the tools.
    fn prepare(&self) {
        if self.fault.is_some() {
            return;
        }
        let catalog = Arc::clone(&self.catalog);
        tokio::spawn(async move { catalog.prepare().await });
    }

    /// The time to end by oneself is over.
    async fn closed(&self) {
        self.closing.cancelled().await;
        tokio::time::sleep(GRACE).await;
    }
}

/// Sends the progress of a task to the client, if it asked for that.
struct Client<'a> {
    peer: &'a Peer<RoleServer>,
    token: Option<ProgressToken>,
    meter: Meter,
}

/// Turns a progress that may repeat a value into one that always increases.
#[derive(Default)]
struct Meter {
    last: f64,
}

impl<'a> Client<'a> {
    fn new(context: &'a RequestContext<RoleServer>) -> Self {
        Self {
            peer: &context.peer,
            token: context.meta.get_progress_token(),
            meter: Meter::default(),
        }
    }

    async fn progress(&mut self, now: Progress) {
        let Some(token) = &self.token else {
            return;
        };
        let percent = self.meter.advance(now.fraction);
        let mut progress =
            ProgressNotificationParam::new(token.clone(), percent).with_message(now.message);
        if now.fraction.is_some() {
            progress = progress.with_total(100.0);
        }
        // A client that is gone hears nothing.
        let _ = self.peer.notify_progress(progress).await;
    }
}

impl Meter {
    /// In percent, and always more than before, but never all of it: that is
    /// for the answer to say.
    fn advance(&mut self, fraction: Option<f32>) -> f64 {
        let percent = f64::from(fraction.unwrap_or_default().clamp(0.0, 1.0)) * 100.0;
        // A hundredth of what is left can be added for ever.
        let least = self.last + (100.0 - self.last) / 100.0;
        self.last = if percent.is_finite() && percent < 100.0 {
            percent.max(least)
        } else {
            least
        };
        self.last
    }
}

/// Who the client says that it is.
fn client_of(context: &RequestContext<RoleServer>) -> Option<Implementation> {
    let of_session = || Some(context.peer.peer_info()?.client_info.clone());
    context.meta.client_info().or_else(of_session)
}

fn to_result(result: ToolResult) -> Result<CallToolResult, ToolError> {
    let structured = render::structured(&result)?;
    // The text is the component's own: making it anew would take longer.
    let mut answer = CallToolResult::success(vec![ContentBlock::text(result.structured)]);
    answer.structured_content = Some(structured);
    Ok(answer)
}

fn to_mcp(tool: &Tool) -> Result<McpTool, ToolError> {
    let annotations = &tool.annotations;
    let input = render::schema(tool, &tool.input_schema)?;
    let output = render::schema(tool, &tool.output_schema)?;
    let name = Cow::Owned(tool.name.clone());
    let description = Some(Cow::Owned(tool.description.clone()));
    Ok(McpTool::new_with_raw(name, description, input)
        .with_title(tool.title.clone())
        .with_raw_output_schema(Arc::new(output))
        .with_annotations(
            ToolAnnotations::new()
                .read_only(annotations.read_only)
                .destructive(annotations.destructive)
                .idempotent(annotations.idempotent)
                .open_world(annotations.open_world),
        ))
}

/// The answer to every call while the settings cannot be used.
fn faulty(fault: &str) -> CallToolResult {
    let text = blame(fault);
    CallToolResult::error(vec![ContentBlock::text(text)])
}

/// What is wrong, and who can do what about it.
fn blame(fault: &str) -> String {
    format!(
        "this server was started with an invalid configuration, so nothing was sent to Proxmox \
         VE: {fault}. Ask the operator to correct it in the MCP client's configuration and to \
         restart the server; repeating the call does not help"
    )
}

fn to_error(error: &ToolError) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(render::error_text(error))])
}

impl From<Cancelled> for ErrorData {
    /// The client does not see this.
    fn from(Cancelled: Cancelled) -> Self {
        Self::internal_error("cancelled", None)
    }
}

fn internal(error: ToolError) -> ErrorData {
    ErrorData::internal_error(render::error_text(&error), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_only_ever_increases() {
        let mut meter = Meter::default();
        let mut last = 0.0;
        let reports = [
            None,
            Some(0.4),
            Some(0.4),
            Some(0.1),
            None,
            Some(0.9),
            Some(1.0),
        ];
        let stuck = std::iter::repeat_n(Some(0.95), 300);
        for fraction in reports.into_iter().chain(stuck).chain([Some(f32::NAN)]) {
            let now = meter.advance(fraction);
            assert!(now > last && now < 100.0, "{now} after {last}");
            last = now;
        }
    }
}
