//! A guest's addresses, from its QEMU agent or its container.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::agent;
use crate::error::{Error, Result};
use crate::pve::{Guest, Kind, Num, Params, Pve};
use crate::tool::{Reply, Run};
use crate::tools::{name_of, power};

/// A guest's network interfaces and addresses.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetGuestNetwork {
    #[schemars(range(min = 100, max = 999_999_999))]
    vmid: u32,
    /// True: the loopback interface too.
    include_loopback: Option<bool>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct GuestNetwork {
    vmid: u32,
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// All addresses that others can reach, without link-local ones.
    ip_addresses: Vec<String>,
    interfaces: Vec<Interface>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct Interface {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
    addresses: Vec<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    received_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_bytes: Option<u64>,
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
struct Address {
    family: Family,
    address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix_length: Option<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Family {
    Ipv4,
    Ipv6,
}

impl Run for GetGuestNetwork {
    type Output = GuestNetwork;

    fn run(self, pve: &Pve) -> Result<Reply<GuestNetwork>> {
        let guest = Guest::find(pve, self.vmid)?;
        guest.reachable(pve)?;
        let raw = match guest.kind {
            Kind::Qemu => {
                let path = guest.path(["agent", "network-get-interfaces"]);
                pve.get::<AgentAnswer>(&path, &Params::new())
                    .map_err(|failure| agent::agent_error(&guest, failure))?
                    .result
            }
            // A stopped container answers null.
            Kind::Lxc => pve
                .get::<Option<Vec<RawInterface>>>(&guest.path(["interfaces"]), &Params::new())?
                .ok_or_else(|| stopped(&guest))?,
        };
        let with_loopback = self.include_loopback.unwrap_or(false);
        let interfaces: Vec<Interface> = raw
            .into_iter()
            .filter(|raw| with_loopback || !raw.is_loopback())
            .map(Interface::from)
            .collect();
        let ip_addresses: Vec<String> = interfaces
            .iter()
            .flat_map(|interface| &interface.addresses)
            .filter(|address| address.is_reachable())
            .map(|address| address.address.clone())
            .collect();
        let hint = ip_addresses.is_empty().then(|| {
            "no address yet: a guest that has just started needs a moment; else look at its DHCP \
             or cloud-init settings"
                .to_owned()
        });
        let text = if ip_addresses.is_empty() {
            format!("{}: no address", guest.label())
        } else {
            format!("{}: {}", guest.label(), ip_addresses.join(", "))
        };
        Ok(Reply::Done(
            GuestNetwork {
                vmid: guest.vmid,
                kind: guest.kind,
                name: guest.name,
                ip_addresses,
                interfaces,
                hint,
            },
            text,
        ))
    }
}

fn stopped(guest: &Guest) -> Error {
    Error::Conflict(format!(
        "{} is not running, so it has no addresses: start it with {} first",
        guest.label(),
        name_of::<power::StartGuest>()
    ))
}

#[derive(Debug, Deserialize)]
struct AgentAnswer {
    #[serde(default)]
    result: Vec<RawInterface>,
}

/// The agent and containers tell the same in two dialects.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawInterface {
    name: String,
    hardware_address: Option<String>,
    hwaddr: Option<String>,
    #[serde(default)]
    ip_addresses: Vec<RawAddress>,
    /// `192.0.2.60/24`: all that older containers tell.
    inet: Option<String>,
    inet6: Option<String>,
    statistics: Option<RawStatistics>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawAddress {
    ip_address: String,
    ip_address_type: String,
    prefix: Option<Num<u8>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawStatistics {
    rx_bytes: Option<Num<u64>>,
    tx_bytes: Option<Num<u64>>,
}

impl RawInterface {
    fn is_loopback(&self) -> bool {
        let addresses = self
            .ip_addresses
            .iter()
            .map(|address| address.ip_address.as_str());
        let mut all = addresses
            .chain(self.inet.as_deref())
            .chain(self.inet6.as_deref())
            .peekable();
        self.name == "lo"
            || all.peek().is_some()
                && all.all(|address| address.starts_with("127.") || address.starts_with("::1"))
    }
}

impl From<RawInterface> for Interface {
    fn from(raw: RawInterface) -> Self {
        let mut addresses: Vec<Address> = raw
            .ip_addresses
            .into_iter()
            .map(|address| Address {
                family: if matches!(address.ip_address_type.as_str(), "ipv6" | "inet6") {
                    Family::Ipv6
                } else {
                    Family::Ipv4
                },
                address: address.ip_address,
                prefix_length: address.prefix.map(|prefix| prefix.0),
            })
            .collect();
        if addresses.is_empty() {
            let old = [(Family::Ipv4, raw.inet), (Family::Ipv6, raw.inet6)];
            addresses = old
                .into_iter()
                .filter_map(|(family, cidr)| Some(Address::from_cidr(family, &cidr?)))
                .collect();
        }
        let (received, sent) = raw
            .statistics
            .map_or((None, None), |counts| (counts.rx_bytes, counts.tx_bytes));
        Self {
            name: raw.name,
            mac: raw.hardware_address.or(raw.hwaddr),
            addresses,
            received_bytes: received.map(|bytes| bytes.0),
            sent_bytes: sent.map(|bytes| bytes.0),
        }
    }
}

impl Address {
    fn from_cidr(family: Family, cidr: &str) -> Self {
        let (address, prefix) = cidr.split_once('/').unwrap_or((cidr, ""));
        Self {
            family,
            address: address.to_owned(),
            prefix_length: prefix.parse().ok(),
        }
    }

    fn is_reachable(&self) -> bool {
        let address = self.address.to_ascii_lowercase();
        !(address.starts_with("127.")
            || address == "::1"
            || address.starts_with("fe80:")
            || address.starts_with("169.254."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn interfaces(raw: Value) -> Vec<Interface> {
        let raw: Vec<RawInterface> = serde_json::from_value(raw).unwrap();
        raw.into_iter()
            .filter(|raw| !raw.is_loopback())
            .map(Interface::from)
            .collect()
    }

    #[test]
    fn both_dialects_become_one() {
        let agent = interfaces(json!([
            {"name": "lo", "hardware-address": "00:00:00:00:00:00", "ip-addresses":
                [{"ip-address-type": "ipv4", "ip-address": "127.0.0.1", "prefix": 8}]},
            {"name": "eth0", "hardware-address": "bc:24:11:00:00:01",
                "statistics": {"tx-bytes": 516, "rx-bytes": 810},
                "ip-addresses": [{"prefix": 24, "ip-address": "192.0.2.50", "ip-address-type": "ipv4"},
                    {"ip-address-type": "ipv6", "ip-address": "fe80::1", "prefix": 64}]},
        ]));
        assert_eq!(agent.len(), 1);
        assert_eq!(agent[0].received_bytes, Some(810));
        assert_eq!(agent[0].addresses[0].prefix_length, Some(24));
        assert!(agent[0].addresses[0].is_reachable() && !agent[0].addresses[1].is_reachable());

        let container = interfaces(json!([
            {"name": "lo", "inet": "127.0.0.1/8", "inet6": "::1/128", "hwaddr": "00:00:00:00:00:00"},
            {"name": "eth0", "hwaddr": "bc:24:11:00:00:02", "inet": "192.0.2.60/24", "ip-addresses":
                [{"prefix": "24", "ip-address-type": "inet", "ip-address": "192.0.2.60"}]},
        ]));
        assert_eq!(container.len(), 1);
        assert_eq!(container[0].mac.as_deref(), Some("bc:24:11:00:00:02"));
        assert_eq!(container[0].addresses[0].prefix_length, Some(24));
    }

    #[test]
    fn old_containers_tell_cidrs_alone() {
        let old = interfaces(
            json!([{"name": "eth0", "inet": "192.0.2.60/24", "inet6": "2001:db8::1/64"}]),
        );
        assert_eq!(
            old[0].addresses[1],
            Address {
                family: Family::Ipv6,
                address: "2001:db8::1".into(),
                prefix_length: Some(64)
            }
        );
    }
}
