//! Which certificates are accepted, as the settings say.

use std::fmt;

use zeroize::Zeroizing;

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

/// Certificates in a file.
#[derive(Clone)]
pub(crate) struct CaFile {
    /// Where they were read from, for messages.
    pub name: String,
    /// The certificates, in PEM.
    pub pem: Vec<u8>,
}

/// The certificate that a server in front of Proxmox VE asks for.
#[derive(Debug, Clone)]
pub(crate) struct ClientCertificate {
    /// `PROXMOX_CLIENT_CERT`, as read: the certificate and its chain.
    pub certificate: CaFile,
    /// `PROXMOX_CLIENT_KEY`, as read.
    pub key: KeyFile,
}

/// A private key. It is wiped when it is dropped.
#[derive(Clone)]
pub(crate) struct KeyFile {
    /// Where it was read from, for messages.
    pub name: String,
    /// The key, in PEM.
    pub pem: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyFile").field(&self.name).finish()
    }
}

impl fmt::Debug for CaFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CaFile").field(&self.name).finish()
    }
}
