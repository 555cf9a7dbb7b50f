//! The first half of a request's way: may it leave?

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use host_runner_policy::{
    Action, ApiRequest, Confirm, Directory, Fallback, Malformed, Meaning, Method, Present, Rule,
    Verdict,
};
use http::{HeaderValue, Request, Response, header};

use super::ask::{Answer, Change};
use super::call_log::{Fate, SHOWN_CHARS};
use super::failure::{FailureKind, SendError};
use super::gate::{Gate, UnderWay};
use super::nodes::{self, Unlisted};
use super::present;
use super::terms::Consent;
use super::upstream::Upstream;
use crate::log;
use crate::origin::Api;

/// The most that a request may have before its body. pveproxy takes 8 KiB of
/// headers; the rest is for what the host adds.
const MAX_HEAD_BYTES: usize = 7 * 1024;
/// The most of a method that is shown.
const METHOD_CHARS: usize = 32;
/// The most of the reason for a verdict that is kept: a component chooses the
/// names in it.
const REASON_CHARS: usize = 1000;

/// A request that may leave.
pub(super) struct Admitted<'a> {
    pub(super) upstream: &'a Upstream,
    pub(super) api: Api,
    pub(super) request: ApiRequest,
    pub(super) verdict: Verdict,
    /// The guests by which it was judged, and by which its answer is filtered.
    pub(super) directory: Arc<Directory>,
    /// The call is not aborted while it makes a change.
    _under_way: Option<UnderWay<'a>>,
}

/// What a component gets instead of an answer to a request that may not leave.
pub(super) struct Stopped(pub(super) Result<Response<Bytes>, SendError>);

impl From<SendError> for Stopped {
    fn from(error: SendError) -> Self {
        Self(Err(error))
    }
}

