//! What a firewall amounts to: rules, switches and policies read together.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::rule::{Direction, Level, Listed, Rule};
use super::traffic::Traffic;
use crate::pve::Nic;

/// Something to know about a firewall.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    pub(super) finding: String,
    /// Of the rule that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) position: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fix: Option<String>,
}

/// The most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    High,
    Medium,
    Low,
    Info,
}

/// All that is looked at.
#[derive(Debug)]
pub(super) struct Picture<'a> {
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
    pub(super) rules: &'a [Listed],
    /// Those of the cluster, which a node applies after its own.
    pub(super) cluster_rules: &'a [Listed],
    /// The rules of the security groups in use, where the token sees them.
    pub(super) groups: &'a BTreeMap<String, Vec<Listed>>,
    /// All security groups, where they are known.
    pub(super) group_names: Option<&'a BTreeSet<String>>,
    /// All aliases and IP sets, where they are known.
    pub(super) names: Option<&'a Names>,
    /// A guest's network cards.
    pub(super) nics: &'a [Nic],
    /// A node's interfaces, where they are known.
    pub(super) interfaces: Option<&'a BTreeSet<String>>,
}

/// Aliases, and IP sets with a leading `+`, each with and without its scope.
#[derive(Debug, Clone, Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// Adds one.
    pub(super) fn add(&mut self, is_set: bool, scope: &str, name: &str) {
        let name = name.to_ascii_lowercase();
        let sign = if is_set { "+" } else { "" };
        self.0.insert(format!("{sign}{name}"));
        if !scope.is_empty() {
            self.0.insert(format!("{sign}{scope}/{name}"));
        }
    }

    fn has(&self, name: &str) -> bool {
        // Proxmox makes the sets of its software-defined network itself.
        name.starts_with("+sdn/") || self.0.contains(&name.to_ascii_lowercase())
    }
}

/// Services that should not be open to everyone.
const SENSITIVE: &[(&str, u16, &str)] = &[
    ("tcp", 22, "SSH"),
    ("tcp", 23, "Telnet"),
    ("tcp", 445, "SMB file sharing"),
    ("tcp", 3389, "RDP"),
    ("tcp", 8006, "the Proxmox web interface"),
    ("tcp", 3128, "the SPICE or Squid proxy"),
    ("tcp", 5900, "VNC"),
    ("tcp", 5985, "WinRM"),
    ("tcp", 1433, "SQL Server"),
    ("tcp", 3306, "MySQL"),
    ("tcp", 5432, "PostgreSQL"),
    ("tcp", 6379, "Redis"),
    ("tcp", 9200, "Elasticsearch"),
    ("tcp", 11211, "memcached"),
    ("tcp", 27017, "MongoDB"),
    ("tcp", 2375, "the Docker API"),
    ("tcp", 111, "rpcbind"),
    ("udp", 161, "SNMP"),
    ("udp", 623, "IPMI"),
];

