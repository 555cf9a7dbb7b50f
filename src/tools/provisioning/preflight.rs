//! What has to be there before a guest is made, checked before anything is sent:
//! Proxmox accepts most mistakes, and its task or the guest's first start fails.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::error::{Error, Problem, Result};
use crate::order::Ordered as _;
use crate::pve::{
    Content, Format, Held, Pve, Vmid, bridges, check_node_name, choose, choose_node, guests,
    volumes,
};
use crate::text;
use crate::tool_names;
use crate::tools::cloudinit::keys::SshKey;
use crate::tools::resources::set_guest_options::is_tag;
use crate::tools::resources::set_nic::{check_address, check_bridge};

/// The bridge that an installation of Proxmox has.
const USUAL_BRIDGE: &str = "vmbr0";

/// A new guest, as it was asked for.
pub(super) struct NewGuest<'a> {
    pub(super) new_vmid: Option<Vmid>,
    pub(super) node: Option<&'a str>,
    pub(super) storage: Option<&'a str>,
    /// What its storage has to hold.
    pub(super) content: Content,
    pub(super) disk_gib: u64,
    pub(super) bridge: Option<&'a str>,
    pub(super) pool: Option<&'a str>,
    /// Those that the settings of the new guest take, without `VM.Config.`.
    pub(super) config_privileges: &'a [&'static str],
}

/// Where a new guest is made.
pub(super) struct Place {
    pub(super) node: String,
    pub(super) storage: String,
    pub(super) bridge: String,
    /// What the storage has free, as far as it is known.
    pub(super) free_bytes: Option<u64>,
    /// Whether the token may choose a VM's hardware, such as the disk controller
    /// and the serial port. True where that is not known.
    pub(super) may_set_hardware: bool,
    /// What was checked, for the plan.
    pub(super) checked: String,
    pub(super) warnings: Vec<String>,
}

impl NewGuest<'_> {
    /// Chooses what was left open, and refuses what cannot be.
    pub(super) fn place(&self, pve: &Pve) -> Result<Place> {
        check_node_name("node", self.node)?;
        if let Some(wanted) = self.new_vmid
            && let Some(taken) = guests(pve)?.iter().find(|guest| guest.vmid == wanted)
        {
            return Err(Error::Conflict(format!(
                "new_vmid is taken by {}: choose another, or leave it out for the next free one",
                taken.label()
            )));
        }
        let node = choose_node(pve, "node", self.node)?;
        let storage = choose(pve, &node, self.content, self.storage)?;
        let mut warnings = Vec::new();
        warnings.extend(storage.check_room(self.disk_gib << 30)?);
        let known = bridges(pve, &node);
        let bridge = match (self.bridge, &known) {
            (None, Ok(known)) if !known.is_empty() => default_bridge(known)?,
            (bridge, _) => bridge.unwrap_or(USUAL_BRIDGE).to_owned(),
        };
        warnings.extend(check_bridge(known, &node, &bridge)?);
        // A scope takes entries out of the answer.
        let held = pve.held().filter(|_| pve.scope().is_none());
        let granted = held.map(|held| self.on_guest(held));
        let missing = held.map_or_else(Vec::new, |held| {
            self.missing(held, &storage.storage, &bridge)
        });
        let privileges = match (&held, missing.is_empty()) {
            (None, _) => "privileges not known",
            (Some(_), true) => "privileges present",
            (Some(_), false) => "privileges missing",
        };
        if !missing.is_empty() {
            warnings.push(format!(
                "the token {} lacks {}, without which Proxmox refuses this, or its task fails",
                pve.token_name(),
                missing.join(", ")
            ));
        }
        let vmid = match self.new_vmid {
            Some(vmid) => format!("vmid {vmid} is free"),
            None => "the next free vmid".to_owned(),
        };
        let free = match &storage.avail {
            Some(free) => format!("{} free", text::bytes(free.0)),
            None => "free space not known".to_owned(),
        };
        let checked = format!(
            "{vmid}; storage {} holds {}, {free}; bridge {bridge}; {privileges}",
            storage.storage,
            self.content.as_str()
        );
        Ok(Place {
            free_bytes: storage.avail.as_ref().map(|free| free.0),
            node,
            storage: storage.storage,
            bridge,
            may_set_hardware: granted.is_none_or(|held| held.contains("VM.Config.HWType")),
            checked,
            warnings,
        })
    }

    /// What the token may do with the new guest, by its own path or by its pool.
    fn on_guest<'h>(&self, held: &'h Held) -> BTreeSet<&'h str> {
        let guest = match self.new_vmid {
            Some(vmid) => format!("/vms/{vmid}"),
            None => "/vms".to_owned(),
        };
        let pool = self.pool.map(|pool| format!("/pool/{pool}"));
        let paths = std::iter::once(guest).chain(pool);
        paths.flat_map(|path| held.on(&path)).ordered()
    }

    /// The privileges that the token lacks, each with its path.
    fn missing(&self, held: &Held, storage: &str, bridge: &str) -> Vec<String> {
        let on_guest = self.on_guest(held);
        let config = self
            .config_privileges
            .iter()
            .map(|name| format!("VM.Config.{name}"));
        let mut missing: Vec<String> = std::iter::once("VM.Allocate".to_owned())
            .chain(config)
            .filter(|privilege| !on_guest.contains(privilege.as_str()))
            .map(|privilege| match self.new_vmid {
                Some(vmid) => format!("{privilege} on /vms/{vmid}"),
                None => format!("{privilege} on /vms"),
            })
            .collect();
        // A virtual network may be in another zone.
        let zone = bridge
            .starts_with("vmbr")
            .then(|| format!("/sdn/zones/localnetwork/{bridge}"));
        let storage = (
            Some(format!("/storage/{storage}")),
            "Datastore.AllocateSpace",
        );
        for (path, privilege) in [storage, (zone, "SDN.Use")] {
            if let Some(path) = path
                && !held.on(&path).contains(&privilege)
            {
                missing.push(format!("{privilege} on {path}"));
            }
        }
        missing
    }
}

