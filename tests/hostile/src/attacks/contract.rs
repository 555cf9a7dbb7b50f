//! Attacks on the contract: state, shapes and tickets.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use crate::arguments::Arguments;
use crate::attack::{report, result};
use crate::bindings::{Outcome, Pending, ToolError, ToolResult};

/// Calls that this instance has seen: never more than one.
static CALLS: AtomicU64 = AtomicU64::new(0);

/// Unlike any honest ticket: the host still has to pass it back.
const GARBAGE_TICKET: &str = "\u{0}\u{1b}[31m../../\"}]\r\n\u{feff}UPID:::";

/// Begins the ticket of [`send_later`].
const SEND: &str = "send:";

pub(crate) fn count_calls(_: &Arguments) -> Result<Outcome, ToolError> {
    report(json!({ "outcome": "counted", "calls": count() }))
}

pub(crate) fn answer_with(arguments: &Arguments) -> Result<Outcome, ToolError> {
    Ok(Outcome::Done(ToolResult {
        structured: arguments.text("structured")?.to_owned(),
        text: arguments
            .optional_text("text")
            .unwrap_or_default()
            .to_owned(),
    }))
}

/// Fails with `message`, `times` over if that is given.
pub(crate) fn fail_with(arguments: &Arguments) -> Result<Outcome, ToolError> {
    let message = arguments.text("message")?;
    let times = arguments.number("times").unwrap_or(1);
    Err(ToolError::Internal(message.repeat(times)))
}

pub(crate) fn finish_after(arguments: &Arguments) -> Result<Outcome, ToolError> {
    // A call that pends counts too: were an instance kept, `resume` would see it.
    count();
    Ok(go_on(arguments.number("looks")?))
}

pub(crate) fn run_forever(_: &Arguments) -> Result<Outcome, ToolError> {
    Ok(Outcome::Running(Pending {
        ticket: GARBAGE_TICKET.to_owned(),
        message: "going on \u{1b}[31mfor ever".to_owned(),
        // Neither a fraction nor even a number.
        progress: Some(f32::NAN),
        retry_after_ms: 0,
        interim: result(json!({ "outcome": "interim" })),
        task: None,
    }))
}

/// Sends nothing yet: the ticket names the request.
pub(crate) fn send_later(arguments: &Arguments) -> Result<Outcome, ToolError> {
    Ok(Outcome::Running(Pending {
        ticket: format!("{SEND}{}", arguments.text("url")?),
        message: "about to send".to_owned(),
        progress: None,
        retry_after_ms: 1,
        interim: result(json!({ "outcome": "interim" })),
        task: None,
    }))
}

/// The other side of the three above.
pub(crate) fn resume(ticket: &str) -> Result<Outcome, ToolError> {
    if let Some(url) = ticket.strip_prefix(SEND) {
        let arguments = [("url".to_owned(), json!(url))];
        return super::network::send_request(&Arguments(arguments.into_iter().collect()));
    }
    if ticket == GARBAGE_TICKET {
        return run_forever(&Arguments(serde_json::Map::new()));
    }
    if ticket.starts_with(super::hoards::TICKET) {
        return Ok(super::hoards::resume(ticket));
    }
    let Some(looks) = ticket
        .strip_prefix("looks:")
        .and_then(|looks| looks.parse::<usize>().ok())
    else {
        return Err(ToolError::Internal(format!("a ticket of others: {ticket}")));
    };
    if looks > 0 {
        return Ok(go_on(looks - 1));
    }
    report(json!({ "outcome": "finished", "calls": count() }))
}

fn go_on(looks: usize) -> Outcome {
    Outcome::Running(Pending {
        ticket: format!("looks:{looks}"),
        message: format!("{looks} looks left"),
        progress: None,
        retry_after_ms: 1,
        interim: result(json!({ "outcome": "interim" })),
        task: None,
    })
}

fn count() -> u64 {
    CALLS.fetch_add(1, Ordering::Relaxed) + 1
}
