//! `host-runner serve`, or no command at all.

mod http;
mod profiles;
mod ready;

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use self::ready::{WAIT, approved, ready};
use super::{CommandError, Context};
use crate::cli::{Cli, Operator, Options};
use crate::collector::Collector;
use crate::engine::{Embedded, LoadError};
use crate::mcp::{Common, Server, ServerOptions};
use crate::offer::{Fleet, OfferError};
use crate::process;
use crate::timings::{self, Milestone};

/// How long loading the component waits for the first response to the client.
const SILENCE: Duration = Duration::from_millis(100);

/// How long sending the last spans may take.
/// Less than the process may take to end.
const LAST_SPANS: Duration = Duration::from_millis(500);

/// How long to wait for the component when the client is already gone.
/// Less than the process may take to end.
const LOADING: Duration = Duration::from_millis(700);

/// Serves MCP until the client closes stdin, or a signal comes.
///
/// What the operator got wrong does not keep a client from being greeted, as it
/// would show its user nothing but a server that has gone: the tools are listed,
/// and each call is answered with what is wrong. In a terminal, or where no
/// client says a word, the program ends with that. A component that must not
/// run ends the program in any case, since there is nothing to list, and so do a
/// checksum that differs and one that cannot be read.
pub(crate) async fn run(
    cli: &Cli,
    operator: Result<Operator<'_>, CommandError>,
    embedded: Embedded,
) -> Result<(), CommandError> {
    let operator = match operator {
        // Over HTTP, no client on stdin could be told of the error.
        Err(error) if cli.asks_for_http() => return Err(error),
        operator => operator,
    };
    let operators = operator.and_then(|operator| Ok(operator.by_cluster()?));
    let operators = match operators {
        Err(error) if cli.asks_for_http() => return Err(error),
        operators => operators,
    };
    let terminal = io::stdin().is_terminal();
    let options = &cli.options;
    let settings = operators.as_ref().ok().and_then(|all| all.first());
    let checksum = cli.tools_checksum().map_err(CommandError::from);
    let checksum = checksum.map_err(CommandError::uncompared)?;
    if let Some(operator) = settings
        && let Some(http) = operator.http()?
    {
        let all = operators.as_deref().unwrap_or_default();
        return http::run(all, http, checksum, embedded).await;
    }
    let traces = settings.map_or(Ok(None), Operator::traces);
    let poll = settings.map(Operator::poll);
    let detail = settings.map(Operator::detail).unwrap_or_default();
    let result_tokens = settings.map(Operator::result_tokens);
    let (context, fault) = context(options, operators, embedded).await;
    timings::reached(Milestone::Settings);
    let fault = match fault {
        Some(error) if terminal => return Err(error),
        fault => fault,
    };
    // The simulated cluster serves until the end.
    let Context {
        catalog,
        demo: _demo,
        ..
    } = context;
    let catalog = Arc::new(catalog);
    let (fault, collector) = match traces {
        Ok(Some(traces)) if fault.is_none() => {
            let collector = Collector::begin(&traces).await;
            (None, Some(collector.map_err(CommandError::Usage)?))
        }
        Ok(_) => (fault, None),
        Err(error) => (fault.or(Some(error.into())), None),
    };
    let fault = match checksum {
        Some(expected) => approved(&catalog, detail, expected, fault).await?,
        None => fault,
    };
    if let Some(fault) = &fault {
        crate::report(fault);
    }

    if terminal {
        tracing::warn!(
            "waiting for MCP messages on stdin. An MCP client normally starts this command; in a \
             terminal, use `host-runner tools` and `host-runner call`"
        );
    }
    catalog.ask_for_privileges();
    tracing::debug!("serving MCP on stdin and stdout");
    let common = Common::new();
    let server = Server::new(
        Arc::clone(&catalog),
        ServerOptions::for_one(
            options.wait().unwrap_or(WAIT),
            poll.unwrap_or(WAIT),
            detail,
            result_tokens.unwrap_or_default(),
        ),
        fault.as_ref().map(ToString::to_string),
        &common,
    );
    process::end_in_time(common.closing(), process::LAST_MOMENT)?;
    let responded = server.responded();
    let said = AtomicBool::new(fault.is_some());
    let greeted = tokio::select! {
        served = server.serve() => served.map_err(CommandError::Protocol),
        error = async {
            // The component is loaded while the client reads the greeting, so that
            // the greeting need not share the processor with it.
            let _ = tokio::time::timeout(SILENCE, responded.cancelled()).await;
            unusable(&catalog, terminal, &said).await
        } => Err(error.into()),
    };
    if let Some(collector) = collector {
        collector.end(LAST_SPANS).await;
    }
    if greeted? {
        return Ok(());
    }
    // A client that hung up at once still gets the fault reported.
    match tokio::time::timeout(LOADING, ready(&catalog)).await {
        _ if said.load(Ordering::Relaxed) => Err(CommandError::Faulty),
        Ok(Err(error)) => Err(error.into()),
        _ => Ok(()),
    }
}

/// What the commands that call tools need; with a fault, what lists them.
async fn context(
    options: &Options,
    operators: Result<Vec<Operator<'_>>, CommandError>,
    embedded: Embedded,
) -> (Context, Option<CommandError>) {
    let operators = match operators {
        Ok(operators) => operators,
        Err(error) => return (Context::sealed(options, &[], embedded), Some(error)),
    };
    let context = match operators.as_slice() {
        [first, others @ ..] => Context::serving(first, others, embedded).await,
        [] => Err(OfferError::Nothing.into()),
    };
    match context {
        Ok(context) => (context, None),
        Err(error) => {
            let context = Context::sealed(options, &operators, embedded);
            (context, Some(error))
        }
    }
}

/// Why the server has to end, once that is known. What the operator can correct
/// is said on stderr, and to the client with each call.
async fn unusable(catalog: &Fleet, terminal: bool, said: &AtomicBool) -> OfferError {
    match ready(catalog).await {
        Err(error) if terminal || is_final(&error) => return error,
        // A fault of the settings has been said already.
        Err(error) if !said.swap(true, Ordering::Relaxed) => crate::report(&error.into()),
        _ => {}
    }
    std::future::pending().await
}

fn is_final(error: &OfferError) -> bool {
    match error {
        OfferError::Load(error) => !matches!(error, LoadError::Read { .. }),
        OfferError::Tools(_) => true,
        OfferError::Name { .. } | OfferError::Cluster(_) | OfferError::Nothing => false,
    }
}
