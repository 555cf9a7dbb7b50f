//! What a guest's firewall does to what comes in, for whoever cannot reach the
//! guest.

use super::rule::Direction;
use super::rule_list::ListedRule;
use super::security_groups::{AppliedRule, SecurityGroups, applied};
use super::state::FirewallState;
use super::target::Firewall;
use crate::pve::{Failure, Guest, Pve};
use crate::text;

/// What a guest's firewall does to what comes in.
#[derive(Debug)]
pub(crate) struct GuestPath {
    /// Whether its rules apply; absent if the token cannot see that.
    pub(crate) in_effect: Option<bool>,
    pub(crate) verdict: Verdict,
    /// Rules that Proxmox ignores, and why.
    pub(crate) ignored: Vec<String>,
}

/// What happens to a new connection to the guest.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// Nothing stops it.
    Open,
    /// A rule accepts it, from these addresses only.
    OnlyFrom { rule: String, source: String },
    /// A rule stops it.
    Stopped { rule: String },
    /// No rule accepts it, and the policy stops it.
    Policy { policy: String },
}

impl GuestPath {
    /// Reads a guest's firewall, and judges a connection to a TCP port, or any
    /// connection at all.
    pub(crate) fn read(pve: &Pve, guest: &Guest, port: Option<u16>) -> Result<Self, Failure> {
        let state = FirewallState::read(pve, &Firewall::of_guest(guest))?;
        let groups = SecurityGroups::read(pve, state.all_rules(), false)?;
        let ignored = state
            .rules
            .list
            .iter()
            .filter(|one| one.rule.enabled && !one.errors.is_empty())
            .map(|one| {
                format!(
                    "rule {}: {}",
                    one.position,
                    text::cut(&one.errors.join("; "), 160)
                )
            })
            .collect();
        Ok(Self {
            verdict: verdict(&state.rules.list, &groups, state.policy("policy_in"), port),
            in_effect: state.audit_input(&groups, None, None).in_effect(),
            ignored,
        })
    }
}

fn verdict(
    rules: &[ListedRule],
    groups: &SecurityGroups,
    policy: &str,
    port: Option<u16>,
) -> Verdict {
    let decided = applied(rules, &groups.rules).find_map(|one| decide(one, port));
    decided.unwrap_or_else(|| match policy {
        "ACCEPT" => Verdict::Open,
        policy => Verdict::Policy {
            policy: policy.to_owned(),
        },
    })
}

impl AppliedRule<'_> {
    fn label(&self) -> String {
        let position = self.listed.position;
        match self.by {
            None => format!("rule {position}"),
            Some(by) => format!(
                "rule {position} of the security group {} (rule {})",
                by.rule.action, by.position
            ),
        }
    }
}

/// What a rule does to the connection, if it is about it. Without a port, only
/// rules count that let something in, or stop everything.
fn decide(one: AppliedRule<'_>, port: Option<u16>) -> Option<Verdict> {
    let rule = &one.listed.rule;
    if rule.direction != Direction::In {
        return None;
    }
    let traffic = rule.traffic();
    let is_accepted = rule.action == "ACCEPT";
    let is_for_all = traffic.source.world().is_some();
    let is_about = match port {
        Some(port) => traffic.reaches("tcp", port),
        None => is_accepted || traffic.is_every_service() && is_for_all,
    };
    if !is_about {
        return None;
    }
    let source = || {
        rule.source
            .clone()
            .unwrap_or_else(|| "some addresses".to_owned())
    };
    match (is_accepted, is_for_all) {
        (true, true) => Some(Verdict::Open),
        (true, false) => Some(Verdict::OnlyFrom {
            rule: one.label(),
            source: source(),
        }),
        (false, true) => Some(Verdict::Stopped { rule: one.label() }),
        // It stops some addresses, and whose connection it is, is not known.
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rules: &[&str], policy: &str, port: Option<u16>) -> Verdict {
        let rules = ListedRule::samples(rules);
        verdict(&rules, &SecurityGroups::default(), policy, port)
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let web = "macro=HTTPS";
        assert_eq!(of(&[web], "DROP", Some(443)), Verdict::Open);
        assert_eq!(
            of(&[web], "DROP", Some(22)),
            Verdict::Policy {
                policy: "DROP".into()
            }
        );
        assert_eq!(of(&[web], "ACCEPT", Some(22)), Verdict::Open);
        assert!(matches!(
            of(
                &["action=DROP proto=tcp dport=443", web],
                "ACCEPT",
                Some(443)
            ),
            Verdict::Stopped { .. }
        ));
        assert!(matches!(
            of(&["macro=SSH source=192.0.2.0/24"], "DROP", Some(22)),
            Verdict::OnlyFrom { source, .. } if source == "192.0.2.0/24"
        ));
        // Only some are stopped.
        assert_eq!(
            of(&["action=DROP source=192.0.2.9"], "ACCEPT", Some(22)),
            Verdict::Open
        );
        assert_eq!(
            of(&["enabled=0 action=DROP"], "ACCEPT", Some(22)),
            Verdict::Open
        );
    }

    #[test]
    fn without_a_port_anything_that_gets_in_counts() {
        assert_eq!(of(&["macro=SSH"], "DROP", None), Verdict::Open);
        assert!(matches!(of(&[], "DROP", None), Verdict::Policy { .. }));
        assert!(matches!(
            of(&["action=DROP"], "ACCEPT", None),
            Verdict::Stopped { .. }
        ));
    }
}
