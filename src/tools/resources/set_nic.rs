//! `set_nic`: adds a network card, or changes one and keeps the rest of it.

use std::net::IpAddr;

use pve_api::{calls, hardware};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::change::nothing_given;
use super::guard::{self, Guarded};
use super::hardware::{free_slot, write};
use crate::error::{Error, Result};
use crate::json::{DeserializeFields, SerializeFields};
use crate::pve::{Failure, Guest, GuestType, Nic, PendingConfig, Properties, Pve, Vmid, bridges};
use crate::tool::declared::{Calls, GUARDED, LOOK_UP};
use crate::tool::report::Report;
use crate::tool::{Finished, Outcome, Reply, Run};
use crate::{text, tool_names};

/// A network card of a guest.
#[derive(Debug, SerializeFields, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetNic {
    vmid: Vmid,
    /// net0, net1, …; new to add one. Default: the only one.
    nic: Option<String>,
    /// Required for a new card.
    bridge: Option<String>,
    /// VLAN tag; 0 removes it.
    #[schemars(range(max = 4094))]
    vlan: Option<u32>,
    /// Whether the guest's firewall filters it. Default for a new card: true.
    firewall: Option<bool>,
    /// Of a VM. Default for a new card: virtio.
    model: Option<Model>,
    /// True: unplug the cable.
    link_down: Option<bool>,
    /// 0 removes it.
    #[schemars(range(max = 65_520))]
    mtu: Option<u32>,
    /// 0 removes it.
    #[schemars(range(min = 0.0, max = 100_000.0))]
    rate_limit_megabytes_per_second: Option<f64>,
    /// Of a container: CIDR, dhcp, manual or none.
    ipv4: Option<String>,
    /// Of a container: address or none.
    ipv4_gateway: Option<String>,
    /// Of a container: CIDR, dhcp, auto, manual or none.
    ipv6: Option<String>,
    /// Of a container: address or none.
    ipv6_gateway: Option<String>,
    /// Take a snapshot first, check the guest afterwards, report how to roll back.
    safe: Option<bool>,
}

/// What a VM sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Model {
    Virtio,
    E1000,
    E1000e,
    Rtl8139,
    Vmxnet3,
}

impl Run for SetNic {
    type Output = Report;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::All(GUARDED),
        Calls::Guest(&calls::guests::PENDING),
        Calls::With(&calls::guests::SET_CONFIG.qemu, "net#"),
        Calls::With(&calls::guests::SET_CONFIG.lxc, "net#"),
        Calls::One(&calls::nodes::NETWORK),
    ];
    const OTHER_NAMES: &'static [(&'static str, &'static str)] =
        &[("net", "nic"), ("tag", "vlan"), ("vlan_tag", "vlan")];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        self.check()?;
        guard::run(self.safe, self, pve)
    }

    fn resume(pve: &Pve, state: &str) -> Result<Outcome> {
        guard::resume::<Self>(pve, state)
    }

    fn cancel(pve: &Pve, state: &str) -> Result<Finished> {
        guard::cancel::<Self>(pve, state)
    }
}

impl Guarded for SetNic {
    const TOOL: &'static str = tool_names::SET_NIC;
    const PURPOSE: &'static str = "nic";

    fn vmid(&self) -> Vmid {
        self.vmid
    }

    fn change(&self, pve: &Pve, is_dry: bool) -> Result<Option<Reply<Report>>> {
        let (guest, done) = Guest::with(pve, self.vmid, |guest| {
            self.check_kind(guest.kind)?;
            let before = PendingConfig::read(pve, guest)?;
            let slot = self.slot(guest, &before)?;
            if before.is_unreadable(&slot) {
                return Err(super::settings::unreadable(guest, &slot, "change it there"));
            }
            let old = before.wanted(&slot);
            let names: Vec<String> = before
                .iter()
                .filter(|setting| Nic::is_key(&setting.key))
                .filter_map(|setting| before.wanted(&setting.key))
                .filter_map(|card| Properties::parse(card).get("name").map(str::to_owned))
                .collect();
            let value = self.value(guest.kind, &slot, old, &names)?;
            let warning = match &self.bridge {
                Some(bridge) => check_bridge(bridges(pve, &guest.node), &guest.node, bridge)?,
                None => None,
            };
            if is_dry && old != Some(value.as_str()) {
                return Ok(None);
            }
            let verb = if old.is_some() { "change" } else { "add" };
            let action = format!("{verb} {slot} of {}", guest.label());
            let report = write(pve, guest, &before, (&slot, &value), action)?;
            Ok(Some((report, warning)))
        })?;
        let Some((report, warning)) = done else {
            return Ok(None);
        };
        let mut report = report.on(&guest);
        if let Some(warning) = warning {
            report = report.warn(warning);
        }
        if self.firewall == Some(true) {
            report = report.warn(
                "the firewall filters only if it is also enabled for the guest and the cluster",
            );
        }
        Ok(Some(Reply::report(report)))
    }
}

