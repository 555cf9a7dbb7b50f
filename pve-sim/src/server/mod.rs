//! The wire: what pveproxy does with a request before and after its handler.

mod answer;
mod args;
mod listen;
mod response;
mod spoil;

use std::fs::File;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, COOKIE, TRANSFER_ENCODING, USER_AGENT};
use hyper::{Request, Response};
use pve_api::Method;
use serde_json::json;
use tokio::time::sleep;

use answer::{Answer, Cut};
use args::read_args;
use response::{Format, bare, body, not_proxied, not_the_api, told};
use spoil::{after, before};

use crate::fail::Fail;
use crate::faults::{self, AnyFault, Fault, Kind};
use crate::options::Options;
use crate::outage::{Meets, Outage, Outages};
use crate::params::{Args, Errors};
use crate::permission::Auth;
use crate::router::{Found, Router};
use crate::saved::{self, Keep, Save};
use crate::state::{Cluster, Token};
use crate::tls::Identity;
use crate::{api, wire, worlds};

pub(crate) use listen::accept;

const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 8 * 1024;

/// Answers the requests to a cluster.
pub(crate) struct Server {
    router: Router,
    cluster: Mutex<Cluster>,
    pub(crate) faults: Mutex<Vec<Fault>>,
    pub(crate) outages: Outages,
    log: Option<Mutex<File>>,
    arrivals: Option<Mutex<File>>,
    prefix: String,
    auth_delay: Duration,
    /// How long the lookup of an unknown node's name takes.
    lookup_delay: Duration,
    served: AtomicU64,
    /// Takes the state after each change.
    save: Option<Arc<Save>>,
}

/// What a request is for.
struct Target {
    method: Method,
    /// How the response is to be written.
    format: Format,
    /// Below the format, with one slash before it.
    path: String,
}

impl Server {
    pub(crate) fn new(
        options: &Options,
        identity: Option<&Identity>,
        keep: Option<Keep>,
    ) -> anyhow::Result<Server> {
        let mut cluster = worlds::build(options)?;
        let save = keep.map(|keep| {
            if let Some(saved) = keep.saved {
                saved.restore(&mut cluster);
            }
            keep.save
        });
        if let Some(identity) = identity
            && let Some(node) = cluster.nodes.first_mut()
        {
            node.fingerprint.clone_from(&identity.fingerprint);
        }
        for token in worlds::tokens(&options.tokens).map_err(anyhow::Error::msg)? {
            cluster
                .access
                .add_token(token)
                .map_err(anyhow::Error::msg)?;
        }
        for user in &options.users {
            let (who, rights) = user
                .split_once(':')
                .with_context(|| format!("user '{user}' is not user@realm:rights"))?;
            cluster
                .access
                .grant(who, rights)
                .map_err(anyhow::Error::msg)?;
        }
        let mut faults = Vec::new();
        for text in &options.faults {
            match AnyFault::parse(text).map_err(anyhow::Error::msg)? {
                AnyFault::Request(fault) => faults.push(fault),
                AnyFault::Task(fault) => cluster.tasks.faults.push(fault),
            }
        }
        let outage = options.outage.as_deref().map(Outage::parse).transpose();
        let outage = outage.map_err(anyhow::Error::msg)?;
        let open = |path: &PathBuf| -> anyhow::Result<Mutex<File>> {
            let file = File::options().create(true).append(true).open(path);
            let file = file.with_context(|| format!("cannot write {}", path.display()))?;
            Ok(Mutex::new(file))
        };
        if let Some(save) = &save {
            saved::text(&cluster)
                .and_then(|text| save(&text))
                .map_err(anyhow::Error::msg)?;
        }
        Ok(Server {
            router: Router::new(api::FAMILIES),
            cluster: Mutex::new(cluster),
            faults: Mutex::new(faults),
            outages: Outages::new(outage),
            log: options.log.as_ref().map(open).transpose()?,
            arrivals: options.arrivals.as_ref().map(open).transpose()?,
            prefix: options.prefix.trim_end_matches('/').to_owned(),
            auth_delay: options.auth_delay,
            lookup_delay: options.lookup_delay,
            served: AtomicU64::new(0),
            save,
        })
    }

    pub(crate) fn tokens(&self) -> Vec<Token> {
        self.cluster().access.tokens.clone()
    }

