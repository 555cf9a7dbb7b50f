//! Where and when a run took place.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use crate::workspace::{Workspace, output};

/// What the system reports, each with its name. Unknown facts are left out.
pub(super) fn facts(workspace: &Workspace) -> Vec<(&'static str, String)> {
    let said = |command: &mut Command| Some(output(command).ok()?.trim().to_owned());
    let file = |path: &str| Some(fs::read_to_string(path).ok()?.trim().to_owned());
    let commit = said(Command::new("git").current_dir(workspace.root()).args([
        "describe",
        "--always",
        "--dirty",
        "--exclude=*",
    ]));
    let processor = file("/proc/cpuinfo").and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(": ")?.1.to_owned())
    });
    let load =
        file("/proc/loadavg").and_then(|text| Some(text.split_whitespace().next()?.to_owned()));
    let cores = thread::available_parallelism().ok();
    let profile = workspace.host_runner();
    let profile = profile.parent().and_then(Path::file_name);
    let profile = profile.map(|profile| profile.to_string_lossy().into_owned());
    let facts = [
        ("date", said(Command::new("date").args(["-u", "+%F"]))),
        ("commit", commit),
        ("cargo profile of host-runner", profile),
        ("processor", processor),
        ("cores", cores.map(|cores| cores.to_string())),
        ("Linux", file("/proc/sys/kernel/osrelease")),
        ("Rust", said(Command::new("rustc").arg("-V")).map(version)),
        ("load average before the run", load),
    ];
    let known = facts.into_iter();
    known
        .filter_map(|(name, fact)| Some((name, fact?)))
        .collect()
}

/// `rustc 1.95.0 (…)`
fn version(text: String) -> String {
    let version = text.split_whitespace().nth(1).map(str::to_owned);
    version.unwrap_or(text)
}
