//! New guests: of an image, of a template, or with empty disks.
//!
//! Proxmox refuses a vmid that is taken; the parameters that would overwrite a
//! guest are in no row. Every disk is a new volume. A guest is started by a call
//! of its own: with `start`, Proxmox would report success where the start failed.

use super::common::{ANYONE, DESCRIPTION, REQUIRED};
use crate::action::Action;
use crate::call::{Call, Given, Param, fixed, must, opt, post};
use crate::grammar::Grammar as G;

const LIMITED: &str = "this server may limit it";

const DRIVE: G = G::Drive {
    cd: true,
    import: true,
};

/// `cipassword` is missing: Proxmox keeps it in plain text here, and hashes it
/// when the configuration is changed.
const NEW_VM: &[Param] = &[
    must("vmid", G::NewVmid, REQUIRED),
    must("memory", G::Int(16, 1_000_000_000), LIMITED),
    must("cores", G::Int(1, 10_000), LIMITED),
    opt("cpu", G::Name),
    opt("name", G::DnsName),
    opt(
        "ostype",
        G::OneOf(&["l26", "l24", "other", "win7", "win8", "win10", "win11"]),
    ),
    opt("bios", G::OneOf(&["seabios", "ovmf"])),
    opt("machine", G::Name),
    opt(
        "scsihw",
        G::OneOf(&["virtio-scsi-single", "virtio-scsi-pci"]),
    ),
    opt("serial0", G::OneOf(&["socket"])),
    opt("agent", G::Agent),
    opt("boot", G::BootOrder),
    opt("efidisk0", G::StateVolume),
    opt("tpmstate0", G::StateVolume),
    opt("scsi#", DRIVE),
    opt("virtio#", DRIVE),
    opt("ide#", DRIVE),
    opt("net#", G::VmNic),
    opt("ciuser", G::Line),
    opt("sshkeys", G::Encoded),
    opt("ipconfig#", G::Props(&["ip", "gw", "ip6", "gw6"])),
    opt("nameserver", G::Hosts),
    opt("pool", G::Pool),
    opt("tags", G::Tags),
    DESCRIPTION,
];

const NEW_CONTAINER: &[Param] = &[
    fixed(
        "unprivileged",
        "1",
        "the root user of a privileged container is that of the node",
    ),
    must("vmid", G::NewVmid, REQUIRED),
    must("ostemplate", G::TemplateVolume, REQUIRED),
    must(
        "rootfs",
        G::RootFs,
        "Proxmox would choose its storage and size",
    ),
    must("memory", G::Int(16, 1_000_000_000), LIMITED),
    must("cores", G::Int(1, 10_000), LIMITED),
    opt("swap", G::Int(0, 1_000_000_000)),
    opt("hostname", G::DnsName),
    opt("features", G::OneOf(&["nesting=0", "nesting=1"])),
    opt("net#", G::ContainerNic),
    opt("nameserver", G::Hosts),
    opt("password", G::Line),
    opt("ssh-public-keys", G::Text),
    opt("pool", G::Pool),
    opt("tags", G::Tags),
    DESCRIPTION,
];

const NEEDS: &str = "VM.Allocate on /vms/{vmid}, or VM.Allocate on /pool/{pool}; \
                     Datastore.AllocateSpace on each storage in use; SDN.Use for each bridge; of \
                     VM.Config.*, the one for each setting";

calls! {
    /// Makes a VM.
    VM = post("/nodes/{node}/qemu", Action::Create, ANYONE)
        .also(NEEDS)
        .takes(NEW_VM)
        .only(Given::Without("archive"));
    /// Makes a container.
    CONTAINER = post("/nodes/{node}/lxc", Action::Create, ANYONE)
        .also(NEEDS)
        .takes(NEW_CONTAINER)
        .only(Given::Without("restore"));
}
