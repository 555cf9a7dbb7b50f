//! The Proxmox VE API: the wire, and the shapes that travel over it.

mod client;
mod cluster_status;
mod config;
mod decode;
mod disk;
mod failure;
mod format;
mod freshness;
mod guest;
mod guest_state;
mod ha_status;
mod next_id;
mod node;
mod node_status;
mod num;
mod params;
mod pending;
mod property;
mod repair;
mod request;
#[cfg(any(test, fuzzing))]
mod script;
mod storage;
mod task;
mod transport;
mod unknown_node;
mod volume;

pub(crate) use client::{Listed, Pve};
pub(crate) use cluster_status::{ClusterEntry, Membership};
pub(crate) use config::GuestConfig;
pub(crate) use disk::{Disk, Nic, Source};
pub(crate) use failure::{ErrorResponse, Failure, Held};
#[cfg(test)]
pub(crate) use failure::{NoAnswer, NotSent};
pub(crate) use format::{Format, check_node_name};
pub(crate) use freshness::complete_from_nodes;
pub(crate) use guest::{Guest, guests, owned_tags};
pub(crate) use guest_state::{GuestState, Power};
pub(crate) use ha_status::{HaEntry, HaRule, ha_rules};
pub(crate) use next_id::{NotMade, with_free_vmid};
pub(crate) use node::{
    NodeLoad, NodeState, bridges, check_node, choose_node, find_node, known_node, node_loads, nodes,
};
pub(crate) use node_status::{NodeStatus, Usage};
pub(crate) use num::{Flag, Num, Text};
pub(crate) use params::Params;
pub(crate) use pending::{PendingChange, PendingConfig, Setting};
pub(crate) use property::Properties;
pub(crate) use pve_api::{GuestType, Upid, Vmid};
pub(crate) use request::{At, OfGuest, Request};
#[cfg(any(test, fuzzing))]
pub(crate) use script::{Script, Sent};
pub(crate) use storage::{StorageStatus, choose, storages};
pub(crate) use task::{Started, TaskLog, TaskStatus, is_unknown_exit};
pub(crate) use volume::{
    Content, StorageContent, StorageResource, StorageVolumes, Volume, contents_in,
    storage_contents, storage_resources, storage_volumes, volumes,
};
