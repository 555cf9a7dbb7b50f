//! The calls that a tool declares: it may make no others.

use pve_api::{Method, calls};

use crate::request::ApiRequest;

/// The calls that a tool declares, each as method and path: `GET
/// /nodes/{node}/status`, with a name in braces for each segment that varies.
#[derive(Debug, Clone, Default)]
pub struct DeclaredCalls(Vec<Declared>);

#[derive(Debug, Clone)]
struct Declared {
    method: Method,
    /// None stands for any segment.
    segments: Vec<Option<String>>,
}

impl DeclaredCalls {
    /// Reads a declaration. A line that is not a call covers no request.
    pub fn new<'a>(calls: impl IntoIterator<Item = &'a String>) -> Self {
        Self(calls.into_iter().filter_map(|call| read(call)).collect())
    }

    /// Whether one of the calls is that of a request.
    pub fn cover(&self, request: &ApiRequest) -> bool {
        self.0.iter().any(|declared| declared.covers(request))
    }
}

impl Declared {
    fn covers(&self, request: &ApiRequest) -> bool {
        self.method == request.method
            && self.segments.len() == request.segments.len()
            && self
                .segments
                .iter()
                .zip(&request.segments)
                .all(|(declared, segment)| declared.as_ref().is_none_or(|name| name == segment))
    }
}

/// The privileges that Proxmox requires for a declared call, for people. None
/// where the call is not in the table: the policy refuses it.
pub fn privileges_of(call: &str) -> Option<String> {
    let row = calls::all().find(|row| row.to_string() == call)?;
    Some(row.privileges())
}

fn read(call: &str) -> Option<Declared> {
    let (method, path) = call.split_once(' ')?;
    let segments = path.strip_prefix('/')?.split('/').map(|segment| {
        let varies = segment.starts_with('{') && segment.ends_with('}');
        (!varies).then(|| segment.to_owned())
    });
    Some(Declared {
        method: Method::parse(method)?,
        segments: segments.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(calls: &[&str], method: &str, path: &str) -> bool {
        let calls: Vec<String> = calls.iter().map(|call| (*call).to_owned()).collect();
        let target = format!("/api2/json{path}");
        let request = ApiRequest::parse(method, &target, None, b"").unwrap();
        DeclaredCalls::new(&calls).cover(&request)
    }

    #[test]
    fn a_declared_call_covers_its_requests_and_no_others() {
        let calls = ["GET /nodes/{node}/status", "POST /nodes/{node}/qemu"];
        assert!(covers(&calls, "GET", "/nodes/pve1/status"));
        assert!(covers(&calls, "POST", "/nodes/pve1/qemu"));
        for (method, path) in [
            ("POST", "/nodes/pve1/status"),
            ("GET", "/nodes/pve1/qemu"),
            ("GET", "/nodes/pve1"),
            ("GET", "/nodes/pve1/status/x"),
            ("GET", "/storage/pve1/status"),
        ] {
            assert!(!covers(&calls, method, path), "{method} {path}");
        }
    }

    #[test]
    fn a_line_that_is_not_a_call_covers_nothing() {
        for line in [
            "",
            "GET",
            "GET status",
            "PATCH /version",
            "get /version",
            "/version",
        ] {
            assert!(!covers(&[line], "GET", "/version"), "{line}");
        }
        assert!(!covers(&[], "GET", "/version"));
    }

    #[test]
    fn every_call_of_the_table_names_its_privileges() {
        for call in calls::all() {
            assert!(privileges_of(&call.to_string()).is_some(), "{call}");
        }
        assert_eq!(privileges_of("DELETE /nodes/{node}/qemu/{vmid}"), None);
    }
}
