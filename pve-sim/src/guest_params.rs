//! The parameters of guests' configurations: what each key may hold.

use crate::formats::{
    Alias, CONFIG_IDS, DIGEST, DNS_NAME, Format, MEMORY, Props, SNAPSHOT_NAME, STORAGE, TAGS,
    URLENCODED, alias, check_dns_name, check_ip, is_cidr4, is_cidr6, split_list,
};
use crate::params::{
    BOOL, INT, Kind, NUMBER, Numbered, Param, TEXT, many, matches_whole, opt, req,
};

fn whole(pattern: &'static str, text: &str, wrong: impl FnOnce() -> String) -> Result<(), String> {
    if matches_whole(pattern, text) {
        Ok(())
    } else {
        Err(wrong())
    }
}

pub(crate) fn check_volume_id(text: &str) -> Result<(), String> {
    whole("[a-zA-Z][a-zA-Z0-9._-]*[a-zA-Z0-9]:.+", text, || {
        format!("unable to parse volume ID '{text}'\n")
    })
}

fn check_drive_file(text: &str) -> Result<(), String> {
    if matches!(text, "none" | "cdrom") || text.starts_with('/') {
        return Ok(());
    }
    check_volume_id(text)
}

fn check_volume_or_path(text: &str) -> Result<(), String> {
    if text.starts_with('/') {
        Ok(())
    } else {
        check_volume_id(text)
    }
}

fn check_size(text: &str) -> Result<(), String> {
    match matches_whole(r"[0-9]+(\.[0-9]+)?[KMGT]?", text) {
        true => Ok(()),
        false => Err(format!(
            "value does not look like a valid disk size: {text}\n"
        )),
    }
}

fn check_mac(text: &str) -> Result<(), String> {
    whole("[a-fA-F0-9][02468aceACE](:[a-fA-F0-9]{2}){5}", text, || {
        "value does not look like a valid unicast MAC address\n".into()
    })
}

fn check_bridge(text: &str) -> Result<(), String> {
    whole(r"[-_.\w\d]+", text, || {
        format!("invalid bridge ID '{text}'\n")
    })
}

fn check_ip4(text: &str) -> Result<(), String> {
    text.parse::<std::net::Ipv4Addr>()
        .map(drop)
        .map_err(|_| "value does not look like a valid IPv4 address\n".into())
}

fn check_ip6(text: &str) -> Result<(), String> {
    text.parse::<std::net::Ipv6Addr>()
        .map(drop)
        .map_err(|_| "value does not look like a valid IPv6 address\n".into())
}

fn check_ip4_config(text: &str) -> Result<(), String> {
    if matches!(text, "dhcp" | "manual") || is_cidr4(text) {
        return Ok(());
    }
    Err("value does not look like a valid ipv4 network configuration\n".into())
}

fn check_ip6_config(text: &str) -> Result<(), String> {
    if matches!(text, "auto" | "dhcp" | "manual") || is_cidr6(text) {
        return Ok(());
    }
    Err("value does not look like a valid ipv6 network configuration\n".into())
}

fn check_address(text: &str) -> Result<(), String> {
    if check_ip(text).is_ok() || check_dns_name(text).is_ok() {
        return Ok(());
    }
    Err(format!(
        "value does not look like a valid address: {text}\n"
    ))
}

fn check_ct_nameserver(text: &str) -> Result<(), String> {
    let address = text.split_once('%').map_or(text, |(address, _)| address);
    check_ip(address)
}

fn check_startup(text: &str) -> Result<(), String> {
    let mut parts = text.split(',').filter(|part| !part.trim().is_empty());
    if parts.all(|part| matches_whole("(order=)?[0-9]+|up=[0-9]+|down=[0-9]+", part)) {
        return Ok(());
    }
    Err("unable to parse startup options\n".into())
}

fn check_hotplug(text: &str) -> Result<(), String> {
    if matches!(text, "0" | "1") {
        return Ok(());
    }
    let known = ["network", "disk", "cpu", "memory", "usb", "cloudinit"];
    match split_list(text).find(|feature| !known.contains(feature)) {
        None => Ok(()),
        Some(_) => Err("unable to parse hotplug option\n".into()),
    }
}

fn check_boot_devices(text: &str) -> Result<(), String> {
    whole("(net|hostpci|usb|ide|sata|scsi|virtio)[0-9]+", text, || {
        format!("invalid boot device '{text}'\n")
    })
}

