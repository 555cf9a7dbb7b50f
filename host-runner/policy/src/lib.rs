//! What may be asked of Proxmox: decided by the request itself, and not by what
//! a tool says of itself.
//!
//! Pure: it knows requests, rules and what guests there are; it sends nothing.
//! Which calls there are and what each does is the table of [`pve_api::calls`];
//! a request that is not in it is refused.

#![forbid(unsafe_code)]

mod address;
mod always;
mod answer;
mod builtin;
mod caps;
mod ceiling;
mod clients;
mod consequence;
mod declared;
mod directory;
mod effect;
mod file;
mod filter;
pub mod fit;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod hardware;
pub mod lookup;
mod meaning;
mod naming;
mod pattern;
mod preset;
pub mod prompts;
pub mod purpose;
mod request;
mod rule;
mod scope;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::hardware::Obstacle;
use crate::meaning::Unknown;

pub use pve_api::grant::{Grant, before_9, quote};
pub use pve_api::{ACTIONS, API_PATH, Action, Listing, Method, Upid, owner_of};

pub use crate::caps::{Caps, Meter, Sizes, TooMany};
pub use crate::ceiling::Widening;
pub use crate::clients::ClientSection;
pub use crate::consequence::Consequences;
pub use crate::declared::{DeclaredCalls, actions_of, privileges_of};
pub use crate::directory::{Directory, Resident};
pub use crate::file::{
    ALL_TOOLSETS, AuditSection, Confirm, DEFAULT_TOOLSETS, Fallback, LimitsSection, PolicyError,
    PolicyFile, ScopeSection, VmidRange, schema,
};
pub use crate::hardware::{Present, Subject};
pub use crate::meaning::Meaning;
pub use crate::pattern::Pattern;
pub use crate::preset::Preset;
pub use crate::prompts::{PromptArgument, PromptSection};
pub use crate::request::{ApiRequest, Malformed};
pub use crate::rule::Rule;
pub use crate::scope::{Inventory, Outside, Scope, read_directory, read_inventory, read_nodes};

/// A policy in force.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Nothing but reads, whatever else is said.
    pub read_only: bool,
    /// What the preset and the file allow.
    pub actions: BTreeSet<Action>,
    /// What the file denies, whatever else allows it.
    pub denied: BTreeSet<Action>,
    /// Which guests, nodes, storages and pools there are for it.
    pub scope: Scope,
    /// Refused before all that may be allowed.
    pub deny: Vec<Pattern>,
    /// Allowed beyond the actions: reads that no tool makes, and a few changes
    /// whose harmlessness is known. Never beyond what is built in, what is
    /// denied, read-only and the scope.
    pub allow: Vec<Pattern>,
    /// How large disks and guests may become.
    pub sizes: Sizes,
}

/// What a policy says of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it may leave.
    pub allowed: bool,
    /// The rule that decided.
    pub rule: Rule,
    /// Why, and by what it could be changed where it can.
    pub reason: String,
    /// What the request does and names, where that is known.
    pub meaning: Meaning,
    /// The guest whose configuration would have decided. All else allows the
    /// request.
    pub subject: Option<Subject>,
}

impl Policy {
    /// The policy of a preset, without scopes and rules.
    pub fn preset(preset: Preset) -> Self {
        Self {
            read_only: false,
            actions: preset.actions().collect(),
            denied: BTreeSet::new(),
            scope: Scope::default(),
            deny: Vec::new(),
            allow: Vec::new(),
            sizes: Sizes::default(),
        }
    }

    /// Decides about a request that has been read, or could not be. Where a
    /// guest's configuration decides, it is refused: see
    /// [`Policy::decide_knowing`].
    pub fn decide(
        &self,
        request: Result<&ApiRequest, &Malformed>,
        directory: &Directory,
    ) -> Verdict {
        self.decide_knowing(request, directory, None)
    }

