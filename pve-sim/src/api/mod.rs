//! The endpoints, one file per family. Adding one is an entry in its family's table: `on` a row
//! of pve-api's table of calls, or `apart` from it.

mod access;
mod agent;
mod backup;
mod cloudinit;
mod cluster;
mod config;
mod disks;
mod firewall;
mod guests;
mod ha;
mod health;
mod images;
mod jobs;
mod migrate;
mod moves;
mod nodes;
mod overview;
mod pools;
mod power;
mod provision;
mod rights;
mod rrd;
mod snapshots;
mod storage;
mod tasks;

use crate::endpoint::Endpoint;

/// Every family's table.
pub(crate) static FAMILIES: &[&[Endpoint]] = &[
    access::ENDPOINTS,
    agent::ENDPOINTS,
    backup::ENDPOINTS,
    images::ENDPOINTS,
    jobs::ENDPOINTS,
    firewall::ENDPOINTS,
    firewall::OF_VMS,
    firewall::OF_CONTAINERS,
    cloudinit::ENDPOINTS,
    migrate::ENDPOINTS,
    disks::ENDPOINTS,
    moves::ENDPOINTS,
    provision::ENDPOINTS,
    snapshots::ENDPOINTS,
    cluster::ENDPOINTS,
    config::ENDPOINTS,
    guests::ENDPOINTS,
    ha::ENDPOINTS,
    health::ENDPOINTS,
    nodes::ENDPOINTS,
    overview::ENDPOINTS,
    pools::ENDPOINTS,
    power::ENDPOINTS,
    storage::ENDPOINTS,
    tasks::ENDPOINTS,
];