fn check_cpu_model(text: &str) -> Result<(), String> {
    const BUILT_IN: &[&str] = &[
        "486",
        "Broadwell",
        "Cascadelake-Server",
        "Conroe",
        "Cooperlake",
        "EPYC",
        "EPYC-Genoa",
        "EPYC-Milan",
        "EPYC-Rome",
        "EPYC-Turin",
        "Haswell",
        "Icelake-Server",
        "IvyBridge",
        "Nehalem",
        "Opteron_G5",
        "Penryn",
        "SandyBridge",
        "SapphireRapids",
        "Skylake-Client",
        "Skylake-Server",
        "Westmere",
        "athlon",
        "core2duo",
        "coreduo",
        "host",
        "kvm32",
        "kvm64",
        "max",
        "pentium",
        "pentium2",
        "pentium3",
        "phenom",
        "qemu32",
        "qemu64",
        "x86-64-v2",
        "x86-64-v2-AES",
        "x86-64-v3",
        "x86-64-v4",
    ];
    if text.starts_with("custom-") || BUILT_IN.contains(&text) {
        return Ok(());
    }
    Err(format!(
        "Built-in cputype '{text}' is not defined (missing 'custom-' prefix?)\n"
    ))
}

fn check_cpuset(text: &str) -> Result<(), String> {
    whole("[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*", text, || {
        format!("could not parse cpuset '{text}'\n")
    })
}

fn check_mount_path(text: &str) -> Result<(), String> {
    match text.split('/').any(|part| part == ".." || part == ".") {
        true => Err("path contains relative component\n".into()),
        false => Ok(()),
    }
}

fn check_timezone(text: &str) -> Result<(), String> {
    whole(
        "host|UTC|[A-Z][A-Za-z_+-]+(/[A-Za-z0-9_+-]+){0,2}",
        text,
        || format!("invalid time zone '{text}'\n"),
    )
}

const VOLUME: Kind = TEXT.format(Format::Named("pve-volume-id", check_volume_id));
const DRIVE_FILE: Kind = TEXT.format(Format::Named("pve-volume-id-or-qm-path", check_drive_file));
const IMPORT: Kind = TEXT.format(Format::Named(
    "pve-volume-id-or-absolute-path",
    check_volume_or_path,
));
const SIZE: Kind = TEXT.format(Format::Named("disk-size", check_size));
const MAC: Kind = TEXT.format(Format::Named("mac-addr", check_mac));
const IP4: Kind = TEXT.format(Format::Named("ipv4", check_ip4));
const IP6: Kind = TEXT.format(Format::Named("ipv6", check_ip6));
const IP4_CONFIG: Kind = TEXT.format(Format::Named("pve-ipv4-config", check_ip4_config));
const IP6_CONFIG: Kind = TEXT.format(Format::Named("pve-ipv6-config", check_ip6_config));
const MOUNT: Kind = TEXT.format(Format::Named("pve-lxc-mp-string", check_mount_path));
pub(crate) const STARTUP: Kind = TEXT.format(Format::Named("pve-startup-order", check_startup));
pub(crate) const DISK_SIZE: Kind = TEXT.pattern(r"\+?\d+(\.\d+)?[KMGT]?");

const NO_ALIASES: &[Alias] = &[];

const fn props(params: &'static [Param], default_key: Option<&'static str>) -> Props {
    Props {
        params,
        default_key,
        aliases: NO_ALIASES,
    }
}

static AGENT: Props = Props {
    params: &[
        req("enabled", BOOL),
        opt("freeze-fs", BOOL),
        opt("fstrim_cloned_disks", BOOL),
        opt("type", TEXT.choices(&["virtio", "isa"])),
    ],
    default_key: Some("enabled"),
    aliases: &[
        alias("freeze-fs-on-backup", "freeze-fs"),
        alias("guest-fsfreeze", "freeze-fs"),
    ],
};

static AUDIO: Props = props(
    &[
        req(
            "device",
            TEXT.choices(&["ich9-intel-hda", "intel-hda", "AC97"]),
        ),
        opt("driver", TEXT.choices(&["spice", "none"])),
    ],
    None,
);

static BOOT: Props = props(
    &[
        opt("legacy", TEXT.pattern("[acdn]{1,4}")),
        opt(
            "order",
            TEXT.format(Format::List("pve-qm-bootdev", check_boot_devices)),
        ),
    ],
    Some("legacy"),
);

static CICUSTOM: Props = props(
    &[
        opt("meta", VOLUME),
        opt("network", VOLUME),
        opt("user", VOLUME),
        opt("vendor", VOLUME),
    ],
    None,
);

