//! MCP over Streamable HTTP, in both protocol eras: one request after another, read
//! already.
//!
//! Who may send requests, and how many, is decided before. Here a session belongs to the
//! user who began it: for everybody else, it does not exist.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use rmcp::RoleServer;
use rmcp::model::{ClientRequest, ErrorCode, JsonRpcMessage};
use rmcp::service::RxJsonRpcMessage;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{
    SessionManager as _, StreamableHttpServerConfig, StreamableHttpService,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::Server;
use super::common::Common;
use super::message::{self, Line};
use super::room::{Reservation, Room};
use crate::digest::Digest;
use crate::remote::Remote;

/// How many sessions of the older era a user may have. One that is not used ends after
/// five minutes.
const MAX_SESSIONS: usize = 64;
/// The largest message that begins a session, which keeps it.
const MAX_GREETING_BYTES: usize = 64 * 1024;
/// How many digits of a digest name a session.
const MARK_DIGITS: usize = 16;

const SESSION: &str = "mcp-session-id";

/// What a client sends.
type Message = RxJsonRpcMessage<RoleServer>;

/// The body of a response, which may be a stream of events.
pub(crate) type Body = BoxBody<Bytes, Infallible>;

/// Answers MCP requests over HTTP.
pub(crate) struct Endpoint {
    service: StreamableHttpService<Server, LocalSessionManager>,
    manager: Arc<LocalSessionManager>,
    /// The users who have begun the sessions.
    sessions: Mutex<HashMap<String, Option<Arc<str>>>>,
    room: Arc<Room>,
}

impl Endpoint {
    /// Cancelling `streams` ends all sessions and all responses that are streams.
    pub(crate) fn new(server: Server, streams: CancellationToken, common: &Common) -> Self {
        let manager = Arc::new(LocalSessionManager::default());
        // Which hosts and origins are served is checked before, for all paths alike.
        let config = StreamableHttpServerConfig::default()
            .with_cancellation_token(streams)
            .disable_allowed_hosts()
            .with_max_request_body_bytes(message::MAX_LINE_BYTES);
        let factory = move || Ok::<_, io::Error>(server.clone());
        Self {
            service: StreamableHttpService::new(factory, Arc::clone(&manager), config),
            manager,
            sessions: Mutex::default(),
            room: Arc::clone(&common.room),
        }
    }

    /// The largest body of a request.
    pub(crate) const fn max_body_bytes() -> usize {
        message::MAX_LINE_BYTES
    }

    /// Answers a request of this user.
    pub(crate) async fn answer(
        &self,
        mut head: Parts,
        body: Bytes,
        mut remote: Remote,
    ) -> Response<Body> {
        let user = remote.user.clone();
        let session = match session(&head.headers) {
            Ok(session) => session,
            Err(problem) => return refuse(StatusCode::BAD_REQUEST, problem),
        };
        if let Some(id) = &session {
            if !self.belongs(id, user.as_ref()).await {
                return refuse(
                    StatusCode::NOT_FOUND,
                    "there is no such session: begin a new one with initialize",
                );
            }
            let mut mark = Digest::of(id.as_bytes()).to_string();
            mark.truncate(MARK_DIGITS);
            remote.session = Some(mark.into());
        }
        let ends = head.method == Method::DELETE;
        if head.method == Method::POST {
            let (message, place) = match self.read(&body, user.as_ref()) {
                Ok(read) => read,
                Err(answer) => return *answer,
            };
            if begins(&message)
                && let Err(answer) = self.check_greeting(body.len(), user.as_ref()).await
            {
                return *answer;
            }
            head.extensions.insert(place);
        }
        head.extensions.insert(remote);
        let request = Request::from_parts(head, Full::new(body));
        let mut response = self.service.handle(request).await;
        if ends && let Some(id) = &session {
            self.sessions().remove(id);
            // The end is complete, and clients complain about "accepted".
            if response.status() == StatusCode::ACCEPTED {
                *response.status_mut() = StatusCode::NO_CONTENT;
            }
        }
        if let Some(id) = response.headers().get(SESSION)
            && let Ok(id) = id.to_str()
        {
            self.sessions().insert(id.to_owned(), user);
        }
        response
    }

    /// The room that the arguments of a user's call need, until it is dropped.
    pub(crate) fn room_for(
        &self,
        arguments: &[u8],
        user: Option<&Arc<str>>,
    ) -> Result<impl Send + use<>, NoRoom> {
        let values = message::values(arguments);
        if values > message::MAX_VALUES {
            return Err(NoRoom::TooManyValues);
        }
        let place = self.room.take(user, arguments.len(), values);
        place.ok_or(NoRoom::AtTheMoment)
    }

    /// Whether a user may begin one more session, with a message of so many bytes.
    async fn check_greeting(
        &self,
        bytes: usize,
        user: Option<&Arc<str>>,
    ) -> Result<(), Box<Response<Body>>> {
        if bytes > MAX_GREETING_BYTES {
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            let problem = format!("initialize may have {MAX_GREETING_BYTES} bytes: shorten it");
            return Err(Box::new(refuse(status, &problem)));
        }
        if self.has_room_for(user).await {
            return Ok(());
        }
        Err(Box::new(refuse(
            StatusCode::TOO_MANY_REQUESTS,
            "too many sessions are open: end them with DELETE, or wait until those that are not \
             used end after five minutes",
        )))
    }

    /// Checks a message, and takes the room that it needs.
    fn read(
        &self,
        body: &[u8],
        user: Option<&Arc<str>>,
    ) -> Result<(Box<Message>, Reservation), Box<Response<Body>>> {
        let message = match message::read(body) {
            Line::Message(message) => message,
            Line::Answer(error) => {
                let code = error.pointer("/error/code").and_then(Value::as_i64);
                // It is for the caller of a method to correct, not for the transport.
                let is_of_method = code == Some(ErrorCode::INVALID_PARAMS.0.into());
                let status = match is_of_method {
                    true => StatusCode::OK,
                    false => StatusCode::BAD_REQUEST,
                };
                return Err(Box::new(json_response(status, &error)));
            }
            Line::Nothing => {
                let problem = "the body is not a JSON-RPC message";
                return Err(Box::new(refuse(StatusCode::BAD_REQUEST, problem)));
            }
        };
        match self.room.take(user, body.len(), message::values(body)) {
            Some(place) => Ok((message, place)),
            None => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                Err(Box::new(match message::no_room(&message) {
                    Some(error) => json_response(status, &error),
                    None => refuse(status, "there is not enough memory for the message"),
                }))
            }
        }
    }

    /// Whether a session is there, and this user's.
    async fn belongs(&self, id: &str, user: Option<&Arc<str>>) -> bool {
        let is_known = self.sessions().get(id).map(Option::as_ref) == Some(user);
        if !is_known {
            return false;
        }
        let is_open = self.manager.has_session(&id.into()).await;
        let is_open = is_open.unwrap_or_default();
        if !is_open {
            self.sessions().remove(id);
        }
        is_open
    }

    /// Whether a user may begin one more session.
    async fn has_room_for(&self, user: Option<&Arc<str>>) -> bool {
        let has_room = |sessions: &HashMap<String, Option<Arc<str>>>| {
            let all = sessions.values();
            all.filter(|of| of.as_ref() == user).count() < MAX_SESSIONS
        };
        if has_room(&self.sessions()) {
            return true;
        }
        let open = self.manager.sessions.read().await;
        let mut sessions = self.sessions();
        sessions.retain(|id, _| open.contains_key(id.as_str()));
        has_room(&sessions)
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Option<Arc<str>>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why there is no room for the arguments of a call.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRoom {
    /// There never is.
    #[error("the arguments have more than {} JSON values", message::MAX_VALUES)]
    TooManyValues,
    /// Other calls take it.
    #[error(
        "the arguments of running calls take all of the memory that there is for them: call again \
         once one of them has ended"
    )]
    AtTheMoment,
}

/// The session that a request names.
fn session(headers: &HeaderMap) -> Result<Option<String>, &'static str> {
    let mut ids = headers.get_all(SESSION).iter();
    let id = match (ids.next(), ids.next()) {
        (None, _) => return Ok(None),
        (Some(id), None) => id.to_str().ok(),
        (Some(_), Some(_)) => None,
    };
    let id = id.ok_or("the request has more than one Mcp-Session-Id, or one that is not ASCII")?;
    Ok(Some(id.to_owned()))
}

/// Whether a message begins a session, whatever revision of the protocol it names.
fn begins(message: &Message) -> bool {
    let JsonRpcMessage::Request(request) = message else {
        return false;
    };
    matches!(request.request, ClientRequest::InitializeRequest(_))
}

fn refuse(status: StatusCode, problem: &str) -> Response<Body> {
    json_response(status, &json!({ "message": problem }))
}

fn json_response(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(Full::from(body.to_string()).boxed());
    *response.status_mut() = status;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
