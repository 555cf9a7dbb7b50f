//! The addresses of a network card: `ip=192.0.2.5/24,gw=192.0.2.1,ip6=auto`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use schemars::JsonSchema;

use crate::error::{Error, Result};
use crate::json::{DeserializeFields, SerializeFields};
use crate::pve::{GuestConfig, Properties};

/// How a network card gets its addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, SerializeFields, JsonSchema)]
pub(crate) struct NicAddress {
    /// The card: `net0`.
    pub(crate) nic: String,
    /// A CIDR or `dhcp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ipv4: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ipv4_gateway: Option<String>,
    /// A CIDR, `dhcp` or `auto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ipv6: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ipv6_gateway: Option<String>,
}

impl NicAddress {
    /// What a configuration says for a card.
    pub(crate) fn of(config: &GuestConfig, nic: &str) -> Self {
        let key = nic.replacen("net", "ipconfig", 1);
        Self::parse(nic, config.get(&key).unwrap_or_default())
    }

    /// Reads the value of `ipconfig0`.
    pub(super) fn parse(nic: &str, text: &str) -> Self {
        let properties = Properties::parse(text);
        let own = |key: &str| properties.get(key).map(str::to_owned);
        Self {
            nic: nic.to_owned(),
            ipv4: own("ip"),
            ipv4_gateway: own("gw"),
            ipv6: own("ip6"),
            ipv6_gateway: own("gw6"),
        }
    }
}

/// Addresses for a network card. Values that are not given stay.
#[derive(Debug, Clone, Default, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AddressArguments {
    /// net0 to net31.
    #[schemars(length(min = 4, max = 5))]
    nic: String,
    /// CIDR, dhcp or none.
    ipv4: Option<String>,
    /// Address or none.
    ipv4_gateway: Option<String>,
    /// CIDR, dhcp, auto or none.
    ipv6: Option<String>,
    /// Address or none.
    ipv6_gateway: Option<String>,
}

/// Checked addresses of a network card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AddressPlan {
    pub(super) nic: String,
    v4: Family,
    v6: Family,
}

/// Changes to the address and gateway of one IP version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Family {
    address: Option<AddressChange>,
    gateway: Option<AddressChange>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum AddressChange {
    Set(String),
    Remove,
}

impl AddressArguments {
    /// Checks the addresses. `index` is their position in the list of arguments.
    pub(super) fn check(&self, index: usize) -> Result<AddressPlan> {
        let at = |name: &str| format!("addresses/{index}/{name}");
        if !is_nic(&self.nic) {
            return Err(Error::argument(
                &at("nic"),
                "must be a network card of the guest, such as net0",
            ));
        }
        let given = [
            &self.ipv4,
            &self.ipv4_gateway,
            &self.ipv6,
            &self.ipv6_gateway,
        ];
        if given.iter().all(|value| value.is_none()) {
            return Err(Error::argument(
                &format!("addresses/{index}"),
                "must give at least one of ipv4, ipv4_gateway, ipv6 and ipv6_gateway",
            ));
        }
        let ipv4 = self.ipv4.as_deref().map(|value| {
            address(value, &["dhcp"], 32)
                .ok_or_else(|| wrong_address(&at("ipv4"), "192.0.2.10/24", "dhcp"))
        });
        let ipv4 = ipv4.transpose()?;
        let ipv6 = self.ipv6.as_deref().map(|value| {
            address(value, &["dhcp", "auto"], 128)
                .ok_or_else(|| wrong_address(&at("ipv6"), "2001:db8::10/64", "dhcp, auto"))
        });
        let ipv6 = ipv6.transpose()?;
        let gateway =
            |name: &str, value: &Option<String>, v6: bool, address: &Option<AddressChange>| {
                let gateway = value
                    .as_deref()
                    .map(|value| gateway(value, v6, address.as_ref()));
                gateway
                    .transpose()
                    .map_err(|message| Error::argument(&at(name), message))
            };
        Ok(AddressPlan {
            nic: self.nic.clone(),
            v4: Family {
                gateway: gateway("ipv4_gateway", &self.ipv4_gateway, false, &ipv4)?,
                address: ipv4,
            },
            v6: Family {
                gateway: gateway("ipv6_gateway", &self.ipv6_gateway, true, &ipv6)?,
                address: ipv6,
            },
        })
    }
}

