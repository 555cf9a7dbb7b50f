//! What a firewall amounts to: rules, switches and policies read together.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::Finding;
use super::rule::Direction;
use super::rule_list::ListedRule;
use super::shadow::traffic_shadows;
use super::target::Level;
use super::traffic::Traffic;
use crate::order;
use crate::pve::Nic;
use crate::tool_names;
use crate::tools::finding::Severity;

/// What an audit evaluates.
#[derive(Debug)]
pub(super) struct AuditInput<'a> {
    pub(super) level: Level,
    /// Absent where the token may not see it.
    pub(super) cluster_on: Option<bool>,
    /// The guest's or node's own switch; the cluster's again on its own.
    pub(super) own_on: bool,
    pub(super) policy_in: &'a str,
    pub(super) policy_out: &'a str,
    pub(super) mac_filter: bool,
    /// Whether the node has the firewall that knows forward rules.
    pub(super) nftables: bool,
    pub(super) rules: &'a [ListedRule],
    /// Those of the cluster, which a node applies after its own.
    pub(super) cluster_rules: &'a [ListedRule],
    /// The rules of the security groups in use, where the token sees them.
    pub(super) groups: &'a BTreeMap<String, Vec<ListedRule>>,
    /// All security groups, where they are known.
    pub(super) group_names: Option<&'a BTreeSet<String>>,
    /// All aliases and IP sets, where they are known.
    pub(super) names: Option<&'a AddressNames>,
    /// A guest's network cards.
    pub(super) nics: &'a [Nic],
    /// A node's interfaces, where they are known.
    pub(super) interfaces: Option<&'a BTreeSet<String>>,
}

/// Aliases, and IP sets with a leading `+`, each with and without its scope.
#[derive(Debug, Clone, Default)]
pub(super) struct AddressNames(BTreeSet<String>);

impl AddressNames {
    /// Adds a name, with and without its scope.
    pub(super) fn add(&mut self, is_set: bool, scope: &str, name: &str) {
        let name = name.to_ascii_lowercase();
        let sign = if is_set { "+" } else { "" };
        self.0.insert(format!("{sign}{name}"));
        if !scope.is_empty() {
            self.0.insert(format!("{sign}{scope}/{name}"));
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        // Proxmox makes the sets of its software-defined network itself.
        name.starts_with("+sdn/") || self.0.contains(&name.to_ascii_lowercase())
    }
}

impl AuditInput<'_> {
    /// Whether the rules have any effect; absent where that is not known.
    pub(super) fn in_effect(&self) -> Option<bool> {
        let here =
            self.own_on && (self.level != Level::Guest || self.nics.iter().any(|nic| nic.firewall));
        if !here {
            return Some(false);
        }
        self.cluster_on
    }

