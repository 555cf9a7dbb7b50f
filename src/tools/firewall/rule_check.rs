//! What Proxmox would refuse of a rule, or accept and never apply.

use super::rule::{Direction, LOG_LEVELS, Rule, RuleFields, VERDICTS};
use super::target::Level;
use super::traffic;
use super::traffic::{Addresses, Ports};
use crate::error::{Error, Problem, Result};

impl RuleFields {
    /// Refuses what would be wrong in any rule, before the rules are read. Fields that
    /// are not given are assumed to be valid.
    pub(super) fn check(&self, level: Level) -> Result<()> {
        let mut fields = self.clone();
        let has_macro = fields
            .conditions
            .r#macro
            .as_deref()
            .is_some_and(|name| !name.is_empty());
        if fields.conditions.proto.is_none() && !has_macro {
            fields.conditions.icmp_type = None;
            if fields.conditions.dport.is_some() || fields.conditions.sport.is_some() {
                fields.conditions.proto = Some("tcp".into());
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
}

impl Rule {
    /// Refuses what Proxmox would refuse, or accept and never apply.
    pub(super) fn check(&self, level: Level) -> Result<()> {
        refuse(self.problems(level))
    }

    /// The same, except for what was wrong with the rule before: a faulty rule can still
    /// be disabled.
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
                        "must be left out with direction group: the group's own rules define it"
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
                    "must not be only a dash, which Proxmox reads as no value".into(),
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

    /// The fields that select packets, except for the interface.
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
        self.check_service(wrong);
        self.check_addresses(wrong);
        self.check_ports(wrong);
        self.check_icmp_type(wrong);
    }

    fn check_service(&self, wrong: &mut impl FnMut(&str, String)) {
        let Some(name) = &self.r#macro else {
            if self
                .proto
                .as_deref()
                .is_some_and(|proto| !is_protocol(proto))
            {
                wrong(
                    "proto",
                    "must be a protocol's name or number, such as tcp, udp or icmp".into(),
                );
            }
            return;
        };
        if !(1..=128).contains(&name.len()) || !name.bytes().all(|b| b.is_ascii_alphanumeric()) {
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
    }

    /// Addresses and an ICMP protocol must be of one IP version.
    fn check_addresses(&self, wrong: &mut impl FnMut(&str, String)) {
        let mut versions = vec![match self.proto.as_deref() {
            Some("icmp") => Some(false),
            Some("icmpv6" | "ipv6-icmp") => Some(true),
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
    }

    fn check_ports(&self, wrong: &mut impl FnMut(&str, String)) {
        let proto = self.proto.as_deref().unwrap_or_default();
        for (name, value) in [("dport", &self.dport), ("sport", &self.sport)] {
            let Some(ports) = value else { continue };
            if let Err(message) = Ports::parse(ports) {
                wrong(name, message);
            } else if self.r#macro.is_none() && !traffic::has_ports(proto) {
                wrong(
                    name,
                    "needs proto tcp, udp, sctp, dccp or udplite: other protocols have no ports"
                        .into(),
                );
            }
        }
    }

    fn check_icmp_type(&self, wrong: &mut impl FnMut(&str, String)) {
        let Some(icmp_type) = self.icmp_type.as_ref().filter(|_| self.r#macro.is_none()) else {
            return;
        };
        if !traffic::is_icmp(self.proto.as_deref().unwrap_or_default()) {
            wrong("icmp_type", "needs proto icmp or ipv6-icmp".into());
        } else if !is_icmp_type(icmp_type) {
            wrong(
                "icmp_type",
                "must be the name or number of a type, such as echo-request".into(),
            );
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
mod tests {
    use super::super::rule::Rule;
    use super::super::target::Level;

    fn problems(text: &str, level: Level) -> String {
        Rule::sample(text).check(level).unwrap_err().message()
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
                "comment: must not be only a dash",
            ),
        ] {
            let message = problems(rule, level);
            assert!(message.contains(says), "{rule}: {message}");
        }
        let mut two_lines = Rule::sample("");
        two_lines.comment = Some("a\nIN ACCEPT".into());
        assert!(two_lines.check(Level::Guest).is_err());
    }

    #[test]
    fn what_proxmox_accepts_passes() {
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
    fn all_problems_are_reported_at_once() {
        let message = problems("action=NOPE interface=eth0 source=x,y", Level::Guest);
        for part in ["action:", "interface:", "source:"] {
            assert!(message.contains(part), "{message}");
        }
    }
}
