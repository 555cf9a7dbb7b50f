//! What may be asked of Proxmox: decided by the request itself, and not by what
//! a tool says of itself.
//!
//! Pure: it knows requests, rules and what guests there are; it sends nothing.
//! It is the one place in host-runner that knows the paths of Proxmox.

#![forbid(unsafe_code)]

mod answer;
mod builtin;
mod caps;
mod ceiling;
mod endpoint;
mod file;
mod filter;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod naming;
mod pattern;
mod preset;
mod request;
mod scope;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

pub use crate::caps::{Caps, Meter, TooMany};
pub use crate::ceiling::Widening;
pub use crate::endpoint::{ACTIONS, Action, Meaning};
pub use crate::file::{
    AuditSection, Confirm, Fallback, LimitsSection, PolicyError, PolicyFile, ScopeSection,
    VmidRange, schema,
};
pub use crate::filter::Listing;
pub use crate::pattern::Pattern;
pub use crate::preset::Preset;
pub use crate::request::{ApiRequest, Malformed, Verb};
pub use crate::scope::{Directory, Outside, Resident, Scope, read_directory};

/// A policy in force.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Nothing but reads, whatever else is said.
    pub read_only: bool,
    /// What the preset and the file allow.
    pub actions: BTreeSet<Action>,
    /// Which guests, nodes, storages and pools there are for it.
    pub scope: Scope,
    /// Refused before all that may be allowed.
    pub deny: Vec<Pattern>,
    /// Allowed beyond the table and the actions, but never beyond what is
    /// built in, read-only and the scope.
    pub allow: Vec<Pattern>,
}

/// What a policy says of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it may leave.
    pub allowed: bool,
    /// The name of the rule that decided: `built-in`, `read-only`, …
    pub rule: &'static str,
    /// Why, and by what it could be changed where it can.
    pub reason: String,
    /// What the request does and names, where that is known.
    pub meaning: Meaning,
}

impl Policy {
    /// The policy of a preset, without scopes and rules.
    pub fn preset(preset: Preset) -> Self {
        Self {
            read_only: false,
            actions: preset.actions().collect(),
            scope: Scope::default(),
            deny: Vec::new(),
            allow: Vec::new(),
        }
    }

    /// Decides about a request that has been read, or could not be.
    ///
    /// `directory` tells which guest is in which pool and has which tags: it is
    /// looked at only where [`Policy::needs_directory`].
    pub fn decide(
        &self,
        request: Result<&ApiRequest, &Malformed>,
        directory: &Directory,
    ) -> Verdict {
        let request = match request {
            Ok(request) => request,
            Err(malformed) => return Verdict::deny("request-shape", malformed.to_string()),
        };
        if let Some(reason) = builtin::forbids(request) {
            return Verdict::deny("built-in", format!("{reason}, which no policy can allow"));
        }
        if self.read_only && request.verb != Verb::Get {
            return Verdict::deny("read-only", "this server only reads");
        }
        if let Some(pattern) = self.deny.iter().find(|pattern| pattern.matches(request)) {
            return Verdict::deny("deny", format!("its operator denies {pattern}"));
        }
        let granted = self.allow.iter().find(|pattern| pattern.matches(request));
        let meaning = match endpoint::meaning(request) {
            Ok(meaning) => meaning,
            Err(_) if granted.is_some() => endpoint::guess(request),
            Err(unknown) => {
                return Verdict::deny(
                    "unknown-call",
                    format!("{unknown}: an allow rule of the policy could name it"),
                );
            }
        };
        let verdict = self.decide_meaning(&meaning, granted, directory);
        Verdict { meaning, ..verdict }
    }

    /// Whether deciding about this request, or filtering its answer, needs to
    /// know where guests are, and in which pools.
    pub fn needs_directory(&self, request: &ApiRequest) -> bool {
        if !self.scope.needs_directory() {
            return false;
        }
        match endpoint::meaning(request) {
            Ok(meaning) => !meaning.vmids.is_empty() || meaning.listing.is_some(),
            // An expert's rule may let it through.
            Err(_) => true,
        }
    }

    fn decide_meaning(
        &self,
        meaning: &Meaning,
        granted: Option<&Pattern>,
        directory: &Directory,
    ) -> Verdict {
        let writes = |action: &&Action| **action != Action::Read;
        if self.read_only
            && let Some(action) = meaning.actions.iter().find(writes)
        {
            let reason = format!("this server only reads, and this is for {}", action.name());
            return Verdict::deny("read-only", reason);
        }
        let missing = meaning
            .actions
            .iter()
            .find(|action| !self.actions.contains(action));
        if let (Some(missing), None) = (missing, granted) {
            return Verdict::deny("actions", missing.refusal());
        }
        if let Err(outside) = self.scope.check(meaning, directory) {
            return Verdict::deny("scope", outside.to_string());
        }
        match granted {
            Some(pattern) => Verdict::allow("allow", format!("its operator allows {pattern}")),
            None => {
                let names: Vec<_> = meaning.actions.iter().map(|action| action.name()).collect();
                Verdict::allow("actions", format!("the policy allows {}", names.join(", ")))
            }
        }
    }
}

impl Verdict {
    /// A refusal by a rule that is not the policy's.
    pub fn deny(rule: &'static str, reason: impl Into<String>) -> Self {
        Self {
            allowed: false,
            ..Self::allow(rule, reason)
        }
    }

    fn allow(rule: &'static str, reason: impl Into<String>) -> Self {
        Self {
            allowed: true,
            rule,
            reason: reason.into(),
            meaning: Meaning::default(),
        }
    }
}
