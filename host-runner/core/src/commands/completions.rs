//! `host-runner completions`

use clap::Command;
use clap_complete::Shell;

use super::{CommandError, print};
use crate::cli::Cli;

/// Prints the script for this shell.
pub(crate) fn run(shell: Shell) -> Result<(), CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut offered(), Cli::NAME, &mut script);
    let script = String::from_utf8_lossy(&script);
    // clap_complete 4.6 takes the hyphen in the name of the program for the end of a command
    // in the labels of the bash script, but not where it sets what is compared with them.
    let script = script.replace("host__subcmd__runner", "host__runner");
    print(script.trim_end())
}

/// The command line without what help does not show either.
fn offered() -> Command {
    let all = Cli::documented();
    let shown = all.get_subcommands().filter(|inner| !inner.is_hide_set());
    Command::new(Cli::NAME)
        .disable_help_subcommand(true)
        .args(all.get_arguments().cloned())
        .subcommands(shown.cloned())
}
