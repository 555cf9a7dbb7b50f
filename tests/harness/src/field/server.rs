//! The server that answers as a case says.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::file::Reply;
use crate::{Authority, Piece, Rogue};

/// A request: its method, its path below `/api2/json`, its parameters in query
/// and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) params: Vec<(String, String)>,
}

/// A line of a case that stands for requests: `GET /nodes?type=vm`, in which
/// the method may be `*` and the path may end with `*`.
#[derive(Debug, Clone)]
pub(super) struct Pattern(Request);

/// A running server, and what it was asked.
pub(super) struct Server {
    pub(super) rogue: Rogue,
    seen: Arc<Mutex<Seen>>,
}

struct Seen {
    answers: Vec<Prepared>,
    requests: Vec<Request>,
}

struct Prepared {
    line: String,
    pattern: Option<Pattern>,
    replies: Vec<Reply>,
    asked: usize,
}

impl Server {
    pub(super) async fn start(
        listen: IpAddr,
        answers: &[(String, Vec<Reply>)],
    ) -> anyhow::Result<Self> {
        let answers = answers
            .iter()
            .map(|(line, replies)| {
                anyhow::ensure!(!replies.is_empty(), "{line} has no answer");
                let pattern = match line.as_str() {
                    "*" => None,
                    line => Some(Pattern::parse(line)?),
                };
                Ok(Prepared {
                    line: line.clone(),
                    pattern,
                    replies: replies.clone(),
                    asked: 0,
                })
            })
            .collect::<anyhow::Result<_>>()?;
        let seen = Arc::new(Mutex::new(Seen {
            answers,
            requests: Vec::new(),
        }));
        let script = Arc::clone(&seen);
        let name = listen.to_string();
        let host = match listen {
            IpAddr::V4(_) => name.clone(),
            IpAddr::V6(_) => format!("[{name}]"),
        };
        let address = SocketAddr::from((listen, 0));
        let rogue = Authority::new()?
            .serve_at(&name, &host, address, move |request| {
                let mut seen = script.lock().unwrap_or_else(PoisonError::into_inner);
                seen.answer(request)
            })
            .await?;
        Ok(Self { rogue, seen })
    }

    /// The requests so far.
    pub(super) fn requests(&self) -> Vec<Request> {
        self.seen().requests.clone()
    }

    /// The lines of the case whose answers no call asked for.
    pub(super) fn unasked(&self) -> Vec<String> {
        let seen = self.seen();
        let unasked = seen.answers.iter().filter(|answer| answer.asked == 0);
        unasked.map(|answer| answer.line.clone()).collect()
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn answer(&mut self, text: &str) -> Vec<Piece> {
        let Some(request) = Request::read(text) else {
            return vec![Piece::Close];
        };
        // host-runner itself asks which nodes the cluster has, which is no part
        // of a case: it has those that the answers name.
        if request.path == "/nodes" && is_of_the_host(text) {
            let nodes = self.nodes();
            if !nodes.is_empty() {
                return list_of(&nodes).pieces();
            }
        }
        // The line that names the most.
        let best = self
            .answers
            .iter_mut()
            .filter(|answer| answer.pattern.as_ref().is_none_or(|p| p.fits(&request)))
            .max_by_key(|answer| answer.pattern.as_ref().map(Pattern::weight));
        let reply = match best {
            Some(answer) => {
                // The last one is given again and again.
                let reply = answer.replies.get(answer.asked);
                let reply = reply.or(answer.replies.last()).cloned();
                answer.asked += 1;
                reply
            }
            None => None,
        };
        let reply = reply.unwrap_or_else(|| not_implemented(&request));
        self.requests.push(request);
        reply.pieces()
    }
}

impl Seen {
    /// The nodes that the answers are about: in their data and in the paths of
    /// the requests that they are for.
    fn nodes(&self) -> BTreeSet<String> {
        let mut nodes = BTreeSet::new();
        for answer in &self.answers {
            let path = answer.line.split_once("/nodes/").map(|(_, rest)| rest);
            let name = path.and_then(|rest| rest.split(['/', '?']).next());
            nodes.extend(name.filter(|name| !name.contains('*')).map(str::to_owned));
            let data = answer
                .replies
                .iter()
                .filter_map(|reply| reply.data.as_ref());
            data.for_each(|data| find_nodes(data, &mut nodes));
        }
        nodes
    }
}

fn find_nodes(data: &Value, nodes: &mut BTreeSet<String>) {
    match data {
        Value::Array(items) => items.iter().for_each(|item| find_nodes(item, nodes)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(node) if name == "node" => {
                        nodes.insert(node.clone());
                    }
                    value => find_nodes(value, nodes),
                }
            }
        }
        _ => {}
    }
}

/// host-runner calls itself by name in its own questions; a component does not.
fn is_of_the_host(request: &str) -> bool {
    request.lines().any(|line| {
        line.to_ascii_lowercase()
            .starts_with("user-agent: host-runner/")
    })
}

