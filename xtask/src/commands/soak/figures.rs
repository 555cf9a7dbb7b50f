//! What a run has measured, and whether that is as it should be.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use super::ledger::Arrivals;
use crate::gauge::{self, milliseconds, percentile};
use crate::mcp::Answer;
use crate::table;

/// What the process may grow by after the warm-up.
const GROWTH: f64 = 1.10;
/// What it may take beyond what it takes at first, as in `cargo xtask redteam`.
const MEMORY_BOUND: f64 = 256.0 * 1024.0 * 1024.0;

/// How the calls were answered.
#[derive(Default)]
pub(super) struct Answers {
    results: Vec<Duration>,
    errors: Vec<Duration>,
    refusals: Vec<Duration>,
    /// How often which tool gave a result.
    by_tool: BTreeMap<&'static str, u64>,
    /// How often which error was given, by its first words.
    by_error: BTreeMap<String, u64>,
}

impl Answers {
    pub(super) fn count(
        &mut self,
        tool: &'static str,
        took: Duration,
        answer: &Answer,
    ) -> Result<()> {
        match answer {
            Answer::Content(_) => {
                self.results.push(took);
                *self.by_tool.entry(tool).or_default() += 1;
            }
            Answer::Error(text) => {
                ensure!(!text.trim().is_empty(), "{tool} failed without a word");
                // Of the component itself nothing may fail.
                if text.starts_with("the component") {
                    bail!("{tool}: {text}");
                }
                self.errors.push(took);
                *self.by_error.entry(kind_of(text)).or_default() += 1;
            }
            Answer::Refused(text) => {
                // The one tool of the load that there is not.
                ensure!(tool == "delete_guest", "{tool} was refused: {text}");
                self.refusals.push(took);
            }
        }
        Ok(())
    }

    pub(super) fn add(&mut self, other: Self) {
        self.results.extend(other.results);
        self.errors.extend(other.errors);
        self.refusals.extend(other.refusals);
        for (tool, times) in other.by_tool {
            *self.by_tool.entry(tool).or_default() += times;
        }
        for (error, times) in other.by_error {
            *self.by_error.entry(error).or_default() += times;
        }
    }
}

/// An error without what differs from call to call.
fn kind_of(text: &str) -> String {
    let words = text.lines().next().unwrap_or_default().split_whitespace();
    let plain = words.map(|word| {
        if word.contains(|c: char| c.is_ascii_digit() || c == '/') {
            "…"
        } else {
            word
        }
    });
    plain.take(12).collect::<Vec<_>>().join(" ")
}

/// The process at one moment.
#[derive(Clone, Copy)]
pub(super) struct Sample {
    pub(super) resident: f64,
    pub(super) files: usize,
}

impl Sample {
    /// Nothing where the system does not tell.
    pub(super) fn take(process: u32) -> Option<Self> {
        Some(Self {
            resident: gauge::resident(process)?,
            files: gauge::open_files(process)?,
        })
    }

    /// The middle of each of the figures.
    fn median(samples: &[Self]) -> Option<Self> {
        let mut resident: Vec<f64> = samples.iter().map(|sample| sample.resident).collect();
        let mut files: Vec<usize> = samples.iter().map(|sample| sample.files).collect();
        resident.sort_by(f64::total_cmp);
        files.sort_unstable();
        Some(Self {
            resident: resident.get(resident.len() / 2).copied()?,
            files: files.get(files.len() / 2).copied()?,
        })
    }

    fn text(sample: Option<Self>) -> String {
        sample.map_or_else(
            || "unknown on this system".to_owned(),
            |Self { resident, files }| format!("{}, {files} open files", table::bytes(resident)),
        )
    }
}

/// All that was measured.
pub(super) struct Figures {
    pub(super) answers: Answers,
    pub(super) samples: Vec<Sample>,
    pub(super) faults: BTreeMap<String, u64>,
    /// How often which misbehaviour got the response that it should.
    pub(super) mischief: BTreeMap<&'static str, u64>,
    /// Before the load, and when it is over.
    pub(super) start: Option<Sample>,
    pub(super) rest: Option<Sample>,
    pub(super) unread: u64,
    pub(super) end: Duration,
    pub(super) arrivals: Arrivals,
    pub(super) warnings: usize,
}

impl Figures {
    /// The second quarter of the time: all has been in use by then.
    fn warm(&self) -> Option<Sample> {
        let quarter = self.samples.len() / 4;
        Sample::median(self.samples.get(quarter..2 * quarter)?)
    }

    /// The last quarter of the time.
    fn late(&self) -> Option<Sample> {
        let quarter = self.samples.len() / 4;
        Sample::median(self.samples.get(3 * quarter..)?)
    }

