//! Commands inside a guest.
use serde::{Deserialize, Serialize};
use crate::error::Result;
use crate::pve::Pve;
use crate::tool::Outcome;

/// A command inside a guest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExecTicket { vmid: u32, pid: u64 }
impl ExecTicket {
    pub(crate) fn resume(self, _pve: &Pve) -> Result<Outcome> {
        Err(crate::error::Error::Internal("".into()))
    }
}
