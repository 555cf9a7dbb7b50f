//! `cargo xtask hosts --load`: several processes of `wasmtime serve` behind one
//! address.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::balancer;
use super::install::Program;
use super::scene::Scene;
use super::serve::{Client, Forward, Serve, TOKEN};
use crate::gauge::{milliseconds, percentile};
use crate::simulator::Simulator;

const CLIENTS: usize = 8;
const TIME: Duration = Duration::from_secs(10);

/// Measures one process, then four. A row for each kind of request.
pub(super) fn measure(scene: &Scene<'_>, program: &Program) -> Result<Vec<Value>> {
    let component = scene.all("http")?;
    let folder = scene.folder("load")?;
    let simulator = Simulator::start_with(scene.workspace, ["--task-seconds", "1"])?;
    let policy = ["--read-only", "--call-requests=10000000"];
    let forward = Forward::start(scene.workspace, &simulator, &folder, &policy)?;
    let mut rows = Vec::new();
    for processes in [1, 4] {
        eprintln!("load on {processes} of wasmtime serve…");
        let servers: Result<Vec<Serve>> = thread::scope(|scope| {
            let starting: Vec<_> = (0..processes)
                .map(|_| {
                    scope
                        .spawn(|| Serve::start(program, &component, &forward, &folder, Some(TOKEN)))
                })
                .collect();
            starting
                .into_iter()
                .map(|one| one.join().ok().context("a server did not start")?)
                .collect()
        });
        let servers = servers?;
        let addresses = servers.iter().map(|one| one.address.clone()).collect();
        let front = balancer::start(addresses, None)?;
        for (what, method, params) in [
            ("tools/list", "tools/list", json!({})),
            (
                "list_guests",
                "tools/call",
                json!({ "name": "list_guests", "arguments": {} }),
            ),
        ] {
            rows.push(load(
                &front,
                &simulator,
                processes,
                (what, method, &params),
            )?);
        }
    }
    Ok(rows)
}

fn load(
    front: &str,
    simulator: &Simulator,
    processes: usize,
    (what, method, params): (&str, &str, &Value),
) -> Result<Value> {
    let failed = AtomicUsize::new(0);
    let started = Instant::now();
    let mut times: Vec<Duration> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let client = Client::new(front, simulator.secret());
                    let mut times = Vec::new();
                    while started.elapsed() < TIME {
                        let begun = Instant::now();
                        let answer = client.request(method, params);
                        match answer {
                            Ok(Ok(result)) if result["isError"] != true => {
                                times.push(begun.elapsed());
                            }
                            _ => {
                                failed.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    }
                    times
                })
            })
            .collect();
        clients
            .into_iter()
            .flat_map(|client| client.join().unwrap_or_default())
            .collect()
    });
    let seconds = started.elapsed().as_secs_f64();
    times.sort();
    let failed = failed.into_inner();
    ensure!(failed == 0, "{what}: {failed} requests failed under load");
    Ok(json!({
        "processes": processes,
        "clients": CLIENTS,
        "request": what,
        "per_second": format!("{:.0}", times.len() as f64 / seconds),
        "median": milliseconds(percentile(&times, 50)),
        "p99": milliseconds(percentile(&times, 99)),
    }))
}
