//! One request, from its head to its response.

use std::convert::Infallible;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use host_runner_policy::Preset;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use serde_json::{Map, Value, json};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::answer::{Refusal, json_response};
use super::auth::Access;
use super::body::Bodies;
use super::held::Held;
use super::limits::Limits;
use super::metrics::{Metrics, Open};
use super::places::Place;
use super::plain;
use super::profile::{Current, Profiles};
use super::visitor::{self, Visitors};
use crate::mcp::{Body, Endpoint, NoRoom};
use crate::remote::Remote;
use crate::settings::HttpSettings;

/// What the head of a request may have. hyper itself refuses heads of four times as much.
const HEAD_BYTES: usize = 16 * 1024;
/// What the log shows of a path.
const SHOWN_CHARS: usize = 200;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What answers requests.
pub(crate) struct Http {
    access: Access,
    profiles: Current,
    metrics: Metrics,
    closing: CancellationToken,
    visitors: Visitors,
    limits: Limits,
    bodies: Bodies,
    /// The component is loaded.
    is_ready: AtomicBool,
    /// Requests whose responses are not streams without an end.
    exchanges: TaskTracker,
    process: u32,
    requests: AtomicU64,
}

/// What is behind it.
pub(crate) struct Serving {
    pub(crate) access: Access,
    pub(crate) profiles: Arc<dyn Profiles>,
    pub(crate) metrics: Metrics,
    /// The server ends.
    pub(crate) closing: CancellationToken,
}

/// What a request holds until its response is sent.
type Holds = Option<(OwnedSemaphorePermit, Option<TaskTrackerToken>, Open)>;

impl Http {
    /// Answers requests to this address.
    pub(crate) fn new(settings: &HttpSettings, address: SocketAddr, serving: Serving) -> Self {
        let is_tls = settings.tls.is_some();
        Self {
            access: serving.access,
            profiles: Current::new(serving.profiles),
            metrics: serving.metrics,
            closing: serving.closing,
            visitors: Visitors::new(address, is_tls, &settings.hosts, &settings.origins),
            limits: Limits::new(settings.requests_per_minute, settings.concurrency),
            bodies: Bodies::new(),
            is_ready: AtomicBool::new(false),
            exchanges: TaskTracker::new(),
            process: RandomState::new().hash_one(address) as u32,
            requests: AtomicU64::new(0),
        }
    }

    /// Requests from here on are served by these.
    pub(crate) fn replace(&self, profiles: Arc<dyn Profiles>) {
        self.profiles.replace(profiles);
    }

    /// The component is loaded, and calls need not wait for it.
    pub(crate) fn ready(&self) {
        self.is_ready.store(true, Ordering::Relaxed);
    }

    /// Waits until all requests are answered, apart from streams without an end.
    pub(super) async fn drained(&self) {
        self.exchanges.close();
        self.exchanges.wait().await;
    }

