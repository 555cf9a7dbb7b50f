//! `get_guest_network`: IP addresses and interfaces inside a running guest.

use std::cmp::Reverse;

use pve_api::calls;
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::json::{DeserializeFields, SerializeFields};
use crate::order;
use crate::pve::{At, Failure, Guest, GuestConfig, GuestType, Nic, Num, Params, Pve, Vmid};
use crate::tool::declared::{Calls, LOOK_UP};
use crate::tool::{Offset, Page, Part, Reply, Run};
use crate::tools::agent;
use crate::tools::agent::answer::AgentAnswer;
use crate::{text, tool_names};

/// A guest's network interfaces and addresses.
#[derive(Debug, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetGuestNetwork {
    vmid: Vmid,
    /// True: the loopback interface too.
    include_loopback: Option<bool>,
    /// Of interfaces. Default 20.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// Interfaces to skip.
    offset: Option<Offset>,
}

#[derive(Debug, SerializeFields, JsonSchema)]
pub(crate) struct GuestNetwork {
    vmid: Vmid,
    kind: GuestType,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Addresses that others can reach, without link-local ones: first those of
    /// the guest's own network cards. Those of bridges and containers inside
    /// the guest are left out where there are others.
    ip_addresses: Vec<String>,
    /// The guest's own network cards first.
    interfaces: Vec<Interface>,
    /// How many interfaces there are, also where not all are shown.
    interfaces_total: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, Clone, PartialEq, SerializeFields, JsonSchema)]
struct Interface {
    name: String,
    /// The guest's network card with this MAC address: `net0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    nic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
    addresses: Vec<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    received_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_bytes: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, SerializeFields, JsonSchema)]
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

impl Family {
    /// Read from the address itself: its type may be missing, or differ between agents.
    fn of(address: &str) -> Self {
        if address.contains(':') {
            Self::Ipv6
        } else {
            Self::Ipv4
        }
    }
}

const DEFAULT_LIMIT: u32 = 20;

/// How many addresses are shown of one interface, and how many in
/// `ip_addresses`. The guest decides how many there are.
const MOST_ADDRESSES: usize = 16;

/// How much of a name that the guest gave is shown.
const NAME_LENGTH: usize = 64;

impl Run for GetGuestNetwork {
    type Output = GuestNetwork;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::One(&calls::agent::INTERFACES),
        Calls::Guest(&calls::guests::CONFIG),
        Calls::One(&calls::guests::CONTAINER_INTERFACES),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<GuestNetwork>> {
        let guest = Guest::find(pve, self.vmid)?;
        guest.reachable(pve)?;
        let raw = match interfaces(pve, guest.kind, &guest.node, guest.vmid) {
            Ok(Some(raw)) => raw,
            Ok(None) => return Err(without_interfaces(&guest)),
            Err(Failure::Api(error)) if guest.kind == GuestType::Lxc && error.status == 501 => {
                return configured(pve, guest);
            }
            Err(failure) => return Err(unreadable(&guest, failure)),
        };
        // Which interface is whose is worth knowing; the addresses are worth
        // showing without it.
        let cards = GuestConfig::read(pve, &guest)
            .map(|config| config.nics())
            .unwrap_or_default();
        let with_loopback = self.include_loopback.unwrap_or(false);
        let all = raw
            .into_iter()
            .filter(|raw| with_loopback || !raw.is_loopback())
            .map(|raw| Interface::new(raw, &cards))
            .collect();
        let page = Page::new(self.offset, self.limit, DEFAULT_LIMIT);
        let (network, part) = GuestNetwork::new(guest, all, page);
        let text = network.text();
        Ok(Reply::Listed(network, text, part))
    }
}