impl Picture<'_> {
    /// Whether the rules have any effect; absent where that is not known.
    pub(super) fn in_effect(&self) -> Option<bool> {
        let here =
            self.own_on && (self.level != Level::Guest || self.nics.iter().any(|nic| nic.firewall));
        if !here {
            return Some(false);
        }
        self.cluster_on
    }

    /// All there is to say, what matters most first.
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
                    hides_with(&first.listed.rule, matched, &one.listed.rule, own)
                })
                .map(|(first, _)| first);
            self.rule(one, &mut findings);
            match hidden {
                Some(first) => findings.push(one.hidden_by(first)),
                None => findings.extend(one.open_to_all()),
            }
        }
        self.group_rules(&mut findings);
        findings.sort_by_key(|finding| finding.severity);
        findings
    }

    fn labelled(&self) -> Vec<Labelled<'_>> {
        let own = self.rules.iter().map(|listed| Labelled {
            label: format!("rule {}", listed.position),
            position: Some(listed.position),
            listed,
        });
        let cluster = self.cluster_rules.iter().map(|listed| Labelled {
            label: format!("cluster rule {}", listed.position),
            position: None,
            listed,
        });
        own.chain(cluster).collect()
    }

    fn switches(&self, findings: &mut Vec<Finding>) {
        let has_rules = self.rules.iter().any(|listed| listed.rule.enabled);
        if self.level == Level::Cluster && !self.own_on || self.cluster_on == Some(false) {
            findings.push(Finding::new(
                Severity::High,
                "the firewall of the datacenter is off, so no rule of any node or guest applies",
                "switch it on for the cluster, after making sure that a rule lets you reach ports \
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
                "switch it on for this node",
            )),
            Level::Guest if !self.own_on => findings.push(Finding::new(
                if has_rules {
                    Severity::High
                } else {
                    Severity::Medium
                },
                if has_rules {
                    "rules exist but the guest's firewall option is off, so none of them applies"
                } else {
                    "the guest's firewall is off: every port is open to its network"
                },
                "switch it on for this guest",
            )),
            Level::Node | Level::Guest => {}
        }
        if self.level == Level::Guest {
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
                    format!("set firewall=1 on {} in the guest's hardware", nic.id),
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
                "set policy_in to DROP once rules let in what is needed",
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
                    // One that cannot be seen may.
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

    /// What is to say of a rule alone.
    fn rule(&self, one: &Labelled<'_>, findings: &mut Vec<Finding>) {
        let rule = &one.listed.rule;
        if !one.listed.errors.is_empty() {
            findings.push(one.finding(
                Severity::Medium,
                format!("is ignored by Proxmox: {}", one.listed.errors.join(", ")),
                "correct or remove it",
            ));
        }
        if !rule.enabled {
            findings.push(one.finding(
                Severity::Low,
                "is disabled".into(),
                "remove it if it is no longer needed",
            ));
            return;
        }
        if rule.direction == Direction::Group
            && self
                .group_names
                .is_some_and(|names| !names.contains(&rule.action))
        {
            findings.push(one.finding(
                Severity::Medium,
                format!(
                    "uses the security group {}, which does not exist",
                    rule.action
                ),
                "create the group or remove the rule",
            ));
        }
        if let Some(interface) = &rule.interface
            && self.is_missing(interface)
        {
            findings.push(one.finding(
                Severity::Medium,
                format!("is for {interface}, which does not exist"),
                "correct the interface or remove the rule",
            ));
        }
        if rule.direction == Direction::Forward && self.level == Level::Node && !self.nftables {
            findings.push(one.finding(
                Severity::Medium,
                "is a forward rule, which the nftables firewall alone applies".into(),
                "set nftables to true for the node",
            ));
        }
        for (field, value) in [("source", &rule.source), ("dest", &rule.dest)] {
            let Some(value) = value else { continue };
            let is_name = matches!(
                super::traffic::Addresses::parse(value),
                Ok(super::traffic::Addresses::Named(_))
            );
            // Proxmox's own error, where there is one, is reported already.
            if is_name
                && one.listed.errors.is_empty()
                && self.names.is_some_and(|names| !names.has(value))
            {
                let what = if value.starts_with('+') {
                    "IP set"
                } else {
                    "alias"
                };
                findings.push(one.finding(
                    Severity::Medium,
                    format!("has the {field} {value}, and there is no such {what}"),
                    "create it or correct the rule",
                ));
            }
        }
    }

    fn is_missing(&self, interface: &str) -> bool {
        match self.level {
            Level::Guest => !self.nics.iter().any(|nic| nic.id == interface),
            Level::Node => self
                .interfaces
                .is_some_and(|names| !names.contains(interface)),
            Level::Cluster => false,
        }
    }

    /// What the rules of the groups in use let in from everywhere.
    fn group_rules(&self, findings: &mut Vec<Finding>) {
        let used: BTreeMap<&str, &Labelled<'_>> = BTreeMap::new();
        let labelled = self.labelled();
        let used = labelled
            .iter()
            .filter(|one| one.listed.is_active() && one.listed.rule.direction == Direction::Group)
            .fold(used, |mut used, one| {
                used.entry(one.listed.rule.action.as_str()).or_insert(one);
                used
            });
        for (name, one) in used {
            for inner in self
                .groups
                .get(name)
                .into_iter()
                .flatten()
                .filter(|inner| inner.is_active())
            {
                findings.extend(open_to_all(&inner.rule).map(|(severity, text)| {
                    one.finding(
                        severity,
                        format!(
                            "uses the security group {name}, whose rule {} {text}",
                            inner.position
                        ),
                        "restrict the source in the group",
                    )
                }));
            }
        }
    }
}

struct Labelled<'a> {
    label: String,
    position: Option<u32>,
    listed: &'a Listed,
}

