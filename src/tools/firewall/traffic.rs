//! What a rule matches: addresses, protocols and ports as sets, so that rules
//! can be compared.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::rule::Rule;
use crate::order;

/// Addresses of a rule's source or destination.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Addresses {
    /// Not restricted.
    Any,
    /// Inclusive ranges, all of one IP version.
    Ranges { v6: bool, ranges: Vec<(u128, u128)> },
    /// An alias, or an IP set with a leading `+`.
    Named(String),
}

/// Ports of a rule.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Ports {
    Any,
    Ranges(Vec<(u16, u16)>),
    /// Some of them are services whose numbers are not known here.
    Named(String),
}

/// A protocol with its ports.
#[derive(Debug, Clone, PartialEq)]
struct Flow {
    /// Absent: any protocol.
    proto: Option<String>,
    dport: Ports,
    sport: Ports,
    icmp_type: Option<String>,
}

/// All that a rule matches.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Traffic {
    interface: Option<String>,
    pub(super) source: Addresses,
    pub(super) dest: Addresses,
    flows: Flows,
}

#[derive(Debug, Clone, PartialEq)]
enum Flows {
    Known(Vec<Flow>),
    /// A macro that is not known here.
    Macro(String),
}

/// Protocols that have ports, as Proxmox counts them.
const WITH_PORTS: [&str; 10] = [
    "tcp", "udp", "udplite", "dccp", "sctp", "6", "17", "136", "33", "132",
];

/// Proxmox's macros that matter for an audit, with their protocols and destination
/// ports.
const MACROS: &[(&str, &[(&str, &str)])] = &[
    ("DNS", &[("udp", "53"), ("tcp", "53")]),
    ("FTP", &[("tcp", "21")]),
    ("HTTP", &[("tcp", "80")]),
    ("HTTPS", &[("tcp", "443")]),
    ("IMAP", &[("tcp", "143")]),
    ("IMAPS", &[("tcp", "993")]),
    ("LDAP", &[("tcp", "389")]),
    ("LDAPS", &[("tcp", "636")]),
    ("MSSQL", &[("tcp", "1433")]),
    ("Mail", &[("tcp", "25"), ("tcp", "465"), ("tcp", "587")]),
    ("MySQL", &[("tcp", "3306")]),
    ("NTP", &[("udp", "123")]),
    ("OpenVPN", &[("udp", "1194")]),
    ("POP3", &[("tcp", "110")]),
    ("POP3S", &[("tcp", "995")]),
    ("PostgreSQL", &[("tcp", "5432")]),
    ("RDP", &[("tcp", "3389")]),
    ("Rsync", &[("tcp", "873")]),
    ("SMTP", &[("tcp", "25")]),
    ("SMTPS", &[("tcp", "465")]),
    ("SNMP", &[("udp", "161:162"), ("tcp", "161")]),
    ("SSH", &[("tcp", "22")]),
    ("Squid", &[("tcp", "3128")]),
    ("Submission", &[("tcp", "587")]),
    ("Syslog", &[("udp", "514"), ("tcp", "514")]),
    ("TFTP", &[("udp", "69")]),
    ("Telnet", &[("tcp", "23")]),
    ("VNC", &[("tcp", "5900:5999")]),
    ("Web", &[("tcp", "80"), ("tcp", "443")]),
    ("Webcache", &[("tcp", "8080")]),
    ("Webmin", &[("tcp", "10000")]),
];

/// Names of services that people write for ports.
const SERVICES: &[(&str, u16)] = &[
    ("domain", 53),
    ("ftp", 21),
    ("http", 80),
    ("https", 443),
    ("imap2", 143),
    ("imaps", 993),
    ("ldap", 389),
    ("ldaps", 636),
    ("microsoft-ds", 445),
    ("ms-sql-s", 1433),
    ("ms-wbt-server", 3389),
    ("mysql", 3306),
    ("ntp", 123),
    ("postgresql", 5432),
    ("redis", 6379),
    ("smtp", 25),
    ("snmp", 161),
    ("ssh", 22),
    ("submission", 587),
    ("sunrpc", 111),
    ("telnet", 23),
];

/// Whether a protocol has ports.
pub(super) fn has_ports(proto: &str) -> bool {
    WITH_PORTS.contains(&proto)
}

/// Whether a protocol has ICMP types.
pub(super) fn is_icmp(proto: &str) -> bool {
    matches!(proto, "icmp" | "icmpv6" | "ipv6-icmp")
}

