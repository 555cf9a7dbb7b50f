//! The table in `docs/evals.md`.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result, bail};

use super::outcome::Outcome;
use super::task::Task;
use crate::workspace::Workspace;

const PAGE: &str = "docs/evals.md";
const BEGIN: &str = "<!-- evals:begin -->\n";
const END: &str = "<!-- evals:end -->";

/// Writes the table of a run into the page.
pub(super) fn write(workspace: &Workspace, outcomes: &[(Task, Outcome)]) -> Result<()> {
    let path = workspace.root().join(PAGE);
    let page = fs::read_to_string(&path).with_context(|| format!("cannot read {PAGE}"))?;
    let (before, rest) = page.split_once(BEGIN).with_context(no_marks)?;
    let (_, after) = rest.split_once(END).with_context(no_marks)?;
    fs::write(
        path,
        format!("{before}{BEGIN}{}{END}{after}", table(outcomes)),
    )?;
    Ok(())
}

/// Fails if a task that the page shows as solved is no longer solved.
pub(super) fn check(workspace: &Workspace, outcomes: &[(Task, Outcome)]) -> Result<()> {
    let page = fs::read_to_string(workspace.root().join(PAGE))
        .with_context(|| format!("cannot read {PAGE}"))?;
    let lost: Vec<&str> = outcomes
        .iter()
        .filter(|(task, outcome)| {
            !outcome.is_solved() && page.contains(&format!("| {} | yes |", cell(&task.ask)))
        })
        .map(|(task, _)| task.name.as_str())
        .collect();
    if !lost.is_empty() {
        bail!(
            "{PAGE} shows as solved, but no longer are: {}",
            lost.join(", ")
        );
    }
    Ok(())
}

fn no_marks() -> String {
    format!("{PAGE} has no place for the table")
}

fn table(outcomes: &[(Task, Outcome)]) -> String {
    let solved = outcomes
        .iter()
        .filter(|(_, outcome)| outcome.is_solved())
        .count();
    let mut text = format!(
        "Solved: {solved} of {}.\n\n| Request | Solved | Calls | Result tokens |\n|---|---|---|---|\n",
        outcomes.len()
    );
    for (task, outcome) in outcomes {
        let solved = if outcome.is_solved() { "yes" } else { "no" };
        let used = &outcome.used;
        let ask = cell(&task.ask);
        // Times and sizes in the results change by a few characters.
        let tokens = used.tokens().div_ceil(10) * 10;
        let _ = writeln!(text, "| {ask} | {solved} | {} | {tokens} |", used.calls);
    }
    text
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
