//! `audit_firewall`: reads a firewall as a whole and reports what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};

use pve_api::calls;
use schemars::JsonSchema;

use super::audit::AddressNames;
use super::declared::READ_STATE;
use super::finding::Finding;
use super::guest_findings::{self, GuestFindings};
use super::options::Options;
use super::owner::Owner;
use super::rule_list::ListedRule;
use super::security_groups::{MOST_READ, SecurityGroups};
use super::state::FirewallState;
use super::target::{Firewall, Level, Target};
use super::traffic::Addresses;
use super::visible::visible;
use crate::error::{Error, Result};
use crate::json::{DeserializeFields, SerializeFields};
use crate::order::{self, Ordered as _};
use crate::pve::{Failure, Nic, Params, Pve, Vmid, nodes};
use crate::text;
use crate::tool::declared::Calls;
use crate::tool::{Offset, Page, Part, Reply, Run, bounds};
use crate::tools::finding::Severity;
use crate::tools::interface::{Interface, Listed, interfaces};

/// How many rules an audit shows by default.
const RULES_SHOWN: u32 = 100;

/// How many findings, network cards and options an audit shows.
const FINDINGS_SHOWN: usize = 100;
const CARDS_SHOWN: usize = 32;
const OPTIONS_SHOWN: usize = 100;