impl Addresses {
    /// Reads a source or destination as Proxmox does, or returns why Proxmox would not
    /// accept it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > 512 {
            return Err(
                "must be at most 512 characters long: put the addresses into an IP set".into(),
            );
        }
        if let Some(set) = text.strip_prefix('+') {
            let name = ["dc/", "guest/", "sdn/"]
                .iter()
                .find_map(|scope| set.strip_prefix(scope))
                .unwrap_or(set);
            if !is_name(name, 64) {
                return Err(
                    "must name an IP set by + and letters, digits, - and _, such as +management \
                     or +dc/management"
                        .into(),
                );
            }
            return Ok(Self::Named(text.to_owned()));
        }
        let bare = text
            .strip_prefix("dc/")
            .or_else(|| text.strip_prefix("guest/"))
            .unwrap_or(text);
        // An IPv6 address may start with a letter; an alias has no colon.
        if bare.starts_with(|c: char| c.is_ascii_alphabetic()) && !text.contains(':') {
            if !is_name(bare, 64) {
                return Err(
                    "must be addresses, or name one alias by letters, digits, - and _ (aliases \
                     cannot be in a list)"
                        .into(),
                );
            }
            return Ok(Self::Named(text.to_ascii_lowercase()));
        }
        let parts: Vec<&str> = text.split(',').collect();
        let mut ranges = Vec::with_capacity(parts.len());
        let mut version = None;
        for part in &parts {
            if part.contains('-') && parts.len() > 1 {
                return Err(
                    "must not contain a range a-b in a list: make a rule for each range".into(),
                );
            }
            let (v6, range) = range(part)?;
            if version.is_some_and(|known| known != v6) {
                return Err("must not mix IPv4 and IPv6: make a rule for each".into());
            }
            version = Some(v6);
            ranges.push(range);
        }
        Ok(Self::Ranges {
            v6: version.unwrap_or(false),
            ranges,
        })
    }

    /// The IP version, if it is limited to one.
    pub(super) fn is_v6(&self) -> Option<bool> {
        match self {
            Self::Ranges { v6, .. } => Some(*v6),
            Self::Any | Self::Named(_) => None,
        }
    }

    /// A whole IP version is named; "every address" if it is not restricted at all.
    pub(super) fn world(&self) -> Option<&'static str> {
        match self {
            Self::Any => Some("every address"),
            Self::Ranges { v6: false, ranges } => contained(ranges, (0, u128::from(u32::MAX)))
                .then_some("every IPv4 address (0.0.0.0/0)"),
            Self::Ranges { v6: true, ranges } => {
                contained(ranges, (0, u128::MAX)).then_some("every IPv6 address (::/0)")
            }
            Self::Named(_) => None,
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Named(a), Self::Named(b)) => a == b,
            (
                Self::Ranges { v6: a, ranges },
                Self::Ranges {
                    v6: b,
                    ranges: inner,
                },
            ) => a == b && inner.iter().all(|range| contained(ranges, *range)),
            _ => false,
        }
    }
}

impl Ports {
    /// Reads ports as Proxmox does, or returns why Proxmox would not accept them.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut ranges = Vec::new();
        let mut known = true;
        let mut numbers = 0;
        let port = |text: &str| -> Result<u16, String> {
            text.parse()
                .map_err(|_| format!("must contain ports from 0 to 65535, not {text}"))
        };
        for part in text.split(',') {
            if let Some((low, high)) = part.split_once(':') {
                if !is_number(low) || !is_number(high) {
                    return Err("must write a range of ports as 80:85".into());
                }
                let (low, high) = (port(low)?, port(high)?);
                if low > high {
                    return Err(format!("must write the lower port first: {high}:{low}"));
                }
                numbers += 2;
                ranges.push((low, high));
            } else if is_number(part) {
                numbers += 1;
                let number = port(part)?;
                ranges.push((number, number));
            } else if is_service(part) {
                numbers += 1;
                match SERVICES.iter().find(|(name, _)| *name == part) {
                    Some((_, number)) => ranges.push((*number, *number)),
                    None => known = false,
                }
            } else if part.contains('-') {
                return Err("must write a range of ports as 80:85, with a colon".into());
            } else {
                return Err(
                    "must be ports by comma: numbers, ranges such as 80:85, names of services \
                     such as https"
                        .into(),
                );
            }
        }
        if numbers > 15 {
            return Err("must contain at most 15 numbers, where a range counts as two".into());
        }
        Ok(if known {
            Self::Ranges(ranges)
        } else {
            Self::Named(text.to_owned())
        })
    }

    fn of(text: Option<&str>) -> Self {
        match text {
            None => Self::Any,
            Some(text) => Self::parse(text).unwrap_or_else(|_| Self::Named(text.to_owned())),
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Named(a), Self::Named(b)) => a == b,
            (Self::Ranges(ranges), Self::Ranges(inner)) => inner.iter().all(|(low, high)| {
                contained(
                    &ranges
                        .iter()
                        .map(|(low, high)| (u128::from(*low), u128::from(*high)))
                        .collect::<Vec<_>>(),
                    (u128::from(*low), u128::from(*high)),
                )
            }),
            _ => false,
        }
    }

    fn holds(&self, port: u16) -> bool {
        match self {
            Self::Any => true,
            Self::Ranges(ranges) => ranges
                .iter()
                .any(|(low, high)| (*low..=*high).contains(&port)),
            Self::Named(_) => false,
        }
    }
}

