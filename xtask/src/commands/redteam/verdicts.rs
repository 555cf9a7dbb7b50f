//! How attacks went, and the table of that.

use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::CALLS;
use super::link::Transport;
use crate::table;

/// What host-runner may take beyond what it takes when it is idle, with as many
/// hostile calls at once as it runs.
const MEMORY_BOUND: f64 = 256.0 * 1024.0 * 1024.0;
/// How an attack went.
pub(super) struct Outcome {
    /// What reached the simulated cluster.
    pub(super) arrived: Vec<Value>,
    /// What arrived and should not have.
    pub(super) forbidden: Vec<String>,
    pub(super) memory: Memory,
    pub(super) time: Duration,
    /// What else is wrong.
    pub(super) faults: Vec<String>,
}

/// The memory that an attack took beyond what the server takes when it is idle.
pub(super) enum Memory {
    /// In bytes. None if the system did not say, which is a fault.
    Measured(Option<f64>),
    /// The attack is not about memory.
    NotMeasured,
}

/// Attacks that are known to succeed, each with what is missing. One that no
/// longer does has to leave this list.
const OPEN: [(&str, &str); 0] = [];

/// All outcomes.
#[derive(Default)]
pub(super) struct Table {
    rows: Vec<Value>,
    failed: usize,
}

impl Table {
    pub(super) fn add(&mut self, transport: Transport, name: &str, outcome: Result<Outcome>) {
        let (cells, verdict) = match outcome {
            Ok(outcome) => (
                json!({
                    "requests": outcome.arrived.len(),
                    "peak_memory_bytes": outcome.memory.bytes().map(|bytes| bytes.max(0.0)),
                    "time": format!("{:.1} s", outcome.time.as_secs_f64()),
                }),
                outcome.verdict(),
            ),
            Err(error) => (json!({}), format!("{error:#}")),
        };
        let open = OPEN.iter().find(|(open, _)| *open == name);
        let verdict = match (open, verdict.as_str()) {
            (Some(_), "ok") => "no longer OPEN: take it off the list".to_owned(),
            (Some((_, missing)), _) => {
                eprintln!("{name}: known: {missing}");
                format!("OPEN: {verdict}")
            }
            (None, _) => verdict,
        };
        self.failed += usize::from(verdict != "ok" && !verdict.starts_with("OPEN"));
        eprintln!("{name} over {}: {verdict}", transport.name());
        let mut row = json!({ "attack": name, "over": transport.name(), "verdict": verdict });
        if let (Some(row), Value::Object(cells)) = (row.as_object_mut(), cells) {
            row.extend(cells);
        }
        self.rows.push(row);
    }

    #[expect(clippy::print_stdout, reason = "the table is what was asked for")]
    pub(super) fn print(&self) {
        let fields = [
            "attack",
            "over",
            "requests",
            "peak_memory_bytes",
            "time",
            "verdict",
        ];
        println!("{}", table::render(&self.rows, &fields));
        println!(
            "memory is what host-runner took above idle, with {CALLS} calls at once; {} is allowed",
            table::bytes(MEMORY_BOUND)
        );
    }

    pub(super) fn judge(&self) -> Result<()> {
        match self.failed {
            0 if self.rows.is_empty() => bail!("no attack has this name"),
            0 => Ok(()),
            failed => bail!("{failed} of {} attacks succeeded", self.rows.len()),
        }
    }
}

impl Memory {
    fn bytes(&self) -> Option<f64> {
        match self {
            Self::Measured(bytes) => *bytes,
            Self::NotMeasured => None,
        }
    }
}

impl Outcome {
    fn verdict(&self) -> String {
        let mut faults = Vec::new();
        let mut forbidden = self.forbidden.clone();
        forbidden.dedup();
        if let Some(first) = forbidden.first() {
            let others = match self.forbidden.len() {
                1 => String::new(),
                count => format!(" and {} more", count - 1),
            };
            faults.push(format!("ARRIVED: {first}{others}"));
        }
        match self.memory {
            Memory::Measured(None) => faults.push("its memory cannot be read".to_owned()),
            Memory::Measured(Some(peak)) if peak > MEMORY_BOUND => {
                faults.push("TOO MUCH MEMORY".to_owned());
            }
            Memory::Measured(Some(_)) | Memory::NotMeasured => {}
        }
        faults.extend(
            self.faults
                .iter()
                .map(|fault| fault.chars().take(100).collect()),
        );
        match faults.is_empty() {
            true => "ok".to_owned(),
            false => faults.join("; "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(memory: Memory) -> String {
        let outcome = Outcome {
            arrived: Vec::new(),
            forbidden: Vec::new(),
            memory,
            time: Duration::ZERO,
            faults: Vec::new(),
        };
        outcome.verdict()
    }

    #[test]
    fn memory_that_cannot_be_read_is_a_fault() {
        assert_eq!(verdict(Memory::Measured(Some(MEMORY_BOUND))), "ok");
        assert_eq!(verdict(Memory::NotMeasured), "ok");
        assert_ne!(verdict(Memory::Measured(Some(MEMORY_BOUND + 1.0))), "ok");
        assert_ne!(verdict(Memory::Measured(None)), "ok");
    }
}
