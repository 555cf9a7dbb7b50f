//! `delete_firewall_rule`: deletes a rule by its position.

use pve_api::calls;
use schemars::JsonSchema;

use super::declared::READ_STATE;
use super::position::shift_note;
use super::state::FirewallState;
use super::target::{Firewall, Target};
use crate::error::Result;
use crate::json::DeserializeFields;
use crate::pve::{Params, Pve, Vmid};
use crate::tool::declared::Calls;
use crate::tool::report::Report;
use crate::tool::{Reply, Run};

/// The removal of a rule.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteFirewallRule {
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
    /// Even if nodes become unreachable.
    accept_lockout: Option<bool>,
}

impl Run for DeleteFirewallRule {
    type Output = Report;

    const CALLS: &'static [Calls] = &[
        Calls::All(READ_STATE),
        Calls::One(&calls::firewall::DELETE_CLUSTER_RULE),
        Calls::Guest(&calls::firewall::DELETE_GUEST_RULE),
        Calls::One(&calls::firewall::DELETE_NODE_RULE),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        let target = Target::of(self.vmid, self.node.clone(), self.cluster)?;
        let report = target.with(pve, |firewall| self.delete(pve, firewall))?;
        Ok(Reply::report(report))
    }
}

impl DeleteFirewallRule {
    fn delete(&self, pve: &Pve, firewall: &Firewall) -> Result<Report> {
        let state = FirewallState::read(pve, firewall)?;
        state.rules.unchanged_since(self.digest.as_deref())?;
        let old = state.rules.at(self.position)?;
        let after = state.rules.without(self.position);
        let lockout = state.check_lockout(pve, firewall, &after, None, self.accept_lockout)?;
        pve.send::<()>(
            &firewall.owner.delete_rule(self.position),
            &Params::new().opt("digest", state.rules.digest.as_ref()),
        )?;
        let mut report = firewall
            .report(Report::done(format!(
                "delete rule {} of the firewall of {}: {}",
                self.position, firewall.label, old.rule
            )))
            .change(
                format!("rule {}", self.position),
                Some(old.rule.to_string()),
                None::<String>,
            );
        let last = u32::try_from(after.len()).unwrap_or(u32::MAX);
        if self.position < last {
            report = report.warn(shift_note(self.position + 1, last + 1, self.position));
        }
        report.warnings.extend(lockout);
        Ok(report)
    }
}
