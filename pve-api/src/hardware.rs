//! Network cards, disks and drives, as requests may write them.
//!
//! What is read here is far less than what Proxmox takes: a drive is a new
//! volume, an image that is copied into a new volume, a CD-ROM, or a cloud-init
//! drive. No text that names an existing disk of a guest is one of these.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::size;
use crate::slot::Bus;
use crate::text::{is_storage, is_word, whole};

/// The content of a drive that a request attaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewDrive<'a> {
    /// A new volume: `local:32`.
    Volume {
        /// Where it is made.
        storage: &'a str,
        /// Its size.
        bytes: u64,
    },
    /// A new volume with the content of an image:
    /// `local:0,import-from=nas:import/debian.qcow2`.
    Import {
        /// Where it is made.
        storage: &'a str,
        /// The image, which stays as it is.
        source: &'a str,
    },
    /// A cloud-init drive: `local:cloudinit`.
    CloudInit {
        /// Where it is made.
        storage: &'a str,
    },
    /// A CD-ROM: `local:iso/debian.iso,media=cdrom`; empty as
    /// `none,media=cdrom`.
    Cd(Option<&'a str>),
}

/// Options of a VM's disk that change nothing about its volume.
const DISK_OPTIONS: &[&str] = &["backup", "cache", "discard", "format", "iothread", "ssd"];

/// What a card of a VM may be.
const MODELS: &[&str] = &[
    "virtio",
    "e1000",
    "e1000e",
    "rtl8139",
    "vmxnet3",
    "e1000-82540em",
    "e1000-82544gc",
    "e1000-82545em",
    "i82551",
    "i82557b",
    "i82559er",
    "ne2k_isa",
    "ne2k_pci",
    "pcnet",
];

impl<'a> NewDrive<'a> {
    /// Reads the value of a VM's `scsi0` and its like. None of whatever else it
    /// is: an existing volume, a path, the node's own drive.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (head, rest) = split(text);
        let pairs = pairs(rest)?;
        let value = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, v)| *v);
        let has_only = |names: &[&str]| pairs.iter().all(|(key, _)| names.contains(key));
        let are_words = |names: &[&str]| {
            pairs
                .iter()
                .all(|(key, value)| !names.contains(key) || is_word(value, b"-"))
        };
        if value("media") == Some("cdrom") && has_only(&["media"]) {
            return match head {
                "none" => Some(Self::Cd(None)),
                iso if is_file_of(iso, "iso") => Some(Self::Cd(Some(iso))),
                _ => Self::cloud_init(head),
            };
        }
        if let Some(drive) = Self::cloud_init(head) {
            return (has_only(&["format"]) && are_words(&["format"])).then_some(drive);
        }
        let (storage, number) = head.split_once(':')?;
        if !is_storage(storage) || !are_words(DISK_OPTIONS) {
            return None;
        }
        let allowed = |key: &str| DISK_OPTIONS.contains(&key);
        if let Some(source) = value("import-from") {
            let fits = number == "0"
                && is_file_of(source, "import")
                && pairs
                    .iter()
                    .all(|(key, _)| *key == "import-from" || allowed(key));
            return fits.then_some(Self::Import { storage, source });
        }
        if !pairs.iter().all(|(key, _)| allowed(key)) {
            return None;
        }
        let bytes = gibibytes(number)?;
        Some(Self::Volume { storage, bytes })
    }

    fn cloud_init(head: &'a str) -> Option<Self> {
        let storage = head.strip_suffix(":cloudinit")?;
        is_storage(storage).then_some(Self::CloudInit { storage })
    }

    /// The storage that a new volume is made on; none of a CD-ROM.
    pub fn storage(&self) -> Option<&'a str> {
        match *self {
            Self::Volume { storage, .. }
            | Self::Import { storage, .. }
            | Self::CloudInit { storage } => Some(storage),
            Self::Cd(_) => None,
        }
    }

    /// The image or ISO that it reads.
    pub fn source(&self) -> Option<&'a str> {
        match *self {
            Self::Import { source, .. } => Some(source),
            Self::Cd(volid) => volid,
            Self::Volume { .. } | Self::CloudInit { .. } => None,
        }
    }
}

