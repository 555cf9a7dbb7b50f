//! The wire: what pveproxy does with a request before and after its handler.

use std::convert::Infallible;
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::ext::ReasonPhrase;
use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HeaderValue, LOCATION,
    TRANSFER_ENCODING, USER_AGENT,
};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::auth::{Auth, Token};
use crate::faults::{self, AnyFault, Fault, Kind};
use crate::outage::{Meets, Outage, Outages};
use crate::params::Args;
use crate::router::{self, Fail, Method, Router};
use crate::state::Cluster;
use crate::tls::Identity;
use crate::{Options, api, clock, wire, worlds};

/// Where pveproxy dies of a bad body.
const PROXY_SOURCE: &str = "/usr/share/perl5/PVE/APIServer/AnyEvent.pm";
const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 8 * 1024;
const MAX_BODY: usize = 512 * 1024;
/// A connection is closed after so many requests, or when none comes for so long.
const REQUESTS_PER_CONNECTION: u32 = 100;
const IDLE: Duration = Duration::from_secs(5);

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
}

/// The connection is closed without an answer.
#[derive(Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("connection cut on purpose")
    }
}

impl std::error::Error for Cut {}

/// Serves connections until the task is aborted, with the pauses that outages make.
pub(crate) async fn accept(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    server: Arc<Server>,
) {
    tokio::join!(server.outages.keep(), listen(listener, acceptor, &server));
}

async fn listen(mut listener: TcpListener, acceptor: Option<TlsAcceptor>, server: &Arc<Server>) {
    let mut connections = JoinSet::new();
    let mut outage = server.outages.watch();
    loop {
        while connections.try_join_next().is_some() {}
        if *outage.borrow_and_update() == Some(Meets::Nothing) {
            let Ok(address) = listener.local_addr() else {
                return;
            };
            drop(listener);
            let Some(back) = closed(address, &mut outage).await else {
                return;
            };
            listener = back;
            continue;
        }
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = outage.changed() => continue,
        };
        let Ok((stream, _)) = accepted else {
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (acceptor, server) = (acceptor.clone(), Arc::clone(server));
        connections.spawn(async move {
            match acceptor {
                None => serve(stream, server).await,
                // A TLS handshake begins with this byte.
                Some(_) if !starts_with(&stream, 0x16).await => {
                    plain_on_tls(stream, server).await;
                }
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, server).await;
                    }
                }
            }
        });
    }
}

