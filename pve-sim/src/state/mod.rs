//! The simulated cluster, as data.

mod access;
mod cluster;
mod firewall;
mod guest;
mod node;
mod pool;
mod reports;
mod storage;
mod task;

pub(crate) use access::{Access, Role, Token, known_privilege, show};
pub(crate) use cluster::{Appliance, Cluster, Download, HaResource, Job, LogEntry, Work};
pub(crate) use firewall::{Firewall, Group, IpSet, Rule, digest_of, options_digest, rules_digest};
pub(crate) use guest::{
    Config, Guest, GuestNames, Power, Snapshot, is_cloudinit_key, is_disk_key, missing, number_of,
    parse_conf, scaled, shown, volid, wave,
};
pub(crate) use node::{CYCLE, Node, Pvestatd};
pub(crate) use pool::Pool;
pub(crate) use reports::{Report, Reports};
pub(crate) use storage::{Archive, Storage, Volume};
pub(crate) use task::{Lines, Task, Tasks};