fn list_of(nodes: &BTreeSet<String>) -> Reply {
    let nodes = nodes
        .iter()
        .map(|node| json!({ "node": node, "type": "node" }));
    Reply {
        status: 200,
        data: Some(nodes.collect()),
        message: None,
        ..not_implemented(&Request::parse("GET", "/nodes"))
    }
}

/// What Proxmox says to a path that it does not know.
fn not_implemented(request: &Request) -> Reply {
    Reply {
        status: 501,
        reason: None,
        data: None,
        total: None,
        message: Some(format!(
            "Method '{} {}' not implemented",
            request.method, request.path
        )),
        errors: None,
        raw: None,
        content_type: None,
        headers: Default::default(),
        hang_up: false,
    }
}

impl Reply {
    fn pieces(&self) -> Vec<Piece> {
        if self.hang_up {
            return vec![Piece::Close];
        }
        let body = self.body();
        let reason = match (&self.reason, &self.message) {
            (Some(reason), _) => reason.as_str(),
            // Proxmox's own is the message's first line.
            (None, Some(message)) => message.lines().next().unwrap_or_default(),
            (None, None) => usual_reason(self.status),
        };
        let mut head = format!("HTTP/1.1 {} {reason}\r\n", self.status);
        let mut header = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
        let content_type = self.content_type.as_deref();
        let default = match &self.raw {
            Some(_) => "text/plain",
            None => "application/json;charset=UTF-8",
        };
        if !body.is_empty() || content_type.is_some() {
            header("Content-Type", content_type.unwrap_or(default));
        }
        for (name, value) in &self.headers {
            header(name, value);
        }
        header("Content-Length", &body.len().to_string());
        // So does Proxmox after every error.
        let close = self.status >= 400;
        if close {
            header("Connection", "close");
        }
        let mut pieces = vec![Piece::Bytes(format!("{head}\r\n{body}").into_bytes())];
        pieces.extend(close.then_some(Piece::Close));
        pieces
    }

    fn body(&self) -> String {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let more = [
            ("total", self.total.clone()),
            (
                "message",
                self.message.as_ref().map(|text| json!(format!("{text}\n"))),
            ),
            ("errors", self.errors.clone()),
        ];
        let mut body: Map<String, Value> = more
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?)))
            .collect();
        let empty = matches!(self.status, 401 | 595..=599);
        if empty && body.is_empty() && self.data.is_none() {
            return String::new();
        }
        body.insert("data".to_owned(), self.data.clone().unwrap_or_default());
        Value::Object(body).to_string()
    }
}

fn usual_reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        595 => "Connection refused",
        596 => "Connection timed out",
        _ => "",
    }
}

impl Request {
    fn read(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut line = head.lines().next()?.split(' ');
        let (method, target) = (line.next()?, line.next()?);
        let mut request = Self::parse(method, target);
        let form = url::form_urlencoded::parse(body.as_bytes());
        request.params.extend(form.into_owned());
        Some(request)
    }

    fn parse(method: &str, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = percent_decode_str(path).decode_utf8_lossy().into_owned();
        Self {
            method: method.to_owned(),
            path: match path.strip_prefix("/api2/json") {
                Some(path) => path.to_owned(),
                None => path,
            },
            params: url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        }
    }

    /// True unless the request can only read.
    pub(super) fn could_change(&self) -> bool {
        self.method != "GET"
    }
}

impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let params: Vec<String> = self
            .params
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mark = if params.is_empty() { "" } else { "?" };
        write!(f, "{} {}{mark}{}", self.method, self.path, params.join("&"))
    }
}

impl Pattern {
    pub(super) fn parse(line: &str) -> anyhow::Result<Self> {
        let (method, target) = line
            .split_once(' ')
            .filter(|(_, path)| path.starts_with('/') || *path == "*")
            .with_context(|| format!("{line:?} is not METHOD /path"))?;
        // Paths are written as they are, without any encoding.
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let params = url::form_urlencoded::parse(query.as_bytes());
        Ok(Self(Request {
            method: method.to_owned(),
            path: path.to_owned(),
            params: params.into_owned().collect(),
        }))
    }

    pub(super) fn fits(&self, request: &Request) -> bool {
        let Self(wanted) = self;
        let path = match wanted.path.strip_suffix('*') {
            Some(start) => request.path.starts_with(start),
            None => request.path == wanted.path,
        };
        path && (wanted.method == "*" || wanted.method == request.method)
            && wanted
                .params
                .iter()
                .all(|param| request.params.contains(param))
    }

    /// The more a pattern names, the larger.
    fn weight(&self) -> (bool, usize, usize) {
        let Self(wanted) = self;
        let whole = !wanted.path.ends_with('*');
        (whole, wanted.path.len(), wanted.params.len())
    }
}
