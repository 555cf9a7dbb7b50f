//! Runs the proxmox-mcp component in a sandbox and serves its tools over MCP.
//!
//! The binary beside this library adds but the component.
//!
//! `engine` runs the component, `sandbox` decides what leaves the process and
//! `mcp` talks to the client; each keeps its libraries to itself.

mod audit;
mod budget;
mod cli;
mod commands;
mod demo;
mod digest;
mod engine;
mod env_file;
mod follow;
mod log;
mod mcp;
mod offer;
mod policy;
mod process;
mod redact;
mod render;
mod sandbox;
mod secret;
mod settings;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;

pub use crate::engine::Embedded;

use crate::cli::{Cli, Command, PolicyCommand};
use crate::commands::CommandError;

/// The whole program.
pub fn main(embedded: Embedded) -> ExitCode {
    let cli = Cli::parse();
    log::init(cli.options.log_level);
    process::keep_private();
    match run(&cli, embedded) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !matches!(error, CommandError::Reported) {
                // There is nowhere else to say it.
                let error = render::for_terminal(&error.to_string());
                // No line of it looks like one of the audit log.
                let error = error.replace('\n', "\n  ");
                let _ = writeln!(io::stderr(), "error: {error}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(cli: &Cli, embedded: Embedded) -> Result<(), CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(8)
        .enable_all()
        .build()?;
    let options = &cli.options;
    let result = runtime.block_on(async {
        match &cli.command {
            None | Some(Command::Serve) => commands::serve::run(options, embedded).await,
            Some(Command::Tools { json }) => commands::tools::run(options, embedded, *json).await,
            Some(Command::Call {
                name,
                arguments,
                json,
            }) => commands::call::run(options, embedded, name, arguments, *json).await,
            Some(Command::Policy(PolicyCommand::Show)) => commands::policy::show(options),
            Some(Command::Policy(PolicyCommand::Explain {
                tool,
                arguments,
                json,
            })) => commands::policy::explain(options, embedded, tool, arguments, *json).await,
            Some(Command::Inspect { file, json }) => {
                let source = options.component_or(file.as_deref(), embedded);
                commands::inspect::run(&source, *json)
            }
            Some(Command::Precompile { input, output }) => {
                commands::precompile::run(input, output, embedded.target)
            }
        }
    });
    // A read of stdin that nothing ends may still block a thread.
    runtime.shutdown_background();
    result
}
