//! What a node measures of itself, its guests and its storages.

use pve_api::GuestType;
use serde_json::{Value, json};

use crate::clock::{now, now_exact};
use crate::state::{Cluster, Guest, Node, Storage, scaled, wave};

/// What pvestatd reports of a guest.
pub(crate) fn guest_figures(guest: &Guest) -> Value {
    let time = now_exact();
    let memory = guest.memory_at(time);
    let traffic = traffic(guest);
    let is_ct = guest.kind == GuestType::Lxc;
    json!({
        "status": if guest.is_running() { "running" } else { "stopped" },
        "name": guest.name(),
        "template": i32::from(guest.is_template()),
        "cpu": guest.cpu_at(time),
        "maxcpu": cpus(guest.cpus()),
        "mem": memory,
        "memhost": if is_ct { 0 } else { memory },
        "maxmem": guest.memory(),
        "disk": if is_ct && guest.is_running() { guest.disk_size() / 3 } else { 0 },
        "maxdisk": guest.disk_size(),
        "uptime": guest.uptime(),
        "netin": traffic,
        "netout": traffic / 3,
        "diskread": traffic * 2,
        "diskwrite": traffic,
    })
}

/// Bytes that have gone through its NICs since it started.
pub(crate) fn traffic(guest: &Guest) -> i64 {
    guest.uptime() * (700 + i64::from(guest.vmid) * 13)
}

/// What pvestatd reports of its node.
pub(crate) fn node_figures(cluster: &Cluster, node: &Node) -> Value {
    let time = now_exact();
    json!({
        "cpu": cpu(cluster, node, time),
        "maxcpu": node.cpus,
        "mem": memory_used(cluster, node, time),
        "maxmem": node.memory,
        "disk": rootfs_used(node),
        "maxdisk": node.rootfs,
        "uptime": uptime(node),
    })
}

/// What pvestatd reports of a storage on its node.
pub(crate) fn storage_figures(cluster: &Cluster, storage: &Storage, node: &str) -> Value {
    json!({
        "status": "available",
        "disk": cluster.used(storage, node),
        "maxdisk": storage.total,
    })
}

/// Whole numbers of CPUs are integers.
pub(crate) fn cpus(count: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "no guest has 2^63 CPUs")]
    if count.fract() == 0.0 {
        json!(count as i64)
    } else {
        json!(count)
    }
}

/// CPU use of a node, from 0 to 1: its own load and that of its guests.
pub(crate) fn cpu(cluster: &Cluster, node: &Node, time: f64) -> f64 {
    let guests: f64 = cluster
        .guests
        .values()
        .filter(|guest| guest.node == node.name)
        .map(|guest| guest.cpu_at(time) * guest.cpus() / f64::from(node.cpus))
        .sum();
    (wave(u64::from(node.id) + 17, time, node.load) + guests).min(0.97)
}

pub(crate) fn memory_used(cluster: &Cluster, node: &Node, time: f64) -> u64 {
    let guests: u64 = cluster
        .guests
        .values()
        .filter(|guest| guest.node == node.name)
        .map(|guest| guest.memory_at(time))
        .sum();
    (scaled(node.memory, 0.09) + guests).min(scaled(node.memory, 0.96))
}

pub(crate) fn rootfs_used(node: &Node) -> u64 {
    scaled(node.rootfs, 0.11 + 0.03 * f64::from(node.id))
}

pub(crate) fn uptime(node: &Node) -> i64 {
    now() - node.booted
}
