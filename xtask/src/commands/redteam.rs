mod cases;
mod link;
mod verdicts;

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use self::cases::{Attack, Request};
use self::link::{Link, Transport};
use self::verdicts::{Memory, Outcome, Table};
use super::build;
use crate::gauge::{self, Peak};
use crate::mcp::Answer;
use crate::progress::Progress;
use crate::simulator::Simulator;
use crate::workspace::Workspace;

/// As many as host-runner runs at once.
const CALLS: usize = 16;
/// Until what calls have taken is given back.
const REST: Duration = Duration::from_millis(300);

/// Run every attack of the hostile component, against the simulated cluster
///
/// Prints what reached the server, how much memory and time each attack took.
/// Fails where a request arrives that should not, host-runner takes more memory
/// than documented, or a call stays unanswered.
#[derive(Args)]
pub(crate) struct Redteam {
    /// Only attacks whose name contains this
    #[arg(default_value = "")]
    name: String,
    /// Only over these transports
    #[arg(
        long,
        value_name = "TRANSPORTS",
        value_delimiter = ',',
        default_value = "stdio,http"
    )]
    over: Vec<Transport>,
    /// Use what an earlier command built
    #[arg(long)]
    no_build: bool,
}

impl Redteam {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        if !self.no_build {
            let mut progress = Progress::new(build::STEPS + 2);
            build::steps(workspace, &mut progress)?;
            progress.step("building the simulated Proxmox VE", || {
                build::release(workspace, &["pve-sim"])
            })?;
            progress.step("building the hostile component", || {
                build::component(workspace, "hostile")
            })?;
        }
        let mut table = Table::default();
        for transport in &self.over {
            for (name, outcome) in self.outcomes(workspace, *transport) {
                table.add(*transport, name, outcome);
            }
        }
        table.print();
        table.judge()
    }

    /// Runs the attacks that are chosen, those that need not be alone in lanes
    /// at the same time, and tells how each went, in the order of the cases.
    fn outcomes(
        &self,
        workspace: &Workspace,
        transport: Transport,
    ) -> Vec<(&'static str, Result<Outcome>)> {
        let attacks = cases::attacks().map(Job::Attack);
        let lists = cases::LISTS.into_iter().map(Job::List);
        let requests = cases::requests().map(Job::Request);
        let is_chosen = |job: &Job| job.name().contains(&self.name);
        let jobs: Vec<_> = attacks
            .chain(lists)
            .chain(requests)
            .filter(is_chosen)
            .collect();
        let run = |lane: usize| {
            let mine = jobs
                .iter()
                .enumerate()
                .filter(|(_, job)| job.lane() == lane);
            let mine: Vec<_> = mine.collect();
            let mut field = None;
            let outcomes = mine.into_iter().map(|(index, job)| {
                let field = match &mut field {
                    Some(field) => field,
                    none => match Field::prepare(workspace, transport, lane) {
                        Ok(field) => none.insert(field),
                        Err(error) => return (index, job.name(), Err(error)),
                    },
                };
                (index, job.name(), field.run(job))
            });
            outcomes.collect::<Vec<_>>()
        };
        let run = &run;
        let mut outcomes: Vec<_> = thread::scope(|scope| {
            let lanes: Vec<_> = (0..LANES)
                .map(|lane| scope.spawn(move || run(lane)))
                .collect();
            let ended = lanes.into_iter().filter_map(|lane| lane.join().ok());
            ended.flatten().collect()
        });
        outcomes.sort_by_key(|(index, ..)| *index);
        let lost = jobs.len() - outcomes.len();
        let mut outcomes: Vec<_> = outcomes
            .into_iter()
            .map(|(_, name, outcome)| (name, outcome))
            .collect();
        if lost > 0 {
            let error = anyhow::anyhow!("{lost} attacks were not run, as a thread panicked");
            outcomes.push(("lost", Err(error)));
        }
        // How soon it ends is measured, so it has the machine to itself.
        if cases::SIGNAL.contains(&self.name) {
            let outcome =
                Field::prepare(workspace, transport, LANES).and_then(|mut field| field.signal());
            outcomes.push((cases::SIGNAL, outcome));
        }
        outcomes
    }
}

/// Attacks that run at the same time, each lane with a cluster of its own.
const LANES: usize = 3;

/// One row of the table.
enum Job {
    Attack(Attack),
    List(&'static str),
    Request(Request),
}

impl Job {
    fn name(&self) -> &'static str {
        match self {
            Self::Attack(attack) => attack.name,
            Self::List(kind) => kind,
            Self::Request(request) => request.name,
        }
    }

    /// Those that share a server are in one lane.
    fn lane(&self) -> usize {
        match self {
            Self::Attack(attack) => usize::from(attack.needs_the_cluster()),
            Self::List(_) => 1,
            Self::Request(_) => 2,
        }
    }
}

