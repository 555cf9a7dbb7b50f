//! Builds, tests and demonstrates proxmox-mcp: `cargo xtask help` lists the
//! commands. It is compiled before all else on a fresh machine, so it keeps to
//! few dependencies.

#![forbid(unsafe_code)]

mod adapters;
mod apt;
mod browser;
mod commands;
mod conformance;
mod gauge;
mod leaks;
mod mcp;
mod npm;
mod process;
mod progress;
mod simulator;
mod table;
mod tools;
mod web;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

use crate::commands::Command;

/// Build, test and demonstrate proxmox-mcp.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    match Cli::parse().command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
