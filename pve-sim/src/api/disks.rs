//! Growing disks.

use crate::api::rights;
use crate::endpoint::{Answer, Call, Endpoint, on};
use crate::fail::Fail;
use crate::formats::field;
use crate::guest_params::{CONFIG_DIGEST, DISK_SIZE, LXC_DISK, QEMU_DISK};
use crate::params::{BOOL, opt, req};
use crate::permission::Permission::{All, Any};
use crate::state::{Cluster, Lines, volid};
use crate::tasks::Plan;
use pve_api::{GuestType, calls, size};

pub(crate) static ENDPOINTS: &[Endpoint] = &[
    on(
        &calls::guests::RESIZE.qemu,
        &[
            CONFIG_DIGEST,
            req("disk", QEMU_DISK),
            req("size", DISK_SIZE),
            opt("skiplock", BOOL).root_only(),
        ],
        All("/vms/{vmid}", &["VM.Config.Disk"]),
        |call| resize(call, GuestType::Qemu),
    ),
    on(
        &calls::guests::RESIZE.lxc,
        &[CONFIG_DIGEST, req("disk", LXC_DISK), req("size", DISK_SIZE)],
        Any("/vms/{vmid}", &["VM.Config.Disk"]),
        |call| resize(call, GuestType::Lxc),
    ),
];

fn resize(call: &mut Call<'_>, kind: GuestType) -> Answer {
    let (node, vmid, disk, size) = (
        call.node(),
        call.vmid(),
        call.text("disk"),
        call.text("size"),
    );
    let guest = call.cluster.guest(&node, kind, vmid)?;
    guest.check_digest(call.get("digest")).map_err(Fail::die)?;
    guest.check_lock().map_err(Fail::die)?;
    let Some(value) = guest.get(&disk) else {
        return Err(Fail::die(format!("disk '{disk}' does not exist")));
    };
    if field(value, "media") == Some("cdrom") {
        return Err(Fail::die("you can't resize a cdrom"));
    }
    rights::check_space_of(call, value)?;
    if kind == GuestType::Lxc && !size.starts_with('+') {
        let now = field(value, "size").and_then(size::parse);
        if size::parse(&size) < now {
            return Err(Fail::die("unable to shrink disk size"));
        }
    }
    let plan = Plan::new(
        "resize",
        vmid,
        move |cluster: &mut Cluster, lines: &mut Lines| {
            grow(cluster, vmid, kind, (&disk, &size), lines)
        },
    );
    call.start(plan.length(0.5))
}

/// Disks can only grow.
fn grow(
    cluster: &mut Cluster,
    vmid: u32,
    kind: GuestType,
    (disk, size): (&str, &str),
    lines: &mut Lines,
) -> Result<(), String> {
    let guest = cluster.guests.get_mut(&vmid).ok_or("guest is gone")?;
    guest.check_lock()?;
    let value = guest
        .get(disk)
        .ok_or_else(|| format!("disk '{disk}' does not exist"))?
        .to_owned();
    let now = field(&value, "size")
        .and_then(size::parse)
        .unwrap_or_default();
    let asked = size::parse(size.trim_start_matches('+')).unwrap_or_default();
    let new = if size.starts_with('+') {
        now + asked
    } else {
        asked
    };
    if new < now {
        return Err(match kind {
            GuestType::Qemu => "shrinking disks is not supported".into(),
            GuestType::Lxc => "unable to shrink disk size".into(),
        });
    }
    let written = match field(&value, "size") {
        Some(old) => value.replace(
            &format!("size={old}"),
            &format!("size={}", size::parameter(new)),
        ),
        None => format!("{value},size={}", size::parameter(new)),
    };
    let id = volid(&value).map(str::to_owned);
    guest.config.insert(disk.to_owned(), written);
    for volume in cluster
        .volumes
        .iter_mut()
        .filter(|volume| Some(&volume.volid) == id.as_ref())
    {
        volume.size = new;
    }
    lines.push("Image resized.");
    Ok(())
}