    /// The most memory, in bytes.
    fn most(&self) -> f64 {
        let resident = self.samples.iter().map(|sample| sample.resident);
        resident.fold(0.0, f64::max)
    }

    #[expect(clippy::print_stdout, reason = "the figures are what was asked for")]
    pub(super) fn print(&self) {
        let line = |name: &str, figure: String| println!("{name:<34}{figure}");
        let Answers {
            results,
            errors,
            refusals,
            by_tool,
            by_error,
        } = &self.answers;
        let mut all = [results.as_slice(), errors, refusals].concat();
        all.sort();
        let mut good = results.clone();
        good.sort();
        let quantiles = |sorted: &[Duration]| {
            format!(
                "p50 {}, p99 {}, slowest {}",
                milliseconds(percentile(sorted, 50)),
                milliseconds(percentile(sorted, 99)),
                milliseconds(percentile(sorted, 100))
            )
        };
        let counts = |counts: Vec<(&str, u64)>| {
            let counts = counts.iter().map(|(name, times)| format!("{name} {times}"));
            counts.collect::<Vec<_>>().join(", ")
        };
        line("calls, all of them answered", all.len().to_string());
        line(
            "  results, errors, refusals",
            format!("{}, {}, {}", results.len(), errors.len(), refusals.len()),
        );
        line("  all answers", quantiles(&all));
        line("  results", quantiles(&good));
        line(
            "  results by tool",
            counts(
                by_tool
                    .iter()
                    .map(|(tool, times)| (*tool, *times))
                    .collect(),
            ),
        );
        let mut frequent: Vec<_> = by_error.iter().collect();
        frequent.sort_by_key(|(_, times)| std::cmp::Reverse(**times));
        line(
            "  errors",
            format!("{} kinds, the most frequent:", by_error.len()),
        );
        for (error, times) in frequent.into_iter().take(12) {
            println!("    {times:>6} {error}");
        }
        line(
            "changes of the faults",
            counts(
                self.faults
                    .iter()
                    .map(|(kind, times)| (kind.as_str(), *times))
                    .collect(),
            ),
        );
        if !self.mischief.is_empty() {
            line(
                "misbehaviour, as it should end",
                counts(
                    self.mischief
                        .iter()
                        .map(|(name, times)| (*name, *times))
                        .collect(),
                ),
            );
        }
        let Arrivals {
            reads,
            writes,
            unique,
        } = &self.arrivals;
        line(
            "requests to Proxmox",
            format!("{reads} reads, {writes} writes ({unique} unique), none sent twice"),
        );
        line("memory before", Sample::text(self.start));
        line("  second quarter, median", Sample::text(self.warm()));
        line("  last quarter, median", Sample::text(self.late()));
        line("  most", table::bytes(self.most()));
        line("  at rest again", Sample::text(self.rest));
        line("lines of the log", self.warnings.to_string());
        line(
            "asked to end, to the end",
            format!(
                "{} with {} calls under way, status 0",
                milliseconds(self.end),
                self.unread
            ),
        );
    }

    /// Fails where something is not as it has to be.
    pub(super) fn judge(&self) -> Result<()> {
        let Answers {
            results, errors, ..
        } = &self.answers;
        ensure!(
            self.answers.by_tool.len() >= 15 && !errors.is_empty(),
            "too little happened: {} results and {} errors of {} tools",
            results.len(),
            errors.len(),
            self.answers.by_tool.len()
        );
        ensure!(self.arrivals.unique > 0, "no write has come in");
        let (Some(warm), Some(late)) = (self.warm(), self.late()) else {
            eprintln!("this system does not report a process's memory: not checked for leaks");
            return Ok(());
        };
        ensure!(
            late.resident <= warm.resident * GROWTH,
            "the memory grew from {} to {} after the warm-up",
            table::bytes(warm.resident),
            table::bytes(late.resident)
        );
        if let (Some(start), Some(rest)) = (self.start, self.rest) {
            let most = self.most() - start.resident;
            ensure!(
                most <= MEMORY_BOUND,
                "it took {} above what it takes at first",
                table::bytes(most)
            );
            ensure!(
                rest.files <= start.files,
                "{} files are open at rest, and {} were before",
                rest.files,
                start.files
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_sorted_by_what_they_share() {
        assert_eq!(
            kind_of(
                "POST /nodes/pve1/qemu/1003/status/start: proxmox did not answer in time; look"
            ),
            kind_of("POST /nodes/pve3/lxc/1004/status/start: proxmox did not answer in time; look"),
        );
    }
}
