//! The same calls over stdio and HTTP, from many callers.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::floor::{self, Echo, Floor, Poster, Posts};
use super::sample::{self, Sample, median};
use super::session::{self, Loaded, Session};
use super::{CALLERS, MEBIBYTE, Requests, cluster, get_guest};
use crate::gauge;
use crate::table;
use crate::web::{Era, Visitor, Web};
use crate::workspace::Workspace;

/// What is measured, in the order of the table.
#[derive(Default)]
pub(super) struct Transports(Vec<Row>);

/// A kind of call over a transport.
struct Row {
    name: &'static str,
    about: &'static str,
    transport: &'static str,
    /// Calls per second of each round.
    rates: Vec<f64>,
    /// As many, of the floor.
    floors: Vec<f64>,
    /// Of all calls, in milliseconds.
    times: Vec<f64>,
    /// Resident memory after the last round, in MiB.
    resident: Vec<f64>,
}

/// Rounds of a run, and calls in each. The first round warms up.
pub(super) type Scale = (usize, usize);

/// What is called.
struct Call {
    name: &'static str,
    about: &'static str,
    arguments: Vec<Value>,
    /// What every response contains, and no other.
    expects: &'static str,
}

/// Both servers, and what else takes part.
struct Field<'a> {
    stdio: Session,
    web: Web,
    poster: Poster,
    floor: Floor,
    idle: Session,
    echo: Echo,
    requests: &'a Requests,
}

impl Transports {
    /// One run, with new processes.
    pub(super) fn measure(
        &mut self,
        workspace: &Workspace,
        requests: &Requests,
        scale: Scale,
    ) -> Result<()> {
        let simulator = cluster(workspace, 20, &[])?;
        let threads = thread::available_parallelism().map_or(2, usize::from);
        let mut command = simulator.host_runner(workspace);
        for (limit, value) in [
            ("REQUESTS", "1000000"),
            ("CONNECTIONS", "512"),
            ("CONCURRENCY", "512"),
        ] {
            command.env(format!("PROXMOX_MCP_HTTP_{limit}"), value);
        }
        let log = workspace.target("bench/serve.log");
        let mut field = Field {
            stdio: Session::start(&mut simulator.host_runner(workspace))?.0,
            web: Web::start(&mut command, &log)?,
            poster: Poster::start(workspace, threads)?,
            floor: Floor::start(workspace, &simulator, threads)?,
            idle: Session::start(&mut floor::stdio(workspace))?.0,
            echo: Echo::start(workspace, threads)?,
            requests,
        };
        let calls = [
            Call {
                name: "no_request",
                about: "A call that sends no request",
                arguments: vec![json!({ "vmid": 1 })],
                expects: r#""isError":true"#,
            },
            Call {
                name: "get_guest",
                about: "`get_guest`",
                arguments: get_guest(20),
                expects: r#""structuredContent""#,
            },
        ];
        for call in &calls {
            field.rounds(call, scale, self)?;
        }
        Ok(())
    }

    fn row(&mut self, call: &Call, transport: &'static str) -> Result<&mut Row> {
        let is_it = |row: &Row| row.name == call.name && row.transport == transport;
        if !self.0.iter().any(is_it) {
            self.0.push(Row {
                name: call.name,
                about: call.about,
                transport,
                rates: Vec::new(),
                floors: Vec::new(),
                times: Vec::new(),
                resident: Vec::new(),
            });
        }
        self.0.iter_mut().find(|row| is_it(row)).context("no row")
    }

    /// The table in Markdown, after an empty line.
    pub(super) fn markdown(&self) -> String {
        let head = [
            "64 concurrent callers",
            "Transport",
            "Calls per second (p10–p90)",
            "Floor",
            "Part of the floor",
            "p50",
            "p99",
            "Resident memory after that",
        ];
        let rows = self.0.iter().filter_map(Row::cells);
        format!("\n{}", table::markdown(&head, rows))
    }

    pub(super) fn json(&self) -> Value {
        self.0.iter().map(Row::json).collect()
    }
}

impl Row {
    fn share(&self) -> f64 {
        let pairs = self.rates.iter().zip(&self.floors);
        let shares: Vec<f64> = pairs.map(|(rate, floor)| rate / floor).collect();
        median(&shares)
    }

    fn cells(&self) -> Option<Vec<String>> {
        let rates = Sample::of(&self.rates)?;
        let time = |quantile| {
            let time = sample::quantile(&self.times, quantile)?;
            Some(format!("{time:.2} ms"))
        };
        let resident = Sample::of(&self.resident);
        Some(vec![
            self.about.to_owned(),
            self.transport.to_owned(),
            format!("{:.0} ({:.0}–{:.0})", rates.median, rates.low, rates.high),
            format!("{:.0}", median(&self.floors)),
            format!("{:.0} %", self.share() * 100.0),
            time(0.5)?,
            time(0.99)?,
            resident.map_or_else(|| "–".to_owned(), |one| format!("{:.1} MiB", one.median)),
        ])
    }

