//! What is said of a command line that cannot be understood, where clap's own words would
//! mislead or hide what matters.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::Cli;

/// The commands whose further words are the arguments of a tool.
const WITH_TOOL: [&[&str]; 2] = [&["call"], &["policy", "explain"]];

/// The options that have the names of what many tools take, and mean something else.
const SCOPE: [&str; 5] = ["--vmids", "--pools", "--tags", "--nodes", "--storages"];

/// Help of a command that is nothing without one of its own commands: no options, which are
/// those of all commands.
const SHORT_HELP: &str =
    "{about}\n\nUsage: {name} <COMMAND>\n\nCommands:\n{subcommands}{after-help}";

/// Prints the error, on stdout where help was asked for, and returns the exit status.
pub(crate) fn report(mut error: clap::Error) -> ExitCode {
    let words = std::env::args_os().skip(1);
    let words: Vec<String> = words
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let status = u8::try_from(error.exit_code()).unwrap_or(2);
    // There is nowhere else to say it.
    let _ = match short_help(&error, &words) {
        Some(help) => writeln!(io::stderr(), "{}", help.trim_end()),
        None => {
            advise(&mut error, &words);
            error.print()
        }
    };
    ExitCode::from(status)
}

/// The help of a command that was given without one of its own commands.
fn short_help(error: &clap::Error, words: &[String]) -> Option<String> {
    if error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return None;
    }
    let mut program = Cli::command();
    program.build();
    let word = words
        .iter()
        .find(|word| program.find_subcommand(word).is_some())?;
    let command = program.find_subcommand_mut(word)?.clone();
    let name = format!("{} {word}", Cli::NAME);
    let all = format!("`{} help {word}` lists all options.", Cli::NAME);
    let after = command.get_after_long_help().cloned().unwrap_or_default();
    let command = command
        .bin_name(&name)
        .display_name(&name)
        .help_template(SHORT_HELP)
        .after_help(format!("{after}\n\n{all}"));
    Some(command.clone().render_help().to_string())
}

fn advise(error: &mut clap::Error, words: &[String]) {
    let wrong = match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(ContextValue::String(wrong))) => wrong.clone(),
        _ => return,
    };
    if let Some(tip) = of_output(&wrong, words) {
        insert(error, &tip);
        return;
    }
    let usage = error.get(ContextKind::Usage).map(ToString::to_string);
    let usage = usage.unwrap_or_default();
    let of_tool = WITH_TOOL
        .iter()
        .find(|names| usage.contains(&format!("{} {} ", Cli::NAME, names.join(" "))));
    if let (Some(command), true) = (of_tool, wrong.starts_with("--")) {
        of_tool_argument(error, command, words);
    }
}

/// The arguments of tools have no dashes.
fn of_tool_argument(error: &mut clap::Error, command: &[&str], words: &[String]) {
    let suggested = match error.get(ContextKind::SuggestedArg) {
        Some(ContextValue::String(suggested)) => Some(suggested.as_str()),
        _ => None,
    };
    match suggested {
        None => {}
        Some(suggested) if SCOPE.contains(&suggested) => {
            error.remove(ContextKind::SuggestedArg);
        }
        // An option of the command was meant.
        Some(_) => return,
    }
    let tool = match words
        .iter()
        .skip_while(|word| command.last() != Some(&word.as_str()))
        .nth(1)
    {
        Some(tool) if !tool.starts_with('-') => tool.as_str(),
        _ => "NAME",
    };
    insert(
        error,
        &format!(
            "the arguments of a tool are written as name=value, without dashes; `{} tools {tool}` \
             lists them",
            Cli::NAME
        ),
    );
    let mut program = Cli::command();
    program.build();
    let found = command
        .iter()
        .try_fold(&mut program, |inner, name| inner.find_subcommand_mut(name));
    if let Some(found) = found {
        let usage = found.render_usage();
        error.insert(ContextKind::Usage, ContextValue::StyledStr(usage));
    }
}

/// The format of the output is an option of the commands that have one.
fn of_output(wrong: &str, words: &[String]) -> Option<String> {
    if !matches!(wrong, "-o" | "--output" | "--json") {
        return None;
    }
    let at = words.iter().position(|word| word.starts_with(wrong))?;
    let mut command = &Cli::command();
    let mut path = vec![Cli::NAME];
    let mut follows = false;
    for (place, word) in words.iter().enumerate() {
        if let Some(inner) = command.find_subcommand(word) {
            command = inner;
            path.push(word);
            follows = place > at;
        }
    }
    let has_output = command.get_arguments().any(|arg| arg.get_id() == "output");
    (follows && has_output).then(|| {
        format!(
            "write {wrong} after the command: `{} {wrong} …`",
            path.join(" ")
        )
    })
}

fn insert(error: &mut clap::Error, tip: &str) {
    let tips = vec![StyledStr::from(tip.to_owned())];
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
}