/// Refuses a bridge that the node does not have. Proxmox accepts any name, and the
/// guest's next start fails. Returns a warning if the token cannot list the node's
/// bridges: an empty list means that it has `SDN.Use` on none.
pub(in crate::tools) fn check_bridge(
    bridges: Result<Vec<String>, Failure>,
    node: &str,
    bridge: &str,
) -> Result<Option<String>> {
    let why = match bridges {
        Ok(known) if known.iter().any(|one| one == bridge) => return Ok(None),
        Ok(known) if !known.is_empty() => return Err(not_a_bridge(node, &known)),
        Ok(_) => "the token sees none there".to_owned(),
        Err(failure) => Error::from(failure).message(),
    };
    Ok(Some(format!(
        "whether node {node} has a bridge {bridge} is not known ({why}): without it, the guest does \
         not start"
    )))
}

fn not_a_bridge(node: &str, known: &[String]) -> Error {
    Error::argument(
        "bridge",
        format!(
            "must be a bridge or virtual network of node {node}, or the guest would not start; the \
             token sees {}; one that is missing here needs SDN.Use on /sdn/zones/ZONE/NAME (a \
             plain bridge is in zone localnetwork)",
            text::names(known.iter().map(String::as_str))
        ),
    )
}

impl SetNic {
    fn check(&self) -> Result<()> {
        let given = [
            self.bridge.is_some(),
            self.vlan.is_some(),
            self.firewall.is_some(),
            self.model.is_some(),
            self.link_down.is_some(),
            self.mtu.is_some(),
            self.rate_limit_megabytes_per_second.is_some(),
            self.has_address(),
        ];
        if !given.contains(&true) {
            return Err(nothing_given(
                "bridge, vlan, firewall, model, link_down, mtu, rate_limit_megabytes_per_second, and \
                 for a container ipv4, ipv4_gateway, ipv6, ipv6_gateway",
            ));
        }
        if let Some(bridge) = self
            .bridge
            .as_deref()
            .filter(|name| !hardware::is_bridge(name))
        {
            return Err(Error::argument(
                "bridge",
                format!(
                    "must be a bridge's name, such as vmbr0, not {}",
                    text::quoted(bridge)
                ),
            ));
        }
        let nic = self.nic.as_deref().filter(|nic| *nic != "new");
        if let Some(nic) = nic.filter(|nic| !Nic::is_key(nic) || nic.len() > 5) {
            return Err(Error::argument(
                "nic",
                format!("must be net0 to net31, or new, not {}", text::quoted(nic)),
            ));
        }
        for (name, value, gateway, v6) in [
            ("ipv4", &self.ipv4, &self.ipv4_gateway, false),
            ("ipv6", &self.ipv6, &self.ipv6_gateway, true),
        ] {
            check_address(name, value.as_deref(), gateway.as_deref(), v6)?;
        }
        Ok(())
    }

    fn has_address(&self) -> bool {
        [
            &self.ipv4,
            &self.ipv4_gateway,
            &self.ipv6,
            &self.ipv6_gateway,
        ]
        .into_iter()
        .any(Option::is_some)
    }

    fn check_kind(&self, guest_type: GuestType) -> Result<()> {
        match guest_type {
            GuestType::Qemu if self.has_address() => Err(Error::argument(
                "ipv4",
                format!(
                    "must be left out for a VM, as all addresses: {} sets them, where it has \
                     cloud-init",
                    tool_names::SET_CLOUD_INIT
                ),
            )),
            GuestType::Lxc if self.model.is_some() => Err(Error::argument(
                "model",
                "must be left out for a container, whose cards have none",
            )),
            _ => Ok(()),
        }
    }