    /// All findings, the most severe first.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        self.switches(&mut findings);
        self.policies(&mut findings);
        let labelled = self.labelled();
        // What a rule matches is worked out once: each is compared with all
        // before it.
        let traffic: Vec<Traffic> = labelled
            .iter()
            .map(|one| one.listed.rule.traffic())
            .collect();
        for (index, (one, own)) in labelled.iter().zip(&traffic).enumerate() {
            let earlier = labelled.iter().zip(&traffic).take(index);
            let hidden = earlier
                .filter(|(first, _)| first.listed.is_active() && one.listed.is_active())
                .find(|(first, matched)| {
                    traffic_shadows(&first.listed.rule, matched, &one.listed.rule, own)
                })
                .map(|(first, _)| first);
            self.rule(one, &mut findings);
            match hidden {
                Some(first) => findings.push(one.hidden_by(first)),
                None => findings.extend(one.open_to_all()),
            }
        }
        self.group_rules(&mut findings);
        order::by_key(&mut findings, |finding| finding.severity);
        findings
    }

    fn switches(&self, findings: &mut Vec<Finding>) {
        let has_rules = self.rules.iter().any(|listed| listed.rule.enabled);
        if self.level == Level::Cluster && !self.own_on || self.cluster_on == Some(false) {
            findings.push(Finding::new(
                Severity::High,
                "the firewall of the datacenter is off, so no rule of any node or guest applies",
                "enable it for the cluster, after making sure that a rule lets you reach ports \
                 8006 and 22 of the nodes",
            ));
        }
        if self.cluster_on.is_none() {
            findings.push(Finding::new(
                Severity::Info,
                "whether the firewall of the datacenter is on is not visible to this token, and \
                 without it no rule applies",
                "give the token Sys.Audit on /",
            ));
        }
        match self.level {
            Level::Cluster => {}
            Level::Node if !self.own_on => findings.push(Finding::new(
                Severity::High,
                "the node's firewall is off: neither its rules nor those of the cluster protect it",
                "enable it for this node",
            )),
            Level::Node => {}
            Level::Guest => {
                findings.extend(self.guest_switch(has_rules));
                self.nic_switches(has_rules, findings);
            }
        }
    }

    fn guest_switch(&self, has_rules: bool) -> Option<Finding> {
        let (severity, text) = match (self.own_on, has_rules) {
            (true, _) => return None,
            (false, true) => (
                Severity::High,
                "rules exist but the guest's firewall option is off, so none of them applies",
            ),
            (false, false) => (
                Severity::Medium,
                "the guest's firewall is off: every port is open to its network",
            ),
        };
        Some(Finding::new(severity, text, "enable it for this guest"))
    }

    /// A guest's rules apply only to network cards with the flag `firewall=1`.
    fn nic_switches(&self, has_rules: bool, findings: &mut Vec<Finding>) {
        for nic in self.nics.iter().filter(|nic| !nic.firewall) {
            findings.push(Finding::new(
                if has_rules || self.own_on {
                    Severity::High
                } else {
                    Severity::Low
                },
                if has_rules {
                    format!(
                        "rules exist but the firewall is off on {}, where none of them applies",
                        nic.id
                    )
                } else {
                    format!("the firewall is off on {}", nic.id)
                },
                format!(
                    "call {} with nic: {} and firewall: true",
                    tool_names::SET_NIC,
                    nic.id
                ),
            ));
        }
        if self.nics.is_empty() {
            findings.push(Finding::new(
                Severity::Info,
                "the guest has no network card",
                "",
            ));
        }
    }

    fn policies(&self, findings: &mut Vec<Finding>) {
        // A node has the policies of the cluster.
        if self.policy_in == "ACCEPT" {
            findings.push(Finding::new(
                if self.level == Level::Guest {
                    Severity::Medium
                } else {
                    Severity::High
                },
                "policy_in is ACCEPT: all that no rule stops is let in",
                "set policy_in to DROP once rules accept the traffic that is needed",
            ));
        } else if self.level == Level::Guest && self.own_on && !self.lets_in() {
            findings.push(Finding::new(
                Severity::Info,
                format!(
                    "nothing is let in: policy_in is {} and no rule accepts anything",
                    self.policy_in
                ),
                "",
            ));
        }
        if self.policy_out != "ACCEPT" && self.level != Level::Node && self.own_on {
            findings.push(Finding::new(
                Severity::Info,
                format!(
                    "policy_out is {}: only what a rule accepts gets out",
                    self.policy_out
                ),
                "",
            ));
        }
        if self.level == Level::Guest && !self.mac_filter {
            findings.push(Finding::new(
                Severity::Low,
                "macfilter is off: the guest can send with the MAC addresses of others",
                "set macfilter to true unless the guest bridges or routes for others",
            ));
        }
    }

    /// Whether any rule lets anything in.
    pub(super) fn lets_in(&self) -> bool {
        self.rules
            .iter()
            .filter(|listed| listed.is_active())
            .any(|listed| {
                match listed.rule.direction {
                    Direction::In => listed.rule.action == "ACCEPT",
                    // A group that cannot be read may accept something.
                    Direction::Group => self.groups.get(&listed.rule.action).is_none_or(|rules| {
                        rules.iter().any(|inner| {
                            inner.is_active()
                                && inner.rule.direction == Direction::In
                                && inner.rule.action == "ACCEPT"
                        })
                    }),
                    Direction::Out | Direction::Forward => false,
                }
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nic(id: &str, firewall: bool) -> Nic {
        Nic {
            id: id.into(),
            firewall,
            ..Nic::default()
        }
    }

    fn texts(picture: &AuditInput<'_>) -> Vec<String> {
        picture
            .findings()
            .into_iter()
            .map(|finding| format!("{:?}: {}", finding.severity, finding.finding))
            .collect()
    }

    static NO_GROUPS: BTreeMap<String, Vec<ListedRule>> = BTreeMap::new();

    macro_rules! picture {
        ($rules:expr, $nics:expr $(, $field:ident: $value:expr)*) => {
            AuditInput {
                $($field: $value,)*
                ..AuditInput {
                    level: Level::Guest, cluster_on: Some(true), own_on: true, policy_in: "DROP",
                    policy_out: "ACCEPT", mac_filter: true, nftables: false, rules: $rules, cluster_rules: &[],
                    groups: &NO_GROUPS, group_names: None, names: None, nics: $nics,
                    interfaces: None,
                }
            }
        };
    }

    #[test]
    fn switches_that_are_off() {
        let rules = ListedRule::samples(&["macro=HTTPS"]);
        let nics = [nic("net0", false), nic("net1", true)];
        let found = texts(&picture!(&rules, &nics));
        assert_eq!(
            found,
            ["High: rules exist but the firewall is off on net0, where none of them applies"]
        );
        let found = texts(&picture!(&rules, &nics[1..], own_on: false));
        assert_eq!(
            found,
            ["High: rules exist but the guest's firewall option is off, so none of them applies"]
        );
        let off = picture!(&rules, &nics[1..], cluster_on: Some(false));
        assert_eq!(off.in_effect(), Some(false));
        assert!(texts(&off)[0].contains("datacenter is off"));
        let hidden = picture!(&rules, &nics[1..], cluster_on: None);
        assert_eq!(hidden.in_effect(), None);
        assert_eq!(picture!(&rules, &nics[1..]).in_effect(), Some(true));
        assert_eq!(picture!(&rules, &[]).in_effect(), Some(false));
        assert!(texts(&picture!(&rules, &nics[1..])).is_empty());
    }

    #[test]
    fn open_to_the_world() {
        for (rule, says) in [
            ("macro=SSH", "opens SSH (tcp 22) to every address"),
            (
                "proto=tcp dport=22 source=0.0.0.0/0",
                "opens SSH (tcp 22) to every IPv4 address",
            ),
            (
                "proto=tcp dport=ssh source=::/0",
                "opens SSH (tcp 22) to every IPv6 address",
            ),
            (
                "proto=tcp dport=8000:8010",
                "the Proxmox web interface (tcp 8006)",
            ),
            ("macro=RDP", "opens RDP (tcp 3389)"),
            ("", "lets everything in from every address"),
            ("proto=tcp", "and 14 more services"),
        ] {
            let rules = ListedRule::samples(&[rule]);
            let found = texts(&picture!(&rules, &[nic("net0", true)]));
            assert!(
                found.len() == 1 && found[0].contains(says),
                "{rule}: {found:?}"
            );
            assert!(found[0].starts_with("High: rule 0 "), "{found:?}");
        }
        for rule in [
            "macro=HTTPS",
            "proto=tcp dport=22 source=192.0.2.0/24",
            "macro=SSH source=+admins",
            "action=DROP",
            "direction=out",
            "proto=icmp",
        ] {
            let rules = ListedRule::samples(&[rule, "macro=Web"]);
            let found = texts(&picture!(&rules, &[nic("net0", true)]));
            assert!(
                !found
                    .iter()
                    .any(|text| text.contains("opens") || text.contains("lets")),
                "{found:?}"
            );
        }
    }

    #[test]
    fn rules_without_effect() {
        let rules = ListedRule::samples(&[
            "proto=tcp dport=80,443",
            "macro=HTTPS source=192.0.2.0/24",
            "proto=tcp dport=80,443 comment=again",
            "action=DROP proto=tcp dport=443",
            "enabled=0 macro=SSH",
            "interface=net7 macro=HTTP source=192.0.2.1",
            "direction=group action=nogroup",
            "macro=SMTP source=dc/nobody",
            "macro=SMTP source=+admins",
        ]);
        let names = {
            let mut names = AddressNames::default();
            names.add(true, "dc", "admins");
            names
        };
        let groups = BTreeSet::from(["web".to_owned()]);
        let found = texts(
            &picture!(&rules, &[nic("net0", true)], names: Some(&names), group_names: Some(&groups)),
        );
        assert_eq!(
            found,
            [
                "Medium: rule 3 never applies: rule 0 comes first, matches all that it matches, and says ACCEPT",
                "Medium: rule 5 is for net7, which does not exist",
                "Medium: rule 6 uses the security group nogroup, which does not exist",
                "Medium: rule 7 has the source dc/nobody, but there is no such alias",
                "Low: rule 1 adds nothing: rule 0 covers it already",
                "Low: rule 2 is a duplicate of rule 0",
                "Low: rule 4 is disabled",
                "Low: rule 5 adds nothing: rule 0 covers it already",
            ]
        );
    }

    #[test]
    fn groups_are_looked_into() {
        let rules = ListedRule::samples(&["direction=group action=admin"]);
        let groups = BTreeMap::from([("admin".to_owned(), ListedRule::samples(&["macro=SSH"]))]);
        let nics = [nic("net0", true)];
        let picture = picture!(&rules, &nics, groups: &groups);
        let found = texts(&picture);
        assert_eq!(
            found,
            [
                "High: rule 0 uses the security group admin, whose rule 0 opens SSH (tcp 22) to every address"
            ]
        );
        assert!(picture.lets_in());
    }

    #[test]
    fn errors_of_proxmox_come_along() {
        let mut rules = ListedRule::samples(&["source=nobody"]);
        rules[0]
            .errors
            .push("source: no such alias 'nobody'".into());
        let found = texts(&picture!(&rules, &[nic("net0", true)]));
        assert!(
            found[0].contains("rule 0 is ignored by Proxmox: source: no such alias"),
            "{found:?}"
        );
    }
}
