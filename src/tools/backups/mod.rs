//! Backups: listing them, making one, and restoring one as a new guest.

mod archive;
mod create_backup;
mod job;
mod list_backup_jobs;
mod list_backups;
mod restore_backup;
mod set_backup_job;
#[cfg(test)]
mod tests;
mod volume;

pub(crate) use create_backup::CreateBackup;
use list_backup_jobs::ListBackupJobs;
use list_backups::ListBackups;
use restore_backup::RestoreBackup;
use set_backup_job::SetBackupJob;

use crate::tool::{DESTROY, READ, Tool, Toolset, WRITE};

const TOOLSET: Toolset = Toolset("backups");
const JOBS_TOOLSET: Toolset = Toolset("jobs");

/// The tools of the set `backups`, in the order in which clients see them.
#[rustfmt::skip]
pub(crate) const TOOLS: &[Tool] = &[
    Tool::new::<ListBackups>(TOOLSET, "list_backups", "List backups", READ,
        "Backups on all storages by guest, newest first, with size, age, protection and verification; guests without any are named."),
    Tool::new::<CreateBackup>(TOOLSET, "create_backup", "Back up a guest", DESTROY,
        "Back up a guest with vzdump, or several, one on each node at a time. Older backups are kept."),
    Tool::new::<SetBackupJob>(TOOLSET, "set_backup_job", "Set a backup job", DESTROY,
        "Add a backup job, or change one: guests, storage, schedule, mode, on or off. Never deletes a job or a backup: a job that it adds keeps all backups. Reports guests that would lose their job."),
    Tool::new::<RestoreBackup>(TOOLSET, "restore_backup", "Restore a backup as a new guest", WRITE,
        "Restore a backup as a new guest, which is not started. It never overwrites a guest."),
];

/// The tools of the set `jobs`.
#[rustfmt::skip]
pub(crate) const JOBS: &[Tool] = &[
    Tool::new::<ListBackupJobs>(JOBS_TOOLSET, "list_backup_jobs", "List backup jobs", READ,
        "Scheduled backups with next run, storage, retention and selection; guests that no enabled job covers; jobs that miss their guests or storage."),
];