impl Flow {
    fn covers(&self, other: &Self) -> bool {
        (self.proto.is_none() || self.proto == other.proto)
            && self.dport.covers(&other.dport)
            && self.sport.covers(&other.sport)
            && (self.icmp_type.is_none() || self.icmp_type == other.icmp_type)
    }
}

impl Traffic {
    /// What a rule matches. A value that cannot be read counts as a name.
    pub(super) fn of(rule: &Rule) -> Self {
        let addresses = |text: &Option<String>| match text {
            None => Addresses::Any,
            Some(text) => Addresses::parse(text).unwrap_or_else(|_| Addresses::Named(text.clone())),
        };
        let flows = match &rule.r#macro {
            Some(name) => macro_flows(name, rule),
            None => Flows::Known(vec![Flow {
                proto: rule.proto.as_deref().map(canonical),
                dport: Ports::of(rule.dport.as_deref()),
                sport: Ports::of(rule.sport.as_deref()),
                icmp_type: rule.icmp_type.clone(),
            }]),
        };
        Self {
            interface: rule.interface.clone(),
            source: addresses(&rule.source),
            dest: addresses(&rule.dest),
            flows,
        }
    }

    /// Whether it matches all that the other matches.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let flows = match (&self.flows, &other.flows) {
            (Flows::Known(mine), Flows::Known(theirs)) => theirs
                .iter()
                .all(|flow| mine.iter().any(|one| one.covers(flow))),
            (Flows::Known(mine), Flows::Macro(_)) => mine.iter().any(Flow::is_everything),
            (Flows::Macro(a), Flows::Macro(b)) => a == b,
            (Flows::Macro(_), Flows::Known(_)) => false,
        };
        flows
            && (self.interface.is_none() || self.interface == other.interface)
            && self.source.covers(&other.source)
            && self.dest.covers(&other.dest)
    }

    /// Whether it matches any protocol and port, whatever the addresses.
    pub(super) fn is_every_service(&self) -> bool {
        matches!(&self.flows, Flows::Known(flows) if flows.iter().any(Flow::is_everything))
    }

    /// Whether it matches connections to a port.
    pub(super) fn reaches(&self, proto: &str, port: u16) -> bool {
        matches!(&self.flows, Flows::Known(flows) if flows.iter().any(|flow| {
            flow.proto.as_deref().is_none_or(|own| own == proto) && flow.dport.holds(port)
        }))
    }

    /// Whether it matches such connections from everyone, by every interface.
    pub(super) fn reaches_from_all(&self, proto: &str, port: u16) -> bool {
        let everyone = self.interface.is_none()
            && self.source.world().is_some()
            && self.dest.world().is_some();
        everyone
            && matches!(&self.flows, Flows::Known(flows) if flows.iter().any(|flow| {
                flow.proto.as_deref().is_none_or(|own| own == proto)
                    && flow.dport.holds(port)
                    && flow.sport == Ports::Any
            }))
    }
}

impl Flow {
    fn is_everything(&self) -> bool {
        self.proto.is_none() && self.dport == Ports::Any && self.sport == Ports::Any
    }
}

fn macro_flows(name: &str, rule: &Rule) -> Flows {
    let known = MACROS
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name));
    match known {
        Some((_, flows)) => Flows::Known(
            flows
                .iter()
                .map(|(proto, dport)| Flow {
                    proto: Some((*proto).to_owned()),
                    dport: Ports::of(Some(dport)),
                    sport: Ports::of(rule.sport.as_deref()),
                    icmp_type: None,
                })
                .collect(),
        ),
        None => Flows::Macro(name.to_ascii_lowercase()),
    }
}

