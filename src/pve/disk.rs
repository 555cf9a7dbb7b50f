//! Disks and network cards, out of the property strings of a configuration.

use pve_api::slot::Bus;
use pve_api::{GuestType, size, split_volid};
use schemars::JsonSchema;
use serde::Serialize;

use super::property::Properties;

use crate::json::SerializeFields;

/// A disk, mount point or drive of a guest.
#[derive(Debug, Clone, Default, PartialEq, SerializeFields, JsonSchema)]
pub(crate) struct Disk {
    /// The configuration's key: `scsi0`, `rootfs`, `mp0`.
    #[serde(rename = "disk")]
    pub(crate) id: String,
    /// `storage:volume`, a path, `none` for an empty drive, or `cdrom` for the
    /// node's own.
    pub(crate) volid: String,
    /// Absent for a volume on a storage.
    #[serde(skip_serializing_if = "Source::is_volume")]
    pub(crate) source: Source,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) storage: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) size_bytes: Option<u64>,
    /// A CD-ROM drive; a cloud-init drive is one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) cdrom: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) cloud_init: bool,
    /// Where a container mounts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mount_point: Option<String>,
    /// Whether vzdump includes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backup: Option<bool>,
    /// The other options, unchanged: `cache=writeback`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) options: Vec<String>,
}

/// What a disk is, as what can be done with it depends on that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    /// A volume on a storage.
    #[default]
    Volume,
    /// A device or folder of the node: a passed-through disk, a bind mount.
    /// Proxmox can neither resize nor move it, no backup of a container holds
    /// it, and it keeps the guest on its node.
    Path,
    /// An empty drive.
    Empty,
    /// The node's own CD-ROM drive.
    HostDrive,
}

impl Source {
    fn is_volume(&self) -> bool {
        *self == Self::Volume
    }

    fn of(text: &str) -> Self {
        match text {
            "none" => Self::Empty,
            "cdrom" => Self::HostDrive,
            _ if split_volid(text).is_some() => Self::Volume,
            _ => Self::Path,
        }
    }
}

/// A network card of a guest.
#[derive(Debug, Clone, Default, PartialEq, SerializeFields, JsonSchema)]
pub(crate) struct Nic {
    /// The configuration's key: `net0`.
    #[serde(rename = "nic")]
    pub(crate) id: String,
    /// The emulated model of a VM's card: `virtio`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    /// The interface's name in a container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mac: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bridge: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) vlan: Option<u32>,
    /// Whether the guest's firewall rules apply to it.
    pub(crate) firewall: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) link_down: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate_limit_megabytes_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mtu: Option<u32>,
    /// A container's address: a CIDR, `dhcp` or `manual`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ipv4: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ipv4_gateway: Option<String>,
    /// A container's address: a CIDR, `auto`, `dhcp` or `manual`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ipv6: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ipv6_gateway: Option<String>,
    /// The other options, unchanged: `queues=4`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) options: Vec<String>,
}

impl Disk {
    /// Whether a configuration's key names a disk of this kind of guest.
    pub(crate) fn is_key(kind: GuestType, key: &str) -> bool {
        Bus::of(key).is_some_and(|bus| match kind {
            GuestType::Qemu => bus.is_of_vms(),
            GuestType::Lxc => bus.is_of_containers(),
        })
    }

    /// What its slot is on.
    pub(crate) fn bus(&self) -> Option<Bus> {
        Bus::of(&self.id)
    }

    /// Whether it was detached from the guest.
    pub(crate) fn is_unused(&self) -> bool {
        self.bus() == Some(Bus::Unused)
    }

    /// Whether the guest keeps its own data on it: it is in use, and holds more than
    /// the state of firmware or of a TPM.
    pub(crate) fn holds_data(&self) -> bool {
        !matches!(self.bus(), Some(Bus::Unused | Bus::Efi | Bus::Tpm))
    }

