//! What lists cost a model: the table in docs/lists.md.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::{Map, Value};

use super::{build, docs};
use crate::mcp::{self, Client};
use crate::simulator::Simulator;
use crate::table;
use crate::workspace::Workspace;

const PAGE: &str = "docs/lists.md";

/// The table in it.
const TABLE: &str = "lists";

/// The arguments without which a tool lists nothing, also for the tests.
const ARGUMENTS: &str = "tests/list_arguments.json";

/// As host-runner counts against its ceiling. `tests/repository/ceiling.rs` compares them.
const BYTES_PER_TOKEN: usize = 2;

/// Numbers in the table are rounded up to multiples of this.
const STEP: usize = 50;

/// The demonstration cluster has 13 guests; with these, it has 1,000 and 10,000.
const CLUSTERS: [&str; 2] = ["987", "9987"];

/// Measure the tokens of the longest results of all lists
///
/// It calls each tool that lists something with the highest limit, in clusters of 1,000
/// and 10,000 guests.
#[derive(Args)]
pub(crate) struct Lists {
    /// Write the table into docs/lists.md
    #[arg(long)]
    write: bool,
    /// Change nothing, and fail if the table in docs/lists.md is stale: a number may
    /// differ by 5%, because times and sizes in results vary
    #[arg(long, conflicts_with = "write")]
    check: bool,
    /// Use what an earlier command built
    #[arg(long)]
    no_build: bool,
}

/// The text of one result.
struct Shown {
    tokens: usize,
    /// There is more than fits.
    is_full: bool,
}

impl Lists {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        if !self.no_build {
            build::with_simulator(workspace)?;
        }
        let mut rows: Vec<Vec<String>> = Vec::new();
        for guests in CLUSTERS {
            for (at, (tool, shown)) in measure(workspace, guests)?.into_iter().enumerate() {
                if rows.len() <= at {
                    rows.push(vec![format!("`{tool}`")]);
                }
                if let Some(row) = rows.get_mut(at) {
                    row.extend(shown.iter().map(Shown::cell));
                }
            }
        }
        let head = [
            "Tool",
            "1,000 guests",
            "as JSON",
            "10,000 guests",
            "as JSON",
        ];
        let table = table::markdown(&head, rows);
        std::io::stdout().write_all(table.as_bytes())?;
        if self.write {
            docs::write_tables(workspace, PAGE, &[(TABLE, &table)])?;
        }
        if self.check {
            ensure!(
                is_alike(&docs::read_table(workspace, PAGE, TABLE)?, &table),
                "{PAGE} is stale: run `cargo xtask lists --write` and commit what it changes"
            );
            eprintln!("{PAGE} is fresh");
        }
        Ok(())
    }
}

/// Whether two tables differ in nothing but numbers, and in those by little.
fn is_alike(old: &str, new: &str) -> bool {
    let cells = |table: &str| -> Vec<String> {
        let cells = table.lines().flat_map(|line| line.split('|').chain(["\n"]));
        cells
            .map(|cell| cell.trim_matches(' ').to_owned())
            .collect()
    };
    let number = |cell: &str| {
        let (digits, rest) = cell.split_once(' ').unwrap_or((cell, ""));
        let number = digits.replace(',', "").parse::<usize>().ok()?;
        Some((number, rest.to_owned()))
    };
    let (old, new) = (cells(old), cells(new));
    let is_close = |(old, new): (&String, &String)| match (number(old), number(new)) {
        (Some((old, of_old)), Some((new, of_new))) => {
            of_old == of_new && old.abs_diff(new) <= (old / 20).max(2 * STEP)
        }
        _ => old == new,
    };
    old.len() == new.len() && old.iter().zip(&new).all(is_close)
}

/// What each list costs in a cluster with so many guests more: as a table and as JSON.
fn measure(workspace: &Workspace, guests: &str) -> Result<Vec<(String, [Shown; 2])>> {
    let simulator = Simulator::start_with(workspace, ["--demo", "--guests", guests])?;
    let mut command = simulator.host_runner(workspace);
    command.arg("--toolsets=all").stderr(Stdio::null());
    let client = Client::start(&mut command)?;
    let required = fs::read_to_string(workspace.root().join(ARGUMENTS))
        .with_context(|| format!("cannot read {ARGUMENTS}"))?;
    let required: Map<String, Value> = serde_json::from_str(&required)?;
    let mut measured = Vec::new();
    for tool in client.tools()? {
        let name = tool
            .get("name")
            .and_then(Value::as_str)
            .context("no name")?;
        let arguments = tool.pointer("/inputSchema/properties");
        let arguments = arguments.and_then(Value::as_object).context("no schema")?;
        if !arguments.contains_key("offset") {
            continue;
        }
        let call = required.get(name).and_then(Value::as_object);
        let mut call = call.cloned().unwrap_or_default();
        if let Some(most) = arguments
            .get("limit")
            .and_then(|limit| limit.get("maximum"))
        {
            call.insert("limit".to_owned(), most.clone());
        }
        let concise = show(&client, name, &call, "concise")?;
        let full = show(&client, name, &call, "full")?;
        measured.push((name.to_owned(), [concise, full]));
    }
    client.close()?;
    Ok(measured)
}

fn show(client: &Client, tool: &str, call: &Map<String, Value>, detail: &str) -> Result<Shown> {
    let mut call = call.clone();
    call.insert("detail".to_owned(), detail.into());
    let result = client.call_any(tool, &Value::Object(call))?;
    let result = result.map_err(|error| anyhow::anyhow!("{tool}: {error}"))?;
    let text = mcp::text(&result).unwrap_or_default();
    Ok(Shown {
        tokens: text.len().div_ceil(BYTES_PER_TOKEN),
        is_full: text.contains("as many as fit into one result"),
    })
}

impl Shown {
    /// Times and sizes in the results change by a few characters.
    fn cell(&self) -> String {
        let tokens = self.tokens.div_ceil(STEP) * STEP;
        let full = if self.is_full { " (cut)" } else { "" };
        match (tokens / 1000, tokens % 1000) {
            (0, tokens) => format!("{tokens}{full}"),
            (thousands, rest) => format!("{thousands},{rest:03}{full}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_differ_by_little() {
        let cell = |tokens, is_full| Shown { tokens, is_full }.cell();
        assert_eq!(cell(19_168, true), "19,200 (cut)");
        assert_eq!(cell(951, false), "1,000");
        assert_eq!(cell(3, false), "50");
        let table = |tokens, is_full| format!("| Tool |\n|---|\n| {} |\n", cell(tokens, is_full));
        assert!(is_alike(&table(19_200, true), &table(18_300, true)));
        assert!(is_alike(&table(100, false), &table(200, false)));
        assert!(!is_alike(&table(19_200, true), &table(19_200, false)));
        assert!(!is_alike(&table(19_200, true), &table(18_000, true)));
        assert!(!is_alike(&table(100, false), "| Tool |\n|---|\n"));
    }
}