static CPU: Props = props(
    &[
        opt(
            "cputype",
            TEXT.format(Format::Named("pve-cpu-model", check_cpu_model)),
        ),
        opt(
            "flags",
            TEXT.pattern(r"([+-][a-zA-Z0-9\-_.]+)(;[+-][a-zA-Z0-9\-_.]+)*"),
        ),
        opt("guest-phys-bits", INT.min(32).max(64)),
        opt("hidden", BOOL),
        opt("hv-vendor-id", TEXT.pattern("[a-zA-Z0-9]{1,12}")),
        opt("phys-bits", TEXT.pattern("host|[0-9]{1,2}")),
        opt("reported-model", TEXT),
    ],
    Some("cputype"),
);

static EFIDISK: Props = Props {
    params: &[
        opt("efitype", TEXT.choices(&["2m", "4m"])),
        req("file", DRIVE_FILE),
        opt("format", TEXT.choices(DRIVE_FORMATS)),
        opt("import-from", IMPORT),
        opt("ms-cert", TEXT.choices(&["2011", "2023", "2023w", "2023k"])),
        opt("pre-enrolled-keys", BOOL),
        opt("size", SIZE),
    ],
    default_key: Some("file"),
    aliases: &[alias("volume", "file")],
};

const DRIVE_FORMATS: &[&str] = &["raw", "qcow", "qed", "qcow2", "vmdk", "cloop"];

const DRIVE_ALIASES: &[Alias] = &[
    alias("bps_rd_length", "bps_rd_max_length"),
    alias("bps_wr_length", "bps_wr_max_length"),
    alias("iops_rd_length", "iops_rd_max_length"),
    alias("iops_wr_length", "iops_wr_max_length"),
    alias("volume", "file"),
];

const WWN: Kind = TEXT.pattern("(0x)[0-9a-fA-F]{16}");

/// The options that every drive takes, and those of its bus.
macro_rules! drive {
    ($($own:expr),* $(,)?) => {
        Props {
            params: &[
                opt("aio", TEXT.choices(&["native", "threads", "io_uring"])),
                opt("backup", BOOL),
                opt("bps", INT),
                opt("bps_max_length", INT.min(1)),
                opt("bps_rd", INT),
                opt("bps_rd_max_length", INT.min(1)),
                opt("bps_wr", INT),
                opt("bps_wr_max_length", INT.min(1)),
                opt("cache", TEXT.choices(&["none", "writethrough", "writeback", "unsafe", "directsync"])),
                opt("detect_zeroes", BOOL),
                opt("discard", TEXT.choices(&["ignore", "on"])),
                req("file", DRIVE_FILE),
                opt("format", TEXT.choices(DRIVE_FORMATS)),
                opt("import-from", IMPORT),
                opt("iops", INT),
                opt("iops_max", INT),
                opt("iops_max_length", INT.min(1)),
                opt("iops_rd", INT),
                opt("iops_rd_max", INT),
                opt("iops_rd_max_length", INT.min(1)),
                opt("iops_wr", INT),
                opt("iops_wr_max", INT),
                opt("iops_wr_max_length", INT.min(1)),
                opt("mbps", NUMBER),
                opt("mbps_max", NUMBER),
                opt("mbps_rd", NUMBER),
                opt("mbps_rd_max", NUMBER),
                opt("mbps_wr", NUMBER),
                opt("mbps_wr_max", NUMBER),
                opt("media", TEXT.choices(&["cdrom", "disk"])),
                opt("replicate", BOOL),
                opt("rerror", TEXT.choices(&["ignore", "report", "stop"])),
                opt("serial", URLENCODED.max_len(60)),
                opt("shared", BOOL),
                opt("size", SIZE),
                opt("snapshot", BOOL),
                opt("werror", TEXT.choices(&["enospc", "ignore", "report", "stop"])),
                $($own),*
            ],
            default_key: Some("file"),
            aliases: DRIVE_ALIASES,
        }
    };
}

static IDE: Props = drive!(
    opt("model", URLENCODED.max_len(120)),
    opt("ssd", BOOL),
    opt("wwn", WWN)
);
static SATA: Props = drive!(opt("ssd", BOOL), opt("wwn", WWN));
static VIRTIO: Props = drive!(opt("iothread", BOOL), opt("ro", BOOL));
static SCSI: Props = drive!(
    opt("iothread", BOOL),
    opt("product", TEXT.pattern(r"[A-Za-z0-9\-_\s]{0,16}")),
    opt("queues", INT.min(2)),
    opt("ro", BOOL),
    opt("scsiblock", BOOL),
    opt("ssd", BOOL),
    opt("vendor", TEXT.pattern(r"[A-Za-z0-9\-_\s]{0,8}")),
    opt("wwn", WWN),
);

