//! Why a rule has no effect, and which rules hide others.

use super::audit;
use super::rule::{Direction, Level, Listed, Rule};
use super::state::Seen;
use super::target::Site;
use crate::{text, tool_names};

/// How many rules a warning names that a new one leaves without effect.
const OVERLAPS_SHOWN: usize = 10;

/// Which rules leave a new one nothing to do, and to which it leaves nothing.
pub(super) fn overlaps(rules: &[Listed], position: u32) -> Vec<String> {
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

impl Seen {
    /// Why a rule has no effect at present.
    pub(super) fn without_effect(&self, site: &Site, rule: &Rule) -> Vec<String> {
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
    pub(super) fn cards_without(&self, only: Option<&str>) -> Vec<&str> {
        self.nics
            .iter()
            .filter(|nic| !nic.firewall && only.is_none_or(|only| only == nic.id))
            .map(|nic| nic.id.as_str())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