    /// The same, where that is known which [`Verdict::subject`] names: the present
    /// configuration of the request's guest, or the size of its image.
    ///
    /// `directory` tells which guest is in which pool, has which tags and is
    /// under high availability: it is looked at only where
    /// [`Policy::needs_directory`].
    pub fn decide_knowing(
        &self,
        request: Result<&ApiRequest, &Malformed>,
        directory: &Directory,
        present: Option<&Present>,
    ) -> Verdict {
        let request = match request {
            Ok(request) => request,
            Err(malformed) => return Verdict::deny(Rule::RequestShape, malformed.to_string()),
        };
        if let Some(reason) = builtin::forbids(request) {
            return Verdict::built_in(reason);
        }
        if let Some(harm @ Obstacle::Harm(_)) = hardware::obstacle(request, None) {
            return Verdict::deny(Rule::BuiltIn, harm.reason());
        }
        if let Err(harm @ Unknown::Harmful(..)) = meaning::meaning(request) {
            return Verdict::built_in(&harm.to_string());
        }
        if self.read_only && request.method != Method::Get {
            return Verdict::deny(Rule::ReadOnly, READS_ONLY);
        }
        if let Some(pattern) = self.deny.iter().find(|pattern| pattern.matches(request)) {
            return Verdict::deny(Rule::Deny, denied_by(pattern));
        }
        let granted = self.allow.iter().find(|pattern| pattern.matches(request));
        match self.meaning(request, granted.is_some()) {
            Ok(meaning) => {
                let verdict = self.decide_meaning(&meaning, granted, directory);
                let verdict = Verdict { meaning, ..verdict };
                if verdict.allowed
                    && let Some(cap) = self.sizes.disk_gib
                    && let Some((reason, subject)) = hardware::image_obstacle(request, cap, present)
                {
                    return Verdict {
                        subject,
                        meaning: verdict.meaning,
                        ..Verdict::deny(Rule::Limits, reason)
                    };
                }
                match hardware::obstacle(request, present) {
                    Some(obstacle) if verdict.allowed => Verdict {
                        subject: Subject::of(request).filter(|_| present.is_none()),
                        meaning: verdict.meaning,
                        ..Verdict::deny(Rule::BuiltIn, obstacle.reason())
                    },
                    _ => verdict,
                }
            }
            Err(verdict) => verdict,
        }
    }

