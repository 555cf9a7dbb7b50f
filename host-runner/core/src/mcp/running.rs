//! A call from its start to its answer.
//!
//! It runs in a separate task: a change that has started is completed even if
//! its client goes away, and a call can wait for its user's answer while no
//! request of its client is open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::Implementation;
use rmcp::service::RequestContext;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::audit::{CallOutcome, CallStart, Occasion};
use crate::ceiling::Ceiling;
use crate::engine::{Pending, Plugin, ProxmoxTask, Tool, ToolError, ToolResult};
use crate::follow::{self, Followed, Listener};
use crate::observe::CountedCall;
use crate::offer;
use crate::remote::Remote;
use crate::render;
use crate::sandbox::{Asker, Consent, Fate, Gate, Question, Terms};
use crate::settings::Detail;
use crate::trace::{self, Parent};

use super::refusal;

/// The longest that a call is followed whose client asks for its state, and waits for
/// no answer: longer than a backup of a large guest takes.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// A call that has been started.
pub(super) struct Running {
    task: JoinHandle<Result<Followed, ToolError>>,
    gate: Arc<Gate>,
    cluster: Option<Arc<str>>,
    questions: Option<mpsc::Receiver<Question>>,
    progress: watch::Receiver<Option<Progress>>,
    /// Aborting loses nothing, unless a change is under way: the tool only reads, or only
    /// follows a task of Proxmox.
    can_stop: Arc<AtomicBool>,
    is_patient: Arc<AtomicBool>,
    counted: Option<CountedCall>,
    /// Nobody waits for it any more.
    abandoned: CancellationToken,
    ended: bool,
}

/// How far a Proxmox task is.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    /// From 0 to 1, where it is known.
    pub(super) fraction: Option<f32>,
    pub(super) message: String,
    /// The one that is running now, where it is known.
    pub(super) task: Option<ProxmoxTask>,
}

/// What happens to a call.
pub(super) enum Event {
    /// A Proxmox task that it follows has come further.
    Progress(Progress),
    /// A change of it waits for the user.
    Question(Question),
    /// It has ended. This is its last event.
    Ended(Result<ToolResult, ToolError>),
}

/// What a call has sent that changes something.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) any: bool,
    /// The requests, with what is secret masked. Of a call with very many, only the first.
    pub(super) sent: Vec<String>,
}

/// For whom a tool is called, and for what.
#[derive(Debug)]
pub(super) struct Caller {
    /// Who the client says that it is.
    pub(super) client: Option<Implementation>,
    /// Who sent it, if that was over HTTP.
    pub(super) remote: Option<Remote>,
    /// The span of the client that the call belongs to.
    pub(super) parent: Option<Parent>,
    /// None: the call is not in the audit log.
    pub(super) occasion: Option<Occasion>,
}

/// What a call needs besides its arguments.
pub(super) struct Start<'a> {
    pub(super) plugin: &'a Arc<Plugin>,
    pub(super) tool: &'a Tool,
    pub(super) caller: &'a Caller,
    /// How long to follow a Proxmox task before answering that it still runs.
    pub(super) wait: Duration,
    /// No task is followed, and no question is answered, after this.
    pub(super) closing: CancellationToken,
    /// Counts the calls that may change something.
    pub(super) changes: &'a TaskTracker,
    /// How long the text of the result may be, and how it is written.
    pub(super) ceiling: Ceiling,
    pub(super) detail: Detail,
}

impl Caller {
    /// The client of a request, and what it wants.
    pub(super) fn of(context: &RequestContext<RoleServer>, occasion: Occasion) -> Self {
        let of_session = || Some(context.peer.peer_info()?.client_info.clone());
        Self {
            client: context.meta.client_info().or_else(of_session),
            remote: remote(context),
            parent: parent(context),
            occasion: Some(occasion),
        }
    }
}

/// Who sent a request over HTTP.
pub(super) fn remote(context: &RequestContext<RoleServer>) -> Option<Remote> {
    let head = context.extensions.get::<http::request::Parts>()?;
    head.extensions.get::<Remote>().cloned()
}

/// The span of the client that a request belongs to: as its `_meta` says, or over HTTP its
/// headers.
fn parent(context: &RequestContext<RoleServer>) -> Option<Parent> {
    let of_meta = |name: &str| context.meta.get(name)?.as_str();
    if let Some(parent) = of_meta(trace::TRACEPARENT) {
        return Parent::read(parent, of_meta(trace::TRACESTATE));
    }
    let head = context.extensions.get::<http::request::Parts>()?;
    Parent::of_headers(&head.headers)
}