/// One name for each protocol.
fn canonical(proto: &str) -> String {
    match proto {
        "1" => "icmp",
        "6" => "tcp",
        "17" => "udp",
        "58" | "ipv6-icmp" => "icmpv6",
        "132" => "sctp",
        other => other,
    }
    .to_owned()
}

/// An address, a network or a range, as numbers.
fn range(text: &str) -> Result<(bool, (u128, u128)), String> {
    let wrong = || {
        "must be an IP address, a network such as 192.0.2.0/24, a range such as \
         192.0.2.10-192.0.2.20, a list of addresses and networks by comma, an alias, or an IP set \
         such as +admins"
            .to_owned()
    };
    if let Some((low, high)) = text.split_once('-') {
        let low: IpAddr = low.parse().map_err(|_| wrong())?;
        let high: IpAddr = high.parse().map_err(|_| wrong())?;
        if low.is_ipv6() != high.is_ipv6() {
            return Err("must not mix IPv4 and IPv6 in a range".into());
        }
        let (from, to) = (number(low), number(high));
        if from > to {
            return Err(format!("must write the lower address first: {high}-{low}"));
        }
        return Ok((low.is_ipv6(), (from, to)));
    }
    let Some((address, length)) = text.split_once('/') else {
        let address: IpAddr = text.parse().map_err(|_| wrong())?;
        return Ok((address.is_ipv6(), (number(address), number(address))));
    };
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let bits: u32 = if address.is_ipv6() { 128 } else { 32 };
    if !is_number(length) {
        return Err(wrong());
    }
    let length: u32 = length
        .parse()
        .ok()
        .filter(|length| *length <= bits)
        .ok_or_else(|| format!("must have a prefix length from 0 to {bits}"))?;
    let host = match bits - length {
        128 => u128::MAX,
        free => (1u128 << free) - 1,
    };
    let low = number(address);
    if low & host != 0 {
        let network = low & !host;
        let network = if address.is_ipv6() {
            IpAddr::V6(Ipv6Addr::from(network))
        } else {
            IpAddr::V4(Ipv4Addr::from(u32::try_from(network).unwrap_or_default()))
        };
        return Err(format!(
            "must not have bits set behind the prefix: {network}/{length} is the network, {address} \
             the single address"
        ));
    }
    Ok((address.is_ipv6(), (low, low | host)))
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

/// Whether ranges, joined where they touch, hold a range whole.
fn contained(ranges: &[(u128, u128)], inner: (u128, u128)) -> bool {
    let mut sorted = ranges.to_vec();
    order::by(&mut sorted, Ord::cmp);
    let mut next = inner.0;
    for (low, high) in sorted {
        if low > next {
            return false;
        }
        if high >= inner.1 {
            return true;
        }
        next = next.max(high.saturating_add(1));
    }
    false
}

/// A name as Proxmox gives it to aliases, IP sets and security groups.
pub(super) fn is_name(text: &str, most: usize) -> bool {
    (2..=most).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

fn is_service(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text.bytes().any(|b| b.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'+'))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

impl Rule {
    /// What it matches.
    pub(super) fn traffic(&self) -> Traffic {
        Traffic::of(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use super::super::rule::Rule;

    #[test]
    fn addresses_as_proxmox_takes_them() {
        for good in [
            "192.0.2.1",
            "192.0.2.0/24",
            "0.0.0.0/0",
            "::/0",
            "2001:db8::/32",
            "fe80::1",
            "192.0.2.10-192.0.2.20",
            "192.0.2.1,198.51.100.0/24",
            "+admins",
            "+dc/admins",
            "+guest/ipfilter-net0",
            "+sdn/vnet0-all",
            "office",
            "dc/office",
            "guest/Office_1",
        ] {
            assert!(Addresses::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "192.0.2.5/24",
            "192.0.2.0/33",
            "192.0.2.0/-1",
            "300.0.2.1",
            "192.0.2",
            "a",
            "+x y",
            "+",
            "office,home",
            "192.0.2.1, 192.0.2.2",
            "192.0.2.1,2001:db8::1",
            "192.0.2.1,",
            "192.0.2.1-192.0.2.5,192.0.2.9",
            "192.0.2.9-192.0.2.1",
            "192.0.2.1-2001:db8::1",
            "dc/",
            "+dc/",
            "+any/",
            "192.0.2.0/+4",
            "1office",
            "192.0.2.1/24 -j ACCEPT",
        ] {
            assert!(Addresses::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(
            Addresses::parse("192.0.2.5/24").unwrap_err(),
            "must not have bits set behind the prefix: 192.0.2.0/24 is the network, 192.0.2.5 the \
             single address"
        );
    }

    #[test]
    fn the_world() {
        for text in [
            "0.0.0.0/0",
            "0.0.0.0/1,128.0.0.0/1",
            "0.0.0.0-255.255.255.255",
            "::/0",
        ] {
            assert!(Addresses::parse(text).unwrap().world().is_some(), "{text}");
        }
        for text in ["0.0.0.0/1", "office", "+admins", "2000::/3"] {
            assert!(Addresses::parse(text).unwrap().world().is_none(), "{text}");
        }
    }

    #[test]
    fn ports_as_proxmox_takes_them() {
        for good in [
            "22",
            "80,443",
            "5900:5999",
            "ssh",
            "0",
            "65535",
            "80,https,8000:8100",
        ] {
            assert!(Ports::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "", "65536", "80-85", "85:80", "80,", ":80", "80:", "1:2:3", "-1", "a b", "80;81",
        ] {
            assert!(Ports::parse(bad).is_err(), "{bad}");
        }
        let sixteen = (1..=16)
            .map(|n| n.to_string())
            .collect::<Vec<_>>()
            .join(",");
        assert!(Ports::parse(&sixteen).is_err());
        assert_eq!(Ports::parse("ssh").unwrap(), Ports::Ranges(vec![(22, 22)]));
    }

    fn traffic(text: &str) -> Traffic {
        Traffic::of(&Rule::sample(text))
    }

    #[test]
    fn coverage() {
        for (outer, inner) in [
            ("", "proto=tcp dport=22"),
            ("proto=tcp", "macro=SSH"),
            ("macro=SSH", "proto=tcp dport=22 source=192.0.2.1"),
            ("macro=Web", "macro=HTTPS"),
            ("proto=tcp dport=80:90", "proto=6 dport=80,85:90"),
            ("source=192.0.2.0/24", "source=192.0.2.7,192.0.2.128/25"),
            ("source=192.0.2.0/25,192.0.2.128/25", "source=192.0.2.0/24"),
            ("source=+admins", "source=+admins proto=udp"),
            ("", "macro=Citrix"),
            ("proto=icmp", "proto=icmp icmp_type=echo-request"),
        ] {
            assert!(
                traffic(outer).covers(&traffic(inner)),
                "{outer} over {inner}"
            );
        }
        for (outer, inner) in [
            ("proto=tcp dport=22", ""),
            ("proto=udp dport=22", "proto=tcp dport=22"),
            ("interface=net0", ""),
            ("interface=net0", "interface=net1"),
            ("source=+admins", "source=192.0.2.1"),
            ("source=0.0.0.0/0", ""),
            ("source=0.0.0.0/0", "source=::/0"),
            ("macro=Citrix", "proto=tcp dport=1494"),
            ("proto=tcp dport=22 sport=1024:65535", "proto=tcp dport=22"),
            ("proto=tcp dport=80:85", "proto=tcp dport=80:86"),
        ] {
            assert!(
                !traffic(outer).covers(&traffic(inner)),
                "{outer} not over {inner}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_text_is_read_or_refused(text in any::<String>()) {
            let _ = (Addresses::parse(&text), Ports::parse(&text));
        }

        #[test]
        fn everything_covers_itself(low in any::<u16>(), length in 0u32..=32, address in any::<u32>()) {
            let network = if length == 0 { 0 } else { address & (u32::MAX << (32 - length)) };
            let text = format!("{}/{length}", Ipv4Addr::from(network));
            let addresses = Addresses::parse(&text).unwrap();
            prop_assert!(addresses.covers(&addresses));
            prop_assert!(Addresses::Any.covers(&addresses));
            prop_assert_eq!(addresses.world().is_some(), length == 0);
            let single = Addresses::parse(&Ipv4Addr::from(address).to_string()).unwrap();
            prop_assert!(addresses.covers(&single));
            let ports = Ports::parse(&format!("{low}:65535")).unwrap();
            prop_assert!(ports.holds(low) && ports.covers(&ports));
        }
    }
}