static TPM: Props = Props {
    params: &[
        req("file", DRIVE_FILE),
        opt("format", TEXT.choices(&["raw", "qcow2", "vmdk"])),
        opt("import-from", IMPORT),
        opt("size", SIZE),
        opt("version", TEXT.choices(&["v1.2", "v2.0"])),
    ],
    default_key: Some("file"),
    aliases: &[alias("volume", "file")],
};

static UNUSED: Props = Props {
    params: &[req("file", VOLUME)],
    default_key: Some("file"),
    aliases: &[alias("volume", "file")],
};

static HOSTPCI: Props = props(
    &[
        opt("deprecated", BOOL),
        opt("device-id", TEXT.pattern("0x[0-9a-fA-F]{4}")),
        opt("driver", TEXT.choices(&["vfio", "keep"])),
        opt("host", TEXT.pattern(r"([a-f0-9]{4}:)?[a-f0-9]{2}:[a-f0-9]{2}(\.[a-f0-9])?(;([a-f0-9]{4}:)?[a-f0-9]{2}:[a-f0-9]{2}(\.[a-f0-9])?)*")),
        opt("legacy-igd", BOOL),
        opt("mapping", SNAPSHOT_NAME),
        opt("mdev", TEXT),
        opt("pcie", BOOL),
        opt("rombar", BOOL),
        opt("romfile", TEXT),
        opt("sub-device-id", TEXT.pattern("0x[0-9a-fA-F]{4}")),
        opt("sub-vendor-id", TEXT.pattern("0x[0-9a-fA-F]{4}")),
        opt("vendor-id", TEXT.pattern("0x[0-9a-fA-F]{4}")),
        opt("x-vga", BOOL),
    ],
    Some("host"),
);

static IPCONFIG: Props = props(
    &[
        opt("gw", IP4).requires("ip"),
        opt("gw6", IP6).requires("ip6"),
        opt("ip", IP4_CONFIG),
        opt("ip6", IP6_CONFIG),
    ],
    None,
);

static IVSHMEM: Props = props(
    &[
        opt("name", TEXT.pattern(r"[a-zA-Z0-9\-]+")),
        req("size", INT.min(1)),
    ],
    None,
);

static MACHINE: Props = props(
    &[
        opt("aw-bits", NUMBER.min(32).max(64)),
        opt("enable-s3", BOOL),
        opt("enable-s4", BOOL),
        opt("type", TEXT.max_len(40).pattern(r"(pc|pc(-i440fx)?-\d+(\.\d+)+(\+pve\d+)?(\.pxe)?|q35|pc-q35-\d+(\.\d+)+(\+pve\d+)?(\.pxe)?|virt(?:-\d+(\.\d+)+)?(\+pve\d+)?)")),
        opt("viommu", TEXT.choices(&["intel", "virtio"])),
    ],
    Some("type"),
);

const NET_MODELS: &[&str] = &[
    "e1000",
    "e1000-82540em",
    "e1000-82544gc",
    "e1000-82545em",
    "e1000e",
    "i82551",
    "i82557b",
    "i82559er",
    "ne2k_isa",
    "ne2k_pci",
    "pcnet",
    "rtl8139",
    "virtio",
    "vmxnet3",
];

const fn model(name: &'static str) -> Alias {
    Alias {
        alias: name,
        key: "macaddr",
        named_in: Some("model"),
    }
}

pub(crate) static NET: Props = Props {
    params: &[
        opt(
            "bridge",
            TEXT.format(Format::Named("pve-bridge-id", check_bridge)),
        ),
        opt("firewall", BOOL),
        opt("host-tunnel", BOOL),
        opt("link_down", BOOL),
        opt("macaddr", MAC),
        req("model", TEXT.choices(NET_MODELS)),
        opt("mtu", INT.min(1).max(65_520)),
        opt("queues", INT.min(0).max(64)),
        opt("rate", NUMBER.min(0)),
        opt("tag", INT.min(1).max(4094)),
        opt("trunks", TEXT.pattern(r"\d+(?:-\d+)?(?:;\d+(?:-\d+)?)*")),
    ],
    default_key: Some("model"),
    aliases: &[
        model("e1000"),
        model("e1000-82540em"),
        model("e1000-82544gc"),
        model("e1000-82545em"),
        model("e1000e"),
        model("i82551"),
        model("i82557b"),
        model("i82559er"),
        model("ne2k_isa"),
        model("ne2k_pci"),
        model("pcnet"),
        model("rtl8139"),
        model("virtio"),
        model("vmxnet3"),
    ],
};

