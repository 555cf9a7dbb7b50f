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
use rmcp::model::{ErrorCode, ProtocolVersion};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{
    SessionManager as _, StreamableHttpServerConfig, StreamableHttpService,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::Server;
use super::message::{self, Line};
use super::room::{Reservation, Room};
use crate::digest::Digest;
use crate::remote::Remote;

/// How many sessions of the older era a user may have. One that is not used ends after
/// five minutes.
const MAX_SESSIONS: usize = 64;
/// How many digits of a digest name a session.
const MARK_DIGITS: usize = 16;

const SESSION: &str = "mcp-session-id";
const VERSION: &str = "mcp-protocol-version";

/// The body of a response, which may be a stream of events.
pub(crate) type Body = BoxBody<Bytes, Infallible>;

/// Answers MCP requests over HTTP.
pub(crate) struct Endpoint {
    service: StreamableHttpService<Server, LocalSessionManager>,
    manager: Arc<LocalSessionManager>,
    /// The users who have begun the sessions.
    sessions: Mutex<HashMap<String, Option<Arc<str>>>>,
    room: Room,
}

impl Endpoint {
    /// Cancelling `streams` ends all sessions and all responses that are streams.
    pub(crate) fn new(server: Server, streams: CancellationToken) -> Self {
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
            room: Room::new(),
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
        } else if begins(&head) && !self.has_room_for(user.as_ref()).await {
            return refuse(
                StatusCode::TOO_MANY_REQUESTS,
                "too many sessions are open: end them with DELETE, or wait until those that are \
                 not used end after five minutes",
            );
        }
        let ends = head.method == Method::DELETE;
        if head.method == Method::POST {
            match self.read(&body) {
                Ok(place) => drop(head.extensions.insert(place)),
                Err(answer) => return *answer,
            }
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

    /// The room that the arguments of a call need, until it is dropped.
    pub(crate) fn room_for(&self, arguments: &[u8]) -> Result<impl Send + use<>, String> {
        let values = message::values(arguments);
        if values > message::MAX_VALUES {
            return Err(format!(
                "the arguments have more than {} JSON values",
                message::MAX_VALUES
            ));
        }
        let place = self.room.take(arguments.len(), values);
        place.ok_or_else(|| {
            "the arguments of running calls take all of the memory that there is for them: call \
             again once one of them has ended"
                .to_owned()
        })
    }

    /// Checks a message, and takes the room that it needs.
    fn read(&self, body: &[u8]) -> Result<Reservation, Box<Response<Body>>> {
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
        let place = self.room.take(body.len(), message::values(body));
        place.ok_or_else(|| {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            Box::new(match message::no_room(&message) {
                Some(error) => json_response(status, &error),
                None => refuse(status, "there is not enough memory for the message"),
            })
        })
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

/// Whether a request without a session may begin one.
fn begins(head: &Parts) -> bool {
    let version = head.headers.get(VERSION);
    let version = version.and_then(|version| version.to_str().ok());
    let is_stateless =
        version.is_some_and(|version| version >= ProtocolVersion::V_2026_07_28.as_str());
    head.method == Method::POST && !is_stateless
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
