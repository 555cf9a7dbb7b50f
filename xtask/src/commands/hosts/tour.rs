//! The calls that every host must get right.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::scene::WAIT_SECONDS;
use crate::simulator::Simulator;

/// What a tool said: its result, or its error.
pub(super) type Said = Result<Value, String>;

/// Calls a tool by its own name with its own arguments, however the host wants
/// them.
pub(super) trait Caller {
    /// Fails where the host does not let the call through, or what comes back is
    /// neither a result nor an error of the tool.
    fn call(&mut self, tool: &str, arguments: &Value) -> Result<Said>;
}

const VMID: u32 = 100;

/// Makes the calls. Returns the median time of one, and what went well.
pub(super) fn calls(
    caller: &mut dyn Caller,
    simulator: &mut Simulator,
) -> Result<(Duration, Vec<String>)> {
    let mut said = Vec::new();

    let mut times = Vec::new();
    for _ in 0..5 {
        let started = Instant::now();
        let guests = done(caller, "list_guests", &json!({}))?;
        times.push(started.elapsed());
        let guests = guests.get("guests").and_then(Value::as_array);
        ensure!(
            guests.is_some_and(|guests| guests.iter().any(|guest| guest["vmid"] == VMID)),
            "list_guests does not list guest {VMID}"
        );
    }
    let some = done(
        caller,
        "list_guests",
        &json!({ "status": "running", "limit": 2 }),
    )?;
    let listed = some["guests"].as_array().cloned().unwrap_or_default();
    ensure!(
        listed.len() == 2 && listed.iter().all(|guest| guest["status"] == "running"),
        "list_guests did not filter: {some}"
    );
    said.push("lists and filters".to_owned());

    let snapshot = json!({ "vmid": VMID, "snapshot": "before-update", "description": "a \"try\"" });
    let report = done(caller, "create_snapshot", &snapshot)?;
    ensure!(
        report["status"] == "done",
        "the snapshot is not done: {report}"
    );
    let snapshots = done(caller, "list_snapshots", &json!({ "vmid": VMID }))?;
    ensure!(
        snapshots.to_string().contains("before-update"),
        "list_snapshots does not list it: {snapshots}"
    );
    said.push("waits for a snapshot".to_owned());

    refused(caller, "create_snapshot", &snapshot, "before-update")?;
    refused(caller, "get_guest", &json!({ "vmid": 999_999 }), "999999")?;
    said.push("reports errors".to_owned());

    for description in ["some notes", ""] {
        let options = json!({ "vmid": VMID, "description": description });
        done(caller, "set_guest_options", &options)?;
        let guest = done(caller, "get_guest", &json!({ "vmid": VMID }))?;
        let has = guest["description"].as_str().unwrap_or_default().trim();
        ensure!(
            has == description,
            "the description is {has:?}, not {description:?}"
        );
    }
    said.push("clears a value".to_owned());

    simulator.control(&json!({ "cmd": "task-seconds", "value": 600 }))?;
    let started = Instant::now();
    let backup = json!({ "vmid": VMID, "storage": "local", "mode": "snapshot" });
    let interim = done(caller, "create_backup", &backup)?;
    ensure!(
        started.elapsed() >= Duration::from_secs(WAIT_SECONDS),
        "a long task was not waited for"
    );
    let upid = interim["upid"].as_str().unwrap_or_default().to_owned();
    ensure!(
        interim["status"] != "done" && upid.starts_with("UPID:"),
        "the interim result does not name the task: {interim}"
    );
    simulator.control(&json!({ "cmd": "advance", "seconds": 7000 }))?;
    let report = done(caller, "wait_task", &json!({ "upid": upid }))?;
    ensure!(
        report["status"] == "done",
        "the backup did not end: {report}"
    );
    simulator.control(&json!({ "cmd": "task-seconds", "value": 1 }))?;
    said.push("leaves a long task to wait_task".to_owned());

    times.sort();
    Ok((
        times.get(times.len() / 2).copied().unwrap_or_default(),
        said,
    ))
}

/// Checks a list of tools or of functions.
pub(super) fn names(listed: impl IntoIterator<Item = String>, wanted: &[String]) -> Result<()> {
    let listed: BTreeSet<String> = listed.into_iter().collect();
    let wanted: BTreeSet<String> = wanted.iter().cloned().collect();
    ensure!(
        listed == wanted,
        "missing: {:?}, too many: {:?}",
        wanted.difference(&listed).collect::<Vec<_>>(),
        listed.difference(&wanted).collect::<Vec<_>>()
    );
    Ok(())
}

fn done(caller: &mut dyn Caller, tool: &str, arguments: &Value) -> Result<Value> {
    caller
        .call(tool, arguments)
        .with_context(|| format!("{tool} {arguments}"))?
        .map_err(|error| anyhow::anyhow!("{tool} {arguments} failed: {error}"))
}

fn refused(caller: &mut dyn Caller, tool: &str, arguments: &Value, word: &str) -> Result<()> {
    match caller
        .call(tool, arguments)
        .with_context(|| format!("{tool} {arguments}"))?
    {
        Ok(result) => bail!("{tool} {arguments} was not refused: {result}"),
        Err(error) => {
            ensure!(
                error.contains(word),
                "the error does not name {word}: {error}"
            );
            Ok(())
        }
    }
}
