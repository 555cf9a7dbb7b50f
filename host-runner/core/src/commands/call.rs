//! `host-runner call`

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::interrupt::{self, Interrupt, LastTask, TOO_EARLY};
use super::words::Words;
use super::{CommandError, Context, output};
use crate::audit::{CallOutcome, CallStart, Occasion};
use crate::ceiling::Ceiling;
use crate::cli::{CallArgs, Format, Operator};
use crate::engine::{Embedded, Pending, Plugin, Tool, ToolError, ToolResult};
use crate::follow::{self, Followed, Listener};
use crate::offer::{self, NotOffered, Offer};
use crate::render;
use crate::sandbox::{Asker, Change, Consent, Decision, Fate, Gate, Question, Terms};
use crate::settings::Detail;

/// Calls a tool and prints its result.
pub(crate) async fn run(
    operator: &Operator<'_>,
    embedded: Embedded,
    args: &CallArgs,
) -> Result<(), CommandError> {
    let words = Words::read(&args.arguments)?;
    let interrupt = Interrupt::watch();
    let answer = tokio::select! {
        biased;
        context = Context::new(operator, embedded) => {
            let context = context?;
            called(operator, &context, args, words, &interrupt).await
        }
        () = interrupt.first.cancelled() => {
            return Err(CommandError::Interrupted(TOO_EARLY.to_owned()));
        }
    };
    match (answer, args.output.chosen()) {
        (Ok(result), _) => {
            let structured = Value::Object(render::structured(&result)?);
            output::show_result(&args.output, &result.structured, &structured)
        }
        (Err(CommandError::Tool(error)), Some(format @ (Format::Json | Format::Yaml))) => {
            let status = CommandError::exit_code_of(&error);
            output::structured(format, &render::error_json(&error))?;
            Err(CommandError::Reported(status))
        }
        (Err(error), _) => Err(error),
    }
}

async fn called(
    operator: &Operator<'_>,
    context: &Context,
    args: &CallArgs,
    words: Words,
    interrupt: &Interrupt,
) -> Result<ToolResult, CommandError> {
    // A policy that does not fit the component is not an error of the call.
    let offer = context.catalog.offer().await?;
    let plugin = context.catalog.plugin().await?;
    let tool = find(offer, &args.name)?;
    let arguments = words.for_tool(tool)?;
    confirmed(operator, &plugin, tool, &arguments, args.yes, interrupt).await
}

/// The tool of this name, whether its toolset is on or not.
fn find<'a>(offer: &'a Offer, name: &str) -> Result<&'a Tool, ToolError> {
    offer.find_for_operator(name).map_err(|error| match error {
        NotOffered::Unknown { nearest, .. } => ToolError::UnknownTool(format!(
            "unknown tool {name:?}{}: `host-runner tools` lists the available tools",
            offer::instead(name, &nearest)
        )),
        error => ToolError::Denied(error.to_string()),
    })
}

/// Makes a call. Asks at the terminal before each change that needs consent.
async fn confirmed(
    operator: &Operator<'_>,
    plugin: &Plugin,
    tool: &Tool,
    arguments: &str,
    yes: bool,
    interrupt: &Interrupt,
) -> Result<ToolResult, CommandError> {
    let (consent, questions) = consent(yes);
    let terms = Terms {
        consent,
        environment: Ceiling::unread().environment(Detail::Full),
        ..tool.terms()
    };
    let gate = plugin.gate(
        terms,
        Some(&CallStart {
            client_name: Some("host-runner call"),
            client_version: Some(env!("CARGO_PKG_VERSION")),
            remote: None,
            parent: None,
            tool: &tool.name,
            occasion: Occasion::Call,
            arguments: &|| offer::masked(tool, arguments),
        }),
    );
    let last = LastTask::default();
    let answer = {
        let asking = async {
            if let Some(mut questions) = questions {
                while let Some(question) = questions.recv().await {
                    let agreed = ask(&tool.name, &question.change).await;
                    question.answer(agreed);
                }
            }
            std::future::pending::<()>().await;
        };
        let call = to_the_end(
            operator, plugin, &tool.name, arguments, &gate, &last, interrupt,
        );
        let mut call = std::pin::pin!(call);
        tokio::select! {
            biased;
            answer = &mut call => Some(answer),
            () = asking => Some(Err(ToolError::Internal("the user can no longer be asked".to_owned()))),
            () = interrupt.first.cancelled() => after_interrupt(&mut call, &gate, interrupt).await,
        }
    };
    let is_over = matches!(answer, Some(Ok(Followed::Ended(_))));
    if interrupt.first.is_cancelled() && !is_over {
        let task = last.get();
        let left = interrupt::left_behind(task.as_ref(), &gate);
        gate.finish(
            CallOutcome::Cancelled,
            task.as_ref().map(|task| task.upid.as_str()),
        );
        return Err(CommandError::Interrupted(left));
    }
    let Some(answer) = answer else {
        return Err(CommandError::Interrupted(TOO_EARLY.to_owned()));
    };
    follow::audit(&gate, &answer);
    // Names of the policy that mean nothing are in the log before this ends.
    plugin.missing_of_scope().await;
    let answer = answer.map(Followed::into_result);
    let answer = answer.map_err(|error| match gate.unconfirmed() {
        Some(change) => refused(&change, gate.has_written()),
        None => error,
    });
    Ok(answer?)
}

