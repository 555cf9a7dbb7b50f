//! Storages, and the volumes on them.

mod list_storage;
mod list_storage_content;
pub(crate) mod unknown;

pub(crate) use list_storage::ListStorage;
pub(crate) use list_storage_content::ListStorageContent;