    /// The cluster as it is now, with every task ended whose time is up.
    pub(crate) fn cluster(&self) -> MutexGuard<'_, Cluster> {
        let mut cluster = self.cluster.lock().unwrap_or_else(PoisonError::into_inner);
        cluster.settle();
        cluster
    }

    /// How many requests have come in.
    pub(crate) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    async fn handle(&self, request: Request<Incoming>) -> Result<Response<Answer>, Cut> {
        match self.outages.now() {
            None => {}
            Some(Meets::Nothing) => return Err(Cut),
            Some(Meets::Answer(status)) => return Ok(bare(status, Meets::reason(status))),
        }
        self.served.fetch_add(1, Ordering::Relaxed);
        let Target {
            method,
            format,
            path,
        } = match self.target(&request)? {
            ControlFlow::Continue(target) => target,
            ControlFlow::Break(response) => return Ok(response),
        };
        let fault = {
            let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
            faults::strike(&mut faults, method, &path)
        };
        if let Some(Kind::Outage {
            ms,
            answer,
            after: false,
        }) = fault
        {
            self.outages.plan(Outage::once(ms, answer));
            return match answer {
                None => Err(Cut),
                Some(status) => Ok(bare(status, Meets::reason(status))),
            };
        }
        if let Some(Kind::Advance { seconds }) = fault {
            let by = Duration::try_from_secs_f64(seconds).unwrap_or_default();
            self.cluster().clock.advance(by);
        }
        let auth = self.authenticate(&request);
        let tool = tool_of(&request);
        let query = request.uri().query().unwrap_or_default().to_owned();
        let args = read_args(method, request, &query).await?;
        if let (Some(arrivals), Ok(args)) = (&self.arrivals, &args) {
            write_line(
                arrivals,
                &json!({"method": method.as_str(), "path": path, "params": shown(args)}),
            );
        }
        if let Some(response) = before(fault.as_ref()).await? {
            return Ok(response);
        }
        let auth = match auth {
            Ok(auth) => auth,
            Err(_) if self.router.is_open(method, &path) => Auth::anonymous(),
            Err(reason) => {
                sleep(self.auth_delay).await;
                return Ok(bare(401, reason));
            }
        };
        let args = match args {
            Ok(args) => args,
            Err(fail) => return Ok(told(fail.status, &fail.message)),
        };
        let response = self.answer(format, method, &path, &auth, args, tool).await;
        if let Some(Kind::Outage {
            ms,
            answer,
            after: true,
        }) = fault
        {
            self.outages.plan(Outage::once(ms, answer));
            return Err(Cut);
        }
        after(fault, response)
    }

    /// What a request is for, unless pveproxy answers it itself.
    fn target(
        &self,
        request: &Request<Incoming>,
    ) -> Result<ControlFlow<Response<Answer>, Target>, Cut> {
        let header_bytes: usize = request
            .headers()
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum();
        if request.headers().len() >= MAX_HEADERS || header_bytes >= MAX_HEADER_BYTES {
            // The real one stops reading and drops the connection.
            return Err(Cut);
        }
        let Some(method) = Method::parse(request.method().as_str()) else {
            return Ok(ControlFlow::Break(bare(
                501,
                &format!("method '{}' not available", request.method()),
            )));
        };
        if let Some(encoding) = request.headers().get(TRANSFER_ENCODING) {
            let encoding = encoding.to_str().unwrap_or_default();
            return Ok(ControlFlow::Break(
                match encoding.eq_ignore_ascii_case("chunked") {
                    true => told(501, "chunked transfer encoding not supported"),
                    false => told(501, &format!("Unknown transfer encoding '{encoding}'")),
                },
            ));
        }
        let whole = wire::unescape(request.uri().path());
        let Some(inside) = whole.strip_prefix(&self.prefix) else {
            return Ok(ControlFlow::Break(not_proxied()));
        };
        let Some(path) = inside
            .strip_prefix("/api2")
            .filter(|rest| rest.is_empty() || rest.starts_with('/'))
        else {
            return Ok(ControlFlow::Break(not_the_api(inside)));
        };
        let (format, path) = match path.trim_start_matches('/').split_once('/') {
            Some((format, path)) => (format, path),
            None => (path.trim_start_matches('/'), ""),
        };
        let path = format!("/{}", path.trim_start_matches('/').trim_end_matches('/'));
        let Some(format) = Format::parse(format) else {
            return Ok(ControlFlow::Break(match format {
                "" => told(501, "no such uri"),
                other => told(501, &format!("no formatter for uri {path}, {other}")),
            }));
        };
        Ok(ControlFlow::Continue(Target {
            method,
            format,
            path,
        }))
    }

    fn authenticate(&self, request: &Request<Incoming>) -> Result<Auth, &'static str> {
        let cookie = request
            .headers()
            .get(COOKIE)
            .and_then(|cookie| cookie.to_str().ok())
            .unwrap_or_default();
        if cookie.contains("PVEAuthCookie=") {
            return Err("invalid PVE ticket");
        }
        let header = request
            .headers()
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let given = header
            .strip_prefix("PVEAPIToken")
            .and_then(|token| token.strip_prefix(['=', ' ']))
            .filter(|token| !token.is_empty())
            .ok_or("No ticket")?;
        let known = |token: &&Token| given == format!("{}={}", token.id, token.secret);
        let token = self.cluster().access.tokens.iter().find(known).cloned();
        token
            .map(|token| Auth { token })
            .ok_or("Authentication failed!")
    }

    /// Handles a request. A change that cannot be saved is not made.
    fn run(
        &self,
        method: Method,
        found: Found<'_>,
        auth: &Auth,
        args: Args,
    ) -> Result<(serde_json::Value, Option<usize>), Fail> {
        let mut cluster = self.cluster();
        let save = self.save.as_ref().filter(|_| method != Method::Get);
        let Some(save) = save else {
            return found.run(&mut cluster, auth, args);
        };
        let before = cluster.clone();
        let result = found.run(&mut cluster, auth, args)?;
        match saved::text(&cluster).and_then(|text| save(&text)) {
            Ok(()) => Ok(result),
            Err(error) => {
                *cluster = before;
                Err(Fail::die(error))
            }
        }
    }

    async fn answer(
        &self,
        format: Format,
        method: Method,
        path: &str,
        auth: &Auth,
        mut args: Args,
        tool: Option<String>,
    ) -> Response<Answer> {
        args.remove("_dc");
        let logged = self.log.is_some().then(|| args.clone());
        let result = match self.router.find(method, path) {
            Some(found) => self.run(method, found, auth, args),
            None => Err(Fail {
                status: 501,
                message: format!("Method '{} {path}' not implemented", method.as_str()),
                errors: Errors::new(),
                bare: false,
            }),
        };
        if let Err(fail) = &result
            && fail.is_name_lookup()
        {
            sleep(self.lookup_delay).await;
        }
        let (status, reason) = match &result {
            Ok(_) => (200, "OK"),
            Err(fail) => (fail.status, fail.message.as_str()),
        };
        if let (Some(log), Some(args)) = (&self.log, logged) {
            // A volume is one segment of the path, whose slash is sent encoded.
            let path = match path.split_once("/content/") {
                Some((storage, volume)) => {
                    format!("{storage}/content/{}", volume.replace('/', "%2F"))
                }
                None => path.to_owned(),
            };
            let mut line = json!({"method": method.as_str(), "path": path, "params": shown(&args), "status": status});
            if let (Some(tool), Some(fields)) = (tool, line.as_object_mut()) {
                fields.insert("tool".into(), tool.into());
            }
            write_line(log, &line);
        }
        match &result {
            Err(fail) if fail.bare => bare(fail.status, &fail.message),
            _ => format.render(status, reason, body(&result)),
        }
    }
}

/// The tool that a request is made for, as host-runner names it in `User-Agent`:
/// `proxmox-mcp/0.1.0 (list_nodes)`.
fn tool_of(request: &Request<Incoming>) -> Option<String> {
    let agent = request.headers().get(USER_AGENT)?.to_str().ok()?;
    let (program, tool) = agent.strip_suffix(')')?.split_once(" (")?;
    program.starts_with("proxmox-mcp/").then(|| tool.to_owned())
}

fn shown(args: &Args) -> serde_json::Map<String, serde_json::Value> {
    args.iter()
        .map(|(name, value)| (name.clone(), value.to_json()))
        .collect()
}

fn write_line(log: &Mutex<File>, line: &serde_json::Value) {
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    // If this fails, a test that reads the log misses the line.
    let _ = writeln!(log, "{line}").and_then(|()| log.flush());
}
