//! `create_vm`: makes a VM from an ISO image, or from a cloud image with its
//! cloud-init settings.

use pve_api::hardware::NewDrive;
use pve_api::{GuestType, calls};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::creation::{Creation, REMOVAL, Step, Wanted, start_hint};
use super::preflight::{
    Addresses, NewGuest, Place, card, check_dns, check_names, check_tags, check_wait, read_keys,
    set_common, set_dns,
};
use crate::error::{Error, Result};
use crate::json::DeserializeFields;
use crate::pve::{Content, Pve, Vmid};
use crate::text;
use crate::tool::declared::{Calls, FOLLOW_TASK, LOOK_UP};
use crate::tool::report::Report;
use crate::tool::{Finished, Outcome, Reply, Run};
use crate::tool_names;
use crate::tools::cloudinit::keys::{self, SshKey};
use crate::tools::cloudinit::set_cloud_init::is_user;

/// A new VM.
#[derive(Debug, Default, DeserializeFields, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateVm {
    /// A DNS name.
    name: String,
    /// Default: the next free one.
    new_vmid: Option<Vmid>,
    /// Default: the only one online.
    node: Option<String>,
    /// For its disks. Default: the only suitable one.
    storage: Option<String>,
    /// ISO image to install from; or give image.
    iso: Option<String>,
    /// Cloud image to copy, of content import.
    image: Option<String>,
    /// Such as 32G, the default with iso. An image keeps its size.
    disk_size: Option<String>,
    /// Default: 2048, for windows 4096.
    #[schemars(range(min = 128, max = 4_000_000))]
    memory_mib: Option<u32>,
    /// Default: 2.
    #[schemars(range(min = 1, max = 512))]
    cores: Option<u32>,
    /// Default: linux.
    os: Option<Os>,
    /// OVMF and q35. Default: false, for windows true.
    uefi: Option<bool>,
    /// Default: vmbr0, or the only one.
    bridge: Option<String>,
    /// VLAN tag.
    #[schemars(range(min = 1, max = 4094))]
    vlan: Option<u32>,
    /// With image: the account.
    user: Option<String>,
    /// With image: public keys, each a whole .pub line.
    #[schemars(length(max = 64), extend("x-splits" = "lines"))]
    ssh_keys: Option<Vec<String>>,
    /// With image: CIDR, dhcp (default) or none.
    ipv4: Option<String>,
    /// Its gateway.
    ipv4_gateway: Option<String>,
    /// With image: CIDR, dhcp, auto or none.
    ipv6: Option<String>,
    /// Its gateway.
    ipv6_gateway: Option<String>,
    /// IP addresses.
    #[schemars(length(max = 8), extend("x-splits" = "words"))]
    dns_servers: Option<Vec<String>>,
    /// Pool to put it in.
    pool: Option<String>,
    /// Its tags.
    #[schemars(length(max = 64), extend("x-splits" = "words"))]
    tags: Option<Vec<String>>,
    /// Notes.
    description: Option<String>,
    /// Start it. Default: false.
    start: Option<bool>,
    /// After the start, wait until its guest agent reports an address.
    wait_for_address: Option<bool>,
    /// Only show the plan.
    preview: Option<bool>,
    /// False: return after the first step has begun.
    wait: Option<bool>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Os {
    #[default]
    Linux,
    Windows,
    Other,
}

impl Run for CreateVm {
    type Output = Report;

    const CALLS: &'static [Calls] = &[
        Calls::All(LOOK_UP),
        Calls::All(FOLLOW_TASK),
        Calls::One(&calls::agent::INTERFACES),
        Calls::One(&calls::cluster::NEXT_ID),
        Calls::With(&calls::create::VM, "agent&boot&cores&memory&name&net#"),
        Calls::One(&calls::guests::RESIZE.qemu),
        Calls::One(&calls::nodes::LIST),
        Calls::One(&calls::nodes::NETWORK),
        Calls::One(&calls::power::START.qemu),
        Calls::One(&calls::storage::CONTENT),
        Calls::One(&calls::storage::LIST),
    ];
    const OTHER_NAMES: &'static [(&'static str, &'static str)] = &[
        ("vmid", "new_vmid"),
        ("cdrom", "iso"),
        ("import_from", "image"),
    ];

    fn run(self, pve: &Pve) -> Result<Reply<Report>> {
        let keys = self.check()?;
        let disk_gib = self.disk_gib()?;
        let mut place = NewGuest {
            new_vmid: self.new_vmid,
            node: self.node.as_deref(),
            storage: self.storage.as_deref(),
            content: Content::Images,
            disk_gib: disk_gib.unwrap_or_default(),
            bridge: self.bridge.as_deref(),
            pool: self.pool.as_deref(),
            config_privileges: &["CPU", "Disk", "Memory", "Network", "Options"],
        }
        .place(pve)?;
        self.check_hardware(&place)?;
        if let Some(iso) = &self.iso {
            place.has_file(pve, "iso", iso, Content::Iso)?;
        }
        if let Some(image) = &self.image {
            let size = place.has_file(pve, "image", image, Content::Import)?;
            check_size(disk_gib, size)?;
            if disk_gib.is_none() {
                place
                    .warnings
                    .extend(place.lacks_room(size.unwrap_or_default()));
            }
        }
        let wanted = self.wanted(&place, disk_gib, &keys);
        wanted.run(pve, self.preview, self.wait)
    }

    fn resume(pve: &Pve, state: &str) -> Result<Outcome> {
        Creation::resume(pve, state)
    }

    fn cancel(pve: &Pve, state: &str) -> Result<Finished> {
        Creation::cancel(pve, state)
    }
}

