mod figures;
mod ledger;
mod load;
mod mischief;
mod visitors;
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
use serde_json::{Value, json};

use self::figures::{Answers, Figures, Sample};
use self::ledger::Ledger;
use self::load::Load;
use self::visitors::Door;
use super::build;
use crate::mcp::{Answer, Client, Server};
use crate::progress::{Progress, Step};
use crate::simulator::Simulator;
use crate::workspace::Workspace;

/// Longer than host-runner keeps an idle connection.
const REST: Duration = Duration::from_secs(6);
/// Call tools from many clients at once, while the simulated Proxmox fails
///
/// Fails where a call stays unanswered, the memory or the number of open files
/// grows, a write is sent more often than it was called for, a secret shows
/// up, or the server does not end cleanly.
#[derive(Args)]
pub(crate) struct Soak {
    /// Over HTTP, with clients of several users, of whom almost every third breaks off,
    /// dawdles, sends too much or has no right to
    #[arg(long)]
    http: bool,
    /// How long the clients keep calling
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(4..))]
    seconds: u64,
    /// Number of concurrent calls (default: 100, with --http 500)
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1000))]
    clients: Option<u64>,
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
        let plan = self.plan(seed);
        let what = format!(
            "{} clients for {} s over {}, seed {seed}",
            plan.clients,
            plan.time.as_secs(),
            if self.http { "HTTP" } else { "stdio" },
        );
        let mut figures = None;
        progress.step(&what, || {
            figures = Some(self.soak(workspace, &plan)?);
            Ok(Step::Done)
        })?;
        if let Some(figures) = figures {
            figures.print();
            figures.judge()?;
        }
        Ok(())
    }

    fn plan(&self, seed: u64) -> Plan {
        let clients = if self.http { 500 } else { 100 };
        Plan {
            time: Duration::from_secs(self.seconds),
            clients: self.clients.unwrap_or(clients),
            seed,
        }
    }

    fn soak(&self, workspace: &Workspace, plan: &Plan) -> Result<Figures> {
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
        let side = match self.http {
            true => Side::Http(Door::open(workspace, &simulator, plan, &log)?),
            false => Side::Stdio(connect(workspace, &simulator, &log)?),
        };
        let secrets = side.secrets(&simulator);
        thread::sleep(REST);
        let start = Sample::take(side.id());

        let run = Run {
            load: Load::new(self.guests),
            ledger: Ledger::default(),
            ended: AtomicBool::new(false),
        };
        let storm = side.storm(&run, plan, &mut simulator)?;
        thread::sleep(REST);
        let rest = Sample::take(side.id());
        write_samples(&folder.join("samples.csv"), &storm.samples)?;
        let end = side.hang_up(&run, plan, &mut simulator)?;

        let arrivals = fs::read_to_string(&record)
            .with_context(|| format!("cannot read {}", record.display()))?;
        Ok(Figures {
            answers: storm.answers,
            samples: storm.samples,
            faults: storm.faults,
            mischief: storm.mischief,
            start,
            rest,
            unread: plan.clients,
            end,
            arrivals: run.ledger.check(&arrivals)?,
            warnings: read_log(&log, &secrets)?,
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
fn read_log(log: &Path, secrets: &[String]) -> Result<usize> {
    let text = fs::read_to_string(log).with_context(|| format!("cannot read {}", log.display()))?;
    ensure!(
        !secrets.iter().any(|secret| text.contains(secret)),
        "host-runner logged a secret"
    );
    if let Some(panic) = text.lines().find(|line| line.contains("panicked")) {
        bail!("host-runner panicked: {panic}");
    }
    Ok(text.lines().count())
}

/// How long, with how many clients.
struct Plan {
    time: Duration,
    clients: u64,
    seed: u64,
}

/// What the threads share.
struct Run {
    load: Load,
    ledger: Ledger,
    ended: AtomicBool,
}

/// What comes of the storm.
struct Storm {
    answers: Answers,
    samples: Vec<Sample>,
    faults: BTreeMap<String, u64>,
    mischief: BTreeMap<&'static str, u64>,
}

/// What one client has done.
#[derive(Default)]
struct Done {
    answers: Answers,
    mischief: BTreeMap<&'static str, u64>,
}

/// The server, as the clients reach it.
enum Side {
    Stdio(Client),
    Http(Door),
}

impl Side {
    /// The server's process id.
    fn id(&self) -> u32 {
        match self {
            Self::Stdio(client) => client.id(),
            Self::Http(door) => door.id(),
        }
    }

    /// What host-runner may not log.
    fn secrets(&self, simulator: &Simulator) -> Vec<String> {
        let mut secrets = vec![simulator.secret().to_owned()];
        if let Self::Http(door) = self {
            secrets.extend(door.tokens().iter().cloned());
        }
        secrets
    }

    /// All clients call while the faults rage.
    fn storm(&self, run: &Run, plan: &Plan, simulator: &mut Simulator) -> Result<Storm> {
        let secret = simulator.secret().to_owned();
        let secret = secret.as_str();
        thread::scope(|scope| {
            let mut random = Rng::with_seed(plan.seed);
            let faults = random.fork();
            let faults = scope.spawn(|| weather::rage(simulator, faults, &run.ended));
            let clients: Vec<_> = (0..plan.clients)
                .map(|number| (number, random.fork()))
                .map(|(number, random)| {
                    scope.spawn(move || match self {
                        Self::Stdio(client) => run.calls(client, random),
                        Self::Http(door) => door.client(run, number, random, secret),
                    })
                })
                .collect();
            let mut samples = Vec::new();
            let end = Instant::now() + plan.time;
            while Instant::now() < end && !clients.iter().any(ScopedJoinHandle::is_finished) {
                thread::sleep(Duration::from_millis(250));
                samples.extend(Sample::take(self.id()));
            }
            run.ended.store(true, Ordering::Relaxed);
            let mut storm = Storm {
                answers: Answers::default(),
                samples,
                faults: joined(faults)?,
                mischief: BTreeMap::new(),
            };
            for client in clients {
                let done = joined(client)?;
                storm.answers.add(done.answers);
                for (name, times) in done.mischief {
                    *storm.mischief.entry(name).or_default() += times;
                }
            }
            Ok(storm)
        })
    }

    /// Ends the server in the middle of calls, and returns how long that took.
    fn hang_up(self, run: &Run, plan: &Plan, simulator: &mut Simulator) -> Result<Duration> {
        simulator.control(&json!({"cmd": "fault", "kind": "latency", "ms": 300, "times": 1000}))?;
        let mut random = Rng::with_seed(!plan.seed);
        let calls = (0..plan.clients).map(|_| {
            let call = run.load.next(&mut random);
            if let Some(write) = &call.write {
                run.ledger.allow(write);
            }
            call
        });
        match self {
            Self::Http(door) => door.close(calls, simulator.secret()),
            // As a client that goes away in the middle of its calls.
            Self::Stdio(client) => {
                for call in calls {
                    client.call_and_forget(call.tool, &call.arguments)?;
                }
                // Some are under way then, others wait for their turn.
                thread::sleep(Duration::from_millis(100));
                client.close()
            }
        }
    }
}

impl Run {
    /// Calls one tool after the other, over stdio.
    fn calls(&self, client: &Client, mut random: Rng) -> Result<Done> {
        let mut done = Done::default();
        while !self.ended.load(Ordering::Relaxed) {
            let call = |tool: &str, arguments: &Value| client.call(tool, arguments);
            self.call(&mut random, &mut done.answers, call)?;
        }
        Ok(done)
    }

    /// Makes the next call. Whether it gave a result.
    fn call(
        &self,
        random: &mut Rng,
        answers: &mut Answers,
        make: impl FnOnce(&str, &Value) -> Result<Answer>,
    ) -> Result<bool> {
        let call = self.load.next(random);
        if let Some(write) = &call.write {
            self.ledger.allow(write);
        }
        let started = Instant::now();
        let answer = make(call.tool, &call.arguments)?;
        let took = started.elapsed();
        let is_result = matches!(answer, Answer::Content(_));
        if is_result {
            self.load.done(&call);
        }
        answers.count(call.tool, took, &answer)?;
        Ok(is_result)
    }
}

fn joined<T>(thread: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|_| bail!("a thread panicked"))
}