/// The interfaces of a running guest: a VM's as its agent reports them, a container's as
/// its node does. The agent may leave them out, and a stopped container has none.
fn interfaces(
    pve: &Pve,
    guest_type: GuestType,
    node: &str,
    vmid: Vmid,
) -> Result<Option<Vec<RawInterface>>, Failure> {
    let vmid = vmid.to_string();
    let guest = [node, vmid.as_str()];
    match guest_type {
        GuestType::Qemu => {
            let request = calls::agent::INTERFACES.at(guest);
            let answer: InterfacesAnswer = pve.send(&request, &Params::new())?;
            Ok(answer.result)
        }
        GuestType::Lxc => {
            let request = calls::guests::CONTAINER_INTERFACES.at(guest);
            pve.send(&request, &Params::new())
        }
    }
}

/// The addresses by which others can reach a guest, those of IPv4 first; empty as long as
/// nothing reports any.
pub(crate) fn addresses(pve: &Pve, guest_type: GuestType, node: &str, vmid: Vmid) -> Vec<String> {
    let reported = interfaces(pve, guest_type, node, vmid);
    addresses_in(reported.ok().flatten().unwrap_or_default())
}

fn addresses_in(reported: Vec<RawInterface>) -> Vec<String> {
    let all: Vec<Interface> = reported
        .into_iter()
        .filter(|raw| !raw.is_loopback())
        .map(|raw| Interface::new(raw, &[]))
        .collect();
    let mut found: Vec<String> = Vec::new();
    for address in reachable_addresses(&all) {
        if !found.contains(&address) {
            found.push(address);
        }
    }
    // People write the shorter ones.
    order::by_key(&mut found, |text| text.contains(':'));
    found
}

fn unreadable(guest: &Guest, failure: Failure) -> Error {
    match guest.kind {
        GuestType::Qemu => agent::error::agent_error(guest, failure),
        GuestType::Lxc => failure.into(),
    }
}

fn without_interfaces(guest: &Guest) -> Error {
    match guest.kind {
        GuestType::Qemu => Error::Conflict(format!(
            "the guest agent of {} answered without its interfaces: try again in a moment, and \
             where it stays so, look at the agent inside the guest",
            guest.label()
        )),
        GuestType::Lxc => Error::Conflict(format!(
            "{} is not running, so it has no addresses: start it with {} first",
            guest.label(),
            tool_names::START_GUEST
        )),
    }
}

/// An interface inside a running guest, for whoever asks why the guest cannot be
/// reached.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct InsideInterface {
    pub(crate) mac: Option<String>,
    /// Link-local ones too.
    pub(crate) addresses: Vec<String>,
}

/// The interfaces inside a running guest but for its loopback interface; absent if
/// the answer does not contain them.
pub(crate) fn inside_interfaces(
    pve: &Pve,
    guest: &Guest,
) -> Result<Option<Vec<InsideInterface>>, Failure> {
    let inside = |raw: RawInterface| {
        let one = Interface::new(raw, &[]);
        InsideInterface {
            mac: one.mac,
            addresses: one.addresses.into_iter().map(|one| one.address).collect(),
        }
    };
    let reported = interfaces(pve, guest.kind, &guest.node, guest.vmid)?;
    Ok(reported.map(|all| {
        all.into_iter()
            .filter(|raw| !raw.is_loopback())
            .map(inside)
            .collect()
    }))
}

/// How useful an interface is for reaching the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// One of the guest's network cards.
    Own,
    Other,
    /// A bridge, tunnel or pair that containers inside the guest use.
    Inner,
}

impl GuestNetwork {
    fn new(guest: Guest, mut all: Vec<Interface>, page: Page) -> (Self, Part) {
        order::by_key(&mut all, |one| {
            (one.rank(), Reverse(one.addresses.len().min(1)))
        });
        let mut network = Self {
            vmid: guest.vmid,
            kind: guest.kind,
            name: guest.name,
            ip_addresses: reachable_addresses(&all),
            interfaces_total: all.len(),
            interfaces: all,
            hint: None,
        };
        let part = network.shorten(page);
        (network, part)
    }

