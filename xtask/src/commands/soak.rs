mod ledger;
mod load;
mod weather;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use fastrand::Rng;
use serde_json::json;

use self::ledger::{Arrivals, Ledger};
use self::load::Load;
use super::build;
use crate::gauge::{self, milliseconds, percentile};
use crate::mcp::{Answer, Client, Server};
use crate::progress::{Progress, Step};
use crate::simulator::Simulator;
use crate::table;
use crate::workspace::Workspace;

/// Longer than host-runner keeps an idle connection.
const REST: Duration = Duration::from_secs(6);
/// What the process may grow by after the warm-up.
const GROWTH: f64 = 1.10;

/// Call tools from many clients at once, while the simulated Proxmox fails
///
/// Fails where a call stays unanswered, the memory or the number of open files
/// grows, a write is sent more often than it was called for, a secret shows
/// up, or the server does not end cleanly.
#[derive(Args)]
pub(crate) struct Soak {
    /// How long the clients keep calling
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(4..))]
    seconds: u64,
    /// Number of concurrent calls
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    clients: u64,
    /// How many guests there are
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    guests: u64,
    /// Seed of an earlier run to repeat (default: random)
    #[arg(long)]
    seed: Option<u64>,
}

impl Soak {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        let mut progress = Progress::new(build::STEPS + 2);
        build::steps(workspace, &mut progress)?;
        progress.step("building the simulated Proxmox VE", || {
            build::release(workspace, &["pve-sim"])
        })?;
        let seed = match self.seed {
            Some(seed) => seed,
            None => u64::from(UNIX_EPOCH.elapsed()?.subsec_nanos()),
        };
        let what = format!(
            "{} clients for {} s, seed {seed}",
            self.clients, self.seconds
        );
        let mut figures = None;
        progress.step(&what, || {
            figures = Some(self.soak(workspace, seed)?);
            Ok(Step::Done)
        })?;
        if let Some(figures) = figures {
            figures.print();
            figures.judge()?;
        }
        Ok(())
    }

    fn soak(&self, workspace: &Workspace, seed: u64) -> Result<Figures> {
        let folder = workspace.target("soak");
        fs::create_dir_all(&folder)?;
        let record = folder.join("arrivals.jsonl");
        let log = folder.join("host-runner.log");
        // A record of an earlier run would be appended to.
        File::create(&record).with_context(|| format!("cannot write {}", record.display()))?;
        let nodes = format!("pve1,pve2:offline,{}", weather::LATE_NODE);
        let guests = self.guests.to_string();
        let mut simulator = Simulator::start_with(
            workspace,
            [
                "--nodes".as_ref(),
                nodes.as_ref(),
                "--guests".as_ref(),
                guests.as_ref(),
                "--task-seconds".as_ref(),
                "0.5".as_ref(),
                "--arrivals".as_ref(),
                record.as_os_str(),
            ],
        )?;
        let client = connect(workspace, &simulator, &log)?;
        let process = client.id();
        thread::sleep(REST);
        let start = Sample::take(process);

        let run = Run {
            client,
            load: Load::new(self.guests),
            ledger: Ledger::default(),
            ended: AtomicBool::new(false),
        };
        let (answers, samples, faults) = run.storm(self, seed, &mut simulator)?;
        thread::sleep(REST);
        let rest = Sample::take(process);
        write_samples(&folder.join("samples.csv"), &samples)?;
        let unread = self.clients;
        let (end, ledger) = run.hang_up(unread, seed, &mut simulator)?;

        let arrivals = fs::read_to_string(&record)
            .with_context(|| format!("cannot read {}", record.display()))?;
        Ok(Figures {
            answers,
            samples,
            faults,
            start,
            rest,
            unread,
            end,
            arrivals: ledger.check(&arrivals)?,
            warnings: read_log(&log, simulator.secret())?,
        })
    }
}

fn connect(workspace: &Workspace, simulator: &Simulator, log: &Path) -> Result<Client> {
    let stderr = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let mut command = simulator.host_runner(workspace);
    // The policy shall let through all that the load asks for.
    let client = Server::start(
        command
            .args(["--preset=admin", "--toolsets=all"])
            .stderr(stderr),
    )?
    .without_secret(simulator.secret())
    .connect()?;
    // One call loads all that a first call loads.
    let answer = client.call("list_guests", &json!({}))?;
    answer
        .content()
        .context("list_guests failed before anything went wrong")?;
    Ok(client)
}

