//! The firewall of a guest, a node or the cluster: read as a whole, and changed
//! rule by rule.
//!
//! How the writing tools are marked in the table: adding a rule replaces
//! nothing and is undone by removing it, so it is a plain write. Updating or
//! deleting a rule, or setting options, replaces what was there and can cut a
//! guest off from the network, so those are marked as destructive. A change
//! that would lock people out of the nodes, or switch off the firewall of the
//! whole cluster, is refused unless the caller accepts that explicitly.

mod audit;
mod rule;
mod traffic;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::audit::{Finding, Gate, Names, Picture, Reach, Severity};
use self::rule::{Direction, Fields, Level, Listed, Rule, Rules};
use self::traffic::Addresses;
use crate::error::{Error, Result};
use crate::pve::{
    Failure, Guest, GuestConfig, Halt, Nic, Params, Path, Pve, Removable, check_node_name,
    choose_node, nodes,
};
use crate::text;
use crate::tool::bounds;
use crate::tool::report::Report;
use crate::tool::{Reply, Run};
use crate::tool_names;

/// How many rules an audit shows by default.
const RULES_SHOWN: usize = 100;

/// How many findings, network cards and options an audit shows.
const FINDINGS_SHOWN: usize = 100;
const CARDS_SHOWN: usize = 32;
const OPTIONS_SHOWN: usize = 100;

/// How many rules a warning names that a new one leaves without effect.
const OVERLAPS_SHOWN: usize = 10;

/// How many nodes and security groups an audit of the cluster looks into.
const LOOKED_INTO: usize = 20;

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
    fn make(pve: &Pve, site: &Site, limit: usize) -> Result<Self, Halt> {
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

/// Makes a tool's arguments of its own fields and those by which a firewall
/// and a rule's contents are named. (`flatten` would undo the refusal of
/// unknown fields.)
macro_rules! rule_arguments {
    ($(#[$meta:meta])* $name:ident { $($own:tt)* }) => {
        #[derive(Debug, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        $(#[$meta])*
        pub(crate) struct $name {
            /// A guest's.
            #[schemars(range(min = 100, max = 999_999_999))]
            vmid: Option<u32>,
            /// A node's.
            node: Option<String>,
            /// True: the cluster's.
            cluster: Option<bool>,
            $($own)*
            /// Such as SSH, instead of proto and ports.
            r#macro: Option<String>,
            /// Such as net0.
            interface: Option<String>,
            /// IP, CIDR, range a-b, comma list, alias or +ipset.
            source: Option<String>,
            /// As source.
            dest: Option<String>,
            /// tcp, udp…; ports need it.
            proto: Option<String>,
            /// Port, 80:85, service or comma list.
            dport: Option<String>,
            /// As dport.
            sport: Option<String>,
            /// Such as echo-request.
            icmp_type: Option<String>,
            /// Level, such as info.
            log: Option<String>,
            /// One line.
            comment: Option<String>,
            /// Even if it locks people out of nodes.
            accept_lockout: Option<bool>,
        }

        impl $name {
            fn scope(&self) -> Result<Scope> {
                Scope::of(self.vmid, self.node.clone(), self.cluster)
            }

            fn contents(&self) -> Fields {
                Fields {
                    direction: None,
                    action: None,
                    enabled: self.enabled,
                    r#macro: self.r#macro.clone(),
                    interface: self.interface.clone(),
                    source: self.source.clone(),
                    dest: self.dest.clone(),
                    proto: self.proto.clone(),
                    dport: self.dport.clone(),
                    sport: self.sport.clone(),
                    icmp_type: self.icmp_type.clone(),
                    log: self.log.clone(),
                    comment: self.comment.clone(),
                }
            }
        }
    };
}

rule_arguments! {
    /// A new rule.
    AddFirewallRule {
        /// group: a security group.
        direction: Direction,
        /// ACCEPT, DROP, REJECT or the security group.
        action: String,
        /// Default 0, first.
        position: Option<u32>,
        /// Default true.
        enabled: Option<bool>,
    }
}

impl Run for AddFirewallRule {
    type Output = Report;

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        let scope = self.scope()?;
        let rule = Fields {
            direction: Some(self.direction),
            action: Some(self.action.clone()),
            ..self.contents()
        }
        .apply(&Rule {
            enabled: true,
            ..Rule::default()
        });
        rule.check(scope.level())?;
        let report = scope.on(pve, |site| self.add(pve, site, &rule))?;
        Ok(Reply::report(report))
    }
}

impl AddFirewallRule {
    fn add(&self, pve: &Pve, site: &Site, rule: &Rule) -> Result<Report, Halt> {
        let seen = Seen::read(pve, site)?;
        let count = u32::try_from(seen.rules.len()).unwrap_or(u32::MAX);
        let position = self.position.unwrap_or(0);
        if position > count {
            return Err(Error::argument(
                "position",
                format!(
                    "must be from 0 to {count}: there are {}",
                    text::count(seen.rules.len(), "rule")
                ),
            )
            .into());
        }
        seen.known(pve, site, rule)?;
        let action = format!("add a rule to the firewall of {}", site.label);
        if let Some(same) = seen.rules.list.iter().find(|listed| {
            listed.rule == *rule
                && self
                    .position
                    .is_none_or(|position| position == listed.position)
        }) {
            return Ok(site
                .report(Report::unchanged(action))
                .warn(format!("rule {} is the same: {rule}", same.position)));
        }
        let mut after = seen.rules.list.clone();
        after.insert(
            position as usize,
            Listed {
                position,
                rule: rule.clone(),
                errors: Vec::new(),
            },
        );
        let lockout = seen.guard(pve, site, &after, None, self.accept_lockout)?;
        place(pve, site, rule, position)?;
        let mut report = site.report(Report::done(action)).position(position).change(
            format!("rule {position}"),
            None::<String>,
            Some(rule.to_string()),
        );
        if position < count {
            report = report.warn(shifted(position, count, position + 1));
        }
        report.warnings.extend(lockout);
        report.warnings.extend(seen.without_effect(site, rule));
        report.warnings.extend(overlaps(&after, position));
        Ok(report)
    }
}

/// Creates a rule. Proxmox puts each new rule first, whatever position is
/// given; a rule that belongs elsewhere is created disabled, moved, and only
/// then enabled, so that it never applies in the wrong place.
fn place(pve: &Pve, site: &Site, rule: &Rule, position: u32) -> Result<(), Halt> {
    let rules = site.path.join(["rules"]);
    if position == 0 {
        pve.post::<()>(&rules, &rule.form())?;
        return Ok(());
    }
    let asleep = Rule {
        enabled: false,
        ..rule.clone()
    };
    pve.post::<()>(&rules, &asleep.form())?;
    let step = |what: &str| {
        format!(
            "the rule was added at position 0, disabled, but {what}; {} can finish or {} remove it",
            tool_names::UPDATE_FIREWALL_RULE,
            tool_names::DELETE_FIREWALL_RULE
        )
    };
    let moved = || -> Result<(), Halt> {
        let digest = expect(&read_rules(pve, &site.path)?, 0, &asleep)?;
        pve.put::<()>(
            &rules.join(["0"]),
            &Params::new()
                .set("moveto", move_target(0, position))
                .set("digest", digest),
        )?;
        Ok(())
    };
    moved().map_err(|halt| Error::from(halt).context(&step("could not be moved to its place")))?;
    if !rule.enabled {
        return Ok(());
    }
    let enabled = || -> Result<(), Halt> {
        let digest = expect(&read_rules(pve, &site.path)?, position, &asleep)?;
        pve.put::<()>(
            &rules.join([position.to_string().as_str()]),
            &Params::new().set("enable", 1).set("digest", digest),
        )?;
        Ok(())
    };
    enabled().map_err(|halt| {
        Error::from(halt).context(&format!(
            "the rule was added and moved to position {position}, but could not be enabled; {} \
             can enable it",
            tool_names::UPDATE_FIREWALL_RULE
        ))
    })?;
    Ok(())
}

/// The digest of a list that has a rule in its place, as this call left it.
fn expect(rules: &Rules, position: u32, rule: &Rule) -> Result<String, Error> {
    let stands = rules
        .at(position)
        .is_ok_and(|listed| listed.rule.does_as(rule));
    match &rules.digest {
        Some(digest) if stands => Ok(digest.clone()),
        _ => Err(Error::Conflict(
            "someone else changed the rules in the meantime: read them again".into(),
        )),
    }
}

/// What `moveto` has to say for a rule to end up in a place: Proxmox puts it
/// before the rule that is there now, which a move down shifts by one.
fn move_target(from: u32, to: u32) -> u32 {
    if to > from { to.saturating_add(1) } else { to }
}

rule_arguments! {
    /// Changes to a rule.
    #[schemars(extend("x-clears" = true))]
    UpdateFirewallRule {
        /// Of the rule.
        position: u32,
        /// From the audit: refuse if changed since.
        digest: Option<String>,
        /// Where to move it.
        new_position: Option<u32>,
        /// As for a new rule.
        direction: Option<Direction>,
        /// As for a new rule.
        action: Option<String>,
        /// On or off.
        enabled: Option<bool>,
    }
}

impl Run for UpdateFirewallRule {
    type Output = Report;

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        let scope = self.scope()?;
        self.fields().check(scope.level())?;
        let report = scope.on(pve, |site| self.update(pve, site))?;
        Ok(Reply::report(report))
    }
}