    /// The card's slot: the one that is named, the only one, or a free one.
    fn slot(&self, guest: &Guest, before: &PendingConfig) -> Result<String> {
        let cards: Vec<&str> = before
            .iter()
            .map(|setting| setting.key.as_str())
            .filter(|key| Nic::is_key(key))
            .collect();
        match (self.nic.as_deref(), cards.as_slice()) {
            (Some("new"), _) | (None, []) => {
                free_slot(before, (0..32).map(|number| format!("net{number}")))
                    .ok_or_else(|| Error::Conflict(format!("{} has 32 cards", guest.label())))
            }
            (Some(nic), _) => Ok(nic.to_owned()),
            (None, [only]) => Ok((*only).to_owned()),
            (None, several) => Err(Error::argument(
                "nic",
                format!(
                    "must be given because {} has several cards: {}",
                    guest.label(),
                    text::names(several.iter().copied())
                ),
            )),
        }
    }

    /// The whole value of the card: what is not spoken of stays, its MAC address
    /// above all.
    fn value(
        &self,
        guest_type: GuestType,
        slot: &str,
        old: Option<&str>,
        names: &[String],
    ) -> Result<String> {
        let is_new = old.is_none();
        let has_bridge = old.is_some_and(|old| Properties::parse(old).get("bridge").is_some());
        if self.bridge.is_none() && !has_bridge {
            return Err(Error::argument(
                "bridge",
                match is_new {
                    true => format!("must be given for a new card ({slot} does not exist yet)"),
                    false => format!("must be given, because {slot} has none yet"),
                },
            ));
        }
        let has = Nic::parse(guest_type, slot, old.unwrap_or_default());
        let mut rest = Properties::parse(old.unwrap_or_default());
        let head = match guest_type {
            GuestType::Lxc => {
                if is_new {
                    rest.insert("name", free_name(slot, names));
                }
                None
            }
            GuestType::Qemu => Some(self.take_model(&has, &mut rest)),
        };
        self.apply(guest_type, is_new, &mut rest)?;
        let rest = match &has.model {
            // A card without a MAC address is written as its model alone.
            Some(model) => rest.without_bare(model),
            None => rest,
        };
        let rest = rest.to_string();
        Ok(match head {
            Some(head) if rest.is_empty() => head,
            Some(head) => format!("{head},{rest}"),
            None => rest,
        })
    }

    /// The model of a VM's card with its MAC address, which are taken out of the
    /// properties.
    fn take_model(&self, has: &Nic, rest: &mut Properties) -> String {
        let old = has.model.as_deref();
        for key in old.into_iter().chain(["model", "macaddr"]) {
            rest.remove(key);
        }
        let model = self.model.map(Model::name).or(old).unwrap_or("virtio");
        match &has.mac {
            Some(mac) => format!("{model}={mac}"),
            None => model.to_owned(),
        }
    }

    /// Makes the changes in the properties of a card.
    fn apply(&self, guest_type: GuestType, is_new: bool, rest: &mut Properties) -> Result<()> {
        if let Some(bridge) = &self.bridge {
            rest.insert("bridge", bridge);
        }
        let mut switch = |key: &str, value: Option<bool>| match value {
            Some(true) => rest.insert(key, "1"),
            Some(false) => rest.remove(key),
            None => {}
        };
        switch("firewall", self.firewall.or(is_new.then_some(true)));
        switch("link_down", self.link_down);
        match self.vlan {
            Some(0) => rest.remove("tag"),
            Some(tag) => rest.insert("tag", tag.to_string()),
            None => {}
        }
        match self.mtu {
            Some(0) => rest.remove("mtu"),
            Some(mtu) => rest.insert("mtu", mtu.to_string()),
            None => {}
        }
        match self.rate_limit_megabytes_per_second {
            Some(rate) if rate > 0.0 => rest.insert("rate", text::round(rate, 3).to_string()),
            Some(_) => rest.remove("rate"),
            None => {}
        }
        if guest_type == GuestType::Lxc {
            for (keys, address, gateway) in [
                (("ip", "gw"), &self.ipv4, &self.ipv4_gateway),
                (("ip6", "gw6"), &self.ipv6, &self.ipv6_gateway),
            ] {
                set_address(rest, keys, address.as_deref(), gateway.as_deref());
                check_gateway(rest, keys)?;
            }
        }
        Ok(())
    }
}

/// The name of a new card inside a container. Proxmox accepts one that another
/// card has.
fn free_name(slot: &str, names: &[String]) -> String {
    let own = format!("eth{}", slot.trim_start_matches("net"));
    std::iter::once(own.clone())
        .chain((0..32).map(|number| format!("eth{number}")))
        .find(|name| !names.contains(name))
        .unwrap_or(own)
}

