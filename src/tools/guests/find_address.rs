//! Which guest has an IP address: by configuration, then by what runs.

use std::net::IpAddr;

use pve_api::calls;

use super::get_guest_network::inside_interfaces;
use crate::error::{Error, Result};
use crate::pve::{Guest, GuestConfig, GuestType, Params, Properties, Pve};
use crate::text;
use crate::tool::budget::Budget;

/// How many configurations are read, and how many running guests are asked.
const MOST_CONFIGURATIONS: usize = 550;
const MOST_ASKED: usize = 300;

/// The guests that have an address.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Each with the place that says so: `net0`, `ipconfig0`, `guest agent`.
    pub(super) guests: Vec<(Guest, String)>,
    pub(super) notes: Vec<String>,
}

/// Reads an address, without a prefix length.
pub(super) fn parse(argument: &str, text: &str) -> Result<IpAddr> {
    text.trim().parse().map_err(|_| {
        Error::argument(
            argument,
            format!(
                "must be an IPv4 or IPv6 address such as 192.0.2.10, without a prefix length, not \
                 {}",
                text::quoted(text)
            ),
        )
    })
}

/// Looks for an address in the configuration of every guest: more than one may have it.
/// Where none has, running guests are asked until one has it.
pub(super) fn find(pve: &Pve, address: IpAddr, guests: Vec<Guest>) -> Found {
    let mut found = Found::default();
    let (readable, away): (Vec<Guest>, Vec<Guest>) = guests
        .into_iter()
        .filter(|guest| !guest.template.0)
        .partition(|guest| guest.reachable(pve).is_ok());
    let mut all = Budget::new(MOST_CONFIGURATIONS + MOST_ASKED);
    let mut budget = all.part(MOST_CONFIGURATIONS);
    let request = |guest: &Guest| (guest.request(&calls::guests::CONFIG), Params::new());
    pve.start(readable.iter().take(budget.left()).map(request));
    let (mut running, mut unread) = (Vec::new(), 0_usize);
    for guest in readable {
        let config = budget
            .take()
            .then(|| GuestConfig::read(pve, &guest).ok())
            .flatten();
        let Some(config) = config else {
            unread += 1;
            continue;
        };
        if let Some(place) = configured(&guest, &config, address) {
            found.guests.push((guest, place));
        } else if guest.is_running() && can_be_asked(&guest, &config) {
            running.push(guest);
        }
    }
    let mut asked = Asked::default();
    if found.guests.is_empty() {
        asked = ask(pve, address, running, &mut all);
        found.guests.extend(asked.having.take());
    }
    if found.guests.is_empty() {
        found.notes.push(format!(
            "no guest is known to have {address}: static addresses of containers and of cloud-init \
             were compared, and running guests were asked; a VM without the guest agent does \
             not report its address"
        ));
    }
    for (count, what) in [
        (away.len(), "on offline nodes could not be read"),
        (
            unread,
            "left unread by the limits of one call, or unreadable: narrow by node or pool",
        ),
        (
            asked.unasked,
            "left unasked by the limits of one call: narrow by node or pool",
        ),
        (asked.silent, "did not report any addresses while running"),
    ] {
        if count > 0 {
            found
                .notes
                .push(format!("{} {what}", text::count(count, "guest")));
        }
    }
    found
}

/// What running guests have answered.
#[derive(Default)]
struct Asked {
    /// The first that has the address, and by what it shows.
    having: Option<(Guest, String)>,
    /// How many did not report their addresses.
    silent: usize,
    /// How many were left out by the limits of a call.
    unasked: usize,
}

/// Asks running guests for their addresses until one has the address.
fn ask(pve: &Pve, address: IpAddr, running: Vec<Guest>, budget: &mut Budget) -> Asked {
    let mut asked = Asked::default();
    for guest in running {
        if !budget.take() {
            asked.unasked += 1;
            continue;
        }
        let Ok(Some(interfaces)) = inside_interfaces(pve, &guest) else {
            asked.silent += 1;
            continue;
        };
        let mut addresses = interfaces.iter().flat_map(|one| &one.addresses);
        if addresses.any(|one| is(one, address)) {
            let place = match guest.kind {
                GuestType::Qemu => "guest agent",
                GuestType::Lxc => "interfaces",
            };
            asked.having = Some((guest, place.to_owned()));
            break;
        }
    }
    asked
}

/// The setting that gives a guest the address.
fn configured(guest: &Guest, config: &GuestConfig, address: IpAddr) -> Option<String> {
    match guest.kind {
        GuestType::Lxc => config.nics().into_iter().find_map(|nic| {
            let mut own = [&nic.ipv4, &nic.ipv6].into_iter().flatten();
            own.any(|cidr| is(cidr, address)).then_some(nic.id)
        }),
        GuestType::Qemu => config
            .iter()
            .filter(|(key, _)| key.starts_with("ipconfig"))
            .find_map(|(key, value)| {
                let settings = Properties::parse(value);
                let mut own = [settings.get("ip"), settings.get("ip6")]
                    .into_iter()
                    .flatten();
                own.any(|cidr| is(cidr, address)).then(|| key.to_owned())
            }),
    }
}

/// Whether a running guest can tell its addresses: a VM whose agent is off cannot.
fn can_be_asked(guest: &Guest, config: &GuestConfig) -> bool {
    guest.kind == GuestType::Lxc
        || config.get("agent").is_some_and(|agent| {
            let agent = Properties::parse(agent);
            agent.flag("enabled").unwrap_or(agent.bare() == Some("1"))
        })
}

/// Whether `192.0.2.10/24` is an address.
fn is(cidr: &str, address: IpAddr) -> bool {
    let own = cidr.split_once('/').map_or(cidr, |(own, _)| own);
    own.parse::<IpAddr>().is_ok_and(|own| own == address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_address_is_compared_as_an_address() {
        let address = parse("address", " 2001:DB8:0::10 ").unwrap();
        assert!(is("2001:db8::10/64", address) && !is("dhcp", address));
        assert!(parse("address", "192.0.2.0/24").is_err());
    }

    #[test]
    fn settings_that_give_an_address() {
        let guest = |kind: &str| {
            let json = json!({"vmid": 100, "type": kind, "node": "pve1"});
            serde_json::from_value::<Guest>(json).unwrap()
        };
        let address = parse("address", "192.0.2.10").unwrap();
        let ct = GuestConfig::sample(
            GuestType::Lxc,
            json!({"net1": "name=eth1,bridge=vmbr0,ip=192.0.2.10/24"}),
        );
        assert_eq!(
            configured(&guest("lxc"), &ct, address).as_deref(),
            Some("net1")
        );
        let vm = GuestConfig::sample(
            GuestType::Qemu,
            json!({"ipconfig0": "ip=192.0.2.10/24,gw=192.0.2.1", "agent": "1"}),
        );
        assert_eq!(
            configured(&guest("qemu"), &vm, address).as_deref(),
            Some("ipconfig0")
        );
        assert!(can_be_asked(&guest("qemu"), &vm));
        let off = GuestConfig::sample(GuestType::Qemu, json!({"agent": "enabled=0"}));
        assert!(!can_be_asked(&guest("qemu"), &off));
        // The gateway is not the guest's.
        let gateway = parse("address", "192.0.2.1").unwrap();
        assert_eq!(configured(&guest("qemu"), &vm, gateway), None);
    }
}
