//! Finds the endpoint of a request, and what happens to the request on its way to
//! the handler: permission, proxying to another node, parameters, in that order.

use std::collections::BTreeMap;

use pve_api::Method;
use serde_json::Value;

use crate::endpoint::{Call, Endpoint};
use crate::fail::Fail;
use crate::params::{self, Arg, Args, Param, placeholder};
use crate::permission::Auth;
use crate::state::{Cluster, Node};

struct Route {
    segments: Vec<&'static str>,
    endpoint: &'static Endpoint,
    declared: Vec<Param>,
}

/// Finds the endpoint of a request and runs it.
pub(crate) struct Router {
    routes: Vec<Route>,
}

/// A request whose endpoint is known.
pub(crate) struct Found<'r> {
    route: &'r Route,
    in_path: BTreeMap<&'static str, String>,
}

impl Router {
    pub(crate) fn new(families: &[&'static [Endpoint]]) -> Router {
        let mut routes: Vec<Route> = families
            .iter()
            .flat_map(|family| family.iter())
            .map(|endpoint| Route {
                segments: endpoint
                    .path
                    .split('/')
                    .filter(|segment| !segment.is_empty())
                    .collect(),
                endpoint,
                declared: endpoint.declared(),
            })
            .collect();
        // A literal segment wins over a parameter.
        routes.sort_by_key(|route| {
            route
                .segments
                .iter()
                .filter(|segment| placeholder(segment).is_some())
                .count()
        });
        Router { routes }
    }

    /// `path` is decoded and has no `/api2/json` before it.
    pub(crate) fn find(&self, method: Method, path: &str) -> Option<Found<'_>> {
        let segments: Vec<&str> = path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .collect();
        self.routes
            .iter()
            .filter(|route| route.endpoint.method == method)
            .find_map(|route| {
                Some(Found {
                    in_path: matched(&route.segments, &segments)?,
                    route,
                })
            })
    }

    /// Whether a request needs no token.
    pub(crate) fn is_open(&self, method: Method, path: &str) -> bool {
        self.find(method, path)
            .is_some_and(|found| found.route.endpoint.open)
    }

    #[cfg(test)]
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &'static Endpoint> {
        self.routes.iter().map(|route| route.endpoint)
    }
}