    fn json(&self) -> Value {
        json!({
            "call": self.name,
            "transport": self.transport,
            "callers": CALLERS,
            "per_second": Sample::of(&self.rates).map(Sample::to_json),
            "floor_per_second": Sample::of(&self.floors).map(Sample::to_json),
            "share_of_floor": self.share(),
            "p50_ms": sample::quantile(&self.times, 0.5),
            "p99_ms": sample::quantile(&self.times, 0.99),
            "resident_mib": Sample::of(&self.resident).map(Sample::to_json),
        })
    }
}

impl Field<'_> {
    /// Measures both transports and their floors in turns. Each goes first in every other
    /// round.
    fn rounds(
        &mut self,
        call: &Call,
        (rounds, calls): Scale,
        report: &mut Transports,
    ) -> Result<()> {
        let bytes = self.over_stdio(call, 1)?.results;
        let bytes = bytes.iter().map(|result| result.to_string().len()).sum();
        let transports = ["stdio", "HTTP"];
        for transport in transports {
            report.row(call, transport)?;
        }
        for round in 0..=rounds {
            let mut order = transports;
            if round % 2 == 1 {
                order.reverse();
            }
            for transport in order {
                let floor_first = round % 4 < 2;
                let first = floor_first.then(|| self.floor_of(call, transport, bytes, calls));
                let (elapsed, times) = self.load(call, transport, calls)?;
                let floor = match first {
                    Some(floor) => floor?,
                    None => self.floor_of(call, transport, bytes, calls)?,
                };
                if round > 0 {
                    let row = report.row(call, transport)?;
                    row.rates.push(calls as f64 / elapsed.as_secs_f64());
                    row.floors.push(calls as f64 / floor.as_secs_f64());
                    row.times.extend(times);
                }
            }
        }
        for (transport, process) in [("stdio", self.stdio.id()), ("HTTP", self.web.id())] {
            let resident = gauge::resident(process).map(|bytes| bytes / MEBIBYTE);
            report.row(call, transport)?.resident.extend(resident);
        }
        Ok(())
    }

    fn load(&mut self, call: &Call, transport: &str, times: usize) -> Result<(Duration, Vec<f64>)> {
        if transport == "stdio" {
            let loaded = self.over_stdio(call, times)?;
            let each = loaded.each.iter().map(|time| time.as_secs_f64() * 1e3);
            return Ok((loaded.elapsed, each.collect()));
        }
        let address = self.web.address();
        let visitor = Visitor::greet(address, Era::Stateless, None)?;
        let messages: Vec<Value> = call
            .arguments
            .iter()
            .map(|arguments| {
                let params = session::call("get_guest", arguments);
                visitor.message("tools/call", params).1
            })
            .collect();
        let headers = visitor.headers(messages.first().context("no arguments")?);
        let bodies: Vec<String> = messages.iter().map(Value::to_string).collect();
        let posts = Posts {
            url: &format!("http://{address}/mcp"),
            headers: &headers,
            bodies: &bodies,
            expects: call.expects,
        };
        let done = self.poster.run(&posts, CALLERS, times)?;
        Ok((done.elapsed, done.each))
    }

    fn over_stdio(&mut self, call: &Call, times: usize) -> Result<Loaded> {
        let params = call.arguments.iter();
        let params: Vec<Value> = params.map(|one| session::call("get_guest", one)).collect();
        let loaded = self.stdio.load("tools/call", &params, CALLERS, times)?;
        for result in &loaded.results {
            let text = result.to_string();
            ensure!(text.contains(call.expects), "get_guest answers {text:.300}");
        }
        Ok(loaded)
    }

    /// How long the floor takes for as many calls: answers of so many bytes, or the
    /// requests to Proxmox VE.
    fn floor_of(
        &mut self,
        call: &Call,
        transport: &str,
        bytes: usize,
        times: usize,
    ) -> Result<Duration> {
        if call.name == "get_guest" {
            let requests = &self.requests.get_guest;
            return Ok(self.floor.run(requests, CALLERS, times)?.elapsed);
        }
        if transport == "stdio" {
            let params = [json!({ "bytes": bytes })];
            return Ok(self.idle.load("floor", &params, CALLERS, times)?.elapsed);
        }
        let posts = Posts {
            url: &format!("http://{}/{bytes}", self.echo.address),
            headers: &[],
            bodies: &[call
                .arguments
                .first()
                .map(Value::to_string)
                .unwrap_or_default()],
            expects: "",
        };
        Ok(self.poster.run(&posts, CALLERS, times)?.elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_are_beside_each_other() {
        let mut transports = Transports::default();
        let call = Call {
            name: "get_guest",
            about: "`get_guest`",
            arguments: Vec::new(),
            expects: "",
        };
        for (transport, rate) in [("stdio", 500.0), ("HTTP", 400.0)] {
            let row = transports.row(&call, transport).unwrap();
            row.rates.push(rate);
            row.floors.push(1000.0);
            row.times.extend((1..=100).map(f64::from));
            row.resident.push(30.0);
        }
        let text = transports.markdown();
        let row =
            "| `get_guest` | HTTP | 400 (400–400) | 1000 | 40 % | 50.50 ms | 99.01 ms | 30.0 MiB |";
        assert!(text.contains(row), "{text}");
        let json = transports.json();
        assert_eq!(json.pointer("/0/share_of_floor"), Some(&json!(0.5)));
        assert_eq!(json.pointer("/1/per_second/median"), Some(&json!(400.0)));
    }
}
