//! Guests: their lists, configuration, clones, disks and migrations.

use super::common::{
    ALLOCATE_SPACE, ANYONE, AUDIT_GUEST, BANDWIDTH, CONFIG_DISK, COUNT, DESCRIPTION, DIGEST,
    ON_STORAGE, REQUIRED, SECONDS,
};
use crate::action::Action;
use crate::call::{
    Call, Effect, Given, GuestCall, Listing, Param, Setting, get, must, opt, post, put, set,
};
use crate::grammar::Grammar as G;

const MIGRATE: &str = "VM.Migrate on /vms/{vmid}";
const CLONE_NEEDS: &str = "VM.Clone on /vms/{vmid}, and (VM.Allocate on /vms/{newid}, \
                           or VM.Allocate on /pool/{pool})";

// What a change of a setting takes, on the guest.
const CPU: &str = "VM.Config.CPU";
const MEMORY: &str = "VM.Config.Memory";
const NETWORK: &str = "VM.Config.Network";
const DISK: &str = "VM.Config.Disk";
const OPTIONS: &str = "VM.Config.Options";
const CLOUDINIT: &str = "VM.Config.Cloudinit";

const RRD: &[Param] = &[
    opt(
        "timeframe",
        G::OneOf(&["hour", "day", "week", "month", "year", "decade"]),
    ),
    opt("cf", G::OneOf(&["AVERAGE", "MAX"])),
];

/// Proxmox refuses to shrink a disk.
const RESIZE_PARAMS: &[Param] = &[opt("disk", G::Disk), opt("size", G::Size), DIGEST];

/// A VM's settings, by action. Passed-through devices, arguments of QEMU and hook
/// scripts are not here. A setting that is left out stays as it is.
///
/// A change of hardware has to carry `digest`, and none of it can be removed. What
/// a drive is changed from is not in the request: whoever lets it through has to
/// read the guest's configuration.
#[rustfmt::skip]
const VM_SETTINGS: &[(Action, &[Setting])] = &[
    (Action::Resources, &[
        set("cores", COUNT, CPU), set("sockets", COUNT, CPU),
        set("memory", G::Int(16, 1_000_000_000), MEMORY),
        set("balloon", G::Int(0, 1_000_000_000), MEMORY),
        set("cpulimit", G::Decimal, CPU), set("vcpus", COUNT, CPU),
    ]),
    (Action::Options, &[
        set("name", G::DnsName, OPTIONS), set("description", G::Text, OPTIONS),
        set("tags", G::Tags, OPTIONS), set("onboot", G::Bool, OPTIONS),
        set("protection", G::Bool, OPTIONS),
    ]),
    (Action::CloudInit, &[
        set("ciuser", G::Line, CLOUDINIT), set("cipassword", G::Line, CLOUDINIT),
        set("sshkeys", G::Encoded, CLOUDINIT),
        set("ipconfig#", G::Props(&["ip", "gw", "ip6", "gw6"]), CLOUDINIT),
        set("nameserver", G::Hosts, CLOUDINIT), set("searchdomain", G::Hosts, CLOUDINIT),
        set("ciupgrade", G::Bool, CLOUDINIT),
    ]),
    (Action::Hardware, &[
        set("net#", G::VmNic, NETWORK), set("scsi#", DRIVE, DISK), set("sata#", DRIVE, DISK),
        set("ide#", DRIVE, DISK),
        set("virtio#", G::Drive { cd: false, import: false }, DISK),
        set("agent", G::Agent, OPTIONS),
    ]),
];

/// A new disk, a CD-ROM or a cloud-init drive.
const DRIVE: G = G::Drive {
    cd: true,
    import: false,
};

/// A container's settings, by action.
#[rustfmt::skip]
const CONTAINER_SETTINGS: &[(Action, &[Setting])] = &[
    (Action::Resources, &[
        set("cores", COUNT, CPU), set("memory", G::Int(16, 1_000_000_000), MEMORY),
        set("swap", G::Int(0, 1_000_000_000), MEMORY), set("cpulimit", G::Decimal, CPU),
    ]),
    (Action::Options, &[
        set("hostname", G::DnsName, NETWORK), set("description", G::Text, OPTIONS),
        set("tags", G::Tags, OPTIONS), set("onboot", G::Bool, OPTIONS),
        set("protection", G::Bool, OPTIONS),
    ]),
    (Action::Hardware, &[
        set("net#", G::ContainerNic, NETWORK), set("mp#", G::MountPoint, DISK),
    ]),
];

/// Without `full` a template is cloned linked, and another guest fully; neither
/// touches the source.
const fn clone_params(name: &'static str) -> [Param; 8] {
    [
        must("newid", G::NewVmid, REQUIRED),
        opt(name, G::DnsName),
        opt("target", G::Node),
        opt("storage", G::Storage),
        opt("full", G::Bool),
        opt("pool", G::Pool),
        opt("snapname", G::Id),
        DESCRIPTION,
    ]
}
const CLONE_VM: &[Param] = &clone_params("name");
const CLONE_CONTAINER: &[Param] = &clone_params("hostname");

/// `online` is off by default, and a running VM then does not migrate.
const MIGRATE_VM: &[Param] = &[
    must("target", G::Node, REQUIRED),
    opt("online", G::Bool),
    opt("with-local-disks", G::Bool),
    opt("targetstorage", G::StorageMap),
    opt("bwlimit", BANDWIDTH),
];

