//! A call from its start to its answer.
//!
//! It runs in a separate task: a change that has started is completed even if
//! its client goes away, and a call can wait for its user's answer while no
//! request of its client is open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::audit::{CallOutcome, CallStart};
use crate::engine::{Pending, Plugin, Tool, ToolError, ToolResult};
use crate::follow::{self, Followed, Listener};
use crate::offer;
use crate::sandbox::{Asker, Consent, Gate, Question, Terms};

use super::refusal;

/// A call that has been started.
pub(super) struct Running {
    task: JoinHandle<Result<Followed, ToolError>>,
    gate: Arc<Gate>,
    questions: Option<mpsc::Receiver<Question>>,
    progress: watch::Receiver<Option<Progress>>,
    /// Aborting loses nothing: the tool only reads, or only waits for a task of
    /// Proxmox.
    can_stop: Arc<AtomicBool>,
    ended: bool,
}

/// How far a Proxmox task is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Progress {
    /// From 0 to 1, where it is known.
    pub(super) fraction: Option<f32>,
    pub(super) message: String,
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

/// What a call needs besides its arguments.
pub(super) struct Start<'a> {
    pub(super) plugin: &'a Arc<Plugin>,
    pub(super) tool: &'a Tool,
    pub(super) client_name: Option<&'a str>,
    pub(super) client_version: Option<&'a str>,
    /// How long to follow a Proxmox task before answering that it still runs.
    pub(super) wait: Duration,
    /// No task is followed after this.
    pub(super) closing: CancellationToken,
}

impl Running {
    /// Starts a call. `arguments` is a JSON object; `can_ask` says whether its
    /// client can show a question to the user.
    pub(super) fn start(start: Start<'_>, arguments: String, can_ask: bool) -> Self {
        let Start { plugin, tool, .. } = start;
        let (consent, questions) = match can_ask {
            true => {
                let (asker, questions) = Asker::new();
                (Consent::User(asker), Some(questions))
            }
            false => (Consent::Unavailable, None),
        };
        let terms = Terms {
            consent,
            ..tool.terms()
        };
        let gate = plugin.gate(
            terms,
            Some(&CallStart {
                client_name: start.client_name,
                client_version: start.client_version,
                tool: &tool.name,
                arguments: &|| offer::masked(tool, &arguments),
            }),
        );
        let can_stop = Arc::new(AtomicBool::new(tool.annotations.read_only));
        let (reporter, progress) = watch::channel(None);
        let task = tokio::spawn({
            let (plugin, gate) = (Arc::clone(plugin), Arc::clone(&gate));
            let can_stop = Arc::clone(&can_stop);
            let (name, wait, closing) = (tool.name.clone(), start.wait, start.closing);
            async move {
                let outcome = plugin.call_tool(&name, &arguments, &gate).await?;
                can_stop.store(true, Ordering::Relaxed);
                let enough = async {
                    tokio::select! {
                        () = follow::after(Some(wait)) => {}
                        () = closing.cancelled() => {}
                    }
                };
                let mut reporter = Reporter(reporter);
                follow::follow(&plugin, &gate, outcome, &mut reporter, enough).await
            }
        });
        Self {
            task,
            gate,
            questions,
            progress,
            can_stop,
            ended: false,
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
        if self.can_stop.load(Ordering::Relaxed) {
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
        }));
    }
}