/// For a closer look at where the memory has gone.
fn write_samples(path: &Path, samples: &[Sample]) -> Result<()> {
    let mut text = "resident bytes,open files\n".to_owned();
    for Sample { resident, files } in samples {
        text.push_str(&format!("{resident},{files}\n"));
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// How many lines host-runner logged. What must never be in them is looked for.
fn read_log(log: &Path, secret: &str) -> Result<usize> {
    let text = fs::read_to_string(log).with_context(|| format!("cannot read {}", log.display()))?;
    ensure!(
        !text.contains(secret),
        "host-runner logged the token's secret"
    );
    if let Some(panic) = text.lines().find(|line| line.contains("panicked")) {
        bail!("host-runner panicked: {panic}");
    }
    Ok(text.lines().count())
}

/// What the threads share.
struct Run {
    client: Client,
    load: Load,
    ledger: Ledger,
    ended: AtomicBool,
}

type Storm = (Answers, Vec<Sample>, BTreeMap<String, u64>);

impl Run {
    /// All clients call while the faults rage.
    fn storm(&self, soak: &Soak, seed: u64, simulator: &mut Simulator) -> Result<Storm> {
        let process = self.client.id();
        thread::scope(|scope| {
            let mut random = Rng::with_seed(seed);
            let faults = random.fork();
            let faults = scope.spawn(|| weather::rage(simulator, faults, &self.ended));
            let clients: Vec<_> = (0..soak.clients)
                .map(|_| random.fork())
                .map(|random| scope.spawn(|| self.calls(random)))
                .collect();
            let mut samples = Vec::new();
            let end = Instant::now() + Duration::from_secs(soak.seconds);
            while Instant::now() < end && !clients.iter().any(ScopedJoinHandle::is_finished) {
                thread::sleep(Duration::from_millis(250));
                samples.extend(Sample::take(process));
            }
            self.ended.store(true, Ordering::Relaxed);
            let faults = joined(faults)?;
            let mut answers = Answers::default();
            for client in clients {
                answers.add(joined(client)?);
            }
            Ok((answers, samples, faults))
        })
    }

    /// Calls one tool after the other.
    fn calls(&self, mut random: Rng) -> Result<Answers> {
        let mut answers = Answers::default();
        while !self.ended.load(Ordering::Relaxed) {
            let call = self.load.next(&mut random);
            if let Some(write) = &call.write {
                self.ledger.allow(write);
            }
            let started = Instant::now();
            let answer = self.client.call(call.tool, &call.arguments)?;
            let took = started.elapsed();
            if let Answer::Content(_) = answer {
                self.load.done(&call);
            }
            answers.count(call.tool, took, &answer)?;
        }
        Ok(answers)
    }

    /// As a client that goes away in the middle of its calls.
    fn hang_up(
        self,
        calls: u64,
        seed: u64,
        simulator: &mut Simulator,
    ) -> Result<(Duration, Ledger)> {
        simulator.control(&json!({"cmd": "fault", "kind": "latency", "ms": 300, "times": 1000}))?;
        let mut random = Rng::with_seed(!seed);
        for _ in 0..calls {
            let call = self.load.next(&mut random);
            if let Some(write) = &call.write {
                self.ledger.allow(write);
            }
            self.client.call_and_forget(call.tool, &call.arguments)?;
        }
        // Some are under way then, others wait for their turn.
        thread::sleep(Duration::from_millis(100));
        let end = self.client.close()?;
        Ok((end, self.ledger))
    }
}

fn joined<T>(thread: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|_| bail!("a thread panicked"))
}

/// How the calls were answered.
#[derive(Default)]
struct Answers {
    results: Vec<Duration>,
    errors: Vec<Duration>,
    refusals: Vec<Duration>,
    /// How often which tool gave a result.
    by_tool: BTreeMap<&'static str, u64>,
    /// How often which error was given, by its first words.
    by_error: BTreeMap<String, u64>,
}

impl Answers {
    fn count(&mut self, tool: &'static str, took: Duration, answer: &Answer) -> Result<()> {
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

    fn add(&mut self, other: Self) {
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
struct Sample {
    resident: f64,
    files: usize,
}

impl Sample {
    /// Nothing where the system does not tell.
    fn take(process: u32) -> Option<Self> {
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
struct Figures {
    answers: Answers,
    samples: Vec<Sample>,
    faults: BTreeMap<String, u64>,
    /// Before the load, and when it is over.
    start: Option<Sample>,
    rest: Option<Sample>,
    unread: u64,
    end: Duration,
    arrivals: Arrivals,
    warnings: usize,
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

    #[expect(clippy::print_stdout, reason = "the figures are what was asked for")]
    fn print(&self) {
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
        let most = self.samples.iter().map(|sample| sample.resident);
        line("  most", table::bytes(most.fold(0.0, f64::max)));
        line("  at rest again", Sample::text(self.rest));
        line("lines of the log", self.warnings.to_string());
        line(
            "end of stdin to the end",
            format!(
                "{} with {} calls under way, status 0",
                milliseconds(self.end),
                self.unread
            ),
        );
    }

    /// Fails where something is not as it has to be.
    fn judge(&self) -> Result<()> {
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
