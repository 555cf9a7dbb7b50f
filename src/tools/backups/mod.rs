//! Backups: listing them, making one, and restoring one as a new guest.

mod archive;
mod create_backup;
mod list_backups;
mod restore_backup;
#[cfg(test)]
mod tests;
mod volume;

pub(crate) use create_backup::CreateBackup;
pub(crate) use list_backups::ListBackups;
pub(crate) use restore_backup::RestoreBackup;
