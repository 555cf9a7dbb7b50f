//! Changes that no tool makes and an `allow` rule of a policy can permit: what
//! they do is known, is reversible or only adds, and stays within the cluster's
//! own objects. Those of firewalls can still cut off nodes or guests.

use super::common::{
    BANDWIDTH, CONFIG_DISK, CONFIG_NETWORK, DESCRIPTION, DIGEST, MODIFY_CLUSTER, ON_STORAGE,
    SNAPSHOT,
};
use super::firewall::{NEW_RULE, RULE};
use crate::action::Action;
use crate::call::{Call, Effect, Given, GuestCall, Param, delete, must, opt, post, put};
use crate::grammar::Grammar as G;

const GROUP: &[Param] = &[
    opt("group", G::Name),
    opt("comment", G::Line),
    DIGEST,
    opt("rename", G::Name),
];

const NEW_ALIAS: &[Param] = &[
    opt("name", G::Name),
    opt("cidr", G::Spec),
    opt("comment", G::Line),
];

const ALIAS: &[Param] = &[
    opt("cidr", G::Spec),
    opt("comment", G::Line),
    opt("name", G::Name),
    opt("rename", G::Name),
    DIGEST,
];

const IPSET: &[Param] = &[
    opt("name", G::Name),
    opt("comment", G::Line),
    DIGEST,
    opt("rename", G::Name),
];

const IPSET_ENTRY: &[Param] = &[
    opt("cidr", G::Spec),
    opt("comment", G::Line),
    opt("nomatch", G::Bool),
];

/// Without `delete` the old volume stays, unused. With `digest`, these are the
/// calls that tools make: see [`super::guests`].
const MOVE_DISK_PARAMS: &[Param] = &[
    opt("disk", G::Disk),
    must("storage", G::Storage, "another guest would get the disk"),
    opt("format", G::OneOf(&["raw", "qcow2", "vmdk"])),
    opt("bwlimit", BANDWIDTH),
];

const MOVE_VOLUME_PARAMS: &[Param] = &[
    opt("volume", G::Disk),
    must("storage", G::Storage, "another guest would get the volume"),
    opt("bwlimit", BANDWIDTH),
];

calls! {
    /// Adds a security group, or renames one.
    ADD_GROUP = post("/cluster/firewall/groups", Action::FirewallRule, MODIFY_CLUSTER).takes(GROUP)
        .with(Effect::NodeFirewall);
    /// Removes an empty security group.
    DELETE_GROUP =
        delete("/cluster/firewall/groups/{group}", Action::FirewallDelete, MODIFY_CLUSTER);
    /// Adds a rule to a security group.
    ADD_GROUP_RULE = post("/cluster/firewall/groups/{group}", Action::FirewallRule, MODIFY_CLUSTER)
        .takes(NEW_RULE)
        .with(Effect::NodeFirewall);
    /// Changes or moves such a rule.
    SET_GROUP_RULE =
        put("/cluster/firewall/groups/{group}/{pos}", Action::FirewallRule, MODIFY_CLUSTER)
            .takes(RULE)
        .with(Effect::NodeFirewall);
    /// Removes such a rule.
    DELETE_GROUP_RULE =
        delete("/cluster/firewall/groups/{group}/{pos}", Action::FirewallDelete, MODIFY_CLUSTER)
            .takes(&[DIGEST]);
    /// Names an address.
    ADD_ALIAS =
        post("/cluster/firewall/aliases", Action::FirewallRule, MODIFY_CLUSTER).takes(NEW_ALIAS)
        .with(Effect::NodeFirewall);
    /// Changes such a name.
    SET_ALIAS =
        put("/cluster/firewall/aliases/{name}", Action::FirewallRule, MODIFY_CLUSTER).takes(ALIAS)
        .with(Effect::NodeFirewall);
    /// Removes such a name.
    DELETE_ALIAS =
        delete("/cluster/firewall/aliases/{name}", Action::FirewallDelete, MODIFY_CLUSTER)
            .takes(&[DIGEST]);
    /// Adds an IP set, or renames one.
    ADD_IPSET = post("/cluster/firewall/ipset", Action::FirewallRule, MODIFY_CLUSTER).takes(IPSET)
        .with(Effect::NodeFirewall);
    /// Removes an empty IP set.
    DELETE_IPSET = delete("/cluster/firewall/ipset/{name}", Action::FirewallDelete, MODIFY_CLUSTER);
    /// Adds an address to an IP set.
    ADD_IPSET_ENTRY = post("/cluster/firewall/ipset/{name}", Action::FirewallRule, MODIFY_CLUSTER)
        .takes(IPSET_ENTRY)
        .with(Effect::NodeFirewall);
    /// Asks a VM's agent whether it answers.
    PING_AGENT = post(
        qemu!("/agent/ping"),
        Action::Options,
        "VM.GuestAgent.Audit or VM.GuestAgent.Unrestricted on /vms/{vmid}",
    )
        .by_agent();
    /// Discards unused blocks of a VM's file systems.
    TRIM = post(
        qemu!("/agent/fstrim"),
        Action::Options,
        "VM.GuestAgent.FileSystemMgmt or VM.GuestAgent.Unrestricted on /vms/{vmid}",
    )
        .by_agent();
    /// Moves a VM's disk to another storage.
    MOVE_DISK = post(qemu!("/move_disk"), Action::Migrate, CONFIG_DISK)
        .also(ON_STORAGE)
        .takes(MOVE_DISK_PARAMS)
        .only(Given::Without("digest"));
    /// Moves a container's volume to another storage.
    MOVE_VOLUME = post(lxc!("/move_volume"), Action::Migrate, CONFIG_DISK)
        .also(ON_STORAGE)
        .takes(MOVE_VOLUME_PARAMS)
        .only(Given::Without("digest"));
}

guest_calls! {
    /// Names an address for a guest's rules.
    ADD_GUEST_ALIAS =
        GuestCall::post(guest!("/firewall/aliases"), Action::FirewallRule, CONFIG_NETWORK)
            .takes(NEW_ALIAS)
            .with(Effect::GuestFirewall);
    /// Changes such a name.
    SET_GUEST_ALIAS =
        GuestCall::put(guest!("/firewall/aliases/{name}"), Action::FirewallRule, CONFIG_NETWORK)
            .takes(ALIAS)
            .with(Effect::GuestFirewall);
    /// Removes such a name.
    DELETE_GUEST_ALIAS =
        GuestCall::delete(guest!("/firewall/aliases/{name}"), Action::FirewallDelete, CONFIG_NETWORK)
            .takes(&[DIGEST]);
    /// Adds an IP set for a guest's rules, or renames one.
    ADD_GUEST_IPSET =
        GuestCall::post(guest!("/firewall/ipset"), Action::FirewallRule, CONFIG_NETWORK)
            .takes(IPSET)
            .with(Effect::GuestFirewall);
    /// Removes such a set, if it is empty.
    DELETE_GUEST_IPSET =
        GuestCall::delete(guest!("/firewall/ipset/{name}"), Action::FirewallDelete, CONFIG_NETWORK);
    /// Adds an address to such a set.
    ADD_GUEST_IPSET_ENTRY =
        GuestCall::post(guest!("/firewall/ipset/{name}"), Action::FirewallRule, CONFIG_NETWORK)
            .takes(IPSET_ENTRY)
            .with(Effect::GuestFirewall);
    /// Changes the description of a snapshot.
    DESCRIBE_SNAPSHOT =
        GuestCall::put(guest!("/snapshot/{snapname}/config"), Action::Options, SNAPSHOT)
            .takes(&[DESCRIPTION]);
}