    /// What a request means, or why it cannot be allowed.
    ///
    /// An `allow` rule lets any read through, but only those changes whose
    /// harmlessness is known, each with the parameters that the tables have.
    #[expect(
        clippy::result_large_err,
        reason = "made once for a request, which is sent over a network"
    )]
    fn meaning(&self, request: &ApiRequest, granted: bool) -> Result<Meaning, Verdict> {
        let unknown = match meaning::meaning(request) {
            Ok(meaning) => return Ok(meaning),
            Err(unknown) => unknown,
        };
        let is_beyond = matches!(unknown, Unknown::Call | Unknown::Param(_));
        match (request.method, unknown) {
            (Method::Get, _) if is_beyond && granted => meaning::guess(request)
                .map_err(|unknown| Verdict::deny(Rule::UnknownCall, unknown.to_string())),
            (Method::Get, unknown) if is_beyond => Err(Verdict::deny(
                Rule::UnknownCall,
                format!("{unknown}; an allow rule of the policy can name it"),
            )),
            (_, Unknown::Call) => match meaning::meaning_for_experts(request) {
                Ok(meaning) if granted => Ok(meaning),
                Ok(_) => Err(Verdict::deny(
                    Rule::UnknownCall,
                    format!("{}; an allow rule of the policy can name it", Unknown::Call),
                )),
                Err(Unknown::Call) if granted => Err(Verdict::built_in(
                    "the effect of this change is not known to this server",
                )),
                Err(unknown) => Err(Verdict::deny(Rule::UnknownCall, unknown.to_string())),
            },
            (_, unknown) => Err(Verdict::deny(Rule::UnknownCall, unknown.to_string())),
        }
    }

    /// Whether deciding about this request, or filtering its answer, needs to
    /// know where guests are, and in which pools.
    pub fn needs_directory(&self, request: &ApiRequest) -> bool {
        if self.needs_ha_state(request) {
            return true;
        }
        if !self.scope.needs_directory() {
            return false;
        }
        match meaning::meaning(request) {
            Ok(meaning) => {
                !meaning.vmids.is_empty() || !meaning.volids.is_empty() || meaning.listing.is_some()
            }
            // An expert's rule may let it through.
            Err(_) => true,
        }
    }

    /// Whether deciding about this request needs to know whether its guest is
    /// under high availability: its shutdown is a hard stop then, and its disks
    /// migrate to a storage that the request does not choose.
    pub fn needs_ha_state(&self, request: &ApiRequest) -> bool {
        let Ok(meaning) = meaning::meaning(request) else {
            return false;
        };
        let would_force = meaning.forced_by_ha
            && self.actions.contains(&Action::Shutdown)
            && !self.actions.contains(&Action::HardStop);
        let would_choose = meaning.storage_left_to_ha && !self.scope.storages.is_empty();
        !self.read_only && (would_force || would_choose)
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
            let reason = format!("{READS_ONLY}, and this is for {}", action.name());
            return Verdict::deny(Rule::ReadOnly, reason);
        }
        // An allow rule names paths; which actions are denied is above it.
        if let Some(denied) = meaning
            .actions
            .iter()
            .find(|action| self.denied.contains(action))
        {
            return Verdict::deny(Rule::Deny, denied_action(*denied));
        }
        let missing = meaning
            .actions
            .iter()
            .find(|action| !self.actions.contains(action));
        if let (Some(missing), None) = (missing, granted) {
            return Verdict::deny(Rule::Actions, preset::refusal(*missing));
        }
        if granted.is_none()
            && let Some(reason) = self.forced(meaning, directory)
        {
            return Verdict::deny(Rule::Actions, reason);
        }
        if meaning.for_experts
            && meaning.actions.iter().any(|action| writes(&action))
            && self.scope.is_limited()
        {
            return Verdict::deny(
                Rule::Scope,
                "allow rules permit no changes while this server has a scope",
            );
        }
        if let Err(outside) = self.scope.check(meaning, directory) {
            return Verdict::deny(Rule::Scope, outside.to_string());
        }
        if let Some(reason) = self.sizes.refusal(meaning) {
            return Verdict::deny(Rule::Limits, reason);
        }
        match granted {
            Some(pattern) => Verdict::allow(
                Rule::Allow,
                format!("the operator of this server allows {pattern}"),
            ),
            None => {
                let names: Vec<_> = meaning.actions.iter().map(|action| action.name()).collect();
                Verdict::allow(
                    Rule::Actions,
                    format!("the policy allows {}", names.join(", ")),
                )
            }
        }
    }

    /// Why a shutdown would be a hard stop that the policy does not allow. A
    /// guest that the cluster does not list could be under high availability;
    /// an empty directory means that nothing was asked.
    fn forced(&self, meaning: &Meaning, directory: &Directory) -> Option<String> {
        if !meaning.forced_by_ha || self.actions.contains(&Action::HardStop) || directory.is_empty()
        {
            return None;
        }
        let forced = |vmid: &&u32| directory.get(vmid).is_none_or(|guest| guest.is_under_ha);
        let vmid = meaning.vmids.iter().find(forced)?;
        Some(format!(
            "guest {vmid} is under high availability, which stops a guest \
             that does not shut down in time; {}",
            preset::refusal(Action::HardStop)
        ))
    }
}

/// Why a change is refused under `read_only`.
const READS_ONLY: &str = "this server only reads";

/// Why a request that matches a `deny` rule is refused.
fn denied_by(pattern: &Pattern) -> String {
    format!("the operator of this server denies {pattern}")
}

/// Why an action in `deny_actions` is refused.
fn denied_action(action: Action) -> String {
    let action = action.name();
    format!("the operator of this server denies {action} (deny_actions)")
}

impl Verdict {
    /// A refusal that no policy changes.
    pub fn built_in(reason: &str) -> Self {
        Self::deny(
            Rule::BuiltIn,
            format!("{reason}, which no policy can allow"),
        )
    }

    /// A refusal because the token sees no guest at all, where the verdict depends
    /// on whether one is under high availability.
    pub fn unseen_guests() -> Self {
        Self::deny(
            Rule::Actions,
            "the token sees no guest, so it is not known whether this one is under high \
             availability: grant the token VM.Audit",
        )
    }

    /// A refusal by a rule that is not the policy's.
    pub fn deny(rule: Rule, reason: impl Into<String>) -> Self {
        Self {
            allowed: false,
            ..Self::allow(rule, reason)
        }
    }

    fn allow(rule: Rule, reason: impl Into<String>) -> Self {
        Self {
            allowed: true,
            rule,
            reason: reason.into(),
            meaning: Meaning::default(),
            subject: None,
        }
    }
}
