//! MCP over stdio and HTTP, in both protocol eras. Only this module imports rmcp.

mod all;
mod backlog;
mod call;
mod changes;
mod common;
mod complete;
mod confirm;
mod detail;
mod endpoint;
mod inner;
mod listeners;
mod look;
mod message;
mod page;
mod plain;
mod progress;
mod prompts;
mod refusal;
mod resources;
mod room;
mod running;
mod stdio;
mod suggestions;
mod surface;
mod tasks;
mod tool;
mod unknown;
mod updates;
mod views;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CancelTaskParams, CompleteRequestParams,
    CompleteResult, DiscoverResult, GetPromptRequestParams, GetPromptResponse, GetTaskParams,
    GetTaskResult, InitializeRequestParams, InitializeResult, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse, ServerConfig,
    SubscribeRequestParams, SubscriptionFilter, UnsubscribeRequestParams, UpdateTaskParams,
};
use rmcp::service::{RequestContext, ServerInitializeError, SubscriptionContext};
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceExt as _};
use tokio_util::sync::CancellationToken;

pub(crate) use self::common::Common;
pub(crate) use self::endpoint::{Body, Endpoint, NoRoom};
pub(crate) use self::inner::ServerOptions;
pub(crate) use self::surface::{checksum, surface};

use self::inner::Inner;
use self::listeners::Recipient;
use self::page::page;
use self::refusal::{ENDING, blame, ending, internal};
use self::running::{Caller, remote};
use self::stdio::Stdio;
use self::tool::to_error;
use crate::audit::Occasion;
use crate::engine::ToolError;
use crate::offer::Fleet;
use crate::timings::{self, Milestone};

/// How long the rest may take: to write what a client has not read yet.
const ENDING_TIME: Duration = Duration::from_millis(600);
/// How long a client may keep what never changes while the process lives.
const TTL_MS: u64 = 60 * 60 * 1000;

/// How long it may keep what comes and goes, such as the list of guests: pvestatd reports
/// as often.
const SHORT_TTL_MS: u64 = 10 * 1000;

/// The MCP server.
#[derive(Clone)]
pub(crate) struct Server(Arc<Inner>);

impl Server {
    /// With a `fault` the tools are listed, and every call is answered with it.
    pub(crate) fn new(
        catalog: Arc<Fleet>,
        options: ServerOptions,
        fault: Option<String>,
        common: &Common,
    ) -> Self {
        Self(Arc::new(Inner::new(catalog, options, fault, common)))
    }

    /// Cancelled when something was written to the client.
    pub(crate) fn responded(&self) -> CancellationToken {
        self.0.responded.clone()
    }

    /// Another server takes its place: calls go on, and nobody is told of updates any more.
    pub(crate) fn retire(&self) {
        self.0.retired.cancel();
    }

    /// How long a client may keep what does not change while the process lives, and for
    /// whom. What is wrong, or not complete, is not kept: the next process may be right.
    /// Over HTTP, it depends on the client, and changes with the policy.
    fn lifetime(&self, is_complete: bool) -> (u64, CacheScope) {
        match is_complete && self.0.fault.is_none() {
            true if self.0.has_one_user => (TTL_MS, CacheScope::Public),
            true => (SHORT_TTL_MS, CacheScope::Private),
            false => (0, CacheScope::Private),
        }
    }

    /// The same for what comes and goes.
    fn short_lifetime(&self, is_complete: bool) -> u64 {
        match is_complete && self.0.fault.is_none() {
            true => SHORT_TTL_MS,
            false => 0,
        }
    }