impl Labelled<'_> {
    fn finding(&self, severity: Severity, text: String, fix: &str) -> Finding {
        Finding {
            position: self.position,
            ..Finding::new(severity, format!("{} {text}", self.label), fix)
        }
    }

    /// What it opens to everyone.
    fn open_to_all(&self) -> Option<Finding> {
        let (severity, text) =
            open_to_all(&self.listed.rule).filter(|_| self.listed.is_active())?;
        let fix = "restrict its source to the addresses that need it";
        Some(self.finding(severity, text, fix))
    }

    /// That an earlier rule leaves it nothing to do.
    fn hidden_by(&self, first: &Self) -> Finding {
        let (before, rule) = (&first.listed.rule, &self.listed.rule);
        let label = &first.label;
        if before.does_as(rule) {
            self.finding(
                Severity::Low,
                format!("is a duplicate of {label}"),
                "remove one of them",
            )
        } else if before.action == rule.action {
            self.finding(
                Severity::Low,
                format!("adds nothing: {label} covers it already"),
                "remove it",
            )
        } else {
            self.finding(
                Severity::Medium,
                format!(
                    "never applies: {label} comes first, matches all that it matches, and says {}",
                    before.action
                ),
                "move it up or remove it",
            )
        }
    }
}

impl Finding {
    fn new(severity: Severity, finding: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            severity,
            finding: finding.into(),
            position: None,
            fix: Some(fix.into()).filter(|fix| !fix.is_empty()),
        }
    }
}

/// What a rule lets in from everywhere, if that is more than it should.
fn open_to_all(rule: &Rule) -> Option<(Severity, String)> {
    if rule.direction != Direction::In || rule.action != "ACCEPT" {
        return None;
    }
    let traffic = rule.traffic();
    let world = traffic.source.world()?;
    if traffic.is_every_service() {
        return Some((Severity::High, format!("lets everything in from {world}")));
    }
    let open: Vec<String> = SENSITIVE
        .iter()
        .filter(|(proto, port, _)| traffic.reaches(proto, *port))
        .map(|(proto, port, name)| format!("{name} ({proto} {port})"))
        .collect();
    match open.as_slice() {
        [] => None,
        [first, second, third, rest @ ..] if !rest.is_empty() => Some((
            Severity::High,
            format!(
                "opens {first}, {second}, {third} and {} more services to {world}",
                rest.len()
            ),
        )),
        few => Some((
            Severity::High,
            format!("opens {} to {world}", few.join(", ")),
        )),
    }
}

/// Whether a rule leaves a later one nothing to match.
pub(super) fn hides(first: &Rule, later: &Rule) -> bool {
    hides_with(first, &first.traffic(), later, &later.traffic())
}

fn hides_with(first: &Rule, matched: &Traffic, later: &Rule, own: &Traffic) -> bool {
    if first.direction != later.direction {
        return false;
    }
    if first.direction == Direction::Group {
        return first.action == later.action
            && (first.interface.is_none() || first.interface == later.interface);
    }
    matched.covers(own)
}

/// Who can reach a port of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// A rule stops it for everyone.
    Nobody,
    /// The node's own network, which Proxmox always lets in.
    LocalNetwork,
    /// Whom the rules or the policy let in.
    Allowed,
}

/// What decides who can reach a node.
#[derive(Debug, Clone)]
pub(super) struct Gate<'a> {
    pub(super) on: bool,
    pub(super) policy_in: &'a str,
    /// In the order in which they apply.
    pub(super) rules: Vec<&'a Listed>,
    pub(super) groups: &'a BTreeMap<String, Vec<Listed>>,
    /// Whether the IP set `management` names anyone.
    pub(super) management: bool,
}

