//! `--demo` of a program that was built without the feature `demo`: an error.

use std::path::Path;

use crate::settings::Settings;

/// A simulated cluster, of which this program has none.
pub(crate) enum Demo {}

/// Why there is no simulated cluster.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// The feature is off.
    #[error(
        "this host-runner was built without the simulated cluster; use one that was built \
         with the feature \"demo\""
    )]
    NotBuiltIn,
}

impl DemoError {
    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(crate) fn exit_code(&self) -> u8 {
        1
    }
}

impl Demo {
    #[expect(clippy::unused_async, reason = "as with the feature")]
    pub(crate) async fn start(_state: Option<&Path>) -> Result<Self, DemoError> {
        Err(DemoError::NotBuiltIn)
    }

    pub(crate) fn settings(&self) -> Result<Settings, DemoError> {
        match *self {}
    }
}
