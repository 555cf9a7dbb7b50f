//! The exports: `wit/world.wit` on one side, the crate's own types on the
//! other.

#![cfg_attr(
    target_family = "wasm",
    expect(unsafe_code, reason = "the exports are generated code")
)]

use crate::bindings::exports::proxmox::mcp::guide as wit_guide;
use crate::bindings::exports::proxmox::mcp::tools as wit;
use crate::error::Error;
use crate::guide;
use crate::json::{self, DeserializeFields};
use crate::pve::Pve;
use crate::settings::Settings;
use crate::text;
use crate::tool::declared;
use crate::tool::ticket::Ticket;
use crate::tool::{Finished, Outcome, Tool};
use crate::{tool_names, tools};

/// What the component exports.
struct Component;

// A native library cannot export names such as these; the tests need none.
#[cfg(target_family = "wasm")]
crate::bindings::export!(Component with_types_in crate::bindings);

impl wit::Guest for Component {
    fn instructions() -> String {
        tools::INSTRUCTIONS.into()
    }

    fn list_tools() -> Vec<wit::Tool> {
        tools::all().map(wit::Tool::from).collect()
    }

    fn call_tool(name: String, arguments_json: String) -> Result<wit::Outcome, wit::ToolError> {
        let outcome = tools::call(client, &name, &arguments_json)?;
        Ok(answer(&name, outcome)?)
    }

    fn resume(ticket: String) -> Result<wit::Outcome, wit::ToolError> {
        let ticket = Ticket::decode(&ticket)?;
        let tool = ticket.tool.clone();
        let outcome = tools::resume(client, ticket)?;
        Ok(answer(&tool, outcome)?)
    }

    fn cancel(ticket: String) -> Result<wit::ToolResult, wit::ToolError> {
        let finished = tools::cancel(client, Ticket::decode(&ticket)?)?;
        Ok(finished.into())
    }
}

impl wit_guide::Guest for Component {
    fn describe() -> wit_guide::Contents {
        wit_guide::Contents {
            resources: guide::RESOURCES.iter().map(Into::into).collect(),
            suggestions: guide::SUGGESTIONS.iter().map(Into::into).collect(),
            prompts: guide::PROMPTS.iter().map(Into::into).collect(),
            views: guide::VIEWS.iter().map(Into::into).collect(),
        }
    }
}

fn client() -> Result<Pve, Error> {
    Settings::from_env().map(Pve::new)
}

impl From<&Tool> for wit::Tool {
    fn from(tool: &Tool) -> Self {
        Self {
            name: tool.name.into(),
            title: tool.title.into(),
            description: tool.description.into(),
            toolset: tool.toolset.0.into(),
            by_default: tools::is_by_default(tool),
            previews: tool.previews(),
            secret_arguments: tool.schemas.input.secrets(),
            input_schema: tool.schemas.published_input.into(),
            output_schema: tool.schemas.output.into(),
            calls: declared::names(tool.calls),
            annotations: wit::Annotations {
                read_only: tool.effects.read_only,
                destructive: tool.effects.destructive,
                idempotent: tool.effects.idempotent,
                open_world: tool.effects.open_world,
                dangerous: tool.effects.dangerous,
            },
        }
    }
}

impl From<&guide::Resource> for wit_guide::ResourceTemplate {
    fn from(resource: &guide::Resource) -> Self {
        Self {
            uri_template: resource.uri.into(),
            name: resource.name.into(),
            title: resource.title.into(),
            description: resource.description.into(),
            tool: resource.tool.into(),
            arguments_json: resource.arguments.into(),
            omitted: texts(resource.omitted),
            volatile: texts(resource.volatile),
            listed: resource.listed,
        }
    }
}

impl From<&guide::Suggestion> for wit_guide::Suggestion {
    fn from(suggestion: &guide::Suggestion) -> Self {
        Self {
            argument: suggestion.argument.into(),
            tool: suggestion.tool.into(),
            arguments_json: suggestion.arguments.into(),
            values: suggestion.values.into(),
            field: suggestion.field.into(),
            label: suggestion.label.map(Into::into),
            given: texts(suggestion.given),
            total: suggestion.total.map(Into::into),
        }
    }
}

