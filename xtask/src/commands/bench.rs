mod floor;
mod machine;
mod peer;
mod phases;
mod report;
mod sample;
mod session;
mod sizes;
mod transports;

use std::fs;
use std::path::PathBuf;
use std::thread;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::{Value, json};
use url::form_urlencoded;

use self::floor::Floor;
use self::peer::Peer;
use self::phases::Phases;
use self::report::{Figure, Report};
use self::sample::median;
use self::session::Session;
use self::transports::Transports;
use super::{adapters, build, docs};
use crate::gauge;
use crate::progress::{Progress, Step};
use crate::simulator::Simulator;
use crate::workspace::{Workspace, utf8};

/// Measure start, latency, throughput, memory and sizes, against the simulated
/// cluster
///
/// Each figure is measured in turns with its floor: a program that does only what
/// cannot be avoided, such as sending the same requests through the same HTTP
/// client. Ratios to the floor can be compared between machines; times cannot.
#[derive(Args)]
pub(crate) struct Bench {
    /// Number of runs, each with new processes
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// One short run: less than a minute
    #[arg(long, conflicts_with = "runs")]
    quick: bool,
    /// Also measure this MCP server for Proxmox (repeatable): a command, split at spaces, or
    /// `plus`, which installs proxmox-mcp-plus
    #[arg(long = "peer", value_name = "CMD")]
    peers: Vec<String>,
    /// The tool of the peers that lists guests, unless it has a usual name
    #[arg(long, value_name = "TOOL")]
    peer_tool: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Fail if a ratio to a floor is more than twice its target in every round, or if
    /// the component or the memory of an instance is larger than its limit
    #[arg(long)]
    check: bool,
    /// Build the static binary for distribution, which takes minutes, and measure it
    /// instead of the release build
    #[arg(long)]
    dist: bool,
    /// Write the tables to docs/performance.md
    #[arg(long)]
    write_docs: bool,
    /// Use what an earlier command built, apart from the measuring programs
    #[arg(long)]
    no_build: bool,
}

/// The page with the tables.
const PAGE: &str = "docs/performance.md";

/// All guests are on one node, which is online.
const NODE: &str = "pve1";
/// Guests that such a cluster has without any that are added.
const OWN_GUESTS: usize = 9;
/// The vmid of the first guest that is added.
const FIRST_VMID: usize = 1000;

const CALLERS: usize = 64;

/// How often things are measured in a run.
struct Scale {
    runs: u32,
    starts: usize,
    peer_starts: usize,
    /// Rounds, and calls in each.
    small: (usize, usize),
    medium: (usize, usize),
    large: (usize, usize),
    load: (usize, usize),
    transports: transports::Scale,
}

