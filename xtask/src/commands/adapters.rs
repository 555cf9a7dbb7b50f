use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::build;
use crate::adapters::typed;
use crate::progress::{Progress, Step};
use crate::table;
use crate::workspace::{Workspace, output, run};

/// Build a component for each kind of WebAssembly host, each one file that
/// needs nothing else
#[derive(Args)]
pub(crate) struct Adapters {
    /// Do not rebuild the tools component and host-runner
    #[arg(long)]
    no_build: bool,
    #[command(flatten)]
    choice: Choice,
    /// Where the components go [default: adapters/ in the build directory]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

/// Which tools a component has. Those that are dangerous are left out unless
/// they are allowed, as in host-runner.
#[derive(Args, Clone, Default)]
pub(crate) struct Choice {
    /// Only the tools that suit a preset of host-runner's policy
    #[arg(long)]
    pub(crate) preset: Option<Preset>,
    /// Only these groups of tools; `all` means every group, and `default` those that are
    /// taken without this option
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) toolsets: Vec<String>,
    /// Only these tools
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) tools: Vec<String>,
    /// Exclude these tools
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) exclude_tools: Vec<String>,
    /// Only tools that read
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Also these dangerous tools
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) allow_tool: Vec<String>,
}

/// Sets of tools, named as the presets of host-runner's policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Preset {
    /// Tools that change nothing
    Observe,
    /// Without tools whose every change `operate` refuses. Of other tools, it refuses
    /// some calls, which only host-runner can tell apart
    Operate,
    /// All tools, the dangerous ones too
    Admin,
}

impl Preset {
    fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

/// The adapters, by the folder that each is in.
pub(crate) const ADAPTERS: [&str; 4] = ["typed", "act", "wasmcp", "http"];

impl Adapters {
    #[expect(clippy::print_stdout, reason = "the table is what was asked for")]
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        if !self.no_build {
            build::steps(workspace, &mut Progress::new(build::STEPS))?;
        }
        let tools = tools(workspace, self.choice.preset)?;
        let out = self.out.unwrap_or_else(|| workspace.target("adapters"));
        let built = compose(workspace, &tools, &self.choice, &out, &ADAPTERS)?;
        println!("{}", sizes(&built)?);
        Ok(())
    }
}

/// A composed component.
pub(crate) struct Built {
    pub(crate) adapter: &'static str,
    pub(crate) path: PathBuf,
    /// The adapter by itself.
    alone: PathBuf,
    tools: usize,
}

/// The tool list, as host-runner tells it, with what a preset refuses.
pub(crate) fn tools(workspace: &Workspace, preset: Option<Preset>) -> Result<Vec<Value>> {
    let host_runner = workspace.binary("host-runner");
    let mut command = Command::new(host_runner);
    command.args(["tools", "-o", "json", "--preset"]);
    command.arg(preset.unwrap_or(Preset::Admin).name());
    let list = output(&mut command)?;
    let list: Value = serde_json::from_str(&list)?;
    list.as_array()
        .cloned()
        .context("the tool list is not a list")
}

