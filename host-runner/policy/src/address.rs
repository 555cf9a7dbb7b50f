//! The addresses that a node fetches from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Why a node must not fetch from an address, if it must not: what answers
/// there trusts the node for being near.
pub(crate) fn forbids(address: &str) -> Option<&'static str> {
    // What cannot be read has no place in the table either.
    let url = Url::parse(address).ok()?;
    let near = match url.host()? {
        Host::Domain(name) => is_near_name(name),
        Host::Ipv4(address) => is_near(address),
        Host::Ipv6(address) => is_near6(address),
    };
    near.then_some("it would make a node fetch from itself, its local link or a metadata service")
}

/// The host of an address, in lower case.
pub(crate) fn host(address: &str) -> Option<String> {
    let url = Url::parse(address).ok()?;
    let host = url.host_str()?.trim_end_matches('.');
    Some(host.to_ascii_lowercase())
}

fn is_near_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let first = name.split('.').next().unwrap_or_default();
    name.rsplit('.').next() == Some("localhost")
        || matches!(
            first,
            "localhost"
                | "localhost4"
                | "localhost6"
                | "ip6-localhost"
                | "ip6-loopback"
                | "metadata"
                | "instance-data"
        )
        || name.parse::<IpAddr>().is_ok_and(|address| match address {
            IpAddr::V4(address) => is_near(address),
            IpAddr::V6(address) => is_near6(address),
        })
}

fn is_near(address: Ipv4Addr) -> bool {
    // Services of clouds that are not link-local.
    const METADATA: [Ipv4Addr; 3] = [
        Ipv4Addr::new(100, 100, 100, 200),
        Ipv4Addr::new(168, 63, 129, 16),
        Ipv4Addr::new(192, 0, 0, 192),
    ];
    address.octets().first() == Some(&0)
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_multicast()
        || METADATA.contains(&address)
}

fn is_near6(address: Ipv6Addr) -> bool {
    let [first, second, third, .., seventh, eighth] = address.segments();
    let embedded = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        is_near(Ipv4Addr::new(a, b, c, d))
    };
    address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || first & 0xffc0 == 0xfe80
        // The metadata service of Amazon.
        || address == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
        // IPv4 in IPv6: mapped, compatible, translated, NAT64 and 6to4.
        || (first == 0 && embedded(seventh, eighth))
        || (first == 0x64 && second == 0xff9b && embedded(seventh, eighth))
        || (first == 0x2002 && embedded(second, third))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_a_node_is_not_fetched() {
        for host in [
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "localhost.localdomain",
            "ip6-localhost",
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "017700000001",
            "0177.0.0.1",
            "127.0.0.1.",
            "0.0.0.0",
            "0",
            "169.254.169.254",
            "2852039166",
            "0xa9.0xfe.0xa9.0xfe",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:a9fe:a9fe]",
            "[::127.0.0.1]",
            "[fe80::1]",
            "[febf::1]",
            "[ff02::1]",
            "[fd00:ec2::254]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:7f00:1::]",
            "[::ffff:0:127.0.0.1]",
            "metadata.google.internal",
            "100.100.100.200",
            "user:pw@127.0.0.1",
            "127.0.0.1:8006",
            "224.0.0.1",
        ] {
            for scheme in ["http", "https", "HTTP"] {
                let url = format!("{scheme}://{host}/latest");
                assert!(forbids(&url).is_some(), "{url}");
            }
        }
        for host in [
            "example.com",
            "192.0.2.1",
            "10.0.0.5",
            "[2001:db8::1]",
            "localhosts.example.com",
            "127.0.0.1@example.com",
            "mirror.localhost.example.com",
        ] {
            let url = format!("https://{host}/a.iso");
            assert_eq!(forbids(&url), None, "{url}");
        }
    }
}
