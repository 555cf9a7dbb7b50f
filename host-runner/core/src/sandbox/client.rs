//! The pooled HTTPS client.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client as HyperClient};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{AlertDescription, CertificateError};
use tokio::runtime::Handle;
use tokio::sync::OnceCell;
use tokio_util::task::AbortOnDropHandle;

use super::failure::{FailureKind, SendError};
use super::in_time::{InTime, TooSlow};
use super::limits::{COPIES_OF_AN_ANSWER, MAX_RESPONSE_BYTES};
use super::tls::{Identity, Rejected, Roots, TrustError};
use super::tunnel::{Connector, ProxyError};
use crate::budget::{Account, Hold};
use crate::settings::{ClientCertificate, Proxy, Trust};
use crate::timings::{self, Milestone};

/// How long a connection may take, with its TLS.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The same where there is another address to try.
const SHORT_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long data may stay unacknowledged on a connection that was made, where there is
/// another address to try: a node that has lost its power does not end its connections.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(5);
/// Shorter than pveproxy keeps an idle connection, so that few requests meet
/// one that is just being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
const MAX_IDLE_CONNECTIONS: usize = 8;
/// What is read ahead of an answer; its head has to fit in.
const READ_BUFFER_BYTES: usize = 64 * 1024;

type Connections = HyperClient<InTime<HttpsConnector<Connector>>, Full<Bytes>>;

/// Sends requests over HTTPS. The first one reads the system's certificates.
#[derive(Clone)]
pub(super) struct HttpsClient {
    roots: Arc<Roots>,
    identity: Option<Identity>,
    proxy: Option<Arc<Proxy>>,
    connections: Arc<OnceCell<Pools>>,
    /// Connections are served where no component can hold them up.
    home: Option<Handle>,
    /// Whether there is another address to try.
    is_one_of_several: bool,
}

/// The body of an answer, and the memory that it takes.
pub(super) struct Kept {
    pub(super) bytes: Vec<u8>,
    pub(super) hold: Hold,
}

struct Pools {
    /// Kept open between requests.
    reads: Connections,
    /// Closed after each request: on a connection that the server may be closing
    /// at that moment, it would be unknown whether a change arrived.
    writes: Connections,
}

impl HttpsClient {
    pub(super) fn new(
        trust: &Trust,
        certificate: Option<&ClientCertificate>,
        proxy: Option<&Proxy>,
    ) -> Result<Self, TrustError> {
        Ok(Self {
            roots: Arc::new(Roots::new(trust)?),
            identity: certificate.map(Identity::new).transpose()?,
            proxy: proxy.cloned().map(Arc::new),
            connections: Arc::default(),
            home: Handle::try_current().ok(),
            is_one_of_several: false,
        })
    }

    /// For an address that is not the only one: does not wait long for a connection.
    pub(super) fn one_of_several(mut self) -> Self {
        self.is_one_of_several = true;
        self
    }

    /// Reads the system's certificates.
    pub(super) async fn prepare(&self) {
        // The first request reports a failure.
        let _ = self.pools().await;
    }

