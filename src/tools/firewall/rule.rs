//! A firewall rule: as Proxmox keeps it, as it is shown, and what it must be
//! before it is sent.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::arguments::RuleArguments;
use crate::json::SerializeFields;
use crate::pve::Params;

/// What a rule can do with a packet.
pub(super) const VERDICTS: [&str; 3] = ["ACCEPT", "DROP", "REJECT"];

/// The traffic that a rule matches, or the security group that it inserts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    #[default]
    In,
    Out,
    Forward,
    Group,
}

/// The log level of a match.
pub(super) const LOG_LEVELS: [&str; 9] = [
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug", "nolog",
];

/// A rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeFields, JsonSchema)]
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

/// The fields of a rule that a caller gives. Absent: unchanged.
#[derive(Debug, Clone, Default)]
pub(super) struct RuleFields {
    pub(super) direction: Option<Direction>,
    pub(super) action: Option<String>,
    pub(super) enabled: Option<bool>,
    pub(super) conditions: RuleArguments,
}

impl Direction {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
            Self::Forward => "forward",
            Self::Group => "group",
        }
    }
}

impl RuleFields {
    /// Another rule with these fields; those that are not given are unchanged.
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
        let given = self.conditions;
        Rule {
            enabled: self.enabled.unwrap_or(rule.enabled),
            direction: self.direction.unwrap_or(rule.direction),
            action,
            r#macro: changed(given.r#macro, &rule.r#macro),
            interface: changed(given.interface, &rule.interface),
            source: changed(given.source, &rule.source),
            dest: changed(given.dest, &rule.dest),
            proto: changed(given.proto, &rule.proto).map(|proto| proto.to_ascii_lowercase()),
            dport: changed(given.dport, &rule.dport),
            sport: changed(given.sport, &rule.sport),
            icmp_type: changed(given.icmp_type, &rule.icmp_type),
            log: changed(given.log, &rule.log),
            comment: changed(given.comment, &rule.comment),
        }
    }
}

impl Rule {
    /// Whether it names the same macro, security group and interface as another.
    pub(super) fn has_references_of(&self, other: &Self) -> bool {
        self.interface == other.interface
            && self.action == other.action
            && self.r#macro == other.r#macro
    }

    /// Whether it does the same: comment and logging aside. Proxmox writes a
    /// macro's name in its own spelling, whatever was sent.
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

    /// The form that changes another rule into this one, and the changes; none if there
    /// are none.
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

    use super::super::rule_list::ListedRule;
    use super::super::target::Level;

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
        let new = RuleFields {
            action: Some("drop".into()),
            conditions: RuleArguments {
                r#macro: Some("SSH".into()),
                proto: Some(String::new()),
                dport: Some(" ".into()),
                ..RuleArguments::default()
            },
            ..RuleFields::default()
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

    /// The rule as a server returns it after such a form.
    fn stored(form: &Params) -> Rule {
        let mut raw: serde_json::Map<String, serde_json::Value> = form
            .iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        raw.insert("pos".into(), 0.into());
        raw.insert("digest".into(), "ab".into());
        ListedRule::new(0, serde_json::from_value(raw.into()).unwrap()).rule
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
        ) -> RuleFields {
            let text = |text: Option<&str>| text.map(str::to_owned);
            RuleFields {
                direction: Some(direction), action: Some(action.into()), enabled: Some(enabled),
                conditions: RuleArguments {
                    r#macro: text(service.0), proto: text(service.1), dport: text(service.2),
                    sport: text(service.3), icmp_type: text(service.4),
                    interface, source, dest, log, comment, accept_lockout: None,
                },
            }
        }
    }

    prop_compose! {
        fn wild()(
            action in any::<String>(), name in any::<Option<String>>(), interface in any::<Option<String>>(),
            source in any::<Option<String>>(), log in any::<Option<String>>(), proto in any::<Option<String>>(), dport in any::<Option<String>>(),
            icmp_type in any::<Option<String>>(), comment in any::<Option<String>>(),
        ) -> RuleFields {
            let conditions = RuleArguments { r#macro: name, interface, source, log, proto, dport, icmp_type, comment, ..RuleArguments::default() };
            RuleFields { action: Some(action), conditions, ..RuleFields::default() }
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