/// Refuses a gateway without a fixed address: Proxmox takes it, and the container gets
/// no address at all.
fn check_gateway(card: &Properties, (ip, gw): (&str, &str)) -> Result<()> {
    let is_fixed = card.get(ip).is_some_and(|address| address.contains('/'));
    if card.get(gw).is_none() || is_fixed {
        return Ok(());
    }
    let argument = if ip == "ip" { "ipv4" } else { "ipv6" };
    Err(Error::argument(
        &format!("{argument}_gateway"),
        format!("needs {argument} with a fixed address, such as 192.0.2.10/24 or 2001:db8::10/64"),
    ))
}

/// Sets the address and the gateway of one IP version. A gateway does not outlive
/// an address that brings its own.
fn set_address(
    card: &mut Properties,
    (ip, gw): (&str, &str),
    address: Option<&str>,
    gateway: Option<&str>,
) {
    match address {
        Some("none") => {
            card.remove(ip);
            card.remove(gw);
        }
        Some(address) => {
            card.insert(ip, address);
            if !address.contains('/') {
                card.remove(gw);
            }
        }
        None => {}
    }
    match gateway {
        Some("none") => card.remove(gw),
        Some(gateway) => card.insert(gw, gateway),
        None => {}
    }
}

/// Checks an address and its gateway, of which Proxmox takes odd ones.
pub(in crate::tools) fn check_address(
    name: &str,
    address: Option<&str>,
    gateway: Option<&str>,
    v6: bool,
) -> Result<()> {
    let is_own = |ip: IpAddr| ip.is_ipv6() == v6;
    let words: &[&str] = if v6 {
        &["dhcp", "auto", "manual", "none"]
    } else {
        &["dhcp", "manual", "none"]
    };
    let is_cidr = |text: &str| {
        text.split_once('/').is_some_and(|(ip, bits)| {
            ip.parse().is_ok_and(is_own)
                && pve_api::text::whole(bits).is_some_and(|bits| bits <= if v6 { 128 } else { 32 })
        })
    };
    if let Some(address) = address
        && !words.contains(&address)
        && !is_cidr(address)
    {
        let example = if v6 {
            "2001:db8::10/64"
        } else {
            "192.0.2.10/24"
        };
        return Err(Error::argument(
            name,
            format!(
                "must be an address with its prefix length, such as {example}, or one of {}, not {}",
                words.join(", "),
                text::quoted(address)
            ),
        ));
    }
    let gateway = gateway.filter(|gateway| *gateway != "none");
    let argument = format!("{name}_gateway");
    if let Some(text) = gateway
        && !text.parse().is_ok_and(is_own)
    {
        return Err(Error::argument(
            &argument,
            format!(
                "must be an address without a prefix length, or none, not {}",
                text::quoted(text)
            ),
        ));
    }
    if gateway.is_some() && address.is_some_and(|address| !address.contains('/')) {
        return Err(Error::argument(
            &argument,
            "must be left out where the address is not a fixed one",
        ));
    }
    Ok(())
}

