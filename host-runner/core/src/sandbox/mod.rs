//! What leaves the process: requests to one origin, with the token added here,
//! and nothing else.
//!
//! The component asks; this module decides, by the request itself and not by
//! what the component says of it. It knows neither the engine nor MCP.

mod client;
mod headers;
mod origin;
mod tls;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};

pub(crate) use self::headers::is_forbidden as is_forbidden_header;
pub(crate) use self::origin::{Origin, OriginError};
pub(crate) use self::tls::TrustError;

use self::client::Client;
use crate::settings::Settings;

/// The most that Proxmox VE takes as a request's body.
pub(crate) const MAX_REQUEST_BYTES: usize = 512 * 1024;
/// The most that an answer may hold.
pub(crate) const MAX_RESPONSE_BYTES: usize = 16 * 1024 * 1024;
/// How long an answer may take in all: Proxmox VE itself gives up on a node
/// after 30 s.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(35);

/// The way out, for all calls.
pub(crate) struct Sandbox {
    /// Without one, nothing leaves.
    exit: Option<Exit>,
}

/// A request that was not answered.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct SendError {
    /// What kind of failure.
    pub kind: FailureKind,
    /// What happened, for a person. Holds no secret.
    pub detail: String,
}

/// Why a request was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// It may not leave. Nothing was sent.
    Denied,
    /// Its body is larger than [`MAX_REQUEST_BYTES`]. Nothing was sent.
    RequestTooLarge,
    /// The host name means nothing.
    NameNotFound,
    /// Nobody listens there.
    ConnectionRefused,
    /// No way leads there.
    Unroutable,
    /// It did not even take the connection.
    ConnectTimeout,
    /// The connection ended before the answer began.
    ConnectionClosed,
    /// The certificate is not trusted, not valid now, or another host's.
    Certificate,
    /// Any other failure of TLS, with the alert that the server sent.
    Tls(Option<u8>),
    /// It took longer than [`REQUEST_TIMEOUT`], or than the component wanted.
    ResponseTimeout,
    /// Larger than [`MAX_RESPONSE_BYTES`].
    ResponseTooLarge,
    /// The connection ended within the answer.
    ResponseIncomplete,
    /// Compressed, which was not asked for.
    ResponseEncoded,
    /// What came back is not HTTP.
    Protocol,
}

struct Exit {
    origin: Origin,
    authorization: HeaderValue,
    client: Client,
}

impl Sandbox {
    /// The way out to the configured Proxmox VE.
    pub(crate) fn new(settings: &Settings) -> Result<Self, TrustError> {
        let token = format!("PVEAPIToken={}!{}=", settings.user, settings.token_name);
        let authorization = settings.token_secret.expose_after(&token);
        let mut authorization =
            HeaderValue::from_maybe_shared(authorization).map_err(|_| TrustError::Token)?;
        authorization.set_sensitive(true);
        Ok(Self {
            exit: Some(Exit {
                origin: settings.origin.clone(),
                authorization,
                client: Client::new(&settings.trust)?,
            }),
        })
    }

    /// No way out: for looking at a component without settings.
    pub(crate) fn sealed() -> Self {
        Self { exit: None }
    }

    /// Does ahead of time what the first request would have to wait for:
    /// nothing is sent.
    pub(crate) async fn prepare(&self) {
        if let Some(exit) = &self.exit {
            exit.client.prepare().await;
        }
    }

    /// Sends a component's request, if it may leave, and returns the whole
    /// answer. Redirects are answers like any other: they are not followed.
    pub(crate) async fn send(
        &self,
        request: Request<Bytes>,
        timeout: Option<Duration>,
    ) -> Result<Response<Bytes>, SendError> {
        let Some(exit) = &self.exit else {
            return Err(SendError::denied(
                &request,
                "there are no settings, so nothing may leave",
            ));
        };
        let target = exit
            .origin
            .check(request.uri())
            .map_err(|denial| SendError::denied(&request, &denial.to_string()))?
            .clone();

        // Of the component's request only the method, the path, the plain
        // headers and the body go on; the rest is the host's own.
        let (mut parts, body) = request.into_parts();
        parts.uri = Uri::builder()
            .scheme("https")
            .authority(exit.origin.authority())
            .path_and_query(target)
            .build()
            .map_err(|error| SendError::new(FailureKind::Denied, error.to_string()))?;
        parts.version = http::Version::HTTP_11;
        parts.extensions.clear();
        headers::strip(&mut parts.headers);
        parts
            .headers
            .insert(header::AUTHORIZATION, exit.authorization.clone());
        let request = Request::from_parts(parts, body);
        let timeout = timeout.map_or(REQUEST_TIMEOUT, |timeout| timeout.min(REQUEST_TIMEOUT));

        let (mut parts, body) = exit.client.send(request, timeout).await?.into_parts();
        let phrase = parts.extensions.remove();
        headers::carry_reason_phrase(&mut parts.headers, parts.status, phrase.as_ref());
        Ok(Response::from_parts(parts, body))
    }
}

impl SendError {
    /// A failure and what to say of it.
    pub(crate) fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }

    fn denied(request: &Request<Bytes>, reason: &str) -> Self {
        let method = request.method();
        // The query may hold values that belong in no log.
        let uri = request.uri();
        let scheme = uri.scheme_str().unwrap_or_default();
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let target = format!("{scheme}://{authority}{}", uri.path());
        tracing::warn!("refused {method} {}: {reason}", target.escape_debug());
        Self::new(FailureKind::Denied, reason)
    }
}
