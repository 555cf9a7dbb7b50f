//! `audit_firewall`: reads a firewall as a whole and reports what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::audit::{Finding, Names, Severity};
use super::groups::{Groups, LOOKED_INTO};
use super::options::Options;
use super::rule::{Level, Listed};
use super::state::{Seen, visible};
use super::target::{Scope, Site};
use super::traffic::Addresses;
use crate::error::Result;
use crate::pve::{Failure, Params, Path, Pve, nodes};
use crate::text;
use crate::tool::{Reply, Run, bounds};

/// How many rules an audit shows by default.
const RULES_SHOWN: usize = 100;

/// How many findings, network cards and options an audit shows.
const FINDINGS_SHOWN: usize = 100;
const CARDS_SHOWN: usize = 32;
const OPTIONS_SHOWN: usize = 100;

/// A look at a firewall.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditFirewall {
    /// A guest's.
    #[schemars(range(min = 100, max = 999_999_999))]
    vmid: Option<u32>,
    /// A node's.
    node: Option<String>,
    /// True: the cluster's, for all nodes.
    cluster: Option<bool>,
    /// Rules to show. Default 100.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct FirewallAudit {
    firewall: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    vmid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    /// Whether its rules apply; absent where the token cannot see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_effect: Option<bool>,
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_enabled: Option<bool>,
    policy_in: String,
    policy_out: String,
    /// What is set, beside switch and policies.
    options: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    network_cards: Vec<Card>,
    /// The most serious first.
    findings: Vec<Finding>,
    /// How many there are of each severity, where not all are shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    findings_total: Option<FindingsTotal>,
    rules: Vec<Listed>,
    /// Those that apply to a node after its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cluster_rules: Vec<Listed>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    security_groups: Vec<SecurityGroup>,
    /// Of the rules, for a later change.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, Default, Serialize, JsonSchema)]
struct FindingsTotal {
    high: usize,
    medium: usize,
    low: usize,
    info: usize,
}

