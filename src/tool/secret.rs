//! Passwords as arguments: read once, sent to Proxmox, and shown nowhere.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

/// What is shown instead of a password.
pub(crate) const HIDDEN: &str = "(hidden)";

/// A string that no message, report or debug output shows.
#[derive(Deserialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}