    /// Sends the request and reads the whole answer, both within `timeout`. The
    /// account pays for the answer.
    pub(super) async fn send(
        &self,
        request: Request<Bytes>,
        timeout: Duration,
        account: &Arc<Account>,
    ) -> Result<Response<Kept>, SendError> {
        let (client, account) = (self.clone(), Arc::clone(account));
        let exchange = async move { client.ask(request, &account).await };
        let answer = tokio::time::timeout(timeout, async {
            match &self.home {
                Some(home) => AbortOnDropHandle::new(home.spawn(exchange))
                    .await
                    .unwrap_or_else(|error| {
                        Err(SendError::new(FailureKind::Protocol, error.to_string()))
                    }),
                None => exchange.await,
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

    async fn ask(
        &self,
        request: Request<Bytes>,
        account: &Arc<Account>,
    ) -> Result<Response<Kept>, SendError> {
        let pools = self.pools().await?;
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return exchange(&pools.writes, request, account).await;
        }
        match exchange(&pools.reads, request.clone(), account).await {
            // An idle connection that the server has closed looks like this. Asking once more changes nothing there.
            Err(error) if error.kind == FailureKind::ConnectionClosed => {
                exchange(&pools.reads, request, account).await
            }
            answer => answer,
        }
    }

    async fn pools(&self) -> Result<&Pools, SendError> {
        self.connections.get_or_try_init(|| self.make_pools()).await
    }

    async fn make_pools(&self) -> Result<Pools, SendError> {
        let (roots, identity) = (Arc::clone(&self.roots), self.identity.clone());
        let config = tokio::task::spawn_blocking(move || roots.client_config(identity))
            .await
            .map_err(|error| SendError::new(FailureKind::Tls(None), error.to_string()))?
            .map_err(|error| SendError::new(FailureKind::Tls(None), error.to_string()))?;
        timings::reached(Milestone::Certificates);
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let within = match self.is_one_of_several {
            true => SHORT_CONNECT_TIMEOUT,
            false => CONNECT_TIMEOUT,
        };
        tcp.set_connect_timeout(Some(within));
        #[cfg(target_os = "linux")]
        if self.is_one_of_several {
            tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        }
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_only()
            .enable_http1()
            .wrap_connector(Connector::new(tcp, self.proxy.as_deref()));
        let https = InTime::new(https, within);
        let pool = |idle| {
            HyperClient::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE_TIMEOUT)
                .pool_max_idle_per_host(idle)
                .http1_max_buf_size(READ_BUFFER_BYTES)
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
    account: &Arc<Account>,
) -> Result<Response<Kept>, SendError> {
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
    let body = read(body, account).await?;
    Ok(Response::from_parts(parts, body))
}

/// Reads a body into one piece: kept in the pieces that a server chooses, it
/// could take a hundred times as much.
async fn read(mut body: Incoming, account: &Arc<Account>) -> Result<Kept, SendError> {
    let declared = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut kept = Kept {
        bytes: Vec::new(),
        hold: account.hold(0).await.map_err(|_| too_large())?,
    };
    kept.reserve(declared).await?;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| of_body(&error))?.into_data() else {
            continue;
        };
        let length = kept.bytes.len() + data.len();
        if length > kept.bytes.capacity() {
            kept.reserve(
                length
                    .max(2 * kept.bytes.capacity())
                    .min(MAX_RESPONSE_BYTES),
            )
            .await?;
        }
        if length > MAX_RESPONSE_BYTES {
            return Err(too_large());
        }
        kept.bytes.extend_from_slice(&data);
    }
    Ok(kept)
}

impl Kept {
    /// Makes room for a body of this length in all.
    async fn reserve(&mut self, length: usize) -> Result<(), SendError> {
        if length > MAX_RESPONSE_BYTES {
            return Err(too_large());
        }
        let resized = self.hold.resize(length * COPIES_OF_AN_ANSWER).await;
        resized.map_err(|_| too_large())?;
        self.bytes.reserve_exact(length - self.bytes.len());
        Ok(())
    }
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn of_request(error: legacy::Error) -> SendError {
    let connecting = error.is_connect();
    let (kind, detail) = causes(&error)
        .find_map(known_cause)
        .unwrap_or_else(|| unknown_cause(&error, connecting));
    let (kind, detail) = match kind {
        // While it is being made, nothing of the request has left: a service that
        // is just ending takes connections and drops them.
        FailureKind::ConnectionClosed if connecting => (
            FailureKind::ConnectionRefused,
            "the connection was closed as it was being made".to_owned(),
        ),
        // On a connection that was made, the request may have arrived, whatever ends it: a
        // router, a timeout of TCP, or an alert of TLS 1.3 after the handshake.
        FailureKind::ConnectTimeout | FailureKind::Unroutable if !connecting => (
            FailureKind::ConnectionClosed,
            "the connection ended before the answer".to_owned(),
        ),
        // The server refuses this client: it has read nothing behind the handshake.
        FailureKind::Tls(Some(alert)) if !connecting && is_of_client(alert.into()) => {
            (kind, detail)
        }
        kind if kind.is_before_sending() && !connecting => (FailureKind::ConnectionClosed, detail),
        kind => (kind, detail),
    };
    tracing::debug!("request failed: {kind:?}: {}", chain(&error));
    SendError::new(kind, detail)
}

/// What an error of a connection means. None where nothing is known of it.
pub(super) fn explain(error: &(dyn Error + 'static)) -> Option<(FailureKind, String)> {
    causes(error).find_map(known_cause)
}

fn of_body(error: &(dyn Error + 'static)) -> SendError {
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

/// The kind of failure that one link in the chain of causes shows, if any.
fn known_cause(error: &(dyn Error + 'static)) -> Option<(FailureKind, String)> {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        // What an I/O error wraps is not among its sources.
        let inner = error.get_ref().and_then(|inner| known_cause(inner));
        return inner.or_else(|| of_io(error));
    }
    if let Some(error) = error.downcast_ref::<ProxyError>() {
        return Some((FailureKind::Proxy, error.to_string()));
    }
    if let Some(TooSlow(within)) = error.downcast_ref() {
        let detail = format!("no connection within {} s", within.as_secs());
        return Some((FailureKind::ConnectTimeout, detail));
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
                format!("the answer is not HTTP: {error}"),
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
        FailureKind::ConnectTimeout => "the connection timed out".to_owned(),
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
        rustls::Error::AlertReceived(alert) => {
            (FailureKind::Tls(Some(u8::from(*alert))), of_alert(*alert))
        }
        rustls::Error::InvalidMessage(_) => (
            FailureKind::Tls(None),
            "the port does not speak TLS".to_owned(),
        ),
        error => (FailureKind::Tls(None), format!("TLS failed: {error}")),
    }
}

/// Whether an alert says that the certificate of this client is missing or not accepted,
/// which a server of TLS 1.3 says only after its own part of the handshake.
fn is_of_client(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError
    )
}

/// What an alert of the server means. Those about a certificate are about the one
/// that it was shown.
fn of_alert(alert: AlertDescription) -> String {
    let what = format!("the server ended the TLS handshake: {alert:?}");
    match alert {
        AlertDescription::CertificateRequired => format!(
            "{what}; it requires a client certificate: set PROXMOX_CLIENT_CERT and \
             PROXMOX_CLIENT_KEY"
        ),
        alert if is_of_client(alert) => format!(
            "{what}; it does not accept the client certificate in PROXMOX_CLIENT_CERT, or \
             requires one"
        ),
        _ => what,
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
    use crate::budget::Budget;

    async fn failure(uri: &str) -> FailureKind {
        let client = HttpsClient::new(&Trust::Verified { ca: None }, None, None).unwrap();
        let request = Request::get(uri).body(Bytes::new()).unwrap();
        let account = Budget::new(0, MAX_RESPONSE_BYTES).account();
        let answer = client
            .send(request, Duration::from_secs(20), &account)
            .await;
        answer.map(drop).unwrap_err().kind
    }

    #[tokio::test]
    async fn a_name_that_means_nothing() {
        let kind = failure("https://nonexistent.invalid/").await;
        assert_eq!(kind, FailureKind::NameNotFound);
    }

    #[tokio::test]
    async fn a_port_that_is_closed() {
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
