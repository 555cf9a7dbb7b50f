//! The table in `docs/evals.md`.

use std::fs;

use anyhow::{Context, Result, bail};

use super::outcome::Outcome;
use super::task::Task;
use crate::commands::docs;
use crate::table;
use crate::workspace::Workspace;

const PAGE: &str = "docs/evals.md";

/// Writes the table of a run into the page.
pub(super) fn write(workspace: &Workspace, outcomes: &[(Task, Outcome)]) -> Result<()> {
    docs::write_tables(workspace, PAGE, &[("evals", &text(outcomes))])
}

/// Fails if a task that the page shows as solved is no longer solved.
pub(super) fn check(workspace: &Workspace, outcomes: &[(Task, Outcome)]) -> Result<()> {
    let page = fs::read_to_string(workspace.root().join(PAGE))
        .with_context(|| format!("cannot read {PAGE}"))?;
    let lost: Vec<&str> = outcomes
        .iter()
        .filter(|(task, outcome)| {
            !outcome.is_solved() && page.contains(&format!("| {} | yes |", table::cell(&task.ask)))
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

fn text(outcomes: &[(Task, Outcome)]) -> String {
    let solved = outcomes
        .iter()
        .filter(|(_, outcome)| outcome.is_solved())
        .count();
    let rows = outcomes.iter().map(|(task, outcome)| {
        let used = &outcome.used;
        // Times and sizes in the results change by a few characters.
        let rounded = |tokens: usize| (tokens.div_ceil(10) * 10).to_string();
        vec![
            task.ask.clone(),
            if outcome.is_solved() { "yes" } else { "no" }.to_owned(),
            used.calls.to_string(),
            rounded(used.tokens()),
            rounded(used.json_tokens()),
        ]
    });
    let head = ["Request", "Solved", "Calls", "Result tokens", "As JSON"];
    let table = table::markdown(&head, rows);
    format!("Solved: {solved} of {}.\n\n{table}", outcomes.len())
}
