//! `host-runner completions`

use clap_complete::Shell;

use super::{CommandError, print};
use crate::cli::Cli;

/// Prints the script for this shell.
pub(crate) fn run(shell: Shell) -> Result<(), CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::documented(), Cli::NAME, &mut script);
    print(String::from_utf8_lossy(&script).trim_end())
}
