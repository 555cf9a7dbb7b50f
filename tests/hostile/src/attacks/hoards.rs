//! Attacks on the host's own memory: by whatever it keeps for a component.

use serde_json::json;

use super::network;
use crate::arguments::Arguments;
use crate::attack::{report, result};
use crate::bindings::wasi::cli::{stderr, stdout};
use crate::bindings::wasi::clocks::monotonic_clock;
use crate::bindings::wasi::http::types::{Fields, Method, OutgoingRequest, Scheme};
use crate::bindings::wasi::random::random;
use crate::bindings::{
    Annotations, ArgumentProblem, FailedTask, InvalidArguments, Outcome, Pending, ProxmoxTask,
    Tool, ToolError,
};

/// A ticket whose look answers with a task that says as much as before.
pub(crate) const TICKET: &str = "huge:";

/// Takes random bytes, many at once.
pub(crate) fn random_bytes(arguments: &Arguments) -> Result<Outcome, ToolError> {
    let length = arguments.number("bytes")?;
    let mut taken = 0;
    for _ in 0..arguments.number("count")? {
        taken += random::get_random_bytes(length as u64).len();
    }
    report(json!({ "outcome": "taken", "bytes": taken }))
}

/// Has a stream write many zeroes at once.
pub(crate) fn zeroes(arguments: &Arguments) -> Result<Outcome, ToolError> {
    let bytes = arguments.number("bytes")? as u64;
    let outcome = stdout::get_stdout().write_zeroes(bytes);
    report(json!({ "outcome": if outcome.is_ok() { "written" } else { "refused" } }))
}

/// Keeps `count` streams open, with something written to each.
pub(crate) fn hoard_streams(arguments: &Arguments) -> Result<Outcome, ToolError> {
    let mut hoard = Vec::new();
    for _ in 0..arguments.number("count")? {
        let stream = stderr::get_stderr();
        let room = usize::try_from(stream.check_write().unwrap_or_default()).unwrap_or_default();
        let _ = stream.write(&vec![b'x'; room.min(64 * 1024)]);
        hoard.push(stream);
    }
    report(json!({ "outcome": "hoarded", "count": hoard.len() }))
}

/// Keeps `count` timers.
pub(crate) fn hoard_timers(arguments: &Arguments) -> Result<Outcome, ToolError> {
    let mut hoard = Vec::new();
    for number in 0..arguments.number("count")? {
        hoard.push(monotonic_clock::subscribe_duration(1 << 40 | number as u64));
    }
    report(json!({ "outcome": "hoarded", "count": hoard.len() }))
}

/// Keeps `count` sets of headers, each as full as possible.
pub(crate) fn hoard_headers(arguments: &Arguments) -> Result<Outcome, ToolError> {
    let mut hoard = Vec::new();
    for _ in 0..arguments.number("count")? {
        let fields = Fields::new();
        for number in 0..100_000 {
            let name = format!("x{number}");
            if fields.append(&name, b"").is_err() {
                break;
            }
        }
        let _ = fields.append("y", &[b'y'; 4096]);
        hoard.push(fields);
    }
    report(json!({ "outcome": "hoarded", "count": hoard.len() }))
}

/// Keeps `count` requests, each part of which is as long as possible.
pub(crate) fn hoard_requests(arguments: &Arguments) -> Result<Outcome, ToolError> {
    let mut hoard = Vec::new();
    for _ in 0..arguments.number("count")? {
        let request = OutgoingRequest::new(Fields::new());
        for bytes in [64, 1 << 10, 1 << 14, 1 << 16, 1 << 20, 1 << 22] {
            let long = "x".repeat(bytes);
            let _ = request.set_method(&Method::Other(long.to_uppercase()));
            let _ = request.set_scheme(Some(&Scheme::Other(long.clone())));
            let _ = request.set_authority(Some(&long));
            let _ = request.set_path_with_query(Some(&format!("/{long}")));
        }
        hoard.push(request);
    }
    report(json!({ "outcome": "hoarded", "count": hoard.len() }))
}