impl Running {
    /// Starts a call. `arguments` is a JSON object; `can_ask` says whether its
    /// client can show a question to the user.
    pub(super) fn start(start: Start<'_>, arguments: String, can_ask: bool) -> Self {
        let Start { plugin, tool, .. } = start;
        let (consent, questions) = match can_ask {
            true => {
                let (asker, questions) = Asker::new(start.closing.clone());
                (Consent::User(asker), Some(questions))
            }
            false => (Consent::Unavailable, None),
        };
        let remote = start.caller.remote.as_ref();
        let terms = Terms {
            read_only: tool.annotations.read_only || remote.is_some_and(Remote::only_observes),
            consent,
            environment: start.ceiling.environment(start.detail),
            ..tool.terms()
        };
        let masked = || offer::masked(tool, &arguments);
        let client = start.caller.client.as_ref();
        let logged = start.caller.occasion.map(|occasion| CallStart {
            client_name: client.map(|client| client.name.as_str()),
            client_version: client.map(|client| client.version.as_str()),
            remote: start.caller.remote.as_ref(),
            parent: start.caller.parent.as_ref(),
            tool: &tool.name,
            occasion,
            arguments: &masked,
        });
        let gate = plugin.gate(terms, logged.as_ref());
        let can_stop = Arc::new(AtomicBool::new(tool.annotations.read_only));
        let is_patient = Arc::new(AtomicBool::new(false));
        let abandoned = CancellationToken::new();
        let (reporter, progress) = watch::channel(None);
        let task = tokio::spawn({
            let (plugin, gate) = (Arc::clone(plugin), Arc::clone(&gate));
            let (can_stop, is_patient) = (Arc::clone(&can_stop), Arc::clone(&is_patient));
            let (name, wait, closing) = (tool.name.clone(), start.wait, start.closing);
            let abandoned = abandoned.clone();
            // A change goes on when its client is gone, and the server waits for it.
            let change = (!tool.annotations.read_only).then(|| start.changes.token());
            async move {
                let _change = change;
                let outcome = plugin.call_tool(&name, &arguments, &gate).await?;
                can_stop.store(true, Ordering::Relaxed);
                let waited = async {
                    follow::after(Some(wait)).await;
                    if is_patient.load(Ordering::Relaxed) {
                        follow::after(Some(LONGEST_WAIT)).await;
                    }
                };
                let enough = async {
                    tokio::select! {
                        () = waited => {}
                        () = closing.cancelled() => {}
                        () = abandoned.cancelled() => {}
                    }
                };
                let mut reporter = Reporter(reporter);
                follow::follow(&plugin, &gate, outcome, &mut reporter, enough).await
            }
        });
        Self {
            task,
            gate,
            cluster: plugin.cluster().cloned(),
            questions,
            progress,
            can_stop,
            is_patient,
            counted: CountedCall::begin(&tool.name, plugin.cluster()),
            abandoned,
            ended: false,
        }
    }

    /// The name of the cluster that it is for, where there are several.
    pub(super) fn cluster(&self) -> Option<&str> {
        self.cluster.as_deref()
    }

    /// Follows a task of Proxmox VE to its end, also beyond the time after which a call
    /// returns with it still running.
    pub(super) fn be_patient(&self) {
        self.is_patient.store(true, Ordering::Relaxed);
    }

    /// Begins no further change, and waits for one that is under way. Returns what the call
    /// has changed, as far as that is still known.
    pub(super) async fn stop(&self) -> Changes {
        self.gate.stop().await;
        // It only reads from now on.
        self.can_stop.store(true, Ordering::Relaxed);
        let decisions = self.gate.decisions().into_iter();
        let sent = decisions.filter(|one| one.method != "GET" && matches!(one.fate, Fate::Sent(_)));
        Changes {
            any: self.gate.has_written(),
            sent: sent.map(|one| one.subject()).collect(),
        }
    }

    /// What happens next. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Event {
        let Self {
            task,
            questions,
            progress,
            ..
        } = self;
        let question = async {
            match questions {
                Some(questions) => match questions.recv().await {
                    Some(question) => question,
                    None => std::future::pending().await,
                },
                None => std::future::pending().await,
            }
        };
        let further = async {
            loop {
                if progress.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
                if let Some(now) = progress.borrow_and_update().clone() {
                    return now;
                }
            }
        };
        let answer = tokio::select! {
            biased;
            question = question => return Event::Question(question),
            now = further => return Event::Progress(now),
            answer = task => answer,
        };
        self.ended = true;
        let answer = answer
            .unwrap_or_else(|error| Err(ToolError::Internal(format!("the call failed: {error}"))));
        follow::audit(&self.gate, &answer);
        if let Some(counted) = self.counted.take() {
            counted.end(match &answer {
                Ok(Followed::Ended(_)) => "ok",
                Ok(Followed::StillRunning(_)) => "running",
                Err(error) => render::kind(error),
            });
        }
        let answer = answer.map(Followed::into_result);
        Event::Ended(answer.map_err(|error| match self.gate.unconfirmed() {
            Some(change) => refusal::of_change(&change, self.gate.has_written()),
            None => error,
        }))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        self.abandoned.cancel();
        if self.can_stop.load(Ordering::Relaxed) && self.gate.stop_now() {
            self.task.abort();
        }
        self.gate.finish(CallOutcome::Cancelled, None);
    }
}

/// Passes on how a task goes.
struct Reporter(watch::Sender<Option<Progress>>);

impl Listener for Reporter {
    async fn progress(&mut self, now: &Pending) {
        self.0.send_replace(Some(Progress {
            fraction: now.progress,
            message: now.message.clone(),
            task: now.task.clone(),
        }));
    }
}
