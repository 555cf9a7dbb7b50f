//! Wassette: MCP over stdio, every exported function a tool.

use std::fs::{self, File};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::install::Program;
use super::tour::{self, Caller, Said};
use super::{Scene, Visit, typed, with_settings};
use crate::adapters::typed::kebab;
use crate::mcp::Client;
use crate::simulator::Simulator;

/// Compiling a component takes its time on a busy machine.
const LONGEST_START: Duration = Duration::from_secs(180);

pub(super) fn visit(
    scene: &Scene<'_>,
    program: &Program,
    simulator: &mut Simulator,
) -> Result<Visit> {
    let component = scene.all("typed")?;
    let (client, start) = start(scene, program, simulator, &component, "admin")?;
    let mut host = Wassette {
        client,
        tools: scene.tools,
    };
    let listed = host.client.request("tools/list", &json!({}))?;
    let functions: Vec<String> = scene.names().iter().map(|name| kebab(name)).collect();
    tour::names(listed_names(&listed), &functions)?;
    for tool in listed["tools"].as_array().into_iter().flatten() {
        ensure!(
            !tool["description"]
                .as_str()
                .unwrap_or_default()
                .starts_with("Auto-generated"),
            "{} has no docs",
            tool["name"]
        );
    }
    let (call, mut said) = tour::calls(&mut host, simulator)?;
    said.insert(0, format!("{} tools", functions.len()));
    drop(host);

    let component = scene.narrow("typed")?;
    let (mut client, _) = self::start(scene, program, simulator, &component, "observe")?;
    let reading: Vec<String> = scene.reading().iter().map(|name| kebab(name)).collect();
    let listed = client.request("tools/list", &json!({}))?;
    tour::names(listed_names(&listed), &reading)?;
    let params = json!({ "name": "start-guest", "arguments": { "vmid": 100, "options": [] } });
    let refused = client.request("tools/call", &params)?;
    ensure!(
        refused["isError"] == true,
        "start-guest can be called: {refused}"
    );
    said.push(format!("observe has its {} tools only", reading.len()));
    Ok(Visit { start, call, said })
}

/// With one component and the policy that is shipped for it.
fn start(
    scene: &Scene<'_>,
    program: &Program,
    simulator: &Simulator,
    component: &Path,
    preset: &str,
) -> Result<(Client, Duration)> {
    let folder = scene.folder(&format!("wassette-{preset}"))?;
    let components = folder.join("components");
    fs::create_dir_all(&components)?;
    fs::copy(component, components.join("proxmox-mcp-typed.wasm"))?;
    let policy = format!("adapters/wassette/{preset}.policy.yaml");
    fs::copy(
        scene.workspace.root().join(policy),
        components.join("proxmox-mcp-typed.policy.yaml"),
    )?;

    let started = Instant::now();
    let mut command = program.command();
    command
        .args(["run", "--disable-builtin-tools", "--component-dir"])
        .arg(&components)
        .current_dir(&folder)
        .stderr(File::create(folder.join("log.txt"))?);
    with_settings(&mut command, simulator, &folder);
    let mut client = Client::start(&mut command)?;
    client.initialize()?;
    while listed_names(&client.request("tools/list", &json!({}))?).is_empty() {
        if started.elapsed() > LONGEST_START {
            bail!(
                "it loads no component; see {}",
                folder.join("log.txt").display()
            );
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok((client, started.elapsed()))
}

fn listed_names(listed: &Value) -> Vec<String> {
    listed["tools"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|tool| Some(tool["name"].as_str()?.to_owned()))
        .collect()
}

struct Wassette<'a> {
    client: Client,
    tools: &'a [Value],
}

impl Caller for Wassette<'_> {
    fn call(&mut self, tool: &str, arguments: &Value) -> Result<Said> {
        let arguments = typed::object(typed::parameters(self.tools, tool, arguments)?);
        let params = json!({ "name": kebab(tool), "arguments": arguments });
        let answer = self.client.request("tools/call", &params)?;
        let result = &answer["structuredContent"]["result"];
        if let Some(text) = result["ok"].as_str() {
            return Ok(Ok(
                serde_json::from_str(text).context("the result is not JSON")?
            ));
        }
        match result["err"].as_str() {
            Some(text) => Ok(Err(text.to_owned())),
            None => bail!("it answered {answer}"),
        }
    }
}
