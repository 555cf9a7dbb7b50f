//! `--demo`: a simulated cluster inside this program, where it was built with the
//! feature `demo`.

mod state_file;

use std::path::Path;
use std::sync::Arc;

use pve_sim::{Keep, Options};

use self::state_file::{StateFile, StateFileError};
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
    /// The file that keeps its state cannot be used.
    #[error(transparent)]
    State(#[from] StateFileError),
    /// Its settings make no sense.
    #[error("the address of the simulated cluster {0}")]
    Url(#[from] OriginError),
    /// Its settings make no sense.
    #[error("the token of the simulated cluster has no owner")]
    Token,
}

impl DemoError {
    /// The exit status of the process.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::State(_) => 2,
            Self::Start(_) | Self::Url(_) | Self::Token => 1,
        }
    }
}

impl Demo {
    /// Starts the cluster on a free port of the loopback interface. With a file, it is the
    /// cluster that an earlier process has left there, and each change is saved before it is
    /// answered.
    pub(crate) async fn start(state: Option<&Path>) -> Result<Self, DemoError> {
        let options = Options::demo();
        let started = match state {
            None => pve_sim::start(options).await,
            Some(path) => {
                let (file, saved) = StateFile::open(path).await?;
                let save = Arc::new(move |text: &str| file.save(text));
                pve_sim::start_kept(options, Keep { saved, save }).await
            }
        };
        let cluster = started.map_err(DemoError::Start)?;
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
