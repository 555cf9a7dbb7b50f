//! All that a tool can remove.

use serde::de::DeserializeOwned;
use waki::Method;

use super::client::Pve;
use super::failure::Failure;
use super::guest::Guest;
use super::params::Params;
use super::path::Path;

impl Pve {
    /// Removes something: a rule, a snapshot, a running task. There is no way
    /// to remove a guest: [`Removable`] has no such case.
    pub(crate) fn delete<T: DeserializeOwned>(
        &self,
        what: &Removable<'_>,
        query: &Params,
    ) -> Result<T, Failure> {
        self.request(Method::Delete, &what.path(), query)
            .map(|page| page.data)
    }
}

/// All that a tool can remove. A guest, a storage and a volume are not here,
/// so no code path can remove one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Removable<'a> {
    /// Stops a task that is running.
    Task { node: &'a str, upid: &'a str },
    /// A guest's snapshot.
    Snapshot { guest: &'a Guest, name: &'a str },
    /// A firewall rule, by its position below a firewall's `rules`.
    FirewallRule { rules: &'a Path, position: &'a str },
}

impl Removable<'_> {
    fn path(&self) -> Path {
        match self {
            Self::Task { node, upid } => Path::new(["nodes", node, "tasks", upid]),
            Self::Snapshot { guest, name } => guest.path(["snapshot", name]),
            Self::FirewallRule { rules, position } => rules.join([*position]),
        }
    }
}
