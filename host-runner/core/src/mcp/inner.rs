//! What all requests to the server share, and what it knows of itself.

use std::sync::{Arc, Once};
use std::time::Duration;

use rmcp::model::{
    ExtensionCapabilities, JsonObject, PromptsCapability, ResourcesCapability, ServerCapabilities,
    TASKS_EXTENSION_ID, Tool as McpTool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::backlog::Backlog;
use super::common::Common;
use super::confirm::Questions;
use super::listeners::Listeners;
use super::refusal::{Cancelled, blame, ending};
use super::running::{Caller, Running, Start};
use super::suggestions::Suggestions;
use super::tasks::ByUser;
use super::tool::to_mcp;
use super::views;
use crate::ceiling::Ceiling;
use crate::engine::{Plugin, Tool, ToolError};
use crate::guide::Guide;
use crate::offer::{Catalog, Fleet, Target};
use crate::settings::{Detail, ResultTokens};

/// How long calls have to end by themselves once the client is gone, or a
/// signal came.
const GRACE: Duration = Duration::from_millis(100);
/// How long a client may wait to be greeted.
const GREETING_TIME: Duration = Duration::from_secs(10);

/// How to serve a client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServerOptions {
    /// A task is followed for so long before a call returns with it still running.
    pub wait: Duration,
    /// Watched resources are read so often.
    pub poll: Duration,
    /// How much of a result its text has, unless a call says it.
    pub detail: Detail,
    /// The most tokens that a model may read of one result.
    pub result_tokens: ResultTokens,
    /// How long calls have to end by themselves once the server ends.
    pub grace: Duration,
    /// How many users it may have at the same time.
    pub users: usize,
}

impl ServerOptions {
    /// For one client, which is gone when the server ends.
    pub(crate) fn for_one(
        wait: Duration,
        poll: Duration,
        detail: Detail,
        result_tokens: ResultTokens,
    ) -> Self {
        Self {
            wait,
            poll,
            detail,
            result_tokens,
            grace: GRACE,
            users: 1,
        }
    }
}

/// What all requests share.
pub(super) struct Inner {
    pub(super) catalog: Arc<Fleet>,
    /// The offered tools as clients see them.
    pub(super) list: OnceCell<Vec<McpTool>>,
    pub(super) wait: Duration,
    grace: Duration,
    pub(super) detail: Detail,
    /// How long a text may be that a model reads.
    pub(super) ceiling: Ceiling,
    pub(super) questions: Questions,
    pub(super) tasks: Arc<ByUser>,
    pub(super) backlog: Backlog,
    pub(super) suggestions: Suggestions,
    pub(super) listeners: Listeners,
    /// That a list of resources is not complete is logged once.
    pub(super) said_cut: Once,
    /// Why no call can be made: settings that cannot be used.
    pub(super) fault: Option<String>,
    /// The client is gone, or is to be.
    pub(super) closing: CancellationToken,
    /// There is one client, which this process belongs to.
    pub(super) has_one_user: bool,
    /// Another server has taken its place, or it ends: nobody is told of updates.
    pub(super) retired: CancellationToken,
    /// The client has got a message.
    pub(super) responded: CancellationToken,
    pub(super) calls: TaskTracker,
    /// Calls that may change something, whether or not anybody waits for their answers.
    pub(super) changes: TaskTracker,
}

impl Inner {
    /// With a `fault` the tools are listed, and every call is answered with it.
    pub(super) fn new(
        catalog: Arc<Fleet>,
        options: ServerOptions,
        fault: Option<String>,
        common: &Common,
    ) -> Self {
        Self {
            catalog,
            list: OnceCell::new(),
            wait: options.wait,
            grace: options.grace,
            detail: options.detail,
            ceiling: Ceiling::of_model(options.result_tokens),
            questions: Questions::new(),
            tasks: Arc::clone(&common.tasks),
            backlog: common.backlog.clone(),
            suggestions: Suggestions::default(),
            listeners: Listeners::new(options.poll, options.users),
            said_cut: Once::new(),
            fault,
            closing: common.closing.clone(),
            has_one_user: options.users == 1,
            retired: common.closing.child_token(),
            responded: CancellationToken::new(),
            calls: common.calls.clone(),
            changes: common.changes.clone(),
        }
    }

    /// What this server can do.
    pub(super) fn capabilities(&self) -> ServerCapabilities {
        let mut capabilities = ServerCapabilities::builder().enable_tools().build();
        let declared = self.catalog.declares();
        capabilities.extensions = Some(extensions(declared.views));
        if declared.resources || declared.views {
            let mut resources = ResourcesCapability::default();
            resources.subscribe = Some(true);
            resources.list_changed = Some(true);
            capabilities.resources = Some(resources);
        }
        if declared.prompts {
            capabilities.prompts = Some(PromptsCapability::default());
        }
        if declared.resources || declared.prompts {
            capabilities.completions = Some(JsonObject::new());
        }
        capabilities
    }

