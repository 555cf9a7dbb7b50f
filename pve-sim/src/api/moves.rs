//! Moving disks and volumes to another storage.

use crate::api::config::allocate;
use crate::api::rights;
use crate::endpoint::{Answer, Call, Endpoint, on};
use crate::fail::Fail;
use crate::formats::{STORAGE, VMID, field};
use crate::guest_params::{CONFIG_DIGEST, LXC_MOVE, QEMU_MOVE};
use crate::params::{BOOL, INT, NUMBER, TEXT, opt, req};
use crate::permission::Permission::All;
use crate::state::Lines;
use crate::state::{Cluster, volid};
use crate::tasks::Plan;
use pve_api::{GuestType, calls, size};

pub(crate) static ENDPOINTS: &[Endpoint] = &[
    on(
        &calls::guests::MOVE_DISK,
        &[
            CONFIG_DIGEST,
            req("disk", QEMU_MOVE),
            opt("storage", STORAGE),
            opt("format", TEXT.choices(&["raw", "qcow2", "vmdk"])),
            opt("delete", BOOL),
            opt("bwlimit", INT.min(0)),
            opt("target-vmid", VMID),
            opt("target-disk", QEMU_MOVE),
            opt("target-digest", TEXT.max_len(40)),
        ],
        All("/vms/{vmid}", &["VM.Config.Disk"]),
        |call| start(call, GuestType::Qemu),
    ),
    on(
        &calls::guests::MOVE_VOLUME,
        &[
            CONFIG_DIGEST,
            req("volume", LXC_MOVE),
            opt("storage", STORAGE),
            opt("delete", BOOL),
            opt("bwlimit", NUMBER.min(0)),
            opt("target-vmid", VMID),
            opt("target-volume", LXC_MOVE),
            opt("target-digest", TEXT.max_len(40)),
        ],
        All("/vms/{vmid}", &["VM.Config.Disk"]),
        |call| start(call, GuestType::Lxc),
    ),
];

fn start(call: &mut Call<'_>, kind: GuestType) -> Answer {
    let (node, vmid) = (call.node(), call.vmid());
    let slot = call.text(match kind {
        GuestType::Qemu => "disk",
        GuestType::Lxc => "volume",
    });
    let storage = target(call)?;
    rights::check_space(call, &storage)?;
    let guest = call.cluster.guest(&node, kind, vmid)?;
    if guest.check_digest(call.get("digest")).is_err() {
        return Err(Fail::die(
            "detected modified configuration - file changed by other user? Try again.",
        ));
    }
    guest.check_lock().map_err(Fail::die)?;
    if kind == GuestType::Lxc && guest.is_running() {
        return Err(Fail::die("cannot move volumes of a running container"));
    }
    let Some(value) = guest.get(&slot).map(str::to_owned) else {
        return Err(missing(kind, &slot));
    };
    if field(&value, "media") == Some("cdrom") && !value.contains("cloudinit") {
        return Err(Fail::die("you can't move a cdrom"));
    }
    let own = volid(&value)
        .and_then(|id| id.split_once(':'))
        .map_or("", |(own, _)| own);
    if kind == GuestType::Qemu && own == storage && !call.has("format") {
        return Err(Fail::die(
            "you can't move to the same storage with same format",
        ));
    }
    if kind == GuestType::Qemu {
        let found = call.cluster.usable_storage(&storage, &node)?;
        if !found.holds("images") {
            return Err(Fail::param(
                "storage",
                format!("storage '{storage}' does not support vm images"),
            ));
        }
    }
    let delete = call.flag("delete");
    let task = match kind {
        GuestType::Qemu => "qmmove",
        GuestType::Lxc => "move_volume",
    };
    let plan = Plan::new(
        task,
        vmid,
        move |cluster: &mut Cluster, lines: &mut Lines| {
            finish(cluster, (vmid, &node), (&slot, &storage), delete, lines)
        },
    );
    call.start(plan.length(1.0))
}

/// The storage that the disk goes to.
fn target(call: &Call<'_>) -> Result<String, Fail> {
    let both = |message: &str| {
        let names = ["storage", "target-vmid"];
        Fail::params(
            names
                .map(|name| (name.to_owned(), message.to_owned()))
                .into(),
        )
    };
    match (call.get("storage"), call.has("target-vmid")) {
        (Some(storage), false) => Ok(storage.to_owned()),
        (Some(_), true) => Err(both("either set 'storage' or 'target-vmid', but not both")),
        (None, false) => Err(both(
            "both 'storage' and 'target-vmid' missing, either needs to be set",
        )),
        (None, true) => Err(Fail::die("a move to another guest is not simulated")),
    }
}

fn missing(kind: GuestType, slot: &str) -> Fail {
    if kind == GuestType::Qemu {
        return Fail::die(format!("disk '{slot}' does not exist"));
    }
    let names = ["mp", "volume"];
    let message = "property is missing and it is not optional";
    Fail {
        errors: names
            .map(|name| (name.to_owned(), message.to_owned()))
            .into(),
        ..Fail::die("format error")
    }
}

fn finish(
    cluster: &mut Cluster,
    (vmid, node): (u32, &str),
    (slot, storage): (&str, &str),
    delete: bool,
    lines: &mut Lines,
) -> Result<(), String> {
    cluster
        .usable_storage(storage, node)
        .map_err(|fail| fail.message.trim_end().to_owned())?;
    let guest = cluster.guests.get(&vmid).ok_or("guest is gone")?;
    let value = guest.get(slot).ok_or("disk is gone")?.to_owned();
    let old = volid(&value).ok_or("no volume")?.to_owned();
    let bytes = field(&value, "size")
        .and_then(size::parse)
        .unwrap_or(1 << 30);
    lines.push(format!("create full clone of drive {slot} ({old})"));
    let made = allocate(cluster, vmid, node, (storage, "1"), &value, lines);
    let new = volid(&made).unwrap_or_default().to_owned();
    for volume in cluster
        .volumes
        .iter_mut()
        .filter(|volume| volume.volid == new)
    {
        volume.size = bytes;
    }
    let guest = cluster.guests.get_mut(&vmid).ok_or("guest is gone")?;
    guest
        .config
        .insert(slot.to_owned(), value.replacen(&old, &new, 1));
    if delete {
        lines.push(format!(
            "removing source volume '{old}' after successful copy"
        ));
        cluster.volumes.retain(|volume| volume.volid != old);
        return Ok(());
    }
    let free = (0..256)
        .map(|number| format!("unused{number}"))
        .find(|name| !guest.config.contains_key(name))
        .ok_or("no free slot")?;
    lines.push(format!(
        "adding source volume '{old}' as '{free}' to config"
    ));
    guest.config.insert(free, old);
    Ok(())
}