    /// Serves stdin and stdout until [`Common::closing`] is cancelled. Calls that
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
        let mut instructions = surface::instructions(self.0.catalog.instructions(), self.0.detail);
        if let Some(fault) = &self.0.fault {
            let text = format!(
                "{instructions}\nNo call works at the moment: {}.",
                blame(fault)
            );
            instructions = text.trim_start().to_owned();
        }
        ServerConfig::new(self.0.capabilities())
            .with_server_info(surface::implementation())
            .with_instructions(instructions)
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        context.peer.set_peer_info(request.clone());
        let _ = self.0.read_instructions().await;
        let mut result = self.negotiate_initialize(&request)?;
        inner::without_tasks(&mut result.capabilities);
        Ok(result)
    }

    async fn discover(&self, _: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        let is_complete = self.0.read_instructions().await;
        let versions = self.supported_protocol_versions().into_owned();
        let (ttl, scope) = self.lifetime(is_complete);
        Ok(DiscoverResult::from_server_info(versions, self.get_info())
            .with_ttl_ms(ttl)
            .with_cache_scope(scope))
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let _running = self.0.calls.token();
        let listed = tokio::select! {
            listed = self.0.listed() => listed,
            () = self.0.closed() => return Err(ending()),
        };
        self.0.prepare();
        timings::reached(Milestone::ToolList);
        let (tools, can_be_called) = listed.map_err(internal)?;
        let (ttl, mut scope) = self.lifetime(can_be_called);
        let tools = match views::are_shown(&context) {
            // Only clients with views get these links, so a shared cache must not hold
            // this list.
            true => {
                scope = CacheScope::Private;
                self.0.with_views(tools).await
            }
            false => tools,
        };
        let list = ListToolsResult::with_all_items(tools);
        Ok(match is_cacheable(&context) {
            true => list.with_ttl_ms(ttl).with_cache_scope(scope),
            false => list,
        })
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

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let task = self.0.get_task(&request.task_id, &context);
        self.0.answered(&context, task).await
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let UpdateTaskParams {
            task_id,
            input_responses,
            ..
        } = request;
        let update = self.0.update_task(&task_id, input_responses, &context);
        self.0.answered(&context, update).await
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let cancel = self.0.cancel_task(&request.task_id, &context);
        self.0.answered(&context, cancel).await
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let caller = Caller::of(&context, Occasion::Listing);
        let listed = self.0.resources(&caller);
        let listed = self.0.answered(&context, listed).await?;
        let is_complete = listed.missing.is_empty();
        // The others are better than an error, by which a client may drop all.
        for missing in listed.missing {
            tracing::warn!("resources/list leaves out {missing}");
        }
        let page = page(listed.all, request.as_ref())?;
        let mut list = ListResourcesResult::with_all_items(page.items);
        list.next_cursor = page.next;
        Ok(match is_cacheable(&context) {
            true => list
                .with_ttl_ms(self.short_lifetime(is_complete))
                .with_cache_scope(CacheScope::Private),
            false => list,
        })
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let guide = self.0.answered(&context, self.0.guide()).await?;
        let page = page(resources::templates(guide), request.as_ref())?;
        let mut list = ListResourceTemplatesResult::with_all_items(page.items);
        list.next_cursor = page.next;
        let (ttl, scope) = self.lifetime(true);
        Ok(match is_cacheable(&context) {
            true => list.with_ttl_ms(ttl).with_cache_scope(scope),
            false => list,
        })
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let caller = Caller::of(&context, Occasion::Resource);
        let read = self.0.read_resource(&request.uri, &caller);
        let read = self.0.answered(&context, read).await?;
        let (ttl, scope) = match read.is_fixed {
            true => self.lifetime(true),
            // What it shows may change with the next call.
            false => (0, CacheScope::Private),
        };
        let read = read.result;
        Ok(match is_cacheable(&context) {
            true => read.with_ttl_ms(ttl).with_cache_scope(scope),
            false => read,
        }
        .into())
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let caller = Caller::of(&context, Occasion::Completion);
        let complete = self.0.complete(request, &caller);
        self.0.answered(&context, complete).await
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let guide = self.0.answered(&context, self.0.guide()).await?;
        let prompts = guide.prompts().iter().map(prompts::to_mcp);
        let page = page(prompts.collect(), request.as_ref())?;
        let mut list = ListPromptsResult::with_all_items(page.items);
        list.next_cursor = page.next;
        let (ttl, scope) = self.lifetime(true);
        Ok(match is_cacheable(&context) {
            true => list.with_ttl_ms(ttl).with_cache_scope(scope),
            false => list,
        })
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let prompt = self.0.get_prompt(request);
        Ok(self.0.answered(&context, prompt).await?.into())
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(self.0.accepted(requested))
    }

    async fn listen(&self, subscription: SubscriptionContext) -> Result<(), ErrorData> {
        let to = Recipient::Sink(subscription.sink().clone());
        let of = remote(subscription.request_context());
        let _listening = self.0.listen(subscription.accepted(), to, of)?;
        tokio::select! {
            () = subscription.cancelled() => {}
            () = self.0.retired.cancelled() => {}
        }
        Ok(())
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let peer = context.peer.clone();
        let subscribe = self.0.subscribe(request.uri, peer, remote(&context));
        self.0.answered(&context, subscribe).await
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.0.unsubscribe(&request.uri, remote(&context).as_ref());
        Ok(())
    }
}

/// Whether the protocol revision of the client has `ttlMs`.
fn is_cacheable(context: &RequestContext<RoleServer>) -> bool {
    context.protocol_version() >= Some(ProtocolVersion::V_2026_07_28)
}