/// Keeps the port while nothing listens on it, so that no other program takes it meanwhile.
async fn closed(
    address: SocketAddr,
    outage: &mut watch::Receiver<Option<Meets>>,
) -> Option<TcpListener> {
    loop {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }
        .ok()?;
        // The port's old connections linger.
        socket.set_reuseaddr(true).ok()?;
        if socket.bind(address).is_err() {
            sleep(Duration::from_millis(10)).await;
            continue;
        }
        outage
            .wait_for(|outage| *outage != Some(Meets::Nothing))
            .await
            .ok()?;
        match socket.listen(1024) {
            Ok(listener) => return Some(listener),
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn starts_with(stream: &TcpStream, byte: u8) -> bool {
    let mut first = [0];
    // Nothing at all is left to the handshake to judge.
    !matches!(stream.peek(&mut first).await, Ok(1)) || first == [byte]
}

/// Sends a client that speaks plain HTTP to the HTTPS address.
async fn plain_on_tls(stream: TcpStream, server: Arc<Server>) {
    let address = stream.local_addr().ok();
    let service = service_fn(move |request: Request<Incoming>| {
        server.served.fetch_add(1, Ordering::Relaxed);
        let path = request.uri().path().to_owned();
        async move {
            let address = address.ok_or(Cut)?;
            let mut response = told(301, "Moved Permanently");
            let location = HeaderValue::from_str(&format!("https://{address}{path}"));
            let headers = response.headers_mut();
            headers.insert(LOCATION, location.map_err(|_| Cut)?);
            Ok::<_, Cut>(response)
        }
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// A client's connection, which can be reset.
trait Connection: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    fn socket(&self) -> &TcpStream;

    /// Closes it with RST: what was not read yet is lost.
    fn reset(self)
    where
        Self: Sized,
    {
        let _ = self.socket().set_zero_linger();
    }
}

impl Connection for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Connection for TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

async fn serve(stream: impl Connection, server: Arc<Server>) {
    let mut outage = server.outages.watch();
    let count = Arc::new(AtomicU32::new(0));
    let service = service_fn(move |request| {
        let (server, count) = (Arc::clone(&server), Arc::clone(&count));
        async move {
            let mut response = server.handle(request).await?;
            if count.fetch_add(1, Ordering::Relaxed) + 1 >= REQUESTS_PER_CONNECTION {
                let headers = response.headers_mut();
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Cut>(response)
        }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .title_case_headers(true)
        .max_headers(4 * MAX_HEADERS);
    let mut connection = http.serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // A cut connection is an error here, and meant to be one.
        _ = &mut connection => {}
        Ok(_) = outage.wait_for(|outage| *outage == Some(Meets::Nothing)) => {
            connection.into_parts().io.into_inner().reset();
        }
    }
}

impl Server {
    pub(crate) fn new(options: &Options, identity: Option<&Identity>) -> anyhow::Result<Server> {
        let mut cluster = worlds::build(options)?;
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
            return Ok(bare(
                501,
                &format!("method '{}' not available", request.method()),
            ));
        };
        if let Some(encoding) = request.headers().get(TRANSFER_ENCODING) {
            let encoding = encoding.to_str().unwrap_or_default();
            return Ok(match encoding.eq_ignore_ascii_case("chunked") {
                true => told(501, "chunked transfer encoding not supported"),
                false => told(501, &format!("Unknown transfer encoding '{encoding}'")),
            });
        }
        let whole = wire::unescape(request.uri().path());
        let Some(inside) = whole.strip_prefix(&self.prefix) else {
            return Ok(not_proxied());
        };
        let Some(path) = inside
            .strip_prefix("/api2")
            .filter(|rest| rest.is_empty() || rest.starts_with('/'))
        else {
            return Ok(not_the_api(inside));
        };
        let (format, path) = match path.trim_start_matches('/').split_once('/') {
            Some((format, path)) => (format, path),
            None => (path.trim_start_matches('/'), ""),
        };
        let path = format!("/{}", path.trim_start_matches('/').trim_end_matches('/'));
        let Some(format) = Format::parse(format) else {
            return Ok(match format {
                "" => told(501, "no such uri"),
                other => told(501, &format!("no formatter for uri {path}, {other}")),
            });
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
                &json!({"method": method.name(), "path": path, "params": shown(args)}),
            );
        }
        if let Some(response) = before(fault.as_ref()).await? {
            return Ok(response);
        }
        let auth = match auth {
            Ok(auth) => auth,
            Err(_) if self.router.is_open(method, &path) => Auth::nobody(),
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
            Some(found) => found.run(&mut self.cluster(), auth, args),
            None => Err(Fail {
                status: 501,
                message: format!("Method '{} {path}' not implemented", method.name()),
                errors: crate::params::Errors::new(),
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
            let mut line = json!({"method": method.name(), "path": path, "params": shown(&args), "status": status});
            if let (Some(tool), Some(fields)) = (tool, line.as_object_mut()) {
                fields.insert("tool".into(), tool.into());
            }
            write_line(log, &line);
        }
        match &result {
            Err(fail) if fail.bare => bare(fail.status, &fail.message),
            _ => format.render(status, reason, router::body(&result)),
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

/// How an answer is written, by the word behind `/api2/`.
#[derive(Debug, Clone, Copy)]
enum Format {
    Json,
    /// As the web interface wants it: errors are 200 too.
    ExtJs,
    Html,
    Png,
}

impl Format {
    fn parse(name: &str) -> Option<Format> {
        match name {
            "json" => Some(Format::Json),
            "extjs" => Some(Format::ExtJs),
            "html" => Some(Format::Html),
            "png" => Some(Format::Png),
            _ => None,
        }
    }

    fn render(
        self,
        status: u16,
        reason: &str,
        mut body: serde_json::Map<String, serde_json::Value>,
    ) -> Response<Answer> {
        let typed = |content_type, body: String| {
            let mut response = rendered(200, "OK", body);
            let value = HeaderValue::from_static(content_type);
            response.headers_mut().insert(CONTENT_TYPE, value);
            response
        };
        match self {
            Format::Json => {
                rendered(status, reason, serde_json::Value::Object(body).to_string())
            }
            Format::ExtJs => {
                body.insert("success".into(), json!(i32::from(status < 400)));
                if status >= 400 {
                    body.insert("status".into(), json!(status));
                }
                rendered(200, "OK", serde_json::Value::Object(body).to_string())
            }
            Format::Html => typed(
                "text/html;charset=UTF-8",
                "<!DOCTYPE html>\n<html lang=\"en\">\n  <head>\n    <title>Proxmox VE API</title>\n".into(),
            ),
            Format::Png => typed("image/png", String::new()),
        }
    }
}

fn shown(args: &Args) -> serde_json::Map<String, serde_json::Value> {
    args.iter()
        .map(|(name, value)| (name.clone(), value.to_json()))
        .collect()
}

fn write_line(log: &Mutex<File>, line: &serde_json::Value) {
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    // A test that reads the log sees at once when this fails: the line is missing.
    let _ = writeln!(log, "{line}").and_then(|()| log.flush());
}

/// Query and body together.
async fn read_args(
    method: Method,
    request: Request<Incoming>,
    query: &str,
) -> Result<Result<Args, Fail>, Cut> {
    let header = |name| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let length = header(CONTENT_LENGTH)
        .and_then(|length| length.parse::<usize>().ok())
        .unwrap_or(0);
    let content_type = header(CONTENT_TYPE).map(str::to_owned);
    let mime = content_type.as_deref().map(|text| {
        text.split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase()
    });
    let takes_body = matches!(method, Method::Post | Method::Put);
    if length > 0 && !takes_body {
        return Ok(Err(Fail::bare(
            501,
            format!("Unexpected content for method '{}'", method.name()),
        )));
    }
    if length > MAX_BODY {
        return Ok(Err(Fail::bare(501, "for data too large")));
    }
    if length > 0
        && !matches!(
            mime.as_deref(),
            None | Some("application/x-www-form-urlencoded" | "application/json")
        )
    {
        let content_type = content_type.unwrap_or_default();
        return Ok(Err(Fail::bare(
            506,
            format!("upload 'Content-Type '{content_type}' not implemented"),
        )));
    }
    let body = Limited::new(request.into_body(), MAX_BODY)
        .collect()
        .await
        .map_err(|_| Cut)?
        .to_bytes();
    let body = String::from_utf8_lossy(&body);
    let mut args = match mime.as_deref() {
        _ if !takes_body => Args::new(),
        Some("application/json") => match wire::parse_json(&body) {
            Ok(args) => args,
            Err(error) => {
                let text = format!("{error} at {PROXY_SOURCE} line 934.\n");
                return Ok(Err(Fail::bare(500, text)));
            }
        },
        _ => wire::parse_form(&body),
    };
    args.extend(wire::parse_form(query));
    Ok(Ok(args))
}

/// Faults that keep the request from its handler.
async fn before(fault: Option<&Kind>) -> Result<Option<Response<Answer>>, Cut> {
    match fault {
        Some(Kind::Cut) => Err(Cut),
        Some(Kind::Latency { ms }) => {
            sleep(Duration::from_millis(*ms)).await;
            Ok(None)
        }
        Some(Kind::Hang) => {
            std::future::pending::<Infallible>().await;
            Err(Cut)
        }
        Some(Kind::Status { code, reason, body }) => {
            let mut response = rendered(*code, reason.as_deref().unwrap_or_default(), body.clone());
            let headers = response.headers_mut();
            match body.is_empty() {
                true => headers.remove(CONTENT_TYPE),
                false => headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html")),
            };
            Ok(Some(response))
        }
        Some(Kind::Redirect { url, code }) => {
            let mut response = rendered(*code, "", String::new());
            let location = HeaderValue::from_str(url).map_err(|_| Cut)?;
            response.headers_mut().insert(LOCATION, location);
            Ok(Some(response))
        }
        Some(Kind::Garbage) => Ok(Some(rendered(200, "OK", "{\"data\": [1, 2".into()))),
        _ => Ok(None),
    }
}

/// Faults that spoil the answer of a request that was handled.
fn after(fault: Option<Kind>, response: Response<Answer>) -> Result<Response<Answer>, Cut> {
    match fault {
        Some(Kind::CutAfter) => Err(Cut),
        Some(Kind::HalfBody) => {
            let (parts, answer) = response.into_parts();
            Ok(Response::from_parts(parts, answer.halved()))
        }
        Some(Kind::Drip { ms }) => {
            let (parts, answer) = response.into_parts();
            Ok(Response::from_parts(
                parts,
                answer.dripping(Duration::from_millis(ms)),
            ))
        }
        Some(Kind::Huge { bytes }) => {
            let filler = "x".repeat(1024);
            let mut body = String::with_capacity(bytes + 2048);
            body.push_str("{\"data\":[\"");
            body.push_str(&filler);
            while body.len() < bytes {
                body.push_str("\",\"");
                body.push_str(&filler);
            }
            body.push_str("\"]}");
            Ok(rendered(200, "OK", body))
        }
        _ => Ok(response),
    }
}

/// Requests outside of the API: the web interface, of which there is one page.
fn not_the_api(path: &str) -> Response<Answer> {
    if !matches!(path, "/" | "") {
        return told(500, &format!("no such file '{path}'\n"));
    }
    page(
        200,
        "OK",
        "<!DOCTYPE html><title>pve1 - Proxmox Virtual Environment</title>",
    )
}

/// What a reverse proxy answers that serves Proxmox under a path of its own.
fn not_proxied() -> Response<Answer> {
    page(404, "Not Found", "<html><body>404 Not Found</body></html>")
}

fn page(status: u16, reason: &str, text: &str) -> Response<Answer> {
    let mut response = rendered(status, reason, text.to_owned());
    let value = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, value);
    response
}

/// An answer that has a reason phrase and no body.
fn bare(status: u16, reason: &str) -> Response<Answer> {
    let mut response = rendered(status, reason, String::new());
    response.headers_mut().remove(CONTENT_TYPE);
    response
}

/// An answer of pveproxy itself: its reason is its body too, as plain text.
fn told(status: u16, text: &str) -> Response<Answer> {
    let mut response = rendered(status, text, text.to_owned());
    response.headers_mut().remove(CONTENT_TYPE);
    response
}

fn rendered(status: u16, reason: &str, body: String) -> Response<Answer> {
    let mut response = Response::new(Answer::whole(body));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // Only the first line fits into a status line.
    let first = reason.lines().next().unwrap_or_default();
    if !first.is_empty()
        && let Ok(reason) = ReasonPhrase::try_from(first.as_bytes())
    {
        response.extensions_mut().insert(reason);
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "seconds since 1970 stay below 2^53"
    )]
    let date = clock::http(clock::real() as i64);
    let headers = response.headers_mut();
    let fixed = [
        ("cache-control", "max-age=0"),
        ("pragma", "no-cache"),
        ("server", "pve-api-daemon/3.0"),
        ("content-type", "application/json;charset=UTF-8"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(date) = HeaderValue::from_str(&date) {
        headers.insert("expires", date.clone());
        headers.insert("date", date);
    }
    let connection = if status >= 400 { "close" } else { "Keep-Alive" };
    headers.insert(CONNECTION, HeaderValue::from_static(connection));
    response
}

/// A response's body, with whatever is wrong with it.
struct Answer {
    rest: Bytes,
    length: u64,
    /// The connection breaks when so much is left.
    break_at: Option<usize>,
    drip: Option<(Duration, Pin<Box<Sleep>>)>,
}

impl Answer {
    fn whole(body: String) -> Answer {
        let length = body.len() as u64;
        Answer {
            rest: body.into(),
            length,
            break_at: None,
            drip: None,
        }
    }

    fn halved(mut self) -> Answer {
        self.break_at = Some(self.rest.len() / 2);
        self
    }

    fn dripping(mut self, pause: Duration) -> Answer {
        self.drip = Some((pause, Box::pin(sleep(pause))));
        self
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let this = &mut *self;
        if this.break_at.is_some_and(|left| this.rest.len() <= left) {
            return Poll::Ready(Some(Err(Cut)));
        }
        if this.rest.is_empty() {
            return Poll::Ready(None);
        }
        let mut take = this.rest.len() - this.break_at.unwrap_or(0);
        if let Some((pause, timer)) = &mut this.drip {
            std::task::ready!(timer.as_mut().poll(context));
            *timer = Box::pin(sleep(*pause));
            take = take.min(16);
        }
        Poll::Ready(Some(Ok(Frame::data(this.rest.split_to(take)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.break_at.is_none()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        hyper::body::SizeHint::with_exact(self.length)
    }
}
