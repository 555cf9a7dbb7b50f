//! Migration: its obstacles, and the migration itself.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::clock::{now, stamp};
use crate::endpoint::{Answer, Call, Endpoint, on};
use crate::fail::Fail;
use crate::formats::{Format, NODE, check_storage, field};
use crate::params::{BOOL, INT, Kind, NUMBER, Param, TEXT, opt, req};
use crate::permission::Permission::{self, All};
use crate::state::{Cluster, Guest, GuestNames, Lines, number_of, volid};
use crate::tasks::Plan;
use pve_api::{GuestType, calls};

const MIGRATE: Permission = All("/vms/{vmid}", &["VM.Migrate"]);
const TARGET: &[Param] = &[opt("target", NODE)];
const STORAGE_MAP: Kind = TEXT.format(Format::List("storage-pair", check_storage_pair));

pub(crate) static ENDPOINTS: &[Endpoint] = &[
    on(
        &calls::guests::MIGRATION_TARGETS.qemu,
        TARGET,
        MIGRATE,
        qemu_conditions,
    ),
    on(
        &calls::guests::MIGRATION_TARGETS.lxc,
        TARGET,
        MIGRATE,
        lxc_conditions,
    ),
    on(
        &calls::guests::MIGRATE_TO.qemu,
        &[
            opt("bwlimit", INT.min(0)),
            opt("force", BOOL).root_only(),
            opt("migration_type", TEXT.choices(&["secure", "insecure"])).root_only(),
            opt("online", BOOL),
            req("target", NODE),
            opt("targetstorage", STORAGE_MAP),
            opt("with-conntrack-state", BOOL),
            opt("with-local-disks", BOOL),
        ],
        MIGRATE,
        |call| migrate(call, GuestType::Qemu),
    ),
    on(
        &calls::guests::MIGRATE_TO.lxc,
        &[
            opt("bwlimit", NUMBER.min(0)),
            opt("online", BOOL),
            opt("restart", BOOL),
            req("target", NODE),
            opt("target-storage", STORAGE_MAP),
            opt("timeout", INT),
        ],
        MIGRATE,
        |call| migrate(call, GuestType::Lxc),
    ),
];

/// `1`, a storage, or `from:to`.
fn check_storage_pair(text: &str) -> Result<(), String> {
    if text == "1" {
        return Ok(());
    }
    let (from, to) = text.split_once(':').unwrap_or((text, text));
    let wrong = |error: String| format!("entry '{text}' contains invalid ID - {error}\n");
    check_storage(from).map_err(wrong)?;
    check_storage(to).map_err(wrong)
}

/// Storages of a guest's disks that a node does not have.
fn unavailable(cluster: &Cluster, guest: &Guest, node: &str) -> Vec<String> {
    let mut list: Vec<String> = storages(guest)
        .filter(|storage| {
            cluster
                .storage(storage)
                .is_none_or(|storage| !storage.on(node))
        })
        .map(str::to_owned)
        .collect();
    list.sort();
    list.dedup();
    list
}

fn storages(guest: &Guest) -> impl Iterator<Item = &str> {
    guest
        .disks()
        .filter_map(|(_, value)| volid(value)?.split_once(':'))
        .map(|(storage, _)| storage)
}

/// Everything on storages that are not shared: key, volume, whether it is a CD-ROM.
fn local_volumes<'a>(
    cluster: &'a Cluster,
    guest: &'a Guest,
) -> impl Iterator<Item = (&'a str, &'a str, bool)> {
    guest.config.iter().filter_map(|(key, value)| {
        let is_drive =
            crate::state::is_disk_key(guest.kind, key) || number_of("unused", key).is_some();
        let id = volid(value).filter(|_| is_drive)?;
        let storage = cluster.storage(id.split_once(':')?.0)?;
        (!storage.shared).then(|| (key.as_str(), id, field(value, "media") == Some("cdrom")))
    })
}