fn default_bridge(known: &[String]) -> Result<String> {
    match known {
        [only] => Ok(only.clone()),
        known if known.iter().any(|one| one == USUAL_BRIDGE) => Ok(USUAL_BRIDGE.to_owned()),
        several => Err(Error::argument(
            "bridge",
            format!(
                "must be given: the node has {}",
                text::names(several.iter().map(String::as_str))
            ),
        )),
    }
}

impl Place {
    /// A warning, if the storage has less free than these bytes.
    pub(super) fn lacks_room(&self, bytes: u64) -> Option<String> {
        let free = self.free_bytes.filter(|free| *free < bytes)?;
        Some(format!(
            "storage {} has {} free, less than the {} that the disk may take",
            self.storage,
            text::bytes(free),
            text::bytes(bytes)
        ))
    }

    /// Refuses a file that the node does not have. Returns its size in bytes, for an
    /// image that of the disk in it.
    pub(super) fn has_file(
        &self,
        pve: &Pve,
        argument: &str,
        volid: &str,
        content: Content,
    ) -> Result<Option<u64>> {
        let storage = volid.split(':').next().unwrap_or_default();
        let there = volumes(pve, &self.node, storage, Some(content), None)?;
        if let Some(volume) = there.iter().find(|volume| volume.volid == volid) {
            return Ok(volume.size_bytes());
        }
        let near = text::nearest(volid, there.iter().map(|volume| volume.volid.as_str()))
            .map_or_else(String::new, |near| format!(", perhaps {near} is meant"));
        Err(Error::NotFound(format!(
            "{argument}: node {} has no {volid}{near}: {} with content {} lists what is there, {} or \
             {} fetches a file",
            self.node,
            tool_names::LIST_STORAGE_CONTENT,
            content.as_str(),
            tool_names::DOWNLOAD_ISO,
            tool_names::DOWNLOAD_TEMPLATE
        )))
    }
}

/// The addresses of a new guest's card, as they were asked for.
pub(super) struct Addresses<'a> {
    /// Default: `dhcp`.
    pub(super) ipv4: Option<&'a str>,
    pub(super) ipv4_gateway: Option<&'a str>,
    /// Default: none.
    pub(super) ipv6: Option<&'a str>,
    pub(super) ipv6_gateway: Option<&'a str>,
}

impl Addresses<'_> {
    pub(super) fn check(&self) -> Result<()> {
        let ipv6 = Some(self.ipv6.unwrap_or("none"));
        check_address("ipv4", Some(self.ipv4()), self.ipv4_gateway, false)?;
        check_address("ipv6", ipv6, self.ipv6_gateway, true)
    }

    /// As a card or cloud-init takes them: `ip=dhcp`.
    pub(super) fn settings(&self) -> Vec<String> {
        [
            ("ip", Some(self.ipv4())),
            ("gw", self.ipv4_gateway),
            ("ip6", self.ipv6),
            ("gw6", self.ipv6_gateway),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.filter(|value| *value != "none")?)))
        .map(|(key, value)| format!("{key}={value}"))
        .collect()
    }

    /// Without any, the card would get no address at all.
    fn ipv4(&self) -> &str {
        self.ipv4.unwrap_or("dhcp")
    }
}

/// A network card that the firewall can filter.
pub(super) fn card(head: &str, bridge: &str, vlan: Option<u32>) -> String {
    let tag = vlan.map_or_else(String::new, |tag| format!(",tag={tag}"));
    format!("{head},bridge={bridge},firewall=1{tag}")
}