/// A new volume that firmware or a TPM keeps its state on, of the size that
/// Proxmox chooses: `local:1,efitype=4m,pre-enrolled-keys=1`. Returns its
/// storage.
pub fn state_volume(text: &str) -> Option<&str> {
    let (head, rest) = split(text);
    let storage = head.strip_suffix(":1")?;
    let fits = |(key, value): &(&str, &str)| match *key {
        "efitype" => *value == "4m",
        "pre-enrolled-keys" => is_flag(value),
        "ms-cert" => is_word(value, b""),
        "version" => matches!(*value, "v1.2" | "v2.0"),
        _ => false,
    };
    let has_options = rest.is_some();
    (is_storage(storage) && has_options && pairs(rest)?.iter().all(fits)).then_some(storage)
}

/// A new volume of a container: `local:8`, with `mp=/srv/data` where it is a
/// mount point. Returns its storage and its size in bytes.
pub fn container_volume(text: &str, is_mount_point: bool) -> Option<(&str, u64)> {
    let (head, rest) = split(text);
    let rest = pairs(rest)?;
    let (storage, number) = head.split_once(':')?;
    let fits = |(key, value): &(&str, &str)| match *key {
        "mp" => is_mount_point && is_mount_path(value),
        "backup" => is_mount_point && is_flag(value),
        _ => false,
    };
    let has_path = rest.iter().any(|(key, _)| *key == "mp");
    let fits = is_storage(storage) && rest.iter().all(fits) && has_path == is_mount_point;
    fits.then_some((storage, gibibytes(number)?))
}

/// Whether a text is a path that a container's volume can be mounted at: not the
/// root, without `.` and `..`, and not where the system is, which a volume would hide.
pub fn is_mount_path(text: &str) -> bool {
    text.strip_prefix('/').is_some_and(|path| {
        path.split('/')
            .all(|part| is_word(part, b"-_.") && !matches!(part, "." | ".."))
            && !is_of_system(path)
    })
}

/// Whether a path, without its first slash, is one that a container needs to run. What is
/// below `/var` and `/root` belongs to programs and people.
fn is_of_system(path: &str) -> bool {
    const WHOLE: &[&str] = &[
        "bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "run", "sbin",
        "sys", "usr",
    ];
    let first = path.split('/').next().unwrap_or_default();
    WHOLE.contains(&first) || matches!(path, "root" | "var" | "var/lib")
}

/// The path that a container's mount point has in its configuration.
pub fn mount_path(text: &str) -> Option<&str> {
    text.split(',').find_map(|pair| pair.strip_prefix("mp="))
}

/// Whether a text is a container template on a storage:
/// `local:vztmpl/debian.tar.zst`.
pub fn is_template(text: &str) -> bool {
    is_file_of(text, "vztmpl")
}

/// Whether a text is a VM's network card on a bridge. Without a bridge, Proxmox
/// would connect it to a network of its own.
pub fn is_vm_nic(text: &str) -> bool {
    let (head, rest) = split(text);
    let head_fits = match head.split_once('=') {
        Some((model, mac)) => MODELS.contains(&model) && is_mac(mac),
        None => MODELS.contains(&head),
    };
    let fits = |(key, value): &(&str, &str)| {
        is_nic_option(key, value)
            || *key == "queues" && whole(value).is_some_and(|number| number <= 64)
    };
    head_fits && pairs(rest).is_some_and(|pairs| has_bridge(&pairs) && pairs.iter().all(fits))
}

/// Whether a text is a container's network card on a bridge.
pub fn is_container_nic(text: &str) -> bool {
    let fits = |(key, value): &(&str, &str)| match *key {
        "name" => value.len() <= 15 && is_word(value, b"-_."),
        "hwaddr" => is_mac(value),
        "type" => *value == "veth",
        "host-managed" => is_flag(value),
        "ip" => matches!(*value, "dhcp" | "manual") || is_cidr(value, false),
        "ip6" => matches!(*value, "auto" | "dhcp" | "manual") || is_cidr(value, true),
        "gw" => value.parse::<Ipv4Addr>().is_ok(),
        "gw6" => value.parse::<Ipv6Addr>().is_ok(),
        key => is_nic_option(key, value),
    };
    pairs(Some(text)).is_some_and(|pairs| {
        has_bridge(&pairs) && pairs.iter().any(|(key, _)| *key == "name") && pairs.iter().all(fits)
    })
}

/// Whether a text is a MAC address that a card may have.
pub fn is_mac(text: &str) -> bool {
    let bytes: Vec<&str> = text.split(':').collect();
    bytes.len() == 6
        && bytes
            .iter()
            .all(|byte| byte.len() == 2 && byte.bytes().all(|b| b.is_ascii_hexdigit()))
        // A card cannot have a multicast address.
        && bytes
            .first()
            .and_then(|first| u8::from_str_radix(first, 16).ok())
            .is_some_and(|first| first & 1 == 0)
}

