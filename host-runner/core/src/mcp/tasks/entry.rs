//! One task, as its client sees it.

use std::time::{Duration, Instant, SystemTime};

use rmcp::model::{
    CallToolResult, CreateTaskResult, DetailedTask, ElicitRequest, GetTaskResult, InputRequest,
    InputRequests, JsonObject, MetaObject, Task, TaskPayload, TaskStatus,
};
use serde_json::Value;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::super::running::{Changes, Progress};
use super::id::Earlier;
use crate::engine::ProxmoxTask;

/// How long a result is kept.
pub(super) const KEPT: Duration = Duration::from_secs(60 * 60);
/// How often a client should ask: as often as the component looks at a task.
const POLL_MS: u64 = 1000;
/// How many of the changes of a cancelled call are named, and how much of each.
const SHOWN_CHANGES: usize = 8;
const SHOWN_CHARS: usize = 200;
/// The member of `_meta` with the identifier of the task of Proxmox VE.
const UPID: &str = "proxmox-mcp/upid";

/// A call whose client polls its state instead of waiting for the response.
pub(super) struct Entry {
    id: String,
    created: SystemTime,
    began: Instant,
    state: watch::Sender<State>,
    /// Set when the client cancels the task.
    pub(super) cancelled: CancellationToken,
}

struct State {
    updated: SystemTime,
    message: String,
    /// The task of Proxmox VE that it has come to.
    task: Option<ProxmoxTask>,
    stage: Stage,
}

enum Stage {
    /// Nothing is known of it yet.
    Begun,
    Working,
    /// A change waits for the user's answer.
    Asks(Box<Asks>),
    Ended(End),
}

struct Asks {
    key: String,
    request: InputRequest,
    answer: oneshot::Sender<bool>,
}

struct End {
    at: Instant,
    /// The result as JSON, in which it takes the least memory. None if it was cancelled.
    result: Option<String>,
}

impl Entry {
    /// A task whose call has begun, and is this far.
    pub(super) fn new(id: String, progress: Option<Progress>) -> Self {
        let now = SystemTime::now();
        let state = State {
            updated: now,
            message: "the call is still running".to_owned(),
            task: None,
            stage: Stage::Begun,
        };
        let entry = Self {
            id,
            created: now,
            began: Instant::now(),
            state: watch::Sender::new(state),
            cancelled: CancellationToken::new(),
        };
        if let Some(progress) = progress {
            entry.progress(progress);
        }
        entry
    }

    /// A task of which only the task of Proxmox VE is known that its id is about.
    pub(super) fn followed_again(id: String, earlier: &Earlier<'_>) -> Self {
        let entry = Self::new(id, None);
        entry.update(|state| {
            state.task = Some(ProxmoxTask {
                upid: earlier.upid.to_owned(),
                followed_by: earlier.tool.to_owned(),
                stopped_by: String::new(),
            });
        });
        entry
    }

    /// Notes how far a task of Proxmox VE is.
    pub(super) fn progress(&self, now: Progress) {
        self.update(|state| {
            state.message = now.message;
            state.task = now.task.or_else(|| state.task.take());
            state.stage = Stage::Working;
        });
    }

    /// Asks the client for the user's answer. The receiver gets the answer, or an error if
    /// the task ends first.
    pub(super) fn ask(&self, key: String, request: ElicitRequest) -> oneshot::Receiver<bool> {
        let (answer, answered) = oneshot::channel();
        let asks = Asks {
            key,
            request: InputRequest::Elicitation(request),
            answer,
        };
        self.update(|state| {
            state.message = "a change waits for the user's consent".to_owned();
            state.stage = Stage::Asks(Box::new(asks));
        });
        answered
    }

    /// The key of the open question.
    pub(super) fn question(&self) -> Option<String> {
        match &self.state.borrow().stage {
            Stage::Asks(asks) => Some(asks.key.clone()),
            _ => None,
        }
    }

    /// Answers the open question, if it is this one.
    pub(super) fn answer(&self, key: &str, agreed: bool) {
        self.update(|state| {
            let is_asked = matches!(&state.stage, Stage::Asks(asks) if asks.key == key);
            if is_asked
                && let Stage::Asks(asks) = std::mem::replace(&mut state.stage, Stage::Working)
            {
                state.message = "the user has answered".to_owned();
                // A call that has ended does not wait for it any more.
                let _ = asks.answer.send(agreed);
            }
        });
    }

    /// Nothing is asked any more.
    pub(super) fn withdraw(&self) {
        self.update(|state| {
            state.message = "the user did not answer in time".to_owned();
            state.stage = Stage::Working;
        });
    }

    /// Keeps the result, and how it came about if that is not plain.
    pub(super) fn complete(&self, result: &CallToolResult, message: String) {
        let result = serde_json::to_string(result).unwrap_or_default();
        self.end(Some(result), message);
    }

    /// Says that the call is being ended.
    pub(super) fn cancelling(&self) {
        self.update(|state| {
            state.message = "cancelling: no further change is begun, and the task is cancelled \
                             once the change that is under way is answered"
                .to_owned();
            state.stage = Stage::Working;
        });
    }

    /// Says what a cancelled call leaves behind.
    pub(super) fn cancel(&self, changes: &Changes) {
        let task = self.state.borrow().task.clone();
        self.end(None, left_behind(task.as_ref(), changes));
    }

    fn end(&self, result: Option<String>, message: String) {
        let at = Instant::now();
        self.update(|state| {
            state.message = message;
            state.stage = Stage::Ended(End { at, result });
        });
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(|state| {
            // What has ended stays as it is.
            if !matches!(state.stage, Stage::Ended(_)) {
                change(state);
                state.updated = SystemTime::now();
            }
        });
    }

