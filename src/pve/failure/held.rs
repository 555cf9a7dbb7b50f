//! What a token may do.

use std::collections::BTreeMap;

use pve_api::grant::nearest;
use serde_json::Value;

use crate::order::Ordered as _;

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
                .ordered()
        };
        Self(
            paths
                .iter()
                .map(|(path, privileges)| (path.clone(), held(privileges)))
                .ordered(),
        )
    }

    /// Whether the token has one of these privileges on a path.
    pub(crate) fn has_any(&self, privileges: &[&str], path: &str) -> bool {
        let held = self.on(path);
        privileges.iter().any(|privilege| held.contains(privilege))
    }

    /// Whether the token has one of these privileges on everything below a path.
    pub(crate) fn has_any_below(&self, privileges: &[&str], path: &str) -> bool {
        let start = format!("{path}/");
        // `-` stands for whatever has no entry of its own.
        self.has_any(privileges, &format!("{start}-"))
            && self
                .0
                .keys()
                .filter(|below| below.starts_with(&start))
                .all(|below| self.has_any(privileges, below))
    }

    /// Whether the token may see every guest.
    pub(crate) fn audits_all_guests(&self) -> bool {
        const AUDIT: &[&str] = &["VM.Audit"];
        let mut pools = self.0.keys().filter(|path| path.starts_with("/pool/"));
        self.has_any_below(AUDIT, "/vms") && pools.all(|pool| self.has_any(AUDIT, pool))
    }

    /// What the token may do on a path: by the entries of the path, or else by
    /// those of the nearest path above it that has any.
    pub(crate) fn on(&self, path: &str) -> Vec<&str> {
        let Some((held, is_own)) = nearest(path, |above| self.0.get(above)) else {
            return Vec::new();
        };
        held.iter()
            .filter(|(_, passed_on)| is_own || **passed_on)
            .map(|(privilege, _)| privilege.as_str())
            .ordered()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_privilege_on_everything_below_a_path() {
        let held = |paths: Value| Held::read(paths.as_object().unwrap());
        let all = held(json!({"/": {"SDN.Audit": 1}}));
        assert!(all.has_any_below(&["SDN.Audit", "SDN.Use"], "/sdn/zones"));
        assert!(!all.has_any(&["SDN.Use"], "/sdn/zones/localnetwork"));
        // An entry that is not passed on, and one that takes something away.
        let only = held(json!({"/sdn/zones": {"SDN.Audit": 0}}));
        assert!(only.has_any(&["SDN.Audit"], "/sdn/zones"));
        assert!(!only.has_any_below(&["SDN.Audit"], "/sdn/zones"));
        let guests = |paths: Value| held(paths).audits_all_guests();
        assert!(guests(json!({"/": {"VM.Audit": 1}})));
        assert!(guests(
            json!({"/vms": {"VM.Audit": 1}, "/pool/web": {"VM.Audit": 1}})
        ));
        for some in [
            json!({"/vms": {"VM.Audit": 0}}),
            json!({"/pool/web": {"VM.Audit": 1}}),
            json!({"/": {"VM.Audit": 1}, "/vms/100": {}}),
            json!({"/": {"VM.Audit": 1}, "/pool/web": {}}),
        ] {
            assert!(!guests(some.clone()), "{some}");
        }
        let less = held(json!({"/": {"SDN.Audit": 1}, "/sdn/zones/web": {"VM.Audit": 1}}));
        assert!(!less.has_any_below(&["SDN.Audit"], "/sdn/zones"));
    }
}
