//! `-o`: the format of what a command prints.

use std::io::{self, IsTerminal as _};

use clap::{Args, ValueEnum};

/// A format of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tables and lines for people. Numbers may be rounded, and columns left out that do
    /// not fit the terminal.
    Table,
    /// One JSON document.
    Json,
    /// One YAML document with the same content.
    Yaml,
}

/// How a command prints what it has found.
#[derive(Debug, Default, Args)]
pub(crate) struct OutputArgs {
    /// Format of the output: table, json or yaml [default: table on a terminal, json
    /// otherwise] [env: PROXMOX_MCP_OUTPUT]
    #[arg(
        short = 'o',
        long = "output",
        value_name = "FORMAT",
        hide_possible_values = true
    )]
    output: Option<Format>,
    /// The same as -o json
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

impl OutputArgs {
    /// The format to print.
    pub(crate) fn format(&self) -> Format {
        self.chosen().unwrap_or(match io::stdout().is_terminal() {
            true => Format::Table,
            false => Format::Json,
        })
    }

    /// The format that the user has asked for. Only then, errors of tools are printed in it,
    /// too.
    pub(crate) fn chosen(&self) -> Option<Format> {
        match self.json {
            true => Some(Format::Json),
            false => self.output,
        }
    }
}