/// Reads an address: `none`, one of `words`, or a CIDR with a prefix of at most `bits`
/// bits. None if it is something else.
fn address(value: &str, words: &[&str], bits: u8) -> Option<AddressChange> {
    match value.trim() {
        "none" => Some(AddressChange::Remove),
        value if words.contains(&value) || is_cidr(value, bits) => {
            Some(AddressChange::Set(value.to_owned()))
        }
        _ => None,
    }
}

fn wrong_address(argument: &str, example: &str, words: &str) -> Error {
    Error::argument(
        argument,
        format!(
            "must be an address with its prefix length, such as {example}, or one of {words}, none"
        ),
    )
}

/// Reads a gateway that goes with an address of its family, or says what it
/// must be.
fn gateway(
    value: &str,
    v6: bool,
    address: Option<&AddressChange>,
) -> Result<AddressChange, String> {
    let value = value.trim();
    if value == "none" {
        return Ok(AddressChange::Remove);
    }
    if !value.parse().is_ok_and(|ip: IpAddr| ip.is_ipv6() == v6) {
        return Err(format!(
            "must be an IPv{} address without a prefix length, or none",
            if v6 { 6 } else { 4 }
        ));
    }
    match address {
        Some(AddressChange::Set(text)) if !text.contains('/') => Err(format!(
            "must be left out with {text}, which provides the gateway"
        )),
        Some(AddressChange::Remove) => Err("must be left out where the address is none".into()),
        _ => Ok(AddressChange::Set(value.to_owned())),
    }
}

/// `net0` to `net31`, without leading zeros.
fn is_nic(text: &str) -> bool {
    text.strip_prefix("net").is_some_and(|number| {
        number
            .parse::<u8>()
            .is_ok_and(|index| index <= 31 && number == index.to_string())
    })
}

impl AddressPlan {
    /// The setting's name: `ipconfig0`.
    pub(super) fn key(&self) -> String {
        self.nic.replacen("net", "ipconfig", 1)
    }

    /// The new value of the setting; empty if nothing is left. The other family is
    /// unchanged, and so is a gateway, unless the address now comes from DHCP or
    /// auto-configuration.
    pub(super) fn apply(&self, current: &str) -> Result<String> {
        let mut value = Properties::parse(current);
        self.v4.apply(&mut value, "ip", "gw");
        self.v6.apply(&mut value, "ip6", "gw6");
        for (address, gateway, name) in [("ip", "gw", "ipv4"), ("ip6", "gw6", "ipv6")] {
            let is_static = value.get(address).is_some_and(|text| text.contains('/'));
            if value.get(gateway).is_some() && !is_static {
                return Err(Error::Conflict(format!(
                    "{} has no fixed {name} address, and a gateway needs one: give {name} as \
                     well, as an address with its prefix length",
                    self.nic
                )));
            }
        }
        Ok(value.to_string())
    }
}

impl Family {
    fn apply(&self, value: &mut Properties, address: &str, gateway: &str) {
        match &self.address {
            Some(AddressChange::Set(text)) => {
                value.insert(address, text.as_str());
                if !text.contains('/') {
                    value.remove(gateway);
                }
            }
            Some(AddressChange::Remove) => {
                value.remove(address);
                value.remove(gateway);
            }
            None => {}
        }
        match &self.gateway {
            Some(AddressChange::Set(text)) => value.insert(gateway, text.as_str()),
            Some(AddressChange::Remove) => value.remove(gateway),
            None => {}
        }
    }
}

/// What makes no sense, though Proxmox accepts it: a gateway that the address
/// does not reach.
pub(super) fn warning(nic: &str, value: &str) -> Option<String> {
    let properties = Properties::parse(value);
    [("ip", "gw"), ("ip6", "gw6")]
        .into_iter()
        .find_map(|(address, gateway)| {
            let (address, gateway) = (properties.get(address)?, properties.get(gateway)?);
            let outside = !same_network(address, gateway)?;
            outside.then(|| {
                format!("{nic}: the gateway {gateway} is outside the network of {address}")
            })
        })
}

