//! Ctrl-C while a tool is called.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::engine::ProxmoxTask;
use crate::sandbox::{Fate, Gate};

/// How long a change that is under way may take to be answered after Ctrl-C.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How many requests are named, and how much of each.
const SHOWN_CHANGES: usize = 10;
const SHOWN_CHARS: usize = 200;

/// Whether the user has pressed Ctrl-C, from when it is made on.
pub(super) struct Interrupt {
    /// Pressed once: end, but complete what is under way.
    pub(super) first: CancellationToken,
    /// Pressed again: end now.
    pub(super) second: CancellationToken,
}

impl Interrupt {
    /// Watches for Ctrl-C, which no longer ends the process by itself.
    pub(super) fn watch() -> Self {
        let (first, second) = (CancellationToken::new(), CancellationToken::new());
        tokio::spawn({
            let (first, second) = (first.clone(), second.clone());
            async move {
                // Where the system has no such signal, nothing can be pressed.
                for token in [first, second] {
                    if tokio::signal::ctrl_c().await.is_err() {
                        return;
                    }
                    token.cancel();
                }
            }
        });
        Self { first, second }
    }
}

/// The Proxmox task that a call has started last, as far as it is known.
#[derive(Default)]
pub(super) struct LastTask(Mutex<Option<ProxmoxTask>>);

impl LastTask {
    /// Notes the task; true if it is another one than before.
    pub(super) fn note(&self, task: Option<&ProxmoxTask>) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new =
            task.is_some_and(|task| known.as_ref().is_none_or(|known| known.upid != task.upid));
        if is_new {
            *known = task.cloned();
        }
        is_new
    }

    /// The task, if there is one.
    pub(super) fn get(&self) -> Option<ProxmoxTask> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// What there is to know before any request of the call was sent.
pub(super) const TOO_EARLY: &str = "interrupted before anything was sent: nothing was changed";

/// What an interrupted call leaves behind.
pub(super) fn left_behind(task: Option<&ProxmoxTask>, gate: &Gate) -> String {
    if let Some(task) = task {
        let upid = &task.upid;
        let stops = match task.stopped_by.as_str() {
            "" => String::new(),
            tool => format!("\n`host-runner call {tool} upid='{upid}'` stops it"),
        };
        return format!(
            "interrupted: the call ends here, but its Proxmox task {upid} may still be \
             running\n`host-runner call {} upid='{upid}'` follows it{stops}",
            task.followed_by
        );
    }
    let is_open = !gate.stop_now();
    if !gate.has_written() {
        return match is_open {
            true => "interrupted: a change was sent and not answered yet, so it may have been \
                     made. Check before you repeat the call"
                .to_owned(),
            false => "interrupted: the call has changed nothing".to_owned(),
        };
    }
    let open = if is_open {
        " Another one is not answered yet."
    } else {
        ""
    };
    format!(
        "interrupted: the call ends here. It has sent these requests: {}.{open} \
         Check what they have changed before you repeat the call",
        sent(gate).join("; ")
    )
}

/// The changes that a call has sent.
fn sent(gate: &Gate) -> Vec<String> {
    let decisions = gate.decisions().into_iter();
    let changes = decisions.filter(|one| one.method != "GET" && matches!(one.fate, Fate::Sent(_)));
    let changes: Vec<_> = changes.map(|one| one.subject()).collect();
    let cut = |change: &String| -> String { change.chars().take(SHOWN_CHARS).collect() };
    let mut shown: Vec<_> = changes.iter().take(SHOWN_CHANGES).map(cut).collect();
    let more = changes.len() - shown.len();
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    shown
}