impl UpdateFirewallRule {
    fn fields(&self) -> Fields {
        Fields {
            direction: self.direction,
            action: self.action.clone(),
            ..self.contents()
        }
    }

    fn update(&self, pve: &Pve, site: &Site) -> Result<Report, Halt> {
        let seen = Seen::read(pve, site)?;
        seen.rules.unchanged_since(self.digest.as_deref())?;
        let old = seen.rules.at(self.position)?;
        let last = u32::try_from(seen.rules.len().saturating_sub(1)).unwrap_or(u32::MAX);
        let position = self.new_position.unwrap_or(self.position);
        if position > last {
            return Err(Error::argument(
                "new_position",
                format!("must be from 0 to {last}, the place of the last rule"),
            )
            .into());
        }
        let new = self.fields().apply(&old.rule);
        new.check_since(&old.rule, site.level)?;
        let difference = new.difference(&old.rule);
        let action = format!(
            "update rule {} of the firewall of {}: {new}",
            self.position, site.label
        );
        if difference.is_none() && position == self.position {
            return Ok(site.report(Report::unchanged(action)));
        }
        if new.interface != old.rule.interface
            || new.action != old.rule.action
            || new.r#macro != old.rule.r#macro
        {
            seen.known(pve, site, &new)?;
        }
        let mut after = seen.rules.list.clone();
        after.retain(|listed| listed.position != self.position);
        after.insert(
            position as usize,
            Listed {
                position,
                rule: new.clone(),
                errors: Vec::new(),
            },
        );
        let lockout = seen.guard(pve, site, &after, None, self.accept_lockout)?;
        let rules = site.path.join(["rules"]);
        let path = rules.join([self.position.to_string().as_str()]);
        let mut digest = seen.rules.digest.clone();
        let mut report = site.report(Report::done(action));
        if let Some((form, changes)) = difference {
            pve.put::<()>(&path, &form.opt("digest", digest.as_ref()))?;
            for (name, from, to) in changes {
                let shown = |value: Option<String>| value.map(|value| words(name, &value));
                report = report.change(argument_of(name), shown(from), shown(to));
            }
            digest = None;
        }
        if position != self.position {
            let digest = match digest {
                Some(digest) => digest,
                None => read_rules(pve, &site.path)
                    .map_err(Error::from)
                    .and_then(|rules| expect(&rules, self.position, &new))
                    .map_err(|error| error.context("the rule was changed, but not moved"))?,
            };
            // Beside a move Proxmox ignores all else, so this is a call of its own.
            let moved = pve.put::<()>(
                &path,
                &Params::new()
                    .set("moveto", move_target(self.position, position))
                    .set("digest", digest),
            );
            match moved {
                Err(failure) if report.changes.is_empty() => return Err(failure.into()),
                Err(failure) => {
                    return Err(Error::from(failure)
                        .context("the rule was changed, but not moved")
                        .into());
                }
                Ok(()) => {}
            }
            report = report
                .change(
                    "position",
                    Some(self.position.to_string()),
                    Some(position.to_string()),
                )
                .warn("the rules between the two positions have shifted by one");
        }
        report.warnings.extend(lockout);
        report.warnings.extend(seen.without_effect(site, &new));
        report.warnings.extend(overlaps(&after, position));
        Ok(report)
    }
}