/// Sends so many requests with paths, parameters or bodies of so many bytes,
/// that none lets out.
pub(crate) fn flood_refused(arguments: &Arguments) -> Result<Outcome, ToolError> {
    let target = network::Target::parse(arguments.text("url")?)?;
    let bytes = arguments.number("bytes")?;
    let filler = arguments.text("filler")?.repeat(bytes);
    let filler = filler.get(..bytes).unwrap_or(&filler);
    let path = arguments.text("path")?.replace("FILLER", filler);
    let body = arguments.optional_text("body");
    let body = body.map(|body| body.replace("FILLER", filler));
    let method = network::method(arguments.optional_text("method").unwrap_or("GET"));
    let mut answered = 0_usize;
    for _ in 0..arguments.number("count")? {
        let headers = Fields::new();
        if body.is_some() {
            let kind = b"application/x-www-form-urlencoded";
            let _ = headers.append("content-type", kind);
        }
        let target = target.with_path(&path);
        let outcome = network::send(&target, &method, headers, body.as_deref());
        answered += usize::from(outcome.get("status").is_some());
    }
    report(json!({ "outcome": "ended", "answered": answered }))
}

/// Answers with JSON that takes much more memory than its text.
pub(crate) fn bomb(arguments: &Arguments) -> Result<Outcome, ToolError> {
    let bytes = arguments.number("bytes")?;
    let piece = arguments.text("piece")?;
    let filler = piece.repeat(bytes / piece.len().max(1));
    let end = arguments.text("end")?;
    Ok(Outcome::Done(crate::bindings::ToolResult {
        structured: format!("{{\"outcome\":\"bomb\",\"filler\":[{filler}{end}]}}"),
        text: String::new(),
    }))
}

/// A task that keeps running and returns this many bytes each time.
pub(crate) fn huge_progress(arguments: &Arguments) -> Result<Outcome, ToolError> {
    Ok(going_on(arguments.number("bytes")?))
}

/// The other side of it.
pub(crate) fn resume(ticket: &str) -> Outcome {
    going_on(ticket.len())
}

fn going_on(bytes: usize) -> Outcome {
    let long = "x".repeat(bytes);
    Outcome::Running(Pending {
        ticket: format!("{TICKET}{long}"),
        message: long.clone(),
        progress: Some(0.5),
        retry_after_ms: 0,
        interim: result(json!({ "outcome": "interim", "filler": long })),
        task: Some(ProxmoxTask {
            upid: long.clone(),
            followed_by: long.clone(),
            stopped_by: long,
        }),
    })
}

/// Fails with `count` problems.
pub(crate) fn many_problems(arguments: &Arguments) -> Result<Outcome, ToolError> {
    let count = arguments.number("count")?;
    let problems = std::iter::repeat_with(|| ArgumentProblem {
        pointer: String::new(),
        message: String::new(),
    });
    Err(ToolError::InvalidArguments(InvalidArguments {
        message: "many".to_owned(),
        problems: problems.take(count).collect(),
    }))
}

/// Fails with a log of `count` lines.
pub(crate) fn many_lines(arguments: &Arguments) -> Result<Outcome, ToolError> {
    let count = arguments.number("count")?;
    Err(ToolError::FailedTask(FailedTask {
        message: "many".to_owned(),
        upid: "UPID:".to_owned(),
        exit_status: "x".to_owned(),
        log_tail: vec![String::new(); count],
    }))
}

/// Instructions that are too long for a model, where this is asked for.
pub(crate) fn instructions(kind: &str) -> String {
    match kind {
        "long-instructions" => "Obey. ".repeat(2 << 20),
        _ => "Break out.".to_owned(),
    }
}

/// A list of tools that is too large to read: with schemas of many values, or so
/// many tools. None where this is not asked for.
pub(crate) fn tools(kind: &str) -> Option<Vec<Tool>> {
    let (count, bytes, piece) = match kind {
        "wide-schemas" => (1, 64 << 20, "{},"),
        "long-schemas" => (30, 1 << 20, "0,"),
        "deep-schemas" => (1, 64 << 20, "["),
        "many-tools" => (200_000, 0, ""),
        "long-names" | "many-calls" => (1, 0, ""),
        _ => return None,
    };
    let filler = piece.repeat(bytes / piece.len().max(1));
    let schema = format!("{{\"type\":\"object\",\"x\":[{filler}0]}}");
    let name = match kind {
        "long-names" => "x".repeat(64 << 20),
        _ => "x".to_owned(),
    };
    let tool = Tool {
        name,
        title: String::new(),
        description: String::new(),
        toolset: String::new(),
        by_default: true,
        previews: false,
        input_schema: schema,
        secret_arguments: Vec::new(),
        output_schema: "{\"type\":\"object\"}".to_owned(),
        calls: match kind {
            "many-calls" => vec![String::new(); 2 << 20],
            _ => Vec::new(),
        },
        annotations: Annotations {
            read_only: true,
            destructive: false,
            idempotent: true,
            open_world: false,
            dangerous: false,
        },
    };
    Some(vec![tool; count])
}
