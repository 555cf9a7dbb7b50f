//! One call's way out: each of its requests is judged here before it is sent.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use host_runner_policy::{
    Action, ApiRequest, Confirm, Directory, Fallback, Listing, Malformed, Meaning, Method, Verdict,
    read_nodes,
};
use http::{HeaderValue, Request, Response, Uri, header};

use super::ask::{Answer, Asker, Change, Pause};
use super::client::{COPIES_OF_AN_ANSWER, Kept};
use super::nodes::{self, Unlisted};
use super::origin::Api;
use super::{Exit, FailureKind, Sandbox, SendError, headers};
use crate::audit::{self, AuditedRequest, CallEnd, CallId, CallOutcome, CallStart, RequestEnd};
use crate::budget::Account;
use crate::redact;
use crate::turn::Turn;

/// The most that a request may have before its body. pveproxy takes 8 KiB of
/// headers; the rest is for what the host adds.
const MAX_HEAD_BYTES: usize = 7 * 1024;
/// What is kept of a method or a path that could not be read.
const SHOWN_CHARS: usize = 512;
/// What is kept of the reason for a verdict: a component chooses the names in
/// it.
const REASON_CHARS: usize = 1000;
/// What is kept of a call's requests: honest ones take a few hundred bytes.
const MAX_JOURNAL_BYTES: usize = 128 * 1024;
/// What a component is told of the scope.
const SCOPE_CHARS: usize = 300;
/// Answers larger than this are filtered one after the other.
const LARGE_ANSWER_BYTES: usize = 256 * 1024;

/// One call's way out.
pub(crate) struct Gate {
    sandbox: Arc<Sandbox>,
    terms: Terms,
    /// The call in the audit log, and when it began.
    call: Option<CallId>,
    began: Instant,
    requests: AtomicU32,
    journal: Mutex<Journal>,
    account: Arc<Account>,
    /// The time that the user took to answer.
    pause: Pause,
    turn: Turn,
}

/// What was decided, as far as there is room for it.
#[derive(Default)]
struct Journal {
    decisions: Vec<Decision>,
    bytes: usize,
    /// The first change that was not sent for want of the user's agreement.
    unconfirmed: Option<Decision>,
    /// Something was sent that could change something.
    has_written: bool,
}

/// What is known of a call before it begins.
#[derive(Debug, Clone, Default)]
pub(crate) struct Terms {
    /// Its tool is annotated as read-only, and is held to that.
    pub read_only: bool,
    /// Its tool is dangerous, and the operator allowed it.
    pub dangerous: bool,
    /// Who agrees to its changes where the policy asks for that.
    pub consent: Consent,
    /// Nothing that changes anything is sent.
    pub dry_run: bool,
    /// Nothing is sent at all.
    pub offline: bool,
}

/// Who agrees to the changes that the policy asks about.
#[derive(Debug, Clone, Default)]
pub(crate) enum Consent {
    /// Nobody can be asked: the policy's fallback decides.
    #[default]
    Nobody,
    /// The user, who is asked about each change.
    User(Asker),
    /// Whoever makes the call: a dry run sends nothing to agree to.
    Given,
}

/// What was decided about one request.
#[derive(Debug, Clone)]
pub(crate) struct Decision {
    /// Its method.
    pub method: String,
    /// Its path, with what is secret in its parameters masked.
    pub path: String,
    /// Its parameters, masked alike.
    pub params: Vec<(String, String)>,
    /// Whether it may leave, by which rule and why.
    pub verdict: Verdict,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was not allowed.
    Refused,
    /// It was sent, and answered with this status or not at all.
    Sent(Option<u16>),
    /// It is allowed, but the user has to be asked first and cannot be.
    Unconfirmed,
    /// It is allowed, but the user did not agree to it.
    Declined,
    /// It is allowed, but this call is for show.
    Withheld,
}

