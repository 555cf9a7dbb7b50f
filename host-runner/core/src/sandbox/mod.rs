//! What leaves the process: requests to one origin, with the token added here,
//! and nothing else.
//!
//! The component asks; this module decides, by the request itself and not by
//! what the component says of it. It knows neither the engine nor MCP.

mod ask;
mod body;
mod client;
mod echo;
mod gate;
mod guests;
mod headers;
mod nodes;
mod origin;
mod tls;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use host_runner_policy::{
    ACTIONS, Caps, Confirm, Fallback, Meter, Policy, Preset, read_inventory, read_nodes,
};
use http::{HeaderValue, Request, Response, header};
use tokio::sync::{OnceCell, Semaphore};

pub(crate) use self::ask::{ANSWER_TIME, Asker, Change, MAX_WAITING, Question};
pub(crate) use self::gate::{Consent, Decision, Fate, Gate, Terms};
pub(crate) use self::headers::{is_forbidden as is_forbidden_header, strip as strip_headers};
pub(crate) use self::origin::{Origin, OriginError};
pub(crate) use self::tls::TrustError;

use self::client::{COPIES_OF_AN_ANSWER, Client};
use self::echo::Echo;
use self::guests::Guests;
use self::nodes::Nodes;
use crate::audit::{Audit, CallStart};
use crate::budget::{Account, Budget};
use crate::settings::Settings;

/// The most that Proxmox VE takes as a request's body.
pub(crate) const MAX_REQUEST_BYTES: usize = 512 * 1024;
/// The most that an answer may hold.
pub(crate) const MAX_RESPONSE_BYTES: usize = 16 * 1024 * 1024;
/// How long an answer may take in all: Proxmox VE itself gives up on a node
/// after 30 s.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(35);

/// What the host calls itself in its own questions.
const OWN_NAME: &str = concat!("host-runner/", env!("CARGO_PKG_VERSION"));

/// The way out, for all calls.
pub(crate) struct Sandbox {
    /// Without one, nothing leaves.
    exit: Option<Exit>,
    rules: Rules,
    /// The same, for tools that are dangerous and allowed.
    dangerous: Policy,
    meter: Mutex<Meter>,
    guests: Guests,
    nodes: Nodes,
    /// What the scope names and the cluster does not have, once it was looked
    /// for.
    missing: OnceCell<Vec<String>>,
    /// Whether somebody looks for it already.
    looks_for_missing: AtomicBool,
    audit: Option<Audit>,
    budget: Arc<Budget>,
    /// For the host's own questions, apart from what the calls have: whoever
    /// waits for the answer must not hold what it needs.
    own_budget: Arc<Budget>,
    /// Held while a large answer is filtered.
    filtering: Semaphore,
    /// Places for calls that wait for their users.
    waiting: Semaphore,
}

/// What the operator permits.
pub(crate) struct Rules {
    /// Which requests.
    pub policy: Policy,
    /// How many in a minute.
    pub caps: Caps,
    /// How many a call may make.
    pub max_requests: u32,
    /// Which changes the user is asked about first.
    pub confirm: Confirm,
    /// What happens to such a change where nobody can be asked.
    pub fallback: Fallback,
}

/// A request that was not answered.
#[derive(Debug, Clone, thiserror::Error)]
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
    echo: Echo,
    client: Client,
}

impl Sandbox {
    /// The way out to the configured Proxmox VE.
    pub(crate) fn new(
        settings: &Settings,
        rules: Rules,
        audit: Option<Audit>,
        budget: Arc<Budget>,
    ) -> Result<Self, TrustError> {
        let token = format!("PVEAPIToken={}!{}=", settings.user, settings.token_name);
        let authorization = settings.token_secret.expose_after(&token);
        let mut authorization =
            HeaderValue::from_maybe_shared(authorization).map_err(|_| TrustError::Token)?;
        authorization.set_sensitive(true);
        let exit = Exit {
            origin: settings.origin.clone(),
            authorization,
            echo: Echo::new(&settings.token_secret),
            client: Client::new(&settings.trust)?,
        };
        Ok(Self::with_exit(Some(exit), rules, audit, budget))
    }

    /// No way out: for looking at a component without settings.
    pub(crate) fn sealed(instance_bytes: usize) -> Self {
        let rules = Rules {
            policy: Policy::preset(Preset::Observe),
            caps: Caps::default(),
            max_requests: 0,
            confirm: Confirm::Never,
            fallback: Fallback::Refuse,
        };
        Self::with_exit(None, rules, None, Budget::new(instance_bytes))
    }

