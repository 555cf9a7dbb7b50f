//! Who can still reach the nodes after a change.

use std::collections::BTreeMap;

use pve_api::calls;
use serde_json::Value;

use super::options::Options;
use super::rule::Direction;
use super::rule_list::ListedRule;
use super::security_groups::{SecurityGroups, applied};
use super::state::FirewallState;
use super::target::{Firewall, Level};
use crate::error::{Error, Result};
use crate::pve::{At, Params, Pve};

impl FirewallState {
    /// Refuses a change after which fewer people can reach the ports by which
    /// nodes are managed, 8006 and 22. If the caller accepts that, returns a
    /// warning instead. The firewall of a guest never locks anyone out of a node.
    pub(super) fn check_lockout(
        &self,
        pve: &Pve,
        firewall: &Firewall,
        rules: &[ListedRule],
        options: Option<&Options>,
        accepted: Option<bool>,
    ) -> Result<Option<String>> {
        if firewall.level == Level::Guest {
            return Ok(None);
        }
        let groups = SecurityGroups::read(pve, self.all_rules().chain(rules), false)?;
        let management = has_management(pve);
        let before = self.node_access(&self.options, &self.rules.list, &groups, management);
        let after = self.node_access(options.unwrap_or(&self.options), rules, &groups, management);
        let lost = before.lost(&after);
        if lost.is_empty() {
            return Ok(None);
        }
        let lost = describe(&lost, firewall);
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

    /// The options and rules that decide who can reach the nodes.
    fn node_access<'a>(
        &'a self,
        options: &'a Options,
        rules: &'a [ListedRule],
        groups: &'a SecurityGroups,
        management: bool,
    ) -> NodeAccess<'a> {
        let cluster = match self.level {
            Level::Cluster => Some(options),
            Level::Guest | Level::Node => self.cluster.as_ref(),
        };
        NodeAccess {
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

/// "port 8006 (web interface and API) of the nodes can no longer be reached by
/// anyone".
fn describe(lost: &[(u16, Reach)], firewall: &Firewall) -> String {
    let nodes = match firewall.level {
        Level::Cluster => "the nodes",
        Level::Guest | Level::Node => &firewall.label,
    };
    let loss = |reach: Reach, consequence: &str| {
        let ports: Vec<&str> = lost
            .iter()
            .filter(|(_, now)| *now == reach)
            .map(|(port, _)| match port {
                22 => "22 (SSH)",
                _ => "8006 (web interface and API)",
            })
            .collect();
        (!ports.is_empty())
            .then(|| format!("port {} of {nodes} {consequence}", ports.join(" and ")))
    };
    [
        loss(Reach::Nobody, "can no longer be reached by anyone"),
        loss(
            Reach::LocalNetwork,
            "can be reached only from the local network of the nodes",
        ),
    ]
    .into_iter()
    .flatten()
    .collect::<Vec<_>>()
    .join(", and ")
}

/// Whether the IP set of those who may always manage nodes has entries.
fn has_management(pve: &Pve) -> bool {
    pve.send::<Vec<Value>>(&calls::firewall::IPSET.at(["management"]), &Params::new())
        .is_ok_and(|entries| !entries.is_empty())
}

/// Who can reach a port of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// A rule stops it for everyone.
    Nobody,
    /// The node's own network, which Proxmox always lets in.
    LocalNetwork,
    /// Those whom the rules or the policy let in.
    Allowed,
}

/// What decides who can reach a node.
#[derive(Debug, Clone)]
pub(super) struct NodeAccess<'a> {
    pub(super) on: bool,
    pub(super) policy_in: &'a str,
    /// In the order in which they apply.
    pub(super) rules: Vec<&'a ListedRule>,
    pub(super) groups: &'a BTreeMap<String, Vec<ListedRule>>,
    /// Whether the IP set `management` names anyone.
    pub(super) management: bool,
}

impl NodeAccess<'_> {
    /// Who can reach a TCP port.
    pub(super) fn reach(&self, port: u16) -> Reach {
        if !self.on {
            return Reach::Allowed;
        }
        for one in applied(self.rules.iter().copied(), self.groups) {
            let rule = &one.listed.rule;
            if rule.direction != Direction::In {
                continue;
            }
            let traffic = rule.traffic();
            if rule.action == "ACCEPT" {
                if traffic.reaches("tcp", port) {
                    return Reach::Allowed;
                }
            } else if traffic.reaches_from_all("tcp", port) {
                return Reach::Nobody;
            }
        }
        if self.policy_in == "ACCEPT" || self.management {
            Reach::Allowed
        } else {
            Reach::LocalNetwork
        }
    }

    /// The management ports of nodes that fewer people can reach after a change.
    pub(super) fn lost(&self, after: &Self) -> Vec<(u16, Reach)> {
        [8006, 22]
            .into_iter()
            .filter(|port| after.reach(*port) < self.reach(*port))
            .map(|port| (port, after.reach(port)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reaches_a_node() {
        static NO_GROUPS: BTreeMap<String, Vec<ListedRule>> = BTreeMap::new();
        let groups = BTreeMap::from([(
            "admin".to_owned(),
            ListedRule::samples(&["proto=tcp dport=22,8006"]),
        )]);
        let access = |rules: &'static [&'static str], policy_in: &'static str, management, on| {
            let rules: &'static [ListedRule] = Vec::leak(ListedRule::samples(rules));
            NodeAccess {
                on,
                policy_in,
                rules: rules.iter().collect(),
                groups: &NO_GROUPS,
                management,
            }
        };
        assert_eq!(
            access(&[], "DROP", false, true).reach(8006),
            Reach::LocalNetwork
        );
        assert_eq!(access(&[], "DROP", true, true).reach(8006), Reach::Allowed);
        assert_eq!(
            access(&[], "ACCEPT", false, true).reach(8006),
            Reach::Allowed
        );
        assert_eq!(
            access(&["action=DROP"], "ACCEPT", true, true).reach(8006),
            Reach::Nobody
        );
        assert_eq!(
            access(&["action=DROP"], "ACCEPT", true, false).reach(8006),
            Reach::Allowed
        );
        assert_eq!(
            access(
                &["proto=tcp dport=8006 source=+admins", "action=DROP"],
                "DROP",
                false,
                true
            )
            .reach(8006),
            Reach::Allowed
        );
        assert_eq!(
            access(
                &["action=DROP source=198.51.100.0/24"],
                "ACCEPT",
                false,
                true
            )
            .reach(22),
            Reach::Allowed
        );
        let mut by_group = access(
            &["direction=group action=admin", "action=REJECT"],
            "DROP",
            false,
            true,
        );
        assert_eq!(by_group.reach(22), Reach::Nobody);
        by_group.groups = &groups;
        assert_eq!(by_group.reach(22), Reach::Allowed);
        let off = access(&[], "DROP", false, false);
        let on = access(&["macro=SSH"], "DROP", false, true);
        assert_eq!(off.lost(&on), [(8006, Reach::LocalNetwork)]);
        assert!(on.lost(&off).is_empty());
    }
}