/// Whether a text is a bridge's name, or that of a virtual network.
pub fn is_bridge(text: &str) -> bool {
    text.len() <= 15 && is_word(text, b"-_.") && !text.starts_with(['-', '.'])
}

/// Whether a text is an order of devices to boot from: `order=scsi0;ide2;net0`.
pub fn is_boot_order(text: &str) -> bool {
    text.strip_prefix("order=").is_some_and(|order| {
        order.split(';').all(|device| {
            let name = device.trim_end_matches(|c: char| c.is_ascii_digit());
            let number = device.get(name.len()..).unwrap_or_default();
            (name == "net" || Bus::of(device).is_some_and(Bus::is_of_drives))
                && number.len() <= 2
                && whole(number).is_some()
        })
    })
}

/// Whether a text switches the guest agent: `1`, or `enabled=1` with its
/// options.
pub fn is_agent(text: &str) -> bool {
    let (head, rest) = split(text);
    let fits = |(key, value): &(&str, &str)| match *key {
        "fstrim_cloned_disks" | "freeze-fs-on-backup" | "freeze-fs" | "guest-fsfreeze" => {
            is_flag(value)
        }
        "type" => matches!(*value, "virtio" | "isa"),
        _ => false,
    };
    is_flag(head.strip_prefix("enabled=").unwrap_or(head))
        && pairs(rest).is_some_and(|pairs| pairs.iter().all(fits))
}

fn is_nic_option(key: &str, value: &str) -> bool {
    let at_most = |most| whole(value).is_some_and(|number| number <= most);
    match key {
        "bridge" => is_bridge(value),
        "firewall" | "link_down" => is_flag(value),
        "mtu" => at_most(65_520),
        "rate" => is_decimal(value),
        "tag" => value != "0" && at_most(4094),
        "trunks" => {
            value
                .bytes()
                .all(|b| b.is_ascii_digit() || matches!(b, b';' | b'-'))
                && !value.is_empty()
        }
        _ => false,
    }
}

fn has_bridge(pairs: &[(&str, &str)]) -> bool {
    pairs.iter().any(|(key, _)| *key == "bridge")
}

fn is_cidr(text: &str, is_v6: bool) -> bool {
    text.split_once('/').is_some_and(|(address, bits)| {
        let most = if is_v6 { 128 } else { 32 };
        let fits = match is_v6 {
            true => address.parse::<Ipv6Addr>().is_ok(),
            false => address.parse::<Ipv4Addr>().is_ok(),
        };
        fits && whole(bits).is_some_and(|bits| bits <= most)
    })
}

/// A file of a kind on a storage: `local:iso/debian.iso`.
fn is_file_of(text: &str, kind: &str) -> bool {
    text.split_once(':').is_some_and(|(storage, name)| {
        let file = name
            .strip_prefix(kind)
            .and_then(|rest| rest.strip_prefix('/'));
        // People name ISO images as they like; the others Proxmox names.
        let fits = |file: &str| match kind {
            "iso" => {
                file.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_.+~@ ()[]{}!#&'".contains(&b))
                    && file.trim() == file
                    && !file.is_empty()
            }
            _ => is_word(file, b"-_.+~@"),
        };
        is_storage(storage) && file.is_some_and(|file| fits(file) && !file.starts_with('.'))
    })
}

/// The value before the first comma, and what follows.
fn split(text: &str) -> (&str, Option<&str>) {
    match text.split_once(',') {
        Some((head, rest)) => (head, Some(rest)),
        None => (text, None),
    }
}

/// `key=value` pairs between commas, each key once.
fn pairs(text: Option<&str>) -> Option<Vec<(&str, &str)>> {
    let mut found: Vec<(&str, &str)> = Vec::new();
    for pair in text.into_iter().flat_map(|text| text.split(',')) {
        let (key, value) = pair.split_once('=')?;
        if value.is_empty() || found.iter().any(|(other, _)| *other == key) {
            return None;
        }
        found.push((key, value));
    }
    Some(found)
}

fn is_flag(text: &str) -> bool {
    matches!(text, "0" | "1" | "on" | "off")
}

