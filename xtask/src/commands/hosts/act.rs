//! ACT: MCP over stdio, `act:tools`.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};

use super::install::Program;
use super::scene::{Scene, Visit, settings, start_client, tool_names};
use super::tour::{self, Caller, Said};
use crate::mcp::{self, Client};
use crate::simulator::Simulator;

pub(super) fn visit(
    scene: &Scene<'_>,
    program: &Program,
    simulator: &mut Simulator,
) -> Result<Visit> {
    let component = scene.all("act")?;
    let (client, start) = start(scene, program, simulator, &component, "admin")?;
    let mut host = Act { client };
    let tools = host.client.tools()?;
    tour::names(tool_names(&tools), &scene.names())?;
    let list_guests = tools
        .iter()
        .find(|tool| tool["name"] == "list_guests")
        .context("no list_guests")?;
    ensure!(
        list_guests
            .pointer("/inputSchema/properties/status/enum")
            .is_some()
            && list_guests.pointer("/annotations/readOnlyHint") == Some(&Value::Bool(true)),
        "schema or annotations are lost: {list_guests}"
    );
    let (call, mut said) = tour::calls(&mut host, simulator)?;
    said.insert(0, format!("{} tools", scene.names().len()));
    drop(host);

    let component = scene.narrow("act")?;
    let (client, _) = self::start(scene, program, simulator, &component, "observe")?;
    let mut host = Act { client };
    tour::names(tool_names(&host.client.tools()?), &scene.reading())?;
    let refused = host.call("start_guest", &json!({ "vmid": 100 }));
    ensure!(
        !matches!(refused, Ok(Ok(_))),
        "start_guest can be called where only tools that read should be"
    );
    said.push(format!(
        "observe has its {} tools only",
        scene.reading().len()
    ));
    Ok(Visit { start, call, said })
}

fn start(
    scene: &Scene<'_>,
    program: &Program,
    simulator: &Simulator,
    component: &Path,
    preset: &str,
) -> Result<(Client, Duration)> {
    let folder = scene.folder(&format!("act-{preset}"))?;
    // ACT passes no environment on, but metadata.
    let metadata: Map<String, Value> = settings(simulator)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    let file = folder.join("metadata.json");
    fs::write(&file, Value::from(metadata).to_string())?;
    let started = Instant::now();
    let mut command = program.command();
    command
        .arg("run")
        .arg("--metadata-file")
        .arg(&file)
        .args(["--mcp", "--max-memory", "64MiB", "--allow"])
        .arg(format!("http={}", simulator.url()))
        .arg(component);
    let client = start_client(&mut command, simulator, &folder)?;
    client.tools()?;
    Ok((client, started.elapsed()))
}

struct Act {
    client: Client,
}

impl Caller for Act {
    fn call(&mut self, tool: &str, arguments: &Value) -> Result<Said> {
        let result = match self.client.call_any(tool, arguments)? {
            Ok(result) => result,
            Err(text) => bail!("it refused: {text}"),
        };
        let text = mcp::text(&result).with_context(|| format!("it answered {result:?}"))?;
        if result.is_error == Some(true) {
            return Ok(Err(text.to_owned()));
        }
        Ok(Ok(
            serde_json::from_str(text).context("the result is not JSON")?
        ))
    }
}
