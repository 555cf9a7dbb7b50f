//! What a model reads about a change that was not sent for want of consent.

use crate::engine::ToolError;
use crate::sandbox::{Decision, Fate};

/// A call that ended since a change of it was not agreed to.
pub(super) fn of_change(change: &Decision, has_written: bool) -> ToolError {
    let subject = change.subject();
    let (what, next) = match change.fate {
        Fate::Unconfirmed => (
            format!(
                "the operator of this server requires the user's consent to {subject}, and this \
                 client cannot ask for it (rule confirm)"
            ),
            "the operator can set confirm_fallback to allow",
        ),
        _ => (
            format!("{subject} was not sent ({})", change.verdict.reason),
            "ask the user what to do instead of calling again",
        ),
    };
    let before = match has_written {
        true => "earlier changes of this call were made: look at the guest",
        false => "nothing was changed",
    };
    ToolError::Denied(format!("{what}: {before}; {next}"))
}

/// The question cannot be sealed.
pub(super) fn unasked() -> ToolError {
    ToolError::Denied("the user cannot be asked: the change was not sent".to_owned())
}
