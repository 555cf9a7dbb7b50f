//! A firewall rule: as Proxmox keeps it, as it is shown, and what it must be
//! before it is sent.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::traffic::{self, Addresses, Ports, Traffic};
use crate::error::{Error, Problem, Result};
use crate::pve::{Num, Params, Text};

/// What a rule can do with a packet.
const VERDICTS: [&str; 3] = ["ACCEPT", "DROP", "REJECT"];

/// What a rule is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    #[default]
    In,
    Out,
    Forward,
    Group,
}

/// How loud a match is logged.
pub(super) const LOG_LEVELS: [&str; 9] = [
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug", "nolog",
];

/// A rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Rule {
    pub(super) enabled: bool,
    pub(super) direction: Direction,
    /// ACCEPT, DROP, REJECT, or a security group's name.
    pub(super) action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) r#macro: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) interface: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) proto: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dport: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sport: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) icmp_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) log: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) comment: Option<String>,
}

/// A rule in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Listed {
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
pub(super) struct Rules {
    pub(super) list: Vec<Listed>,
    /// Absent where there is no rule.
    pub(super) digest: Option<String>,
}

/// Which firewall a rule belongs to: not all take the same rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Guest,
    Node,
    Cluster,
}

/// What a caller gives of a rule. Absent: unchanged; empty: removed.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    pub(super) direction: Option<Direction>,
    pub(super) action: Option<String>,
    pub(super) enabled: Option<bool>,
    pub(super) r#macro: Option<String>,
    pub(super) interface: Option<String>,
    pub(super) source: Option<String>,
    pub(super) dest: Option<String>,
    pub(super) proto: Option<String>,
    pub(super) dport: Option<String>,
    pub(super) sport: Option<String>,
    pub(super) icmp_type: Option<String>,
    pub(super) log: Option<String>,
    pub(super) comment: Option<String>,
}

impl Listed {
    /// For showing: what others wrote into a rule may be of any length.
    pub(super) fn shortened(mut self) -> Self {
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
        self
    }
}

impl Direction {
    fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
            Self::Forward => "forward",
            Self::Group => "group",
        }
    }
}

/// A rule as Proxmox sends it.
#[derive(Debug, Deserialize)]
pub(super) struct RawRule {
    /// Its place in the list, from 0.
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

impl TryFrom<Vec<RawRule>> for Rules {
    type Error = &'static str;