/// Writes the source of the typed adapter, unless it is there already: a new one
/// would have the adapter built again.
fn write_source(workspace: &Workspace, tools: &[Value]) -> Result<PathBuf> {
    let path = workspace.target("adapters/typed.rs");
    let new = typed::source(tools)?;
    if fs::read_to_string(&path).ok().as_deref() != Some(&new) {
        fs::create_dir_all(workspace.target("adapters"))?;
        fs::write(&path, new).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(path)
}

/// Builds those of these adapters that the checkout has, and composes each with
/// the tools component.
pub(crate) fn compose(
    workspace: &Workspace,
    tools: &[Value],
    choice: &Choice,
    out: &Path,
    adapters: &[&'static str],
) -> Result<Vec<Built>> {
    let chosen = choice.of(tools)?;
    let names: Vec<&str> = chosen.iter().filter_map(|tool| name(tool)).collect();
    fs::create_dir_all(out)?;
    let adapters = adapters.iter().copied().filter(|adapter| {
        let manifest = format!("adapters/{adapter}/Cargo.toml");
        workspace.root().join(manifest).exists()
    });
    let adapters: Vec<&'static str> = adapters.collect();
    let mut progress = Progress::new(1 + 2 * adapters.len());

    let composer = workspace.target("compose");
    progress.step("building the composer", || {
        run(workspace
            .cargo([
                "build",
                "--locked",
                "--manifest-path",
                "adapters/compose/Cargo.toml",
            ])
            .arg("--target-dir")
            .arg(&composer))?;
        Ok(Step::Done)
    })?;
    let composer = composer.join("debug/adapter-compose");

    let source = write_source(workspace, tools)?;
    let mut built = Vec::new();
    for adapter in adapters {
        progress.step(&format!("building the adapter {adapter}"), || {
            run(workspace
                .cargo_component("rustc")
                .args(["--package", &format!("adapter-{adapter}")])
                .args(["--lib", "--crate-type", "cdylib"])
                .env("ADAPTER_TOOLS", names.join(","))
                .env("ADAPTER_TYPED_SOURCE", &source))?;
            Ok(Step::Done)
        })?;
        let alone = workspace.component(&format!("adapter_{adapter}.wasm"));
        let path = out.join(format!("proxmox-mcp-{adapter}.wasm"));
        progress.step("composing it with the tools", || {
            let mut command = Command::new(&composer);
            command
                .arg(&alone)
                .arg(workspace.component("proxmox_mcp.wasm"))
                .arg(&path)
                .args(extras(workspace, adapter, &chosen)?);
            run(&mut command)?;
            Ok(Step::Done)
        })?;
        built.push(Built {
            adapter,
            path,
            alone,
            tools: names.len(),
        });
    }
    Ok(built)
}

/// What of the composition is special to an adapter.
fn extras(workspace: &Workspace, adapter: &str, chosen: &[Value]) -> Result<Vec<OsString>> {
    let section = |option: &str, name: &str, data: Vec<u8>| -> Result<Vec<OsString>> {
        let file = workspace.target(format!("compose/{adapter}.section"));
        fs::write(&file, data).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(vec![option.into(), name.into(), file.into()])
    };
    Ok(match adapter {
        "typed" => {
            let functions: Vec<String> = chosen
                .iter()
                .filter_map(|tool| name(tool).map(typed::kebab))
                .collect();
            let mut extras = section("--section", "package-docs", typed::docs_section(chosen)?)?;
            extras.extend(["--only".into(), functions.join(",").into()]);
            extras
        }
        "act" => {
            // Hosts refuse a component without it. What it may reach is for the
            // operator to say: `--allow http=…`.
            let about = json!({
                "std": {
                    "name": "proxmox-mcp",
                    "version": env!("CARGO_PKG_VERSION"),
                    "description": "Proxmox VE tools",
                    "default-language": "en",
                    "capabilities": {
                        "wasi:http": {
                            "description": "calls the API of Proxmox VE",
                            "constraints": [{ "host": "*" }],
                        }
                    }
                }
            });
            run(workspace
                .cargo_component("rustc")
                .args(["--package", "adapter-environment"])
                .args(["--lib", "--crate-type", "cdylib"]))?;
            let mut extras = section(
                "--cbor-section",
                "act:component",
                about.to_string().into_bytes(),
            )?;
            // Its hosts give a component no environment.
            extras.extend([
                "--between".into(),
                workspace.component("adapter_environment.wasm").into(),
            ]);
            extras
        }
        _ => Vec::new(),
    })
}

/// What has become of each, for a person.
fn sizes(built: &[Built]) -> Result<String> {
    let size = |path: &Path| -> Result<f64> {
        let metadata = fs::metadata(path);
        let metadata = metadata.with_context(|| format!("no {}", path.display()))?;
        Ok(metadata.len() as f64)
    };
    let mut text = String::new();
    for one in built {
        text.push_str(&format!(
            "{:<7} {:>9}, of which the adapter {:>9}, {} tools  {}\n",
            one.adapter,
            table::bytes(size(&one.path)?),
            table::bytes(size(&one.alone)?),
            one.tools,
            one.path.display()
        ));
    }
    Ok(text)
}

impl Choice {
    /// The tools that are chosen, in their order.
    pub(crate) fn of(&self, tools: &[Value]) -> Result<Vec<Value>> {
        let known = |key: &str| -> BTreeSet<&str> {
            tools
                .iter()
                .filter_map(|tool| tool.get(key)?.as_str())
                .collect()
        };
        let (names, mut toolsets) = (known("name"), known("toolset"));
        toolsets.extend(["all", "default"]);
        for (option, given, known) in [
            ("--toolsets", &self.toolsets, &toolsets),
            ("--tools", &self.tools, &names),
            ("--exclude-tools", &self.exclude_tools, &names),
            ("--allow-tool", &self.allow_tool, &names),
        ] {
            if let Some(unknown) = given.iter().find(|name| !known.contains(name.as_str())) {
                let known: Vec<&str> = known.iter().copied().collect();
                bail!(
                    "{option} names {unknown:?}: choose from {}",
                    known.join(", ")
                );
            }
        }
        let chosen: Vec<Value> = tools
            .iter()
            .filter(|tool| self.takes(tool))
            .cloned()
            .collect();
        ensure!(!chosen.is_empty(), "the options leave no tool");
        Ok(chosen)
    }

    fn takes(&self, tool: &Value) -> bool {
        let is = |pointer: &str| tool.pointer(pointer).and_then(Value::as_bool) == Some(true);
        let within = |key: &str, chosen: &[String]| {
            let value = tool.get(key).and_then(Value::as_str).unwrap_or_default();
            chosen.iter().any(|one| one == value)
        };
        let reads = is("/annotations/readOnlyHint");
        let refused = tool.get("refused").is_some_and(Value::is_string);
        let suits = match self.preset {
            Some(Preset::Observe) => reads,
            Some(Preset::Operate) => !refused,
            Some(Preset::Admin) | None => true,
        };
        let has = |keyword: &str| self.toolsets.iter().any(|one| one == keyword);
        let is_named = within("name", &self.tools) || within("name", &self.allow_tool);
        let is_on = within("toolset", &self.toolsets)
            || has("all")
            || is("/by_default") && (self.toolsets.is_empty() || has("default"))
            || is_named && self.toolsets.is_empty();
        let allowed = self.preset == Some(Preset::Admin) || within("name", &self.allow_tool);
        suits
            && is_on
            && (self.tools.is_empty() || within("name", &self.tools))
            && !within("name", &self.exclude_tools)
            && (reads || !self.read_only)
            && (allowed || !is("/dangerous"))
    }
}

fn name(tool: &Value) -> Option<&str> {
    tool.get("name")?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tools() -> Vec<Value> {
        let tool = |name: &str, toolset: &str, reads: bool| {
            json!({
                "name": name,
                "toolset": toolset,
                "annotations": { "readOnlyHint": reads },
                "dangerous": name == "run_in_guest",
                "by_default": toolset != "agent",
                "refused": (name == "rollback_snapshot")
                    .then_some("the policy does not allow this"),
            })
        };
        vec![
            tool("list_nodes", "nodes", true),
            tool("start_guest", "power", false),
            tool("rollback_snapshot", "snapshots", false),
            tool("run_in_guest", "agent", false),
        ]
    }

    fn chosen(choice: &Choice) -> Vec<String> {
        let chosen = choice.of(&tools()).unwrap();
        chosen
            .iter()
            .filter_map(|tool| name(tool).map(str::to_owned))
            .collect()
    }

    fn texts(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn each_option_leaves_tools_out() {
        let all = Choice::default;
        assert_eq!(
            chosen(&all()),
            ["list_nodes", "start_guest", "rollback_snapshot"]
        );
        let read_only = Choice {
            read_only: true,
            ..all()
        };
        assert_eq!(chosen(&read_only), ["list_nodes"]);
        let toolsets = Choice {
            toolsets: texts(&["nodes", "power"]),
            ..all()
        };
        assert_eq!(chosen(&toolsets), ["list_nodes", "start_guest"]);
        let named = Choice {
            tools: texts(&["start_guest", "run_in_guest"]),
            exclude_tools: texts(&["start_guest"]),
            allow_tool: texts(&["run_in_guest"]),
            ..all()
        };
        assert_eq!(chosen(&named), ["run_in_guest"]);
    }

    #[test]
    fn presets_choose_tools() {
        let preset = |preset| {
            chosen(&Choice {
                preset: Some(preset),
                ..Choice::default()
            })
        };
        assert_eq!(preset(Preset::Observe), ["list_nodes"]);
        assert_eq!(preset(Preset::Operate), ["list_nodes", "start_guest"]);
        assert_eq!(preset(Preset::Admin).len(), 3);
    }

    #[test]
    fn a_toolset_that_is_off_by_default_is_named() {
        for toolsets in [&["all"][..], &["default", "agent"]] {
            let choice = Choice {
                preset: Some(Preset::Admin),
                toolsets: texts(toolsets),
                ..Choice::default()
            };
            assert_eq!(chosen(&choice).len(), 4, "{toolsets:?}");
        }
    }

    #[test]
    fn unknown_names_are_refused() {
        let choice = Choice {
            tools: texts(&["list_node"]),
            ..Choice::default()
        };
        let error = choice.of(&tools()).unwrap_err().to_string();
        assert!(
            error.starts_with("--tools names \"list_node\": choose from "),
            "{error}"
        );
        let choice = Choice {
            read_only: true,
            toolsets: texts(&["power"]),
            ..Choice::default()
        };
        assert!(choice.of(&tools()).is_err());
    }
}