/// The removal of a rule.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteFirewallRule {
    /// A guest's.
    #[schemars(range(min = 100, max = 999_999_999))]
    vmid: Option<u32>,
    /// A node's.
    node: Option<String>,
    /// True: the cluster's.
    cluster: Option<bool>,
    /// Of the rule.
    position: u32,
    /// From the audit: refuse if changed since.
    digest: Option<String>,
    /// Even if it locks people out of nodes.
    accept_lockout: Option<bool>,
}

impl Run for DeleteFirewallRule {
    type Output = Report;

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        let scope = Scope::of(self.vmid, self.node.clone(), self.cluster)?;
        let report = scope.on(pve, |site| self.delete(pve, site))?;
        Ok(Reply::report(report))
    }
}

impl DeleteFirewallRule {
    fn delete(&self, pve: &Pve, site: &Site) -> Result<Report, Halt> {
        let seen = Seen::read(pve, site)?;
        seen.rules.unchanged_since(self.digest.as_deref())?;
        let old = seen.rules.at(self.position)?;
        let mut after = seen.rules.list.clone();
        after.retain(|listed| listed.position != self.position);
        let lockout = seen.guard(pve, site, &after, None, self.accept_lockout)?;
        pve.delete::<()>(
            &Removable::FirewallRule {
                rules: &site.path.join(["rules"]),
                position: &self.position.to_string(),
            },
            &Params::new().opt("digest", seen.rules.digest.as_ref()),
        )?;
        let mut report = site
            .report(Report::done(format!(
                "delete rule {} of the firewall of {}: {}",
                self.position, site.label, old.rule
            )))
            .change(
                format!("rule {}", self.position),
                Some(old.rule.to_string()),
                None::<String>,
            );
        let last = u32::try_from(after.len()).unwrap_or(u32::MAX);
        if self.position < last {
            report = report.warn(shifted(self.position + 1, last + 1, self.position));
        }
        report.warnings.extend(lockout);
        Ok(report)
    }
}

/// Switches and policies.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetFirewallOptions {
    /// A guest's.
    #[schemars(range(min = 100, max = 999_999_999))]
    vmid: Option<u32>,
    /// A node's.
    node: Option<String>,
    /// True: the cluster's.
    cluster: Option<bool>,
    /// Switch it on or off.
    enabled: Option<bool>,
    /// For traffic that no rule matches; of a guest or the cluster.
    policy_in: Option<Policy>,
    /// As policy_in.
    policy_out: Option<Policy>,
    /// Guest: let DHCP through.
    dhcp: Option<bool>,
    /// Guest: only its own MAC addresses.
    macfilter: Option<bool>,
    /// Guest: only its own IP addresses.
    ipfilter: Option<bool>,
    /// Others by Proxmox's names, such as log_level_in=info, nftables=1.
    more: Option<Vec<String>>,
    /// Even if it locks people out of nodes.
    accept_lockout: Option<bool>,
    /// Even if it switches the whole cluster's firewall off.
    accept_unprotected: Option<bool>,
}

/// What happens to traffic that no rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Policy {
    Accept,
    Reject,
    Drop,
}

impl Policy {
    fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "ACCEPT",
            Self::Reject => "REJECT",
            Self::Drop => "DROP",
        }
    }
}

/// One option that is to be set.
#[derive(Debug, Clone, PartialEq)]
struct Wanted {
    /// What the caller calls it.
    argument: &'static str,
    /// Proxmox's name.
    name: &'static str,
    value: String,
}

/// What an option's value must be.
#[derive(Debug, Clone, Copy)]
enum Values {
    Flag,
    Policy(&'static [&'static str]),
    LogLevel,
    /// From, to.
    Number(u32, u32),
}

const GUEST: &[Level] = &[Level::Guest];
const NODE: &[Level] = &[Level::Node];
const CLUSTER: &[Level] = &[Level::Cluster];
const GUEST_AND_NODE: &[Level] = &[Level::Guest, Level::Node];
const GUEST_AND_CLUSTER: &[Level] = &[Level::Guest, Level::Cluster];

/// Proxmox's options, what they take, and who has them.
const OPTIONS: &[(&str, Values, &[Level])] = &[
    (
        "enable",
        Values::Flag,
        &[Level::Guest, Level::Node, Level::Cluster],
    ),
    (
        "policy_in",
        Values::Policy(&["ACCEPT", "REJECT", "DROP"]),
        GUEST_AND_CLUSTER,
    ),
    (
        "policy_out",
        Values::Policy(&["ACCEPT", "REJECT", "DROP"]),
        GUEST_AND_CLUSTER,
    ),
    (
        "policy_forward",
        Values::Policy(&["ACCEPT", "DROP"]),
        CLUSTER,
    ),
    ("dhcp", Values::Flag, GUEST),
    ("macfilter", Values::Flag, GUEST),
    ("ipfilter", Values::Flag, GUEST),
    ("radv", Values::Flag, GUEST),
    ("ndp", Values::Flag, GUEST_AND_NODE),
    ("log_level_in", Values::LogLevel, GUEST_AND_NODE),
    ("log_level_out", Values::LogLevel, GUEST_AND_NODE),
    ("log_level_forward", Values::LogLevel, NODE),
    ("ebtables", Values::Flag, CLUSTER),
    ("nftables", Values::Flag, NODE),
    ("nosmurfs", Values::Flag, NODE),
    ("smurf_log_level", Values::LogLevel, NODE),
    ("tcpflags", Values::Flag, NODE),
    ("tcp_flags_log_level", Values::LogLevel, NODE),
    ("protection_synflood", Values::Flag, NODE),
    (
        "protection_synflood_rate",
        Values::Number(1, 1_000_000),
        NODE,
    ),
    (
        "protection_synflood_burst",
        Values::Number(1, 1_000_000),
        NODE,
    ),
    ("log_nf_conntrack", Values::Flag, NODE),
    ("nf_conntrack_allow_invalid", Values::Flag, NODE),
    ("nf_conntrack_max", Values::Number(32_768, u32::MAX), NODE),
    (
        "nf_conntrack_tcp_timeout_established",
        Values::Number(7_875, u32::MAX),
        NODE,
    ),
    (
        "nf_conntrack_tcp_timeout_syn_recv",
        Values::Number(30, 60),
        NODE,
    ),
];