/// Sets the DNS servers, if there are any.
pub(super) fn set_dns(set: &mut impl FnMut(&str, String), servers: Option<&[String]>) {
    if let Some(servers) = servers.filter(|all| !all.is_empty()) {
        set("nameserver", servers.join(" "));
    }
}

/// Sets what both types of guests have.
pub(super) fn set_common(
    set: &mut impl FnMut(&str, String),
    pool: Option<&str>,
    tags: Option<&[String]>,
    description: Option<&str>,
) {
    if let Some(pool) = pool {
        set("pool", pool.to_owned());
    }
    if let Some(tags) = tags.filter(|tags| !tags.is_empty()) {
        set("tags", tags.join(";"));
    }
    if let Some(description) = description {
        set("description", description.trim_end().to_owned());
    }
}

/// Refuses names that Proxmox does not take.
pub(super) fn check_names(name: &str, storage: Option<&str>, pool: Option<&str>) -> Result<()> {
    Format::DnsName.check("name", name)?;
    Format::Storage.check_opt("storage", storage)?;
    Format::Pool.check_opt("pool", pool)
}

/// Refuses to wait for the address of a guest that is not started.
pub(super) fn check_wait(guest: &str, start: Option<bool>, wait: Option<bool>) -> Result<()> {
    if wait != Some(true) || start == Some(true) {
        return Ok(());
    }
    Err(Error::argument(
        "wait_for_address",
        format!("needs start: a {guest} that does not run has no address"),
    ))
}

/// Reads public keys, or says which of them is wrong.
pub(super) fn read_keys(lines: Option<&[String]>) -> Result<Vec<SshKey>> {
    let mut keys = Vec::new();
    let mut problems = Vec::new();
    for (index, line) in lines.into_iter().flatten().enumerate() {
        match SshKey::parse(line) {
            Ok(key) if keys.contains(&key) => {}
            Ok(key) => keys.push(key),
            Err(message) => problems.push(Problem {
                pointer: format!("/ssh_keys/{index}"),
                message,
            }),
        }
    }
    match problems.is_empty() {
        true => Ok(keys),
        false => Err(Error::InvalidArguments(problems)),
    }
}

/// Refuses what Proxmox does not take as a tag.
pub(super) fn check_tags(tags: Option<&[String]>) -> Result<()> {
    check_each(
        "tags",
        tags,
        "must be a tag: letters, digits, _, -, + and .",
        is_tag,
    )
}

/// Refuses what is not an address of a DNS server.
pub(super) fn check_dns(servers: Option<&[String]>) -> Result<()> {
    let is_address = |text: &str| text.parse::<IpAddr>().is_ok();
    let must = "must be an IP address, such as 192.0.2.53";
    check_each("dns_servers", servers, must, is_address)
}

fn check_each(
    argument: &str,
    values: Option<&[String]>,
    must: &str,
    fits: impl Fn(&str) -> bool,
) -> Result<()> {
    let problems: Vec<Problem> = values
        .into_iter()
        .flatten()
        .enumerate()
        .filter(|(_, value)| !fits(value))
        .map(|(index, _)| Problem {
            pointer: format!("/{argument}/{index}"),
            message: must.to_owned(),
        })
        .collect();
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Error::InvalidArguments(problems)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn privileges_come_from_the_guest_or_its_pool() {
        let held = json!({
            "/vms": {"VM.Allocate": 1}, "/pool/lab": {"VM.Config.Options": 1},
            "/storage/local": {"Datastore.AllocateSpace": 1},
            "/sdn/zones/localnetwork/vmbr0": {"SDN.Use": 1},
        });
        let held = Held::read(held.as_object().unwrap());
        let mut guest = NewGuest {
            new_vmid: None,
            node: None,
            storage: None,
            content: Content::Images,
            disk_gib: 1,
            bridge: None,
            pool: Some("lab"),
            config_privileges: &["Options"],
        };
        assert!(guest.missing(&held, "local", "vmbr0").is_empty());
        guest.pool = None;
        assert_eq!(
            guest.missing(&held, "nas", "vmbr1"),
            [
                "VM.Config.Options on /vms",
                "Datastore.AllocateSpace on /storage/nas",
                "SDN.Use on /sdn/zones/localnetwork/vmbr1",
            ]
        );
        assert!(guest.missing(&held, "local", "dmz").len() == 1);
    }

    #[test]
    fn a_bridge_is_chosen_where_there_is_no_doubt() {
        let chosen = |known: &[&str]| {
            let known: Vec<String> = known.iter().map(|name| (*name).to_owned()).collect();
            default_bridge(&known).ok()
        };
        assert_eq!(chosen(&["dmz"]).as_deref(), Some("dmz"));
        assert_eq!(chosen(&["dmz", "vmbr0"]).as_deref(), Some("vmbr0"));
        assert_eq!(chosen(&["dmz", "lan"]), None);
    }
}