    /// Leaves out idle interfaces and what is beyond the limits, and says so in
    /// `hint`.
    fn shorten(&mut self, page: Page) -> Part {
        let mut notes = Vec::new();
        if self.ip_addresses.is_empty() {
            notes.push(
                "no address yet: a guest that has just started needs a moment; else look at its \
                 DHCP or cloud-init settings"
                    .to_owned(),
            );
        }
        let all = &mut self.interfaces;
        // What has neither an address nor a card is mostly one end of a pair
        // whose other end is in a container inside the guest.
        let is_idle = |one: &Interface| one.addresses.is_empty() && one.rank() == Rank::Inner;
        let idle = all.iter().filter(|one| is_idle(one)).count();
        all.retain(|one| !is_idle(one));
        let part = page.cut(all, "/interfaces", "");
        let mut cut = self.ip_addresses.len() > MOST_ADDRESSES;
        self.ip_addresses.truncate(MOST_ADDRESSES);
        for one in all.iter_mut() {
            cut |= one.addresses.len() > MOST_ADDRESSES;
            one.addresses.truncate(MOST_ADDRESSES);
        }
        notes.extend(part.note());
        if idle > 0 {
            notes.push(format!(
                "{} without an address omitted (of containers inside the guest)",
                text::count(idle, "interface")
            ));
        }
        if cut {
            notes.push(format!(
                "at most {MOST_ADDRESSES} addresses are shown in ip_addresses and of an interface"
            ));
        }
        self.hint = (!notes.is_empty()).then(|| notes.join("; "));
        part
    }

    fn text(&self) -> String {
        let label = format!("{} guest {}", self.kind.as_str(), self.vmid);
        let label = match &self.name {
            Some(name) => format!("{label} ({name})"),
            None => label,
        };
        if self.ip_addresses.is_empty() {
            format!("{label}: no address")
        } else {
            format!("{label}: {}", self.ip_addresses.join(", "))
        }
    }
}

/// The addresses in a container's configuration, if its node cannot list its
/// interfaces: it may be older than that call.
fn configured(pve: &Pve, guest: Guest) -> Result<Reply<GuestNetwork>> {
    let mut why = format!("node {} cannot report a container's interfaces", guest.node);
    if let Some(version) = calls::guests::CONTAINER_INTERFACES.since() {
        why.push_str(": that call came with Proxmox VE ");
        why.push_str(version);
    }
    let cards = GuestConfig::read(pve, &guest)?.nics();
    let interfaces: Vec<Interface> = cards.iter().filter_map(Interface::configured).collect();
    if interfaces.is_empty() {
        return Err(Error::Conflict(format!(
            "{why}, and the configuration of {} has no fixed address: upgrade the node, or look at \
             the DHCP server",
            guest.label()
        )));
    }
    let (mut network, _) = GuestNetwork::new(guest, interfaces, Page::new(None, None, u32::MAX));
    network.hint = Some(format!(
        "{why}; these are the fixed addresses of its configuration"
    ));
    let text = network.text();
    Ok(Reply::Done(network, text))
}

type InterfacesAnswer = AgentAnswer<Option<Vec<RawInterface>>>;

/// The agent and containers report the same in two forms.
#[derive(Debug, DeserializeFields)]
#[serde(rename_all = "kebab-case")]
struct RawInterface {
    name: String,
    hardware_address: Option<String>,
    hwaddr: Option<String>,
    #[serde(default)]
    ip_addresses: Vec<RawAddress>,
    /// `192.0.2.60/24`: the only form that older versions report for containers.
    inet: Option<String>,
    inet6: Option<String>,
    statistics: Option<RawStatistics>,
}

#[derive(Debug, DeserializeFields)]
#[serde(rename_all = "kebab-case")]
struct RawAddress {
    ip_address: String,
    prefix: Option<Num<u8>>,
}

#[derive(Debug, DeserializeFields)]
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

