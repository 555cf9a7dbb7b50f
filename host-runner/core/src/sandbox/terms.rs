//! What is known of a call before it begins.

use super::ask::Asker;

/// What is known of a call before it begins.
#[derive(Debug, Clone, Default)]
pub(crate) struct Terms {
    /// Its tool is annotated as read-only, and is held to that.
    pub read_only: bool,
    /// Its tool is dangerous, and the operator allowed it.
    pub dangerous: bool,
    /// Who agrees to its changes where the policy asks for that.
    pub consent: Consent,
    /// Nothing that changes anything is sent.
    pub dry_run: bool,
    /// Nothing is sent at all.
    pub offline: bool,
}

/// Who agrees to the changes that the policy asks about.
#[derive(Debug, Clone, Default)]
pub(crate) enum Consent {
    /// Nobody can be asked: the policy's fallback decides.
    #[default]
    Nobody,
    /// The user, who is asked about each change.
    User(Asker),
    /// Whoever makes the call: a dry run sends nothing to agree to.
    Given,
}
