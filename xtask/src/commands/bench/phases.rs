//! When a start reaches its milestones, as `host-runner --timings` reports them.

use std::fs::{self, File};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::sample::Sample;
use super::session::Session;
use crate::simulator::Simulator;
use crate::table;
use crate::workspace::{Workspace, output};

/// Each milestone in the order in which it is usually reached, in milliseconds
/// after the start of the program.
#[derive(Default)]
pub(super) struct Phases(Vec<(String, Sample)>);

impl Phases {
    /// Starts host-runner so many times. Without milestones if it reports none.
    pub(super) fn measure(
        workspace: &Workspace,
        simulator: &Simulator,
        starts: usize,
    ) -> Result<Self> {
        // One without `--timings`, such as of an earlier commit.
        let mut command = simulator.host_runner(workspace);
        if output(command.args(["--timings", "--version"])).is_err() {
            return Ok(Self::default());
        }
        let file = workspace.target("bench/timings.log");
        let mut reached: Vec<(String, Vec<f64>)> = Vec::new();
        for _ in 0..starts {
            let log = File::create(&file)?;
            let mut command = simulator.host_runner(workspace);
            let (mut session, _) = Session::start(command.arg("--timings").stderr(log))
                .context("host-runner --timings")?;
            session.request("tools/list", &json!({}))?;
            session.call("list_guests", &json!({}))?;
            drop(session);
            for (time, name) in fs::read_to_string(&file)?.lines().filter_map(timing) {
                match reached.iter_mut().find(|(known, _)| known == name) {
                    Some((_, times)) => times.push(time),
                    None => reached.push((name.to_owned(), vec![time])),
                }
            }
        }
        ensure!(!reached.is_empty(), "host-runner --timings reports nothing");
        let mut phases: Vec<(String, Sample)> = reached
            .into_iter()
            .filter_map(|(name, times)| Some((name, Sample::of(&times)?)))
            .collect();
        // The time before the start of the program stays first.
        if let Some((_, after)) = phases.split_first_mut() {
            after.sort_by(|(_, one), (_, other)| one.median.total_cmp(&other.median));
        }
        Ok(Self(phases))
    }

    /// A table after an empty line; empty without milestones.
    pub(super) fn markdown(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let rows = self.0.iter().map(|(name, sample)| {
            let Sample {
                median, low, high, ..
            } = sample;
            vec![name.clone(), format!("{median:.2} ({low:.2}–{high:.2})")]
        });
        let table = table::markdown(&["Milestone", "ms after the start"], rows);
        format!("\n{table}")
    }

    pub(super) fn json(&self) -> Value {
        let phases = self.0.iter();
        let phases = phases.map(|(name, sample)| json!({ "name": name, "ms": sample.to_json() }));
        phases.collect()
    }
}

/// `timing:    1.234 ms  engine ready`
fn timing(line: &str) -> Option<(f64, &str)> {
    let (time, name) = line.strip_prefix("timing:")?.split_once(" ms ")?;
    Some((time.trim().parse().ok()?, name.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timings_are_read_from_stderr() {
        let line = "timing:    1.250 ms  engine ready";
        assert_eq!(timing(line), Some((1.25, "engine ready")));
        assert_eq!(timing("WARN a certificate was accepted"), None);
    }
}
