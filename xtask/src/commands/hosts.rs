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
mod serve;
mod tour;
mod typed;
mod wassette;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use super::adapters::{self, Built, Choice, Preset};
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
    /// Take the tools component, host-runner and pve-sim as they were built last
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

/// How long a call waits for its task here, in seconds: longer than a task that
/// ends, shorter than one that does not.
const WAIT_SECONDS: u64 = 8;

impl Hosts {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        if !self.no_build {
            build::steps(workspace, &mut Progress::new(build::STEPS))?;
            build::release(workspace, &["pve-sim"])?;
        }
        let tools = adapters::tools(workspace)?;
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
                    rows.push(scene.try_host("Wassette", "typed", |simulator| {
                        wassette::visit(&scene, &programs.wassette, simulator)
                    }));
                }
                if wanted("wasmtime-run") {
                    rows.push(scene.try_host("wasmtime run", "typed", |simulator| {
                        invoke::visit(&scene, &programs.wasmtime, simulator)
                    }));
                }
                if wanted("act") {
                    rows.push(scene.try_host("ACT", "act", |simulator| {
                        act::visit(&scene, &programs.act, simulator)
                    }));
                }
                if wanted("wasmtime-serve") {
                    rows.push(scene.try_serve(&programs.wasmtime));
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

/// What all hosts are tried with.
struct Scene<'a> {
    workspace: &'a Workspace,
    tools: &'a [Value],
    /// Components with all tools.
    all: Vec<Built>,
    /// Components with those alone that change nothing.
    narrow: Vec<Built>,
}

/// What a visit to a host has measured.
struct Visit {
    /// From the start to the list of tools, the first time.
    start: Duration,
    /// The median of some calls of `list_guests`.
    call: Duration,
    /// What went well, in a few words.
    said: Vec<String>,
}

impl Scene<'_> {
    fn component(built: &[Built], adapter: &str) -> Result<PathBuf> {
        built
            .iter()
            .find(|one| one.adapter == adapter)
            .map(|one| one.path.clone())
            .with_context(|| format!("there is no adapter {adapter}"))
    }

    fn all(&self, adapter: &str) -> Result<PathBuf> {
        Self::component(&self.all, adapter)
    }

    fn narrow(&self, adapter: &str) -> Result<PathBuf> {
        Self::component(&self.narrow, adapter)
    }

    /// The names of the tools that change nothing.
    fn reading(&self) -> Vec<String> {
        self.tools
            .iter()
            .filter(|tool| tool.pointer("/annotations/readOnlyHint") == Some(&Value::Bool(true)))
            .filter_map(|tool| Some(tool.get("name")?.as_str()?.to_owned()))
            .collect()
    }

    /// The names of all tools.
    fn names(&self) -> Vec<String> {
        self.tools
            .iter()
            .filter_map(|tool| Some(tool.get("name")?.as_str()?.to_owned()))
            .collect()
    }

    /// A folder for one host, empty.
    fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.workspace.target("hosts/run").join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Visits a host with a cluster of its own. The row of the table says how it
    /// went.
    fn try_host(
        &self,
        host: &str,
        adapter: &str,
        visit: impl FnOnce(&mut Simulator) -> Result<Visit>,
    ) -> Value {
        let simulator = Simulator::start_plain(self.workspace, ["--task-seconds", "1"]);
        self.row(host, adapter, simulator, visit)
    }

    /// The same for `wasmtime serve`, which reaches a cluster with TLS through
    /// `host-runner forward`.
    fn try_serve(&self, program: &install::Program) -> Value {
        let simulator = Simulator::start_with(self.workspace, ["--task-seconds", "1"]);
        self.row("wasmtime serve", "http", simulator, |simulator| {
            serve::visit(self, program, simulator)
        })
    }

    fn row(
        &self,
        host: &str,
        adapter: &str,
        simulator: Result<Simulator>,
        visit: impl FnOnce(&mut Simulator) -> Result<Visit>,
    ) -> Value {
        eprintln!("trying {host}…");
        let started = Instant::now();
        let outcome = simulator.and_then(|mut simulator| visit(&mut simulator));
        let size = self
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
}

/// A host's process, with the simulator's settings and nothing else of the
/// user's but what a program needs.
fn with_settings(command: &mut Command, simulator: &Simulator, home: &Path) {
    command.env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command.env("HOME", home);
    for (name, value) in settings(simulator) {
        command.env(name, value);
    }
}

/// What the component is told, by its environment.
fn settings(simulator: &Simulator) -> Vec<(&'static str, String)> {
    let mut settings: Vec<_> = simulator
        .settings()
        .iter()
        .filter(|(name, _)| *name != "PROXMOX_CA_FILE")
        .cloned()
        .collect();
    settings.push(("PROXMOX_MCP_WAIT_SECONDS", WAIT_SECONDS.to_string()));
    settings
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
