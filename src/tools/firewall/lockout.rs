//! Who can still reach the nodes after a change.

use serde_json::Value;

use super::audit::{Gate, Reach};
use super::groups::Groups;
use super::options::Options;
use super::rule::{Level, Listed};
use super::state::Seen;
use super::target::Site;
use crate::error::{Error, Result};
use crate::pve::{Params, Path, Pve};

impl Seen {
    /// Refuses a change that takes the management ports of nodes away from
    /// people, or says so where the caller wants it.
    pub(super) fn guard(
        &self,
        pve: &Pve,
        site: &Site,
        rules: &[Listed],
        options: Option<&Options>,
        accepted: Option<bool>,
    ) -> Result<Option<String>> {
        if site.level == Level::Guest {
            return Ok(None);
        }
        let groups = Groups::read(pve, self.all_rules().chain(rules), false)?;
        let management = has_management(pve);
        let before = self.gate(&self.options, &self.rules.list, &groups, management);
        let after = self.gate(options.unwrap_or(&self.options), rules, &groups, management);
        let lost = before.lost(&after);
        if lost.is_empty() {
            return Ok(None);
        }
        let who = match site.level {
            Level::Cluster => "the nodes",
            Level::Guest | Level::Node => &site.label,
        };
        let ports = |reach: Reach| {
            let ports: Vec<&str> = lost
                .iter()
                .filter(|(_, now)| *now == reach)
                .map(|(port, _)| match port {
                    22 => "22 (SSH)",
                    _ => "8006 (web interface and API)",
                })
                .collect();
            (!ports.is_empty()).then(|| ports.join(" and "))
        };
        let mut losses = Vec::new();
        if let Some(ports) = ports(Reach::Nobody) {
            losses.push(format!(
                "port {ports} of {who} can no longer be reached by anyone"
            ));
        }
        if let Some(ports) = ports(Reach::LocalNetwork) {
            losses.push(format!(
                "port {ports} of {who} can be reached only from the local network of the nodes"
            ));
        }
        let lost = losses.join(", and ");
        if accepted == Some(true) {
            return Ok(Some(format!(
                "after this, {lost}: this connection may be cut off as well"
            )));
        }
        Err(Error::Conflict(format!(
            "after this, {lost}, unless the rules of single nodes allow more: nothing was changed; \
             first add a rule that accepts tcp 8006 and 22 from your addresses, or add those to the \
             IP set management; or set accept_lockout to true if that is intended"
        )))
    }

    /// What decides who reaches the nodes, with such options and rules.
    fn gate<'a>(
        &'a self,
        options: &'a Options,
        rules: &'a [Listed],
        groups: &'a Groups,
        management: bool,
    ) -> Gate<'a> {
        let cluster = match self.level {
            Level::Cluster => Some(options),
            Level::Guest | Level::Node => self.cluster.as_ref(),
        };
        Gate {
            // What is not visible counts as on: better to ask once too often.
            on: cluster.is_none_or(|cluster| cluster.is_on(Level::Cluster))
                && options.is_on(self.level),
            policy_in: cluster
                .and_then(|cluster| cluster.get("policy_in"))
                .unwrap_or("DROP"),
            rules: rules.iter().chain(&self.cluster_rules).collect(),
            groups: &groups.rules,
            management,
        }
    }
}

/// Whether the IP set of those who may always manage nodes has entries.
fn has_management(pve: &Pve) -> bool {
    pve.get::<Vec<Value>>(
        &Path::new(["cluster", "firewall", "ipset", "management"]),
        &Params::new(),
    )
    .is_ok_and(|entries| !entries.is_empty())
}