impl Gate {
    pub(super) fn new(sandbox: Arc<Sandbox>, terms: Terms, start: Option<&CallStart<'_>>) -> Self {
        let audit = sandbox.audit.as_ref();
        let call = audit.zip(start).map(|(audit, start)| audit.begin(start));
        let account = sandbox.budget.account();
        Self {
            sandbox,
            terms,
            call,
            began: Instant::now(),
            requests: AtomicU32::new(0),
            journal: Mutex::default(),
            account,
            pause: Pause::default(),
            turn: Turn::default(),
        }
    }

    /// The call has ended: this is for the audit log.
    pub(crate) fn finish(&self, outcome: CallOutcome<'_>, upid: Option<&str>) {
        if let (Some(audit), Some(call)) = (&self.sandbox.audit, self.call) {
            let duration = self.began.elapsed();
            audit.outcome(
                call,
                &CallEnd {
                    outcome,
                    upid,
                    duration,
                },
            );
        }
    }

    /// What the call has taken of this process's memory.
    pub(crate) fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// The call's turn among those that run.
    pub(crate) fn turn(&self) -> &Turn {
        &self.turn
    }

    /// What was decided so far, in order.
    pub(crate) fn decisions(&self) -> Vec<Decision> {
        self.journal().decisions.clone()
    }

    /// The first change that was not sent for want of the user's agreement.
    pub(crate) fn unconfirmed(&self) -> Option<Decision> {
        self.journal().unconfirmed.clone()
    }

    /// Whether anything was sent that could change something.
    pub(crate) fn has_written(&self) -> bool {
        self.journal().has_written
    }

    /// How long the call has waited for the user's answers so far, which counts
    /// against none of its limits.
    pub(crate) fn paused(&self) -> Duration {
        self.pause.total()
    }

    /// A request that a person wrote: a whole URL, or a path below the API, and
    /// a form.
    pub(crate) fn request(&self, method: &str, target: &str, form: &str) -> Option<Request<Bytes>> {
        let exit = self.sandbox.exit.as_ref()?;
        let uri = match target.strip_prefix('/') {
            Some(_) if target.starts_with("/api2/") => format!("{}{target}", exit.origin),
            Some(_) => exit.origin.api(target),
            None => target.to_owned(),
        };
        let mut request = Request::builder().method(method).uri(uri);
        if !form.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        request.body(Bytes::copy_from_slice(form.as_bytes())).ok()
    }

    /// A request for a path, addressed to the configured Proxmox VE.
    pub(crate) fn addressed(&self, request: Request<Bytes>) -> Result<Request<Bytes>, SendError> {
        let denied = |reason: String| SendError::new(FailureKind::Denied, reason);
        let Some(exit) = &self.sandbox.exit else {
            return Err(denied(
                "there are no settings, so nothing may leave".to_owned(),
            ));
        };
        let (mut parts, body) = request.into_parts();
        let uri = format!("{}{}", exit.origin, parts.uri);
        parts.uri = Uri::try_from(uri).map_err(|error| denied(error.to_string()))?;
        Ok(Request::from_parts(parts, body))
    }

