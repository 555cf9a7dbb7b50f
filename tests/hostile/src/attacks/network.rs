//! Attacks over wasi:http.

use serde_json::{Value, json};

use crate::arguments::{Arguments, invalid};
use crate::attack::report;
use crate::bindings::wasi::http::outgoing_handler;
use crate::bindings::wasi::http::types::{
    Fields, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme,
};
use crate::bindings::{Outcome, ToolError};

/// Answers longer than this are cut in a report.
const REPORTED_BYTES: usize = 128 * 1024;

pub(crate) fn send_request(arguments: &Arguments) -> Result<Outcome, ToolError> {
    let target = Target::parse(arguments.text("url")?)?;
    let headers = Fields::new();
    if let Some(name) = arguments.optional_text("header_name") {
        let value = arguments.optional_text("header_value").unwrap_or_default();
        if let Err(error) = headers.append(name, value.as_bytes()) {
            return report(refused("header", &error));
        }
    }
    let method = method(arguments.optional_text("method").unwrap_or("GET"));
    report(send(
        &target,
        &method,
        headers,
        arguments.optional_text("body"),
    ))
}

pub(crate) fn send_raw(arguments: &Arguments) -> Result<Outcome, ToolError> {
    let fields = Fields::new();
    for (name, value) in arguments.lists("headers") {
        if let Err(error) = fields.append(name, value.as_bytes()) {
            return report(refused("header", &error));
        }
    }
    let method = method(arguments.optional_text("method").unwrap_or("GET"));
    let scheme = arguments.optional_text("scheme").map(scheme);
    let request = OutgoingRequest::new(fields);
    let set = [
        ("method", request.set_method(&method)),
        ("scheme", request.set_scheme(scheme.as_ref())),
        (
            "authority",
            request.set_authority(arguments.optional_text("authority")),
        ),
        (
            "path",
            request.set_path_with_query(arguments.optional_text("path")),
        ),
    ];
    for (part, outcome) in set {
        if outcome.is_err() {
            return report(refused("request", &part));
        }
    }
    report(hand_over(request, arguments.optional_text("body")))
}

