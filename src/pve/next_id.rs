//! The vmid of a new guest.

use pve_api::{Vmid, calls};

use super::client::Pve;
use super::num::Num;
use super::params::Params;
use super::request::At;
use crate::error::{Error, Result};

/// How many free vmids are tried: another client may take one first.
const ATTEMPTS: u32 = 2;

/// Why a guest was not made.
pub(crate) enum NotMade {
    /// The vmid is taken.
    Taken,
    Failed(Error),
}

impl<E: Into<Error>> From<E> for NotMade {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Makes a guest with the wanted vmid, or else with the next free one, and
/// returns the vmid too. If another client takes the free vmid first, the next
/// one is tried, once.
///
/// Fails with [`Error::Conflict`] where the vmid is taken. That may be by a guest
/// that the token does not see, so looking at the list of guests first does not
/// replace this.
pub(crate) fn with_free_vmid<T>(
    pve: &Pve,
    wanted: Option<Vmid>,
    mut make: impl FnMut(Vmid) -> Result<T, NotMade>,
) -> Result<(Vmid, T)> {
    let mut attempt = 1;
    loop {
        let vmid = match wanted {
            Some(vmid) => vmid,
            None => next_id(pve)?,
        };
        match make(vmid) {
            Ok(made) => return Ok((vmid, made)),
            Err(NotMade::Failed(error)) => return Err(error),
            Err(NotMade::Taken) if wanted.is_some() || attempt == ATTEMPTS => {
                return Err(Error::Conflict(format!(
                    "vmid {vmid} is taken by a guest that was made just now, or that the token {} \
                     does not see; nothing was made: {}",
                    pve.token_name(),
                    if wanted.is_some() {
                        "choose another, or leave new_vmid out for the next free one"
                    } else {
                        "repeat the call, or choose a new_vmid"
                    }
                )));
            }
            Err(NotMade::Taken) => attempt += 1,
        }
    }
}

/// The next free vmid, by `/cluster/nextid`. Nothing reserves it.
fn next_id(pve: &Pve) -> Result<Vmid> {
    let request = calls::cluster::NEXT_ID.at([]);
    Ok(pve.send::<Num<Vmid>>(&request, &Params::new())?.0)
}