fn is_decimal(text: &str) -> bool {
    let (number, decimals) = text.split_once('.').unwrap_or((text, "0"));
    whole(number).is_some()
        && !decimals.is_empty()
        && decimals.len() <= 9
        && decimals.bytes().all(|b| b.is_ascii_digit())
}

/// A number of GiB, more than none.
fn gibibytes(number: &str) -> Option<u64> {
    if !is_decimal(number) {
        return None;
    }
    size::parse(&format!("{number}G")).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn drives_are_new_volumes_images_and_cds() {
        for (text, drive) in [
            (
                "local:32",
                NewDrive::Volume {
                    storage: "local",
                    bytes: 32 * GIB,
                },
            ),
            (
                "local-lvm:1.5,discard=on,iothread=1,ssd=1",
                NewDrive::Volume {
                    storage: "local-lvm",
                    bytes: 3 * GIB / 2,
                },
            ),
            (
                "local:0,import-from=nas:import/debian-13.qcow2,discard=on",
                NewDrive::Import {
                    storage: "local",
                    source: "nas:import/debian-13.qcow2",
                },
            ),
            ("local:cloudinit", NewDrive::CloudInit { storage: "local" }),
            (
                "local:cloudinit,media=cdrom",
                NewDrive::CloudInit { storage: "local" },
            ),
            (
                "nas:iso/debian.iso,media=cdrom",
                NewDrive::Cd(Some("nas:iso/debian.iso")),
            ),
            ("none,media=cdrom", NewDrive::Cd(None)),
        ] {
            assert_eq!(NewDrive::parse(text), Some(drive), "{text}");
        }
    }

    #[test]
    fn what_exists_already_is_no_new_drive() {
        for text in [
            "",
            "none",
            "cdrom",
            "cdrom,media=cdrom",
            "local:0",
            "local:00",
            "local:32G",
            "local:-1",
            "local:vm-100-disk-0",
            "local:100/vm-100-disk-0.qcow2",
            "local:100/vm-100-cloudinit.qcow2,media=cdrom",
            "local:iso/debian.iso",
            "local:iso/../100/vm-100-disk-0.qcow2,media=cdrom",
            "local:backup/a.vma.zst,media=cdrom",
            "/dev/sda",
            "/dev/sda,media=cdrom",
            "file=local:32",
            "local:32,file=local:100/vm-100-disk-0.qcow2",
            "local:32,import-from=nas:import/a.qcow2",
            "local:0,import-from=local:100/vm-100-disk-0.qcow2",
            "local:0,import-from=/etc/passwd",
            "local:0,import-from=nas:import/a.qcow2,import-from=nas:import/b.qcow2",
            "local:8,discard=on,discard=off",
            "local:8,mbps_rd=1",
            "local:8,",
            "local:8,,discard=on",
            "none,media=cdrom,file=local:8",
            "local:8 ,discard=on",
        ] {
            assert_eq!(NewDrive::parse(text), None, "{text}");
        }
    }

    #[test]
    fn containers_have_volumes_of_their_own() {
        assert_eq!(container_volume("local:8", false), Some(("local", 8 * GIB)));
        assert_eq!(
            container_volume("local:8,mp=/srv/data,backup=1", true),
            Some(("local", 8 * GIB))
        );
        for path in [
            "/var/lib/mysql",
            "/home",
            "/library",
            "/opt/app",
            "/root/data",
        ] {
            assert!(is_mount_path(path), "{path}");
        }
        assert_eq!(
            mount_path("local:8,mp=/srv/data,backup=1"),
            Some("/srv/data")
        );
        assert_eq!(mount_path("local:8"), None);
        for (text, is_mount_point) in [
            ("local:8,mp=/srv", false),
            ("local:8", true),
            ("local:0", false),
            ("/srv/data,mp=/data", true),
            ("volume=local:8,mp=/data", true),
            ("local:200/vm-200-disk-0.raw,mp=/data", true),
            ("local:8,mp=/srv/../etc", true),
            ("local:8,mp=/", true),
            ("local:8,mp=srv", true),
            ("local:8,mp=/srv,shared=1", true),
            ("local:8,mp=/etc", true),
            ("local:8,mp=/usr/local", true),
            ("local:8,mp=/lib64", true),
            ("local:8,mp=/var", true),
            ("local:8,mp=/var/lib", true),
            ("local:8,mp=/root", true),
        ] {
            assert_eq!(container_volume(text, is_mount_point), None, "{text}");
        }
        assert!(is_template(
            "local:vztmpl/debian-13-standard_13.1-2_amd64.tar.zst"
        ));
        assert!(!is_template("local:backup/vzdump-lxc-200.tar.zst"));
    }

    #[test]
    fn cards_are_on_a_bridge() {
        for text in [
            "virtio,bridge=vmbr0",
            "virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=20,firewall=1,rate=12.5,mtu=1,queues=4",
            "e1000=bc:24:11:00:00:01,bridge=net-dmz,link_down=1,trunks=5;6-8",
        ] {
            assert!(is_vm_nic(text), "{text}");
        }
        for text in [
            "",
            "virtio",
            "virtio=BC:24:11:00:00:01",
            "virtio=BD:24:11:00:00:01,bridge=vmbr0",
            "virtio=BC:24:11:00:00,bridge=vmbr0",
            "bridge=vmbr0",
            "virtio,bridge=vmbr0,bridge=vmbr1",
            "virtio,bridge=vmbr0,tag=0",
            "virtio,bridge=vmbr0,tag=4095",
            "virtio,bridge=../x",
            "virtio,bridge=vmbr0,script=/tmp/x",
            "tap,bridge=vmbr0",
        ] {
            assert!(!is_vm_nic(text), "{text}");
        }
        for text in [
            "name=eth0,bridge=vmbr0",
            "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:02,ip=192.0.2.5/24,gw=192.0.2.1,type=veth",
            "name=eth1,bridge=vmbr0,ip=dhcp,ip6=auto,tag=7,firewall=1",
            "name=eth1,bridge=vmbr0,ip6=2001:db8::5/64,gw6=2001:db8::1",
        ] {
            assert!(is_container_nic(text), "{text}");
        }
        for text in [
            "bridge=vmbr0",
            "name=eth0",
            "name=eth0,bridge=vmbr0,ip=192.0.2.5",
            "name=eth0,bridge=vmbr0,ip=192.0.2.5/33",
            "name=eth0,bridge=vmbr0,ip6=192.0.2.5/24",
            "name=eth0,bridge=vmbr0,gw=dhcp",
            "name=eth 0,bridge=vmbr0",
            "name=eth0,bridge=vmbr0,script.up=/x",
        ] {
            assert!(!is_container_nic(text), "{text}");
        }
    }

    #[test]
    fn firmware_boot_and_agent() {
        assert_eq!(
            state_volume("local:1,efitype=4m,pre-enrolled-keys=1"),
            Some("local")
        );
        assert_eq!(state_volume("local:1,version=v2.0"), Some("local"));
        for text in [
            "local:1",
            "local:100/vm-100-disk-1.raw,efitype=4m",
            "local:2,efitype=4m",
            "local:1,file=x",
        ] {
            assert_eq!(state_volume(text), None, "{text}");
        }
        assert!(is_boot_order("order=scsi0;ide2;net0"));
        for text in [
            "order=",
            "order=scsi0,net0",
            "c",
            "order=hostpci0",
            "order=scsi00",
        ] {
            assert!(!is_boot_order(text), "{text}");
        }
        for text in ["1", "0", "enabled=1,fstrim_cloned_disks=1", "1,type=virtio"] {
            assert!(is_agent(text), "{text}");
        }
        for text in ["", "2", "type=virtio", "1,x=1"] {
            assert!(!is_agent(text), "{text}");
        }
    }

    proptest! {
        /// Whatever is taken for a new drive names no volume of a guest.
        #[test]
        fn no_drive_is_a_guests_volume(
            head in "(local|nas):(vm-100-disk-0|100/vm-100-disk-0\\.qcow2|base-1-disk-0|[0-9]{1,3}|cloudinit|iso/a\\.iso|import/a\\.raw|backup/a)",
            rest in "(,(media=cdrom|import-from=(nas:import/a\\.raw|nas:100/vm-100-disk-0\\.raw)|file=local:vm-1-disk-0|discard=on)){0,2}",
        ) {
            let text = format!("{head}{rest}");
            if let Some(drive) = NewDrive::parse(&text) {
                prop_assert!(crate::owner_of(&head).is_none(), "{}", text);
                prop_assert!(drive.source().is_none_or(|source| crate::owner_of(source).is_none()));
            }
        }

        #[test]
        fn any_text_is_read(text in any::<String>()) {
            let _ = (NewDrive::parse(&text), state_volume(&text), is_vm_nic(&text));
            let _ = (is_container_nic(&text), container_volume(&text, true), is_agent(&text));
            let _ = is_boot_order(&text);
        }
    }
}