/// Devices of the node that a guest is tied to.
fn local_resources(guest: &Guest) -> Vec<String> {
    let tied = |key: &str, value: &str| {
        (number_of("hostpci", key).is_some() || number_of("usb", key).is_some())
            && !value.contains("mapping=")
            && !value.starts_with("spice")
            || number_of("serial", key).is_some() && value.starts_with("/dev/")
            || number_of("parallel", key).is_some()
    };
    guest
        .config
        .iter()
        .filter(|(key, value)| tied(key, value))
        .map(|(key, _)| key.clone())
        .collect()
}

fn qemu_conditions(call: &mut Call<'_>) -> Answer {
    let node = call.node();
    let guest = call.cluster.guest(&node, GuestType::Qemu, call.vmid())?;
    guest.check_lock().map_err(Fail::die)?;
    let mut allowed = Vec::new();
    // Allowed nodes are listed here too, with nothing against them.
    let mut refused = Map::new();
    for other in call.cluster.nodes.iter().filter(|other| other.name != node) {
        let missing = unavailable(call.cluster, guest, &other.name);
        if missing.is_empty() {
            allowed.push(json!(other.name));
            refused.insert(other.name.clone(), json!({}));
        } else {
            refused.insert(other.name.clone(), json!({"unavailable_storages": missing}));
        }
    }
    let disks: Vec<Value> = local_volumes(call.cluster, guest)
        .map(|(key, id, cdrom)| {
            json!({
                "volid": id,
                "drivename": key,
                "cdrom": i32::from(cdrom && !id.contains("cloudinit")),
                "is_unused": i32::from(number_of("unused", key).is_some()),
                "size": call.cluster.volume(id, &node).map_or(0, |volume| volume.size),
                "replicate": 1,
                "shared": 0,
            })
        })
        .collect();
    Ok(json!({
        "running": i32::from(guest.is_running()),
        "allowed_nodes": allowed,
        "not_allowed_nodes": refused,
        "local_disks": disks,
        "local_resources": local_resources(guest),
        "mapped-resources": [],
        "mapped-resource-info": {},
        "has-dbus-vmstate": 1,
    }))
}

fn lxc_conditions(call: &mut Call<'_>) -> Answer {
    let node = call.node();
    let guest = call.cluster.guest(&node, GuestType::Lxc, call.vmid())?;
    guest.check_lock().map_err(Fail::die)?;
    let mut allowed = Vec::new();
    let mut refused = Map::new();
    for other in call.cluster.nodes.iter().filter(|other| other.name != node) {
        let missing = unavailable(call.cluster, guest, &other.name);
        if missing.is_empty() {
            allowed.push(json!(other.name));
        } else {
            refused.insert(other.name.clone(), json!({"unavailable-storages": missing}));
        }
    }
    Ok(
        json!({"running": i32::from(guest.is_running()), "allowed-nodes": allowed, "not-allowed-nodes": refused}),
    )
}

/// How long the HA manager takes to act on a request.
const HA_MIGRATE: Duration = Duration::from_secs(10);

/// A migration that is about to start.
#[derive(Clone)]
struct Move {
    kind: GuestType,
    vmid: u32,
    from: String,
    to: String,
    live: bool,
    with_local_disks: bool,
    storage: Option<String>,
}