static NUMA: Props = props(
    &[
        req("cpus", TEXT.pattern(r"\d+(?:-\d+)?(?:;\d+(?:-\d+)?)*")),
        opt("hostnodes", TEXT.pattern(r"\d+(?:-\d+)?(?:;\d+(?:-\d+)?)*")),
        opt("memory", NUMBER),
        opt("policy", TEXT.choices(&["preferred", "bind", "interleave"])),
    ],
    None,
);

static RNG: Props = props(
    &[
        opt("max_bytes", INT),
        opt("period", INT),
        req(
            "source",
            TEXT.choices(&["/dev/urandom", "/dev/random", "/dev/hwrng"]),
        ),
    ],
    Some("source"),
);

static SMBIOS: Props = props(
    &[
        opt("base64", BOOL),
        opt("family", TEXT.pattern("[A-Za-z0-9+/]+={0,2}")),
        opt("manufacturer", TEXT.pattern("[A-Za-z0-9+/]+={0,2}")),
        opt("product", TEXT.pattern("[A-Za-z0-9+/]+={0,2}")),
        opt("serial", TEXT.pattern("[A-Za-z0-9+/]+={0,2}")),
        opt("sku", TEXT.pattern("[A-Za-z0-9+/]+={0,2}")),
        opt(
            "uuid",
            TEXT.pattern("[a-fA-F0-9]{8}(?:-[a-fA-F0-9]{4}){3}-[a-fA-F0-9]{12}"),
        ),
        opt("version", TEXT.pattern("[A-Za-z0-9+/]+={0,2}")),
    ],
    None,
);

static SPICE: Props = props(
    &[
        opt("foldersharing", BOOL),
        opt("videostreaming", TEXT.choices(&["off", "all", "filter"])),
    ],
    None,
);

static USB: Props = props(
    &[
        opt("host", TEXT.pattern(r"(?:(?:(0x)?([0-9A-Fa-f]{4}):(0x)?([0-9A-Fa-f]{4}))|(?:(\d+)\-(\d+(\.\d+)*))|[Ss][Pp][Ii][Cc][Ee])")),
        opt("mapping", TEXT.format(Format::Named("pve-configid", crate::formats::check_configid))),
        opt("usb3", BOOL),
    ],
    Some("host"),
);

const VGA_TYPES: &[&str] = &[
    "cirrus",
    "qxl",
    "qxl2",
    "qxl3",
    "qxl4",
    "none",
    "serial0",
    "serial1",
    "serial2",
    "serial3",
    "std",
    "virtio",
    "virtio-gl",
    "vmware",
];

static VGA: Props = props(
    &[
        opt("clipboard", TEXT.choices(&["vnc"])),
        opt("memory", INT.min(4).max(512)),
        opt("type", TEXT.choices(VGA_TYPES)),
    ],
    Some("type"),
);

static VIRTIOFS: Props = props(
    &[
        opt(
            "cache",
            TEXT.choices(&["auto", "always", "metadata", "never"]),
        ),
        opt("direct-io", BOOL),
        req(
            "dirid",
            TEXT.format(Format::Named(
                "pve-configid",
                crate::formats::check_configid,
            )),
        ),
        opt("expose-acl", BOOL),
        opt("expose-xattr", BOOL),
    ],
    Some("dirid"),
);

static WATCHDOG: Props = props(
    &[
        opt(
            "action",
            TEXT.choices(&["reset", "shutdown", "poweroff", "pause", "debug", "none"]),
        ),
        opt("model", TEXT.choices(&["i6300esb", "ib700"])),
    ],
    Some("model"),
);

const KEYBOARDS: &[&str] = &[
    "de", "de-ch", "da", "en-gb", "en-us", "es", "fi", "fr", "fr-be", "fr-ca", "fr-ch", "hu", "is",
    "it", "ja", "lt", "mk", "nl", "no", "pl", "pt", "pt-br", "sv", "sl", "tr",
];

const QEMU_LOCKS: &[&str] = &[
    "backup",
    "clone",
    "create",
    "migrate",
    "rollback",
    "snapshot",
    "snapshot-delete",
    "suspending",
    "suspended",
];

const OS_TYPES: &[&str] = &[
    "other", "wxp", "w2k", "w2k3", "w2k8", "wvista", "win7", "win8", "win10", "win11", "l24",
    "l26", "solaris",
];