    /// Answers a request, whatever it is.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        place: &Place,
    ) -> Result<Response<Held>, Infallible> {
        let began = Instant::now();
        let address = place.address();
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let number: Arc<str> = format!("{:08x}-{number}", self.process).into();
        let method = shown(request.method());
        let path: String = request.uri().path().chars().take(SHOWN_CHARS).collect();
        let mut remote = Remote {
            user: None,
            preset: None,
            address,
            request: Arc::clone(&number),
            session: None,
        };
        let (mut response, holds) = match self.admit(request, &mut remote, place).await {
            Ok(answered) => answered,
            Err(refusal) => (self.refuse(refusal, &number), None),
        };
        let metrics = &self.metrics;
        metrics.responded(method, area(&path), response.status());
        let headers = response.headers_mut();
        if let Ok(number) = HeaderValue::from_str(&number) {
            headers.insert(REQUEST_ID, number);
        }
        if self.closing.is_cancelled() {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        tracing::info!(
            "{number} {address} {} {method} {path:?} {} {} ms",
            remote.user.as_deref().unwrap_or("-"),
            response.status().as_u16(),
            began.elapsed().as_millis()
        );
        Ok(response.map(|body| Held::new(body, holds)))
    }

    /// Answers a request of those who may send it.
    async fn admit(
        &self,
        request: Request<Incoming>,
        remote: &mut Remote,
        place: &Place,
    ) -> Result<(Response<Body>, Holds), Refusal> {
        check_head(&request)?;
        // Probes know the server by its address, and learn nothing that is not public.
        match request.uri().path() {
            "/healthz" => return Ok((of_probe(true, &json!({ "status": "ok" })), None)),
            "/readyz" => {
                let response = self.readiness(request.headers(), remote.address).await?;
                return Ok((response, None));
            }
            _ => {}
        }
        let host = self.visitors.check_host(&request)?;
        let origin = self.visitors.check_origin(request.headers(), &host)?;
        let open = visitor::preflight(&request);
        let answered = match open.or_else(|| self.access.metadata(&request)) {
            Some(response) => Ok((response, None)),
            None => self.authenticate(request, remote, place).await,
        };
        let Some(origin) = origin else {
            return answered;
        };
        // The page may read a refusal, too.
        let (mut response, holds) = match answered {
            Ok(answered) => answered,
            Err(refusal) => (self.refuse(refusal, &remote.request), None),
        };
        visitor::share(response.headers_mut(), origin);
        Ok((response, holds))
    }

    async fn authenticate(
        &self,
        mut request: Request<Incoming>,
        remote: &mut Remote,
        place: &Place,
    ) -> Result<(Response<Body>, Holds), Refusal> {
        let address = remote.address;
        let has_token = request.headers().contains_key(header::AUTHORIZATION);
        let identity = match self.access.admit(request.headers()).await {
            Ok(identity) => identity,
            // A right token counts even then: others may share the address, behind a proxy.
            Err(refusal) if has_token && refusal.status == StatusCode::UNAUTHORIZED => {
                return Err(self.limits.failed(address).unwrap_or(refusal));
            }
            Err(refusal) => return Err(refusal),
        };
        if let Some(identity) = identity {
            tracing::debug!(
                "{}: {} has the scopes {:?}",
                remote.request,
                identity.user,
                identity.scopes
            );
            remote.user = Some(identity.user);
            remote.preset = identity.preset;
        }
        place.know();
        // Nothing behind this needs the token.
        request.headers_mut().remove(header::AUTHORIZATION);
        if self.closing.is_cancelled() {
            let message = "this server is ending: try again in a moment";
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return Err(Refusal::new(status, "ending", message).retry_after(5));
        }
        let permit = self.limits.admit(remote.user.as_ref(), address)?;
        // A stream that only a client ends is not waited for.
        let exchange = (request.method() != Method::GET).then(|| self.exchanges.token());
        let open = self.metrics.open();
        let response = self.route(request, remote).await?;
        Ok((response, Some((permit, exchange, open))))
    }

    fn refuse(&self, refusal: Refusal, request: &str) -> Response<Body> {
        self.metrics.refused_http(refusal.code);
        refusal.into_response(request)
    }

    async fn route(
        &self,
        request: Request<Incoming>,
        remote: &Remote,
    ) -> Result<Response<Body>, Refusal> {
        let (head, body) = request.into_parts();
        if head.uri.path() == "/metrics" && head.method == Method::GET {
            return Ok(self.metrics.show());
        }
        let path = head.uri.path();
        if let Some(tool) = path.strip_prefix(plain::TOOLS) {
            return self.call_plainly(&head, tool, body, remote).await;
        }
        match path {
            "/mcp" => {
                let body = self.bodies.read(body, Endpoint::max_body_bytes()).await?;
                // The policy counts that is in force when the whole request is there.
                let profile = self.profiles.of(remote)?;
                if remote.only_observes() && profile.server.may_change(&body).await {
                    return Err(self.needs_more());
                }
                Ok(profile.endpoint.answer(head, body, remote.clone()).await)
            }
            "/openapi.json" if head.method == Method::GET => {
                let profile = self.profiles.of(remote)?;
                plain::describe(&profile.server, self.access.is_open()).await
            }
            _ => Err(Refusal::new(
                StatusCode::NOT_FOUND,
                "not_found",
                "nothing is here: MCP is at /mcp, and GET /openapi.json describes the tools for other \
                 programs",
            )),
        }
    }

    async fn call_plainly(
        &self,
        head: &Parts,
        tool: &str,
        body: Incoming,
        remote: &Remote,
    ) -> Result<Response<Body>, Refusal> {
        if head.method != Method::POST {
            let message = "tools are called with POST: GET /openapi.json describes them";
            let status = StatusCode::METHOD_NOT_ALLOWED;
            let refusal = Refusal::new(status, "bad_method", message);
            return Err(refusal.with(header::ALLOW, "POST"));
        }
        // So that no page can send it without being allowed to by the browser's question.
        let kind = head.headers.get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(Refusal::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "bad_content_type",
                "send the arguments as JSON, with the header Content-Type: application/json",
            ));
        }
        if self.profiles.of(remote)?.server.is_crowded() {
            let message = "too many calls are waiting: nothing was done; call again in a moment";
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return Err(Refusal::new(status, "busy", message).retry_after(1));
        }
        let body = self.bodies.read(body, Endpoint::max_body_bytes()).await?;
        let profile = self.profiles.of(remote)?;
        if remote.only_observes() && !profile.server.only_reads(tool).await {
            return Err(self.needs_more());
        }
        let place = profile
            .endpoint
            .room_for(&body, remote.user.as_ref())
            .map_err(|problem| {
                let text = problem.to_string();
                match problem {
                    NoRoom::TooManyValues => {
                        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", text)
                    }
                    NoRoom::AtTheMoment => {
                        let status = StatusCode::SERVICE_UNAVAILABLE;
                        Refusal::new(status, "no_room", text).retry_after(1)
                    }
                }
            })?;
        let response = plain::call(&profile.server, tool, &body, remote, &head.headers).await;
        drop(place);
        response
    }

    fn needs_more(&self) -> Refusal {
        self.access.insufficient(
            Preset::Operate,
            "the access token may only observe, and this may change something: request a token \
             with the scope in the header WWW-Authenticate",
        )
    }

    async fn readiness(
        &self,
        headers: &HeaderMap,
        address: IpAddr,
    ) -> Result<Response<Body>, Refusal> {
        let is_ready = self.is_ready.load(Ordering::Relaxed);
        let is_ending = self.closing.is_cancelled();
        let status = match (is_ready, is_ending) {
            (_, true) => "ending",
            (true, false) => "ready",
            (false, false) => "starting",
        };
        let mut body = Map::from_iter([("status".to_owned(), json!(status))]);
        // When the cluster was used last is not for strangers.
        let may_know = address.is_loopback()
            || self.access.is_open()
            || headers.contains_key(header::AUTHORIZATION)
                && match self.access.admit(headers).await {
                    Ok(_) => true,
                    // Nor may they try tokens here.
                    Err(_) => match self.limits.failed(address) {
                        Some(refusal) => return Err(refusal),
                        None => false,
                    },
                };
        if may_know {
            // Proxmox VE is not asked: a probe comes every few seconds.
            let (answered, failed) = self.metrics.contact();
            let contact = json!({
                "last_answer_seconds_ago": answered,
                "last_failure_seconds_ago": failed,
            });
            body.insert("proxmox".to_owned(), contact);
        }
        Ok(of_probe(is_ready && !is_ending, &Value::Object(body)))
    }
}

fn of_probe(is_well: bool, body: &Value) -> Response<Body> {
    let code = match is_well {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    json_response(code, body)
}

/// A method as the log and metrics show it: clients make up others.
fn shown(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// The same of a path.
fn area(path: &str) -> &'static str {
    match path {
        "/mcp" => "/mcp",
        "/metrics" => "/metrics",
        "/openapi.json" => "/openapi.json",
        "/healthz" => "/healthz",
        "/readyz" => "/readyz",
        path if path.starts_with(plain::TOOLS) => "/tools",
        path if path.starts_with("/.well-known/") => "/.well-known",
        _ => "other",
    }
}

/// Fails for a head that is too large.
fn check_head<T>(request: &Request<T>) -> Result<(), Refusal> {
    let size = |headers: &HeaderMap| -> usize {
        let sizes = headers.iter();
        sizes
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum()
    };
    let target = request.uri().path_and_query();
    let target = target.map_or(0, |target| target.as_str().len());
    if target + size(request.headers()) <= HEAD_BYTES {
        return Ok(());
    }
    let message = format!("the target and the headers of a request may have {HEAD_BYTES} bytes");
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    Err(Refusal::new(status, "head_too_large", message))
}