    /// Reads a list as Proxmox sends it, in the order of the positions. A
    /// position that is missing is the place in the list, as long as all others
    /// are; else it is not known which rule a position means, and as changes go
    /// by positions, the list is refused.
    fn try_from(raw: Vec<RawRule>) -> Result<Self, Self::Error> {
        let digest = raw.iter().find_map(|rule| rule.digest.clone());
        let unplaced = raw.iter().any(|rule| rule.pos.is_none());
        let mut list = Vec::with_capacity(raw.len());
        for (index, rule) in (0..).zip(raw) {
            let position = rule.pos.map_or(index, |pos| pos.0);
            if unplaced && position != index {
                return Err("a firewall rule without a position that the others would show");
            }
            list.push(Listed::new(position, rule));
        }
        list.sort_by_key(|listed| listed.position);
        Ok(Self { list, digest })
    }
}

impl Rules {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// The rule in a place, refused where there is none.
    pub(super) fn at(&self, position: u32) -> Result<&Listed> {
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

impl Listed {
    fn new(position: u32, raw: RawRule) -> Self {
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

impl Listed {
    /// Whether it has any effect.
    pub(super) fn is_active(&self) -> bool {
        self.rule.enabled && self.errors.is_empty()
    }
}

impl Fields {
    /// Refuses what no rule could take, before any rule is read. What is
    /// unsaid is taken for what would do.
    pub(super) fn check(&self, level: Level) -> Result<()> {
        let mut fields = self.clone();
        let has_macro = fields
            .r#macro
            .as_deref()
            .is_some_and(|name| !name.is_empty());
        if fields.proto.is_none() && !has_macro {
            fields.icmp_type = None;
            if fields.dport.is_some() || fields.sport.is_some() {
                fields.proto = Some("tcp".into());
            }
        }
        let mut rule = Rule {
            action: "ACCEPT".into(),
            ..Rule::default()
        };
        rule = fields.apply(&rule);
        if self.direction.is_none() && !VERDICTS.contains(&rule.action.as_str()) {
            // The rule may be one of a security group.
            rule.direction = Direction::Group;
        }
        if self.direction == Some(Direction::Group) && self.action.is_none() {
            rule.action = "unsaid".into();
        }
        rule.check(level)
    }

    /// The rule that these make of another; only what is said changes.
    pub(super) fn apply(self, rule: &Rule) -> Rule {
        let changed = |new: Option<String>, old: &Option<String>| match new {
            None => old.clone(),
            Some(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        };
        let mut action = self.action.unwrap_or_else(|| rule.action.clone());
        if VERDICTS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(&action))
        {
            action.make_ascii_uppercase();
        }
        Rule {
            enabled: self.enabled.unwrap_or(rule.enabled),
            direction: self.direction.unwrap_or(rule.direction),
            action,
            r#macro: changed(self.r#macro, &rule.r#macro),
            interface: changed(self.interface, &rule.interface),
            source: changed(self.source, &rule.source),
            dest: changed(self.dest, &rule.dest),
            proto: changed(self.proto, &rule.proto).map(|proto| proto.to_ascii_lowercase()),
            dport: changed(self.dport, &rule.dport),
            sport: changed(self.sport, &rule.sport),
            icmp_type: changed(self.icmp_type, &rule.icmp_type),
            log: changed(self.log, &rule.log),
            comment: changed(self.comment, &rule.comment),
        }
    }
}

impl Rule {
    /// Refuses what Proxmox would refuse, or take and never apply.
    pub(super) fn check(&self, level: Level) -> Result<()> {
        refuse(self.problems(level))
    }

    /// The same, but for what is wrong with an older form of the rule already:
    /// a rule that others wrote can still be switched off.
    pub(super) fn check_since(&self, old: &Self, level: Level) -> Result<()> {
        let known = old.problems(level);
        let mut problems = self.problems(level);
        problems.retain(|problem| !known.contains(problem));
        refuse(problems)
    }

    fn problems(&self, level: Level) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut wrong = |name: &str, message: String| {
            problems.push(Problem {
                pointer: format!("/{name}"),
                message,
            });
        };
        if let Some(message) = self.action_problem() {
            wrong("action", message);
        }
        if level == Level::Guest && self.direction == Direction::Forward {
            wrong("direction", "must be in, out or group for a guest".into());
        }
        if let Some(interface) = &self.interface
            && let Some(message) = interface_problem(interface, level)
        {
            wrong("interface", message.into());
        }
        if self.direction == Direction::Group {
            for (name, value) in self.conditions() {
                if value.is_some() {
                    wrong(
                        name,
                        "must be left out with direction group: the group's own rules say it"
                            .into(),
                    );
                }
            }
        } else {
            self.check_conditions(&mut wrong);
        }
        if let Some(level) = &self.log
            && !LOG_LEVELS.contains(&level.as_str())
        {
            wrong("log", format!("must be one of {}", LOG_LEVELS.join(", ")));
        }
        if let Some(comment) = &self.comment {
            if comment.chars().count() > 256 {
                wrong("comment", "must be at most 256 characters long".into());
            } else if comment.chars().any(char::is_control) {
                wrong(
                    "comment",
                    "must be one line without control characters".into(),
                );
            } else if comment == "-" {
                wrong(
                    "comment",
                    "must be more than a dash, which means none to Proxmox".into(),
                );
            }
        }
        problems
    }

    fn action_problem(&self) -> Option<String> {
        let verdicts: &[&str] = match self.direction {
            Direction::Group => {
                return (!traffic::is_name(&self.action, 18)).then(|| {
                    "must be the name of a security group with direction group: 2 to 18 letters, \
                     digits, - and _, a letter first"
                        .into()
                });
            }
            Direction::Forward => &["ACCEPT", "DROP"],
            Direction::In | Direction::Out => &VERDICTS,
        };
        (!verdicts.contains(&self.action.as_str())).then(|| {
            format!(
                "must be {} with direction {} (for a security group, give direction group)",
                verdicts.join(", "),
                self.direction.as_str()
            )
        })
    }

    /// All that says which packets are meant, except for the interface.
    fn conditions(&self) -> [(&'static str, Option<&str>); 8] {
        [
            ("macro", self.r#macro.as_deref()),
            ("source", self.source.as_deref()),
            ("dest", self.dest.as_deref()),
            ("proto", self.proto.as_deref()),
            ("dport", self.dport.as_deref()),
            ("sport", self.sport.as_deref()),
            ("icmp_type", self.icmp_type.as_deref()),
            ("log", self.log.as_deref()),
        ]
    }

    fn check_conditions(&self, wrong: &mut impl FnMut(&str, String)) {
        let proto = self.proto.as_deref().unwrap_or_default();
        if let Some(name) = &self.r#macro {
            if !(1..=128).contains(&name.len()) || !name.bytes().all(|b| b.is_ascii_alphanumeric())
            {
                wrong(
                    "macro",
                    "must be a macro's name, such as SSH or HTTPS".into(),
                );
            }
            for (name, value) in [
                ("proto", &self.proto),
                ("dport", &self.dport),
                ("sport", &self.sport),
                ("icmp_type", &self.icmp_type),
            ] {
                if value.is_some() {
                    wrong(
                        name,
                        "must be left out with a macro, which brings its own".into(),
                    );
                }
            }
        } else if self.proto.is_some() && !is_protocol(proto) {
            wrong(
                "proto",
                "must be a protocol's name or number, such as tcp, udp or icmp".into(),
            );
        }
        let mut versions = vec![match proto {
            "icmp" => Some(false),
            "icmpv6" | "ipv6-icmp" => Some(true),
            _ => None,
        }];
        for (name, value) in [("source", &self.source), ("dest", &self.dest)] {
            match value.as_deref().map(Addresses::parse) {
                Some(Ok(addresses)) => versions.push(addresses.is_v6()),
                Some(Err(message)) => wrong(name, message),
                None => {}
            }
        }
        if versions.contains(&Some(true)) && versions.contains(&Some(false)) {
            wrong(
                "source",
                "must be of one IP version with dest and proto: make a rule for each".into(),
            );
        }
        for (name, value) in [("dport", &self.dport), ("sport", &self.sport)] {
            let Some(ports) = value else { continue };
            if let Err(message) = Ports::parse(ports) {
                wrong(name, message);
            } else if self.r#macro.is_none() && !traffic::has_ports(proto) {
                wrong(
                    name,
                    "needs proto tcp, udp, sctp, dccp or udplite: no other has ports".into(),
                );
            }
        }
        if let Some(icmp_type) = &self.icmp_type
            && self.r#macro.is_none()
        {
            if !traffic::is_icmp(proto) {
                wrong("icmp_type", "needs proto icmp or ipv6-icmp".into());
            } else if !is_icmp_type(icmp_type) {
                wrong(
                    "icmp_type",
                    "must be the name or number of a type, such as echo-request".into(),
                );
            }
        }
    }

    /// What it matches.
    pub(super) fn traffic(&self) -> Traffic {
        Traffic::of(self)
    }

    /// Whether it does the same: comment and logging aside. Proxmox writes a
    /// macro's name in its own letters, whatever it was given.
    pub(super) fn does_as(&self, other: &Self) -> bool {
        let bare = |rule: &Self| Self {
            comment: None,
            log: None,
            r#macro: rule.r#macro.as_ref().map(|name| name.to_ascii_lowercase()),
            ..rule.clone()
        };
        bare(self) == bare(other)
    }

    /// Proxmox's names and values.
    fn values(&self) -> Vec<(&'static str, String)> {
        let mut values = vec![
            ("type", self.direction.as_str().to_owned()),
            ("action", self.action.clone()),
            ("enable", u8::from(self.enabled).to_string()),
        ];
        for (name, value) in [
            ("macro", &self.r#macro),
            ("iface", &self.interface),
            ("source", &self.source),
            ("dest", &self.dest),
            ("proto", &self.proto),
            ("dport", &self.dport),
            ("sport", &self.sport),
            ("icmp-type", &self.icmp_type),
            ("log", &self.log),
            ("comment", &self.comment),
        ] {
            if let Some(value) = value {
                values.push((name, value.clone()));
            }
        }
        values
    }

    /// The form that creates it.
    pub(super) fn form(&self) -> Params {
        self.values()
            .into_iter()
            .fold(Params::new(), |form, (name, value)| form.set(name, value))
    }

    /// The form that makes it of another, and what changes; none where nothing
    /// does.
    pub(super) fn difference(&self, old: &Self) -> Option<(Params, Vec<Difference>)> {
        let (before, after) = (old.values(), self.values());
        let value = |list: &[(&'static str, String)], name: &str| {
            list.iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.clone())
        };
        let mut form = Params::new();
        let mut changes = Vec::new();
        for (name, new) in &after {
            let old = value(&before, name);
            if old.as_ref() != Some(new) {
                form = form.set(*name, new);
                changes.push((*name, old, Some(new.clone())));
            }
        }
        let removed: Vec<&str> = before
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| value(&after, name).is_none())
            .collect();
        for name in &removed {
            changes.push((*name, value(&before, name), None));
        }
        if !removed.is_empty() {
            form = form.set("delete", removed.join(","));
        }
        (!changes.is_empty()).then_some((form, changes))
    }
}

/// A field, what it was, and what it is.
pub(super) type Difference = (&'static str, Option<String>, Option<String>);

/// `in ACCEPT tcp 22 from 192.0.2.0/24 (office)`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.direction.as_str(), self.action)?;
        for (word, value) in [
            (" ", &self.r#macro),
            (" ", &self.proto),
            (" ", &self.icmp_type),
            (" port ", &self.dport),
            (" from ", &self.source),
            (" source port ", &self.sport),
            (" to ", &self.dest),
            (" on ", &self.interface),
        ] {
            if let Some(value) = value {
                write!(f, "{word}{value}")?;
            }
        }
        if !self.enabled {
            f.write_str(", disabled")?;
        }
        match &self.comment {
            Some(comment) => write!(f, " ({})", crate::text::cut(comment, 60)),
            None => Ok(()),
        }
    }
}

fn refuse(problems: Vec<Problem>) -> Result<()> {
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Error::InvalidArguments(problems))
    }
}

fn interface_problem(interface: &str, level: Level) -> Option<&'static str> {
    if level == Level::Guest {
        let is_card = interface.strip_prefix("net").is_some_and(|number| {
            (1..=2).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit())
        });
        return (!is_card)
            .then_some("must be a network card of the guest by its key, such as net0");
    }
    let name = interface.split([':', '.']).next().unwrap_or_default();
    let rest = interface.get(name.len()..).unwrap_or_default();
    let fits = (2..=20).contains(&interface.len())
        && name.len() >= 2
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        && (rest.is_empty() || rest.len() > 1 && rest.bytes().skip(1).all(|b| b.is_ascii_digit()));
    (!fits).then_some("must be a network interface of the node, such as vmbr0 or eno1.20")
}

