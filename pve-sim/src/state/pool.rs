//! Pools.

pub(crate) struct Pool {
    pub(crate) comment: String,
    pub(crate) guests: Vec<u32>,
    pub(crate) storages: Vec<String>,
}