impl Wanted {
    /// Checks an option's name and value for a firewall.
    fn of(argument: Option<&'static str>, name: &str, value: &str, level: Level) -> Result<Self> {
        let wrong = |message: String| Error::argument(argument.unwrap_or("more"), message);
        let Some((name, values, levels)) = OPTIONS.iter().find(|(known, _, _)| *known == name)
        else {
            let names = OPTIONS
                .iter()
                .filter(|(_, _, levels)| levels.contains(&level))
                .map(|(name, _, _)| *name);
            return Err(wrong(match text::nearest(name, names.clone()) {
                Some(near) => format!("contains an unknown option; {near} exists"),
                None => format!(
                    "contains an unknown option; {} has {}",
                    level.word(),
                    names.collect::<Vec<_>>().join(", ")
                ),
            }));
        };
        if !levels.contains(&level) {
            let levels: Vec<&str> = levels.iter().map(|level| level.word()).collect();
            return Err(wrong(format!(
                "{} is not an option of {}, but of {}",
                name,
                level.word(),
                levels.join(" and "),
            )));
        }
        let value = values
            .take(value)
            .map_err(|wanted| wrong(format!("{name} must be {wanted}")))?;
        Ok(Self {
            argument: argument.unwrap_or(name),
            name,
            value,
        })
    }
}

impl Values {
    /// A value as Proxmox takes it, or what it must be.
    fn take(self, value: &str) -> Result<String, String> {
        match self {
            Self::Flag => match value {
                "1" | "true" => Ok("1".into()),
                "0" | "false" => Ok("0".into()),
                _ => Err("0 or 1".into()),
            },
            Self::Policy(policies) => policies
                .iter()
                .find(|policy| policy.eq_ignore_ascii_case(value))
                .map(|policy| (*policy).to_owned())
                .ok_or_else(|| policies.join(" or ")),
            Self::LogLevel => {
                if rule::LOG_LEVELS.contains(&value) {
                    Ok(value.to_owned())
                } else {
                    Err(rule::LOG_LEVELS.join(" or "))
                }
            }
            Self::Number(low, high) => value
                .parse::<u32>()
                .ok()
                .filter(|number| (low..=high).contains(number))
                .map(|number| number.to_string())
                .ok_or_else(|| format!("a number from {low} to {high}")),
        }
    }
}

impl Run for SetFirewallOptions {
    type Output = Report;

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        let scope = Scope::of(self.vmid, self.node.clone(), self.cluster)?;
        let wanted = self.wanted(scope.level())?;
        let report = scope.on(pve, |site| self.set(pve, site, &wanted))?;
        Ok(Reply::report(report))
    }
}

impl SetFirewallOptions {
    /// All that is to be set, refused where such a firewall has no such option.
    fn wanted(&self, level: Level) -> Result<Vec<Wanted>> {
        let flag = |value: bool| if value { "1" } else { "0" };
        let own = [
            ("enabled", "enable", self.enabled.map(flag)),
            ("policy_in", "policy_in", self.policy_in.map(Policy::as_str)),
            (
                "policy_out",
                "policy_out",
                self.policy_out.map(Policy::as_str),
            ),
            ("dhcp", "dhcp", self.dhcp.map(flag)),
            ("macfilter", "macfilter", self.macfilter.map(flag)),
            ("ipfilter", "ipfilter", self.ipfilter.map(flag)),
        ];
        let mut wanted: Vec<Wanted> = Vec::new();
        for (argument, name, value) in own {
            if let Some(value) = value {
                wanted.push(Wanted::of(Some(argument), name, value, level)?);
            }
        }
        for one in self.more.iter().flatten() {
            let Some((name, value)) = one.split_once('=') else {
                return Err(Error::argument(
                    "more",
                    "must list options as name=value, such as ndp=0",
                ));
            };
            let one = Wanted::of(None, name.trim(), value.trim(), level)?;
            if wanted.iter().any(|known| known.name == one.name) {
                return Err(Error::argument(
                    "more",
                    format!("{} is given more than once", one.name),
                ));
            }
            wanted.push(one);
        }
        if wanted.is_empty() {
            return Err(Error::argument(
                "enabled",
                "is missing: give at least one option to set",
            ));
        }
        Ok(wanted)
    }

    fn set(&self, pve: &Pve, site: &Site, wanted: &[Wanted]) -> Result<Report, Halt> {
        let seen = Seen::read(pve, site)?;
        let action = format!("set the firewall options of {}", site.label);
        let mut form = Params::new();
        let mut after = seen.options.clone();
        let mut report = site.report(Report::done(action.clone()));
        for one in wanted {
            let now = seen.options.get(one.name);
            let default = default_of(site.level, one.name);
            let value = words(one.name, &one.value);
            if now
                .or(default)
                .is_some_and(|now| words(one.name, now) == value)
            {
                continue;
            }
            form = form.set(one.name, &one.value);
            after.0.insert(one.name.to_owned(), one.value.clone());
            let from = match (now, default) {
                (Some(now), _) => Some(words(one.name, now)),
                (None, Some(default)) => Some(format!("{} (default)", words(one.name, default))),
                (None, None) => None,
            };
            report = report.change(one.argument, from, Some(value));
        }
        if form.is_empty() {
            return Ok(site.report(Report::unchanged(action)));
        }
        let unprotected = self.check_protection(site, &seen.options, &after)?;
        let lockout = seen.guard(
            pve,
            site,
            &seen.rules.list,
            Some(&after),
            self.accept_lockout,
        )?;
        pve.put::<()>(
            &site.path.join(["options"]),
            &form.opt("digest", seen.options.get("digest")),
        )?;
        report.warnings.extend(unprotected);
        report.warnings.extend(lockout);
        report
            .warnings
            .extend(self.consequences(pve, site, seen, after)?);
        Ok(report)
    }

