//! Why a call failed, as adapters report it.

use std::fmt;

use crate::bindings::proxmox::mcp::tools::{ArgumentProblem, FailedTask, ToolError};

/// Why a call failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// What went wrong, for a program.
    pub kind: Kind,
    /// What went wrong and what to do next, in one sentence.
    pub message: String,
    /// The arguments that the tool cannot take, with
    /// [`Kind::InvalidArguments`]; otherwise empty.
    pub problems: Vec<ArgumentProblem>,
    /// The task, with [`Kind::FailedTask`].
    pub task: Option<Box<FailedTask>>,
}

/// The kinds of failures, named as in `wit/world.wit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// There is no tool of this name, or the build did not choose it.
    UnknownTool,
    /// The arguments do not fit. Nothing was sent.
    InvalidArguments,
    /// The token may not do this, or something on the way forbids it.
    Denied,
    /// What the call is about does not exist.
    NotFound,
    /// The current state does not allow this.
    Conflict,
    /// There was no answer. The message says whether a change may have happened
    /// all the same.
    Unreachable,
    /// The token was not accepted.
    Unauthorized,
    /// A task that the call started failed.
    FailedTask,
    /// A fault of the component or of its settings.
    Internal,
}

impl Kind {
    /// The name in `wit/world.wit`, such as `not-found`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownTool => "unknown-tool",
            Self::InvalidArguments => "invalid-arguments",
            Self::Denied => "denied",
            Self::NotFound => "not-found",
            Self::Conflict => "conflict",
            Self::Unreachable => "unreachable",
            Self::Unauthorized => "unauthorized",
            Self::FailedTask => "failed-task",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Failure {
    /// One that a message says all of.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            problems: Vec::new(),
            task: None,
        }
    }

    pub(crate) fn not_offered(name: &str) -> Self {
        Self::new(
            Kind::UnknownTool,
            format!("unknown tool {name:?}: the tool list shows the available tools"),
        )
    }

    /// All of it for a model or a person, in one or more lines: each argument
    /// that does not fit, or the end of the task's log.
    pub fn text(&self) -> String {
        if !self.problems.is_empty() {
            let lines = self.problems.iter().map(|problem| {
                let pointer = match problem.pointer.as_str() {
                    "" => "arguments",
                    pointer => pointer,
                };
                format!("\n- {pointer}: {}", problem.message)
            });
            return format!("invalid arguments:{}", lines.collect::<String>());
        }
        let Some(task) = &self.task else {
            return self.message.clone();
        };
        let mut lines = vec![
            self.message.clone(),
            format!("task {} ended: {}", task.upid, task.exit_status),
        ];
        if !task.log_tail.is_empty() {
            lines.push("end of its log:".to_owned());
        }
        lines.extend(task.log_tail.iter().map(|line| format!("  {line}")));
        lines.join("\n")
    }
}

impl From<ToolError> for Failure {
    fn from(error: ToolError) -> Self {
        match error {
            ToolError::UnknownTool(message) => Self::new(Kind::UnknownTool, message),
            ToolError::InvalidArguments(invalid) => Self {
                problems: invalid.problems,
                ..Self::new(Kind::InvalidArguments, invalid.message)
            },
            ToolError::Denied(message) => Self::new(Kind::Denied, message),
            ToolError::NotFound(message) => Self::new(Kind::NotFound, message),
            ToolError::Conflict(message) => Self::new(Kind::Conflict, message),
            ToolError::Unreachable(message) => Self::new(Kind::Unreachable, message),
            ToolError::Unauthorized(message) => Self::new(Kind::Unauthorized, message),
            ToolError::FailedTask(task) => Self {
                message: task.message.clone(),
                task: Some(Box::new(task)),
                ..Self::new(Kind::FailedTask, "")
            },
            ToolError::Internal(message) => Self::new(Kind::Internal, message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::proxmox::mcp::tools::InvalidArguments;

    #[test]
    fn each_bad_argument_has_its_line() {
        let problem = |pointer: &str, message: &str| ArgumentProblem {
            pointer: pointer.to_owned(),
            message: message.to_owned(),
        };
        let failure = Failure::from(ToolError::InvalidArguments(InvalidArguments {
            message: "2 arguments cannot be used".to_owned(),
            problems: vec![
                problem("/vmid", "must be at least 100"),
                problem("", "unknown argument \"vm\""),
            ],
        }));
        assert_eq!(failure.kind, Kind::InvalidArguments);
        assert_eq!(
            failure.text(),
            "invalid arguments:\n\
             - /vmid: must be at least 100\n\
             - arguments: unknown argument \"vm\""
        );
    }

    #[test]
    fn a_failed_task_shows_the_end_of_its_log() {
        let failure = Failure::from(ToolError::FailedTask(FailedTask {
            message: "snapshot of guest 100 failed: make room".to_owned(),
            upid: "UPID:alpha:1".to_owned(),
            exit_status: "no space left".to_owned(),
            log_tail: vec!["saving".to_owned(), "failed".to_owned()],
        }));
        assert_eq!(
            failure.text(),
            "snapshot of guest 100 failed: make room\n\
             task UPID:alpha:1 ended: no space left\n\
             end of its log:\n  saving\n  failed"
        );
    }

    #[test]
    fn kinds_are_named_as_in_the_contract() {
        let failure = Failure::from(ToolError::NotFound("no guest 999".to_owned()));
        assert_eq!(failure.kind.to_string(), "not-found");
        assert_eq!(failure.text(), "no guest 999");
    }
}
