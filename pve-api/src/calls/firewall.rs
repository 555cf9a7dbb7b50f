//! Firewalls of the cluster, of nodes and of guests.

use super::common::{
    ANYONE, AUDIT_CLUSTER, AUDIT_GUEST, AUDIT_NODE, CONFIG_NETWORK, COUNT, DIGEST, MODIFY_CLUSTER,
    MODIFY_NODE,
};
use crate::action::Action;
use crate::call::{Call, Effect, GuestCall, Listing, Param, delete, get, opt, post, put};
use crate::grammar::Grammar as G;

const RULE_TYPE: G = G::OneOf(&["in", "out", "forward", "group"]);
const POLICY: G = G::OneOf(&["ACCEPT", "REJECT", "DROP"]);
const LOG_LEVEL: G = G::OneOf(&[
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug", "nolog",
]);

/// A new rule. Without `enable` Proxmox adds it switched off: the default opens
/// and closes nothing.
pub(super) const NEW_RULE: &[Param] = &[
    opt("type", RULE_TYPE),
    opt("action", G::Name),
    opt("enable", G::Int(0, 1)),
    opt("macro", G::Name),
    opt("iface", G::Spec),
    opt("source", G::Spec),
    opt("dest", G::Spec),
    opt("proto", G::Spec),
    opt("dport", G::Spec),
    opt("sport", G::Spec),
    opt("icmp-type", G::Spec),
    opt("log", LOG_LEVEL),
    // The file of rules is kept line by line: a second line would be another
    // rule, or switch the firewall off.
    opt("comment", G::Line),
];

/// A change of a rule. What is left out stays as it is.
pub(super) const RULE: &[Param] = &[
    opt("type", RULE_TYPE),
    opt("action", G::Name),
    opt("enable", G::Int(0, 1)),
    opt("macro", G::Name),
    opt("iface", G::Spec),
    opt("source", G::Spec),
    opt("dest", G::Spec),
    opt("proto", G::Spec),
    opt("dport", G::Spec),
    opt("sport", G::Spec),
    opt("icmp-type", G::Spec),
    opt("log", LOG_LEVEL),
    opt("comment", G::Line),
    opt("moveto", COUNT),
    DIGEST,
    opt(
        "delete",
        G::SomeOf(&[
            "macro",
            "iface",
            "source",
            "dest",
            "proto",
            "dport",
            "sport",
            "icmp-type",
            "log",
            "comment",
        ]),
    ),
];

/// Options that are left out stay as they are: no default comes into force.
const CLUSTER_OPTION_PARAMS: &[Param] = &[
    opt("enable", G::Int(0, 1)),
    opt("policy_in", POLICY),
    opt("policy_out", POLICY),
    opt("policy_forward", G::OneOf(&["ACCEPT", "DROP"])),
    opt("ebtables", G::Bool),
    DIGEST,
];

const NODE_OPTION_PARAMS: &[Param] = &[
    opt("enable", G::Bool),
    opt("ndp", G::Bool),
    opt("log_level_in", LOG_LEVEL),
    opt("log_level_out", LOG_LEVEL),
    opt("log_level_forward", LOG_LEVEL),
    opt("nftables", G::Bool),
    opt("nosmurfs", G::Bool),
    opt("smurf_log_level", LOG_LEVEL),
    opt("tcpflags", G::Bool),
    opt("tcp_flags_log_level", LOG_LEVEL),
    opt("protection_synflood", G::Bool),
    opt("protection_synflood_rate", COUNT),
    opt("protection_synflood_burst", COUNT),
    opt("log_nf_conntrack", G::Bool),
    opt("nf_conntrack_allow_invalid", G::Bool),
    opt("nf_conntrack_max", G::Int(32_768, 4_294_967_295)),
    opt(
        "nf_conntrack_tcp_timeout_established",
        G::Int(7_875, 4_294_967_295),
    ),
    opt("nf_conntrack_tcp_timeout_syn_recv", G::Int(30, 60)),
    DIGEST,
];

const GUEST_OPTION_PARAMS: &[Param] = &[
    opt("enable", G::Bool),
    opt("policy_in", POLICY),
    opt("policy_out", POLICY),
    opt("dhcp", G::Bool),
    opt("ndp", G::Bool),
    opt("radv", G::Bool),
    opt("macfilter", G::Bool),
    opt("ipfilter", G::Bool),
    opt("log_level_in", LOG_LEVEL),
    opt("log_level_out", LOG_LEVEL),
    DIGEST,
];

