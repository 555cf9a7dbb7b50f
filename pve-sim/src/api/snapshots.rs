//! Snapshots as a tree; a rollback really brings the configuration back.

use serde_json::Value;

use crate::clock::now;
use crate::endpoint::{Answer, Call, Endpoint, on};
use crate::fail::Fail;
use crate::formats::SNAPSHOT_NAME;
use crate::params::{BOOL, Param, TEXT, opt, req};
use crate::permission::Permission::{self, All, Any};
use crate::state::{Cluster, Config, Guest, Lines, Snapshot, missing, volid};
use crate::tasks::Plan;
use pve_api::{GuestType, calls};

const WRITE: Permission = All("/vms/{vmid}", &["VM.Snapshot"]);
const ROLLBACK: Permission = Any("/vms/{vmid}", &["VM.Snapshot", "VM.Snapshot.Rollback"]);
const FORCE: &[Param] = &[opt("force", BOOL)];
const START: &[Param] = &[opt("start", BOOL)];
const DESCRIPTION: &[Param] = &[opt("description", TEXT)];

pub(crate) static ENDPOINTS: &[Endpoint] = &[
    on(
        &calls::snapshots::CREATE.qemu,
        &[
            opt("description", TEXT),
            req("snapname", SNAPSHOT_NAME),
            opt("vmstate", BOOL),
        ],
        WRITE,
        |call| create(call, GuestType::Qemu),
    ),
    on(
        &calls::snapshots::CREATE.lxc,
        &[opt("description", TEXT), req("snapname", SNAPSHOT_NAME)],
        WRITE,
        |call| create(call, GuestType::Lxc),
    ),
    on(
        &calls::expert::DESCRIBE_SNAPSHOT.qemu,
        DESCRIPTION,
        WRITE,
        |call| describe(call, GuestType::Qemu),
    ),
    on(
        &calls::expert::DESCRIBE_SNAPSHOT.lxc,
        DESCRIPTION,
        WRITE,
        |call| describe(call, GuestType::Lxc),
    ),
    on(&calls::snapshots::ROLLBACK.qemu, START, ROLLBACK, |call| {
        rollback(call, GuestType::Qemu)
    }),
    on(&calls::snapshots::ROLLBACK.lxc, START, ROLLBACK, |call| {
        rollback(call, GuestType::Lxc)
    }),
    on(&calls::snapshots::DELETE.qemu, FORCE, WRITE, |call| {
        remove(call, GuestType::Qemu)
    }),
    on(&calls::snapshots::DELETE.lxc, FORCE, WRITE, |call| {
        remove(call, GuestType::Lxc)
    }),
];

fn named(kind: GuestType, qemu: &'static str, lxc: &'static str) -> &'static str {
    if kind == GuestType::Qemu { qemu } else { lxc }
}

/// Whether every disk lies where snapshots are possible.
fn supported(cluster: &Cluster, guest: &Guest) -> bool {
    guest
        .disks()
        .filter_map(|(_, value)| volid(value))
        .filter(|id| !id.contains("cloudinit"))
        .all(|id| {
            let storage = id
                .split_once(':')
                .and_then(|(storage, _)| cluster.storage(storage));
            storage.is_some_and(|storage| {
                storage.has_snapshots() || guest.kind == GuestType::Qemu && id.ends_with(".qcow2")
            })
        })
}

