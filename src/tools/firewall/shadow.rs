//! Which rules shadow others: a rule that matches all that a later one matches leaves it without effect.

use super::rule::{Direction, Rule};
use super::rule_list::ListedRule;
use super::traffic::Traffic;
use crate::text;

/// Whether a rule matches all that a later one matches.
pub(super) fn shadows(first: &Rule, later: &Rule) -> bool {
    traffic_shadows(first, &first.traffic(), later, &later.traffic())
}

pub(super) fn traffic_shadows(
    first: &Rule,
    matched: &Traffic,
    later: &Rule,
    own: &Traffic,
) -> bool {
    if first.direction != later.direction {
        return false;
    }
    if first.direction == Direction::Group {
        return first.action == later.action
            && (first.interface.is_none() || first.interface == later.interface);
    }
    matched.covers(own)
}

/// How many shadowed rules a warning names.
const SHADOWED_SHOWN: usize = 10;

/// Warnings about a rule just written: an earlier rule that shadows it, and
/// later ones that it shadows.
pub(super) fn shadow_warnings(rules: &[ListedRule], position: u32) -> Vec<String> {
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
        .find(|first| first.is_active() && shadows(&first.rule, &new.rule))
    {
        warnings.push(format!(
            "rule {} comes before it and matches all that it matches: {}",
            first.position, first.rule
        ));
    }
    let hidden: Vec<String> = later
        .iter()
        .zip(position + 1..)
        .filter(|(one, _)| one.is_active() && shadows(&new.rule, &one.rule))
        .map(|(one, place)| format!("{place} ({})", one.rule))
        .collect();
    if !hidden.is_empty() {
        let shown: Vec<&str> = hidden
            .iter()
            .take(SHADOWED_SHOWN)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shadowed_rules_are_warnings() {
        let rules =
            ListedRule::samples(&["action=DROP", "macro=SSH", "macro=HTTP source=192.0.2.1"]);
        let warnings = shadow_warnings(&rules, 0);
        assert_eq!(
            warnings,
            [
                "it comes before 2 rules and matches all that they match: 1 (in ACCEPT SSH); 2 (in \
              ACCEPT HTTP from 192.0.2.1)"
            ]
        );
        assert_eq!(
            shadow_warnings(&rules, 1),
            ["rule 0 comes before it and matches all that it matches: in DROP"]
        );
        assert!(shadow_warnings(&rules[1..], 0).is_empty());
        assert!(shadow_warnings(&rules, 9).is_empty());
    }
}