/// `restart`, off by default, shuts the container down, and gives up if it does
/// not end in time.
const MIGRATE_CONTAINER: &[Param] = &[
    must("target", G::Node, REQUIRED),
    opt("restart", G::Bool),
    opt("timeout", SECONDS),
    opt("target-storage", G::StorageMap),
    opt("bwlimit", BANDWIDTH),
];

/// Without `delete` the old volume stays, unused. What `disk` is now is not in
/// the request, so the call has to carry `digest`, see `VM_SETTINGS`.
const MOVE_DISK_PARAMS: &[Param] = &[
    must("disk", G::Disk, REQUIRED),
    must("storage", G::Storage, "another guest would get the disk"),
    DIGEST,
];

const MOVE_VOLUME_PARAMS: &[Param] = &[
    must("volume", G::Disk, REQUIRED),
    must("storage", G::Storage, "another guest would get the volume"),
    DIGEST,
];

guest_calls! {
    /// The guests of a node.
    LIST = GuestCall::get(("/nodes/{node}/qemu", "/nodes/{node}/lxc"), ANYONE)
        .also("VM.Audit on /vms/{vmid} for each entry")
        .lists(Listing::Guests);
    /// Whether a guest runs, and what it uses now.
    STATUS = GuestCall::get(guest!("/status/current"), AUDIT_GUEST);
    /// The configuration, with pending changes applied, or that in a snapshot.
    CONFIG = GuestCall::get(guest!("/config"), AUDIT_GUEST).takes(&[opt("snapshot", G::Id)]);
    /// Each setting, with what is pending until the guest's next start.
    PENDING = GuestCall::get(guest!("/pending"), AUDIT_GUEST);
    /// Averages or maxima of a guest's use over time.
    METRICS = GuestCall::get(guest!("/rrddata"), AUDIT_GUEST).takes(RRD);
    /// Changes the configuration, at once or until the guest's next start.
    SET_CONFIG = GuestCall {
        qemu: put(
            qemu!("/config"),
            Action::Options,
            "VM.Config.Disk or VM.Config.CDROM or VM.Config.CPU or VM.Config.Memory or \
             VM.Config.Network or VM.Config.HWType or VM.Config.Options or VM.Config.Cloudinit \
             on /vms/{vmid}",
        )
            .also("of these, the one for each setting that changes")
            .settings(VM_SETTINGS),
        lxc: put(
            lxc!("/config"),
            Action::Options,
            "VM.Config.Disk or VM.Config.CPU or VM.Config.Memory or VM.Config.Network or \
             VM.Config.Options on /vms/{vmid}",
        )
            .also("of these, the one for each setting that changes")
            .settings(CONTAINER_SETTINGS),
    };
    /// Copies a guest to a new one.
    CLONE = GuestCall {
        qemu: post(qemu!("/clone"), Action::Clone, CLONE_NEEDS)
            .also(ALLOCATE_SPACE)
            .takes(CLONE_VM)
            .with(Effect::Storage),
        lxc: post(lxc!("/clone"), Action::Clone, CLONE_NEEDS)
            .also(ALLOCATE_SPACE)
            .takes(CLONE_CONTAINER)
            .with(Effect::Storage),
    };
    /// Grows a disk.
    RESIZE = GuestCall::put(guest!("/resize"), Action::Resize, CONFIG_DISK)
        .also(ALLOCATE_SPACE)
        .takes(RESIZE_PARAMS);
    /// Where a guest can migrate to, and what keeps it from other nodes.
    MIGRATION_TARGETS = GuestCall::get(guest!("/migrate"), MIGRATE).lists(Listing::Targets);
    /// Moves a guest to another node.
    MIGRATE_TO = GuestCall {
        qemu: post(qemu!("/migrate"), Action::Migrate, MIGRATE)
            .takes(MIGRATE_VM)
            .with(Effect::Migrate),
        lxc: post(lxc!("/migrate"), Action::Migrate, MIGRATE)
            .takes(MIGRATE_CONTAINER)
            .with(Effect::Migrate),
    };
    /// Converts a guest to a template. It cannot be started any more.
    CONVERT = GuestCall::post(guest!("/template"), Action::Template, "VM.Allocate on /vms/{vmid}");
}

calls! {
    /// The interfaces of a running container.
    CONTAINER_INTERFACES = get(lxc!("/interfaces"), AUDIT_GUEST).came_with("8.1");
    /// Cloud-init settings, with what is pending until the drive is written anew.
    CLOUD_INIT = get(qemu!("/cloudinit"), AUDIT_GUEST);
    /// A file as cloud-init finds it on its drive.
    CLOUD_INIT_DUMP = get(qemu!("/cloudinit/dump"), AUDIT_GUEST)
        .takes(&[opt("type", G::OneOf(&["user", "network", "meta"]))]);
    /// Writes the cloud-init drive anew.
    UPDATE_CLOUD_INIT = put(
        qemu!("/cloudinit"),
        Action::CloudInit,
        "VM.Config.Cloudinit on /vms/{vmid}",
    );
    /// Copies a VM's disk to another storage and uses the copy. The old volume
    /// stays, unused.
    MOVE_DISK = post(qemu!("/move_disk"), Action::Hardware, CONFIG_DISK)
        .also(ON_STORAGE)
        .takes(MOVE_DISK_PARAMS)
        .only(Given::With("digest"));
    /// The same of a stopped container's volume.
    MOVE_VOLUME = post(lxc!("/move_volume"), Action::Hardware, CONFIG_DISK)
        .also(ON_STORAGE)
        .takes(MOVE_VOLUME_PARAMS)
        .only(Given::With("digest"));
}