calls! {
    /// The options of the whole cluster's firewall.
    CLUSTER_OPTIONS = get("/cluster/firewall/options", AUDIT_CLUSTER);
    /// Changes them.
    SET_CLUSTER_OPTIONS = put("/cluster/firewall/options", Action::FirewallOptions, MODIFY_CLUSTER)
        .takes(CLUSTER_OPTION_PARAMS)
        .with(Effect::NodeFirewall);
    /// The rules for all nodes.
    CLUSTER_RULES = get("/cluster/firewall/rules", AUDIT_CLUSTER);
    /// Adds a rule for all nodes, as the first.
    ADD_CLUSTER_RULE = post("/cluster/firewall/rules", Action::FirewallRule, MODIFY_CLUSTER)
        .takes(NEW_RULE)
        .with(Effect::NodeFirewall);
    /// Changes or moves such a rule.
    SET_CLUSTER_RULE = put("/cluster/firewall/rules/{pos}", Action::FirewallRule, MODIFY_CLUSTER)
        .takes(RULE)
        .with(Effect::NodeFirewall);
    /// Removes such a rule.
    DELETE_CLUSTER_RULE =
        delete("/cluster/firewall/rules/{pos}", Action::FirewallDelete, MODIFY_CLUSTER)
            .takes(&[DIGEST]);
    /// Security groups.
    GROUPS = get("/cluster/firewall/groups", ANYONE);
    /// The rules of a security group.
    GROUP_RULES = get("/cluster/firewall/groups/{group}", AUDIT_CLUSTER);
    /// The entries of an IP set.
    IPSET = get("/cluster/firewall/ipset/{name}", AUDIT_CLUSTER);
    /// Named services that a rule can be about.
    MACROS = get("/cluster/firewall/macros", ANYONE);
    /// Aliases and IP sets that rules can refer to.
    CLUSTER_REFERENCES = get("/cluster/firewall/refs", AUDIT_CLUSTER).lists(Listing::References);
    /// The options of a node's firewall.
    NODE_OPTIONS = get("/nodes/{node}/firewall/options", AUDIT_NODE);
    /// Changes them.
    SET_NODE_OPTIONS = put("/nodes/{node}/firewall/options", Action::FirewallOptions, MODIFY_NODE)
        .takes(NODE_OPTION_PARAMS)
        .with(Effect::NodeFirewall);
    /// The rules for a node.
    NODE_RULES = get("/nodes/{node}/firewall/rules", AUDIT_NODE);
    /// Adds a rule for a node, as the first.
    ADD_NODE_RULE = post("/nodes/{node}/firewall/rules", Action::FirewallRule, MODIFY_NODE)
        .takes(NEW_RULE)
        .with(Effect::NodeFirewall);
    /// Changes or moves such a rule.
    SET_NODE_RULE = put("/nodes/{node}/firewall/rules/{pos}", Action::FirewallRule, MODIFY_NODE)
        .takes(RULE)
        .with(Effect::NodeFirewall);
    /// Removes such a rule.
    DELETE_NODE_RULE =
        delete("/nodes/{node}/firewall/rules/{pos}", Action::FirewallDelete, MODIFY_NODE)
            .takes(&[DIGEST]);
}

guest_calls! {
    /// The options of a guest's firewall.
    GUEST_OPTIONS = GuestCall::get(guest!("/firewall/options"), AUDIT_GUEST);
    /// Changes them.
    SET_GUEST_OPTIONS =
        GuestCall::put(guest!("/firewall/options"), Action::FirewallOptions, CONFIG_NETWORK)
            .takes(GUEST_OPTION_PARAMS)
            .with(Effect::GuestFirewall);
    /// The rules for a guest.
    GUEST_RULES = GuestCall::get(guest!("/firewall/rules"), AUDIT_GUEST);
    /// Adds a rule for a guest, as the first.
    ADD_GUEST_RULE =
        GuestCall::post(guest!("/firewall/rules"), Action::FirewallRule, CONFIG_NETWORK)
            .takes(NEW_RULE)
            .with(Effect::GuestFirewall);
    /// Changes or moves such a rule.
    SET_GUEST_RULE =
        GuestCall::put(guest!("/firewall/rules/{pos}"), Action::FirewallRule, CONFIG_NETWORK)
            .takes(RULE)
            .with(Effect::GuestFirewall);
    /// Removes such a rule.
    DELETE_GUEST_RULE =
        GuestCall::delete(guest!("/firewall/rules/{pos}"), Action::FirewallDelete, CONFIG_NETWORK)
            .takes(&[DIGEST]);
    /// Aliases and IP sets that a guest's rules can refer to.
    GUEST_REFERENCES =
        GuestCall::get(guest!("/firewall/refs"), AUDIT_GUEST).lists(Listing::References);
}
