//! The pooled HTTPS client.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Body;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client as HyperClient};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::CertificateError;
use tokio::sync::OnceCell;

use super::tls::{Rejected, Roots, TrustError};
use super::{FailureKind, MAX_RESPONSE_BYTES, SendError};
use crate::settings::Trust;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Shorter than pveproxy keeps an idle connection, so that few requests meet
/// one that is just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
const MAX_IDLE_CONNECTIONS: usize = 8;

type Connections = HyperClient<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Sends requests over HTTPS. The first one reads the system's certificates.
pub(super) struct Client {
    roots: Arc<Roots>,
    connections: OnceCell<Pools>,
}

struct Pools {
    /// Kept open between requests.
    reads: Connections,
    /// Closed after each request: a change never goes over a connection that
    /// the server may be closing at this very moment, after which nobody could
    /// tell whether it had arrived.
    writes: Connections,
}

impl Client {
    pub(super) fn new(trust: &Trust) -> Result<Self, TrustError> {
        Ok(Self {
            roots: Arc::new(Roots::new(trust)?),
            connections: OnceCell::new(),
        })
    }

    /// Reads the system's certificates.
    pub(super) async fn prepare(&self) {
        // The first request tells of a failure.
        let _ = self.pools().await;
    }

    /// Sends the request and reads the whole answer, both within `timeout`.
    pub(super) async fn send(
        &self,
        request: Request<Bytes>,
        timeout: Duration,
    ) -> Result<Response<Bytes>, SendError> {
        let answer = tokio::time::timeout(timeout, async {
            let pools = self.pools().await?;
            if !matches!(*request.method(), Method::GET | Method::HEAD) {
                return exchange(&pools.writes, request).await;
            }
            match exchange(&pools.reads, request.clone()).await {
                // An idle connection that the server closed meanwhile looks
                // like this. Asking once more changes nothing there.
                Err(error) if error.kind == FailureKind::ConnectionClosed => {
                    exchange(&pools.reads, request).await
                }
                answer => answer,
            }
        });
        match answer.await {
            Ok(answer) => answer,
            Err(_) => Err(SendError::new(
                FailureKind::ResponseTimeout,
                format!("no answer within {} s", timeout.as_secs()),
            )),
        }
    }

    async fn pools(&self) -> Result<&Pools, SendError> {
        self.connections.get_or_try_init(|| self.make_pools()).await
    }

    async fn make_pools(&self) -> Result<Pools, SendError> {
        let roots = Arc::clone(&self.roots);
        let config = tokio::task::spawn_blocking(move || roots.client_config())
            .await
            .map_err(|error| SendError::new(FailureKind::Tls(None), error.to_string()))?
            .map_err(|error| SendError::new(FailureKind::Tls(None), error.to_string()))?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_only()
            .enable_http1()
            .wrap_connector(tcp);
        let pool = |idle| {
            HyperClient::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE_TIMEOUT)
                .pool_max_idle_per_host(idle)
                // Tried again is only what was not begun to be sent.
                .retry_canceled_requests(true)
                .build(https.clone())
        };
        Ok(Pools {
            reads: pool(MAX_IDLE_CONNECTIONS),
            writes: pool(0),
        })
    }
}

async fn exchange(
    connections: &Connections,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, SendError> {
    let (mut parts, body) = request.into_parts();
    // Always a length, also of nothing: pveproxy refuses chunks, and a POST
    // without either.
    let has_body = !matches!(parts.method, Method::GET | Method::HEAD) || !body.is_empty();
    if has_body {
        parts
            .headers
            .insert(header::CONTENT_LENGTH, body.len().into());
    }
    let request = Request::from_parts(parts, Full::new(body));
    let response = connections.request(request).await.map_err(of_request)?;

    let (parts, body) = response.into_parts();
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(SendError::new(
            FailureKind::Protocol,
            "the server wants another protocol, which was not asked for",
        ));
    }
    if let Some(coding) = parts.headers.get(header::CONTENT_ENCODING)
        && coding != "identity"
    {
        return Err(SendError::new(
            FailureKind::ResponseEncoded,
            "the answer is compressed, which was not asked for",
        ));
    }
    if body.size_hint().lower() > MAX_RESPONSE_BYTES as u64 {
        return Err(too_large());
    }
    let body = Limited::new(body, MAX_RESPONSE_BYTES).collect().await;
    let body = body.map_err(|error| of_body(error.as_ref()))?.to_bytes();
    Ok(Response::from_parts(parts, body))
}

fn of_request(error: legacy::Error) -> SendError {
    let connecting = error.is_connect();
    let (kind, detail) = causes(&error)
        .find_map(known_cause)
        .unwrap_or_else(|| unknown_cause(&error, connecting));
    // While it is being made, nothing of the request has left: a service that
    // is just ending takes connections and drops them.
    let (kind, detail) = match kind {
        FailureKind::ConnectionClosed if connecting => (
            FailureKind::ConnectionRefused,
            "the connection was closed as it was being made".to_owned(),
        ),
        _ => (kind, detail),
    };
    tracing::debug!("request failed: {kind:?}: {}", chain(&error));
    SendError::new(kind, detail)
}

