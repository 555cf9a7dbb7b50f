//! One request of a client, and what it is answered.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use host_runner_policy::API_PATH;
use http::header::{self, HeaderName};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::key::Key;
use super::rate::Rate;
use crate::audit::{CallOutcome, CallStart, Occasion};
use crate::engine::Plugin;
use crate::redact::Masked;
use crate::sandbox::{FailureKind, Gate, SendError, Terms, is_forbidden_header, strip_headers};

/// How long the body of a request may take.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Says in an answer that it is not Proxmox's, and what is known of the
/// request: the component reads it (`src/pve/transport.rs`).
const MARK: HeaderName = HeaderName::from_static("x-forward-error");

/// Passes requests on.
pub(super) struct Forwarder {
    pub(super) plugin: Arc<Plugin>,
    pub(super) terms: Terms,
    pub(super) key: Key,
    pub(super) rate: Mutex<Rate>,
}

/// An answer that does not come from Proxmox.
struct Refusal {
    status: StatusCode,
    /// What is known of the request.
    mark: &'static str,
    reason: String,
}

impl Forwarder {
    /// Answers one request, whatever it is. The first one with the key cancels
    /// `known`.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        turns: &Semaphore,
        known: &CancellationToken,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        if let Err(refusal) = self.admit(&request) {
            // A client without the key may not keep its connection.
            let mut answer = refusal.into_response();
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(header::CONNECTION, close);
            return Ok(answer);
        }
        known.cancel();
        let answer = self.forward(request, turns).await;
        Ok(answer.unwrap_or_else(Refusal::into_response))
    }

    /// Whether a request is the operator's client's. Until that is certain,
    /// nothing of it counts, and every answer is the same for everybody.
    fn admit(&self, request: &Request<Incoming>) -> Result<(), Refusal> {
        let headers = request.headers();
        if !is_local(headers) {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "forward accepts only requests to a loopback address, such as \
                 http://127.0.0.1:8007",
            ));
        }
        // Browsers send it; components do not.
        let is_page = headers.keys().any(|name| {
            *name == header::ORIGIN || *name == header::REFERER || name.as_str().starts_with("sec-")
        });
        if is_page {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "forward refuses requests from web pages",
            ));
        }
        let mut keys = headers.get_all(header::AUTHORIZATION).iter();
        match (keys.next(), keys.next()) {
            (Some(key), None) if self.key.is_in(key) => Ok(()),
            _ => Err(Refusal::new(
                StatusCode::UNAUTHORIZED,
                "the key of host-runner forward is missing or wrong: give the content of its key \
                 file as PROXMOX_TOKEN_SECRET",
            )),
        }
    }

    async fn forward(
        &self,
        request: Request<Incoming>,
        turns: &Semaphore,
    ) -> Result<Response<Full<Bytes>>, Refusal> {
        if request.uri().scheme().is_some() || request.uri().authority().is_some() {
            return Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                format!("forward is not a proxy: ask it for a path, such as {API_PATH}/version"),
            ));
        }
        let counted = {
            let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
            rate.take(Instant::now())
        };
        counted.map_err(|error| Refusal::new(StatusCode::TOO_MANY_REQUESTS, error.to_string()))?;
        // Never closed.
        let _turn = turns.acquire().await;
        let start = CallStart {
            client_name: Some("host-runner forward"),
            client_version: Some(env!("CARGO_PKG_VERSION")),
            remote: None,
            parent: None,
            tool: "forward",
            occasion: Occasion::Call,
            arguments: &|| Masked(Value::Object(Map::new())),
        };
        let gate = self.plugin.gate(self.terms.clone(), Some(&start));
        let is_for_api = request.uri().path().starts_with(API_PATH);
        let sent = send(&gate, request).await;
        gate.finish(
            match &sent {
                Ok(_) => CallOutcome::Ok,
                Err(error) if error.kind == FailureKind::Denied => CallOutcome::Error("denied"),
                Err(_) => CallOutcome::Error("unreachable"),
            },
            None,
        );
        match sent {
            Ok(answer) => Ok(passed_on(answer)),
            Err(error) => {
                let mut refusal = Refusal::of(error);
                if !is_for_api {
                    refusal.reason.push_str(
                        "; use PROXMOX_URL as host-runner forward printed it, without a path",
                    );
                }
                if gate.unconfirmed().is_some() {
                    refusal.reason.push_str(
                        "; no user can be asked here; the operator can allow such changes with \
                         --confirm-fallback allow",
                    );
                }
                Err(refusal)
            }
        }
    }
}

async fn send(gate: &Gate, request: Request<Incoming>) -> Result<Response<Bytes>, SendError> {
    let (mut parts, body) = request.into_parts();
    let late = |_| {
        SendError::new(
            FailureKind::RequestTooLarge,
            "the request did not end in time",
        )
    };
    let (body, _hold) = tokio::time::timeout(BODY_TIME, gate.read_body(body))
        .await
        .map_err(late)??;
    // The gate does it, too, but measures all of them before.
    strip_headers(&mut parts.headers);
    let request = gate.addressed(Request::from_parts(parts, body))?;
    gate.send(request, None).await
}