    /// Parses the value of a key such as `scsi0`: a volume and its options.
    pub(crate) fn parse(id: &str, text: &str) -> Self {
        let properties = Properties::parse(text);
        let volid = properties
            .bare()
            .or_else(|| properties.get("file"))
            .or_else(|| properties.get("volume"))
            .unwrap_or_default()
            .to_owned();
        let cdrom = properties.get("media") == Some("cdrom");
        Self {
            id: id.to_owned(),
            source: Source::of(&volid),
            storage: split_volid(&volid).map(|(storage, _)| storage.to_owned()),
            size_bytes: properties.get("size").and_then(size::parse),
            cdrom,
            cloud_init: cdrom && volid.contains("cloudinit"),
            mount_point: properties.get("mp").map(str::to_owned),
            backup: properties.flag("backup"),
            options: properties
                .pairs()
                .filter(|(key, value)| match *key {
                    "file" | "volume" | "mp" | "backup" => false,
                    "size" => size::parse(value).is_none(),
                    "media" => *value != "cdrom",
                    _ => true,
                })
                .map(|(key, value)| format!("{key}={value}"))
                .collect(),
            volid,
        }
    }
}

impl Nic {
    /// Whether a configuration's key names a network card.
    pub(crate) fn is_key(key: &str) -> bool {
        let number = key.strip_prefix("net").unwrap_or_default();
        !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
    }

    /// Parses the value of a key such as `net0`. A VM's card holds model and MAC as
    /// `virtio=BC:…`, a container's as `hwaddr=BC:…`.
    pub(crate) fn parse(kind: GuestType, id: &str, text: &str) -> Self {
        let properties = Properties::parse(text);
        let own = |key: &str| properties.get(key).map(str::to_owned);
        let number = |key: &str| properties.get(key).and_then(|value| value.parse().ok());
        let (model, mac) = match kind {
            GuestType::Lxc => (None, own("hwaddr")),
            GuestType::Qemu => model_and_mac(&properties),
        };
        let is_number = |value: &str| value.parse::<u32>().is_ok();
        let options = properties
            .pairs()
            .filter(|(key, value)| match *key {
                "name" | "hwaddr" | "macaddr" | "model" | "bridge" | "firewall" | "link_down"
                | "ip" | "gw" | "ip6" | "gw6" => false,
                "tag" | "mtu" => !is_number(value),
                "rate" => value.parse::<f64>().is_err(),
                // There is no other.
                "type" => *value != "veth",
                key => Some(key) != model.as_deref(),
            })
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        Self {
            id: id.to_owned(),
            options,
            model,
            name: own("name"),
            mac,
            bridge: own("bridge"),
            vlan: number("tag"),
            firewall: properties.flag("firewall").unwrap_or(false),
            link_down: properties.flag("link_down").unwrap_or(false),
            rate_limit_megabytes_per_second: properties
                .get("rate")
                .and_then(|value| value.parse().ok()),
            mtu: number("mtu"),
            ipv4: own("ip"),
            ipv4_gateway: own("gw"),
            ipv6: own("ip6"),
            ipv6_gateway: own("gw6"),
        }
    }
}

fn model_and_mac(properties: &Properties) -> (Option<String>, Option<String>) {
    if let Some(model) = properties.get("model") {
        return (
            Some(model.to_owned()),
            properties.get("macaddr").map(str::to_owned),
        );
    }
    let named = properties.pairs().find(|(_, value)| is_mac(value));
    match named {
        Some((model, mac)) => (Some(model.to_owned()), Some(mac.to_owned())),
        None => (properties.bare().map(str::to_owned), None),
    }
}

