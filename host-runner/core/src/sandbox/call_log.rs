//! What became of the requests of one call: kept for its answer, and written to
//! the audit log.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use host_runner_policy::{ApiRequest, Meaning, Method, Verdict, lookup};
use http::Response;
use tracing::Level;

use super::failure::SendError;
use crate::audit::{
    Audit, AuditError, AuditedCall, AuditedRequest, CallEnd, CallOutcome, CallStart, RequestEnd,
};
use crate::observe;
use crate::redact;
use crate::trace::{self, CallSpan, WaitSpan};

/// How much is kept of a path or a target.
pub(super) const SHOWN_CHARS: usize = 512;
/// What is kept of a call's requests: honest ones take a few hundred bytes.
const MAX_JOURNAL_BYTES: usize = 128 * 1024;

/// What became of the requests of one call.
pub(super) struct CallLog {
    /// The call in the audit log.
    audit: Option<(Audit, AuditedCall)>,
    /// The call in the log on stderr.
    caption: Option<Caption>,
    /// What a collector of traces gets of it.
    span: Option<CallSpan>,
    began: Instant,
    /// The cluster's name, where there are several.
    cluster: Option<Arc<str>>,
    journal: Mutex<Journal>,
}

/// What the line about a call begins with.
struct Caption {
    user: Option<Arc<str>>,
    tool: String,
    /// The trace that the client or a collector knows it by.
    trace: Option<String>,
}

/// What was decided, as far as there is room for it.
#[derive(Default)]
struct Journal {
    decisions: Vec<Decision>,
    bytes: usize,
    /// The first change that was not sent because the user's consent is missing.
    unconfirmed: Option<Decision>,
    /// Something was sent that could change something.
    has_written: bool,
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
    /// It is allowed, but this is a dry run.
    Withheld,
}

impl CallLog {
    /// The log of a call, which the audit log records as `start`. Its requests go
    /// with this token, to this cluster.
    pub(super) fn new(
        audit: Option<&Audit>,
        start: Option<&CallStart<'_>>,
        token: Option<&str>,
        cluster: Option<&Arc<str>>,
    ) -> Self {
        let span = start.and_then(|start| begin_span(start, cluster.map(AsRef::as_ref)));
        let trace = span.as_ref().map(CallSpan::trace_id);
        let call = audit.zip(start);
        let logged = start.filter(|_| tracing::enabled!(Level::INFO));
        Self {
            caption: logged.map(|start| Caption {
                user: start.remote.and_then(|remote| remote.user.clone()),
                tool: start.tool.to_owned(),
                trace: trace.clone(),
            }),
            audit: call
                .map(|(audit, start)| (audit.clone(), audit.begin(start, token, trace.as_deref()))),
            span,
            began: Instant::now(),
            cluster: cluster.cloned(),
            journal: Mutex::default(),
        }
    }

    /// Whether a log records the call.
    pub(super) fn is_logged(&self) -> bool {
        self.audit.is_some() || self.caption.is_some() || self.span.is_some()
    }

    /// The call has ended.
    pub(super) fn finish(&self, outcome: CallOutcome<'_>, upid: Option<&str>) {
        if let Some(Caption { user, tool, trace }) = &self.caption {
            let (outcome, error) = outcome.name();
            let duration_ms = u64::try_from(self.began.elapsed().as_millis());
            tracing::info!(
                user = user.as_deref(),
                tool,
                outcome,
                error,
                duration_ms = duration_ms.unwrap_or(u64::MAX),
                upid,
                trace_id = trace.as_deref(),
                "call"
            );
        }
        if let Some(span) = &self.span {
            let (outcome, error) = outcome.name();
            span.end(outcome, error, upid);
        }
        if let Some((audit, call)) = &self.audit {
            let duration = self.began.elapsed();
            let end = CallEnd {
                outcome,
                upid,
                duration,
            };
            audit.outcome(call, &end);
        }
    }

    /// The call begins to wait for a task, for a collector of traces.
    pub(super) fn waits(&self) -> Option<WaitSpan> {
        self.span.as_ref()?.waits()
    }

    /// What was decided so far, in order.
    pub(super) fn decisions(&self) -> Vec<Decision> {
        self.journal().decisions.clone()
    }

    /// The first change that was not sent because the user's consent is missing.
    pub(super) fn unconfirmed(&self) -> Option<Decision> {
        self.journal().unconfirmed.clone()
    }

    /// Whether anything was sent that could change something.
    pub(super) fn has_written(&self) -> bool {
        self.journal().has_written
    }

    /// A request is about to be sent that does something. It is in the audit log before
    /// that, and must not be sent if this fails.
    pub(super) async fn sending(&self, request: &ApiRequest) -> Result<(), AuditError> {
        let Some((audit, call)) = &self.audit else {
            return Ok(());
        };
        let params = redact::params(&request.params);
        let request = AuditedRequest {
            method: request.method.as_str(),
            path: &request.path(),
            params: &params,
        };
        audit.write_ahead(call, &request).await
    }