fn migrate(call: &mut Call<'_>, kind: GuestType) -> Answer {
    let (node, vmid, target) = (call.node(), call.vmid(), call.text("target"));
    if target == node {
        return Err(Fail::param("target", "target is local node."));
    }
    if call.cluster.node(&target).is_none() {
        return Err(Fail::die(format!("no such cluster node '{target}'")));
    }
    let guest = call.cluster.guest(&node, kind, vmid)?;
    guest.check_lock().map_err(Fail::die)?;
    let running = guest.is_running();
    match kind {
        GuestType::Qemu if running && !call.flag("online") => {
            return Err(Fail::die("can't migrate running VM without --online"));
        }
        GuestType::Lxc if running && !call.flag("online") && !call.flag("restart") => {
            return Err(Fail::die(
                "can't migrate running container without --online or --restart",
            ));
        }
        _ => {}
    }
    let storage = call
        .get(if kind == GuestType::Qemu {
            "targetstorage"
        } else {
            "target-storage"
        })
        .map(str::to_owned);
    if let Some(to) = storage
        .as_deref()
        .filter(|storage| *storage != "1" && !storage.contains(':'))
    {
        call.cluster.usable_storage(to, &target)?;
    }
    let one = Move {
        kind,
        vmid,
        from: node,
        to: target,
        live: running && kind == GuestType::Qemu,
        with_local_disks: call.flag("with-local-disks") || kind == GuestType::Lxc,
        storage,
    };
    if kind == GuestType::Lxc && running && call.flag("online") && !call.flag("restart") {
        return call.start(Plan::failing(
            "vzmigrate",
            vmid,
            "lxc live migration is currently not implemented",
        ));
    }
    if call.cluster.ha.contains_key(&guest_sid(kind, vmid)) {
        let to = one.to.clone();
        let plan = Plan::new(
            "hamigrate",
            vmid,
            move |cluster: &mut Cluster, lines: &mut Lines| {
                lines.push(format!(
                    "Requesting HA migration for {} {vmid} to node {to}",
                    kind.short()
                ));
                cluster.after(HA_MIGRATE, move |cluster| {
                    // The manager ignores a request for a node that is not there.
                    if !cluster.is_online(&one.to) {
                        return;
                    }
                    let node = one.from.clone();
                    let plan = plan(cluster, one);
                    cluster.start(&node, "root@pam", plan);
                });
                Ok(())
            },
        );
        return call.start(plan.length(0.2));
    }
    let plan = plan(call.cluster, one);
    call.start(plan)
}

fn guest_sid(kind: GuestType, vmid: u32) -> String {
    format!("{}:{vmid}", kind.ha_type())
}

/// Why a migration fails once it has started, if it does.
fn obstacle(cluster: &Cluster, one: &Move) -> Option<String> {
    let guest = cluster.guests.get(&one.vmid)?;
    let target = cluster.node(&one.to)?;
    if !target.online {
        return Some("Can't connect to destination address using public key".into());
    }
    if one.kind == GuestType::Qemu {
        if let Some(device) = local_resources(guest).first().filter(|_| one.live) {
            return Some(format!(
                "can't migrate VM which uses local devices: {device}"
            ));
        }
        if one.live && !one.with_local_disks {
            let disk = local_volumes(cluster, guest)
                .find(|(_, id, cdrom)| !cdrom && !id.contains("cloudinit"));
            if let Some((_, id, _)) = disk {
                return Some(format!(
                    "can't migrate local disk '{id}': can't live migrate attached local disks without with-local-disks option"
                ));
            }
        }
        let medium = local_volumes(cluster, guest)
            .find(|(_, id, cdrom)| *cdrom && !id.contains("cloudinit"));
        if let Some((_, id, _)) = medium {
            return Some(format!(
                "can't migrate local disk '{id}': local cdrom image"
            ));
        }
    }
    let mapped = one.storage.is_some();
    let missing = unavailable(cluster, guest, &one.to)
        .into_iter()
        .next()
        .filter(|_| !mapped)?;
    Some(format!(
        "storage '{missing}' is not available on node '{}'",
        one.to
    ))
}

