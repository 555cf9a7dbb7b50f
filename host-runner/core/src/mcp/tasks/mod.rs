//! The extension `io.modelcontextprotocol/tasks`: a call that takes long is answered
//! with a task, and its client asks for the task's state until the call has ended.
//!
//! A task is a call like any other, with the same policy, consent, limits and audit log.
//! It lives as long as this process. An id of an earlier process that has the UPID of a
//! task of Proxmox VE is answered by a call, for the client that asks, of the tool that
//! follows that task: so an id gives its client nothing that the tools do not.

mod entry;
mod id;
mod registry;

use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{
    CreateTaskResult, ElicitRequest, ElicitResult, ElicitationAction, GetTaskResult,
    InputResponses, ProtocolVersion,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use serde_json::json;

pub(super) use self::registry::ByUser;

use self::entry::{Entry, KEPT};
use self::id::Earlier;
use self::registry::{MAX_TASKS, Place, Tasks};
use super::confirm;
use super::inner::Inner;
use super::refusal::blame;
use super::running::{self, Caller, Event, Progress, Running};
use super::unknown::cut;
use crate::audit::Occasion;
use crate::render;
use crate::sandbox::Question;
use crate::settings::Detail;

/// A call that takes longer becomes a task. Most calls take less than a second; a client
/// that waits for one poll interval more than that gains nothing by a task.
pub(super) const PROMPT_TIME: Duration = Duration::from_secs(2);

/// A call that is about to become a task.
pub(super) struct Long {
    pub(super) call: Running,
    pub(super) tool: String,
    pub(super) detail: Detail,
    /// The last known progress.
    pub(super) progress: Option<Progress>,
}

/// Whether a client can be answered with a task.
pub(super) fn understands(context: &RequestContext<RoleServer>) -> bool {
    let capabilities = context.client_capabilities();
    context.protocol_version() >= Some(ProtocolVersion::V_2026_07_28)
        && capabilities.is_some_and(|capabilities| capabilities.supports_tasks())
}

impl Inner {
    /// Makes a task of a call. Gives the call back if there may be no other task.
    pub(super) fn begin_task(
        self: &Arc<Self>,
        long: Long,
        context: &RequestContext<RoleServer>,
    ) -> Result<CreateTaskResult, Box<Long>> {
        let tasks = self.tasks_of(context);
        let task = long.progress.as_ref().and_then(|now| now.task.as_ref());
        let Some(id) = id::new(task, long.call.cluster()) else {
            return Err(Box::new(long));
        };
        let new = || Entry::new(id.clone(), long.progress.clone());
        let Place::New(entry) = tasks.place(&id, new) else {
            return Err(Box::new(long));
        };
        let created = entry.created();
        self.run(tasks, entry, long, None);
        Ok(created)
    }

    /// The tasks of the user whose request it is.
    fn tasks_of(&self, context: &RequestContext<RoleServer>) -> Arc<Tasks> {
        self.tasks
            .of(running::remote(context).and_then(|of| of.user))
    }

    /// `tasks/get`.
    pub(super) async fn get_task(
        self: &Arc<Self>,
        id: &str,
        context: &RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        Ok(self.task(id, context).await?.shown())
    }

    /// `tasks/update`. Answers to what is not asked, or no longer, are ignored.
    pub(super) async fn update_task(
        self: &Arc<Self>,
        id: &str,
        answers: InputResponses,
        context: &RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let entry = self.task(id, context).await?;
        let Some(key) = entry.question() else {
            return Ok(());
        };
        let Some(answer) = answers.get(&key) else {
            return Ok(());
        };
        let answer: ElicitResult = serde_json::from_value(answer.clone()).map_err(|_| {
            let message = format!(
                "the answer to {key} is not the result of elicitation/create, for example \
                 {{\"action\":\"accept\",\"content\":{{}}}}"
            );
            ErrorData::invalid_params(message, None)
        })?;
        entry.answer(&key, answer.action == ElicitationAction::Accept);
        Ok(())
    }

    /// `tasks/cancel`. No further change is begun; the task is cancelled once the one that
    /// is under way is completed. A task of Proxmox VE is left running.
    pub(super) async fn cancel_task(
        self: &Arc<Self>,
        id: &str,
        context: &RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.task(id, context).await?.cancelled.cancel();
        Ok(())
    }

    /// The task of an id. One of an earlier process is followed again.
    async fn task(
        self: &Arc<Self>,
        id: &str,
        context: &RequestContext<RoleServer>,
    ) -> Result<Arc<Entry>, ErrorData> {
        let tasks = self.tasks_of(context);
        if let Some(entry) = tasks.find(id) {
            return Ok(entry);
        }
        if tasks.is_gone(id) {
            return Err(gone(id));
        }
        let earlier = id::earlier(id).ok_or_else(|| unknown(id, None))?;
        let entry = self.follow_again(id, &earlier, context).await?;
        // Most tasks of earlier processes have ended.
        let _ = tokio::time::timeout(PROMPT_TIME, entry.until_known()).await;
        Ok(entry)
    }

    /// Calls the tool that follows the task of an id, as the client itself could.
    async fn follow_again(
        self: &Arc<Self>,
        id: &str,
        earlier: &Earlier<'_>,
        context: &RequestContext<RoleServer>,
    ) -> Result<Arc<Entry>, ErrorData> {
        if let Some(fault) = &self.fault {
            return Err(ErrorData::internal_error(blame(fault), None));
        }
        self.backlog.room().await;
        let catalog = self.catalog.of(earlier.cluster);
        let catalog = catalog.ok_or_else(|| unknown(id, None))?;
        let offer = catalog.offer().await;
        let offer =
            offer.map_err(|error| ErrorData::internal_error(blame(&error.to_string()), None))?;
        let tool = match offer.find(earlier.tool) {
            Ok(tool) if tool.annotations.read_only => tool,
            Ok(_) => return Err(unknown(id, None)),
            Err(error) => return Err(unknown(id, Some(&error.to_string()))),
        };
        let internal = |error| ErrorData::internal_error(render::error_text(&error), None);
        let plugin = self.plugin(catalog).await.map_err(internal)?;
        // From here on, nothing is waited for: a request that is cancelled in between would
        // leave a task without a call.
        let new = || Entry::followed_again(id.to_owned(), earlier);
        let tasks = self.tasks_of(context);
        let entry = match tasks.place(id, new) {
            Place::Known(entry) => return Ok(entry),
            Place::New(entry) => entry,
            Place::Gone => return Err(gone(id)),
            Place::Full => return Err(full()),
        };
        let arguments = json!({ "upid": earlier.upid }).to_string();
        let shown = (self.ceiling, self.detail);
        let caller = Caller::of(context, Occasion::Call);
        let call = self.start_on(&plugin, tool, arguments, false, &caller, shown);
        let long = Long {
            call,
            tool: tool.name.clone(),
            detail: self.detail,
            progress: None,
        };
        let note = format!(
            "this server has nothing of the call itself, so this is only the result of {} with \
             upid {}: if the call has further steps, check whether they were made",
            tool.name, earlier.upid
        );
        self.run(tasks, Arc::clone(&entry), long, Some(note));
        Ok(entry)
    }

    /// Keeps a task up to date until its call ends, or the server does.
    fn run(
        self: &Arc<Self>,
        tasks: Arc<Tasks>,
        entry: Arc<Entry>,
        long: Long,
        note: Option<String>,
    ) {
        long.call.be_patient();
        let inner = Arc::clone(self);
        let tracked = self.calls.token();
        tokio::spawn(async move {
            let _tracked = tracked;
            tokio::select! {
                () = entry.run(&inner, long, note.unwrap_or_default()) => tasks.trim(),
                () = inner.closed() => {}
            }
        });
    }
}

impl Entry {
    /// Notes what happens to a call, until it ends or is cancelled.
    async fn run(&self, inner: &Inner, long: Long, note: String) {
        let Long {
            mut call,
            tool,
            detail,
            ..
        } = long;
        let mut asked = 0;
        loop {
            let event = tokio::select! {
                biased;
                () = self.cancelled.cancelled() => {
                    self.cancelling();
                    self.cancel(&call.stop().await);
                    return;
                }
                event = call.next() => event,
            };
            match event {
                Event::Progress(now) => self.progress(now),
                Event::Question(question) => {
                    asked += 1;
                    self.pass_on(question, &tool, asked).await;
                }
                Event::Ended(answer) => {
                    self.complete(&inner.result(&tool, answer, detail), note);
                    return;
                }
            }
        }
    }

    /// Asks the user, and waits for the answer. Without one, it is a no.
    async fn pass_on(&self, mut question: Question, tool: &str, number: u32) {
        let request = ElicitRequest::new(confirm::form(tool, &question.change));
        // A key is never used again.
        let answered = self.ask(format!("{}-{number}", confirm::QUESTION), request);
        tokio::select! {
            agreed = answered => question.answer(agreed.unwrap_or_default()),
            () = question.expired() => self.withdraw(),
            () = self.cancelled.cancelled() => {}
        }
    }
}

/// The error for an id that is about no task, or no longer.
fn unknown(id: &str, why: Option<&str>) -> ErrorData {
    let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
    let message = format!(
        "unknown task {:?}{why}: a result is kept for at most {} minutes, and an id of another \
         server process is known only if it contains the UPID of a Proxmox task. Check whether \
         the call has made its change before you repeat it",
        cut(id),
        KEPT.as_secs() / 60
    );
    ErrorData::invalid_params(message, None)
}

/// The error for a task that has ended, and of which nothing is kept.
fn gone(id: &str) -> ErrorData {
    let message = format!(
        "the task {:?} has ended, and its result is no longer kept: results are kept for at most \
         {} minutes, and make room for newer ones. Check whether the call has made its change \
         before you repeat it",
        cut(id),
        KEPT.as_secs() / 60
    );
    ErrorData::invalid_params(message, None)
}

fn full() -> ErrorData {
    let message = format!(
        "{MAX_TASKS} calls already run as tasks, which is the limit: ask again once one of them \
         has ended, or cancel one"
    );
    ErrorData::internal_error(message, None)
}
