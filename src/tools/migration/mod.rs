//! Migration: its obstacles, and the move itself.
//!
//! Proxmox accepts nearly every migration with a task that then fails, so all
//! that can be known beforehand is looked up first, by the same code for the
//! check and for the move.

mod check_migration;
mod migrate_guest;
mod preflight;
mod refusal;
mod storage_map;
mod survey;
#[cfg(test)]
mod tests;

pub(crate) use check_migration::CheckMigration;
pub(crate) use migrate_guest::MigrateGuest;
