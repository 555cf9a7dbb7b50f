//! What a client is served: by the policy that counts for it.

use std::sync::{Arc, PoisonError, RwLock};

use super::answer::Refusal;
use crate::mcp::{Endpoint, Server};
use crate::remote::Remote;

/// What clients to whom the same policy applies are served.
pub(crate) struct Profile {
    pub(crate) endpoint: Endpoint,
    /// The same tools, for those who do not speak MCP.
    pub(crate) server: Server,
}

/// Finds what a client is served.
pub(crate) trait Profiles: Send + Sync {
    /// The message of an error is for the client: the policy cannot be used for it.
    fn of(&self, client: &Remote) -> Result<Arc<Profile>, String>;
}

/// The profiles that count now.
pub(super) struct Current(RwLock<Arc<dyn Profiles>>);

impl Current {
    pub(super) fn new(profiles: Arc<dyn Profiles>) -> Self {
        Self(RwLock::new(profiles))
    }

    /// Requests from here on are served by these.
    pub(super) fn replace(&self, profiles: Arc<dyn Profiles>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = profiles;
    }

    pub(super) fn of(&self, client: &Remote) -> Result<Arc<Profile>, Refusal> {
        let profiles = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        profiles
            .of(client)
            .map_err(|message| Refusal::new(http::StatusCode::FORBIDDEN, "no_policy", message))
    }
}
