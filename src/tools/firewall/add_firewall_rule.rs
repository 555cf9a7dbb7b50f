//! `add_firewall_rule`: adds a rule at a position.

use pve_api::calls;
use schemars::JsonSchema;
use serde::Deserialize;

use super::arguments::RuleArguments;
use super::declared::{READ_STATE, SET_RULE};
use super::position::{move_target, shift_note, unchanged_digest};
use super::rule::{Direction, Rule, RuleFields};
use super::rule_list::{ListedRule, read_rules};
use super::shadow::shadow_warnings;
use super::state::FirewallState;
use super::target::{Firewall, Target};
use crate::error::{Error, Result};
use crate::pve::{Params, Pve, Vmid};
use crate::tool::declared::Calls;
use crate::tool::report::Report;
use crate::tool::{Reply, Run};
use crate::{text, tool_names};

/// A new rule.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = false))]
pub(crate) struct AddFirewallRule {
    /// The guest.
    vmid: Option<Vmid>,
    /// The node.
    node: Option<String>,
    /// True: the cluster.
    cluster: Option<bool>,
    /// group: a security group.
    direction: Direction,
    /// ACCEPT, DROP, REJECT or the security group.
    action: String,
    /// Default 0, first.
    position: Option<u32>,
    /// Default true.
    enabled: Option<bool>,
    #[serde(flatten)]
    rule: RuleArguments,
}

impl Run for AddFirewallRule {
    type Output = Report;

    const CALLS: &'static [Calls] = &[
        Calls::All(READ_STATE),
        Calls::One(&calls::firewall::ADD_CLUSTER_RULE),
        Calls::Guest(&calls::firewall::ADD_GUEST_RULE),
        Calls::One(&calls::firewall::ADD_NODE_RULE),
        Calls::All(SET_RULE),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        let target = Target::of(self.vmid, self.node.clone(), self.cluster)?;
        let rule = self.new_rule();
        rule.check(target.level())?;
        let report = target.with(pve, |firewall| self.add(pve, firewall, &rule))?;
        Ok(Reply::report(report))
    }
}

impl AddFirewallRule {
    fn new_rule(&self) -> Rule {
        RuleFields {
            direction: Some(self.direction),
            action: Some(self.action.clone()),
            enabled: self.enabled,
            conditions: self.rule.clone(),
        }
        .apply(&Rule {
            enabled: true,
            ..Rule::default()
        })
    }

    fn add(&self, pve: &Pve, firewall: &Firewall, rule: &Rule) -> Result<Report> {
        let state = FirewallState::read(pve, firewall)?;
        let count = u32::try_from(state.rules.len()).unwrap_or(u32::MAX);
        let position = self.position.unwrap_or(0);
        if position > count {
            return Err(Error::argument(
                "position",
                format!(
                    "must be from 0 to {count}: there are {}",
                    text::count(state.rules.len(), "rule")
                ),
            ));
        }
        state.check_references(pve, firewall, rule)?;
        let action = format!("add a rule to the firewall of {}", firewall.label);
        if let Some(same) = state.rules.list.iter().find(|listed| {
            listed.rule == *rule
                && self
                    .position
                    .is_none_or(|position| position == listed.position)
        }) {
            return Ok(firewall
                .report(Report::unchanged(action))
                .warn(format!("rule {} is the same: {rule}", same.position)));
        }
        let mut after = state.rules.list.clone();
        after.insert(position as usize, ListedRule::valid(position, rule.clone()));
        let lockout = state.check_lockout(pve, firewall, &after, None, self.rule.accept_lockout)?;
        create_at(pve, firewall, rule, position)?;
        let mut report = firewall
            .report(Report::done(action))
            .position(position)
            .change(
                format!("rule {position}"),
                None::<String>,
                Some(rule.to_string()),
            );
        if position < count {
            report = report.warn(shift_note(position, count, position + 1));
        }
        report.warnings.extend(lockout);
        report
            .warnings
            .extend(state.no_effect_warnings(firewall, rule));
        report.warnings.extend(shadow_warnings(&after, position));
        Ok(report)
    }
}

/// Creates a rule. Proxmox puts each new rule first and ignores the position; a rule that
/// belongs elsewhere is created disabled, moved, and only then enabled, so that it never
/// applies in the wrong place.
pub(super) fn create_at(pve: &Pve, firewall: &Firewall, rule: &Rule, position: u32) -> Result<()> {
    let add = firewall.owner.add_rule();
    if position == 0 {
        pve.send::<()>(&add, &rule.form())?;
        return Ok(());
    }
    let disabled = Rule {
        enabled: false,
        ..rule.clone()
    };
    pve.send::<()>(&add, &disabled.form())?;
    let step = |what: &str| {
        format!(
            "the rule was added at position 0, disabled, but {what}; {} can finish or {} remove it",
            tool_names::UPDATE_FIREWALL_RULE,
            tool_names::DELETE_FIREWALL_RULE
        )
    };
    let moved = || -> Result<()> {
        let digest = unchanged_digest(&read_rules(pve, &firewall.owner)?, 0, &disabled)?;
        pve.send::<()>(
            &firewall.owner.set_rule(0),
            &Params::new()
                .set("moveto", move_target(0, position))
                .set("digest", digest),
        )?;
        Ok(())
    };
    moved().map_err(|halt| halt.context(&step("could not be moved to its place")))?;
    if !rule.enabled {
        return Ok(());
    }
    let enabled = || -> Result<()> {
        let digest = unchanged_digest(&read_rules(pve, &firewall.owner)?, position, &disabled)?;
        pve.send::<()>(
            &firewall.owner.set_rule(position),
            &Params::new().set("enable", 1).set("digest", digest),
        )?;
        Ok(())
    };
    enabled().map_err(|halt| {
        halt.context(&format!(
            "the rule was added and moved to position {position}, but could not be enabled; {} \
             can enable it",
            tool_names::UPDATE_FIREWALL_RULE
        ))
    })?;
    Ok(())
}