impl Gate {
    /// Decides whether a request may leave. If this succeeds, the user has
    /// consented to it where the policy requires that, it is counted, and a
    /// change is in the audit log.
    pub(super) async fn admit(&self, request: &Request<Bytes>) -> Result<Admitted<'_>, Stopped> {
        self.check_count(request).await?;
        let (upstream, api) = self.check_address(request).await?;
        let parsed = read(request, &api);
        let (mut directory, verdict) = self.look_up_and_judge(&parsed, upstream).await?;
        let mut verdict = self.check_nodes(upstream, &parsed, verdict).await?;
        let parsed = match (parsed, verdict.allowed) {
            (Ok(parsed), true) => parsed,
            (parsed, _) => {
                let error = self.refuse(request, parsed.as_ref().ok(), verdict).await;
                return Err(error.into());
            }
        };
        self.withhold(&parsed, &verdict)?;
        if self
            .confirm(&parsed, &verdict, upstream, &directory)
            .await?
        {
            // The user may have taken minutes, and the guest may have moved.
            let again = Ok(parsed.clone());
            (directory, verdict) = self.look_up_and_judge(&again, upstream).await?;
            if !verdict.allowed {
                return Err(self.refuse(request, Some(&parsed), verdict).await.into());
            }
        }
        let acts = acts(&parsed, &verdict.meaning);
        let under_way = acts.then(|| self.begin_change()).transpose()?;
        self.meter(&parsed, &verdict).await?;
        if acts && let Err(error) = self.log.sending(&parsed).await {
            let verdict = Verdict::deny(Rule::Audit, error.to_string());
            return Err(self.refuse(request, Some(&parsed), verdict).await.into());
        }
        Ok(Admitted {
            upstream,
            api,
            request: parsed,
            verdict,
            directory,
            _under_way: under_way,
        })
    }

    /// Counts a request of the call: all since the component was last run, and those that
    /// are no reads over the whole call.
    async fn check_count(&self, request: &Request<Bytes>) -> Result<(), SendError> {
        let cap = self.sandbox.rules.max_requests;
        let mut count = self.requests.fetch_add(1, Ordering::Relaxed);
        let mut what = "requests";
        if count < cap && request.method() != http::Method::GET {
            count = self.changes.fetch_add(1, Ordering::Relaxed);
            what = "requests that are no reads";
        }
        if count < cap {
            return Ok(());
        }
        let reason = format!("a call makes at most {cap} {what}");
        // Reported once: a component must not fill the logs.
        if count > cap {
            return Err(SendError::new(FailureKind::Denied, reason));
        }
        let verdict = Verdict::deny(Rule::Requests, reason);
        Err(self.refuse(request, None, verdict).await)
    }

    /// Whether a request is for the API of the configured Proxmox VE.
    async fn check_address(&self, request: &Request<Bytes>) -> Result<(&Upstream, Api), SendError> {
        let verdict = match &self.sandbox.cluster.upstream {
            None => Verdict::deny(Rule::Settings, "no settings are given, so nothing is sent"),
            Some(upstream) => match upstream.origin.check(request.uri()) {
                Ok(api) => return Ok((upstream, api)),
                Err(denial) => Verdict::deny(Rule::Origin, denial.to_string()),
            },
        };
        Err(self.refuse(request, None, verdict).await)
    }

    /// Whether the cluster has the nodes that an allowed request names, and
    /// whether it would make a node send a request to another one.
    async fn check_nodes(
        &self,
        upstream: &Upstream,
        parsed: &Result<ApiRequest, Malformed>,
        verdict: Verdict,
    ) -> Result<Verdict, Stopped> {
        if !verdict.allowed {
            return Ok(verdict);
        }
        let nodes = &self.sandbox.cluster.nodes;
        if !self.terms.offline
            && let Err(unlisted) = nodes.check(upstream, &verdict.meaning.nodes).await
        {
            match unlisted {
                Unlisted::Unanswered(why) => {
                    let is_read = parsed
                        .as_ref()
                        .is_ok_and(|parsed| parsed.method == Method::Get);
                    return Err(Stopped(why.for_request(is_read)));
                }
                Unlisted::Unknown(missing, known) => {
                    let scope = &self.sandbox.policy(&self.terms).scope;
                    let reason = nodes::refusal(&missing, &known, scope);
                    return Ok(Verdict::deny(Rule::UnknownNode, reason));
                }
            }
        }
        Ok(match nodes.named_by(&verdict.meaning.hosts) {
            Some(node) => Verdict::built_in(&format!(
                "it would make a node fetch from {node}, a node of this cluster"
            )),
            None => verdict,
        })
    }

    /// Asks Proxmox for what the policy has to know about a request's guests,
    /// then judges it. Fails where an outage hides that: nothing has left, and
    /// the same may be asked in a moment.
    async fn look_up_and_judge(
        &self,
        parsed: &Result<ApiRequest, Malformed>,
        upstream: &Upstream,
    ) -> Result<(Arc<Directory>, Verdict), SendError> {
        let policy = self.sandbox.policy(&self.terms);
        let directory = match parsed {
            Ok(parsed) if !self.terms.offline && policy.needs_directory(parsed) => {
                match self.sandbox.cluster.guests.directory(upstream).await {
                    Ok(directory) if directory.is_empty() && policy.needs_ha_state(parsed) => {
                        let verdict = Verdict::unseen_guests();
                        return Ok((directory, verdict));
                    }
                    Ok(directory) => directory,
                    Err(unknown) if unknown.outage => {
                        let kind = FailureKind::ConnectionRefused;
                        return Err(SendError::new(kind, unknown.reason));
                    }
                    Err(unknown) => {
                        return Ok((Arc::default(), Verdict::deny(Rule::Scope, unknown.reason)));
                    }
                }
            }
            _ => Arc::default(),
        };
        let verdict = self.judge(parsed, &directory, None);
        let subject = verdict.subject.clone().filter(|_| !self.terms.offline);
        let Some(subject) = subject else {
            return Ok((directory, verdict));
        };
        // Without this, the host's own question could go to any host.
        let nodes = std::slice::from_ref(&subject.node);
        match self.sandbox.cluster.nodes.check(upstream, nodes).await {
            Ok(()) => {}
            Err(Unlisted::Unknown(missing, known)) => {
                let reason = nodes::refusal(&missing, &known, &policy.scope);
                return Ok((directory, Verdict::deny(Rule::UnknownNode, reason)));
            }
            // The verdict so far says that it is not known.
            Err(Unlisted::Unanswered(_)) => return Ok((directory, verdict)),
        }
        let budget = &self.sandbox.cluster.own_budget;
        let verdict = match present::ask(upstream, budget, &subject).await? {
            Ok(present) => self.judge(parsed, &directory, Some(&present)),
            Err(why) => Verdict::deny(verdict.rule, format!("{}: {why}", verdict.reason)),
        };
        Ok((directory, verdict))
    }

    fn judge(
        &self,
        parsed: &Result<ApiRequest, Malformed>,
        directory: &Directory,
        present: Option<&Present>,
    ) -> Verdict {
        let mut verdict =
            self.sandbox
                .policy(&self.terms)
                .decide_knowing(parsed.as_ref(), directory, present);
        if let Some((end, _)) = verdict.reason.char_indices().nth(REASON_CHARS) {
            verdict.reason.truncate(end);
            verdict.reason.push('…');
        }
        let Ok(parsed) = parsed else { return verdict };
        if !verdict.allowed {
            return verdict;
        }
        if self.terms.read_only && acts(parsed, &verdict.meaning) {
            let reason = "the tool is annotated as read-only, or its client may only observe";
            return Verdict::deny(Rule::ReadOnlyTool, reason);
        }
        match self.undeclared(parsed) {
            Some(reason) => Verdict::deny(Rule::UndeclaredCall, reason),
            None => verdict,
        }
    }

    /// Why a request is not one of those that the call's tool declares.
    fn undeclared(&self, request: &ApiRequest) -> Option<String> {
        let declared = self.terms.declared.as_ref()?;
        (!declared.calls.cover(request)).then(|| {
            format!(
                "the tool {} does not declare the call {} {}, so it may not make it",
                declared.tool,
                request.method,
                request.path()
            )
        })
    }

    /// Stops a request that may leave where the call is a dry run.
    fn withhold(&self, parsed: &ApiRequest, verdict: &Verdict) -> Result<(), SendError> {
        if self.terms.offline {
            self.log.withheld(parsed, verdict);
            return Err(SendError::new(FailureKind::Unroutable, "nothing is sent"));
        }
        if self.terms.dry_run && acts(parsed, &verdict.meaning) {
            self.log.withheld(parsed, verdict);
            return Err(SendError::new(FailureKind::Denied, "this is a dry run"));
        }
        Ok(())
    }

    /// Asks for the user's consent to a change, where the policy requires it.
    /// Consent is valid for this one request.
    ///
    /// Returns whether the user was asked.
    async fn confirm(
        &self,
        parsed: &ApiRequest,
        verdict: &Verdict,
        upstream: &Upstream,
        directory: &Arc<Directory>,
    ) -> Result<bool, SendError> {
        if !self.asks_about(parsed, &verdict.meaning) {
            return Ok(false);
        }
        let (answer, fate) = match &self.terms.consent {
            Consent::Given => return Ok(false),
            Consent::Unavailable if self.sandbox.rules.fallback == Fallback::Allow => {
                return Ok(false);
            }
            Consent::Unavailable => (Answer::Unavailable, Fate::Unconfirmed),
            Consent::User(asker) => match self.sandbox.capacity.waiting.take(self.user.as_ref(), 1)
            {
                Some(_place) => {
                    let meaning = &verdict.meaning;
                    let guests = self.named(meaning, upstream, directory).await;
                    let change = Change::new(parsed, meaning, &guests);
                    let change = change.of_cluster(self.sandbox.cluster());
                    // One that holds much could keep others from their memory.
                    let turn = Some(&self.turn).filter(|_| self.account.is_empty());
                    (asker.ask(change, &self.pause, turn).await, Fate::Declined)
                }
                None => (Answer::Crowd, Fate::Declined),
            },
        };
        let Some(reason) = answer.refusal() else {
            return Ok(true);
        };
        let refusal = Verdict::deny(Rule::Confirm, reason);
        self.log.refused(parsed, &refusal, fate).await;
        Err(denied(&refusal))
    }

    /// The guests of a request by their names, as far as Proxmox VE tells them. They are
    /// asked for only if the policy did not have to know the guests.
    async fn named(
        &self,
        meaning: &Meaning,
        upstream: &Upstream,
        directory: &Arc<Directory>,
    ) -> Arc<Directory> {
        if !directory.is_empty() || meaning.vmids.is_empty() {
            return Arc::clone(directory);
        }
        let directory = self.sandbox.cluster.guests.directory(upstream).await;
        directory.unwrap_or_default()
    }

    /// Counts a change towards the limits per minute.
    async fn meter(&self, parsed: &ApiRequest, verdict: &Verdict) -> Result<(), SendError> {
        if !acts(parsed, &verdict.meaning) {
            return Ok(());
        }
        let taken = {
            let mut meter = self.sandbox.lock_meter();
            meter.take(self.sandbox.rules.caps, &verdict.meaning, Instant::now())
        };
        let Err(error) = taken else { return Ok(()) };
        let refusal = Verdict::deny(Rule::Limits, error.to_string());
        self.log.refused(parsed, &refusal, Fate::Refused).await;
        Err(denied(&refusal))
    }

    /// Whether the policy requires the user's consent to a request.
    fn asks_about(&self, parsed: &ApiRequest, meaning: &Meaning) -> bool {
        acts(parsed, meaning)
            && match self.sandbox.rules.confirm {
                Confirm::Never => false,
                Confirm::Destructive => meaning.is_destructive(),
                Confirm::Writes => true,
            }
    }

    /// Refuses a request, and reports that in the logs.
    async fn refuse(
        &self,
        request: &Request<Bytes>,
        parsed: Option<&ApiRequest>,
        verdict: Verdict,
    ) -> SendError {
        let method: String = request
            .method()
            .as_str()
            .chars()
            .take(METHOD_CHARS)
            .collect();
        // The query may hold values that belong in no log.
        let uri = request.uri();
        let scheme = uri.scheme_str().unwrap_or_default();
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let target: String = format!("{scheme}://{authority}{}", uri.path())
            .escape_debug()
            .take(SHOWN_CHARS)
            .collect();
        let (rule, reason) = (verdict.rule, &verdict.reason);
        tracing::warn!(target: log::REFUSALS, "refused {method} {target} by rule {rule}: {reason}");
        let error = denied(&verdict);
        match parsed {
            Some(parsed) => self.log.refused(parsed, &verdict, Fate::Refused).await,
            None => self.log.refused_unread(&method, &target, verdict).await,
        }
        error
    }
}