/// A look at a firewall.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditFirewall {
    /// The guest.
    vmid: Option<Vmid>,
    /// The node.
    node: Option<String>,
    /// True: the cluster, for all nodes.
    cluster: Option<bool>,
    /// True, with cluster: the serious findings of all guests too.
    guests: Option<bool>,
    /// Rules to show. Default 100.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// Rules to skip.
    offset: Option<Offset>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct FirewallAudit {
    firewall: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    vmid: Option<Vmid>,
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
    /// Other options that are set.
    options: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    network_cards: Vec<Card>,
    /// The most serious first.
    findings: Vec<Finding>,
    /// Number of findings by severity, if not all are shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    findings_total: Option<FindingsTotal>,
    rules: Vec<ListedRule>,
    /// Those that apply to a node after its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cluster_rules: Vec<ListedRule>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    security_groups: Vec<SecurityGroup>,
    /// Guests with serious findings, if they were asked for; the most serious first.
    #[serde(skip_serializing_if = "Option::is_none")]
    guests: Option<Vec<GuestFindings>>,
    /// The digest of the rules, for a later change.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, Default, SerializeFields, JsonSchema)]
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

#[derive(Debug, SerializeFields, JsonSchema)]
struct Card {
    nic: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    bridge: Option<String>,
    firewall: bool,
}

impl From<&Nic> for Card {
    fn from(nic: &Nic) -> Self {
        Self {
            nic: nic.id.clone(),
            bridge: nic.bridge.clone(),
            firewall: nic.firewall,
        }
    }
}

#[derive(Debug, SerializeFields, JsonSchema)]
struct SecurityGroup {
    group: String,
    rules: Vec<ListedRule>,
}

impl Run for AuditFirewall {
    type Output = FirewallAudit;

    const CALLS: &'static [Calls] = &[
        Calls::All(READ_STATE),
        Calls::One(&calls::firewall::CLUSTER_REFERENCES),
        Calls::Guest(&calls::firewall::GUEST_REFERENCES),
        Calls::One(&calls::nodes::NETWORK),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<FirewallAudit>> {
        let with_guests = self.guests == Some(true);
        if with_guests && self.cluster != Some(true) {
            return Err(Error::argument(
                "guests",
                "only works with cluster true: add that, or leave guests out",
            ));
        }
        let target = Target::of(self.vmid, self.node, self.cluster)?;
        let page = Page::new(self.offset, self.limit, RULES_SHOWN);
        let (audit, part) = target.with(pve, |firewall| {
            FirewallAudit::make(pve, firewall, page, with_guests)
        })?;
        let text = audit.text();
        Ok(Reply::Listed(audit, text, part))
    }
}

impl FirewallAudit {
    fn make(pve: &Pve, firewall: &Firewall, page: Page, with_guests: bool) -> Result<(Self, Part)> {
        let state = FirewallState::read(pve, firewall)?;
        let is_cluster = firewall.level == Level::Cluster;
        let groups = SecurityGroups::read(pve, state.all_rules(), is_cluster)?;
        let names = state.names(pve, firewall)?;
        let interfaces = state.interfaces(pve, firewall)?;
        let input = state.audit_input(&groups, names.as_ref(), interfaces.as_ref());
        let mut findings = input.findings();
        if is_cluster {
            findings.extend(nodes_without(pve)?);
            order::by_key(&mut findings, |finding| finding.severity);
        }
        let (mut guests, mut notes) = (None, Vec::new());
        if with_guests && !state.options.is_on(firewall.level) {
            notes.push(
                "the firewall of the cluster is off, so no rule of any guest applies: guests were \
                 not read"
                    .to_owned(),
            );
        } else if with_guests {
            let (found, more) = guest_findings::of_all(pve, &state.options, &groups)?;
            guests = Some(found);
            notes = more;
        }
        let mut audit = Self {
            firewall: firewall.label.clone(),
            vmid: firewall.guest.as_ref().map(|guest| guest.vmid),
            node: firewall.node.clone(),
            in_effect: input.in_effect(),
            enabled: state.options.is_on(firewall.level),
            cluster_enabled: state.cluster_on().filter(|_| !is_cluster),
            policy_in: state.policy("policy_in").to_owned(),
            policy_out: state.policy("policy_out").to_owned(),
            options: shown_options(&state.options),
            network_cards: state.nics.iter().map(Card::from).collect(),
            findings,
            findings_total: None,
            rules: state.rules.list,
            cluster_rules: state.cluster_rules,
            security_groups: groups
                .rules
                .into_iter()
                .map(|(group, rules)| SecurityGroup { group, rules })
                .collect(),
            guests,
            digest: state.rules.digest,
            hint: None,
        };
        let part = audit.shorten(page);
        notes.extend(audit.hint.take());
        audit.hint = (!notes.is_empty()).then(|| notes.join("; "));
        Ok((audit, part))
    }

    /// Shortens every list, and says in `hint` how much is left out. `offset` applies to
    /// the firewall's own rules, `limit` to the rules of all security groups together.
    fn shorten(&mut self, page: Page) -> Part {
        let limit = page.limit;
        let mut notes = Vec::new();
        let counts = FindingsTotal::of(&self.findings);
        let all = self.findings.len();
        bounds::keep(&mut self.findings, FINDINGS_SHOWN, "findings", &mut notes);
        if self.findings.len() < all {
            notes.push("correct these to see the others".to_owned());
            self.findings_total = Some(counts);
        }
        let part = page.cut(&mut self.rules, "/rules", "");
        notes.extend(part.note());
        let before = notes.len();
        bounds::keep(&mut self.cluster_rules, limit, "cluster rules", &mut notes);
        let mut left = limit;
        for group in &mut self.security_groups {
            let what = format!(
                "rules of the security group {}",
                text::cut(&group.group, 40)
            );
            bounds::keep(&mut group.rules, left, &what, &mut notes);
            left = left.saturating_sub(group.rules.len());
        }
        if notes.len() > before {
            notes.push("all were checked: raise limit to see more of these rules".to_owned());
        }
        let cards = &mut self.network_cards;
        bounds::keep(cards, CARDS_SHOWN, "network cards", &mut notes);
        let groups = self
            .security_groups
            .iter_mut()
            .map(|group| &mut group.rules);
        for rules in [&mut self.rules, &mut self.cluster_rules]
            .into_iter()
            .chain(groups)
        {
            rules.iter_mut().for_each(ListedRule::shorten);
        }
        self.hint = (!notes.is_empty()).then(|| notes.join("; "));
        part
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

/// The options that have no field of their own in the result.
fn shown_options(options: &Options) -> BTreeMap<String, String> {
    options
        .0
        .iter()
        .filter(|(name, _)| {
            !matches!(
                name.as_str(),
                "enable" | "policy_in" | "policy_out" | "digest"
            )
        })
        .take(OPTIONS_SHOWN)
        .map(|(name, value)| (name.clone(), text::cut(value, 300)))
        .ordered()
}

/// Findings about online nodes whose own firewall is off.
fn nodes_without(pve: &Pve) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut names: Vec<String> = nodes(pve)?
        .into_iter()
        .filter(|node| !node.is_offline())
        .map(|node| node.node)
        .collect();
    names.truncate(MOST_READ);
    let owners = names.iter().cloned().map(Owner::Node);
    pve.start(owners.map(|owner| (owner.options(), Params::new())));
    for name in names {
        // A node that cannot be read must not hide the others.
        let Ok(options) = Options::read(pve, &Owner::Node(name.clone())) else {
            continue;
        };
        if !options.is_on(Level::Node) {
            findings.push(Finding {
                severity: Severity::High,
                finding: format!("the firewall of node {name} is off: no rule protects it"),
                position: None,
                fix: Some("enable it for this node".into()),
            });
        }
    }
    Ok(findings)
}

impl FirewallState {
    /// The aliases and IP sets that rules may name, read where one does.
    fn names(&self, pve: &Pve, firewall: &Firewall) -> Result<Option<AddressNames>, Failure> {
        #[derive(DeserializeFields)]
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
        let entries: Option<Vec<Entry>> =
            visible(pve.send(&firewall.owner.references(), &Params::new()))?;
        Ok(entries.map(|entries| {
            let mut names = AddressNames::default();
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
    fn interfaces(
        &self,
        pve: &Pve,
        firewall: &Firewall,
    ) -> Result<Option<BTreeSet<String>>, Failure> {
        let Some(node) = firewall
            .node
            .as_deref()
            .filter(|_| firewall.level == Level::Node)
        else {
            return Ok(None);
        };
        if self
            .all_rules()
            .all(|listed| listed.rule.interface.is_none())
        {
            return Ok(None);
        }
        let listed = visible(interfaces(pve, node, Listed::All))?;
        // To a token that sees no bridge, others may be invisible too.
        let listed = listed.filter(|all| all.iter().any(Interface::takes_guests));
        Ok(listed.map(|all| all.into_iter().map(|one| one.iface).ordered()))
    }
}