fn plan(cluster: &mut Cluster, one: Move) -> Plan {
    let task = if one.kind == GuestType::Qemu {
        "qmigrate"
    } else {
        "vzmigrate"
    };
    let ip = cluster
        .node(&one.to)
        .map_or_else(String::new, |node| node.ip.clone());
    if let Some(error) = obstacle(cluster, &one) {
        let offline = !cluster.is_online(&one.to);
        let to = one.to.clone();
        return Plan::new(task, one.vmid, move |_: &mut Cluster, lines: &mut Lines| {
            let at = stamp(now());
            if offline {
                lines.push(format!("{at} # /usr/bin/ssh -e none -o 'BatchMode=yes' -o 'HostKeyAlias={to}' root@{ip} /bin/true"));
                lines.push(format!("{at} ssh: connect to host {ip} port 22: No route to host"));
            } else {
                lines.push(format!("{at} ERROR: Problem found while scanning volumes - {error}"));
            }
            lines.push(format!("{at} ERROR: migration aborted (duration 00:00:01): {error}"));
            Err("migration aborted".into())
        })
        .length(0.6);
    }
    let vmid = one.vmid;
    if let Some(guest) = cluster.guests.get_mut(&vmid) {
        guest.config.insert("lock".into(), "migrate".into());
    }
    let size = cluster.guests.get(&vmid).map_or(0, Guest::memory);
    let (live, kind, to) = (one.live, one.kind, one.to.clone());
    let at = stamp(now());
    let mut plan = Plan::new(
        task,
        vmid,
        move |cluster: &mut Cluster, lines: &mut Lines| {
            arrive(cluster, &one)?;
            lines.push(format!(
                "{} migration finished successfully (duration 00:00:02)",
                stamp(now())
            ));
            Ok(())
        },
    )
    .length(2.0)
    .on_stop("migration aborted")
    .cleanup(move |cluster, _| {
        if let Some(guest) = cluster.guests.get_mut(&vmid) {
            guest.config.remove("lock");
        }
        Ok(())
    })
    .line(
        0.0,
        format!(
            "{at} starting migration of {} {vmid} to node '{to}' ({ip})",
            kind.short()
        ),
    );
    if live {
        for percent in [10u32, 40, 70, 100] {
            let done = size / 100 * u64::from(percent);
            plan = plan.line(
                f64::from(percent) / 110.0,
                format!("{at} migration active, transferred {:.1} MiB of {:.1} MiB VM-state, 412.3 MiB/s", mib(done), mib(size)),
            );
        }
    }
    plan
}

fn mib(bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a figure for a log")]
    let bytes = bytes as f64;
    bytes / f64::from(1 << 20)
}

/// The guest and its local volumes are on the other node now.
fn arrive(cluster: &mut Cluster, one: &Move) -> Result<(), String> {
    let map = |storage: &str| -> String {
        match one.storage.as_deref() {
            None | Some("1") => storage.to_owned(),
            Some(list) => {
                let pair = list
                    .split(',')
                    .filter_map(|entry| entry.split_once(':'))
                    .find(|(from, _)| *from == storage);
                let single = list
                    .split(',')
                    .find(|entry| !entry.contains(':') && *entry != "1");
                pair.map(|(_, to)| to)
                    .or(single)
                    .unwrap_or(storage)
                    .to_owned()
            }
        }
    };
    let guest = cluster.guests.get(&one.vmid).ok_or("guest is gone")?;
    let local: Vec<String> = local_volumes(cluster, guest)
        .map(|(_, id, _)| id.to_owned())
        .collect();
    let mut renamed = Vec::new();
    for id in local {
        let Some((storage, name)) = id.split_once(':') else {
            continue;
        };
        let to = map(storage);
        let shared = cluster.storage(&to).is_some_and(|storage| storage.shared);
        let new = format!("{to}:{name}");
        for volume in cluster
            .volumes
            .iter_mut()
            .filter(|volume| volume.volid == id && volume.node.as_deref() == Some(&one.from))
        {
            volume.volid.clone_from(&new);
            volume.storage.clone_from(&to);
            volume.node = (!shared).then(|| one.to.clone());
        }
        renamed.push((id, new));
    }
    let at = cluster.clock.at();
    let guest = cluster.guests.get_mut(&one.vmid).ok_or("guest is gone")?;
    guest.config.remove("lock");
    guest.node.clone_from(&one.to);
    for value in guest.config.values_mut() {
        for (old, new) in &renamed {
            if volid(value) == Some(old) {
                *value = value.replacen(old.as_str(), new, 1);
            }
        }
    }
    // A container is stopped on one side and started on the other.
    if guest.kind == GuestType::Lxc && guest.is_running() {
        guest.power_off();
        guest.power_on(at);
    }
    Ok(())
}
