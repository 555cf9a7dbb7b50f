//! `tools/call`.

use std::sync::Arc;

use rmcp::model::{CallToolRequestParams, CallToolResponse, CallToolResult, JsonObject};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};

use super::confirm::Way;
use super::detail;
use super::inner::Inner;
use super::progress::Client;
use super::refusal::{self, Cancelled};
use super::running::{self, Caller, Event, Progress, Running};
use super::tasks::{self, Long, PROMPT_TIME};
use super::tool::{faulty, to_error, to_result};
use crate::audit::Occasion;
use crate::engine::{ToolError, ToolResult};
use crate::offer::Target;
use crate::settings::Detail;
use crate::timings::{self, Milestone};

/// A call that has begun, now or before its user was asked.
struct Begun {
    call: Running,
    tool: String,
    detail: Detail,
    /// By which way its user can be asked.
    way: Option<Way>,
}

impl Inner {
    /// Calls a tool, and asks the user where that is needed.
    pub(super) async fn answer(
        self: &Arc<Self>,
        request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        match self.begin(&request, context).await? {
            Ok(begun) => self.follow(begun, &request, context).await,
            Err(refused) => Ok(refused.into()),
        }
    }

    /// Begins a call, or continues the one that the request brings an answer for.
    async fn begin(
        &self,
        request: &CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<Result<Begun, CallToolResult>, ErrorData> {
        if let Some(fault) = &self.fault {
            return Ok(Err(faulty(fault)));
        }
        self.backlog.room().await;
        let offer = match self.catalog.offer().await {
            Ok(offer) => offer,
            Err(error) => return Ok(Err(faulty(&error.to_string()))),
        };
        let tool = offer
            .find(&request.name)
            .map_err(|error| ErrorData::invalid_params(error.to_string(), None))?;
        let none = JsonObject::new();
        let arguments = request.arguments.as_ref().unwrap_or(&none);
        let (arguments, detail) = match detail::take(arguments, tool) {
            Ok((arguments, detail)) => (arguments, detail.unwrap_or(self.detail)),
            Err(error) => return Ok(Err(to_error(&error))),
        };
        let mut arguments = arguments.into_owned();
        let target = match self.catalog.target(tool, &mut arguments).await {
            Ok(target) => target,
            Err(error) => return Ok(Err(to_error(&error))),
        };
        let arguments = serde_json::to_string(&arguments)
            .map_err(|error| ErrorData::invalid_params(error.to_string(), None))?;
        let way = self.questions.way(context);
        let caller = Caller::of(context, Occasion::Call);
        let call = match self.questions.resume(request, caller.remote.as_ref()) {
            Some(resumed) => {
                resumed.question.answer(resumed.agreed);
                resumed.call
            }
            None => {
                let shown = (self.ceiling, detail);
                if let Target::All(members) = &target {
                    let all = self.call_all(tool, members, &arguments, &caller, shown);
                    return tokio::select! {
                        results = Box::pin(all) => Ok(Err(results.shown(tool, shown))),
                        () = context.ct.cancelled() => Err(Cancelled.into()),
                    };
                }
                let asks = way.is_some();
                let call = self.start_for(&target, tool, arguments, asks, &caller, shown);
                match call.await {
                    Ok(call) => call,
                    Err(error) => return Ok(Err(to_error(&error))),
                }
            }
        };
        Ok(Ok(Begun {
            call,
            tool: tool.name.clone(),
            detail,
            way,
        }))
    }

    /// Follows a call until there is something to answer: its result, a question, or that
    /// it takes long.
    async fn follow(
        self: &Arc<Self>,
        begun: Begun,
        request: &CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Begun {
            mut call,
            tool,
            detail,
            way,
        } = begun;
        let of = running::remote(context);
        let mut client = Client::new(context);
        let mut progress: Option<Progress> = None;
        let mut can_be_task = tasks::understands(context);
        let mut overdue = std::pin::pin!(tokio::time::sleep(PROMPT_TIME));
        loop {
            let event = tokio::select! {
                // A task whose id never reaches the client would be its client's in vain.
                biased;
                () = context.ct.cancelled() => return Err(Cancelled.into()),
                event = call.next() => event,
                () = &mut overdue, if can_be_task => {
                    let long = Long { call, tool: tool.clone(), detail, progress };
                    match self.begin_task(long, context) {
                        Ok(task) => return Ok(CallToolResponse::Task(task)),
                        Err(long) => Long { call, progress, .. } = *long,
                    }
                    can_be_task = false;
                    continue;
                }
            };
            match (event, way) {
                (Event::Progress(now), _) => {
                    progress = Some(now.clone());
                    client.progress(now).await;
                }
                (Event::Ended(answer), _) => {
                    timings::reached(Milestone::FirstCall);
                    return Ok(self.result(&tool, answer, detail).into());
                }
                (Event::Question(mut question), Some(Way::Request)) => {
                    let change = question.change.clone();
                    let agreed = tokio::select! {
                        agreed = self.questions.ask(&tool, &change, context) => agreed,
                        () = question.expired() => continue,
                        () = context.ct.cancelled() => return Err(Cancelled.into()),
                    };
                    question.answer(agreed);
                }
                (Event::Question(question), _) => {
                    return Ok(
                        match self.questions.park(request, of.as_ref(), question, call) {
                            Some(asks) => asks.into(),
                            None => to_error(&refusal::unasked()).into(),
                        },
                    );
                }
            }
        }
    }

    /// What a client gets of a call that has ended.
    pub(super) fn result(
        &self,
        tool: &str,
        answer: Result<ToolResult, ToolError>,
        detail: Detail,
    ) -> CallToolResult {
        let shown = |result| {
            let offer = self.catalog.offered();
            let tool = offer.and_then(|offer| offer.find(tool).ok());
            let gone = || ToolError::Internal("the tool is no longer offered".to_owned());
            to_result(tool.ok_or_else(gone)?, result, detail, self.ceiling)
        };
        answer
            .and_then(shown)
            .unwrap_or_else(|error| to_error(&error))
    }
}
