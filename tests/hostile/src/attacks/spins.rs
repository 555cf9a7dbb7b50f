//! Attacks on the processor: a function of the host, called for ever.

use std::hint::black_box;

use crate::arguments::Arguments;
use crate::attack::report;
use crate::bindings::wasi::cli::stderr;
use crate::bindings::wasi::clocks::{monotonic_clock, wall_clock};
use crate::bindings::wasi::http::types::{Fields, OutgoingRequest};
use crate::bindings::wasi::random::random;
use crate::bindings::{Outcome, ToolError};

/// Calls this function until the host stops it.
pub(crate) fn spin(arguments: &Arguments) -> Result<Outcome, ToolError> {
    let on = arguments.text("on")?;
    let step: fn() = match on {
        "random" => || {
            black_box(random::get_random_bytes(32 * 1024));
        },
        "clock" => || {
            black_box((monotonic_clock::now(), wall_clock::now()));
        },
        "stderr" => || {
            let stream = stderr::get_stderr();
            let _ = stream.blocking_write_and_flush(&[b'\n'; 4096]);
        },
        "headers" => || {
            let fields = Fields::new();
            for _ in 0..40 {
                let _ = fields.append("x", &[b'x'; 100]);
            }
            black_box(fields.entries());
        },
        "resources" => || {
            black_box(OutgoingRequest::new(Fields::new()));
        },
        "polls" => || {
            let timer = monotonic_clock::subscribe_duration(0);
            timer.block();
        },
        _ => return report(serde_json::json!({ "outcome": "unknown" })),
    };
    loop {
        step();
    }
}
