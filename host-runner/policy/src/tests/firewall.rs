//! Which changes of firewalls can cut off nodes or guests.
//!
//! What a new rule does follows from its action, and what an option does from its value.
//! What a change does to another rule, alias or set that is there already is not known.

use super::*;

const CLUSTER: &str = "/cluster/firewall";
const NODE: &str = "/nodes/pve1/firewall";
const VM: &str = "/nodes/pve1/qemu/100/firewall";
const CONTAINER: &str = "/nodes/pve2/lxc/200/firewall";

/// Checks changes, each with a method, the end of a path and parameters, and whether it may
/// cut off what the firewall is about.
fn check(firewall: &str, changes: &[(&str, bool)]) {
    let mut policy = Policy::preset(Preset::Operate);
    policy.allow = vec!["* /**".parse().unwrap()];
    for (change, cuts_off) in changes.iter().copied() {
        let mut words = change.split(' ');
        let (method, end) = (words.next().unwrap(), words.next().unwrap());
        let path = format!("{firewall}{end}");
        let verdict = decide(&policy, method, &path, words.next().unwrap_or_default());
        assert!(verdict.allowed, "{change} of {firewall}: {verdict:?}");
        let meaning = verdict.meaning;
        let is_of_guest = !meaning.vmids.is_empty();
        assert_eq!(meaning.is_destructive(), cuts_off, "{change} of {firewall}");
        assert_eq!(meaning.may_isolate, cuts_off && is_of_guest, "{change}");
        assert_eq!(meaning.may_lock_out, cuts_off && !is_of_guest, "{change}");
    }
}

#[test]
fn a_rule_may_cut_off_unless_it_is_new_and_accepts_or_is_off() {
    for firewall in [CLUSTER, NODE, VM, CONTAINER] {
        check(
            firewall,
            &[
                ("PUT /options enable=1", true),
                ("PUT /options enable=0", false),
                ("POST /rules type=in&action=DROP&enable=1", true),
                ("POST /rules type=out&action=REJECT&enable=1", true),
                ("POST /rules type=group&action=ACCEPT&enable=1", true),
                ("POST /rules type=in&action=ACCEPT&enable=1", false),
                // Proxmox adds a rule without `enable` switched off.
                ("POST /rules type=in&action=DROP", false),
                ("POST /rules type=in&action=DROP&enable=0", false),
                ("PUT /rules/0 enable=0", true),
                ("PUT /rules/0 enable=1", true),
                ("PUT /rules/0 moveto=3", true),
                ("PUT /rules/0 delete=comment,dport", true),
                ("PUT /rules/0 comment=a&log=info&digest=aa", false),
                ("PUT /rules/0 delete=comment,log", false),
            ],
        );
    }
}

#[test]
fn what_the_firewall_of_the_cluster_may_cut_off() {
    check(
        CLUSTER,
        &[
            ("PUT /options policy_in=DROP", true),
            ("PUT /options policy_forward=DROP", true),
            ("PUT /options ebtables=1", true),
            (
                "PUT /options policy_in=ACCEPT&policy_out=ACCEPT&ebtables=0&digest=aa",
                false,
            ),
            // A new group or set is empty.
            ("POST /groups group=web", false),
            ("POST /groups group=web&rename=web&comment=a", false),
            ("POST /groups group=web&rename=db", true),
            ("POST /groups/web type=in&action=ACCEPT&enable=1", false),
            ("POST /groups/web type=in&action=DROP&enable=1", true),
            ("POST /groups/rules type=in&action=ACCEPT&enable=1", false),
            ("PUT /groups/web/0 enable=0", true),
            ("PUT /groups/web/0 comment=a", false),
            ("POST /ipset name=web", false),
            ("POST /ipset name=blacklist&rename=web", true),
            ("POST /ipset/blacklist cidr=192.0.2.0/24", true),
            // Rules that name an alias come into force with it.
            ("POST /aliases name=web&cidr=192.0.2.1", true),
            ("PUT /aliases/web cidr=192.0.2.1", true),
        ],
    );
}

#[test]
fn what_the_firewall_of_a_node_may_cut_off() {
    check(
        NODE,
        &[
            ("PUT /options ndp=0", true),
            ("PUT /options nftables=0", true),
            ("PUT /options protection_synflood=1", true),
            ("PUT /options nf_conntrack_max=32768", true),
            (
                "PUT /options ndp=1&log_level_in=info&tcpflags=1&nosmurfs=1",
                false,
            ),
        ],
    );
}

#[test]
fn what_the_firewall_of_a_guest_may_cut_off() {
    for firewall in [VM, CONTAINER] {
        check(
            firewall,
            &[
                ("PUT /options policy_out=REJECT", true),
                ("PUT /options dhcp=0", true),
                ("PUT /options radv=0", true),
                ("PUT /options ipfilter=1", true),
                ("PUT /options macfilter=1", true),
                (
                    "PUT /options dhcp=1&ndp=1&radv=1&ipfilter=0&macfilter=0",
                    false,
                ),
                ("POST /ipset name=ipfilter-net0", true),
                ("POST /ipset name=web&rename=web&comment=a", false),
                ("POST /ipset/web cidr=192.0.2.1", true),
                ("POST /aliases name=web&cidr=192.0.2.1", true),
            ],
        );
    }
}

/// Proxmox then skips the rules that name it, and a removed rule no longer accepts.
#[test]
fn whatever_a_firewall_loses_is_destructive() {
    let mut policy = Policy::preset(Preset::Admin);
    policy.allow = vec!["* /**".parse().unwrap()];
    for path in [
        "/cluster/firewall/rules/0",
        "/cluster/firewall/groups/web",
        "/cluster/firewall/groups/web/0",
        "/cluster/firewall/aliases/web",
        "/nodes/pve1/firewall/rules/0",
        "/nodes/pve1/qemu/100/firewall/rules/0",
        "/nodes/pve2/lxc/200/firewall/ipset/web",
    ] {
        let verdict = decide(&policy, "DELETE", path, "");
        assert!(verdict.allowed, "{path}: {verdict:?}");
        assert!(verdict.meaning.is_destructive(), "{path}");
    }
}

/// A node may have any name.
#[test]
fn the_name_of_a_node_is_no_type_of_guest() {
    let operate = Policy::preset(Preset::Operate);
    let path = "/nodes/lxc/qemu/100/migrate";
    let body = "target=pve2&online=1&targetstorage=nas";
    let request = request("POST", &format!("/api2/json{path}"), body).unwrap();
    let meaning = crate::meaning::meaning(&request).unwrap();
    assert!(!meaning.may_restart);
    for node in ["options", "rules", "firewall", "cluster"] {
        let path = format!("/nodes/{node}/firewall/rules");
        let rule = |action: &str| {
            let body = format!("type=in&action={action}&enable=1");
            let verdict = decide(&operate, "POST", &path, &body);
            assert!(verdict.allowed, "{verdict:?}");
            verdict.meaning.may_lock_out
        };
        assert!(rule("DROP") && !rule("ACCEPT"), "{node}");
    }
}