/// Whether a request names this machine as what it asks: by another name, a
/// web page may have led a browser here.
fn is_local(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let Ok(host) = Authority::try_from(host.as_bytes()) else {
        return false;
    };
    if host.as_str().contains('@') {
        return false;
    }
    match host.host() {
        "[::1]" => true,
        name if name.eq_ignore_ascii_case("localhost") => true,
        name => name
            .parse()
            .is_ok_and(|address: std::net::Ipv4Addr| address.is_loopback()),
    }
}

/// Proxmox's answer, without what is about its own connection.
fn passed_on(answer: Response<Bytes>) -> Response<Full<Bytes>> {
    let (mut parts, body) = answer.into_parts();
    let own: Vec<_> = parts
        .headers
        .keys()
        .filter(|name| {
            is_forbidden_header(name) || **name == header::CONTENT_LENGTH || **name == MARK
        })
        .cloned()
        .collect();
    for name in own {
        parts.headers.remove(name);
    }
    parts.version = http::Version::HTTP_11;
    parts.extensions.clear();
    Response::from_parts(parts, Full::new(body))
}

impl Refusal {
    /// Of a request that did not get as far as the sandbox.
    fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        let mark = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "denied",
            _ => "not-sent",
        };
        Self {
            status,
            mark,
            reason: reason.into(),
        }
    }

    /// Of a request that the sandbox did not send, or that was not answered.
    fn of(error: SendError) -> Self {
        let SendError { kind, detail, .. } = error;
        let (status, mark, hint) = match kind {
            FailureKind::Denied => (StatusCode::FORBIDDEN, "denied", ""),
            FailureKind::RequestTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "not-sent", ""),
            FailureKind::NameNotFound => (
                StatusCode::BAD_GATEWAY,
                "not-sent",
                ": check PROXMOX_URL of host-runner forward, and that its machine's DNS knows the \
                 name",
            ),
            FailureKind::ConnectionRefused => (
                StatusCode::BAD_GATEWAY,
                "closed",
                ": check PROXMOX_URL of host-runner forward, and that pveproxy is running",
            ),
            FailureKind::Unroutable | FailureKind::ConnectTimeout => (
                StatusCode::BAD_GATEWAY,
                "not-sent",
                ": check PROXMOX_URL of host-runner forward, the firewall, and that the node is up",
            ),
            FailureKind::Proxy => (
                StatusCode::BAD_GATEWAY,
                "not-sent",
                ": check PROXMOX_PROXY of host-runner forward",
            ),
            FailureKind::Certificate => (
                StatusCode::BAD_GATEWAY,
                "not-sent",
                ": give host-runner forward the cluster's CA as PROXMOX_CA_FILE, or the \
                 certificate's SHA-256 fingerprint as PROXMOX_FINGERPRINT",
            ),
            FailureKind::Tls(_) => (
                StatusCode::BAD_GATEWAY,
                "not-sent",
                ": check the port in PROXMOX_URL of host-runner forward (Proxmox listens on 8006)",
            ),
            FailureKind::ConnectionClosed | FailureKind::ResponseIncomplete => {
                (StatusCode::BAD_GATEWAY, "cut", "")
            }
            FailureKind::ResponseTimeout => (StatusCode::GATEWAY_TIMEOUT, "broken", ""),
            FailureKind::ResponseTooLarge
            | FailureKind::ResponseEncoded
            | FailureKind::Protocol => (StatusCode::BAD_GATEWAY, "broken", ""),
        };
        Self {
            status,
            mark,
            reason: format!("{detail}{hint}"),
        }
    }

    /// As Proxmox answers errors: `{"data":null,"message":"…"}`.
    fn into_response(self) -> Response<Full<Bytes>> {
        let body = json!({ "data": null, "message": self.reason }).to_string();
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json;charset=UTF-8"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(MARK, HeaderValue::from_static(self.mark));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_this_machine_are_local() {
        let local = |hosts: &[&str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, HeaderValue::from_str(host).unwrap());
            }
            is_local(&headers)
        };
        for host in [
            "127.0.0.1:8007",
            "localhost:8007",
            "LOCALHOST",
            "[::1]:1",
            "127.9.9.9",
        ] {
            assert!(local(&[host]), "{host}");
        }
        for hosts in [
            &[][..],
            &["example.com:8007"],
            &["localhost.example.com"],
            &["127.0.0.1.example.com"],
            &["evil@127.0.0.1"],
            &["0.0.0.0:8007"],
            &["2130706433"],
            &[""],
            &["127.0.0.1", "example.com"],
        ] {
            assert!(!local(hosts), "{hosts:?}");
        }
    }
}
