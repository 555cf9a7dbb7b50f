//! What a rule refers to: Proxmox accepts names that do not exist, and never applies such a rule.

use pve_api::calls;

use super::rule::{Direction, Rule};
use super::rule_list::ListedRule;
use super::security_groups::SecurityGroups;
use super::state::FirewallState;
use super::target::{Firewall, Level};
use super::visible::visible;
use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::pve::{At, Params, Pve};
use crate::text;

impl FirewallState {
    /// Refuses a rule whose group, macro or network card does not exist:
    /// Proxmox takes such rules and never applies them.
    pub(super) fn check_references(
        &self,
        pve: &Pve,
        firewall: &Firewall,
        rule: &Rule,
    ) -> Result<()> {
        if let Some(interface) = &rule.interface
            && firewall.level == Level::Guest
            && !self.nics.iter().any(|nic| nic.id == *interface)
        {
            let cards: Vec<&str> = self.nics.iter().map(|nic| nic.id.as_str()).collect();
            return Err(Error::NotFound(format!(
                "{} has no network card {interface}; it has {}",
                firewall.label,
                some(&cards)
            )));
        }
        if rule.direction == Direction::Group {
            let listed = ListedRule::valid(0, rule.clone());
            let names = SecurityGroups::read(pve, std::iter::once(&listed), false)?.names;
            if let Some(names) = names
                && !names.contains(&rule.action)
            {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                return Err(Error::NotFound(format!(
                    "there is no security group {}; there are: {}",
                    rule.action,
                    some(&names)
                )));
            }
        }
        if let Some(name) = &rule.r#macro {
            check_macro(pve, name)?;
        }
        Ok(())
    }
}

/// Refuses a macro that Proxmox does not know.
fn check_macro(pve: &Pve, name: &str) -> Result<()> {
    #[derive(DeserializeFields)]
    struct Entry {
        r#macro: String,
    }
    let entries: Option<Vec<Entry>> =
        visible(pve.send(&calls::firewall::MACROS.at([]), &Params::new()))?;
    let Some(entries) = entries else {
        return Ok(());
    };
    if entries
        .iter()
        .any(|entry| entry.r#macro.eq_ignore_ascii_case(name))
    {
        return Ok(());
    }
    let near = text::nearest(name, entries.iter().map(|entry| entry.r#macro.as_str()))
        .map_or_else(String::new, |near| format!(", perhaps {near} is meant"));
    Err(Error::argument(
        "macro",
        format!(
            "is not known to Proxmox{near}: name a service such as SSH, HTTPS or DNS, or give proto and dport"
        ),
    ))
}

fn some(names: &[&str]) -> String {
    if names.is_empty() {
        "none".into()
    } else {
        names.join(", ")
    }
}
