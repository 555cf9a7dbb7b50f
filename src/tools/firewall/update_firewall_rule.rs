//! `update_firewall_rule`: changes or moves a rule.

use schemars::JsonSchema;
use serde::Deserialize;

use super::arguments::rule_arguments;
use super::effect::overlaps;
use super::options::{argument_of, words};
use super::position::{expect, move_target};
use super::rule::{Direction, Fields, Listed};
use super::state::{Seen, read_rules};
use super::target::{Scope, Site};
use crate::error::{Error, Result};
use crate::pve::{Params, Pve};
use crate::tool::report::Report;
use crate::tool::{Reply, Run};

rule_arguments! {
    /// Changes to a rule.
    #[schemars(extend("x-clears" = true))]
    UpdateFirewallRule {
        /// Of the rule.
        position: u32,
        /// From the audit: refuse if changed since.
        digest: Option<String>,
        /// Where to move it.
        new_position: Option<u32>,
        /// As for a new rule.
        direction: Option<Direction>,
        /// As for a new rule.
        action: Option<String>,
        /// On or off.
        enabled: Option<bool>,
    }
}

impl Run for UpdateFirewallRule {
    type Output = Report;

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        let scope = self.scope()?;
        self.fields().check(scope.level())?;
        let report = scope.on(pve, |site| self.update(pve, site))?;
        Ok(Reply::report(report))
    }
}

impl UpdateFirewallRule {
    fn fields(&self) -> Fields {
        Fields {
            direction: self.direction,
            action: self.action.clone(),
            ..self.contents()
        }
    }

    fn update(&self, pve: &Pve, site: &Site) -> Result<Report> {
        let seen = Seen::read(pve, site)?;
        seen.rules.unchanged_since(self.digest.as_deref())?;
        let old = seen.rules.at(self.position)?;
        let last = u32::try_from(seen.rules.len().saturating_sub(1)).unwrap_or(u32::MAX);
        let position = self.new_position.unwrap_or(self.position);
        if position > last {
            return Err(Error::argument(
                "new_position",
                format!("must be from 0 to {last}, the place of the last rule"),
            ));
        }
        let new = self.fields().apply(&old.rule);
        new.check_since(&old.rule, site.level)?;
        let difference = new.difference(&old.rule);
        let action = format!(
            "update rule {} of the firewall of {}: {new}",
            self.position, site.label
        );
        if difference.is_none() && position == self.position {
            return Ok(site.report(Report::unchanged(action)));
        }
        if new.interface != old.rule.interface
            || new.action != old.rule.action
            || new.r#macro != old.rule.r#macro
        {
            seen.known(pve, site, &new)?;
        }
        let mut after = seen.rules.list.clone();
        after.retain(|listed| listed.position != self.position);
        after.insert(
            position as usize,
            Listed {
                position,
                rule: new.clone(),
                errors: Vec::new(),
            },
        );
        let lockout = seen.guard(pve, site, &after, None, self.accept_lockout)?;
        let rules = site.path.join(["rules"]);
        let path = rules.join([self.position.to_string().as_str()]);
        let mut digest = seen.rules.digest.clone();
        let mut report = site.report(Report::done(action));
        if let Some((form, changes)) = difference {
            pve.put::<()>(&path, &form.opt("digest", digest.as_ref()))?;
            for (name, from, to) in changes {
                let shown = |value: Option<String>| value.map(|value| words(name, &value));
                report = report.change(argument_of(name), shown(from), shown(to));
            }
            digest = None;
        }
        if position != self.position {
            let digest = match digest {
                Some(digest) => digest,
                None => read_rules(pve, &site.path)
                    .map_err(Error::from)
                    .and_then(|rules| expect(&rules, self.position, &new))
                    .map_err(|error| error.context("the rule was changed, but not moved"))?,
            };
            // Beside a move Proxmox ignores all else, so this is a call of its own.
            let moved = pve.put::<()>(
                &path,
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
            report = report
                .change(
                    "position",
                    Some(self.position.to_string()),
                    Some(position.to_string()),
                )
                .warn("the rules between the two positions have shifted by one");
        }
        report.warnings.extend(lockout);
        report.warnings.extend(seen.without_effect(site, &new));
        report.warnings.extend(overlaps(&after, position));
        Ok(report)
    }
}