impl Bench {
    /// The workspace with the binary to measure.
    fn measured(&self, workspace: &Workspace) -> Result<Workspace> {
        if !self.dist {
            return Ok(workspace.clone());
        }
        super::dist::Dist::default().run(workspace)?;
        Ok(workspace.running(super::dist::binary(workspace)?))
    }

    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        let workspace = &self.measured(workspace)?;
        let scale = self.scale();
        let steps = scale.runs as usize + 2 + if self.no_build { 0 } else { build::STEPS };
        let mut progress = Progress::new(steps);
        if !self.no_build {
            build::steps(workspace, &mut progress)?;
        }
        progress.step("building the simulated Proxmox VE and the floors", || {
            build::release(workspace, &["pve-sim", floor::PROGRAM])
        })?;
        let peers: Result<Vec<Peer>> = self
            .peers
            .iter()
            .map(|peer| Peer::find(workspace, peer))
            .collect();
        let run = Run {
            workspace,
            peers: peers?,
            peer_tool: self.peer_tool.as_deref(),
            requests: Requests::record(workspace)?,
            scale,
        };
        let names = run.peers.iter().map(|peer| peer.name.clone()).collect();
        let mut report = Report::new(machine::facts(workspace), names);
        let mut transports = Transports::default();
        for number in 1..=run.scale.runs {
            progress.step(&format!("run {number} of {}", run.scale.runs), || {
                run.measure(&mut report)?;
                transports.measure(workspace, &run.requests, run.scale.transports)?;
                Ok(Step::Done)
            })?;
        }
        let mut phases = Phases::default();
        progress.step("start by phase, memory of an instance, sizes", || {
            let simulator = cluster(workspace, 20, &[])?;
            phases = Phases::measure(workspace, &simulator, run.scale.starts)?;
            run.instance_memory(&mut report)?;
            sizes::measure(
                workspace,
                adapters::tools(workspace, None)?.len(),
                &mut report,
            )?;
            Ok(Step::Done)
        })?;
        self.show(workspace, &report, &transports, &phases)?;
        match self.check {
            true => report.check(),
            false => Ok(()),
        }
    }

    /// Prints all figures, and writes them to the page if that is wished.
    fn show(
        &self,
        workspace: &Workspace,
        report: &Report,
        transports: &Transports,
        phases: &Phases,
    ) -> Result<()> {
        if self.json {
            let mut figures = report.json(&phases.json());
            if let Some(figures) = figures.as_object_mut() {
                figures.insert("transports".to_owned(), transports.json());
            }
            print(&format!("{figures:#}"));
        }
        let (report, phases) = (report.markdown(), phases.markdown());
        let transports = transports.markdown();
        if !self.json {
            print(&format!("{report}{transports}{phases}"));
        }
        if self.write_docs {
            let tables = [
                ("bench", report.as_str()),
                ("transports", transports.as_str()),
                ("phases", phases.as_str()),
            ];
            docs::write_tables(workspace, PAGE, &tables)?;
        }
        Ok(())
    }

    fn scale(&self) -> Scale {
        match self.quick {
            true => Scale {
                runs: 1,
                starts: 8,
                peer_starts: 2,
                small: (24, 15),
                medium: (8, 3),
                large: (5, 1),
                load: (5, 5 * CALLERS),
                transports: (3, 5 * CALLERS),
            },
            false => Scale {
                runs: self.runs,
                starts: 12,
                peer_starts: 3,
                small: (20, 25),
                medium: (12, 4),
                large: (6, 2),
                load: (6, 10 * CALLERS),
                transports: (4, 10 * CALLERS),
            },
        }
    }
}

#[expect(clippy::print_stdout, reason = "the figures are the output")]
fn print(text: &str) {
    println!("{}", text.trim_end());
}

/// A simulated cluster with so many guests.
fn cluster(workspace: &Workspace, guests: usize, more: &[&str]) -> Result<Simulator> {
    let added = guests.saturating_sub(OWN_GUESTS).to_string();
    let arguments = ["--nodes", NODE, "--guests", &added];
    Simulator::start_with(workspace, arguments.iter().chain(more))
}

/// The arguments of `get_guest`, one for each of the added guests.
fn get_guest(guests: usize) -> Vec<Value> {
    let vmids = FIRST_VMID..FIRST_VMID + guests - OWN_GUESTS;
    vmids.map(|vmid| json!({ "vmid": vmid })).collect()
}

/// The requests that calls make once the server is warm, as paths with queries.
struct Requests {
    list_guests: Vec<String>,
    /// Of each call in turn.
    get_guest: Vec<Vec<String>>,
}

impl Requests {
    /// Makes the calls, and looks at what the simulator received.
    fn record(workspace: &Workspace) -> Result<Self> {
        let folder = workspace.target("bench");
        fs::create_dir_all(&folder)?;
        let file = folder.join("arrivals.jsonl");
        // The simulator appends.
        fs::write(&file, "")?;
        let simulator = cluster(workspace, 20, &["--arrivals", utf8(&file)?])?;
        let (mut session, _) = Session::start(&mut simulator.host_runner(workspace))?;
        let arguments = get_guest(20);
        let first = arguments.first().context("no guest was added")?;
        session.call("list_guests", &json!({}))?;
        session.call("get_guest", first)?;
        let mut recorder = Recorder {
            session,
            file,
            seen: 0,
        };
        recorder.arrived()?;
        let list_guests = recorder.requests("list_guests", &json!({}))?;
        let get_guest = arguments
            .iter()
            .map(|arguments| recorder.requests("get_guest", arguments))
            .collect::<Result<_>>()?;
        Ok(Self {
            list_guests,
            get_guest,
        })
    }
}

