//! The official conformance suite, from npm.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::npm;
use crate::workspace::Workspace;

/// The revisions of which all scenarios are run.
pub(crate) const REVISIONS: [&str; 2] = ["2025-11-25", "2026-07-28"];

const PROGRAM: &str = "node_modules/@modelcontextprotocol/conformance/dist/index.js";

/// The installed suite.
pub(crate) struct Suite {
    folder: PathBuf,
    results: PathBuf,
}

/// How many scenarios of a revision passed, and how many failed as expected.
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
}

impl Suite {
    /// Installs it below the build directory. Fails where npm or its registry is missing,
    /// and where the packages are not those of the lock file: see [`npm::is_fault`].
    pub(crate) fn install(workspace: &Workspace) -> Result<Self> {
        let results = workspace.target("conformance");
        fs::create_dir_all(&results)?;
        Ok(Self {
            folder: npm::install(workspace)?,
            results,
        })
    }

    /// Runs all scenarios of a revision against the server at a URL. `expected` is the
    /// YAML file with those that fail. Fails if another one fails, or one of these passes.
    pub(crate) fn run(&self, url: &str, revision: &str, expected: &Path) -> Result<Tally> {
        let mut command = npm::node(&self.folder);
        let ended = command
            .arg(self.folder.join(PROGRAM))
            .args(["server", "--url", url, "--requirements", revision])
            .arg("--expected-failures")
            .arg(expected)
            .current_dir(&self.folder)
            .output()
            .context("cannot start the conformance suite")?;
        let text = String::from_utf8_lossy(&ended.stdout).into_owned();
        let file = self.results.join(format!("{revision}.txt"));
        fs::write(&file, &text)?;
        let (_, summary) = text.split_once("=== SUMMARY ===").unwrap_or(("", &text));
        if !ended.status.success() {
            bail!(
                "conformance, {revision}: not as {} expects ({} has the details){summary}{}",
                expected.display(),
                file.display(),
                String::from_utf8_lossy(&ended.stderr)
            );
        }
        let faults = unscored_faults(summary, &fs::read_to_string(expected)?);
        if !faults.is_empty() {
            bail!(
                "conformance, {revision}: not as {} expects: {}",
                expected.display(),
                faults.join(", ")
            );
        }
        let count = |mark: char| {
            let lines = summary.lines();
            lines.filter(|line| line.starts_with(mark)).count()
        };
        let (passed, failed) = (count('✓'), count('✗'));
        if passed == 0 {
            bail!("conformance, {revision}: no scenario passed{summary}");
        }
        Ok(Tally { passed, failed })
    }
}

/// What is not as expected of the scenarios that a revision does not require. The suite
/// runs them, and then leaves them out of its verdict.
fn unscored_faults(summary: &str, expected: &str) -> Vec<String> {
    let entries = expected.lines().map(str::trim_start);
    let entries: Vec<&str> = entries
        .filter_map(|line| line.strip_prefix("- "))
        .filter_map(|entry| entry.split(':').next())
        .collect();
    let (_, unscored) = summary.split_once("Not scored for").unwrap_or_default();
    let faults = unscored.lines().filter_map(|line| {
        let (mark, rest) = line.trim_start().split_once(' ')?;
        let name = rest.split(' ').next()?;
        match (mark, entries.contains(&name)) {
            ("✗", false) => Some(format!("{name} fails and is not listed")),
            ("✓", true) => Some(format!("{name} passes and is listed")),
            _ => None,
        }
    });
    faults.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_that_are_not_required_are_judged_too() {
        let summary = "✗ scored: 1 passed, 1 failed\n\nNot scored for 2026-07-28: 4 scenario(s) \
                       run, 2 failing. These do not affect conformance.\n  ✗ one (pending)\n  ✗ \
                       two (extension)\n  ✓ three (pending)\n  ✓ four (pending)\n";
        let expected = "server:\n  # A reason.\n  - one\n  - three:check\n";
        assert_eq!(
            unscored_faults(summary, expected),
            ["two fails and is not listed", "three passes and is listed"]
        );
        assert!(unscored_faults("✗ scored: 1 passed, 1 failed\n", expected).is_empty());
    }
}
