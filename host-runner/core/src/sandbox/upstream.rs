//! The configured Proxmox VE: the only place that requests go to, and the token
//! that they go with. It may have several addresses.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use host_runner_policy::lookup;
use http::{HeaderValue, Method, Request, Response, Uri, header};

use super::client::{HttpsClient, Kept};
use super::echo::Echo;
use super::failure::{FailureKind, SendError};
use super::headers;
use super::limits::REQUEST_TIMEOUT;
use super::route::Route;
use super::tls::TrustError;
use crate::budget::Account;
use crate::origin::{Api, Origin};
use crate::settings::{Proxy, Settings, Trust};

/// What the host calls itself in its own questions.
const OWN_NAME: &str = concat!("host-runner/", env!("CARGO_PKG_VERSION"));

/// How requests of tools are named.
const TOOLS_NAME: &str = concat!("proxmox-mcp/", env!("CARGO_PKG_VERSION"));

/// The configured Proxmox VE.
pub(super) struct Upstream {
    /// The first address, and the only one that a component may name.
    pub(super) origin: Origin,
    /// The name of the token: `user@realm!name`.
    pub(super) token: String,
    authorization: HeaderValue,
    echo: Echo,
    /// The first one and the others.
    addresses: Vec<Target>,
    route: Route,
}

/// One of its addresses.
struct Target {
    origin: Origin,
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
        let addresses = targets(settings)?;
        Ok(Self {
            origin: settings.origin.clone(),
            token: format!("{}!{}", settings.user, settings.token_name),
            authorization,
            echo: Echo::new(&settings.token_secret),
            route: Route::new(addresses.len()),
            addresses,
        })
    }

    /// Does ahead of time what the first request would have to wait for. Sends
    /// nothing.
    pub(super) async fn prepare(&self) {
        for address in &self.addresses {
            address.client.prepare().await;
        }
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
        let answer = match self.addresses.as_slice() {
            [only] => only.client.send(request, timeout, account).await?,
            _ => self.send_to_one(&request, timeout, account).await?,
        };
        let (mut parts, mut body) = answer.into_parts();
        let phrase = parts.extensions.remove();
        parts.headers.remove(headers::SCOPE);
        headers::carry_reason_phrase(&mut parts.headers, parts.status, phrase.as_ref());
        self.echo.mask(&mut parts.headers, &mut body.bytes);
        Ok(Response::from_parts(parts, Bytes::from_owner(body)))
    }

    /// Sends a request to the first address that answers. One that may have arrived is
    /// sent to another address only if it is a read.
    async fn send_to_one(
        &self,
        request: &Request<Bytes>,
        timeout: Duration,
        account: &Arc<Account>,
    ) -> Result<Response<Kept>, SendError> {
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        let began = Instant::now();
        let order = self.route.order(began);
        let mut failures = Vec::new();
        for at in order.tried {
            let left = timeout.saturating_sub(began.elapsed());
            let Some(address) = self.addresses.get(at).filter(|_| !left.is_zero()) else {
                break;
            };
            let request = self.addressed_to(address, request)?;
            let tried = Instant::now();
            let error = match address.client.send(request, left, account).await {
                Ok(answer) => {
                    if self.route.answered(at) {
                        report(&address.origin, &self.described(&failures));
                    }
                    return Ok(answer);
                }
                Err(error) => error,
            };
            if !error.kind.is_of_the_address() {
                return Err(error);
            }
            let now = Instant::now();
            self.route.failed(at, &error.detail, now - tried, now);
            let may_have_arrived = !error.kind.is_before_sending();
            failures.push((at, error));
            if may_have_arrived && !is_read {
                break;
            }
        }
        Err(self.failure(&failures, &order.left_out))
    }

    /// The same request to one of the addresses.
    fn addressed_to(
        &self,
        address: &Target,
        request: &Request<Bytes>,
    ) -> Result<Request<Bytes>, SendError> {
        let mut request = request.clone();
        let uri = self.origin.at(&address.origin, request.uri());
        *request.uri_mut() = uri.ok_or_else(|| {
            SendError::new(FailureKind::Denied, "the request names no path of the API")
        })?;
        Ok(request)
    }

    /// Why none of the addresses has answered. The last failure says whether the request may
    /// have arrived.
    fn failure(&self, failures: &[(usize, SendError)], left_out: &[(usize, String)]) -> SendError {
        let kind = match failures.last().map(|(_, error)| error.kind) {
            None => FailureKind::ConnectTimeout,
            Some(last) if !last.is_before_sending() => last,
            Some(last) if failures.iter().all(|(_, error)| error.kind == last) => last,
            Some(_) => FailureKind::Unroutable,
        };
        let mut detail = self.described(failures);
        for (at, reason) in left_out {
            if let Some(address) = self.addresses.get(*at) {
                detail.push_str(&format!(
                    "; {} was not tried again so soon: {reason}",
                    address.origin
                ));
            }
        }
        SendError {
            names_addresses: true,
            ..SendError::new(kind, detail)
        }
    }

    /// Each failure with its address.
    fn described(&self, failures: &[(usize, SendError)]) -> String {
        let described = failures.iter().filter_map(|(at, error)| {
            let address = self.addresses.get(*at)?;
            Some(format!("{}: {}", address.origin, error.detail))
        });
        described.collect::<Vec<_>>().join("; ")
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

/// The addresses of the settings. Those whose certificates are checked alike share their
/// connections, and the system's certificates are read once.
fn targets(settings: &Settings) -> Result<Vec<Target>, TrustError> {
    let certificate = settings.client_certificate.as_ref();
    let new = |trust: &Trust, proxy: Option<&Proxy>| HttpsClient::new(trust, certificate, proxy);
    let client = new(&settings.trust, settings.proxy.as_ref())?;
    let client = match settings.others.is_empty() {
        true => client,
        false => client.one_of_several(),
    };
    let others = settings.others.iter().map(|other| {
        let is_direct = other.proxy.is_none() && settings.proxy.is_none();
        let client = match &other.trust {
            // The system's certificates are read once for all of them.
            Trust::Verified { .. } | Trust::Unverified if is_direct => client.clone(),
            trust => new(trust, other.proxy.as_ref())?.one_of_several(),
        };
        Ok(Target {
            origin: other.origin.clone(),
            client,
        })
    });
    let mut targets = vec![Target {
        origin: settings.origin.clone(),
        client: client.clone(),
    }];
    targets.extend(others.collect::<Result<Vec<_>, TrustError>>()?);
    Ok(targets)
}

/// Says in the log that requests go to another address from now on.
fn report(now: &Origin, failures: &str) {
    match failures.is_empty() {
        true => tracing::warn!("requests go to {now} now, one of the addresses in PROXMOX_URL"),
        false => tracing::warn!("requests go to {now} now, since others fail: {failures}"),
    }
}