/// A session with a simulator that writes down all requests.
struct Recorder {
    session: Session,
    file: PathBuf,
    seen: usize,
}

impl Recorder {
    fn requests(&mut self, tool: &str, arguments: &Value) -> Result<Vec<String>> {
        self.session.call(tool, arguments)?;
        let arrived = self.arrived()?;
        ensure!(!arrived.is_empty(), "{tool} sent no request");
        arrived.iter().map(path_and_query).collect()
    }

    /// What arrived since it was last asked.
    fn arrived(&mut self) -> Result<Vec<Value>> {
        let text = fs::read_to_string(&self.file)?;
        let all: Vec<Value> = text
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()?;
        let new = all.into_iter().skip(self.seen).collect::<Vec<_>>();
        self.seen += new.len();
        Ok(new)
    }
}

fn path_and_query(arrival: &Value) -> Result<String> {
    let text = |key| arrival.get(key).and_then(Value::as_str);
    ensure!(
        text("method") == Some("GET"),
        "not a request that a floor may repeat: {arrival}"
    );
    let path = text("path").context("a request without a path")?;
    let params = arrival.get("params").and_then(Value::as_object);
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in params.into_iter().flatten() {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        query.append_pair(name, &value);
    }
    let query = query.finish();
    Ok(match query.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{query}"),
    })
}

/// What all measurements need.
struct Run<'a> {
    workspace: &'a Workspace,
    peers: Vec<Peer>,
    peer_tool: Option<&'a str>,
    requests: Requests,
    scale: Scale,
}

