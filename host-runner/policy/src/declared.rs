//! The calls that a tool declares: it may make no others.

use std::sync::LazyLock;

use pve_api::call::stands_for;
use pve_api::{Action, Call, Given, Method, calls};

use crate::request::ApiRequest;

/// The calls that a tool declares, each as method and path: `GET
/// /nodes/{node}/status`, with a name in braces for each segment that varies. After a `?`
/// are parameters that each request has: one of several between `|`, all of those between
/// `&`. `cdrom` stands for a drive that holds a CD.
///
/// They are read when a request is compared with them: a tool declares twenty,
/// and most calls of it make one request or none.
#[derive(Debug, Clone, Default)]
pub struct DeclaredCalls(String);

impl DeclaredCalls {
    /// Takes a declaration. A line that is not a call covers no request.
    pub fn new<'a>(calls: impl IntoIterator<Item = &'a String>) -> Self {
        let mut lines = String::new();
        for call in calls {
            lines.push_str(call);
            lines.push('\n');
        }
        Self(lines)
    }

    /// Whether one of the calls is that of a request.
    pub fn cover(&self, request: &ApiRequest) -> bool {
        self.0.lines().any(|call| covers(call, request))
    }
}

fn covers(call: &str, request: &ApiRequest) -> bool {
    let (call, given) = split(call);
    let Some((method, path)) = call.split_once(" /") else {
        return false;
    };
    if Method::parse(method) != Some(request.method) {
        return false;
    }
    if given
        .is_some_and(|given| !alternatives(given).any(|mut all| all.all(|name| has(request, name))))
    {
        return false;
    }
    let mut segments = request.segments.iter();
    path.split('/').all(|declared| {
        let varies = declared.starts_with('{') && declared.ends_with('}');
        segments
            .next()
            .is_some_and(|segment| varies || declared == segment)
    }) && segments.next().is_none()
}

/// A line of a declaration: the call, and the parameters that each of its requests has.
pub(crate) fn split(line: &str) -> (&str, Option<&str>) {
    match line.split_once('?') {
        Some((call, given)) => (call, Some(given)),
        None => (line, None),
    }
}

/// The parameters of which a request has one of these groups, with all in it.
pub(crate) fn alternatives(given: &str) -> impl Iterator<Item = impl Iterator<Item = &str>> {
    given.split('|').map(|all| all.split('&'))
}

/// In a declaration, a drive that holds a CD.
pub(crate) const CDROM: &str = "cdrom";

/// Whether a request sets a declared parameter, or removes it.
fn has(request: &ApiRequest, name: &str) -> bool {
    if name == CDROM {
        let mut values = request.params.iter().map(|(_, value)| value);
        return values.any(|value| value.split(',').any(|part| part == "media=cdrom"));
    }
    let removed = request.values("delete").flat_map(|all| all.split(','));
    let mut set = request
        .params
        .iter()
        .map(|(key, _)| key.as_str())
        .chain(removed);
    set.any(|key| stands_for(name, key))
}

/// The privileges that Proxmox requires for a declared call, for people. None
/// where the call is not in the table: the policy refuses it.
///
/// A creation and a restore have the same method and path. A parameter that only one of
/// them has says which privileges count.
pub fn privileges_of(call: &str) -> Option<String> {
    let rows: Vec<&Call> = rows_of(call).collect();
    if let [only] = rows.as_slice() {
        return Some(only.privileges());
    }
    let all = rows.iter().map(|row| match row.given() {
        Given::Any => row.privileges(),
        Given::With(name) => format!("with {name}: {}", row.privileges()),
        Given::Without(name) => format!("without {name}: {}", row.privileges()),
    });
    Some(all.collect::<Vec<_>>().join("; ")).filter(|text| !text.is_empty())
}

/// The actions that a declared call may be, by its parameters. Empty where the call is not
/// in the table.
pub fn actions_of(call: &str) -> Vec<Action> {
    let mut actions: Vec<Action> = rows_of(call).flat_map(Call::actions).collect();
    actions.dedup();
    actions
}

/// The rows of the table for a declared call: more than one where a parameter tells them
/// apart, and the declaration does not say which it is.
pub(crate) fn rows_of(line: &str) -> impl Iterator<Item = &'static Call> {
    let (call, given) = split(line);
    let (method, path) = call.split_once(' ').unwrap_or_default();
    let first = BY_PATH.partition_point(|row| row.path() < path);
    let rows = BY_PATH.iter().skip(first);
    rows.take_while(move |row| row.path() == path)
        .filter(move |row| row.method().as_str() == method)
        .filter(move |row| {
            given.is_none_or(|given| {
                row.is_given(|name| given.split(['|', '&']).any(|one| one == name))
            })
        })
        .copied()
}

/// The rows of the table, sorted: each call of each tool is looked up at every start.
static BY_PATH: LazyLock<Vec<&'static Call>> = LazyLock::new(|| {
    let mut rows: Vec<_> = calls::all().collect();
    rows.sort_by_key(|row| row.path());
    rows
});

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(calls: &[&str], method: &str, path: &str) -> bool {
        covers_form(calls, method, path, "")
    }

    fn covers_form(calls: &[&str], method: &str, path: &str, form: &str) -> bool {
        let calls: Vec<String> = calls.iter().map(|call| (*call).to_owned()).collect();
        let target = format!("/api2/json{path}");
        let form_type = (!form.is_empty()).then_some("application/x-www-form-urlencoded");
        let request = ApiRequest::parse(method, &target, form_type, form.as_bytes()).unwrap();
        DeclaredCalls::new(&calls).cover(&request)
    }

    #[test]
    fn a_declared_parameter_has_to_be_in_the_request() {
        let config = "/nodes/pve1/qemu/100/config";
        let set = |params: &str, form: &str| {
            let call = format!("PUT /nodes/{{node}}/qemu/{{vmid}}/config?{params}");
            covers_form(&[&call], "PUT", config, form)
        };
        assert!(set("cores|memory", "memory=512&digest=ab"));
        assert!(!set("cores|memory", "name=web"));
        assert!(!set("cores&memory", "memory=512"));
        assert!(set("net#", "net3=virtio"));
        assert!(set("tags|name", "delete=onboot,tags"));
        assert!(set("cdrom", "ide2=none%2Cmedia%3Dcdrom"));
        assert!(!set("cdrom", "ide2=local%3A32"));
        assert!(!set("cdrom", "cdrom=local%3A32"));
    }

    #[test]
    fn a_declared_parameter_tells_rows_apart() {
        let restore: Vec<&Call> = rows_of("POST /nodes/{node}/qemu?archive").collect();
        assert!(
            restore.iter().all(|row| row.action() == Action::Restore),
            "{restore:?}"
        );
        let create: Vec<&Call> = rows_of("POST /nodes/{node}/qemu?name&net#").collect();
        assert!(
            create.iter().all(|row| row.action() == Action::Create),
            "{create:?}"
        );
        assert_eq!((restore.len(), create.len()), (1, 1));
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
        let both = privileges_of("POST /nodes/{node}/qemu").unwrap();
        assert!(
            both.contains("with archive: ") && both.contains("without archive: "),
            "{both}"
        );
        let both = actions_of("POST /nodes/{node}/lxc");
        assert!(
            both.contains(&Action::Create) && both.contains(&Action::Restore),
            "{both:?}"
        );
    }
}
