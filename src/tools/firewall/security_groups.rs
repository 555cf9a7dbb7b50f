//! Security groups.

use std::collections::{BTreeMap, BTreeSet};

use pve_api::calls;

use super::rule::Direction;
use super::rule_list::{ListedRule, RuleList};
use super::visible::visible;
use crate::error::Result;
use crate::json::DeserializeFields;
use crate::order::Ordered as _;
use crate::pve::{At, Failure, Params, Pve};

/// How many nodes and security groups an audit of the cluster looks into.
pub(super) const MOST_READ: usize = 20;

/// Security groups.
#[derive(Debug, Default)]
pub(super) struct SecurityGroups {
    /// The names of all groups, if they were read and the token may see them.
    pub(super) names: Option<BTreeSet<String>>,
    /// The rules of those in use.
    pub(super) rules: BTreeMap<String, Vec<ListedRule>>,
}

impl SecurityGroups {
    /// Reads the groups that the rules use, or all groups. Sends nothing if there are none
    /// to read.
    pub(super) fn read<'a>(
        pve: &Pve,
        rules: impl Iterator<Item = &'a ListedRule>,
        all: bool,
    ) -> Result<Self, Failure> {
        #[derive(DeserializeFields)]
        struct Entry {
            group: String,
        }
        let used: BTreeSet<&str> = rules
            .filter(|listed| listed.rule.direction == Direction::Group)
            .map(|listed| listed.rule.action.as_str())
            .ordered();
        if used.is_empty() && !all {
            return Ok(Self::default());
        }
        let groups = calls::firewall::GROUPS.at([]);
        let names: Option<BTreeSet<String>> =
            visible(pve.send::<Vec<Entry>>(&groups, &Params::new()))?
                .map(|entries| entries.into_iter().map(|entry| entry.group).ordered());
        let mut rules = BTreeMap::new();
        let read = names
            .iter()
            .flatten()
            .filter(|name| all || used.contains(name.as_str()))
            .take(MOST_READ);
        let request = |name: &str| calls::firewall::GROUP_RULES.at([name]);
        pve.start(read.clone().map(|name| (request(name), Params::new())));
        for name in read {
            let read: Option<RuleList> = visible(pve.send(&request(name), &Params::new()))?;
            if let Some(read) = read {
                rules.insert(name.clone(), read.list);
            }
        }
        Ok(Self { names, rules })
    }
}

/// A rule that applies.
#[derive(Debug, Clone, Copy)]
pub(super) struct AppliedRule<'a> {
    pub(super) listed: &'a ListedRule,
    /// The rule that uses the security group of this one.
    pub(super) by: Option<&'a ListedRule>,
}

/// The active rules in the order in which they apply: those of a security group
/// instead of the rule that uses it.
pub(super) fn applied<'a>(
    rules: impl IntoIterator<Item = &'a ListedRule>,
    groups: &'a BTreeMap<String, Vec<ListedRule>>,
) -> impl Iterator<Item = AppliedRule<'a>> {
    let active = rules.into_iter().filter(|listed| listed.is_active());
    active.flat_map(|listed| {
        let is_group = listed.rule.direction == Direction::Group;
        let group = is_group.then(|| groups.get(&listed.rule.action)).flatten();
        let inner = group.into_iter().flatten().filter(|one| one.is_active());
        let inner = inner.map(move |one| AppliedRule {
            listed: one,
            by: Some(listed),
        });
        let own = (!is_group).then_some(AppliedRule { listed, by: None });
        own.into_iter().chain(inner)
    })
}
