use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use crate::tools::pip_install;
use crate::workspace::{Workspace, output, run, utf8};

/// Check that host-runner and the tools of this repository compile for Windows and macOS
///
/// The C code of dependencies is compiled by `zig cc`, which pip installs in `target/`,
/// unless `CC_TARGET` names a compiler. A target that rustup has not installed is skipped.
#[derive(Args)]
pub(crate) struct CheckSystems {
    /// Only this target
    #[arg(long, value_name = "TRIPLE")]
    only: Option<String>,
}

/// The targets, and what zig calls them.
const TARGETS: [(&str, &str); 2] = [
    ("x86_64-pc-windows-gnu", "x86_64-windows-gnu"),
    ("aarch64-apple-darwin", "aarch64-macos"),
];

/// What people run. Their dependencies in the workspace are checked with them.
const PACKAGES: [&str; 3] = ["host-runner", "pve-sim", "xtask"];

impl CheckSystems {
    pub(crate) fn run(self, workspace: &Workspace) -> Result<()> {
        for (target, zig) in TARGETS {
            if self.only.as_deref().is_some_and(|only| only != target) {
                continue;
            }
            if !is_installed(target)? {
                eprintln!("skipped: {target} is not installed (`rustup target add {target}`)");
                continue;
            }
            let mut command = workspace.cargo(["clippy", "--locked", "--target", target]);
            for package in PACKAGES {
                command.args(["--package", package]);
            }
            command.args(["--", "-D", "warnings"]);
            let name = format!("CC_{}", target.replace('-', "_"));
            if std::env::var_os(&name).is_none() && !is_native(target) {
                match compiler(workspace, zig) {
                    Ok(compiler) => command.env(name, compiler),
                    Err(error) => {
                        eprintln!(
                            "skipped: {target}, as there is no C compiler for it ({error:#})"
                        );
                        continue;
                    }
                };
            }
            run(&mut command)?;
            eprintln!("{target}: compiles without warnings");
        }
        Ok(())
    }
}

/// Whether the system that this runs on is the target's.
fn is_native(target: &str) -> bool {
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        system => system,
    };
    target.contains(system)
}

/// Whether the standard library for the target is there.
fn is_installed(target: &str) -> Result<bool> {
    let folder =
        output(Command::new("rustc").args(["--print", "target-libdir", "--target", target]))?;
    Ok(Path::new(folder.trim()).is_dir())
}

/// A script that calls `zig cc` for a target, by zig's own name of it.
fn compiler(workspace: &Workspace, target: &str) -> Result<PathBuf> {
    let python = workspace.target("zig/bin/python");
    if !has_zig(&python) {
        output(
            Command::new("python3")
                .args(["-m", "venv"])
                .arg(workspace.target("zig")),
        )?;
        let list = workspace.root().join(".ci/zig.txt");
        output(&mut pip_install(&python, &list))?;
    }
    let script = workspace.target(format!("zig/{target}"));
    let text = format!(
        "#!/bin/sh\nfor argument do\n    shift\n    case $argument in --target=*) ;; *) set -- \"$@\" \
         \"$argument\" ;; esac\ndone\nexec '{}' -m ziglang cc -target {target} \"$@\"\n",
        utf8(&python)?
    );
    fs::write(&script, text).with_context(|| format!("cannot write {}", script.display()))?;
    output(Command::new("chmod").arg("+x").arg(&script))?;
    Ok(script)
}

fn has_zig(python: &Path) -> bool {
    output(Command::new(python).args(["-m", "ziglang", "version"])).is_ok()
}
