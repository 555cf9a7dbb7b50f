//! The content of the lines, each at most `MAX_LINE_BYTES` long.

use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::json_line::{is_active, json, time};
use crate::redact::{self, Masked};
use crate::remote::Remote;

use super::event::{AuditedRequest, CallEnd, CallId, CallStart, RequestEnd};
use super::tail::Torn;

/// Short enough for pipes and log collectors.
#[cfg(test)]
pub(super) const MAX_LINE_BYTES: usize = 16 * 1024;
/// What arguments and parameters may take of a line. All else together stays
/// below the rest.
const MAX_VALUE_BYTES: usize = 9 * 1024;
const MAX_PATH_BYTES: usize = 2 * 1024;
const MAX_MESSAGE_BYTES: usize = 1024;
const MAX_NAME_BYTES: usize = 256;

/// How far texts and lists are cut, further for as long as the whole is too
/// large.
const CUTS: [(usize, usize); 4] = [(2048, 256), (512, 64), (128, 16), (32, 8)];

/// The event that a line reports.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(super) enum Event<'a> {
    Call {
        #[serde(flatten)]
        by: &'a Call,
        #[serde(flatten)]
        remote: Option<From>,
        tool: String,
        #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
        occasion: Option<&'static str>,
        arguments: Value,
    },
    Sending {
        #[serde(flatten)]
        by: &'a Call,
        #[serde(flatten)]
        request: Request,
    },
    Request {
        #[serde(flatten)]
        by: &'a Call,
        #[serde(flatten)]
        request: Request,
        verdict: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        rule: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        #[serde(skip_serializing_if = "Option::is_none")]
        failure: Option<String>,
        duration_ms: u64,
    },
    Outcome {
        #[serde(flatten)]
        by: &'a Call,
        tool: &'a str,
        outcome: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        upid: Option<String>,
        duration_ms: u64,
    },
    /// Lines are missing here.
    Gap { lost: u64 },
    /// A line before this one was not written to its end.
    Torn { bytes: u64, sha256: String },
    /// Lines were cut off the end of the file: the number of the last one, then and now.
    Cut { had: u64, has: u64 },
}

/// A call, and who has made it: what all lines about it begin with.
#[derive(Serialize)]
pub(super) struct Call {
    #[serde(rename = "call")]
    id: CallId,
    /// The name of the client's token over HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<Client>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    /// The token of Proxmox that its requests go with, without its secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// The trace that the client or a collector of traces knows it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    #[serde(skip)]
    tool: String,
}

#[derive(Serialize)]
struct Client {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
}

impl Call {
    pub(super) fn new(
        id: CallId,
        start: &CallStart<'_>,
        token: Option<&str>,
        trace: Option<&str>,
    ) -> Self {
        let client = Client {
            name: start.client_name.map(name),
            version: start.client_version.map(name),
        };
        let user = start.remote.and_then(|remote| remote.user.as_deref());
        let session = start.remote.and_then(|remote| remote.session.as_deref());
        Self {
            id,
            user: user.map(name),
            client: (client.name.is_some() || client.version.is_some()).then_some(client),
            session: session.map(name),
            token: token.map(name),
            trace_id: trace.map(name),
            tool: name(start.tool),
        }
    }
}

/// Where a call came from over HTTP.
#[derive(Serialize)]
pub(super) struct From {
    address: String,
    http_request: String,
}

