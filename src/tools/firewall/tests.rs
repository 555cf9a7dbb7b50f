//! Tests of what several of these files do together.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::position::move_target;
use super::set_firewall_options::SetFirewallOptions;
use super::target::Level;
use crate::error::Result;

fn options(json: Value, level: Level) -> Result<Vec<(&'static str, String)>> {
    let options: SetFirewallOptions = serde_json::from_value(json).unwrap();
    let wanted = options.wanted(level)?;
    Ok(wanted
        .into_iter()
        .map(|one| (one.name, one.value))
        .collect())
}

#[test]
fn options_are_checked_for_whom_they_are() {
    assert_eq!(
        options(
            json!({"vmid": 100, "enabled": true, "policy_in": "DROP", "more": ["log_level_in=info", "ndp=false"]}),
            Level::Guest
        )
        .unwrap(),
        [
            ("enable", "1".to_owned()),
            ("policy_in", "DROP".to_owned()),
            ("log_level_in", "info".to_owned()),
            ("ndp", "0".to_owned())
        ]
    );
    for (json, level, says) in [
        (json!({}), Level::Guest, "enabled: is missing"),
        (
            json!({"policy_in": "DROP"}),
            Level::Node,
            "policy_in: policy_in is not an option of a node, but of a guest and the cluster",
        ),
        (
            json!({"dhcp": true}),
            Level::Cluster,
            "dhcp: dhcp is not an option of the cluster",
        ),
        (
            json!({"more": ["ndp"]}),
            Level::Guest,
            "more: must list options as name=value",
        ),
        (
            json!({"more": ["policy_forward=REJECT"]}),
            Level::Cluster,
            "more: policy_forward must be ACCEPT or DROP",
        ),
        (
            json!({"more": ["log_level_in=loud"]}),
            Level::Guest,
            "more: log_level_in must be emerg or",
        ),
        (
            json!({"more": ["nftable=1"]}),
            Level::Node,
            "nftables exists",
        ),
        (
            json!({"more": ["digest=1"]}),
            Level::Node,
            "contains an unknown option",
        ),
        (
            json!({"more": ["nf_conntrack_max=5"]}),
            Level::Node,
            "a number from 32768",
        ),
        (
            json!({"enabled": true, "more": ["enable=0"]}),
            Level::Node,
            "enable is given more than once",
        ),
    ] {
        let message = options(json, level).unwrap_err().message();
        assert!(message.contains(says), "{message}");
    }
}

/// As Proxmox moves a rule.
fn moved(mut rules: Vec<u32>, from: usize, moveto: usize) -> Vec<u32> {
    let count = rules.len();
    if moveto == from {
        return rules;
    }
    let rule = rules.remove(from);
    let place = if moveto >= count {
        rules.len()
    } else if moveto > from {
        moveto - 1
    } else {
        moveto
    };
    rules.insert(place, rule);
    rules
}

proptest! {
    #[test]
    fn a_rule_ends_up_where_it_was_to_go(count in 1u32..12, from in 0u32..12, to in 0u32..12) {
        prop_assume!(from < count && to < count && from != to);
        let after = moved((0..count).collect(), from as usize, move_target(from, to) as usize);
        prop_assert_eq!(after.get(to as usize), Some(&from));
    }

    #[test]
    fn any_option_is_read_or_refused(text in any::<String>()) {
        for level in [Level::Guest, Level::Node, Level::Cluster] {
            let _ = options(json!({"more": [text]}), level);
        }
    }
}
