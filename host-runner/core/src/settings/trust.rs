//! Which certificates are accepted, as the settings say.

use std::fmt;

use crate::digest::Digest;

/// Which certificates of Proxmox VE are accepted.
#[derive(Debug, Clone)]
pub(crate) enum Trust {
    /// Those that the system's roots, or one of these PEM certificates, vouch
    /// for.
    Verified {
        /// `PROXMOX_CA_FILE`, as read.
        ca: Option<CaFile>,
    },
    /// These alone, and as they are: neither their issuer nor their host name
    /// nor their time matters.
    Pinned(Vec<Digest>),
    /// All of them.
    Unverified,
}

/// The certificates that `PROXMOX_CA_FILE` names.
#[derive(Clone)]
pub(crate) struct CaFile {
    /// Where they were read from, for messages.
    pub name: String,
    /// The certificates, in PEM.
    pub pem: Vec<u8>,
}

impl fmt::Debug for CaFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CaFile").field(&self.name).finish()
    }
}
