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
mod declared;
mod delete_firewall_rule;
mod effect;
mod finding;
mod guest_findings;
mod guest_path;
mod lockout;
mod options;
mod owner;
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
mod visible;

use add_firewall_rule::AddFirewallRule;
use audit_firewall::AuditFirewall;
pub(crate) use declared::READ_STATE;
use delete_firewall_rule::DeleteFirewallRule;
pub(crate) use guest_path::{GuestPath, Verdict};
use set_firewall_options::SetFirewallOptions;
use update_firewall_rule::UpdateFirewallRule;

use crate::tool::{DESTROY, READ, Tool, Toolset};

const TOOLSET: Toolset = Toolset("firewall");

/// The tools of this set, in the order in which clients see them.
#[rustfmt::skip]
pub(crate) const TOOLS: &[Tool] = &[
    Tool::new::<AuditFirewall>(TOOLSET, "audit_firewall", "Audit a firewall", READ,
        "Rules, switches, policies and network card flags of a guest, a node or the cluster, with findings; of all guests with cluster and guests. Cluster rules protect the nodes, not the guests."),
    Tool::new::<AddFirewallRule>(TOOLSET, "add_firewall_rule", "Add a firewall rule", DESTROY,
        "Add a rule to the firewall of a guest, a node or the cluster, and report whether it has any effect. The first rule that matches decides."),
    Tool::new::<UpdateFirewallRule>(TOOLSET, "update_firewall_rule", "Change a firewall rule", DESTROY,
        "Change or move a rule. Fields that are not given stay; an empty string removes one."),
    Tool::new::<DeleteFirewallRule>(TOOLSET, "delete_firewall_rule", "Delete a firewall rule", DESTROY,
        "Remove a rule by its position. The positions of the rules after it shift by one."),
    Tool::new::<SetFirewallOptions>(TOOLSET, "set_firewall_options", "Set firewall options", DESTROY.idempotent(),
        "Enable or disable the firewall of a guest, a node or the cluster, set its policies and filters."),
];