    /// Refuses to switch off the firewall of the whole cluster unless the caller
    /// accepts it, or says what a firewall that is now off no longer does.
    fn check_protection(
        &self,
        site: &Site,
        before: &Options,
        after: &Options,
    ) -> Result<Option<String>> {
        if !before.is_on(site.level) || after.is_on(site.level) {
            return Ok(None);
        }
        if site.level != Level::Cluster {
            return Ok(Some(format!(
                "no rule and no policy protects {} any longer",
                site.label
            )));
        }
        let lost = "no rule and no policy of any node or guest applies any longer: all their ports \
                    are open to whoever can reach them";
        if self.accept_unprotected == Some(true) {
            return Ok(Some(lost.to_owned()));
        }
        Err(Error::Conflict(format!(
            "this switches off the firewall of the whole cluster, and then {lost}; nothing was \
             changed: to switch it off for one node or guest give node or vmid instead of cluster, \
             or set accept_unprotected to true"
        )))
    }

    /// What to know about a firewall that is now set like this.
    fn consequences(
        &self,
        pve: &Pve,
        site: &Site,
        seen: Seen,
        after: Options,
    ) -> Result<Vec<String>, Halt> {
        let mut warnings = Vec::new();
        if site.level == Level::Cluster || !after.is_on(site.level) {
            return Ok(warnings);
        }
        if seen.cluster_on() == Some(false) {
            warnings.push(format!(
                "it has no effect yet: the firewall of the datacenter is off ({} with cluster \
                 switches it on)",
                tool_names::SET_FIREWALL_OPTIONS
            ));
        }
        if site.level != Level::Guest {
            return Ok(warnings);
        }
        let seen = Seen {
            options: after,
            ..seen
        };
        let off: Vec<&str> = seen.cards_without(None);
        if !off.is_empty() {
            warnings.push(format!(
                "it has no effect on {}: its firewall flag is off (firewall=1 in the guest's \
                 hardware)",
                off.join(", ")
            ));
        }
        if seen.policy("policy_in") != "ACCEPT" {
            // The change is made: what cannot be read afterwards is left out.
            let groups = Groups::read(pve, seen.rules.list.iter(), false).unwrap_or_default();
            if !seen.picture(&groups, None, None).lets_in() {
                warnings.push(format!(
                    "policy_in is {} and no rule accepts anything: new connections to the guest \
                     are cut off",
                    seen.policy("policy_in")
                ));
            }
        }
        Ok(warnings)
    }
}

/// Which firewall a call is about.
#[derive(Debug, Clone, PartialEq)]
enum Scope {
    Guest(u32),
    Node(String),
    Cluster,
}

/// A firewall, found.
#[derive(Debug)]
struct Site {
    level: Level,
    /// Above `rules` and `options`.
    path: Path,
    label: String,
    guest: Option<Guest>,
    node: Option<String>,
}

impl Scope {
    /// Exactly one must be given: a guest left out by mistake must not make a
    /// change apply to the whole cluster.
    fn of(vmid: Option<u32>, node: Option<String>, cluster: Option<bool>) -> Result<Self> {
        match (vmid, node, cluster.unwrap_or(false)) {
            (Some(vmid), None, false) => Ok(Self::Guest(vmid)),
            (None, Some(node), false) => {
                check_node_name("node", Some(&node))?;
                Ok(Self::Node(node))
            }
            (None, None, true) => Ok(Self::Cluster),
            (None, None, false) => Err(Error::argument(
                "vmid",
                "is missing: say whose firewall by vmid, node or cluster true",
            )),
            _ => Err(Error::argument(
                "vmid",
                "must be given alone: give one of vmid, node and cluster",
            )),
        }
    }

    fn level(&self) -> Level {
        match self {
            Self::Guest(_) => Level::Guest,
            Self::Node(_) => Level::Node,
            Self::Cluster => Level::Cluster,
        }
    }

    /// Finds the firewall and does something with it; a guest that moves in
    /// the meantime is found again.
    fn on<T>(&self, pve: &Pve, run: impl Fn(&Site) -> Result<T, Halt>) -> Result<T> {
        match self {
            Self::Guest(vmid) => Guest::attempt(pve, *vmid, |guest| run(&Site::of_guest(guest)))
                .map(|(_, value)| value),
            Self::Node(node) => {
                let node = choose_node(pve, "node", Some(node))?;
                Ok(run(&Site {
                    level: Level::Node,
                    path: Path::new(["nodes", &node, "firewall"]),
                    label: format!("node {node}"),
                    guest: None,
                    node: Some(node),
                })?)
            }
            Self::Cluster => Ok(run(&Site {
                level: Level::Cluster,
                path: Path::new(["cluster", "firewall"]),
                label: "the cluster".into(),
                guest: None,
                node: None,
            })?),
        }
    }
}

impl Site {
    fn of_guest(guest: &Guest) -> Self {
        Self {
            level: Level::Guest,
            path: guest.path(["firewall"]),
            label: guest.label(),
            node: Some(guest.node.clone()),
            guest: Some(guest.clone()),
        }
    }

    /// A report that names the guest or node.
    fn report(&self, report: Report) -> Report {
        match &self.guest {
            Some(guest) => report.on(guest),
            None => Report {
                node: self.node.clone(),
                ..report
            },
        }
    }
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Guest => "a guest",
            Self::Node => "a node",
            Self::Cluster => "the cluster",
        }
    }
}

/// The options that are set.
#[derive(Debug, Clone, Default)]
struct Options(BTreeMap<String, String>);

