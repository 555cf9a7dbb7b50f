//! The rules of a firewall, in order.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::owner::Owner;
use super::rule::{Direction, Rule};
use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::order;
use crate::pve::{Failure, Num, Params, Pve, Text};
use crate::tool_names;

/// A rule with its position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct ListedRule {
    pub(super) position: u32,
    #[serde(flatten)]
    pub(super) rule: Rule,
    /// Why Proxmox ignores it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) errors: Vec<String>,
}

/// The rules of a firewall, in order.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(try_from = "Vec<RawRule>")]
pub(super) struct RuleList {
    pub(super) list: Vec<ListedRule>,
    /// The digest of the rules; absent if there are none.
    pub(super) digest: Option<String>,
}

impl ListedRule {
    /// Shortens values, which others may have written at any length.
    pub(super) fn shorten(&mut self) {
        const VALUE: usize = 600;
        let rule = &mut self.rule;
        rule.comment = rule.comment.take().map(|text| crate::text::cut(&text, 300));
        for value in [
            &mut rule.source,
            &mut rule.dest,
            &mut rule.sport,
            &mut rule.dport,
            &mut rule.interface,
            &mut rule.r#macro,
            &mut rule.log,
            &mut rule.proto,
            &mut rule.icmp_type,
        ] {
            *value = value.take().map(|text| crate::text::cut(&text, VALUE));
        }
        rule.action = crate::text::cut(&rule.action, VALUE);
        self.errors.truncate(8);
        for error in &mut self.errors {
            *error = crate::text::cut(error, VALUE);
        }
    }
}

/// A rule as Proxmox sends it.
#[derive(Debug, DeserializeFields)]
pub(super) struct RawRule {
    /// Its position in the list, from 0.
    pos: Option<Num<u32>>,
    #[serde(rename = "type", default)]
    direction: String,
    #[serde(default)]
    action: String,
    enable: Option<Num<u32>>,
    r#macro: Option<String>,
    iface: Option<String>,
    source: Option<String>,
    dest: Option<String>,
    proto: Option<Text>,
    dport: Option<Text>,
    sport: Option<Text>,
    #[serde(rename = "icmp-type")]
    icmp_type: Option<Text>,
    log: Option<String>,
    comment: Option<String>,
    digest: Option<String>,
    errors: Option<BTreeMap<String, Text>>,
}

impl TryFrom<Vec<RawRule>> for RuleList {
    type Error = &'static str;

    /// Reads a list as Proxmox sends it, in the order of the positions. A missing
    /// position is taken from the order of the list if all others agree with it.
    /// Otherwise the list is refused: changes name rules by position, and it would not be
    /// known which rule they change.
    fn try_from(raw: Vec<RawRule>) -> Result<Self, Self::Error> {
        let digest = raw.iter().find_map(|rule| rule.digest.clone());
        let unplaced = raw.iter().any(|rule| rule.pos.is_none());
        let mut list = Vec::with_capacity(raw.len());
        for (index, rule) in (0..).zip(raw) {
            let position = rule.pos.map_or(index, |pos| pos.0);
            if unplaced && position != index {
                return Err("a firewall rule without a position");
            }
            list.push(ListedRule::new(position, rule));
        }
        order::by_key(&mut list, |listed| listed.position);
        Ok(Self { list, digest })
    }
}

impl RuleList {
    /// The rules without the one at a position.
    pub(super) fn without(&self, position: u32) -> Vec<ListedRule> {
        let mut rules = self.list.clone();
        rules.retain(|listed| listed.position != position);
        rules
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// The rule at a position. Fails if there is none.
    pub(super) fn at(&self, position: u32) -> Result<&ListedRule> {
        self.list
            .iter()
            .find(|listed| listed.position == position)
            .ok_or_else(|| {
                Error::NotFound(match self.list.len() {
                    0 => "there are no rules in this firewall".into(),
                    1 => format!("there is no rule at position {position}: the only one is at 0"),
                    count => format!(
                        "there is no rule at position {position}: there are {count}, at 0 to {}",
                        count - 1
                    ),
                })
            })
    }
}

impl ListedRule {
    /// A rule without an error reported by Proxmox.
    pub(super) fn valid(position: u32, rule: Rule) -> Self {
        Self {
            position,
            rule,
            errors: Vec::new(),
        }
    }