    /// Waits until something is known of it.
    pub(super) async fn until_known(&self) {
        let is_known = |state: &State| !matches!(state.stage, Stage::Begun);
        // The sender is this one's own: it is never gone.
        let _ = self.state.subscribe().wait_for(is_known).await;
    }

    /// When it ended.
    pub(super) fn ended(&self) -> Option<Instant> {
        match &self.state.borrow().stage {
            Stage::Ended(end) => Some(end.at),
            _ => None,
        }
    }

    /// What its result takes.
    pub(super) fn bytes(&self) -> usize {
        match &self.state.borrow().stage {
            Stage::Ended(end) => end.result.as_ref().map_or(0, String::len),
            _ => 0,
        }
    }

    /// The answer to the call itself.
    pub(super) fn created(&self) -> CreateTaskResult {
        let state = self.state.borrow();
        let mut created = CreateTaskResult::new(self.task(&state, TaskStatus::Working));
        created.meta = meta(&state);
        created
    }

    /// How it is now.
    pub(super) fn shown(&self) -> GetTaskResult {
        let state = self.state.borrow();
        let payload = match &state.stage {
            Stage::Begun | Stage::Working => TaskPayload::Working,
            Stage::Asks(asks) => TaskPayload::InputRequired {
                input_requests: InputRequests::from([(asks.key.clone(), asks.request.clone())]),
            },
            Stage::Ended(End { result: None, .. }) => TaskPayload::Cancelled,
            Stage::Ended(End {
                result: Some(result),
                ..
            }) => TaskPayload::Completed {
                result: object(result),
            },
        };
        let task = self.task(&state, payload.status());
        let mut shown = GetTaskResult::new(DetailedTask::new(task, payload));
        shown.meta = meta(&state);
        shown
    }

    fn task(&self, state: &State, status: TaskStatus) -> Task {
        let lived = match &state.stage {
            Stage::Ended(end) => end.at.saturating_duration_since(self.began),
            _ => self.began.elapsed(),
        };
        let task = Task::new(&self.id, status, time(self.created), time(state.updated))
            .with_ttl_ms(milliseconds(lived + KEPT))
            .with_poll_interval_ms(POLL_MS);
        match state.message.is_empty() {
            true => task,
            false => task.with_status_message(&state.message),
        }
    }
}

/// What there is to do after a call was cancelled.
fn left_behind(task: Option<&ProxmoxTask>, changes: &Changes) -> String {
    if let Some(task) = task {
        let stops = match task.stopped_by.as_str() {
            "" => String::new(),
            tool => format!(", and {tool} stops it"),
        };
        return format!(
            "the call is no longer followed, and nothing further of it is begun. Its Proxmox \
             task may still be running: {} with upid {} follows it{stops}",
            task.followed_by, task.upid
        );
    }
    if !changes.any {
        return "the call was cancelled and has changed nothing".to_owned();
    }
    let cut = |request: &String| -> String { request.chars().take(SHOWN_CHARS).collect() };
    let mut sent: Vec<_> = changes.sent.iter().take(SHOWN_CHANGES).map(cut).collect();
    let more = changes.sent.len() - sent.len();
    if more > 0 {
        sent.push(format!("{more} more"));
    }
    format!(
        "the call was cancelled, and nothing further of it is begun. It had sent these requests: \
         {}. Check what they have changed before you repeat the call",
        sent.join("; ")
    )
}

fn meta(state: &State) -> Option<MetaObject> {
    let upid = Value::from(state.task.as_ref()?.upid.clone());
    let mut meta = MetaObject::new();
    meta.0.insert(UPID.to_owned(), upid);
    Some(meta)
}

fn object(json: &str) -> JsonObject {
    serde_json::from_str(json).unwrap_or_default()
}

fn time(time: SystemTime) -> String {
    // humantime panics before 1970, which a clock without a battery may show.
    humantime::format_rfc3339_millis(time.max(SystemTime::UNIX_EPOCH)).to_string()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(entry: &Entry, changes: &Changes) -> String {
        entry.cancelling();
        let shown = serde_json::to_value(entry.shown()).unwrap();
        assert_eq!(shown["status"], "working");
        entry.cancel(changes);
        let shown = serde_json::to_value(entry.shown()).unwrap();
        assert_eq!(shown["status"], "cancelled");
        shown["statusMessage"].as_str().unwrap().to_owned()
    }

    #[test]
    fn a_cancelled_call_says_what_it_has_sent() {
        let entry = || Entry::new("1".to_owned(), None);
        let nothing = after(&entry(), &Changes::default());
        assert!(nothing.contains("has changed nothing"), "{nothing}");
        let sent = (100..110).map(|vmid| format!("POST /nodes/pve1/qemu/{vmid}/status/start"));
        let changes = Changes {
            any: true,
            sent: sent.collect(),
        };
        let some = after(&entry(), &changes);
        assert!(some.contains("/100/") && some.contains("2 more"), "{some}");
    }

    /// The call itself may have changed much.
    #[test]
    fn nothing_is_said_of_the_changes_of_an_earlier_process() {
        let earlier = Earlier {
            cluster: None,
            tool: "wait_task",
            upid: "UPID:pve1:0000011D:000BED85:6B02AFAA:qmstart:100:root@pam:",
        };
        let entry = Entry::followed_again("1".to_owned(), &earlier);
        let said = after(&entry, &Changes::default());
        assert!(said.contains("wait_task with upid UPID:pve1:"), "{said}");
        assert!(!said.contains("changed nothing"), "{said}");
    }
}
