//! `update_firewall_rule`: changes or moves a rule.

use schemars::JsonSchema;
use serde::Deserialize;

use super::arguments::RuleArguments;
use super::declared::{READ_STATE, SET_RULE};
use super::options::{argument_of, display_value};
use super::position::{move_target, unchanged_digest};
use super::rule::{Direction, Rule, RuleFields};
use super::rule_list::{ListedRule, RuleList, read_rules};
use super::shadow::shadow_warnings;
use super::state::FirewallState;
use super::target::{Firewall, Target};
use crate::error::{Error, Result};
use crate::pve::{Params, Pve, Vmid};
use crate::tool::declared::Calls;
use crate::tool::report::Report;
use crate::tool::{Reply, Run};

/// Changes to a rule.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = false, "x-clears" = true))]
pub(crate) struct UpdateFirewallRule {
    /// The guest.
    vmid: Option<Vmid>,
    /// The node.
    node: Option<String>,
    /// True: the cluster.
    cluster: Option<bool>,
    /// The rule's position.
    position: u32,
    /// From audit_firewall: refuse if changed since.
    digest: Option<String>,
    /// Where to move it.
    new_position: Option<u32>,
    /// As for a new rule.
    direction: Option<Direction>,
    /// As for a new rule.
    action: Option<String>,
    /// On or off.
    enabled: Option<bool>,
    #[serde(flatten)]
    rule: RuleArguments,
}

impl Run for UpdateFirewallRule {
    type Output = Report;

    const CALLS: &'static [Calls] = &[Calls::All(READ_STATE), Calls::All(SET_RULE)];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        let target = Target::of(self.vmid, self.node.clone(), self.cluster)?;
        self.fields().check(target.level())?;
        let report = target.with(pve, |firewall| self.update(pve, firewall))?;
        Ok(Reply::report(report))
    }
}

impl UpdateFirewallRule {
    fn fields(&self) -> RuleFields {
        RuleFields {
            direction: self.direction,
            action: self.action.clone(),
            enabled: self.enabled,
            conditions: self.rule.clone(),
        }
    }

    fn update(&self, pve: &Pve, firewall: &Firewall) -> Result<Report> {
        let state = FirewallState::read(pve, firewall)?;
        state.rules.unchanged_since(self.digest.as_deref())?;
        let old = &state.rules.at(self.position)?.rule;
        let position = self.target_position(&state.rules)?;
        let new = self.fields().apply(old);
        new.check_since(old, firewall.level)?;
        let difference = new.difference(old);
        let action = format!(
            "update rule {} of the firewall of {}: {new}",
            self.position, firewall.label
        );
        if difference.is_none() && position == self.position {
            return Ok(firewall.report(Report::unchanged(action)));
        }
        if !new.has_references_of(old) {
            state.check_references(pve, firewall, &new)?;
        }
        let mut after = state.rules.without(self.position);
        after.insert(position as usize, ListedRule::valid(position, new.clone()));
        let lockout = state.check_lockout(pve, firewall, &after, None, self.rule.accept_lockout)?;
        let mut report = firewall.report(Report::done(action));
        let mut digest = state.rules.digest.clone();
        if let Some((form, changes)) = difference {
            pve.send::<()>(
                &firewall.owner.set_rule(self.position),
                &form.opt("digest", digest.take().as_ref()),
            )?;
            for (name, from, to) in changes {
                let shown = |value: Option<String>| value.map(|value| display_value(name, &value));
                report = report.change(argument_of(name), shown(from), shown(to));
            }
        }
        if position != self.position {
            report = self.move_to(pve, firewall, position, &new, digest, report)?;
        }
        report.warnings.extend(lockout);
        report
            .warnings
            .extend(state.no_effect_warnings(firewall, &new));
        report.warnings.extend(shadow_warnings(&after, position));
        Ok(report)
    }

    /// Where the rule is to be after the call.
    fn target_position(&self, rules: &RuleList) -> Result<u32> {
        let last = u32::try_from(rules.len().saturating_sub(1)).unwrap_or(u32::MAX);
        let position = self.new_position.unwrap_or(self.position);
        if position > last {
            return Err(Error::argument(
                "new_position",
                format!("must be from 0 to {last}, the place of the last rule"),
            ));
        }
        Ok(position)
    }

    /// Moves the rule, in a separate call: with a move, Proxmox ignores all other
    /// parameters. Without a digest, the rules are read again, because the change before
    /// has changed the digest.
    fn move_to(
        &self,
        pve: &Pve,
        firewall: &Firewall,
        position: u32,
        rule: &Rule,
        digest: Option<String>,
        report: Report,
    ) -> Result<Report> {
        let digest = match digest {
            Some(digest) => digest,
            None => read_rules(pve, &firewall.owner)
                .map_err(Error::from)
                .and_then(|rules| unchanged_digest(&rules, self.position, rule))
                .map_err(|error| error.context("the rule was changed, but not moved"))?,
        };
        let moved = pve.send::<()>(
            &firewall.owner.set_rule(self.position),
            &Params::new()
                .set("moveto", move_target(self.position, position))
                .set("digest", digest),
        );
        match moved {
            Err(failure) if report.changes.is_empty() => return Err(failure.into()),
            Err(failure) => {
                return Err(Error::from(failure).context("the rule was changed, but not moved"));
            }
            Ok(()) => {}
        }
        Ok(report
            .change(
                "position",
                Some(self.position.to_string()),
                Some(position.to_string()),
            )
            .warn("the rules between the two positions have shifted by one"))
    }
}
