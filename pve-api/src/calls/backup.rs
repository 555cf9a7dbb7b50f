//! Backups, and guests made from them.

use super::common::{ANYONE, REQUIRED};
use crate::action::Action;
use crate::call::{Call, Effect, Given, GuestCall, Param, fixed, must, opt, post};
use crate::grammar::Grammar as G;

/// `all`, and `stop`, which would stop other backups, are off by default.
const BACKUP_PARAMS: &[Param] = &[
    must("vmid", G::Vmids, "without it, Proxmox selects other guests"),
    opt("storage", G::Storage),
    must(
        "mode",
        G::OneOf(&["snapshot", "suspend", "stop"]),
        "the node's default mode may stop the guest",
    ),
    opt("compress", G::OneOf(&["0", "1", "gzip", "lzo", "zstd"])),
    opt("notes-template", G::Line),
    opt("protected", G::Bool),
    fixed(
        "remove",
        "0",
        "by default, Proxmox deletes old backups by the storage's retention settings",
    ),
];

/// `force` would overwrite a guest; it is off by default, as are `start` and
/// `live-restore`. Without `unique` the new guest has the MAC addresses of the
/// old one, which may be intended.
const RESTORE_VM: &[Param] = &[
    must("vmid", G::NewVmid, REQUIRED),
    must("archive", G::Volid, "an empty guest would be made"),
    opt("storage", G::Storage),
    opt("unique", G::Bool),
    opt("name", G::DnsName),
    opt("pool", G::Pool),
];

const RESTORE_CONTAINER: &[Param] = &[
    must("vmid", G::NewVmid, REQUIRED),
    must("ostemplate", G::Volid, REQUIRED),
    fixed("restore", "1", "an empty container would be made"),
    opt("storage", G::Storage),
    opt("unique", G::Bool),
    opt("hostname", G::DnsName),
    opt("pool", G::Pool),
];

const RESTORE_NEEDS: &str = "VM.Allocate on /vms/{vmid}, or VM.Allocate on /pool/{pool}; \
                             Datastore.AllocateSpace on each storage in use";

calls! {
    /// Backs guests of a node up.
    CREATE = post("/nodes/{node}/vzdump", Action::Backup, ANYONE)
        .also("VM.Backup on /vms/{vmid}; Datastore.AllocateSpace on /storage/{storage}")
        .takes(BACKUP_PARAMS)
        .with(Effect::Backup);
}

guest_calls! {
    /// Makes a guest from a backup. The same call without a backup is one of
    /// those in [`super::create`].
    RESTORE = GuestCall {
        qemu: post("/nodes/{node}/qemu", Action::Restore, ANYONE)
            .also(RESTORE_NEEDS)
            .takes(RESTORE_VM)
            .only(Given::With("archive"))
            .with(Effect::Storage),
        lxc: post("/nodes/{node}/lxc", Action::Restore, ANYONE)
            .also(RESTORE_NEEDS)
            .takes(RESTORE_CONTAINER)
            .only(Given::With("restore"))
            .with(Effect::Storage),
    };
}
