//! Programs that the system's packages have.

use std::env;
use std::process::{Command, Stdio};

use crate::workspace::run;

/// Whether a program is on the path.
pub(crate) fn is_on_path(program: &str) -> bool {
    env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// Installs packages of Debian or Ubuntu, which takes root, and says whether that worked.
/// The list of packages is only updated if it has to be.
pub(crate) fn install(packages: &[&str]) -> bool {
    let install = || {
        run(apt()
            .args(["install", "--yes", "--no-install-recommends"])
            .args(packages))
    };
    is_on_path("apt-get")
        && (install().is_ok() || (run(apt().arg("update")).is_ok() && install().is_ok()))
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command
        .arg("-qq")
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Its output is of no interest.
        .stdout(Stdio::null());
    command
}
