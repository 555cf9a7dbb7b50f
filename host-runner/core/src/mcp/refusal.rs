//! Errors, as a model or a client reads them.

use rmcp::ErrorData;

use crate::engine::ToolError;
use crate::render;
use crate::sandbox::{Decision, Fate};

/// The error of a call that ended because the user did not consent to a change.
pub(super) fn of_change(change: &Decision, has_written: bool) -> ToolError {
    let subject = change.subject();
    let (what, next) = match change.fate {
        Fate::Unconfirmed => (
            format!(
                "{subject} needs the user's consent (rule confirm), which this client cannot ask \
                 for"
            ),
            "the operator can set confirm_fallback to allow",
        ),
        _ => (
            format!("{subject} was not sent ({})", change.verdict.reason),
            "ask the user how to proceed; do not repeat the call",
        ),
    };
    let before = render::what_remains(has_written);
    ToolError::Denied(format!("{what}: {before}; {next}"))
}

/// The question cannot be sealed.
pub(super) fn unasked() -> ToolError {
    ToolError::Denied("the user cannot be asked: the change was not sent".to_owned())
}

/// The answer to a call that the end of the server cuts short.
pub(super) const ENDING: &str =
    "the server is ending: if the call was meant to change something, check whether it did";

/// The client no longer wants an answer.
pub(super) struct Cancelled;

/// What is wrong, and who can do what about it.
pub(super) fn blame(fault: &str) -> String {
    format!(
        "this server was started with an invalid configuration, so nothing was sent to Proxmox \
         VE: {fault}. Ask the operator to correct it in the MCP client's configuration and to \
         restart the server; repeating the call does not help"
    )
}

/// The server ends.
pub(super) fn ending() -> ErrorData {
    ErrorData::internal_error(ENDING, None)
}

/// A tool failed that the client has not called itself.
pub(super) fn internal(error: ToolError) -> ErrorData {
    ErrorData::internal_error(render::error_text(&error), None)
}

impl From<Cancelled> for ErrorData {
    /// The client does not see this.
    fn from(Cancelled: Cancelled) -> Self {
        Self::internal_error("cancelled", None)
    }
}