impl Interface {
    fn new(raw: RawInterface, cards: &[Nic]) -> Self {
        let mut addresses: Vec<Address> = raw
            .ip_addresses
            .into_iter()
            .map(|address| Address {
                family: Family::of(&address.ip_address),
                address: text::cut(&address.ip_address, NAME_LENGTH),
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
        // What can be reached comes before link-local addresses.
        order::by_key(&mut addresses, |address| !address.is_reachable());
        let (received, sent) = raw
            .statistics
            .map_or((None, None), |counts| (counts.rx_bytes, counts.tx_bytes));
        let mac = raw.hardware_address.or(raw.hwaddr);
        let nic = mac.as_deref().and_then(|mac| {
            cards
                .iter()
                .find(|card| {
                    card.mac
                        .as_deref()
                        .is_some_and(|own| own.eq_ignore_ascii_case(mac))
                })
                .map(|card| card.id.clone())
        });
        Self {
            name: text::cut(&raw.name, NAME_LENGTH),
            nic,
            mac: mac.map(|mac| text::cut(&mac, NAME_LENGTH)),
            addresses,
            received_bytes: received.map(|bytes| bytes.0),
            sent_bytes: sent.map(|bytes| bytes.0),
        }
    }

    /// A container's network card with a fixed address.
    fn configured(card: &Nic) -> Option<Self> {
        let fixed = [(Family::Ipv4, &card.ipv4), (Family::Ipv6, &card.ipv6)];
        let addresses: Vec<Address> = fixed
            .into_iter()
            .filter_map(|(family, value)| {
                let cidr = value
                    .as_deref()
                    .filter(|value| value.contains(['.', ':']))?;
                Some(Address::from_cidr(family, cidr))
            })
            .collect();
        (!addresses.is_empty()).then(|| Self {
            name: card.name.clone().unwrap_or_else(|| card.id.clone()),
            nic: Some(card.id.clone()),
            mac: card.mac.clone(),
            addresses,
            received_bytes: None,
            sent_bytes: None,
        })
    }

    fn rank(&self) -> Rank {
        // As Docker, libvirt, LXD, Podman and Kubernetes' networks name them.
        const INNER: [&str; 15] = [
            "docker", "br-", "veth", "virbr", "vnet", "lxcbr", "lxdbr", "lxc", "podman", "cni",
            "cali", "flannel", "cilium", "kube-", "tunl",
        ];
        if self.nic.is_some() {
            return Rank::Own;
        }
        let is_inner = INNER.iter().any(|prefix| self.name.starts_with(prefix))
            // What Calico gives its ends of pairs.
            || self.mac.as_deref() == Some("ee:ee:ee:ee:ee:ee");
        if is_inner { Rank::Inner } else { Rank::Other }
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
        is_reachable(&self.address)
    }
}

/// Whether others may reach a guest by an address: it is neither a loopback nor a
/// link-local one.
pub(crate) fn is_reachable(address: &str) -> bool {
    let address = address.to_ascii_lowercase();
    !(address.starts_with("127.")
        || address == "::1"
        || address.starts_with("fe80:")
        || address.starts_with("169.254."))
}

/// The addresses by which others reach the guest: those of its network cards
/// first; those of bridges and tunnels inside it only if it has no others.
fn reachable_addresses(interfaces: &[Interface]) -> Vec<String> {
    let of = |rank: Rank| {
        interfaces
            .iter()
            .filter(move |one| one.rank() == rank)
            .flat_map(|one| &one.addresses)
            .filter(|address| address.is_reachable())
            .map(|address| address.address.clone())
    };
    let addresses: Vec<String> = of(Rank::Own).chain(of(Rank::Other)).collect();
    if addresses.is_empty() {
        return of(Rank::Inner).collect();
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn interfaces(raw: Value) -> Vec<Interface> {
        let raw: Vec<RawInterface> = serde_json::from_value(raw).unwrap();
        raw.into_iter()
            .filter(|raw| !raw.is_loopback())
            .map(|raw| Interface::new(raw, &[]))
            .collect()
    }

    fn network(interfaces: Vec<Interface>, limit: u32) -> GuestNetwork {
        let guest = serde_json::from_value(json!({"vmid": 100, "type": "qemu", "node": "pve1"}));
        GuestNetwork::new(guest.unwrap(), interfaces, Page::new(None, Some(limit), 20)).0
    }

    fn interface(name: &str, nic: Option<&str>, addresses: &[&str]) -> Interface {
        Interface {
            name: name.into(),
            nic: nic.map(str::to_owned),
            mac: None,
            addresses: addresses
                .iter()
                .map(|cidr| Address::from_cidr(Family::Ipv4, cidr))
                .collect(),
            received_bytes: None,
            sent_bytes: None,
        }
    }

    #[test]
    fn own_cards_come_first_and_what_runs_inside_is_counted() {
        let mut all = vec![interface("docker0", None, &["172.17.0.1/16"])];
        for number in 0..300 {
            all.push(interface(&format!("veth{number}"), None, &[]));
            all.push(interface(&format!("br-{number}"), None, &["172.18.0.1/16"]));
        }
        all.push(interface("wg0", None, &["198.51.100.1/24"]));
        all.push(interface("ens18", Some("net0"), &["192.0.2.60/24"]));
        let network = network(all, 20);
        assert_eq!(network.ip_addresses, ["192.0.2.60", "198.51.100.1"]);
        assert_eq!(network.interfaces.len(), 20);
        assert_eq!(network.interfaces[0].nic.as_deref(), Some("net0"));
        assert_eq!(network.interfaces_total, 603);
        let hint = network.hint.unwrap();
        assert!(
            hint.contains("1-20 of 303") && hint.contains("300 interfaces"),
            "{hint}"
        );
    }

    #[test]
    fn addresses_that_others_can_reach() {
        let read = |raw: Value| addresses_in(serde_json::from_value(raw).unwrap());
        let agent = json!({"result": [
            {"name": "lo", "ip-addresses": [{"ip-address": "127.0.0.1"}, {"ip-address": "::1"}]},
            {"name": "eth0", "ip-addresses": [
                {"ip-address": "fe80::1"}, {"ip-address": "2001:db8::5"},
                {"ip-address": "192.0.2.5"}, {"ip-address": "169.254.1.1"}]},
            {"name": "eth1"},
        ]});
        assert_eq!(read(agent["result"].clone()), ["192.0.2.5", "2001:db8::5"]);
        let node = json!([{"name": "eth0", "ip-addresses": [{"ip-address": "192.0.2.6"}]}]);
        assert_eq!(read(node), ["192.0.2.6"]);
        assert!(read(json!([])).is_empty());
        // What runs inside has its own networks.
        let docker = json!([{"name": "docker0", "ip-addresses": [{"ip-address": "172.17.0.1"}]},
            {"name": "eth0", "ip-addresses": [{"ip-address": "192.0.2.7"}]}]);
        assert_eq!(read(docker), ["192.0.2.7"]);
    }

    #[test]
    fn an_interface_without_an_address_is_shown() {
        let network = network(vec![interface("eth0", None, &[])], 20);
        assert_eq!(network.interfaces.len(), 1);
        assert!(network.hint.unwrap().starts_with("no address yet"));
    }

    #[test]
    fn a_card_is_known_by_its_mac() {
        let cards = [Nic::parse(
            GuestType::Qemu,
            "net1",
            "virtio=BC:24:11:00:00:38,bridge=vmbr0",
        )];
        let raw =
            serde_json::from_value(json!({"name": "br0", "hardware-address": "bc:24:11:00:00:38"}));
        assert_eq!(
            Interface::new(raw.unwrap(), &cards).nic.as_deref(),
            Some("net1")
        );
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