pub(crate) fn drip_body(arguments: &Arguments) -> Result<Outcome, ToolError> {
    let target = Target::parse(arguments.text("url")?)?;
    let Ok(request) = target.request(&Method::Post, Fields::new()) else {
        return report(json!({ "outcome": "refused" }));
    };
    let (Ok(body), drops) = (request.body(), 100_000) else {
        return report(json!({ "outcome": "refused" }));
    };
    let Ok(stream) = body.write() else {
        return report(json!({ "outcome": "refused" }));
    };
    let answer = outgoing_handler::handle(request, None);
    for _ in 0..drops {
        if stream.blocking_write_and_flush(b"a").is_err() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    report(json!({ "outcome": "dripped", "answer": answer.is_ok() }))
}

pub(crate) fn hoard_bodies(arguments: &Arguments) -> Result<Outcome, ToolError> {
    let target = Target::parse(arguments.text("url")?)?;
    let chunk = [b'x'; 4096];
    let mut hoard = Vec::new();
    let mut bytes = 0_usize;
    for _ in 0..arguments.number("count")? {
        let Ok(request) = target.request(&Method::Post, Fields::new()) else {
            break;
        };
        let Ok(body) = request.body() else { break };
        let Ok(stream) = body.write() else { break };
        while let Ok(room @ 1..) = stream.check_write() {
            let room = usize::try_from(room).unwrap_or(usize::MAX);
            let Some(piece) = chunk.get(..room.min(chunk.len())) else {
                break;
            };
            if stream.write(piece).is_err() {
                break;
            }
            bytes += piece.len();
        }
        hoard.push((stream, body, request));
    }
    let count = hoard.len();
    std::mem::forget(hoard);
    report(json!({ "outcome": "hoarded", "count": count, "bytes": bytes }))
}

pub(crate) fn hoard_answers(arguments: &Arguments) -> Result<Outcome, ToolError> {
    let target = Target::parse(arguments.text("url")?)?;
    let mut hoard = Vec::new();
    for _ in 0..arguments.number("count")? {
        let Ok(request) = target.request(&Method::Get, Fields::new()) else {
            break;
        };
        let Ok(answer) = outgoing_handler::handle(request, None) else {
            break;
        };
        answer.subscribe().block();
        hoard.push(answer);
    }
    report(json!({ "outcome": "hoarded", "count": hoard.len() }))
}

pub(crate) fn send_raw_target(arguments: &Arguments) -> Result<Outcome, ToolError> {
    let target = Target {
        scheme: scheme(arguments.text("scheme")?),
        authority: arguments.text("authority")?.to_owned(),
        path: arguments.text("path")?.to_owned(),
    };
    report(send(&target, &Method::Get, Fields::new(), None))
}

pub(crate) fn follow_redirect(arguments: &Arguments) -> Result<Outcome, ToolError> {
    let target = Target::parse(arguments.text("url")?)?;
    let first = send(&target, &Method::Get, Fields::new(), None);
    let Some(location) = first
        .pointer("/headers/location")
        .and_then(Value::as_str)
        .map(str::to_owned)
    else {
        return report(json!({ "outcome": "no redirect", "first": first }));
    };
    let second = send(
        &Target::parse(&location)?,
        &Method::Get,
        Fields::new(),
        None,
    );
    report(json!({
        "outcome": second.get("outcome"),
        "location": location,
        "first": first,
        "second": second,
    }))
}

pub(crate) fn set_header(arguments: &Arguments) -> Result<Outcome, ToolError> {
    let target = Target::parse(arguments.text("url")?)?;
    let name = arguments.text("name")?;
    let value = arguments.text("value")?.as_bytes().to_vec();

    let mut ways = Vec::new();
    let appended = Fields::new();
    let outcome = appended.append(name, &value);
    ways.push(("append", outcome.map(|()| appended)));
    let set = Fields::new();
    let outcome = set.set(name, std::slice::from_ref(&value));
    ways.push(("set", outcome.map(|()| set)));
    ways.push(("from-list", Fields::from_list(&[(name.to_owned(), value)])));

    let mut accepted = false;
    let mut reports = serde_json::Map::new();
    for (way, headers) in ways {
        let outcome = match headers {
            Ok(headers) => {
                accepted = true;
                send(&target, &Method::Get, headers, None)
            }
            Err(error) => refused("header", &error),
        };
        reports.insert(way.to_owned(), outcome);
    }
    let outcome = if accepted { "accepted" } else { "refused" };
    report(json!({ "outcome": outcome, "ways": reports }))
}

pub(crate) fn flood(arguments: &Arguments) -> Result<Outcome, ToolError> {
    let target = Target::parse(arguments.text("url")?)?;
    let mut answered = 0_usize;
    let mut last_refusal = Value::Null;
    for _ in 0..arguments.number("count")? {
        let outcome = send(&target, &Method::Get, Fields::new(), None);
        if outcome.get("status").is_some() {
            answered += 1;
        } else {
            last_refusal = outcome;
        }
    }
    report(json!({ "outcome": "ended", "answered": answered, "last_refusal": last_refusal }))
}

pub(crate) fn leave_open(arguments: &Arguments) -> Result<Outcome, ToolError> {
    let target = Target::parse(arguments.text("url")?)?;
    let mut open = Vec::new();
    for _ in 0..arguments.number("count")? {
        let Ok(request) = target.request(&Method::Get, Fields::new()) else {
            break;
        };
        match outgoing_handler::handle(request, None) {
            Ok(answer) => open.push(answer),
            Err(_) => break,
        }
    }
    let count = open.len();
    // The instance ends with all of them in flight.
    std::mem::forget(open);
    report(json!({ "outcome": "left open", "count": count }))
}

/// Where a request goes.
pub(super) struct Target {
    scheme: Scheme,
    authority: String,
    path: String,
}

impl Target {
    /// Splits a URL without judging it: that is the host's part.
    pub(super) fn parse(url: &str) -> Result<Self, ToolError> {
        let (name, rest) = url
            .split_once("://")
            .ok_or_else(|| invalid("/url", "a URL is needed"))?;
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, "/"),
        };
        Ok(Self {
            scheme: scheme(name),
            authority: authority.to_owned(),
            path: path.to_owned(),
        })
    }

    /// The same server, another path.
    pub(super) fn with_path(&self, path: &str) -> Self {
        Self {
            scheme: self.scheme.clone(),
            authority: self.authority.clone(),
            path: path.to_owned(),
        }
    }

    /// A request to it, or what the host refused about it.
    fn request(&self, method: &Method, headers: Fields) -> Result<OutgoingRequest, &'static str> {
        let request = OutgoingRequest::new(headers);
        request.set_method(method).map_err(|()| "method")?;
        request
            .set_scheme(Some(&self.scheme))
            .map_err(|()| "scheme")?;
        request
            .set_authority(Some(&self.authority))
            .map_err(|()| "authority")?;
        request
            .set_path_with_query(Some(&self.path))
            .map_err(|()| "path")?;
        Ok(request)
    }
}

