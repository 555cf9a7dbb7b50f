//! The export: wasi:http on one side, rmcp's HTTP server on the other.

use std::env;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::Value;

use crate::bindings::exports::wasi::http::incoming_handler::Guest;
use crate::bindings::wasi::http::types::{
    ErrorCode, Fields, IncomingRequest, Method as WasiMethod, OutgoingBody, OutgoingResponse,
    ResponseOutparam,
};
use crate::bindings::wasi::io::streams::StreamError;
use crate::door::{self, Admission, Head};
use crate::message;
use crate::server::Server;

/// The most that a request may hold. The tools take 512 KiB at most.
const MAX_BODY_BYTES: usize = 1 << 20;
/// What is read of a body at once.
const READ_BYTES: u64 = 64 * 1024;
/// What wasi:http guarantees to take at once.
const WRITE_BYTES: usize = 4096;

const LOOPBACK_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
const LOOPBACK_ORIGINS: [&str; 3] = ["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"];

/// What `bindings` exports.
pub(crate) struct Adapter;

impl Guest for Adapter {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let response = answer(request);
        send(response, out);
    }
}

fn answer(request: IncomingRequest) -> Response<Bytes> {
    let configured = env::var("PROXMOX_MCP_HTTP_TOKEN").ok();
    let token = door::token(configured.as_deref());
    let target = request.path_with_query().unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    let method = method(&request.method());
    let headers = request.headers();
    let authorization = headers.get("authorization");
    let authorization: Vec<&[u8]> = authorization.iter().map(Vec::as_slice).collect();
    let head = Head {
        is_get: method == Method::GET,
        path,
        authorization: &authorization,
    };
    if let (Err(why), [_, ..]) = (&token, head.authorization) {
        // Every request has an instance of its own, so what is written for each
        // would fill the log. This client believes that it is known. Stdout may
        // be the host's own.
        eprintln!("{why}");
    }
    let refusal = door::refusal(token.is_ok());
    match door::admit(head, token.ok()) {
        Admission::Mcp => {}
        Admission::Well => return text(StatusCode::OK, "ok"),
        Admission::Nowhere => {
            return text(StatusCode::NOT_FOUND, "not found: MCP is served at /mcp");
        }
        Admission::Unknown { wrong } => {
            let mut response = text(StatusCode::UNAUTHORIZED, refusal);
            let challenge = HeaderValue::from_static(door::challenge(wrong));
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
            return response;
        }
    }
    let mut headers = to_headers(&headers);
    // The engine may keep it apart.
    if let Some(authority) = request.authority()
        && let Ok(authority) = HeaderValue::from_str(&authority)
    {
        headers.insert(header::HOST, authority);
    }
    headers.remove(header::AUTHORIZATION);
    let body = match read(&request) {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    if method == Method::POST
        && let Err(malformed) = message::check(&body)
    {
        let status = StatusCode::from_u16(malformed.status).unwrap_or(StatusCode::BAD_REQUEST);
        return json(status, &malformed.body);
    }
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = method;
    *request.headers_mut() = headers;
    speak(request)
}

/// Lets rmcp answer.
fn speak(request: Request<Full<Bytes>>) -> Response<Bytes> {
    let list = |name: &str, default: &[&str]| door::list(env::var(name).ok().as_deref(), default);
    let mut config = StreamableHttpServerConfig::default();
    config.legacy_session_mode = false;
    config.json_response = true;
    config.sse_keep_alive = None;
    config.max_request_body_bytes = MAX_BODY_BYTES;
    config.allowed_hosts = list("PROXMOX_MCP_HTTP_HOSTS", &LOOPBACK_HOSTS);
    config.allowed_origins = list("PROXMOX_MCP_HTTP_ORIGINS", &LOOPBACK_ORIGINS);
    let config = config.enforce_origin_validation();
    let sessions = Arc::new(NeverSessionManager::default());
    let service = StreamableHttpService::new(|| Ok(Server), sessions, config);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let Ok(runtime) = runtime else {
        return text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the runtime does not start",
        );
    };
    runtime.block_on(async move {
        let (parts, body) = service.handle(request).await.into_parts();
        let Ok(body) = body.collect().await;
        Response::from_parts(parts, body.to_bytes())
    })
}

fn method(method: &WasiMethod) -> Method {
    match method {
        WasiMethod::Get => Method::GET,
        WasiMethod::Post => Method::POST,
        WasiMethod::Delete => Method::DELETE,
        WasiMethod::Head => Method::HEAD,
        WasiMethod::Options => Method::OPTIONS,
        WasiMethod::Put => Method::PUT,
        WasiMethod::Patch => Method::PATCH,
        WasiMethod::Trace => Method::TRACE,
        WasiMethod::Connect => Method::CONNECT,
        WasiMethod::Other(name) => Method::from_bytes(name.as_bytes()).unwrap_or(Method::TRACE),
    }
}

fn to_headers(fields: &Fields) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields.entries() {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(&value)) {
            headers.append(name, value);
        }
    }
    headers
}

/// Reads the whole body, as far as it may go.
fn read(request: &IncomingRequest) -> Result<Vec<u8>, Response<Bytes>> {
    let broken = || text(StatusCode::BAD_REQUEST, "the body cannot be read");
    let body = request.consume().map_err(|()| broken())?;
    let stream = body.stream().map_err(|()| broken())?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(READ_BYTES) {
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(StreamError::LastOperationFailed(_)) => return Err(broken()),
        }
        if bytes.len() > MAX_BODY_BYTES {
            return Err(text(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body is larger than 1 MiB",
            ));
        }
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(text.as_bytes()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn json(status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn send(response: Response<Bytes>, out: ResponseOutparam) {
    let (parts, body) = response.into_parts();
    let fields = Fields::new();
    for (name, value) in &parts.headers {
        // The engine frames the message itself.
        if !matches!(*name, header::CONTENT_LENGTH | header::TRANSFER_ENCODING) {
            let _ = fields.append(name.as_str(), value.as_bytes());
        }
    }
    let response = OutgoingResponse::new(fields);
    let taken = response
        .set_status_code(parts.status.as_u16())
        .and_then(|()| response.body());
    let Ok(outgoing) = taken else {
        return ResponseOutparam::set(out, Err(ErrorCode::InternalError(None)));
    };
    ResponseOutparam::set(out, Ok(response));
    // Whoever no longer reads wants none of it.
    let _ = write(&outgoing, &body);
    let _ = OutgoingBody::finish(outgoing, None);
}

fn write(body: &OutgoingBody, bytes: &[u8]) -> Result<(), ()> {
    let stream = body.write()?;
    for chunk in bytes.chunks(WRITE_BYTES) {
        stream
            .blocking_write_and_flush(chunk)
            .map_err(|_: StreamError| ())?;
    }
    Ok(())
}
