//! Asks the user, through the client, before a change.
//!
//! A call that is about to change something waits in its [`Gate`] until the user
//! has answered; the user is asked about each change. A client of the older
//! protocol era is sent a request. One of the newer era gets a result that asks,
//! and repeats its call with the answer: the call is kept here until then.
//!
//! This is a convenience and not a security boundary: the client answers.
//!
//! [`Gate`]: crate::sandbox::Gate

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rmcp::RoleServer;
use rmcp::model::{
    CallToolRequestParams, ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction,
    ElicitationSchema, InputRequest, InputRequests, InputRequiredResult, ProtocolVersion,
    RequestStateCodec, SealOptions,
};
use rmcp::service::RequestContext;

use super::running::Running;
use crate::remote::Remote;
use crate::sandbox::{ANSWER_TIME, Change, Question};

/// The name of the one question that is asked at a time.
pub(super) const QUESTION: &str = "confirm";

/// The open questions, and the key that seals their numbers, so that a client
/// cannot make up an answer to a question of another call.
pub(super) struct Questions {
    codec: Option<RequestStateCodec>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    last: u64,
    calls: BTreeMap<u64, Parked>,
}

/// A call that waits for its client to bring the user's answer.
struct Parked {
    since: Instant,
    question: Question,
    call: Running,
}

/// A call that a client repeats with an answer.
pub(super) struct Resumed {
    pub(super) call: Running,
    pub(super) question: Question,
    pub(super) agreed: bool,
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
        Self {
            codec,
            open: Mutex::default(),
        }
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

    /// The call that a request continues with an answer. Each question takes one
    /// answer: what comes again, too late or for another call starts anew, and
    /// is asked about anew.
    pub(super) fn resume(
        &self,
        request: &CallToolRequestParams,
        of: Option<&Remote>,
    ) -> Option<Resumed> {
        let codec = self.codec.as_ref()?;
        let state = request.request_state.as_ref()?;
        let answer = request.input_responses.as_ref()?.get(QUESTION)?;
        let number = codec.open_with(state, &call(request, of)).ok()?;
        let number = u64::from_be_bytes(number.try_into().ok()?);
        let answer: ElicitResult = serde_json::from_value(answer.clone()).ok()?;
        let parked = self.open().calls.remove(&number)?;
        Some(Resumed {
            call: parked.call,
            question: parked.question,
            agreed: answer.action == ElicitationAction::Accept,
        })
    }

    /// Keeps a call until its client brings the answer, and asks by a result.
    /// Without one, the call is dropped, and its change with it.
    pub(super) fn park(
        &self,
        request: &CallToolRequestParams,
        of: Option<&Remote>,
        question: Question,
        running: Running,
    ) -> Option<InputRequiredResult> {
        let codec = self.codec.as_ref()?;
        let shown = ElicitRequest::new(form(&request.name, &question.change));
        let mut open = self.open();
        open.calls
            .retain(|_, parked| parked.since.elapsed() < ANSWER_TIME);
        open.last += 1;
        let number = open.last;
        let call = call(request, of);
        let options = SealOptions::new().associated_data(&call).ttl(ANSWER_TIME);
        let state = codec.seal_with(&number.to_be_bytes(), &options);
        open.calls.insert(
            number,
            Parked {
                since: Instant::now(),
                question,
                call: running,
            },
        );
        let questions =
            InputRequests::from([(QUESTION.to_owned(), InputRequest::Elicitation(shown))]);
        Some(InputRequiredResult::new(Some(questions), Some(state)))
    }

    /// Asks by a request, and waits for the answer.
    pub(super) async fn ask(
        &self,
        tool: &str,
        change: &Change,
        context: &RequestContext<RoleServer>,
    ) -> bool {
        match context.peer.create_elicitation(form(tool, change)).await {
            Ok(answer) => answer.action == ElicitationAction::Accept,
            Err(error) => {
                tracing::warn!("the client could not ask the user: {error}");
                false
            }
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an answer is bound to: the call and, over HTTP, the user.
fn call(request: &CallToolRequestParams, of: Option<&Remote>) -> Vec<u8> {
    let user = of.and_then(|of| of.user.as_deref()).unwrap_or_default();
    let arguments = request.arguments.clone().unwrap_or_default();
    let arguments = serde_json::Value::Object(arguments);
    format!("{}\n{user}\n{arguments}", request.name).into_bytes()
}

/// What the client is to ask.
pub(super) fn form(tool: &str, change: &Change) -> ElicitRequestParams {
    ElicitRequestParams::FormElicitationParams {
        meta: None,
        message: change.question(tool),
        requested_schema: ElicitationSchema::new(BTreeMap::new()),
    }
}