    /// Sends a component's request, if it may leave, and returns the whole
    /// answer. Redirects are answers like any other: they are not followed.
    pub(crate) async fn send(
        &self,
        request: Request<Bytes>,
        timeout: Option<Duration>,
    ) -> Result<Response<Bytes>, SendError> {
        let sandbox = &self.sandbox;
        let count = self.requests.fetch_add(1, Ordering::Relaxed);
        let cap = sandbox.rules.max_requests;
        if count >= cap {
            let reason = format!("a call makes at most {cap} requests");
            // Reported once: a component must not fill the logs.
            if count > cap {
                return Err(SendError::new(FailureKind::Denied, reason));
            }
            let verdict = Verdict::deny("requests", reason);
            return Err(self.refuse(&request, None, verdict).await);
        }
        let Some(exit) = &sandbox.exit else {
            let verdict = Verdict::deny("settings", "there are none, so nothing is sent");
            return Err(self.refuse(&request, None, verdict).await);
        };
        let api = match exit.origin.check(request.uri()) {
            Ok(api) => api,
            Err(denial) => {
                let verdict = Verdict::deny("origin", denial.to_string());
                return Err(self.refuse(&request, None, verdict).await);
            }
        };
        let parsed = read(&request, &api);
        let (mut directory, mut verdict) = self.look_up_and_judge(&parsed, exit).await?;
        let is_read = parsed
            .as_ref()
            .is_ok_and(|parsed| parsed.method == Method::Get);
        if verdict.allowed
            && !self.terms.offline
            && let Err(unlisted) = sandbox.nodes.check(exit, &verdict.meaning.nodes).await
        {
            match unlisted {
                Unlisted::Unanswered(why) => return why.for_request(is_read),
                Unlisted::Unknown(missing, known) => {
                    let scope = &sandbox.policy(&self.terms).scope;
                    let reason = nodes::refusal(&missing, &known, scope);
                    verdict = Verdict::deny("unknown-node", reason);
                }
            }
        }
        if verdict.allowed
            && let Some(node) = sandbox.nodes.named_by(&verdict.meaning.hosts)
        {
            let reason = format!("it would make a node ask {node}, a node of the cluster");
            verdict = Verdict::built_in(&reason);
        }
        let parsed = match (parsed, verdict.allowed) {
            (Ok(parsed), true) => parsed,
            (parsed, _) => return Err(self.refuse(&request, parsed.as_ref().ok(), verdict).await),
        };
        self.withhold(&parsed, &verdict)?;
        if self.confirm(&parsed, &verdict).await? {
            // The user may have taken minutes, and the guest may have moved.
            let asked = Ok(parsed.clone());
            (directory, verdict) = self.look_up_and_judge(&asked, exit).await?;
            if !verdict.allowed {
                return Err(self.refuse(&request, Some(&parsed), verdict).await);
            }
        }
        self.count(&parsed, &verdict).await?;
        if let Err(verdict) = self.announce(&parsed).await {
            return Err(self.refuse(&request, Some(&parsed), verdict).await);
        }

        let outgoing = exit.outgoing(request, &api)?;
        let started = Instant::now();
        let answer = exit.forward(outgoing, timeout, &self.account).await;
        let status = answer.as_ref().ok().map(|answer| answer.status().as_u16());
        self.note(&parsed, &verdict, Fate::Sent(status));
        self.record(
            &parsed,
            &verdict,
            status,
            answer.as_ref().err(),
            started.elapsed(),
        )
        .await;
        let answer = answer?;
        sandbox.warn_of_missing();
        // The component has asked what the host would have to ask.
        if verdict.meaning.lists_nodes
            && answer.status().is_success()
            && let Some(names) = read_nodes(answer.body())
        {
            sandbox.nodes.learn(names);
        }
        if parsed.method != Method::Get {
            let done = answer.status().is_success();
            sandbox.guests.note_change(&verdict.meaning, done);
        }
        match verdict.meaning.listing {
            Some(listing) => self.filtered(listing, answer, &directory).await,
            None => Ok(answer),
        }
    }

    /// A change is in the audit log before it is sent.
    async fn announce(&self, parsed: &ApiRequest) -> Result<(), Verdict> {
        let (Some(audit), Some(call)) = (&self.sandbox.audit, self.call) else {
            return Ok(());
        };
        if parsed.method == Method::Get {
            return Ok(());
        }
        let params = redact::params(&parsed.params);
        let request = AuditedRequest {
            method: parsed.method.as_str(),
            path: &parsed.path(),
            params: &params,
        };
        let written = audit.write_ahead(call, &request).await;
        written.map_err(|error| Verdict::deny("audit", error.to_string()))
    }

    async fn record(
        &self,
        parsed: &ApiRequest,
        verdict: &Verdict,
        status: Option<u16>,
        error: Option<&SendError>,
        duration: Duration,
    ) {
        let subject = (parsed.method.as_str(), parsed.path(), parsed.params.clone());
        let failure = error.map(|error| error.detail.as_str());
        self.write(subject, verdict, status, failure, duration)
            .await;
    }

