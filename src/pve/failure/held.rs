//! What a token may do.

use std::collections::BTreeMap;

use serde_json::Value;

/// What a token may do: by path, the names of the privileges, and whether each
/// holds below the path as well. `/access/permissions` lists the paths that have
/// entries of their own.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Held(BTreeMap<String, BTreeMap<String, bool>>);

impl Held {
    pub(crate) fn read(paths: &serde_json::Map<String, Value>) -> Self {
        let held = |privileges: &Value| {
            let privileges = privileges.as_object().into_iter().flatten();
            privileges
                .map(|(privilege, passed_on)| (privilege.clone(), passed_on.as_u64() != Some(0)))
                .collect()
        };
        Self(
            paths
                .iter()
                .map(|(path, privileges)| (path.clone(), held(privileges)))
                .collect(),
        )
    }

    /// What the token may do on a path: by the entries of the path, or else by
    /// those of the nearest path above it that has any.
    pub(super) fn on(&self, path: &str) -> Vec<&str> {
        let mut above = path;
        loop {
            if let Some(held) = self.0.get(above) {
                return held
                    .iter()
                    .filter(|(_, passed_on)| above == path || **passed_on)
                    .map(|(privilege, _)| privilege.as_str())
                    .collect();
            }
            above = match above.rsplit_once('/') {
                Some(("", _)) if above != "/" => "/",
                Some((above, _)) if !above.is_empty() => above,
                _ => return Vec::new(),
            };
        }
    }
}
