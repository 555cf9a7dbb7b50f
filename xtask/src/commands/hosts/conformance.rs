//! The official conformance suite, from npm.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::balancer;
use crate::workspace::{Workspace, output};

const SUITE: &str = "@modelcontextprotocol/conformance@0.2.0-alpha.12";
/// The suite wants at least 22.19.
const NODE: &str = "node@22.23.3";

/// Runs it against an http adapter, once for each revision. It has no way to
/// send a bearer token: a proxy adds it.
pub(super) fn run(workspace: &Workspace, server: &str, token: &str) -> Result<String> {
    let folder = match install(workspace) {
        Ok(folder) => folder,
        Err(error) => return Ok(format!("conformance skipped (no npm: {error:#})")),
    };
    let proxy = balancer::start(vec![server.to_owned()], Some(token.to_owned()))?;
    let expected = workspace.root().join("adapters/http/conformance.yml");
    let mut said = Vec::new();
    for revision in ["2025-11-25", "2026-07-28"] {
        let mut command = node(&folder);
        command
            .arg(folder.join("node_modules/@modelcontextprotocol/conformance/dist/index.js"))
            .args(["server", "--url", &format!("http://{proxy}/mcp")])
            .args(["--requirements", revision, "--expected-failures"])
            .arg(&expected)
            .current_dir(&folder);
        let ended = command.output().context("cannot start the suite")?;
        let text = String::from_utf8_lossy(&ended.stdout).into_owned();
        let summary = text.split("=== SUMMARY ===").nth(1).unwrap_or(&text);
        eprintln!("conformance, {revision}:{summary}");
        if !ended.status.success() {
            bail!(
                "conformance, {revision}: not as adapters/http/conformance.yml expects{summary}{}",
                String::from_utf8_lossy(&ended.stderr)
            );
        }
        let count = |mark: &str| {
            summary
                .lines()
                .filter(|line| line.starts_with(mark))
                .count()
        };
        said.push(format!(
            "conformance {revision}: {} scenarios pass, {} fail as expected",
            count("✓"),
            count("✗")
        ));
    }
    Ok(said.join(", "))
}

fn install(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.target("hosts/npm");
    let stamp = folder.join("installed.txt");
    let wanted = format!("{SUITE} {NODE}");
    if fs::read_to_string(&stamp).ok().as_deref() != Some(&wanted) {
        eprintln!("installing the conformance suite…");
        fs::create_dir_all(&folder)?;
        output(
            Command::new("npm")
                .args([
                    "install",
                    "--no-audit",
                    "--no-fund",
                    "--loglevel=error",
                    SUITE,
                    NODE,
                ])
                .arg("--prefix")
                .arg(&folder),
        )?;
        output(node(&folder).arg("--version"))?;
        fs::write(&stamp, wanted)?;
    }
    Ok(folder)
}

fn node(folder: &std::path::Path) -> Command {
    let packaged = folder.join("node_modules/node/bin/node");
    match packaged.exists() {
        true => Command::new(packaged),
        false => Command::new("node"),
    }
}