fn matched(template: &[&'static str], path: &[&str]) -> Option<BTreeMap<&'static str, String>> {
    // Volume names and networks hold slashes of their own.
    let tail = template
        .last()
        .and_then(|last| placeholder(last))
        .filter(|name| matches!(*name, "volume" | "cidr"));
    if path.len() < template.len() || (tail.is_none() && path.len() > template.len()) {
        return None;
    }
    let mut found = BTreeMap::new();
    for (at, segment) in template.iter().enumerate() {
        let here = *path.get(at)?;
        match placeholder(segment) {
            Some(name) if tail == Some(name) => {
                found.insert(name, path.get(at..)?.join("/"));
            }
            Some(name) => {
                found.insert(name, here.to_owned());
            }
            None if *segment == here => {}
            None => return None,
        }
    }
    Some(found)
}

impl Found<'_> {
    /// Runs the handler, after every check that comes before it.
    pub(crate) fn run(
        self,
        cluster: &mut Cluster,
        auth: &Auth,
        given: Args,
    ) -> Result<(Value, Option<usize>), Fail> {
        let mut args = given;
        for (name, value) in &self.in_path {
            if args.contains_key(*name) {
                return Err(Fail::param(
                    name,
                    "duplicate parameter (already defined in URI)",
                ));
            }
            args.insert((*name).to_owned(), Arg::One(value.clone()));
        }
        let endpoint = self.route.endpoint;
        endpoint.access.check(cluster, auth, &args)?;
        if !endpoint.local
            && let Some(node) = self.in_path.get("node")
        {
            reach(cluster, node)?;
        }
        let errors = params::check(&args, self.route.declared.iter());
        if !errors.is_empty() {
            return Err(Fail::params(errors));
        }
        let mut call = Call {
            cluster,
            auth,
            args,
            total: None,
        };
        let data = (endpoint.handler)(&mut call)?;
        Ok((data, call.total))
    }
}

/// Requests for another node go through this one, if it answers.
fn reach(cluster: &Cluster, node: &str) -> Result<(), Fail> {
    let known = |known: &&Node| known.name.eq_ignore_ascii_case(node);
    match cluster.nodes.iter().find(known) {
        Some(known) if known.name == node && known.online => Ok(()),
        // The name is found, but no certificate belongs to it in this spelling.
        Some(known) if known.online => Err(Fail::bare(
            596,
            "error:0A000086:SSL routines::certificate verify failed",
        )),
        Some(_) => Err(Fail::bare(595, "No route to host")),
        None if node == "localhost" => Ok(()),
        None => {
            let why = if node.bytes().all(|byte| byte == b'.') {
                "Name or service not known"
            } else {
                "Temporary failure in name resolution"
            };
            Err(Fail::die(format!(
                "hostname lookup '{node}' failed - failed to get address info for: {node}: {why}"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use pve_api::calls;

    use super::*;
    use crate::api::FAMILIES;
    use crate::endpoint::Why;

    /// Rows of the table that are answered as a node answers a call that it does not know: no
    /// tool makes them.
    const UNANSWERED: &[&str] = &[
        "DELETE /cluster/firewall/aliases/{name}",
        "DELETE /cluster/firewall/groups/{group}",
        "DELETE /cluster/firewall/ipset/{name}",
        "DELETE /nodes/{node}/lxc/{vmid}/firewall/aliases/{name}",
        "DELETE /nodes/{node}/lxc/{vmid}/firewall/ipset/{name}",
        "DELETE /nodes/{node}/qemu/{vmid}/firewall/aliases/{name}",
        "DELETE /nodes/{node}/qemu/{vmid}/firewall/ipset/{name}",
        "POST /nodes/{node}/lxc/{vmid}/firewall/aliases",
        "POST /nodes/{node}/lxc/{vmid}/firewall/ipset",
        "POST /nodes/{node}/lxc/{vmid}/firewall/ipset/{name}",
        "POST /nodes/{node}/qemu/{vmid}/agent/fstrim",
        "POST /nodes/{node}/qemu/{vmid}/firewall/aliases",
        "POST /nodes/{node}/qemu/{vmid}/firewall/ipset",
        "POST /nodes/{node}/qemu/{vmid}/firewall/ipset/{name}",
        "PUT /cluster/firewall/aliases/{name}",
        "PUT /nodes/{node}/lxc/{vmid}/firewall/aliases/{name}",
        "PUT /nodes/{node}/qemu/{vmid}/firewall/aliases/{name}",
    ];

    #[test]
    fn every_row_of_the_table_has_a_handler_or_is_listed() {
        let router = Router::new(FAMILIES);
        let mut missing: Vec<String> = calls::all()
            .chain(calls::for_experts())
            .filter(|row| router.find(row.method(), row.path()).is_none())
            .map(ToString::to_string)
            .collect();
        missing.sort();
        assert_eq!(missing, UNANSWERED);
    }

    #[test]
    fn only_calls_outside_of_the_table_are_declared_apart() {
        for endpoint in Router::new(FAMILIES).endpoints() {
            let Endpoint { method, path, .. } = *endpoint;
            let row = calls::all()
                .chain(calls::for_experts())
                .find(|row| (row.method(), row.path()) == (method, path));
            assert_eq!(row.is_none(), endpoint.why.is_some(), "{method} {path}");
            if let Some(why) = endpoint.why {
                let is_read = method == Method::Get;
                assert_eq!(is_read, why == Why::Recorded, "{method} {path}");
            }
        }
    }
}