pub(super) fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "PATCH" => Method::Patch,
        "HEAD" => Method::Head,
        "CONNECT" => Method::Connect,
        "TRACE" => Method::Trace,
        other => Method::Other(other.to_owned()),
    }
}

fn scheme(name: &str) -> Scheme {
    match name {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    }
}

/// Sends one request and reports the answer or who refused it.
pub(super) fn send(target: &Target, method: &Method, headers: Fields, body: Option<&str>) -> Value {
    let request = match target.request(method, headers) {
        Ok(request) => request,
        Err(part) => return json!({ "outcome": "refused", "by": "request", "error": part }),
    };
    hand_over(request, body)
}

fn hand_over(request: OutgoingRequest, body: Option<&str>) -> Value {
    let body = match body.map(|text| (text, request.body())) {
        None => None,
        Some((text, Ok(body))) => Some((text, body)),
        Some((_, Err(()))) => return refused("body", &"no body"),
    };
    let answer = match outgoing_handler::handle(request, None) {
        Ok(answer) => answer,
        Err(error) => return refused("handler", &error),
    };
    if let Some((text, body)) = body
        && let Err(error) = write_body(body, text)
    {
        return refused("body", &error);
    }
    answer.subscribe().block();
    match answer.get() {
        Some(Ok(Ok(response))) => answered(&response),
        Some(Ok(Err(error))) => refused("handler", &error),
        other => refused("handler", &other.is_some()),
    }
}

fn write_body(body: OutgoingBody, text: &str) -> Result<(), String> {
    let stream = body.write().map_err(|()| "no stream".to_owned())?;
    // The most that may be written at once.
    for piece in text.as_bytes().chunks(4096) {
        stream
            .blocking_write_and_flush(piece)
            .map_err(|error| error.to_string())?;
    }
    drop(stream);
    OutgoingBody::finish(body, None).map_err(|error| error.to_string())
}

fn answered(response: &IncomingResponse) -> Value {
    let headers: serde_json::Map<String, Value> = response
        .headers()
        .entries()
        .into_iter()
        .map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned().into()))
        .collect();
    json!({
        "outcome": "answered",
        "status": response.status(),
        "headers": headers,
        "body": read_body(response),
    })
}

fn read_body(response: &IncomingResponse) -> String {
    let Ok(body) = response.consume() else {
        return String::new();
    };
    let Ok(stream) = body.stream() else {
        return String::new();
    };
    let mut bytes = Vec::new();
    while let Ok(chunk) = stream.blocking_read(64 * 1024) {
        bytes.extend_from_slice(&chunk);
    }
    bytes.truncate(REPORTED_BYTES);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn refused(by: &str, error: &dyn std::fmt::Debug) -> Value {
    json!({ "outcome": "refused", "by": by, "error": format!("{error:?}") })
}