    async fn write(
        &self,
        (method, path, params): (&str, String, Vec<(String, String)>),
        verdict: &Verdict,
        status: Option<u16>,
        failure: Option<&str>,
        duration: Duration,
    ) {
        let (Some(audit), Some(call)) = (&self.sandbox.audit, self.call) else {
            return;
        };
        let params = redact::params(&params);
        let request = AuditedRequest {
            method,
            path: &path,
            params: &params,
        };
        let end = RequestEnd {
            verdict: match verdict.allowed {
                true => audit::Verdict::Allowed,
                false => audit::Verdict::Refused,
            },
            rule: Some(verdict.rule),
            reason: (!verdict.allowed).then_some(verdict.reason.as_str()),
            status,
            failure,
            duration,
        };
        audit.request(call, &request, &end).await;
    }

    /// Asks Proxmox for what the policy has to know about a request's guests,
    /// then judges it. Fails where an outage hides that: nothing has left, and
    /// the same may be asked in a moment.
    async fn look_up_and_judge(
        &self,
        parsed: &Result<ApiRequest, Malformed>,
        exit: &Exit,
    ) -> Result<(Arc<Directory>, Verdict), SendError> {
        let policy = self.sandbox.policy(&self.terms);
        let directory = match parsed {
            Ok(parsed) if !self.terms.offline && policy.needs_directory(parsed) => {
                match self.sandbox.guests.directory(exit).await {
                    Ok(directory) if directory.is_empty() && policy.needs_ha_state(parsed) => {
                        let verdict = Verdict::deny(
                            "actions",
                            "the token sees no guest, so it is not known whether this one is under \
                             high availability: grant the token VM.Audit",
                        );
                        return Ok((directory, verdict));
                    }
                    Ok(directory) => directory,
                    Err(unknown) if unknown.outage => {
                        let kind = FailureKind::ConnectionRefused;
                        return Err(SendError::new(kind, unknown.reason));
                    }
                    Err(unknown) => {
                        return Ok((Arc::default(), Verdict::deny("scope", unknown.reason)));
                    }
                }
            }
            _ => Arc::default(),
        };
        let verdict = self.judge(parsed, &directory);
        Ok((directory, verdict))
    }

    fn judge(&self, parsed: &Result<ApiRequest, Malformed>, directory: &Directory) -> Verdict {
        let mut verdict = self
            .sandbox
            .policy(&self.terms)
            .decide(parsed.as_ref(), directory);
        if let Some((end, _)) = verdict.reason.char_indices().nth(REASON_CHARS) {
            verdict.reason.truncate(end);
            verdict.reason.push('…');
        }
        let Ok(parsed) = parsed else { return verdict };
        if !verdict.allowed || !acts(parsed, &verdict.meaning) {
            return verdict;
        }
        if self.terms.read_only {
            let reason = "the tool is annotated as read-only";
            return Verdict::deny("read-only-tool", reason);
        }
        verdict
    }

    /// Keeps back what may leave, but is only to be shown.
    fn withhold(&self, parsed: &ApiRequest, verdict: &Verdict) -> Result<(), SendError> {
        if self.terms.offline {
            self.note(parsed, verdict, Fate::Withheld);
            return Err(SendError::new(FailureKind::Unroutable, "nothing is sent"));
        }
        if self.terms.dry_run && parsed.method != Method::Get {
            self.note(parsed, verdict, Fate::Withheld);
            return Err(SendError::new(FailureKind::Denied, "this call is for show"));
        }
        Ok(())
    }