    /// An answer, unless the request was cancelled or the server ends.
    pub(super) async fn answered<T>(
        &self,
        context: &RequestContext<RoleServer>,
        answer: impl Future<Output = Result<T, ErrorData>>,
    ) -> Result<T, ErrorData> {
        let _running = self.calls.token();
        tokio::select! {
            answer = answer => answer,
            () = context.ct.cancelled() => Err(Cancelled.into()),
            () = self.closed() => Err(ending()),
        }
    }

    pub(super) async fn plugin(&self, of: &Catalog) -> Result<Arc<Plugin>, ToolError> {
        let plugin = of.plugin().await;
        plugin.map_err(|error| ToolError::Internal(error.to_string()))
    }

    /// Waits for the component's instructions, unless it takes long to compile:
    /// clients give a server some seconds for the greeting.
    /// Whether all of it is known.
    pub(super) async fn read_instructions(&self) -> bool {
        let read = self.catalog.read_instructions();
        matches!(tokio::time::timeout(GREETING_TIME, read).await, Ok(true))
    }

    /// The tools to list: those that can be called, else those that could be
    /// if the policy fitted the component. Whether these are the former.
    pub(super) async fn listed(&self) -> Result<(Vec<McpTool>, bool), ToolError> {
        let convert = |tools: &[Tool]| {
            let tools = tools.iter().map(|tool| to_mcp(tool, self.detail));
            tools.collect::<Result<Vec<_>, _>>()
        };
        match self.catalog.offer().await {
            Ok(offer) => {
                let convert = async || convert(offer.tools());
                let list = self.list.get_or_try_init(convert).await.cloned()?;
                Ok((list, true))
            }
            Err(_) => Ok((convert(&self.catalog.without_choice().await)?, false)),
        }
    }

    /// The tools for a client that shows views. Without the guide, they have none.
    pub(super) async fn with_views(&self, tools: Vec<McpTool>) -> Vec<McpTool> {
        match self.guide().await {
            Ok(guide) => {
                let tools = tools.into_iter();
                tools.map(|tool| views::with_view(tool, guide)).collect()
            }
            Err(_) => tools,
        }
    }

    /// Starts a call for a cluster. Its result is `shown` with this ceiling and in this detail.
    pub(super) async fn start(
        &self,
        of: &Catalog,
        tool: &Tool,
        arguments: String,
        can_ask: bool,
        caller: &Caller,
        shown: (Ceiling, Detail),
    ) -> Result<Running, ToolError> {
        let plugin = self.plugin(of).await?;
        Ok(self.start_on(&plugin, tool, arguments, can_ask, caller, shown))
    }

    /// The same, for the cluster that the call is for.
    pub(super) async fn start_for(
        &self,
        target: &Target,
        tool: &Tool,
        arguments: String,
        can_ask: bool,
        caller: &Caller,
        shown: (Ceiling, Detail),
    ) -> Result<Running, ToolError> {
        let one = target.one(tool).await?;
        let of_all = || ToolError::Internal("this call is for one cluster".to_owned());
        let (catalog, own) = one.ok_or_else(of_all)?;
        self.start(catalog, own, arguments, can_ask, caller, shown)
            .await
    }

    /// The same, without waiting for the component.
    pub(super) fn start_on(
        &self,
        plugin: &Arc<Plugin>,
        tool: &Tool,
        arguments: String,
        can_ask: bool,
        caller: &Caller,
        shown: (Ceiling, Detail),
    ) -> Running {
        let start = Start {
            plugin,
            tool,
            caller,
            wait: self.wait,
            closing: self.closing.clone(),
            changes: &self.changes,
            ceiling: shown.0,
            detail: shown.1,
        };
        Running::start(start, arguments, can_ask)
    }

    /// Makes ready for the first request to Proxmox, which most clients cause
    /// soon after they have seen the tools.
    pub(super) fn prepare(&self) {
        if self.fault.is_some() {
            return;
        }
        let catalog = Arc::clone(&self.catalog);
        tokio::spawn(async move { catalog.prepare().await });
    }

    /// The time to end by oneself is over.
    pub(super) async fn closed(&self) {
        self.closing.cancelled().await;
        tokio::time::sleep(self.grace).await;
    }

    /// What is offered besides the tools.
    pub(super) async fn guide(&self) -> Result<&Guide, ErrorData> {
        self.backlog.room().await;
        let guide = self.catalog.guide().await;
        guide.map_err(|error| ErrorData::internal_error(blame(&error.to_string()), None))
    }
}

/// The extensions of MCP that this server has, with their settings.
fn extensions(has_views: bool) -> ExtensionCapabilities {
    let views = has_views.then_some(views::EXTENSION);
    let all = [TASKS_EXTENSION_ID].into_iter().chain(views);
    all.map(|name| (name.to_owned(), JsonObject::new()))
        .collect()
}

/// Leaves out of a greeting what a client of an earlier revision than 2026-07-28 cannot use.
pub(super) fn without_tasks(capabilities: &mut ServerCapabilities) {
    capabilities.extensions = capabilities.extensions.take().and_then(|mut extensions| {
        extensions.remove(TASKS_EXTENSION_ID);
        (!extensions.is_empty()).then_some(extensions)
    });
}
