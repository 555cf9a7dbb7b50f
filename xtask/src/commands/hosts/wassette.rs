//! Wassette: MCP over stdio, every exported function a tool.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::install::Program;
use super::scene::{LOG, Scene, Visit, start_client, tool_names};
use super::tour::{self, Caller, Said};
use super::typed;
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
    let tools = host.client.tools()?;
    let functions: Vec<String> = scene.names().iter().map(|name| kebab(name)).collect();
    tour::names(tool_names(&tools), &functions)?;
    for tool in tools {
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
    let (client, _) = self::start(scene, program, simulator, &component, "observe")?;
    let reading: Vec<String> = scene.reading().iter().map(|name| kebab(name)).collect();
    tour::names(tool_names(&client.tools()?), &reading)?;
    let options = json!({ "options": [{ "tag": "vmid", "val": 100 }] });
    let refused = client.call_any("start-guest", &options)?;
    ensure!(
        refused
            .as_ref()
            .is_ok_and(|result| result.is_error == Some(true)),
        "start-guest can be called: {refused:?}"
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
        .arg(&components);
    let client = start_client(&mut command, simulator, &folder)?;
    while client.tools()?.is_empty() {
        if started.elapsed() > LONGEST_START {
            bail!("it loads no component; see {}", folder.join(LOG).display());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok((client, started.elapsed()))
}

struct Wassette<'a> {
    client: Client,
    tools: &'a [Value],
}

impl Caller for Wassette<'_> {
    fn call(&mut self, tool: &str, arguments: &Value) -> Result<Said> {
        let arguments = typed::object(typed::parameters(self.tools, tool, arguments)?);
        let answer = match self.client.call_any(&kebab(tool), &arguments)? {
            Ok(answer) => answer,
            Err(text) => bail!("it refused: {text}"),
        };
        let content = answer.structured_content.as_ref();
        let result = content
            .and_then(|content| content.get("result"))
            .with_context(|| format!("it answered {answer:?}"))?;
        if let Some(text) = result["ok"].as_str() {
            return Ok(Ok(
                serde_json::from_str(text).context("the result is not JSON")?
            ));
        }
        match result["err"].as_str() {
            Some(text) => Ok(Err(text.to_owned())),
            None => bail!("it answered {answer:?}"),
        }
    }
}
