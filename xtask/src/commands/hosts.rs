#![expect(
    clippy::indexing_slicing,
    reason = "reading a JSON value by a name that it lacks gives null and does not panic"
)]

mod act;
mod balancer;
mod conformance;
mod http;
mod install;
mod invoke;
mod load;
mod scene;
mod serve;
mod tour;
mod typed;
mod wassette;

use std::fs;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};

use self::scene::{Scene, Visit};
use super::adapters::{self, Choice, Preset};
use super::build;
use crate::gauge::milliseconds;
use crate::progress::Progress;
use crate::simulator::Simulator;
use crate::table;
use crate::workspace::Workspace;

/// Call tools of a simulated cluster through other WebAssembly hosts
///
/// Installs Wassette, ACT and wasmtime below the build directory, and fails
/// where a call through one of them does not do what it should. Where the
/// packages cannot be fetched, it says so and skips them.
#[derive(Args)]
pub(crate) struct Hosts {
    /// Do not rebuild the tools component, host-runner and pve-sim
    #[arg(long)]
    no_build: bool,
    /// Only these hosts: wassette, wasmtime-run, act, wasmtime-serve
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,
    /// Then measure how many requests one and four processes of wasmtime serve
    /// answer behind one address
    #[arg(long)]
    load: bool,
}

impl Hosts {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        if !self.no_build {
            build::steps(workspace, &mut Progress::new(build::STEPS))?;
            build::release(workspace, &["pve-sim"])?;
        }
        let tools = adapters::tools(workspace, None)?;
        let wanted = |name: &str| self.only.is_empty() || self.only.iter().any(|one| one == name);
        let needed = |adapter: &&str| match *adapter {
            "typed" => wanted("wassette") || wanted("wasmtime-run"),
            "act" => wanted("act"),
            "http" => wanted("wasmtime-serve") || self.load,
            _ => self.only.is_empty(),
        };
        let compose = |preset: Preset, folder: &str, without: &str| {
            let choice = Choice {
                preset: Some(preset),
                toolsets: vec!["all".to_owned()],
                ..Choice::default()
            };
            let out = workspace.target("hosts").join(folder);
            let adapters = adapters::ADAPTERS.into_iter().filter(needed);
            let adapters: Vec<_> = adapters.filter(|adapter| *adapter != without).collect();
            adapters::compose(workspace, &tools, &choice, &out, &adapters)
        };
        let scene = Scene {
            workspace,
            tools: &tools,
            // What a narrow component has is the same code in the http adapter.
            narrow: compose(Preset::Observe, "observe", "http")?,
            all: compose(Preset::Admin, "admin", "")?,
        };

        let mut rows = Vec::new();
        let mut loads = Vec::new();
        match install::programs(workspace) {
            Err(error) => rows.push(json!({
                "host": "all",
                "outcome": format!("skipped: the packages cannot be fetched ({error:#})"),
            })),
            Ok(programs) => {
                if wanted("wassette") {
                    rows.push(try_host(&scene, "Wassette", "typed", |simulator| {
                        wassette::visit(&scene, &programs.wassette, simulator)
                    }));
                }
                if wanted("wasmtime-run") {
                    rows.push(try_host(&scene, "wasmtime run", "typed", |simulator| {
                        invoke::visit(&scene, &programs.wasmtime, simulator)
                    }));
                }
                if wanted("act") {
                    rows.push(try_host(&scene, "ACT", "act", |simulator| {
                        act::visit(&scene, &programs.act, simulator)
                    }));
                }
                if wanted("wasmtime-serve") {
                    rows.push(try_serve(&scene, &programs.wasmtime));
                }
                if self.load {
                    loads = load::measure(&scene, &programs.wasmtime)?;
                }
            }
        }
        if self.only.is_empty() {
            rows.push(json!({
                "host": "wasmcp",
                "component": "wasmcp",
                "size_bytes": fs::metadata(scene.all("wasmcp")?)?.len(),
                "outcome": "composed, then skipped: the rest of its server comes from a registry \
                            of its own",
            }));
        }
        print(&rows);
        if !loads.is_empty() {
            print_loads(&loads);
        }
        if rows.iter().any(|row| row.get("failed").is_some()) {
            bail!("a host did not do what it should");
        }
        Ok(())
    }
}

/// Visits a host with a cluster of its own. The row of the table says how it
/// went.
fn try_host(
    scene: &Scene<'_>,
    host: &str,
    adapter: &str,
    visit: impl FnOnce(&mut Simulator) -> Result<Visit>,
) -> Value {
    let simulator = Simulator::start_plain(scene.workspace, ["--task-seconds", "1"]);
    row(scene, host, adapter, simulator, visit)
}

/// The same for `wasmtime serve`, which reaches a cluster with TLS through
/// `host-runner forward`.
fn try_serve(scene: &Scene<'_>, program: &install::Program) -> Value {
    let simulator = Simulator::start_with(scene.workspace, ["--task-seconds", "1"]);
    row(scene, "wasmtime serve", "http", simulator, |simulator| {
        serve::visit(scene, program, simulator)
    })
}

fn row(
    scene: &Scene<'_>,
    host: &str,
    adapter: &str,
    simulator: Result<Simulator>,
    visit: impl FnOnce(&mut Simulator) -> Result<Visit>,
) -> Value {
    eprintln!("trying {host}…");
    let started = Instant::now();
    let outcome = simulator.and_then(|mut simulator| visit(&mut simulator));
    let size = scene
        .all(adapter)
        .ok()
        .and_then(|path| fs::metadata(path).ok())
        .map(|metadata| metadata.len());
    eprintln!("  {:.0} s", started.elapsed().as_secs_f64());
    match outcome {
        Ok(visit) => json!({
            "host": host,
            "component": adapter,
            "size_bytes": size,
            "start": milliseconds(visit.start),
            "call": milliseconds(visit.call),
            "outcome": format!("ok: {}", visit.said.join(", ")),
        }),
        Err(error) => json!({
            "host": host,
            "component": adapter,
            "size_bytes": size,
            "failed": true,
            "outcome": format!("FAILED: {error:#}"),
        }),
    }
}

#[expect(clippy::print_stdout, reason = "the table is what was asked for")]
fn print_loads(rows: &[Value]) {
    let fields = [
        "processes",
        "clients",
        "request",
        "per_second",
        "median",
        "p99",
    ];
    println!("{}", table::render(rows, &fields));
}

#[expect(clippy::print_stdout, reason = "the table is what was asked for")]
fn print(rows: &[Value]) {
    let fields = [
        "host",
        "component",
        "size_bytes",
        "start",
        "call",
        "outcome",
    ];
    println!("{}", table::render(rows, &fields));
}
