//! `add_firewall_rule`: adds a rule where the caller wants it.

use schemars::JsonSchema;
use serde::Deserialize;

use super::arguments::rule_arguments;
use super::effect::overlaps;
use super::position::{expect, move_target, shifted};
use super::rule::{Direction, Fields, Listed, Rule};
use super::state::{Seen, read_rules};
use super::target::{Scope, Site};
use crate::error::{Error, Result};
use crate::pve::{Params, Pve};
use crate::tool::report::Report;
use crate::tool::{Reply, Run};
use crate::{text, tool_names};

rule_arguments! {
    /// A new rule.
    AddFirewallRule {
        /// group: a security group.
        direction: Direction,
        /// ACCEPT, DROP, REJECT or the security group.
        action: String,
        /// Default 0, first.
        position: Option<u32>,
        /// Default true.
        enabled: Option<bool>,
    }
}

impl Run for AddFirewallRule {
    type Output = Report;

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        let scope = self.scope()?;
        let rule = Fields {
            direction: Some(self.direction),
            action: Some(self.action.clone()),
            ..self.contents()
        }
        .apply(&Rule {
            enabled: true,
            ..Rule::default()
        });
        rule.check(scope.level())?;
        let report = scope.on(pve, |site| self.add(pve, site, &rule))?;
        Ok(Reply::report(report))
    }
}

impl AddFirewallRule {
    fn add(&self, pve: &Pve, site: &Site, rule: &Rule) -> Result<Report> {
        let seen = Seen::read(pve, site)?;
        let count = u32::try_from(seen.rules.len()).unwrap_or(u32::MAX);
        let position = self.position.unwrap_or(0);
        if position > count {
            return Err(Error::argument(
                "position",
                format!(
                    "must be from 0 to {count}: there are {}",
                    text::count(seen.rules.len(), "rule")
                ),
            ));
        }
        seen.known(pve, site, rule)?;
        let action = format!("add a rule to the firewall of {}", site.label);
        if let Some(same) = seen.rules.list.iter().find(|listed| {
            listed.rule == *rule
                && self
                    .position
                    .is_none_or(|position| position == listed.position)
        }) {
            return Ok(site
                .report(Report::unchanged(action))
                .warn(format!("rule {} is the same: {rule}", same.position)));
        }
        let mut after = seen.rules.list.clone();
        after.insert(
            position as usize,
            Listed {
                position,
                rule: rule.clone(),
                errors: Vec::new(),
            },
        );
        let lockout = seen.guard(pve, site, &after, None, self.accept_lockout)?;
        place(pve, site, rule, position)?;
        let mut report = site.report(Report::done(action)).position(position).change(
            format!("rule {position}"),
            None::<String>,
            Some(rule.to_string()),
        );
        if position < count {
            report = report.warn(shifted(position, count, position + 1));
        }
        report.warnings.extend(lockout);
        report.warnings.extend(seen.without_effect(site, rule));
        report.warnings.extend(overlaps(&after, position));
        Ok(report)
    }
}

/// Creates a rule. Proxmox puts each new rule first, whatever position is
/// given; a rule that belongs elsewhere is created disabled, moved, and only
/// then enabled, so that it never applies in the wrong place.
pub(super) fn place(pve: &Pve, site: &Site, rule: &Rule, position: u32) -> Result<()> {
    let rules = site.path.join(["rules"]);
    if position == 0 {
        pve.post::<()>(&rules, &rule.form())?;
        return Ok(());
    }
    let asleep = Rule {
        enabled: false,
        ..rule.clone()
    };
    pve.post::<()>(&rules, &asleep.form())?;
    let step = |what: &str| {
        format!(
            "the rule was added at position 0, disabled, but {what}; {} can finish or {} remove it",
            tool_names::UPDATE_FIREWALL_RULE,
            tool_names::DELETE_FIREWALL_RULE
        )
    };
    let moved = || -> Result<()> {
        let digest = expect(&read_rules(pve, &site.path)?, 0, &asleep)?;
        pve.put::<()>(
            &rules.join(["0"]),
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
        let digest = expect(&read_rules(pve, &site.path)?, position, &asleep)?;
        pve.put::<()>(
            &rules.join([position.to_string().as_str()]),
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
