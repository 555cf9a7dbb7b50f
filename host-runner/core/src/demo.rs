//! `--demo`: a simulated cluster inside this program, where it was built with the
//! feature `demo`.

use crate::origin::{Origin, OriginError};
use crate::secret::Secret;
use crate::settings::{CaFile, Settings, Trust};

/// A simulated cluster. It ends when this is dropped.
pub(crate) struct Demo {
    cluster: pve_sim::Running,
}

/// The simulated cluster cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// It does not start.
    #[error("the simulated cluster does not start: {0:#}")]
    Start(anyhow::Error),
    /// Its settings make no sense.
    #[error("the address of the simulated cluster {0}")]
    Url(#[from] OriginError),
    /// Its settings make no sense.
    #[error("the token of the simulated cluster has no owner")]
    Token,
}

impl Demo {
    /// Starts the cluster on a free port of the loopback interface.
    pub(crate) async fn start() -> Result<Self, DemoError> {
        let cluster = pve_sim::start(pve_sim::Options::demo())
            .await
            .map_err(DemoError::Start)?;
        Ok(Self { cluster })
    }

    /// The settings to reach it by, with a certificate that is checked like
    /// any other.
    pub(crate) fn settings(&self) -> Result<Settings, DemoError> {
        let token = self.cluster.token_id();
        let (user, token_name) = token.split_once('!').ok_or(DemoError::Token)?;
        Ok(Settings {
            origin: Origin::parse(self.cluster.url())?,
            user: user.to_owned(),
            token_name: token_name.to_owned(),
            token_secret: Secret::new(self.cluster.token_secret().to_owned()),
            client_certificate: None,
            proxy: None,
            trust: Trust::Verified {
                ca: Some(CaFile {
                    name: "the simulated cluster's".to_owned(),
                    pem: self.cluster.ca_pem().as_bytes().to_vec(),
                }),
            },
            others: Vec::new(),
            cluster: None,
        })
    }
}