fn is_mac(text: &str) -> bool {
    text.len() == 17
        && text
            .split(':')
            .all(|byte| byte.len() == 2 && byte.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys() {
        assert!(Disk::is_key(GuestType::Qemu, "scsi0"));
        assert!(Disk::is_key(GuestType::Qemu, "efidisk0"));
        assert!(!Disk::is_key(GuestType::Qemu, "scsihw"));
        assert!(!Disk::is_key(GuestType::Qemu, "rootfs"));
        assert!(Disk::is_key(GuestType::Lxc, "mp12"));
        assert!(Nic::is_key("net0") && !Nic::is_key("net"));
    }

    #[test]
    fn disks() {
        let disk = Disk::parse(
            "scsi0",
            "local:100/vm-100-disk-0.qcow2,iothread=1,size=32M,backup=0",
        );
        assert_eq!(disk.storage.as_deref(), Some("local"));
        assert_eq!(disk.size_bytes, Some(33_554_432));
        assert_eq!(disk.backup, Some(false));
        assert_eq!(disk.options, ["iothread=1"]);
        let drive = Disk::parse("ide2", "local:100/vm-100-cloudinit.qcow2,media=cdrom");
        assert!(drive.cdrom && drive.cloud_init);
        let empty = Disk::parse("ide2", "none,media=cdrom");
        assert_eq!((empty.volid.as_str(), empty.storage), ("none", None));
        let mount = Disk::parse("mp0", "bulk:200/vm-200-disk-1.raw,mp=/srv/data,size=8G");
        assert_eq!(mount.mount_point.as_deref(), Some("/srv/data"));
    }

    #[test]
    fn paths_are_not_volumes() {
        for (text, source, storage) in [
            (
                "/dev/disk/by-path/pci-0000:04:00.0-x,backup=0,size=1T",
                Source::Path,
                None,
            ),
            ("/srv/share/a:b,mp=/data", Source::Path, None),
            ("volume=/srv/x,mp=/y", Source::Path, None),
            (
                "file=local-zfs:vm-7-disk-0,size=4G",
                Source::Volume,
                Some("local-zfs"),
            ),
            (
                "volume=nas.1:200/x.raw,mp=/y",
                Source::Volume,
                Some("nas.1"),
            ),
            ("none,media=cdrom", Source::Empty, None),
            ("cdrom,media=cdrom", Source::HostDrive, None),
            ("", Source::Path, None),
        ] {
            let disk = Disk::parse("scsi1", text);
            assert_eq!(
                (disk.source, disk.storage.as_deref()),
                (source, storage),
                "{text}"
            );
        }
    }

    #[test]
    fn what_has_no_field_of_its_own_is_kept() {
        let nic = Nic::parse(
            GuestType::Qemu,
            "net0",
            "virtio=BC:24:11:00:00:03,bridge=vmbr1,queues=4,trunks=5;6,tag=all,mtu=1",
        );
        assert_eq!(nic.options, ["queues=4", "trunks=5;6", "tag=all"]);
        let nic = Nic::parse(
            GuestType::Lxc,
            "net1",
            "name=eth1,hwaddr=BC:24:11:00:00:04,host-managed=1,type=veth",
        );
        assert_eq!(nic.options, ["host-managed=1"]);
        assert_eq!(
            Disk::parse("scsi0", "local:1/a.raw,size=odd,media=disk").options,
            ["size=odd", "media=disk"]
        );
    }

    #[test]
    fn network_cards() {
        let nic = Nic::parse(
            GuestType::Qemu,
            "net0",
            "virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=20,firewall=1",
        );
        assert_eq!(nic.model.as_deref(), Some("virtio"));
        assert_eq!(nic.mac.as_deref(), Some("BC:24:11:00:00:01"));
        assert_eq!((nic.vlan, nic.firewall), (Some(20), true));
        let nic = Nic::parse(
            GuestType::Lxc,
            "net0",
            "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:02,ip=dhcp,type=veth",
        );
        assert_eq!(nic.name.as_deref(), Some("eth0"));
        assert_eq!(nic.mac.as_deref(), Some("BC:24:11:00:00:02"));
        assert_eq!(nic.ipv4.as_deref(), Some("dhcp"));
        assert!(!nic.firewall);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in any::<String>()) {
            let _ = (Disk::parse("scsi0", &text), Nic::parse(GuestType::Qemu, "net0", &text));
        }
    }
}