impl From<&guide::Prompt> for wit_guide::Prompt {
    fn from(prompt: &guide::Prompt) -> Self {
        let argument = |argument: &guide::Argument| wit_guide::PromptArgument {
            name: argument.name.into(),
            title: argument.title.into(),
            description: argument.description.into(),
            required: argument.required,
            otherwise: argument.otherwise.into(),
        };
        Self {
            name: prompt.name.into(),
            title: prompt.title.into(),
            description: prompt.description.into(),
            tools: texts(prompt.tools),
            arguments: prompt.arguments.iter().map(argument).collect(),
            text: prompt.text.into(),
        }
    }
}

impl From<&guide::View> for wit_guide::View {
    fn from(view: &guide::View) -> Self {
        Self {
            uri: view.uri.into(),
            title: view.title.into(),
            description: view.description.into(),
            tools: texts(view.tools),
            html: view.html(),
        }
    }
}

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().copied().map(str::to_owned).collect()
}

/// The outcome of a call of a tool. What is still running gets a ticket, which
/// names the tool.
fn answer(tool: &str, outcome: Outcome) -> Result<wit::Outcome, Error> {
    Ok(match outcome {
        Outcome::Done(finished) => wit::Outcome::Done(finished.into()),
        Outcome::Running(running) => wit::Outcome::Running(wit::Pending {
            task: task(&running.interim),
            ticket: Ticket {
                tool: tool.to_owned(),
                pending: running.pending,
            }
            .encode()?,
            message: running.message,
            progress: running.progress,
            retry_after_ms: running.retry_after_ms,
            interim: running.interim.into(),
        }),
    })
}

/// The task of a call that is still running, if its report names one.
fn task(interim: &Finished) -> Option<wit::ProxmoxTask> {
    let named: Named = json::read(&interim.structured).ok()?;
    Some(wit::ProxmoxTask {
        upid: named.upid?,
        followed_by: tool_names::WAIT_TASK.to_owned(),
        stopped_by: tool_names::STOP_TASK.to_owned(),
    })
}

/// What names the task in a report.
#[derive(DeserializeFields)]
struct Named {
    #[serde(default)]
    upid: Option<String>,
}

/// The longest message of an error, and the most problems that are listed.
const MOST_CHARACTERS: usize = 4_000;
const MOST_PROBLEMS: usize = 50;

impl From<Finished> for wit::ToolResult {
    fn from(finished: Finished) -> Self {
        Self {
            structured: finished.structured,
            text: finished.text,
        }
    }
}

impl From<Error> for wit::ToolError {
    fn from(error: Error) -> Self {
        // Names and words of Proxmox in it may be of any length.
        let message = text::cut(&error.message(), MOST_CHARACTERS);
        match error {
            Error::UnknownTool(_) => Self::UnknownTool(message),
            Error::InvalidArguments(problems) => Self::InvalidArguments(wit::InvalidArguments {
                message,
                problems: problems
                    .into_iter()
                    .take(MOST_PROBLEMS)
                    .map(|problem| wit::ArgumentProblem {
                        pointer: problem.pointer,
                        message: text::cut(&problem.message, MOST_CHARACTERS),
                    })
                    .collect(),
            }),
            Error::Denied(_) => Self::Denied(message),
            Error::NotFound(_) | Error::GuestMoved(_) => Self::NotFound(message),
            Error::Conflict(_) => Self::Conflict(message),
            Error::Unreachable(_) => Self::Unreachable(message),
            Error::Unauthorized(_) => Self::Unauthorized(message),
            Error::FailedTask(task) => Self::FailedTask(wit::FailedTask {
                message,
                upid: task.upid,
                exit_status: task.exit_status,
                log_tail: task.log_tail,
            }),
            Error::Internal(_) => Self::Internal(message),
        }
    }
}
