//! Backups.
use crate::error::Result;
use crate::pve::{Pve, Upid};

/// x
pub(crate) fn archive_of(_pve: &Pve, _upid: &Upid) -> Result<Option<String>> { Ok(None) }
