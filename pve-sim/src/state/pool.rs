//! Pools.

use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pool {
    pub(crate) comment: String,
    pub(crate) guests: Vec<u32>,
    pub(crate) storages: Vec<String>,
}
