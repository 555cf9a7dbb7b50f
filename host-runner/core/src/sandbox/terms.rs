//! What is known of a call before it begins.

use std::sync::Arc;

use host_runner_policy::DeclaredCalls;

use super::ask::Asker;

/// What is known of a call before it begins.
#[derive(Debug, Clone, Default)]
pub(crate) struct Terms {
    /// Its tool is annotated as read-only, or its client may only observe: it is held to that.
    pub read_only: bool,
    /// Its tool is dangerous, and the operator allowed it.
    pub dangerous: bool,
    /// The calls that its tool declares; it is held to them. None where there is
    /// no tool, as with `host-runner forward`.
    pub declared: Option<Arc<Declared>>,
    /// Who consents to its changes where the policy asks for that.
    pub consent: Consent,
    /// Nothing that changes anything is sent.
    pub dry_run: bool,
    /// Nothing is sent at all.
    pub offline: bool,
    /// What the component's environment has of this call alone.
    pub environment: Vec<(String, String)>,
}

/// What a tool declares.
#[derive(Debug)]
pub(crate) struct Declared {
    /// The tool's name.
    pub tool: String,
    /// The calls to Proxmox that it may make.
    pub calls: DeclaredCalls,
}

/// Who consents to changes, where the policy requires consent.
#[derive(Debug, Clone, Default)]
pub(crate) enum Consent {
    /// The user cannot be asked: the policy's fallback decides.
    #[default]
    Unavailable,
    /// The user, who is asked about each change.
    User(Asker),
    /// Given with the call, or not needed because a dry run sends nothing.
    Given,
}