/// The simulated cluster, and the servers that are attacked, by their flags.
struct Field<'a> {
    workspace: &'a Workspace,
    transport: Transport,
    simulator: Simulator,
    arrivals: PathBuf,
    /// Of the servers so far, each of which has a log.
    count: usize,
    folder: PathBuf,
    servers: HashMap<Vec<&'static str>, Target>,
}

/// A server that is attacked.
struct Target {
    link: Link,
    /// The names of the tools that it lists.
    tools: Vec<String>,
    idle: f64,
}

impl<'a> Field<'a> {
    fn prepare(workspace: &'a Workspace, transport: Transport, lane: usize) -> Result<Self> {
        let folder = format!("{}-{lane}", transport.name());
        let folder = workspace.target("redteam").join(folder);
        fs::create_dir_all(&folder)?;
        let arrivals = folder.join("arrivals.jsonl");
        // A record of an earlier run would be appended to.
        File::create(&arrivals).with_context(|| format!("cannot write {}", arrivals.display()))?;
        for (name, text) in cases::POLICIES {
            fs::write(folder.join(name), text)?;
        }
        let arguments = ["--arrivals".as_ref(), arrivals.as_os_str()];
        Ok(Self {
            workspace,
            transport,
            simulator: Simulator::start_with(workspace, arguments)?,
            count: 0,
            arrivals,
            folder,
            servers: HashMap::new(),
        })
    }

    fn run(&mut self, job: &Job) -> Result<Outcome> {
        match job {
            Job::Attack(attack) => self.attack(attack),
            Job::List(kind) => self.list(kind),
            Job::Request(request) => self.request(request),
        }
    }

    /// So many calls of the same attack at once.
    fn attack(&mut self, attack: &Attack) -> Result<Outcome> {
        self.server(&attack.flags)?;
        for fault in &attack.faults {
            self.simulator.control(fault)?;
        }
        let arguments = placed(&attack.arguments, self.simulator.url());
        let target = self.servers.get(&attack.flags).context("no server")?;
        target.has(attack.tool)?;
        let before = self.arrived()?.len();
        let started = Instant::now();
        let (answers, peak) =
            target.measured(|link| at_once(|| link.call(attack.tool, &arguments).map(drop)));
        let time = started.elapsed();
        let mut faults = errors(answers);
        if !attack.faults.is_empty() {
            self.simulator.control(&json!({"cmd": "clear-faults"}))?;
        }
        let target = self.servers.get(&attack.flags).context("no server")?;
        faults.extend(target.still_serves().err().map(|error| error.to_string()));
        let arrived = self.arrived()?.split_off(before);
        let forbidden = arrived.iter().filter(|one| !attack.lets_out(one));
        Ok(Outcome {
            forbidden: forbidden.map(shown).collect(),
            arrived,
            memory: Memory::Measured(peak),
            time,
            faults,
        })
    }

    /// A request that must not leave.
    fn request(&mut self, request: &Request) -> Result<Outcome> {
        self.server(&request.flags)?;
        let (authority, _) = authority(self.simulator.url());
        let arguments = request.arguments(authority);
        let target = self.servers.get(&request.flags).context("no server")?;
        target.has(request.tool)?;
        let before = self.arrived()?.len();
        let started = Instant::now();
        let (answer, peak) = target.measured(|link| link.call(request.tool, &arguments));
        let time = started.elapsed();
        let mut faults = Vec::new();
        match answer {
            Ok(Answer::Refused(text)) => faults.push(text),
            Ok(Answer::Content(_) | Answer::Error(_)) => {}
            Err(error) => faults.push(error.to_string()),
        }
        let arrived = self.arrived()?.split_off(before);
        let forbidden = arrived.iter().filter(|one| !request.lets_out(one));
        Ok(Outcome {
            forbidden: forbidden.map(shown).collect(),
            arrived,
            memory: Memory::Measured(peak),
            time,
            faults,
        })
    }

    /// A component whose tools nobody could list.
    fn list(&mut self, kind: &str) -> Result<Outcome> {
        let before = self.arrived()?.len();
        let mut command = self.command(&[])?;
        // The one setting that tells the component what to do.
        let user = "root@pam";
        command.env("PROXMOX_USER", user);
        command.env("PROXMOX_TOKEN_ID", kind);
        let log = self.log();
        let started = Instant::now();
        let (tools, peak) = self.transport.list(&mut command, &log)?;
        let time = started.elapsed();
        let mut faults = Vec::new();
        // A component that takes too long has an empty list.
        if let Ok(tools) = tools
            && !tools.is_empty()
        {
            faults.push(format!("listed {} tools", tools.len()));
        }
        Ok(Outcome {
            arrived: self.arrived()?.split_off(before),
            forbidden: Vec::new(),
            memory: Memory::Measured(peak),
            time,
            faults,
        })
    }