/// Begins no further change, and waits for the answer to one that is under way: it may name
/// the task to follow. None if there is no answer to wait for.
async fn after_interrupt<T>(
    call: &mut (impl Future<Output = T> + Unpin),
    gate: &Gate,
    interrupt: &Interrupt,
) -> Option<T> {
    if gate.stop_now() && !gate.has_written() {
        return None;
    }
    tokio::select! {
        biased;
        answer = call => Some(answer),
        () = interrupt.second.cancelled() => None,
        () = tokio::time::sleep(interrupt::PATIENCE) => None,
    }
}

/// The user's consent: given for every change with `--yes`, or else asked for at the
/// terminal, whose questions are returned as well.
fn consent(yes: bool) -> (Consent, Option<mpsc::Receiver<Question>>) {
    let can_ask = io::stdin().is_terminal() && io::stderr().is_terminal();
    match (yes, can_ask) {
        (true, _) => (Consent::Given, None),
        (false, true) => {
            let (asker, questions) = Asker::new(CancellationToken::new());
            (Consent::User(asker), Some(questions))
        }
        (false, false) => (Consent::Unavailable, None),
    }
}

/// A call that ended since a change of it was not agreed to.
fn refused(change: &Decision, has_written: bool) -> ToolError {
    let subject = change.subject();
    let what = match change.fate {
        Fate::Unconfirmed => format!(
            "{subject} needs your consent (rule confirm): run the command again in a terminal, or \
             with --yes"
        ),
        _ => format!("{subject} was not sent ({})", change.verdict.reason),
    };
    ToolError::Denied(format!("{what}; {}", render::what_remains(has_written)))
}

/// Asks at the terminal. Anything but a yes is a no.
async fn ask(tool: &str, change: &Change) -> bool {
    let question = render::for_terminal(&format!("{} [y/N] ", change.question(tool)));
    let answer = tokio::task::spawn_blocking(move || {
        let mut answer = String::new();
        write!(io::stderr(), "{question}")?;
        io::stdin().read_line(&mut answer)?;
        io::Result::Ok(answer)
    });
    let answer = answer.await.map(|answer| answer.unwrap_or_default());
    let answer = answer.unwrap_or_default();
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

async fn to_the_end(
    operator: &Operator<'_>,
    plugin: &Plugin,
    name: &str,
    arguments: &str,
    gate: &Arc<Gate>,
    last: &LastTask,
    interrupt: &Interrupt,
) -> Result<Followed, ToolError> {
    let outcome = plugin.call_tool(name, arguments, gate).await?;
    let mut terminal = Terminal {
        shown: String::new(),
        last,
    };
    let enough = async {
        tokio::select! {
            () = follow::after(operator.options.wait()) => {}
            () = interrupt.first.cancelled() => {}
        }
    };
    follow::follow(plugin, gate, outcome, &mut terminal, enough).await
}

/// Shows on a terminal what a task is doing.
struct Terminal<'a> {
    shown: String,
    last: &'a LastTask,
}

impl Listener for Terminal<'_> {
    async fn progress(&mut self, now: &Pending) {
        let is_new = self.last.note(now.task.as_ref());
        let mut stderr = io::stderr();
        if !stderr.is_terminal() {
            return;
        }
        // Nobody reads a closed stderr.
        if let (true, Some(task)) = (is_new, &now.task) {
            let _ = writeln!(stderr, "task {}", render::for_terminal(&task.upid));
        }
        if now.message != self.shown {
            let _ = writeln!(stderr, "{}", render::for_terminal(&now.message));
            self.shown.clone_from(&now.message);
        }
    }
}
