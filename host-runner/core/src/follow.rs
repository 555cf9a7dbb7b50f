//! Follows a Proxmox task until it ends or the wait is over.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::audit::CallOutcome;
use crate::engine::{Outcome, Pending, Plugin, ToolError, ToolResult};
use crate::observe::CountedTask;
use crate::render;
use crate::sandbox::Gate;

/// Bounds of the pause that the component asks for.
const MIN_PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// How often in a row Proxmox may be unreachable: the task itself continues.
const MAX_MISSES: u32 = 3;

/// Hears how a task progresses.
pub(crate) trait Listener {
    /// The task is here now.
    fn progress(&mut self, now: &Pending) -> impl Future<Output = ()> + Send;
}

/// How far a call was followed.
pub(crate) enum Followed {
    /// To its end.
    Ended(ToolResult),
    /// Not to its end: this is what there is to say now.
    StillRunning(ToolResult),
}

impl Followed {
    /// What there is to say.
    pub(crate) fn into_result(self) -> ToolResult {
        match self {
            Self::Ended(result) | Self::StillRunning(result) => result,
        }
    }
}

/// Closes the call in the logs.
pub(crate) fn audit(gate: &Gate, answer: &Result<Followed, ToolError>) {
    if !gate.is_logged() {
        return;
    }
    // The rest of a result can be large.
    #[derive(serde::Deserialize)]
    struct Task {
        upid: String,
    }
    let upid = |result: &ToolResult| {
        let task = serde_json::from_str::<Task>(&result.structured).ok();
        task.map(|task| task.upid)
    };
    match answer {
        Ok(Followed::Ended(result)) => gate.finish(CallOutcome::Ok, upid(result).as_deref()),
        Ok(Followed::StillRunning(result)) => {
            gate.finish(CallOutcome::Running, upid(result).as_deref())
        }
        Err(error) => {
            let upid = match error {
                ToolError::FailedTask(failed) => Some(failed.upid.as_str()),
                _ => None,
            };
            gate.finish(CallOutcome::Error(render::kind(error)), upid);
        }
    }
}

/// Follows a call to its end. When `enough` is over first, the answer is the
/// interim one, and the task is still running: no further change is begun, and one that is
/// under way is completed.
pub(crate) async fn follow(
    plugin: &Plugin,
    gate: &Arc<Gate>,
    mut outcome: Outcome,
    listener: &mut impl Listener,
    enough: impl Future<Output = ()> + Send,
) -> Result<Followed, ToolError> {
    let mut enough = std::pin::pin!(async {
        enough.await;
        gate.stop().await;
    });
    let mut counted = None;
    let mut waits = None;
    loop {
        let pending = match outcome {
            Outcome::Done(result) => return Ok(Followed::Ended(result)),
            Outcome::Running(pending) => pending,
        };
        counted = counted.or_else(CountedTask::begin);
        waits = waits.or_else(|| gate.waits());
        if let (Some(span), Some(task)) = (&mut waits, &pending.task) {
            span.is_for(&task.upid);
        }
        listener.progress(&pending).await;
        tokio::select! {
            biased;
            () = &mut enough => return Ok(Followed::StillRunning(pending.interim)),
            next = look_again(plugin, gate, &pending) => match next {
                // The next step was one that may not begin any more.
                Err(ToolError::Denied(_)) if gate.is_stopped() => {
                    return Ok(Followed::StillRunning(pending.interim));
                }
                next => outcome = next?,
            },
        }
    }
}

/// Over after this long, or never.
pub(crate) async fn after(wait: Option<Duration>) {
    match wait.and_then(|wait| Instant::now().checked_add(wait)) {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

async fn look_again(
    plugin: &Plugin,
    gate: &Arc<Gate>,
    pending: &Pending,
) -> Result<Outcome, ToolError> {
    let pause = Duration::from_millis(pending.retry_after_ms.into()).clamp(MIN_PAUSE, MAX_PAUSE);
    let mut misses = 0;
    loop {
        tokio::time::sleep(pause).await;
        match plugin.resume(&pending.ticket, gate).await {
            Err(ToolError::Unreachable(message)) if misses < MAX_MISSES => {
                tracing::debug!("the task's status cannot be read at the moment: {message}");
                misses += 1;
            }
            outcome => return outcome,
        }
    }
}
