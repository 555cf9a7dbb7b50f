//! What the API is made of: endpoints, and requests on their way through a handler.

use pve_api::{Method, Vmid};
use serde_json::Value;

use crate::fail::Fail;
use crate::formats::{NODE, POOL, SNAPSHOT_NAME, STORAGE, VMID};
use crate::params::{Arg, Args, Kind, Param, TEXT, placeholder, req};
use crate::permission::{Auth, Permission};
use crate::state::Cluster;
use crate::tasks::Plan;

/// One method of the API.
pub(crate) struct Endpoint {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) params: &'static [Param],
    /// A list that several endpoints share, such as a guest's configuration.
    pub(crate) shared: &'static [Param],
    pub(crate) access: Permission,
    /// Answered by the node that is asked, also for another node in the path.
    pub(crate) local: bool,
    /// Answered without a token too.
    pub(crate) open: bool,
    /// Set if the call is not in the table.
    #[cfg_attr(
        not(test),
        expect(
            dead_code,
            reason = "documents an endpoint; the tests of the router read it"
        )
    )]
    pub(crate) why: Option<Why>,
    pub(crate) handler: Handler,
}

pub(crate) type Handler = fn(&mut Call<'_>) -> Answer;
pub(crate) type Answer = Result<Value, Fail>;

/// Why the simulator answers a call that is not in the table of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// A read that recordings of a real node contain, or its twin for the other type of guest:
    /// `exchanges.rs` and `replay.rs` compare the responses.
    Recorded,
    /// A change that host-runner must refuse. Only where it would take effect can a test see
    /// that it did not get through.
    Refused,
}

/// The endpoint of a row in the table of calls.
pub(crate) const fn on(
    row: &'static pve_api::Call,
    params: &'static [Param],
    access: Permission,
    handler: Handler,
) -> Endpoint {
    Endpoint {
        method: row.method(),
        path: row.path(),
        params,
        shared: &[],
        access,
        local: false,
        open: false,
        why: None,
        handler,
    }
}

/// An endpoint that Proxmox has and the table of calls has not.
pub(crate) const fn apart(
    why: Why,
    method: Method,
    path: &'static str,
    params: &'static [Param],
    access: Permission,
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
        why: Some(why),
        handler,
    }
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
        self.get("vmid").and_then(Vmid::parse).map_or(0, Vmid::get)
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
