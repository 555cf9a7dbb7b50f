//! Attacks on time, memory and stack.

use std::hint::black_box;
use std::time::Duration;

use serde_json::json;

use crate::arguments::Arguments;
use crate::attack::report;
use crate::bindings::{Outcome, ToolError};

/// One step of growth.
const STEP: usize = 1024 * 1024;

pub(crate) fn loop_forever(_: &Arguments) -> Result<Outcome, ToolError> {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

pub(crate) fn sleep_forever(_: &Arguments) -> Result<Outcome, ToolError> {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

pub(crate) fn grow_memory(_: &Arguments) -> Result<Outcome, ToolError> {
    let mut taken: Vec<Vec<u8>> = Vec::new();
    for _ in 0..4096 {
        let mut step: Vec<u8> = Vec::new();
        if step.try_reserve_exact(STEP).is_err() {
            break;
        }
        // Touched, so that it costs the host real memory.
        step.resize(STEP, 1);
        taken.push(black_box(step));
    }
    let mebibytes = taken.len();
    // Freed before the report, which needs memory too.
    drop(taken);
    let outcome = if mebibytes == 4096 {
        "taken"
    } else {
        "refused"
    };
    report(json!({ "outcome": outcome, "mebibytes": mebibytes }))
}

pub(crate) fn recurse(_: &Arguments) -> Result<Outcome, ToolError> {
    let depth = descend(0);
    report(json!({ "outcome": "returned", "depth": depth }))
}

pub(crate) fn huge_result(arguments: &Arguments) -> Result<Outcome, ToolError> {
    let filler = "x".repeat(arguments.number("bytes")?);
    report(json!({ "outcome": "answered", "filler": filler }))
}

#[expect(unconditional_recursion, reason = "the attack")]
#[inline(never)]
fn descend(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    // Not a tail call: the frame is needed afterwards.
    descend(depth.wrapping_add(1)).wrapping_add(frame.iter().sum())
}
