use std::fs;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};

use super::build;
use crate::gauge::{self, milliseconds, percentile};
use crate::mcp::Client;
use crate::progress::{Progress, Step};
use crate::simulator::Simulator;
use crate::table;
use crate::workspace::Workspace;

/// Measure start, latency, memory and sizes, against the simulated cluster
#[derive(Args)]
pub(crate) struct Bench {
    /// How many times host-runner is started
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    starts: u32,
    /// How many times `list_guests` is called
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    calls: u32,
}

impl Bench {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        let mut progress = Progress::new(build::STEPS + 3);
        build::steps(workspace, &mut progress)?;
        progress.step("building the simulated Proxmox VE", || {
            build::release(workspace, &["pve-sim"])
        })?;
        let simulator = Simulator::start(workspace)?;
        let mut report = Report::default();
        progress.step(
            &format!("starting host-runner {} times", self.starts),
            || self.measure_starts(workspace, &simulator, &mut report),
        )?;
        progress.step(&format!("calling list_guests {} times", self.calls), || {
            self.measure_calls(workspace, &simulator, &mut report)
        })?;
        report.sizes(workspace)?;
        report.print();
        Ok(())
    }

    fn measure_starts(
        &self,
        workspace: &Workspace,
        simulator: &Simulator,
        report: &mut Report,
    ) -> Result<Step> {
        let mut times = Vec::new();
        for _ in 0..self.starts {
            let started = Instant::now();
            let client = Client::start(&mut simulator.host_runner(workspace))?;
            times.push(started.elapsed());
            client.close()?;
        }
        times.sort();
        report.line(
            "spawn to the initialize response",
            format!(
                "median {}, slowest {} (n = {})",
                milliseconds(percentile(&times, 50)),
                milliseconds(percentile(&times, 100)),
                times.len()
            ),
        );
        Ok(Step::Done)
    }

    fn measure_calls(
        &self,
        workspace: &Workspace,
        simulator: &Simulator,
        report: &mut Report,
    ) -> Result<Step> {
        let client = Client::start(&mut simulator.host_runner(workspace))?;
        let tools = client.tools()?;

        // The first call opens the connection.
        let first = Instant::now();
        list_guests(&client)?;
        let first = first.elapsed();
        let mut times = Vec::new();
        for _ in 0..self.calls {
            let started = Instant::now();
            list_guests(&client)?;
            times.push(started.elapsed());
        }
        times.sort();
        report.line(
            "list_guests over stdio and HTTPS",
            format!(
                "p50 {}, p99 {} (n = {}); the first {}",
                milliseconds(percentile(&times, 50)),
                milliseconds(percentile(&times, 99)),
                times.len(),
                milliseconds(first)
            ),
        );
        report.line("resident memory after that", resident(client.id()));
        client.close()?;
        report.tool_list(tools);
        Ok(Step::Done)
    }
}

fn list_guests(client: &Client) -> Result<()> {
    let answer = client.call("list_guests", &json!({}))?;
    answer.content().context("list_guests failed")?;
    Ok(())
}

/// The figures, each with its name.
#[derive(Default)]
struct Report(Vec<(&'static str, String)>);

impl Report {
    fn line(&mut self, name: &'static str, figure: String) {
        self.0.push((name, figure));
    }

    fn tool_list(&mut self, mut tools: Vec<Value>) {
        let count = tools.len();
        let whole = json!({ "tools": tools }).to_string().len();
        for tool in tools.iter_mut().filter_map(Value::as_object_mut) {
            tool.remove("outputSchema");
        }
        let lean = json!({ "tools": tools }).to_string().len();
        let average = lean.checked_div(count).unwrap_or(0);
        self.line("tools/list", format!("{whole} bytes, {count} tools"));
        self.line(
            "  without output schemas",
            format!("{lean} bytes, {average} a tool on average"),
        );
    }

    fn sizes(&mut self, workspace: &Workspace) -> Result<()> {
        for (name, path) in [
            ("component", workspace.component("proxmox_mcp.wasm")),
            ("  compiled", workspace.component("proxmox_mcp.cwasm")),
            (
                "host-runner with both inside",
                workspace.binary("host-runner"),
            ),
        ] {
            let size = fs::metadata(&path)
                .with_context(|| format!("cannot read {}", path.display()))?
                .len();
            self.line(
                name,
                format!("{size} bytes ({})", table::bytes(size as f64)),
            );
        }
        Ok(())
    }

    #[expect(clippy::print_stdout, reason = "the figures are what was asked for")]
    fn print(&self) {
        for (name, figure) in &self.0 {
            println!("{name:<34}{figure}");
        }
    }
}

/// As the kernel counts it.
fn resident(process: u32) -> String {
    gauge::resident(process).map_or_else(|| "unknown on this system".to_owned(), table::bytes)
}
