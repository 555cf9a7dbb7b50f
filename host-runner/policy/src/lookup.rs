//! What host-runner itself asks of Proxmox in order to decide about requests, and
//! how it presents its token.

/// Lists the nodes of the cluster, with those that are offline, to every token.
pub const NODES: &str = "/nodes";
/// Lists the guests that the token sees, with their nodes, pools, tags and
/// states under high availability.
pub const GUESTS: &str = "/cluster/resources?type=vm";
/// Lists guests, nodes, storages and pools that the token sees.
pub const RESOURCES: &str = "/cluster/resources";
// A guest's configuration is at [`Subject::path`](super::Subject::path).

/// The token's own privileges, by path.
pub const PERMISSIONS: &str = "/access/permissions";

/// What the path of every call to a Proxmox API begins with, in whichever format
/// it answers.
pub const API: &str = "/api2/";

pub use pve_api::TOKEN_SCHEME;
use pve_api::calls;

use crate::request::ApiRequest;

/// The value of the `Authorization` header of a token, up to the secret.
pub fn authorization(user: &str, token: &str) -> String {
    format!("{TOKEN_SCHEME}{user}!{token}=")
}

/// The path of a request in the table of calls, with names in braces for what varies. None if
/// no tool makes such a request.
pub fn template(request: &ApiRequest) -> Option<&'static str> {
    let has_param = |name: &str| request.values(name).next().is_some();
    let call = calls::find(request.method, &request.segments, has_param)?;
    Some(call.path())
}

/// Whether Proxmox answers with this status while one of its services is
/// restarted, so that the same request may succeed in a moment. The lookups here
/// are answered by the node itself, so 595 never means that another is offline.
pub fn is_outage(status: u16) -> bool {
    matches!(status, 502 | 503 | 595)
}

#[cfg(test)]
mod tests {
    use pve_api::{Method, calls};

    use super::*;

    #[test]
    fn the_lookups_are_calls_of_the_table() {
        for lookup in [NODES, GUESTS, RESOURCES, PERMISSIONS] {
            let path = lookup.split('?').next().unwrap_or_default();
            let segments: Vec<_> = path.split('/').skip(1).collect();
            assert!(
                calls::find(Method::Get, &segments, |_| false).is_some(),
                "{lookup}"
            );
        }
    }
}
