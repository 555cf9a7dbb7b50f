mod outcome;
mod page;
mod tap;
mod task;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand};
use serde_json::json;

use self::outcome::{Outcome, Used};
use self::tap::Tap;
use self::task::Task;
use super::build;
use crate::mcp::{self, Client};
use crate::simulator::Simulator;
use crate::workspace::{Workspace, utf8};

/// Most calls and result tokens with which a request counts as solved.
const MOST_CALLS: usize = 6;
const MOST_TOKENS: usize = 8_000;

/// Some requests are about what is off by default.
const ALL_TOOLS: &str = "--toolsets=all";

/// The demonstration cluster has 13 guests; with these, it has 1,000.
const MORE_GUESTS: &str = "987";

/// Let an agent fulfil the requests in evals/ on a simulated cluster of 1,000 guests
///
/// Without --agent, the agent is scripted: it makes the calls listed in each file.
/// A request is solved if the user is told what was asked and the cluster is in
/// the right state, within 6 calls and 8,000 tokens of results.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Evals {
    #[command(subcommand)]
    tap: Option<Inner>,
    /// Only requests whose file name contains this
    #[arg(default_value = "")]
    name: String,
    /// A shell command that runs an agent: the request is on stdin and in
    /// $EVAL_ASK, the MCP configuration is the file $MCP_CONFIG, and what it
    /// prints is its answer
    #[arg(long, value_name = "CMD")]
    agent: Option<String>,
    /// Write the results into docs/evals.md
    #[arg(long, conflicts_with = "agent")]
    write: bool,
    /// Fail if a request that docs/evals.md shows as solved is not
    #[arg(long, conflicts_with_all = ["agent", "write"])]
    check: bool,
    /// Use what an earlier command built
    #[arg(long)]
    no_build: bool,
}

#[derive(Subcommand)]
enum Inner {
    #[command(hide = true)]
    Tap(Tap),
}

impl Evals {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        if let Some(Inner::Tap(tap)) = self.tap {
            return tap.run();
        }
        if !self.no_build {
            build::with_simulator(workspace)?;
        }
        let mut outcomes = Vec::new();
        for task in task::load(&workspace.root().join("evals"))? {
            if !task.name.contains(&self.name) {
                continue;
            }
            let outcome = self.attempt(workspace, &task)?;
            report(&task, &outcome);
            outcomes.push((task, outcome));
        }
        let solved = outcomes.iter().filter(|(_, outcome)| outcome.is_solved());
        say(&format!("solved: {} of {}", solved.count(), outcomes.len()));
        if self.write {
            page::write(workspace, &outcomes)?;
        }
        if self.check {
            page::check(workspace, &outcomes)?;
        }
        Ok(())
    }

    fn attempt(&self, workspace: &Workspace, task: &Task) -> Result<Outcome> {
        let cluster = ["--demo", "--guests", MORE_GUESTS, "--task-seconds", "0.2"];
        let mut simulator = Simulator::start_with(workspace, cluster)?;
        task.set_up(&mut simulator)?;
        let (used, told, mut faults) = match &self.agent {
            Some(agent) => {
                let (used, told) = run_agent(workspace, &simulator, agent, task)?;
                (used, told, Vec::new())
            }
            None => run_script(workspace, &simulator, task)?,
        };
        faults.extend(task.missing(&told));
        faults.extend(task.wrong(&mut simulator));
        if used.calls > MOST_CALLS {
            faults.push(format!("{} calls, more than {MOST_CALLS}", used.calls));
        }
        if used.tokens() > MOST_TOKENS {
            faults.push(format!("{} tokens, more than {MOST_TOKENS}", used.tokens()));
        }
        Ok(Outcome { used, faults })
    }
}

/// Makes the calls of the task. Returns what it used, what the results say, and
/// the first call that failed.
fn run_script(
    workspace: &Workspace,
    simulator: &Simulator,
    task: &Task,
) -> Result<(Used, String, Vec<String>)> {
    let mut command = simulator.host_runner(workspace);
    command.arg(ALL_TOOLS).stderr(Stdio::null());
    let client = Client::start(&mut command)?;
    let mut used = Used::default();
    let mut told = String::new();
    let mut faults = Vec::new();
    let mut saved = BTreeMap::new();
    for call in &task.calls {
        let arguments = match call.arguments(&saved) {
            Ok(arguments) => arguments,
            Err(error) => {
                faults.push(format!("{error:#}"));
                break;
            }
        };
        used.calls += 1;
        let result = match client.call_any(&call.tool, &arguments)? {
            Ok(result) => result,
            Err(error) => {
                faults.push(format!("{}: {error}", call.tool));
                break;
            }
        };
        used.add_result(&serde_json::to_value(&result)?);
        let text = mcp::text(&result).unwrap_or_default();
        if result.is_error == Some(true) {
            faults.push(format!("{}: {text}", call.tool));
            break;
        }
        let content = result.structured_content.clone().unwrap_or_default();
        told += &format!("{text}\n{content}\n");
        if let Err(error) = call.save(&content, &mut saved) {
            faults.push(format!("{error:#}"));
            break;
        }
    }
    client.close()?;
    Ok((used, told, faults))
}

/// Runs the agent's command. Returns what it used and what it printed.
fn run_agent(
    workspace: &Workspace,
    simulator: &Simulator,
    agent: &str,
    task: &Task,
) -> Result<(Used, String)> {
    let folder = workspace.target("evals").join(&task.name);
    fs::create_dir_all(&folder)?;
    let record = folder.join("messages.jsonl");
    // The recorder appends.
    fs::write(&record, "")?;
    let config = folder.join("mcp.json");
    let settings: BTreeMap<&str, &str> = simulator
        .settings()
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let this = std::env::current_exe().context("no path to this program")?;
    let server = json!({
        "command": utf8(&this)?,
        "args": [
            "evals", "tap", "--record", utf8(&record)?, "--",
            utf8(&workspace.binary("host-runner"))?, ALL_TOOLS
        ],
        "env": settings,
    });
    fs::write(
        &config,
        json!({"mcpServers": {"proxmox": server}}).to_string(),
    )?;
    let mut child = shell(agent)
        .env("EVAL_ASK", &task.ask)
        .env("MCP_CONFIG", &config)
        .current_dir(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {agent}"))?;
    let mut stdin = child.stdin.take().context("no pipe to the agent")?;
    // An agent that reads $EVAL_ASK may have closed it.
    let _ = writeln!(stdin, "{}", task.ask);
    drop(stdin);
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "the agent ended with {}",
        output.status
    );
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok((tap::used(&record)?, told))
}

fn shell(line: &str) -> Command {
    let (program, flag) = if cfg!(windows) {
        ("cmd", "/C")
    } else {
        ("sh", "-c")
    };
    let mut command = Command::new(program);
    command.args([flag, line]);
    command
}

fn report(task: &Task, outcome: &Outcome) {
    let mark = if outcome.is_solved() {
        "ok    "
    } else {
        "FAILED"
    };
    let used = &outcome.used;
    say(&format!(
        "{mark} {} ({} calls, {} tokens)",
        task.name,
        used.calls,
        used.tokens()
    ));
    for fault in &outcome.faults {
        say(&format!("       {fault}"));
    }
}

#[expect(clippy::print_stdout, reason = "this is the command's output")]
fn say(text: &str) {
    println!("{text}");
}
