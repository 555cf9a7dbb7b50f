//! The options of a firewall: the values that Proxmox accepts, and its defaults.

use std::collections::BTreeMap;

use serde_json::Value;

use super::owner::Owner;
use super::rule;
use super::target::Level;
use crate::error::{Error, Result};
use crate::order::Ordered as _;
use crate::pve::{Failure, Params, Pve};
use crate::text;

/// One option that is to be set.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OptionChange {
    /// The argument's name.
    pub(super) argument: &'static str,
    /// Proxmox's name.
    pub(super) name: &'static str,
    pub(super) value: String,
}

/// What an option's value must be.
#[derive(Debug, Clone, Copy)]
enum OptionType {
    Flag,
    Policy(&'static [&'static str]),
    LogLevel,
    /// Least and greatest value.
    Number(u32, u32),
}

const GUEST: &[Level] = &[Level::Guest];
const NODE: &[Level] = &[Level::Node];
const CLUSTER: &[Level] = &[Level::Cluster];
const GUEST_AND_NODE: &[Level] = &[Level::Guest, Level::Node];
const GUEST_AND_CLUSTER: &[Level] = &[Level::Guest, Level::Cluster];

/// Proxmox's options, their values, and the levels that have them.
const OPTIONS: &[(&str, OptionType, &[Level])] = &[
    (
        "enable",
        OptionType::Flag,
        &[Level::Guest, Level::Node, Level::Cluster],
    ),
    (
        "policy_in",
        OptionType::Policy(&["ACCEPT", "REJECT", "DROP"]),
        GUEST_AND_CLUSTER,
    ),
    (
        "policy_out",
        OptionType::Policy(&["ACCEPT", "REJECT", "DROP"]),
        GUEST_AND_CLUSTER,
    ),
    (
        "policy_forward",
        OptionType::Policy(&["ACCEPT", "DROP"]),
        CLUSTER,
    ),
    ("dhcp", OptionType::Flag, GUEST),
    ("macfilter", OptionType::Flag, GUEST),
    ("ipfilter", OptionType::Flag, GUEST),
    ("radv", OptionType::Flag, GUEST),
    ("ndp", OptionType::Flag, GUEST_AND_NODE),
    ("log_level_in", OptionType::LogLevel, GUEST_AND_NODE),
    ("log_level_out", OptionType::LogLevel, GUEST_AND_NODE),
    ("log_level_forward", OptionType::LogLevel, NODE),
    ("ebtables", OptionType::Flag, CLUSTER),
    ("nftables", OptionType::Flag, NODE),
    ("nosmurfs", OptionType::Flag, NODE),
    ("smurf_log_level", OptionType::LogLevel, NODE),
    ("tcpflags", OptionType::Flag, NODE),
    ("tcp_flags_log_level", OptionType::LogLevel, NODE),
    ("protection_synflood", OptionType::Flag, NODE),
    (
        "protection_synflood_rate",
        OptionType::Number(1, 1_000_000),
        NODE,
    ),
    (
        "protection_synflood_burst",
        OptionType::Number(1, 1_000_000),
        NODE,
    ),
    ("log_nf_conntrack", OptionType::Flag, NODE),
    ("nf_conntrack_allow_invalid", OptionType::Flag, NODE),
    (
        "nf_conntrack_max",
        OptionType::Number(32_768, u32::MAX),
        NODE,
    ),
    (
        "nf_conntrack_tcp_timeout_established",
        OptionType::Number(7_875, u32::MAX),
        NODE,
    ),
    (
        "nf_conntrack_tcp_timeout_syn_recv",
        OptionType::Number(30, 60),
        NODE,
    ),
];

impl OptionChange {
    /// Checks an option's name and value. `argument` is the argument that it was
    /// given as, none for `more`. Fails if a firewall of this level has no such option.
    pub(super) fn of(
        argument: Option<&'static str>,
        name: &str,
        value: &str,
        level: Level,
    ) -> Result<Self> {
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

impl OptionType {
    /// A value in Proxmox's form, or what it must be instead.
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

/// The options that are set.
#[derive(Debug, Clone, Default)]
pub(super) struct Options(pub(super) BTreeMap<String, String>);

impl Options {
    pub(super) fn read(pve: &Pve, owner: &Owner) -> Result<Self, Failure> {
        let raw: BTreeMap<String, Value> = pve.send(&owner.options(), &Params::new())?;
        Ok(Self(
            raw.into_iter()
                .filter_map(|(name, value)| match value {
                    Value::String(text) => Some((name, text)),
                    Value::Number(number) => Some((name, number.to_string())),
                    Value::Bool(flag) => Some((name, u8::from(flag).to_string())),
                    _ => None,
                })
                .ordered(),
        ))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether the firewall's own switch is on. That of the cluster is a
    /// time instead of 1 if the web interface enabled it.
    pub(super) fn is_on(&self, level: Level) -> bool {
        self.get("enable")
            .or(default_of(level, "enable"))
            .is_some_and(|value| value != "0")
    }
}

/// Proxmox's default for an option that is not set; none if it is not
/// known.
pub(super) fn default_of(level: Level, name: &str) -> Option<&'static str> {
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
        .any(|(known, values, _)| *known == name && matches!(values, OptionType::Flag))
}

/// A value for comparisons and reports. For a flag, any number but 0 is true:
/// the web interface writes a time to switch on the cluster's firewall.
pub(super) fn display_value(name: &str, value: &str) -> String {
    match value {
        "0" if is_flag(name) => "false".into(),
        _ if is_flag(name) => "true".into(),
        other => other.into(),
    }
}

/// The argument's name for a field of Proxmox.
pub(super) fn argument_of(name: &str) -> &str {
    match name {
        "type" => "direction",
        "enable" => "enabled",
        "iface" => "interface",
        "icmp-type" => "icmp_type",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_and_their_defaults() {
        let on = |level, value: Option<&str>| {
            let values = value.map(|value| ("enable".to_owned(), value.to_owned()));
            Options(values.into_iter().collect()).is_on(level)
        };
        assert!(!on(Level::Guest, None) && !on(Level::Cluster, None) && on(Level::Node, None));
        assert!(on(Level::Cluster, Some("1795338154")) && !on(Level::Node, Some("0")));
        assert_eq!(display_value("enable", "1795338154"), "true");
        assert_eq!(display_value("nf_conntrack_max", "0"), "0");
    }
}
