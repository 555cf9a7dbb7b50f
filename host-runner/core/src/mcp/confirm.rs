//! Asks the user, through the client, before a change.
//!
//! A call that is about to change something the user is to be asked about ends
//! before that change; with the user's yes it is made anew. A client of the
//! older era is asked by a request of its own; one of the newer era gets a
//! result that asks, and repeats its call with the answer.
//!
//! This is a convenience and no boundary: the client answers.

use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{
    CallToolRequestParams, ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction,
    ElicitationSchema, InputRequest, InputRequests, InputRequiredResult, ProtocolVersion,
    RequestStateCodec, SealOptions,
};
use rmcp::service::RequestContext;

use crate::engine::ToolError;
use crate::sandbox::Decision;

/// How long a question may stay open.
const OPEN: Duration = Duration::from_secs(10 * 60);
/// The name of the one question that is asked at a time.
const QUESTION: &str = "confirm";

/// Seals what was asked, so that a client cannot make up what the user has
/// agreed to.
pub(super) struct Questions {
    codec: Option<RequestStateCodec>,
}

/// What the user said.
pub(super) enum Word {
    /// Nobody asked.
    Unasked,
    /// Yes, to this request.
    Yes(String),
    /// No.
    No,
}

/// By which way a client can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// By a result that asks.
    Result,
    /// By a request.
    Request,
}

impl Questions {
    /// With a key that dies with the process.
    pub(super) fn new() -> Self {
        let mut key = [0; RequestStateCodec::MIN_KEY_LENGTH];
        let random = rustls::crypto::ring::default_provider().secure_random;
        let codec = random
            .fill(&mut key)
            .ok()
            .and_then(|()| RequestStateCodec::try_new(key).ok());
        Self { codec }
    }

    /// The way by which this client can be asked, if it can.
    pub(super) fn way(&self, context: &RequestContext<RoleServer>) -> Option<Way> {
        let capability = context.client_capabilities()?.elicitation?;
        // Neither named means forms.
        if capability.form.is_none() && capability.url.is_some() {
            return None;
        }
        match context.protocol_version() {
            Some(version) if version >= ProtocolVersion::V_2026_07_28 => {
                self.codec.as_ref().map(|_| Way::Result)
            }
            _ => Some(Way::Request),
        }
    }

    /// What a repeated call brings along. What cannot be trusted counts as not
    /// asked: then it is asked anew.
    pub(super) fn word(&self, request: &CallToolRequestParams) -> Word {
        let (Some(codec), Some(state), Some(responses)) = (
            &self.codec,
            &request.request_state,
            &request.input_responses,
        ) else {
            return Word::Unasked;
        };
        let Ok(asked) = codec.open_with(state, &call(request)) else {
            return Word::Unasked;
        };
        let answer = responses.get(QUESTION).cloned();
        let answer = answer.and_then(|answer| serde_json::from_value::<ElicitResult>(answer).ok());
        match (answer, String::from_utf8(asked)) {
            (Some(answer), Ok(asked)) if answer.action == ElicitationAction::Accept => {
                Word::Yes(asked)
            }
            (Some(_), _) => Word::No,
            _ => Word::Unasked,
        }
    }

    /// Asks by a result.
    pub(super) fn result(
        &self,
        request: &CallToolRequestParams,
        decision: &Decision,
    ) -> Option<InputRequiredResult> {
        let call = call(request);
        let options = SealOptions::new().associated_data(&call).ttl(OPEN);
        let state = self
            .codec
            .as_ref()?
            .seal_with(decision.subject().as_bytes(), &options);
        let question = ElicitRequest::new(form(&request.name, decision));
        let question = InputRequest::Elicitation(question);
        let questions = InputRequests::from([(QUESTION.to_owned(), question)]);
        Some(InputRequiredResult::new(Some(questions), Some(state)))
    }

    /// Asks by a request, and waits for the answer.
    pub(super) async fn ask(
        &self,
        tool: &str,
        decision: &Decision,
        context: &RequestContext<RoleServer>,
    ) -> Word {
        let question = context.peer.create_elicitation(form(tool, decision));
        match tokio::time::timeout(OPEN, question).await {
            Ok(Ok(answer)) if answer.action == ElicitationAction::Accept => {
                Word::Yes(decision.subject())
            }
            Ok(Ok(_)) => Word::No,
            Ok(Err(error)) => {
                tracing::warn!("the client could not ask the user: {error}");
                Word::No
            }
            Err(_) => Word::No,
        }
    }
}

/// The user said no, or was not there.
pub(super) fn declined() -> ToolError {
    ToolError::Denied(
        "the user did not agree to this change: nothing was changed, so ask the user what to do \
         instead of calling again"
            .to_owned(),
    )
}

/// The client cannot ask.
pub(super) fn cannot_ask(decision: &Decision) -> ToolError {
    ToolError::Denied(format!(
        "the operator of this server wants the user to be asked before {}, and this client cannot \
         ask: nothing was changed (rule confirm); the operator can set confirm_fallback to allow",
        decision.subject()
    ))
}

/// Something was changed before the question came up.
pub(super) fn too_late(decision: &Decision) -> ToolError {
    ToolError::Denied(format!(
        "the operator of this server wants the user to be asked before {}, which was not sent \
         (rule confirm); what came before it was: look at the guest before you go on",
        decision.subject()
    ))
}

/// What an answer is bound to.
fn call(request: &CallToolRequestParams) -> Vec<u8> {
    let arguments = request.arguments.clone().unwrap_or_default();
    let arguments = serde_json::Value::Object(arguments);
    format!("{}\n{arguments}", request.name).into_bytes()
}

fn form(tool: &str, decision: &Decision) -> ElicitRequestParams {
    let effect = match decision.verdict.meaning.is_destructive() {
        true => "It interrupts a guest, or something is lost by it.",
        false => "It changes something.",
    };
    let subject = decision.subject();
    ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: format!(
            "{tool} is about to send this to Proxmox VE: {subject}. {effect} Allow it?"
        ),
        requested_schema: ElicitationSchema::new(std::collections::BTreeMap::new()),
    }
}