impl CreateVm {
    /// Checks what needs no request, and reads the keys.
    fn check(&self) -> Result<Vec<SshKey>> {
        check_names(&self.name, self.storage.as_deref(), self.pool.as_deref())?;
        if self.iso.is_some() == self.image.is_some() {
            return Err(Error::argument(
                "iso",
                "must be given to install from an ISO image, or image to copy a cloud image: exactly \
                 one of the two",
            ));
        }
        for (argument, volid, is_iso) in [("iso", &self.iso, true), ("image", &self.image, false)] {
            let Some(volid) = volid else { continue };
            let drive = match is_iso {
                true => format!("{volid},media=cdrom"),
                false => format!("local:0,import-from={volid}"),
            };
            if NewDrive::parse(&drive).and_then(|drive| drive.source()) != Some(volid.as_str()) {
                let example = match is_iso {
                    true => "local:iso/debian.iso",
                    false => "local:import/debian.qcow2",
                };
                if let Some(hint) = misplaced(volid, is_iso) {
                    return Err(Error::argument(argument, hint));
                }
                return Err(Error::argument(
                    argument,
                    format!(
                        "must be a volume as {} lists it, such as {example}, not {}; {} fetches one",
                        tool_names::LIST_STORAGE_CONTENT,
                        text::quoted(volid),
                        tool_names::DOWNLOAD_ISO
                    ),
                ));
            }
        }
        let of_cloud_init = [
            ("user", self.user.is_some()),
            ("ssh_keys", self.ssh_keys.is_some()),
            ("ipv4", self.ipv4.is_some() || self.ipv4_gateway.is_some()),
            ("ipv6", self.ipv6.is_some() || self.ipv6_gateway.is_some()),
            ("dns_servers", self.dns_servers.is_some()),
        ];
        if self.iso.is_some()
            && let Some((name, _)) = of_cloud_init.into_iter().find(|(_, is_given)| *is_given)
        {
            return Err(Error::argument(
                name,
                "must be left out with iso: only a cloud image reads it",
            ));
        }
        check_wait("VM", self.start, self.wait_for_address)?;
        for (name, address) in [("ipv4", &self.ipv4), ("ipv6", &self.ipv6)] {
            if address.as_deref() == Some("manual") {
                return Err(Error::argument(
                    name,
                    "must not be manual, which only containers know: give none instead",
                ));
            }
        }
        self.addresses().check()?;
        if self.user.as_deref().is_some_and(|user| !is_user(user)) {
            return Err(Error::argument(
                "user",
                "must start with a letter or _, followed by letters, digits, _, -, . and @",
            ));
        }
        check_tags(self.tags.as_deref())?;
        check_dns(self.dns_servers.as_deref())?;
        read_keys(self.ssh_keys.as_deref())
    }

