//! The table of endpoints, and what happens to a request on its way to a
//! handler: permission, proxying to another node, parameters, in that order.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::auth::{Access, Auth};
use crate::formats::{NODE, POOL, SNAPSHOT_NAME, STORAGE, VMID};
use crate::params::{self, Arg, Args, Errors, Kind, Param, TEXT, req};
use crate::state::Cluster;
use crate::tasks::Plan;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Post,
    Put,
    Delete,
}

impl Method {
    pub(crate) fn parse(name: &str) -> Option<Method> {
        match name {
            "GET" => Some(Method::Get),
            "POST" => Some(Method::Post),
            "PUT" => Some(Method::Put),
            "DELETE" => Some(Method::Delete),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
        }
    }
}

/// One method of the API.
pub(crate) struct Endpoint {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) params: &'static [Param],
    /// A list that several endpoints share, such as a guest's configuration.
    pub(crate) shared: &'static [Param],
    pub(crate) access: Access,
    /// Answered by the node that is asked, also for another node in the path.
    pub(crate) local: bool,
    /// Answered without a token too.
    pub(crate) open: bool,
    pub(crate) handler: Handler,
}

pub(crate) type Handler = fn(&mut Call<'_>) -> Answer;
pub(crate) type Answer = Result<Value, Fail>;

const fn endpoint(
    method: Method,
    path: &'static str,
    params: &'static [Param],
    access: Access,
    handler: Handler,
) -> Endpoint {
    Endpoint {
        method,
        path,
        params,
        shared: &[],
        access,
        local: false,
        open: false,
        handler,
    }
}

pub(crate) const fn get(
    path: &'static str,
    params: &'static [Param],
    access: Access,
    handler: Handler,
) -> Endpoint {
    endpoint(Method::Get, path, params, access, handler)
}

pub(crate) const fn post(
    path: &'static str,
    params: &'static [Param],
    access: Access,
    handler: Handler,
) -> Endpoint {
    endpoint(Method::Post, path, params, access, handler)
}

pub(crate) const fn put(
    path: &'static str,
    params: &'static [Param],
    access: Access,
    handler: Handler,
) -> Endpoint {
    endpoint(Method::Put, path, params, access, handler)
}

pub(crate) const fn delete(
    path: &'static str,
    params: &'static [Param],
    access: Access,
    handler: Handler,
) -> Endpoint {
    endpoint(Method::Delete, path, params, access, handler)
}

impl Endpoint {
    /// Never proxied to the node that the path names.
    pub(crate) const fn local(mut self) -> Endpoint {
        self.local = true;
        self
    }

    /// Answered without a token too.
    pub(crate) const fn open(mut self) -> Endpoint {
        self.open = true;
        self
    }

    /// Takes these parameters too.
    pub(crate) const fn with(mut self, shared: &'static [Param]) -> Endpoint {
        self.shared = shared;
        self
    }

    /// Every parameter with its type, those in the path included.
    pub(crate) fn declared(&self) -> Vec<Param> {
        let own = self.params.iter().chain(self.shared).copied();
        let in_path = path_names(self.path)
            .filter(|name| !own.clone().any(|param| param.name == *name))
            .map(|name| req(name, path_kind(name)));
        in_path.chain(own.clone()).collect()
    }
}

fn path_names(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('/').filter_map(placeholder)
}

fn placeholder(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// The type of a parameter in the path, unless the endpoint declares it itself.
fn path_kind(name: &str) -> Kind {
    match name {
        "node" => NODE,
        "vmid" => VMID,
        "storage" => STORAGE,
        "snapname" => SNAPSHOT_NAME,
        "poolid" => POOL,
        _ => TEXT,
    }
}

/// Why a request is refused, as PVE's exceptions are.
#[derive(Debug, Clone)]
pub(crate) struct Fail {
    pub(crate) status: u16,
    pub(crate) message: String,
    pub(crate) errors: Errors,
    /// Refusals of the proxying node have a reason phrase alone.
    pub(crate) bare: bool,
}

impl Fail {
    /// A plain error of a handler: 500 with its text.
    pub(crate) fn die(message: impl Into<String>) -> Fail {
        let mut message = message.into();
        message.push('\n');
        Fail {
            status: 500,
            message,
            errors: Errors::new(),
            bare: false,
        }
    }

    pub(crate) fn params(errors: Errors) -> Fail {
        Fail {
            status: 400,
            message: "Parameter verification failed.\n".into(),
            errors,
            bare: false,
        }
    }

    /// One parameter is refused by the handler.
    pub(crate) fn param(name: &str, message: impl Into<String>) -> Fail {
        Fail::params([(name.to_owned(), message.into())].into())
    }

    pub(crate) fn denied(what: &str) -> Fail {
        Fail {
            status: 403,
            message: format!("Permission check failed ({what})\n"),
            errors: Errors::new(),
            bare: false,
        }
    }

    /// The name of an unknown node, which the proxying node looks up in vain.
    pub(crate) fn is_name_lookup(&self) -> bool {
        self.message.starts_with("hostname lookup ")
    }

    /// A refusal that does not name what is missing.
    pub(crate) fn denied_unnamed() -> Fail {
        Fail {
            status: 403,
            message: "Permission check failed\n".into(),
            errors: Errors::new(),
            bare: false,
        }
    }

    pub(crate) fn bare(status: u16, reason: impl Into<String>) -> Fail {
        Fail {
            status,
            message: reason.into(),
            errors: Errors::new(),
            bare: true,
        }
    }
}

/// A request on its way through a handler.
pub(crate) struct Call<'a> {
    pub(crate) cluster: &'a mut Cluster,
    pub(crate) auth: &'a Auth,
    pub(crate) args: Args,
    /// Set by lists that are shown in parts.
    pub(crate) total: Option<usize>,
}

impl Call<'_> {
    pub(crate) fn has(&self, name: &str) -> bool {
        self.args.get(name).is_some_and(|arg| *arg != Arg::Undef)
    }

    /// The text of a parameter, if given.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        match self.args.get(name)? {
            Arg::One(text) => Some(text),
            Arg::Bool(flag) => Some(if *flag { "1" } else { "0" }),
            _ => None,
        }
    }

    /// The text of a required parameter, which has been checked to be there.
    pub(crate) fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name) == Some("1")
    }

    pub(crate) fn int(&self, name: &str) -> Option<i64> {
        self.get(name)?.trim_start_matches('+').parse().ok()
    }

    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        match self.args.get(name) {
            Some(Arg::Many(list)) => list.clone(),
            Some(Arg::One(text)) => vec![text.clone()],
            _ => Vec::new(),
        }
    }

    pub(crate) fn node(&self) -> String {
        self.text("node")
    }

    pub(crate) fn vmid(&self) -> u32 {
        self.get("vmid")
            .and_then(|vmid| vmid.parse().ok())
            .unwrap_or_default()
    }

    /// Dies with 403 unless the token has the privilege there.
    pub(crate) fn require(&self, path: &str, privilege: &str) -> Result<(), Fail> {
        if self.auth.has(self.cluster, path, privilege) {
            return Ok(());
        }
        Err(Fail::denied(&format!("{path}, {privilege}")))
    }

    /// Starts a task on the node of the path, in the name of the token.
    pub(crate) fn start(&mut self, plan: Plan) -> Answer {
        let node = self.node();
        Ok(self.cluster.start(&node, &self.auth.token.id, plan))
    }

    pub(crate) fn may(&self, path: &str, privilege: &str) -> bool {
        self.auth.has(self.cluster, path, privilege)
    }
}

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
    let known = |known: &&crate::state::Node| known.name.eq_ignore_ascii_case(node);
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

/// An answer's body.
pub(crate) fn body(result: &Result<(Value, Option<usize>), Fail>) -> Map<String, Value> {
    let mut body = Map::new();
    match result {
        Ok((data, total)) => {
            body.insert("data".into(), data.clone());
            if let Some(total) = total {
                body.insert("total".into(), (*total).into());
            }
        }
        Err(fail) => {
            body.insert("data".into(), Value::Null);
            body.insert("message".into(), fail.message.clone().into());
            if !fail.errors.is_empty() {
                let errors = fail
                    .errors
                    .iter()
                    .map(|(name, text)| (name.clone(), text.clone().into()));
                body.insert("errors".into(), Value::Object(errors.collect()));
            }
        }
    }
    body
}