impl From {
    fn of(remote: &Remote) -> Self {
        Self {
            address: remote.address.to_string(),
            http_request: name(&remote.request),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Request {
    method: String,
    path: String,
    params: Value,
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'a str>,
    #[serde(flatten)]
    event: &'a Event<'a>,
}

impl<'a> Event<'a> {
    pub(super) fn call(by: &'a Call, start: &CallStart<'_>) -> Self {
        Self::Call {
            by,
            remote: start.remote.map(From::of),
            tool: by.tool.clone(),
            occasion: start.occasion.name(),
            arguments: fitting(&(start.arguments)()),
        }
    }

    pub(super) fn sending(by: &'a Call, request: &AuditedRequest<'_>) -> Self {
        Self::Sending {
            by,
            request: Request::new(request),
        }
    }

    pub(super) fn request(
        by: &'a Call,
        request: &AuditedRequest<'_>,
        end: &RequestEnd<'_>,
    ) -> Self {
        Self::Request {
            by,
            request: Request::new(request),
            verdict: match end.allowed {
                true => "allowed",
                false => "refused",
            },
            rule: end.rule.map(name),
            reason: end.reason.map(message),
            status: end.status,
            failure: end.failure.map(message),
            duration_ms: milliseconds(end.duration),
        }
    }

    pub(super) fn outcome(by: &'a Call, end: &CallEnd<'_>) -> Self {
        let (outcome, error) = end.outcome.name();
        Self::Outcome {
            by,
            tool: &by.tool,
            outcome,
            error: error.map(name),
            upid: end.upid.map(name),
            duration_ms: milliseconds(end.duration),
        }
    }

    pub(super) fn gap(lost: u64) -> Self {
        Self::Gap { lost }
    }

    pub(super) fn torn(torn: Torn) -> Self {
        Self::Torn {
            bytes: torn.bytes,
            sha256: torn.digest.to_string(),
        }
    }
}

impl Request {
    fn new(request: &AuditedRequest<'_>) -> Self {
        // Parameters of a query would not have been masked.
        let path = request.path.split(['?', '#']).next().unwrap_or_default();
        Self {
            method: name(request.method),
            path: cut(&redact::text(path), MAX_PATH_BYTES),
            params: fitting(request.params),
        }
    }
}

/// The event as one line, with its newline.
pub(super) fn encode(event: &Event<'_>, cluster: Option<&str>) -> Vec<u8> {
    let line = Line {
        time: time(SystemTime::now()),
        cluster,
        event,
    };
    let mut bytes = json(&line);
    bytes.push(b'\n');
    bytes
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn name(text: &str) -> String {
    cut(&redact::text(text), MAX_NAME_BYTES)
}

fn message(text: &str) -> String {
    cut(&redact::text(text), MAX_MESSAGE_BYTES)
}

/// The value, cut until it fits into [`MAX_VALUE_BYTES`].
fn fitting(Masked(value): &Masked) -> Value {
    for (text, entries) in CUTS {
        let short = shortened(value, text, entries);
        if json(&short).len() <= MAX_VALUE_BYTES {
            return short;
        }
    }
    json!(format!("(cut: {} bytes)", json(value).len()))
}

fn shortened(value: &Value, text: usize, entries: usize) -> Value {
    match value {
        Value::String(value) => cut(value, text).into(),
        Value::Array(items) => {
            let mut short: Vec<_> = items
                .iter()
                .take(entries)
                .map(|item| shortened(item, text, entries))
                .collect();
            if items.len() > entries {
                short.push(format!("(cut: {} more)", items.len() - entries).into());
            }
            short.into()
        }
        Value::Object(fields) => {
            let mut short: Map<_, _> = fields
                .iter()
                .take(entries)
                .map(|(name, value)| {
                    let name = cut(name, MAX_NAME_BYTES.min(text));
                    (name, shortened(value, text, entries))
                })
                .collect();
            if fields.len() > entries {
                let more = fields.len() - entries;
                short.insert("(cut)".to_owned(), format!("{more} more").into());
            }
            short.into()
        }
        other => other.clone(),
    }
}

/// The text, cut where it takes more than `limit` bytes of a line.
fn cut(text: &str, limit: usize) -> String {
    let mut length = 0;
    for (at, character) in text.char_indices() {
        length += encoded_length(character);
        if length > limit {
            let start = text.get(..at).unwrap_or_default();
            return format!("{start}… (cut: {} bytes)", text.len());
        }
    }
    text.to_owned()
}

fn encoded_length(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        _ if character < ' ' || is_active(character) => 6,
        _ => character.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_and_marked() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("äöü", 3), "ä… (cut: 6 bytes)");
        assert_eq!(cut("a\u{1}b", 6), "a… (cut: 3 bytes)");
    }

    #[test]
    fn long_values_fit() {
        let deep = (0..100).fold(json!("x".repeat(5000)), |value, _| json!([value, 1]));
        let wide: Map<_, _> = (0..5000)
            .map(|n| (format!("n{n}"), json!("\u{1}".repeat(100))))
            .collect();
        for value in [
            json!("x".repeat(100_000)),
            json!(vec!["\u{2028}".repeat(3000); 500]),
            json!(vec![vec![vec![0; 50]; 50]; 50]),
            deep,
            wide.into(),
        ] {
            let short = fitting(&Masked(value));
            assert!(json(&short).len() <= MAX_VALUE_BYTES);
            assert!(short.to_string().contains("(cut"), "{short}");
        }
        let short = json!({"a": [1, "b", null], "c": {"d": true}});
        assert_eq!(fitting(&Masked(short.clone())), short);
    }
}
