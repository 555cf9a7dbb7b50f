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

use crate::audit::Anchors;
use crate::cli::{AuditCommand, Cli, Command, Operator, PolicyCommand};
use crate::commands::CommandError;
use crate::commands::call::Call;
use crate::timings::Milestone;

/// The whole program.
pub fn main(embedded: Embedded) -> ExitCode {
    timings::begin();
    process::keep_private();
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => match cli::client_fault(&error) {
            None => error.exit(),
            Some(fault) => {
                log::init(LevelFilter::WARN, Cli::format_of_environment());
                let fault = CommandError::Usage(fault);
                return exit_code(match Cli::serving(std::env::args_os().skip(1)) {
                    Some(cli) => run(&cli, Err(fault), embedded),
                    None => Err(fault.uncompared()),
                });
            }
        },
    };
    let operator = Operator::new(&cli);
    match &operator {
        Ok(operator) => log::init(operator.log_level(), operator.log_format()),
        Err(_) => log::init(LevelFilter::WARN, cli.log_format()),
    }
    let operator = operator.map_err(CommandError::from);
    timings::reached(Milestone::CommandLine);
    if cli.options.timings {
        timings::show();
    }
    exit_code(run(&cli, operator, embedded))
}

fn exit_code(result: Result<(), CommandError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !matches!(error, CommandError::Reported | CommandError::Faulty) {
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
        Some(Command::Audit(AuditCommand::Verify {
            files,
            expect,
            from,
        })) => {
            let anchors = Anchors {
                from: *from,
                expect: expect.clone(),
            };
            return commands::audit::verify(files, &anchors);
        }
        Some(Command::Inspect { file, calls, json }) => {
            let source = cli.options.component_or(file.as_deref(), embedded);
            return commands::inspect::run(&source, *calls, *json).await;
        }
        Some(Command::Precompile {
            input,
            output,
            target,
        }) => {
            let native = embedded.target;
            return commands::precompile::run(input, output, target.as_deref(), native).await;
        }
        _ => {}
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
    let operator = operator?;
    // What clients are shown is of all clusters.
    match &cli.command {
        Some(Command::Tools { checksum: true, .. }) => {
            return commands::tools::checksum(&operator.by_cluster()?, embedded).await;
        }
        Some(Command::Tools { surface: true, .. }) => {
            return commands::tools::surface(&operator.by_cluster()?, embedded).await;
        }
        Some(Command::Tools { guide: true, .. }) => {
            return commands::tools::guide(&operator.by_cluster()?, embedded).await;
        }
        _ => {}
    }
    let operator = match &cli.command {
        Some(Command::Health { .. }) => operator,
        _ => operator.of_one_cluster()?,
    };
    match &cli.command {
        Some(Command::Tools { json, .. }) => commands::tools::run(&operator, embedded, *json).await,
        Some(Command::Call {
            name,
            arguments,
            json,
            yes,
        }) => {
            let call = Call {
                name,
                arguments,
                json: *json,
                yes: *yes,
            };
            commands::call::run(&operator, embedded, &call).await
        }
        Some(Command::Health { address }) => {
            commands::health::run(&operator, address.as_deref()).await
        }
        Some(Command::Policy(PolicyCommand::Show { client })) => {
            commands::policy::show(&operator, client.as_deref())
        }
        Some(Command::Policy(PolicyCommand::Explain {
            tool,
            arguments,
            json,
        })) => commands::policy::explain(&operator, embedded, tool, arguments, *json).await,
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
