//! Snapshots: the tree of a guest, and taking, rolling back to and removing one.

mod create_snapshot;
mod delete_snapshot;
mod list_snapshots;
mod rollback_snapshot;
mod snapshot;
#[cfg(test)]
mod tests;

pub(crate) use create_snapshot::CreateSnapshot;
pub(crate) use delete_snapshot::DeleteSnapshot;
pub(crate) use list_snapshots::ListSnapshots;
pub(crate) use rollback_snapshot::RollbackSnapshot;