fn of_body(error: &(dyn Error + 'static)) -> SendError {
    if error.is::<LengthLimitError>() {
        return too_large();
    }
    tracing::debug!("answer broke off: {}", chain(error));
    SendError::new(
        FailureKind::ResponseIncomplete,
        "the connection ended within the answer",
    )
}

fn too_large() -> SendError {
    SendError::new(
        FailureKind::ResponseTooLarge,
        format!("the answer is larger than {} MiB", MAX_RESPONSE_BYTES >> 20),
    )
}

/// What one link in the chain of causes tells, if it does.
fn known_cause(error: &(dyn Error + 'static)) -> Option<(FailureKind, String)> {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        // What an I/O error wraps is not among its sources.
        let inner = error.get_ref().and_then(|inner| known_cause(inner));
        return inner.or_else(|| of_io(error));
    }
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return Some(of_tls(error));
    }
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
            return Some((
                FailureKind::ConnectionClosed,
                "the connection ended before the answer".to_owned(),
            ));
        }
        if error.is_parse() {
            return Some((
                FailureKind::Protocol,
                format!("the answer is not http: {error}"),
            ));
        }
        return None;
    }
    // hyper-util keeps this type to itself.
    error.to_string().starts_with("dns error").then(|| {
        (
            FailureKind::NameNotFound,
            "the host name cannot be resolved".to_owned(),
        )
    })
}

fn of_io(error: &io::Error) -> Option<(FailureKind, String)> {
    use io::ErrorKind as Io;
    let kind = match error.kind() {
        Io::ConnectionRefused => FailureKind::ConnectionRefused,
        Io::TimedOut => FailureKind::ConnectTimeout,
        Io::HostUnreachable | Io::NetworkUnreachable | Io::AddrNotAvailable => {
            FailureKind::Unroutable
        }
        Io::ConnectionReset | Io::ConnectionAborted | Io::BrokenPipe | Io::UnexpectedEof => {
            FailureKind::ConnectionClosed
        }
        _ => return None,
    };
    let detail = match kind {
        FailureKind::ConnectionRefused => "connection refused".to_owned(),
        FailureKind::ConnectTimeout => {
            format!("no connection within {} s", CONNECT_TIMEOUT.as_secs())
        }
        FailureKind::Unroutable => "no route to the host".to_owned(),
        _ => "the connection ended before the answer".to_owned(),
    };
    Some((kind, detail))
}

fn of_tls(error: &rustls::Error) -> (FailureKind, String) {
    match error {
        rustls::Error::InvalidCertificate(error) => {
            (FailureKind::Certificate, of_certificate(error))
        }
        rustls::Error::NoCertificatesPresented => (
            FailureKind::Certificate,
            "the server has no certificate".to_owned(),
        ),
        rustls::Error::AlertReceived(alert) => (
            FailureKind::Tls(Some(u8::from(*alert))),
            format!("the server ended the tls handshake: {alert:?}"),
        ),
        rustls::Error::InvalidMessage(_) => (
            FailureKind::Tls(None),
            "the port does not speak tls".to_owned(),
        ),
        error => (FailureKind::Tls(None), format!("tls failed: {error}")),
    }
}

fn of_certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::Other(other) => match other.0.downcast_ref::<Rejected>() {
            Some(rejected) => rejected.to_string(),
            None => error.to_string(),
        },
        CertificateError::BadSignature => {
            "the server does not have the key of the certificate that it shows".to_owned()
        }
        error => error.to_string(),
    }
}

fn unknown_cause(error: &legacy::Error, connecting: bool) -> (FailureKind, String) {
    let kind = if connecting {
        FailureKind::Unroutable
    } else {
        FailureKind::Protocol
    };
    (kind, chain(error))
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let messages: Vec<_> = causes(error).map(ToString::to_string).collect();
    messages.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn failure(uri: &str) -> FailureKind {
        let client = Client::new(&Trust::Verified { ca: None }).unwrap();
        let request = Request::get(uri).body(Bytes::new()).unwrap();
        let answer = client.send(request, Duration::from_secs(20)).await;
        answer.unwrap_err().kind
    }

    #[tokio::test]
    async fn a_name_that_means_nothing() {
        let kind = failure("https://nonexistent.invalid/").await;
        assert_eq!(kind, FailureKind::NameNotFound);
    }

    #[tokio::test]
    async fn a_port_where_nobody_listens() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let kind = failure(&format!("https://127.0.0.1:{port}/")).await;
        assert_eq!(kind, FailureKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn a_port_that_does_not_speak_tls() {
        use tokio::io::AsyncWriteExt as _;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.write_all(b"HTTP/1.0 400 No\r\n\r\n").await.unwrap();
            }
        });
        let kind = failure(&format!("https://127.0.0.1:{port}/")).await;
        assert_eq!(kind, FailureKind::Tls(None));
    }
}