    fn addresses(&self) -> Addresses<'_> {
        Addresses {
            ipv4: self.ipv4.as_deref(),
            ipv4_gateway: self.ipv4_gateway.as_deref(),
            ipv6: self.ipv6.as_deref(),
            ipv6_gateway: self.ipv6_gateway.as_deref(),
        }
    }

    /// Refuses what takes the right to choose hardware.
    fn check_hardware(&self, place: &Place) -> Result<()> {
        if !place.may_set_hardware && self.is_uefi() {
            return Err(Error::argument(
                "uefi",
                "must be false, as the token lacks VM.Config.HWType, which q35 requires",
            ));
        }
        Ok(())
    }

    fn disk_gib(&self) -> Result<Option<u64>> {
        let default = self.iso.as_ref().map(|_| "32G");
        let size = self.disk_size.as_deref().or(default);
        size.map(|size| crate::tools::resources::hardware::gibibytes("disk_size", size))
            .transpose()
    }

    fn is_windows(&self) -> bool {
        self.os == Some(Os::Windows)
    }

    fn is_uefi(&self) -> bool {
        self.uefi.unwrap_or(self.is_windows())
    }

    fn wanted(&self, place: &Place, disk_gib: Option<u64>, keys: &[SshKey]) -> Wanted {
        let storage = &place.storage;
        let mut settings: Vec<(String, String)> = Vec::new();
        let mut set = |name: &str, value: String| settings.push((name.to_owned(), value));
        set("name", self.name.clone());
        let default_memory = if self.is_windows() { 4096 } else { 2048 };
        set(
            "memory",
            self.memory_mib.unwrap_or(default_memory).to_string(),
        );
        set("cores", self.cores.unwrap_or(2).to_string());
        set("cpu", "x86-64-v2-AES".to_owned());
        let ostype = match self.os.unwrap_or_default() {
            Os::Linux => "l26",
            Os::Windows => "win11",
            Os::Other => "other",
        };
        set("ostype", ostype.to_owned());
        // The default controller is an LSI, which kernels of cloud images lack.
        let disk = match place.may_set_hardware {
            true => {
                set("scsihw", "virtio-scsi-single".to_owned());
                "scsi0"
            }
            false => "virtio0",
        };
        set("agent", "1".to_owned());
        if self.is_uefi() {
            set("bios", "ovmf".to_owned());
            set("machine", "q35".to_owned());
            // Only Windows is sure to have a boot loader that the keys know.
            let keys = u8::from(self.is_windows());
            set(
                "efidisk0",
                format!("{storage}:1,efitype=4m,pre-enrolled-keys={keys}"),
            );
        }
        if self.is_windows() {
            set("tpmstate0", format!("{storage}:1,version=v2.0"));
        }
        let mut then = Vec::new();
        match (&self.iso, &self.image) {
            (Some(iso), _) => {
                let gib = disk_gib.unwrap_or(32);
                set(disk, format!("{storage}:{gib},discard=on,iothread=1"));
                set("ide2", format!("{iso},media=cdrom"));
                // An empty disk lets the CD boot.
                set("boot", format!("order={disk};ide2;net0"));
            }
            (None, image) => {
                let image = image.as_deref().unwrap_or_default();
                set(
                    disk,
                    format!("{storage}:0,import-from={image},discard=on,iothread=1"),
                );
                // Kernels of small cloud images have no driver for IDE and SATA.
                let slot = match place.may_set_hardware {
                    true => "scsi1",
                    false => "ide2",
                };
                set(slot, format!("{storage}:cloudinit"));
                set("boot", format!("order={disk}"));
                if place.may_set_hardware {
                    set("serial0", "socket".to_owned());
                }
                self.set_cloud_init(keys, &mut set);
                if let Some(gib) = disk_gib {
                    then.push(Step::Grow {
                        disk: disk.to_owned(),
                        size: format!("{gib}G"),
                    });
                }
            }
        }
        set("net0", card("virtio", &place.bridge, self.vlan));
        set_common(
            &mut set,
            self.pool.as_deref(),
            self.tags.as_deref(),
            self.description.as_deref(),
        );
        then.extend(Step::after(self.start, self.wait_for_address));
        Wanted {
            download: None,
            checked: place.checked.clone(),
            guest_type: GuestType::Qemu,
            node: place.node.clone(),
            vmid: self.new_vmid,
            name: Some(self.name.clone()),
            settings,
            then,
            warnings: self.warnings(place, keys),
            next_step: self.next_step(),
        }
    }

    fn set_cloud_init(&self, keys: &[SshKey], set: &mut impl FnMut(&str, String)) {
        if let Some(user) = &self.user {
            set("ciuser", user.clone());
        }
        if !keys.is_empty() {
            set("sshkeys", keys::encode(keys));
        }
        let parts = self.addresses().settings();
        if !parts.is_empty() {
            set("ipconfig0", parts.join(","));
        }
        set_dns(set, self.dns_servers.as_deref());
    }

    fn warnings(&self, place: &Place, keys: &[SshKey]) -> Vec<String> {
        let mut warnings = place.warnings.clone();
        if self.image.is_some() && keys.is_empty() {
            warnings.push(format!(
                "no SSH key is given, so nobody can log in until {} sets keys or a password",
                tool_names::SET_CLOUD_INIT
            ));
        }
        if self.is_windows() {
            warnings.push(format!(
                "Windows setup sees neither the disk nor the network card without the VirtIO \
                     drivers: attach their ISO image with {}, disk ide0",
                tool_names::SET_CDROM
            ));
        }
        warnings
    }

    fn next_step(&self) -> String {
        let start = start_hint(self.start);
        match self.iso {
            Some(_) => format!(
                "{start}{} opens its console for the installation, after which {} ejects the image; \
                 {REMOVAL}",
                tool_names::GET_CONSOLE_URL,
                tool_names::SET_CDROM
            ),
            None => format!(
                "{start}{} sets a password or other addresses; without a guest agent inside, a \
                 shutdown takes until its timeout: install it, or switch it off with {}; {REMOVAL}",
                tool_names::SET_CLOUD_INIT,
                tool_names::SET_GUEST_AGENT
            ),
        }
    }
}