/// The error of a refused request.
fn denied(refusal: &Verdict) -> SendError {
    let (rule, reason) = (refusal.rule, &refusal.reason);
    SendError::new(FailureKind::Denied, format!("rule {rule}: {reason}"))
}

/// Whether a request does something, and does not only read. A GET may: that of
/// the metadata of a URL has a node send a request to where the URL leads. (To
/// ask what a command in a guest has come to is a read.)
fn acts(request: &ApiRequest, meaning: &Meaning) -> bool {
    request.method != Method::Get || meaning.actions.contains(&Action::Download)
}

/// What Proxmox will understand, if that is certain.
fn read(request: &Request<Bytes>, api: &Api) -> Result<ApiRequest, Malformed> {
    let headers = request.headers().iter();
    let headers: usize = headers
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if headers + api.path_and_query.as_str().len() > MAX_HEAD_BYTES {
        return Err(Malformed::Head);
    }
    let mut kinds = request.headers().get_all(header::CONTENT_TYPE).iter();
    let kind = kinds.next().map(HeaderValue::to_str).transpose();
    let kind = match (kind, kinds.next()) {
        (Ok(kind), None) => kind,
        _ => return Err(Malformed::BodyFormat),
    };
    ApiRequest::parse(request.method().as_str(), &api.target, kind, request.body())
}