impl Run<'_> {
    /// One run of everything that varies.
    fn measure(&self, report: &mut Report) -> Result<()> {
        let small = cluster(self.workspace, 20, &[])?;
        self.starts(&small, report)?;
        self.no_request(small, report)?;
        for (guests, figure, scale) in [
            (20, Figure::Guests20, self.scale.small),
            (1_000, Figure::Guests1000, self.scale.medium),
            (10_000, Figure::Guests10000, self.scale.large),
        ] {
            self.list_guests(guests, figure, scale, report)?;
        }
        self.callers(report)
    }

    fn session(&self, simulator: &Simulator) -> Result<Session> {
        let (mut session, _) = Session::start(&mut simulator.host_runner(self.workspace))?;
        session.request("tools/list", &json!({}))?;
        session.call("list_guests", &json!({}))?;
        Ok(session)
    }

    fn starts(&self, simulator: &Simulator, report: &mut Report) -> Result<()> {
        for _ in 0..self.scale.starts {
            let (_, floor_start) = Session::start(&mut floor::stdio(self.workspace))?;
            let (mut ours, start) = Session::start(&mut simulator.host_runner(self.workspace))?;
            let list = ours.request("tools/list", &json!({}))?;
            let call = ours.call("list_guests", &json!({}))?;
            let (start, floor_start) = (start.milliseconds(), floor_start.milliseconds());
            report.pair(Figure::Start, start, floor_start);
            report.ours(Figure::FirstList, list.milliseconds());
            report.ours(Figure::FirstCall, call.milliseconds());
            match gauge::rollup(ours.id()) {
                Some(rollup) => {
                    report.ours(Figure::Resident, rollup.resident / MEBIBYTE);
                    report.ours(Figure::Proportional, rollup.proportional / MEBIBYTE);
                }
                None => report.note(Figure::Resident, "this system does not report it"),
            }
        }
        for peer in &self.peers {
            for _ in 0..self.scale.peer_starts {
                self.peer_start(peer, simulator, report);
            }
        }
        Ok(())
    }

    fn peer_start(&self, peer: &Peer, simulator: &Simulator, report: &mut Report) {
        let started = || -> Result<_> {
            let (mut session, start) =
                Session::start(&mut peer.command(self.workspace, simulator)?)?;
            let list = session.request("tools/list", &json!({}))?;
            Ok((session, start, list))
        };
        let (mut session, start, list) = match started() {
            Ok(started) => started,
            Err(error) => return report.peer(Figure::Start, &peer.name, &Err(error)),
        };
        report.peer(Figure::Start, &peer.name, &Ok(start.milliseconds()));
        report.peer(Figure::FirstList, &peer.name, &Ok(list.milliseconds()));
        let call = self
            .peer_list_tool(&list.result)
            .and_then(|tool| session.call(&tool, &json!({})))
            .map(|call| call.milliseconds());
        report.peer(Figure::FirstCall, &peer.name, &call);
        if let Some(rollup) = gauge::rollup(session.id()) {
            let figures = [
                (Figure::Resident, rollup.resident),
                (Figure::Proportional, rollup.proportional),
            ];
            for (figure, bytes) in figures {
                report.peer(figure, &peer.name, &Ok(bytes / MEBIBYTE));
            }
        }
    }

    fn peer_list_tool(&self, tools: &Value) -> Result<String> {
        match self.peer_tool {
            Some(tool) => Ok(tool.to_owned()),
            None => peer::list_tool(tools),
        }
    }

    /// A call whose arguments the component refuses.
    fn no_request(&self, mut simulator: Simulator, report: &mut Report) -> Result<()> {
        let mut session = self.session(&simulator)?;
        let (mut idle, _) = Session::start(&mut floor::stdio(self.workspace))?;
        let arguments = json!({ "vmid": 1 });
        let served = |simulator: &mut Simulator| simulator.control(&json!({ "cmd": "requests" }));
        let before = served(&mut simulator)?;
        let refused = session.call_any("get_guest", &arguments)?;
        let is_error = refused.result.get("isError") == Some(&Value::Bool(true));
        ensure!(is_error, "get_guest accepts {arguments}");
        let bytes = json!({ "bytes": refused.bytes });
        let (rounds, calls) = self.scale.small;
        alternate(
            rounds,
            &mut || repeat(calls, || session.call_any("get_guest", &arguments)),
            &mut || repeat(calls, || idle.request("floor", &bytes)),
            &mut |ours, floor| report.pair(Figure::NoRequest, ours, floor),
        )?;
        let after = served(&mut simulator)?;
        ensure!(before == after, "get_guest {arguments} sent a request");
        Ok(())
    }

    fn list_guests(
        &self,
        guests: usize,
        figure: Figure,
        (rounds, calls): (usize, usize),
        report: &mut Report,
    ) -> Result<()> {
        let simulator = cluster(self.workspace, guests, &[])?;
        let mut session = self.session(&simulator)?;
        let listed = session.call("list_guests", &json!({}))?;
        let total = listed.result.pointer("/structuredContent/total");
        ensure!(
            total == Some(&json!(guests)),
            "the cluster has {total:?} guests instead of {guests}"
        );
        let mut floor = Floor::start(self.workspace, &simulator, 0)?;
        let request = std::slice::from_ref(&self.requests.list_guests);
        alternate(
            rounds,
            &mut || repeat(calls, || session.call("list_guests", &json!({}))),
            &mut || Ok(median(&floor.run(request, 1, calls)?.each)),
            &mut |ours, floor| report.pair(figure, ours, floor),
        )?;
        for peer in &self.peers {
            self.peer_list(peer, &simulator, figure, (rounds, calls), report);
        }
        Ok(())
    }

    fn peer_list(
        &self,
        peer: &Peer,
        simulator: &Simulator,
        figure: Figure,
        (rounds, calls): (usize, usize),
        report: &mut Report,
    ) {
        let started = || -> Result<_> {
            let (mut session, _) = Session::start(&mut peer.command(self.workspace, simulator)?)?;
            let list = session.request("tools/list", &json!({}))?;
            let tool = self.peer_list_tool(&list.result)?;
            session.call(&tool, &json!({}))?;
            Ok((session, tool))
        };
        let (mut session, tool) = match started() {
            Ok(started) => started,
            Err(error) => return report.peer(figure, &peer.name, &Err(error)),
        };
        for _ in 0..rounds {
            let time = repeat(calls, || session.call(&tool, &json!({})));
            report.peer(figure, &peer.name, &time);
        }
    }

    /// Calls a second, and those of as many callers that only send the requests.
    fn callers(&self, report: &mut Report) -> Result<()> {
        let simulator = cluster(self.workspace, 20, &[])?;
        let mut session = self.session(&simulator)?;
        let threads = thread::available_parallelism().map_or(2, usize::from);
        let mut floor = Floor::start(self.workspace, &simulator, threads)?;
        let arguments = get_guest(20);
        let (rounds, calls) = self.scale.load;
        let rate = |time: std::time::Duration| calls as f64 / time.as_secs_f64();
        alternate(
            rounds,
            &mut || {
                let loaded = session.load_calls("get_guest", &arguments, CALLERS, calls)?;
                Ok(rate(loaded.elapsed))
            },
            &mut || {
                Ok(rate(
                    floor.run(&self.requests.get_guest, CALLERS, calls)?.elapsed,
                ))
            },
            &mut |ours, floor| report.pair(Figure::Callers, ours, floor),
        )
    }

    /// The least limit of memory with which a call succeeds: host-runner does not
    /// report what an instance used.
    fn instance_memory(&self, report: &mut Report) -> Result<()> {
        let simulator = cluster(self.workspace, 10_000, &[])?;
        let fits = |mebibytes: u32| {
            let mut command = simulator.host_runner(self.workspace);
            command.args([
                "call",
                "list_guests",
                "--memory-mib",
                &mebibytes.to_string(),
            ]);
            command.output().map(|output| output.status.success())
        };
        let (mut too_little, mut enough) = (0, 256);
        ensure!(fits(enough)?, "list_guests fails with {enough} MiB");
        while enough - too_little > 1 {
            let between = u32::midpoint(too_little, enough);
            match fits(between)? {
                true => enough = between,
                false => too_little = between,
            }
        }
        report.ours(Figure::InstanceMemory, f64::from(enough));
        Ok(())
    }
}