    /// Has the user agree to a change, where the policy wants that. A yes
    /// is valid for this one request: the user is asked about the next one again.
    ///
    /// Returns whether the user was asked.
    async fn confirm(&self, parsed: &ApiRequest, verdict: &Verdict) -> Result<bool, SendError> {
        if !self.asks_about(parsed, &verdict.meaning) {
            return Ok(false);
        }
        let (answer, fate) = match &self.terms.consent {
            Consent::Given => return Ok(false),
            Consent::Nobody if self.sandbox.rules.fallback == Fallback::Allow => return Ok(false),
            Consent::Nobody => (Answer::Nobody, Fate::Unconfirmed),
            Consent::User(asker) => match self.sandbox.waiting.try_acquire() {
                Ok(_place) => {
                    let change = Change::new(parsed, verdict.meaning.is_destructive());
                    // One that holds much could keep others from their memory.
                    let turn = Some(&self.turn).filter(|_| self.account.is_empty());
                    (asker.ask(change, &self.pause, turn).await, Fate::Declined)
                }
                Err(_) => (Answer::Crowd, Fate::Declined),
            },
        };
        let Some(reason) = answer.refusal() else {
            return Ok(true);
        };
        let refusal = Verdict::deny("confirm", reason);
        self.note(parsed, &refusal, fate);
        self.record(parsed, &refusal, None, None, Duration::ZERO)
            .await;
        let detail = format!("rule confirm: {reason}");
        Err(SendError::new(FailureKind::Denied, detail))
    }

    /// Takes a change from what this minute may have.
    async fn count(&self, parsed: &ApiRequest, verdict: &Verdict) -> Result<(), SendError> {
        if !acts(parsed, &verdict.meaning) {
            return Ok(());
        }
        let destructive = verdict.meaning.is_destructive();
        let taken = {
            let mut meter = self.sandbox.lock_meter();
            meter.take(self.sandbox.rules.caps, destructive, Instant::now())
        };
        let Err(error) = taken else { return Ok(()) };
        let refusal = Verdict::deny("limits", error.to_string());
        self.note(parsed, &refusal, Fate::Refused);
        self.record(parsed, &refusal, None, None, Duration::ZERO)
            .await;
        let detail = format!("rule limits: {error}");
        Err(SendError::new(FailureKind::Denied, detail))
    }

    /// Whether the policy wants the user to be asked about a request.
    fn asks_about(&self, parsed: &ApiRequest, meaning: &Meaning) -> bool {
        acts(parsed, meaning)
            && match self.sandbox.rules.confirm {
                Confirm::Never => false,
                Confirm::Destructive => meaning.is_destructive(),
                Confirm::Writes => true,
            }
    }

    async fn filtered(
        &self,
        listing: Listing,
        answer: Response<Bytes>,
        directory: &Directory,
    ) -> Result<Response<Bytes>, SendError> {
        let scope = &self.sandbox.policy(&self.terms).scope;
        // A dry run shows the operator why a request would be refused: its tool
        // has to find the guest for that.
        if self.terms.dry_run || !scope.filters(listing) || !answer.status().is_success() {
            return Ok(answer);
        }
        let (mut parts, body) = answer.into_parts();
        let no_room = |_| SendError::new(FailureKind::ResponseTooLarge, "the answer is too large");
        let mut hold = self.account.hold(body.len()).await.map_err(no_room)?;
        let filtered = {
            let _alone = match body.len() > LARGE_ANSWER_BYTES {
                true => self.sandbox.filtering.acquire().await.ok(),
                false => None,
            };
            scope.filter(listing, &body, directory)
        };
        drop(body);
        // Whoever does not understand an answer cannot tell what it shows.
        let Some(body) = filtered else {
            return Err(SendError::new(
                FailureKind::Protocol,
                "the answer cannot be filtered to this server's scope",
            ));
        };
        let kept = body.len() * COPIES_OF_AN_ANSWER;
        hold.resize(kept).await.map_err(no_room)?;
        parts.headers.remove(header::TRANSFER_ENCODING);
        parts
            .headers
            .insert(header::CONTENT_LENGTH, body.len().into());
        let words: String = scope.in_words().chars().take(SCOPE_CHARS).collect();
        if let Ok(words) = HeaderValue::from_str(&words) {
            parts.headers.insert(headers::SCOPE, words);
        }
        let body = Bytes::from_owner(Kept { bytes: body, hold });
        Ok(Response::from_parts(parts, body))
    }