impl Options {
    fn read(pve: &Pve, firewall: &Path) -> Result<Self, Failure> {
        let raw: BTreeMap<String, Value> = pve.get(&firewall.join(["options"]), &Params::new())?;
        Ok(Self(
            raw.into_iter()
                .filter_map(|(name, value)| match value {
                    Value::String(text) => Some((name, text)),
                    Value::Number(number) => Some((name, number.to_string())),
                    Value::Bool(flag) => Some((name, u8::from(flag).to_string())),
                    _ => None,
                })
                .collect(),
        ))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether the firewall's own switch is on. That of the cluster holds a
    /// time instead of 1 where it was switched on by the web interface.
    fn is_on(&self, level: Level) -> bool {
        self.get("enable")
            .or(default_of(level, "enable"))
            .is_some_and(|value| value != "0")
    }
}

/// What Proxmox uses for an option that is not set, where that is certain.
fn default_of(level: Level, name: &str) -> Option<&'static str> {
    match (name, level) {
        ("enable", Level::Node) | ("macfilter", Level::Guest) | ("ebtables", Level::Cluster) => {
            Some("1")
        }
        ("enable", _) | ("nftables" | "tcpflags" | "protection_synflood", Level::Node) => Some("0"),
        ("policy_in", _) => Some("DROP"),
        ("policy_out" | "policy_forward", _) => Some("ACCEPT"),
        _ => None,
    }
}

fn is_flag(name: &str) -> bool {
    OPTIONS
        .iter()
        .any(|(known, values, _)| *known == name && matches!(values, Values::Flag))
}

/// A value for comparison and reports: of a flag, each number but 0 is true.
fn words(name: &str, value: &str) -> String {
    match value {
        "0" if is_flag(name) => "false".into(),
        _ if is_flag(name) => "true".into(),
        other => other.into(),
    }
}

/// What a caller calls a field of Proxmox's.
fn argument_of(name: &str) -> &str {
    match name {
        "type" => "direction",
        "enable" => "enabled",
        "iface" => "interface",
        "icmp-type" => "icmp_type",
        other => other,
    }
}

/// How the positions of rules have shifted, from one to before another.
fn shifted(from: u32, to: u32, now: u32) -> String {
    if from + 1 == to {
        format!("the rule that was at position {from} is now at {now}")
    } else {
        let last = to - 1;
        format!(
            "the rules that were at positions {from} to {last} are now at {now} to {}",
            now + last - from
        )
    }
}

/// Which rules leave a new one nothing to do, and to which it leaves nothing.
fn overlaps(rules: &[Listed], position: u32) -> Vec<String> {
    let mut warnings = Vec::new();
    let Some((before, rest)) = rules.split_at_checked(position as usize) else {
        return warnings;
    };
    let Some((new, later)) = rest.split_first() else {
        return warnings;
    };
    if !new.is_active() {
        return warnings;
    }
    if let Some(first) = before
        .iter()
        .find(|first| first.is_active() && audit::hides(&first.rule, &new.rule))
    {
        warnings.push(format!(
            "rule {} comes before it and matches all that it matches: {}",
            first.position, first.rule
        ));
    }
    let hidden: Vec<String> = later
        .iter()
        .zip(position + 1..)
        .filter(|(one, _)| one.is_active() && audit::hides(&new.rule, &one.rule))
        .map(|(one, place)| format!("{place} ({})", one.rule))
        .collect();
    if !hidden.is_empty() {
        let shown: Vec<&str> = hidden
            .iter()
            .take(OVERLAPS_SHOWN)
            .map(String::as_str)
            .collect();
        let more = match hidden.len() - shown.len() {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        warnings.push(format!(
            "it comes before {} and matches all that they match: {}{more}",
            text::count(hidden.len(), "rule"),
            shown.join("; ")
        ));
    }
    warnings
}

fn read_rules(pve: &Pve, firewall: &Path) -> Result<Rules, Failure> {
    pve.get(&firewall.join(["rules"]), &Params::new())
}

/// What the token may see, or this Proxmox knows.
fn visible<T>(result: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match result {
        Err(Failure::Api(error)) if matches!(error.status, 400 | 403 | 501) => Ok(None),
        other => other.map(Some),
    }
}

impl Rules {
    /// Refuses a change where the caller has seen other rules.
    fn unchanged_since(&self, digest: Option<&str>) -> Result<()> {
        if digest.is_none_or(|digest| self.digest.as_deref() == Some(digest)) {
            return Ok(());
        }
        Err(Error::Conflict(format!(
            "the rules have changed since that digest was read, and positions may have shifted: \
             look at them again with {}",
            tool_names::AUDIT_FIREWALL
        )))
    }
}

/// Security groups.
#[derive(Debug, Default)]
struct Groups {
    /// All there are, where it was asked and the token may see it.
    names: Option<BTreeSet<String>>,
    /// The rules of those in use.
    rules: BTreeMap<String, Vec<Listed>>,
}

impl Groups {
    /// Reads those that rules use, or all.
    fn read<'a>(
        pve: &Pve,
        rules: impl Iterator<Item = &'a Listed>,
        all: bool,
    ) -> Result<Self, Failure> {
        #[derive(Deserialize)]
        struct Entry {
            group: String,
        }
        let used: BTreeSet<&str> = rules
            .filter(|listed| listed.rule.direction == Direction::Group)
            .map(|listed| listed.rule.action.as_str())
            .collect();
        if used.is_empty() && !all {
            return Ok(Self::default());
        }
        let groups = Path::new(["cluster", "firewall", "groups"]);
        let names: Option<BTreeSet<String>> =
            visible(pve.get::<Vec<Entry>>(&groups, &Params::new()))?
                .map(|entries| entries.into_iter().map(|entry| entry.group).collect());
        let mut rules = BTreeMap::new();
        for name in names
            .iter()
            .flatten()
            .filter(|name| all || used.contains(name.as_str()))
            .take(LOOKED_INTO)
        {
            let read: Option<Rules> =
                visible(pve.get(&groups.join([name.as_str()]), &Params::new()))?;
            if let Some(read) = read {
                rules.insert(name.clone(), read.list);
            }
        }
        Ok(Self { names, rules })
    }
}