const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// The median time of so many requests, in milliseconds.
fn repeat(times: usize, mut request: impl FnMut() -> Result<session::Response>) -> Result<f64> {
    let times: Result<Vec<f64>> = (0..times).map(|_| Ok(request()?.milliseconds())).collect();
    Ok(median(&times?))
}

/// Measures in turns, so that whatever else the machine does affects both. Each
/// goes first in every other round. The first round warms up.
fn alternate(
    rounds: usize,
    ours: &mut dyn FnMut() -> Result<f64>,
    floor: &mut dyn FnMut() -> Result<f64>,
    report: &mut dyn FnMut(f64, f64),
) -> Result<()> {
    for round in 0..=rounds {
        let (ours, floor) = if round % 2 == 0 {
            let floor = floor()?;
            (ours()?, floor)
        } else {
            let ours = ours()?;
            (ours, floor()?)
        };
        if round > 0 {
            report(ours, floor);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_requests_become_paths() {
        let arrival = json!({"method": "GET", "path": "/cluster/resources", "params": {"type": "vm", "full": 1}});
        assert_eq!(
            path_and_query(&arrival).unwrap(),
            "/cluster/resources?type=vm&full=1"
        );
        assert!(path_and_query(&json!({"method": "POST", "path": "/x", "params": {}})).is_err());
    }
}