/// What a snapshot keeps of a configuration.
fn kept(config: &Config) -> Config {
    let dropped = |key: &str| {
        matches!(
            key,
            "lock" | "parent" | "snaptime" | "description" | "vmstate"
        ) || key.starts_with("unused")
    };
    config
        .iter()
        .filter(|(key, _)| !dropped(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn unlock(
    vmid: u32,
) -> impl FnOnce(&mut Cluster, &mut Lines) -> Result<(), String> + Clone + Send + 'static {
    move |cluster, _| {
        if let Some(guest) = cluster.guests.get_mut(&vmid) {
            guest.config.remove("lock");
        }
        Ok(())
    }
}

fn create(call: &mut Call<'_>, kind: GuestType) -> Answer {
    let (node, vmid, name) = (call.node(), call.vmid(), call.text("snapname"));
    for reserved in ["current", "pending"] {
        if name.eq_ignore_ascii_case(reserved) {
            return Err(Fail::die(format!(
                "unable to use snapshot name '{name}' (reserved name)"
            )));
        }
    }
    if kind == GuestType::Lxc && name == "vzdump" {
        return Err(Fail::die(
            "unable to use snapshot name 'vzdump' (reserved name)",
        ));
    }
    let task = named(kind, "qmsnapshot", "vzsnapshot");
    let description = call.get("description").map(str::to_owned);
    let with_state = call.flag("vmstate");
    if let Err(error) = prepare(call.cluster, &node, kind, vmid, &name) {
        return call.start(Plan::failing(task, vmid, error));
    }
    let plan = Plan::new(
        task,
        vmid,
        move |cluster: &mut Cluster, lines: &mut Lines| {
            let guest = cluster
                .guests
                .get_mut(&vmid)
                .ok_or_else(|| missing(&node, kind, vmid))?;
            guest.config.remove("lock");
            for (key, value) in guest.disks().filter(|_| kind == GuestType::Qemu) {
                if let Some(id) = volid(value).filter(|id| !id.contains("cloudinit")) {
                    lines.push(format!("snapshotting 'drive-{key}' ({id})"));
                }
            }
            let vmstate = with_state && guest.is_running();
            if vmstate {
                lines.push(format!(
                    "saving VM state and RAM using storage '{}'",
                    guest.get("vmstatestorage").unwrap_or("local")
                ));
                lines.push("completed saving the VM state in 1s, saved 512.00 MiB");
            }
            let snapshot = Snapshot {
                parent: guest.get("parent").map(str::to_owned),
                time: now(),
                description,
                vmstate,
                config: kept(&guest.config),
                generation: guest.generation,
            };
            guest.snapshots.insert(name.clone(), snapshot);
            guest.config.insert("parent".into(), name);
            guest.generation += 1;
            Ok(())
        },
    )
    .cleanup(unlock(vmid));
    call.start(plan)
}

/// Checks that a snapshot can be made, and locks the guest for it.
fn prepare(
    cluster: &mut Cluster,
    node: &str,
    kind: GuestType,
    vmid: u32,
    name: &str,
) -> Result<(), String> {
    let guest = cluster
        .guest(node, kind, vmid)
        .map_err(|_| missing(node, kind, vmid))?;
    if guest.is_template() {
        return Err("you can't take a snapshot if it's a template".into());
    }
    guest.check_lock()?;
    if guest.snapshots.contains_key(name) {
        return Err(format!("snapshot name '{name}' already used"));
    }
    if !supported(cluster, guest) {
        return Err("snapshot feature is not available".into());
    }
    lock(cluster, vmid, "snapshot");
    Ok(())
}

fn lock(cluster: &mut Cluster, vmid: u32, lock: &str) {
    if let Some(guest) = cluster.guests.get_mut(&vmid) {
        guest.config.insert("lock".into(), lock.into());
    }
}

fn describe(call: &mut Call<'_>, kind: GuestType) -> Answer {
    let (node, vmid, name) = (call.node(), call.vmid(), call.text("snapname"));
    let description = call.get("description").map(str::to_owned);
    let guest = call.cluster.guest_mut(&node, kind, vmid)?;
    guest.check_lock().map_err(Fail::die)?;
    let snapshot = guest.snapshots.get_mut(&name);
    let snapshot =
        snapshot.ok_or_else(|| Fail::die(format!("snapshot '{name}' does not exist")))?;
    if description.is_some() {
        snapshot.description = description;
    }
    Ok(Value::Null)
}

fn rollback(call: &mut Call<'_>, kind: GuestType) -> Answer {
    let (node, vmid, name, start) = (
        call.node(),
        call.vmid(),
        call.text("snapname"),
        call.flag("start"),
    );
    let task = named(kind, "qmrollback", "vzrollback");
    if let Err(error) = can_roll_back(call.cluster, &node, kind, vmid, &name) {
        return call.start(Plan::failing(task, vmid, error));
    }
    lock(call.cluster, vmid, "rollback");
    let plan = Plan::new(
        task,
        vmid,
        move |cluster: &mut Cluster, lines: &mut Lines| {
            let at = cluster.clock.at();
            let guest = cluster
                .guests
                .get_mut(&vmid)
                .ok_or_else(|| missing(&node, kind, vmid))?;
            guest.config.remove("lock");
            let snapshot = guest
                .snapshots
                .get(&name)
                .cloned()
                .ok_or_else(|| format!("snapshot '{name}' does not exist"))?;
            guest.pending.clear();
            guest.power_off();
            let mut config = kept(&snapshot.config);
            // Disks that the snapshot does not know become unused, the description of today stays.
            config.insert("parent".into(), name.clone());
            if let Some(description) = guest.get("description") {
                config.insert("description".into(), description.to_owned());
            }
            guest.config = config;
            guest.generation = snapshot.generation;
            if start || snapshot.vmstate {
                guest.power_on(at);
                guest.generation = snapshot.generation;
                if snapshot.vmstate {
                    lines.push("Resuming suspended VM");
                }
            }
            Ok(())
        },
    )
    .cleanup(unlock(vmid));
    call.start(plan)
}

fn can_roll_back(
    cluster: &Cluster,
    node: &str,
    kind: GuestType,
    vmid: u32,
    name: &str,
) -> Result<(), String> {
    let guest = cluster
        .guest(node, kind, vmid)
        .map_err(|_| missing(node, kind, vmid))?;
    guest.check_lock()?;
    if !guest.snapshots.contains_key(name) {
        return Err(format!("snapshot '{name}' does not exist"));
    }
    // ZFS goes back to the newest one only.
    let newest = guest
        .snapshots
        .iter()
        .max_by_key(|(_, snapshot)| snapshot.time)
        .map(|(newest, _)| newest.as_str());
    let on_zfs = guest
        .disks()
        .filter_map(|(_, value)| volid(value))
        .find(|id| {
            let storage = id
                .split_once(':')
                .and_then(|(storage, _)| cluster.storage(storage));
            storage.is_some_and(|storage| storage.plugin == "zfspool")
        });
    match on_zfs {
        Some(id) if newest != Some(name) => Err(format!(
            "can't rollback, '{name}' is not most recent snapshot on '{id}'"
        )),
        _ => Ok(()),
    }
}

fn remove(call: &mut Call<'_>, kind: GuestType) -> Answer {
    let (node, vmid, name) = (call.node(), call.vmid(), call.text("snapname"));
    let task = named(kind, "qmdelsnapshot", "vzdelsnapshot");
    let checked = call
        .cluster
        .guest(&node, kind, vmid)
        .map_err(|_| missing(&node, kind, vmid))
        .and_then(|guest| {
            guest.check_lock()?;
            if guest.snapshots.contains_key(&name) {
                Ok(())
            } else {
                Err(format!("snapshot '{name}' does not exist"))
            }
        });
    if let Err(error) = checked {
        return call.start(Plan::failing(task, vmid, error));
    }
    lock(call.cluster, vmid, "snapshot-delete");
    let plan = Plan::new(task, vmid, move |cluster: &mut Cluster, _: &mut Lines| {
        let guest = cluster
            .guests
            .get_mut(&vmid)
            .ok_or_else(|| missing(&node, kind, vmid))?;
        guest.config.remove("lock");
        let Some(gone) = guest.snapshots.remove(&name) else {
            return Err(format!("snapshot '{name}' does not exist"));
        };
        // Its children become its parent's.
        for child in guest
            .snapshots
            .values_mut()
            .filter(|child| child.parent.as_deref() == Some(name.as_str()))
        {
            child.parent.clone_from(&gone.parent);
        }
        if guest.get("parent") == Some(name.as_str()) {
            match gone.parent {
                Some(parent) => guest.config.insert("parent".into(), parent),
                None => guest.config.remove("parent"),
            };
        }
        Ok(())
    })
    .cleanup(unlock(vmid));
    call.start(plan.length(0.7))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_keeps_the_settings_and_not_the_state() {
        let config = crate::state::parse_conf(
            "name: a\nlock: backup\nparent: x\nscsi0: local:1\nunused0: local:2",
        );
        assert_eq!(
            kept(&config).into_keys().collect::<Vec<_>>(),
            ["name", "scsi0"]
        );
    }
}