/// The configuration of a virtual machine.
pub(crate) const QEMU: &[Param] = &[
    opt("acpi", BOOL),
    opt(
        "affinity",
        TEXT.format(Format::Named("pve-cpuset", check_cpuset)),
    ),
    opt("agent", TEXT.props(&AGENT)),
    opt("allow-ksm", BOOL),
    opt("arch", TEXT.choices(&["x86_64", "aarch64"])),
    opt("args", TEXT),
    opt("audio0", TEXT.props(&AUDIO)),
    opt("autostart", BOOL),
    opt("balloon", INT.min(0)),
    opt("bios", TEXT.choices(&["seabios", "ovmf"])),
    opt(
        "boot",
        TEXT.format(Format::NamedProps("pve-qm-boot", &BOOT)),
    ),
    opt("cdrom", TEXT.format(Format::NamedProps("pve-qm-ide", &IDE))),
    opt(
        "cicustom",
        TEXT.format(Format::NamedProps("pve-qm-cicustom", &CICUSTOM)),
    ),
    opt("cipassword", TEXT),
    opt(
        "citype",
        TEXT.choices(&["configdrive2", "nocloud", "opennebula"]),
    ),
    opt("ciupgrade", BOOL),
    opt("ciuser", TEXT),
    opt("cores", INT.min(1)),
    opt(
        "cpu",
        TEXT.format(Format::NamedProps("pve-vm-cpu-conf", &CPU)),
    ),
    opt("cpulimit", NUMBER.min(0).max(128)),
    opt("cpuunits", INT.min(1).max(262_144)),
    opt("description", TEXT.max_len(8192)),
    opt("efidisk0", TEXT.props(&EFIDISK)),
    opt("freeze", BOOL),
    opt("hookscript", VOLUME),
    many(
        "hostpci",
        16,
        TEXT.format(Format::NamedProps("pve-qm-hostpci", &HOSTPCI)),
    ),
    opt(
        "hotplug",
        TEXT.format(Format::Named("pve-hotplug-features", check_hotplug)),
    ),
    opt("hugepages", TEXT.choices(&["any", "2", "1024"])),
    many("ide", 4, TEXT.props(&IDE)),
    many(
        "ipconfig",
        32,
        TEXT.format(Format::NamedProps("pve-qm-ipconfig", &IPCONFIG)),
    ),
    opt("ivshmem", TEXT.props(&IVSHMEM)),
    opt("keephugepages", BOOL),
    opt("keyboard", TEXT.choices(KEYBOARDS)),
    opt("kvm", BOOL),
    opt("localtime", BOOL),
    opt("lock", TEXT.choices(QEMU_LOCKS)),
    opt("machine", TEXT.props(&MACHINE)),
    opt("memory", TEXT.props(&MEMORY)),
    opt("migrate_downtime", NUMBER.min(0)),
    opt("migrate_speed", INT.min(0)),
    opt("name", DNS_NAME),
    opt(
        "nameserver",
        TEXT.format(Format::List("address", check_address)),
    ),
    many("net", 32, TEXT.props(&NET)),
    opt("numa", BOOL),
    many("numa", 8, TEXT.props(&NUMA)),
    opt("onboot", BOOL),
    opt("ostype", TEXT.choices(OS_TYPES)),
    many(
        "parallel",
        3,
        TEXT.pattern(r"/dev/parport\d+|/dev/usb/lp\d+"),
    ),
    opt("protection", BOOL),
    opt("reboot", BOOL),
    opt("rng0", TEXT.format(Format::NamedProps("pve-qm-rng", &RNG))),
    many("sata", 6, TEXT.props(&SATA)),
    many("scsi", 31, TEXT.props(&SCSI)),
    opt(
        "scsihw",
        TEXT.choices(&[
            "lsi",
            "lsi53c810",
            "virtio-scsi-pci",
            "virtio-scsi-single",
            "megasas",
            "pvscsi",
        ]),
    ),
    opt("searchdomain", TEXT),
    many("serial", 4, TEXT.pattern("(/dev/[^,]+|socket)")),
    opt("shares", INT.min(0).max(50_000)),
    opt(
        "smbios1",
        TEXT.max_len(512)
            .format(Format::NamedProps("pve-qm-smbios1", &SMBIOS)),
    ),
    opt("smp", INT.min(1)),
    opt("sockets", INT.min(1)),
    opt("spice_enhancements", TEXT.props(&SPICE)),
    opt("sshkeys", URLENCODED),
    opt(
        "startdate",
        TEXT.pattern(r"(now|\d{4}-\d{1,2}-\d{1,2}(T\d{1,2}:\d{1,2}:\d{1,2})?)"),
    ),
    opt("startup", STARTUP),
    opt("tablet", BOOL),
    opt("tags", TAGS),
    opt("tdf", BOOL),
    opt("template", BOOL),
    opt("tpmstate0", TEXT.props(&TPM)),
    many("unused", 256, TEXT.props(&UNUSED)),
    many("usb", 14, TEXT.props(&USB)),
    opt("vcpus", INT.min(1)),
    opt("vga", TEXT.props(&VGA)),
    many("virtio", 16, TEXT.props(&VIRTIO)),
    many("virtiofs", 10, TEXT.props(&VIRTIOFS)),
    opt(
        "vmgenid",
        TEXT.pattern("(?:[a-fA-F0-9]{8}(?:-[a-fA-F0-9]{4}){3}-[a-fA-F0-9]{12}|[01])"),
    ),
    opt("vmstatestorage", STORAGE),
    opt(
        "watchdog",
        TEXT.format(Format::NamedProps("pve-qm-watchdog", &WATCHDOG)),
    ),
];

