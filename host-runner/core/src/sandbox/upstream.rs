//! The configured Proxmox VE: the only place that requests go to, and the token
//! that they go with.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use host_runner_policy::lookup;
use http::{HeaderValue, Request, Response, Uri, header};

use super::client::HttpsClient;
use super::echo::Echo;
use super::failure::{FailureKind, SendError};
use super::headers;
use super::limits::REQUEST_TIMEOUT;
use super::tls::TrustError;
use crate::budget::Account;
use crate::origin::{Api, Origin};
use crate::settings::Settings;

/// What the host calls itself in its own questions.
const OWN_NAME: &str = concat!("host-runner/", env!("CARGO_PKG_VERSION"));

/// How requests of tools are named.
const TOOLS_NAME: &str = concat!("proxmox-mcp/", env!("CARGO_PKG_VERSION"));

/// The configured Proxmox VE.
pub(super) struct Upstream {
    pub(super) origin: Origin,
    /// The name of the token: `user@realm!name`.
    pub(super) token: String,
    authorization: HeaderValue,
    echo: Echo,
    client: HttpsClient,
}

impl Upstream {
    /// Fails where the certificates or the token cannot be used.
    pub(super) fn new(settings: &Settings) -> Result<Self, TrustError> {
        let head = lookup::authorization(&settings.user, &settings.token_name);
        let authorization = settings.token_secret.expose_after(&head);
        let mut authorization =
            HeaderValue::from_maybe_shared(authorization).map_err(|_| TrustError::Token)?;
        authorization.set_sensitive(true);
        Ok(Self {
            origin: settings.origin.clone(),
            token: format!("{}!{}", settings.user, settings.token_name),
            authorization,
            echo: Echo::new(&settings.token_secret),
            client: HttpsClient::new(
                &settings.trust,
                settings.client_certificate.as_ref(),
                settings.proxy.as_ref(),
            )?,
        })
    }

    /// Does ahead of time what the first request would have to wait for. Sends
    /// nothing.
    pub(super) async fn prepare(&self) {
        self.client.prepare().await;
    }

    /// Asks something that the host itself has to know. Its `User-Agent`
    /// distinguishes its questions from those of the component.
    pub(super) async fn ask(
        &self,
        path: &str,
        timeout: Duration,
        account: &Arc<Account>,
    ) -> Result<Response<Bytes>, SendError> {
        let request = Request::get(self.origin.api(path))
            .header(header::USER_AGENT, OWN_NAME)
            .body(Bytes::new())
            .map_err(|error| SendError::new(FailureKind::Protocol, error.to_string()))?;
        self.send(request, Some(timeout), account).await
    }

    /// Sends a request that may leave, with the token. The account pays for the
    /// answer as long as any part of it is kept.
    pub(super) async fn send(
        &self,
        request: Request<Bytes>,
        timeout: Option<Duration>,
        account: &Arc<Account>,
    ) -> Result<Response<Bytes>, SendError> {
        let (mut parts, body) = request.into_parts();
        parts
            .headers
            .insert(header::AUTHORIZATION, self.authorization.clone());
        let request = Request::from_parts(parts, body);
        let timeout = timeout.map_or(REQUEST_TIMEOUT, |timeout| timeout.min(REQUEST_TIMEOUT));
        let answer = self.client.send(request, timeout, account).await?;
        let (mut parts, mut body) = answer.into_parts();
        let phrase = parts.extensions.remove();
        parts.headers.remove(headers::SCOPE);
        headers::carry_reason_phrase(&mut parts.headers, parts.status, phrase.as_ref());
        self.echo.mask(&mut parts.headers, &mut body.bytes);
        Ok(Response::from_parts(parts, Bytes::from_owner(body)))
    }

    /// What is sent of a component's request: the method, the path, the plain
    /// headers and the body. The rest is the host's own. `tool` is the tool whose
    /// call it is, which `User-Agent` names to proxies and servers.
    pub(super) fn outgoing(
        &self,
        request: Request<Bytes>,
        api: &Api,
        tool: Option<&str>,
    ) -> Result<Request<Bytes>, SendError> {
        let (mut parts, body) = request.into_parts();
        parts.uri = Uri::builder()
            .scheme("https")
            .authority(self.origin.authority())
            .path_and_query(api.path_and_query.clone())
            .build()
            .map_err(|error| SendError::new(FailureKind::Denied, error.to_string()))?;
        parts.version = http::Version::HTTP_11;
        parts.extensions.clear();
        headers::strip(&mut parts.headers);
        let agent = tool.map(|tool| format!("{TOOLS_NAME} ({tool})"));
        if let Some(agent) = agent.and_then(|agent| HeaderValue::try_from(agent).ok()) {
            parts.headers.insert(header::USER_AGENT, agent);
        }
        Ok(Request::from_parts(parts, body))
    }
}
