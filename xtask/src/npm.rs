//! The npm packages of `.ci/clients/`, and the Node.js that comes with them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use crate::apt;
use crate::workspace::{Workspace, output};

/// What npm and pip report if the pinned packages do not exist, do not match their hashes
/// or do not fit each other: a fault of the files that pin them, not of the network.
const FAULTS: [&str; 4] = ["EINTEGRITY", "EUSAGE", "ETARGET", "ResolutionImpossible"];

/// A folder with the packages of `.ci/clients/`, exactly those of the lock file. Their
/// install scripts do not run.
pub(crate) fn install(workspace: &Workspace) -> Result<PathBuf> {
    let source = workspace.root().join(".ci/clients");
    let folder = workspace.target("clients/npm");
    let lock = fs::read_to_string(source.join("package-lock.json"))?;
    let stamp = folder.join("installed.json");
    if fs::read_to_string(&stamp).ok().as_deref() != Some(&lock) {
        ensure!(apt::is_on_path("npm"), "npm is not installed");
        eprintln!("installing the npm packages…");
        fs::create_dir_all(&folder)?;
        for file in ["package.json", "package-lock.json"] {
            fs::copy(source.join(file), folder.join(file))?;
        }
        let mut command = Command::new("npm");
        command.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        // Offline, npm would otherwise try for more than a minute.
        command.args(["--loglevel=error", "--fetch-retries=1"]);
        command
            .args(["--fetch-retry-mintimeout=1000"])
            .current_dir(&folder);
        output(&mut command)?;
        fs::write(&stamp, &lock)?;
    }
    Ok(folder)
}

/// The Node.js of that folder, where there is one for this machine; else the machine's own.
pub(crate) fn node(folder: &Path) -> Command {
    let packaged = folder.join("node_modules/.bin/node");
    match packaged.exists() {
        true => Command::new(packaged),
        false => Command::new("node"),
    }
}

/// Whether packages could not be installed although the registry was reached.
pub(crate) fn is_fault(error: &anyhow::Error) -> bool {
    let text = format!("{error:#}");
    // pip lists the versions that it has found, of which the pinned one is none.
    let has_others = text.contains("(from versions: ") && !text.contains("(from versions: none)");
    has_others || FAULTS.iter().any(|fault| text.contains(fault))
}

/// The part of an error that says why: npm's code, pip's failed connection, or else the
/// last line.
pub(crate) fn reason(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    let after = |marker: &str| Some(text.split_once(marker)?.1.lines().next()?.to_owned());
    after("npm error code ")
        .or_else(|| after("connection broken by "))
        .or_else(|| text.lines().last().map(str::to_owned))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_network_is_an_excuse() {
        let error = |text: &str| anyhow::anyhow!("`pip install` failed: {text}");
        for text in [
            "npm error code EINTEGRITY",
            "ERROR: ResolutionImpossible: for help visit a page",
            "ERROR: Could not find a version that satisfies mcp==9 (from versions: 1.0, 2.3.0)",
        ] {
            assert!(is_fault(&error(text)), "{text}");
        }
        for text in [
            "npm error code ECONNREFUSED",
            "ERROR: Could not find a version that satisfies mcp==2 (from versions: none)",
        ] {
            assert!(!is_fault(&error(text)), "{text}");
        }
    }

    #[test]
    fn the_reason_is_a_part_of_the_error() {
        let of = |text: &str| reason(&anyhow::anyhow!("{text}"));
        assert_eq!(
            of("`npm ci` failed: npm error code ENOTFOUND\nnpm error errno\nlog"),
            "ENOTFOUND"
        );
        assert_eq!(
            of("failed: WARNING: Retrying after connection broken by 'refused'\nERROR: none"),
            "'refused'"
        );
        assert_eq!(of("first\nlast"), "last");
    }
}
