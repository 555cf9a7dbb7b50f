//! Where a setting comes from.

use std::fmt;
use std::path::PathBuf;

/// The name of the systemd credential that holds the token's secret.
pub(super) const CREDENTIAL: &str = "proxmox-token-secret";

/// Where a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// What the user has answered to `setup`, or given to it.
    Answer,
    /// A flag of the command line.
    Flag,
    /// The environment.
    Environment,
    /// A file of `NAME=value` lines.
    File(PathBuf),
    /// A section of the file of clusters.
    Cluster(String),
    /// A credential that systemd hands over.
    Credential,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer => f.write_str("as given"),
            Self::Flag => f.write_str("from the command line"),
            Self::Environment => f.write_str("from the environment"),
            Self::File(path) => write!(f, "from {}", path.display()),
            Self::Cluster(place) => write!(f, "from {place}"),
            Self::Credential => write!(f, "from the systemd credential {CREDENTIAL}"),
        }
    }
}