/// What a configuration update takes besides: keys to remove.
pub(crate) const DELETE: Param = opt("delete", CONFIG_IDS);
/// Pending changes to take back.
pub(crate) const REVERT: Param = opt("revert", CONFIG_IDS);
/// The configuration as the caller knows it.
pub(crate) const CONFIG_DIGEST: Param = opt("digest", DIGEST);

const IDMAP: Kind = TEXT
    .pattern("(?:passthrough|[ug]:[0-9]+:[0-9]+:[1-9][0-9]*(?:;[ug]:[0-9]+:[0-9]+:[1-9][0-9]*)*)");
const MOUNT_OPTIONS: Kind = TEXT.pattern(
    "(discard|lazytime|noatime|nodev|noexec|nosuid)(;(discard|lazytime|noatime|nodev|noexec|nosuid))*",
);

static MOUNT_POINT: Props = props(
    &[
        opt("acl", BOOL),
        opt("backup", BOOL),
        opt("idmap", IDMAP),
        opt("keepattrs", BOOL),
        opt("mountoptions", MOUNT_OPTIONS),
        req("mp", MOUNT),
        opt("quota", BOOL),
        opt("replicate", BOOL),
        opt("ro", BOOL),
        opt("shared", BOOL),
        opt("size", SIZE),
        req("volume", MOUNT),
    ],
    Some("volume"),
);

static ROOTFS: Props = props(
    &[
        opt("acl", BOOL),
        opt("idmap", IDMAP),
        opt("mountoptions", MOUNT_OPTIONS),
        opt("quota", BOOL),
        opt("replicate", BOOL),
        opt("ro", BOOL),
        opt("shared", BOOL),
        opt("size", SIZE),
        req("volume", MOUNT),
    ],
    Some("volume"),
);

static DEVICE: Props = props(
    &[
        opt("deny-write", BOOL),
        opt("gid", INT.min(0)),
        opt("mode", TEXT.pattern("0[0-7]{3}")),
        opt(
            "path",
            TEXT.format(Format::Named("pve-lxc-dev-string", check_mount_path)),
        ),
        opt("uid", INT.min(0)),
    ],
    Some("path"),
);

static FEATURES: Props = props(
    &[
        opt("force_rw_sys", BOOL),
        opt("fuse", BOOL),
        opt("keyctl", BOOL),
        opt("mknod", BOOL),
        opt("mount", TEXT.pattern("[a-zA-Z0-9_; ]+")),
        opt("nesting", BOOL),
    ],
    None,
);

pub(crate) static CT_NET: Props = props(
    &[
        opt("bridge", TEXT.pattern(r"[-_.\w\d]+")),
        opt("firewall", BOOL),
        opt("gw", IP4),
        opt("gw6", IP6),
        opt("host-managed", BOOL),
        opt("hwaddr", MAC),
        opt("ip", IP4_CONFIG),
        opt("ip6", IP6_CONFIG),
        opt("link_down", BOOL),
        opt("mtu", INT.min(64).max(65_535)),
        req("name", TEXT.pattern(r"[-_.\w\d]+")),
        opt("rate", NUMBER),
        opt("tag", INT.min(1).max(4094)),
        opt("trunks", TEXT.pattern(r"\d+(?:;\d+)*")),
        opt("type", TEXT.choices(&["veth"])),
    ],
    None,
);

static CT_UNUSED: Props = props(&[req("volume", VOLUME)], Some("volume"));

