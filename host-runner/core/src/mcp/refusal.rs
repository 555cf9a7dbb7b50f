//! What a model reads about a change that lacks the user's consent.

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
