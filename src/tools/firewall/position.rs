//! Positions of rules, and how a change shifts them.

use super::rule::Rule;
use super::rule_list::RuleList;
use crate::error::{Error, Result};

/// The digest of the rules. Fails if `rule` is no longer at `position`, where this call
/// has just put it: then someone else has changed the rules.
pub(super) fn unchanged_digest(
    rules: &RuleList,
    position: u32,
    rule: &Rule,
) -> Result<String, Error> {
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

/// The value of `moveto` for a rule to end up at position `to`. Proxmox puts it
/// before the rule that is there now, which a move down shifts by one.
pub(super) fn move_target(from: u32, to: u32) -> u32 {
    if to > from { to.saturating_add(1) } else { to }
}

/// The note on how the other rules have shifted after a rule has moved from one
/// position to another.
pub(super) fn shift_note(from: u32, to: u32, now: u32) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifted_positions_are_named() {
        assert_eq!(
            shift_note(2, 3, 1),
            "the rule that was at position 2 is now at 1"
        );
        assert_eq!(
            shift_note(1, 4, 2),
            "the rules that were at positions 1 to 3 are now at 2 to 4"
        );
    }
}