impl FindingsTotal {
    fn of(findings: &[Finding]) -> Self {
        let count = |severity| {
            findings
                .iter()
                .filter(|finding| finding.severity == severity)
                .count()
        };
        Self {
            high: count(Severity::High),
            medium: count(Severity::Medium),
            low: count(Severity::Low),
            info: count(Severity::Info),
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
struct Card {
    nic: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    bridge: Option<String>,
    firewall: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
struct SecurityGroup {
    group: String,
    rules: Vec<Listed>,
}

impl Run for AuditFirewall {
    type Output = FirewallAudit;

    fn run(self, pve: &Pve) -> Result<Reply<FirewallAudit>> {
        let scope = Scope::of(self.vmid, self.node, self.cluster)?;
        let limit = self.limit.unwrap_or(RULES_SHOWN);
        let audit = scope.on(pve, |site| FirewallAudit::make(pve, site, limit))?;
        let text = audit.text();
        Ok(Reply::Done(audit, text))
    }
}

impl FirewallAudit {
    fn make(pve: &Pve, site: &Site, limit: usize) -> Result<Self> {
        let seen = Seen::read(pve, site)?;
        let groups = Groups::read(pve, seen.all_rules(), site.level == Level::Cluster)?;
        let names = seen.names(pve, site)?;
        let interfaces = seen.interfaces(pve, site)?;
        let mut findings = seen
            .picture(&groups, names.as_ref(), interfaces.as_ref())
            .findings();
        if site.level == Level::Cluster {
            findings.extend(nodes_without(pve)?);
            findings.sort_by_key(|finding| finding.severity);
        }
        let in_effect = seen.picture(&groups, None, None).in_effect();
        let policy_in = seen.policy("policy_in").to_owned();
        let policy_out = seen.policy("policy_out").to_owned();
        let mut notes = Vec::new();
        let counts = FindingsTotal::of(&findings);
        let all = findings.len();
        bounds::keep(&mut findings, FINDINGS_SHOWN, "findings", &mut notes);
        let findings_total = (findings.len() < all).then_some(counts);
        let mut rules = seen.rules.list;
        bounds::keep(&mut rules, limit, "rules", &mut notes);
        let mut cluster_rules = seen.cluster_rules;
        bounds::keep(&mut cluster_rules, limit, "cluster rules", &mut notes);
        let mut left = limit;
        let mut security_groups = Vec::new();
        for (group, mut rules) in groups.rules {
            let what = format!("rules of the security group {}", text::cut(&group, 40));
            bounds::keep(&mut rules, left, &what, &mut notes);
            left = left.saturating_sub(rules.len());
            security_groups.push(SecurityGroup {
                group,
                rules: rules.into_iter().map(Listed::shortened).collect(),
            });
        }
        let mut network_cards = seen.nics;
        bounds::keep(&mut network_cards, CARDS_SHOWN, "network cards", &mut notes);
        let hint = (!notes.is_empty()).then(|| {
            format!(
                "{}; all were checked: raise limit to see more rules, and correct the findings \
                 that are shown to see others",
                notes.join("; ")
            )
        });
        Ok(Self {
            firewall: site.label.clone(),
            vmid: site.guest.as_ref().map(|guest| guest.vmid),
            node: site.node.clone(),
            in_effect,
            enabled: seen.options.is_on(site.level),
            cluster_enabled: match site.level {
                Level::Cluster => None,
                _ => seen
                    .cluster
                    .as_ref()
                    .map(|options| options.is_on(Level::Cluster)),
            },
            policy_in,
            policy_out,
            options: seen
                .options
                .0
                .into_iter()
                .filter(|(name, _)| {
                    !matches!(
                        name.as_str(),
                        "enable" | "policy_in" | "policy_out" | "digest"
                    )
                })
                .take(OPTIONS_SHOWN)
                .map(|(name, value)| (name, text::cut(&value, 300)))
                .collect(),
            network_cards: network_cards
                .into_iter()
                .map(|nic| Card {
                    nic: nic.id,
                    bridge: nic.bridge,
                    firewall: nic.firewall,
                })
                .collect(),
            findings,
            findings_total,
            rules: rules.into_iter().map(Listed::shortened).collect(),
            cluster_rules: cluster_rules.into_iter().map(Listed::shortened).collect(),
            security_groups,
            digest: seen.rules.digest,
            hint,
        })
    }

    fn text(&self) -> String {
        let effect = match self.in_effect {
            Some(true) => "in effect",
            Some(false) => "not in effect",
            None => "perhaps in effect",
        };
        let own = FindingsTotal::of(&self.findings);
        let counts = self.findings_total.as_ref().unwrap_or(&own);
        let high = counts.high;
        let all = high + counts.medium + counts.low + counts.info;
        let mut text = format!(
            "firewall of {}: {effect}, {}, {}",
            self.firewall,
            text::count(self.rules.len(), "rule"),
            text::count(all, "finding"),
        );
        if high > 0 {
            text.push_str(&format!(", {high} of them serious"));
        }
        if let Some(first) = self.findings.first() {
            text.push_str(&format!("; first: {}", first.finding));
        }
        text
    }
}

/// Findings about online nodes whose own firewall is off.
fn nodes_without(pve: &Pve) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for node in nodes(pve)?
        .iter()
        .filter(|node| !node.is_offline())
        .take(LOOKED_INTO)
    {
        // A node that cannot be read must not hide the others.
        let Ok(options) = Options::read(pve, &Path::new(["nodes", &node.node, "firewall"])) else {
            continue;
        };
        if !options.is_on(Level::Node) {
            findings.push(Finding {
                severity: Severity::High,
                finding: format!(
                    "the firewall of node {} is off: no rule protects it",
                    node.node
                ),
                position: None,
                fix: Some("switch it on for this node".into()),
            });
        }
    }
    Ok(findings)
}

impl Seen {
    /// The aliases and IP sets that rules may name, read where one does.
    fn names(&self, pve: &Pve, site: &Site) -> Result<Option<Names>, Failure> {
        #[derive(Deserialize)]
        struct Entry {
            #[serde(rename = "type")]
            kind: String,
            name: String,
            #[serde(default)]
            scope: Option<String>,
        }
        let is_name = |text: &Option<String>| {
            text.as_deref()
                .is_some_and(|text| matches!(Addresses::parse(text), Ok(Addresses::Named(_))))
        };
        if !self
            .all_rules()
            .any(|listed| is_name(&listed.rule.source) || is_name(&listed.rule.dest))
        {
            return Ok(None);
        }
        let firewall = match site.level {
            Level::Guest => site.path.clone(),
            Level::Node | Level::Cluster => Path::new(["cluster", "firewall"]),
        };
        let entries: Option<Vec<Entry>> =
            visible(pve.get(&firewall.join(["refs"]), &Params::new()))?;
        Ok(entries.map(|entries| {
            let mut names = Names::default();
            for entry in &entries {
                names.add(
                    entry.kind == "ipset",
                    entry.scope.as_deref().unwrap_or_default(),
                    &entry.name,
                );
            }
            names
        }))
    }

    /// A node's interfaces, read where a rule names one.
    fn interfaces(&self, pve: &Pve, site: &Site) -> Result<Option<BTreeSet<String>>, Failure> {
        #[derive(Deserialize)]
        struct Entry {
            iface: String,
        }
        let Some(node) = site.node.as_deref().filter(|_| site.level == Level::Node) else {
            return Ok(None);
        };
        if self
            .all_rules()
            .all(|listed| listed.rule.interface.is_none())
        {
            return Ok(None);
        }
        let entries: Option<Vec<Entry>> = visible(pve.get(
            &Path::new(["nodes", node, "network"]),
            &Params::new().set("type", "include_sdn"),
        ))?;
        Ok(entries.map(|entries| entries.into_iter().map(|entry| entry.iface).collect()))
    }
}
