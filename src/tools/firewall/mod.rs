//! Firewalls of guests, nodes and the cluster.
//!
//! Adding a rule replaces nothing and can be undone by deleting it, so it is
//! marked as a plain write. Updating or deleting a rule, or setting options,
//! replaces what was there and can cut a guest off from the network, so those
//! tools are marked as destructive. A change that would lock administrators out
//! of the nodes, or switch off the firewall of the whole cluster, is refused
//! unless the caller accepts that explicitly.

mod add_firewall_rule;
mod arguments;
mod audit;
mod audit_firewall;
mod audit_rules;
mod delete_firewall_rule;
mod effect;
mod finding;
mod lockout;
mod options;
mod position;
mod references;
mod rule;
mod rule_check;
mod rule_list;
mod security_groups;
mod set_firewall_options;
mod shadow;
mod state;
mod target;
#[cfg(test)]
mod tests;
mod traffic;
mod update_firewall_rule;

pub(crate) use add_firewall_rule::AddFirewallRule;
pub(crate) use audit_firewall::AuditFirewall;
pub(crate) use delete_firewall_rule::DeleteFirewallRule;
pub(crate) use set_firewall_options::SetFirewallOptions;
pub(crate) use update_firewall_rule::UpdateFirewallRule;
