//! What a node tells of its health, by area: how it is read, and what is wrong.

pub(super) mod ceph;
pub(super) mod certificates;
pub(super) mod disks;
pub(super) mod load;
pub(super) mod packages;
pub(super) mod pools;
pub(super) mod services;
