//! The calls that the tools of firewalls have in common.

use pve_api::calls;

use crate::tool::declared::{Calls, LOOK_UP};

/// Looking up a firewall and reading its state: rules, options, and the sets and
/// groups that they refer to.
pub(crate) const READ_STATE: &[Calls] = &[
    Calls::All(LOOK_UP),
    Calls::One(&calls::firewall::CLUSTER_OPTIONS),
    Calls::One(&calls::firewall::CLUSTER_RULES),
    Calls::One(&calls::firewall::GROUPS),
    Calls::One(&calls::firewall::GROUP_RULES),
    Calls::Guest(&calls::firewall::GUEST_OPTIONS),
    Calls::Guest(&calls::firewall::GUEST_RULES),
    Calls::One(&calls::firewall::IPSET),
    Calls::One(&calls::firewall::NODE_OPTIONS),
    Calls::One(&calls::firewall::NODE_RULES),
    Calls::Guest(&calls::guests::CONFIG),
    Calls::One(&calls::nodes::LIST),
];

/// Checking a rule's macro, and changing or moving the rule.
pub(super) const SET_RULE: &[Calls] = &[
    Calls::One(&calls::firewall::MACROS),
    Calls::One(&calls::firewall::SET_CLUSTER_RULE),
    Calls::Guest(&calls::firewall::SET_GUEST_RULE),
    Calls::One(&calls::firewall::SET_NODE_RULE),
];
