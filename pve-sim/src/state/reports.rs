//! What pvestatd has reported of guests, nodes and storages.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

#[derive(Clone)]
pub(crate) struct Report {
    pub(crate) at: Duration,
    pub(crate) figures: Map<String, Value>,
}

/// What the cluster knows of its guests, nodes and storages.
#[derive(Clone, Default)]
pub(crate) struct Reports {
    pub(crate) guests: BTreeMap<u32, Report>,
    pub(crate) nodes: BTreeMap<String, Report>,
    /// By node and storage.
    pub(crate) storages: BTreeMap<(String, String), Report>,
}
