//! The endpoints, one file per family. Adding one is an entry in its family's table.

mod access;
mod agent;
mod cluster;
mod config;
mod guests;
mod ha;
mod nodes;
mod pools;
mod power;
mod rrd;
mod storage;
mod tasks;

use crate::router::Endpoint;

/// Every family's table.
pub(crate) const FAMILIES: &[&[Endpoint]] = &[
    access::ENDPOINTS,
    agent::ENDPOINTS,
    cluster::ENDPOINTS,
    config::ENDPOINTS,
    guests::ENDPOINTS,
    ha::ENDPOINTS,
    nodes::ENDPOINTS,
    pools::ENDPOINTS,
    power::ENDPOINTS,
    storage::ENDPOINTS,
    tasks::ENDPOINTS,
];