/// A firewall as it was read.
#[derive(Debug)]
struct Seen {
    level: Level,
    options: Options,
    rules: Rules,
    /// Absent where the token may not see it. The cluster's own stand in
    /// `options`.
    cluster: Option<Options>,
    /// Of a node: what applies to it after its own rules.
    cluster_rules: Vec<Listed>,
    nics: Vec<Nic>,
}

impl Seen {
    fn read(pve: &Pve, site: &Site) -> Result<Self, Failure> {
        // First, since it shows whether the guest has moved away.
        let nics = match &site.guest {
            Some(guest) => GuestConfig::read(pve, guest)?.nics(),
            None => Vec::new(),
        };
        let options = Options::read(pve, &site.path)?;
        let rules = read_rules(pve, &site.path)?;
        let above = Path::new(["cluster", "firewall"]);
        let (cluster, cluster_rules) = match site.level {
            Level::Cluster => (Some(options.clone()), Vec::new()),
            Level::Guest => (visible(Options::read(pve, &above))?, Vec::new()),
            Level::Node => (
                visible(Options::read(pve, &above))?,
                visible(read_rules(pve, &above))?.unwrap_or_default().list,
            ),
        };
        Ok(Self {
            level: site.level,
            options,
            rules,
            cluster,
            cluster_rules,
            nics,
        })
    }

    fn cluster_on(&self) -> Option<bool> {
        self.cluster
            .as_ref()
            .map(|options| options.is_on(Level::Cluster))
    }

    /// A policy as it applies here: nodes have those of the cluster.
    fn policy(&self, name: &str) -> &str {
        let options = match self.level {
            Level::Node => self.cluster.as_ref(),
            Level::Guest | Level::Cluster => Some(&self.options),
        };
        options
            .and_then(|options| options.get(name))
            .or(default_of(self.level, name))
            .unwrap_or("ACCEPT")
    }

    fn all_rules(&self) -> impl Iterator<Item = &Listed> {
        self.rules.list.iter().chain(&self.cluster_rules)
    }

