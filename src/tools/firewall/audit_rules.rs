//! Findings about single rules.

use std::collections::BTreeMap;

use super::audit::AuditInput;
use super::finding::Finding;
use super::rule::{Direction, Rule};
use super::rule_list::ListedRule;
use super::target::Level;
use crate::tools::finding::Severity;

impl AuditInput<'_> {
    pub(super) fn labelled(&self) -> Vec<Labelled<'_>> {
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

    /// Findings about one rule on its own, without the rules around it.
    pub(super) fn rule(&self, one: &Labelled<'_>, findings: &mut Vec<Finding>) {
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
        self.unknown_names(one, findings);
    }

    /// Aliases and IP sets that do not exist.
    fn unknown_names(&self, one: &Labelled<'_>, findings: &mut Vec<Finding>) {
        let rule = &one.listed.rule;
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
                    format!("has the {field} {value}, but there is no such {what}"),
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

    /// Findings about rules of the security groups in use.
    pub(super) fn group_rules(&self, findings: &mut Vec<Finding>) {
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

pub(super) struct Labelled<'a> {
    label: String,
    position: Option<u32>,
    pub(super) listed: &'a ListedRule,
}

impl Labelled<'_> {
    fn finding(&self, severity: Severity, text: String, fix: &str) -> Finding {
        Finding {
            position: self.position,
            ..Finding::new(severity, format!("{} {text}", self.label), fix)
        }
    }

    /// A finding if the rule lets everyone reach what should be restricted.
    pub(super) fn open_to_all(&self) -> Option<Finding> {
        let (severity, text) =
            open_to_all(&self.listed.rule).filter(|_| self.listed.is_active())?;
        let fix = "restrict its source to the addresses that need it";
        Some(self.finding(severity, text, fix))
    }

    /// The finding that an earlier rule shadows this one.
    pub(super) fn hidden_by(&self, first: &Self) -> Finding {
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

/// How a rule opens too much to every address, if it does.
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