    /// A request was sent, and answered or not.
    pub(super) async fn sent(
        &self,
        request: &ApiRequest,
        verdict: &Verdict,
        answer: &Result<Response<Bytes>, SendError>,
        duration: Duration,
    ) {
        let status = answer.as_ref().ok().map(|answer| answer.status().as_u16());
        let failure = answer.as_ref().err().map(|error| error.detail.as_str());
        self.keep(request, verdict, Fate::Sent(status));
        let end = RequestEnd {
            status,
            failure,
            duration,
            ..ended(verdict)
        };
        self.write(Subject::of(request), end).await;
    }

    /// A request was not sent.
    pub(super) async fn refused(&self, request: &ApiRequest, verdict: &Verdict, fate: Fate) {
        self.keep(request, verdict, fate);
        self.write(Subject::of(request), ended(verdict)).await;
    }

    /// A request that could not be read was not sent. `target` is what may be
    /// shown of its address.
    pub(super) async fn refused_unread(&self, method: &str, target: &str, verdict: Verdict) {
        let subject = Subject {
            method,
            request: None,
            path: target.to_owned(),
            params: Vec::new(),
        };
        self.write(subject, ended(&verdict)).await;
        self.journal().push(Decision {
            method: method.to_owned(),
            path: target.to_owned(),
            params: Vec::new(),
            verdict,
            fate: Fate::Refused,
        });
    }

    /// A request was not sent because the call is a dry run: the audit log has
    /// nothing of it.
    pub(super) fn withheld(&self, request: &ApiRequest, verdict: &Verdict) {
        self.keep(request, verdict, Fate::Withheld);
    }

    async fn write(&self, subject: Subject<'_>, end: RequestEnd<'_>) {
        count(self.cluster.as_deref(), &end);
        if let Some(span) = &self.span {
            span.request(|| trace::Request {
                method: subject.method,
                template: subject.request.and_then(lookup::template),
                status: end.status,
                rule: end.rule.unwrap_or_default(),
                was_sent: end.status.is_some() || end.failure.is_some(),
                duration: end.duration,
            });
        }
        let Some((audit, call)) = &self.audit else {
            return;
        };
        let params = redact::params(&subject.params);
        let request = AuditedRequest {
            method: subject.method,
            path: &subject.path,
            params: &params,
        };
        audit.request(call, &request, &end).await;
    }

    fn keep(&self, request: &ApiRequest, verdict: &Verdict, fate: Fate) {
        let mut journal = self.journal();
        journal.has_written |= request.method != Method::Get && matches!(fate, Fate::Sent(_));
        let lacks_consent = matches!(fate, Fate::Unconfirmed | Fate::Declined);
        let is_first = lacks_consent && journal.unconfirmed.is_none();
        // A component that sends more must not fill the host's memory.
        if !is_first && journal.is_full() {
            return;
        }
        let decision = Decision {
            method: request.method.as_str().to_owned(),
            path: request.path(),
            params: redact::shown(&request.params),
            verdict: verdict.clone(),
            fate,
        };
        if is_first {
            journal.unconfirmed = Some(decision.clone());
        }
        journal.push(decision);
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn begin_span(start: &CallStart<'_>, cluster: Option<&str>) -> Option<CallSpan> {
    let call = trace::Call {
        method: start.occasion.method(),
        tool: start.tool,
        cluster,
        user: start.remote.and_then(|remote| remote.user.as_deref()),
        client: start.client_name,
        is_remote: start.remote.is_some(),
    };
    CallSpan::begin(&call, start.parent)
}

/// Counts a request that was answered, failed or was refused.
fn count(cluster: Option<&str>, end: &RequestEnd<'_>) {
    let Some(observer) = observe::observer() else {
        return;
    };
    match (end.status, end.failure) {
        (None, None) => observer.refused(cluster, end.rule.unwrap_or_default()),
        (status, _) => observer.sent(cluster, status),
    }
}

/// A request as the audit log has it, before what is secret is masked.
struct Subject<'a> {
    method: &'a str,
    /// None: it could not be read.
    request: Option<&'a ApiRequest>,
    path: String,
    params: Vec<(String, String)>,
}

impl<'a> Subject<'a> {
    fn of(request: &'a ApiRequest) -> Self {
        Self {
            method: request.method.as_str(),
            request: Some(request),
            path: request.path(),
            params: request.params.clone(),
        }
    }
}

/// The end of a request that was not sent.
fn ended(verdict: &Verdict) -> RequestEnd<'_> {
    RequestEnd {
        allowed: verdict.allowed,
        rule: Some(verdict.rule.name()),
        reason: (!verdict.allowed).then_some(verdict.reason.as_str()),
        status: None,
        failure: None,
        duration: Duration::ZERO,
    }
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