/// The shape of names in /etc/protocols, or a number.
fn is_protocol(text: &str) -> bool {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse::<u8>().is_ok();
    }
    (2..=20).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'+' | b'/'))
}

fn is_icmp_type(text: &str) -> bool {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse::<u8>().is_ok();
    }
    (2..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-')
}

#[cfg(test)]
impl Rule {
    /// `direction=out action=DROP proto=tcp dport=22`; enabled, in, ACCEPT
    /// where nothing else is said.
    pub(super) fn sample(text: &str) -> Self {
        let mut rule = Self {
            enabled: true,
            action: "ACCEPT".into(),
            ..Self::default()
        };
        for part in text.split_whitespace() {
            let (name, value) = part.split_once('=').unwrap();
            let value = value.to_owned();
            match name {
                "direction" => {
                    rule.direction = serde_json::from_value(value.into()).unwrap();
                }
                "action" => rule.action = value,
                "enabled" => rule.enabled = value == "1",
                "macro" => rule.r#macro = Some(value),
                "interface" => rule.interface = Some(value),
                "source" => rule.source = Some(value),
                "dest" => rule.dest = Some(value),
                "proto" => rule.proto = Some(value),
                "dport" => rule.dport = Some(value),
                "sport" => rule.sport = Some(value),
                "icmp_type" => rule.icmp_type = Some(value),
                "comment" => rule.comment = Some(value),
                other => panic!("{other}"),
            }
        }
        rule
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn problems(text: &str, level: Level) -> String {
        Rule::sample(text).check(level).unwrap_err().message()
    }

    #[test]
    fn a_position_that_is_missing_is_the_place_in_the_list() {
        let read = |places: &[Option<u32>]| {
            let raw: Vec<serde_json::Value> = places
                .iter()
                .map(|place| json!({"pos": place, "type": "in", "action": "DROP"}))
                .collect();
            serde_json::from_value::<Rules>(raw.into())
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
        let rules: Rules = serde_json::from_value(json!([
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

    #[test]
    fn what_proxmox_would_refuse_is_refused_first() {
        for (rule, level, says) in [
            (
                "action=NOPE",
                Level::Guest,
                "action: must be ACCEPT, DROP, REJECT with direction in",
            ),
            (
                "direction=forward",
                Level::Guest,
                "direction: must be in, out or group",
            ),
            (
                "direction=forward action=REJECT",
                Level::Node,
                "action: must be ACCEPT, DROP with",
            ),
            (
                "direction=group action=x",
                Level::Guest,
                "action: must be the name of a security group",
            ),
            (
                "direction=group action=web source=192.0.2.1",
                Level::Guest,
                "source: must be left out",
            ),
            ("dport=22", Level::Guest, "dport: needs proto tcp"),
            (
                "dport=22 proto=icmp",
                Level::Guest,
                "dport: needs proto tcp",
            ),
            (
                "macro=SSH proto=tcp",
                Level::Guest,
                "proto: must be left out with a macro",
            ),
            (
                "interface=eth0",
                Level::Guest,
                "interface: must be a network card",
            ),
            (
                "interface=0x",
                Level::Node,
                "interface: must be a network interface",
            ),
            (
                "icmp_type=echo-request proto=tcp",
                Level::Guest,
                "icmp_type: needs proto icmp",
            ),
            (
                "proto=icmp source=2001:db8::1",
                Level::Guest,
                "must be of one IP version",
            ),
            (
                "source=192.0.2.1 dest=2001:db8::1",
                Level::Guest,
                "must be of one IP version",
            ),
            (
                "proto=tcp,udp",
                Level::Guest,
                "proto: must be a protocol's name",
            ),
            (
                "comment=-",
                Level::Guest,
                "comment: must be more than a dash",
            ),
        ] {
            let message = problems(rule, level);
            assert!(message.contains(says), "{rule}: {message}");
        }
        let mut two_lines = Rule::sample("");
        two_lines.comment = Some("a\nIN ACCEPT".into());
        assert!(two_lines.check(Level::Guest).is_err());
        for (rule, level) in [
            ("proto=tcp dport=22 source=192.0.2.0/24", Level::Guest),
            (
                "direction=group action=webservers interface=net0",
                Level::Guest,
            ),
            (
                "direction=forward action=DROP interface=vmbr0",
                Level::Cluster,
            ),
            ("interface=eno1.20 macro=SSH", Level::Node),
            ("proto=ipv6-icmp icmp_type=128", Level::Guest),
            ("proto=58", Level::Guest),
            (
                "direction=out action=REJECT proto=udp dport=53,853",
                Level::Guest,
            ),
        ] {
            assert_eq!(Rule::sample(rule).check(level), Ok(()), "{rule}");
        }
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let message = problems("action=NOPE interface=eth0 source=x,y", Level::Guest);
        for part in ["action:", "interface:", "source:"] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn rules_that_do_the_same() {
        let rule = Rule::sample("macro=ssh comment=a");
        assert!(rule.does_as(&Rule::sample("macro=SSH")));
        assert!(!rule.does_as(&Rule::sample("macro=SSH enabled=0")));
        assert!(!rule.does_as(&Rule::sample("macro=SSH source=192.0.2.1")));
    }

    #[test]
    fn only_what_differs_is_sent() {
        let old = Rule::sample("proto=tcp dport=22 source=192.0.2.0/24");
        let new = Fields {
            r#macro: Some("SSH".into()),
            proto: Some(String::new()),
            dport: Some(" ".into()),
            action: Some("drop".into()),
            ..Fields::default()
        }
        .apply(&old);
        let (form, changes) = new.difference(&old).unwrap();
        assert_eq!(
            form.iter().collect::<Vec<_>>(),
            [
                ("action", "DROP"),
                ("macro", "SSH"),
                ("delete", "proto,dport")
            ]
        );
        assert_eq!(changes.len(), 4);
        assert!(new.difference(&new).is_none());
    }

    /// What the API's schema demands of each parameter.
    fn schema_takes(form: &Params) -> std::result::Result<(), String> {
        for (name, value) in form.iter() {
            let plain = |text: &str| {
                text.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            };
            let fits = match name {
                "type" => matches!(value, "in" | "out" | "forward" | "group"),
                "action" => {
                    (2..=20).contains(&value.len())
                        && value.starts_with(|c: char| c.is_ascii_alphabetic())
                        && plain(value)
                }
                "enable" => matches!(value, "0" | "1"),
                "iface" => (2..=20).contains(&value.len()),
                "macro" => value.len() <= 128,
                "source" | "dest" => value.len() <= 512,
                "log" => LOG_LEVELS.contains(&value),
                _ => true,
            };
            if !fits || value.is_empty() || value.chars().any(char::is_control) {
                return Err(format!("{name}={value}"));
            }
        }
        Ok(())
    }

    /// As a server keeps a form and sends it back.
    fn stored(form: &Params) -> Rule {
        let mut raw: serde_json::Map<String, serde_json::Value> = form
            .iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        raw.insert("pos".into(), 0.into());
        raw.insert("digest".into(), "ab".into());
        Listed::new(0, serde_json::from_value(raw.into()).unwrap()).rule
    }

    fn pick(values: &'static [&'static str]) -> impl Strategy<Value = Option<String>> {
        prop::option::of(prop::sample::select(values).prop_map(str::to_owned))
    }

    prop_compose! {
        /// Mostly right, so that many pass the check.
        fn sound()(
            direction in prop::sample::select(vec![Direction::In, Direction::Out, Direction::Forward, Direction::Group]),
            action in prop::sample::select(vec!["ACCEPT", "DROP", "REJECT", "accept", "webservers"]),
            enabled in any::<bool>(),
            service in prop_oneof![
                Just((Some("SSH"), None, None, None, None)),
                Just((None, Some("tcp"), Some("22"), None, None)),
                Just((None, Some("UDP"), Some("53,5000:6000"), Some("1024:65535"), None)),
                Just((None, Some("icmp"), None, None, Some("echo-request"))),
                Just((None, None, None, None, None)),
            ],
            interface in pick(&["net0", "net31", "vmbr0", "eno1.20"]),
            source in pick(&["192.0.2.0/24", "+admins", "dc/office", "192.0.2.1-192.0.2.9", "0.0.0.0/0"]),
            dest in pick(&["198.51.100.1", "198.51.100.0/25,192.0.2.1", "2001:db8::/32"]),
            log in pick(&["info", "nolog"]),
            comment in prop::option::of("[^\\p{Cc}]{0,40}"),
        ) -> Fields {
            let text = |text: Option<&str>| text.map(str::to_owned);
            Fields {
                direction: Some(direction), action: Some(action.into()), enabled: Some(enabled),
                r#macro: text(service.0), proto: text(service.1), dport: text(service.2),
                sport: text(service.3), icmp_type: text(service.4),
                interface, source, dest, log, comment,
            }
        }
    }

    prop_compose! {
        fn wild()(
            action in any::<String>(), name in any::<Option<String>>(), interface in any::<Option<String>>(),
            source in any::<Option<String>>(), log in any::<Option<String>>(), proto in any::<Option<String>>(), dport in any::<Option<String>>(),
            icmp_type in any::<Option<String>>(), comment in any::<Option<String>>(),
        ) -> Fields {
            Fields { action: Some(action), r#macro: name, interface, source, log, proto, dport, icmp_type, comment, ..Fields::default() }
        }
    }

    fn levels() -> impl Strategy<Value = Level> {
        prop::sample::select(vec![Level::Guest, Level::Node, Level::Cluster])
    }

    proptest! {
        #[test]
        fn any_rule_survives_the_round_trip(fields in sound(), other in sound(), level in levels()) {
            let rule = fields.apply(&Rule::default());
            if rule.check(level).is_ok() {
                let form = rule.form();
                prop_assert_eq!(schema_takes(&form), Ok(()));
                prop_assert_eq!(&stored(&form), &rule);
                let next = other.apply(&rule);
                if next.check(level).is_ok() {
                    match next.difference(&rule) {
                        None => prop_assert_eq!(&next, &rule),
                        Some((form, _)) => prop_assert_eq!(schema_takes(&form), Ok(())),
                    }
                }
            }
        }

        #[test]
        fn nothing_wild_is_sent(fields in prop_oneof![wild(), sound()], level in levels()) {
            let rule = fields.apply(&Rule::default());
            if rule.check(level).is_ok() {
                prop_assert_eq!(schema_takes(&rule.form()), Ok(()));
            }
        }
    }
}
