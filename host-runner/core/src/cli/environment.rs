//! The options that the environment and the file of settings give: they are defaults, which
//! a flag overrides.

use clap::{ArgAction, Command, CommandFactory, FromArgMatches};

use super::{Cli, Serve, Serving};
use crate::settings::{FlagValue, Sources, early_flags, mask_secrets};

impl Cli {
    /// Reads the command line.
    ///
    /// clap copies the global options into each subcommand, which would take
    /// longer than everything else before the first message is read. Serving needs
    /// one subcommand only; whatever that cannot read is read again as a whole.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        Self::read_with(&early_flags())
    }

    /// The same, with the options that these sources give.
    pub(crate) fn with_options_of(&self, sources: &Sources) -> Result<Option<Self>, String> {
        let values = sources.flags();
        let has_late = values.iter().any(|given| !given.flag.only_environment);
        let cli = match has_late {
            true => Some(Self::read_with(&values).map_err(|error| explained(&error, &values))?),
            false => None,
        };
        let options = &cli.as_ref().unwrap_or(self).options;
        match options.demo && options.has_connection() {
            true => Err(
                "PROXMOX_MCP_DEMO or PROXMOX_MCP_DEMO_STATE and the options for an address, a token, a certificate, \
                         clusters or a file of settings cannot be used together: leave out one of \
                         them"
                    .to_owned(),
            ),
            false => Ok(cli),
        }
    }

    fn read_with(values: &[FlagValue]) -> Result<Self, clap::Error> {
        let mut cli = Self::parsed_with(values)?;
        cli.options.demo |= cli.options.demo_state.is_some();
        Ok(cli)
    }

    fn parsed_with(values: &[FlagValue]) -> Result<Self, clap::Error> {
        match parsed::<Serving>(values) {
            Ok(Serving { options, command }) => Ok(Self {
                options,
                command: command.map(|Serve::Serve(args)| super::Command::Serve(args)),
            }),
            Err(_) => parsed::<Self>(values),
        }
    }
}

fn parsed<T: CommandFactory + FromArgMatches>(values: &[FlagValue]) -> Result<T, clap::Error> {
    let mut command = T::command();
    for given in values {
        command = with_default(command, given);
    }
    let mut matches = command.clone().try_get_matches()?;
    T::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// The value as the default of the option, in every command that has it.
fn with_default(command: Command, given: &FlagValue) -> Command {
    let has_it = command
        .get_arguments()
        .any(|arg| arg.get_id() == given.flag.arg);
    let command = match has_it {
        false => command,
        true => command.mut_arg(given.flag.arg, |arg| {
            let value = match arg.get_action() {
                ArgAction::SetTrue => switch(&given.value),
                _ => &given.value,
            };
            let value = value.to_owned();
            arg.default_value(value)
        }),
    };
    command.mut_subcommands(|inner| with_default(inner, given))
}

/// As a switch takes it.
fn switch(value: &str) -> &str {
    match value.to_ascii_lowercase().as_str() {
        "1" | "yes" | "on" | "true" => "true",
        "0" | "no" | "off" | "false" => "false",
        _ => value,
    }
}

/// An error about a value that was not typed, but comes from elsewhere.
fn explained(error: &clap::Error, values: &[FlagValue]) -> String {
    let text = error.render().to_string();
    let lines = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("For more"));
    let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    let text = lines.join("; ");
    let text = mask_secrets(text.strip_prefix("error: ").unwrap_or(&text));
    let named = values.iter().find(|given| {
        let long = format!("--{}", given.flag.arg.replace('_', "-"));
        text.contains(&format!("'{long} ")) || text.contains(&format!("'{long}'"))
    });
    match named {
        Some(given) => format!("{} {} cannot be used: {text}", given.flag.name, given.place),
        None => text,
    }
}

/// The variables of options that no command has.
#[cfg(test)]
pub(super) fn without_option(program: &Command) -> Vec<&'static str> {
    fn has(command: &Command, arg: &str) -> bool {
        let mut inner = command.get_subcommands();
        command.get_arguments().any(|one| one.get_id() == arg) || inner.any(|one| has(one, arg))
    }
    let flags = crate::settings::FLAGS.iter();
    let missing = flags.filter(|flag| !has(program, flag.arg));
    missing.map(|flag| flag.name).collect()
}