    fn with_exit(
        exit: Option<Exit>,
        mut rules: Rules,
        audit: Option<Audit>,
        budget: Arc<Budget>,
    ) -> Self {
        // What a dangerous action does cannot be told by its request: it is
        // for tools alone that the operator knows to be dangerous.
        let dangerous = ACTIONS
            .into_iter()
            .map(|(action, _)| action)
            .filter(|action| action.is_dangerous());
        let mut policy = rules.policy.clone();
        for action in dangerous {
            policy.actions.insert(action);
            rules.policy.actions.remove(&action);
        }
        let own_budget = Budget::for_host(COPIES_OF_AN_ANSWER * MAX_RESPONSE_BYTES);
        Self {
            exit,
            rules,
            dangerous: policy,
            meter: Mutex::default(),
            guests: Guests::new(Arc::clone(&own_budget)),
            nodes: Nodes::new(Arc::clone(&own_budget)),
            missing: OnceCell::new(),
            looks_for_missing: AtomicBool::new(false),
            own_budget,
            audit,
            budget,
            filtering: Semaphore::new(1),
            waiting: Semaphore::new(ask::MAX_WAITING),
        }
    }

    /// Does ahead of time what the first request would have to wait for:
    /// nothing is sent.
    pub(crate) async fn prepare(&self) {
        if let Some(exit) = &self.exit {
            exit.client.prepare().await;
        }
    }

    /// The way out of one call, which the audit log knows as `start`.
    pub(crate) fn gate(self: &Arc<Self>, terms: Terms, start: Option<&CallStart<'_>>) -> Arc<Gate> {
        Arc::new(Gate::new(Arc::clone(self), terms, start))
    }

    /// What the policy's scope names and the cluster does not show to this
    /// token, in words. It is asked for once, and then written to the log;
    /// nothing is said where Proxmox cannot be asked.
    pub(crate) async fn missing_of_scope(&self) -> &[String] {
        let missing = self.missing.get_or_try_init(|| async {
            let missing = self.look_for_missing().await.ok_or(())?;
            for line in &missing {
                tracing::warn!("{line}");
            }
            Ok::<_, ()>(missing)
        });
        missing.await.map_or(&[], Vec::as_slice)
    }

    async fn look_for_missing(&self) -> Option<Vec<String>> {
        let scope = &self.rules.policy.scope;
        let Some(exit) = self.exit.as_ref().filter(|_| scope.is_limited()) else {
            return Some(Vec::new());
        };
        let account = self.own_budget.account();
        let ask = async |path: &str| {
            let answer = exit.question(path, REQUEST_TIMEOUT, &account).await.ok()?;
            answer.status().is_success().then(|| answer.into_body())
        };
        let mut inventory = read_inventory(&ask("/cluster/resources").await?)?;
        if !scope.nodes.is_empty() {
            // A token without rights sees the nodes here.
            inventory.nodes.extend(read_nodes(&ask("/nodes").await?)?);
        }
        Some(scope.missing(&inventory))
    }

    /// The same in the background, for a server whose operator reads the log.
    fn warn_of_missing(self: &Arc<Self>) {
        if self.rules.policy.scope.is_limited()
            && !self.looks_for_missing.swap(true, Ordering::Relaxed)
        {
            let sandbox = Arc::clone(self);
            tokio::spawn(async move { sandbox.missing_of_scope().await.len() });
        }
    }

    fn policy(&self, terms: &Terms) -> &Policy {
        match terms.dangerous {
            true => &self.dangerous,
            false => &self.rules.policy,
        }
    }

    fn lock_meter(&self) -> MutexGuard<'_, Meter> {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exit {
    /// Asks something that the host itself has to know. It calls itself by
    /// name, which tells its questions from those of the component.
    async fn question(
        &self,
        path: &str,
        timeout: Duration,
        account: &Arc<Account>,
    ) -> Result<Response<Bytes>, SendError> {
        let request = Request::get(self.origin.api(path))
            .header(header::USER_AGENT, OWN_NAME)
            .body(Bytes::new())
            .map_err(|error| SendError::new(FailureKind::Protocol, error.to_string()))?;
        self.forward(request, Some(timeout), account).await
    }

    /// Sends a request that may leave, with the token. The account pays for the
    /// answer as long as any part of it is kept.
    async fn forward(
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
}

impl FailureKind {
    /// Whether it certainly happened before anything was sent.
    fn is_before_sending(self) -> bool {
        matches!(
            self,
            Self::NameNotFound
                | Self::ConnectionRefused
                | Self::Unroutable
                | Self::ConnectTimeout
                | Self::Certificate
                | Self::Tls(_)
        )
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
}
