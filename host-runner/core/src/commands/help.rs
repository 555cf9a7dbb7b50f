//! `host-runner help`

use std::io::IsTerminal as _;

use super::{CommandError, print};
use crate::cli::Cli;
use crate::likeness;

/// Prints the long help of a command, which is named by its words; without any, that of
/// host-runner.
pub(crate) fn run(words: &[String]) -> Result<(), CommandError> {
    let mut program = Cli::documented();
    program.build();
    let mut command = &mut program;
    for word in words {
        let name = command.get_name().to_owned();
        let known = command
            .get_subcommands()
            .filter(|inner| !inner.is_hide_set());
        let known: Vec<_> = known.map(|inner| inner.get_name().to_owned()).collect();
        command = command
            .find_subcommand_mut(word)
            .ok_or_else(|| unknown(word, &name, &known))?;
    }
    let help = command.render_long_help();
    match std::io::stdout().is_terminal() {
        true => print(help.ansi().to_string().trim_end()),
        false => print(help.to_string().trim_end()),
    }
}

fn unknown(word: &str, owner: &str, known: &[String]) -> CommandError {
    if known.is_empty() {
        return CommandError::Usage(format!(
            "{owner} has no subcommands, so {word:?} is unknown"
        ));
    }
    let nearest = likeness::nearest(word, 0.7, known.iter().map(|one| (one.as_str(), one)));
    let perhaps = nearest.map_or_else(String::new, |one| format!(" (perhaps {one:?})"));
    CommandError::Usage(format!(
        "{owner} has no command {word:?}{perhaps}: choose one of {}",
        known.join(", ")
    ))
}