const CT_LOCKS: &[&str] = &[
    "backup",
    "create",
    "destroyed",
    "disk",
    "fstrim",
    "migrate",
    "mounted",
    "rollback",
    "snapshot",
    "snapshot-delete",
];

const CT_OS_TYPES: &[&str] = &[
    "debian",
    "devuan",
    "ubuntu",
    "centos",
    "fedora",
    "opensuse",
    "archlinux",
    "alpine",
    "gentoo",
    "nixos",
    "unmanaged",
];

/// The configuration of a container.
pub(crate) const LXC: &[Param] = &[
    opt(
        "arch",
        TEXT.choices(&["amd64", "i386", "arm64", "armhf", "riscv32", "riscv64"]),
    ),
    opt("cmode", TEXT.choices(&["shell", "console", "tty"])),
    opt("console", BOOL),
    opt("cores", INT.min(1).max(8192)),
    opt("cpulimit", NUMBER.min(0).max(8192)),
    opt("cpuunits", INT.min(0).max(500_000)),
    opt("debug", BOOL),
    opt("description", TEXT.max_len(8192)),
    many("dev", 256, TEXT.props(&DEVICE)),
    opt("features", TEXT.props(&FEATURES)),
    opt("hookscript", VOLUME),
    opt("hostname", DNS_NAME.max_len(255)),
    opt("lock", TEXT.choices(CT_LOCKS)),
    opt("memory", INT.min(16)),
    many("mp", 256, TEXT.props(&MOUNT_POINT)),
    opt(
        "nameserver",
        TEXT.format(Format::List("lxc-ip-with-ll-iface", check_ct_nameserver)),
    ),
    many("net", 32, TEXT.props(&CT_NET)),
    opt("onboot", BOOL),
    opt("ostype", TEXT.choices(CT_OS_TYPES)),
    opt("protection", BOOL),
    opt("rootfs", TEXT.props(&ROOTFS)),
    opt(
        "searchdomain",
        TEXT.format(Format::List("dns-name", check_dns_name)),
    ),
    opt("startup", STARTUP),
    opt("swap", INT.min(0)),
    opt("tags", TAGS),
    opt("template", BOOL),
    opt(
        "timezone",
        TEXT.format(Format::Named("pve-ct-timezone", check_timezone)),
    ),
    opt("tty", INT.min(0).max(6)),
    opt("unprivileged", BOOL),
    many("unused", 256, TEXT.props(&CT_UNUSED)),
];

const QEMU_SLOTS: &Numbered = &[
    ("ide", 4),
    ("scsi", 31),
    ("virtio", 16),
    ("sata", 6),
    ("efidisk", 1),
    ("tpmstate", 1),
];
const MOUNT_POINTS: &Numbered = &[("mp", 256)];
const UNUSED_SLOTS: &Numbered = &[("unused", 256)];

/// Every disk of a virtual machine.
pub(crate) const QEMU_DISK: Kind = TEXT.numbered(&[QEMU_SLOTS]);

/// Every disk of a virtual machine that can be moved.
pub(crate) const QEMU_MOVE: Kind = TEXT.numbered(&[QEMU_SLOTS, UNUSED_SLOTS]);

/// Every disk of a container.
pub(crate) const LXC_DISK: Kind = TEXT.choices(&["rootfs"]).numbered(&[MOUNT_POINTS]);

/// Every disk of a container that can be moved.
pub(crate) const LXC_MOVE: Kind = TEXT
    .choices(&["rootfs"])
    .numbered(&[MOUNT_POINTS, UNUSED_SLOTS]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_devices_are_parsed() {
        let fields = NET
            .parse("virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1", "net0")
            .unwrap();
        assert_eq!(fields.len(), 4);
        assert!(NET.parse("virtio,bridge", "net0").is_err());
        assert_eq!(
            NET.parse("nonsense,bridge=vmbr0", "net0")
                .unwrap_err()
                .lines()
                .next(),
            Some("format error")
        );
        assert!(
            NET.parse("virtio=BD:24:11:00:00:01", "net0").is_err(),
            "a multicast address"
        );
    }

    #[test]
    fn addresses_and_gateways_belong_together() {
        assert!(
            IPCONFIG
                .parse("ip=192.0.2.50/24,gw=192.0.2.1", "ipconfig0")
                .is_ok()
        );
        assert!(IPCONFIG.parse("ip=dhcp,ip6=auto", "ipconfig0").is_ok());
        assert!(IPCONFIG.parse("gw=192.0.2.1", "ipconfig0").is_err());
        assert!(IPCONFIG.parse("ip=192.0.2.50", "ipconfig0").is_err());
    }
}