    /// Refuses a request, and tells the operator.
    async fn refuse(
        &self,
        request: &Request<Bytes>,
        parsed: Option<&ApiRequest>,
        verdict: Verdict,
    ) -> SendError {
        let method: String = request.method().as_str().chars().take(32).collect();
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
        tracing::warn!("refused {method} {target} by rule {rule}: {reason}");
        let error = SendError::new(FailureKind::Denied, format!("rule {rule}: {reason}"));
        match parsed {
            Some(parsed) => {
                self.record(parsed, &verdict, None, None, Duration::ZERO)
                    .await;
                self.note(parsed, &verdict, Fate::Refused);
            }
            None => {
                let subject = (method.as_str(), target.clone(), Vec::new());
                self.write(subject, &verdict, None, None, Duration::ZERO)
                    .await;
                self.journal().push(Decision {
                    method,
                    path: target,
                    params: Vec::new(),
                    verdict,
                    fate: Fate::Refused,
                });
            }
        }
        error
    }

    fn note(&self, parsed: &ApiRequest, verdict: &Verdict, fate: Fate) {
        let mut journal = self.journal();
        journal.has_written |= parsed.method != Method::Get && matches!(fate, Fate::Sent(_));
        let lacks_agreement = matches!(fate, Fate::Unconfirmed | Fate::Declined);
        let waits = lacks_agreement && journal.unconfirmed.is_none();
        // A component that sends more must not fill the host's memory.
        if !waits && journal.is_full() {
            return;
        }
        let decision = Decision {
            method: parsed.method.as_str().to_owned(),
            path: parsed.path(),
            params: redact::shown(&parsed.params),
            verdict: verdict.clone(),
            fate,
        };
        if waits {
            journal.unconfirmed = Some(decision.clone());
        }
        journal.push(decision);
    }

    fn journal(&self) -> std::sync::MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a request does something, and does not only read. A GET may: that of
/// the metadata of a URL has a node send a request to where the URL leads. (To
/// ask what a command in a guest has come to is a read.)
fn acts(request: &ApiRequest, meaning: &Meaning) -> bool {
    request.method != Method::Get || meaning.actions.contains(&Action::Download)
}

impl Journal {
    fn is_full(&self) -> bool {
        self.bytes >= MAX_JOURNAL_BYTES
    }

    /// Keeps a decision, while there is room, and of a long one what shows what
    /// it was.
    fn push(&mut self, mut decision: Decision) {
        if self.is_full() {
            return;
        }
        let params = decision.params.iter();
        let params: usize = params.map(|(name, value)| name.len() + value.len()).sum();
        let names = params + decision.path.len();
        if names > MAX_JOURNAL_BYTES / 8 {
            decision.params.clear();
            decision.path = decision.path.chars().take(SHOWN_CHARS).collect();
            decision.verdict.meaning = Meaning::default();
        }
        self.bytes += 512 + 2 * names.min(MAX_JOURNAL_BYTES / 8) + decision.verdict.reason.len();
        self.decisions.push(decision);
    }
}

impl Exit {
    /// Of the component's request only the method, the path, the plain headers
    /// and the body go on; the rest is the host's own.
    pub(super) fn outgoing(
        &self,
        request: Request<Bytes>,
        api: &Api,
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
        super::headers::strip(&mut parts.headers);
        Ok(Request::from_parts(parts, body))
    }
}

impl Decision {
    /// The request, for people.
    pub(crate) fn subject(&self) -> String {
        subject(&self.method, &self.path, &self.params)
    }
}

fn subject(method: &str, path: &str, params: &[(String, String)]) -> String {
    let mut text = format!("{method} {path}");
    for (index, (name, value)) in params.iter().enumerate() {
        let before = if index == 0 { " with " } else { ", " };
        text.push_str(before);
        text.push_str(&format!("{name}={}", value.escape_debug()));
    }
    text
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