fn same_network(cidr: &str, other: &str) -> Option<bool> {
    let (address, prefix) = cidr.split_once('/')?;
    let prefix: u32 = prefix.parse().ok()?;
    match (address.parse().ok()?, other.parse().ok()?) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let shift = 32u32.checked_sub(prefix)?;
            let differ = Ipv4Addr::to_bits(a) ^ Ipv4Addr::to_bits(b);
            Some(differ.checked_shr(shift).unwrap_or(0) == 0)
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            // Routers are reached by such addresses from any network.
            if b.is_unicast_link_local() {
                return Some(true);
            }
            let shift = 128u32.checked_sub(prefix)?;
            let differ = Ipv6Addr::to_bits(a) ^ Ipv6Addr::to_bits(b);
            Some(differ.checked_shr(shift).unwrap_or(0) == 0)
        }
        _ => Some(false),
    }
}

/// An address and a prefix length, as Proxmox accepts them.
fn is_cidr(text: &str, bits: u8) -> bool {
    let Some((address, prefix)) = text.split_once('/') else {
        return false;
    };
    let is_address = address
        .parse()
        .is_ok_and(|address: IpAddr| address.is_ipv6() == (bits == 128));
    let plain = !prefix.starts_with('0') && prefix.bytes().all(|b| b.is_ascii_digit());
    // Proxmox takes no network wider than /8.
    is_address
        && plain
        && prefix
            .parse()
            .is_ok_and(|prefix: u8| (8..=bits).contains(&prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn plan(wanted: Value) -> Result<AddressPlan> {
        serde_json::from_value::<AddressArguments>(wanted)
            .unwrap()
            .check(0)
    }

    fn applied(wanted: Value, current: &str) -> String {
        plan(wanted).unwrap().apply(current).unwrap()
    }

    #[test]
    fn only_what_is_given_changes() {
        let current = "ip=192.0.2.50/24,gw=192.0.2.1,ip6=auto";
        for (wanted, value) in [
            (
                json!({"nic": "net0", "ipv4": "192.0.2.9/24"}),
                "ip=192.0.2.9/24,gw=192.0.2.1,ip6=auto",
            ),
            (json!({"nic": "net0", "ipv4": "dhcp"}), "ip=dhcp,ip6=auto"),
            (json!({"nic": "net0", "ipv4": "none"}), "ip6=auto"),
            (
                json!({"nic": "net0", "ipv4_gateway": "none"}),
                "ip=192.0.2.50/24,ip6=auto",
            ),
            (
                json!({"nic": "net0", "ipv6": "2001:db8::5/64", "ipv6_gateway": "2001:db8::1"}),
                "ip=192.0.2.50/24,gw=192.0.2.1,ip6=2001:db8::5/64,gw6=2001:db8::1",
            ),
            (json!({"nic": "net0", "ipv4": "none", "ipv6": "none"}), ""),
        ] {
            assert_eq!(applied(wanted.clone(), current), value, "{wanted}");
        }
        assert_eq!(
            applied(json!({"nic": "net3", "ipv6": "dhcp"}), ""),
            "ip6=dhcp"
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for wanted in [
            json!({"nic": "net0"}),
            json!({"nic": "net0", "ipv4": "192.0.2.9"}),
            json!({"nic": "net0", "ipv4": "192.0.2.9/33"}),
            json!({"nic": "net0", "ipv4": "192.0.2.9/024"}),
            json!({"nic": "net0", "ipv4": "192.0.2.9/0"}),
            json!({"nic": "net0", "ipv4": "auto"}),
            json!({"nic": "net0", "ipv4": "192.0.2.9/24,gw=1"}),
            json!({"nic": "net0", "ipv6": "192.0.2.9/24"}),
            json!({"nic": "net0", "ipv6": "2001:db8::1"}),
            json!({"nic": "net0", "ipv4": "dhcp", "ipv4_gateway": "192.0.2.1"}),
            json!({"nic": "net0", "ipv4": "192.0.2.9/24", "ipv4_gateway": "192.0.2.1/24"}),
            json!({"nic": "net0", "ipv4": "192.0.2.9/24", "ipv4_gateway": "2001:db8::1"}),
        ] {
            assert!(plan(wanted.clone()).is_err(), "{wanted}");
        }
        assert_eq!(
            plan(json!({"nic": "net0", "ipv4": "192.0.2.9"}))
                .unwrap_err()
                .message(),
            "addresses/0/ipv4: must be an address with its prefix length, such as 192.0.2.10/24, \
             or one of dhcp, none"
        );
    }

    #[test]
    fn a_gateway_needs_an_address() {
        let plan = plan(json!({"nic": "net0", "ipv4_gateway": "192.0.2.1"})).unwrap();
        assert!(plan.apply("").is_err());
        assert!(plan.apply("ip=dhcp").is_err());
        assert_eq!(
            plan.apply("ip=192.0.2.5/24").unwrap(),
            "ip=192.0.2.5/24,gw=192.0.2.1"
        );
    }

    #[test]
    fn a_gateway_outside_the_network_is_a_warning() {
        assert_eq!(warning("net0", "ip=192.0.2.5/24,gw=192.0.2.1"), None);
        assert_eq!(warning("net0", "ip=dhcp"), None);
        assert_eq!(warning("net0", "ip6=2001:db8::5/64,gw6=fe80::1"), None);
        assert!(warning("net0", "ip=192.0.2.5/24,gw=198.51.100.1").is_some());
        assert!(warning("net0", "ip=192.0.2.5/32,gw=192.0.2.1").is_some());
    }

    fn address() -> impl Strategy<Value = (Option<String>, Option<String>)> {
        prop_oneof![
            Just((None, None)),
            Just((Some("dhcp".to_owned()), None)),
            (
                any::<Ipv4Addr>(),
                8u8..=32,
                prop::option::of(any::<Ipv4Addr>())
            )
                .prop_map(|(address, prefix, gateway)| {
                    (
                        Some(format!("{address}/{prefix}")),
                        gateway.map(|ip| ip.to_string()),
                    )
                }),
        ]
    }

    fn address6() -> impl Strategy<Value = (Option<String>, Option<String>)> {
        prop_oneof![
            Just((None, None)),
            Just((Some("auto".to_owned()), None)),
            (
                any::<Ipv6Addr>(),
                8u8..=128,
                prop::option::of(any::<Ipv6Addr>())
            )
                .prop_map(|(address, prefix, gateway)| {
                    (
                        Some(format!("{address}/{prefix}")),
                        gateway.map(|ip| ip.to_string()),
                    )
                }),
        ]
    }

    proptest! {
        /// What is set is read back, and the other family is unchanged.
        #[test]
        fn round_trip(v4 in address(), v6 in address6()) {
            let (ipv4, ipv4_gateway) = v4;
            let (ipv6, ipv6_gateway) = v6;
            let first = AddressArguments { nic: "net1".into(), ipv4: ipv4.clone(), ipv4_gateway: ipv4_gateway.clone(), ..AddressArguments::default() };
            let second = AddressArguments { nic: "net1".into(), ipv6: ipv6.clone(), ipv6_gateway: ipv6_gateway.clone(), ..AddressArguments::default() };
            let mut value = String::new();
            for wanted in [first, second] {
                if let Ok(plan) = wanted.check(0) {
                    value = plan.apply(&value).unwrap();
                }
            }
            prop_assert_eq!(
                NicAddress::parse("net1", &value),
                NicAddress { nic: "net1".into(), ipv4, ipv4_gateway, ipv6, ipv6_gateway }
            );
        }

        /// No value can add a second setting.
        #[test]
        fn any_text(text in any::<String>()) {
            let wanted = AddressArguments { ipv4: Some(text.clone()), ipv6_gateway: Some(text), ..AddressArguments::default() };
            if let Ok(plan) = wanted.check(0)
                && let Ok(value) = plan.apply("ip6=2001:db8::1/64")
            {
                prop_assert!(value.bytes().all(|b| b.is_ascii_alphanumeric() || b"=,./:".contains(&b)));
            }
        }
    }
}