    /// SIGTERM, while every place is taken by a call that never ends.
    fn signal(&mut self) -> Result<Outcome> {
        let target = self.start(&[])?;
        let mut kept = Vec::new();
        for number in 0..CALLS {
            let on = ["random", "clock", "stderr", "headers"].get(number % 4);
            let arguments = json!({ "on": on });
            kept.extend(target.link.call_and_forget("spin", &arguments)?);
        }
        thread::sleep(REST);
        let started = Instant::now();
        let end = target.link.end();
        let time = started.elapsed();
        drop(kept);
        let mut faults: Vec<_> = end
            .err()
            .map(|error| error.to_string())
            .into_iter()
            .collect();
        if time > self.transport.end() {
            faults.push(format!("ended {:.1} s after SIGTERM", time.as_secs_f64()));
        }
        Ok(Outcome {
            arrived: Vec::new(),
            forbidden: Vec::new(),
            memory: Memory::NotMeasured,
            time,
            faults,
        })
    }

    /// Starts a server with these flags, if there is none yet.
    fn server(&mut self, flags: &[&'static str]) -> Result<()> {
        if !self.servers.contains_key(flags) {
            let target = self.start(flags)?;
            self.servers.insert(flags.to_vec(), target);
        }
        Ok(())
    }

    fn start(&mut self, flags: &[&'static str]) -> Result<Target> {
        let (mut command, log) = (self.command(flags)?, self.log());
        let secret = self.simulator.secret();
        let link = self.transport.start(&mut command, &log, secret)?;
        let tools = names(&link.tools()?);
        let mut target = Target {
            link,
            tools,
            idle: 0.0,
        };
        // What the first calls load stays.
        if let Some(error) = errors(at_once(|| target.still_serves())).into_iter().next() {
            bail!("it does not serve: {error}");
        }
        thread::sleep(REST);
        target.idle = gauge::resident(target.link.id()).context("its memory cannot be read")?;
        Ok(target)
    }

    fn command(&self, flags: &[&'static str]) -> Result<Command> {
        let mut command = self.simulator.host_runner(self.workspace);
        command
            .current_dir(&self.folder)
            .arg("--component")
            .arg(self.workspace.component("hostile.wasm"))
            .args(["--cpu-seconds=1", "--call-seconds=2"])
            .args(flags);
        Ok(command)
    }

    /// Where the next server writes.
    fn log(&mut self) -> PathBuf {
        self.count += 1;
        self.folder.join(format!("host-runner-{}.log", self.count))
    }

    fn arrived(&self) -> Result<Vec<Value>> {
        let text = read(&self.arrivals)?;
        text.lines()
            .map(|line| serde_json::from_str(line).context("pve-sim recorded no JSON"))
            .collect()
    }
}

impl Target {
    /// Fails if the server lists no such tool: a call of it attacks nothing.
    fn has(&self, tool: &str) -> Result<()> {
        if self.tools.iter().any(|name| name == tool) {
            return Ok(());
        }
        bail!("the hostile component has no tool {tool:?}, so nothing was attacked")
    }

    /// Does this, and tells how much memory the server took beyond what it
    /// takes when it is idle.
    fn measured<T>(&self, work: impl FnOnce(&Link) -> T) -> (T, Option<f64>) {
        let peak = Peak::begin(self.link.id());
        let outcome = work(&self.link);
        let peak = peak.end().map(|peak| peak - self.idle);
        (outcome, peak)
    }

    fn still_serves(&self) -> Result<()> {
        let answer = self.link.call("count_calls", &json!({}))?;
        answer.content().context("it no longer serves")?;
        Ok(())
    }
}

/// The names of listed tools.
fn names(tools: &[Value]) -> Vec<String> {
    let names = tools.iter().filter_map(|tool| tool.get("name")?.as_str());
    names.map(str::to_owned).collect()
}

/// Does the same from so many threads.
fn at_once(work: impl Fn() -> Result<()> + Sync) -> Vec<Result<()>> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..CALLS).map(|_| scope.spawn(&work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| bail!("a thread panicked")))
            .collect()
    })
}

/// Each error once.
fn errors(outcomes: Vec<Result<()>>) -> Vec<String> {
    let errors = outcomes.into_iter().filter_map(Result::err);
    let mut errors: Vec<_> = errors.map(|error| error.to_string()).collect();
    errors.sort();
    errors.dedup();
    errors
}

/// Arguments with the simulated cluster's address in them.
fn placed(arguments: &Value, url: &str) -> Value {
    match arguments {
        Value::String(text) => text.replace("URL", url).into(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), placed(value, url)))
            .collect(),
        other => other.clone(),
    }
}

fn authority(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("https://").unwrap_or(url);
    rest.split_once('/').unwrap_or((rest, ""))
}

fn shown(request: &Value) -> String {
    let text = |name: &str| request.get(name).and_then(Value::as_str).unwrap_or("?");
    format!("{} {}", text("method"), text("path"))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
