//! Why a call failed, in the terms of `wit/world.wit`.
//!
//! [`Error`] is the error of every handler: one variant for each case of the
//! contract, and a message for the caller. It is final: no code decides by its
//! message.
//!
//! There is one path to it from a request that failed: the response of Proxmox is
//! data (`pve::ErrorResponse`), `pve::Failure` says how the request failed, with
//! such a response or without any, and `?` explains it as an [`Error`]. A tool
//! looks at the failure first where it has a meaning of its own there, such as a
//! vmid that is taken.

/// Why a call failed. Each message names the next step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Error {
    /// There is no such tool.
    UnknownTool(String),
    /// Arguments that the tool cannot take; nothing was changed.
    InvalidArguments(Vec<Problem>),
    /// The token may not, or the host forbids it.
    Denied(String),
    /// No such guest, node, storage, volume, snapshot or task.
    NotFound(String),
    /// The node that was asked does not have the guest: it has moved to another
    /// node, or was removed. Work on a guest is repeated once for it, see
    /// `Guest::with`; to a caller it is [`Self::NotFound`].
    GuestMoved(String),
    /// The state of things does not allow it now.
    Conflict(String),
    /// Proxmox or a node did not answer.
    Unreachable(String),
    /// The token was not accepted.
    Unauthorized(String),
    /// A task failed. Boxed, so that no error is larger than a text: every `?` moves
    /// one.
    FailedTask(Box<FailedTask>),
    /// A fault of this component, its settings or an answer beyond reading.
    Internal(String),
}

/// One argument that a tool cannot take.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Problem {
    /// JSON pointer into the arguments.
    pub(crate) pointer: String,
    /// What is wrong and what is allowed.
    pub(crate) message: String,
}

/// A task that failed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FailedTask {
    pub(crate) message: String,
    pub(crate) upid: String,
    pub(crate) exit_status: String,
    pub(crate) log_tail: Vec<String>,
}

/// What every handler answers.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An argument, by its name, that a handler cannot take.
    pub(crate) fn argument(name: &str, message: impl Into<String>) -> Self {
        Self::InvalidArguments(vec![Problem {
            pointer: format!("/{name}"),
            message: message.into(),
        }])
    }

    /// The message alone.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::UnknownTool(message)
            | Self::Denied(message)
            | Self::NotFound(message)
            | Self::GuestMoved(message)
            | Self::Conflict(message)
            | Self::Unreachable(message)
            | Self::Unauthorized(message)
            | Self::Internal(message) => message.clone(),
            Self::FailedTask(task) => task.message.clone(),
            Self::InvalidArguments(problems) => problems
                .iter()
                .map(|problem| {
                    let name = problem.pointer.trim_start_matches('/');
                    if name.is_empty() {
                        problem.message.clone()
                    } else {
                        format!("{name}: {}", problem.message)
                    }
                })
                .collect::<Vec<_>>()
                .join("; "),
        }
    }

    /// An error of the same kind with another message. A failed task, which is one of
    /// several things that failed, becomes a conflict.
    pub(crate) fn with_message(self, message: String) -> Self {
        match self {
            Self::UnknownTool(_) => Self::UnknownTool(message),
            Self::InvalidArguments(_) => Self::InvalidArguments(vec![Problem {
                pointer: String::new(),
                message,
            }]),
            Self::Denied(_) => Self::Denied(message),
            Self::NotFound(_) | Self::GuestMoved(_) => Self::NotFound(message),
            Self::Conflict(_) | Self::FailedTask(_) => Self::Conflict(message),
            Self::Unreachable(_) => Self::Unreachable(message),
            Self::Unauthorized(_) => Self::Unauthorized(message),
            Self::Internal(_) => Self::Internal(message),
        }
    }

    /// The same error with more said, such as which step of several failed.
    pub(crate) fn context(mut self, what: &str) -> Self {
        match &mut self {
            Self::UnknownTool(message)
            | Self::Denied(message)
            | Self::NotFound(message)
            | Self::GuestMoved(message)
            | Self::Conflict(message)
            | Self::Unreachable(message)
            | Self::Unauthorized(message)
            | Self::Internal(message) => *message = format!("{what}: {message}"),
            Self::FailedTask(task) => task.message = format!("{what}: {}", task.message),
            Self::InvalidArguments(problems) => {
                for problem in problems {
                    problem.message = format!("{what}: {}", problem.message);
                }
            }
        }
        self
    }
}
