//! The exports: `wit/world.wit` on one side, the crate's own types on the
//! other.

use crate::bindings::exports::proxmox::mcp::tools as wit;
use crate::error::{Error, FailedTask};
use crate::pve::Pve;
use crate::settings::Settings;
use crate::text;
use crate::tool::schema;
use crate::tool::ticket::Ticket;
use crate::tool::{Finished, Outcome, Tool};
use crate::tools;

/// What `bindings` exports.
pub(crate) struct Component;

impl wit::Guest for Component {
    fn list_tools() -> Vec<wit::Tool> {
        tools::TOOLS.iter().map(wit::Tool::from).collect()
    }

    fn call_tool(name: String, arguments_json: String) -> Result<wit::Outcome, wit::ToolError> {
        let outcome = tools::call(client, &name, &arguments_json)?;
        wit::Outcome::try_from(outcome).map_err(Into::into)
    }

    fn resume(ticket: String) -> Result<wit::Outcome, wit::ToolError> {
        let outcome = Ticket::decode(&ticket).and_then(|ticket| ticket.resume(&client()?))?;
        wit::Outcome::try_from(outcome).map_err(Into::into)
    }

    fn cancel(ticket: String) -> Result<wit::ToolResult, wit::ToolError> {
        let finished = Ticket::decode(&ticket).and_then(|ticket| ticket.cancel(&client()?))?;
        Ok(finished.into())
    }
}

fn client() -> Result<Pve, Error> {
    Settings::from_env().map(Pve::new)
}

impl From<&Tool> for wit::Tool {
    fn from(tool: &Tool) -> Self {
        let input_schema = (tool.input_schema)();
        Self {
            name: tool.name.into(),
            title: tool.title.into(),
            description: tool.description.into(),
            toolset: tool.toolset.0.into(),
            secret_arguments: schema::secrets(&input_schema),
            input_schema: schema::published(input_schema).to_string(),
            output_schema: (tool.output_schema)().to_string(),
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

impl TryFrom<Outcome> for wit::Outcome {
    type Error = Error;

    fn try_from(outcome: Outcome) -> Result<Self, Error> {
        Ok(match outcome {
            Outcome::Done(finished) => Self::Done(finished.into()),
            Outcome::Running(running) => Self::Running(wit::Pending {
                ticket: running.ticket.encode()?,
                message: running.message,
                progress: running.progress,
                retry_after_ms: running.retry_after_ms,
                interim: running.interim.into(),
            }),
        })
    }
}

/// The longest message of an error, and the most problems that are listed.
const MOST_CHARACTERS: usize = 4_000;
const MOST_PROBLEMS: usize = 50;

impl From<Finished> for wit::ToolResult {
    fn from(finished: Finished) -> Self {
        Self {
            structured: finished.structured.to_string(),
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
            Error::NotFound(_) => Self::NotFound(message),
            Error::Conflict(_) => Self::Conflict(message),
            Error::Unreachable(_) => Self::Unreachable(message),
            Error::Unauthorized(_) => Self::Unauthorized(message),
            Error::FailedTask(FailedTask {
                upid,
                exit_status,
                log_tail,
                ..
            }) => Self::FailedTask(wit::FailedTask {
                message,
                upid,
                exit_status,
                log_tail,
            }),
            Error::Internal(_) => Self::Internal(message),
        }
    }
}