impl Gate<'_> {
    /// Who can reach a TCP port.
    pub(super) fn reach(&self, port: u16) -> Reach {
        if !self.on {
            return Reach::Allowed;
        }
        let all = self
            .rules
            .iter()
            .copied()
            .filter(|listed| listed.is_active())
            .flat_map(|listed| {
                if listed.rule.direction == Direction::Group {
                    self.groups
                        .get(&listed.rule.action)
                        .map(|rules| rules.iter().filter(|inner| inner.is_active()).collect())
                        .unwrap_or_default()
                } else {
                    vec![listed]
                }
            });
        for listed in all {
            let rule = &listed.rule;
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

    /// The ports by which nodes are managed that a change takes from people.
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

    fn listed(rules: &[&str]) -> Vec<Listed> {
        rules
            .iter()
            .enumerate()
            .map(|(position, text)| Listed {
                position: u32::try_from(position).unwrap(),
                rule: Rule::sample(text),
                errors: Vec::new(),
            })
            .collect()
    }

    fn nic(id: &str, firewall: bool) -> Nic {
        Nic {
            id: id.into(),
            firewall,
            ..Nic::default()
        }
    }

    fn texts(picture: &Picture<'_>) -> Vec<String> {
        picture
            .findings()
            .into_iter()
            .map(|finding| format!("{:?}: {}", finding.severity, finding.finding))
            .collect()
    }

    static NO_GROUPS: BTreeMap<String, Vec<Listed>> = BTreeMap::new();

    macro_rules! picture {
        ($rules:expr, $nics:expr $(, $field:ident: $value:expr)*) => {
            Picture {
                $($field: $value,)*
                ..Picture {
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
        let rules = listed(&["macro=HTTPS"]);
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
            let rules = listed(&[rule]);
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
            let rules = listed(&[rule, "macro=Web"]);
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
        let rules = listed(&[
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
            let mut names = Names::default();
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
                "Medium: rule 7 has the source dc/nobody, and there is no such alias",
                "Low: rule 1 adds nothing: rule 0 covers it already",
                "Low: rule 2 is a duplicate of rule 0",
                "Low: rule 4 is disabled",
                "Low: rule 5 adds nothing: rule 0 covers it already",
            ]
        );
    }

    #[test]
    fn groups_are_looked_into() {
        let rules = listed(&["direction=group action=admin"]);
        let groups = BTreeMap::from([("admin".to_owned(), listed(&["macro=SSH"]))]);
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
        let mut rules = listed(&["source=nobody"]);
        rules[0]
            .errors
            .push("source: no such alias 'nobody'".into());
        let found = texts(&picture!(&rules, &[nic("net0", true)]));
        assert!(
            found[0].contains("rule 0 is ignored by Proxmox: source: no such alias"),
            "{found:?}"
        );
    }

    #[test]
    fn who_reaches_a_node() {
        let groups = BTreeMap::from([("admin".to_owned(), listed(&["proto=tcp dport=22,8006"]))]);
        let gate = |rules: &'static [&'static str], policy_in: &'static str, management, on| {
            let rules: &'static [Listed] = Vec::leak(listed(rules));
            Gate {
                on,
                policy_in,
                rules: rules.iter().collect(),
                groups: &NO_GROUPS,
                management,
            }
        };
        assert_eq!(
            gate(&[], "DROP", false, true).reach(8006),
            Reach::LocalNetwork
        );
        assert_eq!(gate(&[], "DROP", true, true).reach(8006), Reach::Allowed);
        assert_eq!(gate(&[], "ACCEPT", false, true).reach(8006), Reach::Allowed);
        assert_eq!(
            gate(&["action=DROP"], "ACCEPT", true, true).reach(8006),
            Reach::Nobody
        );
        assert_eq!(
            gate(&["action=DROP"], "ACCEPT", true, false).reach(8006),
            Reach::Allowed
        );
        assert_eq!(
            gate(
                &["proto=tcp dport=8006 source=+admins", "action=DROP"],
                "DROP",
                false,
                true
            )
            .reach(8006),
            Reach::Allowed
        );
        assert_eq!(
            gate(
                &["action=DROP source=198.51.100.0/24"],
                "ACCEPT",
                false,
                true
            )
            .reach(22),
            Reach::Allowed
        );
        let mut by_group = gate(
            &["direction=group action=admin", "action=REJECT"],
            "DROP",
            false,
            true,
        );
        assert_eq!(by_group.reach(22), Reach::Nobody);
        by_group.groups = &groups;
        assert_eq!(by_group.reach(22), Reach::Allowed);
        let off = gate(&[], "DROP", false, false);
        let on = gate(&["macro=SSH"], "DROP", false, true);
        assert_eq!(off.lost(&on), [(8006, Reach::LocalNetwork)]);
        assert!(on.lost(&off).is_empty());
    }
}