    fn picture<'a>(
        &'a self,
        groups: &'a Groups,
        names: Option<&'a Names>,
        interfaces: Option<&'a BTreeSet<String>>,
    ) -> Picture<'a> {
        Picture {
            level: self.level,
            cluster_on: self.cluster_on(),
            own_on: self.options.is_on(self.level),
            policy_in: self.policy("policy_in"),
            policy_out: self.policy("policy_out"),
            mac_filter: self.options.get("macfilter") != Some("0"),
            nftables: self
                .options
                .get("nftables")
                .is_some_and(|value| value != "0"),
            rules: &self.rules.list,
            cluster_rules: &self.cluster_rules,
            groups: &groups.rules,
            group_names: groups.names.as_ref(),
            names,
            nics: &self.nics,
            interfaces,
        }
    }

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

    /// Refuses a rule whose group, macro or network card does not exist:
    /// Proxmox takes such rules and never applies them.
    fn known(&self, pve: &Pve, site: &Site, rule: &Rule) -> Result<(), Halt> {
        if let Some(interface) = &rule.interface
            && site.level == Level::Guest
            && !self.nics.iter().any(|nic| nic.id == *interface)
        {
            let cards: Vec<&str> = self.nics.iter().map(|nic| nic.id.as_str()).collect();
            return Err(Error::NotFound(format!(
                "{} has no network card {interface}; it has {}",
                site.label,
                some(&cards)
            ))
            .into());
        }
        if rule.direction == Direction::Group {
            let listed = Listed {
                position: 0,
                rule: rule.clone(),
                errors: Vec::new(),
            };
            let names = Groups::read(pve, std::iter::once(&listed), false)?.names;
            if let Some(names) = names
                && !names.contains(&rule.action)
            {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                return Err(Error::NotFound(format!(
                    "there is no security group {}; there are: {}",
                    rule.action,
                    some(&names)
                ))
                .into());
            }
        }
        if let Some(name) = &rule.r#macro {
            known_macro(pve, name)?;
        }
        Ok(())
    }

    /// Why a rule has no effect at present.
    fn without_effect(&self, site: &Site, rule: &Rule) -> Vec<String> {
        let mut warnings = Vec::new();
        if !rule.enabled {
            return warnings;
        }
        let set = tool_names::SET_FIREWALL_OPTIONS;
        if self.cluster_on() == Some(false) {
            warnings.push(format!(
                "the rule has no effect: the firewall of the datacenter is off, so none applies \
                 ({set} with cluster switches it on)"
            ));
        }
        if site.level != Level::Cluster && !self.options.is_on(site.level) {
            warnings.push(format!(
                "the rule has no effect: the firewall of {} is off ({set} switches it on)",
                site.label
            ));
        }
        if site.level == Level::Guest {
            let off = self.cards_without(rule.interface.as_deref());
            if !off.is_empty() {
                warnings.push(format!(
                    "the rule has no effect on {}: the firewall flag of the network card is off \
                     (firewall=1 in the guest's hardware)",
                    off.join(", ")
                ));
            }
        }
        if rule.direction == Direction::Forward
            && site.level == Level::Node
            && self
                .options
                .get("nftables")
                .is_none_or(|value| value == "0")
        {
            warnings.push(format!(
                "forward rules have no effect without the nftables firewall ({set} with nftables \
                 switches it on for the node)"
            ));
        }
        warnings
    }

    /// The network cards whose firewall flag is off: of one, or of all.
    fn cards_without(&self, only: Option<&str>) -> Vec<&str> {
        self.nics
            .iter()
            .filter(|nic| !nic.firewall && only.is_none_or(|only| only == nic.id))
            .map(|nic| nic.id.as_str())
            .collect()
    }

    /// Refuses a change that takes the management ports of nodes away from
    /// people, or says so where the caller wants it.
    fn guard(
        &self,
        pve: &Pve,
        site: &Site,
        rules: &[Listed],
        options: Option<&Options>,
        accepted: Option<bool>,
    ) -> Result<Option<String>, Halt> {
        if site.level == Level::Guest {
            return Ok(None);
        }
        let groups = Groups::read(pve, self.all_rules().chain(rules), false)?;
        let management = has_management(pve);
        let before = self.gate(&self.options, &self.rules.list, &groups, management);
        let after = self.gate(options.unwrap_or(&self.options), rules, &groups, management);
        let lost = before.lost(&after);
        if lost.is_empty() {
            return Ok(None);
        }
        let who = match site.level {
            Level::Cluster => "the nodes",
            Level::Guest | Level::Node => &site.label,
        };
        let ports = |reach: Reach| {
            let ports: Vec<&str> = lost
                .iter()
                .filter(|(_, now)| *now == reach)
                .map(|(port, _)| match port {
                    22 => "22 (SSH)",
                    _ => "8006 (web interface and API)",
                })
                .collect();
            (!ports.is_empty()).then(|| ports.join(" and "))
        };
        let mut losses = Vec::new();
        if let Some(ports) = ports(Reach::Nobody) {
            losses.push(format!(
                "port {ports} of {who} can no longer be reached by anyone"
            ));
        }
        if let Some(ports) = ports(Reach::LocalNetwork) {
            losses.push(format!(
                "port {ports} of {who} can be reached only from the local network of the nodes"
            ));
        }
        let lost = losses.join(", and ");
        if accepted == Some(true) {
            return Ok(Some(format!(
                "after this, {lost}: this connection may be cut off as well"
            )));
        }
        Err(Error::Conflict(format!(
            "after this, {lost}, unless the rules of single nodes allow more: nothing was changed; \
             first add a rule that accepts tcp 8006 and 22 from your addresses, or add those to the \
             IP set management; or set accept_lockout to true if that is intended"
        ))
        .into())
    }

    /// What decides who reaches the nodes, with such options and rules.
    fn gate<'a>(
        &'a self,
        options: &'a Options,
        rules: &'a [Listed],
        groups: &'a Groups,
        management: bool,
    ) -> Gate<'a> {
        let cluster = match self.level {
            Level::Cluster => Some(options),
            Level::Guest | Level::Node => self.cluster.as_ref(),
        };
        Gate {
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

/// Whether the IP set of those who may always manage nodes has entries.
fn has_management(pve: &Pve) -> bool {
    pve.get::<Vec<Value>>(
        &Path::new(["cluster", "firewall", "ipset", "management"]),
        &Params::new(),
    )
    .is_ok_and(|entries| !entries.is_empty())
}

/// Refuses a macro that Proxmox does not know.
fn known_macro(pve: &Pve, name: &str) -> Result<(), Halt> {
    #[derive(Deserialize)]
    struct Entry {
        r#macro: String,
    }
    let entries: Option<Vec<Entry>> = visible(pve.get(
        &Path::new(["cluster", "firewall", "macros"]),
        &Params::new(),
    ))?;
    let Some(entries) = entries else {
        return Ok(());
    };
    if entries
        .iter()
        .any(|entry| entry.r#macro.eq_ignore_ascii_case(name))
    {
        return Ok(());
    }
    let near = text::nearest(name, entries.iter().map(|entry| entry.r#macro.as_str()))
        .map_or_else(String::new, |near| format!(", perhaps {near} is meant"));
    Err(Error::argument(
        "macro",
        format!("is not known to Proxmox{near}: name a service such as SSH, HTTPS or DNS, or give proto and dport"),
    )
    .into())
}

fn some(names: &[&str]) -> String {
    if names.is_empty() {
        "none".into()
    } else {
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_firewall_has_to_be_named() {
        let name = |text: &str| Some(text.to_owned());
        assert_eq!(Scope::of(Some(100), None, None), Ok(Scope::Guest(100)));
        assert_eq!(
            Scope::of(None, name("pve1"), Some(false)),
            Ok(Scope::Node("pve1".into()))
        );
        assert_eq!(Scope::of(None, None, Some(true)), Ok(Scope::Cluster));
        for (vmid, node, cluster) in [
            (None, None, None),
            (None, None, Some(false)),
            (Some(100), name("pve1"), None),
            (Some(100), None, Some(true)),
            (None, name("../x"), None),
        ] {
            assert!(Scope::of(vmid, node, cluster).is_err());
        }
    }

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

    #[test]
    fn switches_and_their_defaults() {
        let on = |level, value: Option<&str>| {
            let values = value.map(|value| ("enable".to_owned(), value.to_owned()));
            Options(values.into_iter().collect()).is_on(level)
        };
        assert!(!on(Level::Guest, None) && !on(Level::Cluster, None) && on(Level::Node, None));
        assert!(on(Level::Cluster, Some("1795338154")) && !on(Level::Node, Some("0")));
        assert_eq!(words("enable", "1795338154"), "true");
        assert_eq!(words("nf_conntrack_max", "0"), "0");
    }

    #[test]
    fn positions_are_told() {
        assert_eq!(
            shifted(2, 3, 1),
            "the rule that was at position 2 is now at 1"
        );
        assert_eq!(
            shifted(1, 4, 2),
            "the rules that were at positions 1 to 3 are now at 2 to 4"
        );
    }

    fn listed(rules: &[&str]) -> Vec<Listed> {
        rules
            .iter()
            .zip(0..)
            .map(|(text, position)| Listed {
                position,
                rule: Rule::sample(text),
                errors: Vec::new(),
            })
            .collect()
    }

    #[test]
    fn overlaps_are_told() {
        let rules = listed(&["action=DROP", "macro=SSH", "macro=HTTP source=192.0.2.1"]);
        let warnings = overlaps(&rules, 0);
        assert_eq!(
            warnings,
            [
                "it comes before 2 rules and matches all that they match: 1 (in ACCEPT SSH); 2 (in \
              ACCEPT HTTP from 192.0.2.1)"
            ]
        );
        assert_eq!(
            overlaps(&rules, 1),
            ["rule 0 comes before it and matches all that it matches: in DROP"]
        );
        assert!(overlaps(&rules[1..], 0).is_empty());
        assert!(overlaps(&rules, 9).is_empty());
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
}
