//! `tools/call`.

use rmcp::model::{CallToolRequestParams, CallToolResponse};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};

use super::confirm::Way;
use super::detail;
use super::inner::Inner;
use super::progress::Client;
use super::refusal::{self, Cancelled};
use super::running::{Caller, Event};
use super::tool::{faulty, to_error, to_result};
use crate::audit::Occasion;
use crate::timings::{self, Milestone};

impl Inner {
    /// Calls a tool, and asks the user where that is needed.
    pub(super) async fn answer(
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
        let mut arguments = request.arguments.clone().unwrap_or_default();
        let detail = match detail::take(&mut arguments, tool) {
            Ok(detail) => detail.unwrap_or(self.detail),
            Err(error) => return Ok(to_error(&error).into()),
        };
        let arguments = serde_json::to_string(&arguments)
            .map_err(|error| ErrorData::invalid_params(error.to_string(), None))?;
        let way = self.questions.way(context);
        let caller = Caller::of(context, Occasion::Call);
        let of = caller.remote.as_ref();
        let mut call = match self.questions.resume(&request, of) {
            Some(resumed) => {
                resumed.question.answer(resumed.agreed);
                resumed.call
            }
            None => match self.start(tool, arguments, way.is_some(), &caller).await {
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
                    let answer = answer.and_then(|result| to_result(result, detail));
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
                    return Ok(match self.questions.park(&request, of, question, call) {
                        Some(asks) => asks.into(),
                        None => to_error(&refusal::unasked()).into(),
                    });
                }
            }
        }
    }
}
