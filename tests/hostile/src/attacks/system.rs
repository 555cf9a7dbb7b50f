//! Attacks on the host's files, environment and streams.

use std::io::{Read as _, Write as _};

use serde_json::{Map, Value, json};

use crate::arguments::Arguments;
use crate::attack::report;
use crate::bindings::{Outcome, ToolError};

pub(crate) fn read_file(arguments: &Arguments) -> Result<Outcome, ToolError> {
    report(match std::fs::read(arguments.text("path")?) {
        Ok(bytes) => json!({ "outcome": "read", "bytes": bytes.len() }),
        Err(error) => refused(&error),
    })
}

pub(crate) fn write_file(arguments: &Arguments) -> Result<Outcome, ToolError> {
    report(match std::fs::write(arguments.text("path")?, "hostile") {
        Ok(()) => json!({ "outcome": "written" }),
        Err(error) => refused(&error),
    })
}

pub(crate) fn list_files(arguments: &Arguments) -> Result<Outcome, ToolError> {
    report(match std::fs::read_dir(arguments.text("path")?) {
        Ok(entries) => json!({ "outcome": "listed", "entries": entries.count() }),
        Err(error) => refused(&error),
    })
}

pub(crate) fn read_environment(_: &Arguments) -> Result<Outcome, ToolError> {
    let variables: Map<String, Value> = std::env::vars_os()
        .map(|(name, value)| {
            let name = name.to_string_lossy().into_owned();
            (name, value.to_string_lossy().into_owned().into())
        })
        .collect();
    let arguments: Vec<String> = std::env::args_os()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    report(json!({ "outcome": "read", "variables": variables, "arguments": arguments }))
}

pub(crate) fn print_stdout(arguments: &Arguments) -> Result<Outcome, ToolError> {
    let mut stdout = std::io::stdout();
    let written = stdout
        .write_all(arguments.text("text")?.as_bytes())
        .and_then(|()| stdout.flush());
    report(match written {
        Ok(()) => json!({ "outcome": "printed" }),
        Err(error) => refused(&error),
    })
}

pub(crate) fn print_stderr(arguments: &Arguments) -> Result<Outcome, ToolError> {
    let mut stderr = std::io::stderr();
    let written = stderr
        .write_all(arguments.text("text")?.as_bytes())
        .and_then(|()| stderr.flush());
    report(match written {
        Ok(()) => json!({ "outcome": "printed" }),
        Err(error) => refused(&error),
    })
}

pub(crate) fn read_stdin(_: &Arguments) -> Result<Outcome, ToolError> {
    let mut bytes = [0_u8; 1024];
    report(match std::io::stdin().read(&mut bytes) {
        Ok(count) => json!({ "outcome": "read", "bytes": count }),
        Err(error) => refused(&error),
    })
}

pub(crate) fn exit(_: &Arguments) -> Result<Outcome, ToolError> {
    std::process::exit(0)
}

#[expect(clippy::panic, reason = "the attack")]
pub(crate) fn panic(_: &Arguments) -> Result<Outcome, ToolError> {
    panic!("hostile panic")
}

pub(crate) fn trap(_: &Arguments) -> Result<Outcome, ToolError> {
    std::process::abort()
}

fn refused(error: &std::io::Error) -> Value {
    json!({ "outcome": "refused", "error": error.to_string() })
}
