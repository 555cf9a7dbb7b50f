//! Runs the proxmox-mcp component in a sandbox and serves its tools over MCP.
//!
//! The binary beside this library adds but the component.
//!
//! `engine` runs the component, `sandbox` decides what leaves the process and
//! `mcp` talks to the client; each keeps its libraries to itself.

mod audit;
mod bucket;
mod budget;
mod ceiling;
mod cli;
mod clients;
mod collector;
mod commands;
mod concise;
#[cfg(feature = "demo")]
mod demo;
#[cfg(not(feature = "demo"))]
#[path = "no_demo.rs"]
mod demo;
mod digest;
mod engine;
mod env_file;
mod follow;
mod guide;
mod http;
mod json_line;
mod likeness;
mod log;
mod mcp;
mod oauth;
mod observe;
mod offer;
mod operator_file;
mod option_value;
mod origin;
mod policy;
mod process;
mod redact;
mod remote;
mod render;
mod roots;
mod sandbox;
mod secret;
mod settings;
mod shares;
mod system;
mod timings;
mod trace;
mod turn;

use std::process::ExitCode;

use tokio::runtime::Builder;
use tracing::Level;
use tracing::level_filters::LevelFilter;

pub use crate::engine::{Embedded, EmbeddedComponent, Pages};

use crate::cli::{AuditCommand, Cli, Command, Operator, PolicyCommand};
use crate::commands::CommandError;
use crate::settings::Sources;
use crate::timings::Milestone;

/// The whole program.
pub fn main(embedded: Embedded) -> ExitCode {
    timings::begin();
    process::keep_private();
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => match cli::client_fault(&error) {
            None => return cli::report(error),
            Some(fault) => {
                log::init(LevelFilter::WARN, Cli::format_of_environment(), true);
                let fault = CommandError::Usage(fault);
                return exit_code(match Cli::serving(std::env::args_os().skip(1)) {
                    Some(cli) => run(&cli, Err(fault), embedded),
                    None => Err(fault.uncompared()),
                });
            }
        },
    };
    let (cli, sources) = with_sources(cli);
    let operator = sources.and_then(|sources| Ok(Operator::new(&cli, sources)?));
    let level = match &cli.command {
        // Its report has what is worth a warning.
        Some(Command::Doctor(_)) => LevelFilter::ERROR,
        _ => LevelFilter::WARN,
    };
    match &operator {
        Ok(operator) => {
            let refusals =
                operator.gives_log_level() || !matches!(cli.command, Some(Command::Call(_)));
            log::init(operator.log_level(level), operator.log_format(), refusals);
        }
        Err(_) => log::init(level, cli.log_format(), true),
    }
    timings::reached(Milestone::CommandLine);
    if cli.options.timings {
        timings::show();
    }
    exit_code(run(&cli, operator, embedded))
}

/// The command line with the options that other sources give, and these sources.
fn with_sources(cli: Cli) -> (Cli, Result<Sources, CommandError>) {
    let sources = match cli.sources() {
        Ok(sources) => sources,
        Err(error) => return (cli, Err(error.into())),
    };
    match cli.with_options_of(&sources) {
        Ok(Some(completed)) => (completed, Ok(sources)),
        Ok(None) => (cli, Ok(sources)),
        Err(problem) => (cli, Err(CommandError::Usage(problem))),
    }
}

fn exit_code(result: Result<(), CommandError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !matches!(error, CommandError::Reported(_) | CommandError::Faulty) {
                report(&error);
            }
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(
    cli: &Cli,
    operator: Result<Operator<'_>, CommandError>,
    embedded: Embedded,
) -> Result<(), CommandError> {
    // Serving one client needs no second thread for what happens between calls,
    // which run in threads of their own: handing over to one takes longer.
    let is_http = cli.asks_for_http()
        || operator
            .iter()
            .any(|operator| matches!(operator.http(), Ok(Some(_))));
    let mut runtime = match cli.serves() && !is_http {
        true => Builder::new_current_thread(),
        false => Builder::new_multi_thread(),
    };
    let runtime = runtime
        .worker_threads(2)
        .max_blocking_threads(8)
        .enable_all()
        .build()?;
    timings::reached(Milestone::Runtime);
    let result = runtime.block_on(dispatch(cli, operator, embedded));
    // A read of stdin that nothing ends may still block a thread.
    runtime.shutdown_background();
    result
}

async fn dispatch(
    cli: &Cli,
    operator: Result<Operator<'_>, CommandError>,
    embedded: Embedded,
) -> Result<(), CommandError> {
    // These need no settings at all.
    match &cli.command {
        Some(Command::Audit(AuditCommand::Verify(args))) => return commands::audit::verify(args),
        Some(Command::Inspect(args)) => {
            let source = cli.options.component_or(args.file.as_deref(), embedded);
            return commands::inspect::run(&source, args).await;
        }
        Some(Command::Client(args)) => return commands::client::run(&cli.options, args),
        Some(Command::Completions { shell }) => return commands::completions::run(*shell),
        Some(Command::Man { out }) => return commands::man::run(out.as_deref()),
        Some(Command::Help { command }) => return commands::help::run(command),
        Some(Command::Precompile {
            input,
            code,
            target,
        }) => {
            let native = embedded.target;
            return commands::precompile::run(input, code, target.as_deref(), native).await;
        }
        _ => {}
    }
    if let Some(Command::Doctor(output)) = &cli.command {
        return commands::doctor::run(cli, operator, embedded, output).await;
    }
    for warning in operator.iter().flat_map(|operator| operator.warnings()) {
        tracing::warn!("{warning}");
    }
    if cli.serves() {
        return commands::serve::run(cli, operator, embedded).await;
    }
    if let Some(Command::Forward(args)) = &cli.command {
        return commands::forward::run(operator, embedded, args).await;
    }
    with_settings(cli, operator?, embedded).await
}

/// The commands that need settings that can be used.
async fn with_settings(
    cli: &Cli,
    operator: Operator<'_>,
    embedded: Embedded,
) -> Result<(), CommandError> {
    match &cli.command {
        Some(Command::Tools(args)) => commands::tools::run(operator, embedded, args).await,
        Some(Command::Setup(args)) => commands::setup::run(&operator, embedded, args).await,
        Some(Command::Health(args)) => commands::health::run(&operator, args).await,
        Some(Command::Call(args)) => {
            commands::call::run(&operator.of_one_cluster()?, embedded, args).await
        }
        Some(Command::Policy(PolicyCommand::Show { client, output })) => {
            commands::policy::show(&operator.of_one_cluster()?, client.as_deref(), output)
        }
        Some(Command::Policy(PolicyCommand::Explain(args))) => {
            commands::policy::explain(&operator.of_one_cluster()?, embedded, args).await
        }
        _ => Ok(()),
    }
}

/// Says on stderr why a command ends, in one line.
fn report(error: &CommandError) {
    let message = error.to_string();
    let text = render::for_terminal(&message);
    // No line of it looks like one of the audit log.
    let text = format!("error: {}", text.replace('\n', "\n  "));
    // There is nowhere else to say it.
    let _ = log::say(Level::ERROR, &text, &message);
}