impl Model {
    fn name(self) -> &'static str {
        match self {
            Self::Virtio => "virtio",
            Self::E1000 => "e1000",
            Self::E1000e => "e1000e",
            Self::Rtl8139 => "rtl8139",
            Self::Vmxnet3 => "vmxnet3",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pve::NotSent;
    use serde_json::{Value, json};

    fn nic(mut arguments: Value) -> SetNic {
        arguments["vmid"] = json!(100);
        serde_json::from_value(arguments).unwrap()
    }

    #[test]
    fn what_is_not_spoken_of_stays() {
        const VM: &str = "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1,queues=4,tag=5";
        for (arguments, old, new) in [
            (
                json!({"bridge": "vmbr1"}),
                VM,
                "virtio=BC:24:11:00:00:01,bridge=vmbr1,firewall=1,queues=4,tag=5",
            ),
            (
                json!({"vlan": 0, "firewall": false, "link_down": true}),
                VM,
                "virtio=BC:24:11:00:00:01,bridge=vmbr0,queues=4,link_down=1",
            ),
            (
                json!({"model": "e1000", "rate_limit_megabytes_per_second": 12.5}),
                VM,
                "e1000=BC:24:11:00:00:01,bridge=vmbr0,firewall=1,queues=4,tag=5,rate=12.5",
            ),
            (
                json!({"vlan": 20}),
                "model=virtio,macaddr=BC:24:11:00:00:01,bridge=vmbr0",
                "virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=20",
            ),
            (
                json!({"vlan": 20}),
                "e1000,bridge=vmbr0",
                "e1000,bridge=vmbr0,tag=20",
            ),
        ] {
            let value = nic(arguments)
                .value(GuestType::Qemu, "net0", Some(old), &[])
                .unwrap();
            assert_eq!(value, new);
            assert!(hardware::is_vm_nic(&value), "{value}");
        }
        let value = nic(json!({"bridge": "vmbr0"}))
            .value(GuestType::Qemu, "net1", None, &[])
            .unwrap();
        assert_eq!(value, "virtio,bridge=vmbr0,firewall=1");
    }

    #[test]
    fn a_containers_card_has_addresses() {
        const CT: &str = "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:02,ip=dhcp,type=veth";
        for (arguments, old, new) in [
            (
                json!({"ipv4": "192.0.2.9/24", "ipv4_gateway": "192.0.2.1"}),
                Some(CT),
                "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:02,ip=192.0.2.9/24,type=veth,gw=192.0.2.1",
            ),
            (
                json!({"ipv4": "dhcp"}),
                Some("name=eth0,bridge=vmbr0,ip=192.0.2.9/24,gw=192.0.2.1"),
                "name=eth0,bridge=vmbr0,ip=dhcp",
            ),
            (
                json!({"ipv4": "none", "ipv6": "auto"}),
                Some(CT),
                "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:02,type=veth,ip6=auto",
            ),
            (
                json!({"bridge": "vmbr1", "ipv4": "dhcp"}),
                None,
                "name=eth2,bridge=vmbr1,firewall=1,ip=dhcp",
            ),
        ] {
            let value = nic(arguments)
                .value(GuestType::Lxc, "net2", old, &[])
                .unwrap();
            assert_eq!(value, new);
            assert!(hardware::is_container_nic(&value), "{value}");
        }
    }

    #[test]
    fn a_bridge_that_cannot_be_looked_up_is_a_warning() {
        let check = |known: Result<Vec<String>, Failure>| check_bridge(known, "pve1", "dmz");
        assert_eq!(check(Ok(vec!["dmz".to_owned()])), Ok(None));
        let refused = check(Ok(vec!["vmbr0".to_owned()])).unwrap_err().message();
        assert!(refused.contains("vmbr0"), "{refused}");
        for (known, why) in [
            (Ok(Vec::new()), "sees none"),
            (
                Err(Failure::Mistaken(Box::new(NotSent {
                    call: "GET /nodes/pve1/network".to_owned(),
                    why: "offline".to_owned(),
                }))),
                "offline",
            ),
        ] {
            let warning = check(known).unwrap().unwrap();
            assert!(
                warning.contains("is not known") && warning.contains(why),
                "{warning}"
            );
        }
    }

    #[test]
    fn what_cannot_be_is_refused_first() {
        for (arguments, says) in [
            (json!({}), "say what to change"),
            (json!({"nic": "eth0", "vlan": 1}), "nic: must be"),
            (json!({"bridge": "a b"}), "bridge: must be"),
            (json!({"ipv4": "192.0.2.9"}), "ipv4: must be"),
            (json!({"ipv4": "auto"}), "ipv4: must be"),
            (json!({"ipv6": "192.0.2.9/24"}), "ipv6: must be"),
            (
                json!({"ipv4": "dhcp", "ipv4_gateway": "192.0.2.1"}),
                "ipv4_gateway: must be left out",
            ),
            (
                json!({"ipv4_gateway": "2001:db8::1"}),
                "ipv4_gateway: must be",
            ),
        ] {
            let message = nic(arguments.clone()).check().unwrap_err().message();
            assert!(message.starts_with(says), "{arguments}: {message}");
        }
        let new = nic(json!({"vlan": 5}));
        assert!(new.value(GuestType::Qemu, "net0", None, &[]).is_err());
        assert!(
            nic(json!({"ipv4": "dhcp"}))
                .check_kind(GuestType::Qemu)
                .is_err()
        );
        assert!(
            nic(json!({"model": "virtio"}))
                .check_kind(GuestType::Lxc)
                .is_err()
        );
    }
}
