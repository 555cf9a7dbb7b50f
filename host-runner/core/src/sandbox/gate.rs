//! The state of one call that its requests share. `exchange` lets them out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use host_runner_policy::lookup;
use http::{Request, Uri, header};
use tokio::sync::watch;

use super::ask::Pause;
use super::call_log::{CallLog, Decision};
use super::failure::{FailureKind, SendError};
use super::shared::Sandbox;
use super::terms::Terms;
use crate::audit::{CallOutcome, CallStart};
use crate::budget::Account;
use crate::trace::WaitSpan;
use crate::turn::Turn;

/// Lets the requests of one call out.
pub(crate) struct Gate {
    pub(super) sandbox: Arc<Sandbox>,
    pub(super) terms: Terms,
    pub(super) log: CallLog,
    /// How many requests the component has made since it was last run for this call.
    pub(super) requests: AtomicU32,
    /// How many requests of the whole call were no reads.
    pub(super) changes: AtomicU32,
    flow: watch::Sender<Flow>,
    pub(super) account: Arc<Account>,
    /// The time that the user took to answer.
    pub(super) pause: Pause,
    pub(super) turn: Turn,
    /// Whose call it is, over HTTP.
    pub(super) user: Option<Arc<str>>,
}

/// Whether changes may still begin, and how many are under way.
#[derive(Default)]
struct Flow {
    is_stopped: bool,
    under_way: usize,
}

/// A change that is being made, until this is dropped.
pub(super) struct UnderWay<'a>(&'a Gate);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.flow.send_modify(|flow| flow.under_way -= 1);
    }
}

impl Gate {
    /// The gate of one call, which the audit log records as `start`.
    pub(crate) fn new(
        sandbox: &Arc<Sandbox>,
        terms: Terms,
        start: Option<&CallStart<'_>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            log: CallLog::new(
                sandbox.audit.as_ref(),
                start,
                sandbox.token(),
                sandbox.cluster(),
            ),
            account: sandbox.capacity.budget.account(),
            sandbox: Arc::clone(sandbox),
            terms,
            requests: AtomicU32::new(0),
            changes: AtomicU32::new(0),
            flow: watch::Sender::default(),
            pause: Pause::default(),
            turn: Turn::default(),
            user: start.and_then(|start| start.remote?.user.clone()),
        })
    }

    /// Whether a log records the call.
    pub(crate) fn is_logged(&self) -> bool {
        self.log.is_logged()
    }

    /// The call has ended: this is for the logs.
    pub(crate) fn finish(&self, outcome: CallOutcome<'_>, upid: Option<&str>) {
        self.log.finish(outcome, upid);
    }

    /// The call begins to wait for a task, for a collector of traces.
    pub(crate) fn waits(&self) -> Option<WaitSpan> {
        self.log.waits()
    }

    /// The component is run once more for the call, and may make as many requests as
    /// before: a task that runs for a day is looked at for a day. Changes are counted on.
    pub(crate) fn begin_look(&self) {
        self.requests.store(0, Ordering::Relaxed);
    }

    /// Begins a change, unless no further one may begin.
    pub(super) fn begin_change(&self) -> Result<UnderWay<'_>, SendError> {
        let may_begin = self.flow.send_if_modified(|flow| {
            flow.under_way += usize::from(!flow.is_stopped);
            !flow.is_stopped
        });
        match may_begin {
            true => Ok(UnderWay(self)),
            false => {
                let reason = "the call is over, so it begins no further change";
                Err(SendError::new(FailureKind::Denied, reason))
            }
        }
    }

    /// Lets no further change begin. Whether none is under way.
    pub(crate) fn stop_now(&self) -> bool {
        self.flow.send_modify(|flow| flow.is_stopped = true);
        self.flow.borrow().under_way == 0
    }

    /// Lets no further change begin, and waits for those that are under way.
    pub(crate) async fn stop(&self) {
        self.stop_now();
        let is_still = |flow: &Flow| flow.under_way == 0;
        // The sender is this one's own: it is never gone.
        let _ = self.flow.subscribe().wait_for(is_still).await;
    }

    /// Whether no further change may begin.
    pub(crate) fn is_stopped(&self) -> bool {
        self.flow.borrow().is_stopped
    }

    /// What the component's environment has of this call alone.
    pub(crate) fn environment(&self) -> &[(String, String)] {
        &self.terms.environment
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
        self.log.decisions()
    }

    /// The first change that was not sent because the user's consent is missing.
    pub(crate) fn unconfirmed(&self) -> Option<Decision> {
        self.log.unconfirmed()
    }

    /// Whether anything was sent that could change something.
    pub(crate) fn has_written(&self) -> bool {
        self.log.has_written()
    }

    /// How long the call has waited for the user's answers so far, which counts
    /// against none of its limits.
    pub(crate) fn paused(&self) -> Duration {
        self.pause.total()
    }

    /// A request that a person wrote: a whole URL, or a path below the API, and
    /// a form.
    pub(crate) fn request(&self, method: &str, target: &str, form: &str) -> Option<Request<Bytes>> {
        let upstream = self.sandbox.cluster.upstream.as_ref()?;
        let uri = match target.strip_prefix('/') {
            Some(_) if target.starts_with(lookup::API) => format!("{}{target}", upstream.origin),
            Some(_) => upstream.origin.api(target),
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
        let Some(upstream) = &self.sandbox.cluster.upstream else {
            return Err(denied(
                "no settings are given, so nothing is sent".to_owned(),
            ));
        };
        let (mut parts, body) = request.into_parts();
        let uri = format!("{}{}", upstream.origin, parts.uri);
        parts.uri = Uri::try_from(uri).map_err(|error| denied(error.to_string()))?;
        Ok(Request::from_parts(parts, body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_that_is_stopped_completes_its_change_and_begins_no_other() {
        let sandbox = Arc::new(Sandbox::sealed(1 << 20));
        let gate = Gate::new(&sandbox, Terms::default(), None);
        let under_way = gate.begin_change().unwrap();
        let mut stop = std::pin::pin!(gate.stop());
        let at_once = tokio::time::timeout(Duration::from_millis(20), stop.as_mut());
        assert!(at_once.await.is_err());
        assert!(gate.begin_change().is_err());
        drop(under_way);
        stop.await;
        assert!(gate.stop_now() && gate.begin_change().is_err());
    }
}
