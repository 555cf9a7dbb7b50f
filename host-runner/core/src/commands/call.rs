//! `host-runner call`

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{CommandError, Context, print};
use crate::audit::{CallStart, Occasion};
use crate::ceiling::Ceiling;
use crate::cli::Operator;
use crate::engine::{Embedded, Pending, Plugin, ToolError, ToolResult};
use crate::follow::{self, Followed, Listener};
use crate::offer::{self, NotOffered, Offer};
use crate::render;
use crate::sandbox::{Asker, Change, Consent, Decision, Fate, Gate, Question, Terms};
use crate::settings::Detail;

/// A call as it was typed.
pub(crate) struct Call<'a> {
    /// The tool's name.
    pub name: &'a str,
    /// A JSON object.
    pub arguments: &'a str,
    /// Whether to print an error as JSON.
    pub json: bool,
    /// Whether the user consents to all changes.
    pub yes: bool,
}

/// Calls a tool and prints its result.
pub(crate) async fn run(
    operator: &Operator<'_>,
    embedded: Embedded,
    call: &Call<'_>,
) -> Result<(), CommandError> {
    let parsed: Result<Map<String, Value>, _> = serde_json::from_str(call.arguments);
    parsed.map_err(|error| CommandError::Arguments(error.to_string()))?;
    let context = Context::new(operator, embedded).await?;
    // A policy that does not fit the component is not an error of the call.
    let offer = context.catalog.offer().await?;
    let plugin = context.catalog.plugin().await?;
    let answer = confirmed(operator, &plugin, offer, call)
        .await
        .and_then(|result| {
            let structured = render::structured(&result)?;
            Ok((result, Value::Object(structured)))
        });
    match answer {
        Ok((result, _)) if !io::stdout().is_terminal() => print(&result.structured),
        Ok((_, structured)) => print(&render::for_terminal(&format!("{structured:#}"))),
        Err(error) if call.json => {
            print(&render::error_json(&error).to_string())?;
            Err(CommandError::Reported)
        }
        Err(error) => Err(error.into()),
    }
}

/// Makes a call. Asks at the terminal before each change that needs consent.
async fn confirmed(
    operator: &Operator<'_>,
    plugin: &Plugin,
    offer: &Offer,
    call: &Call<'_>,
) -> Result<ToolResult, ToolError> {
    let Call {
        name, arguments, ..
    } = *call;
    let tool = offer.find_for_operator(name).map_err(|error| match error {
        NotOffered::Unknown { nearest, .. } => ToolError::UnknownTool(format!(
            "unknown tool {name:?}{}: `host-runner tools` lists the available tools",
            offer::perhaps(&nearest)
        )),
        error => ToolError::Denied(error.to_string()),
    })?;
    let (consent, questions) = consent(call.yes);
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
            tool: name,
            occasion: Occasion::Call,
            arguments: &|| offer::masked(tool, arguments),
        }),
    );
    let asking = async {
        if let Some(mut questions) = questions {
            while let Some(question) = questions.recv().await {
                let agreed = ask(name, &question.change).await;
                question.answer(agreed);
            }
        }
        std::future::pending::<()>().await;
    };
    let answer = to_the_end(operator, plugin, name, arguments, &gate);
    let answer = tokio::select! {
        answer = answer => answer,
        () = asking => Err(ToolError::Internal("the user can no longer be asked".to_owned())),
    };
    follow::audit(&gate, &answer);
    // Names of the policy that mean nothing are in the log before this ends.
    plugin.missing_of_scope().await;
    let answer = answer.map(Followed::into_result);
    answer.map_err(|error| match gate.unconfirmed() {
        Some(change) => refused(&change, gate.has_written()),
        None => error,
    })
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
) -> Result<Followed, ToolError> {
    let outcome = plugin.call_tool(name, arguments, gate).await?;
    let mut terminal = Terminal::default();
    follow::follow(
        plugin,
        gate,
        outcome,
        &mut terminal,
        follow::after(operator.options.wait()),
    )
    .await
}

/// Shows on a terminal what a task is doing.
#[derive(Default)]
struct Terminal {
    shown: String,
}

impl Listener for Terminal {
    async fn progress(&mut self, now: &Pending) {
        let mut stderr = io::stderr();
        if stderr.is_terminal() && now.message != self.shown {
            // Nobody reads a closed stderr.
            let _ = writeln!(stderr, "{}", render::for_terminal(&now.message));
            self.shown.clone_from(&now.message);
        }
    }
}
