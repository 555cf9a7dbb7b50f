//! Errors about names of storages and nodes that do not exist.

use crate::error::Error;
use crate::pve::{Pve, StorageResource, known_node};
use crate::text;

/// No storage is known of such a node: the node's name may be wrong, or the
/// token sees none of its storages.
pub(crate) fn unknown_node(pve: &Pve, node: &str, all: &[StorageResource]) -> Error {
    if let Err(error) = known_node(pve, node) {
        return error;
    }
    let known = text::distinct(all.iter().map(|resource| resource.node.as_str()));
    Error::NotFound(format!(
        "the token sees no storage of node {node}; it sees those of {known}"
    ))
}

/// There is no such storage, or the token may not see it.
pub(crate) fn unknown_storage(storage: &str, all: &[StorageResource]) -> Error {
    let meant = text::meant(
        storage,
        all.iter().map(|resource| resource.storage.as_str()),
    );
    let known = text::distinct(all.iter().map(|resource| resource.storage.as_str()));
    Error::NotFound(format!(
        "there is no storage {}{meant}, or the token may not see it; known storages: {known}",
        text::cut(storage, 80)
    ))
}