    pub(super) fn new(position: u32, raw: RawRule) -> Self {
        let mut errors: Vec<String> = raw
            .errors
            .unwrap_or_default()
            .into_iter()
            .map(|(field, text)| format!("{field}: {}", text.0.trim()))
            .collect();
        let direction = match raw.direction.as_str() {
            "in" => Direction::In,
            "out" => Direction::Out,
            "forward" => Direction::Forward,
            "group" => Direction::Group,
            // Only a file edited by hand holds such a rule.
            other => {
                errors.push(format!("type: unknown ({other})"));
                Direction::In
            }
        };
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        let written = |text: Option<Text>| filled(text.map(|text| text.0));
        Self {
            position,
            rule: Rule {
                enabled: raw.enable.is_some_and(|enable| enable.0 > 0),
                direction,
                action: raw.action,
                r#macro: filled(raw.r#macro),
                interface: filled(raw.iface),
                source: filled(raw.source),
                dest: filled(raw.dest),
                proto: written(raw.proto),
                dport: written(raw.dport),
                sport: written(raw.sport),
                icmp_type: written(raw.icmp_type),
                log: filled(raw.log),
                comment: filled(raw.comment),
            },
            errors,
        }
    }
}

impl ListedRule {
    /// Whether it has any effect.
    pub(super) fn is_active(&self) -> bool {
        self.rule.enabled && self.errors.is_empty()
    }
}

pub(super) fn read_rules(pve: &Pve, owner: &Owner) -> Result<RuleList, Failure> {
    pve.send(&owner.rules(), &Params::new())
}

impl RuleList {
    /// Refuses a change if the rules have changed since the caller read them.
    pub(super) fn unchanged_since(&self, digest: Option<&str>) -> Result<()> {
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

#[cfg(test)]
impl ListedRule {
    /// Rules as [`Rule::sample`] reads them, in order.
    pub(super) fn samples(rules: &[&str]) -> Vec<Self> {
        (0..)
            .zip(rules)
            .map(|(position, text)| Self {
                position,
                rule: Rule::sample(text),
                errors: Vec::new(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_position_that_is_missing_is_the_place_in_the_list() {
        let read = |places: &[Option<u32>]| {
            let raw: Vec<serde_json::Value> = places
                .iter()
                .map(|place| json!({"pos": place, "type": "in", "action": "DROP"}))
                .collect();
            serde_json::from_value::<RuleList>(raw.into())
        };
        let rules = read(&[Some(0), None, Some(2)]).unwrap();
        let positions: Vec<u32> = rules.list.iter().map(|rule| rule.position).collect();
        assert_eq!(positions, [0, 1, 2]);
        // Whether the nameless one is rule 1 or 2 cannot be known.
        assert!(read(&[Some(0), None, Some(3)]).is_err());
        assert_eq!(read(&[Some(1), Some(0)]).unwrap().list[0].position, 0);
    }

    #[test]
    fn a_recorded_list() {
        let rules: RuleList = serde_json::from_value(json!([
            {"ipversion": 4, "pos": 0, "source": "192.0.2.0/24", "type": "in", "comment": "ssh",
             "action": "ACCEPT", "digest": "727758", "proto": "tcp", "dport": "22", "enable": 1},
            {"pos": "1", "type": "in", "action": "DROP", "enable": 0, "source": "nowhere",
             "errors": {"source": "no such alias 'nowhere'\n"}, "digest": "727758"}
        ]))
        .unwrap();
        assert_eq!(rules.digest.as_deref(), Some("727758"));
        assert_eq!(
            rules.at(0).unwrap().rule.to_string(),
            "in ACCEPT tcp port 22 from 192.0.2.0/24 (ssh)"
        );
        assert_eq!(
            rules.at(1).unwrap().errors,
            ["source: no such alias 'nowhere'"]
        );
        assert_eq!(
            rules.at(2).unwrap_err().message(),
            "there is no rule at position 2: there are 2, at 0 to 1"
        );
        assert_eq!(
            serde_json::to_value(rules.at(0).unwrap()).unwrap(),
            json!({"position": 0, "enabled": true, "direction": "in", "action": "ACCEPT",
                   "source": "192.0.2.0/24", "proto": "tcp", "dport": "22", "comment": "ssh"})
        );
    }
}