/// What to do with an image that is of another kind than it was given for.
fn misplaced(volid: &str, is_iso: bool) -> Option<String> {
    let (_, path) = pve_api::split_volid(volid)?;
    match is_iso {
        false if path.starts_with("iso/") && path.ends_with(".img") => Some(format!(
            "must be of content import, not {}: a cloud image that is called .img, such as Ubuntu's, \
             is a qcow2 image; download it again with {}, content import and a filename that ends \
             in .qcow2",
            text::quoted(volid),
            tool_names::DOWNLOAD_ISO
        )),
        false if path.contains(".ova") => Some(format!(
            "must be one disk image, and {} holds a whole appliance: import it in the web interface \
             (its storage, Import)",
            text::quoted(volid)
        )),
        false if path.starts_with("iso/") => Some(format!(
            "must be of content import, not {}: an installation image is given as iso",
            text::quoted(volid)
        )),
        true if path.starts_with("import/") => Some(format!(
            "must be of content iso, not {}: a disk image is given as image",
            text::quoted(volid)
        )),
        _ => None,
    }
}

/// Refuses a disk that is smaller than its image: Proxmox only grows disks.
fn check_size(disk_gib: Option<u64>, image_bytes: Option<u64>) -> Result<()> {
    match (disk_gib, image_bytes) {
        (Some(gib), Some(bytes)) if gib << 30 < bytes => Err(Error::argument(
            "disk_size",
            format!(
                "must not be smaller than the image, which has {}: leave it out to keep that size",
                text::bytes(bytes)
            ),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pve_api::hardware;
    use serde_json::{Value, json};

    fn vm(arguments: Value) -> CreateVm {
        serde_json::from_value(arguments).unwrap()
    }

    fn place() -> Place {
        Place {
            node: "pve1".into(),
            storage: "local-lvm".into(),
            bridge: "vmbr0".into(),
            free_bytes: None,
            may_set_hardware: true,
            checked: String::new(),
            warnings: Vec::new(),
        }
    }

    fn settings(arguments: Value) -> (Vec<String>, Vec<Step>) {
        let vm = vm(arguments);
        let keys = vm.check().unwrap();
        let gib = vm.disk_gib().unwrap();
        let wanted = vm.wanted(&place(), gib, &keys);
        let settings = wanted
            .settings
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        (settings.collect(), wanted.then)
    }

    #[test]
    fn from_an_iso_image() {
        let (settings, then) = settings(json!({"name": "web01", "iso": "local:iso/debian.iso",
            "vlan": 20, "tags": ["prod"], "pool": "lab"}));
        assert_eq!(
            settings,
            [
                "name=web01",
                "memory=2048",
                "cores=2",
                "cpu=x86-64-v2-AES",
                "ostype=l26",
                "scsihw=virtio-scsi-single",
                "agent=1",
                "scsi0=local-lvm:32,discard=on,iothread=1",
                "ide2=local:iso/debian.iso,media=cdrom",
                "boot=order=scsi0;ide2;net0",
                "net0=virtio,bridge=vmbr0,firewall=1,tag=20",
                "pool=lab",
                "tags=prod",
            ]
        );
        assert!(then.is_empty());
    }

    #[test]
    fn from_a_cloud_image() {
        let (settings, then) = settings(json!({"name": "web01", "user": "debian",
            "image": "local:import/debian.qcow2", "disk_size": "20G", "uefi": true, "start": true,
            "wait_for_address": true, "ipv6": "auto", "dns_servers": ["192.0.2.53"]}));
        for wanted in [
            "scsi0=local-lvm:0,import-from=local:import/debian.qcow2,discard=on,iothread=1",
            "scsi1=local-lvm:cloudinit",
            "efidisk0=local-lvm:1,efitype=4m,pre-enrolled-keys=0",
            "bios=ovmf",
            "machine=q35",
            "serial0=socket",
            "ciuser=debian",
            "ipconfig0=ip=dhcp,ip6=auto",
            "nameserver=192.0.2.53",
            "boot=order=scsi0",
        ] {
            assert!(
                settings.iter().any(|one| one == wanted),
                "{wanted}: {settings:?}"
            );
        }
        assert!(!settings.iter().any(|one| one.starts_with("cipassword")));
        assert_eq!(
            then,
            [
                Step::Grow {
                    disk: "scsi0".into(),
                    size: "20G".into()
                },
                Step::Start,
                Step::Address { until: None },
            ]
        );
        let (settings, then) = settings_of_static();
        assert!(settings.contains(&"ipconfig0=ip=192.0.2.9/24,gw=192.0.2.1".to_owned()));
        assert!(then.is_empty());
    }

    /// Without `VM.Config.HWType`, Proxmox refuses the controller and the serial port.
    #[test]
    fn a_token_that_may_not_choose_hardware_gets_virtio() {
        let place = Place {
            may_set_hardware: false,
            ..place()
        };
        let cloud = vm(json!({"name": "a", "image": "local:import/a.raw", "disk_size": "9G"}));
        let wanted = cloud.wanted(&place, Some(9), &[]);
        let value = |name: &str| wanted.settings.iter().find(|(one, _)| one == name);
        assert!(value("scsihw").is_none() && value("serial0").is_none());
        assert!(value("virtio0").unwrap().1.contains("import-from="));
        assert_eq!(value("boot").unwrap().1, "order=virtio0");
        assert_eq!(
            wanted.then.first().unwrap(),
            &Step::Grow {
                disk: "virtio0".into(),
                size: "9G".into()
            }
        );
        assert!(cloud.check_hardware(&place).is_ok());
        let windows = vm(json!({"name": "a", "iso": "local:iso/a.iso", "os": "windows"}));
        assert!(windows.check_hardware(&place).is_err());
    }

    fn settings_of_static() -> (Vec<String>, Vec<Step>) {
        settings(
            json!({"name": "web01", "image": "local:import/debian.qcow2",
            "ipv4": "192.0.2.9/24", "ipv4_gateway": "192.0.2.1"}),
        )
    }

    /// Whatever is asked for, the drives are new ones.
    #[test]
    fn what_is_sent_is_in_the_table() {
        for arguments in [
            json!({"name": "a", "iso": "local:iso/a.iso", "os": "windows"}),
            json!({"name": "a", "image": "local:import/a.raw", "uefi": true}),
        ] {
            let (settings, _) = settings(arguments);
            for setting in settings {
                let (name, value) = setting.split_once('=').unwrap();
                assert!(calls::create::VM.takes_param(name), "{name}");
                if name.starts_with("scsi") && name != "scsihw" || name.starts_with("ide") {
                    assert!(NewDrive::parse(value).is_some(), "{setting}");
                }
                if name == "efidisk0" || name == "tpmstate0" {
                    assert!(hardware::state_volume(value).is_some(), "{setting}");
                }
            }
        }
    }

    #[test]
    fn refused_before_anything_is_sent() {
        for (arguments, name) in [
            (json!({"name": "a"}), "iso"),
            (json!({"name": "a_b", "iso": "local:iso/a.iso"}), "name"),
            (
                json!({"name": "a", "iso": "local:iso/a.iso", "image": "local:import/a.raw"}),
                "iso",
            ),
            (json!({"name": "a", "iso": "local:import/a.raw"}), "iso"),
            (
                json!({"name": "a", "image": "local:100/vm-100-disk-0.qcow2"}),
                "image",
            ),
            (json!({"name": "a", "image": "/etc/passwd"}), "image"),
            (
                json!({"name": "a", "iso": "local:iso/a.iso", "user": "debian"}),
                "user",
            ),
            (
                json!({"name": "a", "image": "local:import/a.raw", "ipv4": "192.0.2.1"}),
                "ipv4",
            ),
            (
                json!({"name": "a", "image": "local:import/a.raw", "wait_for_address": true}),
                "wait_for_address",
            ),
            (
                json!({"name": "a", "image": "local:import/a.raw", "ssh_keys": ["x"]}),
                "ssh_keys/0",
            ),
            (
                json!({"name": "a", "image": "local:import/a.raw", "tags": ["a b"]}),
                "tags/0",
            ),
        ] {
            let message = vm(arguments.clone()).check().unwrap_err().message();
            assert!(
                message.starts_with(&format!("{name}: ")),
                "{arguments}: {message}"
            );
        }
        assert!(
            vm(json!({"name": "a", "iso": "local:iso/a.iso", "disk_size": "32"}))
                .disk_gib()
                .is_err()
        );
    }
}
